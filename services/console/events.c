// /api/events/, /api/alerts/ and /api/counts/: what happened, out of the database; /api/crops/: the pictures.

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/console/answers.h"

#include <stdlib.h>
#include <unistd.h>

// ---- Events and alerts ----

static void add_number(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *name, double v)
{
    if (v >= 0)
        yyjson_mut_obj_add_real(doc, o, name, v);
    else
        yyjson_mut_obj_add_null(doc, o, name);
}

static void add_place(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_db_happening *h)
{
    gtv_json_add_text(doc, o, "place", h->place);
    gtv_json_add_text(doc, o, "place_name", h->place_name);
    gtv_json_add_text(doc, o, "direction", h->direction);
    if (h->forward >= 0)
        yyjson_mut_obj_add_bool(doc, o, "forward", h->forward > 0);
    else
        yyjson_mut_obj_add_null(doc, o, "forward");
    add_number(doc, o, "seconds", h->seconds);
    add_number(doc, o, "speed_kmh", h->speed_kmh);
    add_number(doc, o, "limit_kmh", h->limit_kmh);
    add_number(doc, o, "degrees", h->degrees);
}

static void add_happening(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_pending *asked,
                          const struct gtv_store_result *r, size_t at)
{
    const struct gtv_db_happening *h = &r->happenings[at];
    yyjson_mut_obj_add_sint(doc, o, "id", h->id);
    yyjson_mut_obj_add_strcpy(doc, o, "key", h->key);
    yyjson_mut_obj_add_strcpy(doc, o, "type", h->type);
    gtv_json_add_text(doc, o, "alert", h->alert);
    gtv_answer_seen(doc, o, asked->console, h->camera_id, h->camera_name, h->wall_ms, h->track);
    gtv_json_add_text(doc, o, "vehicle_type", h->object.object_type);
    yyjson_mut_obj_add_real(doc, o, "confidence", h->object.confidence);
    gtv_answer_plate(doc, o, &h->plate);
    gtv_json_add_text(doc, o, "list", h->list);
    gtv_json_add_text(doc, o, "label", h->label);
    gtv_json_add_text(doc, o, "severity", h->severity);
    gtv_json_add_text(doc, o, "why", h->why);
    add_place(doc, o, h);
    gtv_answer_image(doc, o, h->crop);
    gtv_answer_box(doc, o, &h->object, h->frame_width, h->frame_height);
}

static void happenings_cb(void *arg, const struct gtv_store_result *r)
{
    gtv_pending_end_found(arg, r, add_happening);
}

static void list_happenings(struct gtv_console *c, struct gtv_http_request *req,
                            struct gtv_db_happening_filter *f)
{
    struct gtv_error err = {0};
    struct gtv_page page;
    if (!gtv_answer_page(req, &page))
        return;
    if (!gtv_query_camera(req, &f->camera_id, &err) || !gtv_query_plate(req, f->plate, &err) ||
        !gtv_query_times(req, &f->from_ms, &f->to_ms, &err) ||
        !gtv_query_word(req, "alert", f->alert, sizeof f->alert, &err) ||
        (!f->type[0] && !gtv_query_word(req, "type", f->type, sizeof f->type, &err))) {
        gtv_reply_error_from(req, &err);
        return;
    }
    f->limit = page.size;
    f->offset = gtv_page_offset(&page);
    struct gtv_pending *p = gtv_pending_begin(c, req);
    p->page = page;
    if (!gtv_store_find_happenings(c->store, f, happenings_cb, p))
        gtv_pending_refuse(p);
}

void gtv_handle_events(struct gtv_http_request *req, void *user)
{
    list_happenings(user, req, &(struct gtv_db_happening_filter){0});
}

void gtv_handle_alerts(struct gtv_http_request *req, void *user)
{
    list_happenings(user, req, &(struct gtv_db_happening_filter){.type = "alert"});
}

// ---- Counts ----

static const struct {
    const char *name;
    int64_t ms;
} buckets[] = {{"minute", 60000}, {"5m", 300000}, {"15m", 900000}, {"hour", 3600000}, {"day", 86400000}};

static bool read_bucket(struct gtv_http_request *req, int64_t *ms, struct gtv_error *err)
{
    struct gtv_str text = gtv_http_query(req, "bucket");
    if (!text.n)
        return true;
    for (size_t i = 0; i < sizeof buckets / sizeof *buckets; i++) {
        if (!gtv_str_eq(text, gtv_str_of(buckets[i].name)))
            continue;
        *ms = buckets[i].ms;
        return true;
    }
    gtv_error_set(err, GTV_E_INVALID, "bucket", "bucket must be minute, 5m, 15m, hour or day");
    return false;
}

static void add_count(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_pending *asked,
                      const struct gtv_store_result *r, size_t at)
{
    const struct gtv_db_count *n = &r->counts[at];
    struct gtv_camera_state s;
    gtv_directory_get(asked->console->directory, n->camera_id, &s);
    yyjson_mut_obj_add_sint(doc, o, "camera_id", n->camera_id);
    gtv_json_add_text(doc, o, "camera_name", s.name[0] ? s.name : n->camera_name);
    yyjson_mut_obj_add_strcpy(doc, o, "line", n->line);
    gtv_json_add_text(doc, o, "line_name", n->line_name);
    yyjson_mut_obj_add_bool(doc, o, "forward", n->forward);
    gtv_json_add_text(doc, o, "direction", n->direction);
    yyjson_mut_obj_add_strcpy(doc, o, "vehicle_type", n->vehicle_type);
    gtv_json_add_time(doc, o, "from", asked->bucket_ms ? n->bucket_ms : asked->from_ms);
    gtv_json_add_time(doc, o, "to", asked->bucket_ms ? n->bucket_ms + asked->bucket_ms : asked->to_ms);
    yyjson_mut_obj_add_sint(doc, o, "count", n->count);
}

static void counts_cb(void *arg, const struct gtv_store_result *r)
{
    gtv_pending_end_found(arg, r, add_count);
}

void gtv_handle_counts(struct gtv_http_request *req, void *user)
{
    struct gtv_console *c = user;
    struct gtv_error err = {0};
    struct gtv_page page;
    struct gtv_db_count_filter f = {0};
    if (!gtv_answer_page(req, &page))
        return;
    if (!gtv_query_camera(req, &f.camera_id, &err) || !gtv_query_times(req, &f.from_ms, &f.to_ms, &err) ||
        !gtv_query_word(req, "line", f.line, sizeof f.line, &err) || !read_bucket(req, &f.bucket_ms, &err)) {
        gtv_reply_error_from(req, &err);
        return;
    }
    f.limit = page.size;
    f.offset = gtv_page_offset(&page);
    struct gtv_pending *p = gtv_pending_begin(c, req);
    p->page = page;
    p->bucket_ms = f.bucket_ms;
    p->from_ms = f.from_ms;
    p->to_ms = f.to_ms;
    if (!gtv_store_count_lines(c->store, &f, counts_cb, p))
        gtv_pending_refuse(p);
}

// ---- Pictures ----

static bool digits(struct gtv_str s, size_t least, size_t most)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n >= least && s.n <= most;
}

// cam_<digits>/<8 digits>/<digits>.jpg, or <digits>-plate.jpg, as the ai program names them; nothing else of
// the folder is public.
static bool is_crop(struct gtv_str rest)
{
    int64_t id;
    struct gtv_str camera = gtv_str_cut(&rest, '/'), day = gtv_str_cut(&rest, '/');
    if (!gtv_camera_path_parse(camera, &id) || !digits(day, 8, 8) || !gtv_str_ends(rest, GTV_STR(".jpg")))
        return false;
    rest.n -= strlen(".jpg");
    if (gtv_str_ends(rest, GTV_STR("-plate")))
        rest.n -= strlen("-plate");
    return digits(rest, 1, 20);
}

// Where there is a store behind the folder, a picture is there until it has been sent.
static bool in_folder(const struct gtv_console *c, struct gtv_str name)
{
    char *path = gtv_asprintf("%s/" GTV_STR_FMT, c->options.crops_dir, GTV_STR_ARG(name));
    bool there = access(path, R_OK) == 0;
    free(path);
    return there;
}

void gtv_handle_crop(struct gtv_http_request *req, void *user)
{
    struct gtv_console *c = user;
    struct gtv_str name = gtv_http_param(req, "name");
    // The ai program makes the folder with its first picture.
    if (!c->crops && access(c->options.crops_dir, X_OK) == 0)
        c->crops = gtv_http_files_create(c->options.crops_dir);
    bool known = is_crop(name);
    if (known && c->s3 && !(c->crops && in_folder(c, name))) {
        char *text = gtv_strndup(name);
        gtv_s3_serve(c->s3, c->pictures, req, text);
        free(text);
    } else if (known && c->crops) {
        gtv_http_files_reply(c->crops, req, name);
    } else {
        gtv_reply_error(req, GTV_E_NOT_FOUND, NULL, "there is no such picture");
    }
}
