#include "services/ai/plate/localise.h"

#include <math.h>
#include <stdlib.h>

enum { ROW = 15 };

// A quad at least this high for its width has two lines. (One line: 0.32; two: 0.85; seen aslant more.)
#define TWO_LINES 0.58
// Of a two-line plate's height: where the letters begin below the band, and the gap between the lines.
#define LINES_TOP   0.18
#define LINES_SPLIT 0.585

static void bounds(const struct gtv_plate_quad *q, float b[4])
{
    b[0] = fminf(fminf(q->x[0], q->x[1]), fminf(q->x[2], q->x[3]));
    b[1] = fminf(fminf(q->y[0], q->y[1]), fminf(q->y[2], q->y[3]));
    b[2] = fmaxf(fmaxf(q->x[0], q->x[1]), fmaxf(q->x[2], q->x[3]));
    b[3] = fmaxf(fmaxf(q->y[0], q->y[1]), fmaxf(q->y[2], q->y[3]));
}

static double overlap_of(const struct gtv_plate_quad *a, const struct gtv_plate_quad *b)
{
    float p[4], q[4];
    bounds(a, p);
    bounds(b, q);
    float w = fminf(p[2], q[2]) - fmaxf(p[0], q[0]), h = fminf(p[3], q[3]) - fmaxf(p[1], q[1]);
    if (w <= 0 || h <= 0)
        return 0;
    float both = (p[2] - p[0]) * (p[3] - p[1]) + (q[2] - q[0]) * (q[3] - q[1]) - w * h;
    return (double)(w * h / both);
}

// Keeps the surest places in order; one that overlaps a surer one is left out.
static size_t insert(struct gtv_plate_place out[], size_t n, const struct gtv_plate_place *place,
                     double overlap)
{
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (overlap_of(&out[i].quad, &place->quad) <= overlap)
            continue;
        if (out[i].score >= place->score)
            return n;
        memmove(&out[i], &out[i + 1], (n - i - 1) * sizeof(out[0]));
        n--;
        i--;
    }
    while (at < n && out[at].score >= place->score)
        at++;
    if (at == GTV_PLATE_MAX_PLACES)
        return n;
    if (n == GTV_PLATE_MAX_PLACES)
        n--;
    memmove(&out[at + 1], &out[at], (n - at) * sizeof(out[0]));
    out[at] = *place;
    return n + 1;
}

size_t gtv_plate_places_of_corners(const float *rows, size_t count, double min_score, double overlap,
                                   struct gtv_plate_place out[GTV_PLATE_MAX_PLACES])
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        const float *r = rows + i * ROW;
        double score = (double)(r[4] * fmaxf(r[13], r[14]));
        if (!(score > min_score))
            continue;
        struct gtv_plate_place place = {.score = score, .top = LINES_TOP, .split = LINES_SPLIT};
        bool good = true;
        for (int k = 0; k < 4; k++) {
            place.quad.x[k] = r[5 + 2 * k];
            place.quad.y[k] = r[6 + 2 * k];
            good = good && isfinite(place.quad.x[k]) && isfinite(place.quad.y[k]);
        }
        double w = gtv_plate_quad_width(&place.quad), h = gtv_plate_quad_height(&place.quad);
        if (!good || !(w > 1) || !(h > 1))
            continue;
        place.two_lines = h > TWO_LINES * w;
        for (int k = 0; k < 4; k++)
            place.box[k] = r[k & 1] + (k < 2 ? -0.5F : 0.5F) * r[2 + (k & 1)];
        n = insert(out, n, &place, overlap);
    }
    return n;
}

// ---- Text maps ----

struct text {
    double x, y, w, h, angle; // centre, size along and across its own axis, radians
    double score;
};

// Collects the region around `start` and clears it from the mask: its pixels' indices lie in stack[0..n).
static size_t flood(uint8_t *mask, int width, int height, int start, int *stack)
{
    size_t n = 0;
    mask[start] = 0;
    stack[n++] = start;
    for (size_t i = 0; i < n; i++) {
        int x = stack[i] % width, y = stack[i] / width;
        const int next[4][2] = {{x - 1, y}, {x + 1, y}, {x, y - 1}, {x, y + 1}};
        for (int k = 0; k < 4; k++) {
            if (next[k][0] < 0 || next[k][0] >= width || next[k][1] < 0 || next[k][1] >= height)
                continue;
            int at = next[k][1] * width + next[k][0];
            if (mask[at]) {
                mask[at] = 0;
                stack[n++] = at;
            }
        }
    }
    return n;
}

// The rectangle around a region, along its principal axis.
static bool rectangle_of(const float *map, int width, const int *pixels, size_t n, struct text *out)
{
    double mx = 0, my = 0, xx = 0, xy = 0, yy = 0, score = 0;
    for (size_t i = 0; i < n; i++) {
        const int x = pixels[i] % width, y = pixels[i] / width;
        mx += x;
        my += y;
        score += (double)map[pixels[i]];
    }
    mx /= (double)n;
    my /= (double)n;
    for (size_t i = 0; i < n; i++) {
        const int x = pixels[i] % width, y = pixels[i] / width;
        double dx = x - mx, dy = y - my;
        xx += dx * dx;
        xy += dx * dy;
        yy += dy * dy;
    }
    double angle = atan2(2 * xy, xx - yy) / 2;
    // Steep ones are no lines of text, or too short to tell: upright then.
    if (fabs(angle) > 0.7 || xx < 2 * yy)
        angle = 0;
    double c = cos(angle), s = sin(angle), low[2] = {1e9, 1e9}, high[2] = {-1e9, -1e9};
    for (size_t i = 0; i < n; i++) {
        const int x = pixels[i] % width, y = pixels[i] / width;
        double dx = x - mx, dy = y - my;
        const double along[2] = {dx * c + dy * s, -dx * s + dy * c};
        for (int k = 0; k < 2; k++) {
            low[k] = fmin(low[k], along[k] - 0.5);
            high[k] = fmax(high[k], along[k] + 0.5);
        }
    }
    double w = high[0] - low[0], h = high[1] - low[1];
    double a = (low[0] + high[0]) / 2, b = (low[1] + high[1]) / 2;
    // Regions are shrunk for training by area * (1 - r^2) / perimeter; 1.5 undoes it (Liao et al., 3.5).
    double grow = w * h * 1.5 / (2 * (w + h));
    *out = (struct text){.x = mx + a * c - b * s + 0.5,
                         .y = my + a * s + b * c + 0.5,
                         .w = w + 2 * grow,
                         .h = h + 2 * grow,
                         .angle = angle,
                         .score = score / (double)n};
    return out->w > 6 && out->h > 3;
}

// top and bottom: how far the quad reaches beyond the text, in heights of it.
static struct gtv_plate_quad quad_of(const struct text *t, double left, double right, double top,
                                     double bottom)
{
    struct gtv_plate_quad q;
    double c = cos(t->angle), s = sin(t->angle);
    const double u[4] = {left, right, right, left}, v[4] = {top, top, bottom, bottom};
    for (int k = 0; k < 4; k++) {
        q.x[k] = (float)(t->x + u[k] * c - v[k] * s);
        q.y[k] = (float)(t->y + u[k] * s + v[k] * c);
    }
    return q;
}

static size_t add_pair(const struct text *up, const struct text *low, struct gtv_plate_place *out, size_t n)
{
    double c = cos(low->angle), s = sin(low->angle), dx = up->x - low->x, dy = up->y - low->y;
    double along = dx * c + dy * s, across = -dx * s + dy * c, h = (up->h + low->h) / 2;
    bool fits = across < -0.45 * h && across > -1.6 * h && fabs(along) < 0.3 * low->w &&
                up->w > 0.45 * low->w && up->w < 1.25 * low->w && up->h < 1.8 * low->h &&
                low->h < 1.8 * up->h && low->w > 1.3 * low->h && low->w < 5 * low->h;
    if (!fits)
        return n;
    double half = fmax(low->w / 2, fabs(along) + up->w / 2);
    double top = across - up->h / 2, bottom = low->h / 2;
    double middle = (across + up->h / 2 - low->h / 2) / 2;
    struct gtv_plate_place place = {.quad = quad_of(low, -half, half, top, bottom),
                                    .score = fmin(up->score, low->score),
                                    .two_lines = true,
                                    .top = 0,
                                    .split = (middle - top) / (bottom - top)};
    bounds(&place.quad, place.box);
    return insert(out, n, &place, 0.5);
}

size_t gtv_plate_places_of_text(const float *map, int width, int height, double min_score, uint8_t *mask,
                                int *stack, struct gtv_plate_place out[GTV_PLATE_MAX_PLACES])
{
    struct text texts[GTV_PLATE_MAX_TEXTS];
    size_t count = 0, n = 0, cells = (size_t)width * (size_t)height;
    for (size_t i = 0; i < cells; i++)
        mask[i] = map[i] > 0.3F;
    for (size_t i = 0; i < cells && count < GTV_PLATE_MAX_TEXTS; i++) {
        if (!mask[i])
            continue;
        size_t pixels = flood(mask, width, height, (int)i, stack);
        if (pixels >= 12 && rectangle_of(map, width, stack, pixels, &texts[count]) &&
            texts[count].score >= min_score)
            count++;
    }
    bool paired[GTV_PLATE_MAX_TEXTS] = {false};
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            size_t before = n;
            if (i != j)
                n = add_pair(&texts[i], &texts[j], out, n);
            if (n > before)
                paired[i] = paired[j] = true;
        }
    }
    for (size_t i = 0; i < count; i++) {
        const struct text *t = &texts[i];
        if (paired[i] || t->w < 2 * t->h || t->w > 9 * t->h)
            continue;
        struct gtv_plate_place place = {.quad = quad_of(t, -t->w / 2, t->w / 2, -t->h / 2, t->h / 2),
                                        .score = t->score};
        bounds(&place.quad, place.box);
        n = insert(out, n, &place, 0.5);
    }
    return n;
}

struct gtv_plate_place gtv_plate_place_widened(const struct gtv_plate_place *place)
{
    struct gtv_plate_place out = *place;
    const int other[4] = {1, 0, 3, 2};
    for (int k = 0; k < 4; k++) {
        out.quad.x[k] += (place->quad.x[k] - place->quad.x[other[k]]) * 0.125F;
        out.quad.y[k] += (place->quad.y[k] - place->quad.y[other[k]]) * 0.125F;
    }
    float w = place->box[2] - place->box[0];
    out.box[0] -= w * 0.125F;
    out.box[2] += w * 0.125F;
    return out;
}
