#include "tools/tracks/clip.h"

#include "lib/av/av.h"
#include "lib/base/mem.h"
#include "services/ai/track/track.h"
#include "services/ai/watch/frame.h"

#include <libavcodec/avcodec.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINE_CAP = 64 * 1024 };

struct gtv_clip {
    struct gtv_clip_config config;
    // From a clip.
    struct gtv_infer *runtime;
    struct gtv_detector *detector;
    AVFormatContext *format;
    AVCodecContext *codec;
    AVPacket *packet;
    AVFrame *frame;
    struct gtv_scalers *scalers;
    int stream;
    bool draining;
    // From a file of detections.
    FILE *saved;
    char *line;

    unsigned turn;
    int64_t turn_ms; // where this turn begins
    int64_t last_ms, step_ms;
    double due_ms;
    int64_t again_ms; // another look is wanted then; 0: none
    int extra;        // how many of them there were since the last regular one
};

// ---- Opening ----

static bool failed(struct gtv_error *err, const char *what, int averror)
{
    gtv_error_set(err, GTV_E_IO, NULL, "%s: %s", what, gtv_av_cause(averror));
    return false;
}

static bool open_video(struct gtv_clip *c, struct gtv_error *err)
{
    int e = avformat_open_input(&c->format, c->config.path, NULL, NULL);
    if (e >= 0)
        e = avformat_find_stream_info(c->format, NULL);
    if (e < 0)
        return failed(err, c->config.path, e);
    const AVCodec *codec = NULL;
    c->stream = av_find_best_stream(c->format, AVMEDIA_TYPE_VIDEO, -1, -1, &codec, 0);
    if (c->stream < 0 || !codec)
        return failed(err, c->config.path, c->stream < 0 ? c->stream : AVERROR_DECODER_NOT_FOUND);
    c->codec = avcodec_alloc_context3(codec);
    if (!c->codec)
        return failed(err, c->config.path, AVERROR(ENOMEM));
    const AVStream *stream = c->format->streams[c->stream];
    e = avcodec_parameters_to_context(c->codec, stream->codecpar);
    c->codec->pkt_timebase = stream->time_base;
    c->codec->thread_count = 1;
    c->codec->skip_loop_filter = AVDISCARD_NONKEY; // as the cameras' decoders
    if (e >= 0)
        e = avcodec_open2(c->codec, codec, NULL);
    return e >= 0 || failed(err, c->config.path, e);
}

static void close_video(struct gtv_clip *c)
{
    avcodec_free_context(&c->codec);
    avformat_close_input(&c->format);
    c->draining = false;
}

static bool open_network(struct gtv_clip *c, struct gtv_error *err)
{
    struct gtv_error why = {0};
    char *cache = gtv_asprintf("%s/cache", c->config.models_dir);
    c->runtime = gtv_infer_create(access(cache, W_OK) == 0 ? cache : NULL, &why);
    free(cache);
    c->detector = gtv_detector_create(&(struct gtv_detector_config){
        .runtime = c->runtime,
        .runtime_error = why.message,
        .models_dir = c->config.models_dir,
        .yolo_model = c->config.model,
        .precision = "auto",
        .slots = 1,
        .batch = 1,
    });
    if (!gtv_detector_model(c->detector))
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "%s", gtv_detector_message(c->detector));
    return gtv_detector_model(c->detector) != NULL;
}

struct gtv_clip *gtv_clip_open(const struct gtv_clip_config *config, struct gtv_error *err)
{
    struct gtv_clip *c = GTV_NEW(struct gtv_clip);
    c->config = *config;
    c->due_ms = config->offset_ms;
    c->scalers = gtv_scalers_create();
    c->packet = av_packet_alloc();
    c->frame = av_frame_alloc();
    if (!c->packet || !c->frame)
        abort();
    if (open_video(c, err) && open_network(c, err))
        return c;
    gtv_clip_close(c);
    return NULL;
}

struct gtv_clip *gtv_clip_open_saved(const struct gtv_clip_config *config, struct gtv_error *err)
{
    struct gtv_clip *c = GTV_NEW(struct gtv_clip);
    c->config = *config;
    c->due_ms = config->offset_ms;
    c->line = gtv_alloc(LINE_CAP);
    c->saved = fopen(config->path, "re");
    if (c->saved)
        return c;
    gtv_error_set(err, GTV_E_IO, NULL, "%s cannot be opened", config->path);
    gtv_clip_close(c);
    return NULL;
}

struct gtv_infer *gtv_clip_runtime(struct gtv_clip *c)
{
    return c->runtime;
}

void gtv_clip_close(struct gtv_clip *c)
{
    if (!c)
        return;
    close_video(c);
    av_packet_free(&c->packet);
    av_frame_free(&c->frame);
    gtv_scalers_destroy(c->scalers);
    gtv_detector_unref(c->detector);
    gtv_infer_destroy(c->runtime);
    if (c->saved)
        (void)fclose(c->saved);
    free(c->line);
    free(c);
}

// ---- From a clip ----

// The next frame of this turn. False at its end.
static bool decode(struct gtv_clip *c)
{
    for (;;) {
        int e = avcodec_receive_frame(c->codec, c->frame);
        if (e >= 0)
            return true;
        if (e != AVERROR(EAGAIN) || c->draining)
            return false;
        e = av_read_frame(c->format, c->packet);
        if (e < 0) {
            c->draining = true;
            (void)avcodec_send_packet(c->codec, NULL);
            continue;
        }
        if (c->packet->stream_index == c->stream)
            (void)avcodec_send_packet(c->codec, c->packet); // a broken packet is one frame less
        av_packet_unref(c->packet);
    }
}

static bool next_frame(struct gtv_clip *c, int64_t *at_ms, struct gtv_error *err)
{
    while (!decode(c)) {
        if (++c->turn >= c->config.turns)
            return false;
        close_video(c);
        if (!open_video(c, err))
            return false;
        c->turn_ms = c->last_ms + c->step_ms;
    }
    const AVStream *stream = c->format->streams[c->stream];
    int64_t pts = c->frame->best_effort_timestamp;
    if (pts != AV_NOPTS_VALUE && stream->start_time != AV_NOPTS_VALUE)
        pts -= stream->start_time;
    *at_ms =
        c->turn_ms + (pts == AV_NOPTS_VALUE ? c->last_ms + c->step_ms
                                            : av_rescale_q(pts, stream->time_base, (AVRational){1, 1000}));
    if (*at_ms > c->last_ms)
        c->step_ms = *at_ms - c->last_ms;
    c->last_ms = *at_ms;
    return c->config.seconds <= 0 || (double)*at_ms < c->config.seconds * 1000;
}

static void save(FILE *out, const struct gtv_clip_look *look)
{
    (void)fprintf(out, "{\"at_ms\":%lld,\"width\":%d,\"height\":%d,\"objects\":[", (long long)look->at_ms,
                  look->width, look->height);
    for (size_t i = 0; i < look->found.count; i++) {
        const struct gtv_detected *d = &look->found.objects[i];
        (void)fprintf(out,
                      "%s{\"object_type\":\"%s\",\"confidence\":%.3f,\"x\":%d,\"y\":%d,\"w\":%d,\"h\":%d}",
                      i ? "," : "", d->object_type, d->confidence, d->x, d->y, d->w, d->h);
    }
    (void)fputs("]}\n", out);
}

static bool planar(int format)
{
    return format == AV_PIX_FMT_YUV420P || format == AV_PIX_FMT_YUVJ420P;
}

static bool detect(struct gtv_clip *c, struct gtv_clip_look *out, struct gtv_error *err)
{
    struct gtv_detector_input in = {.min_confidence = c->config.confidence};
    gtv_geometry_init(&in.at, gtv_detector_model(c->detector), c->frame->width, c->frame->height);
    double ms;
    if (!gtv_frame_fill(c->scalers, c->frame, &in.at, gtv_detector_pixels(c->detector, 0, 0), err) ||
        !gtv_detector_run(c->detector, 0, &in, 1, &out->found, &ms, err))
        return false;
    out->analysed = true;
    if (c->config.save)
        save(c->config.save, out);
    return true;
}

void gtv_clip_again(struct gtv_clip *c)
{
    if (c->extra < GTV_TRACK_AGAIN_MOST && 1000 / c->config.looks >= GTV_TRACK_AGAIN_FROM_MS)
        c->again_ms = c->last_ms + GTV_TRACK_AGAIN_MS;
}

// As the cameras do it: late looks are not made up for, and a frame that is early by a tenth counts.
static bool due(struct gtv_clip *c, int64_t at_ms)
{
    double now = (double)at_ms, interval = 1000 / c->config.looks;
    if (now < c->due_ms - interval / 10) {
        if (c->again_ms == 0 || at_ms < c->again_ms)
            return false;
        c->again_ms = 0;
        c->extra++;
        return true;
    }
    c->due_ms = now - c->due_ms > interval ? now + interval : c->due_ms + interval;
    c->again_ms = 0;
    c->extra = 0;
    return true;
}

static bool next_decoded(struct gtv_clip *c, struct gtv_clip_look *out, struct gtv_error *err)
{
    av_frame_unref(c->frame);
    if (!next_frame(c, &out->at_ms, err))
        return false;
    out->width = c->frame->width;
    out->height = c->frame->height;
    out->frame = c->frame;
    out->model = gtv_detector_model(c->detector);
    if (planar(c->frame->format)) {
        out->luma = c->frame->data[0];
        out->cb = c->frame->data[1];
        out->cr = c->frame->data[2];
        out->stride = (size_t)c->frame->linesize[0];
        out->chroma_stride = (size_t)c->frame->linesize[1];
        out->chroma_width = (out->width + 1) / 2;
        out->chroma_height = (out->height + 1) / 2;
    }
    return !due(c, out->at_ms) || detect(c, out, err);
}

// ---- From a file of detections ----

static bool parse_object(yyjson_val *v, struct gtv_detected *d, struct gtv_error *err)
{
    struct gtv_str type = {0};
    int64_t x, y, w, h;
    bool ok = gtv_json_get_str(v, "object_type", GTV_JSON_REQUIRED, &type, err) &&
              gtv_json_get_double(v, "confidence", GTV_JSON_REQUIRED, 0, 1, &d->confidence, err) &&
              gtv_json_get_int(v, "x", GTV_JSON_REQUIRED, INT32_MIN, INT32_MAX, &x, err) &&
              gtv_json_get_int(v, "y", GTV_JSON_REQUIRED, INT32_MIN, INT32_MAX, &y, err) &&
              gtv_json_get_int(v, "w", GTV_JSON_REQUIRED, 0, INT32_MAX, &w, err) &&
              gtv_json_get_int(v, "h", GTV_JSON_REQUIRED, 0, INT32_MAX, &h, err);
    if (!ok || !gtv_str_copy(d->object_type, sizeof(d->object_type), type))
        return false;
    d->x = (int)x;
    d->y = (int)y;
    d->w = (int)w;
    d->h = (int)h;
    return true;
}

static bool parse_look(yyjson_val *root, struct gtv_clip_look *out, struct gtv_error *err)
{
    int64_t width, height;
    if (!gtv_json_get_int(root, "at_ms", GTV_JSON_REQUIRED, 0, INT32_MAX, &out->at_ms, err) ||
        !gtv_json_get_int(root, "width", GTV_JSON_REQUIRED, 1, 65535, &width, err) ||
        !gtv_json_get_int(root, "height", GTV_JSON_REQUIRED, 1, 65535, &height, err))
        return false;
    out->width = (int)width;
    out->height = (int)height;
    out->analysed = true;
    yyjson_val *objects = yyjson_obj_get(root, "objects"), *v;
    size_t i, n;
    yyjson_arr_foreach(objects, i, n, v)
    {
        if (out->found.count < GTV_MAX_OBJECTS &&
            !parse_object(v, &out->found.objects[out->found.count++], err))
            return false;
    }
    return true;
}

static bool next_saved(struct gtv_clip *c, struct gtv_clip_look *out, struct gtv_error *err)
{
    for (;;) {
        if (!fgets(c->line, LINE_CAP, c->saved)) {
            if (++c->turn >= c->config.turns)
                return false;
            rewind(c->saved);
            c->turn_ms = c->last_ms + c->step_ms;
            continue;
        }
        yyjson_doc *doc = gtv_json_parse(gtv_str_of(c->line), err);
        memset(out, 0, sizeof(*out));
        bool ok = doc && parse_look(yyjson_doc_get_root(doc), out, err);
        yyjson_doc_free(doc);
        if (!ok)
            return false;
        out->at_ms += c->turn_ms;
        if (out->at_ms > c->last_ms)
            c->step_ms = out->at_ms - c->last_ms;
        c->last_ms = out->at_ms;
        if (c->config.seconds > 0 && (double)out->at_ms >= c->config.seconds * 1000)
            return false;
        if (due(c, out->at_ms))
            return true;
    }
}

bool gtv_clip_next(struct gtv_clip *c, struct gtv_clip_look *out, struct gtv_error *err)
{
    memset(out, 0, sizeof(*out));
    return c->saved ? next_saved(c, out, err) : next_decoded(c, out, err);
}
