// The handlers: what stands in a request's body and query becomes exams.
#include "services/ai/detect/asked.h"
#include "services/ai/picture/multipart.h"

// No Content-Type counts as JSON, as it did for the clients of old.
static bool is_json(struct gtv_str type)
{
    return type.n == 0 || gtv_str_ieq(type, GTV_STR("application/json")) ||
           gtv_str_ends(type, GTV_STR("+json"));
}

static struct gtv_str media_type(struct gtv_http_request *req)
{
    struct gtv_str value = gtv_http_header(req, "content-type");
    return gtv_str_trim(gtv_str_cut(&value, ';'));
}

static struct gtv_exam_options defaults(const struct gtv_ai *ai)
{
    return (struct gtv_exam_options){.confidence = ai->settings->confidence};
}

// ---- One picture ----

static bool read_json(struct gtv_asked *a, const struct gtv_exam_options *options, struct gtv_error *err)
{
    a->doc = gtv_json_parse_in_place(a->body, a->body_len, err);
    if (!a->doc)
        return false;
    yyjson_val *root = yyjson_doc_get_root(a->doc);
    if (!yyjson_is_obj(root)) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "The body must be a JSON object");
        return false;
    }
    gtv_asked_set_count(a, 1, options);
    struct gtv_exam *exam = &a->pictures[0].exam;
    exam->field = "image_base64";
    exam->base64 = true;
    return gtv_json_get_int(root, "camera_id", GTV_JSON_REQUIRED, 0, INT64_MAX, &exam->camera_id, err) &&
           gtv_json_get_str(root, "image_base64", GTV_JSON_REQUIRED, &exam->picture, err) &&
           gtv_exam_options_json(root, &exam->options, err);
}

static bool read_camera_id(struct gtv_http_request *req, int64_t *id, struct gtv_error *err)
{
    struct gtv_str text = gtv_http_query(req, "camera_id");
    if (gtv_parse_int(text, 0, INT64_MAX, id))
        return true;
    gtv_error_set(err, GTV_E_INVALID, "camera_id",
                  text.p ? "camera_id must be a whole number" : "camera_id is missing in the query");
    return false;
}

static void submit(struct gtv_asked *a, bool ok, const struct gtv_error *err)
{
    if (ok)
        gtv_asked_submit(a);
    else
        gtv_asked_refuse(a, err);
}

void gtv_ai_handle_detect(struct gtv_http_request *req, void *user)
{
    struct gtv_asked *a = gtv_asked_create(user, req);
    if (!a)
        return;
    struct gtv_error err = {0};
    struct gtv_exam_options options = defaults(a->ai);
    bool ok = is_json(media_type(req));
    if (!ok)
        gtv_error_set(&err, GTV_E_UNSUPPORTED, "content-type",
                      "Content-Type must be application/json; a picture by itself goes to /detect/upload");
    submit(a, ok && read_json(a, &options, &err), &err);
}

void gtv_ai_handle_upload(struct gtv_http_request *req, void *user)
{
    struct gtv_asked *a = gtv_asked_create(user, req);
    if (!a)
        return;
    struct gtv_error err = {0};
    struct gtv_exam_options options = defaults(a->ai);
    gtv_asked_set_count(a, 1, &options);
    struct gtv_exam *exam = &a->pictures[0].exam;
    exam->field = "file";
    bool ok = read_camera_id(req, &exam->camera_id, &err) &&
              gtv_multipart_find(gtv_http_header(req, "content-type"), (struct gtv_str){a->body, a->body_len},
                                 "file", &exam->picture, &err);
    submit(a, ok, &err);
}
