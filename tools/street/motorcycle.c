// The motorcycle with its rider: rounded bars between joints, and two wheels.
#include "vehicle.h"

#define CAPSULES_MAX 6

struct capsule {
    struct gtv_vec a, b;
    double ra, rb;
};

struct limbs {
    int n;
    struct capsule c[CAPSULES_MAX];
    double blend;
};

static double capsule_distance(const struct capsule *c, struct gtv_vec p)
{
    struct gtv_vec along = gtv_vec_sub(c->b, c->a), from = gtv_vec_sub(p, c->a);
    double t = gtv_clamp(gtv_vec_dot(from, along) / (gtv_vec_dot(along, along) + 1e-9), 0.0, 1.0);
    struct gtv_vec off = gtv_vec_sub(from, gtv_vec_scale(along, t));
    return sqrt(gtv_vec_dot(off, off)) - gtv_mix(c->ra, c->rb, t);
}

static double limbs_distance(const void *context, struct gtv_vec p)
{
    const struct limbs *l = context;
    double d = capsule_distance(&l->c[0], p);
    for (int i = 1; i < l->n; i++)
        d = gtv_smooth_min(d, capsule_distance(&l->c[i], p), l->blend);
    return d;
}

static void add_limbs(struct gtv_vehicle *vehicle, struct limbs l, struct gtv_texel paint)
{
    struct gtv_vec low = {1e9, 1e9, 1e9}, high = {-1e9, -1e9, -1e9};
    for (int i = 0; i < l.n; i++) {
        const struct capsule *c = &l.c[i];
        low = gtv_vec_make(fmin(low.x, fmin(c->a.x - c->ra, c->b.x - c->rb)),
                           fmin(low.y, fmin(c->a.y - c->ra, c->b.y - c->rb)),
                           fmin(low.z, fmin(c->a.z - c->ra, c->b.z - c->rb)));
        high = gtv_vec_make(fmax(high.x, fmax(c->a.x + c->ra, c->b.x + c->rb)),
                            fmax(high.y, fmax(c->a.y + c->ra, c->b.y + c->rb)),
                            fmax(high.z, fmax(c->a.z + c->ra, c->b.z + c->rb)));
    }
    struct gtv_part *part =
        gtv_vehicle_add(vehicle, GTV_PART_FLAT, gtv_mesh_from_distance(limbs_distance, &l, low, high, 0.018));
    part->flat = paint;
}

static struct capsule bar(double ax, double ay, double az, double bx, double by, double bz, double ra, double rb)
{
    return (struct capsule){{ax, ay, az}, {bx, by, bz}, ra, rb};
}

static void add_machine(struct gtv_vehicle *vehicle, struct gtv_texel paint)
{
    const struct gtv_texel black = {0.06, 0.06, 0.065, 0.3}, metal = {0.55, 0.56, 0.58, 0.6};
    const struct gtv_texel lamp = {0.95, 0.96, 0.97, 0.9}, red = {0.80, 0.05, 0.05, 0.7};
    add_limbs(vehicle, (struct limbs){3, {bar(0.34, 0, 0.86, 0.02, 0, 0.84, 0.16, 0.14), bar(0.42, 0, 0.80, 0.30, 0, 0.66, 0.12, 0.12),
                                          bar(-0.30, 0, 0.72, -0.78, 0, 0.80, 0.09, 0.07)}, 0.05}, paint);
    add_limbs(vehicle, (struct limbs){2, {bar(0.0, 0, 0.88, -0.55, 0, 0.86, 0.10, 0.11), bar(-0.55, 0, 0.86, -0.85, 0, 0.93, 0.10, 0.06)}, 0.05}, black);
    add_limbs(vehicle, (struct limbs){3, {bar(0.20, 0, 0.52, 0.0, 0, 0.40, 0.18, 0.17), bar(0.42, 0, 0.62, 0.28, 0, 0.34, 0.05, 0.05),
                                          bar(0.0, 0, 0.40, -0.60, 0.10, 0.33, 0.06, 0.05)}, 0.05}, black);
    add_limbs(vehicle, (struct limbs){2, {bar(0.15, -0.16, 0.30, -0.30, -0.19, 0.30, 0.035, 0.04), bar(-0.30, -0.19, 0.30, -0.88, -0.20, 0.40, 0.05, 0.06)}, 0.02}, metal);
    for (int k = -1; k <= 1; k += 2) {
        add_limbs(vehicle, (struct limbs){1, {bar(0.68, k * 0.10, 0.32, 0.46, k * 0.10, 0.95, 0.032, 0.032)}, 0.02}, metal);
        add_limbs(vehicle, (struct limbs){1, {bar(0.44, 0, 1.02, 0.34, k * 0.36, 1.05, 0.02, 0.025)}, 0.02}, black);
        add_limbs(vehicle, (struct limbs){2, {bar(0.36, k * 0.30, 1.05, 0.42, k * 0.38, 1.22, 0.01, 0.012), bar(0.42, k * 0.38, 1.22, 0.42, k * 0.46, 1.24, 0.045, 0.045)}, 0.02}, black);
    }
    add_limbs(vehicle, (struct limbs){1, {bar(0.54, 0, 0.92, 0.60, 0, 0.92, 0.10, 0.09)}, 0.02}, lamp);
    add_limbs(vehicle, (struct limbs){1, {bar(-0.86, -0.06, 0.86, -0.86, 0.06, 0.86, 0.055, 0.055)}, 0.02}, red);
    add_limbs(vehicle, (struct limbs){2, {bar(0.48, 0, 0.62, 0.74, 0, 0.66, 0.06, 0.06), bar(0.74, 0, 0.66, 0.98, 0, 0.56, 0.06, 0.04)}, 0.04}, paint);
    add_limbs(vehicle, (struct limbs){1, {bar(-0.75, 0, 0.76, -0.98, 0, 0.52, 0.05, 0.04)}, 0.04}, black);
}

static void add_rider(struct gtv_vehicle *vehicle, struct gtv_texel jacket)
{
    const struct gtv_texel jeans = {0.16, 0.22, 0.36, 0.05}, shoe = {0.10, 0.09, 0.08, 0.1};
    const struct gtv_texel helmet = {0.86, 0.87, 0.88, 0.7}, visor = {0.04, 0.05, 0.06, 1.0}, skin = {0.55, 0.38, 0.28, 0.1};
    struct limbs torso = {6, {bar(-0.28, 0, 0.98, -0.20, 0, 1.22, 0.17, 0.18), bar(-0.20, 0, 1.22, -0.08, 0, 1.42, 0.18, 0.17),
                              bar(-0.06, 0.18, 1.44, 0.10, 0.30, 1.22, 0.085, 0.07), bar(0.10, 0.30, 1.22, 0.32, 0.33, 1.08, 0.065, 0.05),
                              bar(-0.06, -0.18, 1.44, 0.10, -0.30, 1.22, 0.085, 0.07), bar(0.10, -0.30, 1.22, 0.32, -0.33, 1.08, 0.065, 0.05)}, 0.07};
    add_limbs(vehicle, torso, jacket);
    for (int k = -1; k <= 1; k += 2) {
        add_limbs(vehicle, (struct limbs){3, {bar(-0.26, k * 0.11, 0.95, 0.16, k * 0.22, 0.84, 0.115, 0.085), bar(0.16, k * 0.22, 0.84, -0.06, k * 0.22, 0.42, 0.085, 0.06),
                                              bar(-0.28, 0, 0.96, -0.26, k * 0.1, 0.95, 0.13, 0.12)}, 0.04}, jeans);
        add_limbs(vehicle, (struct limbs){1, {bar(-0.10, k * 0.22, 0.36, 0.12, k * 0.23, 0.34, 0.055, 0.045)}, 0.02}, shoe);
        add_limbs(vehicle, (struct limbs){1, {bar(0.31, k * 0.34, 1.08, 0.36, k * 0.34, 1.06, 0.05, 0.045)}, 0.02}, skin);
    }
    add_limbs(vehicle, (struct limbs){1, {bar(-0.06, 0, 1.46, -0.03, 0, 1.58, 0.07, 0.07)}, 0.02}, skin);
    add_limbs(vehicle, (struct limbs){2, {bar(-0.04, 0, 1.68, -0.02, 0, 1.70, 0.15, 0.15), bar(0.02, 0, 1.60, 0.07, 0, 1.60, 0.12, 0.09)}, 0.04}, helmet);
    add_limbs(vehicle, (struct limbs){1, {bar(0.07, -0.05, 1.69, 0.07, 0.05, 1.69, 0.085, 0.085)}, 0.02}, visor);
}

void gtv_motorcycle_build(struct gtv_vehicle *vehicle, const struct gtv_order *order)
{
    const struct gtv_texel metal = {0.60, 0.61, 0.64, 0.5};
    vehicle->class_name = "motorcycle";
    vehicle->length = 2.05;
    vehicle->width = 0.92;
    vehicle->height = 1.86;
    add_machine(vehicle, order->paint);
    add_rider(vehicle, order->accent);
    gtv_vehicle_add_wheel(vehicle, gtv_vec_make(0.70, 0, 0.31), 0.31, 0.10, 0.72, metal);
    gtv_vehicle_add_wheel(vehicle, gtv_vec_make(-0.66, 0, 0.31), 0.31, 0.13, 0.72, metal);
    gtv_vehicle_add_plate(vehicle, order, gtv_vec_make(-1.0, 0, 0.62), false, true);
}
