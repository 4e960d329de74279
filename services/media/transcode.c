// Packet -> decoder -> resampler -> samples in a queue -> encoder, 1024 at a time -> frames.
#include "services/media/transcode.h"

#include "lib/base/mem.h"

#include <libavutil/audio_fifo.h>
#include <libavutil/channel_layout.h>
#include <libswresample/swresample.h>

#include <stdio.h>
#include <stdlib.h>

enum {
    JUMP = 9000,             // ticks: 100 ms
    PACKET_MAX = 64 * 1024,  // bytes of a packet in; a second of 48 kHz stereo in 16 bits has 192,000
    QUEUED_MAX = 48000 * 10, // samples: no packet holds more
};

// Where the output's sample `at` stands on the source's time line.
struct anchor {
    int64_t at, stamp;
};

struct gtv_transcode {
    AVCodecContext *decoder, *encoder;
    SwrContext *resampler; // NULL before the first frame
    int in_format, in_rate, in_channels;
    AVAudioFifo *queue;
    AVFrame *decoded, *out;
    AVPacket *in, *encoded;
    int64_t made, sent; // samples: out of the resampler, into the encoder
    bool anchored;
    struct anchor now, before;
    struct gtv_audio_info info;
};

// The source's own, where AAC and players know it; telephone quality gets 16 kHz, which players take gladly.
static int output_rate(int rate)
{
    static const int known[] = {16000, 22050, 24000, 32000, 44100, 48000};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (rate == known[i]) {
            return rate;
        }
    }
    return rate < 16000 ? 16000 : 48000;
}

static bool open_decoder(struct gtv_transcode *t, enum AVCodecID id, int rate, int channels,
                         struct gtv_str extradata)
{
    const AVCodec *codec = avcodec_find_decoder(id);
    t->decoder = codec != NULL ? avcodec_alloc_context3(codec) : NULL;
    if (t->decoder == NULL) {
        return false;
    }
    t->decoder->sample_rate = rate;
    t->decoder->thread_count = 1;
    av_channel_layout_default(&t->decoder->ch_layout, channels);
    if (extradata.n > 0) {
        t->decoder->extradata = av_mallocz(extradata.n + AV_INPUT_BUFFER_PADDING_SIZE);
        if (t->decoder->extradata == NULL) {
            return false;
        }
        memcpy(t->decoder->extradata, extradata.p, extradata.n);
        t->decoder->extradata_size = (int)extradata.n;
    }
    return avcodec_open2(t->decoder, codec, NULL) >= 0;
}

static bool open_encoder(struct gtv_transcode *t, int rate, int channels)
{
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_AAC);
    t->encoder = codec != NULL ? avcodec_alloc_context3(codec) : NULL;
    if (t->encoder == NULL) {
        return false;
    }
    AVCodecContext *e = t->encoder;
    e->sample_fmt = AV_SAMPLE_FMT_FLTP;
    e->sample_rate = output_rate(rate);
    e->time_base = (AVRational){1, e->sample_rate};
    e->bit_rate = (int64_t)(e->sample_rate > 24000 ? 64000 : 32000) * channels;
    e->profile = FF_PROFILE_AAC_LOW;
    e->thread_count = 1;
    e->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    av_channel_layout_default(&e->ch_layout, channels);
    return avcodec_open2(e, codec, NULL) >= 0 && e->extradata_size >= 2 && e->frame_size > 0;
}

static bool open_queue(struct gtv_transcode *t)
{
    AVCodecContext *e = t->encoder;
    t->queue = av_audio_fifo_alloc(e->sample_fmt, e->ch_layout.nb_channels, e->frame_size * 2);
    t->decoded = av_frame_alloc();
    t->out = av_frame_alloc();
    t->in = av_packet_alloc();
    t->encoded = av_packet_alloc();
    if (t->queue == NULL || t->decoded == NULL || t->out == NULL || t->in == NULL || t->encoded == NULL) {
        return false;
    }
    t->info = (struct gtv_audio_info){.codec = GTV_CODEC_AAC,
                                      .rate = e->sample_rate,
                                      .channels = e->ch_layout.nb_channels,
                                      .config = gtv_bytes_copy(e->extradata, 2),
                                      .codecs = "mp4a.40.2"};
    return t->info.config != NULL;
}

struct gtv_transcode *gtv_transcode_create(enum AVCodecID codec, int rate, int channels,
                                           struct gtv_str extradata)
{
    if (rate < 4000 || rate > 192000 || channels < 1 || channels > 8) {
        return NULL;
    }
    struct gtv_transcode *t = GTV_NEW(struct gtv_transcode);
    if (!open_decoder(t, codec, rate, channels, extradata) || !open_encoder(t, rate, channels > 1 ? 2 : 1) ||
        !open_queue(t)) {
        gtv_transcode_destroy(t);
        return NULL;
    }
    return t;
}

void gtv_transcode_destroy(struct gtv_transcode *t)
{
    if (t == NULL) {
        return;
    }
    avcodec_free_context(&t->decoder);
    avcodec_free_context(&t->encoder);
    swr_free(&t->resampler);
    if (t->queue != NULL) {
        av_audio_fifo_free(t->queue);
    }
    av_frame_free(&t->decoded);
    av_frame_free(&t->out);
    av_packet_free(&t->in);
    av_packet_free(&t->encoded);
    gtv_bytes_unref(t->info.config);
    free(t);
}

const struct gtv_audio_info *gtv_transcode_info(const struct gtv_transcode *t)
{
    return &t->info;
}

static int64_t stamp_of(const struct gtv_transcode *t, const struct anchor *a, int64_t at)
{
    return a->stamp + (at - a->at) * 90000 / t->encoder->sample_rate;
}

// The decoded samples that come next belong to stamp.
static void place(struct gtv_transcode *t, int64_t stamp)
{
    int64_t off = t->anchored ? stamp - stamp_of(t, &t->now, t->made) : 0;
    if (t->anchored && off <= JUMP && off >= -JUMP) {
        return;
    }
    t->before = t->anchored ? t->now : (struct anchor){t->made, stamp};
    t->now = (struct anchor){t->made, stamp};
    t->anchored = true;
}

static bool match_resampler(struct gtv_transcode *t)
{
    AVFrame *f = t->decoded;
    if (t->resampler != NULL && f->format == t->in_format && f->sample_rate == t->in_rate &&
        f->ch_layout.nb_channels == t->in_channels) {
        return true;
    }
    swr_free(&t->resampler);
    t->in_format = f->format;
    t->in_rate = f->sample_rate;
    t->in_channels = f->ch_layout.nb_channels;
    return swr_alloc_set_opts2(&t->resampler, &t->encoder->ch_layout, t->encoder->sample_fmt,
                               t->encoder->sample_rate, &f->ch_layout, f->format, f->sample_rate, 0,
                               NULL) >= 0 &&
           swr_init(t->resampler) >= 0;
}

static bool resample(struct gtv_transcode *t)
{
    if (!match_resampler(t)) {
        swr_free(&t->resampler);
        return false;
    }
    int room = swr_get_out_samples(t->resampler, t->decoded->nb_samples);
    AVFrame *o = t->out;
    av_frame_unref(o);
    o->format = t->encoder->sample_fmt;
    o->sample_rate = t->encoder->sample_rate;
    o->nb_samples = room;
    if (room <= 0 || room > QUEUED_MAX || av_channel_layout_copy(&o->ch_layout, &t->encoder->ch_layout) < 0 ||
        av_frame_get_buffer(o, 0) < 0) {
        return false;
    }
    int n = swr_convert(t->resampler, o->extended_data, room,
                        (const uint8_t **)(uintptr_t)t->decoded->extended_data, t->decoded->nb_samples);
    if (n <= 0 || av_audio_fifo_size(t->queue) > QUEUED_MAX ||
        av_audio_fifo_write(t->queue, (void **)o->extended_data, n) < n) {
        return false;
    }
    t->made += n;
    return true;
}

static void take_encoded(struct gtv_transcode *t, gtv_transcode_frame on_frame, void *arg)
{
    while (avcodec_receive_packet(t->encoder, t->encoded) >= 0) {
        int64_t at = t->encoded->pts;
        struct gtv_bytes *frame = gtv_bytes_copy(t->encoded->data, (size_t)t->encoded->size);
        if (frame != NULL) {
            on_frame(arg, frame, stamp_of(t, at >= t->now.at ? &t->now : &t->before, at));
            gtv_bytes_unref(frame);
        }
        av_packet_unref(t->encoded);
    }
}

static void encode(struct gtv_transcode *t, gtv_transcode_frame on_frame, void *arg)
{
    while (av_audio_fifo_size(t->queue) >= t->encoder->frame_size) {
        AVFrame *o = t->out;
        av_frame_unref(o);
        o->format = t->encoder->sample_fmt;
        o->sample_rate = t->encoder->sample_rate;
        o->nb_samples = t->encoder->frame_size;
        o->pts = t->sent;
        if (av_channel_layout_copy(&o->ch_layout, &t->encoder->ch_layout) < 0 ||
            av_frame_get_buffer(o, 0) < 0 ||
            av_audio_fifo_read(t->queue, (void **)o->extended_data, o->nb_samples) < o->nb_samples) {
            return;
        }
        t->sent += o->nb_samples;
        if (avcodec_send_frame(t->encoder, o) >= 0) {
            take_encoded(t, on_frame, arg);
        }
    }
}

void gtv_transcode_push(struct gtv_transcode *t, struct gtv_str packet, int64_t stamp,
                        gtv_transcode_frame on_frame, void *arg)
{
    if (packet.n == 0 || packet.n > PACKET_MAX || av_new_packet(t->in, (int)packet.n) < 0) {
        return;
    }
    memcpy(t->in->data, packet.p, packet.n);
    bool first = true;
    if (avcodec_send_packet(t->decoder, t->in) >= 0) {
        while (avcodec_receive_frame(t->decoder, t->decoded) >= 0) {
            if (first) {
                place(t, stamp);
                first = false;
            }
            if (resample(t)) {
                encode(t, on_frame, arg);
            }
            av_frame_unref(t->decoded);
        }
    }
    av_packet_unref(t->in);
}
