#include "services/ai/detect/annotate.h"

#include "services/ai/picture/draw.h"
#include "services/ai/picture/jpeg_write.h"

#include "lib/base/mem.h"
#include "services/ai/detect/exam_plates.h"

#include <stdio.h>

static struct gtv_draw_color color_of(const char *object_type)
{
    for (int i = 0; i < GTV_VEHICLE_COUNT; i++)
        if (gtv_str_eq(gtv_str_of(object_type), gtv_str_of(gtv_vehicle_names[i])))
            return gtv_draw_kind_color(i);
    return gtv_draw_kind_color(0);
}

static void draw_plates(const struct gtv_exam *exam, struct gtv_image *image)
{
    static const struct gtv_draw_color white = {255, 255, 255};
    for (size_t i = 0; exam->plates && i < exam->plates->count; i++) {
        const struct gtv_plate *plate = &exam->plates->found[i].plate;
        gtv_draw_box(image, plate->x, plate->y, plate->w, plate->h, gtv_str_of(plate->text), white);
    }
}

struct gtv_bytes *gtv_exam_draw(const struct gtv_exam *exam, struct gtv_str file, struct gtv_error *err)
{
    struct gtv_image image;
    if (!gtv_picture_decode(file, &image, err))
        return NULL;
    // The surest last: where boxes overlap, it is the one that can be read.
    for (size_t i = exam->found.count; i-- > 0;) {
        const struct gtv_detected *d = &exam->found.objects[i];
        char label[64];
        int n = snprintf(label, sizeof(label), "%s %.2f", d->object_type, d->confidence);
        gtv_draw_box(&image, d->x, d->y, d->w, d->h, (struct gtv_str){label, (size_t)n},
                     color_of(d->object_type));
    }
    draw_plates(exam, &image);
    struct gtv_bytes *jpeg =
        gtv_jpeg_encode(image.rgb, image.width, image.height, image.stride, GTV_JPEG_QUALITY);
    gtv_image_finish(&image);
    if (!jpeg)
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "there is no memory for the annotated picture");
    return jpeg;
}

char *gtv_data_url(const struct gtv_bytes *jpeg, size_t *len)
{
    static const char signs[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const struct gtv_str prefix = {"data:image/jpeg;base64,", 23};
    char *text = gtv_alloc(prefix.n + (jpeg->len + 2) / 3 * 4 + 1), *at = text + prefix.n;
    memcpy(text, prefix.p, prefix.n);
    for (size_t i = 0; i < jpeg->len; i += 3) {
        size_t left = jpeg->len - i;
        uint32_t v = (uint32_t)jpeg->data[i] << 16;
        v |= left > 1 ? (uint32_t)jpeg->data[i + 1] << 8 : 0;
        v |= left > 2 ? jpeg->data[i + 2] : 0;
        *at++ = signs[v >> 18];
        *at++ = signs[v >> 12 & 63];
        *at++ = left > 1 ? signs[v >> 6 & 63] : '=';
        *at++ = left > 2 ? signs[v & 63] : '=';
    }
    *len = (size_t)(at - text);
    return text;
}
