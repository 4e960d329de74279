// Crops of plates: from four corners in a picture to a recogniser's input, and what the crop itself tells.
// Pure arithmetic: any thread. Pictures are u8 RGB, rows top down, stride bytes apart.
#ifndef GTV_AI_PLATE_CROP_H
#define GTV_AI_PLATE_CROP_H

#include "lib/base/str.h"

// Corners in pixels of the picture, as the plate is read: top left, top right, bottom right, bottom left.
struct gtv_plate_quad {
    float x[4], y[4];
};
struct gtv_plate_quad gtv_plate_quad_of_box(float left, float top, float right, float bottom);
double gtv_plate_quad_width(const struct gtv_plate_quad *q); // means of opposite sides
double gtv_plate_quad_height(const struct gtv_plate_quad *q);
// How far it is turned and skewed, in degrees from upright: the greater of its lower edge's slope and of its
// sides' lean.
double gtv_plate_quad_tilt(const struct gtv_plate_quad *q);

struct gtv_plate_picture {
    const uint8_t *rgb;
    int width, height;
    size_t stride;
};

// Draws the part of the plate between x0..x1 and y0..y1 (0..1 from its upper left to its lower right corner;
// outside of it is what lies around) into a rectangle of `out` that is width x height pixels, out_stride
// bytes a row. Perspective by the four corners; bicubic where it enlarges, averaged where it reduces. Beyond
// the picture its edge goes on. Degenerate corners give grey.
void gtv_plate_warp(const struct gtv_plate_picture *picture, const struct gtv_plate_quad *q, double x0,
                    double y0, double x1, double y1, uint8_t *out, int width, int height, size_t out_stride);

// Variance of the Laplacian of the luma (Pech-Pacheco et al. 2000), of a crop of fixed size.
double gtv_plate_sharpness(const uint8_t *rgb, int width, int height, size_t stride);

// Log odds of the Mercosul format by the blue band at the upper edge of a crop that holds the plate with
// `margin` (share of its size) on each side. Near 0 where the picture has no colours.
double gtv_plate_blue_band(const uint8_t *rgb, int width, int height, size_t stride, double margin);

#endif
