#include "lib/contract/contract.h"

#include <assert.h>
#include <stdio.h>

// All series of one service fit many times; a page beyond this answers 500 instead of growing.
enum { METRICS_MAX = 4 * 1024 * 1024 };

void gtv_service_add_disk(struct gtv_service_pages *pages, const char *folder, const char *path)
{
    assert(pages->disk_count < GTV_SERVICE_DISKS_MAX);
    pages->disks[pages->disk_count].path = path;
    gtv_disk_gauges_init(&pages->disks[pages->disk_count++].gauges, pages->metrics, folder);
}

void gtv_handle_metrics(struct gtv_http_request *req, void *user)
{
    struct gtv_service_pages *pages = user;
    for (size_t i = 0; i < pages->disk_count; i++)
        gtv_disk_gauges_look(&pages->disks[i].gauges, pages->disks[i].path);
    struct gtv_buf buf;
    gtv_buf_init(&buf, METRICS_MAX);
    gtv_metrics_write(pages->metrics, &buf);
    if (pages->more)
        pages->more(&buf, user);
    struct gtv_bytes *body = gtv_buf_take(&buf);
    if (!body) {
        gtv_reply_error(req, GTV_E_INTERNAL, NULL, "the metrics do not fit their page");
        return;
    }
    const struct gtv_http_header headers[] = {
        {GTV_STR("Content-Type"), GTV_STR("text/plain; version=0.0.4; charset=utf-8")},
        {GTV_STR("Cache-Control"), GTV_STR("no-store")},
    };
    gtv_http_reply(req, 200, headers, 2, body);
    gtv_bytes_unref(body);
}

void gtv_handle_openapi(struct gtv_http_request *req, void *user)
{
    struct gtv_service_pages *pages = user;
    if (!pages->openapi) {
        gtv_reply_error(req, GTV_E_NOT_FOUND, NULL,
                        "the folder of the API documents is not configured (GTV_API_DIR)");
        return;
    }
    char name[64];
    int n = snprintf(name, sizeof name, "%s.json", pages->name);
    if (n < 0 || (size_t)n >= sizeof name) {
        gtv_reply_error(req, GTV_E_INTERNAL, NULL, NULL);
        return;
    }
    gtv_http_files_reply(pages->openapi, req, gtv_str_of(name));
}

void gtv_handle_docs(struct gtv_http_request *req, void *user)
{
    struct gtv_service_pages *pages = user;
    if (!pages->docs_ui) {
        gtv_reply_error(
            req, GTV_E_NOT_FOUND, NULL,
            "the interactive reference is not installed (GTV_DOCS_UI_DIR); /openapi.json has the same facts");
        return;
    }
    // Links are relative, so that the page also works behind the door's prefix (/streaming/docs).
    struct gtv_str page = gtv_str_of(gtv_arena_printf(
        gtv_http_arena(req),
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>GT-Vision %s API</title>\n"
        "<link rel=\"stylesheet\" href=\"docs/swagger-ui.css\"></head><body><div id=\"api\"></div>\n"
        "<script src=\"docs/swagger-ui-bundle.js\"></script>\n"
        "<script>SwaggerUIBundle({url: \"openapi.json\", dom_id: \"#api\", validatorUrl: null});</script>\n"
        "</body></html>\n",
        pages->name));
    gtv_http_reply_str(req, 200, "text/html; charset=utf-8", page);
}

void gtv_handle_docs_file(struct gtv_http_request *req, void *user)
{
    struct gtv_service_pages *pages = user;
    if (!pages->docs_ui) {
        gtv_reply_error(req, GTV_E_NOT_FOUND, NULL, NULL);
        return;
    }
    gtv_http_files_reply(pages->docs_ui, req, gtv_http_param(req, "file"));
}
