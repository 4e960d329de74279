// A pinhole camera, and vehicles drawn through it.
#ifndef GTV_STREET_RASTER_H
#define GTV_STREET_RASTER_H

#include <stdbool.h>

#include "vehicle.h"

struct gtv_camera {
    int width, height;
    struct gtv_vec at, ahead, right, up;
    double focal, centre_x, centre_y; // pixels
};

// yaw from +x towards +y, pitch downwards; radians.
void gtv_camera_init(struct gtv_camera *camera, struct gtv_vec at, double yaw, double pitch, double focal);

// Pixel of a point in the world; false behind the camera. *depth in metres along the view.
bool gtv_camera_project(const struct gtv_camera *camera, struct gtv_vec p, double *x, double *y,
                        double *depth);

// Where a vehicle stands: the middle of its footprint, the way it looks (0: +x, pi: -x) and how far it has
// rolled.
struct gtv_pose {
    struct gtv_vec at;
    double heading, rolled;
};

struct gtv_vec gtv_pose_apply(const struct gtv_pose *pose, struct gtv_vec p);

struct gtv_light {
    struct gtv_vec sun; // towards the sun, of length 1
    double sun_strength, sky_strength;
};

// A rectangle of pixels with premultiplied colour in 0..1.
struct gtv_layer {
    int x0, y0, w, h;
    float *rgba;
};

// The vehicle alone, clipped to the picture; NULL where nothing of it is inside. `box` is where the whole
// of it would be: left, top, right, bottom in pixels, not clipped.
struct gtv_layer *gtv_layer_vehicle(const struct gtv_camera *camera, const struct gtv_light *light,
                                    const struct gtv_vehicle *vehicle, const struct gtv_pose *pose,
                                    double box[4]);

// The vehicle's shadow on the ground: only the alpha of each pixel counts.
struct gtv_layer *gtv_layer_shadow(const struct gtv_camera *camera, const struct gtv_light *light,
                                   const struct gtv_vehicle *vehicle, const struct gtv_pose *pose);

void gtv_layer_destroy(struct gtv_layer *layer);

// Light of the sky and the street that comes from a direction.
void gtv_surroundings(struct gtv_vec direction, double rgb[3]);

#endif
