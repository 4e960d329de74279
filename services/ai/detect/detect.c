// A posted picture's way: parsed on the loop -> queued -> a worker decodes, prepares, detects -> back on the
// loop -> answered. The request may be over before (deadline, client gone): the job then goes its way without
// one, and a worker that finds it so does nothing.
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/ai/picture/base64.h"
#include "services/ai/picture/image.h"
#include "services/ai/picture/multipart.h"
#include "services/ai/service.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { SWEEP_MS = 50 };

struct gtv_detect_job {
    struct gtv_task task;
    struct gtv_ai *ai;
    atomic_bool cancelled;

    // The loop's.
    struct gtv_http_request *req; // NULL once answered or gone
    struct gtv_detect_job *before, *after;
    int64_t deadline_ms;

    // Set before it is queued.
    int64_t camera_id, received_wall_ms, received_ns;
    size_t size;           // of the request's body
    const char *field;     // of the request, which the picture came in
    yyjson_doc *doc;       // holds text
    struct gtv_str text;   // base64, or
    struct gtv_bytes *raw; // the picture itself

    // The worker's result.
    struct gtv_error err;
    struct gtv_detections found;
    int width, height;
    double wait_ms, decode_ms, prepare_ms, infer_ms, work_ms;
};

static double ms_since(int64_t ns)
{
    return (double)(gtv_mono_ns() - ns) / 1e6;
}

static double rounded(double v)
{
    return round(v * 1000) / 1000;
}

// ---- Answers ----

static void reply_failure(struct gtv_ai *ai, struct gtv_http_request *req, const struct gtv_error *err)
{
    gtv_ai_count_reject(ai, err->code);
    if (err->code == GTV_E_INVALID)
        gtv_reply_invalid(req, err);
    else
        gtv_reply_error_from(req, err);
}

// With the seconds after which the queue should have room again.
static void reply_full(struct gtv_ai *ai, struct gtv_http_request *req)
{
    double each_ms = ai->processed ? ai->processed_ms / (double)ai->processed : 100;
    size_t waiting = gtv_pool_posted(ai->pool);
    double seconds = ceil((double)waiting * each_ms / 1000 / (double)gtv_pool_workers(ai->pool) / 2);
    char retry_after[16], message[96];
    int n = snprintf(retry_after, sizeof(retry_after), "%d", (int)fmin(fmax(seconds, 1), 60));
    snprintf(message, sizeof(message), "The queue is full: %zu pictures wait, of %zu MiB", waiting,
             ai->queued_bytes >> 20);
    gtv_ai_count_reject(ai, GTV_E_UNAVAILABLE);
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_strcpy(doc, o, "detail", message);
    yyjson_mut_obj_add_str(doc, o, "code", gtv_code_name(GTV_E_UNAVAILABLE));
    yyjson_mut_obj_add_null(doc, o, "field");
    struct gtv_bytes *body = gtv_json_write(doc);
    const struct gtv_http_header headers[] = {{GTV_STR("Content-Type"), GTV_STR("application/json")},
                                              {GTV_STR("Retry-After"), {retry_after, (size_t)n}}};
    gtv_http_reply(req, 503, headers, 2, body);
    gtv_bytes_unref(body);
}

static void add_detection(yyjson_mut_doc *doc, yyjson_mut_val *list, const struct gtv_detect_job *job,
                          const struct gtv_detected *d)
{
    char when[GTV_ISO8601_CAP];
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);
    yyjson_mut_obj_add_sint(doc, o, "camera_id", job->camera_id);
    yyjson_mut_obj_add_strcpy(doc, o, "timestamp", gtv_iso8601_naive(job->received_wall_ms, when));
    yyjson_mut_obj_add_str(doc, o, "object_type", d->object_type);
    yyjson_mut_obj_add_real(doc, o, "confidence", rounded(d->confidence));
    yyjson_mut_val *box = yyjson_mut_obj_add_obj(doc, o, "bbox");
    yyjson_mut_obj_add_int(doc, box, "x", d->x);
    yyjson_mut_obj_add_int(doc, box, "y", d->y);
    yyjson_mut_obj_add_int(doc, box, "w", d->w);
    yyjson_mut_obj_add_int(doc, box, "h", d->h);
    // Plates and makes are not recognised by this version: the keys stay, as clients expect them.
    yyjson_mut_obj_add_null(doc, o, "plate_number");
    yyjson_mut_obj_add_null(doc, o, "vehicle_model");
    yyjson_mut_obj_add_null(doc, o, "vehicle_confidence");
}

static void reply_found(struct gtv_ai *ai, struct gtv_http_request *req, const struct gtv_detect_job *job)
{
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "detections");
    for (size_t i = 0; i < job->found.count; i++)
        add_detection(doc, list, job, &job->found.objects[i]);
    yyjson_mut_obj_add_real(doc, o, "processing_time_ms", rounded(ms_since(job->received_ns)));
    yyjson_mut_val *image = yyjson_mut_obj_add_obj(doc, o, "image");
    yyjson_mut_obj_add_int(doc, image, "width", job->width);
    yyjson_mut_obj_add_int(doc, image, "height", job->height);
    yyjson_mut_obj_add_str(doc, o, "model", gtv_detector_model(ai->detector)->name);
    gtv_reply_json(req, 200, doc);
}

// ---- The list of unanswered jobs ----

static void enlist(struct gtv_ai *ai, struct gtv_detect_job *job)
{
    job->before = ai->jobs_last;
    if (job->before)
        job->before->after = job;
    else
        ai->jobs = job;
    ai->jobs_last = job;
    ai->queued_bytes += job->size;
}

// Takes the request from the job; it must be answered, unless it is gone.
static struct gtv_http_request *detach(struct gtv_detect_job *job)
{
    struct gtv_ai *ai = job->ai;
    struct gtv_http_request *req = job->req;
    if (!req)
        return NULL;
    gtv_http_on_close(req, NULL, NULL);
    job->req = NULL;
    if (job->before)
        job->before->after = job->after;
    else
        ai->jobs = job->after;
    if (job->after)
        job->after->before = job->before;
    else
        ai->jobs_last = job->before;
    return req;
}

static void on_gone(void *arg, bool complete)
{
    struct gtv_detect_job *job = arg;
    atomic_store(&job->cancelled, true);
    (void)detach(job);
    gtv_ai_count_reject(job->ai, GTV_E_CANCELLED);
}

static void sweep(void *arg)
{
    struct gtv_ai *ai = arg;
    int64_t now = gtv_mono_ms();
    while (ai->jobs && now >= ai->jobs->deadline_ms) { // in order of arrival, so in order of deadlines
        struct gtv_detect_job *job = ai->jobs;
        atomic_store(&job->cancelled, true);
        struct gtv_http_request *req = detach(job);
        gtv_ai_count_reject(ai, GTV_E_TIMEOUT);
        gtv_reply_error(req, GTV_E_TIMEOUT, NULL, "Processing timeout");
    }
    if (!ai->jobs)
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

static void free_job(struct gtv_detect_job *job)
{
    yyjson_doc_free(job->doc);
    gtv_bytes_unref(job->raw);
    free(job);
}

// ---- The worker's part ----

static bool decode(struct gtv_detect_job *job, const struct gtv_model *model, struct gtv_image *image)
{
    uint8_t *bytes = NULL;
    struct gtv_str data;
    if (job->raw) {
        data = gtv_bytes_str(job->raw);
    } else {
        size_t n = 0;
        if (!gtv_base64_decode(job->text, &bytes, &n, &job->err))
            return false;
        data = (struct gtv_str){(const char *)bytes, n};
    }
    bool ok = gtv_image_decode(data, model->input.width, model->input.height, image, &job->err);
    free(bytes);
    return ok;
}

static void detect(struct gtv_detect_job *job, size_t worker)
{
    struct gtv_detector *detector = job->ai->detector;
    const struct gtv_model *model = gtv_detector_model(detector);
    int64_t start = gtv_mono_ns();
    struct gtv_image image;
    if (!decode(job, model, &image)) {
        snprintf(job->err.field, sizeof(job->err.field), "%s", job->field);
        return;
    }
    job->decode_ms = ms_since(start);
    job->width = image.full_width;
    job->height = image.full_height;
    int64_t prepare = gtv_mono_ns();
    struct gtv_detector_input in = {.min_confidence = job->ai->settings->confidence};
    gtv_geometry_init(&in.at, model, image.full_width, image.full_height);
    bool filled = gtv_geometry_fill(&in.at, image.rgb, image.width, image.height, image.stride,
                                    gtv_detector_pixels(detector, worker, 0));
    gtv_image_finish(&image);
    job->prepare_ms = ms_since(prepare);
    if (!filled)
        gtv_error_set(&job->err, GTV_E_UNAVAILABLE, NULL, "there is no memory for this picture");
    else if (!gtv_detector_run(detector, worker, &in, 1, &job->found, &job->infer_ms, &job->err))
        job->err.code = GTV_E_INTERNAL;
    job->work_ms = ms_since(start);
}

// Back on the loop.
static void finish(void *arg)
{
    struct gtv_detect_job *job = arg;
    struct gtv_ai *ai = job->ai;
    ai->queued_bytes -= job->size;
    bool done = !job->err.code && job->work_ms > 0;
    if (done) {
        gtv_ai_count_processed(ai, job->work_ms);
        gtv_histogram_observe(ai->wait_seconds, job->wait_ms / 1000);
        gtv_histogram_observe(ai->decode_seconds, job->decode_ms / 1000);
        gtv_histogram_observe(ai->prepare_seconds, job->prepare_ms / 1000);
        gtv_histogram_observe(ai->infer_seconds, job->infer_ms / 1000);
    }
    struct gtv_http_request *req = detach(job);
    if (req && job->err.code)
        reply_failure(ai, req, &job->err);
    else if (req)
        reply_found(ai, req, job);
    if (ai->pool) // it is gone when the program ends
        gtv_gauge_set(ai->queue_size, (int64_t)gtv_pool_posted(ai->pool));
    free_job(job);
}

static void run(struct gtv_task *task, size_t worker)
{
    struct gtv_detect_job *job =
        (struct gtv_detect_job *)(void *)((char *)task - offsetof(struct gtv_detect_job, task));
    job->wait_ms = ms_since(job->received_ns);
    if (!atomic_load(&job->cancelled))
        detect(job, worker);
    // The loop's queue is only full for a moment, and it is emptied until after the pool has ended.
    while (!gtv_loop_post(job->ai->loop, finish, job)) {
        struct timespec moment = {.tv_nsec = 1000000};
        (void)nanosleep(&moment, NULL);
    }
}

// ---- The loop's part ----

static void refuse(struct gtv_ai *ai, struct gtv_http_request *req, struct gtv_detect_job *job,
                   const struct gtv_error *err)
{
    free_job(job);
    reply_failure(ai, req, err);
}

static void submit(struct gtv_ai *ai, struct gtv_http_request *req, struct gtv_detect_job *job)
{
    job->deadline_ms = gtv_mono_ms() + GTV_AI_DETECT_TIMEOUT_MS;
    job->req = req;
    job->size = gtv_http_body(req).n;
    if (ai->queued_bytes + job->size > GTV_AI_MAX_QUEUED || !gtv_pool_post(ai->pool, &job->task)) {
        free_job(job);
        reply_full(ai, req);
        return;
    }
    // Not seen by finish() before this returns: it runs on this thread.
    enlist(ai, job);
    gtv_http_on_close(req, on_gone, job);
    if (ai->jobs == job)
        gtv_timer_start(ai->deadlines, SWEEP_MS, SWEEP_MS);
    gtv_gauge_set(ai->queue_size, (int64_t)gtv_pool_posted(ai->pool));
}

// NULL when the request was answered, because there is no network.
static struct gtv_detect_job *new_job(struct gtv_ai *ai, struct gtv_http_request *req, const char *field)
{
    if (!gtv_detector_model(ai->detector)) {
        gtv_ai_count_reject(ai, GTV_E_UNAVAILABLE);
        gtv_reply_error(req, GTV_E_UNAVAILABLE, NULL, gtv_detector_message(ai->detector));
        return NULL;
    }
    struct gtv_detect_job *job = GTV_NEW(struct gtv_detect_job);
    job->ai = ai;
    job->task.run = run;
    job->field = field;
    job->received_ns = gtv_mono_ns();
    job->received_wall_ms = gtv_wall_ms();
    return job;
}

// No Content-Type counts as JSON, as it did for the clients of old.
static bool is_json(struct gtv_str content_type)
{
    struct gtv_str type = gtv_str_trim(gtv_str_cut(&content_type, ';'));
    return type.n == 0 || gtv_str_ieq(type, GTV_STR("application/json")) ||
           gtv_str_ends(type, GTV_STR("+json"));
}

void gtv_ai_handle_detect(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    struct gtv_detect_job *job = new_job(ai, req, "image_base64");
    if (!job)
        return;
    struct gtv_error err = {0};
    if (!is_json(gtv_http_header(req, "content-type"))) {
        gtv_error_set(&err, GTV_E_UNSUPPORTED, "content-type",
                      "Content-Type must be application/json; a picture by itself goes to /detect/upload");
        refuse(ai, req, job, &err);
        return;
    }
    job->doc = gtv_json_parse(gtv_http_body(req), &err);
    yyjson_val *root = yyjson_doc_get_root(job->doc);
    bool ok = job->doc != NULL;
    if (ok && !yyjson_is_obj(root)) {
        gtv_error_set(&err, GTV_E_INVALID, NULL, "The body must be a JSON object");
        ok = false;
    }
    ok = ok && gtv_json_get_int(root, "camera_id", GTV_JSON_REQUIRED, 0, INT64_MAX, &job->camera_id, &err) &&
         gtv_json_get_str(root, "image_base64", GTV_JSON_REQUIRED, &job->text, &err);
    if (ok)
        submit(ai, req, job);
    else
        refuse(ai, req, job, &err);
}

void gtv_ai_handle_upload(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    struct gtv_detect_job *job = new_job(ai, req, "file");
    if (!job)
        return;
    struct gtv_error err = {0};
    struct gtv_str file = {0};
    struct gtv_str id = gtv_http_query(req, "camera_id");
    bool ok = gtv_parse_int(id, 0, INT64_MAX, &job->camera_id);
    if (!ok)
        gtv_error_set(&err, GTV_E_INVALID, "camera_id",
                      id.p ? "camera_id must be a whole number" : "camera_id is missing in the query");
    ok = ok &&
         gtv_multipart_find(gtv_http_header(req, "content-type"), gtv_http_body(req), "file", &file, &err);
    if (ok) {
        // The request's memory goes with the client; the worker needs its own.
        job->raw = gtv_bytes_copy(file.p, file.n);
        ok = job->raw != NULL;
        if (!ok)
            gtv_error_set(&err, GTV_E_UNAVAILABLE, NULL, "there is no memory for this picture");
    }
    if (ok)
        submit(ai, req, job);
    else
        refuse(ai, req, job, &err);
}
