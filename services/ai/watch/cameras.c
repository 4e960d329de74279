#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/ai/service.h"

#include <stdlib.h>

enum { MAX_LISTED = 10000 };

// In one word: what the source says, or why there is none.
static const char *state_of(const struct gtv_watched *w)
{
    if (w->watched)
        return gtv_source_state_name(w->source.state);
    if (w->elsewhere)
        return "elsewhere";
    return w->refused ? "refused" : "stopped";
}

static void add_faults(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_source_status *s)
{
    yyjson_mut_val *faults = yyjson_mut_obj_add_arr(doc, o, "faults");
    for (unsigned bit = 1; bit <= GTV_GATE_INFRARED; bit <<= 1)
        if (s->faults & bit)
            yyjson_mut_arr_add_str(doc, faults, gtv_gate_fault_name((enum gtv_gate_fault)bit));
    if (s->untimed)
        yyjson_mut_arr_add_str(doc, faults, "untimed");
}

static void add_by_class(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *name,
                         const uint64_t counts[GTV_VEHICLE_COUNT])
{
    yyjson_mut_val *by = yyjson_mut_obj_add_obj(doc, o, name);
    for (size_t v = 0; v < GTV_VEHICLE_COUNT; v++)
        yyjson_mut_obj_add_uint(doc, by, gtv_vehicle_names[v], counts[v]);
}

static void add_counts(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_watched *w)
{
    yyjson_mut_val *lines = yyjson_mut_obj_add_arr(doc, o, "lines");
    for (size_t i = 0; i < w->line_count; i++) {
        yyjson_mut_val *line = yyjson_mut_arr_add_obj(doc, lines);
        yyjson_mut_obj_add_strcpy(doc, line, "id", w->counts[i].id);
        gtv_json_add_text(doc, line, "name", w->counts[i].name);
        add_by_class(doc, line, "forward", w->counts[i].total[1]);
        add_by_class(doc, line, "backward", w->counts[i].total[0]);
        add_by_class(doc, line, "forward_last_minute", w->counts[i].minute[1]);
        add_by_class(doc, line, "backward_last_minute", w->counts[i].minute[0]);
    }
}

// Spent since the camera is watched, in milliseconds of a core.
static void add_costs(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_watched *w)
{
    yyjson_mut_val *cpu = yyjson_mut_obj_add_obj(doc, o, "cpu_ms");
    yyjson_mut_obj_add_real(doc, cpu, "decode",
                            gtv_json_hundredths(w->source.decode.cpu_ms - w->source.gate_cpu_ms));
    yyjson_mut_obj_add_real(doc, cpu, "gate", gtv_json_hundredths(w->source.gate_cpu_ms));
    yyjson_mut_obj_add_real(doc, cpu, "detect", gtv_json_hundredths(w->source.look_ms - w->analysis_ms));
    yyjson_mut_obj_add_real(doc, cpu, "analysis", gtv_json_hundredths(w->analysis_ms));
}

static void describe(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_watched *w)
{
    static const char *const orders[] = {"auto", "start", "stop"};
    const struct gtv_source_status *s = &w->source;
    char path[GTV_CAMERA_PATH_CAP];
    yyjson_mut_obj_add_sint(doc, o, "camera_id", w->id);
    yyjson_mut_obj_add_strcpy(doc, o, "stream", gtv_camera_path(w->id, path));
    gtv_json_add_text(doc, o, "name", w->name);
    yyjson_mut_obj_add_bool(doc, o, "ai_enabled", w->ai_enabled);
    yyjson_mut_obj_add_str(doc, o, "order", orders[w->order]);
    yyjson_mut_obj_add_bool(doc, o, "watching", w->watched && s->state == GTV_SOURCE_WATCHING);
    yyjson_mut_obj_add_str(doc, o, "state", state_of(w));
    gtv_json_add_text(doc, o, "cause", w->refused ? w->refused : s->cause);
    gtv_json_add_text(doc, o, "watched_by", w->elsewhere);
    yyjson_mut_obj_add_bool(doc, o, "has_sub_stream", w->has_sub);
    gtv_json_add_text(doc, o, "watched_stream", !w->watched ? NULL : w->on_sub ? "sub" : "main");
    gtv_json_add_text(doc, o, "read_by", s->way == GTV_READER_AUTO ? NULL : gtv_reader_way_name(s->way));
    yyjson_mut_obj_add_real(doc, o, "fps", gtv_json_hundredths(s->look_rate));
    yyjson_mut_obj_add_real(doc, o, "decoded_fps", gtv_json_hundredths(s->frame_rate));
    yyjson_mut_obj_add_real(doc, o, "analysed_every_s", gtv_json_hundredths(s->interval_ms / 1000));
    yyjson_mut_obj_add_str(doc, o, "decoding", gtv_decode_mode_name(s->decode.mode));
    yyjson_mut_obj_add_bool(doc, o, "skipping", s->decode.mode != GTV_DECODE_ALL);
    yyjson_mut_obj_add_bool(doc, o, "squeezed", s->squeezed);
    yyjson_mut_obj_add_uint(doc, o, "left_out", s->decode.left_out);
    yyjson_mut_obj_add_uint(doc, o, "looks", s->looks);
    yyjson_mut_obj_add_uint(doc, o, "still", s->still);
    yyjson_mut_obj_add_uint(doc, o, "quiet", s->quiet);
    yyjson_mut_obj_add_uint(doc, o, "frames", s->frames);
    yyjson_mut_obj_add_uint(doc, o, "failures", s->failures);
    yyjson_mut_obj_add_uint(doc, o, "objects", s->last_count);
    yyjson_mut_obj_add_uint(doc, o, "tracks", w->tracks);
    gtv_json_add_text(doc, o, "codec", s->codec);
    yyjson_mut_obj_add_int(doc, o, "width", s->width);
    yyjson_mut_obj_add_int(doc, o, "height", s->height);
    yyjson_mut_obj_add_real(doc, o, "key_frame_every_s",
                            gtv_json_hundredths(s->decode.key_interval_ms / 1000));
    yyjson_mut_obj_add_sint(doc, o, "last_frame_wall_ms", s->last_frame_wall_ms);
    gtv_json_add_time(doc, o, "last_frame", s->last_frame_wall_ms);
    gtv_json_add_time(doc, o, "last_look", s->last_look_wall_ms);
    gtv_json_add_time(doc, o, "last_motion", s->last_motion_wall_ms);
    add_faults(doc, o, s);
    add_costs(doc, o, w);
    add_counts(doc, o, w);
}

bool gtv_ai_camera_id(struct gtv_http_request *req, int64_t *id)
{
    if (gtv_parse_int(gtv_http_param(req, "id"), 1, INT64_MAX, id))
        return true;
    struct gtv_error err = {0};
    gtv_error_set(&err, GTV_E_INVALID, "id", "The camera's id must be a whole number from 1");
    gtv_reply_invalid(req, &err);
    return false;
}

static void reply_camera(struct gtv_ai *ai, struct gtv_http_request *req, int64_t id)
{
    struct gtv_error err = {0};
    struct gtv_watched w;
    if (!gtv_watcher_get(ai->watcher, id, &w, &err)) {
        gtv_reply_error_from(req, &err);
        return;
    }
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    describe(doc, o, &w);
    gtv_reply_json(req, 200, doc);
}

static void order(struct gtv_http_request *req, struct gtv_ai *ai, enum gtv_watch_order order)
{
    struct gtv_error err = {0};
    int64_t id;
    if (!gtv_ai_camera_id(req, &id))
        return;
    if (gtv_watcher_order(ai->watcher, id, order, &err))
        reply_camera(ai, req, id);
    else
        gtv_reply_error_from(req, &err);
}

void gtv_ai_handle_start(struct gtv_http_request *req, void *user)
{
    order(req, user, GTV_WATCH_START);
}

void gtv_ai_handle_stop(struct gtv_http_request *req, void *user)
{
    order(req, user, GTV_WATCH_STOP);
}

void gtv_ai_handle_status(struct gtv_http_request *req, void *user)
{
    int64_t id;
    if (gtv_ai_camera_id(req, &id))
        reply_camera(user, req, id);
}

void gtv_ai_handle_streams(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    size_t total = gtv_watcher_list(ai->watcher, NULL, 0), watched = 0;
    size_t cap = total < MAX_LISTED ? total : MAX_LISTED;
    struct gtv_watched *list = gtv_alloc((cap ? cap : 1) * sizeof(*list));
    (void)gtv_watcher_list(ai->watcher, list, cap);
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_val *streams = yyjson_mut_obj_add_arr(doc, o, "streams");
    for (size_t i = 0; i < cap; i++) {
        describe(doc, yyjson_mut_arr_add_obj(doc, streams), &list[i]);
        watched += list[i].watched && list[i].source.state == GTV_SOURCE_WATCHING;
    }
    yyjson_mut_obj_add_uint(doc, o, "total", total);
    yyjson_mut_obj_add_uint(doc, o, "watching", watched);
    yyjson_mut_obj_add_uint(doc, o, "looks_waiting", gtv_ai_waiting(ai, GTV_WORK_LOOK));
    gtv_reply_json(req, 200, doc);
    free(list);
}
