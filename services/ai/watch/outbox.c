#include "services/ai/watch/outbox.h"

#include "lib/base/mem.h"
#include "lib/contract/happening.h"
#include "services/ai/watch/faults.h"
#include "services/ai/watch/leases.h"
#include "services/ai/watch/spool.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    FLYING_MAX = 256, // sent and not answered; beyond it events go to the spool
    DRAIN_EVERY_MS = 500,
};

struct item {
    struct gtv_outbox *outbox;
    int64_t camera_id, made_ms;
    char type[32];
    char key[GTV_HAPPENING_KEY_CAP];
    struct gtv_bytes *json;
    bool spooled; // it is the spool's oldest line
};

struct gtv_outbox {
    struct gtv_outbox_config config;
    struct gtv_log log;
    struct gtv_redis *redis;
    struct gtv_spool *spool; // NULL: there is none
    char problem[256];       // then: why
    struct gtv_timer *drain;
    struct gtv_buf line;
    size_t flying;
    bool draining; // the spool's oldest line is on its way
    bool told_lost;
    struct gtv_outbox_stats stats;
    struct gtv_counter *told, *again, *fenced, *spooled, *lost;
    struct gtv_gauge *waiting;
};

// KEYS: lease, said, durable stream, live stream, faults. ARGV: owner, made_ms, seconds, stream, type, key,
// json, maxlen of each stream. Who made it before the present holder took the camera over made it rightly. A
// fault of the picture is besides told only where it changes what was told of it before, and not by an event
// that is older: two programs may see the same change, one of them while Redis was away.
static const char script[] =
    "local held = redis.call('GET', KEYS[1]) "
    "if held then "
    "local owner, since = string.match(held, '^(.*)|(%d+)$') "
    "if owner ~= ARGV[1] and tonumber(since) <= tonumber(ARGV[2]) then return 'fenced' end "
    "end "
    "local fault, state = string.match(ARGV[6], '^cam_%d+/picture/(%a+)/(o[nf]+)/') "
    "if fault == 'resized' then fault = nil end "
    "if fault then "
    "local was, at = string.match(redis.call('HGET', KEYS[5], fault) or 'off|0', '^(%a+)|(%d+)$') "
    "if was == state or tonumber(at) > tonumber(ARGV[2]) then return 'again' end "
    "end "
    "if not redis.call('SET', KEYS[2], 1, 'NX', 'EX', ARGV[3]) then return 'again' end "
    "redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[8], '*', 'stream', ARGV[4], 'type', ARGV[5], 'key', "
    "ARGV[6], 'json', ARGV[7]) "
    "redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[9], '*', 'stream', ARGV[4], 'type', ARGV[5], 'json', "
    "ARGV[7]) "
    "if fault then redis.call('HSET', KEYS[5], fault, state .. '|' .. ARGV[2]) end "
    "return 'told'";

static void item_free(struct item *i)
{
    gtv_bytes_unref(i->json);
    free(i);
}

// ---- The spool ----

static size_t waiting(const struct gtv_outbox *o)
{
    return o->spool ? gtv_spool_bytes(o->spool) : 0;
}

static void spool(struct gtv_outbox *o, const struct item *i)
{
    struct gtv_buf line = {0};
    (void)gtv_buf_printf(&line, "{\"camera\":%lld,\"made\":%lld,\"type\":", (long long)i->camera_id,
                         (long long)i->made_ms);
    gtv_json_quote(&line, gtv_str_of(i->type));
    (void)gtv_buf_puts(&line, ",\"key\":");
    gtv_json_quote(&line, gtv_str_of(i->key));
    (void)gtv_buf_puts(&line, ",\"event\":");
    (void)gtv_buf_append(&line, i->json->data, i->json->len);
    (void)gtv_buf_puts(&line, "}");
    if (o->spool && gtv_spool_put(o->spool, gtv_buf_str(&line))) {
        o->stats.spooled++;
        gtv_counter_add(o->spooled, 1);
    } else {
        o->stats.lost++;
        gtv_counter_add(o->lost, 1);
        if (!o->told_lost)
            gtv_log_error(&o->log, "durable events are lost: the spool is full, or there is none",
                          "bytes=%zu", waiting(o));
        o->told_lost = true;
    }
    gtv_buf_finish(&line);
    gtv_gauge_set(o->waiting, (int64_t)waiting(o));
}

static struct item *parse(struct gtv_outbox *o, struct gtv_str line)
{
    struct gtv_str type, key;
    int64_t camera, made;
    yyjson_doc *doc = gtv_json_parse(line, NULL);
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct item *i = NULL;
    size_t len = 0;
    char *json = root ? yyjson_val_write(yyjson_obj_get(root, "event"), 0, &len) : NULL;
    if (json && gtv_json_get_int(root, "camera", GTV_JSON_REQUIRED, 1, INT64_MAX, &camera, NULL) &&
        gtv_json_get_int(root, "made", GTV_JSON_REQUIRED, 0, INT64_MAX, &made, NULL) &&
        gtv_json_get_str(root, "type", GTV_JSON_REQUIRED, &type, NULL) &&
        gtv_json_get_str(root, "key", GTV_JSON_REQUIRED, &key, NULL)) {
        i = GTV_NEW(struct item);
        *i = (struct item){.outbox = o, .camera_id = camera, .made_ms = made, .spooled = true};
        i->json = gtv_bytes_copy(json, len);
        if (!i->json || !gtv_str_copy(i->type, sizeof(i->type), type) ||
            !gtv_str_copy(i->key, sizeof(i->key), key)) {
            item_free(i);
            i = NULL;
        }
    }
    free(json);
    yyjson_doc_free(doc);
    return i;
}

// ---- Sending ----

static void drain(void *arg);

static void count(struct gtv_outbox *o, const char *what)
{
    if (strcmp(what, "told") == 0) {
        o->stats.told++;
        gtv_counter_add(o->told, 1);
    } else if (strcmp(what, "again") == 0) {
        o->stats.again++;
        gtv_counter_add(o->again, 1);
    } else {
        o->stats.fenced++;
        gtv_counter_add(o->fenced, 1);
    }
}

static void on_reply(void *arg, redisReply *reply)
{
    struct item *i = arg;
    struct gtv_outbox *o = i->outbox;
    bool done = reply && (reply->type == REDIS_REPLY_STRING || reply->type == REDIS_REPLY_STATUS);
    o->flying--;
    if (done)
        count(o, reply->str);
    else if (reply && reply->type == REDIS_REPLY_ERROR)
        gtv_log_warn(&o->log, "Redis did not take an event", "cause=\"%.120s\"", reply->str);
    if (i->spooled) {
        o->draining = false;
        if (done) {
            gtv_spool_drop(o->spool);
            gtv_gauge_set(o->waiting, (int64_t)waiting(o));
            o->told_lost = false;
            drain(o);
        }
    } else if (!done) {
        spool(o, i);
    }
    item_free(i);
}

static bool send_item(struct gtv_outbox *o, struct item *i)
{
    char lease[GTV_LEASE_KEY_CAP], said[sizeof(GTV_KEY_SAID) + GTV_HAPPENING_KEY_CAP],
        stream[GTV_CAMERA_PATH_CAP], faults[GTV_FAULTS_KEY_CAP];
    if (!o->redis || !gtv_redis_up(o->redis) || o->flying >= FLYING_MAX)
        return false;
    snprintf(said, sizeof(said), "%s%s", GTV_KEY_SAID, i->key);
    if (!gtv_redis_command(o->redis, on_reply, i, "EVAL %s 5 %s %s %s %s %s %s %lld %d %s %s %s %b %d %d",
                           script, gtv_lease_key(i->camera_id, lease), said, GTV_KEY_HAPPENINGS,
                           GTV_KEY_EVENTS, gtv_faults_key(i->camera_id, faults), o->config.owner,
                           (long long)i->made_ms, GTV_SAID_S, gtv_camera_path(i->camera_id, stream), i->type,
                           i->key, i->json->data, i->json->len, GTV_HAPPENINGS_MAXLEN, GTV_EVENTS_MAXLEN))
        return false;
    o->flying++;
    return true;
}

// One line at a time: the next one goes when this one is answered.
static void drain(void *arg)
{
    struct gtv_outbox *o = arg;
    while (o->spool && !o->draining && o->redis && gtv_redis_up(o->redis) &&
           gtv_spool_peek(o->spool, &o->line)) {
        struct item *i = parse(o, gtv_buf_str(&o->line));
        if (!i) {
            gtv_log_warn(&o->log, "a line of the spool cannot be read", "bytes=%zu", o->line.len);
            gtv_spool_drop(o->spool);
            continue;
        }
        o->draining = send_item(o, i);
        if (!o->draining) {
            item_free(i);
            return;
        }
    }
}

void gtv_outbox_put(struct gtv_outbox *o, int64_t camera_id, const char *type, const char *key,
                    struct gtv_bytes *json, int64_t made_ms)
{
    struct item *i = GTV_NEW(struct item);
    *i = (struct item){.outbox = o, .camera_id = camera_id, .made_ms = made_ms, .json = gtv_bytes_ref(json)};
    snprintf(i->type, sizeof(i->type), "%s", type);
    snprintf(i->key, sizeof(i->key), "%s", key);
    if (waiting(o) == 0 && send_item(o, i))
        return;
    spool(o, i);
    item_free(i);
}

void gtv_outbox_redis(struct gtv_outbox *o, struct gtv_redis *redis)
{
    o->redis = redis;
}

void gtv_outbox_get_stats(const struct gtv_outbox *o, struct gtv_outbox_stats *out)
{
    *out = o->stats;
    out->spool_bytes = waiting(o);
    out->problem = o->spool ? NULL : o->problem;
}

static struct gtv_counter *counter(struct gtv_metrics *m, const char *label)
{
    return gtv_metrics_counter(m, "gtv_ai_happenings_total", label,
                               "Durable events, by what became of them: told, told already by another "
                               "program, refused because another program held the camera, kept on disk "
                               "for later, or lost because the spool was full or "
                               "is missing.");
}

struct gtv_outbox *gtv_outbox_create(const struct gtv_outbox_config *config)
{
    struct gtv_error err = {0};
    struct gtv_outbox *o = GTV_NEW(struct gtv_outbox);
    o->config = *config;
    o->log = (struct gtv_log){.component = "ai"};
    o->spool = gtv_spool_open(config->spool_dir, config->spool_bytes, &err);
    if (!o->spool) {
        snprintf(o->problem, sizeof(o->problem), "%s", err.message);
        gtv_log_warn(&o->log, "what happens while Redis is away will be lost", "cause=\"%s\"", o->problem);
    }
    o->told = counter(config->metrics, "result=\"told\"");
    o->again = counter(config->metrics, "result=\"again\"");
    o->fenced = counter(config->metrics, "result=\"fenced\"");
    o->spooled = counter(config->metrics, "result=\"spooled\"");
    o->lost = counter(config->metrics, "result=\"lost\"");
    o->waiting = gtv_metrics_gauge(config->metrics, "gtv_ai_spool_bytes", "",
                                   "Bytes of durable events on disk that wait for Redis.");
    gtv_gauge_set(o->waiting, (int64_t)waiting(o));
    o->drain = gtv_timer_create(config->loop, drain, o);
    gtv_timer_start(o->drain, DRAIN_EVERY_MS, DRAIN_EVERY_MS);
    return o;
}

void gtv_outbox_destroy(struct gtv_outbox *o)
{
    if (!o)
        return;
    gtv_timer_destroy(o->drain);
    gtv_spool_close(o->spool);
    gtv_buf_finish(&o->line);
    free(o);
}
