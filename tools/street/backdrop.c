#include "backdrop.h"

#include <stdlib.h>

#include "facade.h"
#include "noise.h"

#define SAMPLES 3 // per pixel, each way

struct street {
    const struct gtv_camera *camera;
    const struct gtv_light *light;
    struct gtv_texture *facade;
};

static void set(double rgb[3], double r, double g, double b)
{
    rgb[0] = r;
    rgb[1] = g;
    rgb[2] = b;
}

static void mix_in(double rgb[3], double r, double g, double b, double t)
{
    rgb[0] = gtv_mix(rgb[0], r, t);
    rgb[1] = gtv_mix(rgb[1], g, t);
    rgb[2] = gtv_mix(rgb[2], b, t);
}

static void sky(struct gtv_vec d, double rgb[3])
{
    double up = gtv_clamp(d.z * 3.2, 0.0, 1.0);
    set(rgb, gtv_mix(0.86, 0.40, up), gtv_mix(0.91, 0.63, up), gtv_mix(0.96, 0.90, up));
    double u = d.x / (d.z + 0.12), v = d.y / (d.z + 0.12);
    double cloud = gtv_smoothstep(0.50, 0.78, gtv_noise_rough(u * 1.1 + 3, v * 1.6));
    mix_in(rgb, 0.97, 0.97, 0.98, cloud * 0.85);
}

static void road(double x, double y, double rgb[3])
{
    double grain = gtv_noise(x * 30, y * 30) - 0.5, patch = gtv_noise_rough(x * 0.35, y * 0.8) - 0.5;
    double g = 0.335 + grain * 0.05 + patch * 0.07;
    // Where tyres run the asphalt is polished, between them oil has dripped.
    for (int lane = 0; lane < 2; lane++) {
        double off = y - (lane ? GTV_LANE_FAR : GTV_LANE_NEAR);
        g += 0.018 * exp(-pow((fabs(off) - 0.78) / 0.24, 2.0));
        g -= 0.022 * exp(-pow(off / 0.30, 2.0));
    }
    set(rgb, g, g * 1.0, g * 1.015);
    double worn = 0.80 + 0.25 * (gtv_noise_rough(x * 3, y * 3) - 0.5);
    double middle = fabs(fabs(y - GTV_ROAD_MIDDLE) - 0.13);
    if (middle < 0.055)
        mix_in(rgb, 0.80, 0.62, 0.16, worn);
    if (fabs(y - GTV_ROAD_NEAR - 0.30) < 0.06 || fabs(y - GTV_ROAD_FAR + 0.30) < 0.06)
        mix_in(rgb, 0.86, 0.86, 0.84, worn);
    // Gutters.
    double gutter = fmin(y - GTV_ROAD_NEAR, GTV_ROAD_FAR - y);
    if (gutter < 0.18)
        mix_in(rgb, 0.50, 0.49, 0.47, 0.7);
}

static void pavement(double x, double y, double rgb[3])
{
    double g =
        0.60 + (gtv_noise(x * 14, y * 14) - 0.5) * 0.05 + (gtv_noise_rough(x * 0.6, y * 0.6) - 0.5) * 0.08;
    set(rgb, g, g * 0.98, g * 0.94);
    double fx = x / 0.9 - floor(x / 0.9), fy = y / 0.9 - floor(y / 0.9);
    if (fx < 0.03 || fy < 0.03)
        mix_in(rgb, 0.40, 0.39, 0.37, 0.7);
    double tint = gtv_noise_cell((int)floor(x / 0.9), (int)floor(y / 0.9));
    mix_in(rgb, rgb[0] * 0.92, rgb[1] * 0.91, rgb[2] * 0.90, tint);
    double kerb = fmin(fabs(y - GTV_ROAD_NEAR), fabs(y - GTV_ROAD_FAR));
    if (kerb < 0.22)
        set(rgb, 0.70, 0.69, 0.67);
}

// The light of a ground point: what houses and their tops keep away is not followed.
static void ground(struct gtv_vec p, double rgb[3])
{
    if (p.y > GTV_ROAD_NEAR && p.y < GTV_ROAD_FAR)
        road(p.x, p.y, rgb);
    else
        pavement(p.x, p.y, rgb);
}

static struct gtv_vec along(const struct street *s, struct gtv_vec d, double t)
{
    return gtv_vec_add(s->camera->at, gtv_vec_scale(d, t));
}

static void look(const struct street *s, struct gtv_vec d, double rgb[3])
{
    double nearest = 1e9;
    sky(d, rgb);
    if (d.y > 1e-6) {
        double t = (GTV_FACADE - s->camera->at.y) / d.y;
        struct gtv_vec p = along(s, d, t);
        if (p.z >= GTV_PAVEMENT_RISE && p.x > GTV_FACADE_FROM && p.x < GTV_FACADE_TO &&
            p.z < gtv_facade_height(p.x)) {
            double scale = s->camera->focal / t * SAMPLES * 0.7;
            struct gtv_texel c = gtv_texture_sample(s->facade, gtv_texture_level(s->facade, scale), p.x,
                                                    p.z - GTV_PAVEMENT_RISE);
            double foot = gtv_mix(0.80, 1.0, gtv_smoothstep(0.0, 1.2, p.z));
            set(rgb, c.r * foot, c.g * foot, c.b * foot);
            nearest = t;
        }
    }
    if (d.z < -1e-6) {
        double t = -s->camera->at.z / d.z, high = (GTV_PAVEMENT_RISE - s->camera->at.z) / d.z;
        struct gtv_vec p = along(s, d, t), q = along(s, d, high);
        bool raised = q.y < GTV_ROAD_NEAR || q.y > GTV_ROAD_FAR;
        if (raised)
            t = high;
        if (t < nearest) {
            nearest = t;
            ground(raised ? q : p, rgb);
            // The kerb across the road shows its face.
            if (!raised && p.y > GTV_ROAD_FAR)
                set(rgb, 0.52, 0.51, 0.49);
        }
    }
    // Distance pales.
    if (nearest < 1e8)
        mix_in(rgb, 0.84, 0.88, 0.92, 0.55 * (1.0 - exp(-nearest / 170.0)));
}

static struct gtv_vec pixel_direction(const struct gtv_camera *camera, double x, double y)
{
    struct gtv_vec d =
        gtv_vec_add(camera->ahead, gtv_vec_scale(camera->right, (x - camera->centre_x) / camera->focal));
    return gtv_vec_unit(gtv_vec_add(d, gtv_vec_scale(camera->up, (camera->centre_y - y) / camera->focal)));
}

// Leaves and shadows are drawn with cairo over the finished ground.
struct brush {
    cairo_t *cr;
    const struct gtv_camera *camera;
    struct gtv_random random;
};

static void leaf(struct brush *b, double x, double y, double radius, double r, double g, double bl, double a)
{
    cairo_set_source_rgba(b->cr, r, g, bl, a);
    cairo_arc(b->cr, x, y, radius, 0, 2 * M_PI);
    cairo_fill(b->cr);
}

static void tree_shadow(struct brush *b, struct gtv_vec foot, const struct gtv_light *light, double height)
{
    for (int i = 0; i < 260; i++) {
        double a = gtv_random_between(&b->random, 0, 2 * M_PI), q = sqrt(gtv_random_unit(&b->random));
        double z = height * 0.72 + gtv_random_between(&b->random, -1.0, 1.0), t = z / light->sun.z;
        struct gtv_vec p = gtv_vec_make(foot.x - light->sun.x * t + cos(a) * q * 1.9,
                                        foot.y - light->sun.y * t + sin(a) * q * 1.9, 0.0);
        double x, y, depth;
        if (p.y < GTV_FACADE && gtv_camera_project(b->camera, p, &x, &y, &depth))
            leaf(b, x, y, 0.28 * b->camera->focal / depth, 0.05, 0.05, 0.08, 0.022);
    }
}

static void tree(struct brush *b, struct gtv_vec foot, double height)
{
    double x, y, depth;
    if (!gtv_camera_project(b->camera, foot, &x, &y, &depth))
        return;
    double k = b->camera->focal / depth;
    cairo_set_source_rgb(b->cr, 0.30, 0.23, 0.17);
    cairo_set_line_width(b->cr, 0.24 * k);
    cairo_move_to(b->cr, x, y);
    cairo_curve_to(b->cr, x + 0.1 * k, y - height * 0.25 * k, x - 0.12 * k, y - height * 0.4 * k, x,
                   y - height * 0.62 * k);
    cairo_stroke(b->cr);
    for (int i = 0; i < 900; i++) {
        double a = gtv_random_between(&b->random, 0, 2 * M_PI), q = sqrt(gtv_random_unit(&b->random));
        double dx = cos(a) * q, dy = sin(a) * q;
        double lumps = 1.0 + 0.18 * sin(a * 5 + foot.x);
        double light =
            gtv_clamp(0.55 - 0.30 * dy - 0.18 * dx + gtv_random_between(&b->random, -0.2, 0.2), 0.1, 1.0);
        // Dark leaves first, lit ones on top.
        light = gtv_mix(0.22, light, (double)i / 900.0);
        leaf(b, x + dx * 1.75 * lumps * k, y - height * 0.74 * k + dy * 1.55 * lumps * k,
             gtv_random_between(&b->random, 0.10, 0.22) * k, 0.16 + 0.34 * light, 0.26 + 0.42 * light,
             0.08 + 0.14 * light, 0.9);
    }
}

static void lamp_post(struct brush *b, struct gtv_vec foot, double height)
{
    double x, y, depth;
    if (!gtv_camera_project(b->camera, foot, &x, &y, &depth))
        return;
    double k = b->camera->focal / depth;
    cairo_set_source_rgb(b->cr, 0.36, 0.37, 0.39);
    cairo_set_line_width(b->cr, 0.14 * k);
    cairo_move_to(b->cr, x, y);
    cairo_line_to(b->cr, x, y - height * k);
    cairo_stroke(b->cr);
    cairo_set_line_width(b->cr, 0.08 * k);
    cairo_move_to(b->cr, x, y - (height - 0.1) * k);
    cairo_line_to(b->cr, x - 0.9 * k, y - (height + 0.1) * k);
    cairo_stroke(b->cr);
    cairo_rectangle(b->cr, x - 1.2 * k, y - (height + 0.18) * k, 0.5 * k, 0.14 * k);
    cairo_fill(b->cr);
}

static void plant(const struct gtv_camera *camera, const struct gtv_light *light, float *rgb)
{
    int w = camera->width, h = camera->height;
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_ARGB32, w, h);
    struct brush b = {cairo_create(surface), camera, {7}};
    for (double x = 91.0; x > 5.0; x -= 9.5)
        tree_shadow(&b, gtv_vec_make(x, GTV_TREES, GTV_PAVEMENT_RISE), light, 5.2);
    for (double x = 91.0; x > 5.0; x -= 9.5) {
        lamp_post(&b, gtv_vec_make(x + 4.6, GTV_TREES - 0.5, GTV_PAVEMENT_RISE), 6.6);
        tree(&b, gtv_vec_make(x, GTV_TREES, GTV_PAVEMENT_RISE), 4.6 + gtv_random_between(&b.random, 0, 1.2));
    }
    cairo_surface_flush(surface);
    const unsigned char *data = cairo_image_surface_get_data(surface);
    int stride = cairo_image_surface_get_stride(surface);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            const unsigned char *p = data + y * stride + x * 4;
            float *to = rgb + ((size_t)y * (size_t)w + (size_t)x) * 3;
            float rest = 1.0F - (float)p[3] / 255.0F;
            for (int k = 0; k < 3; k++)
                to[k] = to[k] * rest + (float)p[2 - k] / 255.0F;
        }
    cairo_destroy(b.cr);
    cairo_surface_destroy(surface);
}

float *gtv_backdrop_paint(const struct gtv_camera *camera, const struct gtv_light *light)
{
    struct street s = {camera, light, gtv_facade_paint()};
    float *rgb = gtv_street_alloc((size_t)camera->width * (size_t)camera->height * 3, sizeof *rgb);
    for (int y = 0; y < camera->height; y++)
        for (int x = 0; x < camera->width; x++) {
            double sum[3] = {0};
            for (int i = 0; i < SAMPLES * SAMPLES; i++) {
                double one[3], sx = x + (i % SAMPLES + 0.5) / SAMPLES, sy = y + (i / SAMPLES + 0.5) / SAMPLES;
                look(&s, pixel_direction(camera, sx, sy), one);
                for (int k = 0; k < 3; k++)
                    sum[k] += one[k];
            }
            for (int k = 0; k < 3; k++)
                rgb[((size_t)y * (size_t)camera->width + (size_t)x) * 3 + (size_t)k] =
                    (float)(sum[k] / (SAMPLES * SAMPLES));
        }
    plant(camera, light, rgb);
    gtv_texture_destroy(s.facade);
    return rgb;
}
