// An operation's way: queued behind others of its camera -> RESOLVE (of http: and where it redirects to) ->
// APPLY (the media node) -> KEEP (the desired state, until Redis has it) -> done.

#include "services/streaming/ops.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "services/streaming/hops.h"
#include "services/streaming/provision.h"
#include "services/streaming/stats.h"
#include "services/streaming/watcher.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    OPS_MAX = 1024, // under way at once; beyond it 503
    RESOLVE_LIMIT_MS = 5000,
    STORE_LIMIT_MS = 1000, // a Redis that hangs is as one that is away: it is told when it is back
};

struct gtv_op {
    enum gtv_op_kind kind;
    struct gtv_camera camera; // for a removal only its id
    gtv_op_done_fn done;
    void *arg;
    struct gtv_control *control;
    struct gtv_op *prev, *next;
    bool listed, running;
    bool sub; // the address under way is that of the smaller stream
    struct resolving *resolving;
    struct gtv_hops *hops;
    struct storing *storing;
    struct gtv_timer *limit;
    int node;        // that is to have it
    size_t removals; // nodes that have not answered yet
    struct gtv_op_outcome outcome;
    struct gtv_cause cause;
};

// Outlives its operation when the resolver is late.
struct resolving {
    uv_getaddrinfo_t req;
    struct gtv_op *op;
};

// Outlives its operation when Redis is late.
struct storing {
    struct gtv_op *op;
};

static void op_start(struct gtv_op *op);

static void op_unlist(struct gtv_op *op)
{
    struct gtv_control *c = op->control;
    if (!op->listed)
        return;
    if (op->prev)
        op->prev->next = op->next;
    else
        c->ops = op->next;
    if (op->next)
        op->next->prev = op->prev;
    op->listed = false;
    c->op_count--;
}

static struct gtv_op *op_of_camera(struct gtv_control *c, int64_t id)
{
    // New ones are put at the head: the last match is the one that waits longest.
    struct gtv_op *found = NULL;
    for (struct gtv_op *o = c->ops; o; o = o->next)
        if (o->camera.id == id)
            found = o;
    return found;
}

static void op_release(struct gtv_op *op)
{
    if (op->resolving)
        op->resolving->op = NULL;
    if (op->storing)
        op->storing->op = NULL;
    gtv_hops_cancel(op->hops);
    gtv_timer_destroy(op->limit);
    op->hops = NULL;
    op->limit = NULL;
    op->resolving = NULL;
    op->storing = NULL;
}

static void op_log(const struct gtv_op *op)
{
    static const char *const names[] = {"provision", "store", "remove"};
    char path[GTV_CAMERA_PATH_CAP], shown[GTV_SHOWN_URL_CAP];
    gtv_camera_path(op->camera.id, path);
    const struct gtv_log log = {"streaming", "camera", path, &op->cause};
    const struct gtv_error *err = &op->outcome.err;
    if (err->code)
        gtv_log_warn(&log, "camera operation failed", "operation=%s code=%s cause=\"%s\"", names[op->kind],
                     gtv_code_name(err->code), err->message);
    else
        gtv_log_info(&log, "camera operation done", "operation=%s result=%s source=\"%s\"", names[op->kind],
                     op->outcome.result,
                     op->kind == GTV_OP_REMOVE ? "" : gtv_shown_url(op->camera.url, shown));
}

static void op_over(struct gtv_op *op)
{
    struct gtv_control *c = op->control;
    op_log(op);
    op_release(op);
    op_unlist(op);
    struct gtv_op *waiting = op_of_camera(c, op->camera.id);
    op->done(op->arg, &op->outcome);
    free(op);
    if (waiting && !waiting->running)
        op_start(waiting);
}

static void op_failed(struct gtv_op *op, enum gtv_code code, const char *field, const char *text)
{
    gtv_error_set(&op->outcome.err, code, field, "%s", text);
    op_over(op);
}

static bool same_config(const struct gtv_camera *a, const struct gtv_camera *b)
{
    return strcmp(a->url, b->url) == 0 && strcmp(a->sub_url, b->sub_url) == 0 &&
           a->on_demand == b->on_demand && a->record == b->record;
}

static bool same(const struct gtv_camera *a, const struct gtv_camera *b)
{
    return same_config(a, b) && strcmp(a->name, b->name) == 0 && a->ai_enabled == b->ai_enabled;
}

static void op_kept(void *arg)
{
    struct storing *s = arg;
    struct gtv_op *op = s->op;
    free(s);
    if (!op)
        return;
    op->storing = NULL;
    op_over(op);
}

static void store_late(void *arg)
{
    op_over(arg);
}

static void limit_to(struct gtv_op *op, void (*late)(void *), uint64_t ms)
{
    gtv_timer_destroy(op->limit);
    op->limit = gtv_timer_create(op->control->loop, late, op);
    gtv_timer_start(op->limit, ms, 0);
}

// False: there is nothing to wait for.
static bool keep(struct gtv_op *op)
{
    struct gtv_control *c = op->control;
    struct gtv_camera known;
    char path[GTV_CAMERA_PATH_CAP];
    bool had = gtv_cameras_get(c->app->cameras, op->camera.id, &known);
    op->camera.created_ms = had ? known.created_ms : gtv_wall_ms();
    op->outcome.result = !had ? "created" : same(&known, &op->camera) ? "unchanged" : "changed";
    // What was known of another source says nothing of this one.
    if (!had || strcmp(known.url, op->camera.url) != 0)
        gtv_states_remove(c->app->states, gtv_str_of(gtv_camera_path(op->camera.id, path)));
    if (had && same(&known, &op->camera))
        return false;
    struct storing *s = GTV_NEW(struct storing);
    s->op = op;
    if (!gtv_cameras_put(c->app->cameras, c->redis, &op->camera, op_kept, s)) {
        free(s);
        return false;
    }
    op->storing = s;
    limit_to(op, store_late, STORE_LIMIT_MS);
    return true;
}

static void applied(void *arg, const struct gtv_error *err)
{
    struct gtv_op *op = arg;
    struct gtv_control *c = op->control;
    if (err) {
        op->outcome.err = *err;
        op_over(op);
        return;
    }
    bool waits = keep(op);
    if (op->kind == GTV_OP_PROVISION)
        gtv_cameras_accepted(c->app->cameras, op->camera.id, op->node);
    gtv_stats_stale(c->app);
    if (op->kind == GTV_OP_STORE)
        gtv_watcher_check(c->watcher);
    else
        gtv_watcher_soon(c->watcher);
    if (!waits)
        op_over(op);
}

// Whether the node has the camera as it is desired already, as it looked last.
static bool node_has(struct gtv_control *c, int64_t camera, struct gtv_str path, int node)
{
    struct gtv_path_state state;
    if (!gtv_nodes_state(c->app->nodes, (size_t)node).up ||
        gtv_cameras_accepted_by(c->app->cameras, camera) != node)
        return false;
    // Accepted and not looked at since: it is there.
    return !gtv_states_get(c->app->states, path, &state) || (state.present && (int)state.node == node);
}

static void apply(struct gtv_op *op)
{
    struct gtv_control *c = op->control;
    struct gtv_camera known;
    char path[GTV_CAMERA_PATH_CAP];
    if (op->kind == GTV_OP_STORE) {
        applied(op, NULL);
        return;
    }
    struct gtv_str name = gtv_str_of(gtv_camera_path(op->camera.id, path));
    int node = op->node = gtv_nodes_place(c->app->nodes, name);
    if (node < 0) {
        op_failed(op, GTV_E_UNAVAILABLE, NULL, "no media node takes cameras: all are drained or away");
        return;
    }
    bool unchanged =
        gtv_cameras_get(c->app->cameras, op->camera.id, &known) && same_config(&known, &op->camera);
    if (unchanged && node_has(c, op->camera.id, name, node)) {
        gtv_watcher_check(c->watcher); // should somebody have changed it there, it is put right now
        applied(op, NULL);
        return;
    }
    // Patching a path reloads it in the node: what has not changed is only made sure of.
    gtv_media_apply(c->media[node], &op->camera, !unchanged, &op->cause, applied, op);
}

// ---- resolving ----

static void resolve(struct gtv_op *op);

static const char *address_of(const struct gtv_op *op)
{
    return op->sub ? op->camera.sub_url : op->camera.url;
}

static const char *field_of(const struct gtv_op *op)
{
    return op->sub ? "sub_rtsp_url" : "rtsp_url";
}

// This address may be dialled: now the other one, if there is one.
static void judged(struct gtv_op *op)
{
    if (op->sub || !op->camera.sub_url[0]) {
        apply(op);
        return;
    }
    op->sub = true;
    resolve(op);
}

static void led(void *arg, const struct gtv_error *err)
{
    struct gtv_op *op = arg;
    op->hops = NULL;
    if (err) {
        op->outcome.err = *err;
        if (op->sub && err->code == GTV_E_INVALID)
            snprintf(op->outcome.err.field, sizeof op->outcome.err.field, "%s", field_of(op));
        op_over(op);
    } else {
        judged(op);
    }
}

// Every address that the name has must be one that a camera may have.
static void judge(struct gtv_op *op, const struct addrinfo *res)
{
    const char *why = gtv_net_denied_any(&op->control->app->policy, res);
    if (why) {
        gtv_error_set(
            &op->outcome.err, GTV_E_INVALID, field_of(op),
            "the camera's address is off-limits (%s); the operator can allow it with GTV_CAMERA_ALLOW", why);
        op_over(op);
        return;
    }
    if (op->limit)
        gtv_timer_stop(op->limit);
    struct gtv_control *c = op->control;
    struct gtv_camera known;
    const char *address = address_of(op);
    bool asked = gtv_cameras_get(c->app->cameras, op->camera.id, &known) &&
                 strcmp(op->sub ? known.sub_url : known.url, address) == 0;
    if (!asked && gtv_hops_needed(address))
        op->hops = gtv_hops_begin(c->loop, c->probe, &c->app->policy, &c->app->log, address, led, op);
    else
        judged(op);
}

static void resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    struct resolving *r = (struct resolving *)req;
    struct gtv_op *op = r->op;
    free(r);
    if (op) {
        op->resolving = NULL;
        if (status || !res)
            op_failed(op, GTV_E_INVALID, field_of(op), "the camera's name does not resolve");
        else
            judge(op, res);
    }
    uv_freeaddrinfo(res);
}

static void resolve_late(void *arg)
{
    op_failed(arg, GTV_E_INVALID, field_of(arg), "the camera's name did not resolve in time");
}

// Addresses need no resolver thread, of which there are few.
static bool judge_literal(struct gtv_op *op, const char *host)
{
    struct sockaddr_storage ss = {0};
    if (uv_ip4_addr(host, 0, (struct sockaddr_in *)&ss) != 0 &&
        uv_ip6_addr(host, 0, (struct sockaddr_in6 *)&ss) != 0)
        return false;
    const struct addrinfo one = {.ai_addr = (struct sockaddr *)&ss};
    judge(op, &one);
    return true;
}

static void resolve(struct gtv_op *op)
{
    struct gtv_url u;
    char host[256];
    struct gtv_str address = gtv_str_of(address_of(op));
    if (!op->sub && gtv_provision_is_publisher(address)) {
        judged(op);
        return;
    }
    if (!gtv_url_parse(address, &u) || !gtv_str_copy(host, sizeof host, u.host)) {
        op_failed(op, GTV_E_INVALID, field_of(op), "this is no valid address");
        return;
    }
    if (judge_literal(op, host))
        return;
    struct resolving *r = GTV_NEW(struct resolving);
    r->op = op;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    if (uv_getaddrinfo(gtv_loop_uv(op->control->loop), &r->req, resolved, host, NULL, &hints) != 0) {
        free(r);
        op_failed(op, GTV_E_INVALID, field_of(op), "the camera's name cannot be resolved");
        return;
    }
    op->resolving = r;
    limit_to(op, resolve_late, RESOLVE_LIMIT_MS);
}

// ---- removing ----

static void removed(void *arg, const struct gtv_error *err)
{
    struct gtv_op *op = arg;
    struct gtv_app *app = op->control->app;
    char path[GTV_CAMERA_PATH_CAP];
    if (err)
        op->outcome.err = *err;
    if (--op->removals)
        return;
    if (!op->outcome.err.code) {
        op->outcome.result = "removed";
        (void)gtv_cameras_remove(app->cameras, op->control->redis, op->camera.id);
        gtv_states_remove(app->states, gtv_str_of(gtv_camera_path(op->camera.id, path)));
        gtv_ledger_forget(app->ledger, op->camera.id);
        gtv_stats_stale(app);
        gtv_watcher_soon(op->control->watcher);
    }
    op_over(op);
}

static void remove_camera(struct gtv_op *op)
{
    struct gtv_control *c = op->control;
    struct gtv_app *app = c->app;
    struct gtv_camera known;
    struct gtv_path_state state;
    char path[GTV_CAMERA_PATH_CAP];
    struct gtv_str name = gtv_str_of(gtv_camera_path(op->camera.id, path));
    bool desired = gtv_cameras_get(app->cameras, op->camera.id, &known);
    if (!desired && !gtv_states_get(app->states, name, &state)) {
        op_failed(op, GTV_E_NOT_FOUND, NULL, "there is no such camera");
        return;
    }
    // It may be on more nodes than its own while cameras move. A node that is away is cleaned up when it is
    // back, as of a path that nobody wants.
    uint32_t nodes = UINT32_C(1) << gtv_nodes_serving(app->nodes, name);
    for (size_t i = 0; i < gtv_nodes_count(app->nodes); i++)
        if (gtv_nodes_count(app->nodes) > 1 && gtv_nodes_state(app->nodes, i).up)
            nodes |= UINT32_C(1) << i;
        else if (gtv_nodes_state(app->nodes, i).dead)
            nodes &= ~(UINT32_C(1) << i);
    op->removals = (size_t)__builtin_popcount(nodes);
    if (nodes == 0)
        op_failed(op, GTV_E_UNAVAILABLE, NULL, "no media node answers");
    for (size_t i = 0; nodes; i++, nodes >>= 1)
        if (nodes & 1)
            gtv_media_remove(c->media[i], op->camera.id,
                             desired && known.sub_url[0] ? GTV_MEDIA_BOTH : GTV_MEDIA_MAIN, &op->cause,
                             removed, op);
}

// ---- life ----

static void op_start(struct gtv_op *op)
{
    op->running = true;
    if (op->kind == GTV_OP_REMOVE)
        remove_camera(op);
    else if (!gtv_cameras_has_room(op->control->app->cameras, op->camera.id))
        op_failed(op, GTV_E_LIMIT, NULL, "this service holds as many cameras as it can");
    else
        resolve(op);
}

void gtv_op_begin(struct gtv_control *c, enum gtv_op_kind kind, const struct gtv_camera *camera,
                  const struct gtv_cause *cause, gtv_op_done_fn done, void *arg)
{
    struct gtv_op *op = GTV_NEW(struct gtv_op);
    op->kind = kind;
    op->camera = *camera;
    op->done = done;
    op->arg = arg;
    op->control = c;
    op->cause = *cause;
    if (c->op_count >= OPS_MAX) {
        op_failed(op, GTV_E_LIMIT, NULL,
                  "too many cameras are being changed right now; try again in a moment");
        return;
    }
    bool busy = op_of_camera(c, op->camera.id) != NULL;
    op->next = c->ops;
    if (op->next)
        op->next->prev = op;
    c->ops = op;
    op->listed = true;
    c->op_count++;
    if (!busy)
        op_start(op);
}

bool gtv_ops_busy(const struct gtv_control *c, int64_t camera)
{
    for (const struct gtv_op *o = c->ops; o; o = o->next)
        if (o->camera.id == camera)
            return true;
    return false;
}

void gtv_ops_destroy(struct gtv_control *c)
{
    struct gtv_op *op = c->ops;
    c->ops = NULL;
    c->op_count = 0;
    while (op) {
        struct gtv_op *next = op->next;
        op_release(op);
        gtv_error_set(&op->outcome.err, GTV_E_CANCELLED, NULL, "the service is stopping");
        op->done(op->arg, &op->outcome);
        free(op);
        op = next;
    }
}
