#include "services/streaming/routes.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/streaming/admin.h"
#include "services/streaming/admit.h"
#include "services/streaming/bulk.h"
#include "services/streaming/control.h"
#include "services/streaming/history.h"
#include "services/streaming/hub.h"
#include "services/streaming/proxy.h"
#include "services/streaming/sight.h"
#include "services/streaming/stats.h"

#include <stdio.h>
#include <stdlib.h>

enum { LISTED_VIEWERS = 1000, KICK_BODY = 1024, TOKEN_BODY = 4096, PROVISION_BODY = 16 * 1024 };

static struct gtv_str without_slash(const char *base)
{
    struct gtv_str s = gtv_str_of(base);
    while (s.n && s.p[s.n - 1] == '/')
        s.n--;
    return s;
}

void gtv_add_urls(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_streaming_options *options,
                  const char *path)
{
    struct gtv_str base = without_slash(options->public_base),
                   webrtc = without_slash(options->media_webrtc_url);
    char *hls = gtv_asprintf(GTV_STR_FMT "/hls/%s/index.m3u8", GTV_STR_ARG(base), path);
    yyjson_mut_obj_add_strcpy(doc, o, "hls_url", hls);
    free(hls);
    char *rtc = webrtc.n ? gtv_asprintf(GTV_STR_FMT "/%s", GTV_STR_ARG(webrtc), path) : NULL;
    gtv_json_add_text(doc, o, "webrtc_url", rtc);
    free(rtc);
}

void gtv_add_uptime(yyjson_mut_doc *doc, yyjson_mut_val *o, struct gtv_app *app, int64_t camera_id)
{
    double share = gtv_ledger_uptime(app->ledger, camera_id, gtv_wall_ms());
    if (share >= 0)
        yyjson_mut_obj_add_real(doc, o, "uptime_24h", (double)(int64_t)(share * 1e6 + 0.5) / 1e6);
    else
        yyjson_mut_obj_add_null(doc, o, "uptime_24h");
}

void gtv_add_last_frame(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_path_state *s)
{
    gtv_json_add_time(doc, o, "at", s->last_frame_ms);
    if (s->last_frame_ms)
        yyjson_mut_obj_add_sint(doc, o, "age_ms", gtv_wall_ms() - s->last_frame_ms);
    else
        yyjson_mut_obj_add_null(doc, o, "age_ms");
}

void gtv_add_status(yyjson_mut_doc *doc, yyjson_mut_val *o, struct gtv_app *app, struct gtv_str path)
{
    struct gtv_path_state s = {.state = "connecting"};
    int64_t id = 0;
    if (!gtv_states_get(app->states, path, &s)) {
        // Provisioned, and not looked at yet; or nobody's.
        struct gtv_camera camera;
        bool desired = gtv_camera_path_parse(path, &id) && gtv_cameras_get(app->cameras, id, &camera);
        if (!desired)
            snprintf(s.state, sizeof s.state, "unknown");
    }
    struct gtv_viewed_stream viewed = gtv_viewers_stream(app->viewers, path, gtv_mono_ms());
    if (gtv_camera_path_parse(path, &id))
        yyjson_mut_obj_add_sint(doc, o, "camera_id", id);
    else
        yyjson_mut_obj_add_null(doc, o, "camera_id");
    yyjson_mut_obj_add_strncpy(doc, o, "stream_path", path.p, path.n);
    yyjson_mut_obj_add_strcpy(doc, o, "status", s.state);
    yyjson_mut_obj_add_strcpy(doc, o, "state", s.state);
    yyjson_mut_obj_add_bool(doc, o, "ready", s.ready);
    gtv_json_add_text(doc, o, "cause", s.cause);
    gtv_json_add_text(doc, o, "cause_code", s.cause_code);
    gtv_json_add_time(doc, o, "since", s.since_ms);
    yyjson_mut_obj_add_uint(doc, o, "viewers", viewed.viewers);
    yyjson_mut_obj_add_uint(doc, o, "bytes_received", s.bytes_received);
    gtv_add_last_frame(doc, yyjson_mut_obj_add_obj(doc, o, "last_frame"), &s);
    if (!gtv_camera_path_parse(path, &id))
        return;
    gtv_add_uptime(doc, o, app, id);
    yyjson_mut_obj_add_str(doc, o, "node", gtv_nodes_id(app->nodes, gtv_nodes_serving(app->nodes, path)));
}

bool gtv_param_camera(struct gtv_http_request *req, int64_t *id)
{
    if (gtv_parse_int(gtv_http_param(req, "id"), 1, INT64_MAX, id))
        return true;
    struct gtv_error err = {0};
    gtv_error_set(&err, GTV_E_INVALID, "camera_id", "a camera's id is a whole number from 1");
    gtv_reply_invalid(req, &err);
    return false;
}

static void add_camera(yyjson_mut_doc *doc, yyjson_mut_val *o, struct gtv_app *app,
                       const struct gtv_camera *c)
{
    char path[GTV_CAMERA_PATH_CAP], sub_path[GTV_CAMERA_PATH_CAP], shown[GTV_SHOWN_URL_CAP];
    gtv_add_status(doc, o, app, gtv_str_of(gtv_camera_path(c->id, path)));
    yyjson_mut_obj_add_strcpy(doc, o, "name", c->name);
    yyjson_mut_obj_add_strcpy(doc, o, "source", gtv_shown_url(c->url, shown));
    gtv_json_add_text(doc, o, "sub_source", c->sub_url[0] ? gtv_shown_url(c->sub_url, shown) : NULL);
    gtv_json_add_text(doc, o, "sub_stream_path", c->sub_url[0] ? gtv_camera_sub_path(c->id, sub_path) : NULL);
    yyjson_mut_obj_add_bool(doc, o, "on_demand", c->on_demand);
    yyjson_mut_obj_add_bool(doc, o, "record", c->record);
    yyjson_mut_obj_add_bool(doc, o, "ai_enabled", c->ai_enabled);
    gtv_json_add_time(doc, o, "created_at", c->created_ms);
    gtv_add_urls(doc, o, &app->options, path);
}

// ---- handlers ----

static void handle_health(struct gtv_http_request *req, void *user)
{
    char when[GTV_ISO8601_CAP];
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_str(doc, o, "status", "ok");
    yyjson_mut_obj_add_str(doc, o, "timestamp", gtv_iso8601_naive(gtv_wall_ms(), when));
    gtv_reply_json(req, 200, doc);
}

static void handle_stats(struct gtv_http_request *req, void *user)
{
    struct gtv_bytes *json = gtv_stats_get(((struct gtv_worker *)user)->app);
    if (!json) {
        gtv_reply_error(req, GTV_E_LIMIT, NULL, "no memory for the figures");
        return;
    }
    const struct gtv_http_header headers[] = {
        {GTV_STR("Content-Type"), GTV_STR("application/json")},
        {GTV_STR("Cache-Control"), GTV_STR("no-store")},
    };
    gtv_http_reply(req, 200, headers, 2, json);
    gtv_bytes_unref(json);
}

static void handle_cameras(struct gtv_http_request *req, void *user)
{
    struct gtv_app *app = ((struct gtv_worker *)user)->app;
    size_t n;
    struct gtv_camera *all = gtv_cameras_all(app->cameras, &n);
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_uint(doc, o, "count", n);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "cameras");
    for (size_t i = 0; i < n; i++)
        add_camera(doc, yyjson_mut_arr_add_obj(doc, list), app, &all[i]);
    free(all);
    gtv_reply_json(req, 200, doc);
}

// A camera of ours, or at least a path of its name in the node. False, and the request answered, when it is
// neither.
static bool find_camera(struct gtv_http_request *req, struct gtv_app *app, struct gtv_camera *camera,
                        bool *desired)
{
    int64_t id;
    char path[GTV_CAMERA_PATH_CAP];
    struct gtv_path_state state;
    if (!gtv_param_camera(req, &id))
        return false;
    *camera = (struct gtv_camera){.id = id};
    *desired = gtv_cameras_get(app->cameras, id, camera);
    if (*desired || gtv_states_get(app->states, gtv_str_of(gtv_camera_path(id, path)), &state))
        return true;
    gtv_reply_error(req, GTV_E_NOT_FOUND, NULL, "there is no such camera");
    return false;
}

static void handle_camera_status(struct gtv_http_request *req, void *user)
{
    struct gtv_app *app = ((struct gtv_worker *)user)->app;
    struct gtv_camera camera;
    bool desired;
    char path[GTV_CAMERA_PATH_CAP];
    if (!find_camera(req, app, &camera, &desired))
        return;
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    gtv_add_status(doc, o, app, gtv_str_of(gtv_camera_path(camera.id, path)));
    gtv_reply_json(req, 200, doc);
}

static void handle_camera_info(struct gtv_http_request *req, void *user)
{
    struct gtv_app *app = ((struct gtv_worker *)user)->app;
    struct gtv_camera camera;
    bool desired;
    char path[GTV_CAMERA_PATH_CAP];
    if (!find_camera(req, app, &camera, &desired))
        return;
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    gtv_camera_path(camera.id, path);
    if (desired) {
        add_camera(doc, o, app, &camera);
    } else {
        // A path that somebody else made: what the node says is all there is.
        gtv_add_status(doc, o, app, gtv_str_of(path));
        gtv_add_urls(doc, o, &app->options, path);
    }
    struct gtv_str rtsp = without_slash(app->options.media_rtsp_url);
    char *url = rtsp.n ? gtv_asprintf(GTV_STR_FMT "/%s", GTV_STR_ARG(rtsp), path) : NULL;
    gtv_json_add_text(doc, o, "rtsp_url", url);
    free(url);
    gtv_reply_json(req, 200, doc);
}

static void handle_streams(struct gtv_http_request *req, void *user)
{
    struct gtv_app *app = ((struct gtv_worker *)user)->app;
    size_t n;
    struct gtv_path_state *all = gtv_states_all(app->states, &n);
    int64_t now_ms = gtv_mono_ms();
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_uint(doc, o, "count", n);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "streams");
    for (size_t i = 0; i < n; i++) {
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list);
        gtv_stats_add_stream(doc, item, app, &all[i], now_ms);
        gtv_json_add_text(doc, item, "cause", all[i].cause);
        gtv_json_add_text(doc, item, "cause_code", all[i].cause_code);
        gtv_json_add_time(doc, item, "since", all[i].since_ms);
        gtv_add_urls(doc, item, &app->options, all[i].name);
    }
    free(all);
    gtv_reply_json(req, 200, doc);
}

struct viewer_list {
    yyjson_mut_doc *doc;
    yyjson_mut_val *list;
    int64_t mono_ms, wall_ms;
};

static void add_viewer(void *arg, const struct gtv_viewer *v)
{
    struct viewer_list *l = arg;
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(l->doc, l->list);
    yyjson_mut_obj_add_strcpy(l->doc, o, "session", v->id);
    yyjson_mut_obj_add_strcpy(l->doc, o, "address", v->address);
    yyjson_mut_obj_add_strcpy(l->doc, o, "user_agent", gtv_utf8_valid(gtv_str_of(v->agent)) ? v->agent : "");
    gtv_json_add_time(l->doc, o, "since", l->wall_ms - (l->mono_ms - v->since_ms));
    gtv_json_add_time(l->doc, o, "last_request", l->wall_ms - (l->mono_ms - v->last_ms));
    yyjson_mut_obj_add_uint(l->doc, o, "bytes", v->bytes);
    yyjson_mut_obj_add_uint(l->doc, o, "requests", v->requests);
    yyjson_mut_obj_add_uint(l->doc, o, "stalls", v->stalls);
    yyjson_mut_obj_add_real(l->doc, o, "stalled_seconds", (double)v->stalled_ms / 1000);
}

static void handle_viewers(struct gtv_http_request *req, void *user)
{
    struct gtv_app *app = ((struct gtv_worker *)user)->app;
    struct gtv_str path = gtv_http_param(req, "path");
    if (!gtv_stream_name_valid(path)) {
        gtv_reply_error(req, GTV_E_BAD_REQUEST, "path",
                        "a stream has letters, digits, dot, underscore and minus only");
        return;
    }
    struct viewer_list l = {.mono_ms = gtv_mono_ms(), .wall_ms = gtv_wall_ms()};
    struct gtv_viewed_stream viewed = gtv_viewers_stream(app->viewers, path, l.mono_ms);
    yyjson_mut_val *o;
    l.doc = gtv_json_object(&o);
    yyjson_mut_obj_add_strncpy(l.doc, o, "path", path.p, path.n);
    yyjson_mut_obj_add_uint(l.doc, o, "viewers", viewed.viewers);
    yyjson_mut_obj_add_uint(l.doc, o, "peak", viewed.peak);
    yyjson_mut_obj_add_uint(l.doc, o, "bytes_sent", viewed.bytes);
    yyjson_mut_obj_add_uint(l.doc, o, "limit",
                            (uint64_t)gtv_live_int(&app->options.max_connections_per_stream));
    gtv_stats_add_figures(l.doc, o, &viewed);
    l.list = yyjson_mut_obj_add_arr(l.doc, o, "sessions");
    gtv_viewers_list(app->viewers, path, l.mono_ms, LISTED_VIEWERS, add_viewer, &l);
    gtv_reply_json(req, 200, l.doc);
}

#define HLS_FILE       "/hls/{stream*}/{file}"
#define CHANGE_SUMMARY "Passed to the media node; a success makes what is cached of the file invalid"

const struct gtv_http_route gtv_streaming_routes[] = {
    {"GET", HLS_FILE, gtv_proxy_handle, 0, "Playlists and segments of a stream, through the cache"},
    {"POST", HLS_FILE, gtv_proxy_handle_change, GTV_CHANGE_BODY, CHANGE_SUMMARY},
    {"PUT", HLS_FILE, gtv_proxy_handle_change, GTV_CHANGE_BODY, CHANGE_SUMMARY},
    {"PATCH", HLS_FILE, gtv_proxy_handle_change, GTV_CHANGE_BODY, CHANGE_SUMMARY},
    {"DELETE", HLS_FILE, gtv_proxy_handle_change, GTV_CHANGE_BODY, CHANGE_SUMMARY},
    {"M-SEARCH", HLS_FILE, gtv_proxy_handle_change, GTV_CHANGE_BODY, CHANGE_SUMMARY},
    {"GET", "/health", handle_health, 0, "The process is alive"},
    {"GET", "/ready", gtv_handle_ready, 0, "Whether it can serve, and what it misses"},
    {"GET", "/stats", handle_stats, 0, "Figures of all streams"},
    {"GET", "/stats/history", gtv_handle_history, 0, "A day of minutes of a stream, or of all"},
    {"POST", "/cameras/provision", gtv_handle_provision, PROVISION_BODY, "Adds a camera, or changes it"},
    {"POST", "/cameras/provision/bulk", gtv_handle_bulk, GTV_BULK_BODY,
     "Adds or changes many, from JSON or CSV"},
    {"GET", "/cameras/export", gtv_handle_export, 0, "All cameras as they shall be, to keep or to import"},
    {"POST", "/cameras/import", gtv_handle_import, GTV_BULK_BODY, "Takes an export as the desired state"},
    {"POST", "/cameras/adopt", gtv_handle_adopt, 0,
     "Takes over the cameras that the media nodes have already"},
    {"GET", "/cameras", handle_cameras, 0, "All cameras with their state"},
    {"GET", "/cameras/{id}/info", handle_camera_info, 0, "A camera's settings and state"},
    {"GET", "/cameras/{id}/status", handle_camera_status, 0, "A camera's state"},
    {"GET", "/cameras/{id}/gaps", gtv_handle_gaps, 0, "A camera's outages, each with its cause"},
    {"GET", "/cameras/{id}/last_frame", gtv_handle_last_frame, 0, "When a camera's last picture came"},
    {"PUT", "/cameras/{id}", gtv_handle_put, PROVISION_BODY, "Adds this camera, or changes it"},
    {"DELETE", "/cameras/{id}", gtv_handle_remove, 0, "Removes a camera"},
    {"GET", "/nodes", gtv_handle_nodes, 0, "The media nodes"},
    {"POST", "/nodes/{id}/drain", gtv_handle_drain, 0, "Moves a media node's cameras to the others"},
    {"DELETE", "/nodes/{id}/drain", gtv_handle_undrain, 0, "Lets a media node take cameras again"},
    {"GET", "/streams", handle_streams, 0, "All paths of the media node"},
    {"GET", "/streams/{path*}/viewers", handle_viewers, 0, "Who watches a stream"},
    {"POST", "/streams/{path*}/viewers/{session}/kick", gtv_handle_kick, KICK_BODY, "Ends a playback"},
    {"POST", "/playback/tokens", gtv_handle_playback_token, TOKEN_BODY, "Makes a signed playback address"},
    {"GET", "/ws/events/{stream*}", gtv_handle_ws_events, 0, "WebSocket: events of a stream, or of all (*)"},
    {"GET", "/events/{stream*}", gtv_handle_sse_events, 0, "Server-Sent Events of a stream, or of all (*)"},
    {"GET", "/ws/echo", gtv_handle_ws_echo, 0, "WebSocket: gives back what it gets (GTV_WS_ECHO)"},
    {"GET", "/ws/dashboard", gtv_handle_ws_dashboard, 0, "WebSocket: the figures every 2 s"},
    GTV_SERVICE_PAGE_ROUTES,
};

const size_t gtv_streaming_route_count = sizeof gtv_streaming_routes / sizeof *gtv_streaming_routes;
