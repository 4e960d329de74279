#include "services/media/api.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/media/gojson.h"
#include "services/media/reply.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BODY_MAX = 1024 * 1024, // of one path's configuration; a real one has less than 1 KiB
    METRICS_MAX = 16 * 1024 * 1024,
};

// ---- Writes: the answer waits until the change is on the disk ----

struct pending {
    struct gtv_http_request *req; // NULL: the client left
};

static void pending_closed(void *arg, bool complete)
{
    struct pending *w = arg;
    w->req = NULL;
}

static void ignore_close(void *arg, bool complete)
{
}

static void stored(void *arg, const struct gtv_error *err)
{
    struct pending *w = arg;
    if (w->req != NULL) {
        gtv_http_on_close(w->req, ignore_close, NULL);
        if (err == NULL) {
            gtv_media_reply_ok(w->req);
        } else {
            char text[sizeof err->message + 64];
            snprintf(text, sizeof text, "the path is set, but could not be stored: %s", err->message);
            gtv_media_reply_error(w->req, 500, text, NULL, NULL);
        }
    }
    free(w);
}

static struct pending *hold(struct gtv_http_request *req)
{
    struct pending *w = GTV_NEW(struct pending);
    w->req = req;
    gtv_http_on_close(req, pending_closed, w);
    return w;
}

static void reply_bad(struct gtv_http_request *req, const struct gtv_error *err)
{
    int status = err->code == GTV_E_BAD_REQUEST ? 400 : gtv_code_http_status(err->code);
    gtv_media_reply_error(req, status, err->message, NULL, NULL);
}

static void set_path(struct gtv_http_request *req, struct gtv_node *n, const struct gtv_pathconf *conf)
{
    struct gtv_error err = {0};
    struct pending *w = hold(req);
    if (!gtv_node_set(n, conf, stored, w, &err)) {
        gtv_http_on_close(req, ignore_close, NULL);
        free(w);
        reply_bad(req, &err);
    }
}

// A name may be a regular expression in MediaMTX. False: answered.
static bool check_name(struct gtv_http_request *req, struct gtv_str name)
{
    char text[GTV_NAME_MAX + 128], pattern[GTV_NAME_MAX + 1];
    struct gtv_error why = {0};
    if (name.n > 0 && name.p[0] == '~') {
        struct gtv_str expression = {name.p + 1, name.n - 1};
        regex_t compiled;
        if (!gtv_str_copy(pattern, sizeof pattern, expression) ||
            regcomp(&compiled, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
            snprintf(text, sizeof text, "invalid regular expression: %.*s",
                     (int)(expression.n < 200 ? expression.n : 200), expression.p);
        } else {
            regfree(&compiled);
            snprintf(text, sizeof text, "paths by regular expression are not supported by this node");
        }
    } else if (gtv_str_eq(name, GTV_STR("all")) || gtv_str_eq(name, GTV_STR("all_others"))) {
        snprintf(text, sizeof text, "paths by regular expression are not supported by this node");
    } else if (name.n == 0) {
        snprintf(text, sizeof text, "invalid name");
    } else if (!gtv_name_check(name, &why)) {
        snprintf(text, sizeof text, "invalid path name '%.*s': %s",
                 (int)(name.n < GTV_NAME_MAX ? name.n : GTV_NAME_MAX), name.p, why.message);
    } else {
        return true;
    }
    gtv_media_reply_error(req, 400, text, NULL, NULL);
    return false;
}

// Reads the body into conf and sets the path. False: answered with an error.
static void apply_and_set(struct gtv_http_request *req, struct gtv_node *n, struct gtv_pathconf *conf)
{
    struct gtv_error err = {0};
    if (!gtv_pathconf_apply(conf, gtv_http_body(req), &err) || !gtv_pathconf_check(conf, &err)) {
        reply_bad(req, &err);
        return;
    }
    set_path(req, n, conf);
}

static void add_path(struct gtv_http_request *req, void *user)
{
    struct gtv_node *n = user;
    struct gtv_str name = gtv_http_param(req, "name");
    struct gtv_error err = {0};
    struct gtv_pathconf conf;
    if (!check_name(req, name)) {
        return;
    }
    gtv_pathconf_defaults(&conf, name);
    if (!gtv_pathconf_apply(&conf, gtv_http_body(req), &err)) {
        reply_bad(req, &err);
    } else if (gtv_node_find(n, name) != NULL) {
        gtv_media_reply_error(req, 400, "path already exists", NULL, NULL);
    } else if (!gtv_pathconf_check(&conf, &err)) {
        reply_bad(req, &err);
    } else {
        set_path(req, n, &conf);
    }
}

static void patch_path(struct gtv_http_request *req, void *user)
{
    struct gtv_node *n = user;
    struct gtv_path *path = gtv_node_find(n, gtv_http_param(req, "name"));
    struct gtv_error err = {0};
    struct gtv_pathconf conf;
    gtv_pathconf_defaults(&conf, gtv_http_param(req, "name"));
    if (path == NULL) {
        // Bad JSON is told before the missing path, as in MediaMTX.
        if (gtv_pathconf_apply(&conf, gtv_http_body(req), &err)) {
            gtv_media_reply_error(req, 404, "path not found", NULL, NULL);
        } else {
            reply_bad(req, &err);
        }
        return;
    }
    conf = *gtv_path_conf(path);
    apply_and_set(req, n, &conf);
}

static void replace_path(struct gtv_http_request *req, void *user)
{
    struct gtv_node *n = user;
    struct gtv_str name = gtv_http_param(req, "name");
    struct gtv_pathconf conf;
    if (!check_name(req, name)) {
        return;
    }
    gtv_pathconf_defaults(&conf, name);
    struct gtv_path *path = gtv_node_find(n, name);
    if (path != NULL) {
        // So that *** stands for the credentials that are known.
        memcpy(conf.source, gtv_path_conf(path)->source, sizeof conf.source);
        struct gtv_str body = gtv_http_body(req);
        if (memmem(body.p, body.n, "\"source\"", 8) == NULL) {
            memcpy(conf.source, "publisher", sizeof "publisher");
        }
    }
    apply_and_set(req, n, &conf);
}

static void delete_path(struct gtv_http_request *req, void *user)
{
    struct gtv_node *n = user;
    struct gtv_str name = gtv_http_param(req, "name");
    if (gtv_node_find(n, name) == NULL) {
        gtv_media_reply_error(req, 404, "path not found", NULL, NULL);
        return;
    }
    gtv_node_remove(n, name, stored, hold(req));
}

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
            return !check_name(req, (struct gtv_str){path.p + prefix.n, path.n - prefix.n});
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

static void no_head(struct gtv_http_request *req, void *user)
{
    gtv_media_reply_not_found(req);
}

const struct gtv_http_route gtv_media_api_routes[] = {
    {"GET", "/health", health, 0, "Whether the node runs"},
    {"GET", "/metrics", metrics, 0, "Prometheus metrics"},
    // MediaMTX answers HEAD as an unknown route; the server would answer it by GET.
    {"HEAD", "/{any*}", no_head, 0, "Not answered"},
    {"GET", "/v3/info", gtv_media_info, 0, "Version and start"},
    {"GET", "/v3/config/paths/list", gtv_media_config_list, 0, "Configurations of all paths"},
    {"GET", "/v3/config/paths/get/{name*}", gtv_media_config_get, 0, "Configuration of a path"},
    {"POST", "/v3/config/paths/add", add_slash, BODY_MAX, "To the form with a slash"},
    {"POST", "/v3/config/paths/add/", empty_name, BODY_MAX, "A name is needed"},
    {"POST", "/v3/config/paths/add/{name*}", add_path, BODY_MAX, "Add a path"},
    {"PATCH", "/v3/config/paths/patch/", empty_name, BODY_MAX, "A name is needed"},
    {"PATCH", "/v3/config/paths/patch/{name*}", patch_path, BODY_MAX, "Change some settings of a path"},
    {"POST", "/v3/config/paths/replace/", empty_name, BODY_MAX, "A name is needed"},
    {"POST", "/v3/config/paths/replace/{name*}", replace_path, BODY_MAX, "Set all settings of a path"},
    {"DELETE", "/v3/config/paths/delete/", empty_name, BODY_MAX, "A name is needed"},
    {"DELETE", "/v3/config/paths/delete/{name*}", delete_path, BODY_MAX, "Remove a path"},
    {"GET", "/v3/paths/list", gtv_media_paths_list, 0, "State of all paths"},
    {"GET", "/v3/paths/get/{name*}", gtv_media_paths_get, 0, "State of a path"},
    {"GET", "/v3/hlsmuxers/list", gtv_media_muxers_list, 0, "HLS muxers"},
    {"GET", "/v3/hlsmuxers/get/{name*}", gtv_media_muxers_get, 0, "HLS muxer of a path"},
};
const size_t gtv_media_api_route_count = sizeof gtv_media_api_routes / sizeof gtv_media_api_routes[0];
