#include "lib/base/clock.h"
#include "services/ai/service.h"

#include <math.h>
#include <stdio.h>

// ---- Figures ----

static const double stage_bounds[] = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5};
static const double total_bounds[] = {0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1,
                                      0.15,  0.2,  0.3,  0.5,  1,    2,     5};

static struct gtv_histogram *stage(struct gtv_metrics *m, const char *label)
{
    return gtv_metrics_histogram(m, "ai_stage_seconds", label, "Stages of a posted picture's way.",
                                 stage_bounds, sizeof(stage_bounds) / sizeof(stage_bounds[0]));
}

void gtv_ai_register_metrics(struct gtv_ai *ai)
{
    struct gtv_metrics *m = ai->pages.metrics;
    ai->processed_total =
        gtv_metrics_counter(m, "detections_processed_total", "", "Pictures and frames that were analysed.");
    ai->processing_seconds =
        gtv_metrics_histogram(m, "detection_processing_seconds", "",
                              "Time that analysing one picture or frame took, without waiting.", total_bounds,
                              sizeof(total_bounds) / sizeof(total_bounds[0]));
    ai->queue_size = gtv_metrics_gauge(m, "detection_queue_size", "", "Posted pictures that wait.");
    ai->wait_seconds = stage(m, "stage=\"wait\"");
    ai->decode_seconds = stage(m, "stage=\"decode\"");
    ai->prepare_seconds = stage(m, "stage=\"prepare\"");
    ai->infer_seconds = stage(m, "stage=\"infer\"");
    const struct gtv_model *model = gtv_detector_model(ai->detector);
    char labels[160];
    snprintf(labels, sizeof(labels), "model=\"%s\",device=\"%s\"", model ? model->name : "",
             gtv_detector_device(ai->detector));
    gtv_gauge_set(gtv_metrics_gauge(m, "ai_model_loaded", labels, "1 when a network is loaded."),
                  model != NULL);
    gtv_gauge_set(gtv_metrics_gauge(m, "ai_workers", "", "Inference threads."),
                  (int64_t)gtv_pool_workers(ai->pool));
}

void gtv_ai_count_processed(void *arg, double ms)
{
    struct gtv_ai *ai = arg;
    ai->processed++;
    ai->processed_ms += ms;
    gtv_counter_add(ai->processed_total, 1);
    gtv_histogram_observe(ai->processing_seconds, ms / 1000);
}

void gtv_ai_count_reject(struct gtv_ai *ai, enum gtv_code code)
{
    char labels[64];
    snprintf(labels, sizeof(labels), "cause=\"%s\"", gtv_code_name(code));
    gtv_counter_add(gtv_metrics_counter(ai->pages.metrics, "ai_rejects_total", labels,
                                        "Requests for detection that got no result."),
                    1);
}

// ---- Health ----

static double rounded(double v)
{
    return round(v * 100) / 100;
}

static void add_text_or_null(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *key, const char *text)
{
    if (text && *text)
        yyjson_mut_obj_add_strcpy(doc, o, key, text);
    else
        yyjson_mut_obj_add_null(doc, o, key);
}

static void add_model(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_ai *ai)
{
    const struct gtv_model *model = gtv_detector_model(ai->detector);
    if (!model) {
        yyjson_mut_obj_add_null(doc, o, "model");
    } else {
        yyjson_mut_val *m = yyjson_mut_obj_add_obj(doc, o, "model");
        yyjson_mut_obj_add_str(doc, m, "name", model->name);
        yyjson_mut_obj_add_int(doc, m, "width", model->input.width);
        yyjson_mut_obj_add_int(doc, m, "height", model->input.height);
        yyjson_mut_obj_add_str(doc, m, "precision", gtv_detector_precision(ai->detector));
        yyjson_mut_obj_add_str(doc, m, "device", gtv_detector_device(ai->detector));
        yyjson_mut_obj_add_str(doc, m, "runtime", gtv_infer_version(ai->runtime));
    }
    add_text_or_null(doc, o, "message", gtv_detector_message(ai->detector));
}

// The process answers, so it is healthy; what it cannot do stands in message and in /ready.
static void handle_health(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_str(doc, o, "status", "healthy");
    yyjson_mut_obj_add_uint(doc, o, "queue_size", gtv_pool_posted(ai->pool));
    yyjson_mut_obj_add_uint(doc, o, "processed_total", ai->processed);
    yyjson_mut_obj_add_real(doc, o, "avg_processing_time_ms",
                            ai->processed ? rounded(ai->processed_ms / (double)ai->processed) : 0);
    yyjson_mut_obj_add_bool(doc, o, "gpu_available", ai->runtime && gtv_infer_has_gpu(ai->runtime));
    yyjson_mut_obj_add_uint(doc, o, "workers", gtv_pool_workers(ai->pool));
    yyjson_mut_obj_add_bool(doc, o, "redis", gtv_watcher_redis_up(ai->watcher));
    yyjson_mut_obj_add_str(doc, o, "version", GTV_VERSION);
    add_model(doc, o, ai);
    gtv_reply_json(req, 200, doc);
}

static void handle_ready(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    if (!gtv_detector_model(ai->detector)) {
        gtv_reply_error(req, GTV_E_UNAVAILABLE, NULL, gtv_detector_message(ai->detector));
        return;
    }
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_bool(doc, o, "ready", true);
    yyjson_mut_obj_add_bool(doc, o, "redis", gtv_watcher_redis_up(ai->watcher));
    gtv_reply_json(req, 200, doc);
}

const struct gtv_http_route gtv_ai_routes[] = {
    {"GET", "/health", handle_health, 0, "Whether the service lives, and its figures"},
    {"GET", "/ready", handle_ready, 0, "Whether it can detect"},
    {"POST", "/detect", gtv_ai_handle_detect, GTV_AI_MAX_BODY, "Vehicles in a picture given as base64"},
    {"POST", "/detect/upload", gtv_ai_handle_upload, GTV_AI_MAX_BODY, "Vehicles in an uploaded picture"},
    {"POST", "/cameras/{id}/start", gtv_ai_handle_start, 4096, "Watch a camera"},
    {"POST", "/cameras/{id}/stop", gtv_ai_handle_stop, 4096, "Stop watching a camera"},
    {"GET", "/cameras/{id}/status", gtv_ai_handle_status, 0, "How a camera is watched"},
    {"GET", "/stats/streams", gtv_ai_handle_streams, 0, "All cameras and how they are watched"},
    GTV_SERVICE_PAGE_ROUTES,
};
const size_t gtv_ai_route_count = sizeof(gtv_ai_routes) / sizeof(gtv_ai_routes[0]);

const struct gtv_http_route gtv_ai_metrics_routes[] = {
    {"GET", "/metrics", gtv_handle_metrics, 0, "Prometheus metrics"},
};
const size_t gtv_ai_metrics_route_count = sizeof(gtv_ai_metrics_routes) / sizeof(gtv_ai_metrics_routes[0]);
