// /api/cameras/ and /api/detections/: answers that come later, from Redis or from the SQL thread.

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/console/api.h"
#include "services/console/paging.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

// A request whose answer is under way. req is NULL once the client has left.
struct pending {
    struct gtv_console *console;
    struct gtv_http_request *req;
    struct gtv_page page;
    int64_t camera_id; // the one asked for; 0: all
};

static void left(void *arg, bool complete)
{
    struct pending *p = arg;
    p->req = NULL;
}

static void nothing(void *arg, bool complete)
{
}

static struct pending *begin(struct gtv_console *c, struct gtv_http_request *req)
{
    struct pending *p = GTV_NEW(struct pending);
    p->console = c;
    p->req = req;
    gtv_http_on_close(req, left, p);
    return p;
}

// Frees p. The request, NULL when its client has left, is no longer tied to it.
static struct gtv_http_request *end(struct pending *p)
{
    struct gtv_http_request *req = p->req;
    if (req)
        gtv_http_on_close(req, nothing, NULL);
    free(p);
    return req;
}

// A Host that is a name or an address with a port; anything else gets links without origin.
static struct gtv_str origin_of(struct gtv_http_request *req)
{
    struct gtv_str host = gtv_http_header(req, "host");
    for (size_t i = 0; i < host.n; i++)
        if (!isalnum((unsigned char)host.p[i]) && !strchr(".-:[]_", host.p[i]))
            return (struct gtv_str){"", 0};
    if (!host.n)
        return (struct gtv_str){"", 0};
    bool tls = gtv_str_eq(gtv_http_header(req, "x-forwarded-proto"), GTV_STR("https"));
    return gtv_str_of(gtv_arena_printf(gtv_http_arena(req), "%s://" GTV_STR_FMT, tls ? "https" : "http",
                                       GTV_STR_ARG(host)));
}

static void add_link(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *key, struct gtv_http_request *req,
                     bool there, int64_t page)
{
    gtv_json_add_text(doc, o, key,
                      there ? gtv_page_link(gtv_http_arena(req), origin_of(req), gtv_http_path(req),
                                            gtv_http_query_string(req), page)
                            : "");
}

static yyjson_mut_val *begin_list(yyjson_mut_doc *doc, yyjson_mut_val *o, struct gtv_http_request *req,
                                  const struct gtv_page *page, int64_t total)
{
    yyjson_mut_obj_add_sint(doc, o, "count", total);
    add_link(doc, o, "next", req, gtv_page_has_next(page, total), page->number + 1);
    add_link(doc, o, "previous", req, page->number > 1, page->number - 1);
    return yyjson_mut_obj_add_arr(doc, o, "results");
}

static bool read_page(struct gtv_http_request *req, struct gtv_page *page)
{
    struct gtv_error err = {0};
    if (gtv_page_parse(gtv_http_query(req, "page"), gtv_http_query(req, "page_size"), page, &err))
        return true;
    gtv_reply_error_from(req, &err);
    return false;
}

// ---- Cameras ----

static const char *status_word(const char *state)
{
    return strcmp(state, "connected") == 0      ? "online"
           : strcmp(state, "disconnected") == 0 ? "offline"
                                                : state;
}

static void add_camera(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_console *c,
                       const struct gtv_camera *camera)
{
    char path[GTV_CAMERA_PATH_CAP];
    struct gtv_camera_state s;
    gtv_directory_get(c->directory, camera->id, &s);
    struct gtv_str base = gtv_str_of(c->options.public_base);
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    char *url =
        gtv_asprintf(GTV_STR_FMT "/hls/%s/index.m3u8", GTV_STR_ARG(base), gtv_camera_path(camera->id, path));
    yyjson_mut_obj_add_sint(doc, o, "id", camera->id);
    yyjson_mut_obj_add_strcpy(doc, o, "name", camera->name);
    yyjson_mut_obj_add_null(doc, o, "location");
    yyjson_mut_obj_add_strcpy(doc, o, "status", status_word(s.state));
    gtv_json_add_text(doc, o, "status_cause", s.cause);
    gtv_json_add_text(doc, o, "status_cause_code", s.cause_code);
    yyjson_mut_obj_add_strcpy(doc, o, "stream_url", url);
    yyjson_mut_obj_add_null(doc, o, "thumbnail_url");
    yyjson_mut_obj_add_null(doc, o, "snapshot_url");
    yyjson_mut_obj_add_null(doc, o, "latitude");
    yyjson_mut_obj_add_null(doc, o, "longitude");
    yyjson_mut_obj_add_null(doc, o, "detection_settings");
    yyjson_mut_obj_add_bool(doc, o, "on_demand", camera->on_demand);
    yyjson_mut_obj_add_bool(doc, o, "recording_enabled", camera->record);
    yyjson_mut_obj_add_null(doc, o, "recording_retention_days");
    yyjson_mut_obj_add_bool(doc, o, "ai_enabled", camera->ai_enabled);
    gtv_json_add_time(doc, o, "created_at", camera->created_ms);
    free(url);
}

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const struct gtv_camera *)a)->id, y = ((const struct gtv_camera *)b)->id;
    return (x > y) - (x < y);
}

// HGETALL's pairs as cameras by id; what is no camera is passed over. free() the result.
static struct gtv_camera *cameras_of(const redisReply *reply, size_t *count)
{
    *count = 0;
    struct gtv_camera *all = gtv_alloc((reply->elements / 2 + 1) * sizeof *all);
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *value = reply->element[i + 1];
        yyjson_doc *doc = gtv_json_parse((struct gtv_str){value->str, (size_t)value->len}, NULL);
        if (doc && gtv_camera_parse(yyjson_doc_get_root(doc), &all[*count], NULL))
            ++*count;
        yyjson_doc_free(doc);
    }
    qsort(all, *count, sizeof *all, by_id);
    return all;
}

static void reply_cameras(struct gtv_console *c, struct gtv_http_request *req, const struct gtv_page *page,
                          const struct gtv_camera *all, size_t count)
{
    if (!gtv_page_exists(page, (int64_t)count)) {
        gtv_reply_error(req, GTV_E_NOT_FOUND, "page", "Invalid page.");
        return;
    }
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_val *list = begin_list(doc, o, req, page, (int64_t)count);
    size_t first = (size_t)gtv_page_offset(page);
    for (size_t i = first; i < count && i < first + (size_t)page->size; i++)
        add_camera(doc, yyjson_mut_arr_add_obj(doc, list), c, &all[i]);
    gtv_reply_json(req, 200, doc);
}

static void reply_camera(struct gtv_console *c, struct gtv_http_request *req, int64_t id,
                         const struct gtv_camera *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (all[i].id != id)
            continue;
        yyjson_mut_val *o;
        yyjson_mut_doc *doc = gtv_json_object(&o);
        add_camera(doc, o, c, &all[i]);
        gtv_reply_json(req, 200, doc);
        return;
    }
    gtv_reply_error(req, GTV_E_NOT_FOUND, NULL, "there is no such camera");
}

static void redis_away(struct gtv_http_request *req)
{
    gtv_reply_error(req, GTV_E_UNAVAILABLE, NULL,
                    "Redis, which holds the list of cameras, cannot be reached right now");
}

static void cameras_cb(void *arg, redisReply *reply)
{
    struct pending *p = arg;
    struct pending asked = *p;
    struct gtv_http_request *req = end(p);
    if (!req)
        return;
    if (!reply || reply->type != REDIS_REPLY_ARRAY) {
        redis_away(req);
        return;
    }
    size_t count;
    struct gtv_camera *all = cameras_of(reply, &count);
    for (size_t i = 0; i < count; i++)
        gtv_directory_put_name(asked.console->directory, all[i].id, all[i].name);
    if (asked.camera_id)
        reply_camera(asked.console, req, asked.camera_id, all, count);
    else
        reply_cameras(asked.console, req, &asked.page, all, count);
    free(all);
}

static void ask_redis(struct pending *p)
{
    if (!gtv_redis_command(p->console->redis, cameras_cb, p, "HGETALL %s", GTV_KEY_CAMERAS))
        redis_away(end(p));
}

void gtv_handle_cameras(struct gtv_http_request *req, void *user)
{
    struct gtv_page page;
    if (!read_page(req, &page))
        return;
    struct pending *p = begin(user, req);
    p->page = page;
    ask_redis(p);
}

void gtv_handle_camera(struct gtv_http_request *req, void *user)
{
    int64_t id;
    if (!gtv_parse_int(gtv_http_param(req, "id"), 1, INT64_MAX, &id)) {
        gtv_reply_error(req, GTV_E_NOT_FOUND, NULL, "there is no such camera");
        return;
    }
    struct pending *p = begin(user, req);
    p->camera_id = id;
    ask_redis(p);
}

// ---- Detections ----

static void add_detection(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_console *c,
                          const struct gtv_db_detection *d)
{
    struct gtv_camera_state s;
    gtv_directory_get(c->directory, d->camera_id, &s);
    yyjson_mut_obj_add_sint(doc, o, "id", d->id);
    yyjson_mut_obj_add_sint(doc, o, "camera_id", d->camera_id);
    // The name it has now; the one it had then where the camera is gone.
    gtv_json_add_text(doc, o, "camera_name", s.name[0] ? s.name : d->camera_name);
    gtv_json_add_text(doc, o, "plate", d->plate);
    yyjson_mut_obj_add_real(doc, o, "confidence", d->object.confidence);
    gtv_json_add_time(doc, o, "timestamp", d->wall_ms);
    yyjson_mut_obj_add_strcpy(doc, o, "vehicle_type", d->object.object_type);
    yyjson_mut_obj_add_null(doc, o, "image_url");
    yyjson_mut_obj_add_null(doc, o, "video_url");
    yyjson_mut_val *box = yyjson_mut_obj_add_obj(doc, o, "bbox");
    yyjson_mut_obj_add_int(doc, box, "x", d->object.x);
    yyjson_mut_obj_add_int(doc, box, "y", d->object.y);
    yyjson_mut_obj_add_int(doc, box, "w", d->object.w);
    yyjson_mut_obj_add_int(doc, box, "h", d->object.h);
    yyjson_mut_val *frame = yyjson_mut_obj_add_obj(doc, o, "frame");
    yyjson_mut_obj_add_int(doc, frame, "width", d->frame_width);
    yyjson_mut_obj_add_int(doc, frame, "height", d->frame_height);
}

static void detections_cb(void *arg, const struct gtv_store_result *r)
{
    struct pending *p = arg;
    struct pending asked = *p;
    struct gtv_http_request *req = end(p);
    if (!req)
        return;
    if (r->err) {
        gtv_reply_error_from(req, r->err);
        return;
    }
    if (!gtv_page_exists(&asked.page, r->total)) {
        gtv_reply_error(req, GTV_E_NOT_FOUND, "page", "Invalid page.");
        return;
    }
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_val *list = begin_list(doc, o, req, &asked.page, r->total);
    for (size_t i = 0; i < r->count; i++)
        add_detection(doc, yyjson_mut_arr_add_obj(doc, list), asked.console, &r->rows[i]);
    gtv_reply_json(req, 200, doc);
}

// Plates are stored as they are read: capitals and digits. People type them with a hyphen or in lower case.
static bool read_plate(struct gtv_str text, char out[GTV_DB_PLATE_CAP])
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char ch = (unsigned char)text.p[i];
        if (ch == '-' || ch == ' ')
            continue;
        if (!isalnum(ch) || n + 1 >= GTV_DB_PLATE_CAP)
            return false;
        out[n++] = (char)toupper(ch);
    }
    out[n] = '\0';
    return true;
}

static bool read_filter(struct gtv_http_request *req, struct gtv_db_filter *f)
{
    struct gtv_error err = {0};
    struct gtv_str camera = gtv_http_query(req, "camera_id"), plate = gtv_http_query(req, "plate");
    if (camera.n && !gtv_parse_int(camera, 1, INT64_MAX, &f->camera_id))
        gtv_error_set(&err, GTV_E_INVALID, "camera_id", "camera_id must be a whole number from 1");
    else if (!read_plate(plate, f->plate))
        gtv_error_set(&err, GTV_E_INVALID, "plate", "a plate has letters and digits only");
    else
        return true;
    gtv_reply_error_from(req, &err);
    return false;
}

void gtv_handle_detections(struct gtv_http_request *req, void *user)
{
    struct gtv_console *c = user;
    struct gtv_page page;
    struct gtv_db_filter filter = {0};
    if (!read_page(req, &page) || !read_filter(req, &filter))
        return;
    filter.limit = page.size;
    filter.offset = gtv_page_offset(&page);
    struct pending *p = begin(c, req);
    p->page = page;
    if (!gtv_store_find(c->store, &filter, detections_cb, p))
        gtv_reply_error(end(p), GTV_E_LIMIT, NULL, "too many questions are waiting for the database");
}
