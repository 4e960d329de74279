// Pictures as clients of the ai service post them, from their headers to the network's input. The first byte
// chooses what becomes of it.
#include "services/ai/picture/picture.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct gtv_image *image)
{
    if (image->stride < (size_t)image->width * 3 || image->full_width < image->width ||
        image->full_height < image->height)
        abort();
    volatile uint8_t last = image->rgb[image->stride * (size_t)(image->height - 1)];
    (void)last;
}

static void to_input(struct gtv_str data, int width, int height, enum gtv_resize resize)
{
    static struct gtv_picture_scratch
        *scratch; // as a worker's: what one picture leaves must not hurt the next
    static uint8_t pixels[160 * 160 * 3];
    scratch = scratch ? scratch : gtv_picture_scratch_create();
    struct gtv_model model = {.input = {.width = width, .height = height}, .resize = resize, .pad = 114};
    struct gtv_geometry g;
    struct gtv_picture_info info;
    struct gtv_error err = {0};
    if (!gtv_picture_to_input(scratch, data, &model, pixels, &g, &info, &err)) {
        if (!err.code || !err.message[0])
            abort();
        return;
    }
    if (info.orientation < 1 || info.orientation > 8 ||
        (int64_t)info.width * info.height > GTV_IMAGE_MAX_PIXELS || g.x + g.width > width ||
        g.y + g.height > height)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct gtv_str rest = {(const char *)data + 1, size - 1};
    struct gtv_image image;
    struct gtv_error err = {0};
    struct gtv_picture_region region = {data[0] / 4, data[0] / 8, 1 + data[0] / 2, 33};
    switch (data[0] % 4) {
    case 0:
        to_input(rest, 160, 96, GTV_RESIZE_STRETCH);
        break;
    case 1:
        to_input(rest, 24, 160, GTV_RESIZE_LETTERBOX_CENTER);
        break;
    case 2:
        if (!gtv_picture_decode(rest, &image, &err))
            return 0;
        check(&image);
        gtv_image_finish(&image);
        break;
    default:
        if (!gtv_picture_decode_region(rest, &region, &image, &err))
            return 0;
        check(&image);
        if (image.width != region.width || image.height != region.height)
            abort();
        gtv_image_finish(&image);
    }
    return 0;
}
