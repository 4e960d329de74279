// The city bus and the box truck.
#include <string.h>

#include "vehicle.h"

#define CORNERS(a) (a), sizeof(a) / sizeof((a)[0])

static const struct gtv_texel GLASS = {0.06, 0.08, 0.10, 1.0};
static const struct gtv_texel TRIM = {0.07, 0.07, 0.075, 0.2};
static const struct gtv_texel CHROME = {0.72, 0.74, 0.76, 0.8};
static const struct gtv_texel LAMP = {0.93, 0.95, 0.97, 0.9};
static const struct gtv_texel RED = {0.72, 0.04, 0.05, 0.7};
static const struct gtv_texel AMBER = {0.98, 0.55, 0.08, 0.5};
static const struct gtv_texel METAL = {0.62, 0.63, 0.66, 0.4};

struct block {
    struct gtv_vec low, high;
    double round, lean; // lean: how far the front's top lies back
};

static double block_distance(const void *context, struct gtv_vec p)
{
    const struct block *b = context;
    double rise = gtv_clamp((p.z - b->low.z) / (b->high.z - b->low.z) - 0.35, 0.0, 1.0);
    double front = b->high.x - b->lean * rise * rise * 2.4;
    double q[3] = {fabs(p.x - (b->low.x + front) / 2) - (front - b->low.x) / 2 + b->round,
                   fabs(p.y - (b->low.y + b->high.y) / 2) - (b->high.y - b->low.y) / 2 + b->round,
                   fabs(p.z - (b->low.z + b->high.z) / 2) - (b->high.z - b->low.z) / 2 + b->round};
    double inside = gtv_least(gtv_most(q[0], gtv_most(q[1], q[2])), 0.0);
    double x = gtv_most(q[0], 0.0), y = gtv_most(q[1], 0.0), z = gtv_most(q[2], 0.0);
    return inside + sqrt(x * x + y * y + z * z) - b->round;
}

static struct gtv_part *add_block(struct gtv_vehicle *vehicle, enum gtv_part_kind kind, struct block b,
                                  double step, struct gtv_texel flat)
{
    struct gtv_part *part =
        gtv_vehicle_add(vehicle, kind, gtv_mesh_from_distance(block_distance, &b, b.low, b.high, step));
    part->flat = flat;
    return part;
}

static struct block block(double x0, double y0, double z0, double x1, double y1, double z1, double round)
{
    return (struct block){{x0, y0, z0}, {x1, y1, z1}, round, 0.0};
}

static const double BUS_LENGTH = 9.2, BUS_WIDTH = 2.45, BUS_HEIGHT = 3.05;

static struct gtv_texture *bus_side(const struct gtv_order *o, double front_axle, double rear_axle)
{
    double l = BUS_LENGTH / 2;
    struct gtv_texel seam = gtv_texel_shade(o->paint, 0.5);
    struct gtv_canvas *c = gtv_canvas_create(-l - 0.1, 0, l + 0.1, BUS_HEIGHT + 0.1, 110, o->paint);
    const double sweep[][2] = {{-l - 0.1, 0.3}, {-l - 0.1, 1.35}, {-1.0, 1.35}, {0.8, 0.3}};
    gtv_canvas_polygon(c, CORNERS(sweep), o->accent);
    gtv_canvas_rect(c, -l - 0.1, 0, l + 0.1, 0.36, 0, TRIM);
    gtv_canvas_rect(c, -l - 0.1, 2.62, l + 0.1, 2.68, 0, o->accent);
    gtv_canvas_rect(c, -l + 0.25, 1.40, l - 0.12, 2.50, 0.08, TRIM);
    double pitch = (2 * l - 0.55) / 7.0;
    for (int i = 0; i < 7; i++) {
        double u = -l + 0.30 + pitch * i;
        gtv_canvas_rect(c, u, 1.46, u + pitch - 0.07, 2.44, 0.06, GLASS);
        gtv_canvas_line(c, u, 2.12, u + pitch - 0.07, 2.12, 0.025, TRIM);
    }
    for (int i = 0; i < 2; i++) {
        double u = i == 0 ? l - 1.18 : -0.55;
        gtv_canvas_rect(c, u, 0.36, u + 0.95, 2.46, 0.05, TRIM);
        gtv_canvas_rect(c, u + 0.06, 0.46, u + 0.455, 2.38, 0.04, GLASS);
        gtv_canvas_rect(c, u + 0.495, 0.46, u + 0.89, 2.38, 0.04, GLASS);
    }
    gtv_canvas_line(c, -l, 0.95, l, 0.95, 0.015, seam);
    for (int i = 0; i < 6; i++)
        gtv_canvas_rect(c, -l + 0.9 + 1.4 * i, 0.44, -l + 1.0 + 1.4 * i, 0.48, 0, AMBER);
    gtv_canvas_disc(c, front_axle, 0.48, 0.60, TRIM);
    gtv_canvas_disc(c, rear_axle, 0.48, 0.60, TRIM);
    return gtv_canvas_finish(c);
}

static struct gtv_texture *bus_front(const struct gtv_order *o)
{
    double w = BUS_WIDTH / 2, h = BUS_HEIGHT;
    struct gtv_canvas *c = gtv_canvas_create(-w - 0.1, 0, w + 0.1, h + 0.1, 130, o->paint);
    gtv_canvas_rect(c, -w - 0.1, 0, w + 0.1, 0.36, 0, TRIM);
    gtv_canvas_rect(c, -w - 0.1, 0.36, w + 0.1, 0.80, 0, o->accent);
    gtv_canvas_rect(c, -w + 0.06, 1.15, w - 0.06, 2.95, 0.18, TRIM);
    gtv_canvas_rect(c, -w + 0.12, 1.22, -0.02, 2.48, 0.12, GLASS);
    gtv_canvas_rect(c, 0.02, 1.22, w - 0.12, 2.48, 0.12, GLASS);
    gtv_canvas_rect(c, -w + 0.25, 2.56, w - 0.25, 2.88, 0.05, gtv_texel_make(0.02, 0.02, 0.02, 0.3));
    gtv_canvas_text(c, "175 CENTRO", 0, 2.72, 0.20, 1.5, AMBER);
    gtv_canvas_line(c, -0.9, 1.26, -0.15, 1.55, 0.03, TRIM);
    gtv_canvas_line(c, 0.2, 1.26, 0.95, 1.55, 0.03, TRIM);
    gtv_canvas_rect(c, -0.55, 0.86, 0.55, 1.02, 0.03, TRIM);
    gtv_canvas_disc(c, 0, 0.94, 0.09, CHROME);
    for (int k = -1; k <= 1; k += 2) {
        gtv_canvas_rect(c, k > 0 ? w - 0.55 : -w + 0.05, 0.58, k > 0 ? w - 0.05 : -w + 0.55, 0.86, 0.08,
                        TRIM);
        gtv_canvas_disc(c, k * (w - 0.19), 0.72, 0.11, LAMP);
        gtv_canvas_disc(c, k * (w - 0.42), 0.72, 0.10, LAMP);
        gtv_canvas_rect(c, k > 0 ? w - 0.12 : -w + 0.02, 0.40, k > 0 ? w - 0.02 : -w + 0.12, 0.54, 0.02,
                        AMBER);
    }
    return gtv_canvas_finish(c);
}

static struct gtv_texture *bus_rear(const struct gtv_order *o)
{
    double w = BUS_WIDTH / 2, h = BUS_HEIGHT;
    struct gtv_canvas *c = gtv_canvas_create(-w - 0.1, 0, w + 0.1, h + 0.1, 130, o->accent);
    gtv_canvas_rect(c, -w - 0.1, 2.40, w + 0.1, h + 0.1, 0, o->paint);
    gtv_canvas_rect(c, -w - 0.1, 0, w + 0.1, 0.36, 0, TRIM);
    gtv_canvas_rect(c, -w + 0.18, 1.55, w - 0.18, 2.50, 0.14, TRIM);
    gtv_canvas_rect(c, -w + 0.24, 1.61, w - 0.24, 2.44, 0.12, GLASS);
    gtv_canvas_rect(c, -0.6, 2.58, 0.6, 2.82, 0.04, gtv_texel_make(0.02, 0.02, 0.02, 0.3));
    gtv_canvas_text(c, "175", 0, 2.70, 0.16, 0, AMBER);
    gtv_canvas_rect(c, -w + 0.30, 0.92, w - 0.30, 1.42, 0.04, gtv_texel_shade(o->accent, 0.7));
    for (int i = 0; i < 5; i++)
        gtv_canvas_line(c, -w + 0.36, 0.98 + 0.09 * i, w - 0.36, 0.98 + 0.09 * i, 0.03, TRIM);
    for (int k = -1; k <= 1; k += 2) {
        for (int i = 0; i < 3; i++)
            gtv_canvas_disc(c, k * (w - 0.16), 0.72 + 0.24 * i, 0.10, i == 1 ? AMBER : RED);
        gtv_canvas_disc(c, k * (w - 0.14), 2.80, 0.06, RED);
    }
    return gtv_canvas_finish(c);
}

static struct gtv_texture *plain(double l, double w, struct gtv_texel paint)
{
    return gtv_canvas_finish(gtv_canvas_create(-l, -w, l, w, 8, paint));
}

static void add_axle(struct gtv_vehicle *vehicle, double x, double w, double radius)
{
    for (int k = -1; k <= 1; k += 2)
        gtv_vehicle_add_wheel(vehicle, gtv_vec_make(x, k * (w - 0.13), radius), radius, 0.28, 0.60, METAL);
}

void gtv_bus_build(struct gtv_vehicle *vehicle, const struct gtv_order *order)
{
    double l = BUS_LENGTH / 2, w = BUS_WIDTH / 2, front = l - 2.05, rear = -l + 2.45;
    vehicle->class_name = "bus";
    vehicle->length = BUS_LENGTH;
    vehicle->width = BUS_WIDTH;
    vehicle->height = BUS_HEIGHT;
    struct block body = block(-l, -w, 0.26, l, w, BUS_HEIGHT, 0.20);
    body.lean = 0.22;
    struct gtv_part *part = add_block(vehicle, GTV_PART_SKIN, body, 0.07, order->paint);
    part->skin.view[GTV_VIEW_SIDE] = bus_side(order, front, rear);
    part->skin.view[GTV_VIEW_FRONT] = bus_front(order);
    part->skin.view[GTV_VIEW_REAR] = bus_rear(order);
    part->skin.view[GTV_VIEW_TOP] = plain(l + 0.2, w + 0.2, gtv_texel_shade(order->paint, 0.95));
    add_block(vehicle, GTV_PART_FLAT, block(-1.6, -0.8, BUS_HEIGHT - 0.05, 0.4, 0.8, BUS_HEIGHT + 0.11, 0.08),
              0.06, gtv_texel_shade(order->paint, 0.92));
    for (int k = -1; k <= 1; k += 2) {
        double y = k * (w + 0.16);
        add_block(vehicle, GTV_PART_FLAT, block(l - 0.1, y - 0.10, 1.75, l + 0.04, y + 0.10, 2.25, 0.05),
                  0.035, TRIM);
    }
    add_axle(vehicle, front, w, 0.48);
    add_axle(vehicle, rear, w, 0.48);
    gtv_vehicle_add_plate(vehicle, order, gtv_vec_make(l + 0.02, 0, 0.52), true, false);
    gtv_vehicle_add_plate(vehicle, order, gtv_vec_make(-l - 0.02, 0, 0.62), false, false);
}

// The truck: cab and cargo box on a frame.
static const double CAB_FRONT = 3.45, CAB_BACK = 1.75, TRUCK_BACK = -3.45, TRUCK_HALF = 1.15;

static struct gtv_texture *cab_side(const struct gtv_order *o, double axle)
{
    struct gtv_texel seam = gtv_texel_shade(o->paint, 0.4);
    struct gtv_canvas *c = gtv_canvas_create(CAB_BACK - 0.1, 0, CAB_FRONT + 0.1, 2.6, 150, o->paint);
    const double pane[][2] = {
        {CAB_BACK + 0.30, 1.50}, {CAB_BACK + 0.34, 2.18}, {CAB_FRONT - 0.42, 2.18}, {CAB_FRONT - 0.18, 1.42}};
    gtv_canvas_polygon(c, CORNERS(pane), TRIM);
    const double glass[][2] = {
        {CAB_BACK + 0.36, 1.54}, {CAB_BACK + 0.39, 2.13}, {CAB_FRONT - 0.45, 2.13}, {CAB_FRONT - 0.24, 1.47}};
    gtv_canvas_polygon(c, CORNERS(glass), GLASS);
    gtv_canvas_line(c, CAB_BACK + 0.24, 0.75, CAB_BACK + 0.24, 2.25, 0.018, seam);
    gtv_canvas_line(c, CAB_FRONT - 0.12, 0.75, CAB_FRONT - 0.12, 1.45, 0.018, seam);
    gtv_canvas_rect(c, CAB_BACK + 0.32, 1.28, CAB_BACK + 0.52, 1.33, 0.02, TRIM);
    gtv_canvas_rect(c, CAB_BACK - 0.1, 0, CAB_FRONT + 0.1, 0.62, 0, TRIM);
    gtv_canvas_rect(c, CAB_FRONT - 0.16, 0.84, CAB_FRONT + 0.1, 1.02, 0.02, AMBER);
    gtv_canvas_disc(c, axle, 0.46, 0.62, TRIM);
    return gtv_canvas_finish(c);
}

static struct gtv_texture *cab_front(const struct gtv_order *o)
{
    double w = TRUCK_HALF;
    struct gtv_canvas *c = gtv_canvas_create(-w - 0.1, 0, w + 0.1, 2.6, 150, o->paint);
    gtv_canvas_rect(c, -w - 0.1, 0, w + 0.1, 0.72, 0, TRIM);
    gtv_canvas_rect(c, -w + 0.10, 1.36, w - 0.10, 2.22, 0.12, TRIM);
    gtv_canvas_rect(c, -w + 0.16, 1.42, w - 0.16, 2.16, 0.10, GLASS);
    gtv_canvas_line(c, -0.8, 1.44, -0.1, 1.66, 0.03, TRIM);
    gtv_canvas_line(c, 0.1, 1.44, 0.8, 1.66, 0.03, TRIM);
    for (int i = 0; i < 3; i++)
        gtv_canvas_rect(c, -0.72, 0.84 + 0.15 * i, 0.72, 0.93 + 0.15 * i, 0.03, TRIM);
    gtv_canvas_disc(c, 0, 1.29, 0.08, CHROME);
    for (int k = -1; k <= 1; k += 2) {
        gtv_canvas_rect(c, k > 0 ? w - 0.44 : -w + 0.06, 0.46, k > 0 ? w - 0.06 : -w + 0.44, 0.68, 0.06,
                        LAMP);
        gtv_canvas_rect(c, k > 0 ? w - 0.16 : -w + 0.02, 0.76, k > 0 ? w - 0.02 : -w + 0.16, 1.0, 0.03,
                        AMBER);
    }
    return gtv_canvas_finish(c);
}

static struct gtv_texture *box_side(struct gtv_texel accent)
{
    const struct gtv_texel panel = {0.90, 0.90, 0.89, 0.15}, groove = {0.74, 0.74, 0.74, 0.1};
    struct gtv_canvas *c = gtv_canvas_create(TRUCK_BACK - 0.1, 0.8, CAB_BACK + 0.1, 3.3, 110, panel);
    for (double u = TRUCK_BACK + 0.4; u < CAB_BACK; u += 0.4)
        gtv_canvas_line(c, u, 0.9, u, 3.2, 0.016, groove);
    gtv_canvas_rect(c, TRUCK_BACK - 0.1, 0.8, CAB_BACK + 0.1, 1.04, 0, METAL);
    gtv_canvas_rect(c, TRUCK_BACK - 0.1, 3.02, CAB_BACK + 0.1, 3.3, 0, METAL);
    gtv_canvas_rect(c, TRUCK_BACK + 0.5, 1.75, CAB_BACK - 0.5, 2.25, 0.06, accent);
    gtv_canvas_disc(c, (TRUCK_BACK + CAB_BACK) / 2, 2.0, 0.48, accent);
    gtv_canvas_disc(c, (TRUCK_BACK + CAB_BACK) / 2, 2.0, 0.36, panel);
    gtv_canvas_disc(c, (TRUCK_BACK + CAB_BACK) / 2, 2.0, 0.22, accent);
    for (double u = TRUCK_BACK + 0.3; u < CAB_BACK - 0.2; u += 0.6) {
        gtv_canvas_rect(c, u, 0.95, u + 0.2, 1.01, 0, RED);
        gtv_canvas_rect(c, u + 0.2, 0.95, u + 0.4, 1.01, 0, LAMP);
    }
    return gtv_canvas_finish(c);
}

static struct gtv_texture *box_rear(void)
{
    const struct gtv_texel panel = {0.86, 0.86, 0.86, 0.15};
    double w = TRUCK_HALF + 0.05;
    struct gtv_canvas *c = gtv_canvas_create(-w - 0.1, 0.8, w + 0.1, 3.3, 110, panel);
    gtv_canvas_rect(c, -w - 0.1, 0.8, -w + 0.08, 3.3, 0, METAL);
    gtv_canvas_rect(c, w - 0.08, 0.8, w + 0.1, 3.3, 0, METAL);
    gtv_canvas_rect(c, -w - 0.1, 3.0, w + 0.1, 3.3, 0, METAL);
    gtv_canvas_rect(c, -w - 0.1, 0.8, w + 0.1, 1.02, 0, METAL);
    gtv_canvas_line(c, 0, 1.0, 0, 3.0, 0.03, TRIM);
    for (int k = -1; k <= 1; k += 2) {
        gtv_canvas_line(c, k * 0.18, 1.05, k * 0.18, 2.98, 0.04, METAL);
        gtv_canvas_line(c, k * 0.80, 1.05, k * 0.80, 2.98, 0.03, METAL);
        gtv_canvas_rect(c, k > 0 ? 0.12 : -0.42, 1.55, k > 0 ? 0.42 : -0.12, 1.62, 0.01, TRIM);
        gtv_canvas_rect(c, k > 0 ? w - 0.30 : -w + 0.10, 0.86, k > 0 ? w - 0.10 : -w + 0.30, 0.94, 0, RED);
    }
    return gtv_canvas_finish(c);
}

static void add_underside(struct gtv_vehicle *vehicle)
{
    const struct gtv_texel steel = {0.13, 0.13, 0.14, 0.2};
    add_block(vehicle, GTV_PART_FLAT, block(TRUCK_BACK + 0.1, -0.55, 0.55, CAB_FRONT - 0.4, 0.55, 0.98, 0.04),
              0.08, steel);
    add_block(vehicle, GTV_PART_FLAT, block(-0.9, -1.05, 0.45, 0.9, 1.05, 0.85, 0.06), 0.07, steel);
    add_block(vehicle, GTV_PART_FLAT,
              block(TRUCK_BACK - 0.02, -1.1, 0.42, TRUCK_BACK + 0.10, 1.1, 0.78, 0.03), 0.05, steel);
    for (int k = -1; k <= 1; k += 2) {
        add_block(
            vehicle, GTV_PART_FLAT,
            block(TRUCK_BACK - 0.07, k * 0.9 - 0.16, 0.52, TRUCK_BACK + 0.03, k * 0.9 + 0.16, 0.70, 0.03),
            0.035, RED);
        add_block(
            vehicle, GTV_PART_FLAT,
            block(CAB_FRONT - 0.22, k * 1.32 - 0.10, 1.55, CAB_FRONT - 0.10, k * 1.32 + 0.10, 2.05, 0.05),
            0.035, TRIM);
    }
}

void gtv_truck_build(struct gtv_vehicle *vehicle, const struct gtv_order *order)
{
    double w = TRUCK_HALF, front = CAB_FRONT - 1.05, rear = TRUCK_BACK + 1.65;
    vehicle->class_name = "truck";
    vehicle->length = CAB_FRONT - TRUCK_BACK;
    vehicle->width = 2 * w;
    vehicle->height = 3.15;
    struct block cab = block(CAB_BACK, -w, 0.42, CAB_FRONT, w, 2.42, 0.14);
    cab.lean = 0.30;
    struct gtv_part *part = add_block(vehicle, GTV_PART_SKIN, cab, 0.05, order->paint);
    part->skin.view[GTV_VIEW_SIDE] = cab_side(order, front);
    part->skin.view[GTV_VIEW_FRONT] = cab_front(order);
    part->skin.view[GTV_VIEW_REAR] = plain(w + 0.2, 3.0, gtv_texel_shade(order->paint, 0.6));
    part->skin.view[GTV_VIEW_TOP] = plain(4.0, w + 0.2, order->paint);
    struct block box = block(TRUCK_BACK, -w - 0.05, 0.92, CAB_BACK - 0.12, w + 0.05, 3.15, 0.04);
    part = add_block(vehicle, GTV_PART_SKIN, box, 0.06, order->paint);
    part->skin.view[GTV_VIEW_SIDE] = box_side(order->accent);
    part->skin.view[GTV_VIEW_FRONT] = plain(w + 0.3, 3.5, gtv_texel_make(0.85, 0.85, 0.85, 0.1));
    part->skin.view[GTV_VIEW_REAR] = box_rear();
    part->skin.view[GTV_VIEW_TOP] = plain(4.0, w + 0.3, gtv_texel_make(0.9, 0.9, 0.9, 0.1));
    add_underside(vehicle);
    add_axle(vehicle, front, w, 0.46);
    add_axle(vehicle, rear, w, 0.46);
    gtv_vehicle_add_plate(vehicle, order, gtv_vec_make(CAB_FRONT + 0.02, 0, 0.56), true, false);
    gtv_vehicle_add_plate(vehicle, order, gtv_vec_make(TRUCK_BACK - 0.05, 0, 0.60), false, false);
}
