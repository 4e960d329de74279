#include "services/console/answers.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static void left(void *arg, bool complete)
{
    struct gtv_pending *p = arg;
    p->req = NULL;
}

static void nothing(void *arg, bool complete)
{
}

struct gtv_pending *gtv_pending_begin(struct gtv_console *c, struct gtv_http_request *req)
{
    struct gtv_pending *p = GTV_NEW(struct gtv_pending);
    p->console = c;
    p->req = req;
    gtv_http_on_close(req, left, p);
    return p;
}

struct gtv_http_request *gtv_pending_end(struct gtv_pending *p)
{
    struct gtv_http_request *req = p->req;
    if (req)
        gtv_http_on_close(req, nothing, NULL);
    free(p);
    return req;
}

void gtv_pending_end_found(struct gtv_pending *p, const struct gtv_store_result *r, gtv_answer_add_fn add)
{
    const struct gtv_pending asked = *p;
    struct gtv_http_request *req = gtv_pending_end(p);
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
    yyjson_mut_val *list = gtv_answer_list(doc, o, req, &asked.page, r->total);
    for (size_t i = 0; i < r->count; i++)
        add(doc, yyjson_mut_arr_add_obj(doc, list), &asked, r, i);
    gtv_reply_json(req, 200, doc);
}

void gtv_pending_refuse(struct gtv_pending *p)
{
    gtv_reply_error(gtv_pending_end(p), GTV_E_LIMIT, NULL, "too many questions are waiting for the database");
}

// ---- Pages ----

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

yyjson_mut_val *gtv_answer_list(yyjson_mut_doc *doc, yyjson_mut_val *o, struct gtv_http_request *req,
                                const struct gtv_page *page, int64_t total)
{
    yyjson_mut_obj_add_sint(doc, o, "count", total);
    add_link(doc, o, "next", req, gtv_page_has_next(page, total), page->number + 1);
    add_link(doc, o, "previous", req, page->number > 1, page->number - 1);
    return yyjson_mut_obj_add_arr(doc, o, "results");
}

bool gtv_answer_page(struct gtv_http_request *req, struct gtv_page *page)
{
    struct gtv_error err = {0};
    if (gtv_page_parse(gtv_http_query(req, "page"), gtv_http_query(req, "page_size"), page, &err))
        return true;
    gtv_reply_error_from(req, &err);
    return false;
}

// ---- Parameters ----

bool gtv_query_camera(struct gtv_http_request *req, int64_t *out, struct gtv_error *err)
{
    struct gtv_str camera = gtv_http_query(req, "camera_id");
    if (!camera.n || gtv_parse_int(camera, 1, INT64_MAX, out))
        return true;
    gtv_error_set(err, GTV_E_INVALID, "camera_id", "camera_id must be a whole number from 1");
    return false;
}

// Plates are stored as they are read: capitals and digits. People type them with a hyphen or in lower case.
bool gtv_query_plate(struct gtv_http_request *req, char out[GTV_DB_PATTERN_CAP], struct gtv_error *err)
{
    struct gtv_str text = gtv_http_query(req, "plate");
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        unsigned char ch = (unsigned char)text.p[i];
        if (ch == '-' || ch == ' ' || ch == '.')
            continue;
        bool wild = ch == '*' || ch == '?';
        if ((!isalnum(ch) && !wild) || n + 1 >= GTV_DB_PATTERN_CAP) {
            gtv_error_set(err, GTV_E_INVALID, "plate",
                          "a plate has letters and digits only, or * and ? for what is not known; at most %d",
                          GTV_DB_PATTERN_CAP - 1);
            return false;
        }
        out[n++] = (char)toupper(ch);
    }
    out[n] = '\0';
    return true;
}

static bool read_time(struct gtv_http_request *req, const char *name, int64_t *out, struct gtv_error *err)
{
    struct gtv_str text = gtv_http_query(req, name);
    if (!text.n || gtv_parse_int(text, 1, INT64_MAX / 1000, out))
        return true;
    if (text.n == 10) // a day alone begins at midnight
        text = gtv_str_of(gtv_arena_printf(gtv_http_arena(req), GTV_STR_FMT "T00:00:00Z", GTV_STR_ARG(text)));
    if (gtv_iso8601_parse(text, out))
        return true;
    gtv_error_set(err, GTV_E_INVALID, name,
                  "%s must be a moment like 2026-11-23T08:00:00-03:00, or milliseconds since 1970", name);
    return false;
}

bool gtv_query_times(struct gtv_http_request *req, int64_t *from_ms, int64_t *to_ms, struct gtv_error *err)
{
    if (!read_time(req, "from", from_ms, err) || !read_time(req, "to", to_ms, err))
        return false;
    if (!*from_ms || !*to_ms || *from_ms < *to_ms)
        return true;
    gtv_error_set(err, GTV_E_INVALID, "to", "to must be later than from");
    return false;
}

bool gtv_query_word(struct gtv_http_request *req, const char *name, char *out, size_t cap,
                    struct gtv_error *err)
{
    struct gtv_str text = gtv_http_query(req, name);
    if (!text.n || (!memchr(text.p, '\0', text.n) && gtv_str_copy(out, cap, text)))
        return true;
    gtv_error_set(err, GTV_E_INVALID, name, "%s is too long", name);
    return false;
}

// ---- Values ----

void gtv_answer_image(yyjson_mut_doc *doc, yyjson_mut_val *o, const char *crop)
{
    char url[GTV_DB_CROP_CAP + 16];
    int n = crop[0] ? snprintf(url, sizeof url, "/api/crops/%s", crop) : 0;
    gtv_json_add_text(doc, o, "image_url", n > 0 ? url : NULL);
}

void gtv_answer_box(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_detected *d, int width,
                    int height)
{
    yyjson_mut_val *box = yyjson_mut_obj_add_obj(doc, o, "bbox");
    yyjson_mut_obj_add_int(doc, box, "x", d->x);
    yyjson_mut_obj_add_int(doc, box, "y", d->y);
    yyjson_mut_obj_add_int(doc, box, "w", d->w);
    yyjson_mut_obj_add_int(doc, box, "h", d->h);
    yyjson_mut_val *frame = yyjson_mut_obj_add_obj(doc, o, "frame");
    yyjson_mut_obj_add_int(doc, frame, "width", width);
    yyjson_mut_obj_add_int(doc, frame, "height", height);
}

void gtv_answer_seen(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_console *c, int64_t camera_id,
                     const char *camera_name, int64_t wall_ms, int64_t track)
{
    struct gtv_camera_state s;
    gtv_directory_get(c->directory, camera_id, &s);
    yyjson_mut_obj_add_sint(doc, o, "camera_id", camera_id);
    gtv_json_add_text(doc, o, "camera_name", s.name[0] ? s.name : camera_name);
    gtv_json_add_time(doc, o, "timestamp", wall_ms);
    if (track)
        yyjson_mut_obj_add_sint(doc, o, "track_id", track);
    else
        yyjson_mut_obj_add_null(doc, o, "track_id");
}

void gtv_answer_plate(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_db_plate *p)
{
    bool known = p->text[0] && p->format[0];
    gtv_json_add_text(doc, o, "plate", p->text);
    gtv_json_add_text(doc, o, "plate_format", p->text[0] ? p->format : NULL);
    if (known)
        yyjson_mut_obj_add_real(doc, o, "plate_confidence", p->confidence);
    else
        yyjson_mut_obj_add_null(doc, o, "plate_confidence");
    if (known)
        yyjson_mut_obj_add_bool(doc, o, "plate_uncertain", p->uncertain);
    else
        yyjson_mut_obj_add_null(doc, o, "plate_uncertain");
}
