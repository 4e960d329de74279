// The page. Everything it needs comes from this origin, and its headers say so to the browser.

#include "services/console/api.h"

// Styles and scripts from files of ours only. blob: is what Media Source hands to the video element;
// WebSockets of the same origin are 'self'.
static const struct gtv_http_header page_headers[] = {
    {GTV_STR("Content-Security-Policy"),
     GTV_STR(
         "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
         "media-src 'self' blob:; worker-src 'self'; base-uri 'none'; form-action 'self'; "
         "frame-ancestors 'none'")},
    {GTV_STR("Referrer-Policy"), GTV_STR("same-origin")},
    {GTV_STR("Permissions-Policy"), GTV_STR("camera=(), microphone=(), geolocation=()")},
    {GTV_STR("Cross-Origin-Opener-Policy"), GTV_STR("same-origin")},
};

enum { PAGE_HEADERS = sizeof page_headers / sizeof *page_headers };

void gtv_site_handle(struct gtv_http_request *req, void *user)
{
    struct gtv_console *c = user;
    struct gtv_str path = gtv_http_path(req);
    const struct gtv_str rel = {path.p + 1, path.n - 1};
    gtv_http_files_reply_with(c->web, req, rel, page_headers, PAGE_HEADERS);
}

void gtv_site_handle_vendor(struct gtv_http_request *req, void *user)
{
    struct gtv_console *c = user;
    struct gtv_str file = gtv_http_param(req, "file");
    bool ours = gtv_str_eq(file, GTV_STR("hls.min.js")) || gtv_str_eq(file, GTV_STR("hls.worker.js"));
    if (!c->hlsjs || !ours) {
        gtv_reply_error(req, GTV_E_NOT_FOUND, NULL,
                        c->hlsjs ? NULL : "the video player is not installed (GTV_HLSJS_DIR)");
        return;
    }
    gtv_http_files_reply_with(c->hlsjs, req, file, page_headers, PAGE_HEADERS);
}
