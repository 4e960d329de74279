// GET, POST, DELETE /watchlist and /watchlist/{id}, POST /watchlist/import, GET /watchlist/check.

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/ai/service.h"

#include <stdlib.h>

enum { LISTED = 1000, LISTED_MAX = 10000 };

// A change whose answer is under way. req is NULL once the client has left.
struct asked {
    struct gtv_ai *ai;
    struct gtv_http_request *req;
    struct gtv_watchlist_entry entry;     // of a post
    char id[GTV_WATCHLIST_ID_CAP];        // of a delete; empty: all
    struct gtv_watchlist_import imported; // of an import
};

static void left(void *arg, bool complete)
{
    struct asked *a = arg;
    a->req = NULL;
}

static struct asked *begin(struct gtv_ai *ai, struct gtv_http_request *req)
{
    struct asked *a = GTV_NEW(struct asked);
    a->ai = ai;
    a->req = req;
    gtv_http_on_close(req, left, a);
    return a;
}

static void end(struct asked *a)
{
    if (a->req)
        gtv_http_on_close(a->req, NULL, NULL);
    gtv_watchlist_import_finish(&a->imported);
    free(a);
}

static void away(struct asked *a)
{
    if (a->req)
        gtv_reply_error(a->req, GTV_E_UNAVAILABLE, NULL, "Redis is away: the watch-list cannot be changed");
    end(a);
}

static void reply_entry(struct gtv_http_request *req, int status, const struct gtv_watchlist_entry *e)
{
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    gtv_watchlist_entry_write(e, doc, o);
    gtv_reply_json(req, status, doc);
}

// ---- Reading ----

static bool read_number(struct gtv_http_request *req, const char *name, int64_t min, int64_t max,
                        int64_t *out)
{
    struct gtv_str text = gtv_http_query(req, name);
    struct gtv_error err = {0};
    if (!text.p || gtv_parse_int(text, min, max, out))
        return true;
    gtv_error_set(&err, GTV_E_INVALID, name, "%s must be a whole number from %lld to %lld", name,
                  (long long)min, (long long)max);
    gtv_reply_error_from(req, &err);
    return false;
}

void gtv_ai_handle_watchlist(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    int64_t limit = LISTED, offset = 0;
    if (!read_number(req, "limit", 1, LISTED_MAX, &limit) ||
        !read_number(req, "offset", 0, GTV_WATCHLIST_MAX, &offset))
        return;
    struct gtv_watchlist *l = gtv_watchlists_get(ai->watchlists);
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_uint(doc, o, "count", gtv_watchlist_count(l));
    yyjson_mut_obj_add_int(doc, o, "limit", GTV_WATCHLIST_MAX);
    yyjson_mut_obj_add_bool(doc, o, "redis", gtv_watchlists_up(ai->watchlists));
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "entries");
    for (size_t i = (size_t)offset; i < gtv_watchlist_count(l) && i < (size_t)(offset + limit); i++)
        gtv_watchlist_entry_write(gtv_watchlist_at(l, i), doc, yyjson_mut_arr_add_obj(doc, list));
    gtv_watchlist_unref(l);
    gtv_reply_json(req, 200, doc);
}

void gtv_ai_handle_watchlist_entry(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    struct gtv_watchlist *l = gtv_watchlists_get(ai->watchlists);
    const struct gtv_watchlist_entry *e = gtv_watchlist_find(l, gtv_http_param(req, "id"));
    if (e)
        reply_entry(req, 200, e);
    else
        gtv_reply_error(req, GTV_E_NOT_FOUND, "id", "There is no such entry");
    gtv_watchlist_unref(l);
}

void gtv_ai_handle_watchlist_check(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    char text[GTV_PLATE_TEXT_CAP], key[GTV_PLATE_KEY_MAX + 1];
    struct gtv_str plate = gtv_http_query(req, "plate");
    if (!gtv_str_copy(text, sizeof(text), plate) || !gtv_plate_key(plate, key)) {
        struct gtv_error err = {0};
        gtv_error_set(&err, GTV_E_INVALID, "plate", "plate must be a plate: letters and digits");
        gtv_reply_error_from(req, &err);
        return;
    }
    struct gtv_watchlist *l = gtv_watchlists_get(ai->watchlists);
    struct gtv_watchlist_hit hits[GTV_WATCHLIST_HITS];
    size_t n = gtv_watchlist_check(l, &(struct gtv_watchlist_read){text, NULL}, gtv_wall_ms(), hits);
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_strcpy(doc, o, "plate", text);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "matches");
    for (size_t i = 0; i < n; i++) {
        yyjson_mut_val *m = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_str(doc, m, "match", gtv_plate_match_names[hits[i].match.kind]);
        yyjson_mut_obj_add_real(doc, m, "cost", hits[i].match.cost);
        yyjson_mut_obj_add_strcpy(doc, m, "why", hits[i].why);
        gtv_watchlist_entry_write(hits[i].entry, doc, yyjson_mut_obj_add_obj(doc, m, "entry"));
    }
    gtv_watchlist_unref(l);
    gtv_reply_json(req, 200, doc);
}

// ---- Changing ----

static void posted(void *arg, const struct gtv_watchlists_change *c)
{
    struct asked *a = arg;
    if (!c->ok) {
        away(a);
        return;
    }
    if (a->req && c->full)
        gtv_reply_error(a->req, GTV_E_CONFLICT, NULL, "The watch-list is full: 10000 entries");
    else if (a->req)
        reply_entry(a->req, c->added ? 201 : 200, &a->entry);
    end(a);
}

void gtv_ai_handle_watchlist_post(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    struct gtv_error err = {0};
    struct gtv_watchlist_entry e;
    yyjson_doc *body = gtv_json_parse(gtv_http_body(req), &err);
    bool ok = body && gtv_watchlist_entry_parse(yyjson_doc_get_root(body), &e, &err);
    yyjson_doc_free(body);
    if (!ok) {
        gtv_reply_invalid(req, &err);
        return;
    }
    struct asked *a = begin(ai, req);
    e.created_ms = gtv_wall_ms();
    a->entry = e;
    if (!gtv_watchlists_put(ai->watchlists, &e, 1, posted, a))
        away(a);
}

static void removed(void *arg, const struct gtv_watchlists_change *c)
{
    struct asked *a = arg;
    if (!c->ok) {
        away(a);
        return;
    }
    if (a->req && a->id[0] && !c->removed) {
        gtv_reply_error(a->req, GTV_E_NOT_FOUND, "id", "There is no such entry");
    } else if (a->req) {
        yyjson_mut_val *o;
        yyjson_mut_doc *doc = gtv_json_object(&o);
        yyjson_mut_obj_add_uint(doc, o, "removed", c->removed);
        gtv_reply_json(a->req, 200, doc);
    }
    end(a);
}

void gtv_ai_handle_watchlist_remove(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    struct asked *a = begin(ai, req);
    if (!gtv_str_copy(a->id, sizeof(a->id), gtv_http_param(req, "id")) || !a->id[0]) {
        gtv_reply_error(req, GTV_E_NOT_FOUND, "id", "There is no such entry");
        end(a);
    } else if (!gtv_watchlists_remove(ai->watchlists, a->id, removed, a)) {
        away(a);
    }
}

// All of them, so that it must be said.
void gtv_ai_handle_watchlist_clear(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    bool all = false;
    if (!gtv_parse_bool(gtv_http_query(req, "all"), &all) || !all) {
        struct gtv_error err = {0};
        gtv_error_set(&err, GTV_E_INVALID, "all", "all=true empties the watch-list");
        gtv_reply_error_from(req, &err);
        return;
    }
    struct asked *a = begin(ai, req);
    if (!gtv_watchlists_remove(ai->watchlists, NULL, removed, a))
        away(a);
}

static void imported(void *arg, const struct gtv_watchlists_change *c)
{
    struct asked *a = arg;
    if (!c->ok) {
        away(a);
        return;
    }
    if (!a->req) {
        end(a);
        return;
    }
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_uint(doc, o, "added", c->added);
    yyjson_mut_obj_add_uint(doc, o, "changed", c->changed);
    yyjson_mut_obj_add_uint(doc, o, "full", c->full);
    yyjson_mut_obj_add_uint(doc, o, "failed", a->imported.error_count);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "errors");
    for (size_t i = 0; i < a->imported.error_count && i < GTV_WATCHLIST_IMPORT_ERRORS; i++) {
        const struct gtv_watchlist_import_error *e = &a->imported.errors[i];
        yyjson_mut_val *one = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_uint(doc, one, "line", e->line);
        yyjson_mut_obj_add_str(doc, one, "code", e->code);
        gtv_json_add_text(doc, one, "field", e->err.field);
        yyjson_mut_obj_add_strcpy(doc, one, "detail", e->err.message);
    }
    gtv_reply_json(a->req, 200, doc);
    end(a);
}

void gtv_ai_handle_watchlist_import(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    struct gtv_error err = {0};
    struct gtv_str type = gtv_http_header(req, "content-type");
    type = gtv_str_trim(gtv_str_cut(&type, ';'));
    struct asked *a = begin(ai, req);
    if (!gtv_str_ieq(type, GTV_STR("text/csv"))) {
        gtv_reply_error(req, GTV_E_UNSUPPORTED, "content-type", "Content-Type must be text/csv");
        end(a);
    } else if (!gtv_watchlist_import_parse(gtv_http_body(req), gtv_wall_ms(), &a->imported, &err)) {
        if (err.code == GTV_E_INVALID)
            gtv_reply_invalid(req, &err);
        else
            gtv_reply_error_from(req, &err);
        end(a);
    } else if (!gtv_watchlists_put(ai->watchlists, a->imported.entries, a->imported.count, imported, a)) {
        away(a);
    }
}
