#include "services/ai/watch/watcher.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/metrics/metrics.h"
#include "lib/redis/redis.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    RELOAD_MS = 10000,  // all cameras are read again, whatever the news said
    NEWS_DELAY_MS = 50, // a burst of news is one reading
    TICK_MS = 200,
    MAX_CAMERAS = 10000, // entries of the hash that are looked at
};

struct camera {
    struct gtv_watcher *watcher;
    struct gtv_camera known;
    enum gtv_watch_order order;
    bool seen; // by the reading in progress
    bool gone; // no longer provisioned: freed once its source has ended
    const char *refused;
    char refusal[256]; // what refused may point to
    struct gtv_source *source;
    bool stopping;
    bool had_objects; // at the last look published; a worker's while a look runs
};

struct gtv_watcher {
    struct gtv_watcher_config config;
    struct gtv_log log;
    struct gtv_redis *redis;
    struct gtv_redis_tail *news;
    struct gtv_timer *reload, *tick;
    struct gtv_http_client *http;
    struct gtv_decode_pool *decoders;
    struct gtv_scalers *scalers;
    struct gtv_map *cameras; // id as text -> struct camera
    bool loaded;             // the cameras were read at least once
    bool closing;
    size_t sources;
    struct gtv_counter *published, *dropped, *looks;
    struct gtv_gauge *watched;
    struct gtv_histogram *latency;
};

// One look on its way from a worker to the loop.
struct report {
    struct gtv_watcher *watcher;
    struct gtv_bytes *event; // NULL: nothing to publish
    int64_t camera_id, wall_ms;
};

static void key_of(int64_t id, char out[24])
{
    snprintf(out, 24, "%lld", (long long)id);
}

static struct camera *find(struct gtv_watcher *w, int64_t id)
{
    char key[24];
    key_of(id, key);
    return gtv_map_get(w->cameras, gtv_str_of(key));
}

// ---- Events ----

// Live boxes are worth nothing later: what Redis cannot take now is dropped.
static bool publish(struct gtv_watcher *w, int64_t camera_id, const struct gtv_bytes *event)
{
    char stream[GTV_CAMERA_PATH_CAP];
    bool sent = gtv_redis_command(w->redis, NULL, NULL, "XADD %s MAXLEN ~ %d * stream %s type %s json %b",
                                  GTV_KEY_EVENTS, GTV_EVENTS_MAXLEN, gtv_camera_path(camera_id, stream),
                                  "detection", event->data, event->len);
    gtv_counter_add(sent ? w->published : w->dropped, 1);
    return sent;
}

static void on_report(void *arg)
{
    struct report *r = arg;
    struct gtv_watcher *w = r->watcher;
    gtv_counter_add(w->looks, 1);
    if (r->event && publish(w, r->camera_id, r->event))
        gtv_histogram_observe(w->latency, (double)(gtv_wall_ms() - r->wall_ms) / 1000);
    gtv_bytes_unref(r->event);
    free(r);
}

// On a worker's thread. A look without vehicles is published only after one with some, so that its boxes
// vanish.
static void on_look(void *arg, const struct gtv_look *look)
{
    struct camera *c = arg;
    struct gtv_watcher *w = c->watcher;
    struct report *r = GTV_NEW(struct report);
    *r = (struct report){.watcher = w, .camera_id = look->camera_id, .wall_ms = look->wall_ms};
    if (look->found->count || c->had_objects) {
        struct gtv_detection_event event = {
            .camera_id = look->camera_id,
            .wall_ms = look->wall_ms,
            .width = look->frame->width,
            .height = look->frame->height,
            .model = look->model->name,
            .latency_ms = (double)(gtv_wall_ms() - look->wall_ms),
            .objects = look->found->objects,
            .count = look->found->count,
        };
        r->event = gtv_event_detection(&event);
        c->had_objects = look->found->count > 0;
    }
    if (!gtv_loop_post(w->config.loop, on_report, r)) {
        gtv_counter_add(w->dropped, 1);
        gtv_bytes_unref(r->event);
        free(r);
    }
}

// ---- Which cameras ----

static bool wanted(const struct camera *c)
{
    return !c->watcher->closing && !c->gone && c->order != GTV_WATCH_STOP &&
           (c->order == GTV_WATCH_START || c->known.ai_enabled);
}

static void start_source(struct gtv_watcher *w, struct camera *c)
{
    char path[GTV_CAMERA_PATH_CAP];
    char *url = gtv_asprintf("%s/%s/relay", w->config.hls_url, gtv_camera_path(c->known.id, path));
    c->had_objects = false;
    c->source = gtv_source_start(&(struct gtv_source_config){
        .camera_id = c->known.id,
        .url = url,
        .http = w->http,
        .decoders = w->decoders,
        .scalers = w->scalers,
        .engine = w->config.engine,
        .policy = w->config.policy,
        .min_confidence = w->config.min_confidence,
        .on_look = on_look,
        .arg = c,
    });
    free(url);
    gtv_source_grant(c->source, 1000 / w->config.max_fps, false);
    w->sources++;
    gtv_log_info(&w->log, "watching", "camera=%s", path);
}

static bool has_network(struct gtv_watcher *w, struct camera *c)
{
    struct gtv_detector *d = gtv_engine_detector(w->config.engine);
    bool has = gtv_detector_model(d) != NULL;
    if (!has)
        snprintf(c->refusal, sizeof(c->refusal), "%s", gtv_detector_message(d));
    gtv_detector_unref(d);
    return has;
}

// Brings what is done in line with what is wanted.
static void reconcile(struct gtv_watcher *w, struct camera *c)
{
    c->refused = NULL;
    if (!wanted(c)) {
        if (c->source && !c->stopping) {
            gtv_source_stop(c->source);
            c->stopping = true;
        }
    } else if (!c->source) {
        if (!has_network(w, c))
            c->refused = c->refusal;
        else if (w->sources >= w->config.max_cameras)
            c->refused = "as many cameras as AI_MAX_CAMERAS allows are watched already";
        else
            start_source(w, c);
    }
    gtv_gauge_set(w->watched, (int64_t)w->sources);
}

// A camera that is watched no longer must not keep its last boxes on the viewers' screens.
static void publish_nothing(struct gtv_watcher *w, struct camera *c, const struct gtv_source_status *last)
{
    struct gtv_detector *d = gtv_engine_detector(w->config.engine);
    const struct gtv_model *model = gtv_detector_model(d);
    struct gtv_bytes *event = gtv_event_detection(&(struct gtv_detection_event){
        .camera_id = c->known.id,
        .wall_ms = last->last_frame_wall_ms,
        .width = last->width,
        .height = last->height,
        .model = model ? model->name : "",
        .latency_ms = (double)(gtv_wall_ms() - last->last_frame_wall_ms),
    });
    gtv_detector_unref(d);
    if (event)
        (void)publish(w, c->known.id, event);
    gtv_bytes_unref(event);
    c->had_objects = false;
}

static void collect(struct gtv_watcher *w, struct camera *c)
{
    struct gtv_source_status last;
    gtv_source_get_status(c->source, &last);
    gtv_source_destroy(c->source);
    c->source = NULL;
    c->stopping = false;
    w->sources--;
    if (c->had_objects)
        publish_nothing(w, c, &last);
}

// Collects the sources whose threads have ended, and gives their places to others.
static void on_tick(void *arg)
{
    struct gtv_watcher *w = arg;
    int64_t now = gtv_mono_ms();
    size_t it = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(w->cameras, &it, &key, &value)) {
        struct camera *c = value;
        if (c->source && gtv_source_ended(c->source))
            collect(w, c);
        else if (c->source)
            gtv_source_tick(c->source, now);
        reconcile(w, c);
        if (c->gone && !c->source) {
            (void)gtv_map_remove(w->cameras, key);
            free(c);
        }
    }
}

static void take_camera(struct gtv_watcher *w, const redisReply *text)
{
    if (text->type != REDIS_REPLY_STRING)
        return;
    struct gtv_error err = {0};
    struct gtv_camera known = {0};
    yyjson_doc *doc = gtv_json_parse((struct gtv_str){text->str, (size_t)text->len}, &err);
    if (!doc || !gtv_camera_parse(yyjson_doc_get_root(doc), &known, &err)) {
        gtv_log_warn(&w->log, "a camera in Redis cannot be read", "cause=\"%s\"", err.message);
    } else {
        struct camera *c = find(w, known.id);
        if (!c) {
            char key[24];
            key_of(known.id, key);
            c = GTV_NEW(struct camera);
            c->watcher = w;
            (void)gtv_map_put(w->cameras, gtv_str_of(key), c);
        }
        if (c->gone)
            c->order = GTV_WATCH_AUTO; // it was removed and provisioned anew
        c->known = known;
        c->seen = true;
        c->gone = false;
    }
    yyjson_doc_free(doc);
}

static void on_cameras(void *arg, redisReply *reply)
{
    struct gtv_watcher *w = arg;
    if (!reply || reply->type != REDIS_REPLY_ARRAY)
        return; // what is known stays
    size_t it = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(w->cameras, &it, &key, &value))
        ((struct camera *)value)->seen = false;
    for (size_t i = 1; i < reply->elements && i < (size_t)2 * MAX_CAMERAS; i += 2)
        take_camera(w, reply->element[i]);
    it = 0;
    while (gtv_map_next(w->cameras, &it, &key, &value)) {
        struct camera *c = value;
        c->gone = !c->seen;
        reconcile(w, c);
    }
    w->loaded = true;
}

static void load(void *arg)
{
    struct gtv_watcher *w = arg;
    (void)gtv_redis_command(w->redis, on_cameras, w, "HGETALL %s", GTV_KEY_CAMERAS);
}

static void on_state(void *arg, bool up)
{
    struct gtv_watcher *w = arg;
    if (up)
        gtv_timer_start(w->reload, 0, RELOAD_MS);
}

static void on_news(void *arg, const char *id, const redisReply *fields)
{
    struct gtv_watcher *w = arg;
    gtv_timer_start(w->reload, NEWS_DELAY_MS, RELOAD_MS);
}

// ---- From outside ----

static void register_metrics(struct gtv_watcher *w)
{
    static const double bounds[] = {0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10};
    struct gtv_metrics *m = w->config.metrics;
    w->published = gtv_metrics_counter(m, "ai_events_total", "result=\"published\"",
                                       "Events of live cameras, by what became of them.");
    w->dropped = gtv_metrics_counter(m, "ai_events_total", "result=\"dropped\"",
                                     "Events of live cameras, by what became of them.");
    w->looks = gtv_metrics_counter(m, "ai_looks_total", "", "Frames of live cameras that were analysed.");
    w->watched = gtv_metrics_gauge(m, "ai_cameras_watched", "", "Cameras that this process watches.");
    w->latency = gtv_metrics_histogram(m, "ai_event_latency_seconds", "",
                                       "From a frame's arrival in the media node to its event.", bounds,
                                       sizeof(bounds) / sizeof(bounds[0]));
}

struct gtv_watcher *gtv_watcher_create(const struct gtv_watcher_config *config, struct gtv_error *err)
{
    struct gtv_watcher *w = GTV_NEW(struct gtv_watcher);
    w->config = *config;
    w->log = (struct gtv_log){.component = "ai"};
    w->cameras = gtv_map_create();
    w->http = gtv_http_client_create(config->loop, config->max_cameras + 16);
    w->decoders = gtv_decode_pool_create(config->decode_threads);
    w->scalers = gtv_scalers_create();
    register_metrics(w);
    w->reload = gtv_timer_create(config->loop, load, w);
    w->tick = gtv_timer_create(config->loop, on_tick, w);
    w->redis = gtv_redis_create(config->loop, config->redis_url, "gtv-ai", on_state, w, err);
    if (w->redis)
        w->news = gtv_redis_tail_create(config->loop, config->redis_url, "gtv-ai-news", GTV_KEY_CAMERAS_NEWS,
                                        "$", on_news, w, err);
    if (!w->news) {
        gtv_watcher_destroy(w);
        return NULL;
    }
    gtv_timer_start(w->tick, TICK_MS, TICK_MS);
    return w;
}

void gtv_watcher_stop(struct gtv_watcher *w)
{
    w->closing = true;
    size_t it = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(w->cameras, &it, &key, &value)) // all are asked before the first is waited for
        reconcile(w, value);
    it = 0;
    while (gtv_map_next(w->cameras, &it, &key, &value)) {
        struct camera *c = value;
        gtv_source_destroy(c->source);
        c->source = NULL;
    }
    w->sources = 0;
}

void gtv_watcher_destroy(struct gtv_watcher *w)
{
    if (!w)
        return;
    gtv_map_destroy(w->cameras, free);
    gtv_http_client_destroy(w->http);
    gtv_decode_pool_destroy(w->decoders);
    gtv_scalers_destroy(w->scalers);
    gtv_redis_tail_destroy(w->news);
    gtv_redis_destroy(w->redis);
    gtv_timer_destroy(w->reload);
    gtv_timer_destroy(w->tick);
    free(w);
}

static bool known(struct gtv_watcher *w, int64_t id, struct camera **out, struct gtv_error *err)
{
    *out = find(w, id);
    if (*out && !(*out)->gone)
        return true;
    if (w->loaded)
        gtv_error_set(err, GTV_E_NOT_FOUND, "id", "Camera %lld is not provisioned", (long long)id);
    else
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "The cameras are not known yet: Redis does not answer");
    return false;
}

bool gtv_watcher_order(struct gtv_watcher *w, int64_t id, enum gtv_watch_order order, struct gtv_error *err)
{
    struct camera *c;
    if (!known(w, id, &c, err))
        return false;
    enum gtv_watch_order before = c->order;
    c->order = order;
    reconcile(w, c);
    if (order != GTV_WATCH_STOP && c->refused) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "%s", c->refused);
        c->order = before;
        reconcile(w, c);
        return false;
    }
    return true;
}

static void describe(struct camera *c, struct gtv_watched *out)
{
    memset(out, 0, sizeof(*out));
    out->id = c->known.id;
    out->name = c->known.name;
    out->ai_enabled = c->known.ai_enabled;
    out->order = c->order;
    out->watched = c->source && !c->stopping;
    out->refused = c->refused;
    if (c->source)
        gtv_source_get_status(c->source, &out->source);
}

bool gtv_watcher_get(struct gtv_watcher *w, int64_t id, struct gtv_watched *out, struct gtv_error *err)
{
    struct camera *c;
    if (!known(w, id, &c, err))
        return false;
    describe(c, out);
    return true;
}

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const struct gtv_watched *)a)->id, y = ((const struct gtv_watched *)b)->id;
    return (x > y) - (x < y);
}

size_t gtv_watcher_list(struct gtv_watcher *w, struct gtv_watched *out, size_t cap)
{
    size_t it = 0, n = 0, total = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(w->cameras, &it, &key, &value)) {
        struct camera *c = value;
        if (c->gone)
            continue;
        total++;
        if (n < cap)
            describe(c, &out[n++]);
    }
    if (n)
        qsort(out, n, sizeof(*out), by_id);
    return total;
}

bool gtv_watcher_redis_up(const struct gtv_watcher *w)
{
    return gtv_redis_up(w->redis);
}
