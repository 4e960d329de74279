#include "services/ai/plate/crop.h"

#include <math.h>
#include <stdlib.h>

// A side, of one pixel of the crop. 16 samples of 255 * 65536 fit into 32 bits.
enum { MAX_SAMPLES = 4 };

struct gtv_plate_quad gtv_plate_quad_of_box(float left, float top, float right, float bottom)
{
    return (struct gtv_plate_quad){{left, right, right, left}, {top, top, bottom, bottom}};
}

static double side(const struct gtv_plate_quad *q, int a, int b)
{
    return hypot((double)(q->x[a] - q->x[b]), (double)(q->y[a] - q->y[b]));
}

double gtv_plate_quad_width(const struct gtv_plate_quad *q)
{
    return (side(q, 0, 1) + side(q, 3, 2)) / 2;
}

double gtv_plate_quad_height(const struct gtv_plate_quad *q)
{
    return (side(q, 0, 3) + side(q, 1, 2)) / 2;
}

double gtv_plate_quad_tilt(const struct gtv_plate_quad *q)
{
    double slope = atan2((double)(q->y[2] - q->y[3]), (double)(q->x[2] - q->x[3]));
    double lean = atan2((double)(q->x[0] - q->x[3]), (double)(q->y[3] - q->y[0]));
    return fmax(fabs(slope), fabs(lean)) * 180 / 3.14159265358979;
}

// ---- Perspective ----

// Unit square to quad: x = (a u + b v + c) / (g u + h v + 1), y likewise (Heckbert 1989, 2.2.3).
struct projection {
    double a, b, c, d, e, f, g, h;
};

static bool projection_init(struct projection *p, const struct gtv_plate_quad *q)
{
    double x0 = (double)q->x[0], x1 = (double)q->x[1], x2 = (double)q->x[2], x3 = (double)q->x[3];
    double y0 = (double)q->y[0], y1 = (double)q->y[1], y2 = (double)q->y[2], y3 = (double)q->y[3];
    double dx1 = x1 - x2, dx2 = x3 - x2, sx = x0 - x1 + x2 - x3;
    double dy1 = y1 - y2, dy2 = y3 - y2, sy = y0 - y1 + y2 - y3;
    double det = dx1 * dy2 - dx2 * dy1;
    if (!isfinite(det) || fabs(det) < 1e-3)
        return false;
    p->g = (sx * dy2 - dx2 * sy) / det;
    p->h = (dx1 * sy - sx * dy1) / det;
    p->a = x1 - x0 + p->g * x1;
    p->b = x3 - x0 + p->h * x3;
    p->c = x0;
    p->d = y1 - y0 + p->g * y1;
    p->e = y3 - y0 + p->h * y3;
    p->f = y0;
    return true;
}

// floor of what lies within a million; the library's is a call where the processor may be an old one.
static int whole(double v)
{
    enum { FAR = 1 << 21 };
    return (int)(v + FAR) - FAR;
}

static int clamp(int v, int top)
{
    return v < 0 ? 0 : v > top ? top : v;
}

// Keys' cubic (1981) with a = -0.75, as the recognisers' own tools resample.
static void cubic_weights(double t, double w[4])
{
    const double a = -0.75;
    for (int i = 0; i < 4; i++) {
        double d = fabs(t - (i - 1));
        w[i] = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    }
}

static void sample_cubic(const struct gtv_plate_picture *p, double x, double y, double out[3])
{
    int left = whole(x), top = whole(y);
    double wx[4], wy[4];
    cubic_weights(x - left, wx);
    cubic_weights(y - top, wy);
    out[0] = out[1] = out[2] = 0;
    for (int j = 0; j < 4; j++) {
        const uint8_t *row = p->rgb + (size_t)clamp(top + j - 1, p->height - 1) * p->stride;
        for (int i = 0; i < 4; i++) {
            const uint8_t *v = row + (size_t)clamp(left + i - 1, p->width - 1) * 3;
            double w = wx[i] * wy[j];
            out[0] += w * v[0];
            out[1] += w * v[1];
            out[2] += w * v[2];
        }
    }
}

// Weights of 1/256 each way: a sample counts 65536.
static void add_linear(const struct gtv_plate_picture *p, double x, double y, uint32_t out[3])
{
    int left = whole(x), top = whole(y);
    uint32_t fx = (uint32_t)((x - left) * 256), fy = (uint32_t)((y - top) * 256);
    const uint8_t *up = p->rgb + (size_t)clamp(top, p->height - 1) * p->stride;
    const uint8_t *down = p->rgb + (size_t)clamp(top + 1, p->height - 1) * p->stride;
    size_t l = (size_t)clamp(left, p->width - 1) * 3, r = (size_t)clamp(left + 1, p->width - 1) * 3;
    for (size_t c = 0; c < 3; c++) {
        uint32_t above = up[l + c] * (256 - fx) + up[r + c] * fx;
        uint32_t below = down[l + c] * (256 - fx) + down[r + c] * fx;
        out[c] += above * (256 - fy) + below * fy;
    }
}

static double within(double v)
{
    return v > -1e6 ? v < 1e6 ? v : 1e6 : -1e6;
}

static void project(const struct projection *p, double u, double v, double *x, double *y)
{
    double w = p->g * u + p->h * v + 1;
    // Behind the horizon of a badly distorted quad there is nothing: far outside, where the edge goes on.
    double scale = 1 / (fabs(w) < 1e-6 ? 1e-6 : w);
    *x = within((p->a * u + p->b * v + p->c) * scale) - 0.5;
    *y = within((p->d * u + p->e * v + p->f) * scale) - 0.5;
}

// One row of the crop, each pixel the mean of n x m samples. u and v step from sample to sample.
static void reduce_row(const struct gtv_plate_picture *picture, const struct projection *p, double u,
                       double v, double du, double dv, int n, int m, uint8_t *out, int width)
{
    const double half = 32768.0 * n * m;
    for (int i = 0; i < width; i++, out += 3) {
        uint32_t sum[3] = {0};
        for (int row = 0; row < m; row++) {
            for (int k = 0; k < n; k++) {
                double x, y;
                project(p, u + (i * n + k + 0.5) * du, v + (row + 0.5) * dv, &x, &y);
                add_linear(picture, x, y, sum);
            }
        }
        for (int c = 0; c < 3; c++)
            out[c] = (uint8_t)((sum[c] + half) / (2 * half));
    }
}

// So many for a pixel of the crop that covers so many of the picture's.
static int samples(double pixels)
{
    int n = (int)ceil(pixels - 0.3);
    return n < 1 ? 1 : n > MAX_SAMPLES ? MAX_SAMPLES : n;
}

static void enlarge_row(const struct gtv_plate_picture *picture, const struct projection *p, double u,
                        double v, double du, uint8_t *out, int width)
{
    for (int i = 0; i < width; i++, out += 3) {
        double x, y, value[3];
        project(p, u + (i + 0.5) * du, v, &x, &y);
        sample_cubic(picture, x, y, value);
        for (int c = 0; c < 3; c++)
            out[c] = (uint8_t)fmax(0, fmin(255, value[c] + 0.5));
    }
}

void gtv_plate_warp(const struct gtv_plate_picture *picture, const struct gtv_plate_quad *q, double x0,
                    double y0, double x1, double y1, uint8_t *out, int width, int height, size_t out_stride)
{
    struct projection p;
    if (!projection_init(&p, q)) {
        for (int j = 0; j < height; j++)
            memset(out + (size_t)j * out_stride, 128, (size_t)width * 3);
        return;
    }
    double du = (x1 - x0) / width, dv = (y1 - y0) / height;
    int n = samples(gtv_plate_quad_width(q) * du), m = samples(gtv_plate_quad_height(q) * dv);
    for (int j = 0; j < height; j++) {
        uint8_t *to = out + (size_t)j * out_stride;
        if (n == 1 && m == 1)
            enlarge_row(picture, &p, x0, y0 + (j + 0.5) * dv, du, to, width);
        else
            reduce_row(picture, &p, x0, y0 + j * dv, du / n, dv / m, n, m, to, width);
    }
}

// ---- What a crop tells ----

static int luma(const uint8_t *p)
{
    return (77 * p[0] + 150 * p[1] + 29 * p[2]) >> 8;
}

double gtv_plate_sharpness(const uint8_t *rgb, int width, int height, size_t stride)
{
    double sum = 0, squares = 0;
    for (int y = 1; y < height - 1; y++) {
        const uint8_t *row = rgb + (size_t)y * stride;
        for (int x = 1; x < width - 1; x++) {
            const uint8_t *p = row + (size_t)x * 3;
            int v = 4 * luma(p) - luma(p - 3) - luma(p + 3) - luma(p - stride) - luma(p + stride);
            sum += v;
            squares += (double)v * v;
        }
    }
    double n = fmax(1, (double)(width - 2) * (height - 2));
    return squares / n - sum / n * (sum / n);
}

double gtv_plate_blue_band(const uint8_t *rgb, int width, int height, size_t stride, double margin)
{
    double whole = 1 + 2 * margin;
    int left = (int)(width * (margin + 0.1) / whole), right = (int)(width * (margin + 0.9) / whole);
    int plate_top = (int)(height * margin / whole), plate = (int)(height / whole);
    // The localiser's corners may lie at the letters, with the band above them.
    int from = plate_top - plate / 4;
    double best = 0, colour = 0;
    from = from < 0 ? 0 : from;
    for (int y = from; y < plate_top + plate; y++) {
        int blue = 0;
        for (int x = left; x < right; x++) {
            const uint8_t *p = rgb + (size_t)y * stride + (size_t)x * 3;
            int spread = p[2] - (p[0] + p[1]) / 2;
            blue += spread > 18 && p[2] > p[0] + 18 && p[0] < 150;
            colour += abs(p[0] - p[1]) + abs(p[1] - p[2]) > 24;
        }
        if (y < plate_top + plate * 3 / 10)
            best = fmax(best, (double)blue / (right - left + 1e-9));
    }
    if (best > 0.5)
        return 2;
    // No blue in a picture that has colours speaks for the old format, a little: bands fade and are covered.
    colour /= fmax(1, (double)(right - left) * (plate_top + plate - from));
    return colour > 0.2 && best < 0.1 ? -0.7 : 0;
}
