// WebP by libwebp, lossy and lossless. It scales while it decodes.
#include "services/ai/picture/decode.h"

#include <webp/decode.h>

static const uint8_t *bytes_of(struct gtv_str s)
{
    return (const uint8_t *)s.p;
}

// What the decoder shall give: the whole picture at 1/by, or the wanted part of it; libwebp begins parts at
// even pixels.
static void wish(const struct gtv_decode *d, WebPDecoderConfig *config)
{
    config->output.colorspace = MODE_RGB;
    if (d->image && (d->part.width < d->width || d->part.height < d->height)) {
        config->options.use_cropping = 1;
        config->options.crop_left = d->part.x & ~1;
        config->options.crop_top = d->part.y & ~1;
        config->options.crop_width = d->part.x + d->part.width - config->options.crop_left;
        config->options.crop_height = d->part.y + d->part.height - config->options.crop_top;
    } else if (d->by > 1) {
        config->options.use_scaling = 1;
        config->options.scaled_width = (d->width + d->by - 1) / d->by;
        config->options.scaled_height = (d->height + d->by - 1) / d->by;
    }
}

static bool hand_on(struct gtv_decode *d, const WebPDecoderConfig *config, int rows)
{
    const WebPRGBABuffer *rgb = &config->output.u.RGBA;
    int x = config->options.crop_left, y = config->options.crop_top;
    int columns = config->output.width, all = config->output.height;
    if (!gtv_decode_rows_begin(d, columns, all, columns, all))
        return false;
    if (d->image) { // row and column numbers are the whole picture's
        d->columns = d->width;
        d->rows = d->height;
    }
    bool whole = d->image && columns == d->width && all == d->height;
    for (int i = 0; i < rows; i++) {
        const uint8_t *row = rgb->rgba + (size_t)i * (size_t)rgb->stride;
        uint8_t *room = whole ? gtv_decode_row_room(d, y + i) : NULL;
        if (room)
            memcpy(room, row, (size_t)columns * 3);
        gtv_decode_row(d, y + i, x, row);
    }
    if (rows < all && d->image && !whole) {
        gtv_error_set(d->err, GTV_E_INVALID, NULL, "the WebP is cut off: this part of it is not there");
        return false;
    }
    gtv_decode_rows_end(d, whole ? rows : d->height);
    return true;
}

// Row by row, for what ends too early: slower, and it tells how far it came.
static bool decode_cut(struct gtv_decode *d, WebPDecoderConfig *config)
{
    d->info->cut_off = true;
    WebPFreeDecBuffer(&config->output);
    WebPIDecoder *decoder = WebPIDecode(NULL, 0, config);
    VP8StatusCode status =
        decoder ? WebPIUpdate(decoder, bytes_of(d->file), d->file.n) : VP8_STATUS_OUT_OF_MEMORY;
    int rows = 0;
    bool ok = status == VP8_STATUS_OK || status == VP8_STATUS_SUSPENDED;
    if (ok && !WebPIDecGetRGB(decoder, &rows, NULL, NULL, NULL))
        rows = 0;
    ok = ok && rows > 0 &&
         (int64_t)rows * 100 >= (int64_t)config->output.height * GTV_IMAGE_MIN_PERCENT_OF_ROWS;
    if (!ok)
        gtv_error_set(d->err, GTV_E_INVALID, NULL, "the WebP is cut off: too little of it is there");
    ok = ok && hand_on(d, config, rows);
    if (decoder)
        WebPIDelete(decoder);
    return ok;
}

bool gtv_decode_webp(struct gtv_decode *d)
{
    WebPDecoderConfig config;
    if (!WebPInitDecoderConfig(&config)) {
        gtv_error_set(d->err, GTV_E_INTERNAL, NULL, "the WebP decoder does not fit its headers");
        return false;
    }
    wish(d, &config);
    VP8StatusCode status = WebPDecode(bytes_of(d->file), d->file.n, &config);
    bool ok = false;
    if (status == VP8_STATUS_OK)
        ok = hand_on(d, &config, config.output.height);
    else if (status == VP8_STATUS_NOT_ENOUGH_DATA)
        ok = decode_cut(d, &config);
    else if (status == VP8_STATUS_OUT_OF_MEMORY)
        gtv_error_set(d->err, GTV_E_UNAVAILABLE, NULL, "there is no memory for a picture of this size");
    else
        gtv_error_set(d->err, GTV_E_INVALID, NULL, "the WebP is broken");
    WebPFreeDecBuffer(&config.output);
    return ok;
}
