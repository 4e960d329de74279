// /api/cameras/ and /api/detections/: answers that come later, from Redis or from the SQL thread.

#include "lib/base/mem.h"
#include "services/console/answers.h"

#include <stdio.h>
#include <stdlib.h>

// ---- Cameras ----

static const char *status_word(const char *state)
{
    return strcmp(state, "connected") == 0      ? "online"
           : strcmp(state, "disconnected") == 0 ? "offline"
                                                : state;
}

// The playlist of a path; NULL: there is none.
static void add_stream(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *key, const struct gtv_console *c,
                       const char *path)
{
    struct gtv_str base = gtv_str_of(c->options.public_base);
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    char *url = path ? gtv_asprintf(GTV_STR_FMT "/hls/%s/index.m3u8", GTV_STR_ARG(base), path) : NULL;
    gtv_json_add_text(doc, o, key, url);
    free(url);
}

static void add_camera(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_console *c,
                       const struct gtv_camera *camera)
{
    char path[GTV_CAMERA_PATH_CAP];
    struct gtv_camera_state s;
    gtv_directory_get(c->directory, camera->id, &s);
    yyjson_mut_obj_add_sint(doc, o, "id", camera->id);
    yyjson_mut_obj_add_strcpy(doc, o, "name", camera->name);
    yyjson_mut_obj_add_null(doc, o, "location");
    yyjson_mut_obj_add_strcpy(doc, o, "status", status_word(s.state));
    gtv_json_add_text(doc, o, "status_cause", s.cause);
    gtv_json_add_text(doc, o, "status_cause_code", s.cause_code);
    add_stream(doc, o, "stream_url", c, gtv_camera_path(camera->id, path));
    add_stream(doc, o, "sub_stream_url", c,
               camera->sub_url[0] ? gtv_camera_sub_path(camera->id, path) : NULL);
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
    yyjson_mut_val *list = gtv_answer_list(doc, o, req, page, (int64_t)count);
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
    struct gtv_pending *p = arg;
    struct gtv_pending asked = *p;
    struct gtv_http_request *req = gtv_pending_end(p);
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

static void ask_redis(struct gtv_pending *p)
{
    if (!gtv_redis_command(p->console->redis, cameras_cb, p, "HGETALL %s", GTV_KEY_CAMERAS))
        redis_away(gtv_pending_end(p));
}

void gtv_handle_cameras(struct gtv_http_request *req, void *user)
{
    struct gtv_page page;
    if (!gtv_answer_page(req, &page))
        return;
    struct gtv_pending *p = gtv_pending_begin(user, req);
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
    struct gtv_pending *p = gtv_pending_begin(user, req);
    p->camera_id = id;
    ask_redis(p);
}

// ---- Detections ----

static void add_detection(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_pending *asked,
                          const struct gtv_store_result *r, size_t at)
{
    const struct gtv_db_detection *d = &r->rows[at];
    yyjson_mut_obj_add_sint(doc, o, "id", d->id);
    gtv_answer_seen(doc, o, asked->console, d->camera_id, d->camera_name, d->wall_ms, d->track);
    gtv_answer_plate(doc, o, &d->read);
    gtv_json_add_text(doc, o, "plate_key", d->read.key);
    yyjson_mut_obj_add_real(doc, o, "confidence", d->object.confidence);
    gtv_json_add_time(doc, o, "last_seen", d->last_ms);
    yyjson_mut_obj_add_strcpy(doc, o, "vehicle_type", d->object.object_type);
    gtv_answer_image(doc, o, d->crop);
    yyjson_mut_obj_add_null(doc, o, "video_url");
    gtv_answer_box(doc, o, &d->object, d->frame_width, d->frame_height);
}

static void detections_cb(void *arg, const struct gtv_store_result *r)
{
    gtv_pending_end_found(arg, r, add_detection);
}

void gtv_handle_detections(struct gtv_http_request *req, void *user)
{
    struct gtv_console *c = user;
    struct gtv_error err = {0};
    struct gtv_page page;
    struct gtv_db_filter f = {0};
    if (!gtv_answer_page(req, &page))
        return;
    if (!gtv_query_camera(req, &f.camera_id, &err) || !gtv_query_plate(req, f.plate, &err) ||
        !gtv_query_times(req, &f.from_ms, &f.to_ms, &err) ||
        !gtv_query_word(req, "vehicle_type", f.vehicle_type, sizeof f.vehicle_type, &err)) {
        gtv_reply_error_from(req, &err);
        return;
    }
    f.limit = page.size;
    f.offset = gtv_page_offset(&page);
    struct gtv_pending *p = gtv_pending_begin(c, req);
    p->page = page;
    if (!gtv_store_find(c->store, &f, detections_cb, p))
        gtv_pending_refuse(p);
}
