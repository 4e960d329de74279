#include "services/console/happenings.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/log/log.h"
#include "lib/redis/redis.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BLOCK_MS = 2000, // less than lib/redis waits for an answer
    RETRY_MS = 1000,
    CLAIM_EVERY_MS = 2000,
    FORGET_EVERY_MS = 600 * 1000,
    ID_CAP = 48,
};

// Strikes off consumers that are gone: containers have another name each time.
static const char forget_script[] =
    "for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do\n"
    "  if c[4] == 0 and c[6] > tonumber(ARGV[2]) then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], "
    "c[2]) end\n"
    "end";

struct gtv_happenings {
    struct gtv_redis *redis; // its own: reading blocks the connection
    struct gtv_timer *retry;
    struct gtv_store *store;
    struct gtv_directory *directory;
    struct gtv_counter *read, *claimed, *bad;
    char consumer[GTV_HAPPENINGS_CONSUMER_CAP];
    bool backlog;                // what was read and not acknowledged comes first
    bool no_claims;              // a Redis that knows none
    char cursor[ID_CAP];         // where claiming goes on
    int64_t claim_ms, forget_ms; // monotonic: when it is time to
    bool storing;                // the batch is with the store
    bool stopped;
    char ids[GTV_HAPPENINGS_BATCH][ID_CAP]; // of the batch: to be acknowledged
    size_t id_count;
    struct gtv_db_happening *rows; // of the batch; NULL while the store has them, and without a batch
    size_t row_count;
};

static const struct gtv_log log_happenings = {"console", "part", "happenings"};

// ---- Reading one ----

static void text(yyjson_val *o, const char *name, char *out, size_t cap)
{
    struct gtv_str s = {0};
    if (gtv_json_get_str(o, name, GTV_JSON_OPTIONAL, &s, NULL))
        (void)!gtv_str_copy(out, cap, s);
}

static int whole(yyjson_val *o, const char *name, int64_t min)
{
    int64_t n = 0;
    (void)!gtv_json_get_int(o, name, GTV_JSON_OPTIONAL, min, INT32_MAX, &n, NULL);
    return (int)n;
}

static double real(yyjson_val *o, const char *name, double fallback)
{
    double v = fallback;
    (void)!gtv_json_get_double(o, name, GTV_JSON_OPTIONAL, 0, 1e12, &v, NULL);
    return v;
}

static int64_t moment(yyjson_val *o, const char *name)
{
    struct gtv_str s = {0};
    int64_t ms = 0;
    if (gtv_json_get_str(o, name, GTV_JSON_OPTIONAL, &s, NULL) && s.n && !gtv_iso8601_parse(s, &ms))
        ms = 0;
    return ms;
}

static void parse_plate(yyjson_val *data, struct gtv_db_happening *out)
{
    struct gtv_db_plate *p = &out->plate;
    yyjson_val *o = yyjson_obj_get(data, "plate");
    text(data, "plate_number", p->text, sizeof p->text);
    text(o, "number", p->text, sizeof p->text);
    if (!p->text[0] || !gtv_plate_key(gtv_str_of(p->text), p->key))
        p->key[0] = '\0';
    text(o, "format", p->format, sizeof p->format);
    p->confidence = real(o, "confidence", 0);
    (void)!gtv_json_get_bool(o, "uncertain", GTV_JSON_OPTIONAL, &p->uncertain, NULL);
    p->votes = whole(o, "votes", 0);
    text(o, "list", out->list, sizeof out->list);
    text(o, "label", out->label, sizeof out->label);
    text(o, "severity", out->severity, sizeof out->severity);
    text(o, "why", out->why, sizeof out->why);
}

static void parse_place(yyjson_val *data, struct gtv_db_happening *out)
{
    yyjson_val *place = yyjson_obj_get(data, "place"), *forward = yyjson_obj_get(data, "forward");
    text(place, "id", out->place, sizeof out->place);
    text(place, "name", out->place_name, sizeof out->place_name);
    text(data, "direction", out->direction, sizeof out->direction);
    out->forward = yyjson_is_bool(forward) ? yyjson_get_bool(forward) : -1;
    out->seconds = real(data, "seconds", -1);
    out->speed_kmh = real(data, "speed_kmh", -1);
    out->limit_kmh = real(data, "limit_kmh", -1);
    out->degrees = real(data, "degrees", -1);
}

bool gtv_happenings_parse(yyjson_val *event, const char *id, struct gtv_db_happening *out)
{
    yyjson_val *data = yyjson_obj_get(event, "data"), *box = yyjson_obj_get(data, "bbox"),
               *frame = yyjson_obj_get(data, "frame");
    *out = (struct gtv_db_happening){0};
    if (!yyjson_is_obj(data) ||
        !gtv_json_get_int(event, "wall_ms", GTV_JSON_REQUIRED, 0, INT64_MAX / 1000, &out->wall_ms, NULL) ||
        !gtv_json_get_int(data, "camera_id", GTV_JSON_REQUIRED, 1, INT64_MAX, &out->camera_id, NULL) ||
        !gtv_json_get_int(data, "track_id", GTV_JSON_OPTIONAL, 0, INT64_MAX, &out->track, NULL) ||
        !gtv_json_get_double(data, "confidence", GTV_JSON_OPTIONAL, 0, 1, &out->object.confidence, NULL))
        return false;
    text(event, "type", out->type, sizeof out->type);
    text(event, "key", out->key, sizeof out->key);
    if (!out->key[0])
        snprintf(out->key, sizeof out->key, "%s", id);
    text(data, "object_type", out->object.object_type, sizeof out->object.object_type);
    out->object.x = whole(box, "x", INT32_MIN);
    out->object.y = whole(box, "y", INT32_MIN);
    out->object.w = whole(box, "w", 0);
    out->object.h = whole(box, "h", 0);
    out->frame_width = whole(frame, "width", 0);
    out->frame_height = whole(frame, "height", 0);
    out->first_ms = moment(data, "first_seen");
    out->last_ms = moment(data, "last_seen");
    text(data, "alert", out->alert, sizeof out->alert);
    text(data, "crop", out->crop, sizeof out->crop);
    parse_place(data, out);
    parse_plate(data, out);
    return out->type[0] != '\0';
}

// ---- The batch ----

static void read_next(struct gtv_happenings *h);

static void take_entry(struct gtv_happenings *h, const redisReply *entry)
{
    if (entry->elements < 2 || entry->element[0]->type != REDIS_REPLY_STRING ||
        h->id_count >= GTV_HAPPENINGS_BATCH ||
        !gtv_str_copy(h->ids[h->id_count], ID_CAP, gtv_str_of(entry->element[0]->str)))
        return;
    const char *id = h->ids[h->id_count++];
    const redisReply *fields = entry->element[1];
    struct gtv_str json = {0};
    gtv_counter_add(h->read, 1);
    // An entry that was trimmed away has no fields: it is lost, and acknowledged.
    for (size_t i = 0; fields->type == REDIS_REPLY_ARRAY && i + 1 < fields->elements; i += 2) {
        const redisReply *name = fields->element[i], *value = fields->element[i + 1];
        if (name->type == REDIS_REPLY_STRING && value->type == REDIS_REPLY_STRING &&
            strcmp(name->str, "json") == 0)
            json = (struct gtv_str){value->str, (size_t)value->len};
    }
    yyjson_doc *doc = json.n ? gtv_json_parse(json, NULL) : NULL;
    struct gtv_db_happening *row = &h->rows[h->row_count];
    if (doc && gtv_happenings_parse(yyjson_doc_get_root(doc), id, row)) {
        struct gtv_camera_state camera;
        gtv_directory_get(h->directory, row->camera_id, &camera);
        snprintf(row->camera_name, sizeof row->camera_name, "%s", camera.name);
        h->row_count++;
    } else {
        gtv_counter_add(h->bad, 1);
    }
    yyjson_doc_free(doc);
}

static void acked(void *arg, redisReply *reply)
{
    struct gtv_happenings *h = arg;
    if (reply) // else state_cb begins again: what is stored already changes nothing
        read_next(h);
}

static void acknowledge(struct gtv_happenings *h)
{
    const char *argv[3 + GTV_HAPPENINGS_BATCH] = {"XACK", GTV_KEY_HAPPENINGS, GTV_HAPPENINGS_GROUP};
    for (size_t i = 0; i < h->id_count; i++)
        argv[3 + i] = h->ids[i];
    int argc = 3 + (int)h->id_count;
    if (!h->id_count) { // of what was claimed nothing is left in the stream
        read_next(h);
        return;
    }
    h->id_count = 0;
    // A refusal means that the link is away.
    (void)gtv_redis_command_argv(h->redis, acked, h, argc, argv, NULL);
}

static void stored(void *arg, bool ok);

static void store(struct gtv_happenings *h)
{
    h->storing = gtv_store_put_happenings(h->store, h->rows, h->row_count, stored, h);
    if (!h->storing)
        gtv_timer_start(h->retry, RETRY_MS, 0);
}

static void stored(void *arg, bool ok)
{
    struct gtv_happenings *h = arg;
    h->storing = false;
    if (h->stopped)
        return;
    if (!ok) { // the store has logged why
        gtv_timer_start(h->retry, RETRY_MS, 0);
        return;
    }
    free(h->rows);
    h->rows = NULL;
    h->row_count = 0;
    acknowledge(h);
}

static void retry(void *arg)
{
    struct gtv_happenings *h = arg;
    if (h->rows)
        store(h);
    else if (gtv_redis_up(h->redis))
        read_next(h);
}

// ---- Reading ----

static void begin(struct gtv_happenings *h);

static void take(struct gtv_happenings *h, const redisReply *list)
{
    h->rows = calloc(GTV_HAPPENINGS_BATCH, sizeof *h->rows);
    if (!h->rows) {
        gtv_timer_start(h->retry, RETRY_MS, 0); // what was read stays pending
        h->backlog = true;
        return;
    }
    for (size_t i = 0; i < list->elements; i++)
        take_entry(h, list->element[i]);
    store(h);
}

static void entries(void *arg, redisReply *reply)
{
    struct gtv_happenings *h = arg;
    if (!reply)
        return; // away: on_state begins again
    if (reply->type == REDIS_REPLY_ERROR) {
        bool gone = strncmp(reply->str, "NOGROUP", 7) == 0; // Redis began anew
        if (!gone)
            gtv_log_warn(&log_happenings, "cannot read what happened, trying again", "cause=\"%.120s\"",
                         reply->str);
        if (gone)
            begin(h);
        else
            gtv_timer_start(h->retry, RETRY_MS, 0);
        return;
    }
    const redisReply *list =
        reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 && reply->element[0]->elements >= 2
            ? reply->element[0]->element[1]
            : NULL;
    if (!list || list->elements == 0) {
        h->backlog = false;
        read_next(h);
        return;
    }
    take(h, list);
}

// [cursor, [[id, [k, v, ...]], ...], ...]
static void claimed(void *arg, redisReply *reply)
{
    struct gtv_happenings *h = arg;
    if (!reply)
        return;
    h->claim_ms = gtv_mono_ms() + CLAIM_EVERY_MS;
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "NOGROUP", 7) == 0) {
        begin(h);
        return;
    }
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING) {
        gtv_log_warn(&log_happenings, "what a console that died has read cannot be claimed",
                     "cause=\"%.120s\"", reply->type == REDIS_REPLY_ERROR ? reply->str : "no such answer");
        h->no_claims = true;
        read_next(h);
        return;
    }
    snprintf(h->cursor, sizeof h->cursor, "%s", reply->element[0]->str);
    if (strcmp(h->cursor, "0-0") != 0)
        h->claim_ms = 0; // there is more
    const redisReply *list = reply->element[1];
    if (list->elements == 0) {
        read_next(h);
        return;
    }
    gtv_counter_add(h->claimed, list->elements);
    gtv_log_info(&log_happenings, "taking over what another console has read and not stored", "entries=%zu",
                 list->elements);
    take(h, list);
}

static void claim(struct gtv_happenings *h)
{
    int64_t now = gtv_mono_ms();
    if (now >= h->forget_ms) {
        h->forget_ms = now + FORGET_EVERY_MS;
        (void)gtv_redis_command(h->redis, NULL, NULL, "EVAL %s 1 %s %s %d", forget_script, GTV_KEY_HAPPENINGS,
                                GTV_HAPPENINGS_GROUP, (int)GTV_HAPPENINGS_FORGET_MS);
    }
    (void)gtv_redis_command(h->redis, claimed, h, "XAUTOCLAIM %s %s %s %d %s COUNT %d", GTV_KEY_HAPPENINGS,
                            GTV_HAPPENINGS_GROUP, h->consumer, (int)GTV_HAPPENINGS_CLAIM_MS, h->cursor,
                            (int)GTV_HAPPENINGS_BATCH);
}

static void read_next(struct gtv_happenings *h)
{
    if (!h->backlog && !h->no_claims && gtv_mono_ms() >= h->claim_ms)
        claim(h);
    else if (h->backlog)
        (void)gtv_redis_command(h->redis, entries, h, "XREADGROUP GROUP %s %s COUNT %d STREAMS %s 0",
                                GTV_HAPPENINGS_GROUP, h->consumer, (int)GTV_HAPPENINGS_BATCH,
                                GTV_KEY_HAPPENINGS);
    else
        (void)gtv_redis_command(h->redis, entries, h, "XREADGROUP GROUP %s %s COUNT %d BLOCK %d STREAMS %s >",
                                GTV_HAPPENINGS_GROUP, h->consumer, (int)GTV_HAPPENINGS_BATCH, (int)BLOCK_MS,
                                GTV_KEY_HAPPENINGS);
}

static void created(void *arg, redisReply *reply)
{
    struct gtv_happenings *h = arg;
    if (!reply)
        return;
    if (reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, "BUSYGROUP", 9) != 0) {
        gtv_log_warn(&log_happenings, "cannot join the group, trying again", "cause=\"%.120s\"", reply->str);
        gtv_timer_start(h->retry, RETRY_MS, 0);
        return;
    }
    read_next(h);
}

static void begin(struct gtv_happenings *h)
{
    h->backlog = true;
    (void)gtv_redis_command(h->redis, created, h, "XGROUP CREATE %s %s 0 MKSTREAM", GTV_KEY_HAPPENINGS,
                            GTV_HAPPENINGS_GROUP);
}

static void on_state(void *arg, bool up)
{
    struct gtv_happenings *h = arg;
    if (!up || h->stopped)
        return;
    h->backlog = true;
    if (h->storing || h->rows)
        return; // the batch at hand is stored and acknowledged first
    gtv_timer_stop(h->retry);
    begin(h);
}

struct gtv_happenings *gtv_happenings_create(struct gtv_loop *loop, const char *redis_url,
                                             const char *consumer, struct gtv_store *store,
                                             struct gtv_directory *directory, struct gtv_metrics *metrics,
                                             struct gtv_error *err)
{
    struct gtv_happenings *h = GTV_NEW(struct gtv_happenings);
    h->store = store;
    h->directory = directory;
    snprintf(h->consumer, sizeof h->consumer, "%s", consumer);
    snprintf(h->cursor, sizeof h->cursor, "0-0");
    h->read = gtv_metrics_counter(metrics, "gtv_console_happenings_total", "",
                                  "Entries of the durable stream that were read");
    h->claimed = gtv_metrics_counter(metrics, "gtv_console_happenings_claimed_total", "",
                                     "Entries that another console had read and not stored in time");
    h->bad = gtv_metrics_counter(metrics, "gtv_console_happenings_bad_total", "",
                                 "Entries of the durable stream that could not be understood");
    h->retry = gtv_timer_create(loop, retry, h);
    h->redis = gtv_redis_create(loop, redis_url, "gtv-console-happenings", on_state, h, err);
    if (h->redis)
        return h;
    gtv_happenings_stop(h);
    gtv_happenings_destroy(h);
    return NULL;
}

void gtv_happenings_stop(struct gtv_happenings *h)
{
    if (!h || h->stopped)
        return;
    h->stopped = true;
    gtv_timer_destroy(h->retry);
    gtv_redis_destroy(h->redis);
    h->redis = NULL;
}

void gtv_happenings_destroy(struct gtv_happenings *h)
{
    if (!h)
        return;
    free(h->rows);
    free(h);
}
