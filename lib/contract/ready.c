// GET /ready: whether a program can do its work now, and what it misses.
#include "lib/base/url.h"
#include "lib/contract/contract.h"

#include <stdio.h>

enum { CAUSE_CAP = 512 };

static const char *cause_of(const struct gtv_missing *m)
{
    return m->cause && *m->cause ? m->cause : "the cause is not known yet";
}

static void add_missing(yyjson_mut_doc *doc, yyjson_mut_val *list, const struct gtv_missing *m)
{
    char clean[CAUSE_CAP];
    yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, list);
    yyjson_mut_obj_add_str(doc, item, "what", m->what);
    size_t n = gtv_redact(gtv_str_of(cause_of(m)), clean, sizeof(clean));
    yyjson_mut_obj_add_strncpy(doc, item, "cause", clean, n);
    yyjson_mut_obj_add_bool(doc, item, "required", m->required);
}

static void add_error(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_missing *first)
{
    char text[CAUSE_CAP + 64], clean[CAUSE_CAP];
    if (first)
        (void)snprintf(text, sizeof(text), "%s is missing: %s", first->what, cause_of(first));
    else
        (void)snprintf(text, sizeof(text), "The program is stopping");
    size_t n = gtv_redact(gtv_str_of(text), clean, sizeof(clean));
    yyjson_mut_obj_add_strncpy(doc, o, "detail", clean, n);
    yyjson_mut_obj_add_str(doc, o, "code", gtv_code_name(GTV_E_UNAVAILABLE));
    yyjson_mut_obj_add_null(doc, o, "field");
}

void gtv_reply_ready(struct gtv_http_request *req, const struct gtv_service_pages *pages, yyjson_mut_doc *doc,
                     const struct gtv_missing *missing, size_t n)
{
    yyjson_mut_val *o = doc ? yyjson_mut_doc_get_root(doc) : NULL;
    if (!doc)
        doc = gtv_json_object(&o);
    bool stopping = gtv_http_stopping(req);
    const struct gtv_missing *worst = NULL;
    for (size_t i = 0; i < n && !worst; i++)
        worst = missing[i].required ? &missing[i] : NULL;
    bool ready = !stopping && !worst;
    yyjson_mut_obj_add_bool(doc, o, "ready", ready);
    yyjson_mut_obj_add_str(doc, o, "status",
                           stopping ? "stopping"
                           : worst  ? "not ready"
                           : n      ? "degraded"
                                    : "ready");
    yyjson_mut_obj_add_str(doc, o, "program", pages->name);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "missing");
    for (size_t i = 0; i < n; i++)
        add_missing(doc, list, &missing[i]);
    if (!ready)
        add_error(doc, o, stopping ? NULL : worst);
    gtv_reply_json(req, ready ? 200 : 503, doc);
}
