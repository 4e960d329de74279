#include "services/ai/network/recognise.h"

#include "services/ai/network/classes.h"

#include <stdio.h>

enum { BINS_PLUS = 8 };

// ---- The input ----

static bool not_a_picture(struct gtv_error *err, const char *why)
{
    gtv_error_set(err, GTV_E_INVALID, "input", "its input is not one picture: %s", why);
    return false;
}

bool gtv_recognise_input(struct gtv_model *m, const struct gtv_infer_facts *facts, int open_width,
                         int open_height, struct gtv_error *err)
{
    const struct gtv_infer_tensor_facts *in = &facts->input;
    if (facts->input_count != 1) {
        gtv_error_set(err, GTV_E_INVALID, "input", "it has %zu inputs where one picture is fed",
                      facts->input_count);
        return false;
    }
    if (in->rank != 4)
        return not_a_picture(
            err, "it must have four dimensions, N x 3 x height x width or N x height x width x 3");
    if (!(m->given & GTV_GIVEN_LAYOUT)) {
        if (in->dims[1] != 3 && in->dims[3] != 3)
            return not_a_picture(err, "neither its second nor its last dimension is the three colours");
        m->input.nhwc = in->dims[1] != 3;
        m->given |= GTV_GIVEN_LAYOUT;
    }
    if (!(m->given & GTV_GIVEN_TYPE))
        m->input.u8 = in->u8;
    if (!(m->given & GTV_GIVEN_SIZE)) {
        int64_t height = in->dims[m->input.nhwc ? 1 : 2], width = in->dims[m->input.nhwc ? 2 : 3];
        if (height < 0)
            height = open_height ? open_height : GTV_OPEN_HEIGHT;
        if (width < 0)
            width = open_width ? open_width : GTV_OPEN_WIDTH;
        if (height < 32 || width < 32 || height > 2048 || width > 2048)
            return not_a_picture(err, "its sides must be between 32 and 2048 pixels");
        m->input.width = (int)width;
        m->input.height = (int)height;
        m->given |= GTV_GIVEN_SIZE;
    }
    return true;
}

// ---- The outputs ----

static int64_t cells_of(const struct gtv_model *m, int stride)
{
    return ((int64_t)m->input.width + stride - 1) / stride *
           (((int64_t)m->input.height + stride - 1) / stride);
}

static int64_t cells_up_to(const struct gtv_model *m, int last)
{
    int64_t n = 0;
    for (int stride = 8; stride <= last; stride *= 2)
        n += cells_of(m, stride);
    return n;
}

// N x A or 1 x N x A.
static bool as_table(const struct gtv_infer_tensor_facts *t, int64_t *rows, int64_t *columns)
{
    if (t->rank == 3 && (t->dims[0] == 1 || t->dims[0] == -1)) {
        *rows = t->dims[1];
        *columns = t->dims[2];
    } else if (t->rank == 2) {
        *rows = t->dims[0];
        *columns = t->dims[1];
    } else {
        return false;
    }
    return *columns > 0 && (*rows > 0 || *columns == 6);
}

// What one output of rows x columns is. classes: how many there are, 0 when nobody said.
static enum gtv_head head_of_table(const struct gtv_model *m, int64_t rows, int64_t columns, int classes)
{
    int64_t three = cells_up_to(m, 32), four = cells_up_to(m, 64);
    if (rows == 3 * three || rows == 3 * four)
        return columns > 5 ? GTV_HEAD_YOLOV5 : GTV_HEAD_UNKNOWN;
    if (rows == three) {
        bool bare = classes ? columns == 4 + classes : columns == 84;
        bool object = classes ? columns == 5 + classes : columns == 85;
        return bare ? GTV_HEAD_YOLOV8 : object ? GTV_HEAD_YOLOX : GTV_HEAD_UNKNOWN;
    }
    if (rows == four && (classes ? columns == classes + 4 * BINS_PLUS : columns == 80 + 4 * BINS_PLUS))
        return GTV_HEAD_NANODET_PLUS;
    if (columns == three || columns == four || (columns > rows && rows > 4 && columns >= 100))
        return rows > 4 ? GTV_HEAD_YOLOV8 : GTV_HEAD_UNKNOWN;
    if (columns == 6)
        return GTV_HEAD_END2END;
    return GTV_HEAD_UNKNOWN;
}

// Scores of each stride, then distances of each: the first half has as many columns as there are classes, the
// second four times the bins.
static bool is_bins(struct gtv_model *m, const struct gtv_infer_facts *f)
{
    size_t half = f->output_count / 2;
    if (f->output_count % 2 || half < 3 || half > 4)
        return false;
    for (size_t i = 0; i < half; i++) {
        int64_t rows, classes, same_rows, sides;
        if (!as_table(&f->outputs[i], &rows, &classes) ||
            !as_table(&f->outputs[half + i], &same_rows, &sides) || rows != cells_of(m, 8 << i) ||
            same_rows != rows || sides % 4 || sides < 8 ||
            (i > 0 &&
             (sides != (int64_t)m->bins * 4 || classes != f->outputs[0].dims[f->outputs[0].rank - 1])))
            return false;
        m->bins = (int)(sides / 4);
    }
    m->head = GTV_HEAD_BINS;
    return true;
}

static const struct gtv_infer_tensor_facts *first_output(const struct gtv_model *m,
                                                         const struct gtv_infer_facts *f)
{
    size_t n = f->output_count < GTV_INFER_MAX_OUTPUTS ? f->output_count : GTV_INFER_MAX_OUTPUTS;
    for (size_t i = 0; i < n && m->output_count; i++) {
        if (strcmp(f->outputs[i].name, m->outputs[0]) == 0)
            return &f->outputs[i];
    }
    return &f->outputs[0];
}

static void describe_shape(const struct gtv_infer_tensor_facts *t, char *out, size_t cap)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < t->rank && at < cap; i++) {
        int n = t->dims[i] < 0
                    ? snprintf(out + at, cap - at, "%s?", i ? " x " : "")
                    : snprintf(out + at, cap - at, "%s%lld", i ? " x " : "", (long long)t->dims[i]);
        at += n > 0 ? (size_t)n : 0;
    }
    if (!t->rank)
        snprintf(out, cap, "of unknown shape");
}

static bool find_head(struct gtv_model *m, const struct gtv_infer_facts *f, const struct gtv_metadata *meta,
                      struct gtv_error *err)
{
    int classes = m->class_count ? m->class_count : meta->has_classes ? meta->class_count : 0;
    const struct gtv_infer_tensor_facts *out = first_output(m, f);
    int64_t rows, columns;
    if (f->output_count > 0 && as_table(out, &rows, &columns))
        m->head = head_of_table(m, rows, columns, classes);
    if (m->head == GTV_HEAD_UNKNOWN && is_bins(m, f))
        return true;
    if (m->head == GTV_HEAD_UNKNOWN) {
        char shape[96];
        describe_shape(out, shape, sizeof(shape));
        gtv_error_set(err, GTV_E_INVALID, "head",
                      "its output (%s) is none that is recognised: write \"head\" (and \"classes\") into "
                      "%s.json beside "
                      "it",
                      shape, m->name);
        return false;
    }
    if (m->head == GTV_HEAD_NANODET_PLUS && !(m->given & GTV_GIVEN_BINS))
        m->bins = BINS_PLUS;
    // Others (masks, the inner outputs of old exports) are not read.
    if (m->output_count == 0 && f->output_count > 1) {
        if (!out->name[0]) {
            gtv_error_set(err, GTV_E_INVALID, "outputs",
                          "its outputs have no names, so that the first cannot be chosen");
            return false;
        }
        memcpy(m->outputs[0], out->name, sizeof(m->outputs[0]));
        m->output_count = 1;
    }
    return true;
}

// How many classes the output has room for; 0: it does not say.
static int classes_of_output(const struct gtv_model *m, const struct gtv_infer_facts *f)
{
    int64_t rows, columns, n = 0;
    if (!as_table(first_output(m, f), &rows, &columns))
        return 0;
    switch (m->head) {
    case GTV_HEAD_BINS:
        n = columns;
        break;
    case GTV_HEAD_YOLOX:
    case GTV_HEAD_YOLOV5:
        n = columns - 5;
        break;
    case GTV_HEAD_NANODET_PLUS:
        n = columns - (int64_t)m->bins * 4;
        break;
    case GTV_HEAD_YOLOV8:
        n = (rows < columns ? rows : columns) - 4;
        break;
    case GTV_HEAD_END2END:
    case GTV_HEAD_UNKNOWN:
        break;
    }
    return n > 0 && n <= GTV_MODEL_MAX_CLASSES ? (int)n : 0;
}

static bool find_classes(struct gtv_model *m, const struct gtv_infer_facts *f,
                         const struct gtv_metadata *meta, struct gtv_error *err)
{
    int room = classes_of_output(m, f);
    if (!(m->given & GTV_GIVEN_CLASSES)) {
        if (meta->has_classes) {
            m->class_count = meta->class_count;
            memcpy(m->vehicle_class, meta->vehicle_class, sizeof(m->vehicle_class));
        } else if (room == 80 || m->head == GTV_HEAD_END2END) {
            gtv_classes_coco80(m);
        } else {
            gtv_error_set(err, GTV_E_INVALID, "classes",
                          "its %d classes have no names: write \"classes\" into %s.json beside it, such as "
                          "{\"car\": 0, \"truck\": 1}",
                          room, m->name);
            return false;
        }
        m->given |= GTV_GIVEN_CLASSES;
    }
    if (!m->class_count)
        m->class_count = room;
    return true;
}

bool gtv_recognise_head(struct gtv_model *m, const struct gtv_infer_facts *facts,
                        const struct gtv_metadata *meta, struct gtv_error *err)
{
    if (m->head == GTV_HEAD_UNKNOWN && !find_head(m, facts, meta, err))
        return false;
    gtv_model_defaults(m);
    return find_classes(m, facts, meta, err);
}
