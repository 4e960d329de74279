// What others are told about this program: /ready, and what a page of metrics asks for.
#include "services/ai/service.h"

static bool plates_missing(const struct gtv_ai *ai)
{
    return ai->settings->lpr_enabled && !gtv_plates_ready(ai->plates) && !gtv_plates_loading(ai->plates);
}

// Without a network nothing of it works. Without Redis posted pictures are still answered, what happens is
// kept on disk, and the queue waits where it is; without plates' networks vehicles are still found.
void gtv_ai_handle_ready(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    struct gtv_missing missing[6];
    size_t n = 0;
    struct gtv_detector *d = gtv_engine_detector(ai->engine);
    bool redis = gtv_watcher_redis_up(ai->watcher), queue = gtv_jobs_up(ai->jobs);
    if (!gtv_detector_model(d))
        missing[n++] = (struct gtv_missing){"model", gtv_detector_message(d), true};
    if (!redis)
        missing[n++] = (struct gtv_missing){"redis", gtv_watcher_redis_reason(ai->watcher), false};
    if (!queue)
        missing[n++] = (struct gtv_missing){"queue", gtv_jobs_reason(ai->jobs), false};
    if (plates_missing(ai))
        missing[n++] = (struct gtv_missing){"plates", gtv_plates_message(ai->plates), false};
    if (ai->crops_problem[0])
        missing[n++] = (struct gtv_missing){"crops", ai->crops_problem, false};
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_bool(doc, o, "redis", redis);
    gtv_reply_ready(req, &ai->pages, doc, missing, n);
    gtv_detector_unref(d);
}

static void put(struct gtv_buf *out, const char *name, const char *help, bool yes)
{
    gtv_buf_printf(out, "# HELP %s %s\n# TYPE %s gauge\n%s %d\n", name, help, name, name, yes);
}

void gtv_ai_write_sight(struct gtv_buf *out, void *user)
{
    const struct gtv_ai *ai = user;
    put(out, "gtv_ai_plates_missing", "1 while plates are to be read and cannot be.", plates_missing(ai));
    put(out, "gtv_ai_queue_redis_up", "1 while the Redis of the queue answers.", gtv_jobs_up(ai->jobs));
    put(out, "gtv_ai_redis_up", "1 while the Redis of the events answers.",
        gtv_watcher_redis_up(ai->watcher));
}
