#include "services/ai/network/model.h"

#include "lib/json/json.h"
#include "services/ai/network/classes.h"

#include <stdio.h>

const char *const gtv_head_names[] = {"picodet", "yolox", "nanodet-plus", "yolov5", "yolov8", "end2end"};

enum { MAX_SIDE = 2048 };

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

static void mark(struct gtv_model *m, yyjson_val *obj, const char *name, uint32_t bit)
{
    yyjson_val *v = yyjson_obj_get(obj, name);
    if (v && !yyjson_is_null(v))
        m->given |= bit;
}

static void mark_input(struct gtv_model *m, yyjson_val *in)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } keys[] = {
        {"width", GTV_GIVEN_SIZE},    {"height", GTV_GIVEN_SIZE},  {"order", GTV_GIVEN_ORDER},
        {"layout", GTV_GIVEN_LAYOUT}, {"type", GTV_GIVEN_TYPE},    {"resize", GTV_GIVEN_RESIZE},
        {"pad", GTV_GIVEN_PAD},       {"scale", GTV_GIVEN_VALUES}, {"mean", GTV_GIVEN_VALUES},
        {"std", GTV_GIVEN_VALUES},
    };
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        mark(m, in, keys[i].name, keys[i].bit);
}

static bool parse_input(yyjson_val *root, struct gtv_model *m, struct gtv_error *err)
{
    static const char *const orders[] = {"rgb", "bgr"}, *const layouts[] = {"nchw", "nhwc"},
                             *const types[] = {"f32", "u8"},
                             *const resizes[] = {"stretch", "letterbox-topleft", "letterbox-center"};
    yyjson_val *in = yyjson_obj_get(root, "input");
    if (!in || yyjson_is_null(in))
        return true;
    if (!yyjson_is_obj(in))
        return invalid(err, "input", "must be an object");
    mark_input(m, in);
    int64_t width = 0, height = 0, pad = 0;
    size_t order = 0, layout = 0, type = 0, resize = 0;
    enum gtv_json_need size = m->given & GTV_GIVEN_SIZE ? GTV_JSON_REQUIRED : GTV_JSON_OPTIONAL;
    if (!gtv_json_get_int(in, "width", size, 32, MAX_SIDE, &width, err) ||
        !gtv_json_get_int(in, "height", size, 32, MAX_SIDE, &height, err) ||
        !gtv_json_get_int(in, "pad", GTV_JSON_OPTIONAL, 0, 255, &pad, err) ||
        !gtv_json_get_double(in, "scale", GTV_JSON_OPTIONAL, 1e-6, 1e6, &m->input.scale, err) ||
        !parse_choice(in, "order", orders, 2, &order, err) ||
        !parse_choice(in, "layout", layouts, 2, &layout, err) ||
        !parse_choice(in, "type", types, 2, &type, err) ||
        !parse_choice(in, "resize", resizes, 3, &resize, err) ||
        !parse_triple(in, "mean", m->input.mean, err) || !parse_triple(in, "std", m->input.deviation, err))
        return false;
    for (int c = 0; c < 3; c++) {
        if (!(m->input.deviation[c] > 0))
            return invalid(err, "std", "must be above zero");
    }
    m->input.width = (int)width;
    m->input.height = (int)height;
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
    if (!array || yyjson_is_null(array))
        return true;
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
    m->given |= GTV_GIVEN_STRIDES;
    return true;
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
    static const struct {
        const char *name;
        enum gtv_head head;
        int bins;
    } heads[] = {
        {"picodet", GTV_HEAD_BINS, 8},
        {"nanodet", GTV_HEAD_BINS, 11},
        {"nanodet-plus", GTV_HEAD_NANODET_PLUS, 8},
        {"yolox", GTV_HEAD_YOLOX, 0},
        {"yolov5", GTV_HEAD_YOLOV5, 0},
        {"yolov8", GTV_HEAD_YOLOV8, 0},
        {"yolov11", GTV_HEAD_YOLOV8, 0},
        {"yolov12", GTV_HEAD_YOLOV8, 0},
        {"yolov10", GTV_HEAD_END2END, 0},
        {"yolo26", GTV_HEAD_END2END, 0},
        {"end2end", GTV_HEAD_END2END, 0},
    };
    struct gtv_str name = {0};
    int64_t bins = 8;
    if (!gtv_json_get_str(root, "head", GTV_JSON_OPTIONAL, &name, err))
        return false;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]) && name.p; i++) {
        if (gtv_str_eq(name, gtv_str_of(heads[i].name))) {
            m->head = heads[i].head;
            bins = heads[i].bins ? heads[i].bins : bins;
        }
    }
    if (name.p && m->head == GTV_HEAD_UNKNOWN)
        return invalid(err, "head",
                       "must be picodet, nanodet, nanodet-plus, yolox, yolov5, yolov8 or end2end");
    mark(m, root, "bins", GTV_GIVEN_BINS);
    if (!gtv_json_get_int(root, "bins", GTV_JSON_OPTIONAL, 2, 64, &bins, err))
        return false;
    m->bins = (int)bins;
    return true;
}

static bool parse_classes(yyjson_val *root, struct gtv_model *m, struct gtv_error *err)
{
    yyjson_val *v = yyjson_obj_get(root, "classes");
    if (!v || yyjson_is_null(v))
        return true;
    m->given |= GTV_GIVEN_CLASSES;
    return gtv_classes_json(v, m, err);
}

static struct gtv_str stem_of(const char *file)
{
    const char *dot = strrchr(file, '.');
    return (struct gtv_str){file, dot && dot != file ? (size_t)(dot - file) : strlen(file)};
}

static bool set_file(const char *dir, struct gtv_str file, struct gtv_model *m, struct gtv_error *err)
{
    // A name of a file, so that a description cannot point out of its folder.
    if (file.n == 0 || file.n > 255 || memchr(file.p, '/', file.n) || memchr(file.p, '\0', file.n))
        return invalid(err, "file", "must be the name of a file beside the description");
    int n = snprintf(m->path, sizeof(m->path), "%s/" GTV_STR_FMT, dir, GTV_STR_ARG(file));
    return (n > 0 && (size_t)n < sizeof(m->path)) || invalid(err, "file", "has a path that is too long");
}

static bool parse_file(yyjson_val *root, const char *dir, const char *given, struct gtv_model *m,
                       struct gtv_error *err)
{
    struct gtv_str name = {0}, file = {0}, licence = {0};
    if (!gtv_json_get_str(root, "name", GTV_JSON_OPTIONAL, &name, err) ||
        !gtv_json_get_str(root, "file", GTV_JSON_OPTIONAL, &file, err) ||
        !gtv_json_get_str(root, "licence", GTV_JSON_OPTIONAL, &licence, err))
        return false;
    if (!gtv_str_copy(m->licence, sizeof(m->licence), licence))
        return invalid(err, "licence", "must have at most 63 bytes");
    if (name.p && (name.n == 0 || !gtv_str_copy(m->name, sizeof(m->name), name)))
        return invalid(err, "name", "must have 1 to 63 bytes");
    // The description may have been written for the same network in another form: the file that was asked for
    // counts.
    if (given)
        return set_file(dir, gtv_str_of(given), m, err);
    return !file.p || set_file(dir, file, m, err);
}

static void begin(struct gtv_model *m)
{
    memset(m, 0, sizeof(*m));
    m->head = GTV_HEAD_UNKNOWN;
    m->score_threshold = 0.5;
    m->nms_threshold = 0.6;
    m->input.scale = 1;
    for (int c = 0; c < 3; c++)
        m->input.deviation[c] = 1;
    for (int v = 0; v < GTV_VEHICLE_COUNT; v++)
        m->vehicle_class[v] = -1;
}

static void name_after_file(struct gtv_model *m, const char *file)
{
    struct gtv_str stem = stem_of(file);
    snprintf(m->name, sizeof(m->name), "%.*s", (int)(stem.n > 63 ? 63 : stem.n), stem.p);
}

bool gtv_model_parse(struct gtv_str json, const char *dir, const char *file, struct gtv_model *out,
                     struct gtv_error *err)
{
    begin(out);
    if (file)
        name_after_file(out, file);
    yyjson_doc *doc = gtv_json_parse(json, err);
    if (!doc)
        return false;
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool ok = yyjson_is_obj(root) || invalid(err, "description", "must be a JSON object");
    ok = ok && parse_file(root, dir, file, out, err) && parse_head(root, out, err) &&
         parse_input(root, out, err) && parse_strides(root, out, err) && parse_classes(root, out, err) &&
         parse_outputs(root, out, err) &&
         gtv_json_get_double(root, "score_threshold", GTV_JSON_OPTIONAL, 0, 1, &out->score_threshold, err) &&
         gtv_json_get_double(root, "nms_threshold", GTV_JSON_OPTIONAL, 0.05, 1, &out->nms_threshold, err);
    if (ok) {
        out->int8 = yyjson_is_obj(yyjson_obj_get(root, "quantised"));
        gtv_model_defaults(out);
    }
    yyjson_doc_free(doc);
    return ok;
}

bool gtv_model_undescribed(const char *dir, const char *file, struct gtv_model *out, struct gtv_error *err)
{
    begin(out);
    name_after_file(out, file);
    return set_file(dir, gtv_str_of(file), out, err);
}

// ---- What a head asks for ----

static void set_values(struct gtv_model *m, double scale, const double mean[3], const double deviation[3])
{
    m->input.scale = scale;
    memcpy(m->input.mean, mean, sizeof(m->input.mean));
    memcpy(m->input.deviation, deviation, sizeof(m->input.deviation));
}

void gtv_model_defaults(struct gtv_model *m)
{
    static const double zero[3] = {0, 0, 0}, one[3] = {1, 1, 1};
    // ImageNet's, in RGB of 0..1 (PicoDet) and in BGR of 0..255 (NanoDet).
    static const double mean_rgb[3] = {0.485, 0.456, 0.406}, std_rgb[3] = {0.229, 0.224, 0.225};
    static const double mean_bgr[3] = {103.53, 116.28, 123.675}, std_bgr[3] = {57.375, 57.12, 58.395};
    static const int strides[4] = {8, 16, 32, 64};
    if (m->head == GTV_HEAD_UNKNOWN)
        return;
    bool yolox = m->head == GTV_HEAD_YOLOX, nanodet = m->head == GTV_HEAD_NANODET_PLUS || m->bins == 11;
    bool bins = m->head == GTV_HEAD_BINS || m->head == GTV_HEAD_NANODET_PLUS;
    if (!(m->given & GTV_GIVEN_ORDER))
        m->input.bgr = yolox || (bins && nanodet);
    if (!(m->given & GTV_GIVEN_RESIZE))
        m->resize = bins    ? GTV_RESIZE_STRETCH
                    : yolox ? GTV_RESIZE_LETTERBOX_TOPLEFT
                            : GTV_RESIZE_LETTERBOX_CENTER;
    if (!(m->given & GTV_GIVEN_PAD))
        m->pad = bins ? 0 : 114;
    if (!(m->given & GTV_GIVEN_VALUES) && !m->input.u8) {
        if (bins && nanodet)
            set_values(m, 1, mean_bgr, std_bgr);
        else if (bins)
            set_values(m, 1.0 / 255, mean_rgb, std_rgb);
        else
            set_values(m, yolox ? 1 : 1.0 / 255, zero, one);
    }
    if (!(m->given & GTV_GIVEN_STRIDES) && (bins || yolox)) {
        memcpy(m->strides, strides, sizeof(strides));
        m->stride_count = yolox || (m->head == GTV_HEAD_BINS && nanodet) ? 3 : 4;
    }
}

bool gtv_model_complete(const struct gtv_model *m)
{
    return m->head != GTV_HEAD_UNKNOWN && (m->given & GTV_GIVEN_SIZE) && (m->given & GTV_GIVEN_LAYOUT) &&
           (m->given & GTV_GIVEN_CLASSES);
}
