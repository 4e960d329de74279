#include "services/ai/network/model.h"

#include "lib/base/buf.h"
#include "lib/json/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char *const gtv_vehicle_names[GTV_VEHICLE_COUNT] = {"car", "motorcycle", "bus", "truck"};

// The best first.
static const char *const defaults[] = {"picodet_s_416", "yolox_nano_416", "nanodet_g_416"};

enum { MAX_DESCRIPTION = 64 * 1024, MAX_SIDE = 2048 };

static bool invalid(struct gtv_error *err, const char *field, const char *what)
{
    gtv_error_set(err, GTV_E_INVALID, field, "%s %s", field, what);
    return false;
}

// ---- The parts of a description ----

static bool parse_triple(yyjson_val *obj, const char *name, double out[3], struct gtv_error *err)
{
    yyjson_val *array = yyjson_obj_get(obj, name);
    if (!array)
        return true;
    if (!yyjson_is_arr(array) || yyjson_arr_size(array) != 3)
        return invalid(err, name, "must be three numbers");
    for (size_t i = 0; i < 3; i++) {
        yyjson_val *v = yyjson_arr_get(array, i);
        if (!yyjson_is_num(v))
            return invalid(err, name, "must be three numbers");
        out[i] = yyjson_get_num(v);
    }
    return true;
}

static bool parse_choice(yyjson_val *obj, const char *name, const char *const *choices, size_t n, size_t *out,
                         struct gtv_error *err)
{
    struct gtv_str s = {0};
    if (!gtv_json_get_str(obj, name, GTV_JSON_OPTIONAL, &s, err))
        return false;
    if (!s.p)
        return true;
    for (size_t i = 0; i < n; i++) {
        if (gtv_str_eq(s, gtv_str_of(choices[i]))) {
            *out = i;
            return true;
        }
    }
    return invalid(err, name, "has a value that this program does not know");
}

static bool parse_input(yyjson_val *root, struct gtv_model *m, struct gtv_error *err)
{
    static const char *const orders[] = {"rgb", "bgr"}, *const layouts[] = {"nchw", "nhwc"},
                             *const types[] = {"f32", "u8"},
                             *const resizes[] = {"stretch", "letterbox-topleft", "letterbox-center"};
    yyjson_val *in = yyjson_obj_get(root, "input");
    if (!yyjson_is_obj(in))
        return invalid(err, "input", "must be an object");
    int64_t width = 0, height = 0, pad = 0;
    double scale = 1;
    size_t order = 0, layout = 0, type = 0, resize = 0;
    for (int c = 0; c < 3; c++)
        m->input.deviation[c] = 1;
    if (!gtv_json_get_int(in, "width", GTV_JSON_REQUIRED, 32, MAX_SIDE, &width, err) ||
        !gtv_json_get_int(in, "height", GTV_JSON_REQUIRED, 32, MAX_SIDE, &height, err) ||
        !gtv_json_get_int(in, "pad", GTV_JSON_OPTIONAL, 0, 255, &pad, err) ||
        !gtv_json_get_double(in, "scale", GTV_JSON_OPTIONAL, 1e-6, 1e6, &scale, err) ||
        !parse_choice(in, "order", orders, 2, &order, err) ||
        !parse_choice(in, "layout", layouts, 2, &layout, err) ||
        !parse_choice(in, "type", types, 2, &type, err) ||
        !parse_choice(in, "resize", resizes, 3, &resize, err) ||
        !parse_triple(in, "mean", m->input.mean, err) || !parse_triple(in, "std", m->input.deviation, err))
        return false;
    for (int c = 0; c < 3; c++) {
        if (m->input.deviation[c] <= 0)
            return invalid(err, "std", "must be above zero");
    }
    m->input.width = (int)width;
    m->input.height = (int)height;
    m->input.scale = scale;
    m->input.bgr = order == 1;
    m->input.nhwc = layout == 1;
    m->input.u8 = type == 1;
    m->pad = (uint8_t)pad;
    m->resize = (enum gtv_resize)resize;
    return true;
}

static bool parse_strides(yyjson_val *root, struct gtv_model *m, struct gtv_error *err)
{
    yyjson_val *array = yyjson_obj_get(root, "strides");
    size_t n = yyjson_arr_size(array);
    if (!yyjson_is_arr(array) || n == 0 || n > GTV_MODEL_MAX_STRIDES)
        return invalid(err, "strides", "must be a list of 1 to 6 numbers");
    for (size_t i = 0; i < n; i++) {
        int64_t stride = yyjson_get_sint(yyjson_arr_get(array, i));
        if (stride < 1 || stride > 256)
            return invalid(err, "strides", "must be between 1 and 256");
        m->strides[i] = (int)stride;
    }
    m->stride_count = n;
    return true;
}

static int vehicle_of_name(struct gtv_str name)
{
    for (int v = 0; v < GTV_VEHICLE_COUNT; v++) {
        if (gtv_str_ieq(name, gtv_str_of(gtv_vehicle_names[v])))
            return v;
    }
    return gtv_str_ieq(name, GTV_STR("motorbike")) ? GTV_MOTORCYCLE : -1;
}

// "coco80", or the names of all classes in the network's order.
static bool parse_classes(yyjson_val *root, struct gtv_model *m, struct gtv_error *err)
{
    static const int coco80[GTV_VEHICLE_COUNT] = {2, 3, 5, 7};
    yyjson_val *v = yyjson_obj_get(root, "classes");
    if (yyjson_equals_str(v, "coco80")) {
        memcpy(m->vehicle_class, coco80, sizeof(coco80));
        m->class_count = 80;
        return true;
    }
    size_t n = yyjson_arr_size(v);
    if (!yyjson_is_arr(v) || n == 0 || n > GTV_MODEL_MAX_CLASSES)
        return invalid(err, "classes", "must be \"coco80\" or the list of the network's classes");
    m->class_count = (int)n;
    bool any = false;
    for (int i = 0; i < GTV_VEHICLE_COUNT; i++)
        m->vehicle_class[i] = -1;
    for (size_t i = 0; i < n; i++) {
        yyjson_val *name = yyjson_arr_get(v, i);
        int vehicle = vehicle_of_name((struct gtv_str){yyjson_get_str(name), yyjson_get_len(name)});
        if (vehicle < 0)
            continue;
        m->vehicle_class[vehicle] = (int)i;
        any = true;
    }
    return any || invalid(err, "classes", "names no car, motorcycle, bus or truck");
}

static bool parse_outputs(yyjson_val *root, struct gtv_model *m, struct gtv_error *err)
{
    yyjson_val *array = yyjson_obj_get(root, "outputs");
    if (!array)
        return true;
    size_t n = yyjson_arr_size(array);
    if (!yyjson_is_arr(array) || n > GTV_INFER_MAX_OUTPUTS)
        return invalid(err, "outputs", "must be a list of at most 16 names");
    for (size_t i = 0; i < n; i++) {
        yyjson_val *name = yyjson_arr_get(array, i);
        struct gtv_str s = {yyjson_get_str(name), yyjson_get_len(name)};
        if (!s.p || s.n == 0 || !gtv_str_copy(m->outputs[i], sizeof(m->outputs[i]), s))
            return invalid(err, "outputs", "must be a list of names");
    }
    m->output_count = n;
    return true;
}

static bool parse_head(yyjson_val *root, struct gtv_model *m, struct gtv_error *err)
{
    static const char *const heads[] = {"picodet", "nanodet", "yolox"};
    size_t head = SIZE_MAX;
    if (!parse_choice(root, "head", heads, 3, &head, err))
        return false;
    if (head == SIZE_MAX)
        return invalid(err, "head", "is missing");
    m->head = head == 2 ? GTV_HEAD_YOLOX : GTV_HEAD_BINS;
    int64_t bins = head == 0 ? 8 : 11;
    if (!gtv_json_get_int(root, "bins", GTV_JSON_OPTIONAL, 2, 64, &bins, err))
        return false;
    m->bins = (int)bins;
    return true;
}

static bool parse_file(yyjson_val *root, const char *dir, struct gtv_model *m, struct gtv_error *err)
{
    struct gtv_str name = {0}, file = {0};
    if (!gtv_json_get_str(root, "name", GTV_JSON_REQUIRED, &name, err) ||
        !gtv_json_get_str(root, "file", GTV_JSON_REQUIRED, &file, err))
        return false;
    if (name.n == 0 || !gtv_str_copy(m->name, sizeof(m->name), name))
        return invalid(err, "name", "must have 1 to 63 bytes");
    // A name of a file, so that a description cannot point out of its folder.
    if (file.n == 0 || file.n > 255 || memchr(file.p, '/', file.n) || memchr(file.p, '\0', file.n))
        return invalid(err, "file", "must be the name of a file beside the description");
    int n = snprintf(m->path, sizeof(m->path), "%s/" GTV_STR_FMT, dir, GTV_STR_ARG(file));
    return (n > 0 && (size_t)n < sizeof(m->path)) || invalid(err, "file", "has a path that is too long");
}

bool gtv_model_parse(struct gtv_str json, const char *dir, struct gtv_model *out, struct gtv_error *err)
{
    memset(out, 0, sizeof(*out));
    yyjson_doc *doc = gtv_json_parse(json, err);
    if (!doc)
        return false;
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool ok = yyjson_is_obj(root) || invalid(err, "description", "must be a JSON object");
    out->score_threshold = 0.5;
    out->nms_threshold = 0.6;
    ok = ok && parse_file(root, dir, out, err) && parse_head(root, out, err) && parse_input(root, out, err) &&
         parse_strides(root, out, err) && parse_classes(root, out, err) && parse_outputs(root, out, err) &&
         gtv_json_get_double(root, "score_threshold", GTV_JSON_OPTIONAL, 0, 1, &out->score_threshold, err) &&
         gtv_json_get_double(root, "nms_threshold", GTV_JSON_OPTIONAL, 0.05, 1, &out->nms_threshold, err);
    yyjson_doc_free(doc);
    return ok;
}

// ---- Finding one ----

static bool read_small_file(const char *path, struct gtv_buf *out)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    char part[4096];
    size_t n;
    while ((n = fread(part, 1, sizeof(part), f)) > 0 && gtv_buf_append(out, part, n))
        ;
    bool ok = !ferror(f) && !out->failed;
    (void)fclose(f);
    return ok;
}

// Reads dir/stem.json. *absent tells "there is none" from "there is a bad one".
static bool describe(const char *dir, struct gtv_str stem, struct gtv_model *out, bool *absent,
                     struct gtv_error *err)
{
    char path[GTV_MODEL_PATH_CAP];
    int n = snprintf(path, sizeof(path), "%s/" GTV_STR_FMT ".json", dir, GTV_STR_ARG(stem));
    *absent = n < 0 || (size_t)n >= sizeof(path) || access(path, F_OK) != 0;
    if (*absent) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "%s is not there", path);
        return false;
    }
    struct gtv_buf text;
    gtv_buf_init(&text, MAX_DESCRIPTION);
    struct gtv_error cause = {0};
    bool ok = read_small_file(path, &text);
    if (!ok)
        gtv_error_set(&cause, GTV_E_INVALID, NULL, "it cannot be read, or has more than 64 KiB");
    ok = ok && gtv_model_parse(gtv_buf_str(&text), dir, out, &cause);
    gtv_buf_finish(&text);
    if (!ok)
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "%s does not describe a detector: %s", path,
                      cause.message);
    return ok;
}

// The same with the weights that it names.
static bool load(const char *dir, struct gtv_str stem, struct gtv_model *out, bool *absent,
                 struct gtv_error *err)
{
    if (!describe(dir, stem, out, absent, err))
        return false;
    *absent = access(out->path, R_OK) != 0;
    if (*absent)
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "%s is not there or cannot be read", out->path);
    return !*absent;
}

// The path as it stands, or, for the bare name of a file, in models_dir.
static bool find_file(const char *models_dir, struct gtv_str wanted, char path[GTV_MODEL_PATH_CAP])
{
    if (gtv_str_copy(path, GTV_MODEL_PATH_CAP, wanted) && access(path, R_OK) == 0)
        return true;
    if (gtv_str_find(wanted, '/') >= 0)
        return false;
    int n = snprintf(path, GTV_MODEL_PATH_CAP, "%s/" GTV_STR_FMT, models_dir, GTV_STR_ARG(wanted));
    return n > 0 && n < GTV_MODEL_PATH_CAP && access(path, R_OK) == 0;
}

static bool find_by_path(const char *models_dir, struct gtv_str wanted, struct gtv_model *out,
                         struct gtv_error *err)
{
    char path[GTV_MODEL_PATH_CAP], given[GTV_MODEL_PATH_CAP];
    if (!find_file(models_dir, wanted, path)) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, "YOLO_MODEL",
                      "YOLO_MODEL=" GTV_STR_FMT " is not there or cannot be read",
                      (int)(wanted.n > 150 ? 150 : wanted.n), wanted.p);
        return false;
    }
    memcpy(given, path, sizeof(given));
    char *slash = strrchr(path, '/');
    const char *dir = slash ? path : ".";
    const char *file = slash ? slash + 1 : path;
    if (slash)
        *slash = '\0';
    const char *dot = strrchr(file, '.');
    struct gtv_str stem = {file, dot ? (size_t)(dot - file) : strlen(file)};
    struct gtv_error cause = {0};
    bool absent = false;
    if (describe(*dir ? dir : "/", stem, out, &absent, &cause)) {
        memcpy(out->path, given,
               sizeof(given)); // the description may have been written for the same network in another form
        return true;
    }
    if (absent)
        gtv_error_set(err, GTV_E_UNAVAILABLE, "YOLO_MODEL",
                      "YOLO_MODEL=%.80s needs a " GTV_STR_FMT
                      ".json beside it that says how the network is fed and read",
                      file, (int)(stem.n > 60 ? 60 : stem.n), stem.p);
    else
        *err = cause;
    return false;
}

static bool find_by_name(const char *models_dir, struct gtv_str name, struct gtv_model *out,
                         struct gtv_error *err)
{
    struct gtv_error cause = {0};
    bool absent = false;
    if (load(models_dir, name, out, &absent, &cause))
        return true;
    if (absent)
        gtv_error_set(err, GTV_E_UNAVAILABLE, "YOLO_MODEL",
                      "YOLO_MODEL=" GTV_STR_FMT " is not in %.120s: `./gtv models` puts the known ones there",
                      (int)(name.n > 60 ? 60 : name.n), name.p, models_dir);
    else
        *err = cause;
    return false;
}

static bool find_default(const char *models_dir, struct gtv_model *out, struct gtv_error *err)
{
    struct gtv_error bad = {0};
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
        bool absent = false;
        struct gtv_error cause = {0};
        if (load(models_dir, gtv_str_of(defaults[i]), out, &absent, &cause))
            return true;
        if (!absent && bad.code == GTV_OK)
            bad = cause;
    }
    if (bad.code != GTV_OK)
        *err = bad;
    else
        gtv_error_set(
            err, GTV_E_UNAVAILABLE, NULL,
            "No network is in %.120s, so vehicles cannot be found: run `./gtv models`, which puts one there",
            models_dir);
    return false;
}

bool gtv_model_find(const char *models_dir, const char *wanted, struct gtv_model *out, struct gtv_error *err)
{
    struct gtv_str s = gtv_str_trim(gtv_str_of(wanted));
    if (s.n == 0)
        return find_default(models_dir, out, err);
    if (gtv_str_ends(s, GTV_STR(".pt")) || gtv_str_ends(s, GTV_STR(".pth"))) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, "YOLO_MODEL",
                      "YOLO_MODEL=" GTV_STR_FMT
                      " is a PyTorch file, which is not read here: give an ONNX or OpenVINO IR file (.onnx, "
                      ".xml), or leave YOLO_MODEL empty for the default network",
                      (int)(s.n > 60 ? 60 : s.n), s.p);
        return false;
    }
    bool is_path =
        gtv_str_find(s, '/') >= 0 || gtv_str_ends(s, GTV_STR(".onnx")) || gtv_str_ends(s, GTV_STR(".xml"));
    return is_path ? find_by_path(models_dir, s, out, err) : find_by_name(models_dir, s, out, err);
}
