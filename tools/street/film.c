#include "film.h"

#include <stdlib.h>
#include <string.h>

#include "backdrop.h"

struct gtv_film {
    struct gtv_camera camera;
    struct gtv_light light;
    float *backdrop;
    struct gtv_vehicle *vehicle[GTV_PASSES_MAX];
};

struct gtv_film *gtv_film_create(void)
{
    struct gtv_film *film = gtv_street_alloc(1, sizeof *film);
    gtv_camera_init(&film->camera, gtv_vec_make(0.0, 0.0, 3.4), 37.5 * M_PI / 180.0, 7.5 * M_PI / 180.0,
                    1300.0);
    film->light.sun = gtv_vec_unit(gtv_vec_make(-0.45, -0.50, 0.85));
    film->light.sun_strength = 0.62;
    film->light.sky_strength = 0.62;
    film->backdrop = gtv_backdrop_paint(&film->camera, &film->light);
    for (int i = 0; i < gtv_pass_count; i++)
        film->vehicle[i] = gtv_vehicle_create(&gtv_passes[i].order);
    return film;
}

void gtv_film_destroy(struct gtv_film *film)
{
    if (film == NULL)
        return;
    for (int i = 0; i < gtv_pass_count; i++)
        gtv_vehicle_destroy(film->vehicle[i]);
    free(film->backdrop);
    free(film);
}

const struct gtv_camera *gtv_film_camera(const struct gtv_film *film)
{
    return &film->camera;
}

const struct gtv_vehicle *gtv_film_vehicle(const struct gtv_film *film, int pass)
{
    return film->vehicle[pass];
}

struct entry {
    int pass;
    double depth;
    struct gtv_pose pose;
    struct gtv_layer *layer;
};

static int farther_first(const void *a, const void *b)
{
    double x = ((const struct entry *)a)->depth, y = ((const struct entry *)b)->depth;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void darken(float *rgb, int width, const struct gtv_layer *shadow)
{
    for (int y = 0; y < shadow->h; y++)
        for (int x = 0; x < shadow->w; x++) {
            float a = shadow->rgba[((size_t)y * (size_t)shadow->w + (size_t)x) * 4 + 3];
            float *to = rgb + ((size_t)(y + shadow->y0) * (size_t)width + (size_t)(x + shadow->x0)) * 3;
            // Shade is lit by the sky alone: darker, and a little bluer.
            to[0] *= 1.0F - 0.62F * a;
            to[1] *= 1.0F - 0.60F * a;
            to[2] *= 1.0F - 0.56F * a;
        }
}

static void cover(float *rgb, int width, const struct gtv_layer *layer)
{
    for (int y = 0; y < layer->h; y++)
        for (int x = 0; x < layer->w; x++) {
            const float *from = layer->rgba + ((size_t)y * (size_t)layer->w + (size_t)x) * 4;
            float *to = rgb + ((size_t)(y + layer->y0) * (size_t)width + (size_t)(x + layer->x0)) * 3;
            for (int k = 0; k < 3; k++)
                to[k] = to[k] * (1.0F - from[3]) + from[k];
        }
}

static double alpha_at(const struct gtv_layer *layer, int x, int y)
{
    x -= layer->x0;
    y -= layer->y0;
    if (x < 0 || y < 0 || x >= layer->w || y >= layer->h)
        return 0.0;
    return (double)layer->rgba[((size_t)y * (size_t)layer->w + (size_t)x) * 4 + 3];
}

static double hidden_at(const struct entry *entry, int first, int count, int x, int y)
{
    double free_share = 1.0;
    for (int i = first; i < count; i++)
        free_share *= 1.0 - alpha_at(entry[i].layer, x, y);
    return 1.0 - free_share;
}

// The share of entry i's pixels that no nearer vehicle covers.
static double uncovered(const struct entry *entry, int i, int count)
{
    const struct gtv_layer *layer = entry[i].layer;
    double all = 0.0, open = 0.0;
    for (int y = layer->y0; y < layer->y0 + layer->h; y += 2)
        for (int x = layer->x0; x < layer->x0 + layer->w; x += 2) {
            double a = alpha_at(layer, x, y);
            if (a <= 0.0)
                continue;
            all += a;
            open += a * (1.0 - hidden_at(entry, i + 1, count, x, y));
        }
    return all > 0.0 ? open / all : 0.0;
}

static void note_plate(const struct gtv_film *film, const struct entry *entry, int i, int count,
                       struct gtv_seen *seen)
{
    const struct gtv_vehicle *vehicle = film->vehicle[entry[i].pass];
    const struct gtv_camera *camera = &film->camera;
    for (int p = 0; p < vehicle->plate_count; p++) {
        const struct gtv_vec *c = vehicle->plate[p];
        double sign = c[0].x > 0.0 ? 1.0 : -1.0;
        struct gtv_vec normal =
            gtv_vec_turn(gtv_vec_make(sign, 0, 0), cos(entry[i].pose.heading), sin(entry[i].pose.heading));
        struct gtv_vec at = gtv_pose_apply(&entry[i].pose, c[0]);
        if (gtv_vec_dot(normal, gtv_vec_sub(camera->at, at)) <= 0.0)
            continue;
        bool good = true;
        for (int k = 0; k < 4 && good; k++) {
            double *out = seen->corner[k], depth;
            good =
                gtv_camera_project(camera, gtv_pose_apply(&entry[i].pose, c[k]), &out[0], &out[1], &depth) &&
                out[0] >= 0 && out[1] >= 0 && out[0] <= camera->width && out[1] <= camera->height &&
                hidden_at(entry, i + 1, count, (int)out[0], (int)out[1]) < 0.05;
        }
        seen->plate = good;
        return;
    }
}

static void note(const struct gtv_film *film, const struct entry *entry, int i, int count,
                 struct gtv_seen *seen)
{
    const double limit[4] = {film->camera.width, film->camera.height, film->camera.width,
                             film->camera.height};
    for (int k = 0; k < 4; k++)
        seen->box[k] = gtv_clamp(seen->whole[k], 0.0, limit[k]);
    double inside = (seen->box[2] - seen->box[0]) * (seen->box[3] - seen->box[1]);
    double whole = (seen->whole[2] - seen->whole[0]) * (seen->whole[3] - seen->whole[1]);
    if (inside < 1.0)
        return;
    seen->present = true;
    seen->visible = inside / whole * uncovered(entry, i, count);
    note_plate(film, entry, i, count, seen);
}

void gtv_film_frame(struct gtv_film *film, int n, float *rgb, struct gtv_seen *seen)
{
    const struct gtv_camera *camera = &film->camera;
    struct entry entry[GTV_PASSES_MAX];
    int count = 0;
    memset(seen, 0, (size_t)gtv_pass_count * sizeof *seen);
    memcpy(rgb, film->backdrop, (size_t)camera->width * (size_t)camera->height * 3 * sizeof *rgb);
    for (int i = 0; i < gtv_pass_count; i++) {
        struct entry *e = &entry[count];
        if (!gtv_pass_pose(&gtv_passes[i], (double)n / GTV_STREET_FPS, &e->pose))
            continue;
        e->pass = i;
        e->depth = gtv_vec_dot(gtv_vec_sub(e->pose.at, camera->at), camera->ahead);
        struct gtv_layer *shadow = gtv_layer_shadow(camera, &film->light, film->vehicle[i], &e->pose);
        if (shadow != NULL)
            darken(rgb, camera->width, shadow);
        gtv_layer_destroy(shadow);
        e->layer = gtv_layer_vehicle(camera, &film->light, film->vehicle[i], &e->pose, seen[i].whole);
        if (e->layer != NULL)
            count++;
    }
    qsort(entry, (size_t)count, sizeof *entry, farther_first);
    for (int i = 0; i < count; i++) {
        cover(rgb, camera->width, entry[i].layer);
        note(film, entry, i, count, &seen[entry[i].pass]);
    }
    for (int i = 0; i < count; i++)
        gtv_layer_destroy(entry[i].layer);
}
