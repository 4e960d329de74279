#include "encode.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <stdio.h>

#include "noise.h"
#include "shape.h"

#define BITRATE    1400000
#define GRAIN_SIZE (1 << 20)

struct gtv_encoder {
    AVFormatContext *format;
    AVCodecContext *codec;
    AVFrame *frame;
    AVPacket *packet;
    int width, height;
    int64_t next;
    float *grain;
};

static void encoder_free(struct gtv_encoder *e)
{
    if (e->format != NULL && e->format->pb != NULL)
        avio_closep(&e->format->pb);
    avformat_free_context(e->format);
    avcodec_free_context(&e->codec);
    av_frame_free(&e->frame);
    av_packet_free(&e->packet);
    free(e->grain);
    free(e);
}

static bool open_codec(struct gtv_encoder *e, int fps)
{
    const AVCodec *x264 = avcodec_find_encoder_by_name("libx264");
    e->codec = x264 ? avcodec_alloc_context3(x264) : NULL;
    if (e->codec == NULL)
        return false;
    AVCodecContext *c = e->codec;
    c->width = e->width;
    c->height = e->height;
    c->pix_fmt = AV_PIX_FMT_YUV420P;
    c->time_base = (AVRational){1, fps};
    c->framerate = (AVRational){fps, 1};
    c->gop_size = fps;
    c->keyint_min = fps;
    c->max_b_frames = 0;
    c->bit_rate = BITRATE;
    c->rc_max_rate = BITRATE * 5 / 4;
    c->rc_buffer_size = BITRATE;
    c->flags |= (int)(AV_CODEC_FLAG_CLOSED_GOP | AV_CODEC_FLAG_GLOBAL_HEADER);
    c->color_range = AVCOL_RANGE_MPEG;
    c->colorspace = AVCOL_SPC_BT709;
    c->color_primaries = AVCOL_PRI_BT709;
    c->color_trc = AVCOL_TRC_BT709;
    // One thread: the same bytes on every machine.
    c->thread_count = 1;
    av_opt_set(c->priv_data, "preset", "veryfast", 0);
    av_opt_set(c->priv_data, "tune", "zerolatency", 0);
    av_opt_set(c->priv_data, "profile", "main", 0);
    av_opt_set(c->priv_data, "x264-params", "scenecut=0:open-gop=0", 0);
    return avcodec_open2(c, x264, NULL) >= 0;
}

static bool open_file(struct gtv_encoder *e, const char *path)
{
    if (avformat_alloc_output_context2(&e->format, NULL, "mp4", path) < 0)
        return false;
    e->format->flags |= AVFMT_FLAG_BITEXACT;
    AVStream *stream = avformat_new_stream(e->format, NULL);
    if (stream == NULL || avcodec_parameters_from_context(stream->codecpar, e->codec) < 0)
        return false;
    stream->time_base = e->codec->time_base;
    stream->avg_frame_rate = e->codec->framerate;
    if (avio_open(&e->format->pb, path, AVIO_FLAG_WRITE) < 0)
        return false;
    AVDictionary *options = NULL;
    av_dict_set(&options, "movflags", "+faststart", 0);
    int rc = avformat_write_header(e->format, &options);
    av_dict_free(&options);
    return rc >= 0;
}

static float *make_grain(void)
{
    float *grain = gtv_street_alloc(GRAIN_SIZE, sizeof *grain);
    struct gtv_random r = {99};
    for (int i = 0; i < GRAIN_SIZE; i++) {
        double sum = 0.0; // four even numbers: nearly a bell
        for (int k = 0; k < 4; k++)
            sum += gtv_random_unit(&r) - 0.5;
        grain[i] = (float)(sum * 2.2);
    }
    return grain;
}

struct gtv_encoder *gtv_encoder_create(const char *path, int width, int height, int fps)
{
    struct gtv_encoder *e = gtv_street_alloc(1, sizeof *e);
    e->width = width;
    e->height = height;
    e->grain = make_grain();
    e->frame = av_frame_alloc();
    e->packet = av_packet_alloc();
    bool good = e->frame != NULL && e->packet != NULL;
    if (good && !(good = open_codec(e, fps)))
        fputs("gtv-street: libx264 cannot be opened\n", stderr);
    if (good && !(good = open_file(e, path)))
        fprintf(stderr, "gtv-street: cannot write %s\n", path);
    if (good) {
        e->frame->format = AV_PIX_FMT_YUV420P;
        e->frame->width = width;
        e->frame->height = height;
        good = av_frame_get_buffer(e->frame, 0) >= 0;
    }
    if (!good) {
        encoder_free(e);
        return NULL;
    }
    return e;
}

static uint8_t to_byte(float v)
{
    return (uint8_t)(v < 0.0F ? 0 : v > 255.0F ? 255 : (int)(v + 0.5F));
}

// ITU-R BT.709, limited range.
static void fill_luma(struct gtv_encoder *e, const float *rgb)
{
    struct gtv_random r = {(uint64_t)e->next * 7919U + 1};
    for (int y = 0; y < e->height; y++) {
        uint8_t *to = e->frame->data[0] + (ptrdiff_t)y * e->frame->linesize[0];
        const float *from = rgb + (size_t)y * (size_t)e->width * 3;
        const float *grain = e->grain + gtv_random_next(&r) % (uint64_t)(GRAIN_SIZE - e->width);
        for (int x = 0; x < e->width; x++, from += 3)
            to[x] = to_byte(16.0F + 219.0F * (0.2126F * from[0] + 0.7152F * from[1] + 0.0722F * from[2]) +
                            grain[x]);
    }
}

static void fill_chroma(struct gtv_encoder *e, const float *rgb)
{
    size_t row = (size_t)e->width * 3;
    for (int y = 0; y < e->height / 2; y++) {
        uint8_t *u = e->frame->data[1] + (ptrdiff_t)y * e->frame->linesize[1];
        uint8_t *v = e->frame->data[2] + (ptrdiff_t)y * e->frame->linesize[2];
        const float *a = rgb + (size_t)y * 2 * row, *b = a + row;
        for (int x = 0; x < e->width / 2; x++, a += 6, b += 6) {
            float red = (a[0] + a[3] + b[0] + b[3]) / 4, green = (a[1] + a[4] + b[1] + b[4]) / 4;
            float blue = (a[2] + a[5] + b[2] + b[5]) / 4;
            u[x] = to_byte(128.0F + 224.0F * (-0.1146F * red - 0.3854F * green + 0.5F * blue));
            v[x] = to_byte(128.0F + 224.0F * (0.5F * red - 0.4542F * green - 0.0458F * blue));
        }
    }
}

static bool drain(struct gtv_encoder *e)
{
    for (;;) {
        int rc = avcodec_receive_packet(e->codec, e->packet);
        if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF)
            return true;
        if (rc < 0)
            return false;
        e->packet->duration = 1;
        av_packet_rescale_ts(e->packet, e->codec->time_base, e->format->streams[0]->time_base);
        e->packet->stream_index = 0;
        if (av_interleaved_write_frame(e->format, e->packet) < 0)
            return false;
    }
}

bool gtv_encoder_write(struct gtv_encoder *e, const float *rgb)
{
    if (av_frame_make_writable(e->frame) < 0)
        return false;
    fill_luma(e, rgb);
    fill_chroma(e, rgb);
    e->frame->pts = e->next++;
    return avcodec_send_frame(e->codec, e->frame) >= 0 && drain(e);
}

bool gtv_encoder_finish(struct gtv_encoder *e)
{
    bool good = avcodec_send_frame(e->codec, NULL) >= 0 && drain(e) && av_write_trailer(e->format) >= 0;
    encoder_free(e);
    return good;
}
