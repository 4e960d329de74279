#include "services/streaming/ledger.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/contract/contract.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { DAY_MS = 24 * 3600 * 1000, KEY_CAP = 24, VERSION = 1, FOLLOW_S = 5, BOOKS_MAX = 2 * 4096 };

struct book {
    int64_t since_ms;            // first seen
    bool seen;                   // in this run, not only read
    bool dirty, removed, wiring; // wiring: Redis has been told and has not answered
    size_t count;
    struct gtv_gap gaps[GTV_GAPS_MAX]; // oldest first
};

struct gtv_ledger {
    pthread_mutex_t lock; // guards the books
    struct gtv_map *books;
    bool loaded, loading; // control loop only, as are the next two
    bool leading;
    unsigned followed_s;
};

static struct gtv_str key_of(int64_t id, char out[KEY_CAP])
{
    int n = snprintf(out, KEY_CAP, "%lld", (long long)id);
    return (struct gtv_str){out, (size_t)n};
}

struct gtv_ledger *gtv_ledger_create(void)
{
    struct gtv_ledger *l = GTV_NEW(struct gtv_ledger);
    l->leading = true;
    pthread_mutex_init(&l->lock, NULL);
    l->books = gtv_map_create();
    return l;
}

void gtv_ledger_destroy(struct gtv_ledger *l)
{
    if (!l)
        return;
    gtv_map_destroy(l->books, free);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

enum gtv_gap_cause gtv_gap_cause_of(const char *code)
{
    static const char *const node[] = {"media_down", "missing", "node", "no_memory"};
    static const char *const network[] = {"unreachable", "timed_out", "name", "io"};
    for (size_t i = 0; i < sizeof node / sizeof *node; i++)
        if (strcmp(code, node[i]) == 0)
            return GTV_GAP_NODE;
    for (size_t i = 0; i < sizeof network / sizeof *network; i++)
        if (strcmp(code, network[i]) == 0)
            return GTV_GAP_NETWORK;
    return GTV_GAP_CAMERA;
}

static const char *const cause_names[] = {"camera", "network", "node"};

const char *gtv_gap_cause_name(enum gtv_gap_cause cause)
{
    return cause_names[cause];
}

// ---- with the lock held ----

static struct book *find(struct gtv_ledger *l, int64_t camera)
{
    char key[KEY_CAP];
    struct book *b = gtv_map_get(l->books, key_of(camera, key));
    return b && !b->removed ? b : NULL;
}

static struct book *get_or_add(struct gtv_ledger *l, int64_t camera, int64_t now_ms)
{
    char key[KEY_CAP];
    struct book *b = gtv_map_get(l->books, key_of(camera, key));
    if (!b) {
        b = GTV_NEW(struct book);
        (void)gtv_map_put(l->books, key_of(camera, key), b);
    } else if (b->removed) {
        *b = (struct book){.wiring = b->wiring};
    }
    if (!b->since_ms) {
        b->since_ms = now_ms;
        b->dirty = true;
    }
    b->seen = true;
    return b;
}

static struct gtv_gap *open_gap(struct book *b)
{
    struct gtv_gap *last = b->count ? &b->gaps[b->count - 1] : NULL;
    return last && last->to_ms == 0 ? last : NULL;
}

static void append(struct book *b, const struct gtv_gap *gap)
{
    if (b->count == GTV_GAPS_MAX) {
        memmove(b->gaps, b->gaps + 1, (GTV_GAPS_MAX - 1) * sizeof *b->gaps);
        b->count--;
    }
    b->gaps[b->count++] = *gap;
    b->dirty = true;
}

// ---- what happens ----

void gtv_ledger_fine(struct gtv_ledger *l, int64_t camera, int64_t now_ms)
{
    pthread_mutex_lock(&l->lock);
    struct book *b = get_or_add(l, camera, now_ms);
    struct gtv_gap *gap = open_gap(b);
    if (gap) {
        gap->to_ms = now_ms > gap->from_ms ? now_ms : gap->from_ms + 1;
        b->dirty = true;
    }
    pthread_mutex_unlock(&l->lock);
}

void gtv_ledger_out(struct gtv_ledger *l, int64_t camera, const char *code, const char *text, int64_t now_ms)
{
    pthread_mutex_lock(&l->lock);
    struct book *b = get_or_add(l, camera, now_ms);
    struct gtv_gap *gap = open_gap(b);
    enum gtv_gap_cause cause = gtv_gap_cause_of(code);
    if (gap && *code && cause == gap->cause && strcmp(gap->code, code) != 0) {
        // The same party's fault, known better: the latest reason is the one to act on.
        snprintf(gap->code, sizeof gap->code, "%s", code);
        snprintf(gap->text, sizeof gap->text, "%s", text);
        b->dirty = true;
    } else if (!gap || (*code && cause != gap->cause)) {
        struct gtv_gap next = {.from_ms = now_ms, .cause = cause};
        snprintf(next.code, sizeof next.code, "%s", code);
        snprintf(next.text, sizeof next.text, "%s", text);
        if (gap)
            gap->to_ms = now_ms > gap->from_ms ? now_ms : gap->from_ms + 1;
        append(b, &next);
    }
    pthread_mutex_unlock(&l->lock);
}

void gtv_ledger_forget(struct gtv_ledger *l, int64_t camera)
{
    pthread_mutex_lock(&l->lock);
    struct book *b = find(l, camera);
    if (b)
        b->removed = b->dirty = true;
    pthread_mutex_unlock(&l->lock);
}

// ---- reading ----

struct gtv_gap *gtv_ledger_gaps(struct gtv_ledger *l, int64_t camera, size_t *n)
{
    struct gtv_gap *copy = NULL;
    *n = 0;
    pthread_mutex_lock(&l->lock);
    struct book *b = find(l, camera);
    if (b && b->count) {
        *n = b->count;
        copy = gtv_alloc(b->count * sizeof *copy);
        memcpy(copy, b->gaps, b->count * sizeof *copy);
    }
    pthread_mutex_unlock(&l->lock);
    return copy;
}

double gtv_ledger_uptime(struct gtv_ledger *l, int64_t camera, int64_t now_ms)
{
    double share = -1;
    pthread_mutex_lock(&l->lock);
    struct book *b = find(l, camera);
    int64_t begin = now_ms - DAY_MS, out = 0;
    if (b && b->since_ms > begin)
        begin = b->since_ms;
    for (size_t i = 0; b && i < b->count; i++) {
        int64_t from = b->gaps[i].from_ms, to = b->gaps[i].to_ms ? b->gaps[i].to_ms : now_ms;
        from = from < begin ? begin : from;
        to = to > now_ms ? now_ms : to;
        out += to > from ? to - from : 0;
    }
    if (b)
        share = now_ms > begin ? (double)(now_ms - begin - out) / (double)(now_ms - begin)
                : open_gap(b)  ? 0
                               : 1;
    pthread_mutex_unlock(&l->lock);
    return b && share < 0 ? 0 : share;
}

// ---- as stored ----

static yyjson_mut_doc *to_json(const struct book *b)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        return NULL;
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, o);
    yyjson_mut_obj_add_int(doc, o, "v", VERSION);
    yyjson_mut_obj_add_sint(doc, o, "since", b->since_ms);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "gaps");
    for (size_t i = 0; i < b->count; i++) {
        const struct gtv_gap *g = &b->gaps[i];
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_sint(doc, item, "from", g->from_ms);
        yyjson_mut_obj_add_sint(doc, item, "to", g->to_ms);
        yyjson_mut_obj_add_str(doc, item, "cause", cause_names[g->cause]);
        yyjson_mut_obj_add_strcpy(doc, item, "code", g->code);
        yyjson_mut_obj_add_strcpy(doc, item, "text", g->text);
    }
    return doc;
}

struct gtv_bytes *gtv_ledger_write(struct gtv_ledger *l, int64_t camera)
{
    pthread_mutex_lock(&l->lock);
    struct book *b = find(l, camera);
    yyjson_mut_doc *doc = b ? to_json(b) : NULL;
    pthread_mutex_unlock(&l->lock);
    return doc ? gtv_json_write(doc) : NULL;
}

static bool parse_gap(yyjson_val *item, struct gtv_gap *out)
{
    struct gtv_gap g = {0};
    struct gtv_str cause = {NULL, 0}, code = {NULL, 0}, text = {NULL, 0};
    if (!gtv_json_get_int(item, "from", GTV_JSON_REQUIRED, 1, INT64_MAX / 2, &g.from_ms, NULL) ||
        !gtv_json_get_int(item, "to", GTV_JSON_REQUIRED, 0, INT64_MAX / 2, &g.to_ms, NULL) ||
        !gtv_json_get_str(item, "cause", GTV_JSON_REQUIRED, &cause, NULL) ||
        !gtv_json_get_str(item, "code", GTV_JSON_REQUIRED, &code, NULL) ||
        !gtv_json_get_str(item, "text", GTV_JSON_REQUIRED, &text, NULL) ||
        !gtv_str_copy(g.code, sizeof g.code, code) || !gtv_str_copy(g.text, sizeof g.text, text))
        return false;
    for (size_t i = 0; i < sizeof cause_names / sizeof *cause_names; i++)
        if (gtv_str_eq(cause, gtv_str_of(cause_names[i])))
            g.cause = (enum gtv_gap_cause)i;
    *out = g;
    return true;
}

static bool from_json(yyjson_val *root, struct book *out)
{
    yyjson_val *list = yyjson_obj_get(root, "gaps"), *item;
    size_t i, n;
    if (!yyjson_is_obj(root) || !yyjson_is_arr(list) || yyjson_arr_size(list) > GTV_GAPS_MAX ||
        !gtv_json_get_int(root, "since", GTV_JSON_REQUIRED, 1, INT64_MAX / 2, &out->since_ms, NULL))
        return false;
    yyjson_arr_foreach(list, i, n, item)
    {
        if (!parse_gap(item, &out->gaps[out->count]))
            return false;
        out->count++;
    }
    return true;
}

// `stored` was there before `b` began.
static void put_in_front(struct book *b, struct book *stored)
{
    struct gtv_gap *was = open_gap(stored);
    size_t first = 0;
    if (was && b->count && b->gaps[0].from_ms - b->since_ms < 1000 && b->gaps[0].cause == was->cause) {
        was->to_ms = b->gaps[0].to_ms; // it was out at the first look, as it had been
        first = 1;
    } else if (was && b->seen) {
        was->to_ms = b->since_ms;
    }
    for (size_t i = first; i < b->count; i++)
        append(stored, &b->gaps[i]);
    stored->seen = b->seen;
    stored->wiring = b->wiring;
    stored->dirty = true;
    *b = *stored;
}

bool gtv_ledger_read(struct gtv_ledger *l, int64_t camera, struct gtv_str json)
{
    struct book *stored = GTV_NEW(struct book);
    yyjson_doc *doc = gtv_json_parse(json, NULL);
    bool ok = doc && from_json(yyjson_doc_get_root(doc), stored);
    yyjson_doc_free(doc);
    pthread_mutex_lock(&l->lock);
    char key[KEY_CAP];
    struct book *b = ok ? gtv_map_get(l->books, key_of(camera, key)) : NULL;
    if (ok && !b) {
        (void)gtv_map_put(l->books, key_of(camera, key), stored);
        stored = NULL;
    } else if (b && !b->removed && l->leading && !l->loaded) {
        put_in_front(b, stored);
    } else if (b && !b->removed && !(l->leading && (b->dirty || b->wiring))) {
        stored->seen = b->seen;
        stored->wiring = b->wiring;
        *b = *stored;
    }
    pthread_mutex_unlock(&l->lock);
    free(stored);
    return ok;
}

// ---- Redis ----

struct written {
    struct gtv_ledger *ledger;
    int64_t camera;
};

static void written_cb(void *arg, redisReply *reply)
{
    struct written *w = arg;
    struct gtv_ledger *l = w->ledger;
    bool ok = reply && reply->type != REDIS_REPLY_ERROR;
    char key[KEY_CAP];
    pthread_mutex_lock(&l->lock);
    struct book *b = gtv_map_get(l->books, key_of(w->camera, key));
    if (b) {
        b->wiring = false;
        b->dirty = b->dirty || !ok;
        if (b->removed && !b->dirty) {
            gtv_map_remove(l->books, key_of(w->camera, key));
            free(b);
        }
    }
    pthread_mutex_unlock(&l->lock);
    free(w);
}

static void write_book(struct gtv_ledger *l, struct gtv_redis *redis, int64_t camera, bool removed)
{
    struct written *w = GTV_NEW(struct written);
    *w = (struct written){l, camera};
    bool sent;
    if (removed) {
        sent = gtv_redis_command(redis, written_cb, w, "HDEL %s %lld", GTV_KEY_GAPS, (long long)camera);
    } else {
        struct gtv_bytes *json = gtv_ledger_write(l, camera);
        sent = json && gtv_redis_command(redis, written_cb, w, "HSET %s %lld %b", GTV_KEY_GAPS,
                                         (long long)camera, json->data, json->len);
        gtv_bytes_unref(json);
    }
    if (!sent)
        written_cb(w, NULL);
}

void gtv_ledger_flush(struct gtv_ledger *l, struct gtv_redis *redis, bool leading)
{
    l->leading = leading;
    // Before an earlier run's ledger was read, writing would replace it.
    if (!l->loaded || l->loading || !gtv_redis_up(redis))
        return;
    if (!leading && ++l->followed_s >= FOLLOW_S) {
        gtv_ledger_sync(l, redis, leading);
        return;
    }
    size_t n = 0, at = 0;
    struct gtv_str key;
    void *value;
    pthread_mutex_lock(&l->lock);
    struct {
        int64_t camera;
        bool removed;
    } *dirty = gtv_alloc((gtv_map_count(l->books) + 1) * sizeof *dirty);
    while (gtv_map_next(l->books, &at, &key, &value)) {
        struct book *b = value;
        // A camera may be removed at any replica.
        if (!b->dirty || b->wiring || !(leading || b->removed) ||
            !gtv_parse_int(key, 1, INT64_MAX, &dirty[n].camera))
            continue;
        b->dirty = false;
        b->wiring = true;
        dirty[n++].removed = b->removed;
    }
    pthread_mutex_unlock(&l->lock);
    for (size_t i = 0; i < n; i++)
        write_book(l, redis, dirty[i].camera, dirty[i].removed);
    free(dirty);
}

// What Redis does not have: a leader tells it, be it that Redis lost its memory; a follower forgets it.
static void take_unstored(struct gtv_ledger *l, const struct gtv_map *stored)
{
    size_t at = 0;
    struct gtv_str key;
    void *value;
    pthread_mutex_lock(&l->lock);
    while (gtv_map_next(l->books, &at, &key, &value)) {
        struct book *b = value;
        if (gtv_map_get(stored, key) || b->removed || b->wiring)
            continue;
        if (l->leading) {
            b->dirty = true;
        } else if (gtv_map_count(stored)) {
            gtv_map_remove(l->books, key);
            free(b);
        }
    }
    pthread_mutex_unlock(&l->lock);
}

static void all_cb(void *arg, redisReply *reply)
{
    struct gtv_ledger *l = arg;
    l->loading = false;
    if (!reply || reply->type != REDIS_REPLY_ARRAY)
        return;
    struct gtv_map *stored = gtv_map_create();
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *k = reply->element[i], *v = reply->element[i + 1];
        int64_t camera;
        if (k->type != REDIS_REPLY_STRING || v->type != REDIS_REPLY_STRING ||
            !gtv_parse_int((struct gtv_str){k->str, k->len}, 1, INT64_MAX, &camera) ||
            gtv_map_count(stored) >= BOOKS_MAX)
            continue;
        (void)gtv_map_put(stored, (struct gtv_str){k->str, k->len}, l);
        if (!gtv_ledger_read(l, camera, (struct gtv_str){v->str, v->len})) {
            const struct gtv_log log = {"streaming", NULL, NULL};
            gtv_log_warn(&log, "a stored list of outages cannot be read", "camera=cam_%lld",
                         (long long)camera);
        }
    }
    take_unstored(l, stored);
    gtv_map_destroy(stored, NULL);
    l->loaded = true;
}

void gtv_ledger_sync(struct gtv_ledger *l, struct gtv_redis *redis, bool leading)
{
    l->leading = leading;
    l->followed_s = 0;
    if (!l->loading)
        l->loading = gtv_redis_command(redis, all_cb, l, "HGETALL %s", GTV_KEY_GAPS);
}

void gtv_ledger_prune(struct gtv_ledger *l, bool (*wanted)(void *arg, int64_t camera), void *arg)
{
    size_t at = 0;
    struct gtv_str key;
    void *value;
    pthread_mutex_lock(&l->lock);
    while (gtv_map_next(l->books, &at, &key, &value)) {
        struct book *b = value;
        int64_t camera;
        if (!b->removed && gtv_parse_int(key, 1, INT64_MAX, &camera) && !wanted(arg, camera))
            b->removed = b->dirty = true;
    }
    pthread_mutex_unlock(&l->lock);
}
