#include "services/ai/detect/exam_plates.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <stdlib.h>

// The part of a large picture that holds all vehicles, widened as the localiser's crops are.
static struct gtv_picture_region around_vehicles(const struct gtv_exam *exam)
{
    int left = exam->width, top = exam->height, right = 0, bottom = 0;
    for (size_t i = 0; i < exam->found.count; i++) {
        const struct gtv_detected *d = &exam->found.objects[i];
        int dx = d->w / 10, dy = d->h / 10;
        left = d->x - dx < left ? d->x - dx : left;
        top = d->y - dy < top ? d->y - dy : top;
        right = d->x + d->w + dx > right ? d->x + d->w + dx : right;
        bottom = d->y + d->h + dy > bottom ? d->y + d->h + dy : bottom;
    }
    left = left < 0 ? 0 : left;
    top = top < 0 ? 0 : top;
    return (struct gtv_picture_region){left, top, right - left, bottom - top};
}

// Where the plates lie in the part comes back as where they lie in the picture.
static void move(struct gtv_plate *plate, int dx, int dy)
{
    plate->x += dx;
    plate->y += dy;
    for (int k = 0; k < 4; k++) {
        plate->quad.x[k] += (float)dx;
        plate->quad.y[k] += (float)dy;
    }
}

static void read_part(struct gtv_exam *exam, size_t worker, struct gtv_plates *plates,
                      const struct gtv_image *image, int dx, int dy)
{
    struct gtv_detected *vehicles = gtv_alloc((exam->found.count + 1) * sizeof(*vehicles));
    for (size_t i = 0; i < exam->found.count; i++) {
        vehicles[i] = exam->found.objects[i];
        vehicles[i].x -= dx;
        vehicles[i].y -= dy;
    }
    const struct gtv_plate_picture picture = {image->rgb, image->width, image->height, image->stride};
    struct gtv_exam_plates *out = GTV_NEW(struct gtv_exam_plates);
    out->count = gtv_plates_examine(plates, worker, &picture, vehicles, exam->found.count, out->found);
    for (size_t i = 0; i < out->count; i++)
        move(&out->found[i].plate, dx, dy);
    exam->plates = out;
    free(vehicles);
}

void gtv_exam_read_plates(struct gtv_exam *exam, size_t worker, void *user)
{
    struct gtv_plates *plates = user;
    struct gtv_error err = {0};
    struct gtv_image image = {0};
    if (!gtv_plates_ready(plates))
        return;
    int64_t start = gtv_mono_ns();
    if ((int64_t)exam->width * exam->height <= GTV_EXAM_PLATE_PIXELS) {
        if (gtv_picture_decode(exam->file, &image, &err))
            read_part(exam, worker, plates, &image, 0, 0);
    } else if (exam->found.count) {
        struct gtv_picture_region region = around_vehicles(exam);
        if ((int64_t)region.width * region.height <= GTV_EXAM_PLATE_PIXELS &&
            gtv_picture_decode_region(exam->file, &region, &image, &err))
            read_part(exam, worker, plates, &image, region.x, region.y);
    }
    gtv_image_finish(&image);
    exam->plate_ms = (double)(gtv_mono_ns() - start) / 1e6;
}
