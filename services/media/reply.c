#include "services/media/reply.h"

#include "lib/base/url.h"

static const struct gtv_http_header json_header = {{"Content-Type", 12},
                                                   {"application/json; charset=utf-8", 31}};

static void reply_doc(struct gtv_http_request *req, int status, yyjson_mut_doc *doc)
{
    struct gtv_bytes *body = gtv_json_write(doc);
    if (body == NULL) {
        gtv_http_reply_str(req, 500, "text/plain", GTV_STR("out of memory"));
        return;
    }
    gtv_http_reply(req, status, &json_header, 1, body);
    gtv_bytes_unref(body);
}

void gtv_media_reply_json(struct gtv_http_request *req, yyjson_mut_doc *doc)
{
    reply_doc(req, 200, doc);
}

void gtv_media_reply_ok(struct gtv_http_request *req)
{
    gtv_http_reply_str(req, 200, "application/json; charset=utf-8", GTV_STR("{\"status\":\"ok\"}"));
}

void gtv_media_reply_error(struct gtv_http_request *req, int status, const char *text, const char *cause,
                           const char *cause_code)
{
    yyjson_mut_val *root;
    yyjson_mut_doc *doc = gtv_json_object(&root);
    char clean[1024];
    size_t n = gtv_redact(gtv_str_of(text), clean, sizeof clean);
    yyjson_mut_obj_add_str(doc, root, "status", "error");
    yyjson_mut_obj_add_strncpy(doc, root, "error", clean, n);
    if (cause != NULL) {
        yyjson_mut_obj_add_strcpy(doc, root, "cause", cause);
        yyjson_mut_obj_add_strcpy(doc, root, "causeCode", cause_code);
    }
    reply_doc(req, status, doc);
}

void gtv_media_reply_not_found(struct gtv_http_request *req)
{
    gtv_http_reply_str(req, 404, "text/plain", GTV_STR("404 page not found"));
}
