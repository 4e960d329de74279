#include "services/ai/watch/frame.h"

#include "lib/base/mem.h"

#include <libavutil/mem.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <pthread.h>
#include <stdlib.h>

enum { SPARE_MAX = 8 }; // sets that are kept, about half a megabyte each

struct scaler {
    struct scaler *next;
    struct SwsContext *sws;
    int from_width, from_height, to_width, to_height, format;
    uint8_t *rgb; // with room at the end of each row: libswscale's fast paths write in whole blocks
    size_t stride, rows;
};

struct gtv_scalers {
    pthread_mutex_t lock; // guards what follows
    struct scaler *spare; // the one given back last first
    size_t count;
};

struct gtv_scalers *gtv_scalers_create(void)
{
    struct gtv_scalers *s = GTV_NEW(struct gtv_scalers);
    (void)pthread_mutex_init(&s->lock, NULL);
    return s;
}

static void scaler_free(struct scaler *one)
{
    sws_freeContext(one->sws);
    av_freep(&one->rgb);
    free(one);
}

void gtv_scalers_destroy(struct gtv_scalers *s)
{
    if (!s)
        return;
    while (s->spare) {
        struct scaler *one = s->spare;
        s->spare = one->next;
        scaler_free(one);
    }
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
}

// One that was made for this if there is one.
static struct scaler *take(struct gtv_scalers *s, const AVFrame *frame, const struct gtv_geometry *g)
{
    (void)pthread_mutex_lock(&s->lock);
    struct scaler **at = &s->spare;
    while (*at &&
           ((*at)->from_width != frame->width || (*at)->from_height != frame->height ||
            (*at)->format != frame->format || (*at)->to_width != g->width || (*at)->to_height != g->height))
        at = &(*at)->next;
    if (!*at && s->count >= SPARE_MAX)
        at = &s->spare;
    struct scaler *one = *at;
    if (one) {
        *at = one->next;
        s->count--;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return one ? one : GTV_NEW(struct scaler);
}

static void give_back(struct gtv_scalers *s, struct scaler *one)
{
    (void)pthread_mutex_lock(&s->lock);
    bool keep = s->count < SPARE_MAX;
    if (keep) {
        one->next = s->spare;
        s->spare = one;
        s->count++;
    }
    (void)pthread_mutex_unlock(&s->lock);
    if (!keep)
        scaler_free(one);
}

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

static bool prepare(struct scaler *s, const AVFrame *frame, const struct gtv_geometry *g,
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
    s->from_width = frame->width;
    s->from_height = frame->height;
    s->format = frame->format;
    s->to_width = g->width;
    s->to_height = g->height;
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

static bool fill(struct scaler *s, const AVFrame *frame, const struct gtv_geometry *g, uint8_t *input,
                 struct gtv_error *err)
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

bool gtv_frame_fill(struct gtv_scalers *s, const AVFrame *frame, const struct gtv_geometry *g, uint8_t *input,
                    struct gtv_error *err)
{
    struct scaler *one = take(s, frame, g);
    bool ok = fill(one, frame, g, input, err);
    give_back(s, one);
    return ok;
}

// ---- Parts of a frame ----

struct planes {
    int shift_x, shift_y; // how far chroma is halved
    bool full_range, grey;
};

static bool planes_of(const AVFrame *frame, struct planes *p)
{
    *p = (struct planes){.full_range = frame->color_range == AVCOL_RANGE_JPEG};
    switch (plain_format(frame->format, &p->full_range)) {
    case AV_PIX_FMT_YUV420P:
        p->shift_y = 1;
        p->shift_x = 1;
        return true;
    case AV_PIX_FMT_YUV422P:
        p->shift_x = 1;
        return true;
    case AV_PIX_FMT_YUV444P:
        return true;
    case AV_PIX_FMT_GRAY8:
        p->grey = true;
        return true;
    default:
        return false;
    }
}

static uint8_t clip(int v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

// BT.601 and BT.709 in 16.16 fixed point (ITU-R BT.601-7 and BT.709-6, narrow and full range).
static void coefficients(const AVFrame *frame, bool full_range, int out[5])
{
    bool hd = frame->colorspace == AVCOL_SPC_BT709;
    double range = full_range ? 1.0 : 255.0 / 224;
    out[0] = full_range ? 65536 : 76309;
    out[1] = (int)((hd ? 1.5748 : 1.402) * range * 65536);
    out[2] = (int)((hd ? 0.1873 : 0.344136) * range * 65536);
    out[3] = (int)((hd ? 0.4681 : 0.714136) * range * 65536);
    out[4] = (int)((hd ? 1.8556 : 1.772) * range * 65536);
}

static bool inside(const AVFrame *frame, int x, int y, int w, int h)
{
    return x >= 0 && y >= 0 && w > 0 && h > 0 && x <= frame->width - w && y <= frame->height - h;
}

bool gtv_frame_crop(const AVFrame *frame, int x, int y, int w, int h, uint8_t *rgb)
{
    struct planes p;
    int k[5];
    if (!planes_of(frame, &p) || !inside(frame, x, y, w, h))
        return false;
    coefficients(frame, p.full_range, k);
    int black = p.full_range ? 0 : 16;
    for (int row = y; row < y + h; row++) {
        const uint8_t *luma = frame->data[0] + (ptrdiff_t)row * frame->linesize[0];
        const uint8_t *cb =
            p.grey ? NULL : frame->data[1] + (ptrdiff_t)(row >> p.shift_y) * frame->linesize[1];
        const uint8_t *cr =
            p.grey ? NULL : frame->data[2] + (ptrdiff_t)(row >> p.shift_y) * frame->linesize[2];
        for (int column = x; column < x + w; column++) {
            int l = (luma[column] - black) * k[0] + 32768;
            int b = cb ? cb[column >> p.shift_x] - 128 : 0, r = cr ? cr[column >> p.shift_x] - 128 : 0;
            *rgb++ = clip((l + r * k[1]) >> 16);
            *rgb++ = clip((l - b * k[2] - r * k[3]) >> 16);
            *rgb++ = clip((l + b * k[4]) >> 16);
        }
    }
    return true;
}

double gtv_frame_sharpness(const AVFrame *frame, int x, int y, int w, int h)
{
    struct planes p;
    if (!planes_of(frame, &p) || !inside(frame, x, y, w, h) || w < 3 || h < 3)
        return 0;
    // Every other row and column of large parts: the mean is the same, and costs a quarter.
    int step = w * h > 20000 ? 2 : 1;
    int64_t sum = 0, n = 0;
    for (int row = y + 1; row < y + h - 1; row += step) {
        const uint8_t *at = frame->data[0] + (ptrdiff_t)row * frame->linesize[0];
        const uint8_t *above = at - frame->linesize[0], *below = at + frame->linesize[0];
        for (int column = x + 1; column < x + w - 1; column += step) {
            int v = 4 * at[column] - at[column - 1] - at[column + 1] - above[column] - below[column];
            sum += v < 0 ? -v : v;
            n++;
        }
    }
    return n ? (double)sum / (double)n : 0;
}
