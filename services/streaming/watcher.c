#include "services/streaming/watcher.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "services/streaming/reconcile.h"
#include "services/streaming/stats.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LOOK_EVERY_MS = 1000,
    LOOK_DOWN_MS = 500, // a node that is away: when it is back its paths are to be put back soon
    SOON_MS = 150,
    FAILURES_TO_DOWN = 2, // one look that failed is not yet an outage
};

struct look {
    struct gtv_watcher *watcher;
    size_t node;
    struct gtv_timer *timer;
    bool looking, again, first_done;
    unsigned failures;
    int64_t began_ms, failing_ms; // monotonic; failing_ms 0: the last look went well
};

struct gtv_watcher {
    struct gtv_control *control;
    struct gtv_reconciler *reconciler;
    struct look *looks; // one a node
};

// ---- states and their events ----

static void publish(struct gtv_watcher *w, const struct gtv_path_state *s)
{
    struct gtv_control *c = w->control;
    int64_t id = 0;
    const struct gtv_log log = {"streaming", "camera", s->name};
    if (s->cause[0])
        gtv_log_info(&log, "camera state", "state=%s code=%s cause=\"%s\"", s->state, s->cause_code,
                     s->cause);
    else
        gtv_log_info(&log, "camera state", "state=%s", s->state);
    if (!gtv_lease_held(c->lease))
        return; // another replica tells of it
    if (!gtv_camera_path_parse(gtv_str_of(s->name), &id))
        id = 0;
    gtv_control_publish(c, s->name, "status",
                        gtv_event_status_coded(s->name, id, s->state, s->cause[0] ? s->cause : NULL,
                                               s->cause_code[0] ? s->cause_code : NULL, gtv_wall_ms()));
}

// A camera that nobody asks for is not out: an on-demand one is only when the node says that it failed.
static void keep_ledger(struct gtv_watcher *w, const struct gtv_path_state *s)
{
    struct gtv_app *app = w->control->app;
    struct gtv_camera camera;
    int64_t id, now_ms = gtv_wall_ms();
    if (!gtv_lease_held(w->control->lease))
        return; // another replica judges
    if (!gtv_camera_path_parse(gtv_str_of(s->name), &id) || !gtv_cameras_get(app->cameras, id, &camera))
        return;
    bool failed = strcmp(s->state, "disconnected") == 0;
    if (s->ready || (camera.on_demand && !failed))
        gtv_ledger_fine(app->ledger, id, now_ms);
    else
        gtv_ledger_out(app->ledger, id, s->cause_code, s->cause[0] ? s->cause : "there is no picture yet",
                       now_ms);
}

static void keep_last_frame(struct gtv_path_state *s, const struct gtv_path_state *old)
{
    bool grew = old ? s->bytes_received != old->bytes_received : s->ready;
    s->last_frame_ms = old ? old->last_frame_ms : 0;
    if (grew && s->bytes_received)
        s->last_frame_ms = gtv_wall_ms();
}

static void take_state(struct look *l, struct gtv_path_state *s)
{
    struct gtv_watcher *w = l->watcher;
    struct gtv_states *states = w->control->app->states;
    struct gtv_path_state old;
    bool known = gtv_states_get(states, gtv_str_of(s->name), &old);
    gtv_health_take(w->control->health, s, gtv_mono_ms());
    // A source that failed is tried again and again: until it succeeds, or fails otherwise, it stays what it
    // was.
    if (known && strcmp(s->state, "connecting") == 0 && strcmp(old.state, "disconnected") == 0 &&
        old.present) {
        memcpy(s->state, old.state, sizeof s->state);
        memcpy(s->cause, old.cause, sizeof s->cause);
        memcpy(s->cause_code, old.cause_code, sizeof s->cause_code);
    }
    bool changed = !known || strcmp(s->state, old.state) != 0 || strcmp(s->cause, old.cause) != 0;
    s->since_ms = known && strcmp(s->state, old.state) == 0 ? old.since_ms : gtv_wall_ms();
    s->node = (unsigned)l->node;
    keep_last_frame(s, known ? &old : NULL);
    keep_ledger(w, s);
    (void)gtv_states_put(states, s);
    if (changed)
        gtv_stats_stale(w->control->app);
    // At the first look after a start nothing has changed; it is only learnt.
    if (changed && (known || l->first_done))
        publish(w, s);
}

// Whether this node is the one whose word counts for a path: while a camera moves two nodes have it.
static bool is_home(const struct look *l, struct gtv_str path)
{
    struct gtv_nodes *nodes = l->watcher->control->app->nodes;
    gtv_nodes_note(nodes, path, l->node);
    return gtv_nodes_serving(nodes, path) == l->node;
}

static void set_down(struct look *l, struct gtv_path_state *s, const char *cause, const char *code)
{
    s->ready = s->present = false;
    s->node_readers = 0;
    snprintf(s->state, sizeof s->state, "disconnected");
    snprintf(s->cause, sizeof s->cause, "%s", cause);
    snprintf(s->cause_code, sizeof s->cause_code, "%s", code);
    take_state(l, s);
}

// What was known and is not listed any more: ours are shown as lost until they are back, others are
// forgotten.
static void take_absent(struct look *l, const struct gtv_map *listed)
{
    struct gtv_app *app = l->watcher->control->app;
    size_t n;
    struct gtv_path_state *all = gtv_states_all(app->states, &n);
    for (size_t i = 0; i < n; i++) {
        int64_t id;
        struct gtv_camera camera;
        struct gtv_str path = gtv_str_of(all[i].name);
        bool desired = gtv_camera_path_parse(path, &id) && gtv_cameras_get(app->cameras, id, &camera);
        size_t home = desired ? gtv_nodes_serving(app->nodes, path) : all[i].node;
        if (home != l->node || gtv_map_get(listed, path))
            continue;
        if (desired) {
            set_down(l, &all[i], "the media node has lost this camera, it is being put back", "missing");
        } else {
            gtv_states_remove(app->states, path);
            gtv_health_forget(l->watcher->control->health, path);
            gtv_nodes_forget(app->nodes, path);
        }
    }
    free(all);
}

// ---- nodes ----

static void tell_node(struct look *l, const char *action, const char *cause)
{
    struct gtv_control *c = l->watcher->control;
    const char *id = gtv_nodes_id(c->app->nodes, l->node);
    const struct gtv_provision_event e = {
        .type = "node",
        .stream = "nodes",
        .action = action,
        .node = id,
        .detail = cause,
        .wall_ms = gtv_wall_ms(),
    };
    if (cause)
        gtv_log_error(&c->app->log, "a media node does not answer", "node=%s state=%s cause=\"%s\"", id,
                      action, cause);
    else
        gtv_log_info(&c->app->log, "a media node answers", "node=%s", id);
    if (gtv_lease_held(c->lease))
        gtv_control_publish(c, e.stream, e.type, gtv_event_provision(&e));
}

static void set_media_up(struct gtv_app *app)
{
    bool any = false;
    for (size_t i = 0; i < gtv_nodes_count(app->nodes); i++)
        any = any || gtv_nodes_state(app->nodes, i).up;
    atomic_store(&app->media_up, any);
}

static void take_node_up(struct look *l, const struct gtv_path_state *items, size_t n)
{
    struct gtv_app *app = l->watcher->control->app;
    struct gtv_node_state s = gtv_nodes_state(app->nodes, l->node);
    bool was_up = s.up;
    int64_t id;
    s.up = true;
    s.dead = false;
    s.cause[0] = '\0';
    s.since_ms = was_up ? s.since_ms : gtv_wall_ms();
    s.paths = n;
    s.cameras = 0;
    for (size_t i = 0; i < n; i++)
        s.cameras += gtv_camera_path_parse(gtv_str_of(items[i].name), &id);
    gtv_nodes_set_state(app->nodes, l->node, &s);
    l->failures = 0;
    l->failing_ms = 0;
    if (was_up)
        return;
    set_media_up(app);
    tell_node(l, "up", NULL);
    gtv_reconciler_check(l->watcher->reconciler, l->node);
}

static void take_outage(struct look *l, const struct gtv_error *err)
{
    struct gtv_app *app = l->watcher->control->app;
    struct gtv_node_state s = gtv_nodes_state(app->nodes, l->node);
    int64_t now_ms = gtv_mono_ms();
    l->failing_ms = l->failing_ms ? l->failing_ms : now_ms;
    if (++l->failures < FAILURES_TO_DOWN)
        return;
    bool was_up = s.up || s.since_ms == 0, was_dead = s.dead;
    s.up = false;
    // Alone it keeps its cameras: there is none to move them to.
    s.dead = gtv_nodes_count(app->nodes) > 1 &&
             now_ms - l->failing_ms >= gtv_live_int(&app->options.node_grace) * 1000;
    s.since_ms = was_up ? gtv_wall_ms() : s.since_ms;
    snprintf(s.cause, sizeof s.cause, "%s", err->message);
    gtv_nodes_set_state(app->nodes, l->node, &s);
    set_media_up(app);
    if (was_up)
        tell_node(l, "down", err->message);
    if (s.dead && !was_dead) {
        tell_node(l, "dead", "its cameras move to the other nodes");
        gtv_watcher_soon(l->watcher);
    }
    size_t n;
    struct gtv_path_state *all = gtv_states_all(app->states, &n);
    for (size_t i = 0; i < n; i++)
        if (gtv_nodes_serving(app->nodes, gtv_str_of(all[i].name)) == l->node)
            set_down(l, &all[i], "the media node does not answer", "media_down");
    free(all);
}

// ---- looking ----

static void seen(void *arg, const struct gtv_path_state *items, size_t n, const struct gtv_error *err)
{
    struct look *l = arg;
    struct gtv_watcher *w = l->watcher;
    l->looking = false;
    if (err) {
        take_outage(l, err);
    } else {
        take_node_up(l, items, n);
        struct gtv_map *listed = gtv_map_create();
        for (size_t i = 0; i < n; i++) {
            struct gtv_path_state s = items[i];
            (void)gtv_map_put(listed, gtv_str_of(s.name), w);
            if (is_home(l, gtv_str_of(s.name)))
                take_state(l, &s);
        }
        take_absent(l, listed);
        gtv_map_destroy(listed, NULL);
        l->first_done = true;
        gtv_reconciler_saw(w->reconciler, l->node, items, n, l->began_ms);
    }
    gtv_timer_start(l->timer, l->again ? SOON_MS : err ? LOOK_DOWN_MS : LOOK_EVERY_MS, 0);
    l->again = false;
}

static void look(void *arg)
{
    struct look *l = arg;
    if (l->looking)
        return;
    l->looking = true;
    l->began_ms = gtv_mono_ms();
    gtv_media_list(l->watcher->control->media[l->node], seen, l);
}

void gtv_watcher_soon(struct gtv_watcher *w)
{
    for (size_t i = 0; i < gtv_nodes_count(w->control->app->nodes); i++) {
        if (w->looks[i].looking)
            w->looks[i].again = true;
        else
            gtv_timer_start(w->looks[i].timer, SOON_MS, 0);
    }
}

void gtv_watcher_check(struct gtv_watcher *w)
{
    for (size_t i = 0; i < gtv_nodes_count(w->control->app->nodes); i++)
        gtv_reconciler_check(w->reconciler, i);
    gtv_watcher_soon(w);
}

struct gtv_watcher *gtv_watcher_create(struct gtv_control *control)
{
    size_t n = gtv_nodes_count(control->app->nodes);
    struct gtv_watcher *w = GTV_NEW(struct gtv_watcher);
    w->control = control;
    w->reconciler = gtv_reconciler_create(control);
    w->looks = gtv_alloc(n * sizeof *w->looks);
    for (size_t i = 0; i < n; i++) {
        w->looks[i].watcher = w;
        w->looks[i].node = i;
        w->looks[i].timer = gtv_timer_create(control->loop, look, &w->looks[i]);
        gtv_timer_start(w->looks[i].timer, 0, 0);
    }
    return w;
}

void gtv_watcher_destroy(struct gtv_watcher *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < gtv_nodes_count(w->control->app->nodes); i++)
        gtv_timer_destroy(w->looks[i].timer);
    gtv_reconciler_destroy(w->reconciler);
    free(w->looks);
    free(w);
}
