#include "services/ai/watch/frame.h"

#include <libavutil/mem.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <stdlib.h>

// The yuvj formats are the yuv ones with full range; libswscale wants that said separately.
static enum AVPixelFormat plain_format(int format, bool *full_range)
{
    switch (format) {
    case AV_PIX_FMT_YUVJ420P:
        *full_range = true;
        return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
        *full_range = true;
        return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P:
        *full_range = true;
        return AV_PIX_FMT_YUV444P;
    default:
        return (enum AVPixelFormat)format;
    }
}

static bool prepare(struct gtv_frame_scaler *s, const AVFrame *frame, const struct gtv_geometry *g,
                    struct gtv_error *err)
{
    bool full_range = frame->color_range == AVCOL_RANGE_JPEG;
    enum AVPixelFormat format = plain_format(frame->format, &full_range);
    s->sws = sws_getCachedContext(s->sws, frame->width, frame->height, format, g->width, g->height,
                                  AV_PIX_FMT_RGB24, SWS_BILINEAR, NULL, NULL, NULL);
    if (!s->sws) {
        const char *name = av_get_pix_fmt_name((enum AVPixelFormat)frame->format);
        gtv_error_set(err, GTV_E_UNSUPPORTED, NULL, "pictures of the format %s cannot be scaled",
                      name ? name : "?");
        return false;
    }
    int matrix = frame->colorspace == AVCOL_SPC_BT709 ? SWS_CS_ITU709 : SWS_CS_ITU601;
    (void)sws_setColorspaceDetails(s->sws, sws_getCoefficients(matrix), full_range,
                                   sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
    size_t stride = ((size_t)g->width * 3 + 127) & ~(size_t)63;
    if (s->stride != stride || s->rows < (size_t)g->height) {
        av_freep(&s->rgb);
        s->rgb = av_malloc(stride * ((size_t)g->height + 1));
        s->stride = stride;
        s->rows = s->rgb ? (size_t)g->height : 0;
    }
    if (!s->rgb)
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "there is no memory for a frame");
    return s->rgb != NULL;
}

bool gtv_frame_fill(struct gtv_frame_scaler *s, const AVFrame *frame, const struct gtv_geometry *g,
                    uint8_t *input, struct gtv_error *err)
{
    if (!prepare(s, frame, g, err))
        return false;
    uint8_t *to[4] = {s->rgb};
    int strides[4] = {(int)s->stride};
    if (sws_scale(s->sws, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, to,
                  strides) != g->height) {
        gtv_error_set(err, GTV_E_INTERNAL, NULL, "a frame could not be scaled");
        return false;
    }
    gtv_geometry_pad(g, input);
    for (int y = 0; y < g->height; y++)
        memcpy(input + ((size_t)(g->y + y) * (size_t)g->input_width + (size_t)g->x) * 3,
               s->rgb + (size_t)y * s->stride, (size_t)g->width * 3);
    return true;
}

void gtv_frame_scaler_finish(struct gtv_frame_scaler *s)
{
    sws_freeContext(s->sws);
    av_freep(&s->rgb);
    memset(s, 0, sizeof(*s));
}
