#include "services/ai/detect/asked.h"

#include "lib/base/clock.h"

#include <math.h>
#include <stdio.h>

enum { RETRY_MAX_S = 60 };

static void add_error(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_error *err)
{
    yyjson_mut_val *e = yyjson_mut_obj_add_obj(doc, o, "error");
    yyjson_mut_obj_add_strcpy(doc, e, "detail", err->message);
    yyjson_mut_obj_add_str(doc, e, "code", gtv_code_name(err->code));
    gtv_json_add_text(doc, e, "field", err->field);
}

void gtv_asked_answer_failure(struct gtv_ai *ai, struct gtv_http_request *req, const struct gtv_error *err)
{
    gtv_ai_count_reject(ai, gtv_code_name(err->code));
    if (err->code == GTV_E_INVALID)
        gtv_reply_invalid(req, err);
    else
        gtv_reply_error_from(req, err);
}

void gtv_asked_answer_busy(struct gtv_ai *ai, struct gtv_http_request *req, const char *cause,
                           const char *message, double wait_ms)
{
    gtv_ai_count_reject(ai, cause);
    struct gtv_error err = {0};
    gtv_error_set(&err, GTV_E_UNAVAILABLE, NULL, "%s", message);
    // When half of what waits is done there is room again.
    gtv_reply_error_later(req, &err, (unsigned)fmin(fmax(ceil(wait_ms / 2000), 1), RETRY_MAX_S));
}

// The outcome of the i-th picture. False with *err.
static bool outcome(const struct gtv_asked *a, size_t i, struct gtv_error *err)
{
    if (!atomic_load(&a->pictures[i].done))
        gtv_error_set(err, GTV_E_TIMEOUT, NULL, NULL);
    else
        *err = a->pictures[i].exam.err;
    return err->code == GTV_OK;
}

static void answer_batch(const struct gtv_asked *a, struct gtv_http_request *req)
{
    size_t failed = 0;
    yyjson_mut_val *root;
    yyjson_mut_doc *doc = gtv_json_object(&root);
    yyjson_mut_val *results = yyjson_mut_obj_add_arr(doc, root, "results");
    for (size_t i = 0; i < a->count; i++) {
        struct gtv_error err = {0};
        yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, results);
        yyjson_mut_obj_add_uint(doc, o, "index", i);
        yyjson_mut_obj_add_sint(doc, o, "camera_id", a->pictures[i].exam.camera_id);
        if (outcome(a, i, &err)) {
            yyjson_mut_obj_add_null(doc, o, "error");
            gtv_exam_write(&a->pictures[i].exam, doc, o, true);
        } else {
            gtv_ai_count_reject(a->ai, gtv_code_name(err.code));
            add_error(doc, o, &err);
            failed++;
        }
    }
    yyjson_mut_obj_add_uint(doc, root, "total", a->count);
    yyjson_mut_obj_add_uint(doc, root, "failed", failed);
    yyjson_mut_obj_add_real(doc, root, "processing_time_ms",
                            round((double)(gtv_mono_ns() - a->received_ns) / 1e3) / 1e3);
    gtv_reply_json(req, 200, doc);
}

static void answer_jpeg(const struct gtv_exam *exam, struct gtv_http_request *req)
{
    char count[16], ms[24];
    int count_len = snprintf(count, sizeof(count), "%zu", exam->found.count);
    int ms_len = snprintf(ms, sizeof(ms), "%.3f", exam->processing_ms);
    const struct gtv_http_header headers[] = {
        {GTV_STR("Content-Type"), GTV_STR("image/jpeg")},
        {GTV_STR("X-Detections"), {count, (size_t)count_len}},
        {GTV_STR("X-Processing-Time-Ms"), {ms, (size_t)ms_len}},
    };
    gtv_http_reply(req, 200, headers, 3, exam->annotated);
}

void gtv_asked_answer(const struct gtv_asked *a, struct gtv_http_request *req, bool late)
{
    struct gtv_error err = {0};
    bool any = false;
    for (size_t i = 0; i < a->count && !any; i++)
        any = atomic_load(&a->pictures[i].done);
    if (a->batch && any) {
        answer_batch(a, req);
    } else if (late || !outcome(a, 0, &err)) {
        if (late)
            gtv_error_set(&err, GTV_E_TIMEOUT, NULL, NULL);
        gtv_asked_answer_failure(a->ai, req, &err);
    } else if (a->jpeg && a->pictures[0].exam.annotated) {
        answer_jpeg(&a->pictures[0].exam, req);
    } else {
        yyjson_mut_val *o;
        yyjson_mut_doc *doc = gtv_json_object(&o);
        gtv_exam_write(&a->pictures[0].exam, doc, o, true);
        gtv_reply_json(req, 200, doc);
    }
}
