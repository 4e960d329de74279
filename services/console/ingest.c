#include "services/console/ingest.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/contract/event_id.h"
#include "lib/log/log.h"
#include "lib/redis/redis.h"
#include "services/console/newcomers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

// How often the database is told how far we are when nothing new is in view.
enum { PROGRESS_MS = 2000 };

struct gtv_ingest {
    struct gtv_redis_tail *tail; // NULL until the database was reached, and when it is stopped
    struct gtv_loop *loop;
    char *redis_url;
    bool stopped;
    char stored[GTV_DB_EVENT_CAP]; // at the beginning: events up to it are only looked at
    struct gtv_store *store;
    struct gtv_directory *directory;
    struct gtv_newcomers *newcomers;
    struct gtv_counter *events, *bad;
    int64_t told_ms; // monotonic: when the database was last told an id
};

static const struct gtv_log log_ingest = {"console", "part", "events"};

static bool parse_object(yyjson_val *o, struct gtv_detected *out, char plate[GTV_DB_PLATE_CAP])
{
    struct gtv_str type = {0}, text = {0};
    int64_t x = 0, y = 0, w = 0, h = 0;
    yyjson_val *box = yyjson_obj_get(o, "bbox");
    *out = (struct gtv_detected){0};
    plate[0] = '\0';
    if (!yyjson_is_obj(box) || !gtv_json_get_str(o, "object_type", GTV_JSON_REQUIRED, &type, NULL) ||
        !gtv_str_copy(out->object_type, sizeof out->object_type, type) ||
        !gtv_json_get_double(o, "confidence", GTV_JSON_REQUIRED, 0, 1, &out->confidence, NULL) ||
        !gtv_json_get_int(box, "x", GTV_JSON_REQUIRED, INT32_MIN, INT32_MAX, &x, NULL) ||
        !gtv_json_get_int(box, "y", GTV_JSON_REQUIRED, INT32_MIN, INT32_MAX, &y, NULL) ||
        !gtv_json_get_int(box, "w", GTV_JSON_REQUIRED, 0, INT32_MAX, &w, NULL) ||
        !gtv_json_get_int(box, "h", GTV_JSON_REQUIRED, 0, INT32_MAX, &h, NULL))
        return false;
    out->x = (int)x;
    out->y = (int)y;
    out->w = (int)w;
    out->h = (int)h;
    // A plate that does not fit is none; the vehicle is still one.
    if (gtv_json_get_str(o, "plate_number", GTV_JSON_OPTIONAL, &text, NULL))
        (void)!gtv_str_copy(plate, GTV_DB_PLATE_CAP, text);
    return true;
}

bool gtv_ingest_parse(yyjson_val *event, struct gtv_db_detection *out,
                      struct gtv_detected objects[GTV_MAX_OBJECTS],
                      char plates[GTV_MAX_OBJECTS][GTV_DB_PLATE_CAP], size_t *count)
{
    yyjson_val *data = yyjson_obj_get(event, "data"), *frame = yyjson_obj_get(data, "frame");
    yyjson_val *list = yyjson_obj_get(data, "objects");
    int64_t width = 0, height = 0;
    *out = (struct gtv_db_detection){0};
    *count = 0;
    if (!yyjson_is_obj(data) || !yyjson_is_obj(frame) || !yyjson_is_arr(list) ||
        yyjson_arr_size(list) > GTV_MAX_OBJECTS ||
        !gtv_json_get_int(event, "wall_ms", GTV_JSON_REQUIRED, 0, INT64_MAX / 1000, &out->wall_ms, NULL) ||
        !gtv_json_get_int(data, "camera_id", GTV_JSON_REQUIRED, 1, INT64_MAX, &out->camera_id, NULL) ||
        !gtv_json_get_int(frame, "width", GTV_JSON_REQUIRED, 1, INT32_MAX, &width, NULL) ||
        !gtv_json_get_int(frame, "height", GTV_JSON_REQUIRED, 1, INT32_MAX, &height, NULL))
        return false;
    out->frame_width = (int)width;
    out->frame_height = (int)height;
    size_t i, n;
    yyjson_val *o;
    yyjson_arr_foreach(list, i, n, o)
    {
        // What is followed over a track is stored by what happens to it (happenings.h).
        if (yyjson_obj_get(o, "track_id"))
            continue;
        if (!parse_object(o, &objects[*count], plates[*count]))
            return false;
        ++*count;
    }
    return true;
}

static void tell_progress(struct gtv_ingest *in, const char *id)
{
    int64_t now = gtv_mono_ms();
    if (now - in->told_ms < PROGRESS_MS)
        return;
    in->told_ms = now;
    gtv_store_add(in->store, NULL, 0, id);
}

static void on_detection(struct gtv_ingest *in, const char *id, yyjson_val *event)
{
    struct gtv_db_detection base, rows[GTV_MAX_OBJECTS];
    struct gtv_detected objects[GTV_MAX_OBJECTS];
    char plates[GTV_MAX_OBJECTS][GTV_DB_PLATE_CAP];
    size_t count, fresh[GTV_MAX_OBJECTS];
    if (!gtv_ingest_parse(event, &base, objects, plates, &count)) {
        gtv_counter_add(in->bad, 1);
        return;
    }
    size_t n = gtv_newcomers_take(in->newcomers, base.camera_id, base.wall_ms, objects, count, fresh);
    if (gtv_db_event_done(id, in->stored))
        return;
    if (!n) {
        tell_progress(in, id);
        return;
    }
    struct gtv_camera_state camera;
    gtv_directory_get(in->directory, base.camera_id, &camera);
    snprintf(base.camera_name, sizeof base.camera_name, "%s", camera.name);
    snprintf(base.event, sizeof base.event, "%s", id);
    for (size_t i = 0; i < n; i++) {
        rows[i] = base;
        rows[i].object = objects[fresh[i]];
        rows[i].event_index = (int)fresh[i];
        memcpy(rows[i].plate, plates[fresh[i]], GTV_DB_PLATE_CAP);
    }
    gtv_store_add(in->store, rows, n, id);
    in->told_ms = gtv_mono_ms();
}

static void on_entry(void *arg, const char *id, const redisReply *fields)
{
    struct gtv_ingest *in = arg;
    struct gtv_str json = {0};
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        const redisReply *key = fields->element[i], *value = fields->element[i + 1];
        if (key->type == REDIS_REPLY_STRING && value->type == REDIS_REPLY_STRING &&
            strcmp(key->str, "json") == 0)
            json = (struct gtv_str){value->str, (size_t)value->len};
    }
    gtv_counter_add(in->events, 1);
    yyjson_doc *doc = json.n ? gtv_json_parse(json, NULL) : NULL;
    yyjson_val *event = yyjson_doc_get_root(doc);
    const char *type = yyjson_get_str(yyjson_obj_get(event, "type"));
    if (!type)
        gtv_counter_add(in->bad, 1);
    else if (strcmp(type, "detection") == 0)
        on_detection(in, id, event);
    else if (strcmp(type, "status") == 0)
        gtv_directory_put_status(in->directory, yyjson_obj_get(event, "data"));
    yyjson_doc_free(doc);
}

void gtv_ingest_look_back(const char *last, char out[GTV_DB_EVENT_CAP])
{
    struct gtv_event_id id;
    bool some = gtv_event_id_parse(gtv_str_of(last), &id) && id.ms > GTV_INGEST_LOOK_BACK_MS;
    snprintf(out, GTV_DB_EVENT_CAP, "%" PRIu64, some ? id.ms - GTV_INGEST_LOOK_BACK_MS : 0);
}

static void begin(void *arg, const char *last_event)
{
    struct gtv_ingest *in = arg;
    struct gtv_error err = {0};
    char from[GTV_DB_EVENT_CAP];
    if (in->stopped)
        return;
    snprintf(in->stored, sizeof in->stored, "%s", last_event);
    gtv_ingest_look_back(last_event, from);
    in->tail = gtv_redis_tail_create(in->loop, in->redis_url, "gtv-console-events", GTV_KEY_EVENTS, from,
                                     on_entry, in, &err);
    if (!in->tail)
        gtv_log_error(&log_ingest, "events cannot be followed", "cause=\"%s\"", err.message);
}

struct gtv_ingest *gtv_ingest_create(struct gtv_loop *loop, const char *redis_url, struct gtv_store *store,
                                     struct gtv_directory *directory, struct gtv_metrics *metrics)
{
    struct gtv_ingest *in = GTV_NEW(struct gtv_ingest);
    in->loop = loop;
    in->redis_url = gtv_strdup(redis_url);
    in->store = store;
    in->directory = directory;
    in->newcomers = gtv_newcomers_create();
    in->events = gtv_metrics_counter(metrics, "gtv_console_events_total", "", "Events read from Redis");
    in->bad = gtv_metrics_counter(metrics, "gtv_console_events_bad_total", "",
                                  "Events that could not be understood");
    gtv_store_begin(store, begin, in);
    return in;
}

void gtv_ingest_stop(struct gtv_ingest *in)
{
    if (!in)
        return;
    in->stopped = true;
    gtv_redis_tail_destroy(in->tail);
    in->tail = NULL;
}

void gtv_ingest_destroy(struct gtv_ingest *in)
{
    if (!in)
        return;
    gtv_newcomers_destroy(in->newcomers);
    free(in->redis_url);
    free(in);
}
