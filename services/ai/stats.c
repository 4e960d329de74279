// GET /stats/workers and /stats/all: what the engine, its workers and its network do.
#include "services/ai/service.h"

#include <math.h>

static void add_workers(yyjson_mut_doc *doc, yyjson_mut_val *o, struct gtv_ai *ai,
                        const struct gtv_engine_stats *stats)
{
    yyjson_mut_obj_add_uint(doc, o, "total", stats->workers);
    yyjson_mut_obj_add_uint(doc, o, "busy", stats->busy);
    yyjson_mut_obj_add_uint(doc, o, "batch", stats->batch);
    yyjson_mut_obj_add_sint(doc, o, "uptime_seconds", stats->uptime_ms / 1000);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "workers");
    for (size_t i = 0; i < stats->workers; i++) {
        struct gtv_engine_worker_stats w;
        gtv_engine_get_worker(ai->engine, i, &w);
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_uint(doc, item, "worker", i);
        yyjson_mut_obj_add_bool(doc, item, "busy", w.busy);
        yyjson_mut_obj_add_uint(doc, item, "pictures", w.pictures);
        yyjson_mut_obj_add_uint(doc, item, "runs", w.runs);
        yyjson_mut_obj_add_real(doc, item, "busy_ms", gtv_json_thousandths(w.busy_ms));
        yyjson_mut_obj_add_real(
            doc, item, "busy_share",
            stats->uptime_ms ? gtv_json_thousandths(fmin(1, w.busy_ms / (double)stats->uptime_ms)) : 0);
    }
}

static void add_engine(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_engine_stats *stats)
{
    for (size_t k = 0; k < GTV_WORK_KINDS; k++) {
        yyjson_mut_val *kind = yyjson_mut_obj_add_obj(doc, o, gtv_work_kind_names[k]);
        yyjson_mut_obj_add_uint(doc, kind, "waiting", stats->waiting[k]);
        yyjson_mut_obj_add_uint(doc, kind, "clients", stats->clients[k]);
        yyjson_mut_obj_add_uint(doc, kind, "done", stats->done[k]);
    }
}

void gtv_ai_handle_workers(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    struct gtv_engine_stats stats;
    gtv_engine_get_stats(ai->engine, &stats);
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    add_workers(doc, o, ai, &stats);
    gtv_reply_json(req, 200, doc);
}

void gtv_ai_handle_all(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    struct gtv_engine_stats stats;
    gtv_engine_get_stats(ai->engine, &stats);
    size_t cameras = gtv_watcher_list(ai->watcher, NULL, 0);
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    add_workers(doc, yyjson_mut_obj_add_obj(doc, o, "workers"), ai, &stats);
    add_engine(doc, yyjson_mut_obj_add_obj(doc, o, "work"), &stats);
    yyjson_mut_obj_add_real(doc, o, "picture_ms", gtv_json_thousandths(stats.picture_ms));
    yyjson_mut_obj_add_real(
        doc, o, "expected_wait_ms",
        gtv_json_thousandths(gtv_engine_expected_wait_ms(ai->engine, GTV_WORK_REQUEST, 0)));
    yyjson_mut_obj_add_uint(doc, o, "queued_bytes", ai->queued_bytes);
    yyjson_mut_val *streams = yyjson_mut_obj_add_obj(doc, o, "streams");
    yyjson_mut_obj_add_uint(doc, streams, "total", cameras);
    yyjson_mut_obj_add_int(
        doc, streams, "watched",
        gtv_gauge_get(gtv_metrics_gauge(ai->pages.metrics, "gtv_ai_cameras_watched", "", "")));
    struct gtv_detector *d = gtv_engine_detector(ai->engine);
    const struct gtv_model *model = gtv_detector_model(d);
    gtv_json_add_text(doc, o, "model", model ? model->name : NULL);
    gtv_json_add_text(doc, o, "message", gtv_detector_message(d));
    gtv_detector_unref(d);
    gtv_reply_json(req, 200, doc);
}
