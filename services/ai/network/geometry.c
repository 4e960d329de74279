#include "services/ai/network/geometry.h"

#include "lib/base/mem.h"

#include <math.h>
#include <stdlib.h>

void gtv_geometry_init(struct gtv_geometry *g, const struct gtv_model *m, int full_width, int full_height)
{
    memset(g, 0, sizeof(*g));
    g->full_width = full_width;
    g->full_height = full_height;
    g->input_width = g->width = m->input.width;
    g->input_height = g->height = m->input.height;
    g->pad = m->pad;
    if (m->resize != GTV_RESIZE_STRETCH) {
        double ratio = fmin((double)m->input.width / full_width, (double)m->input.height / full_height);
        g->width = (int)fmax(1, fmin(m->input.width, round(full_width * ratio)));
        g->height = (int)fmax(1, fmin(m->input.height, round(full_height * ratio)));
    }
    if (m->resize == GTV_RESIZE_LETTERBOX_CENTER) {
        g->x = (m->input.width - g->width) / 2;
        g->y = (m->input.height - g->height) / 2;
    }
    g->back_x = (double)full_width / g->width;
    g->back_y = (double)full_height / g->height;
}

void gtv_geometry_pad(const struct gtv_geometry *g, uint8_t *input)
{
    size_t row = (size_t)g->input_width * 3;
    size_t left = (size_t)g->x * 3, used = (size_t)g->width * 3;
    memset(input, g->pad, row * (size_t)g->y);
    for (int y = g->y; y < g->y + g->height && used < row; y++) {
        memset(input + (size_t)y * row, g->pad, left);
        memset(input + (size_t)y * row + left + used, g->pad, row - left - used);
    }
    int below = g->y + g->height;
    memset(input + (size_t)below * row, g->pad, row * (size_t)(g->input_height - below));
}

void gtv_geometry_back(const struct gtv_geometry *g, float box[4])
{
    for (int i = 0; i < 4; i++) {
        bool vertical = (i & 1) != 0;
        double v = vertical ? ((double)box[i] - g->y) * g->back_y : ((double)box[i] - g->x) * g->back_x;
        box[i] = (float)fmax(0, fmin(v, vertical ? g->full_height : g->full_width));
    }
}

// ---- Resampling ----

// Taps of one axis: output i is the sum of taps weights (of 256) times the inputs from start[i] on.
struct axis {
    int taps;
    int *start;
    uint16_t *weight; // taps for each output, one after another; their sum is 256
};

static bool axis_init(struct axis *a, int in, int out)
{
    double scale = (double)in / out;
    // Below a half nothing is lost by the two nearest pixels alone, and the detectors find the same; from
    // there on all must count.
    double reach = scale < 2 ? 1 : scale;
    a->taps = (int)ceil(reach) * 2 + 1;
    if (a->taps > in)
        a->taps = in;
    a->start = malloc((size_t)out * sizeof(*a->start));
    a->weight = calloc((size_t)out * (size_t)a->taps, sizeof(*a->weight));
    double *w = malloc((size_t)a->taps * sizeof(*w));
    if (!a->start || !a->weight || !w) {
        free(w);
        return false;
    }
    int used = 1;
    for (int i = 0; i < out; i++) {
        double centre = (i + 0.5) * scale;
        int first = (int)floor(centre - reach + 0.5);
        first = first < 0 ? 0 : first;
        first = first > in - a->taps ? in - a->taps : first;
        double sum = 0;
        for (int k = 0; k < a->taps; k++) {
            w[k] = fmax(0, 1 - fabs(first + k + 0.5 - centre) / reach);
            sum += w[k];
        }
        // Rounded so that the sum stays 256: the rest goes to the heaviest.
        int rest = 256, heaviest = 0;
        uint16_t *row = a->weight + (size_t)i * (size_t)a->taps;
        for (int k = 0; k < a->taps; k++) {
            row[k] = (uint16_t)lround(w[k] / sum * 256);
            rest -= row[k];
            heaviest = row[k] > row[heaviest] ? k : heaviest;
            used = row[k] && k >= used ? k + 1 : used;
        }
        row[heaviest] = (uint16_t)(row[heaviest] + rest);
        a->start[i] = first;
    }
    free(w);
    // Taps that are nil for every output are not computed.
    for (int i = 0; i < out; i++)
        memmove(a->weight + (size_t)i * (size_t)used, a->weight + (size_t)i * (size_t)a->taps,
                (size_t)used * sizeof(*a->weight));
    a->taps = used;
    return true;
}

static void axis_finish(struct axis *a)
{
    free(a->start);
    free(a->weight);
}

// One output row before its horizontal pass: n values, each a weighted sum over rows. 255 * 256 fits into 16
// bits.
static void mix_rows(const uint8_t *rgb, size_t stride, const uint16_t *weight, int taps, uint16_t *sum,
                     uint8_t *row, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] = 128;
    for (int k = 0; k < taps; k++) {
        const uint16_t w = weight[k];
        const uint8_t *src = rgb + (size_t)k * stride;
        if (w == 0)
            continue;
        for (size_t i = 0; i < n; i++)
            sum[i] = (uint16_t)(sum[i] + src[i] * w);
    }
    for (size_t i = 0; i < n; i++)
        row[i] = (uint8_t)(sum[i] >> 8);
}

static inline __attribute__((always_inline)) void mix_columns(const uint8_t *row, const struct axis *a,
                                                              int taps, uint8_t *out, int n)
{
    for (int i = 0; i < n; i++) {
        const uint8_t *p = row + (size_t)a->start[i] * 3;
        const uint16_t *w = a->weight + (size_t)i * (size_t)taps;
        unsigned r = 128, g = 128, b = 128;
        for (int k = 0; k < taps; k++, p += 3) {
            r += (unsigned)p[0] * w[k];
            g += (unsigned)p[1] * w[k];
            b += (unsigned)p[2] * w[k];
        }
        out[0] = (uint8_t)(r >> 8);
        out[1] = (uint8_t)(g >> 8);
        out[2] = (uint8_t)(b >> 8);
        out += 3;
    }
}

// The common numbers of taps become loops that the compiler unrolls.
static void squeeze_row(const uint8_t *row, const struct axis *a, uint8_t *out, int n)
{
    switch (a->taps) {
    case 2:
        mix_columns(row, a, 2, out, n);
        break;
    case 3:
        mix_columns(row, a, 3, out, n);
        break;
    case 4:
        mix_columns(row, a, 4, out, n);
        break;
    default:
        mix_columns(row, a, a->taps, out, n);
    }
}

bool gtv_geometry_fill(const struct gtv_geometry *g, const uint8_t *rgb, int width, int height, size_t stride,
                       uint8_t *input)
{
    size_t n = (size_t)width * 3;
    struct axis across = {0}, down = {0};
    uint16_t *sum = malloc(n * sizeof(*sum));
    uint8_t *row = malloc(n);
    bool ok = sum && row && axis_init(&across, width, g->width) && axis_init(&down, height, g->height);
    if (ok) {
        gtv_geometry_pad(g, input);
        for (int y = 0; y < g->height; y++) {
            uint8_t *out = input + ((size_t)(g->y + y) * (size_t)g->input_width + (size_t)g->x) * 3;
            mix_rows(rgb + (size_t)down.start[y] * stride, stride,
                     down.weight + (size_t)y * (size_t)down.taps, down.taps, sum, row, n);
            squeeze_row(row, &across, out, g->width);
        }
    }
    axis_finish(&across);
    axis_finish(&down);
    free(sum);
    free(row);
    return ok;
}
