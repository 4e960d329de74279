#include "services/ai/picture/picture.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/ai/picture/base64.h"

#include <stdlib.h>

struct gtv_picture_scratch {
    uint8_t *file;
};

struct gtv_picture_scratch *gtv_picture_scratch_create(void)
{
    return GTV_NEW(struct gtv_picture_scratch);
}

void gtv_picture_scratch_destroy(struct gtv_picture_scratch *s)
{
    if (s)
        free(s->file);
    free(s);
}

bool gtv_picture_from_base64(struct gtv_picture_scratch *s, struct gtv_str text, struct gtv_str *file,
                             struct gtv_error *err)
{
    free(s->file);
    s->file = NULL;
    size_t n = 0;
    if (!gtv_base64_decode(text, &s->file, &n, err))
        return false;
    *file = (struct gtv_str){(const char *)s->file, n};
    return true;
}

bool gtv_picture_to_input(struct gtv_picture_scratch *s, struct gtv_str file, const struct gtv_model *model,
                          uint8_t *pixels, struct gtv_geometry *g, struct gtv_picture_info *info,
                          struct gtv_error *err)
{
    int64_t start = gtv_mono_ns();
    struct gtv_image image;
    memset(info, 0, sizeof(*info));
    if (!gtv_image_decode(file, model->input.width, model->input.height, &image, err))
        return false;
    int64_t decoded = gtv_mono_ns();
    info->width = image.full_width;
    info->height = image.full_height;
    info->orientation = info->reduction = 1;
    gtv_geometry_init(g, model, image.full_width, image.full_height);
    bool ok = gtv_geometry_fill(g, image.rgb, image.width, image.height, image.stride, pixels);
    if (!ok)
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "there is no memory for this picture");
    gtv_image_finish(&image);
    info->decode_ms = (double)(decoded - start) / 1e6;
    info->prepare_ms = (double)(gtv_mono_ns() - decoded) / 1e6;
    return ok;
}
