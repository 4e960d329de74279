// The JPEG half of image.h.
#ifndef GTV_AI_IMAGE_JPEG_H
#define GTV_AI_IMAGE_JPEG_H

#include "services/ai/picture/image.h"

bool gtv_image_decode_jpeg(struct gtv_str data, int want_width, int want_height, struct gtv_image *out,
                           struct gtv_error *err) GTV_WARN_UNUSED;
// Checks the size against the limit and allocates width x height of RGB. Used by all formats.
bool gtv_image_check_size(int64_t width, int64_t height, struct gtv_error *err) GTV_WARN_UNUSED;
bool gtv_image_alloc(struct gtv_image *out, int width, int height, struct gtv_error *err) GTV_WARN_UNUSED;
// The largest of 4, 2 and 1 by which full can be divided and still hold about want pixels on each side.
int gtv_image_reduction(int full_width, int full_height, int want_width, int want_height);

#endif
