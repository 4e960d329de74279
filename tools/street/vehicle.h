// The vehicles: their solids, their paint and their plates.
#ifndef GTV_STREET_VEHICLE_H
#define GTV_STREET_VEHICLE_H

#include <stdbool.h>

#include "shape.h"
#include "texture.h"

#define GTV_PARTS_MAX 64

enum gtv_part_kind {
    GTV_PART_SKIN,  // four views, chosen by the way the surface looks
    GTV_PART_FLAT,  // one colour
    GTV_PART_WHEEL, // turns as the vehicle moves
    GTV_PART_PLATE, // a picture on a rectangle
};

enum gtv_view { GTV_VIEW_SIDE, GTV_VIEW_FRONT, GTV_VIEW_REAR, GTV_VIEW_TOP, GTV_VIEWS };

struct gtv_skin {
    struct gtv_texture *view[GTV_VIEWS];
};

struct gtv_part {
    enum gtv_part_kind kind;
    struct gtv_mesh *mesh;
    struct gtv_skin skin;
    struct gtv_texture *picture; // wheel or plate
    struct gtv_texel flat;
    struct gtv_vec at; // where the mesh's origin lies on the vehicle
    double radius;     // wheel
    bool forward;      // plate: looks ahead
};

struct gtv_vehicle {
    const char *class_name;
    double length, width, height;
    int part_count;
    struct gtv_part part[GTV_PARTS_MAX];
    int plate_count;
    struct gtv_vec plate[2][4]; // corners: top left, top right, bottom right, bottom left, as read
};

enum gtv_plate_format { GTV_PLATE_MERCOSUL, GTV_PLATE_OLD };

enum gtv_model {
    GTV_MODEL_HATCH,
    GTV_MODEL_SEDAN,
    GTV_MODEL_SUV,
    GTV_MODEL_BUS,
    GTV_MODEL_TRUCK,
    GTV_MODEL_MOTORCYCLE,
};

struct gtv_order {
    enum gtv_model model;
    struct gtv_texel paint, accent;
    const char *plate; // seven characters
    enum gtv_plate_format format;
};

struct gtv_vehicle *gtv_vehicle_create(const struct gtv_order *order);
void gtv_vehicle_destroy(struct gtv_vehicle *vehicle);

// For the makers of the models.
struct gtv_part *gtv_vehicle_add(struct gtv_vehicle *vehicle, enum gtv_part_kind kind, struct gtv_mesh *mesh);
void gtv_vehicle_add_wheel(struct gtv_vehicle *vehicle, struct gtv_vec at, double radius, double width,
                           double rim, struct gtv_texel metal);
// A plate whose middle is at `at`; `forward`: on the front; two lines: the plate of a motorcycle.
void gtv_vehicle_add_plate(struct gtv_vehicle *vehicle, const struct gtv_order *order, struct gtv_vec at,
                           bool forward, bool two_lines);
void gtv_car_build(struct gtv_vehicle *vehicle, const struct gtv_order *order);
void gtv_bus_build(struct gtv_vehicle *vehicle, const struct gtv_order *order);
void gtv_truck_build(struct gtv_vehicle *vehicle, const struct gtv_order *order);
void gtv_motorcycle_build(struct gtv_vehicle *vehicle, const struct gtv_order *order);

static inline struct gtv_texel gtv_texel_make(double r, double g, double b, double gloss)
{
    return (struct gtv_texel){r, g, b, gloss};
}

static inline struct gtv_texel gtv_texel_shade(struct gtv_texel t, double k)
{
    return (struct gtv_texel){gtv_least(t.r * k, 1.0), gtv_least(t.g * k, 1.0), gtv_least(t.b * k, 1.0),
                              t.gloss};
}

#endif
