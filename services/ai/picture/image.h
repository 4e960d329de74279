// A picture in RGB, and the limits that hold for posted ones before anything is allocated.
#ifndef GTV_AI_IMAGE_H
#define GTV_AI_IMAGE_H

#include "lib/base/str.h"

enum {
    GTV_IMAGE_MAX_PIXELS = 50 * 1000 * 1000, // by the header
    GTV_IMAGE_MAX_SIDE = 65500,
    GTV_IMAGE_MIN_PERCENT_OF_ROWS = 75,   // that a cut off picture must have
    GTV_IMAGE_MAX_SCANS = 100,            // of a progressive JPEG: real ones have about ten
    GTV_IMAGE_MAX_PIXELS_PER_BYTE = 2000, // of a JPEG
    // Processor time for one JPEG or PNG: a crafted one of some bytes can ask for far more. A busy machine is
    // not the picture's fault.
    GTV_IMAGE_MAX_DECODE_MS = 3000,
    // Bytes that a progressive JPEG may hold while it is decoded.
    GTV_IMAGE_MAX_COEFFICIENTS = 256 * 1024 * 1024,
};

// Zeroed is a valid empty image.
struct gtv_image {
    uint8_t *rgb; // rows top down, stride bytes apart
    int width, height;
    size_t stride;
    int full_width, full_height; // of the picture that this may be a region of
};

// Allocates width x height of RGB, not cleared. False with GTV_E_UNAVAILABLE.
bool gtv_image_alloc(struct gtv_image *out, int width, int height, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_image_finish(struct gtv_image *image);

#endif
