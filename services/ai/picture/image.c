#include "services/ai/picture/image.h"

#include "services/ai/picture/image_jpeg.h"

#include <png.h>
#include <stdlib.h>
#include <webp/decode.h>

bool gtv_image_check_size(int64_t width, int64_t height, struct gtv_error *err)
{
    if (width < 1 || height < 1) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "the picture is empty");
        return false;
    }
    if (width > GTV_IMAGE_MAX_PIXELS || height > GTV_IMAGE_MAX_PIXELS ||
        width * height > GTV_IMAGE_MAX_PIXELS) {
        gtv_error_set(err, GTV_E_TOO_LARGE, NULL,
                      "the picture has %lld x %lld pixels; at most %d million are taken", (long long)width,
                      (long long)height, GTV_IMAGE_MAX_PIXELS / 1000000);
        return false;
    }
    return true;
}

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

int gtv_image_reduction(int full_width, int full_height, int want_width, int want_height)
{
    if (want_width <= 0 || want_height <= 0)
        return 1;
    for (int by = 4; by > 1; by /= 2) {
        // A side that falls short by less than a sixth costs no measurable accuracy and saves half of the
        // decoding.
        if (full_width / by * 6 >= want_width * 5 && full_height / by * 6 >= want_height * 5)
            return by;
    }
    return 1;
}

void gtv_image_finish(struct gtv_image *image)
{
    free(image->rgb);
    image->rgb = NULL;
}

static bool decode_png(struct gtv_str data, struct gtv_image *out, struct gtv_error *err)
{
    png_image png = {.version = PNG_IMAGE_VERSION};
    bool ok = png_image_begin_read_from_memory(&png, data.p, data.n) != 0;
    if (!ok)
        gtv_error_set(err, GTV_E_INVALID, NULL, "the PNG cannot be read: %.120s", png.message);
    ok = ok && gtv_image_check_size(png.width, png.height, err) &&
         gtv_image_alloc(out, (int)png.width, (int)png.height, err);
    if (ok) {
        png.format = PNG_FORMAT_RGB;
        const png_color behind = {0, 0, 0}; // what shows through transparent parts
        ok = png_image_finish_read(&png, &behind, out->rgb, 0, NULL) != 0;
        if (!ok)
            gtv_error_set(err, GTV_E_INVALID, NULL, "the PNG is broken or cut off: %.120s", png.message);
    }
    out->full_width = out->width;
    out->full_height = out->height;
    png_image_free(&png);
    return ok;
}

static bool decode_webp(struct gtv_str data, int want_width, int want_height, struct gtv_image *out,
                        struct gtv_error *err)
{
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) {
        gtv_error_set(err, GTV_E_INTERNAL, NULL, "the WebP decoder does not fit its headers");
        return false;
    }
    if (WebPGetFeatures((const uint8_t *)data.p, data.n, &config.input) != VP8_STATUS_OK) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "the WebP has a broken header");
        return false;
    }
    if (config.input.has_animation) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "the WebP is an animation; a still picture is needed");
        return false;
    }
    int width = config.input.width, height = config.input.height;
    if (!gtv_image_check_size(width, height, err))
        return false;
    int by = gtv_image_reduction(width, height, want_width, want_height);
    if (!gtv_image_alloc(out, (width + by - 1) / by, (height + by - 1) / by, err))
        return false;
    config.options.use_scaling = by > 1;
    config.options.scaled_width = out->width;
    config.options.scaled_height = out->height;
    config.output.colorspace = MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA = (WebPRGBABuffer){
        .rgba = out->rgb, .stride = (int)out->stride, .size = out->stride * (size_t)out->height};
    out->full_width = width;
    out->full_height = height;
    VP8StatusCode status = WebPDecode((const uint8_t *)data.p, data.n, &config);
    WebPFreeDecBuffer(&config.output);
    if (status != VP8_STATUS_OK)
        gtv_error_set(err, GTV_E_INVALID, NULL,
                      status == VP8_STATUS_NOT_ENOUGH_DATA ? "the WebP is cut off" : "the WebP is broken");
    return status == VP8_STATUS_OK;
}

bool gtv_image_decode(struct gtv_str data, int want_width, int want_height, struct gtv_image *out,
                      struct gtv_error *err)
{
    memset(out, 0, sizeof(*out));
    const uint8_t *p = (const uint8_t *)data.p;
    bool ok = false;
    if (data.n == 0)
        gtv_error_set(err, GTV_E_INVALID, NULL, "the picture is empty");
    else if (data.n >= 3 && p[0] == 0xFF && p[1] == 0xD8 && p[2] == 0xFF)
        ok = gtv_image_decode_jpeg(data, want_width, want_height, out, err);
    else if (data.n >= 8 && memcmp(p, "\x89PNG\r\n\x1a\n", 8) == 0)
        ok = decode_png(data, out, err);
    else if (data.n >= 12 && memcmp(p, "RIFF", 4) == 0 && memcmp(p + 8, "WEBP", 4) == 0)
        ok = decode_webp(data, want_width, want_height, out, err);
    else
        gtv_error_set(err, GTV_E_INVALID, NULL,
                      "this is no picture that can be read: JPEG, PNG and WebP can");
    if (!ok)
        gtv_image_finish(out);
    return ok;
}
