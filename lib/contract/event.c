#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "lib/contract/contract.h"

// Root object with the envelope's keys; *data is the empty "data" object. NULL without memory.
static yyjson_mut_doc *envelope(const char *type, const char *stream, int64_t wall_ms, yyjson_mut_val **data)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        return NULL;
    char when[GTV_ISO8601_CAP];
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, o);
    yyjson_mut_obj_add_int(doc, o, "v", GTV_EVENT_VERSION);
    yyjson_mut_obj_add_strcpy(doc, o, "type", type);
    yyjson_mut_obj_add_strcpy(doc, o, "stream", stream);
    yyjson_mut_obj_add_strcpy(doc, o, "timestamp", gtv_iso8601_utc(wall_ms, when));
    yyjson_mut_obj_add_sint(doc, o, "wall_ms", wall_ms);
    *data = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_val(doc, o, "data", *data);
    return doc;
}

struct gtv_bytes *gtv_event_detection(const struct gtv_detection_event *e)
{
    char path[GTV_CAMERA_PATH_CAP];
    yyjson_mut_val *data;
    yyjson_mut_doc *doc = envelope("detection", gtv_camera_path(e->camera_id, path), e->wall_ms, &data);
    if (!doc)
        return NULL;
    yyjson_mut_obj_add_sint(doc, data, "camera_id", e->camera_id);
    yyjson_mut_val *frame = yyjson_mut_obj_add_obj(doc, data, "frame");
    yyjson_mut_obj_add_int(doc, frame, "width", e->width);
    yyjson_mut_obj_add_int(doc, frame, "height", e->height);
    yyjson_mut_obj_add_strcpy(doc, data, "model", e->model ? e->model : "");
    yyjson_mut_obj_add_real(doc, data, "latency_ms", gtv_json_thousandths(e->latency_ms));
    yyjson_mut_val *objects = yyjson_mut_obj_add_arr(doc, data, "objects");
    for (size_t i = 0; i < e->count && i < GTV_MAX_OBJECTS; i++) {
        const struct gtv_detected *d = &e->objects[i];
        yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, objects);
        yyjson_mut_obj_add_strcpy(doc, o, "object_type", d->object_type);
        yyjson_mut_obj_add_real(doc, o, "confidence", gtv_json_thousandths(d->confidence));
        yyjson_mut_val *box = yyjson_mut_obj_add_obj(doc, o, "bbox");
        yyjson_mut_obj_add_int(doc, box, "x", d->x);
        yyjson_mut_obj_add_int(doc, box, "y", d->y);
        yyjson_mut_obj_add_int(doc, box, "w", d->w);
        yyjson_mut_obj_add_int(doc, box, "h", d->h);
        gtv_json_add_text(doc, o, "plate_number", e->plates ? e->plates[i] : NULL);
        if (e->tracks && e->tracks[i])
            yyjson_mut_obj_add_uint(doc, o, "track_id", e->tracks[i]);
    }
    return gtv_json_write(doc);
}

static void add_cause(yyjson_mut_doc *doc, yyjson_mut_val *data, const char *name, const char *text)
{
    if (text) {
        char clean[512];
        size_t n = gtv_redact(gtv_str_of(text), clean, sizeof clean);
        yyjson_mut_obj_add_strncpy(doc, data, name, clean, n);
    } else {
        yyjson_mut_obj_add_null(doc, data, name);
    }
}

// The envelope with what every status event says. NULL without memory.
static yyjson_mut_doc *status(const char *stream, int64_t camera_id, const char *state, const char *cause,
                              const char *cause_code, int64_t wall_ms, yyjson_mut_val **data)
{
    yyjson_mut_doc *doc = envelope("status", stream, wall_ms, data);
    if (!doc)
        return NULL;
    yyjson_mut_obj_add_sint(doc, *data, "camera_id", camera_id);
    yyjson_mut_obj_add_strcpy(doc, *data, "state", state);
    add_cause(doc, *data, "cause", cause);
    add_cause(doc, *data, "cause_code", cause_code);
    return doc;
}

struct gtv_bytes *gtv_event_status_coded(const char *stream, int64_t camera_id, const char *state,
                                         const char *cause, const char *cause_code, int64_t wall_ms)
{
    yyjson_mut_val *data;
    yyjson_mut_doc *doc = status(stream, camera_id, state, cause, cause_code, wall_ms, &data);
    return doc ? gtv_json_write(doc) : NULL;
}

struct gtv_bytes *gtv_event_status_change(const char *stream, int64_t camera_id, const char *state,
                                          const struct gtv_event_change *change, int64_t wall_ms)
{
    yyjson_mut_val *data;
    yyjson_mut_doc *doc = status(stream, camera_id, state, NULL, NULL, wall_ms, &data);
    if (!doc)
        return NULL;
    yyjson_mut_obj_add_strcpy(doc, data, "change", change->what);
    if (change->before && change->now) {
        add_cause(doc, data, "before", change->before);
        add_cause(doc, data, "now", change->now);
    } else {
        yyjson_mut_obj_add_sint(doc, data, "before", change->before_kbps);
        yyjson_mut_obj_add_sint(doc, data, "now", change->now_kbps);
    }
    return gtv_json_write(doc);
}

struct gtv_bytes *gtv_event_status(const char *stream, int64_t camera_id, const char *state,
                                   const char *cause, int64_t wall_ms)
{
    return gtv_event_status_coded(stream, camera_id, state, cause, NULL, wall_ms);
}

static void add_count(yyjson_mut_doc *doc, yyjson_mut_val *data, const char *name, bool told, size_t n)
{
    if (told)
        yyjson_mut_obj_add_uint(doc, data, name, n);
    else
        yyjson_mut_obj_add_null(doc, data, name);
}

struct gtv_bytes *gtv_event_provision(const struct gtv_provision_event *e)
{
    yyjson_mut_val *data;
    yyjson_mut_doc *doc = envelope(e->type ? e->type : "provision", e->stream, e->wall_ms, &data);
    if (!doc)
        return NULL;
    yyjson_mut_obj_add_strcpy(doc, data, "action", e->action);
    if (e->camera_id)
        yyjson_mut_obj_add_sint(doc, data, "camera_id", e->camera_id);
    else
        yyjson_mut_obj_add_null(doc, data, "camera_id");
    add_cause(doc, data, "node", e->node);
    add_cause(doc, data, "detail", e->detail);
    add_cause(doc, data, "job", e->job);
    add_count(doc, data, "done", e->counts, e->done);
    add_count(doc, data, "total", e->counts, e->total);
    add_count(doc, data, "failed", e->counts, e->failed);
    return gtv_json_write(doc);
}
