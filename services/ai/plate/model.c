#include "services/ai/plate/model.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/json/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MAX_DESCRIPTION = 64 * 1024, MAX_SIDE = 2048, MAX_CLASSES = 20000 };

// The heads in the order of the enum, and the network of each that is taken without being asked for.
static const char *const heads[] = {"plate-corners", "text-map", "slots", "ctc"};
static const char *const defaults[] = {"plate_y5fu_320", "ppocr_v4_det", "plate_ocr_cct_xs_v1",
                                       "ppocr_v4_rec"};

static bool invalid(struct gtv_error *err, const char *field, const char *what)
{
    gtv_error_set(err, GTV_E_INVALID, field, "%s %s", field, what);
    return false;
}

static bool parse_choice(yyjson_val *obj, const char *name, const char *const *choices, size_t n, size_t *out,
                         struct gtv_error *err)
{
    struct gtv_str s = {0};
    if (!gtv_json_get_str(obj, name, GTV_JSON_REQUIRED, &s, err))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (gtv_str_eq(s, gtv_str_of(choices[i]))) {
            *out = i;
            return true;
        }
    }
    return invalid(err, name, "has a value that this program does not know");
}

static bool parse_triple(yyjson_val *obj, const char *name, double out[3], struct gtv_error *err)
{
    yyjson_val *array = yyjson_obj_get(obj, name);
    for (size_t i = 0; array && i < 3; i++) {
        yyjson_val *v = yyjson_arr_get(array, i);
        if (yyjson_arr_size(array) != 3 || !yyjson_is_num(v))
            return invalid(err, name, "must be three numbers");
        out[i] = yyjson_get_num(v);
    }
    return true;
}

static bool parse_input(yyjson_val *root, struct gtv_plate_model *m, struct gtv_error *err)
{
    static const char *const orders[] = {"rgb", "bgr"}, *const layouts[] = {"nchw", "nhwc"},
                             *const types[] = {"f32", "u8"},
                             *const resizes[] = {"stretch", "letterbox-topleft", "letterbox-center"};
    yyjson_val *in = yyjson_obj_get(root, "input");
    if (!yyjson_is_obj(in))
        return invalid(err, "input", "must be an object");
    int64_t width = 0, height = 0, pad = 0;
    size_t order = 0, layout = 0, type = 0, resize = 0;
    struct gtv_infer_input *to = &m->input;
    to->scale = 1;
    to->deviation[0] = to->deviation[1] = to->deviation[2] = 1;
    if (!gtv_json_get_int(in, "width", GTV_JSON_REQUIRED, 8, MAX_SIDE, &width, err) ||
        !gtv_json_get_int(in, "height", GTV_JSON_REQUIRED, 8, MAX_SIDE, &height, err) ||
        !gtv_json_get_int(in, "pad", GTV_JSON_OPTIONAL, 0, 255, &pad, err) ||
        !gtv_json_get_double(in, "scale", GTV_JSON_OPTIONAL, 1e-9, 1e9, &to->scale, err) ||
        !parse_choice(in, "order", orders, 2, &order, err) ||
        !parse_choice(in, "layout", layouts, 2, &layout, err) ||
        !parse_choice(in, "type", types, 2, &type, err) ||
        !parse_choice(in, "resize", resizes, 3, &resize, err) || !parse_triple(in, "mean", to->mean, err) ||
        !parse_triple(in, "std", to->deviation, err))
        return false;
    to->width = (int)width;
    to->height = (int)height;
    to->bgr = order == 1;
    to->nhwc = layout == 1;
    to->u8 = type == 1;
    m->pad = (uint8_t)pad;
    m->resize = (enum gtv_resize)resize;
    return true;
}

// Class numbers: exactly n of them, or at most n where count is asked for.
static bool parse_numbers(yyjson_val *root, const char *name, uint16_t *out, size_t n, size_t *count,
                          size_t classes, struct gtv_error *err)
{
    yyjson_val *array = yyjson_obj_get(root, name);
    size_t got = yyjson_arr_size(array);
    if (!yyjson_is_arr(array) || got > n || (!count && got != n))
        return invalid(err, name, "must be a list of class numbers");
    for (size_t i = 0; i < got; i++) {
        yyjson_val *v = yyjson_arr_get(array, i);
        if (!yyjson_is_uint(v) || yyjson_get_uint(v) >= classes)
            return invalid(err, name, "holds something that is no class");
        out[i] = (uint16_t)yyjson_get_uint(v);
    }
    if (count)
        *count = got;
    return true;
}

static bool parse_recogniser(yyjson_val *root, struct gtv_plate_model *m, struct gtv_error *err)
{
    int64_t slots = 0, classes = 0, blank = 0;
    m->weight = 1;
    if (!gtv_json_get_double(root, "weight", GTV_JSON_OPTIONAL, 0, 10, &m->weight, err))
        return false;
    if (m->head == GTV_PLATE_HEAD_SLOTS) {
        struct gtv_str alphabet = {0};
        if (!gtv_json_get_int(root, "slots", GTV_JSON_REQUIRED, 7, 32, &slots, err) ||
            !gtv_json_get_str(root, "classes", GTV_JSON_REQUIRED, &alphabet, err))
            return false;
        m->slots = (size_t)slots;
        bool ours = alphabet.n == GTV_PLATE_SIGNS + 1 && alphabet.p[GTV_PLATE_SIGNS] == '_' &&
                    memcmp(alphabet.p, gtv_plate_signs, GTV_PLATE_SIGNS) == 0;
        return ours || invalid(err, "classes", "must be 0-9, A-Z and _");
    }
    struct gtv_plate_ctc *ctc = &m->ctc;
    if (!gtv_json_get_int(root, "class_count", GTV_JSON_REQUIRED, 37, MAX_CLASSES, &classes, err) ||
        !gtv_json_get_int(root, "blank", GTV_JSON_REQUIRED, 0, classes - 1, &blank, err))
        return false;
    ctc->classes = (size_t)classes;
    ctc->blank = (uint16_t)blank;
    return parse_numbers(root, "upper", ctc->upper, GTV_PLATE_SIGNS, NULL, ctc->classes, err) &&
           parse_numbers(root, "lower", ctc->lower, GTV_PLATE_SIGNS - 10, NULL, ctc->classes, err) &&
           parse_numbers(root, "gaps", ctc->gaps, sizeof(ctc->gaps) / sizeof(ctc->gaps[0]), &ctc->gap_count,
                         ctc->classes, err);
}

static bool parse_root(yyjson_val *root, const char *dir, struct gtv_plate_model *m, struct gtv_error *err)
{
    struct gtv_str name = {0}, file = {0};
    size_t head = 0;
    if (!yyjson_is_obj(root))
        return invalid(err, "description", "must be an object");
    if (!gtv_json_get_str(root, "name", GTV_JSON_REQUIRED, &name, err) ||
        !gtv_json_get_str(root, "file", GTV_JSON_REQUIRED, &file, err) ||
        !parse_choice(root, "head", heads, GTV_PLATE_HEADS, &head, err) || !parse_input(root, m, err))
        return false;
    m->head = (enum gtv_plate_head)head;
    m->score_threshold = 0.3;
    m->nms_threshold = 0.5;
    m->margin = 0.06;
    if (!gtv_json_get_double(root, "score_threshold", GTV_JSON_OPTIONAL, 0, 1, &m->score_threshold, err) ||
        !gtv_json_get_double(root, "nms_threshold", GTV_JSON_OPTIONAL, 0, 1, &m->nms_threshold, err) ||
        !gtv_json_get_double(root, "crop_margin", GTV_JSON_OPTIONAL, 0, 1, &m->margin, err))
        return false;
    yyjson_val *outputs = yyjson_obj_get(root, "outputs");
    const char *output = yyjson_get_str(yyjson_arr_get_first(outputs));
    if (yyjson_arr_size(outputs) != 1 || !output ||
        !gtv_str_copy(m->output, sizeof(m->output), gtv_str_of(output)))
        return invalid(err, "outputs", "must be the name of one output");
    if (!gtv_str_copy(m->name, sizeof(m->name), name))
        return invalid(err, "name", "is too long");
    // A description names a file beside it, nothing else.
    if (file.n == 0 || gtv_str_find(file, '/') >= 0)
        return invalid(err, "file", "must be a file beside the description");
    int n = snprintf(m->path, sizeof(m->path), "%s/" GTV_STR_FMT, dir, GTV_STR_ARG(file));
    if (n < 0 || (size_t)n >= sizeof(m->path))
        return invalid(err, "file", "is too long");
    return m->head < GTV_PLATE_HEAD_SLOTS || parse_recogniser(root, m, err);
}

bool gtv_plate_model_parse(struct gtv_str json, const char *dir, struct gtv_plate_model *out,
                           struct gtv_error *err)
{
    memset(out, 0, sizeof(*out));
    yyjson_doc *doc = gtv_json_parse(json, err);
    if (!doc)
        return false;
    bool ok = parse_root(yyjson_doc_get_root(doc), dir, out, err);
    yyjson_doc_free(doc);
    return ok;
}

// ---- Finding them ----

enum outcome { FOUND, ABSENT, BROKEN };

static enum outcome load_description(const char *path, const char *dir, struct gtv_plate_model *out,
                                     struct gtv_error *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return ABSENT;
    char *text = gtv_alloc(MAX_DESCRIPTION);
    size_t n = fread(text, 1, MAX_DESCRIPTION, f);
    (void)fclose(f);
    struct gtv_error cause = {0};
    bool ok = n < MAX_DESCRIPTION && gtv_plate_model_parse((struct gtv_str){text, n}, dir, out, &cause);
    free(text);
    if (!ok) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, "LPR_MODEL", "%s is not a description of a plate network: %s",
                      path, n < MAX_DESCRIPTION ? cause.message : "it is too long");
        return BROKEN;
    }
    return access(out->path, R_OK) == 0 ? FOUND : ABSENT;
}

// A name in models_dir, or the path of the weights with their description beside.
static enum outcome find_one(const char *models_dir, struct gtv_str wanted, struct gtv_plate_model *out,
                             struct gtv_error *err)
{
    char path[GTV_MODEL_PATH_CAP], dir[GTV_MODEL_PATH_CAP];
    bool onnx = gtv_str_ends(wanted, GTV_STR(".onnx")), xml = gtv_str_ends(wanted, GTV_STR(".xml"));
    size_t stem = wanted.n - (onnx ? 5 : xml ? 4 : 0);
    bool is_path = gtv_str_find(wanted, '/') >= 0 || onnx || xml;
    int n, d;
    if (is_path) {
        size_t slash = stem;
        while (slash > 0 && wanted.p[slash - 1] != '/')
            slash--;
        d = slash ? snprintf(dir, sizeof(dir), "%.*s", (int)slash, wanted.p)
                  : snprintf(dir, sizeof(dir), ".");
        n = snprintf(path, sizeof(path), "%.*s.json", (int)stem, wanted.p);
    } else {
        d = snprintf(dir, sizeof(dir), "%s", models_dir);
        n = snprintf(path, sizeof(path), "%s/" GTV_STR_FMT ".json", models_dir, GTV_STR_ARG(wanted));
    }
    if (n < 0 || d < 0 || (size_t)n >= sizeof(path) || (size_t)d >= sizeof(dir))
        return ABSENT;
    return load_description(path, dir, out, err);
}

static bool take(const struct gtv_plate_model *m, struct gtv_plate_model out[GTV_PLATE_HEADS],
                 bool found[GTV_PLATE_HEADS], struct gtv_error *err)
{
    if (found[m->head]) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, "LPR_MODEL",
                      "LPR_MODEL names two networks of the same kind (%s and %s): one of each is used",
                      out[m->head].name, m->name);
        return false;
    }
    out[m->head] = *m;
    found[m->head] = true;
    return true;
}

bool gtv_plate_model_find(const char *models_dir, const char *wanted,
                          struct gtv_plate_model out[GTV_PLATE_HEADS], bool found[GTV_PLATE_HEADS],
                          struct gtv_error *err)
{
    struct gtv_plate_model *m = GTV_NEW(struct gtv_plate_model);
    struct gtv_str list = gtv_str_trim(gtv_str_of(wanted));
    bool asked = list.n > 0, ok = true;
    memset(found, 0, sizeof(bool) * GTV_PLATE_HEADS);
    for (size_t i = 0; !asked && ok && i < GTV_PLATE_HEADS; i++) {
        enum outcome outcome = find_one(models_dir, gtv_str_of(defaults[i]), m, err);
        ok = outcome == ABSENT || (outcome == FOUND && take(m, out, found, err));
    }
    while (ok && list.n) {
        struct gtv_str one = gtv_str_trim(gtv_str_cut(&list, ','));
        if (one.n == 0)
            continue;
        enum outcome outcome = find_one(models_dir, one, m, err);
        if (outcome == ABSENT)
            gtv_error_set(err, GTV_E_UNAVAILABLE, "LPR_MODEL",
                          "LPR_MODEL=" GTV_STR_FMT
                          " is not there: give a name in MODELS_DIR, or a file (.onnx, .xml) with its .json "
                          "beside it, or leave LPR_MODEL empty",
                          (int)(one.n > 80 ? 80 : one.n), one.p);
        ok = outcome == FOUND && take(m, out, found, err);
    }
    free(m);
    return ok;
}

void gtv_plate_model_geometry(const struct gtv_plate_model *m, int width, int height, struct gtv_geometry *g)
{
    memset(g, 0, sizeof(*g));
    g->full_width = width;
    g->full_height = height;
    g->input_width = g->width = m->input.width;
    g->input_height = g->height = m->input.height;
    g->pad = m->pad;
    if (m->resize != GTV_RESIZE_STRETCH) {
        double ratio = fmin((double)m->input.width / width, (double)m->input.height / height);
        g->width = (int)fmax(1, fmin(m->input.width, round(width * ratio)));
        g->height = (int)fmax(1, fmin(m->input.height, round(height * ratio)));
    }
    if (m->resize == GTV_RESIZE_LETTERBOX_CENTER) {
        g->x = (m->input.width - g->width) / 2;
        g->y = (m->input.height - g->height) / 2;
    }
    g->back_x = (double)width / g->width;
    g->back_y = (double)height / g->height;
}
