#include "lib/base/url.h"
#include "lib/contract/contract.h"

// Long enough for any message of struct gtv_error; longer ones are cut by gtv_redact.
enum { MESSAGE_CAP = 512 };

// after_s: for Retry-After, 0 without it.
static void reply_with(struct gtv_http_request *req, int status, yyjson_mut_doc *doc, unsigned after_s)
{
    struct gtv_bytes *body = doc ? gtv_json_write(doc) : NULL;
    static const struct gtv_str fallback = {
        "{\"detail\":\"Out of memory\",\"code\":\"internal\",\"field\":null}", 57};
    if (!body) {
        gtv_http_reply_str(req, 500, "application/json", fallback);
        return;
    }
    char after[16];
    int n = snprintf(after, sizeof after, "%u", after_s);
    const struct gtv_http_header headers[] = {
        {GTV_STR("Content-Type"), GTV_STR("application/json")},
        {GTV_STR("Retry-After"), {after, (size_t)n}},
        {GTV_STR("Cache-Control"), GTV_STR("no-store")},
    };
    gtv_http_reply(req, status, headers, after_s ? 3 : 1, body);
    gtv_bytes_unref(body);
}

static void reply_or_fail(struct gtv_http_request *req, int status, yyjson_mut_doc *doc)
{
    reply_with(req, status, doc, 0);
}

static void add_code_and_field(yyjson_mut_doc *doc, yyjson_mut_val *o, enum gtv_code code, const char *field)
{
    yyjson_mut_obj_add_str(doc, o, "code", gtv_code_name(code));
    if (field && *field)
        yyjson_mut_obj_add_strcpy(doc, o, "field", field);
    else
        yyjson_mut_obj_add_null(doc, o, "field");
}

static yyjson_mut_doc *error_doc(enum gtv_code code, const char *field, const char *message)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (doc) {
        char clean[MESSAGE_CAP];
        size_t n =
            gtv_redact(gtv_str_of(message && *message ? message : gtv_code_text(code)), clean, sizeof clean);
        yyjson_mut_val *o = yyjson_mut_obj(doc);
        yyjson_mut_doc_set_root(doc, o);
        yyjson_mut_obj_add_strncpy(doc, o, "detail", clean, n);
        add_code_and_field(doc, o, code, field);
    }
    return doc;
}

void gtv_reply_error(struct gtv_http_request *req, enum gtv_code code, const char *field, const char *message)
{
    reply_or_fail(req, gtv_code_http_status(code), error_doc(code, field, message));
}

void gtv_reply_error_later(struct gtv_http_request *req, const struct gtv_error *err, unsigned after_s)
{
    reply_with(req, gtv_code_http_status(err->code), error_doc(err->code, err->field, err->message), after_s);
}

void gtv_reply_error_from(struct gtv_http_request *req, const struct gtv_error *err)
{
    gtv_reply_error(req, err->code, err->field, err->message);
}

void gtv_reply_invalid(struct gtv_http_request *req, const struct gtv_error *err)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (doc) {
        char clean[MESSAGE_CAP];
        const char *text = err->message[0] ? err->message : gtv_code_text(GTV_E_INVALID);
        size_t n = gtv_redact(gtv_str_of(text), clean, sizeof clean);
        yyjson_mut_val *o = yyjson_mut_obj(doc);
        yyjson_mut_doc_set_root(doc, o);
        yyjson_mut_val *item = yyjson_mut_arr_add_obj(doc, yyjson_mut_obj_add_arr(doc, o, "detail"));
        yyjson_mut_val *loc = yyjson_mut_obj_add_arr(doc, item, "loc");
        yyjson_mut_arr_add_str(doc, loc, "body");
        if (err->field[0])
            yyjson_mut_arr_add_strcpy(doc, loc, err->field);
        yyjson_mut_obj_add_strncpy(doc, item, "msg", clean, n);
        yyjson_mut_obj_add_str(doc, item, "type", "value_error");
        add_code_and_field(doc, o, GTV_E_INVALID, err->field);
    }
    reply_or_fail(req, 422, doc);
}

void gtv_reply_json(struct gtv_http_request *req, int status, yyjson_mut_doc *doc)
{
    reply_or_fail(req, status, doc);
}
