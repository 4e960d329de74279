#include "lib/base/clock.h"
#include "lib/contract/contract.h"

void gtv_reply_version(struct gtv_http_request *req, const struct gtv_about *about)
{
    yyjson_mut_val *o;
    char started[GTV_ISO8601_CAP];
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_str(doc, o, "program", about->program);
    yyjson_mut_obj_add_str(doc, o, "version", about->version);
    if (about->commit[0])
        yyjson_mut_obj_add_str(doc, o, "commit", about->commit);
    else
        yyjson_mut_obj_add_null(doc, o, "commit");
    yyjson_mut_obj_add_strcpy(doc, o, "started_at", gtv_iso8601_utc(about->started_ms, started));
    yyjson_mut_val *libraries = yyjson_mut_obj_add_obj(doc, o, "libraries");
    for (size_t i = 0; i < sizeof(about->libraries) / sizeof(about->libraries[0]); i++) {
        if (!about->libraries[i].name)
            break;
        yyjson_mut_obj_add_str(doc, libraries, about->libraries[i].name, about->libraries[i].version);
    }
    gtv_reply_json(req, 200, doc);
}

void gtv_handle_version(struct gtv_http_request *req, void *user)
{
    const struct gtv_service_pages *pages = user;
    gtv_reply_version(req, pages->about);
}
