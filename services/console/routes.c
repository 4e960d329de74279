#include "lib/base/clock.h"
#include "services/console/api.h"

#include <stdlib.h>

static void handle_health(struct gtv_http_request *req, void *user)
{
    struct gtv_console *c = user;
    char when[GTV_ISO8601_CAP];
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        abort(); // a small allocation
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, o);
    yyjson_mut_obj_add_str(doc, o, "status", "ok");
    yyjson_mut_obj_add_strcpy(doc, o, "timestamp", gtv_iso8601_utc(gtv_wall_ms(), when));
    yyjson_mut_obj_add_bool(doc, o, "redis", gtv_redis_up(c->redis));
    yyjson_mut_obj_add_bool(doc, o, "database", gtv_store_healthy(c->store));
    yyjson_mut_obj_add_str(doc, o, "version", GTV_VERSION);
    gtv_reply_json(req, 200, doc);
}

// What is stored can be shown while the disk takes nothing more and while Redis, from which news come, is
// away.
static void handle_ready(struct gtv_http_request *req, void *user)
{
    struct gtv_console *c = user;
    struct gtv_missing missing[2];
    char cause[GTV_STORE_CAUSE_CAP];
    size_t n = 0;
    bool database = gtv_store_healthy(c->store), redis = gtv_redis_up(c->redis);
    if (!database)
        missing[n++] = (struct gtv_missing){"database", gtv_store_cause(c->store, cause), false};
    if (!redis)
        missing[n++] = (struct gtv_missing){"redis", gtv_redis_reason(c->redis), false};
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_bool(doc, o, "database", database);
    yyjson_mut_obj_add_bool(doc, o, "redis", redis);
    gtv_reply_ready(req, &c->pages, doc, missing, n);
}

void gtv_console_write_sight(struct gtv_buf *out, void *user)
{
    struct gtv_console *c = user;
    gtv_buf_printf(
        out,
        "# HELP gtv_console_database_up 1 while the database takes what it is given\n"
        "# TYPE gtv_console_database_up gauge\ngtv_console_database_up %d\n"
        "# HELP gtv_console_redis_up 1 while Redis answers\n"
        "# TYPE gtv_console_redis_up gauge\ngtv_console_redis_up %d\n"
        "# HELP gtv_console_leads Whether this console, of several on one database, stores what is "
        "new in view\n"
        "# TYPE gtv_console_leads gauge\ngtv_console_leads %d\n",
        gtv_store_healthy(c->store), gtv_redis_up(c->redis), gtv_store_leads(c->store));
}

// Links of the reference are relative: with a slash at its end they would point a folder too deep.
static void handle_docs_slash(struct gtv_http_request *req, void *user)
{
    const struct gtv_http_header headers[] = {{GTV_STR("Location"), GTV_STR("../docs")}};
    gtv_http_reply(req, 307, headers, 1, NULL);
}

const struct gtv_http_route gtv_console_routes[] = {
    {"GET", "/api/cameras/", gtv_handle_cameras, 0, "Cameras"},
    {"GET", "/api/cameras", gtv_handle_cameras, 0, "Cameras"},
    {"GET", "/api/cameras/{id}/", gtv_handle_camera, 0, "One camera"},
    {"GET", "/api/cameras/{id}", gtv_handle_camera, 0, "One camera"},
    {"GET", "/api/detections/", gtv_handle_detections, 0, "Stored detections, newest first"},
    {"GET", "/api/detections", gtv_handle_detections, 0, "Stored detections, newest first"},
    {"GET", "/api/events/", gtv_handle_events, 0, "What happened, newest first"},
    {"GET", "/api/events", gtv_handle_events, 0, "What happened, newest first"},
    {"GET", "/api/alerts/", gtv_handle_alerts, 0, "Alerts, newest first"},
    {"GET", "/api/alerts", gtv_handle_alerts, 0, "Alerts, newest first"},
    {"GET", "/api/counts/", gtv_handle_counts, 0, "Line crossings counted"},
    {"GET", "/api/counts", gtv_handle_counts, 0, "Line crossings counted"},
    {"GET", "/api/crops/{name*}", gtv_handle_crop, 0, "Pictures of vehicles"},
    {"GET", "/api/health", handle_health, 0, "The process is alive"},
    {"GET", "/api/health/", handle_health, 0, "The process is alive"},
    {"GET", "/health", handle_health, 0, "The process is alive"},
    {"GET", "/ready", handle_ready, 0, "Whether it can serve, and what it misses"},
    // The door passes /api/ on as it is, so that the reference has a place there too.
    {"GET", "/api/openapi.json", gtv_handle_openapi, 0, "This API as OpenAPI 3.1"},
    {"GET", "/api/docs", gtv_handle_docs, 0, "Interactive reference"},
    {"GET", "/api/docs/", handle_docs_slash, 0, "Interactive reference"},
    {"GET", "/docs/", handle_docs_slash, 0, "Interactive reference"},
    {"GET", "/api/docs/{file}", gtv_handle_docs_file, 0, "Files of the interactive reference"},
    GTV_SERVICE_PAGE_ROUTES,
    // The page: its files by name, so that nothing else of its folder is public.
    {"GET", "/", gtv_site_handle, 0, "The page"},
    {"GET", "/index.html", gtv_site_handle, 0, "The page"},
    {"GET", "/style.css", gtv_site_handle, 0, "The page's looks"},
    {"GET", "/icons.svg", gtv_site_handle, 0, "The page's icons"},
    {"GET", "/favicon.svg", gtv_site_handle, 0, "The page's own icon"},
    {"GET", "/js/{file}", gtv_site_handle, 0, "The page's modules"},
    {"GET", "/i18n/{file}", gtv_site_handle, 0, "The page's words"},
    {"GET", "/vendor/{file}", gtv_site_handle_vendor, 0, "hls.js"},
};

const size_t gtv_console_route_count = sizeof gtv_console_routes / sizeof *gtv_console_routes;
