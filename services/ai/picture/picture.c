#include "services/ai/picture/picture.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/ai/picture/base64.h"
#include "services/ai/picture/decode.h"
#include "services/ai/picture/exif.h"

#include <stdlib.h>
#include <webp/decode.h>

// What a worker keeps is some hundred KiB; what a giant needed is given back after it.
enum { KEEP = 4 * 1024 * 1024 };

struct gtv_picture_scratch {
    uint8_t *file; // out of base64
    size_t file_size;
    uint8_t *rows; // the decoders'
    size_t rows_size;
    struct gtv_resampler *resampler;
};

struct gtv_picture_scratch *gtv_picture_scratch_create(void)
{
    struct gtv_picture_scratch *s = GTV_NEW(struct gtv_picture_scratch);
    s->resampler = gtv_resampler_create();
    return s;
}

void gtv_picture_scratch_destroy(struct gtv_picture_scratch *s)
{
    if (!s)
        return;
    free(s->file);
    free(s->rows);
    gtv_resampler_destroy(s->resampler);
    free(s);
}

static void shrink(uint8_t **p, size_t *size)
{
    if (*size <= KEEP)
        return;
    free(*p);
    *p = NULL;
    *size = 0;
}

bool gtv_picture_from_base64(struct gtv_picture_scratch *s, struct gtv_str text, struct gtv_str *file,
                             struct gtv_error *err)
{
    size_t need = gtv_base64_room(text.n), n = 0;
    if (need <= KEEP)
        shrink(&s->file, &s->file_size);
    if (s->file_size < need) {
        free(s->file);
        s->file = malloc(need);
        s->file_size = s->file ? need : 0;
    }
    if (!s->file) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "there is no memory for this picture");
        return false;
    }
    if (!gtv_base64_decode_into(text, s->file, &n, err))
        return false;
    *file = (struct gtv_str){(const char *)s->file, n};
    return true;
}

// ---- Headers ----

static bool check_size(int64_t width, int64_t height, struct gtv_error *err)
{
    if (width < 1 || height < 1) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "the picture is empty");
        return false;
    }
    if (width > GTV_IMAGE_MAX_SIDE || height > GTV_IMAGE_MAX_SIDE || width * height > GTV_IMAGE_MAX_PIXELS) {
        gtv_error_set(err, GTV_E_TOO_LARGE, NULL,
                      "the picture has %lld x %lld pixels; at most %d million are taken, and %d a side",
                      (long long)width, (long long)height, GTV_IMAGE_MAX_PIXELS / 1000000,
                      GTV_IMAGE_MAX_SIDE);
        return false;
    }
    return true;
}

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool refuse(struct gtv_error *err, const char *why)
{
    gtv_error_set(err, GTV_E_INVALID, NULL, "%s", why);
    return false;
}

// Size as stored, and orientation.
static bool read_header(struct gtv_str file, struct gtv_picture_info *info, int64_t *width, int64_t *height,
                        struct gtv_error *err)
{
    const uint8_t *p = (const uint8_t *)file.p;
    if (file.n == 0)
        return refuse(err, "the picture is empty");
    if (file.n >= 3 && memcmp(p, "\xFF\xD8\xFF", 3) == 0) {
        int w = 0, h = 0;
        info->format = GTV_PICTURE_JPEG;
        info->orientation = gtv_exif_jpeg(file);
        if (!gtv_jpeg_size(file, &w, &h))
            return refuse(err, "the JPEG is cut off before its picture begins, or has none");
        *width = w;
        *height = h;
    } else if (file.n >= 8 && memcmp(p, "\x89PNG\r\n\x1a\n", 8) == 0) {
        info->format = GTV_PICTURE_PNG;
        info->orientation = gtv_exif_png(file);
        if (file.n < 24 || memcmp(p + 12, "IHDR", 4) != 0)
            return refuse(err, "the PNG is cut off in its header, or has none");
        *width = big_endian(p + 16);
        *height = big_endian(p + 20);
    } else if (file.n >= 12 && memcmp(p, "RIFF", 4) == 0 && memcmp(p + 8, "WEBP", 4) == 0) {
        WebPBitstreamFeatures features;
        info->format = GTV_PICTURE_WEBP;
        info->orientation = gtv_exif_webp(file);
        if (WebPGetFeatures(p, file.n, &features) != VP8_STATUS_OK)
            return refuse(err, "the WebP has a broken header");
        if (features.has_animation)
            return refuse(err, "the WebP is an animation; a still picture is needed");
        *width = features.width;
        *height = features.height;
    } else {
        return refuse(err, "this is no picture that can be read: JPEG, PNG and WebP can");
    }
    return true;
}

bool gtv_picture_probe(struct gtv_str file, struct gtv_picture_info *info, struct gtv_error *err)
{
    memset(info, 0, sizeof(*info));
    info->orientation = info->reduction = 1;
    int64_t width = 0, height = 0;
    if (!read_header(file, info, &width, &height, err) || !check_size(width, height, err))
        return false;
    bool lies = info->orientation >= 5;
    info->width = (int)(lies ? height : width);
    info->height = (int)(lies ? width : height);
    return true;
}

// ---- Decoding ----

static void aim(struct gtv_decode *d, struct gtv_str file, struct gtv_picture_info *info,
                struct gtv_error *err)
{
    bool lies = info->orientation >= 5;
    d->file = file;
    d->info = info;
    d->err = err;
    d->width = lies ? info->height : info->width;
    d->height = lies ? info->width : info->height;
    d->by = 1;
    d->deadline_ms = gtv_thread_ms() + GTV_IMAGE_MAX_DECODE_MS;
}

// The largest of 4, 2 and 1 by which the picture can be divided and still hold what is wanted. (By 8/5 and
// 8/3 decoders are slower than at full size.)
static int reduction(int width, int height, int want_width, int want_height)
{
    for (int by = 4; by > 1; by /= 2) {
        // A side that falls short by less than a sixth costs no measurable accuracy and saves half of the
        // decoding.
        if (width / by * 6 >= want_width * 5 && height / by * 6 >= want_height * 5)
            return by;
    }
    return 1;
}

static bool decode(struct gtv_decode *d)
{
    switch (d->info->format) {
    case GTV_PICTURE_JPEG:
        return gtv_decode_jpeg(d);
    case GTV_PICTURE_PNG:
        return gtv_decode_png(d);
    default:
        return gtv_decode_webp(d);
    }
}

static bool to_input(struct gtv_picture_scratch *s, struct gtv_str file, const struct gtv_model *model,
                     uint8_t *pixels, struct gtv_geometry *g, struct gtv_picture_info *info,
                     struct gtv_error *err)
{
    struct gtv_decode d = {.memory = &s->rows, .memory_size = &s->rows_size, .resampler = s->resampler};
    gtv_geometry_init(g, model, info->width, info->height);
    aim(&d, file, info, err);
    bool lies = info->orientation >= 5;
    if (info->format != GTV_PICTURE_PNG)
        d.by = reduction(d.width, d.height, lies ? g->height : g->width, lies ? g->width : g->height);
    info->reduction = d.by;
    d.geometry = g;
    d.pixels = pixels;
    bool ok = decode(&d);
    info->prepare_ms = (double)d.prepare_ns / 1e6;
    shrink(&s->rows, &s->rows_size);
    return ok;
}

bool gtv_picture_to_input(struct gtv_picture_scratch *s, struct gtv_str file, const struct gtv_model *model,
                          uint8_t *pixels, struct gtv_geometry *g, struct gtv_picture_info *info,
                          struct gtv_error *err)
{
    int64_t start = gtv_mono_ns();
    struct gtv_error none = {0};
    err = err ? err : &none;
    if (!gtv_picture_probe(file, info, err))
        return false;
    struct gtv_picture_scratch *own = s ? NULL : gtv_picture_scratch_create();
    bool ok = to_input(s ? s : own, file, model, pixels, g, info, err);
    gtv_picture_scratch_destroy(own);
    info->decode_ms = (double)(gtv_mono_ns() - start) / 1e6 - info->prepare_ms;
    return ok;
}

// The wanted region of the upright picture, as it lies in the stored one.
static struct gtv_picture_region stored(const struct gtv_decode *d, const struct gtv_picture_region *r)
{
    struct gtv_upright u = gtv_upright(d->info->orientation, d->info->width, d->info->height);
    // Both corners of the region, back through the steps: their matrix is its own inverse's transpose.
    int x0 = r->x - u.x, y0 = r->y - u.y, x1 = x0 + r->width - 1, y1 = y0 + r->height - 1;
    int ax = x0 * u.right_x + y0 * u.right_y, ay = x0 * u.down_x + y0 * u.down_y;
    int bx = x1 * u.right_x + y1 * u.right_y, by = x1 * u.down_x + y1 * u.down_y;
    return (struct gtv_picture_region){ax < bx ? ax : bx, ay < by ? ay : by, abs(ax - bx) + 1,
                                       abs(ay - by) + 1};
}

static bool cut_region(struct gtv_picture_region *r, int width, int height)
{
    int64_t x1 = (int64_t)r->x + r->width, y1 = (int64_t)r->y + r->height;
    x1 = x1 > width ? width : x1;
    y1 = y1 > height ? height : y1;
    r->x = r->x < 0 ? 0 : r->x;
    r->y = r->y < 0 ? 0 : r->y;
    if (x1 <= r->x || y1 <= r->y)
        return false;
    r->width = (int)(x1 - r->x);
    r->height = (int)(y1 - r->y);
    return true;
}

bool gtv_picture_decode_region(struct gtv_str file, struct gtv_picture_region *region, struct gtv_image *out,
                               struct gtv_error *err)
{
    struct gtv_error none = {0};
    err = err ? err : &none;
    memset(out, 0, sizeof(*out));
    struct gtv_picture_info info;
    if (!gtv_picture_probe(file, &info, err))
        return false;
    if (!cut_region(region, info.width, info.height))
        return refuse(err, "nothing of this region lies in the picture");
    uint8_t *memory = NULL;
    size_t size = 0;
    struct gtv_decode d = {.memory = &memory, .memory_size = &size, .image = out};
    aim(&d, file, &info, err);
    d.part = stored(&d, region);
    out->full_width = info.width;
    out->full_height = info.height;
    bool ok = gtv_image_alloc(out, region->width, region->height, err) && decode(&d);
    free(memory);
    if (!ok)
        gtv_image_finish(out);
    return ok;
}

bool gtv_picture_decode(struct gtv_str file, struct gtv_image *out, struct gtv_error *err)
{
    struct gtv_picture_region whole = {0, 0, GTV_IMAGE_MAX_SIDE, GTV_IMAGE_MAX_SIDE};
    return gtv_picture_decode_region(file, &whole, out, err);
}
