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

bool gtv_head_check(const struct gtv_model *m, const struct gtv_tensor *const *outputs, size_t count,
                    struct gtv_error *err)
{
    size_t wanted = m->head == GTV_HEAD_YOLOX ? 1 : m->stride_count * 2;
    if (count != wanted) {
        gtv_error_set(err, GTV_E_INVALID, "outputs", "the network has %zu outputs where the head needs %zu",
                      count, wanted);
        return false;
    }
    if (m->head == GTV_HEAD_YOLOX)
        return check_count(outputs[0], 0, gtv_head_cells(m) * (5 + (size_t)m->class_count), err);
    for (size_t i = 0; i < m->stride_count; i++) {
        size_t cells = columns(m, m->strides[i]) * rows(m, m->strides[i]);
        if (!check_count(outputs[i], i, cells * (size_t)m->class_count, err) ||
            !check_count(outputs[m->stride_count + i], m->stride_count + i, cells * 4 * (size_t)m->bins, err))
            return false;
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

static size_t decode_bins(const struct gtv_model *m, const struct gtv_tensor *const *outputs, float min_score,
                          struct gtv_box *boxes)
{
    size_t n = 0;
    for (size_t level = 0; level < m->stride_count; level++) {
        const float *scores = outputs[level]->data;
        const float *sides = outputs[m->stride_count + level]->data;
        float stride = (float)m->strides[level];
        size_t across = columns(m, m->strides[level]), cells = across * rows(m, m->strides[level]);
        for (size_t i = 0; i < cells; i++) {
            struct gtv_box *box = &boxes[n];
            if (!best_vehicle(m, scores + i * (size_t)m->class_count, min_score, box))
                continue;
            size_t column = i % across, row = i / across, bins = (size_t)m->bins;
            float x = ((float)column + 0.5F) * stride, y = ((float)row + 0.5F) * stride;
            const float *d = sides + i * 4 * bins;
            box->at[0] = x - expectation(d, m->bins) * stride;
            box->at[1] = y - expectation(d + bins, m->bins) * stride;
            box->at[2] = x + expectation(d + 2 * bins, m->bins) * stride;
            box->at[3] = y + expectation(d + 3 * bins, m->bins) * stride;
            n++;
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

// Keeps the boxes that are boxes: finite and with an area.
static size_t drop_degenerate(struct gtv_box *boxes, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const float *b = boxes[i].at;
        if (isfinite(b[0]) && isfinite(b[1]) && isfinite(b[2]) && isfinite(b[3]) && b[2] > b[0] &&
            b[3] > b[1])
            boxes[kept++] = boxes[i];
    }
    return kept;
}

size_t gtv_head_decode(const struct gtv_model *m, const struct gtv_tensor *const *outputs, float min_score,
                       struct gtv_box *boxes)
{
    float min = min_score < 0.001F ? 0.001F : min_score;
    size_t n = m->head == GTV_HEAD_YOLOX ? decode_yolox(m, outputs, min, boxes)
                                         : decode_bins(m, outputs, min, boxes);
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
