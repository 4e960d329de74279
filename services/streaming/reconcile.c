#include "services/streaming/reconcile.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "services/streaming/ops.h"
#include "services/streaming/watcher.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    AT_ONCE = 16,           // calls to one node
    RETRY_MS = 5000,        // after a round in which a call failed
    OTHERS_TRY_MS = 10000,  // that the replica which acts has for one try at each camera
    CHECK_EVERY_MS = 10000, // reading all configurations costs a node more than a look
    ORPHANS_MAX = 4096,     // what nobody desires and waits for its grace time; more wait for the next look
    NO_ONE = 0,
};

enum task_kind {
    TASK_ADD,
    TASK_REPAIR,
    TASK_REMOVE_ORPHAN,
    TASK_REMOVE_MOVED,
    TASK_REMOVE_SUB, // of a smaller stream that nobody wants here
};

struct task {
    enum task_kind kind;
    int64_t camera;
    char detail[64]; // of a repair: what differed
};

struct node_work {
    struct gtv_reconciler *reconciler;
    size_t node;
    struct gtv_map *listed;  // path -> this
    struct gtv_map *orphans; // path -> monotonic ms of its first sight, as a pointer
    uint32_t settled_for;    // the set of nodes for which this one has what it should
    // The round under way
    struct task *tasks;
    size_t count, next, running, failed, added, moved;
    int64_t ended_ms;  // of the last round that had a failure; 0
    int64_t behind_ms; // while another replica acts: since when something is missing; 0
    // Configurations
    bool checking;
    int64_t checked_ms, check_began_ms;
};

struct gtv_reconciler {
    struct gtv_control *control;
    struct node_work *work;
    struct call *calls; // under way
};

struct call {
    struct node_work *work;
    struct task task;
    bool moving; // its viewers are still sent to another node
    struct call *prev, *next;
};

static struct gtv_nodes *nodes_of(const struct node_work *w)
{
    return w->reconciler->control->app->nodes;
}

// ---- telling ----

static void tell(struct node_work *w, const char *action, int64_t camera, const char *detail)
{
    struct gtv_control *c = w->reconciler->control;
    char path[GTV_CAMERA_PATH_CAP];
    const char *node = gtv_nodes_id(nodes_of(w), w->node);
    const struct gtv_provision_event e = {
        .stream = gtv_camera_path(camera, path),
        .action = action,
        .camera_id = camera,
        .node = node,
        .detail = detail,
        .wall_ms = gtv_wall_ms(),
    };
    const struct gtv_log log = {"streaming", "camera", path};
    gtv_log_warn(&log, "media node brought in line", "action=%s node=%s detail=\"%s\"", action, node, detail);
    gtv_control_publish(c, e.stream, "provision", gtv_event_provision(&e));
}

static void tell_round(struct node_work *w, const char *action, size_t done)
{
    struct gtv_control *c = w->reconciler->control;
    if (done == 0)
        return;
    const struct gtv_provision_event e = {
        .stream = "provision",
        .action = action,
        .node = gtv_nodes_id(nodes_of(w), w->node),
        .counts = true,
        .done = done,
        .total = w->count,
        .failed = w->failed,
        .wall_ms = gtv_wall_ms(),
    };
    gtv_log_info(&c->app->log, "cameras put into a media node", "action=%s node=%s cameras=%zu failed=%zu",
                 action, e.node, done, w->failed);
    gtv_control_publish(c, e.stream, "provision", gtv_event_provision(&e));
}

// ---- a round ----

static void run_next(struct node_work *w);

static void call_free(struct call *k)
{
    struct gtv_reconciler *r = k->work->reconciler;
    if (k->prev)
        k->prev->next = k->next;
    else
        r->calls = k->next;
    if (k->next)
        k->next->prev = k->prev;
    free(k);
}

static void task_done(void *arg, const struct gtv_error *err)
{
    struct call *k = arg;
    struct node_work *w = k->work;
    char path[GTV_CAMERA_PATH_CAP];
    w->running--;
    if (err) {
        const struct gtv_log log = {"streaming", "camera", gtv_camera_path(k->task.camera, path)};
        gtv_log_warn(&log, "cannot bring the media node in line", "node=%s cause=\"%s\"",
                     gtv_nodes_id(nodes_of(w), w->node), err->message);
        w->failed++;
    } else if (k->task.kind == TASK_ADD) {
        w->added += !k->moving;
        w->moved += k->moving;
    } else if (k->task.kind == TASK_REPAIR) {
        tell(w, "repaired", k->task.camera, k->task.detail);
    } else {
        tell(w, "removed", k->task.camera,
             k->task.kind == TASK_REMOVE_ORPHAN ? "nobody wants this camera"
             : k->task.kind == TASK_REMOVE_SUB  ? "nobody wants its smaller stream here"
                                                : "it lives on another node");
    }
    call_free(k);
    run_next(w);
}

static void round_over(struct node_work *w)
{
    tell_round(w, "restored", w->added);
    tell_round(w, "moved", w->moved);
    w->ended_ms = w->failed ? gtv_mono_ms() : 0;
    free(w->tasks);
    w->tasks = NULL;
    gtv_watcher_soon(w->reconciler->control->watcher);
}

// False: not needed any more.
static bool run_task(struct node_work *w, const struct task *t)
{
    struct gtv_control *c = w->reconciler->control;
    struct gtv_camera now;
    char path[GTV_CAMERA_PATH_CAP];
    struct gtv_str name = gtv_str_of(gtv_camera_path(t->camera, path));
    bool desired = gtv_cameras_get(c->app->cameras, t->camera, &now);
    bool here = gtv_nodes_place(nodes_of(w), name) == (int)w->node;
    bool puts = t->kind == TASK_ADD || t->kind == TASK_REPAIR;
    // It may have been changed, removed or placed elsewhere since the list was made, or be just about to.
    bool wanted = t->kind == TASK_REMOVE_SUB ? desired && here && now.sub_url[0] : desired && here;
    if (gtv_ops_busy(c, t->camera) || (puts ? !wanted : wanted))
        return false;
    struct call *k = GTV_NEW(struct call);
    *k = (struct call){.work = w, .task = *t, .next = w->reconciler->calls};
    k->moving = gtv_nodes_serving(nodes_of(w), name) != w->node;
    if (k->next)
        k->next->prev = k;
    w->reconciler->calls = k;
    w->running++;
    if (puts)
        gtv_media_apply(c->media[w->node], &now, t->kind == TASK_REPAIR, NULL, task_done, k);
    else
        gtv_media_remove(c->media[w->node], t->camera,
                         t->kind == TASK_REMOVE_SUB          ? GTV_MEDIA_SUB
                         : desired && now.sub_url[0] != '\0' ? GTV_MEDIA_BOTH
                                                             : GTV_MEDIA_MAIN,
                         NULL, task_done, k);
    return true;
}

static void run_next(struct node_work *w)
{
    while (w->running < AT_ONCE && w->next < w->count)
        (void)run_task(w, &w->tasks[w->next++]);
    if (w->running == 0 && w->tasks)
        round_over(w);
}

static void begin_round(struct node_work *w, struct task *tasks, size_t n)
{
    w->tasks = tasks;
    w->count = n;
    w->next = w->running = w->failed = w->added = w->moved = 0;
    run_next(w);
}

// ---- what is to be done ----

// Whether its smaller stream is there too, if it has one.
static bool has_sub(const struct node_work *w, const struct gtv_camera *camera)
{
    char path[GTV_CAMERA_PATH_CAP];
    return !camera->sub_url[0] || gtv_map_get(w->listed, gtv_str_of(gtv_camera_sub_path(camera->id, path)));
}

static size_t plan_adds(struct node_work *w, struct task *tasks, const struct gtv_camera *all, size_t n,
                        int64_t began_ms)
{
    struct gtv_app *app = w->reconciler->control->app;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        char path[GTV_CAMERA_PATH_CAP];
        struct gtv_str name = gtv_str_of(gtv_camera_path(all[i].id, path));
        if (gtv_nodes_place(app->nodes, name) != (int)w->node ||
            (gtv_map_get(w->listed, name) && has_sub(w, &all[i])))
            continue;
        // Provisioned while this look was under way: its list could not have it yet. An import is told the
        // node at the next look.
        if (gtv_cameras_changed_ms(app->cameras, all[i].id) >= began_ms)
            continue;
        tasks[count++] = (struct task){.kind = TASK_ADD, .camera = all[i].id};
    }
    return count;
}

// On its own node too, and there already.
static bool settled_elsewhere(const struct node_work *w, struct gtv_str path)
{
    const struct gtv_reconciler *r = w->reconciler;
    struct gtv_nodes *nodes = r->control->app->nodes;
    int place = gtv_nodes_place(nodes, path);
    return place >= 0 && (size_t)place != w->node && gtv_nodes_serving(nodes, path) == (size_t)place &&
           gtv_map_get(r->work[place].listed, path);
}

// Whether a path of ours that nobody desires has waited long enough.
static bool orphan_is_due(struct node_work *w, struct gtv_str path)
{
    struct gtv_app *app = w->reconciler->control->app;
    uintptr_t first = (uintptr_t)gtv_map_get(w->orphans, path);
    int64_t now_ms = gtv_mono_ms();
    // Until the desired state was read nobody knows what is desired; and where nothing is, the node's cameras
    // are rather those of another service, or of a Redis that was lost, than nobody's.
    if (!gtv_cameras_loaded(app->cameras) || gtv_cameras_count(app->cameras) == 0)
        return false;
    if (!first) {
        if (gtv_map_count(w->orphans) < ORPHANS_MAX)
            (void)gtv_map_put(w->orphans, path, (void *)(uintptr_t)now_ms);
        return false;
    }
    if (now_ms - (int64_t)first < gtv_live_int(&app->options.orphan_grace) * 1000)
        return false;
    (void)gtv_map_remove(w->orphans, path); // should it stay, it waits again
    return true;
}

// Whether a smaller stream's path is to go: nobody wants it, or it lives on another node.
static bool sub_is_left(struct node_work *w, struct gtv_str path, int64_t id)
{
    struct gtv_app *app = w->reconciler->control->app;
    struct gtv_camera camera;
    char main_path[GTV_CAMERA_PATH_CAP];
    if (!gtv_cameras_get(app->cameras, id, &camera) || !camera.sub_url[0])
        return orphan_is_due(w, path);
    (void)gtv_map_remove(w->orphans, path);
    return settled_elsewhere(w, gtv_str_of(gtv_camera_path(id, main_path)));
}

static size_t plan_removals(struct node_work *w, struct task *tasks, const struct gtv_path_state *items,
                            size_t n)
{
    struct gtv_app *app = w->reconciler->control->app;
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        struct gtv_str path = gtv_str_of(items[i].name);
        struct gtv_camera camera;
        int64_t id;
        if (gtv_camera_sub_path_parse(path, &id)) {
            if (sub_is_left(w, path, id))
                tasks[count++] = (struct task){.kind = TASK_REMOVE_SUB, .camera = id};
            continue;
        }
        if (!gtv_camera_path_parse(path, &id))
            continue;
        if (gtv_cameras_get(app->cameras, id, &camera)) {
            (void)gtv_map_remove(w->orphans, path);
            if (settled_elsewhere(w, path))
                tasks[count++] = (struct task){.kind = TASK_REMOVE_MOVED, .camera = id};
        } else if (orphan_is_due(w, path)) {
            tasks[count++] = (struct task){.kind = TASK_REMOVE_ORPHAN, .camera = id};
        }
    }
    return count;
}

static void forget_gone_orphans(struct node_work *w)
{
    size_t at = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(w->orphans, &at, &key, &value))
        if (!gtv_map_get(w->listed, key))
            (void)gtv_map_remove(w->orphans, key);
}

// ---- configurations ----

static void compared(void *arg, const struct gtv_path_config *items, size_t n, const struct gtv_error *err)
{
    struct node_work *w = arg;
    struct gtv_app *app = w->reconciler->control->app;
    w->checking = false;
    if (!gtv_lease_held(w->reconciler->control->lease))
        return; // it passed on while the node was asked
    if (err || w->tasks) {
        if (err)
            gtv_log_warn(&app->log, "cannot read a media node's configurations", "node=%s cause=\"%s\"",
                         gtv_nodes_id(app->nodes, w->node), err->message);
        return;
    }
    struct task *tasks = gtv_alloc((n + 1) * sizeof *tasks);
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        struct gtv_camera wanted;
        char path[GTV_CAMERA_PATH_CAP];
        struct gtv_str name = gtv_str_of(gtv_camera_path(items[i].camera_id, path));
        struct task t = {.kind = TASK_REPAIR, .camera = items[i].camera_id};
        if (!gtv_cameras_get(app->cameras, t.camera, &wanted) || (items[i].sub && !wanted.sub_url[0]) ||
            gtv_nodes_place(app->nodes, name) != (int)w->node ||
            gtv_cameras_changed_ms(app->cameras, t.camera) >= w->check_began_ms ||
            !gtv_media_differs(&items[i], &wanted, t.detail))
            continue;
        tasks[count++] = t;
    }
    if (count)
        begin_round(w, tasks, count);
    else
        free(tasks);
}

void gtv_reconciler_check(struct gtv_reconciler *r, size_t node)
{
    r->work[node].checked_ms = 0;
}

static void check(struct node_work *w)
{
    int64_t now_ms = gtv_mono_ms();
    if (w->checking || (w->checked_ms && now_ms - w->checked_ms < CHECK_EVERY_MS))
        return;
    w->checking = true;
    w->checked_ms = w->check_began_ms = now_ms;
    gtv_media_configs(w->reconciler->control->media[w->node], compared, w);
}

// ---- viewers follow ----

static void consider_switch(struct gtv_reconciler *r)
{
    struct gtv_nodes *nodes = r->control->app->nodes;
    uint32_t wanted = gtv_nodes_wanted(nodes);
    if (wanted == NO_ONE || wanted == gtv_nodes_serving_set(nodes))
        return;
    for (size_t i = 0; i < gtv_nodes_count(nodes); i++)
        if ((wanted >> i & 1) && r->work[i].settled_for != wanted)
            return;
    gtv_nodes_switch(nodes, wanted);
    gtv_log_info(&r->control->app->log, "viewers follow the cameras to the media nodes that take part",
                 "nodes=%d", __builtin_popcount(wanted));
    gtv_watcher_soon(r->control->watcher);
}

// The replica that acts is not asked how far it is: it had the time for a try.
static bool others_tried(struct node_work *w, size_t missing)
{
    int64_t now_ms = gtv_mono_ms();
    if (missing == 0)
        w->behind_ms = 0;
    else if (w->behind_ms == 0)
        w->behind_ms = now_ms;
    return missing && now_ms - w->behind_ms >= OTHERS_TRY_MS;
}

void gtv_reconciler_saw(struct gtv_reconciler *r, size_t node, const struct gtv_path_state *items, size_t n,
                        int64_t began_ms)
{
    struct node_work *w = &r->work[node];
    struct gtv_app *app = r->control->app;
    gtv_map_destroy(w->listed, NULL);
    w->listed = gtv_map_create();
    for (size_t i = 0; i < n; i++)
        (void)gtv_map_put(w->listed, gtv_str_of(items[i].name), w);
    if (w->tasks)
        return;
    size_t cameras;
    struct gtv_camera *all = gtv_cameras_all(app->cameras, &cameras);
    struct task *tasks = gtv_alloc((cameras + n + 1) * sizeof *tasks);
    size_t count = plan_adds(w, tasks, all, cameras, began_ms);
    free(all);
    // One try at each is enough: a camera that a node refuses must not keep the others' viewers.
    bool acts = gtv_lease_held(r->control->lease);
    bool tried = acts ? w->ended_ms != 0 : others_tried(w, count);
    if (count == 0 || tried)
        w->settled_for = gtv_nodes_wanted(app->nodes);
    consider_switch(r);
    if (!acts || (tried && gtv_mono_ms() - w->ended_ms < RETRY_MS)) {
        free(tasks);
        return;
    }
    forget_gone_orphans(w);
    count += plan_removals(w, tasks + count, items, n);
    if (count) {
        begin_round(w, tasks, count);
        return;
    }
    free(tasks);
    w->ended_ms = 0;
    check(w);
}

// ---- life ----

struct gtv_reconciler *gtv_reconciler_create(struct gtv_control *control)
{
    size_t n = gtv_nodes_count(control->app->nodes);
    struct gtv_reconciler *r = GTV_NEW(struct gtv_reconciler);
    r->control = control;
    r->work = gtv_alloc(n * sizeof *r->work);
    for (size_t i = 0; i < n; i++) {
        r->work[i].reconciler = r;
        r->work[i].node = i;
        r->work[i].listed = gtv_map_create();
        r->work[i].orphans = gtv_map_create();
    }
    return r;
}

void gtv_reconciler_destroy(struct gtv_reconciler *r)
{
    if (!r)
        return;
    for (struct call *k = r->calls, *next; k; k = next) {
        next = k->next;
        free(k);
    }
    for (size_t i = 0; i < gtv_nodes_count(r->control->app->nodes); i++) {
        gtv_map_destroy(r->work[i].listed, NULL);
        gtv_map_destroy(r->work[i].orphans, NULL);
        free(r->work[i].tasks);
    }
    free(r->work);
    free(r);
}
