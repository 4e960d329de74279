#include "services/streaming/stats.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <stdlib.h>

enum { FRESH_MS = 1000 };

struct gtv_stats {
    pthread_mutex_t lock; // guards all below
    struct gtv_bytes *json;
    int64_t made_ms;
    bool stale;
};

struct gtv_stats *gtv_stats_create(void)
{
    struct gtv_stats *s = GTV_NEW(struct gtv_stats);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

void gtv_stats_destroy(struct gtv_stats *s)
{
    if (!s)
        return;
    gtv_bytes_unref(s->json);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void gtv_stats_stale(struct gtv_app *app)
{
    pthread_mutex_lock(&app->stats->lock);
    app->stats->stale = true;
    pthread_mutex_unlock(&app->stats->lock);
}

double gtv_stats_ratio(uint64_t part, uint64_t whole)
{
    uint64_t ten_thousandths = part * 10000 / whole;
    return (double)ten_thousandths / 10000;
}

void gtv_stats_add_figures(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_viewed_stream *viewed)
{
    yyjson_mut_obj_add_uint(doc, o, "bitrate", viewed->bitrate);
    yyjson_mut_obj_add_uint(doc, o, "requests", viewed->requests);
    if (viewed->requests)
        yyjson_mut_obj_add_real(doc, o, "hit_ratio", gtv_stats_ratio(viewed->hits, viewed->requests));
    else
        yyjson_mut_obj_add_null(doc, o, "hit_ratio");
}

void gtv_stats_add_stream(yyjson_mut_doc *doc, yyjson_mut_val *o, struct gtv_app *app,
                          const struct gtv_path_state *s, int64_t now_ms)
{
    struct gtv_viewed_stream viewed = gtv_viewers_stream(app->viewers, gtv_str_of(s->name), now_ms);
    yyjson_mut_obj_add_strcpy(doc, o, "path", s->name);
    yyjson_mut_val *source = yyjson_mut_obj_add_obj(doc, o, "source");
    if (s->source_type[0])
        yyjson_mut_obj_add_strcpy(doc, source, "type", s->source_type);
    yyjson_mut_obj_add_bool(doc, o, "ready", s->ready);
    yyjson_mut_obj_add_strcpy(doc, o, "state", s->state);
    yyjson_mut_obj_add_uint(doc, o, "readers", viewed.viewers);
    yyjson_mut_obj_add_uint(doc, o, "peak_readers", viewed.peak);
    yyjson_mut_obj_add_uint(doc, o, "node_readers", s->node_readers);
    yyjson_mut_obj_add_uint(doc, o, "bytes_received", s->bytes_received);
    yyjson_mut_obj_add_uint(doc, o, "bytes_sent", viewed.bytes);
    gtv_stats_add_figures(doc, o, &viewed);
}

static void add_totals(yyjson_mut_doc *doc, yyjson_mut_val *o, struct gtv_app *app,
                       const struct gtv_path_state *all, size_t n)
{
    int64_t now_ms = gtv_mono_ms();
    size_t active = 0;
    for (size_t i = 0; i < n; i++)
        active += all[i].ready;
    struct gtv_viewed_stream viewed = gtv_viewers_all(app->viewers, now_ms);
    yyjson_mut_obj_add_uint(doc, o, "active_streams", active);
    yyjson_mut_obj_add_uint(doc, o, "total_viewers", viewed.viewers);
    yyjson_mut_obj_add_uint(doc, o, "peak_viewers", viewed.peak);
    yyjson_mut_obj_add_uint(doc, o, "total_bytes_sent", viewed.bytes);
    gtv_stats_add_figures(doc, o, &viewed);
    yyjson_mut_obj_add_sint(doc, o, "uptime_seconds", (now_ms - app->started_ms) / 1000);
    yyjson_mut_obj_add_uint(doc, o, "cameras", gtv_cameras_count(app->cameras));
}

static struct gtv_bytes *make(struct gtv_app *app)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        return NULL;
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    size_t n;
    struct gtv_path_state *all = gtv_states_all(app->states, &n);
    add_totals(doc, root, app, all, n);
    yyjson_mut_val *streams = yyjson_mut_obj_add_arr(doc, root, "streams");
    int64_t now_ms = gtv_mono_ms();
    for (size_t i = 0; i < n; i++)
        gtv_stats_add_stream(doc, yyjson_mut_arr_add_obj(doc, streams), app, &all[i], now_ms);
    free(all);
    return gtv_json_write(doc);
}

struct gtv_bytes *gtv_stats_get(struct gtv_app *app)
{
    struct gtv_stats *s = app->stats;
    int64_t now_ms = gtv_mono_ms();
    pthread_mutex_lock(&s->lock);
    struct gtv_bytes *json = NULL;
    if (s->json && !s->stale && now_ms - s->made_ms < FRESH_MS)
        json = gtv_bytes_ref(s->json);
    s->stale = json ? s->stale : false;
    pthread_mutex_unlock(&s->lock);
    if (json)
        return json;
    json = make(app);
    if (!json)
        return NULL;
    pthread_mutex_lock(&s->lock);
    struct gtv_bytes *old = s->json;
    s->json = gtv_bytes_ref(json);
    s->made_ms = now_ms;
    pthread_mutex_unlock(&s->lock);
    gtv_bytes_unref(old);
    return json;
}

struct gtv_bytes *gtv_stats_dashboard(struct gtv_app *app)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        return NULL;
    char when[GTV_ISO8601_CAP];
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "type", "dashboard");
    yyjson_mut_val *data = yyjson_mut_obj_add_obj(doc, root, "data");
    size_t n;
    struct gtv_path_state *all = gtv_states_all(app->states, &n);
    add_totals(doc, data, app, all, n);
    yyjson_mut_obj_add_uint(doc, data, "streams", n);
    yyjson_mut_obj_add_bool(doc, data, "media_up", atomic_load(&app->media_up));
    yyjson_mut_obj_add_bool(doc, data, "redis_up", atomic_load(&app->redis_up));
    free(all);
    yyjson_mut_obj_add_str(doc, root, "timestamp", gtv_iso8601_utc(gtv_wall_ms(), when));
    return gtv_json_write(doc);
}
