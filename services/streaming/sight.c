#include "services/streaming/sight.h"

#include "lib/base/mem.h"
#include "services/streaming/cameras.h"
#include "services/streaming/nodes.h"
#include "services/streaming/states.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { CAUSE_CAP = 256 };

struct gtv_sight {
    struct gtv_app *app;
    pthread_mutex_t lock; // guards redis_cause
    char redis_cause[CAUSE_CAP];
    struct gtv_gauge *up[GTV_NODES_MAX], *paths[GTV_NODES_MAX], *cameras[GTV_NODES_MAX];
};

struct gtv_sight *gtv_sight_create(struct gtv_app *app)
{
    struct gtv_sight *s = GTV_NEW(struct gtv_sight);
    s->app = app;
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)snprintf(s->redis_cause, sizeof(s->redis_cause), "connecting");
    for (size_t i = 0; i < gtv_nodes_count(app->nodes); i++) {
        char labels[GTV_PATH_NAME_CAP + 16];
        (void)snprintf(labels, sizeof(labels), "node=\"%.*s\"", GTV_PATH_NAME_CAP,
                       gtv_nodes_id(app->nodes, i));
        s->up[i] = gtv_metrics_gauge(app->metrics, "gtv_streaming_node_up", labels,
                                     "1 while this media node answers");
        s->paths[i] = gtv_metrics_gauge(app->metrics, "gtv_streaming_node_paths", labels,
                                        "Paths that this media node lists");
        s->cameras[i] = gtv_metrics_gauge(app->metrics, "gtv_streaming_node_cameras", labels,
                                          "Cameras of ours that this media node has");
    }
    return s;
}

void gtv_sight_destroy(struct gtv_sight *s)
{
    if (!s)
        return;
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

void gtv_sight_note_redis(struct gtv_sight *s, const char *cause)
{
    (void)pthread_mutex_lock(&s->lock);
    (void)snprintf(s->redis_cause, sizeof(s->redis_cause), "%s", cause ? cause : "");
    (void)pthread_mutex_unlock(&s->lock);
}

void gtv_sight_tick(struct gtv_sight *s)
{
    for (size_t i = 0; i < gtv_nodes_count(s->app->nodes); i++) {
        struct gtv_node_state node = gtv_nodes_state(s->app->nodes, i);
        gtv_gauge_set(s->up[i], node.up);
        gtv_gauge_set(s->paths[i], (int64_t)node.paths);
        gtv_gauge_set(s->cameras[i], (int64_t)node.cameras);
    }
}

// Each node that does not answer; all of them away is what makes the program useless.
static size_t add_nodes(struct gtv_http_request *req, struct gtv_app *app, bool any, struct gtv_missing *out)
{
    size_t n = 0;
    for (size_t i = 0; i < gtv_nodes_count(app->nodes); i++) {
        struct gtv_node_state node = gtv_nodes_state(app->nodes, i);
        if (node.up)
            continue;
        const char *cause = node.cause[0] ? node.cause : "it has not answered yet";
        out[n++] = (struct gtv_missing){
            "media",
            gtv_arena_printf(gtv_http_arena(req), "media node %s: %s", gtv_nodes_id(app->nodes, i), cause),
            !any};
    }
    return n;
}

void gtv_handle_ready(struct gtv_http_request *req, void *user)
{
    const struct gtv_worker *w = user;
    struct gtv_app *app = w->app;
    struct gtv_sight *s = app->sight;
    bool media = atomic_load(&app->media_up), redis = atomic_load(&app->redis_up);
    struct gtv_missing missing[GTV_NODES_MAX + 2];
    size_t n = add_nodes(req, app, media, missing);
    if (!media && n == 0)
        missing[n++] = (struct gtv_missing){"media", "no media node was looked at yet", true};
    if (!redis) {
        (void)pthread_mutex_lock(&s->lock);
        const char *cause = gtv_arena_printf(gtv_http_arena(req), "%s", s->redis_cause);
        (void)pthread_mutex_unlock(&s->lock);
        missing[n++] = (struct gtv_missing){"redis", cause, false};
    }
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_bool(doc, o, "media", media);
    yyjson_mut_obj_add_bool(doc, o, "redis", redis);
    gtv_reply_ready(req, &w->pages, doc, missing, n);
}

static bool is_down(const struct gtv_path_state *s)
{
    return strcmp(s->state, "disconnected") == 0 || strcmp(s->state, "frozen") == 0;
}

// The id of a camera's own path, cam_<id>; false for the paths of others.
static bool camera_of(const char *path, int64_t *id)
{
    struct gtv_str s = gtv_str_of(path);
    if (!gtv_str_starts(s, GTV_STR("cam_")))
        return false;
    return gtv_parse_int((struct gtv_str){s.p + 4, s.n - 4}, 1, INT64_MAX, id);
}

static const char state_names[][16] = {"idle", "connecting", "connected", "frozen", "disconnected"};
enum { STATES = sizeof(state_names) / sizeof(state_names[0]) };

static void write_states(struct gtv_buf *out, const struct gtv_path_state *all, size_t n)
{
    size_t counts[STATES] = {0};
    int64_t id;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < STATES; k++)
            counts[k] += strcmp(all[i].state, state_names[k]) == 0 && camera_of(all[i].name, &id);
    }
    gtv_buf_puts(out, "# HELP gtv_streaming_cameras_by_state Cameras, by what they are doing\n"
                      "# TYPE gtv_streaming_cameras_by_state gauge\n");
    for (size_t k = 0; k < STATES; k++)
        gtv_buf_printf(out, "gtv_streaming_cameras_by_state{state=\"%s\"} %zu\n", state_names[k], counts[k]);
}

void gtv_sight_write(struct gtv_buf *out, void *user)
{
    const struct gtv_worker *w = user;
    size_t n, listed = 0;
    struct gtv_path_state *all = gtv_states_all(w->app->states, &n);
    write_states(out, all, n);
    gtv_buf_puts(out, "# HELP gtv_streaming_camera_down 1 for each camera that is frozen or disconnected; "
                      "there is none for one that is well\n# TYPE gtv_streaming_camera_down gauge\n");
    for (size_t i = 0; i < n && listed < GTV_SIGHT_DOWN_MAX; i++) {
        int64_t id;
        if (!is_down(&all[i]) || !camera_of(all[i].name, &id))
            continue;
        gtv_buf_printf(out, "gtv_streaming_camera_down{camera=\"%" PRId64 "\",state=\"%s\"} 1\n", id,
                       all[i].state);
        listed++;
    }
    free(all);
}
