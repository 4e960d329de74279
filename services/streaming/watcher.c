#include "services/streaming/watcher.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "services/streaming/stats.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LOOK_EVERY_MS = 2000,
    SOON_MS = 150,
    RECONCILE_EVERY_MS = 5000,
    RECONCILE_AT_ONCE = 16,
    FAILURES_TO_DOWN = 2, // one look that failed is not yet an outage
};

struct gtv_watcher {
    struct gtv_control *control;
    struct gtv_timer *timer;
    bool looking, again, first_done;
    unsigned failures;
    int64_t look_began_ms, reconciled_ms;
    // Reconciling: cameras that are missing in the node.
    struct gtv_camera *missing;
    size_t missing_count, missing_next, adding, added;
    struct adding *adds; // under way
};

static void look(void *arg);

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
    if (!gtv_camera_path_parse(gtv_str_of(s->name), &id))
        id = 0;
    gtv_control_publish(c, s->name, "status",
                        gtv_event_status_coded(s->name, id, s->state, s->cause[0] ? s->cause : NULL,
                                               s->cause_code[0] ? s->cause_code : NULL, gtv_wall_ms()));
}

static void take_state(struct gtv_watcher *w, struct gtv_path_state *s)
{
    struct gtv_states *states = w->control->app->states;
    struct gtv_path_state old;
    bool known = gtv_states_get(states, gtv_str_of(s->name), &old);
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
    (void)gtv_states_put(states, s);
    if (changed)
        gtv_stats_stale(w->control->app);
    // At the first look after a start nothing has changed; it is only learnt.
    if (changed && (known || w->first_done))
        publish(w, s);
}

static void set_down(struct gtv_watcher *w, struct gtv_path_state *s, const char *cause, const char *code)
{
    s->ready = s->present = false;
    s->node_readers = 0;
    snprintf(s->state, sizeof s->state, "disconnected");
    snprintf(s->cause, sizeof s->cause, "%s", cause);
    snprintf(s->cause_code, sizeof s->cause_code, "%s", code);
    take_state(w, s);
}

// What was known and is not listed any more: ours are shown as lost until they are back, others are
// forgotten.
static void take_absent(struct gtv_watcher *w, const struct gtv_map *listed)
{
    struct gtv_app *app = w->control->app;
    size_t n;
    struct gtv_path_state *all = gtv_states_all(app->states, &n);
    for (size_t i = 0; i < n; i++) {
        int64_t id;
        struct gtv_camera camera;
        if (gtv_map_get(listed, gtv_str_of(all[i].name)))
            continue;
        if (gtv_camera_path_parse(gtv_str_of(all[i].name), &id) && gtv_cameras_get(app->cameras, id, &camera))
            set_down(w, &all[i], "the media node has lost this camera, it is being put back", "missing");
        else
            gtv_states_remove(app->states, gtv_str_of(all[i].name));
    }
    free(all);
}

static void take_outage(struct gtv_watcher *w, const struct gtv_error *err)
{
    struct gtv_app *app = w->control->app;
    if (++w->failures < FAILURES_TO_DOWN)
        return;
    if (atomic_exchange(&app->media_up, false) || w->failures == FAILURES_TO_DOWN)
        gtv_log_error(&app->log, "the media node does not answer", "cause=\"%s\"", err->message);
    size_t n;
    struct gtv_path_state *all = gtv_states_all(app->states, &n);
    for (size_t i = 0; i < n; i++)
        set_down(w, &all[i], "the media node does not answer", "media_down");
    free(all);
}

// ---- reconciling ----

struct adding {
    struct gtv_watcher *watcher;
    int64_t id;
    struct adding *prev, *next;
};

static void add_next(struct gtv_watcher *w);

static void adding_free(struct adding *a)
{
    if (a->prev)
        a->prev->next = a->next;
    else
        a->watcher->adds = a->next;
    if (a->next)
        a->next->prev = a->prev;
    free(a);
}

static void added(void *arg, const struct gtv_error *err)
{
    struct adding *a = arg;
    struct gtv_watcher *w = a->watcher;
    char path[GTV_CAMERA_PATH_CAP];
    w->adding--;
    if (err) {
        const struct gtv_log log = {"streaming", "camera", gtv_camera_path(a->id, path)};
        gtv_log_warn(&log, "cannot put a camera back into the media node", "cause=\"%s\"", err->message);
    } else {
        w->added++;
    }
    adding_free(a);
    add_next(w);
}

static void add_next(struct gtv_watcher *w)
{
    struct gtv_control *c = w->control;
    while (w->adding < RECONCILE_AT_ONCE && w->missing_next < w->missing_count) {
        const struct gtv_camera *camera = &w->missing[w->missing_next++];
        struct gtv_camera now;
        // It may have been changed or removed since the list was made.
        if (!gtv_cameras_get(c->app->cameras, camera->id, &now))
            continue;
        struct adding *a = GTV_NEW(struct adding);
        *a = (struct adding){w, now.id, NULL, w->adds};
        if (a->next)
            a->next->prev = a;
        w->adds = a;
        w->adding++;
        gtv_media_apply(c->media, &now, false, added, a);
    }
    if (w->adding == 0 && w->missing) {
        gtv_log_info(&c->app->log, "cameras put back into the media node", "missing=%zu added=%zu",
                     w->missing_count, w->added);
        free(w->missing);
        w->missing = NULL;
        gtv_watcher_soon(w);
    }
}

static void reconcile(struct gtv_watcher *w, const struct gtv_map *listed)
{
    struct gtv_app *app = w->control->app;
    int64_t now_ms = gtv_mono_ms();
    if (w->missing || (w->reconciled_ms && now_ms - w->reconciled_ms < RECONCILE_EVERY_MS))
        return;
    size_t n, kept = 0;
    struct gtv_camera *all = gtv_cameras_all(app->cameras, &n);
    for (size_t i = 0; i < n; i++) {
        char path[GTV_CAMERA_PATH_CAP];
        if (gtv_map_get(listed, gtv_str_of(gtv_camera_path(all[i].id, path))))
            continue;
        // Provisioned while this look was under way: its list could not have it yet.
        if (gtv_cameras_changed_ms(app->cameras, all[i].id) >= w->look_began_ms)
            continue;
        all[kept++] = all[i];
    }
    if (kept == 0) {
        free(all);
        return;
    }
    w->reconciled_ms = now_ms;
    w->missing = all;
    w->missing_count = kept;
    w->missing_next = w->adding = w->added = 0;
    add_next(w);
}

// ---- looking ----

static void seen(void *arg, const struct gtv_path_state *items, size_t n, const struct gtv_error *err)
{
    struct gtv_watcher *w = arg;
    struct gtv_app *app = w->control->app;
    w->looking = false;
    if (err) {
        take_outage(w, err);
    } else {
        if (!atomic_exchange(&app->media_up, true))
            gtv_log_info(&app->log, "the media node answers", "paths=%zu", n);
        w->failures = 0;
        struct gtv_map *listed = gtv_map_create();
        for (size_t i = 0; i < n; i++) {
            struct gtv_path_state s = items[i];
            (void)gtv_map_put(listed, gtv_str_of(s.name), w);
            take_state(w, &s);
        }
        take_absent(w, listed);
        w->first_done = true;
        reconcile(w, listed);
        gtv_map_destroy(listed, NULL);
    }
    gtv_timer_start(w->timer, w->again ? SOON_MS : LOOK_EVERY_MS, 0);
    w->again = false;
}

static void look(void *arg)
{
    struct gtv_watcher *w = arg;
    if (w->looking)
        return;
    w->looking = true;
    w->look_began_ms = gtv_mono_ms();
    gtv_media_list(w->control->media, seen, w);
}

void gtv_watcher_soon(struct gtv_watcher *w)
{
    if (w->looking)
        w->again = true;
    else
        gtv_timer_start(w->timer, SOON_MS, 0);
}

struct gtv_watcher *gtv_watcher_create(struct gtv_control *control)
{
    struct gtv_watcher *w = GTV_NEW(struct gtv_watcher);
    w->control = control;
    w->timer = gtv_timer_create(control->loop, look, w);
    gtv_timer_start(w->timer, 0, 0);
    return w;
}

void gtv_watcher_destroy(struct gtv_watcher *w)
{
    if (!w)
        return;
    gtv_timer_destroy(w->timer);
    for (struct adding *a = w->adds, *next; a; a = next) {
        next = a->next;
        free(a);
    }
    free(w->missing);
    free(w);
}
