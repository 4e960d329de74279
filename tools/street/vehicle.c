#include "vehicle.h"

#include <stdio.h>
#include <stdlib.h>

#include "plate.h"

struct gtv_part *gtv_vehicle_add(struct gtv_vehicle *vehicle, enum gtv_part_kind kind, struct gtv_mesh *mesh)
{
    if (vehicle->part_count == GTV_PARTS_MAX) {
        fputs("gtv-street: a vehicle has too many parts\n", stderr);
        abort();
    }
    struct gtv_part *part = &vehicle->part[vehicle->part_count++];
    part->kind = kind;
    part->mesh = mesh;
    return part;
}

static struct gtv_texture *wheel_picture(double radius, double rim, struct gtv_texel metal)
{
    const struct gtv_texel rubber = {0.07, 0.07, 0.075, 0.05}, dark = {0.10, 0.10, 0.11, 0.1};
    struct gtv_canvas *canvas = gtv_canvas_create(-radius, -radius, radius, radius, 64.0 / radius, rubber);
    gtv_canvas_disc(canvas, 0, 0, radius * rim * 1.04, dark);
    gtv_canvas_disc(canvas, 0, 0, radius * rim, metal);
    gtv_canvas_disc(canvas, 0, 0, radius * rim * 0.90, dark);
    for (int i = 0; i < 6; i++) {
        double a = M_PI * (double)i / 3.0 + 0.2;
        gtv_canvas_line(canvas, 0, 0, cos(a) * radius * rim * 0.93, sin(a) * radius * rim * 0.93,
                        radius * 0.17, metal);
    }
    gtv_canvas_disc(canvas, 0, 0, radius * rim * 0.32, metal);
    gtv_canvas_disc(canvas, 0, 0, radius * rim * 0.16, dark);
    return gtv_canvas_finish(canvas);
}

void gtv_vehicle_add_wheel(struct gtv_vehicle *vehicle, struct gtv_vec at, double radius, double width,
                           double rim, struct gtv_texel metal)
{
    struct gtv_part *part = gtv_vehicle_add(vehicle, GTV_PART_WHEEL, gtv_mesh_wheel(radius, width));
    part->picture = wheel_picture(radius, rim, metal);
    part->flat = gtv_texel_make(0.08, 0.08, 0.085, 0.05);
    part->at = at;
    part->radius = radius;
}

void gtv_vehicle_add_plate(struct gtv_vehicle *vehicle, const struct gtv_order *order, struct gtv_vec at,
                           bool forward, bool two_lines)
{
    double w, h;
    struct gtv_texture *picture = gtv_plate_paint(order->plate, order->format, two_lines, &w, &h);
    // As read: from ahead of the vehicle its right hand (-y) is on the reader's left.
    double left = forward ? -w / 2 : w / 2, lean = forward ? 0.0 : 0.0;
    struct gtv_vec corner[4] = {
        {at.x - lean, at.y + left, at.z + h / 2},
        {at.x - lean, at.y - left, at.z + h / 2},
        {at.x + lean, at.y - left, at.z - h / 2},
        {at.x + lean, at.y + left, at.z - h / 2},
    };
    struct gtv_mesh *mesh = gtv_mesh_quad(corner, gtv_vec_make(forward ? 1 : -1, 0, 0));
    struct gtv_part *part = gtv_vehicle_add(vehicle, GTV_PART_PLATE, mesh);
    part->picture = picture;
    part->forward = forward;
    // The picture is painted about its own middle; the mesh lies where the plate is.
    picture->u0 += forward ? at.y : -at.y;
    picture->v1 += at.z;
    for (int i = 0; i < 4; i++)
        vehicle->plate[vehicle->plate_count][i] = corner[i];
    vehicle->plate_count++;
}

struct gtv_vehicle *gtv_vehicle_create(const struct gtv_order *order)
{
    struct gtv_vehicle *vehicle = gtv_street_alloc(1, sizeof *vehicle);
    switch (order->model) {
    case GTV_MODEL_HATCH:
    case GTV_MODEL_SEDAN:
    case GTV_MODEL_SUV:
        gtv_car_build(vehicle, order);
        break;
    case GTV_MODEL_BUS:
        gtv_bus_build(vehicle, order);
        break;
    case GTV_MODEL_TRUCK:
        gtv_truck_build(vehicle, order);
        break;
    case GTV_MODEL_MOTORCYCLE:
        gtv_motorcycle_build(vehicle, order);
        break;
    }
    return vehicle;
}

void gtv_vehicle_destroy(struct gtv_vehicle *vehicle)
{
    if (vehicle == NULL)
        return;
    for (int i = 0; i < vehicle->part_count; i++) {
        gtv_mesh_destroy(vehicle->part[i].mesh);
        gtv_texture_destroy(vehicle->part[i].picture);
        for (int v = 0; v < GTV_VIEWS; v++)
            gtv_texture_destroy(vehicle->part[i].skin.view[v]);
    }
    free(vehicle);
}
