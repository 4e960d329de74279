#include "lib/contract/happening.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <stdio.h>

const char *gtv_happening_key(const struct gtv_happening_event *e, char out[GTV_HAPPENING_KEY_CAP])
{
    snprintf(out, GTV_HAPPENING_KEY_CAP, "cam_%lld/%s", (long long)e->camera_id, e->key);
    return out;
}

static void add_box(yyjson_mut_doc *doc, yyjson_mut_val *o, int x, int y, int w, int h)
{
    yyjson_mut_val *box = yyjson_mut_obj_add_obj(doc, o, "bbox");
    yyjson_mut_obj_add_int(doc, box, "x", x);
    yyjson_mut_obj_add_int(doc, box, "y", y);
    yyjson_mut_obj_add_int(doc, box, "w", w);
    yyjson_mut_obj_add_int(doc, box, "h", h);
}

static void add_place(yyjson_mut_doc *doc, yyjson_mut_val *data, const struct gtv_happening_event *e)
{
    if (e->place_id) {
        yyjson_mut_val *place = yyjson_mut_obj_add_obj(doc, data, "place");
        yyjson_mut_obj_add_strcpy(doc, place, "id", e->place_id);
        gtv_json_add_text(doc, place, "name", e->place_name);
    }
    if (e->is_crossing)
        yyjson_mut_obj_add_bool(doc, data, "forward", e->forward);
    if (e->direction)
        yyjson_mut_obj_add_strcpy(doc, data, "direction", e->direction);
    if (e->seconds >= 0)
        yyjson_mut_obj_add_real(doc, data, "seconds", gtv_json_thousandths(e->seconds));
    if (e->speed_kmh > 0)
        yyjson_mut_obj_add_real(doc, data, "speed_kmh", gtv_json_thousandths(e->speed_kmh));
    if (e->limit_kmh > 0)
        yyjson_mut_obj_add_real(doc, data, "limit_kmh", gtv_json_thousandths(e->limit_kmh));
    if (e->degrees >= 0)
        yyjson_mut_obj_add_real(doc, data, "degrees", gtv_json_thousandths(e->degrees));
}

static void add_plate(yyjson_mut_doc *doc, yyjson_mut_val *data, const struct gtv_plate_said *p)
{
    yyjson_mut_obj_add_strcpy(doc, data, "plate_number", p->number);
    yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, data, "plate");
    yyjson_mut_obj_add_strcpy(doc, o, "number", p->number);
    gtv_json_add_text(doc, o, "format", p->format);
    gtv_json_add_text(doc, o, "key", p->key);
    yyjson_mut_obj_add_real(doc, o, "confidence", gtv_json_thousandths(p->confidence));
    yyjson_mut_obj_add_bool(doc, o, "uncertain", p->uncertain);
    yyjson_mut_obj_add_sint(doc, o, "votes", p->votes);
    if (p->box)
        add_box(doc, o, p->box[0], p->box[1], p->box[2], p->box[3]);
    gtv_json_add_text(doc, o, "crop", p->crop);
    if (p->list)
        yyjson_mut_obj_add_strcpy(doc, o, "list", p->list);
    if (p->why)
        yyjson_mut_obj_add_strcpy(doc, o, "why", p->why);
}

// The envelope with its key; *data is the empty "data" object, with the camera. NULL without memory.
static yyjson_mut_doc *envelope(const char *type, int64_t camera_id, int64_t wall_ms, const char *key,
                                yyjson_mut_val **data)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        return NULL;
    char when[GTV_ISO8601_CAP], path[GTV_CAMERA_PATH_CAP];
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, o);
    yyjson_mut_obj_add_int(doc, o, "v", GTV_EVENT_VERSION);
    yyjson_mut_obj_add_strcpy(doc, o, "type", type);
    yyjson_mut_obj_add_strcpy(doc, o, "stream", gtv_camera_path(camera_id, path));
    yyjson_mut_obj_add_strcpy(doc, o, "timestamp", gtv_iso8601_utc(wall_ms, when));
    yyjson_mut_obj_add_sint(doc, o, "wall_ms", wall_ms);
    yyjson_mut_obj_add_strcpy(doc, o, "key", key);
    *data = yyjson_mut_obj_add_obj(doc, o, "data");
    yyjson_mut_obj_add_sint(doc, *data, "camera_id", camera_id);
    return doc;
}

struct gtv_bytes *gtv_event_picture(int64_t camera_id, const char *fault, bool on, int64_t wall_ms,
                                    char key[GTV_HAPPENING_KEY_CAP])
{
    yyjson_mut_val *data;
    snprintf(key, GTV_HAPPENING_KEY_CAP, "cam_%lld/picture/%s/%s/%lld", (long long)camera_id, fault,
             on ? "on" : "off", (long long)wall_ms);
    yyjson_mut_doc *doc = envelope("picture", camera_id, wall_ms, key, &data);
    if (!doc)
        return NULL;
    yyjson_mut_obj_add_strcpy(doc, data, "fault", fault);
    yyjson_mut_obj_add_bool(doc, data, "on", on);
    return gtv_json_write(doc);
}

struct gtv_bytes *gtv_event_happening(const struct gtv_happening_event *e)
{
    char key[GTV_HAPPENING_KEY_CAP];
    yyjson_mut_val *data;
    yyjson_mut_doc *doc = envelope(e->type, e->camera_id, e->wall_ms, gtv_happening_key(e, key), &data);
    if (!doc)
        return NULL;
    if (e->alert)
        yyjson_mut_obj_add_strcpy(doc, data, "alert", e->alert);
    if (e->track)
        yyjson_mut_obj_add_uint(doc, data, "track_id", e->track);
    else
        yyjson_mut_obj_add_null(doc, data, "track_id");
    if (e->from_plate)
        yyjson_mut_obj_add_bool(doc, data, "from_plate", true);
    yyjson_mut_obj_add_strcpy(doc, data, "object_type", e->object_type ? e->object_type : "");
    yyjson_mut_obj_add_real(doc, data, "confidence", gtv_json_thousandths(e->confidence));
    if (e->share > 0)
        yyjson_mut_obj_add_real(doc, data, "share", gtv_json_thousandths(e->share));
    add_box(doc, data, e->x, e->y, e->w, e->h);
    yyjson_mut_val *frame = yyjson_mut_obj_add_obj(doc, data, "frame");
    yyjson_mut_obj_add_int(doc, frame, "width", e->width);
    yyjson_mut_obj_add_int(doc, frame, "height", e->height);
    if (e->first_ms)
        gtv_json_add_time(doc, data, "first_seen", e->first_ms);
    if (e->last_ms)
        gtv_json_add_time(doc, data, "last_seen", e->last_ms);
    add_place(doc, data, e);
    if (e->plate)
        add_plate(doc, data, e->plate);
    gtv_json_add_text(doc, data, "crop", e->crop);
    return gtv_json_write(doc);
}
