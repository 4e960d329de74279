// The handlers: what stands in a request's body and query becomes exams.
#include "services/ai/detect/asked.h"
#include "services/ai/picture/multipart.h"

// No Content-Type counts as JSON, as it did for the clients of old.
static bool is_json(struct gtv_str type)
{
    return type.n == 0 || gtv_str_ieq(type, GTV_STR("application/json")) ||
           gtv_str_ends(type, GTV_STR("+json"));
}

// What the picture really is tells its first bytes.
static bool is_picture(struct gtv_str type)
{
    static const char *const types[] = {"image/jpeg", "image/jpg", "image/png", "image/webp",
                                        "application/octet-stream"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (gtv_str_ieq(type, gtv_str_of(types[i])))
            return true;
    return false;
}

static struct gtv_str media_type(struct gtv_http_request *req)
{
    struct gtv_str value = gtv_http_header(req, "content-type");
    return gtv_str_trim(gtv_str_cut(&value, ';'));
}

// Whether Accept names JPEG, and not JSON before it. Whoever takes anything gets JSON.
static bool prefers_jpeg(struct gtv_http_request *req)
{
    struct gtv_str list = gtv_http_header(req, "accept");
    while (list.n) {
        struct gtv_str item = gtv_str_cut(&list, ',');
        struct gtv_str type = gtv_str_trim(gtv_str_cut(&item, ';'));
        if (gtv_str_ieq(type, GTV_STR("application/json")))
            return false;
        if (gtv_str_ieq(type, GTV_STR("image/jpeg")) || gtv_str_ieq(type, GTV_STR("image/*")))
            return true;
    }
    return false;
}

static bool read_options(struct gtv_asked *a, struct gtv_exam_options *options, struct gtv_error *err)
{
    *options = (struct gtv_exam_options){.confidence = a->ai->settings->confidence};
    return gtv_exam_options_query(a->req, options, err);
}

static bool read_root(struct gtv_asked *a, yyjson_val **root, struct gtv_error *err)
{
    a->doc = gtv_json_parse_in_place(a->body, a->body_len, err);
    *root = yyjson_doc_get_root(a->doc);
    if (a->doc && !yyjson_is_obj(*root))
        gtv_error_set(err, GTV_E_INVALID, NULL, "The body must be a JSON object");
    return yyjson_is_obj(*root);
}

static bool read_id(struct gtv_str text, const char *where, int64_t *id, struct gtv_error *err)
{
    if (gtv_parse_int(gtv_str_trim(text), 0, INT64_MAX, id))
        return true;
    if (text.p)
        gtv_error_set(err, GTV_E_INVALID, "camera_id", "camera_id must be a whole number");
    else
        gtv_error_set(err, GTV_E_INVALID, "camera_id", "camera_id is missing in the %s", where);
    return false;
}

static void submit(struct gtv_asked *a, bool ok, const struct gtv_error *err)
{
    if (ok)
        gtv_asked_submit(a);
    else
        gtv_asked_refuse(a, err);
}

// ---- One picture ----

static bool read_json(struct gtv_asked *a, const struct gtv_exam_options *options, struct gtv_error *err)
{
    yyjson_val *root;
    if (!read_root(a, &root, err))
        return false;
    gtv_asked_set_count(a, 1, options);
    struct gtv_exam *exam = &a->pictures[0].exam;
    exam->field = "image_base64";
    exam->base64 = true;
    return gtv_json_get_int(root, "camera_id", GTV_JSON_REQUIRED, 0, INT64_MAX, &exam->camera_id, err) &&
           gtv_json_get_str(root, "image_base64", GTV_JSON_REQUIRED, &exam->picture, err) &&
           gtv_exam_options_json(root, &exam->options, err);
}

static bool read_raw(struct gtv_asked *a, const struct gtv_exam_options *options, struct gtv_error *err)
{
    gtv_asked_set_count(a, 1, options);
    struct gtv_exam *exam = &a->pictures[0].exam;
    exam->field = "body";
    exam->picture = (struct gtv_str){a->body, a->body_len};
    return read_id(gtv_http_query(a->req, "camera_id"), "query", &exam->camera_id, err);
}

void gtv_ai_handle_detect(struct gtv_http_request *req, void *user)
{
    struct gtv_asked *a = gtv_asked_create(user, req);
    if (!a)
        return;
    struct gtv_error err = {0};
    struct gtv_exam_options options;
    struct gtv_str type = media_type(req);
    a->jpeg = prefers_jpeg(req);
    bool ok = read_options(a, &options, &err);
    if (ok && is_json(type)) {
        ok = read_json(a, &options, &err);
    } else if (ok && is_picture(type)) {
        ok = read_raw(a, &options, &err);
    } else if (ok) {
        ok = false;
        gtv_error_set(
            &err, GTV_E_UNSUPPORTED, "content-type",
            "Content-Type must be application/json, image/jpeg, image/png or image/webp; a form goes "
            "to /detect/upload");
    }
    submit(a, ok, &err);
}

void gtv_ai_handle_upload(struct gtv_http_request *req, void *user)
{
    struct gtv_asked *a = gtv_asked_create(user, req);
    if (!a)
        return;
    struct gtv_error err = {0}, absent = {0};
    struct gtv_exam_options options;
    a->jpeg = prefers_jpeg(req);
    bool ok = read_options(a, &options, &err);
    gtv_asked_set_count(a, 1, &options);
    struct gtv_exam *exam = &a->pictures[0].exam;
    struct gtv_str body = {a->body, a->body_len}, type = gtv_http_header(req, "content-type"),
                   id = gtv_http_query(req, "camera_id");
    exam->field = "file";
    ok = ok && gtv_multipart_find(type, body, "file", &exam->picture, &err);
    if (ok && !id.p)
        (void)!gtv_multipart_find(type, body, "camera_id", &id, &absent);
    ok = ok && read_id(id, "query", &exam->camera_id, &err);
    submit(a, ok, &err);
}

// ---- Several ----

static void set_picture(struct gtv_asked *a, size_t i, struct gtv_str picture, bool base64)
{
    struct gtv_exam *exam = &a->pictures[i].exam;
    exam->picture = picture;
    exam->base64 = base64;
    if ((base64 ? picture.n / 4 * 3 : picture.n) <= GTV_AI_MAX_BODY)
        return;
    struct gtv_error err = {0};
    gtv_error_set(&err, GTV_E_TOO_LARGE, exam->field, "The picture has more than %d MiB",
                  GTV_AI_MAX_BODY >> 20);
    gtv_asked_fail_picture(a, i, &err);
}

static bool check_count(size_t n, const char *field, struct gtv_error *err)
{
    if (n >= 1 && n <= GTV_AI_MAX_BATCH)
        return true;
    gtv_error_set(err, GTV_E_INVALID, field, "There must be 1 to %d pictures, not %zu", GTV_AI_MAX_BATCH, n);
    return false;
}

static bool read_batch_json(struct gtv_asked *a, struct gtv_exam_options *options, struct gtv_error *err)
{
    yyjson_val *root, *item;
    if (!read_root(a, &root, err) || !gtv_exam_options_json(root, options, err))
        return false;
    yyjson_val *images = yyjson_obj_get(root, "images");
    if (!yyjson_is_arr(images)) {
        gtv_error_set(err, GTV_E_INVALID, "images",
                      images ? "images must be a list" : "images is missing in the body");
        return false;
    }
    if (!check_count(yyjson_arr_size(images), "images", err))
        return false;
    gtv_asked_set_count(a, yyjson_arr_size(images), options);
    size_t i, n;
    yyjson_arr_foreach(images, i, n, item)
    {
        struct gtv_exam *exam = &a->pictures[i].exam;
        struct gtv_str text = {0};
        struct gtv_error wrong = {0};
        exam->field = "image_base64";
        bool ok = yyjson_is_obj(item);
        if (!ok)
            gtv_error_set(&wrong, GTV_E_INVALID, "images", "Each of images must be a JSON object");
        ok = ok &&
             gtv_json_get_int(item, "camera_id", GTV_JSON_REQUIRED, 0, INT64_MAX, &exam->camera_id, &wrong) &&
             gtv_json_get_str(item, "image_base64", GTV_JSON_REQUIRED, &text, &wrong) &&
             gtv_exam_options_json(item, &exam->options, &wrong);
        if (ok)
            set_picture(a, i, text, true);
        else
            gtv_asked_fail_picture(a, i, &wrong);
    }
    return true;
}

// Every part with a file's name is a picture. A field camera_id holds for the pictures behind it; before, the
// query's does.
static bool read_batch_form(struct gtv_asked *a, const struct gtv_exam_options *options,
                            struct gtv_error *err)
{
    struct gtv_str body = {a->body, a->body_len}, type = gtv_http_header(a->req, "content-type");
    struct gtv_str pictures[GTV_AI_MAX_BATCH], ids[GTV_AI_MAX_BATCH],
        id = gtv_http_query(a->req, "camera_id");
    struct gtv_multipart walk;
    struct gtv_multipart_part part;
    size_t n = 0;
    if (!gtv_multipart_begin(&walk, type, body, err))
        return false;
    int more;
    while ((more = gtv_multipart_next(&walk, &part, err)) > 0) {
        if (part.filename[0]) {
            if (n < GTV_AI_MAX_BATCH) {
                pictures[n] = part.content;
                ids[n] = id;
            }
            n++;
        } else if (gtv_str_eq(gtv_str_of(part.name), GTV_STR("camera_id"))) {
            id = part.content;
        }
    }
    if (more < 0 || !check_count(n, "file", err))
        return false;
    gtv_asked_set_count(a, n, options);
    for (size_t i = 0; i < n; i++) {
        struct gtv_error wrong = {0};
        a->pictures[i].exam.field = "file";
        set_picture(a, i, pictures[i], false);
        if (!read_id(ids[i], "query and before the picture", &a->pictures[i].exam.camera_id, &wrong))
            gtv_asked_fail_picture(a, i, &wrong);
    }
    return true;
}

void gtv_ai_handle_batch(struct gtv_http_request *req, void *user)
{
    struct gtv_asked *a = gtv_asked_create(user, req);
    if (!a)
        return;
    struct gtv_error err = {0};
    struct gtv_exam_options options;
    struct gtv_str type = media_type(req);
    a->batch = true;
    bool ok = read_options(a, &options, &err);
    if (ok && is_json(type)) {
        ok = read_batch_json(a, &options, &err);
    } else if (ok && gtv_str_ieq(type, GTV_STR("multipart/form-data"))) {
        ok = read_batch_form(a, &options, &err);
    } else if (ok) {
        ok = false;
        gtv_error_set(&err, GTV_E_UNSUPPORTED, "content-type",
                      "Content-Type must be application/json or multipart/form-data");
    }
    submit(a, ok, &err);
}
