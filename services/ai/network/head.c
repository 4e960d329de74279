#include "services/ai/network/head.h"

#include <math.h>
#include <stdlib.h>

static size_t columns(const struct gtv_model *m, int stride)
{
    return (size_t)((m->input.width + stride - 1) / stride);
}

static size_t rows(const struct gtv_model *m, int stride)
{
    return (size_t)((m->input.height + stride - 1) / stride);
}

size_t gtv_head_cells(const struct gtv_model *m)
{
    if (m->head == GTV_HEAD_YOLOV5 || m->head == GTV_HEAD_YOLOV8 || m->head == GTV_HEAD_END2END)
        return m->rows;
    size_t n = 0;
    for (size_t i = 0; i < m->stride_count; i++)
        n += columns(m, m->strides[i]) * rows(m, m->strides[i]);
    return n;
}

static bool check_count(const struct gtv_tensor *t, size_t i, size_t wanted, struct gtv_error *err)
{
    if (t->count == wanted)
        return true;
    gtv_error_set(err, GTV_E_INVALID, "outputs", "output %zu has %zu values where the head needs %zu", i,
                  t->count, wanted);
    return false;
}

// A x B, with as many ones before it as there may be.
static bool as_table(const struct gtv_tensor *t, size_t *a, size_t *b)
{
    if (t->rank < 2 || t->count == 0)
        return false;
    *a = t->dims[t->rank - 2];
    *b = t->dims[t->rank - 1];
    return *a > 0 && *b > 0 && t->count / *b == *a && t->count % *b == 0;
}

static bool check_table(struct gtv_model *m, const struct gtv_tensor *t, struct gtv_error *err)
{
    size_t a = 0, b = 0, before = m->head == GTV_HEAD_YOLOV5 ? 5 : 4, classes = (size_t)m->class_count;
    bool ok = as_table(t, &a, &b);
    if (ok && m->head == GTV_HEAD_YOLOV8 && a < b) {
        m->transposed = false;
        ok = a >= before + (classes ? classes : 1);
        m->rows = b;
        m->columns = a;
    } else if (ok) {
        m->transposed = m->head == GTV_HEAD_YOLOV8;
        ok = m->head == GTV_HEAD_END2END ? b == 6 : b >= before + (classes ? classes : 1);
        m->rows = a;
        m->columns = b;
    }
    if (!ok || m->rows > GTV_HEAD_MAX_CANDIDATES) {
        gtv_error_set(err, GTV_E_INVALID, "outputs",
                      "the output (%zu x %zu) is not that of a %s head with %zu classes", a, b,
                      gtv_head_names[m->head], classes);
        return false;
    }
    if (!classes && m->head != GTV_HEAD_END2END)
        m->class_count =
            (int)(m->columns - before > GTV_MODEL_MAX_CLASSES ? GTV_MODEL_MAX_CLASSES : m->columns - before);
    return true;
}

static bool check_grid(const struct gtv_model *m, const struct gtv_tensor *const *outputs,
                       struct gtv_error *err)
{
    size_t classes = (size_t)m->class_count, bins = (size_t)m->bins;
    if (!classes || !m->stride_count) {
        gtv_error_set(err, GTV_E_INVALID, "classes", "the number of its classes is not known");
        return false;
    }
    if (m->head == GTV_HEAD_YOLOX)
        return check_count(outputs[0], 0, gtv_head_cells(m) * (5 + classes), err);
    if (m->head == GTV_HEAD_NANODET_PLUS)
        return check_count(outputs[0], 0, gtv_head_cells(m) * (classes + 4 * bins), err);
    for (size_t i = 0; i < m->stride_count; i++) {
        size_t cells = columns(m, m->strides[i]) * rows(m, m->strides[i]);
        if (!check_count(outputs[i], i, cells * classes, err) ||
            !check_count(outputs[m->stride_count + i], m->stride_count + i, cells * 4 * bins, err))
            return false;
    }
    return true;
}

bool gtv_head_check(struct gtv_model *m, const struct gtv_tensor *const *outputs, size_t count,
                    struct gtv_error *err)
{
    size_t wanted = m->head == GTV_HEAD_BINS ? m->stride_count * 2 : 1;
    if (count != wanted) {
        gtv_error_set(err, GTV_E_INVALID, "outputs", "the network has %zu outputs where the head needs %zu",
                      count, wanted);
        return false;
    }
    bool grid = m->head == GTV_HEAD_BINS || m->head == GTV_HEAD_YOLOX || m->head == GTV_HEAD_NANODET_PLUS;
    if (!(grid ? check_grid(m, outputs, err) : check_table(m, outputs[0], err)))
        return false;
    for (int v = 0; v < GTV_VEHICLE_COUNT; v++) {
        if (m->vehicle_class[v] >= m->class_count && m->head != GTV_HEAD_END2END) {
            gtv_error_set(err, GTV_E_INVALID, "classes", "class %d (%s) is beyond the network's %d classes",
                          m->vehicle_class[v], gtv_vehicle_names[v], m->class_count);
            return false;
        }
    }
    return true;
}

// The best of the vehicle classes among one cell's class scores. False when none exceeds min (NaN never
// does).
static bool best_vehicle(const struct gtv_model *m, const float *scores, float min, struct gtv_box *box)
{
    bool any = false;
    for (int v = 0; v < GTV_VEHICLE_COUNT; v++) {
        if (m->vehicle_class[v] < 0)
            continue;
        float score = scores[m->vehicle_class[v]];
        if (score >= min && (!any || score > box->score)) {
            box->score = score;
            box->vehicle = (enum gtv_vehicle)v;
            any = true;
        }
    }
    return any;
}

// The expected value of a distribution given as logits.
static float expectation(const float *logits, int bins)
{
    float top = logits[0], sum = 0, weighted = 0;
    for (int i = 1; i < bins; i++)
        top = logits[i] > top ? logits[i] : top;
    for (int i = 0; i < bins; i++) {
        float p = expf(logits[i] - top);
        sum += p;
        weighted += p * (float)i;
    }
    return weighted / sum;
}

struct level {
    const float *scores, *sides;
    size_t score_step, side_step; // from one cell to the next
    int stride;
    float offset; // of a cell's centre from its corner, in cells
};

static size_t decode_level(const struct gtv_model *m, const struct level *l, float min_score,
                           struct gtv_box *boxes)
{
    float stride = (float)l->stride;
    size_t n = 0, across = columns(m, l->stride), cells = across * rows(m, l->stride), bins = (size_t)m->bins;
    for (size_t i = 0; i < cells; i++) {
        struct gtv_box *box = &boxes[n];
        if (!best_vehicle(m, l->scores + i * l->score_step, min_score, box))
            continue;
        size_t column = i % across, line = i / across;
        float x = ((float)column + l->offset) * stride, y = ((float)line + l->offset) * stride;
        const float *d = l->sides + i * l->side_step;
        box->at[0] = x - expectation(d, m->bins) * stride;
        box->at[1] = y - expectation(d + bins, m->bins) * stride;
        box->at[2] = x + expectation(d + 2 * bins, m->bins) * stride;
        box->at[3] = y + expectation(d + 3 * bins, m->bins) * stride;
        n++;
    }
    return n;
}

static size_t decode_bins(const struct gtv_model *m, const struct gtv_tensor *const *outputs, float min_score,
                          struct gtv_box *boxes)
{
    size_t n = 0, classes = (size_t)m->class_count, sides = 4 * (size_t)m->bins;
    const float *row = outputs[0]->data;
    for (size_t i = 0; i < m->stride_count; i++) {
        struct level l = {.stride = m->strides[i], .score_step = classes, .side_step = sides, .offset = 0.5F};
        if (m->head == GTV_HEAD_NANODET_PLUS) {
            // One table for all strides, and its points are the cells' corners.
            l.scores = row;
            l.sides = row + classes;
            l.score_step = l.side_step = classes + sides;
            l.offset = 0;
            row += columns(m, l.stride) * rows(m, l.stride) * l.score_step;
        } else {
            l.scores = outputs[i]->data;
            l.sides = outputs[m->stride_count + i]->data;
        }
        n += decode_level(m, &l, min_score, boxes + n);
    }
    return n;
}

static void from_centre(struct gtv_box *box, float x, float y, float w, float h)
{
    box->at[0] = x - w / 2;
    box->at[1] = y - h / 2;
    box->at[2] = x + w / 2;
    box->at[3] = y + h / 2;
}

static size_t decode_yolov5(const struct gtv_model *m, const float *row, float min_score,
                            struct gtv_box *boxes)
{
    size_t n = 0;
    for (size_t i = 0; i < m->rows; i++, row += m->columns) {
        // A class score is at most 1, so an objectness below the limit settles it.
        if (!(row[4] >= min_score) || !best_vehicle(m, row + 5, min_score / row[4], &boxes[n]))
            continue;
        boxes[n].score *= row[4];
        from_centre(&boxes[n++], row[0], row[1], row[2], row[3]);
    }
    return n;
}

static size_t decode_yolov8_rows(const struct gtv_model *m, const float *row, float min_score,
                                 struct gtv_box *boxes)
{
    size_t n = 0;
    for (size_t i = 0; i < m->rows; i++, row += m->columns) {
        if (best_vehicle(m, row + 4, min_score, &boxes[n]))
            from_centre(&boxes[n++], row[0], row[1], row[2], row[3]);
    }
    return n;
}

enum { LANES = 16 };

// Whether any of LANES values reaches min: without a branch, so that it becomes a few vector instructions.
static bool any_of(const float *values, float min)
{
    unsigned hits = 0;
    for (size_t i = 0; i < LANES; i++)
        hits |= values[i] >= min;
    return hits != 0;
}

static bool best_at(const struct gtv_model *m, const float *table, size_t at, float min_score,
                    struct gtv_box *box)
{
    bool any = false;
    for (int v = 0; v < GTV_VEHICLE_COUNT; v++) {
        if (m->vehicle_class[v] < 0)
            continue;
        float score = table[((size_t)m->vehicle_class[v] + 4) * m->rows + at];
        if (score >= min_score && (!any || score > box->score)) {
            box->score = score;
            box->vehicle = (enum gtv_vehicle)v;
            any = true;
        }
    }
    return any;
}

// Four rows of class scores are read through, and all else only where one of them is high enough.
static size_t decode_yolov8(const struct gtv_model *m, const float *table, float min_score,
                            struct gtv_box *boxes)
{
    size_t n = 0, count = m->rows;
    for (size_t i = 0; i < count; i += LANES) {
        size_t end = i + LANES < count ? i + LANES : count;
        bool any = end - i < LANES;
        for (int v = 0; v < GTV_VEHICLE_COUNT && !any; v++)
            any = m->vehicle_class[v] >= 0 &&
                  any_of(table + ((size_t)m->vehicle_class[v] + 4) * count + i, min_score);
        for (size_t k = i; any && k < end; k++) {
            if (best_at(m, table, k, min_score, &boxes[n]))
                from_centre(&boxes[n++], table[k], table[count + k], table[2 * count + k],
                            table[3 * count + k]);
        }
    }
    return n;
}

static size_t decode_end2end(const struct gtv_model *m, const float *row, float min_score,
                             struct gtv_box *boxes)
{
    size_t n = 0;
    for (size_t i = 0; i < m->rows; i++, row += 6) {
        if (!(row[4] >= min_score))
            continue;
        for (int v = 0; v < GTV_VEHICLE_COUNT; v++) {
            if (m->vehicle_class[v] < 0 || !(fabsf(row[5] - (float)m->vehicle_class[v]) < 0.5F))
                continue;
            boxes[n].vehicle = (enum gtv_vehicle)v;
            boxes[n].score = row[4];
            memcpy(boxes[n].at, row, sizeof(boxes[n].at));
            n++;
            break;
        }
    }
    return n;
}

static size_t decode_yolox(const struct gtv_model *m, const struct gtv_tensor *const *outputs,
                           float min_score, struct gtv_box *boxes)
{
    const float *row = outputs[0]->data;
    size_t width = 5 + (size_t)m->class_count, n = 0;
    for (size_t level = 0; level < m->stride_count; level++) {
        float stride = (float)m->strides[level];
        size_t across = columns(m, m->strides[level]), cells = across * rows(m, m->strides[level]);
        for (size_t i = 0; i < cells; i++, row += width) {
            struct gtv_box *box = &boxes[n];
            // A class score is at most 1, so an objectness below the limit settles it.
            if (!(row[4] >= min_score) || !best_vehicle(m, row + 5, min_score / row[4], box))
                continue;
            box->score *= row[4];
            size_t column = i % across, line = i / across;
            float x = (row[0] + (float)column) * stride, y = (row[1] + (float)line) * stride;
            float w = expf(row[2]) * stride / 2, h = expf(row[3]) * stride / 2;
            box->at[0] = x - w;
            box->at[1] = y - h;
            box->at[2] = x + w;
            box->at[3] = y + h;
            n++;
        }
    }
    return n;
}

// Keeps the boxes that are boxes: finite, with a score and an area.
static size_t drop_degenerate(struct gtv_box *boxes, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const float *b = boxes[i].at;
        if (isfinite(boxes[i].score) && isfinite(b[0]) && isfinite(b[1]) && isfinite(b[2]) &&
            isfinite(b[3]) && b[2] > b[0] && b[3] > b[1])
            boxes[kept++] = boxes[i];
    }
    return kept;
}

size_t gtv_head_decode(const struct gtv_model *m, const struct gtv_tensor *const *outputs, float min_score,
                       struct gtv_box *boxes)
{
    float min = min_score < 0.001F ? 0.001F : min_score;
    size_t n = 0;
    switch (m->head) {
    case GTV_HEAD_BINS:
    case GTV_HEAD_NANODET_PLUS:
        n = decode_bins(m, outputs, min, boxes);
        break;
    case GTV_HEAD_YOLOX:
        n = decode_yolox(m, outputs, min, boxes);
        break;
    case GTV_HEAD_YOLOV5:
        n = decode_yolov5(m, outputs[0]->data, min, boxes);
        break;
    case GTV_HEAD_YOLOV8:
        n = m->transposed ? decode_yolov8_rows(m, outputs[0]->data, min, boxes)
                          : decode_yolov8(m, outputs[0]->data, min, boxes);
        break;
    case GTV_HEAD_END2END:
        n = decode_end2end(m, outputs[0]->data, min, boxes);
        break;
    case GTV_HEAD_UNKNOWN:
        break;
    }
    return drop_degenerate(boxes, n);
}

static int by_score_falling(const void *a, const void *b)
{
    float x = ((const struct gtv_box *)a)->score, y = ((const struct gtv_box *)b)->score;
    return (x < y) - (x > y);
}

static double overlap(const float *a, const float *b)
{
    double w = (double)fminf(a[2], b[2]) - fmaxf(a[0], b[0]);
    double h = (double)fminf(a[3], b[3]) - fmaxf(a[1], b[1]);
    if (w <= 0 || h <= 0)
        return 0;
    double area_a = ((double)a[2] - a[0]) * ((double)a[3] - a[1]);
    double area_b = ((double)b[2] - b[0]) * ((double)b[3] - b[1]);
    return w * h / (area_a + area_b - w * h);
}

size_t gtv_suppress(struct gtv_box *boxes, size_t n, double iou)
{
    qsort(boxes, n, sizeof(*boxes), by_score_falling);
    n = n > GTV_HEAD_MAX_BOXES ? GTV_HEAD_MAX_BOXES : n;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool covered = false;
        for (size_t k = 0; k < kept && !covered; k++)
            covered = overlap(boxes[k].at, boxes[i].at) > iou;
        if (!covered)
            boxes[kept++] = boxes[i];
    }
    return kept;
}
