#include "services/ai/detect/asked.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SWEEP_MS = 50 };

static void destroy(struct gtv_asked *a)
{
    for (size_t i = 0; i < a->count; i++)
        gtv_exam_finish(&a->pictures[i].exam);
    yyjson_doc_free(a->doc);
    free(a->body);
    free(a->pictures);
    free(a);
}

// ---- The list of the unanswered ----

static void enlist(struct gtv_asked *a)
{
    struct gtv_ai *ai = a->ai;
    a->before = ai->asked_last;
    if (a->before)
        a->before->after = a;
    else
        ai->asked = a;
    ai->asked_last = a;
    ai->queued_bytes += a->body_len;
    if (ai->asked == a)
        gtv_timer_start(ai->deadlines, SWEEP_MS, SWEEP_MS);
}

// Takes the request from it; it must be answered, unless it is gone.
static struct gtv_http_request *detach(struct gtv_asked *a)
{
    struct gtv_ai *ai = a->ai;
    struct gtv_http_request *req = a->req;
    if (!req)
        return NULL;
    gtv_http_on_close(req, NULL, NULL);
    a->req = NULL;
    if (a->before)
        a->before->after = a->after;
    else
        ai->asked = a->after;
    if (a->after)
        a->after->before = a->before;
    else
        ai->asked_last = a->before;
    return req;
}

// All exams are given back.
static void finish(void *arg)
{
    struct gtv_asked *a = arg;
    struct gtv_http_request *req = detach(a);
    a->ai->queued_bytes -= a->body_len;
    if (req)
        gtv_asked_answer(a, req, false);
    destroy(a);
}

static bool give_back(struct gtv_asked *a)
{
    return atomic_fetch_sub(&a->left, 1) == 1;
}

// Nobody waits for it any more: what a worker has not begun is taken out of the queue.
static void abandon(struct gtv_asked *a)
{
    atomic_store(&a->cancelled, true);
    atomic_fetch_add(&a->left, 1);
    for (size_t i = 0; i < a->count; i++)
        if (!atomic_load(&a->pictures[i].done) && gtv_exam_withdraw(&a->pictures[i].exam))
            (void)give_back(a);
    if (give_back(a))
        finish(a);
}

static void on_gone(void *arg, bool complete)
{
    struct gtv_asked *a = arg;
    (void)detach(a);
    gtv_ai_count_reject(a->ai, gtv_code_name(GTV_E_CANCELLED));
    abandon(a);
}

static void sweep(void *arg)
{
    struct gtv_ai *ai = arg;
    int64_t now = gtv_mono_ms();
    while (ai->asked && now >= ai->asked->deadline_ms) { // in order of arrival, so in order of deadlines
        struct gtv_asked *a = ai->asked;
        gtv_asked_answer(a, detach(a), true);
        abandon(a);
    }
    if (!ai->asked)
        gtv_timer_stop(ai->deadlines);
}

void gtv_ai_detect_init(struct gtv_ai *ai)
{
    ai->deadlines = gtv_timer_create(ai->loop, sweep, ai);
}

void gtv_ai_detect_finish(struct gtv_ai *ai)
{
    gtv_timer_destroy(ai->deadlines);
    ai->deadlines = NULL;
}

// ---- A request's way ----

struct gtv_asked *gtv_asked_create(struct gtv_ai *ai, struct gtv_http_request *req)
{
    struct gtv_error err = {0};
    struct gtv_detector *d = gtv_engine_detector(ai->engine);
    if (!gtv_detector_model(d))
        gtv_error_set(&err, GTV_E_UNAVAILABLE, NULL, "%s", gtv_detector_message(d));
    gtv_detector_unref(d);
    size_t len = 0;
    char *body = err.code ? NULL : gtv_http_take_body(req, &len);
    if (!err.code && !body)
        gtv_error_set(&err, GTV_E_UNAVAILABLE, NULL, "there is no memory for this request");
    if (err.code) {
        gtv_asked_answer_failure(ai, req, &err);
        return NULL;
    }
    struct gtv_asked *a = GTV_NEW(struct gtv_asked);
    a->ai = ai;
    a->req = req;
    a->body = body;
    a->body_len = len;
    a->received_ns = gtv_mono_ns();
    a->deadline_ms = gtv_mono_ms() + GTV_AI_DETECT_TIMEOUT_MS;
    return a;
}

// Back from a worker, on its thread.
static void on_done(struct gtv_exam *exam)
{
    struct gtv_asked_picture *p = (struct gtv_asked_picture *)(void *)exam;
    struct gtv_asked *a = p->asked;
    atomic_store(&p->done, true);
    if (!give_back(a))
        return;
    // The loop's queue is only full for a moment, and it is emptied until after the engine has ended.
    while (!gtv_loop_post(a->ai->loop, finish, a)) {
        struct timespec moment = {.tv_nsec = 1000000};
        (void)nanosleep(&moment, NULL);
    }
}

// The address: whoever posts a thousand pictures keeps only himself waiting. FNV-1a.
static uint64_t client_of(struct gtv_http_request *req)
{
    struct gtv_str peer = gtv_http_peer(req);
    uint64_t hash = 0xcbf29ce484222325U;
    for (size_t i = 0; i < peer.n; i++)
        hash = (hash ^ (uint8_t)peer.p[i]) * 0x100000001b3U;
    return hash;
}

void gtv_asked_set_count(struct gtv_asked *a, size_t count, const struct gtv_exam_options *options)
{
    int64_t wall_ms = gtv_wall_ms();
    uint64_t client = client_of(a->req);
    a->pictures = gtv_alloc(count * sizeof(*a->pictures));
    a->count = count;
    for (size_t i = 0; i < count; i++) {
        a->pictures[i].asked = a;
        struct gtv_exam *exam = &a->pictures[i].exam;
        exam->work.kind = GTV_WORK_REQUEST;
        exam->work.client = client;
        exam->received_ns = a->received_ns;
        exam->received_wall_ms = wall_ms;
        exam->options = *options;
        exam->cancelled = &a->cancelled;
        exam->done = on_done;
    }
}

void gtv_asked_fail_picture(struct gtv_asked *a, size_t i, const struct gtv_error *err)
{
    a->pictures[i].exam.err = *err;
    atomic_store(&a->pictures[i].done, true);
}

void gtv_asked_refuse(struct gtv_asked *a, const struct gtv_error *err)
{
    gtv_asked_answer_failure(a->ai, a->req, err);
    destroy(a);
}

// True when the queue is so long that the answer would come too late.
static bool too_busy(struct gtv_asked *a)
{
    struct gtv_ai *ai = a->ai;
    char message[128];
    double wait_ms =
        gtv_engine_expected_wait_ms(ai->engine, GTV_WORK_REQUEST, a->pictures[0].exam.work.client);
    if (ai->queued_bytes + a->body_len > GTV_AI_MAX_QUEUED) {
        snprintf(message, sizeof(message), "The queue is full: %zu MiB of pictures wait",
                 ai->queued_bytes >> 20);
        gtv_asked_answer_busy(ai, a->req, "queue_bytes", message, wait_ms);
    } else if (wait_ms > GTV_AI_DETECT_TIMEOUT_MS) {
        snprintf(message, sizeof(message), "The queue is too long: about %.0f s, and the deadline is %d s",
                 wait_ms / 1000, GTV_AI_DETECT_TIMEOUT_MS / 1000);
        gtv_asked_answer_busy(ai, a->req, "queue_wait", message, wait_ms);
    } else {
        return false;
    }
    destroy(a);
    return true;
}

static void fail_full(struct gtv_asked *a, size_t i)
{
    struct gtv_error err = {0};
    gtv_error_set(&err, GTV_E_UNAVAILABLE, NULL, "The queue is full: %lld pictures wait",
                  (long long)a->ai->settings->max_queue_size);
    gtv_asked_fail_picture(a, i, &err);
}

void gtv_asked_submit(struct gtv_asked *a)
{
    struct gtv_ai *ai = a->ai;
    if (too_busy(a))
        return;
    enlist(a);
    gtv_http_on_close(a->req, on_gone, a);
    atomic_store(&a->left, a->count + 1);
    size_t posted = 0;
    for (size_t i = 0; i < a->count; i++) {
        struct gtv_asked_picture *p = &a->pictures[i];
        bool failed = atomic_load(&p->done);
        if (!failed && gtv_exam_post(&p->exam, ai->examiner)) {
            posted++;
            continue;
        }
        if (!failed)
            fail_full(a, i);
        (void)give_back(a);
    }
    if (!give_back(a))
        return;
    if (!posted && a->pictures[0].exam.err.code == GTV_E_UNAVAILABLE) {
        double wait_ms =
            gtv_engine_expected_wait_ms(ai->engine, GTV_WORK_REQUEST, a->pictures[0].exam.work.client);
        gtv_asked_answer_busy(ai, detach(a), "queue_full", a->pictures[0].exam.err.message, wait_ms);
    }
    finish(a);
}
