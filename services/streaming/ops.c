// An operation's way: parsed on the request's loop -> (posted) queued behind others of its camera -> RESOLVE
// -> APPLY (the media node) -> the desired state -> (posted back) answered, if the client is still there.

#include "services/streaming/control.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "services/streaming/routes.h"
#include "services/streaming/stats.h"
#include "services/streaming/watcher.h"

#include <stdlib.h>

enum {
    OPS_MAX = 1024, // under way at once; beyond it 503
    RESOLVE_LIMIT_MS = 5000,
};

enum op_kind { OP_PROVISION, OP_REMOVE };

struct gtv_op {
    // The request's loop
    struct gtv_worker *worker;
    struct gtv_http_request *req; // NULL once the client is gone
    // Fixed
    enum op_kind kind;
    struct gtv_camera camera; // for OP_REMOVE only its id
    // The control loop
    struct gtv_control *control;
    struct gtv_op *prev, *next;
    bool listed, running;
    struct resolving *resolving;
    struct gtv_timer *limit;
    struct gtv_error err;
};

// Outlives its operation when the resolver is late.
struct resolving {
    uv_getaddrinfo_t req;
    struct gtv_op *op;
};

// ---- the answer, on the request's loop ----

static void answer_provision(struct gtv_op *op)
{
    const struct gtv_streaming_options *o = &op->worker->app->options;
    char path[GTV_CAMERA_PATH_CAP];
    gtv_camera_path(op->camera.id, path);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_bool(doc, root, "success", true);
    yyjson_mut_obj_add_sint(doc, root, "camera_id", op->camera.id);
    yyjson_mut_obj_add_str(doc, root, "stream_path", path);
    gtv_add_urls(doc, root, o, path);
    yyjson_mut_obj_add_str(doc, root, "message", "Camera provisioned");
    gtv_reply_json(op->req, 200, doc);
}

static void answer_remove(struct gtv_op *op)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_bool(doc, root, "success", true);
    yyjson_mut_obj_add_sint(doc, root, "camera_id", op->camera.id);
    yyjson_mut_obj_add_str(doc, root, "message", "Camera removed");
    gtv_reply_json(op->req, 200, doc);
}

static void answer(void *arg)
{
    struct gtv_op *op = arg;
    struct gtv_http_request *req = op->req;
    if (req) {
        gtv_http_on_close(req, NULL, NULL);
        if (op->err.code == GTV_E_INVALID)
            gtv_reply_invalid(req, &op->err);
        else if (op->err.code)
            gtv_reply_error_from(req, &op->err);
        else if (op->kind == OP_PROVISION)
            answer_provision(op);
        else
            answer_remove(op);
    }
    free(op);
}

// ---- the work, on the control loop ----

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
    gtv_timer_destroy(op->limit);
    op->limit = NULL;
    op->resolving = NULL;
}

static void op_over(struct gtv_op *op)
{
    struct gtv_control *c = op->control;
    char path[GTV_CAMERA_PATH_CAP], shown[GTV_SHOWN_URL_CAP];
    gtv_camera_path(op->camera.id, path);
    const char *what = op->kind == OP_PROVISION ? "provision" : "remove";
    const struct gtv_log log = {"streaming", "camera", path};
    if (op->err.code)
        gtv_log_warn(&log, "camera operation failed", "operation=%s code=%s cause=\"%s\"", what,
                     gtv_code_name(op->err.code), op->err.message);
    else
        gtv_log_info(&log, "camera operation done", "operation=%s source=\"%s\"", what,
                     op->kind == OP_PROVISION ? gtv_shown_url(op->camera.url, shown) : "");
    op_release(op);
    op_unlist(op);
    struct gtv_op *waiting = op_of_camera(c, op->camera.id);
    if (!gtv_loop_post(op->worker->loop, answer, op))
        free(op); // that loop is ending, and its requests with it
    if (waiting && !waiting->running)
        op_start(waiting);
}

static void op_failed(struct gtv_op *op, enum gtv_code code, const char *field, const char *text)
{
    gtv_error_set(&op->err, code, field, "%s", text);
    op_over(op);
}

static void applied(void *arg, const struct gtv_error *err)
{
    struct gtv_op *op = arg;
    struct gtv_control *c = op->control;
    char path[GTV_CAMERA_PATH_CAP];
    if (err) {
        op->err = *err;
        op_over(op);
        return;
    }
    struct gtv_str name = gtv_str_of(gtv_camera_path(op->camera.id, path));
    if (op->kind == OP_PROVISION) {
        struct gtv_camera known;
        bool had = gtv_cameras_get(c->app->cameras, op->camera.id, &known);
        op->camera.created_ms = had ? known.created_ms : gtv_wall_ms();
        if (!had || strcmp(known.url, op->camera.url) != 0)
            gtv_states_remove(c->app->states,
                              name); // what was known of another source says nothing of this one
        gtv_cameras_put(c->app->cameras, c->redis, &op->camera);
    } else {
        (void)gtv_cameras_remove(c->app->cameras, c->redis, op->camera.id);
        gtv_states_remove(c->app->states, name);
    }
    gtv_stats_stale(c->app);
    gtv_watcher_soon(c->watcher);
    op_over(op);
}

static bool same_config(const struct gtv_camera *a, const struct gtv_camera *b)
{
    return strcmp(a->url, b->url) == 0 && a->on_demand == b->on_demand && a->record == b->record;
}

static void apply(struct gtv_op *op)
{
    struct gtv_camera known;
    bool unchanged =
        gtv_cameras_get(op->control->app->cameras, op->camera.id, &known) && same_config(&known, &op->camera);
    // Patching a path reloads it in the node: what has not changed is only made sure of.
    gtv_media_apply(op->control->media, &op->camera, !unchanged, applied, op);
}

static void resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    struct resolving *r = (struct resolving *)req;
    struct gtv_op *op = r->op;
    free(r);
    if (op) {
        op->resolving = NULL;
        const char *why = NULL;
        for (struct addrinfo *a = res; a && !why; a = a->ai_next)
            why = gtv_address_denied(&op->control->app->policy, a->ai_addr);
        if (status || !res) {
            op_failed(op, GTV_E_INVALID, "rtsp_url", "the camera's name does not resolve");
        } else if (why) {
            gtv_error_set(
                &op->err, GTV_E_INVALID, "rtsp_url",
                "the camera's address is off-limits (%s); the operator can allow it with GTV_CAMERA_ALLOW",
                why);
            op_over(op);
        } else {
            gtv_timer_stop(op->limit);
            apply(op);
        }
    }
    uv_freeaddrinfo(res);
}

static void resolve_late(void *arg)
{
    op_failed(arg, GTV_E_INVALID, "rtsp_url", "the camera's name did not resolve in time");
}

static void resolve(struct gtv_op *op)
{
    struct gtv_url u;
    char host[256];
    if (!gtv_url_parse(gtv_str_of(op->camera.url), &u) || !gtv_str_copy(host, sizeof host, u.host)) {
        op_failed(op, GTV_E_INVALID, "rtsp_url", "this is no valid address");
        return;
    }
    struct resolving *r = GTV_NEW(struct resolving);
    r->op = op;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    if (uv_getaddrinfo(gtv_loop_uv(op->control->loop), &r->req, resolved, host, NULL, &hints) != 0) {
        free(r);
        op_failed(op, GTV_E_INVALID, "rtsp_url", "the camera's name cannot be resolved");
        return;
    }
    op->resolving = r;
    op->limit = gtv_timer_create(op->control->loop, resolve_late, op);
    gtv_timer_start(op->limit, RESOLVE_LIMIT_MS, 0);
}

static void op_start(struct gtv_op *op)
{
    struct gtv_app *app = op->control->app;
    op->running = true;
    if (op->kind == OP_PROVISION) {
        if (!gtv_cameras_has_room(app->cameras, op->camera.id))
            op_failed(op, GTV_E_LIMIT, NULL, "this service holds as many cameras as it can");
        else
            resolve(op);
        return;
    }
    struct gtv_camera known;
    struct gtv_path_state state;
    char path[GTV_CAMERA_PATH_CAP];
    if (!gtv_cameras_get(app->cameras, op->camera.id, &known) &&
        !gtv_states_get(app->states, gtv_str_of(gtv_camera_path(op->camera.id, path)), &state))
        op_failed(op, GTV_E_NOT_FOUND, NULL, "there is no such camera");
    else
        gtv_media_remove(op->control->media, op->camera.id, applied, op);
}

static void op_arrives(void *arg)
{
    struct gtv_op *op = arg;
    struct gtv_control *c = op->worker->app->control;
    op->control = c;
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

void gtv_ops_destroy(struct gtv_control *c)
{
    for (struct gtv_op *op = c->ops, *next; op; op = next) {
        next = op->next;
        op_release(op);
        free(op);
    }
    c->ops = NULL;
    c->op_count = 0;
}

// ---- the request's loop ----

static void client_gone(void *arg, bool complete)
{
    ((struct gtv_op *)arg)->req =
        NULL; // the operation goes on: the client may have given up waiting, not wanting
}

static void op_send(struct gtv_worker *w, struct gtv_http_request *req, struct gtv_op *op)
{
    op->worker = w;
    op->req = req;
    gtv_http_on_close(req, client_gone, op);
    if (gtv_loop_post(w->app->workers[0].loop, op_arrives, op))
        return;
    gtv_http_on_close(req, NULL, NULL);
    free(op);
    gtv_reply_error(req, GTV_E_UNAVAILABLE, NULL, "the service is stopping or overloaded");
}

void gtv_handle_provision(struct gtv_http_request *req, void *worker)
{
    struct gtv_op *op = GTV_NEW(struct gtv_op);
    struct gtv_error err = {0};
    op->kind = OP_PROVISION;
    if (!gtv_provision_parse(gtv_http_body(req), &op->camera, &err)) {
        free(op);
        gtv_reply_invalid(req, &err);
        return;
    }
    op_send(worker, req, op);
}

void gtv_handle_remove(struct gtv_http_request *req, void *worker)
{
    int64_t id;
    if (!gtv_param_camera(req, &id))
        return;
    struct gtv_op *op = GTV_NEW(struct gtv_op);
    op->kind = OP_REMOVE;
    op->camera.id = id;
    op_send(worker, req, op);
}
