#include "services/ai/detect/models.h"
#include "services/ai/service.h"

#include <stdio.h>

// ---- Figures ----

static struct gtv_counter *rejects(struct gtv_ai *ai, const char *cause)
{
    char labels[64];
    snprintf(labels, sizeof(labels), "cause=\"%s\"", cause);
    return gtv_metrics_counter(ai->pages.metrics, "gtv_ai_rejects_total", labels,
                               "Pictures that were posted for detection and got no result.");
}

void gtv_ai_register_metrics(struct gtv_ai *ai)
{
    struct gtv_metrics *m = ai->pages.metrics;
    struct gtv_detector *d = gtv_engine_detector(ai->engine);
    const struct gtv_model *model = gtv_detector_model(d);
    char labels[160];
    snprintf(labels, sizeof(labels), "model=\"%s\",device=\"%s\"", model ? model->name : "",
             gtv_detector_device(d));
    gtv_gauge_set(gtv_metrics_gauge(m, "gtv_ai_model_loaded", labels, "1 when a network is loaded."),
                  model != NULL);
    gtv_detector_unref(d);
    struct gtv_engine_stats stats;
    gtv_engine_get_stats(ai->engine, &stats);
    (void)rejects(ai, "queue_full"); // so that the family stands on the page before the first
    gtv_gauge_set(gtv_metrics_gauge(m, "gtv_ai_workers", "", "Inference threads."), (int64_t)stats.workers);
}

void gtv_ai_count_reject(struct gtv_ai *ai, const char *cause)
{
    gtv_counter_add(rejects(ai, cause), 1);
}

size_t gtv_ai_waiting(struct gtv_ai *ai, enum gtv_work_kind kind)
{
    struct gtv_engine_stats stats = {0};
    if (ai->engine)
        gtv_engine_get_stats(ai->engine, &stats);
    return stats.waiting[kind];
}

// ---- Health ----

static void add_text_or_null(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *key, const char *text)
{
    if (text && *text)
        yyjson_mut_obj_add_strcpy(doc, o, key, text);
    else
        yyjson_mut_obj_add_null(doc, o, key);
}

static void add_model(yyjson_mut_doc *doc, yyjson_mut_val *o, struct gtv_ai *ai)
{
    struct gtv_detector *d = gtv_engine_detector(ai->engine);
    const struct gtv_model *model = gtv_detector_model(d);
    if (!model) {
        yyjson_mut_obj_add_null(doc, o, "model");
    } else {
        yyjson_mut_val *m = yyjson_mut_obj_add_obj(doc, o, "model");
        yyjson_mut_obj_add_strcpy(doc, m, "name", model->name);
        yyjson_mut_obj_add_int(doc, m, "width", model->input.width);
        yyjson_mut_obj_add_int(doc, m, "height", model->input.height);
        yyjson_mut_obj_add_strcpy(doc, m, "precision", gtv_detector_precision(d));
        yyjson_mut_obj_add_strcpy(doc, m, "device", gtv_detector_device(d));
        yyjson_mut_obj_add_str(doc, m, "runtime", gtv_infer_version(ai->runtime));
        gtv_json_add_text(doc, m, "note", gtv_detector_note(d));
    }
    add_text_or_null(doc, o, "message", gtv_detector_message(d));
    gtv_detector_unref(d);
}

static void add_plates(yyjson_mut_doc *doc, yyjson_mut_val *o, struct gtv_ai *ai)
{
    yyjson_mut_val *plates = yyjson_mut_obj_add_obj(doc, o, "plates");
    yyjson_mut_obj_add_bool(doc, plates, "enabled", gtv_plates_ready(ai->plates));
    yyjson_mut_obj_add_bool(doc, plates, "loading", gtv_plates_loading(ai->plates));
    yyjson_mut_val *models = yyjson_mut_obj_add_arr(doc, plates, "models");
    for (int head = 0; head < GTV_PLATE_HEADS; head++) {
        const struct gtv_plate_model *model = gtv_plates_model(ai->plates, (enum gtv_plate_head)head);
        if (model)
            yyjson_mut_arr_add_strcpy(doc, models, model->name);
    }
    gtv_json_add_text(doc, plates, "message", gtv_plates_message(ai->plates));
}

// The process answers, so it is healthy; what it cannot do stands in message and in /ready.
static void handle_health(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    struct gtv_engine_stats stats;
    gtv_engine_get_stats(ai->engine, &stats);
    uint64_t processed = 0;
    for (size_t k = 0; k < GTV_WORK_KINDS; k++)
        processed += stats.done[k];
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_str(doc, o, "status", "healthy");
    yyjson_mut_obj_add_uint(doc, o, "queue_size",
                            stats.waiting[GTV_WORK_REQUEST] + stats.waiting[GTV_WORK_JOB]);
    yyjson_mut_obj_add_uint(doc, o, "processed_total", processed);
    yyjson_mut_obj_add_real(doc, o, "avg_processing_time_ms",
                            processed ? gtv_json_hundredths(stats.done_ms / (double)processed) : 0);
    yyjson_mut_obj_add_bool(doc, o, "gpu_available", ai->runtime && gtv_infer_has_gpu(ai->runtime));
    yyjson_mut_obj_add_uint(doc, o, "workers", stats.workers);
    yyjson_mut_obj_add_bool(doc, o, "redis", gtv_watcher_redis_up(ai->watcher));
    yyjson_mut_val *queue = yyjson_mut_obj_add_obj(doc, o, "queue");
    yyjson_mut_obj_add_bool(doc, queue, "redis", gtv_jobs_up(ai->jobs));
    add_text_or_null(doc, queue, "message", gtv_jobs_reason(ai->jobs));
    yyjson_mut_obj_add_int(doc, queue, "length", gtv_jobs_length(ai->jobs));
    yyjson_mut_obj_add_str(doc, o, "version", GTV_VERSION);
    add_model(doc, o, ai);
    add_plates(doc, o, ai);
    gtv_reply_json(req, 200, doc);
}

// ---- The queue ----

static void handle_submit(struct gtv_http_request *req, void *user)
{
    gtv_jobs_submit(((struct gtv_ai *)user)->jobs, req);
}

static void handle_result(struct gtv_http_request *req, void *user)
{
    gtv_jobs_result(((struct gtv_ai *)user)->jobs, req);
}

static void handle_cancel(struct gtv_http_request *req, void *user)
{
    gtv_jobs_cancel(((struct gtv_ai *)user)->jobs, req);
}

static void handle_queue(struct gtv_http_request *req, void *user)
{
    gtv_jobs_queue(((struct gtv_ai *)user)->jobs, req);
}

static void handle_dead(struct gtv_http_request *req, void *user)
{
    gtv_jobs_dead(((struct gtv_ai *)user)->jobs, req);
}

static void handle_requeue(struct gtv_http_request *req, void *user)
{
    gtv_jobs_requeue(((struct gtv_ai *)user)->jobs, req);
}

static void handle_bury(struct gtv_http_request *req, void *user)
{
    gtv_jobs_bury(((struct gtv_ai *)user)->jobs, req);
}

const struct gtv_http_route gtv_ai_routes[] = {
    {"GET", "/health", handle_health, 0, "Whether the service lives, and its figures"},
    {"GET", "/ready", gtv_ai_handle_ready, 0, "Whether it can detect, and what it misses"},
    {"POST", "/detect", gtv_ai_handle_detect, GTV_AI_MAX_BODY, "Vehicles in a picture"},
    {"POST", "/detect/upload", gtv_ai_handle_upload, GTV_AI_MAX_BODY, "Vehicles in an uploaded picture"},
    {"POST", "/detect/batch", gtv_ai_handle_batch, GTV_AI_MAX_BATCH_BODY, "Vehicles in several pictures"},
    {"POST", "/detect/async", handle_submit, GTV_AI_MAX_BODY, "A picture into the queue"},
    {"GET", "/result/{id}", handle_result, 0, "What became of a queued picture"},
    {"DELETE", "/result/{id}", handle_cancel, 0, "Cancel a queued picture, or forget its result"},
    {"GET", "/queue", handle_queue, 0, "The queue and its limits"},
    {"GET", "/queue/dead", handle_dead, 0, "Jobs that were given up, and why"},
    {"POST", "/queue/dead/{id}/requeue", handle_requeue, 4096, "Put a given-up job into the queue again"},
    {"DELETE", "/queue/dead/{id}", handle_bury, 0, "Forget a given-up job"},
    {"POST", "/cameras/{id}/start", gtv_ai_handle_start, 4096, "Watch a camera"},
    {"POST", "/cameras/{id}/stop", gtv_ai_handle_stop, 4096, "Stop watching a camera"},
    {"POST", "/cameras/{id}/test", gtv_ai_handle_camera_test, 4096, "One look at a camera now"},
    {"GET", "/cameras/{id}/analysis", gtv_ai_handle_analysis, 0, "What is looked for at a camera"},
    {"PUT", "/cameras/{id}/analysis", gtv_ai_handle_analysis_put, GTV_SCENE_MAX_JSON,
     "Change what is looked for at a camera"},
    {"GET", "/capacity", gtv_ai_handle_capacity, 0,
     "What watching costs, and how many more cameras would fit"},
    {"GET", "/crops/{camera}/{day}/{name}", gtv_ai_handle_crop, 0, "The best picture of a track"},
    {"GET", "/cameras/{id}/status", gtv_ai_handle_status, 0, "How a camera is watched"},
    {"GET", "/watchlist", gtv_ai_handle_watchlist, 0, "Plates that are watched for"},
    {"POST", "/watchlist", gtv_ai_handle_watchlist_post, 8192, "Watch for a plate"},
    {"DELETE", "/watchlist", gtv_ai_handle_watchlist_clear, 0, "Empty the watch-list"},
    {"POST", "/watchlist/import", gtv_ai_handle_watchlist_import, GTV_WATCHLIST_IMPORT_BYTES,
     "Watch for the plates of a CSV file"},
    {"GET", "/watchlist/check", gtv_ai_handle_watchlist_check, 0, "What a plate would match, and why"},
    {"GET", "/watchlist/{id}", gtv_ai_handle_watchlist_entry, 0, "An entry of the watch-list"},
    {"DELETE", "/watchlist/{id}", gtv_ai_handle_watchlist_remove, 0, "Watch for a plate no longer"},
    {"GET", "/stats/workers", gtv_ai_handle_workers, 0, "The inference threads"},
    {"GET", "/stats/all", gtv_ai_handle_all, 0, "Workers, what waits for them, and cameras"},
    {"GET", "/models", gtv_ai_handle_models, 0, "The networks that are there, and the one in use"},
    {"POST", "/models/reload", gtv_ai_handle_reload, 16384, "Load the network again, or another"},
    {"GET", "/stats/streams", gtv_ai_handle_streams, 0, "All cameras and how they are watched"},
    GTV_SERVICE_PAGE_ROUTES,
};
const size_t gtv_ai_route_count = sizeof(gtv_ai_routes) / sizeof(gtv_ai_routes[0]);

const struct gtv_http_route gtv_ai_metrics_routes[] = {
    {"GET", "/metrics", gtv_handle_metrics, 0, "Prometheus metrics"},
};
const size_t gtv_ai_metrics_route_count = sizeof(gtv_ai_metrics_routes) / sizeof(gtv_ai_metrics_routes[0]);
