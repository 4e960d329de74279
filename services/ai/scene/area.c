#include "services/ai/scene/settings.h"

#include <math.h>
#include <stdlib.h>

bool gtv_area_holds(const struct gtv_area *a, double x, double y)
{
    bool inside = false;
    for (size_t i = 0, j = a->count - 1; i < a->count; j = i++) {
        struct gtv_point p = a->points[i], q = a->points[j];
        if ((p.y > y) != (q.y > y) && x < (q.x - p.x) * (y - p.y) / (q.y - p.y) + p.x)
            inside = !inside;
    }
    return inside;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Where the outline meets the height y, in order.
static size_t meet(const struct gtv_area *a, double y, double out[GTV_SCENE_MAX_POINTS])
{
    size_t n = 0;
    for (size_t i = 0, j = a->count - 1; i < a->count; j = i++) {
        struct gtv_point p = a->points[i], q = a->points[j];
        if ((p.y > y) != (q.y > y))
            out[n++] = (q.x - p.x) * (y - p.y) / (q.y - p.y) + p.x;
    }
    qsort(out, n, sizeof(out[0]), by_value);
    return n;
}

static int column(double x, int width)
{
    return x < 0 ? 0 : x > width ? width : (int)x;
}

void gtv_scene_blacken(const struct gtv_scene_settings *s, uint8_t *rgb, int width, int height, size_t stride,
                       double x, double y, double w, double h)
{
    if (width <= 0 || height <= 0 || !(w > 0) || !(h > 0))
        return;
    for (size_t i = 0; i < s->area_count; i++) {
        const struct gtv_area *a = &s->areas[i];
        if (a->kind != GTV_AREA_PRIVACY)
            continue;
        for (int row = 0; row < height; row++) {
            // A row takes what the mask has anywhere within a pixel of its middle.
            for (int part = -2; part <= 2; part++) {
                double at[GTV_SCENE_MAX_POINTS];
                size_t n = meet(a, y + (row + 0.5 + part / 2.0) / height * h, at);
                for (size_t k = 0; k + 1 < n; k += 2) {
                    int from = column(floor((at[k] - x) / w * width - 1), width);
                    int to = column(ceil((at[k + 1] - x) / w * width + 1), width);
                    if (to > from)
                        memset(rgb + (size_t)row * stride + (size_t)from * 3, 0, (size_t)(to - from) * 3);
                }
            }
        }
    }
}
