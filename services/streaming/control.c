#include "services/streaming/control.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/streaming/adopt.h"
#include "services/streaming/drain.h"
#include "services/streaming/history.h"
#include "services/streaming/hub.h"
#include "services/streaming/ops.h"
#include "services/streaming/replay.h"
#include "services/streaming/replicas.h"
#include "services/streaming/sequence_store.h"
#include "services/streaming/sight.h"
#include "services/streaming/stats.h"
#include "services/streaming/watcher.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    DASHBOARD_EVERY_S = 2,
    REPLICAS_EVERY_S = 2,
    SWEEP_EVERY_S = 5,
    DRAIN_EVERY_S = 5,
    STATS_EXPIRY_S = 60,
    PROBES_MAX = 32,   // http cameras asked at the same time; more wait
    UNTOLD_MS = 15000, // longer than a lease takes to pass on
};

// ---- events ----

static struct gtv_str field(const redisReply *fields, const char *name)
{
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        const redisReply *k = fields->element[i], *v = fields->element[i + 1];
        if (k->type == REDIS_REPLY_STRING && v->type == REDIS_REPLY_STRING && strcmp(k->str, name) == 0)
            return (struct gtv_str){v->str, v->len};
    }
    return (struct gtv_str){NULL, 0};
}

static void on_event(void *arg, const char *id, const redisReply *fields)
{
    struct gtv_app *app = ((struct gtv_control *)arg)->app;
    struct gtv_str stream = field(fields, "stream"), json = field(fields, "json");
    char name[GTV_PATH_NAME_CAP];
    if (atomic_load(&app->subscribers) == 0 || !gtv_event_shows(stream, json) ||
        !gtv_str_copy(name, sizeof name, stream))
        return;
    gtv_hub_broadcast(app, name, field(fields, "type"), id, json);
}

// Without Redis an event has an id of the same kind, so that a client can go on from there when Redis is
// back.
static const char *local_id(struct gtv_control *c, char out[48])
{
    int64_t now = gtv_wall_ms();
    c->local_n = now <= c->local_ms ? c->local_n + 1 : 0;
    c->local_ms = now > c->local_ms ? now : c->local_ms;
    snprintf(out, 48, "%lld-%u", (long long)c->local_ms, c->local_n);
    return out;
}

void gtv_control_publish(struct gtv_control *c, const char *stream, const char *type, struct gtv_bytes *json)
{
    if (!json)
        return;
    bool sent = gtv_redis_command(c->redis, NULL, NULL, "XADD %s MAXLEN ~ %d * stream %s type %s json %b",
                                  GTV_KEY_EVENTS, GTV_EVENTS_MAXLEN, stream, type, json->data, json->len);
    char id[48];
    if (!sent)
        gtv_hub_broadcast(c->app, stream, gtv_str_of(type), local_id(c, id), gtv_bytes_str(json));
    gtv_bytes_unref(json);
}

static int64_t camera_of(const char *path)
{
    int64_t id;
    return gtv_camera_path_parse(gtv_str_of(path), &id) ? id : 0;
}

static void on_health(void *arg, const struct gtv_path_state *s, const struct gtv_health_change *change)
{
    struct gtv_control *c = arg;
    const struct gtv_log log = {"streaming", "camera", s->name};
    const struct gtv_event_change e = {change->what, change->before_kbps, change->now_kbps, change->before,
                                       change->now};
    if (change->before)
        gtv_log_info(&log, "the stream changed", "what=%s before=\"%s\" now=\"%s\"", change->what,
                     change->before, change->now);
    else
        gtv_log_info(&log, "the bit rate changed", "before_kbps=%lld now_kbps=%lld",
                     (long long)change->before_kbps, (long long)change->now_kbps);
    if (gtv_lease_held(c->lease))
        gtv_control_publish(
            c, s->name, "status",
            gtv_event_status_change(s->name, camera_of(s->name), s->state, &e, gtv_wall_ms()));
}

// What changed while nobody held the lease, perhaps, was not told.
static void on_lease(void *arg)
{
    struct gtv_control *c = arg;
    int64_t now = gtv_wall_ms();
    gtv_ledger_sync(c->app->ledger, c->redis, true);
    if (gtv_mono_ms() - c->app->started_ms < UNTOLD_MS)
        return; // we have only just learnt the states
    size_t n;
    struct gtv_path_state *all = gtv_states_all(c->app->states, &n);
    for (size_t i = 0; i < n; i++) {
        const struct gtv_path_state *s = &all[i];
        if (now - s->since_ms < UNTOLD_MS)
            gtv_control_publish(c, s->name, "status",
                                gtv_event_status_coded(s->name, camera_of(s->name), s->state,
                                                       s->cause[0] ? s->cause : NULL,
                                                       s->cause_code[0] ? s->cause_code : NULL, now));
    }
    free(all);
}

static void on_news(void *arg, const char *id, const redisReply *fields)
{
    struct gtv_control *c = arg;
    int64_t camera;
    if (gtv_str_eq(field(fields, "by"), gtv_str_of(gtv_cameras_self(c->app->cameras))))
        return;
    if (gtv_parse_int(field(fields, "id"), 1, INT64_MAX, &camera))
        gtv_cameras_refresh(c->app->cameras, c->redis, camera);
}

static void on_redis(void *arg, bool up)
{
    struct gtv_control *c = arg;
    atomic_store(&c->app->redis_up, up);
    gtv_gauge_set(c->m_redis_up, up);
    gtv_sight_note_redis(c->app->sight, gtv_redis_reason(c->redis));
    gtv_lease_redis(c->lease, c->redis, up);
    if (up) {
        gtv_cameras_sync(c->app->cameras, c->redis);
        gtv_replicas_redis_up(c->replicas);
        gtv_ledger_sync(c->app->ledger, c->redis, gtv_lease_held(c->lease));
        gtv_drain_sync(c);
        gtv_watcher_soon(c->watcher);
    }
}

// ---- what comes round by itself ----

static void write_stats(void *arg)
{
    struct gtv_control *c = arg;
    struct gtv_bytes *json = gtv_stats_get(c->app);
    if (json)
        (void)gtv_redis_command(c->redis, NULL, NULL, "SET %s %b EX %d", GTV_KEY_STATS, json->data, json->len,
                                (int)STATS_EXPIRY_S);
    gtv_bytes_unref(json);
}

static void set_gauges(struct gtv_control *c)
{
    struct gtv_app *app = c->app;
    size_t n, viewers, connected = 0;
    uint64_t bytes;
    struct gtv_path_state *all = gtv_states_all(app->states, &n);
    for (size_t i = 0; i < n; i++)
        connected += all[i].ready;
    free(all);
    gtv_viewers_total(app->viewers, gtv_mono_ms(), &viewers, &bytes);
    gtv_sight_note_redis(app->sight, gtv_redis_reason(c->redis));
    gtv_sight_tick(app->sight);
    gtv_gauge_set(c->m_media_up, atomic_load(&app->media_up));
    gtv_gauge_set(c->m_cameras, (int64_t)gtv_cameras_count(app->cameras));
    gtv_gauge_set(c->m_connected, (int64_t)connected);
    gtv_gauge_set(c->m_viewers, (int64_t)viewers);
    gtv_gauge_set(c->m_cache_bytes, (int64_t)gtv_cache_bytes(app->cache));
    gtv_gauge_set(c->m_cache_entries, (int64_t)gtv_cache_count(app->cache));
    gtv_gauge_set(c->m_subscribers, (int64_t)atomic_load(&app->subscribers));
}

static bool is_desired(void *app, int64_t camera)
{
    struct gtv_camera known;
    return gtv_cameras_get(((struct gtv_app *)app)->cameras, camera, &known);
}

static void every_second(void *arg)
{
    struct gtv_control *c = arg;
    struct gtv_app *app = c->app;
    c->seconds++;
    gtv_viewers_prune(app->viewers, gtv_mono_ms());
    gtv_history_tick(c->history);
    if (c->seconds % REPLICAS_EVERY_S == 0)
        gtv_replicas_tick(c->replicas);
    set_gauges(c);
    gtv_ledger_flush(app->ledger, c->redis, gtv_lease_held(c->lease));
    if (c->seconds % GTV_SEQUENCE_EVERY_S == 0)
        gtv_sequence_tick(c);
    if (c->seconds % DRAIN_EVERY_S == 0)
        gtv_drain_sync(c);
    if (c->seconds % SWEEP_EVERY_S == 0)
        gtv_cache_sweep(app->cache, gtv_mono_ms());
    if (c->seconds % SWEEP_EVERY_S == 0 && gtv_cameras_loaded(app->cameras))
        gtv_ledger_prune(app->ledger, is_desired, app);
    if (c->seconds % DASHBOARD_EVERY_S == 0 && atomic_load(&app->subscribers)) {
        struct gtv_bytes *message = gtv_stats_dashboard(app);
        if (message)
            gtv_hub_broadcast(app, NULL, GTV_STR("dashboard"), NULL, gtv_bytes_str(message));
        gtv_bytes_unref(message);
    }
}

// ---- life ----

static void register_metrics(struct gtv_control *c)
{
    struct gtv_metrics *m = c->app->metrics;
    c->m_media_up = gtv_metrics_gauge(m, "gtv_streaming_media_up", "", "1 while the media node answers");
    c->m_redis_up = gtv_metrics_gauge(m, "gtv_streaming_redis_up", "", "1 while Redis answers");
    c->m_cameras = gtv_metrics_gauge(m, "gtv_streaming_cameras", "", "Cameras that shall be there");
    c->m_connected =
        gtv_metrics_gauge(m, "gtv_streaming_streams_ready", "", "Paths of the media node with a picture");
    c->m_viewers = gtv_metrics_gauge(m, "gtv_streaming_viewers", "", "Viewers of all streams");
    c->m_cache_bytes =
        gtv_metrics_gauge(m, "gtv_streaming_cache_bytes", "", "Bytes of playlists and segments in memory");
    c->m_cache_entries =
        gtv_metrics_gauge(m, "gtv_streaming_cache_entries", "", "Playlists and segments in memory");
    c->m_subscribers = gtv_metrics_gauge(m, "gtv_streaming_ws_clients", "", "Clients of live events");
}

struct gtv_control *gtv_control_create(struct gtv_app *app, struct gtv_loop *loop, struct gtv_error *err)
{
    const char *url = app->options.redis_url;
    struct gtv_control *c = GTV_NEW(struct gtv_control);
    c->app = app;
    c->loop = loop;
    register_metrics(c);
    c->replays = gtv_replays_create(c);
    c->lease = gtv_lease_create(loop, on_lease, c);
    c->health = gtv_health_create(app->options.frozen_after * 1000, on_health, c);
    for (size_t i = 0; i < gtv_nodes_count(app->nodes); i++)
        c->media[i] = gtv_media_create(loop, &app->options, gtv_nodes_api(app->nodes, i));
    c->probe = gtv_http_client_create(loop, PROBES_MAX);
    c->watcher = gtv_watcher_create(c);
    c->redis = gtv_redis_create(loop, url, "gtv-streaming", on_redis, c, err);
    c->events = c->redis ? gtv_redis_tail_create(loop, url, "gtv-streaming-events", GTV_KEY_EVENTS, "$",
                                                 on_event, c, err)
                         : NULL;
    // From its beginning: what another replica stores between our reading all cameras and our following the
    // news would stay unknown here.
    c->news = c->events ? gtv_redis_tail_create(loop, url, "gtv-streaming-news", GTV_KEY_CAMERAS_NEWS, "0",
                                                on_news, c, err)
                        : NULL;
    if (!c->news) {
        gtv_control_destroy(c);
        return NULL;
    }
    c->replicas = gtv_replicas_create(app, c->redis);
    c->history = gtv_history_create(app, c->redis, gtv_replicas_self(c->replicas));
    c->second = gtv_timer_create(loop, every_second, c);
    gtv_timer_start(c->second, 1000, 1000);
    c->stats = gtv_timer_create(loop, write_stats, c);
    gtv_timer_start(c->stats, 1000, (uint64_t)app->options.health_check_interval * 1000);
    return c;
}

void gtv_control_destroy(struct gtv_control *c)
{
    if (!c)
        return;
    gtv_timer_destroy(c->second);
    gtv_timer_destroy(c->stats);
    gtv_redis_tail_destroy(c->events);
    c->events = NULL; // replays that end now look here
    gtv_redis_tail_destroy(c->news);
    gtv_ops_destroy(c);
    gtv_http_client_destroy(c->probe);
    gtv_redis_destroy(c->redis); // whose last replies go to those below
    gtv_history_destroy(c->history);
    gtv_replicas_destroy(c->replicas);
    gtv_lease_destroy(c->lease);
    gtv_replays_destroy(c->replays);
    gtv_health_destroy(c->health);
    gtv_watcher_destroy(c->watcher);
    for (size_t i = 0; i < gtv_nodes_count(c->app->nodes); i++)
        gtv_media_destroy(c->media[i]);
    gtv_adopt_destroy(c);
    c->app->control = NULL; // posts that are still under way look here
    free(c);
}
