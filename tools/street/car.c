// Cars: a body and a cabin, each cut out of three outlines, blended and painted.
#include "vehicle.h"

#include <string.h>

#define CORNERS(a) (a), sizeof(a) / sizeof((a)[0])

// The measures that tell one car from another, in metres.
struct car_shape {
    double length, width, height, belt, wheel, front_axle, rear_axle;
    double nose_z, hood_z, tail_z;                         // heights of the body's ends
    double glass_front, roof_front, roof_rear, glass_rear; // x along the cabin
};

static const struct car_shape HATCH = {.length = 3.95,
                                       .width = 1.74,
                                       .height = 1.50,
                                       .belt = 0.95,
                                       .wheel = 0.315,
                                       .front_axle = 1.22,
                                       .rear_axle = -1.25,
                                       .nose_z = 0.70,
                                       .hood_z = 0.93,
                                       .tail_z = 0.95,
                                       .glass_front = 1.10,
                                       .roof_front = 0.28,
                                       .roof_rear = -1.30,
                                       .glass_rear = -1.88};
static const struct car_shape SEDAN = {.length = 4.50,
                                       .width = 1.78,
                                       .height = 1.46,
                                       .belt = 0.94,
                                       .wheel = 0.32,
                                       .front_axle = 1.38,
                                       .rear_axle = -1.32,
                                       .nose_z = 0.68,
                                       .hood_z = 0.90,
                                       .tail_z = 1.00,
                                       .glass_front = 1.12,
                                       .roof_front = 0.32,
                                       .roof_rear = -0.85,
                                       .glass_rear = -1.62};
static const struct car_shape SUV = {.length = 4.35,
                                     .width = 1.84,
                                     .height = 1.68,
                                     .belt = 1.08,
                                     .wheel = 0.36,
                                     .front_axle = 1.34,
                                     .rear_axle = -1.30,
                                     .nose_z = 0.84,
                                     .hood_z = 1.06,
                                     .tail_z = 1.06,
                                     .glass_front = 1.08,
                                     .roof_front = 0.34,
                                     .roof_rear = -1.60,
                                     .glass_rear = -2.06};

static const struct gtv_texel GLASS = {0.055, 0.07, 0.085, 1.0};
static const struct gtv_texel TRIM = {0.07, 0.07, 0.075, 0.25};
static const struct gtv_texel CHROME = {0.72, 0.74, 0.76, 0.8};
static const struct gtv_texel LAMP = {0.93, 0.95, 0.97, 0.9};
static const struct gtv_texel RED = {0.72, 0.04, 0.05, 0.7};
static const struct gtv_texel AMBER = {0.95, 0.50, 0.08, 0.6};

struct car_solid {
    struct gtv_hull body, cabin;
    const struct car_shape *shape;
};

static double car_distance(const void *context, struct gtv_vec p)
{
    const struct car_solid *car = context;
    const struct car_shape *s = car->shape;
    double solid = gtv_smooth_min(gtv_hull_distance(&car->body, p), gtv_hull_distance(&car->cabin, p), 0.06);
    // Wheel wells, open to the sides only.
    double depth = s->width / 2 - 0.26 - fabs(p.y);
    double front = hypot(p.x - s->front_axle, p.z - s->wheel) - s->wheel * 1.16;
    double rear = hypot(p.x - s->rear_axle, p.z - s->wheel) - s->wheel * 1.16;
    return fmax(solid, -fmax(fmin(front, rear), depth));
}

static void make_outlines(struct car_solid *car, const struct car_shape *s)
{
    double l = s->length / 2, w = s->width / 2, h = s->height, b = s->belt;
    const double body_side[][2] = {{-l, 0.34},
                                   {-l + 0.02, 0.62},
                                   {-l + 0.03, s->tail_z - 0.12},
                                   {-l + 0.16, s->tail_z + 0.02},
                                   {s->glass_rear + 0.25, b + 0.06},
                                   {0, b + 0.04},
                                   {s->glass_front, s->hood_z + 0.02},
                                   {l - 0.55, s->nose_z + 0.16},
                                   {l - 0.08, s->nose_z},
                                   {l, 0.56},
                                   {l - 0.01, 0.36},
                                   {l - 0.18, 0.19},
                                   {0, 0.18},
                                   {-l + 0.2, 0.22}};
    const double body_front[][2] = {
        {-2, 0.1},        {w - 0.10, 0.1},      {w - 0.04, 0.32},     {w, 0.58},
        {w - 0.02, 0.80}, {w - 0.10, b + 0.06}, {w - 0.35, b + 0.16}, {-2, b + 0.2}};
    const double body_top[][2] = {{-l, -2},      {-l, w - 0.42}, {-l + 0.16, w - 0.13}, {-l + 0.7, w - 0.01},
                                  {0, w + 0.01}, {l - 0.9, w},   {l - 0.32, w - 0.14},  {l - 0.08, w - 0.36},
                                  {l, 0.2},      {l, -2}};
    const double cabin_side[][2] = {{s->glass_rear - 0.06, 0.7},
                                    {s->glass_rear - 0.02, b},
                                    {s->roof_rear - 0.05, h - 0.07},
                                    {s->roof_rear + 0.25, h - 0.01},
                                    {-0.3, h + 0.01},
                                    {s->roof_front - 0.1, h - 0.02},
                                    {s->roof_front + 0.1, h - 0.08},
                                    {s->glass_front + 0.02, s->hood_z},
                                    {s->glass_front + 0.1, 0.7}};
    const double cabin_front[][2] = {
        {-2, 0.6},     {w - 0.06, 0.6}, {w - 0.07, b}, {w - 0.25, h - 0.09}, {w - 0.36, h - 0.01},
        {-2, h + 0.06}};
    const double cabin_top[][2] = {{s->glass_rear - 0.1, -2},        {s->glass_rear - 0.06, w - 0.3},
                                   {s->glass_rear + 0.2, w - 0.06},  {-0.2, w},
                                   {s->glass_front - 0.5, w - 0.05}, {s->glass_front, w - 0.2},
                                   {s->glass_front + 0.14, 0.2},     {s->glass_front + 0.14, -2}};
    gtv_profile_init(&car->body.side, CORNERS(body_side), 2);
    gtv_profile_init(&car->body.front, CORNERS(body_front), 2);
    gtv_profile_init(&car->body.top, CORNERS(body_top), 2);
    gtv_profile_init(&car->cabin.side, CORNERS(cabin_side), 2);
    gtv_profile_init(&car->cabin.front, CORNERS(cabin_front), 2);
    gtv_profile_init(&car->cabin.top, CORNERS(cabin_top), 2);
    car->body.round = 0.10;
    car->cabin.round = 0.08;
    car->shape = s;
}

static struct gtv_texture *paint_side(const struct car_shape *s, struct gtv_texel paint)
{
    double l = s->length / 2, b = s->belt + 0.05, h = s->height - 0.13;
    struct gtv_texel seam = gtv_texel_shade(paint, 0.35);
    struct gtv_canvas *c = gtv_canvas_create(-l - 0.1, 0, l + 0.1, s->height + 0.1, 180, paint);
    gtv_canvas_rect(c, -l, 0, l, 0.27, 0, TRIM);
    gtv_canvas_rect(c, -l, 0.27, l, 0.285, 0, gtv_texel_shade(paint, 0.6));
    // Windows with black frames; the pillar between the doors.
    double rear = s->glass_rear + 0.20, front = s->glass_front - 0.10;
    const double frame[][2] = {{rear, b - 0.02},
                               {s->roof_rear + 0.12, h + 0.02},
                               {s->roof_front - 0.05, h + 0.02},
                               {front, b - 0.02}};
    gtv_canvas_polygon(c, CORNERS(frame), TRIM);
    const double pane[][2] = {
        {rear + 0.06, b}, {s->roof_rear + 0.15, h}, {s->roof_front - 0.06, h}, {front - 0.06, b}};
    gtv_canvas_polygon(c, CORNERS(pane), GLASS);
    double middle = s->rear_axle + 1.10;
    gtv_canvas_rect(c, middle - 0.05, b - 0.02, middle + 0.04, h + 0.03, 0, TRIM);
    gtv_canvas_line(c, s->glass_rear + 0.62, b, s->roof_rear + 0.42, h, 0.035, TRIM);
    // Doors, handles, a crease.
    gtv_canvas_line(c, middle, 0.30, middle, b, 0.014, seam);
    gtv_canvas_line(c, s->front_axle - 0.48, 0.30, s->front_axle - 0.40, b, 0.014, seam);
    gtv_canvas_line(c, s->rear_axle + 0.42, 0.62, s->rear_axle + 0.20, b, 0.014, seam);
    gtv_canvas_line(c, -l + 0.2, 0.80, l - 0.6, 0.76, 0.018, gtv_texel_shade(paint, 0.72));
    gtv_canvas_line(c, -l + 0.2, 0.82, l - 0.6, 0.78, 0.012, gtv_texel_shade(paint, 1.25));
    gtv_canvas_rect(c, middle - 0.26, 0.83, middle - 0.08, 0.865, 0.015, CHROME);
    gtv_canvas_rect(c, middle + 0.62, 0.83, middle + 0.80, 0.865, 0.015, CHROME);
    const double lamp[][2] = {{l - 0.36, s->nose_z - 0.02},
                              {l - 0.42, s->nose_z + 0.06},
                              {l + 0.1, s->nose_z + 0.02},
                              {l + 0.1, s->nose_z - 0.14}};
    gtv_canvas_polygon(c, CORNERS(lamp), LAMP);
    gtv_canvas_rect(c, -l - 0.1, s->tail_z - 0.29, -l + 0.33, s->tail_z - 0.03, 0, TRIM);
    gtv_canvas_rect(c, -l - 0.1, s->tail_z - 0.26, -l + 0.30, s->tail_z - 0.06, 0, RED);
    gtv_canvas_disc(c, s->front_axle, s->wheel, s->wheel * 1.17, TRIM);
    gtv_canvas_disc(c, s->rear_axle, s->wheel, s->wheel * 1.17, TRIM);
    return gtv_canvas_finish(c);
}

static struct gtv_texture *paint_front(const struct car_shape *s, struct gtv_texel paint)
{
    double w = s->width / 2, z = s->nose_z, h = s->height;
    struct gtv_canvas *c = gtv_canvas_create(-w - 0.1, 0, w + 0.1, h + 0.1, 180, paint);
    gtv_canvas_rect(c, -w, 0, w, 0.24, 0, TRIM);
    gtv_canvas_rect(c, -0.60, 0.22, 0.60, 0.36, 0.05, TRIM);
    gtv_canvas_rect(c, -w + 0.10, 0.30, -w + 0.26, 0.40, 0.03, TRIM);
    gtv_canvas_rect(c, w - 0.26, 0.30, w - 0.10, 0.40, 0.03, TRIM);
    gtv_canvas_rect(c, -0.44, z - 0.16, 0.44, z - 0.01, 0.04, TRIM);
    gtv_canvas_rect(c, -0.44, z - 0.075, 0.44, z - 0.055, 0, CHROME);
    gtv_canvas_disc(c, 0, z - 0.065, 0.06, CHROME);
    for (int k = -1; k <= 1; k += 2) {
        const double socket[][2] = {
            {k * 0.46, z - 0.16}, {k * 0.47, z - 0.0}, {k * (w + 0.1), z + 0.08}, {k * (w + 0.1), z - 0.14}};
        gtv_canvas_polygon(c, CORNERS(socket), TRIM);
        const double lamp[][2] = {
            {k * 0.48, z - 0.13}, {k * 0.49, z - 0.02}, {k * (w + 0.1), z + 0.05}, {k * (w + 0.1), z - 0.12}};
        gtv_canvas_polygon(c, CORNERS(lamp), LAMP);
        gtv_canvas_disc(c, k * 0.62, z - 0.07, 0.045, CHROME);
        gtv_canvas_disc(c, k * (w - 0.18), 0.35, 0.05, LAMP);
    }
    double top = h - 0.10, low = s->hood_z + 0.07;
    const double frame[][2] = {
        {-w + 0.15, low - 0.05}, {w - 0.15, low - 0.05}, {w - 0.30, top + 0.02}, {-w + 0.30, top + 0.02}};
    gtv_canvas_polygon(c, CORNERS(frame), TRIM);
    const double pane[][2] = {{-w + 0.20, low}, {w - 0.20, low}, {w - 0.32, top}, {-w + 0.32, top}};
    gtv_canvas_polygon(c, CORNERS(pane), GLASS);
    return gtv_canvas_finish(c);
}

static struct gtv_texture *paint_rear(const struct car_shape *s, struct gtv_texel paint)
{
    double w = s->width / 2, z = s->tail_z, h = s->height;
    struct gtv_texel seam = gtv_texel_shade(paint, 0.35);
    struct gtv_canvas *c = gtv_canvas_create(-w - 0.1, 0, w + 0.1, h + 0.1, 180, paint);
    gtv_canvas_rect(c, -w - 0.1, 0, w + 0.1, 0.34, 0, TRIM);
    gtv_canvas_line(c, -w, 0.49, w, 0.49, 0.014, seam);
    gtv_canvas_line(c, -0.60, 0.49, -0.64, z, 0.014, seam);
    gtv_canvas_line(c, 0.60, 0.49, 0.64, z, 0.014, seam);
    gtv_canvas_disc(c, 0, z - 0.04, 0.05, CHROME);
    for (int k = -1; k <= 1; k += 2) {
        double in = k * (w - 0.36), out = k * (w + 0.1);
        gtv_canvas_rect(c, fmin(in, out) - 0.02, z - 0.31, fmax(in, out) + 0.02, z - 0.02, 0.03, TRIM);
        gtv_canvas_rect(c, fmin(in, out), z - 0.29, fmax(in, out), z - 0.04, 0.03, RED);
        gtv_canvas_rect(c, fmin(in, k * (w - 0.22)), z - 0.25, fmax(in, k * (w - 0.22)), z - 0.18, 0.01,
                        LAMP);
        gtv_canvas_rect(c, fmin(in, k * (w - 0.22)), z - 0.16, fmax(in, k * (w - 0.22)), z - 0.11, 0.01,
                        AMBER);
        gtv_canvas_rect(c, k > 0 ? w - 0.34 : -w + 0.14, 0.36, k > 0 ? w - 0.14 : -w + 0.34, 0.40, 0.01, RED);
    }
    double top = h - 0.12, low = fmax(s->belt, z) + 0.06;
    const double frame[][2] = {
        {-w + 0.17, low - 0.04}, {w - 0.17, low - 0.04}, {w - 0.32, top + 0.02}, {-w + 0.32, top + 0.02}};
    gtv_canvas_polygon(c, CORNERS(frame), TRIM);
    const double pane[][2] = {{-w + 0.22, low}, {w - 0.22, low}, {w - 0.35, top}, {-w + 0.35, top}};
    gtv_canvas_polygon(c, CORNERS(pane), GLASS);
    return gtv_canvas_finish(c);
}

static struct gtv_texture *paint_top(const struct car_shape *s, struct gtv_texel paint)
{
    double l = s->length / 2, w = s->width / 2;
    struct gtv_canvas *c = gtv_canvas_create(-l - 0.1, -w - 0.1, l + 0.1, w + 0.1, 60, paint);
    gtv_canvas_line(c, s->glass_front + 0.1, -w + 0.2, l - 0.2, -w + 0.4, 0.02, gtv_texel_shade(paint, 0.6));
    gtv_canvas_line(c, s->glass_front + 0.1, w - 0.2, l - 0.2, w - 0.4, 0.02, gtv_texel_shade(paint, 0.6));
    return gtv_canvas_finish(c);
}

static double mirror_distance(const void *context, struct gtv_vec p)
{
    const struct gtv_vec *at = context;
    struct gtv_vec q = gtv_vec_make((p.x - at->x) / 0.07, (p.y - at->y) / 0.11, (p.z - at->z) / 0.07);
    return (sqrt(gtv_vec_dot(q, q)) - 1.0) * 0.07;
}

static void add_mirrors(struct gtv_vehicle *vehicle, const struct car_shape *s, struct gtv_texel paint)
{
    for (int k = -1; k <= 1; k += 2) {
        struct gtv_vec at = {s->glass_front - 0.42, k * (s->width / 2 + 0.06), s->belt + 0.08};
        struct gtv_vec reach = {0.08, 0.12, 0.08};
        struct gtv_part *part =
            gtv_vehicle_add(vehicle, GTV_PART_FLAT,
                            gtv_mesh_from_distance(mirror_distance, &at, gtv_vec_sub(at, reach),
                                                   gtv_vec_add(at, reach), 0.02));
        part->flat = paint;
    }
}

void gtv_car_build(struct gtv_vehicle *vehicle, const struct gtv_order *order)
{
    const struct car_shape *s = order->model == GTV_MODEL_SEDAN ? &SEDAN
                                : order->model == GTV_MODEL_SUV ? &SUV
                                                                : &HATCH;
    struct car_solid solid;
    memset(&solid, 0, sizeof solid);
    make_outlines(&solid, s);
    double l = s->length / 2, w = s->width / 2;
    vehicle->class_name = "car";
    vehicle->length = s->length;
    vehicle->width = s->width;
    vehicle->height = s->height;
    struct gtv_part *part =
        gtv_vehicle_add(vehicle, GTV_PART_SKIN,
                        gtv_mesh_from_distance(car_distance, &solid, gtv_vec_make(-l, -w, 0.15),
                                               gtv_vec_make(l, w, s->height), 0.04));
    part->skin.view[GTV_VIEW_SIDE] = paint_side(s, order->paint);
    part->skin.view[GTV_VIEW_FRONT] = paint_front(s, order->paint);
    part->skin.view[GTV_VIEW_REAR] = paint_rear(s, order->paint);
    part->skin.view[GTV_VIEW_TOP] = paint_top(s, order->paint);
    add_mirrors(vehicle, s, order->paint);
    const struct gtv_texel metal = {0.66, 0.67, 0.70, 0.4};
    for (int k = -1; k <= 1; k += 2) {
        gtv_vehicle_add_wheel(vehicle, gtv_vec_make(s->front_axle, k * (w - 0.12), s->wheel), s->wheel, 0.21,
                              0.68, metal);
        gtv_vehicle_add_wheel(vehicle, gtv_vec_make(s->rear_axle, k * (w - 0.12), s->wheel), s->wheel, 0.21,
                              0.68, metal);
    }
    gtv_vehicle_add_plate(vehicle, order, gtv_vec_make(l + 0.03, 0, 0.42), true, false);
    gtv_vehicle_add_plate(vehicle, order, gtv_vec_make(-l - 0.03, 0, 0.62), false, false);
}
