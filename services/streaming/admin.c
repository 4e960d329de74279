#include "services/streaming/admin.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "services/streaming/control.h"
#include "services/streaming/drain.h"
#include "services/streaming/routes.h"

#include <stdlib.h>

// ---- the key ----

enum gtv_admin gtv_admin_of(struct gtv_http_request *req, const struct gtv_app *app)
{
    struct gtv_str key = gtv_str_of(gtv_live_text(&app->options.admin_key));
    struct gtv_str given = gtv_http_header(req, "Authorization");
    struct gtv_str scheme = gtv_str_cut(&given, ' ');
    if (key.n == 0)
        return GTV_ADMIN_NO_KEY;
    if (scheme.n == 0)
        return GTV_ADMIN_NOBODY;
    given = gtv_str_trim(given);
    unsigned differ = !gtv_str_ieq(scheme, GTV_STR("bearer")) || given.n != key.n;
    for (size_t i = 0; i < given.n; i++)
        differ |= (unsigned)(given.p[i] ^ key.p[i % key.n]);
    return differ ? GTV_ADMIN_WRONG : GTV_ADMIN_RIGHT;
}

static void reply_unauthorized(struct gtv_http_request *req)
{
    gtv_reply_error(req, GTV_E_UNAUTHORIZED, NULL,
                    "the key of the administrator is needed (Authorization: Bearer, GTV_ADMIN_KEY)");
}

bool gtv_admin_required(struct gtv_http_request *req, const struct gtv_app *app)
{
    enum gtv_admin a = gtv_admin_of(req, app);
    if (a == GTV_ADMIN_NO_KEY || a == GTV_ADMIN_RIGHT)
        return true;
    reply_unauthorized(req);
    return false;
}

// ---- export ----

static void reply_export(struct gtv_http_request *req, struct gtv_app *app, bool whole)
{
    size_t n;
    struct gtv_camera *all = gtv_cameras_all(app->cameras, &n);
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_int(doc, o, "version", 1);
    gtv_json_add_time(doc, o, "exported_at", gtv_wall_ms());
    yyjson_mut_obj_add_bool(doc, o, "redacted", !whole);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "cameras");
    for (size_t i = 0; i < n; i++) {
        char shown[GTV_SHOWN_URL_CAP];
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list);
        yyjson_mut_obj_add_sint(doc, item, "camera_id", all[i].id);
        yyjson_mut_obj_add_strcpy(doc, item, "rtsp_url",
                                  whole ? all[i].url : gtv_shown_url(all[i].url, shown));
        gtv_json_add_text(doc, item, "sub_rtsp_url",
                          whole || !all[i].sub_url[0] ? all[i].sub_url
                                                      : gtv_shown_url(all[i].sub_url, shown));
        yyjson_mut_obj_add_strcpy(doc, item, "name", all[i].name);
        yyjson_mut_obj_add_bool(doc, item, "on_demand", all[i].on_demand);
        yyjson_mut_obj_add_bool(doc, item, "record", all[i].record);
        yyjson_mut_obj_add_bool(doc, item, "ai_enabled", all[i].ai_enabled);
        gtv_json_add_time(doc, item, "created_at", all[i].created_ms);
    }
    free(all);
    gtv_reply_json(req, 200, doc);
}

void gtv_handle_export(struct gtv_http_request *req, void *worker)
{
    struct gtv_app *app = ((struct gtv_worker *)worker)->app;
    enum gtv_admin a = gtv_admin_of(req, app);
    if (a == GTV_ADMIN_WRONG)
        reply_unauthorized(req);
    else
        reply_export(req, app, a == GTV_ADMIN_RIGHT);
}

// ---- nodes ----

static void add_node(yyjson_mut_doc *doc, yyjson_mut_val *o, struct gtv_app *app, size_t node, size_t cameras)
{
    struct gtv_node_state s = gtv_nodes_state(app->nodes, node);
    char shown[512];
    size_t n = gtv_redact(gtv_str_of(gtv_nodes_api(app->nodes, node)), shown, sizeof shown);
    yyjson_mut_obj_add_strcpy(doc, o, "id", gtv_nodes_id(app->nodes, node));
    yyjson_mut_obj_add_strncpy(doc, o, "api_url", shown, n);
    n = gtv_redact(gtv_str_of(gtv_nodes_hls(app->nodes, node)), shown, sizeof shown);
    yyjson_mut_obj_add_strncpy(doc, o, "hls_url", shown, n);
    yyjson_mut_obj_add_real(doc, o, "weight", gtv_nodes_weight(app->nodes, node));
    yyjson_mut_obj_add_str(doc, o, "state",
                           s.since_ms == 0 ? "unknown"
                           : s.up          ? "up"
                           : s.dead        ? "dead"
                                           : "down");
    yyjson_mut_obj_add_bool(doc, o, "up", s.up);
    yyjson_mut_obj_add_bool(doc, o, "drained", s.drained);
    // A drained node serves on until its cameras are elsewhere.
    yyjson_mut_obj_add_bool(doc, o, "serving", gtv_nodes_serving_set(app->nodes) >> node & 1);
    gtv_json_add_time(doc, o, "since", s.since_ms);
    if (s.cause[0])
        yyjson_mut_obj_add_strcpy(doc, o, "cause", s.cause);
    else
        yyjson_mut_obj_add_null(doc, o, "cause");
    yyjson_mut_obj_add_uint(doc, o, "paths", s.paths);
    yyjson_mut_obj_add_uint(doc, o, "cameras", cameras);
}

static void count_cameras(struct gtv_app *app, size_t counts[GTV_NODES_MAX])
{
    size_t n;
    struct gtv_camera *all = gtv_cameras_all(app->cameras, &n);
    for (size_t i = 0; i < n; i++) {
        char path[GTV_CAMERA_PATH_CAP];
        counts[gtv_nodes_serving(app->nodes, gtv_str_of(gtv_camera_path(all[i].id, path)))]++;
    }
    free(all);
}

void gtv_handle_nodes(struct gtv_http_request *req, void *worker)
{
    struct gtv_app *app = ((struct gtv_worker *)worker)->app;
    size_t counts[GTV_NODES_MAX] = {0}, n = gtv_nodes_count(app->nodes);
    count_cameras(app, counts);
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_uint(doc, o, "count", n);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "nodes");
    for (size_t i = 0; i < n; i++)
        add_node(doc, yyjson_mut_arr_add_obj(doc, list), app, i, counts[i]);
    gtv_reply_json(req, 200, doc);
}

static void drain(struct gtv_http_request *req, struct gtv_worker *w, bool drained)
{
    struct gtv_app *app = w->app;
    size_t node, counts[GTV_NODES_MAX] = {0};
    if (!gtv_admin_required(req, app))
        return;
    if (!gtv_nodes_find(app->nodes, gtv_http_param(req, "id"), &node)) {
        gtv_reply_error(req, GTV_E_NOT_FOUND, NULL, "there is no such media node");
        return;
    }
    if (!gtv_drain_set(app, node, drained)) {
        gtv_reply_error(req, GTV_E_CONFLICT, NULL,
                        "this is the only media node that takes cameras: there is none to move them to");
        return;
    }
    count_cameras(app, counts);
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    add_node(doc, o, app, node, counts[node]);
    gtv_reply_json(req, 200, doc);
}

void gtv_handle_drain(struct gtv_http_request *req, void *worker)
{
    drain(req, worker, true);
}

void gtv_handle_undrain(struct gtv_http_request *req, void *worker)
{
    drain(req, worker, false);
}

// ---- what a camera did ----

// A camera of ours; else answered 404 or 422.
static bool find_camera(struct gtv_http_request *req, struct gtv_app *app, int64_t *id)
{
    struct gtv_camera camera;
    if (!gtv_param_camera(req, id))
        return false;
    if (gtv_cameras_get(app->cameras, *id, &camera))
        return true;
    gtv_reply_error(req, GTV_E_NOT_FOUND, NULL, "there is no such camera");
    return false;
}

void gtv_handle_gaps(struct gtv_http_request *req, void *worker)
{
    struct gtv_app *app = ((struct gtv_worker *)worker)->app;
    int64_t id, now_ms = gtv_wall_ms();
    if (!find_camera(req, app, &id))
        return;
    size_t n;
    struct gtv_gap *gaps = gtv_ledger_gaps(app->ledger, id, &n);
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_sint(doc, o, "camera_id", id);
    gtv_add_uptime(doc, o, app, id);
    yyjson_mut_obj_add_uint(doc, o, "count", n);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "gaps");
    for (size_t i = n; i-- > 0;) { // the newest first
        const struct gtv_gap *g = &gaps[i];
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list);
        gtv_json_add_time(doc, item, "from", g->from_ms);
        gtv_json_add_time(doc, item, "to", g->to_ms);
        yyjson_mut_obj_add_sint(doc, item, "duration_ms", (g->to_ms ? g->to_ms : now_ms) - g->from_ms);
        yyjson_mut_obj_add_str(doc, item, "cause", gtv_gap_cause_name(g->cause));
        if (g->code[0])
            yyjson_mut_obj_add_strcpy(doc, item, "cause_code", g->code);
        else
            yyjson_mut_obj_add_null(doc, item, "cause_code");
        yyjson_mut_obj_add_strcpy(doc, item, "detail", g->text);
    }
    free(gaps);
    gtv_reply_json(req, 200, doc);
}

void gtv_handle_last_frame(struct gtv_http_request *req, void *worker)
{
    struct gtv_app *app = ((struct gtv_worker *)worker)->app;
    struct gtv_path_state s = {.last_frame_ms = 0};
    char path[GTV_CAMERA_PATH_CAP];
    int64_t id;
    if (!find_camera(req, app, &id))
        return;
    (void)!gtv_states_get(app->states, gtv_str_of(gtv_camera_path(id, path)), &s);
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_sint(doc, o, "camera_id", id);
    gtv_add_last_frame(doc, o, &s);
    gtv_reply_json(req, 200, doc);
}
