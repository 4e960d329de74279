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
        low = gtv_vec_make(gtv_least(low.x, gtv_least(c->a.x - c->ra, c->b.x - c->rb)),
                           gtv_least(low.y, gtv_least(c->a.y - c->ra, c->b.y - c->rb)),
                           gtv_least(low.z, gtv_least(c->a.z - c->ra, c->b.z - c->rb)));
        high = gtv_vec_make(gtv_most(high.x, gtv_most(c->a.x + c->ra, c->b.x + c->rb)),
                            gtv_most(high.y, gtv_most(c->a.y + c->ra, c->b.y + c->rb)),
                            gtv_most(high.z, gtv_most(c->a.z + c->ra, c->b.z + c->rb)));
    }
    struct gtv_part *part =
        gtv_vehicle_add(vehicle, GTV_PART_FLAT, gtv_mesh_from_distance(limbs_distance, &l, low, high, 0.018));
    part->flat = paint;
}

static struct capsule bar(double ax, double ay, double az, double bx, double by, double bz, double ra,
                          double rb)
{
    return (struct capsule){{ax, ay, az}, {bx, by, bz}, ra, rb};
}

// Exhaust on the right, head lamp, tail lamp, mudguards.
static void add_fittings(struct gtv_vehicle *vehicle, struct gtv_texel paint)
{
    const struct gtv_texel black = {0.06, 0.06, 0.065, 0.3}, metal = {0.60, 0.61, 0.63, 0.6};
    const struct gtv_texel lamp = {0.95, 0.96, 0.97, 0.9}, red = {0.80, 0.05, 0.05, 0.7};
    add_limbs(vehicle,
              (struct limbs){2,
                             {bar(0.30, -0.12, 0.36, -0.10, -0.18, 0.28, 0.035, 0.04),
                              bar(-0.10, -0.18, 0.28, -0.92, -0.21, 0.42, 0.055, 0.075)},
                             0.02},
              metal);
    add_limbs(vehicle, (struct limbs){1, {bar(0.58, 0, 0.96, 0.64, 0, 0.96, 0.11, 0.10)}, 0.02}, lamp);
    add_limbs(vehicle, (struct limbs){1, {bar(-0.94, -0.07, 0.92, -0.94, 0.07, 0.92, 0.05, 0.05)}, 0.02},
              red);
    add_limbs(vehicle,
              (struct limbs){2,
                             {bar(0.52, 0, 0.66, 0.78, 0, 0.69, 0.06, 0.06),
                              bar(0.78, 0, 0.69, 1.06, 0, 0.56, 0.06, 0.04)},
                             0.04},
              paint);
    add_limbs(vehicle,
              (struct limbs){2,
                             {bar(-0.62, 0, 0.72, -0.90, 0, 0.66, 0.05, 0.05),
                              bar(-0.90, 0, 0.66, -1.02, 0, 0.50, 0.05, 0.04)},
                             0.04},
              black);
}

static void add_machine(struct gtv_vehicle *vehicle, struct gtv_texel paint)
{
    const struct gtv_texel black = {0.06, 0.06, 0.065, 0.3}, metal = {0.60, 0.61, 0.63, 0.6};
    const struct gtv_texel cast = {0.36, 0.37, 0.39, 0.5}, red = {0.80, 0.05, 0.05, 0.7};
    const struct gtv_texel amber = {0.95, 0.50, 0.08, 0.6};
    // Tank and tail, side cover, seat.
    add_limbs(vehicle,
              (struct limbs){3,
                             {bar(0.38, 0, 0.90, 0.02, 0, 0.86, 0.18, 0.15),
                              bar(0.46, 0, 0.84, 0.32, 0, 0.68, 0.13, 0.12),
                              bar(-0.30, 0, 0.76, -0.86, 0, 0.86, 0.10, 0.06)},
                             0.05},
              paint);
    add_limbs(vehicle, (struct limbs){1, {bar(-0.10, 0, 0.66, -0.42, 0, 0.74, 0.13, 0.10)}, 0.05}, paint);
    add_limbs(vehicle,
              (struct limbs){2,
                             {bar(0.0, 0, 0.90, -0.55, 0, 0.90, 0.10, 0.11),
                              bar(-0.55, 0, 0.90, -0.92, 0, 0.98, 0.10, 0.06)},
                             0.05},
              black);
    // Engine with its cylinder and cooling fins, frame, swing arm, chain cover.
    add_limbs(vehicle,
              (struct limbs){2,
                             {bar(0.16, 0, 0.42, -0.10, 0, 0.40, 0.16, 0.16),
                              bar(0.20, 0, 0.46, 0.28, 0, 0.66, 0.12, 0.11)},
                             0.03},
              cast);
    for (int i = 0; i < 4; i++)
        add_limbs(vehicle,
                  (struct limbs){1,
                                 {bar(0.20 + 0.02 * i, -0.12, 0.48 + 0.05 * i, 0.20 + 0.02 * i, 0.12,
                                      0.48 + 0.05 * i, 0.022, 0.022)},
                                 0.02},
                  metal);
    add_limbs(vehicle,
              (struct limbs){2,
                             {bar(0.46, 0, 0.80, 0.34, 0, 0.34, 0.035, 0.035),
                              bar(0.34, 0, 0.34, -0.10, 0, 0.28, 0.035, 0.035)},
                             0.03},
              black);
    for (int k = -1; k <= 1; k += 2) {
        add_limbs(vehicle,
                  (struct limbs){1, {bar(-0.08, k * 0.11, 0.40, -0.72, k * 0.11, 0.32, 0.04, 0.035)}, 0.03},
                  metal);
        add_limbs(vehicle,
                  (struct limbs){1, {bar(-0.62, k * 0.12, 0.36, -0.48, k * 0.12, 0.74, 0.035, 0.035)}, 0.03},
                  red);
        add_limbs(vehicle,
                  (struct limbs){1, {bar(0.74, k * 0.10, 0.32, 0.48, k * 0.10, 1.00, 0.034, 0.034)}, 0.02},
                  metal);
        add_limbs(vehicle, (struct limbs){1, {bar(0.46, 0, 1.06, 0.34, k * 0.38, 1.08, 0.022, 0.028)}, 0.02},
                  black);
        add_limbs(vehicle,
                  (struct limbs){2,
                                 {bar(0.36, k * 0.30, 1.08, 0.42, k * 0.38, 1.26, 0.012, 0.014),
                                  bar(0.42, k * 0.38, 1.26, 0.42, k * 0.48, 1.28, 0.05, 0.05)},
                                 0.02},
                  black);
        add_limbs(vehicle,
                  (struct limbs){1, {bar(-0.86, k * 0.10, 0.84, -0.86, k * 0.17, 0.84, 0.03, 0.045)}, 0.02},
                  amber);
    }
    add_fittings(vehicle, paint);
}

static void add_rider(struct gtv_vehicle *vehicle, struct gtv_texel jacket)
{
    const struct gtv_texel jeans = {0.16, 0.22, 0.36, 0.05}, shoe = {0.10, 0.09, 0.08, 0.1};
    const struct gtv_texel helmet = {0.86, 0.87, 0.88, 0.7}, visor = {0.04, 0.05, 0.06, 1.0},
                           skin = {0.55, 0.38, 0.28, 0.1};
    struct limbs torso = {6,
                          {bar(-0.28, 0, 0.98, -0.20, 0, 1.22, 0.17, 0.18),
                           bar(-0.20, 0, 1.22, -0.08, 0, 1.42, 0.18, 0.17),
                           bar(-0.06, 0.18, 1.44, 0.10, 0.30, 1.22, 0.085, 0.07),
                           bar(0.10, 0.30, 1.22, 0.32, 0.33, 1.08, 0.065, 0.05),
                           bar(-0.06, -0.18, 1.44, 0.10, -0.30, 1.22, 0.085, 0.07),
                           bar(0.10, -0.30, 1.22, 0.32, -0.33, 1.08, 0.065, 0.05)},
                          0.07};
    add_limbs(vehicle, torso, jacket);
    for (int k = -1; k <= 1; k += 2) {
        add_limbs(vehicle,
                  (struct limbs){3,
                                 {bar(-0.26, k * 0.11, 0.95, 0.16, k * 0.22, 0.84, 0.115, 0.085),
                                  bar(0.16, k * 0.22, 0.84, -0.06, k * 0.22, 0.42, 0.085, 0.06),
                                  bar(-0.28, 0, 0.96, -0.26, k * 0.1, 0.95, 0.13, 0.12)},
                                 0.04},
                  jeans);
        add_limbs(vehicle,
                  (struct limbs){1, {bar(-0.10, k * 0.22, 0.36, 0.12, k * 0.23, 0.34, 0.055, 0.045)}, 0.02},
                  shoe);
        add_limbs(vehicle,
                  (struct limbs){1, {bar(0.31, k * 0.34, 1.08, 0.36, k * 0.34, 1.06, 0.05, 0.045)}, 0.02},
                  skin);
    }
    add_limbs(vehicle, (struct limbs){1, {bar(-0.06, 0, 1.46, -0.03, 0, 1.58, 0.07, 0.07)}, 0.02}, skin);
    add_limbs(vehicle,
              (struct limbs){2,
                             {bar(-0.04, 0, 1.68, -0.02, 0, 1.70, 0.15, 0.15),
                              bar(0.02, 0, 1.60, 0.07, 0, 1.60, 0.12, 0.09)},
                             0.04},
              helmet);
    add_limbs(vehicle, (struct limbs){1, {bar(0.07, -0.05, 1.69, 0.07, 0.05, 1.69, 0.085, 0.085)}, 0.02},
              visor);
}

void gtv_motorcycle_build(struct gtv_vehicle *vehicle, const struct gtv_order *order)
{
    const struct gtv_texel metal = {0.60, 0.61, 0.64, 0.5};
    vehicle->class_name = "motorcycle";
    vehicle->length = 2.15;
    vehicle->width = 0.92;
    vehicle->height = 1.86;
    add_machine(vehicle, order->paint);
    add_rider(vehicle, order->accent);
    gtv_vehicle_add_wheel(vehicle, gtv_vec_make(0.75, 0, 0.32), 0.32, 0.11, 0.74, metal);
    gtv_vehicle_add_wheel(vehicle, gtv_vec_make(-0.72, 0, 0.32), 0.32, 0.14, 0.74, metal);
    gtv_vehicle_add_plate(vehicle, order, gtv_vec_make(-1.08, 0, 0.70), false, true);
}
