// Answers in MediaMTX's shapes.
#ifndef GTV_MEDIA_REPLY_H
#define GTV_MEDIA_REPLY_H

#include "lib/http/server.h"
#include "lib/json/json.h"

// {"status":"ok"}
void gtv_media_reply_ok(struct gtv_http_request *req);
// {"status":"error","error":text}, redacted; with "cause" and "causeCode" behind it when cause is not NULL.
void gtv_media_reply_error(struct gtv_http_request *req, int status, const char *text, const char *cause,
                           const char *cause_code);
// 404 as text: unknown routes, wrong methods, HEAD, unknown segments.
void gtv_media_reply_not_found(struct gtv_http_request *req);
// Serialises and frees doc.
void gtv_media_reply_json(struct gtv_http_request *req, yyjson_mut_doc *doc);

#endif
