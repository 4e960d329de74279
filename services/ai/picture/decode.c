#include "services/ai/picture/decode.h"

#include "lib/base/clock.h"

#include <stdlib.h>

uint8_t *gtv_decode_memory(struct gtv_decode *d, size_t n)
{
    if (*d->memory_size < n) {
        free(*d->memory);
        *d->memory = malloc(n);
        *d->memory_size = *d->memory ? n : 0;
    }
    if (!*d->memory)
        gtv_error_set(d->err, GTV_E_UNAVAILABLE, NULL, "there is no memory for a picture of this size");
    return *d->memory;
}

bool gtv_decode_late(struct gtv_decode *d)
{
    if (gtv_thread_ms() <= d->deadline_ms)
        return false;
    gtv_error_set(d->err, GTV_E_INVALID, NULL, "the picture takes too long to decode");
    return true;
}

bool gtv_decode_rows_begin(struct gtv_decode *d, int columns, int rows, double extent_x, double extent_y)
{
    size_t line = (size_t)columns * 3 + GTV_RESAMPLE_SLACK, plane = (size_t)columns + GTV_RESAMPLE_SLACK;
    d->columns = columns;
    d->rows = rows;
    d->line = gtv_decode_memory(d, line + 3 * plane);
    if (!d->line)
        return false;
    for (size_t i = 0; i < 3; i++)
        d->planes[i] = d->line + line + i * plane;
    if (d->image)
        return true;
    const struct gtv_resample_plane p = {columns, rows, extent_x, extent_y};
    const struct gtv_resample_plane planes[3] = {p, p, p};
    if (gtv_resampler_begin(d->resampler, d->geometry, d->info->orientation, GTV_RESAMPLE_RGB, planes,
                            d->pixels))
        return true;
    gtv_error_set(d->err, GTV_E_UNAVAILABLE, NULL, "there is no memory for a picture of this size");
    return false;
}

static bool straight(const struct gtv_decode *d)
{
    return d->image && d->info->orientation == 1 && d->part.x == 0 && d->part.y == 0 &&
           d->part.width == d->columns && d->part.height == d->rows;
}

uint8_t *gtv_decode_row_room(struct gtv_decode *d, int y)
{
    return straight(d) ? d->image->rgb + (size_t)y * d->image->stride : d->line;
}

static void into_image(struct gtv_decode *d, int y, const uint8_t *rgb)
{
    struct gtv_image *image = d->image;
    struct gtv_upright u = gtv_upright(d->info->orientation, image->width, image->height);
    ptrdiff_t stride = (ptrdiff_t)image->stride;
    uint8_t *to = image->rgb + (u.y + u.down_y * y) * stride + (ptrdiff_t)(u.x + u.down_x * y) * 3;
    ptrdiff_t right = (ptrdiff_t)u.right_x * 3 + u.right_y * stride;
    if (right == 3) {
        memcpy(to, rgb, (size_t)d->part.width * 3);
        return;
    }
    for (int x = 0; x < d->part.width; x++, to += right, rgb += 3) {
        to[0] = rgb[0];
        to[1] = rgb[1];
        to[2] = rgb[2];
    }
}

void gtv_decode_row(struct gtv_decode *d, int y, int x, const uint8_t *rgb)
{
    if (d->image) {
        int from = d->part.y;
        if (!straight(d) && y >= from && y < from + d->part.height)
            into_image(d, y - from, rgb + (size_t)(d->part.x - x) * 3);
        return;
    }
    int64_t start = gtv_mono_ns();
    uint8_t *r = d->planes[0], *g = d->planes[1], *b = d->planes[2];
    for (size_t i = 0; i < (size_t)d->columns; i++) {
        r[i] = rgb[3 * i];
        g[i] = rgb[3 * i + 1];
        b[i] = rgb[3 * i + 2];
    }
    for (int i = 0; i < 3; i++)
        gtv_resampler_row(d->resampler, i, d->planes[i]);
    gtv_resampler_drain(d->resampler);
    d->prepare_ns += gtv_mono_ns() - start;
}

void gtv_decode_rows_end(struct gtv_decode *d, int y)
{
    if (!d->image) {
        gtv_resampler_end(d->resampler);
        return;
    }
    for (; y < d->rows; y++) {
        uint8_t *room = gtv_decode_row_room(d, y);
        memset(room, 128, (size_t)d->columns * 3);
        gtv_decode_row(d, y, 0, room);
    }
}
