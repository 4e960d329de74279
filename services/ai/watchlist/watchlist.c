#include "services/ai/watchlist/watchlist.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/contract/plate.h"
#include "lib/redis/redis.h"
#include "services/ai/detect/exam_plates.h"
#include "services/ai/plate/confidence.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    REFRESH_MS = 30000, // read again even if nothing was heard
};

struct waiting {
    char key[GTV_HAPPENING_KEY_CAP], told[GTV_HAPPENING_KEY_CAP];
    int64_t camera_id;
    struct gtv_bytes *alert;
};

struct gtv_watchlists {
    struct gtv_log log;
    struct gtv_redis *redis;
    struct gtv_redis_tail *news;
    struct gtv_timer *refresh;
    struct gtv_watchlist *list;
    bool reading, again, closing;
    struct waiting waiting[GTV_WATCHLIST_WAITING]; // a ring, the oldest at first
    size_t first, count;
    struct gtv_counter *hits, *lost;
    struct gtv_gauge *entries;
};

// KEYS: list, news. ARGV: most entries, then ids and JSON in turn. Answers: added, changed, full.
static const char put_script[] =
    "local n, added, changed, full = redis.call('HLEN', KEYS[1]), 0, 0, 0 "
    "for i = 2, #ARGV, 2 do "
    "if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then "
    "redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) changed = changed + 1 "
    "elseif n + added < tonumber(ARGV[1]) then "
    "redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) added = added + 1 "
    "else full = full + 1 end end "
    "redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, '*', 'ids', added + changed) "
    "return {added, changed, full}";

// KEYS: list, news. ARGV: id, or none: all. Answers how many are gone.
static const char remove_script[] = "local n "
                                    "if ARGV[1] then n = redis.call('HDEL', KEYS[1], ARGV[1]) "
                                    "else n = redis.call('HLEN', KEYS[1]) redis.call('DEL', KEYS[1]) end "
                                    "redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, '*', 'ids', n) "
                                    "return n";

// KEYS: told, durable stream, live stream. ARGV: seconds, stream, key, json, maxlen of each stream.
static const char alert_script[] =
    "if not redis.call('SET', KEYS[1], 1, 'NX', 'EX', ARGV[1]) then return 0 end "
    "redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], '*', 'stream', ARGV[2], 'type', 'alert', 'key', "
    "ARGV[3], 'json', ARGV[4]) "
    "redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], '*', 'stream', ARGV[2], 'type', 'alert', 'json', "
    "ARGV[4]) "
    "return 1";

// ---- Following ----

static void read_all(struct gtv_watchlists *w);

static void on_all(void *arg, redisReply *reply)
{
    struct gtv_watchlists *w = arg;
    w->reading = false;
    if (!reply || reply->type != REDIS_REPLY_ARRAY || w->closing)
        return; // the list of before holds
    struct gtv_watchlist_entry *entries = NULL;
    size_t count = 0, most = reply->elements / 2;
    if (most > GTV_WATCHLIST_MAX)
        most = GTV_WATCHLIST_MAX;
    entries = gtv_alloc((most + 1) * sizeof(*entries));
    for (size_t i = 0; i + 1 < reply->elements && count < most; i += 2) {
        const redisReply *value = reply->element[i + 1];
        yyjson_doc *doc = gtv_json_parse((struct gtv_str){value->str, (size_t)value->len}, NULL);
        if (doc && gtv_watchlist_entry_parse(yyjson_doc_get_root(doc), &entries[count], NULL))
            count++;
        yyjson_doc_free(doc);
    }
    gtv_watchlist_unref(w->list);
    w->list = gtv_watchlist_create(entries, count);
    gtv_gauge_set(w->entries, (int64_t)count);
    if (w->again)
        read_all(w);
}

static void read_all(struct gtv_watchlists *w)
{
    w->again = w->reading;
    if (!w->reading)
        w->reading = gtv_redis_command(w->redis, on_all, w, "HGETALL %s", GTV_KEY_WATCHLIST);
}

static void on_news(void *arg, const char *id, const redisReply *fields)
{
    read_all(arg);
}

static void on_refresh(void *arg)
{
    read_all(arg);
}

// ---- Alerts of posted pictures ----

static bool send_alert(struct gtv_watchlists *w, const struct waiting *a)
{
    char stream[GTV_CAMERA_PATH_CAP];
    return gtv_redis_command(w->redis, NULL, NULL, "EVAL %s 3 %s%s %s %s %d %s %s %b %d %d", alert_script,
                             GTV_KEY_WATCHLIST_TOLD, a->told, GTV_KEY_HAPPENINGS, GTV_KEY_EVENTS,
                             (int)GTV_WATCHLIST_REPEAT_S, gtv_camera_path(a->camera_id, stream), a->key,
                             a->alert->data, a->alert->len, GTV_HAPPENINGS_MAXLEN, GTV_EVENTS_MAXLEN);
}

static void drop_first(struct gtv_watchlists *w)
{
    gtv_bytes_unref(w->waiting[w->first].alert);
    w->first = (w->first + 1) % GTV_WATCHLIST_WAITING;
    w->count--;
}

static void send_waiting(struct gtv_watchlists *w)
{
    while (w->count && send_alert(w, &w->waiting[w->first]))
        drop_first(w);
}

static void on_state(void *arg, bool up)
{
    struct gtv_watchlists *w = arg;
    if (!up || w->closing)
        return;
    read_all(w);
    send_waiting(w);
}

struct posted {
    struct gtv_watchlists *lists;
    int64_t camera_id;
    const char *plate_key, *entry;
};

static void emit_posted(struct gtv_watchlists *w, const struct posted *p, const char *key,
                        struct gtv_bytes *alert)
{
    struct waiting *a;
    if (w->count == GTV_WATCHLIST_WAITING) {
        drop_first(w);
        gtv_counter_add(w->lost, 1);
    }
    a = &w->waiting[(w->first + w->count++) % GTV_WATCHLIST_WAITING];
    *a = (struct waiting){.camera_id = p->camera_id, .alert = alert};
    snprintf(a->key, sizeof(a->key), "%s", key);
    snprintf(a->told, sizeof(a->told), "%lld:%s:%s", (long long)p->camera_id, p->plate_key, p->entry);
    send_waiting(w);
}

// As a track's plate would be told.
static struct gtv_bytes *plate_event(const struct gtv_exam *exam, const struct gtv_plate_found *f,
                                     const char *plate_key)
{
    char key[96];
    const struct gtv_plate *p = &f->plate;
    const int box[4] = {p->x, p->y, p->w, p->h};
    const struct gtv_plate_said said = {.number = p->text,
                                        .format = gtv_plate_format_names[p->format],
                                        .key = plate_key,
                                        .confidence = p->confidence,
                                        .uncertain = p->confidence < GTV_PLATE_SURE_CONFIDENCE,
                                        .votes = 1,
                                        .box = box};
    struct gtv_happening_event e = {.type = "plate.read",
                                    .key = key,
                                    .camera_id = exam->camera_id,
                                    .wall_ms = exam->received_wall_ms,
                                    .width = exam->width,
                                    .height = exam->height,
                                    .object_type = gtv_vehicle_names[p->two_lines ? GTV_MOTORCYCLE : GTV_CAR],
                                    .from_plate = f->vehicle < 0,
                                    .confidence = p->confidence,
                                    .x = p->x,
                                    .y = p->y,
                                    .w = p->w,
                                    .h = p->h,
                                    .seconds = -1,
                                    .degrees = -1,
                                    .plate = &said};
    if (f->vehicle >= 0 && (size_t)f->vehicle < exam->found.count) {
        const struct gtv_detected *d = &exam->found.objects[f->vehicle];
        e.object_type = d->object_type;
        e.confidence = d->confidence;
        e.x = d->x;
        e.y = d->y;
        e.w = d->w;
        e.h = d->h;
    }
    snprintf(key, sizeof(key), "posted/%s/%lld", plate_key, (long long)exam->received_wall_ms);
    return gtv_event_happening(&e);
}

void gtv_watchlists_on_exam(struct gtv_watchlists *w, const struct gtv_exam *exam)
{
    if (!w || exam->err.code != GTV_OK || !exam->plates || exam->camera_id < 1 ||
        !gtv_watchlist_count(w->list))
        return;
    struct gtv_watchlist_hit hits[GTV_WATCHLIST_HITS];
    for (size_t i = 0; i < exam->plates->count; i++) {
        const struct gtv_plate_found *f = &exam->plates->found[i];
        bool brazilian =
            f->plate.format == GTV_PLATE_FORMAT_OLD || f->plate.format == GTV_PLATE_FORMAT_MERCOSUL;
        char plate_key[GTV_PLATE_KEY_MAX + 1], key[GTV_HAPPENING_KEY_CAP];
        if (!gtv_plate_key(gtv_str_of(f->plate.text), plate_key))
            continue;
        const struct gtv_watchlist_read read = {f->plate.text, brazilian ? &f->plate.chars : NULL};
        size_t n = gtv_watchlist_check(w->list, &read, gtv_wall_ms(), hits);
        struct gtv_bytes *event = n ? plate_event(exam, f, plate_key) : NULL;
        for (size_t k = 0; k < n && event; k++) {
            struct gtv_bytes *alert = gtv_watchlist_alert(
                (struct gtv_str){(const char *)event->data, event->len}, &hits[k], key, sizeof(key));
            if (!alert)
                continue;
            gtv_counter_add(w->hits, 1);
            const struct posted p = {w, exam->camera_id, plate_key, hits[k].entry->id};
            emit_posted(w, &p, key, alert);
        }
        gtv_bytes_unref(event);
    }
}

size_t gtv_watchlists_on_plate(struct gtv_watchlists *w, struct gtv_str event, gtv_watchlists_emit_fn emit,
                               void *arg)
{
    if (!gtv_watchlist_count(w->list))
        return 0;
    struct gtv_watchlist_hit hits[GTV_WATCHLIST_HITS];
    struct gtv_str number = {0};
    char text[GTV_PLATE_TEXT_CAP], key[GTV_HAPPENING_KEY_CAP];
    yyjson_doc *doc = gtv_json_parse(event, NULL);
    yyjson_val *data = yyjson_obj_get(yyjson_doc_get_root(doc), "data");
    bool ok = doc && gtv_json_get_str(data, "plate_number", GTV_JSON_REQUIRED, &number, NULL) &&
              gtv_str_copy(text, sizeof(text), number);
    yyjson_doc_free(doc);
    size_t told = 0, n = ok ? gtv_watchlist_check(w->list, &(struct gtv_watchlist_read){text, NULL},
                                                  gtv_wall_ms(), hits)
                            : 0;
    for (size_t i = 0; i < n; i++) {
        struct gtv_bytes *alert = gtv_watchlist_alert(event, &hits[i], key, sizeof(key));
        if (!alert)
            continue;
        gtv_counter_add(w->hits, 1);
        emit(arg, key, alert);
        told++;
    }
    return told;
}

// ---- Changing ----

struct change {
    struct gtv_watchlists *lists;
    gtv_watchlists_change_fn fn;
    void *arg;
};

static size_t number_at(const redisReply *reply, size_t i)
{
    return reply->type == REDIS_REPLY_ARRAY && i < reply->elements &&
                   reply->element[i]->type == REDIS_REPLY_INTEGER && reply->element[i]->integer > 0
               ? (size_t)reply->element[i]->integer
               : 0;
}

static void changed(void *arg, redisReply *reply)
{
    struct change *c = arg;
    struct gtv_watchlists_change out = {.ok = reply && reply->type != REDIS_REPLY_ERROR};
    if (out.ok && reply->type == REDIS_REPLY_ARRAY) {
        out.added = number_at(reply, 0);
        out.changed = number_at(reply, 1);
        out.full = number_at(reply, 2);
    } else if (out.ok && reply->type == REDIS_REPLY_INTEGER && reply->integer > 0) {
        out.removed = (size_t)reply->integer;
    }
    if (reply && reply->type == REDIS_REPLY_ERROR)
        gtv_log_warn(&c->lists->log, "Redis did not change the watch-list", "cause=\"%.120s\"", reply->str);
    if (out.ok && !c->lists->closing)
        read_all(c->lists);
    c->fn(c->arg, &out);
    free(c);
}

static bool change(struct gtv_watchlists *w, int argc, const char **argv, const size_t *lens,
                   gtv_watchlists_change_fn fn, void *arg)
{
    struct change *c = GTV_NEW(struct change);
    *c = (struct change){w, fn, arg};
    if (gtv_redis_command_argv(w->redis, changed, c, argc, argv, lens))
        return true;
    free(c);
    return false;
}

bool gtv_watchlists_put(struct gtv_watchlists *w, const struct gtv_watchlist_entry *entries, size_t count,
                        gtv_watchlists_change_fn fn, void *arg)
{
    char most[16];
    size_t argc = 6 + 2 * count;
    const char **argv = gtv_alloc(argc * sizeof(*argv));
    size_t *lens = gtv_alloc(argc * sizeof(*lens));
    struct gtv_bytes **texts = gtv_alloc((count + 1) * sizeof(struct gtv_bytes *));
    snprintf(most, sizeof(most), "%d", (int)GTV_WATCHLIST_MAX);
    const char *const head[] = {"EVAL", put_script, "2", GTV_KEY_WATCHLIST, GTV_KEY_WATCHLIST_NEWS, most};
    for (size_t i = 0; i < 6; i++) {
        argv[i] = head[i];
        lens[i] = strlen(head[i]);
    }
    for (size_t i = 0; i < count; i++) {
        yyjson_mut_val *o;
        yyjson_mut_doc *doc = gtv_json_object(&o);
        gtv_watchlist_entry_write(&entries[i], doc, o);
        texts[i] = gtv_json_write(doc);
        if (!texts[i])
            abort(); // a small allocation
        argv[6 + 2 * i] = entries[i].id;
        lens[6 + 2 * i] = strlen(entries[i].id);
        argv[7 + 2 * i] = (const char *)texts[i]->data;
        lens[7 + 2 * i] = texts[i]->len;
    }
    bool sent = change(w, (int)argc, argv, lens, fn, arg);
    for (size_t i = 0; i < count; i++)
        gtv_bytes_unref(texts[i]);
    free(texts);
    free(lens);
    free(argv);
    return sent;
}

bool gtv_watchlists_remove(struct gtv_watchlists *w, const char *id, gtv_watchlists_change_fn fn, void *arg)
{
    const char *argv[] = {"EVAL", remove_script, "2", GTV_KEY_WATCHLIST, GTV_KEY_WATCHLIST_NEWS, id};
    return change(w, id ? 6 : 5, argv, NULL, fn, arg);
}

// ---- Its life ----

struct gtv_watchlist *gtv_watchlists_get(struct gtv_watchlists *w)
{
    return gtv_watchlist_ref(w->list);
}

bool gtv_watchlists_up(const struct gtv_watchlists *w)
{
    return gtv_redis_up(w->redis);
}

struct gtv_watchlists *gtv_watchlists_create(struct gtv_loop *loop, const char *redis_url,
                                             struct gtv_metrics *metrics, struct gtv_error *err)
{
    struct gtv_watchlists *w = GTV_NEW(struct gtv_watchlists);
    w->log = (struct gtv_log){.component = "ai"};
    w->list = gtv_watchlist_create(NULL, 0);
    w->hits = gtv_metrics_counter(metrics, "gtv_ai_watchlist_hits_total", "",
                                  "Plates that met an entry of the watch-list.");
    w->lost = gtv_metrics_counter(metrics, "gtv_ai_watchlist_alerts_lost_total", "",
                                  "Alerts of posted pictures given up because Redis was away.");
    w->entries = gtv_metrics_gauge(metrics, "gtv_ai_watchlist_entries", "", "Entries of the watch-list.");
    w->refresh = gtv_timer_create(loop, on_refresh, w);
    gtv_timer_start(w->refresh, REFRESH_MS, REFRESH_MS);
    w->redis = gtv_redis_create(loop, redis_url, "gtv-ai-watchlist", on_state, w, err);
    if (w->redis)
        // From its beginning: what is stored between the first reading and the first news is seen at once.
        w->news = gtv_redis_tail_create(loop, redis_url, "gtv-ai-watchlist-news", GTV_KEY_WATCHLIST_NEWS, "0",
                                        on_news, w, err);
    if (w->news)
        return w;
    gtv_watchlists_destroy(w);
    return NULL;
}

void gtv_watchlists_destroy(struct gtv_watchlists *w)
{
    if (!w)
        return;
    w->closing = true;
    gtv_redis_tail_destroy(w->news);
    gtv_redis_destroy(w->redis);
    gtv_timer_destroy(w->refresh);
    while (w->count)
        drop_first(w);
    gtv_watchlist_unref(w->list);
    free(w);
}
