#include "services/media/api.h"

#include "lib/base/clock.h"
#include "lib/contract/contract.h"
#include "services/media/reply.h"

#include <stdio.h>

enum {
    BODY_MAX = 1024 * 1024, // of one path's configuration; a real one has less than 1 KiB
    METRICS_MAX = 16 * 1024 * 1024,
    GLOBAL_MAX = 4 * 1024 * 1024, // of the global settings: a thousand users with their permissions
};

// ---- What the table of routes does not match ----

static void empty_name(struct gtv_http_request *req, void *user)
{
    gtv_media_reply_error(req, 400, "invalid name", NULL, NULL);
}

static void add_slash(struct gtv_http_request *req, void *user)
{
    const struct gtv_http_header location = {
        GTV_STR("Location"),
        gtv_str_of(gtv_arena_printf(gtv_http_arena(req), GTV_STR_FMT "/", GTV_STR_ARG(gtv_http_path(req))))};
    gtv_http_reply(req, 307, &location, 1, NULL);
}

// The names that match no route (a slash at an end, dot segments) still deserve their own sentence.
static bool reply_bad_name(struct gtv_http_request *req, enum gtv_code code)
{
    static const struct {
        const char *method, *prefix;
    } writes[] = {{"POST", "/v3/config/paths/add/"}, {"POST", "/v3/config/paths/replace/"}};
    struct gtv_str path = code == GTV_E_NOT_FOUND ? gtv_http_path(req) : gtv_http_target(req);
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) {
        struct gtv_str prefix = gtv_str_of(writes[i].prefix);
        if (gtv_str_starts(path, prefix) && gtv_str_eq(gtv_http_method(req), gtv_str_of(writes[i].method))) {
            return !gtv_media_check_name(req, (struct gtv_str){path.p + prefix.n, path.n - prefix.n});
        }
    }
    return false;
}

void gtv_media_api_error(struct gtv_http_request *req, enum gtv_code code, const char *message, void *user)
{
    if (code == GTV_E_NOT_FOUND || code == GTV_E_METHOD_NOT_ALLOWED) {
        if (code == GTV_E_METHOD_NOT_ALLOWED || !reply_bad_name(req, code)) {
            gtv_media_reply_not_found(req);
        }
        return;
    }
    if (code == GTV_E_BAD_REQUEST && reply_bad_name(req, code)) {
        return;
    }
    gtv_media_reply_error(req, gtv_code_http_status(code), message != NULL ? message : gtv_code_text(code),
                          NULL, NULL);
}

static void health(struct gtv_http_request *req, void *user)
{
    struct gtv_node *n = user;
    char when[GTV_ISO8601_CAP];
    yyjson_mut_val *root;
    yyjson_mut_doc *doc = gtv_json_object(&root);
    yyjson_mut_obj_add_str(doc, root, "status", "ok");
    yyjson_mut_obj_add_strcpy(doc, root, "timestamp", gtv_iso8601_utc(gtv_wall_ms(), when));
    yyjson_mut_obj_add_uint(doc, root, "paths", gtv_node_count(n));
    gtv_media_reply_json(req, doc);
}

static void metrics(struct gtv_http_request *req, void *user)
{
    struct gtv_node *n = user;
    static const struct gtv_http_header headers[] = {
        {{"Content-Type", 12}, {"text/plain; version=0.0.4; charset=utf-8", 40}},
        {{"Cache-Control", 13}, {"no-store", 8}},
    };
    struct gtv_buf out;
    gtv_buf_init(&out, METRICS_MAX);
    gtv_metrics_write(gtv_node_metrics(n), &out);
    gtv_node_write_metrics(n, &out);
    struct gtv_bytes *body = gtv_buf_take(&out);
    if (body == NULL) {
        gtv_media_reply_error(req, 500, "the metrics do not fit their page", NULL, NULL);
        return;
    }
    gtv_http_reply(req, 200, headers, sizeof headers / sizeof headers[0], body);
    gtv_bytes_unref(body);
}

// A node that runs serves what it has: a wrong file and recordings that fail are told, and take nothing else
// down.
static void ready(struct gtv_http_request *req, void *user)
{
    struct gtv_node *n = user;
    const struct gtv_service_pages pages = {.name = "media"};
    struct gtv_missing missing[2];
    size_t count = 0;
    char *failed = gtv_node_failed_recording(n);
    if (!gtv_node_config_valid(n)) {
        missing[count++] = (struct gtv_missing){
            "configuration", "the file is wrong and the settings of before hold; the log says why", false};
    }
    if (failed != NULL) {
        missing[count++] = (struct gtv_missing){"recordings", failed, false};
    }
    gtv_reply_ready(req, &pages, NULL, missing, count);
    free(failed);
}

static void version(struct gtv_http_request *req, void *user)
{
    gtv_reply_version(req, gtv_node_about(user));
}

static void no_head(struct gtv_http_request *req, void *user)
{
    gtv_media_reply_not_found(req);
}

// ---- Who may ----

#define GATED(name, handler, action)                                                                         \
    static void gated_##name(struct gtv_http_request *req, void *user)                                       \
    {                                                                                                        \
        if (gtv_gate_pass(gtv_node_gate(user), req, action, GTV_STR(""), NULL)) {                            \
            handler(req, user);                                                                              \
        }                                                                                                    \
    }
#define API(name) GATED(name, gtv_media_##name, GTV_ACT_API)

GATED(metrics, metrics, GTV_ACT_METRICS)
GATED(empty_name, empty_name, GTV_ACT_API)
GATED(add_slash, add_slash, GTV_ACT_API)
API(info)
API(global_get)
API(global_patch)
API(defaults_get)
API(defaults_patch)
API(config_list)
API(config_get)
API(config_add)
API(config_patch)
API(config_replace)
API(config_delete)
API(paths_list)
API(paths_get)
API(muxers_list)
API(muxers_get)
API(recordings_list)
API(recordings_get)
API(recordings_delete)
API(hlssessions_list)
API(hlssessions_get)
API(hlssessions_kick)
API(rtspsessions_list)
API(rtspsessions_get)
API(rtspsessions_kick)
API(rtspconns_list)
API(rtspconns_get)
API(rtmpconns_list)
API(rtmpconns_get)
API(rtmpconns_kick)

const struct gtv_http_route gtv_media_api_routes[] = {
    {"GET", "/health", health, 0, "Whether the node runs"},
    {"GET", "/version", version, 0, "Version, commit, libraries"},
    {"GET", "/ready", ready, 0, "Whether it can serve, and what it misses"},
    {"GET", "/metrics", gated_metrics, 0, "Prometheus metrics"},
    // MediaMTX answers HEAD as an unknown route; the server would answer it by GET.
    {"HEAD", "/{any*}", no_head, 0, "Not answered"},
    {"GET", "/v3/info", gated_info, 0, "Version and start"},
    {"GET", "/v3/config/global/get", gated_global_get, 0, "Global settings"},
    {"PATCH", "/v3/config/global/patch", gated_global_patch, GLOBAL_MAX, "Change some global settings"},
    {"GET", "/v3/config/pathdefaults/get", gated_defaults_get, 0,
     "What paths have where they say nothing else"},
    {"PATCH", "/v3/config/pathdefaults/patch", gated_defaults_patch, BODY_MAX,
     "Change some of these defaults"},
    {"GET", "/v3/config/paths/list", gated_config_list, 0, "Configurations of all paths"},
    {"GET", "/v3/config/paths/get/{name*}", gated_config_get, 0, "Configuration of a path"},
    {"POST", "/v3/config/paths/add", gated_add_slash, BODY_MAX, "To the form with a slash"},
    {"POST", "/v3/config/paths/replace", gated_add_slash, BODY_MAX, "To the form with a slash"},
    {"POST", "/v3/config/paths/add/", gated_empty_name, BODY_MAX, "A name is needed"},
    {"POST", "/v3/config/paths/add/{name*}", gated_config_add, BODY_MAX, "Add a path"},
    {"PATCH", "/v3/config/paths/patch/", gated_empty_name, BODY_MAX, "A name is needed"},
    {"PATCH", "/v3/config/paths/patch/{name*}", gated_config_patch, BODY_MAX,
     "Change some settings of a path"},
    {"POST", "/v3/config/paths/replace/", gated_empty_name, BODY_MAX, "A name is needed"},
    {"POST", "/v3/config/paths/replace/{name*}", gated_config_replace, BODY_MAX,
     "Set all settings of a path"},
    {"DELETE", "/v3/config/paths/delete/", gated_empty_name, BODY_MAX, "A name is needed"},
    {"DELETE", "/v3/config/paths/delete/{name*}", gated_config_delete, BODY_MAX, "Remove a path"},
    {"GET", "/v3/paths/list", gated_paths_list, 0, "State of all paths"},
    {"GET", "/v3/paths/get/{name*}", gated_paths_get, 0, "State of a path"},
    {"GET", "/v3/hlsmuxers/list", gated_muxers_list, 0, "HLS muxers"},
    {"GET", "/v3/hlsmuxers/get/{name*}", gated_muxers_get, 0, "HLS muxer of a path"},
    {"GET", "/v3/recordings/list", gated_recordings_list, 0,
     "Paths that have recordings, and their segments"},
    {"GET", "/v3/recordings/get/{name*}", gated_recordings_get, 0, "Segments of a path"},
    {"DELETE", "/v3/recordings/deletesegment", gated_recordings_delete, 0, "Delete a segment"},
    {"GET", "/v3/hlssessions/list", gated_hlssessions_list, 0, "HLS sessions"},
    {"GET", "/v3/hlssessions/get/{id}", gated_hlssessions_get, 0, "One of them"},
    {"POST", "/v3/hlssessions/kick/{id}", gated_hlssessions_kick, BODY_MAX, "Throw it out"},
    {"GET", "/v3/rtspsessions/list", gated_rtspsessions_list, 0, "RTSP sessions"},
    {"GET", "/v3/rtspsessions/get/{id}", gated_rtspsessions_get, 0, "One of them"},
    {"POST", "/v3/rtspsessions/kick/{id}", gated_rtspsessions_kick, BODY_MAX, "Throw it out"},
    {"GET", "/v3/rtspconns/list", gated_rtspconns_list, 0, "RTSP connections"},
    {"GET", "/v3/rtspconns/get/{id}", gated_rtspconns_get, 0, "One of them"},
    {"GET", "/v3/rtmpconns/list", gated_rtmpconns_list, 0, "RTMP connections"},
    {"GET", "/v3/rtmpconns/get/{id}", gated_rtmpconns_get, 0, "One of them"},
    {"POST", "/v3/rtmpconns/kick/{id}", gated_rtmpconns_kick, BODY_MAX, "Throw it out"},
};
const size_t gtv_media_api_route_count = sizeof gtv_media_api_routes / sizeof gtv_media_api_routes[0];

const struct gtv_http_route gtv_media_metrics_routes[] = {
    {"HEAD", "/{any*}", no_head, 0, "Not answered"},
    {"GET", "/metrics", gated_metrics, 0, "Prometheus metrics"},
};
const size_t gtv_media_metrics_route_count =
    sizeof gtv_media_metrics_routes / sizeof gtv_media_metrics_routes[0];
