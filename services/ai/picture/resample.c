#include "services/ai/picture/resample.h"

#include "lib/base/mem.h"
#include "services/ai/picture/resample_simd.h"

#include <math.h>
#include <stdlib.h>

struct plane {
    struct gtv_resample_plane in;
    struct gtv_axis across, down;
    int8_t *ring; // rows already scaled across, less 128
    size_t ring_size;
    int rows; // that came
};

struct gtv_resampler {
    bool plain, simd;
    enum gtv_resample_color color;
    int plane_count;
    struct plane planes[3];
    int width, height; // of the output as the picture is stored
    size_t stride;     // of a ring's rows
    int ring_rows;     // a power of two
    uint8_t *line;     // one row of output
    size_t line_size;
    uint8_t *out; // pixel 0,0
    ptrdiff_t right, down;
    int next; // row of output
};

struct gtv_resampler *gtv_resampler_create(void)
{
    return GTV_NEW(struct gtv_resampler);
}

void gtv_resampler_plain(struct gtv_resampler *r, bool plain)
{
    r->plain = plain;
}

static void axis_finish(struct gtv_axis *a)
{
    free(a->start);
    free(a->weight);
    free(a->groups);
    memset(a, 0, sizeof(*a));
}

void gtv_resampler_destroy(struct gtv_resampler *r)
{
    if (!r)
        return;
    for (int i = 0; i < 3; i++) {
        axis_finish(&r->planes[i].across);
        axis_finish(&r->planes[i].down);
        free(r->planes[i].ring);
    }
    free(r->line);
    free(r);
}

// At least n bytes at *p; what was there is lost.
static bool hold(void **p, size_t *cap, size_t n)
{
    if (*cap >= n)
        return true;
    free(*p);
    *p = malloc(n);
    *cap = *p ? n : 0;
    return *p != NULL;
}

// ---- Axes ----

static double triangle(const struct gtv_axis *a, int at, double centre, double reach)
{
    return at < a->in ? fmax(0, 1 - fabs(at + 0.5 - centre) / reach) : 0;
}

// The weights of one output. What they sum up to is rounded, not each: so the sum is exactly 128.
static void weigh(const struct gtv_axis *a, int first, double centre, double reach, uint8_t *weight)
{
    double sum = 0, so_far = 0;
    for (int k = 0; k < a->taps; k++)
        sum += triangle(a, first + k, centre, reach);
    int given = 0;
    for (int k = 0; k < a->taps; k++) {
        so_far += sum > 0 ? triangle(a, first + k, centre, reach) / sum : 1.0 / a->taps;
        int to = (int)lround(fmin(so_far, 1) * GTV_AXIS_ONE);
        weight[k] = (uint8_t)(to - given);
        given = to;
    }
    weight[a->taps - 1] = (uint8_t)(weight[a->taps - 1] + GTV_AXIS_ONE - given);
}

static bool axis_alloc(struct gtv_axis *a)
{
    void *start = a->start, *weight = a->weight, *groups = a->groups;
    size_t out = (size_t)a->out;
    bool ok = hold(&start, &a->start_size, out * sizeof(*a->start)) &&
              hold(&weight, &a->weight_size, out * (size_t)a->stride) &&
              hold(&groups, &a->groups_size, (out + 7) / 4 * sizeof(struct gtv_axis_group));
    a->start = start;
    a->weight = weight;
    a->groups = groups;
    return ok;
}

// Kept when it is what it was: cameras and clients send one size again and again.
static bool axis_init(struct gtv_axis *a, int in, double extent, int out)
{
    if (a->valid && a->in == in && a->out == out && a->extent == extent) // the very same double
        return true;
    a->valid = false;
    a->in = in;
    a->out = out;
    a->extent = extent;
    double scale = extent / out;
    // Below a half nothing is lost by the two nearest pixels alone, and the detectors find the same; from
    // there on all must count.
    double reach = scale < 2 ? 1 : scale;
    a->taps = scale < 2 ? 2 : (int)ceil(reach * 2);
    a->taps = a->taps > in ? in : a->taps;
    a->stride = (a->taps + 3) / 4 * 4;
    if (!axis_alloc(a))
        return false;
    memset(a->weight, 0, (size_t)out * (size_t)a->stride);
    for (int i = 0; i < out; i++) {
        double centre = (i + 0.5) * scale;
        int first = (int)ceil(centre - reach - 0.5);
        first = first > in - a->taps ? in - a->taps : first;
        first = first < 0 ? 0 : first;
        a->start[i] = first;
        weigh(a, first, centre, reach, a->weight + (size_t)i * (size_t)a->stride);
    }
    a->valid = true;
    return true;
}

// ---- Upright ----

struct gtv_upright gtv_upright(int orientation, int width, int height)
{
    int right = width - 1, bottom = height - 1;
    switch (orientation) {
    case 2:
        return (struct gtv_upright){right, 0, -1, 0, 0, 1};
    case 3:
        return (struct gtv_upright){right, bottom, -1, 0, 0, -1};
    case 4:
        return (struct gtv_upright){0, bottom, 1, 0, 0, -1};
    case 5:
        return (struct gtv_upright){0, 0, 0, 1, 1, 0};
    case 6:
        return (struct gtv_upright){right, 0, 0, 1, -1, 0};
    case 7:
        return (struct gtv_upright){right, bottom, 0, -1, -1, 0};
    case 8:
        return (struct gtv_upright){0, bottom, 0, -1, 1, 0};
    default:
        return (struct gtv_upright){0, 0, 1, 0, 0, 1};
    }
}

bool gtv_resampler_begin(struct gtv_resampler *r, const struct gtv_geometry *g, int orientation,
                         enum gtv_resample_color color, const struct gtv_resample_plane planes[3],
                         uint8_t *pixels)
{
    bool lies = orientation >= 5;
    struct gtv_upright u = gtv_upright(orientation, g->width, g->height);
    r->width = lies ? g->height : g->width;
    r->height = lies ? g->width : g->height;
    r->color = color;
    r->plane_count = color == GTV_RESAMPLE_GREY ? 1 : 3;
    r->simd = !r->plain && gtv_resample_has_simd();
    r->next = 0;
    ptrdiff_t row = (ptrdiff_t)g->input_width * 3;
    r->out = pixels + (g->y + u.y) * row + (ptrdiff_t)(g->x + u.x) * 3;
    r->right = (ptrdiff_t)u.right_x * 3 + u.right_y * row;
    r->down = (ptrdiff_t)u.down_x * 3 + u.down_y * row;
    r->stride = ((size_t)r->width + GTV_RESAMPLE_SLACK) / 64 * 64 + 64;
    int taps = 0;
    for (int i = 0; i < r->plane_count; i++) {
        struct plane *p = &r->planes[i];
        p->in = planes[i];
        p->rows = 0;
        if (!axis_init(&p->across, p->in.width, p->in.extent_x, r->width) ||
            !axis_init(&p->down, p->in.height, p->in.extent_y, r->height))
            return false;
        gtv_axis_group(&p->across);
        taps = p->down.stride > taps ? p->down.stride : taps;
    }
    // A plane's rows are kept until the slowest plane allows the output that they belong to: with colour at a
    // quarter of the rows, up to eight times its taps.
    r->ring_rows = 64;
    while (r->ring_rows < taps * 8 + 2 * GTV_RESAMPLE_BATCH)
        r->ring_rows *= 2;
    for (int i = 0; i < r->plane_count; i++) {
        void *ring = r->planes[i].ring;
        bool ok = hold(&ring, &r->planes[i].ring_size, r->stride * (size_t)r->ring_rows);
        r->planes[i].ring = ring;
        if (!ok)
            return false;
    }
    void *line = r->line;
    bool ok = hold(&line, &r->line_size, r->stride * 3);
    r->line = line;
    if (ok)
        gtv_geometry_pad(g, pixels);
    return ok;
}

// ---- Across ----

// Weighted sums of 128ths over values less 128, as the vector code has them, to the last bit.
static void across_plain(const struct gtv_axis *a, const uint8_t *row, int8_t *to)
{
    for (int i = 0; i < a->out; i++) {
        const uint8_t *p = row + a->start[i];
        const uint8_t *w = a->weight + (size_t)i * (size_t)a->stride;
        int sum = GTV_AXIS_ONE / 2;
        for (int k = 0; k < a->taps; k++)
            sum += (p[k] - 128) * w[k];
        to[i] = (int8_t)(sum >> 7);
    }
}

static int8_t *ring_row(const struct gtv_resampler *r, const struct plane *p, int y)
{
    return p->ring + (size_t)(y & (r->ring_rows - 1)) * r->stride;
}

void gtv_resampler_row(struct gtv_resampler *r, int plane, const uint8_t *row)
{
    struct plane *p = &r->planes[plane];
    if (p->rows >= p->in.height)
        return;
    int8_t *to = ring_row(r, p, p->rows++);
    if (r->simd && p->across.lanes)
        gtv_across_simd(&p->across, row, to);
    else
        across_plain(&p->across, row, to);
}

// ---- Down ----

// One plane's sums for a row of output, of 128ths, less 128 * 128. Rows beyond the last weigh nothing.
static void taps_of(const struct gtv_resampler *r, const struct plane *p, int y, struct gtv_taps *t)
{
    int start = p->down.start[y];
    t->weight = p->down.weight + (size_t)y * (size_t)p->down.stride;
    t->first = start;
    t->count = p->down.taps;
    t->ring = p->ring;
    t->stride = r->stride;
    t->mask = r->ring_rows - 1;
}

static int mix(const struct gtv_taps *t, int x)
{
    int sum = 0;
    for (int k = 0; k < t->count; k++)
        sum += t->ring[(size_t)((t->first + k) & t->mask) * t->stride + (size_t)x] * t->weight[k];
    return sum;
}

static uint8_t clamp(int q4)
{
    int v = (q4 + 8) >> 4;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static int plain_value(int sum)
{
    return (sum + 128 * GTV_AXIS_ONE) >> 3; // 16ths
}

// Fixed point as in the vector code: 16ths of a value, coefficients of 8192.
static void down_plain(const struct gtv_taps t[3], enum gtv_resample_color color, int width, uint8_t *rgb)
{
    for (int x = 0; x < width; x++, rgb += 3) {
        int y = plain_value(mix(&t[0], x));
        if (color == GTV_RESAMPLE_GREY) {
            rgb[0] = rgb[1] = rgb[2] = clamp(y);
            continue;
        }
        int b = mix(&t[1], x), r = mix(&t[2], x);
        if (color == GTV_RESAMPLE_RGB) {
            rgb[0] = clamp(y);
            rgb[1] = clamp(plain_value(b));
            rgb[2] = clamp(plain_value(r));
        } else {
            rgb[0] = clamp(y + (r * GTV_YCC_RED >> 16));
            rgb[1] = clamp(y - (b * GTV_YCC_GREEN_B >> 16) - (r * GTV_YCC_GREEN_R >> 16));
            rgb[2] = clamp(y + (b * GTV_YCC_BLUE >> 16));
        }
    }
}

static bool ready(const struct gtv_resampler *r)
{
    for (int i = 0; i < r->plane_count; i++) {
        const struct plane *p = &r->planes[i];
        if (p->rows < p->down.start[r->next] + p->down.taps)
            return false;
    }
    return true;
}

void gtv_resampler_drain(struct gtv_resampler *r)
{
    for (; r->next < r->height && ready(r); r->next++) {
        struct gtv_taps t[3] = {{0}};
        for (int i = 0; i < r->plane_count; i++)
            taps_of(r, &r->planes[i], r->next, &t[i]);
        if (r->simd)
            gtv_down_simd(t, r->color, r->width, r->line);
        else
            down_plain(t, r->color, r->width, r->line);
        uint8_t *to = r->out + r->next * r->down;
        if (r->right == 3) {
            memcpy(to, r->line, (size_t)r->width * 3);
            continue;
        }
        const uint8_t *from = r->line;
        for (int x = 0; x < r->width; x++, to += r->right, from += 3) {
            to[0] = from[0];
            to[1] = from[1];
            to[2] = from[2];
        }
    }
}

void gtv_resampler_end(struct gtv_resampler *r)
{
    gtv_resampler_drain(r);
    while (r->next < r->height) {
        for (int n = 0; n < GTV_RESAMPLE_BATCH; n++) {
            for (int i = 0; i < r->plane_count; i++) {
                struct plane *p = &r->planes[i];
                if (p->rows < p->in.height && p->rows < p->down.start[r->next] + p->down.taps)
                    memset(ring_row(r, p, p->rows++), 0, (size_t)r->width);
            }
        }
        gtv_resampler_drain(r);
    }
}
