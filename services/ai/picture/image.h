// Posted pictures: JPEG, PNG and WebP into RGB, with limits that hold before anything is allocated.
#ifndef GTV_AI_IMAGE_H
#define GTV_AI_IMAGE_H

#include "lib/base/str.h"

enum {
    GTV_IMAGE_MAX_PIXELS = 50 * 1000 * 1000, // by the header
    GTV_IMAGE_MAX_SCANS = 100,               // of a progressive JPEG: real ones have about ten
    GTV_IMAGE_MAX_PIXELS_PER_BYTE = 2000,    // of a JPEG
    GTV_IMAGE_MAX_DECODE_MS =
        3000, // wall time for one JPEG: a crafted one of some bytes can ask for far more
    GTV_IMAGE_MAX_COEFFICIENTS =
        256 * 1024 * 1024, // bytes that a progressive JPEG may hold while it is decoded
};

// Zeroed is a valid empty image.
struct gtv_image {
    uint8_t *rgb; // rows top down, stride bytes apart
    int width, height;
    size_t stride;
    int full_width, full_height; // of the original; width and height may be 1/2 or 1/4 of it
};

// Decodes at the smallest scale that still has about want_width x want_height pixels (0: at full scale). Any
// thread, no state shared. False with GTV_E_INVALID (not a picture, broken, cut off: err->message says
// which), GTV_E_TOO_LARGE (too many pixels), GTV_E_UNSUPPORTED or GTV_E_UNAVAILABLE (no memory).
bool gtv_image_decode(struct gtv_str data, int want_width, int want_height, struct gtv_image *out,
                      struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_image_finish(struct gtv_image *image);

#endif
