// The requests that change cameras. Each is read on its own loop, handed to the control loop, and answered on
// its own loop again, if the client is still there: one that left may have given up waiting, not wanting.
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/streaming/admin.h"
#include "services/streaming/adopt.h"
#include "services/streaming/bulk.h"
#include "services/streaming/provision.h"
#include "services/streaming/routes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PROGRESS_EVERY_MS = 500 };

struct change {
    // The request's loop
    struct gtv_worker *worker;
    struct gtv_http_request *req; // NULL once the client is gone
    // Fixed
    enum gtv_op_kind kind;
    bool many, adopts; // adopts: the list is what the nodes have
    struct gtv_cause cause;
    // The control loop, then handed back
    struct gtv_control *control;
    struct gtv_camera camera;
    struct gtv_op_outcome outcome;
    struct gtv_bulk bulk;
    size_t next, running, done, failed;
    bool pumping;
    int64_t told_ms;
    char job[24];
};

struct line_op {
    struct change *change;
    size_t line;
};

static void change_free(struct change *c)
{
    gtv_bulk_finish(&c->bulk);
    free(c);
}

// ---- the answer, on the request's loop ----

static void answer_one(struct change *c)
{
    char path[GTV_CAMERA_PATH_CAP];
    bool removal = c->kind == GTV_OP_REMOVE;
    yyjson_mut_val *root;
    yyjson_mut_doc *doc = gtv_json_object(&root);
    yyjson_mut_obj_add_bool(doc, root, "success", true);
    yyjson_mut_obj_add_sint(doc, root, "camera_id", c->camera.id);
    yyjson_mut_obj_add_str(doc, root, "result", c->outcome.result);
    if (!removal) {
        yyjson_mut_obj_add_str(doc, root, "stream_path", gtv_camera_path(c->camera.id, path));
        gtv_add_urls(doc, root, &c->worker->app->options, path);
    }
    yyjson_mut_obj_add_str(doc, root, "message", removal ? "Camera removed" : "Camera provisioned");
    gtv_reply_json(c->req, 200, doc);
}

static void answer(void *arg)
{
    struct change *c = arg;
    if (c->req) {
        gtv_http_on_close(c->req, NULL, NULL);
        if (c->outcome.err.code == GTV_E_INVALID)
            gtv_reply_invalid(c->req, &c->outcome.err);
        else if (c->outcome.err.code)
            gtv_reply_error_from(c->req, &c->outcome.err);
        else if (c->many)
            gtv_reply_json(c->req, 200, gtv_bulk_answer(&c->bulk));
        else
            answer_one(c);
    }
    change_free(c);
}

// ---- on the control loop ----

static void over(struct change *c)
{
    if (c->outcome.err.code == GTV_E_CANCELLED || !gtv_loop_post(c->worker->loop, answer, c))
        change_free(c); // that loop is ending, and its requests with it
}

static void one_done(void *arg, const struct gtv_op_outcome *outcome)
{
    struct change *c = arg;
    c->outcome = *outcome;
    over(c);
}

static void tell_progress(struct change *c, bool last)
{
    int64_t now_ms = gtv_mono_ms();
    if (!last && now_ms - c->told_ms < PROGRESS_EVERY_MS)
        return;
    c->told_ms = now_ms;
    const struct gtv_provision_event e = {
        .stream = "provision",
        .action = last ? "done" : "progress",
        .job = c->job,
        .counts = true,
        .done = c->done,
        .total = c->bulk.count,
        .failed = c->failed,
        .wall_ms = gtv_wall_ms(),
    };
    gtv_control_publish(c->control, e.stream, "provision", gtv_event_provision(&e));
}

static void pump(struct change *c);

static void line_done(void *arg, const struct gtv_op_outcome *outcome)
{
    struct line_op *o = arg;
    struct change *c = o->change;
    struct gtv_bulk_line *l = &c->bulk.lines[o->line];
    free(o);
    l->outcome = *outcome;
    l->over = true;
    c->running--;
    c->done++;
    c->failed += outcome->err.code != GTV_OK;
    if (outcome->err.code == GTV_E_CANCELLED)
        c->outcome.err = outcome->err;
    pump(c);
}

// Operations may end at once: they are begun in a loop and not one inside the other.
static void pump(struct change *c)
{
    size_t limit = (size_t)GTV_BULK_AT_ONCE * gtv_nodes_count(c->worker->app->nodes);
    if (c->pumping)
        return;
    c->pumping = true;
    while (c->running < limit && c->next < c->bulk.count && !c->outcome.err.code) {
        size_t at = c->next++;
        if (c->bulk.lines[at].over) {
            c->done++;
            c->failed++;
            continue;
        }
        struct line_op *o = GTV_NEW(struct line_op);
        *o = (struct line_op){c, at};
        c->running++;
        gtv_op_begin(c->control, c->kind, &c->bulk.lines[at].camera, &c->cause, line_done, o);
    }
    c->pumping = false;
    bool ended = c->running == 0 && (c->next == c->bulk.count || c->outcome.err.code);
    if (!c->outcome.err.code)
        tell_progress(c, ended);
    if (!ended)
        return;
    c->control->bulk_jobs--;
    struct gtv_log log = c->worker->app->log;
    log.cause = &c->cause;
    if (!c->outcome.err.code)
        gtv_log_info(&log, "cameras changed together", "job=%s total=%zu failed=%zu", c->job, c->bulk.count,
                     c->failed);
    over(c);
}

static void begin_lines(struct change *c)
{
    if (c->control->bulk_jobs >= GTV_BULK_JOBS) {
        gtv_error_set(&c->outcome.err, GTV_E_LIMIT, NULL,
                      "%d lists of cameras are being worked on; try again in a moment", (int)GTV_BULK_JOBS);
        over(c);
        return;
    }
    c->control->bulk_jobs++;
    snprintf(c->job, sizeof c->job, "%" PRIx64, (uint64_t)gtv_wall_us());
    c->told_ms = gtv_mono_ms();
    pump(c);
}

static void found(void *arg, struct gtv_bulk *lines, const struct gtv_error *err)
{
    struct change *c = arg;
    c->bulk = *lines;
    if (!err) {
        begin_lines(c);
        return;
    }
    c->outcome.err = *err;
    over(c);
}

static void change_arrives(void *arg)
{
    struct change *c = arg;
    c->control = c->worker->app->control;
    if (c->adopts) {
        if (gtv_adopt_begin(c->control, found, c))
            return;
        gtv_error_set(&c->outcome.err, GTV_E_CONFLICT, NULL, "the media nodes are being asked already");
        over(c);
    } else if (c->many) {
        begin_lines(c);
    } else {
        gtv_op_begin(c->control, c->kind, &c->camera, &c->cause, one_done, c);
    }
}

// ---- the request's loop ----

static void client_gone(void *arg, bool complete)
{
    ((struct change *)arg)->req = NULL;
}

static void send_change(struct gtv_worker *w, struct gtv_http_request *req, struct change *c)
{
    c->worker = w;
    c->req = req;
    c->cause = *gtv_http_cause(req);
    gtv_http_on_close(req, client_gone, c);
    if (gtv_loop_post(w->app->workers[0].loop, change_arrives, c))
        return;
    gtv_http_on_close(req, NULL, NULL);
    change_free(c);
    gtv_reply_error(req, GTV_E_UNAVAILABLE, NULL, "the service is stopping or overloaded");
}

static void provision(struct gtv_http_request *req, struct gtv_worker *w, int64_t path_id)
{
    struct change *c = GTV_NEW(struct change);
    struct gtv_error err = {0};
    c->kind = GTV_OP_PROVISION;
    if (!gtv_provision_parse(gtv_http_body(req), path_id, &c->camera, &err)) {
        free(c);
        gtv_reply_invalid(req, &err);
        return;
    }
    send_change(w, req, c);
}

void gtv_handle_provision(struct gtv_http_request *req, void *worker)
{
    provision(req, worker, 0);
}

void gtv_handle_put(struct gtv_http_request *req, void *worker)
{
    int64_t id;
    if (gtv_param_camera(req, &id))
        provision(req, worker, id);
}

void gtv_handle_remove(struct gtv_http_request *req, void *worker)
{
    int64_t id;
    if (!gtv_param_camera(req, &id))
        return;
    struct change *c = GTV_NEW(struct change);
    c->kind = GTV_OP_REMOVE;
    c->camera.id = id;
    send_change(worker, req, c);
}

static void bulk(struct gtv_http_request *req, struct gtv_worker *w, enum gtv_op_kind kind)
{
    struct gtv_error err = {0};
    struct gtv_str body = gtv_http_body(req), type = gtv_http_header(req, "Content-Type");
    bool csv = gtv_str_ieq(gtv_str_trim(gtv_str_cut(&type, ';')), GTV_STR("text/csv"));
    char *text = malloc(body.n + 1); // CSV is read in place, and the request's bytes are not ours to change
    if (!text) {
        gtv_reply_error(req, GTV_E_LIMIT, NULL, "no memory for this list");
        return;
    }
    memcpy(text, body.n ? body.p : "", body.n);
    text[body.n] = '\0';
    struct change *c = GTV_NEW(struct change);
    c->kind = kind;
    c->many = true;
    bool ok = gtv_bulk_parse(text, body.n, csv, &c->bulk, &err);
    free(text);
    if (ok) {
        send_change(w, req, c);
        return;
    }
    free(c);
    if (err.code == GTV_E_INVALID)
        gtv_reply_invalid(req, &err);
    else
        gtv_reply_error_from(req, &err);
}

void gtv_handle_bulk(struct gtv_http_request *req, void *worker)
{
    bulk(req, worker, GTV_OP_PROVISION);
}

void gtv_handle_import(struct gtv_http_request *req, void *worker)
{
    struct gtv_worker *w = worker;
    if (gtv_admin_required(req, w->app))
        bulk(req, w, GTV_OP_STORE);
}

void gtv_handle_adopt(struct gtv_http_request *req, void *worker)
{
    struct gtv_worker *w = worker;
    if (!gtv_admin_required(req, w->app))
        return;
    struct change *c = GTV_NEW(struct change);
    c->kind = GTV_OP_STORE;
    c->many = c->adopts = true;
    send_change(w, req, c);
}
