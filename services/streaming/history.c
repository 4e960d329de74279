#include "services/streaming/history.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "services/streaming/control.h"
#include "services/streaming/stats.h"

#include <stdio.h>
#include <stdlib.h>

#define KEY "gtv:history:"
enum {
    KEY_EXPIRY_S = 25 * 3600,
    TRIM_EVERY = 10,      // minutes; streams take turns
    WRITES_AT_ONCE = 500, // commands in one second
};

struct series {
    struct gtv_history_record ring[GTV_HISTORY_KEPT_MINUTES];
    bool owed[GTV_HISTORY_KEPT_MINUTES]; // Redis has not got it yet
    unsigned n, next;
};

struct gtv_history {
    struct gtv_app *app;
    struct gtv_redis *redis;
    char replica[33];
    struct gtv_map *streams; // name -> struct series
    int64_t minute;          // the one that runs
    bool owing;
};

struct gtv_history *gtv_history_create(struct gtv_app *app, struct gtv_redis *redis, const char *replica)
{
    struct gtv_history *h = GTV_NEW(struct gtv_history);
    h->app = app;
    h->redis = redis;
    snprintf(h->replica, sizeof h->replica, "%s", replica);
    h->streams = gtv_map_create();
    h->minute = gtv_wall_ms() / 60000;
    return h;
}

void gtv_history_destroy(struct gtv_history *h)
{
    if (!h)
        return;
    gtv_map_destroy(h->streams, free);
    free(h);
}

// ---- writing ----

static void take_minute(void *arg, struct gtv_str stream, const struct gtv_viewed_minute *m)
{
    struct gtv_history *h = arg;
    struct series *s = gtv_map_get(h->streams, stream);
    if (!s) {
        if (gtv_map_count(h->streams) > GTV_VIEWED_STREAMS)
            return;
        s = GTV_NEW(struct series);
        (void)gtv_map_put(h->streams, stream, s);
    }
    s->ring[s->next] = (struct gtv_history_record){h->minute, *m};
    s->owed[s->next] = true;
    s->next = (s->next + 1) % GTV_HISTORY_KEPT_MINUTES;
    s->n += s->n < GTV_HISTORY_KEPT_MINUTES;
    h->owing = true;
}

// Streams without a minute in memory any more are forgotten.
static void forget_old(struct gtv_history *h)
{
    size_t it = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(h->streams, &it, &key, &value)) {
        struct series *s = value;
        unsigned newest = (s->next + GTV_HISTORY_KEPT_MINUTES - 1) % GTV_HISTORY_KEPT_MINUTES;
        if (s->n && h->minute - s->ring[newest].minute <= GTV_HISTORY_KEPT_MINUTES)
            continue;
        gtv_map_remove(h->streams, key);
        free(s);
    }
}

static bool write_record(struct gtv_history *h, struct gtv_str stream, const struct gtv_history_record *r)
{
    char text[GTV_HISTORY_TEXT_CAP];
    gtv_history_write(r, h->replica, text);
    if (!gtv_redis_command(h->redis, NULL, NULL, "ZADD " KEY "%b %lld %s", stream.p, stream.n,
                           (long long)r->minute, text))
        return false;
    unsigned turn = 0;
    for (size_t i = 0; i < stream.n; i++)
        turn = turn * 31 + (unsigned char)stream.p[i];
    if ((turn + (uint64_t)r->minute) % TRIM_EVERY == 0)
        (void)gtv_redis_command(h->redis, NULL, NULL, "ZREMRANGEBYSCORE " KEY "%b -inf %lld", stream.p,
                                stream.n, (long long)(h->minute - GTV_HISTORY_MINUTES));
    (void)gtv_redis_command(h->redis, NULL, NULL, "EXPIRE " KEY "%b %d", stream.p, stream.n,
                            (int)KEY_EXPIRY_S);
    return true;
}

static void write_owed(struct gtv_history *h)
{
    unsigned written = 0;
    size_t it = 0;
    struct gtv_str key;
    void *value;
    if (!h->owing || !gtv_redis_up(h->redis))
        return;
    h->owing = false;
    while (gtv_map_next(h->streams, &it, &key, &value)) {
        struct series *s = value;
        for (unsigned i = 0; i < s->n; i++) {
            unsigned at = (s->next + GTV_HISTORY_KEPT_MINUTES - s->n + i) % GTV_HISTORY_KEPT_MINUTES;
            if (!s->owed[at])
                continue;
            if (written == WRITES_AT_ONCE || !write_record(h, key, &s->ring[at])) {
                h->owing = true;
                return;
            }
            s->owed[at] = false;
            written++;
        }
    }
}

void gtv_history_tick(struct gtv_history *h)
{
    int64_t minute = gtv_wall_ms() / 60000;
    if (minute != h->minute) {
        gtv_viewers_take_minute(h->app->viewers, take_minute, h);
        h->minute = minute;
        forget_old(h);
    }
    write_owed(h);
}

// ---- answers ----

// Its way: made on the request's loop -> (posted) asks Redis, or memory, on the control loop -> (posted back)
// answered, if the client is still there.
struct asking {
    struct gtv_worker *worker;
    struct gtv_http_request *req; // NULL once the client is gone; the request's loop
    struct gtv_history_wish wish;
    struct gtv_history_record *records;
    size_t n;
    bool from_redis;
};

static void asking_free(struct asking *a)
{
    free(a->records);
    free(a);
}

static void add_point(yyjson_mut_doc *doc, yyjson_mut_val *points, const struct gtv_viewed_minute *m,
                      int64_t minute, int64_t seconds)
{
    char when[GTV_ISO8601_CAP];
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, points);
    yyjson_mut_obj_add_strcpy(doc, o, "time", gtv_iso8601_utc(minute * 60000, when));
    yyjson_mut_obj_add_uint(doc, o, "viewers_max", m->viewers_max);
    double mean = seconds > 0 ? (double)m->viewer_seconds / (double)seconds : 0;
    mean = (double)(int64_t)(mean * 100 + 0.5) / 100;
    if (mean > m->viewers_max) // a timer that fired once more
        mean = m->viewers_max;
    yyjson_mut_obj_add_real(doc, o, "viewers", mean);
    yyjson_mut_obj_add_uint(doc, o, "bytes", m->bytes);
    yyjson_mut_obj_add_uint(doc, o, "bitrate", seconds > 0 ? m->bytes * 8 / (uint64_t)seconds : 0);
    yyjson_mut_obj_add_uint(doc, o, "requests", m->requests);
    if (m->requests)
        yyjson_mut_obj_add_real(doc, o, "hit_ratio", gtv_stats_ratio(m->hits, m->requests));
    else
        yyjson_mut_obj_add_null(doc, o, "hit_ratio");
}

static void reply_history(struct gtv_http_request *req, const struct asking *a)
{
    int64_t now_s = gtv_wall_ms() / 1000, last = now_s / 60;
    size_t count = (size_t)((last - a->wish.first) / a->wish.step) + 1;
    char when[GTV_ISO8601_CAP];
    struct gtv_viewed_minute *buckets = gtv_alloc(count * sizeof *buckets);
    gtv_history_merge(a->records, a->n, a->wish.first, a->wish.step, buckets, count);
    yyjson_mut_val *root;
    yyjson_mut_doc *doc = gtv_json_object(&root);
    yyjson_mut_obj_add_str(doc, root, "stream", a->wish.stream);
    yyjson_mut_obj_add_strcpy(doc, root, "from", gtv_iso8601_utc(a->wish.first * 60000, when));
    yyjson_mut_obj_add_strcpy(doc, root, "to", gtv_iso8601_utc(now_s * 1000, when));
    yyjson_mut_obj_add_uint(doc, root, "step_seconds", (uint64_t)a->wish.step * 60);
    yyjson_mut_obj_add_str(doc, root, "source", a->from_redis ? "redis" : "memory");
    yyjson_mut_val *points = yyjson_mut_obj_add_arr(doc, root, "points");
    for (size_t i = 0; i < count; i++) {
        int64_t minute = a->wish.first + (int64_t)(i * a->wish.step);
        int64_t until_s = (minute + a->wish.step) * 60;
        add_point(doc, points, &buckets[i], minute, (until_s < now_s ? until_s : now_s) - minute * 60);
    }
    free(buckets);
    gtv_reply_json(req, 200, doc);
}

static void answer(void *arg)
{
    struct asking *a = arg;
    if (a->req) {
        gtv_http_on_close(a->req, NULL, NULL);
        reply_history(a->req, a);
    }
    asking_free(a);
}

static void client_left(void *arg, bool complete)
{
    ((struct asking *)arg)->req = NULL;
}

static void add_record(struct asking *a, const struct gtv_history_record *r)
{
    a->records[a->n++] = *r;
}

// The minute that runs is only known here.
static void send_back(struct asking *a)
{
    struct gtv_history_record running = {gtv_wall_ms() / 60000, {0}};
    gtv_viewers_peek_minute(a->worker->app->viewers, gtv_str_of(a->wish.stream), &running.m);
    add_record(a, &running);
    if (!gtv_loop_post(a->worker->loop, answer, a))
        asking_free(a); // that loop is ending, and its requests with it
}

static void from_memory(const struct gtv_history *h, struct asking *a)
{
    const struct series *s = gtv_map_get(h->streams, gtv_str_of(a->wish.stream));
    a->records = gtv_alloc((GTV_HISTORY_KEPT_MINUTES + 1) * sizeof *a->records);
    for (unsigned i = 0; s && i < s->n; i++)
        add_record(a, &s->ring[(s->next + GTV_HISTORY_KEPT_MINUTES - s->n + i) % GTV_HISTORY_KEPT_MINUTES]);
    send_back(a);
}

static void on_records(void *arg, redisReply *reply)
{
    struct asking *a = arg;
    struct gtv_control *c = a->worker->app->control;
    if (!reply || reply->type != REDIS_REPLY_ARRAY) {
        from_memory(c->history, a);
        return;
    }
    size_t n = reply->elements < GTV_HISTORY_RECORDS_MAX ? reply->elements : GTV_HISTORY_RECORDS_MAX;
    a->records = gtv_alloc((n + 1) * sizeof *a->records);
    a->from_redis = true;
    for (size_t i = 0; i < n; i++) {
        const redisReply *e = reply->element[i];
        struct gtv_history_record r;
        if (e->type == REDIS_REPLY_STRING && gtv_history_read((struct gtv_str){e->str, e->len}, &r))
            add_record(a, &r);
    }
    send_back(a);
}

static void ask(void *arg)
{
    struct asking *a = arg;
    struct gtv_history *h = a->worker->app->control ? a->worker->app->control->history : NULL;
    if (!h) { // still starting
        a->records = gtv_alloc(sizeof *a->records);
        send_back(a);
        return;
    }
    if (!gtv_redis_command(h->redis, on_records, a, "ZRANGEBYSCORE " KEY "%s %lld +inf LIMIT 0 %d",
                           a->wish.stream, (long long)a->wish.first, (int)GTV_HISTORY_RECORDS_MAX))
        from_memory(h, a);
}

static void reply_invalid(struct gtv_http_request *req, const struct gtv_error *err)
{
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, yyjson_mut_obj_add_arr(doc, o, "detail"));
    yyjson_mut_val *loc = yyjson_mut_obj_add_arr(doc, item, "loc");
    yyjson_mut_arr_add_str(doc, loc, "query");
    yyjson_mut_arr_add_str(doc, loc, err->field);
    yyjson_mut_obj_add_str(doc, item, "msg", err->message);
    yyjson_mut_obj_add_str(doc, item, "type", "value_error");
    yyjson_mut_obj_add_str(doc, o, "code", gtv_code_name(err->code));
    yyjson_mut_obj_add_str(doc, o, "field", err->field);
    gtv_reply_json(req, gtv_code_http_status(err->code), doc);
}

void gtv_handle_history(struct gtv_http_request *req, void *user)
{
    struct gtv_worker *w = user;
    struct gtv_error err = {0};
    struct asking *a = GTV_NEW(struct asking);
    a->worker = w;
    a->req = req;
    if (!gtv_history_wish_parse(gtv_http_query(req, "stream"), gtv_http_query(req, "from"),
                                gtv_http_query(req, "step"), gtv_wall_ms(), &a->wish, &err)) {
        reply_invalid(req, &err);
        asking_free(a);
        return;
    }
    gtv_http_on_close(req, client_left, a);
    if (gtv_loop_post(w->app->workers[0].loop, ask, a))
        return;
    gtv_http_on_close(req, NULL, NULL);
    asking_free(a);
    gtv_reply_error(req, GTV_E_UNAVAILABLE, NULL, "the service is stopping");
}
