#include "services/media/snapshot/picture.h"

#include "services/media/hls/mp4config.h"

#include <libavcodec/avcodec.h>
#include <libswscale/swscale.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

enum { QUALITY = 80, CHANNELS = 3 };

int gtv_picture_width(const struct gtv_format *f, int wanted)
{
    int width = wanted > 0 && wanted < f->video.width ? wanted : f->video.width;
    width = width < GTV_PICTURE_LEAST ? GTV_PICTURE_LEAST : width;
    return width & ~1;
}

// The decoder for a format; NULL when there is none.
static AVCodecContext *open_decoder(const struct gtv_format *f)
{
    bool h265 = f->video.codec == GTV_CODEC_H265;
    const AVCodec *codec = avcodec_find_decoder(h265 ? AV_CODEC_ID_HEVC : AV_CODEC_ID_H264);
    AVCodecContext *c = codec != NULL ? avcodec_alloc_context3(codec) : NULL;
    if (c == NULL) {
        return NULL;
    }
    // The configuration record tells the decoder that lengths stand before the NAL units.
    struct gtv_buf config = {0};
    bool ok = h265 ? gtv_mp4_put_hvcc(&config, gtv_bytes_str(f->sets))
                   : gtv_mp4_put_avcc(&config, gtv_bytes_str(f->sets));
    c->extradata = ok ? av_mallocz(config.len + AV_INPUT_BUFFER_PADDING_SIZE) : NULL;
    if (c->extradata != NULL) {
        memcpy(c->extradata, config.data, config.len);
        c->extradata_size = (int)config.len;
        c->thread_count = 1;
        c->max_pixels = (int64_t)GTV_PICTURE_MOST * GTV_PICTURE_MOST / 2;
        c->flags |= AV_CODEC_FLAG_LOW_DELAY;
        ok = avcodec_open2(c, codec, NULL) == 0;
    }
    gtv_buf_finish(&config);
    if (c->extradata == NULL || !ok) {
        avcodec_free_context(&c);
    }
    return c;
}

static bool decode(const struct gtv_format *f, const struct gtv_bytes *key_frame, AVFrame *frame)
{
    AVCodecContext *c = open_decoder(f);
    AVPacket *p = av_packet_alloc();
    bool ok = c != NULL && p != NULL && key_frame->len < INT32_MAX / 2 &&
              av_new_packet(p, (int)key_frame->len) == 0;
    if (ok) {
        memcpy(p->data, key_frame->data, key_frame->len);
        p->flags |= AV_PKT_FLAG_KEY;
        // Without the flush a decoder that reorders would keep its only picture.
        ok = avcodec_send_packet(c, p) == 0 && avcodec_send_packet(c, NULL) == 0 &&
             avcodec_receive_frame(c, frame) == 0;
    }
    av_packet_free(&p);
    avcodec_free_context(&c);
    return ok && frame->width >= 1 && frame->height >= 1 && frame->width <= GTV_PICTURE_MOST &&
           frame->height <= GTV_PICTURE_MOST;
}

// Scales to packed RGB, the caller's to free. NULL without memory or for a format that libswscale cannot
// read.
static uint8_t *scale(const AVFrame *frame, int width, int height)
{
    uint8_t *rgb = malloc((size_t)width * (size_t)height * CHANNELS);
    struct SwsContext *sws = sws_getContext(frame->width, frame->height, frame->format, width, height,
                                            AV_PIX_FMT_RGB24, SWS_AREA, NULL, NULL, NULL);
    if (rgb == NULL || sws == NULL) {
        sws_freeContext(sws);
        free(rgb);
        return NULL;
    }
    // By the stream's own colours: HD cameras are BT.709, and many send the full range.
    const int *matrix =
        sws_getCoefficients(frame->colorspace == AVCOL_SPC_BT709 ? SWS_CS_ITU709 : SWS_CS_DEFAULT);
    (void)sws_setColorspaceDetails(sws, matrix, frame->color_range == AVCOL_RANGE_JPEG,
                                   sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
    uint8_t *const planes[1] = {rgb};
    const int strides[1] = {width * CHANNELS};
    sws_scale(sws, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, planes, strides);
    sws_freeContext(sws);
    return rgb;
}

struct jpeg_failure {
    struct jpeg_error_mgr base;
    jmp_buf back;
    unsigned char *memory; // what was written so far
    unsigned long size;
};

static void on_jpeg_error(j_common_ptr info)
{
    struct jpeg_failure *failure = (struct jpeg_failure *)(void *)info->err;
    longjmp(failure->back, 1);
}

static void on_jpeg_message(j_common_ptr info)
{
}

static struct gtv_bytes *write_jpeg(uint8_t *rgb, int width, int height)
{
    struct jpeg_compress_struct c;
    struct jpeg_failure failure = {.memory = NULL};
    c.err = jpeg_std_error(&failure.base);
    failure.base.error_exit = on_jpeg_error;
    failure.base.output_message = on_jpeg_message;
    if (setjmp(failure.back) != 0) {
        jpeg_destroy_compress(&c);
        free(failure.memory);
        return NULL;
    }
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &failure.memory, &failure.size);
    c.image_width = (JDIMENSION)width;
    c.image_height = (JDIMENSION)height;
    c.input_components = CHANNELS;
    c.in_color_space = JCS_RGB;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, QUALITY, TRUE);
    jpeg_start_compress(&c, TRUE);
    while (c.next_scanline < c.image_height) {
        JSAMPROW row = rgb + (size_t)c.next_scanline * (size_t)width * CHANNELS;
        (void)jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    // Its buffer is larger than what it holds.
    struct gtv_bytes *bytes = gtv_bytes_copy(failure.memory, failure.size);
    free(failure.memory);
    return bytes;
}

bool gtv_picture_make(const struct gtv_format *f, const struct gtv_bytes *key_frame, struct gtv_picture *out,
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i].jpeg = NULL;
    }
    AVFrame *frame = av_frame_alloc();
    bool ok = frame != NULL && decode(f, key_frame, frame);
    for (size_t i = 0; ok && i < n; i++) {
        int width = out[i].width;
        int height = (int)(((int64_t)frame->height * width + frame->width / 2) / frame->width);
        height = height < 2 ? 2 : (height + 1) & ~1;
        uint8_t *rgb = height <= GTV_PICTURE_MOST ? scale(frame, width, height) : NULL;
        out[i].jpeg = rgb != NULL ? write_jpeg(rgb, width, height) : NULL;
        free(rgb);
    }
    av_frame_free(&frame);
    return ok;
}
