// RGB to JPEG: annotated pictures and crops.
#ifndef GTV_AI_JPEG_WRITE_H
#define GTV_AI_JPEG_WRITE_H

#include "lib/base/bytes.h"

enum { GTV_JPEG_QUALITY = 80 };

// Rows top down, stride bytes apart; a crop is its first pixel and its own width and height. quality 1..100.
// One reference is the caller's. NULL without memory, or with a side that is not 1..65500. Any thread.
struct gtv_bytes *gtv_jpeg_encode(const uint8_t *rgb, int width, int height, size_t stride,
                                  int quality) GTV_WARN_UNUSED;

#endif
