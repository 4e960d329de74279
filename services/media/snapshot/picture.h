// One key frame to a JPEG: decoded by libavcodec, scaled by libswscale, written by libjpeg-turbo. Nothing is
// kept between two pictures. Any thread; takes some tens of milliseconds.
#ifndef GTV_MEDIA_PICTURE_H
#define GTV_MEDIA_PICTURE_H

#include "lib/video/sample.h"

enum {
    GTV_PICTURE_LEAST = 16,  // pixels of a side
    GTV_PICTURE_MOST = 8192, // of a side; larger pictures are refused
    GTV_PICTURE_WIDTHS = 4,  // made of one picture at once
};

// The width that is made where `wanted` is asked for (0: the picture's own): even, never wider than the
// picture.
int gtv_picture_width(const struct gtv_format *f, int wanted);

struct gtv_picture {
    int width;              // in
    struct gtv_bytes *jpeg; // out: the caller's reference; NULL when it failed
};

// Decodes the key frame (in stored form) once and writes it in each of n widths, as gtv_picture_width gives
// them; the height follows the picture's shape. False when it cannot be decoded.
bool gtv_picture_make(const struct gtv_format *f, const struct gtv_bytes *key_frame, struct gtv_picture *out,
                      size_t n) GTV_WARN_UNUSED;

#endif
