// GET and DELETE /result/{id}. Who waits is told by the stream ai:done; every RECHECK_MS his result is looked
// for all the same, so that nothing depends on that message.
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/ai/jobs/internal.h"

#include <stdlib.h>

enum {
    WAITERS_MAX = 1000, // beyond it 429
    WAIT_MAX_S = 30,    // below any idle time-out on the way
    RECHECK_MS = 2000,
    REFRESH_MS = 20000, // of the key that says that somebody waits
};

struct waiter {
    struct gtv_jobs *jobs;
    struct waiter *before, *after;
    struct gtv_http_request *req; // NULL: over, freed when its question is answered
    char task[GTV_JOB_TASK_MAX + 1], entry[GTV_JOB_ID_CAP];
    bool state, asking, again;
    int64_t deadline_ms, checked_ms; // deadline 0: does not wait
};

static void reply_not_found(struct gtv_http_request *req, const struct waiter *w)
{
    if (!w->state) {
        gtv_reply_error(req, GTV_E_NOT_FOUND, NULL, "Result not found");
        return;
    }
    // Ours carry their time: such a task was there once.
    int64_t ms = gtv_job_entry_time(gtv_str_of(w->entry));
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_str(doc, o, "detail", "Result not found");
    yyjson_mut_obj_add_str(doc, o, "code", gtv_code_name(GTV_E_NOT_FOUND));
    yyjson_mut_obj_add_null(doc, o, "field");
    yyjson_mut_obj_add_str(doc, o, "state", ms && ms <= gtv_wall_ms() ? "expired" : "unknown");
    gtv_reply_json(req, 404, doc);
}

static void reply_result(struct gtv_http_request *req, const struct waiter *w, struct gtv_str json)
{
    if (!w->state) {
        gtv_http_reply_str(req, 200, "application/json", json);
        return;
    }
    struct gtv_error err = {0};
    yyjson_doc *result = gtv_json_parse(json, &err);
    yyjson_val *status = yyjson_obj_get(yyjson_doc_get_root(result), "status");
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    bool failed = yyjson_equals_str(status, "failed");
    yyjson_mut_obj_add_str(doc, o, "task_id", w->task);
    yyjson_mut_obj_add_str(doc, o, "state", failed ? "failed" : "done");
    if (result)
        yyjson_mut_obj_add_val(doc, o, "result", yyjson_val_mut_copy(doc, yyjson_doc_get_root(result)));
    gtv_reply_json(req, 200, doc);
    yyjson_doc_free(result);
}

static void reply_state(struct gtv_http_request *req, const struct waiter *w, struct gtv_str state,
                        const redisReply *reply)
{
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_str(doc, o, "task_id", w->task);
    yyjson_mut_obj_add_strncpy(doc, o, "state", state.p, state.n);
    if (gtv_str_eq(state, GTV_STR("queued")))
        yyjson_mut_obj_add_int(doc, o, "place", reply_int(reply_at(reply, 1)));
    gtv_reply_json(req, 200, doc);
}

// ---- Those who wait ----

static void remove_waiter(struct waiter *w)
{
    struct gtv_jobs *j = w->jobs;
    if (w->before)
        w->before->after = w->after;
    else
        j->waiters = w->after;
    if (w->after)
        w->after->before = w->before;
    j->waiter_count--;
}

// Takes the request, which must be answered then. The waiter is gone, unless it is asking.
static struct gtv_http_request *detach(struct waiter *w)
{
    struct gtv_http_request *req = w->req;
    w->req = NULL;
    gtv_http_on_close(req, NULL, NULL);
    remove_waiter(w);
    return req;
}

static void on_gone(void *arg, bool complete)
{
    struct waiter *w = arg;
    (void)complete;
    w->req = NULL;
    remove_waiter(w);
    if (!w->asking)
        free(w);
}

static void ask(struct waiter *w);

static void on_state(void *arg, redisReply *reply)
{
    struct waiter *w = arg;
    w->asking = false;
    if (!w->req) { // left, or answered meanwhile
        free(w);
        return;
    }
    struct gtv_str what = reply_str(reply_at(reply, 0));
    bool none = gtv_str_eq(what, GTV_STR("none")), waiting = gtv_mono_ms() < w->deadline_ms;
    if (!reply || reply->type == REDIS_REPLY_ERROR) {
        struct gtv_jobs *j = w->jobs;
        jobs_unavailable(j, detach(w));
    } else if (gtv_str_eq(what, GTV_STR("done"))) {
        reply_result(detach(w), w, reply_str(reply_at(reply, 1)));
    } else if (w->again) {
        ask(w);
        return;
    } else if (waiting) {
        return; // also for tasks without a trace: their producer may be about to add them
    } else if (none || !w->state) {
        reply_not_found(detach(w), w);
    } else {
        reply_state(detach(w), w, what, reply);
    }
    free(w);
}

static void ask(struct waiter *w)
{
    struct gtv_jobs *j = w->jobs;
    if (w->asking) {
        w->again = true;
        return;
    }
    w->again = false;
    w->checked_ms = gtv_mono_ms();
    struct script_args args = {0};
    script_begin(&args, gtv_script_state);
    script_add(&args, gtv_str_of(w->task));
    script_add(&args, gtv_str_of(w->entry));
    script_add(&args, w->state ? GTV_STR("1") : GTV_STR("0"));
    w->asking = true;
    if (!gtv_jobs_up(j) || j->stopping || !script_send(&args, j->redis, on_state, w)) {
        free(args.text);
        free(args.len);
        w->asking = false;
        jobs_unavailable(j, detach(w));
        free(w);
    }
}

void results_on_done(void *arg, const char *id, const redisReply *fields)
{
    struct gtv_jobs *j = arg;
    struct gtv_str task = reply_str(reply_at(fields, 1));
    (void)id;
    for (struct waiter *w = j->waiters, *next; w; w = next) {
        next = w->after;
        if (gtv_str_eq(gtv_str_of(w->task), task))
            ask(w);
    }
}

static void announce(struct gtv_jobs *j, int64_t now)
{
    j->refreshed_ms = now;
    (void)gtv_redis_command(j->redis, NULL, NULL, "SET ai:waiting 1 EX %d", (int)GTV_JOBS_WAITING_S);
}

void results_tick(struct gtv_jobs *j, int64_t now)
{
    if (j->waiters && now - j->refreshed_ms > REFRESH_MS)
        announce(j, now);
    for (struct waiter *w = j->waiters, *next; w; w = next) {
        next = w->after;
        // At the end it is asked once more, so that the answer is of that moment.
        if (!w->asking && (now - w->checked_ms >= RECHECK_MS || now >= w->deadline_ms))
            ask(w);
        else if (w->asking && j->stalled) {
            jobs_unavailable(j, detach(w)); // freed when its question is answered
        }
    }
}

void results_finish(struct gtv_jobs *j)
{
    while (j->waiters) {
        struct waiter *w = j->waiters;
        jobs_unavailable(j, detach(w));
        if (!w->asking)
            free(w);
    }
}

static bool read_wait(struct gtv_http_request *req, int64_t *seconds)
{
    struct gtv_str text = gtv_http_query(req, "wait");
    struct gtv_error err = {0};
    *seconds = 0;
    if (!text.p || gtv_parse_int(text, 0, WAIT_MAX_S, seconds))
        return true;
    gtv_error_set(&err, GTV_E_INVALID, "wait", "wait must be a number of seconds from 0 to %d", WAIT_MAX_S);
    gtv_reply_error_from(req, &err);
    return false;
}

void gtv_jobs_result(struct gtv_jobs *j, struct gtv_http_request *req)
{
    struct gtv_str task = gtv_http_param(req, "id"), state = gtv_http_query(req, "state");
    int64_t seconds;
    bool with_state = false;
    if (!gtv_jobs_up(j) || j->stopping) {
        jobs_unavailable(j, req);
        return;
    }
    if (state.p && !gtv_parse_bool(state, &with_state)) {
        gtv_reply_error(req, GTV_E_INVALID, "state", "state must be 1 or 0");
        return;
    }
    if (!read_wait(req, &seconds))
        return;
    if (j->waiter_count >= WAITERS_MAX) {
        struct gtv_error err = {0};
        gtv_error_set(&err, GTV_E_TOO_MANY, NULL, "%d requests wait for results already", WAITERS_MAX);
        gtv_reply_error_later(req, &err, 1);
        return;
    }
    struct waiter *w = GTV_NEW(struct waiter);
    w->state = with_state;
    if (!gtv_job_task_valid(task) || !gtv_str_copy(w->task, sizeof(w->task), task)) {
        reply_not_found(req, w);
        free(w);
        return;
    }
    (void)gtv_job_task_entry(task, w->entry);
    w->jobs = j;
    w->req = req;
    w->after = j->waiters;
    if (w->after)
        w->after->before = w;
    j->waiters = w;
    j->waiter_count++;
    gtv_http_on_close(req, on_gone, w);
    int64_t now = gtv_mono_ms();
    w->deadline_ms = seconds ? now + seconds * 1000 : 0;
    // Before the question, so that what ends after it is told.
    if (seconds && (j->waiter_count == 1 || now - j->refreshed_ms > REFRESH_MS))
        announce(j, now);
    ask(w);
}

// ---- Cancelling ----

static void cancelled(struct gtv_jobs *j, struct gtv_http_request *req, void *user, redisReply *reply)
{
    struct gtv_str what = reply_str(reply);
    (void)j;
    (void)user;
    if (gtv_str_eq(what, GTV_STR("unknown"))) {
        gtv_reply_error(req, GTV_E_NOT_FOUND, NULL, "Result not found");
        return;
    }
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_bool(doc, o, "success", true);
    yyjson_mut_obj_add_strncpy(doc, o, "was", what.p, what.n);
    gtv_reply_json(req, 200, doc);
}

void gtv_jobs_cancel(struct gtv_jobs *j, struct gtv_http_request *req)
{
    struct gtv_str task = gtv_http_param(req, "id");
    if (!gtv_jobs_up(j)) {
        jobs_unavailable(j, req);
        return;
    }
    if (!gtv_job_task_valid(task)) {
        gtv_reply_error(req, GTV_E_NOT_FOUND, NULL, "Result not found");
        return;
    }
    char entry[GTV_JOB_ID_CAP];
    (void)gtv_job_task_entry(task, entry);
    struct script_args args = {0};
    script_begin(&args, gtv_script_cancel);
    script_add(&args, task);
    script_add(&args, gtv_str_of(entry));
    jobs_ask(j, req, &args, cancelled, NULL, NULL);
}
