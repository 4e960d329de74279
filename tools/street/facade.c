#include "facade.h"

#include <stdbool.h>
#include <stddef.h>

#include "noise.h"
#include "vehicle.h"

struct house {
    double width, height, storey;
    struct gtv_texel wall, trim;
    bool shop; // below: a shop with an awning, or else a door and windows
};

// One shop only: rows of large panes at the edges of the picture are taken for buses and trucks.
static const struct house HOUSES[] = {
    {9.0, 10.2, 3.1, {0.80, 0.70, 0.56, 0}, {0.92, 0.88, 0.80, 0}, false},
    {7.0, 6.9, 3.2, {0.62, 0.70, 0.72, 0}, {0.88, 0.90, 0.90, 0}, false},
    {11.0, 13.2, 3.0, {0.74, 0.52, 0.42, 0}, {0.86, 0.80, 0.74, 0}, true},
    {8.0, 7.2, 3.3, {0.88, 0.84, 0.74, 0}, {0.60, 0.45, 0.36, 0}, false},
    {10.0, 9.8, 3.1, {0.58, 0.64, 0.56, 0}, {0.86, 0.88, 0.84, 0}, false},
    {7.5, 12.4, 3.0, {0.82, 0.80, 0.78, 0}, {0.52, 0.54, 0.58, 0}, false},
    {9.5, 7.4, 3.3, {0.84, 0.66, 0.50, 0}, {0.94, 0.90, 0.84, 0}, false},
};

static const struct house *house_at(double x, double *left)
{
    double u = GTV_FACADE_FROM;
    for (size_t i = 0;; i++) {
        const struct house *h = &HOUSES[i % (sizeof HOUSES / sizeof HOUSES[0])];
        if (x < u + h->width || u > GTV_FACADE_TO) {
            *left = u;
            return h;
        }
        u += h->width;
    }
}

double gtv_facade_height(double x)
{
    double left;
    return house_at(x, &left)->height;
}

static void paint_window(struct gtv_canvas *c, double u, double v, double w, double h, struct gtv_texel trim,
                         struct gtv_random *r)
{
    const struct gtv_texel glass = {0.20, 0.25, 0.30, 0}, pale = {0.46, 0.54, 0.60, 0},
                           curtain = {0.72, 0.70, 0.64, 0};
    gtv_canvas_rect(c, u - 0.12, v - 0.16, u + w + 0.12, v + h + 0.10, 0, trim);
    gtv_canvas_rect(c, u, v, u + w, v + h, 0, glass);
    const double shine[][2] = {{u, v + h * 0.35}, {u + w, v + h * 0.85}, {u + w, v + h}, {u, v + h}};
    gtv_canvas_polygon(c, shine, 4, pale);
    if (gtv_random_unit(r) < 0.4)
        gtv_canvas_rect(c, u, v + h * 0.3, u + w * gtv_random_between(r, 0.2, 0.45), v + h, 0, curtain);
    gtv_canvas_line(c, u + w / 2, v, u + w / 2, v + h, 0.06, trim);
    gtv_canvas_line(c, u, v + h * 0.62, u + w, v + h * 0.62, 0.05, trim);
    gtv_canvas_rect(c, u - 0.16, v - 0.24, u + w + 0.16, v - 0.14, 0, gtv_texel_shade(trim, 0.75));
}

static void paint_shop(struct gtv_canvas *c, double u, const struct house *h)
{
    const struct gtv_texel glass = {0.22, 0.26, 0.29, 0}, frame = {0.25, 0.23, 0.22, 0},
                           pale = {0.9, 0.88, 0.83, 0};
    const struct gtv_texel awning = {0.18, 0.42, 0.34, 0};
    gtv_canvas_rect(c, u + 0.4, 0.2, u + h->width - 0.4, 2.6, 0, frame);
    for (double x = u + 0.5; x + 1.4 < u + h->width - 0.3; x += 1.5) {
        gtv_canvas_rect(c, x, 0.55, x + 1.4, 2.5, 0, glass);
        const double shine[][2] = {{x, 1.2}, {x + 1.4, 2.0}, {x + 1.4, 2.5}, {x, 2.5}};
        gtv_canvas_polygon(c, shine, 4, gtv_texel_shade(glass, 1.6));
    }
    for (double x = u + 0.3; x < u + h->width - 0.35; x += 0.5)
        gtv_canvas_rect(c, x, 2.45, fmin(x + 0.5, u + h->width - 0.3), 3.0, 0,
                        ((int)((x - u) / 0.5)) % 2 ? pale : awning);
    gtv_canvas_rect(c, u + 0.3, 2.40, u + h->width - 0.3, 2.48, 0, gtv_texel_shade(awning, 0.6));
}

static void paint_house(struct gtv_canvas *c, double u, const struct house *h, struct gtv_random *r)
{
    gtv_canvas_rect(c, u, 0, u + h->width, h->height, 0, h->wall);
    for (int i = 0; i < 60; i++) { // weather on the plaster
        double x = gtv_random_between(r, u, u + h->width), z = gtv_random_between(r, 0, h->height);
        double w = gtv_random_between(r, 0.2, 1.0);
        gtv_canvas_rect(c, x, z, fmin(x + w, u + h->width), z + w * 0.5, 0,
                        gtv_texel_shade(h->wall, gtv_random_between(r, 0.95, 1.03)));
    }
    gtv_canvas_rect(c, u, 0, u + h->width, 0.7, 0, gtv_texel_shade(h->wall, 0.72));
    gtv_canvas_rect(c, u, h->height - 0.45, u + h->width, h->height, 0, h->trim);
    gtv_canvas_rect(c, u, h->height - 0.52, u + h->width, h->height - 0.45, 0, gtv_texel_shade(h->wall, 0.6));
    gtv_canvas_rect(c, u, 0, u + 0.10, h->height, 0, gtv_texel_shade(h->wall, 0.7));
    int across = (int)((h->width - 0.8) / 2.2);
    double pitch = (h->width - 0.8) / across;
    for (double floor = h->storey; floor + 2.2 < h->height; floor += h->storey) {
        gtv_canvas_rect(c, u, floor - 0.10, u + h->width, floor + 0.02, 0, gtv_texel_shade(h->trim, 0.9));
        for (int i = 0; i < across; i++)
            paint_window(c, u + 0.4 + pitch * i + (pitch - 1.15) / 2, floor + 0.75, 1.15, 1.45, h->trim, r);
    }
    if (h->shop) {
        paint_shop(c, u, h);
        return;
    }
    const struct gtv_texel wood = {0.36, 0.24, 0.17, 0};
    for (int i = 0; i < across; i++) {
        double x = u + 0.4 + pitch * i + (pitch - 1.15) / 2;
        if (i == across / 2) {
            gtv_canvas_rect(c, x - 0.12, 0, x + 1.27, 2.5, 0, h->trim);
            gtv_canvas_rect(c, x, 0, x + 1.15, 2.35, 0, wood);
            gtv_canvas_line(c, x + 0.57, 0, x + 0.57, 2.35, 0.05, gtv_texel_shade(wood, 0.6));
        } else {
            paint_window(c, x, 1.0, 1.15, 1.4, h->trim, r);
        }
    }
}

struct gtv_texture *gtv_facade_paint(void)
{
    struct gtv_random r = {20};
    struct gtv_canvas *c = gtv_canvas_create(GTV_FACADE_FROM, 0, GTV_FACADE_TO, GTV_FACADE_TOP, 48,
                                             gtv_texel_make(0.6, 0.6, 0.6, 0));
    double u = GTV_FACADE_FROM;
    while (u < GTV_FACADE_TO) {
        double left;
        const struct house *h = house_at(u + 0.01, &left);
        paint_house(c, u, h, &r);
        u += h->width;
    }
    return gtv_canvas_finish(c);
}
