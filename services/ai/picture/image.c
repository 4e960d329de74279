#include "services/ai/picture/image.h"

#include <stdlib.h>

bool gtv_image_alloc(struct gtv_image *out, int width, int height, struct gtv_error *err)
{
    out->width = width;
    out->height = height;
    out->stride = (size_t)width * 3;
    out->rgb = malloc(out->stride * (size_t)height);
    if (!out->rgb)
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "there is no memory for a picture of this size");
    return out->rgb != NULL;
}

void gtv_image_finish(struct gtv_image *image)
{
    free(image->rgb);
    image->rgb = NULL;
}
