#include "raster.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLES 2    // per pixel, each way
#define EDGE    1e-9 // so that rounding leaves no gap between two triangles

void gtv_camera_init(struct gtv_camera *camera, struct gtv_vec at, double yaw, double pitch, double focal)
{
    camera->width = 1280;
    camera->height = 720;
    camera->at = at;
    camera->ahead = gtv_vec_make(cos(yaw) * cos(pitch), sin(yaw) * cos(pitch), -sin(pitch));
    camera->right = gtv_vec_make(sin(yaw), -cos(yaw), 0.0);
    camera->up = gtv_vec_make(cos(yaw) * sin(pitch), sin(yaw) * sin(pitch), cos(pitch));
    camera->focal = focal;
    camera->centre_x = camera->width / 2.0;
    camera->centre_y = camera->height / 2.0;
}

bool gtv_camera_project(const struct gtv_camera *camera, struct gtv_vec p, double *x, double *y,
                        double *depth)
{
    struct gtv_vec d = gtv_vec_sub(p, camera->at);
    *depth = gtv_vec_dot(d, camera->ahead);
    if (*depth < 0.2)
        return false;
    *x = camera->centre_x + camera->focal * gtv_vec_dot(d, camera->right) / *depth;
    *y = camera->centre_y - camera->focal * gtv_vec_dot(d, camera->up) / *depth;
    return true;
}

struct gtv_vec gtv_pose_apply(const struct gtv_pose *pose, struct gtv_vec p)
{
    return gtv_vec_add(gtv_vec_turn(p, cos(pose->heading), sin(pose->heading)), pose->at);
}

void gtv_surroundings(struct gtv_vec d, double rgb[3])
{
    static const double ground[3] = {0.30, 0.30, 0.30}, wall[3] = {0.42, 0.40, 0.38};
    static const double haze[3] = {0.92, 0.94, 0.96}, zenith[3] = {0.42, 0.60, 0.86};
    double sky = gtv_smoothstep(0.25, 0.9, d.z), above = gtv_smoothstep(0.16, 0.28, d.z);
    double below = gtv_smoothstep(0.02, -0.06, d.z);
    if (d.z < 0.02)
        below = gtv_clamp((0.02 - d.z) / 0.08, 0.0, 1.0);
    for (int k = 0; k < 3; k++) {
        double c = gtv_mix(wall[k], gtv_mix(haze[k], zenith[k], sky), above);
        rgb[k] = gtv_mix(c, ground[k], below);
    }
}

// One vertex on its way to the picture.
struct corner {
    double x, y, depth;
    struct gtv_vec model, world, normal;
    bool seen, away; // away: the surface looks away from the eye there
};

struct target {
    int x0, y0, w, h; // in samples
    float *depth;     // nearest so far; 0: nothing
    float *rgb;
};

struct shading {
    const struct gtv_camera *camera;
    const struct gtv_light *light;
    const struct gtv_part *part;
    int level[GTV_VIEWS];
    double cosine, sine; // of the vehicle's heading
};

static struct gtv_texel surface(const struct shading *s, struct gtv_vec p, struct gtv_vec n)
{
    const struct gtv_part *part = s->part;
    switch (part->kind) {
    case GTV_PART_FLAT:
        return part->flat;
    case GTV_PART_WHEEL:
        if (fabs(n.y) < 0.7)
            return part->flat;
        return gtv_texture_sample(part->picture, s->level[0], p.x, p.z);
    case GTV_PART_PLATE:
        return gtv_texture_sample(part->picture, s->level[0], part->forward ? p.y : -p.y, p.z);
    case GTV_PART_SKIN:
        break;
    }
    enum gtv_view view = GTV_VIEW_TOP;
    double u = p.x, v = p.y;
    if (fabs(n.y) > 0.62) {
        view = GTV_VIEW_SIDE;
        v = p.z;
    } else if (fabs(n.x) > 0.28) {
        view = n.x > 0.0 ? GTV_VIEW_FRONT : GTV_VIEW_REAR;
        u = n.x > 0.0 ? p.y : -p.y;
        v = p.z;
    }
    return gtv_texture_sample(part->skin.view[view], s->level[view], u, v);
}

// `model` and `own` (normal) choose the paint, `world` and the turned normal the light.
static void shade(const struct shading *s, struct gtv_vec model, struct gtv_vec own, struct gtv_vec world,
                  float out[3])
{
    struct gtv_texel t = surface(s, model, own);
    struct gtv_vec n = gtv_vec_turn(own, s->cosine, s->sine);
    struct gtv_vec look = gtv_vec_unit(gtv_vec_sub(world, s->camera->at));
    double facing = -gtv_vec_dot(look, n);
    if (facing < 0.0)
        facing = 0.0;
    struct gtv_vec bounce = gtv_vec_add(look, gtv_vec_scale(n, 2.0 * facing));
    double sun = gtv_most(0.0, gtv_vec_dot(n, s->light->sun)) * s->light->sun_strength;
    double near_ground = gtv_mix(0.45, 1.0, gtv_smoothstep(0.0, 0.55, world.z));
    double sky = s->light->sky_strength * (0.62 + 0.38 * n.z) * near_ground;
    double graze = (1.0 - facing) * (1.0 - facing), shine = gtv_vec_dot(bounce, s->light->sun);
    double fresnel = t.gloss * (0.06 + 0.16 * (t.gloss > 0.8) + 0.75 * graze * graze);
    // Below .93 the glint is under one part in a thousand.
    double glint = shine > 0.93 ? t.gloss * 0.9 * pow(shine, 90.0) : 0.0;
    double around[3], base[3] = {t.r, t.g, t.b};
    gtv_surroundings(bounce, around);
    for (int k = 0; k < 3; k++)
        out[k] = (float)gtv_clamp(base[k] * (sun + sky) * (1.0 - fresnel * 0.6) + around[k] * fresnel + glint,
                                  0.0, 1.0);
}

static double edge(const struct corner *a, const struct corner *b, double x, double y)
{
    return (b->x - a->x) * (y - a->y) - (b->y - a->y) * (x - a->x);
}

static struct gtv_vec blend(struct gtv_vec a, struct gtv_vec b, struct gtv_vec c, const double w[3])
{
    return gtv_vec_make(a.x * w[0] + b.x * w[1] + c.x * w[2], a.y * w[0] + b.y * w[1] + c.y * w[2],
                        a.z * w[0] + b.z * w[1] + c.z * w[2]);
}

// What a sample needs in order to be shaded once it is known to be the nearest.
struct hit {
    const struct corner *c[3];
    double w[3];
};

static void draw_sample(struct target *t, const struct shading *s, const struct hit *hit, size_t at)
{
    const struct corner *a = hit->c[0], *b = hit->c[1], *c = hit->c[2];
    shade(s, blend(a->model, b->model, c->model, hit->w),
          gtv_vec_unit(blend(a->normal, b->normal, c->normal, hit->w)),
          blend(a->world, b->world, c->world, hit->w), t->rgb + at * 3);
}

static void draw_triangle(struct target *t, const struct shading *s, const struct corner *const c[3])
{
    double area = edge(c[0], c[1], c[2]->x, c[2]->y);
    if (fabs(area) < 1e-9)
        return;
    double left = gtv_least(c[0]->x, gtv_least(c[1]->x, c[2]->x)),
           right = gtv_most(c[0]->x, gtv_most(c[1]->x, c[2]->x));
    double top = gtv_least(c[0]->y, gtv_least(c[1]->y, c[2]->y)),
           bottom = gtv_most(c[0]->y, gtv_most(c[1]->y, c[2]->y));
    int x0 = (int)gtv_most(ceil(left - 0.5), t->x0),
        x1 = (int)gtv_least(floor(right - 0.5), t->x0 + t->w - 1);
    int y0 = (int)gtv_most(ceil(top - 0.5), t->y0),
        y1 = (int)gtv_least(floor(bottom - 0.5), t->y0 + t->h - 1);
    // Barycentric weights are linear in the picture: a step to the right adds a constant.
    double step0 = -(c[2]->y - c[1]->y) / area, step1 = -(c[0]->y - c[2]->y) / area;
    double i0 = 1.0 / c[0]->depth, i1 = 1.0 / c[1]->depth, i2 = 1.0 / c[2]->depth;
    for (int y = y0; y <= y1; y++) {
        double w0 = edge(c[1], c[2], x0 + 0.5, y + 0.5) / area,
               w1 = edge(c[2], c[0], x0 + 0.5, y + 0.5) / area;
        size_t at = (size_t)(y - t->y0) * (size_t)t->w + (size_t)(x0 - t->x0);
        for (int x = x0; x <= x1; x++, at++, w0 += step0, w1 += step1) {
            double w2 = 1.0 - w0 - w1;
            if (w0 < -EDGE || w1 < -EDGE || w2 < -EDGE)
                continue;
            double inverse = w0 * i0 + w1 * i1 + w2 * i2;
            // Kept as an inverse, so that larger is nearer and nothing is 0.
            if ((float)inverse <= t->depth[at])
                continue;
            t->depth[at] = (float)inverse;
            if (s == NULL)
                continue;
            struct hit hit = {{c[0], c[1], c[2]}, {w0 * i0 / inverse, w1 * i1 / inverse, w2 * i2 / inverse}};
            draw_sample(t, s, &hit, at);
        }
    }
}

static struct gtv_vec roll(struct gtv_vec p, double angle)
{
    return gtv_vec_make(p.x * cos(angle) + p.z * sin(angle), p.y, p.z * cos(angle) - p.x * sin(angle));
}

// The vertices of one part in the world and in the picture, `samples` to a pixel. Where `sun` is given they
// are moved along it onto the ground.
static struct corner *place(const struct gtv_camera *camera, const struct gtv_part *part,
                            const struct gtv_pose *pose, double samples, const struct gtv_vec *sun)
{
    double cosine = cos(pose->heading), sine = sin(pose->heading);
    struct corner *out = gtv_street_alloc(part->mesh->vertex_count, sizeof *out);
    double spin = part->kind == GTV_PART_WHEEL ? pose->rolled / part->radius : 0.0;
    for (size_t i = 0; i < part->mesh->vertex_count; i++) {
        struct gtv_vec p = part->mesh->position[i];
        out[i].model = part->kind == GTV_PART_WHEEL ? p : gtv_vec_add(p, part->at);
        out[i].normal = part->mesh->normal[i];
        if (spin != 0.0)
            p = roll(p, spin);
        out[i].world = gtv_vec_add(gtv_vec_turn(gtv_vec_add(p, part->at), cosine, sine), pose->at);
        struct gtv_vec look = sun != NULL ? gtv_vec_scale(*sun, -1.0) : gtv_vec_sub(out[i].world, camera->at);
        out[i].away = part->kind != GTV_PART_WHEEL &&
                      gtv_vec_dot(gtv_vec_turn(out[i].normal, cosine, sine), look) > 0.0;
        if (sun != NULL) {
            double t = gtv_most(out[i].world.z, 0.0) / sun->z;
            out[i].world = gtv_vec_sub(out[i].world, gtv_vec_scale(*sun, t));
            out[i].world.z = 0.0;
        }
        out[i].seen = gtv_camera_project(camera, out[i].world, &out[i].x, &out[i].y, &out[i].depth);
        out[i].x *= samples;
        out[i].y *= samples;
    }
    return out;
}

// The bounds in pixels of all parts together; false where something is behind the camera.
static bool bounds(struct corner *const *corner, const struct gtv_vehicle *vehicle, double samples,
                   double box[4])
{
    box[0] = box[1] = 1e9;
    box[2] = box[3] = -1e9;
    for (int i = 0; i < vehicle->part_count; i++) {
        for (size_t k = 0; k < vehicle->part[i].mesh->vertex_count; k++) {
            const struct corner *c = &corner[i][k];
            if (!c->seen)
                return false;
            box[0] = gtv_least(box[0], c->x / samples);
            box[1] = gtv_least(box[1], c->y / samples);
            box[2] = gtv_most(box[2], c->x / samples);
            box[3] = gtv_most(box[3], c->y / samples);
        }
    }
    return true;
}

// The part of `box`, widened by `margin`, that is in the picture.
static struct gtv_layer *layer_create(const struct gtv_camera *camera, const double box[4], int margin)
{
    int x0 = (int)gtv_most(floor(box[0]) - margin, 0), y0 = (int)gtv_most(floor(box[1]) - margin, 0);
    int x1 = (int)gtv_least(ceil(box[2]) + margin, camera->width);
    int y1 = (int)gtv_least(ceil(box[3]) + margin, camera->height);
    if (x1 <= x0 || y1 <= y0)
        return NULL;
    struct gtv_layer *layer = gtv_street_alloc(1, sizeof *layer);
    *layer = (struct gtv_layer){.x0 = x0, .y0 = y0, .w = x1 - x0, .h = y1 - y0};
    layer->rgba = gtv_street_alloc((size_t)layer->w * (size_t)layer->h * 4, sizeof *layer->rgba);
    return layer;
}

void gtv_layer_destroy(struct gtv_layer *layer)
{
    if (layer == NULL)
        return;
    free(layer->rgba);
    free(layer);
}

static struct target target_create(const struct gtv_layer *layer, int samples, bool colour)
{
    struct target t = {
        layer->x0 * samples, layer->y0 * samples, layer->w * samples, layer->h * samples, 0, 0};
    size_t n = (size_t)t.w * (size_t)t.h;
    t.depth = gtv_street_alloc(n, sizeof *t.depth);
    if (colour)
        t.rgb = gtv_street_alloc(n * 3, sizeof *t.rgb);
    return t;
}

static void draw_part(struct target *t, const struct shading *s, const struct gtv_mesh *mesh,
                      const struct corner *corner)
{
    for (size_t i = 0; i < mesh->triangle_count; i++) {
        const struct corner *const c[3] = {&corner[mesh->triangle[i][0]], &corner[mesh->triangle[i][1]],
                                           &corner[mesh->triangle[i][2]]};
        // The solids are closed: what looks away is hidden by what does not.
        if (c[0]->seen && c[1]->seen && c[2]->seen && !(c[0]->away && c[1]->away && c[2]->away))
            draw_triangle(t, s, c);
    }
}

static void gather(const struct target *t, struct gtv_layer *layer, int samples)
{
    const float share = 1.0F / (float)(samples * samples);
    for (int y = 0; y < t->h; y++) {
        for (int x = 0; x < t->w; x++) {
            size_t from = (size_t)y * (size_t)t->w + (size_t)x;
            if (t->depth[from] <= 0.0F)
                continue;
            float *to = layer->rgba + ((size_t)(y / samples) * (size_t)layer->w + (size_t)(x / samples)) * 4;
            for (size_t k = 0; k < 3 && t->rgb != NULL; k++)
                to[k] += t->rgb[from * 3 + k] * share;
            to[3] += share;
        }
    }
}

// Paint levels that suit the vehicle's distance.
static void choose_levels(struct shading *s, double scale)
{
    if (s->part->kind == GTV_PART_SKIN) {
        for (int v = 0; v < GTV_VIEWS; v++)
            s->level[v] = gtv_texture_level(s->part->skin.view[v], scale);
    } else if (s->part->picture != NULL) {
        s->level[0] = gtv_texture_level(s->part->picture, scale);
    }
}

struct gtv_layer *gtv_layer_vehicle(const struct gtv_camera *camera, const struct gtv_light *light,
                                    const struct gtv_vehicle *vehicle, const struct gtv_pose *pose,
                                    double box[4])
{
    struct corner *corner[GTV_PARTS_MAX] = {NULL};
    const int parts = vehicle->part_count;
    struct gtv_layer *layer = NULL;
    for (int i = 0; i < parts; i++)
        corner[i] = place(camera, &vehicle->part[i], pose, SAMPLES, NULL);
    if (bounds(corner, vehicle, SAMPLES, box))
        layer = layer_create(camera, box, 1);
    if (layer != NULL) {
        struct target t = target_create(layer, SAMPLES, true);
        double x, y, depth = 1.0;
        gtv_camera_project(camera, pose->at, &x, &y, &depth);
        for (int i = 0; i < parts; i++) {
            struct shading s = {.camera = camera, .light = light, .part = &vehicle->part[i]};
            s.cosine = cos(pose->heading);
            s.sine = sin(pose->heading);
            choose_levels(&s, SAMPLES * camera->focal / gtv_most(depth, 1.0));
            draw_part(&t, &s, vehicle->part[i].mesh, corner[i]);
        }
        gather(&t, layer, SAMPLES);
        free(t.depth);
        free(t.rgb);
    }
    for (int i = 0; i < parts; i++)
        free(corner[i]);
    return layer;
}

// A running mean over 2 * radius + 1 pixels of every fourth float.
static void blur_line(float *line, float *copy, int n, size_t stride, int radius)
{
    for (int i = 0; i < n; i++)
        copy[i] = line[(size_t)i * stride];
    float sum = 0.0F, share = 1.0F / (float)(2 * radius + 1);
    for (int i = -radius; i < n; i++) {
        sum += i + radius < n ? copy[i + radius] : 0.0F;
        sum -= i - radius - 1 >= 0 ? copy[i - radius - 1] : 0.0F;
        if (i >= 0)
            line[(size_t)i * stride] = sum * share;
    }
}

static void soften(struct gtv_layer *layer, int radius)
{
    int longest = layer->w > layer->h ? layer->w : layer->h;
    float *copy = gtv_street_alloc((size_t)longest, sizeof *copy);
    size_t row = (size_t)layer->w * 4;
    for (int turn = 0; turn < 2; turn++) {
        for (int y = 0; y < layer->h; y++)
            blur_line(layer->rgba + (size_t)y * row + 3, copy, layer->w, 4, radius);
        for (int x = 0; x < layer->w; x++)
            blur_line(layer->rgba + (size_t)x * 4 + 3, copy, layer->h, row, radius);
    }
    free(copy);
}

struct gtv_layer *gtv_layer_shadow(const struct gtv_camera *camera, const struct gtv_light *light,
                                   const struct gtv_vehicle *vehicle, const struct gtv_pose *pose)
{
    struct corner *corner[GTV_PARTS_MAX] = {NULL};
    const int parts = vehicle->part_count;
    struct gtv_layer *layer = NULL;
    double box[4];
    for (int i = 0; i < parts; i++)
        corner[i] = place(camera, &vehicle->part[i], pose, 1, &light->sun);
    if (bounds(corner, vehicle, 1, box))
        layer = layer_create(camera, box, 10);
    if (layer != NULL) {
        struct target t = target_create(layer, 1, false);
        for (int i = 0; i < parts; i++)
            draw_part(&t, NULL, vehicle->part[i].mesh, corner[i]);
        gather(&t, layer, 1);
        soften(layer, 2);
        free(t.depth);
    }
    for (int i = 0; i < parts; i++)
        free(corner[i]);
    return layer;
}
