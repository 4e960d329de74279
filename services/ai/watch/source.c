// Phases of a source's thread: connecting -> watching -> (failure) waiting -> connecting ... -> ended. A look
// belongs to the engine from gtv_engine_post until release() clears `looking`; the thread does not end
// before.
#include "services/ai/watch/source.h"

#include "lib/av/av.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/ai/watch/frame.h"

#include <libavcodec/avcodec.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    IO_TIMEOUT_MS = 10000,     // no byte from the relay for that long: connect again
    DECODE_TIMEOUT_MS = 10000, // packets, but no picture
    BACKOFF_FIRST_MS = 500,
    BACKOFF_MAX_MS = 10000,
    LAG_SKIP_MS = 1000, // behind by that much: leave out frames that nothing refers to
    LAG_KEY_MS = 3000,  // key frames only
    LAG_OK_MS = 300,
    PROBE_BYTES =
        32768, // enough for the tables at the head of the stream; every further byte delays the first picture
    RATE_SPAN = 32,
    RATE_STALE_MS = 3000,
};

// The moments of the last events, for a rate that follows quickly.
struct rate {
    int64_t at_ms[RATE_SPAN];
    size_t count;
};

struct gtv_source {
    struct gtv_source_config config; // constant
    char *url;
    struct gtv_log log;
    char name[GTV_CAMERA_PATH_CAP];
    pthread_t thread;
    atomic_bool stop;
    atomic_bool ended;

    // The thread's own.
    AVFormatContext *format;
    AVCodecContext *codec;
    AVFrame *decoded;
    int stream; // index of the video, or -1
    int64_t io_deadline_ms, last_decoded_ms;
    double least_lag_ms;
    double due_ms;
    unsigned failures_in_a_row;

    // A worker's, while a look runs.
    struct gtv_work work;
    AVFrame *looked_at;
    int64_t looked_at_wall_ms;
    struct gtv_frame_scaler scaler;

    pthread_mutex_t lock; // guards what follows
    pthread_cond_t changed;
    AVFrame *newest; // empty when the last look took it
    int64_t newest_wall_ms;
    bool looking; // the work waits or runs
    struct rate frames, looks;
    struct gtv_source_status status;
};

const char *gtv_source_state_name(enum gtv_source_state state)
{
    switch (state) {
#define X(name, text)                                                                                        \
    case name:                                                                                               \
        return text;
        GTV_SOURCE_STATES(X)
#undef X
    }
    return "";
}

static void rate_add(struct rate *r, int64_t now_ms)
{
    r->at_ms[r->count++ % RATE_SPAN] = now_ms;
}

static double rate_value(const struct rate *r, int64_t now_ms)
{
    if (r->count < 2)
        return 0;
    size_t n = r->count < RATE_SPAN ? r->count : RATE_SPAN;
    int64_t newest = r->at_ms[(r->count - 1) % RATE_SPAN], oldest = r->at_ms[(r->count - n) % RATE_SPAN];
    if (now_ms - newest > RATE_STALE_MS || newest <= oldest)
        return 0;
    return (double)(n - 1) * 1000 / (double)(newest - oldest);
}

bool gtv_source_due(int64_t now_ms, double interval_ms, double *due_ms)
{
    double now = (double)now_ms;
    if (now < *due_ms - interval_ms / 10)
        return false;
    *due_ms = now - *due_ms > interval_ms ? now + interval_ms : *due_ms + interval_ms;
    return true;
}

static void set_state(struct gtv_source *s, enum gtv_source_state state, const char *cause)
{
    (void)pthread_mutex_lock(&s->lock);
    s->status.state = state;
    if (cause)
        snprintf(s->status.cause, sizeof(s->status.cause), "%s", cause);
    (void)pthread_mutex_unlock(&s->lock);
}

static void set_cause(struct gtv_source *s, const struct gtv_error *err)
{
    (void)pthread_mutex_lock(&s->lock);
    snprintf(s->status.cause, sizeof(s->status.cause), "a look failed: %.140s", err->message);
    (void)pthread_mutex_unlock(&s->lock);
}

// ---- Looking (a worker's thread) ----

static struct gtv_source *source_of(struct gtv_work *w)
{
    return (struct gtv_source *)(void *)((char *)w - offsetof(struct gtv_source, work));
}

static void look_failed(struct gtv_source *s, const struct gtv_error *err)
{
    gtv_log_warn(&s->log, "a look failed", "cause=\"%s\"", err->message);
    set_cause(s, err);
}

static bool prepare(struct gtv_work *w, size_t worker, const struct gtv_model *model, uint8_t *pixels,
                    struct gtv_geometry *g)
{
    struct gtv_source *s = source_of(w);
    (void)pthread_mutex_lock(&s->lock);
    av_frame_move_ref(s->looked_at, s->newest);
    s->looked_at_wall_ms = s->newest_wall_ms;
    (void)pthread_mutex_unlock(&s->lock);
    if (atomic_load(&s->stop) || !s->looked_at->buf[0])
        return false;
    struct gtv_error err = {0};
    gtv_geometry_init(g, model, s->looked_at->width, s->looked_at->height);
    bool ok = gtv_frame_fill(&s->scaler, s->looked_at, g, pixels, &err);
    if (!ok)
        look_failed(s, &err);
    return ok;
}

static void finish(struct gtv_work *w, size_t worker, const struct gtv_model *model,
                   const struct gtv_detections *found, const struct gtv_error *err)
{
    struct gtv_source *s = source_of(w);
    if (err)
        look_failed(s, err);
    if (found) {
        struct gtv_look look = {.camera_id = s->config.camera_id,
                                .wall_ms = s->looked_at_wall_ms,
                                .width = s->looked_at->width,
                                .height = s->looked_at->height,
                                .model = model,
                                .found = found,
                                .prepare_ms = w->prepare_ms,
                                .infer_ms = w->infer_ms};
        s->config.on_look(s->config.arg, &look);
    }
    av_frame_unref(s->looked_at);
    (void)pthread_mutex_lock(&s->lock);
    if (found) {
        rate_add(&s->looks, gtv_mono_ms());
        s->status.looks++;
        s->status.last_look_wall_ms = s->looked_at_wall_ms;
        s->status.last_count = found->count;
    }
    (void)pthread_mutex_unlock(&s->lock);
}

static void release(struct gtv_work *w, size_t worker)
{
    struct gtv_source *s = source_of(w);
    (void)pthread_mutex_lock(&s->lock);
    s->looking = false;
    (void)pthread_cond_signal(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

// ---- Reading and decoding (the source's thread) ----

static int interrupted(void *arg)
{
    struct gtv_source *s = arg;
    return atomic_load(&s->stop) || gtv_mono_ms() > s->io_deadline_ms;
}

// Takes the decoded frame: it becomes the newest, and is looked at if that is due and no look is pending.
static void offer(struct gtv_source *s, int64_t wall_ms)
{
    int64_t now = gtv_mono_ms();
    s->last_decoded_ms = now;
    bool submit = false;
    (void)pthread_mutex_lock(&s->lock);
    struct gtv_source_status *st = &s->status;
    if (st->state != GTV_SOURCE_WATCHING || st->cause[0]) {
        st->state = GTV_SOURCE_WATCHING;
        st->cause[0] = '\0';
    }
    st->frames++;
    st->last_frame_wall_ms = wall_ms;
    st->width = s->decoded->width;
    st->height = s->decoded->height;
    rate_add(&s->frames, now);
    av_frame_unref(s->newest);
    av_frame_move_ref(s->newest, s->decoded);
    s->newest_wall_ms = wall_ms;
    if (!s->looking && gtv_source_due(now, 1000 / s->config.max_fps, &s->due_ms))
        submit = s->looking = true;
    (void)pthread_mutex_unlock(&s->lock);
    if (submit && !gtv_engine_post(s->config.engine, &s->work)) {
        (void)pthread_mutex_lock(&s->lock);
        s->looking = false;
        (void)pthread_mutex_unlock(&s->lock);
    }
    if (s->failures_in_a_row) {
        gtv_log_info(&s->log, "watching again", "after_failures=%u", s->failures_in_a_row);
        s->failures_in_a_row = 0;
    }
}

// Decodes less while behind. The least lag seen is the network's and the clocks' share of it; it is forgotten
// slowly.
static void adapt(struct gtv_source *s, int64_t wall_ms)
{
    double lag = (double)(gtv_wall_ms() - wall_ms);
    s->least_lag_ms = lag < s->least_lag_ms ? lag : s->least_lag_ms + 0.2;
    double behind = lag - s->least_lag_ms;
    enum AVDiscard skip = s->codec->skip_frame;
    if (behind > LAG_KEY_MS)
        skip = AVDISCARD_NONKEY;
    else if (behind > LAG_SKIP_MS)
        skip = skip < AVDISCARD_NONREF ? AVDISCARD_NONREF : skip;
    else if (behind < LAG_OK_MS)
        skip = AVDISCARD_DEFAULT;
    if (skip == s->codec->skip_frame)
        return;
    s->codec->skip_frame = skip;
    (void)pthread_mutex_lock(&s->lock);
    s->status.skipping = skip != AVDISCARD_DEFAULT;
    (void)pthread_mutex_unlock(&s->lock);
}

static int decode(struct gtv_source *s, const AVPacket *packet)
{
    int err = avcodec_send_packet(s->codec, packet);
    if (err < 0 && err != AVERROR_INVALIDDATA)
        return err;
    while ((err = avcodec_receive_frame(s->codec, s->decoded)) >= 0) {
        int64_t wall_ms = gtv_wall_ms();
        int64_t pts = s->decoded->best_effort_timestamp;
        if (pts != AV_NOPTS_VALUE) // the demuxer may have unrolled the 33 bits
            wall_ms = gtv_av_pts33_to_wall_ms(pts & (((int64_t)1 << 33) - 1), wall_ms);
        adapt(s, wall_ms);
        offer(s, wall_ms);
    }
    return err == AVERROR(EAGAIN) || err == AVERROR_INVALIDDATA ? 0 : err;
}

// The relay's tables name the codec; its parameters come with the first key frame, so that nothing needs to
// be probed.
static int open_decoder(struct gtv_source *s, int index)
{
    const AVStream *stream = s->format->streams[index];
    const AVCodec *codec = avcodec_find_decoder(stream->codecpar->codec_id);
    if (!codec)
        return AVERROR_DECODER_NOT_FOUND;
    s->codec = avcodec_alloc_context3(codec);
    if (!s->codec)
        return AVERROR(ENOMEM);
    int err = avcodec_parameters_to_context(s->codec, stream->codecpar);
    if (err < 0)
        return err;
    s->codec->pkt_timebase = stream->time_base;
    s->codec->thread_count = 1; // one camera is slow enough for one thread, and frame threads delay
    err = avcodec_open2(s->codec, codec, NULL);
    if (err < 0)
        return err;
    s->stream = index;
    s->least_lag_ms = 1e12;
    (void)pthread_mutex_lock(&s->lock);
    snprintf(s->status.codec, sizeof(s->status.codec), "%s", codec->name);
    s->status.skipping = false;
    (void)pthread_mutex_unlock(&s->lock);
    return 0;
}

static int open_relay(struct gtv_source *s)
{
    s->io_deadline_ms = gtv_mono_ms() + IO_TIMEOUT_MS;
    s->format = avformat_alloc_context();
    if (!s->format)
        return AVERROR(ENOMEM);
    s->format->interrupt_callback = (AVIOInterruptCB){.callback = interrupted, .opaque = s};
    // The relay has one picture in each PES packet: a parser would only hold it back until it sees the next
    // one.
    s->format->flags |= AVFMT_FLAG_NOBUFFER | AVFMT_FLAG_NOPARSE | AVFMT_FLAG_NOFILLIN;
    s->format->probesize = PROBE_BYTES;
    AVDictionary *options = NULL;
    char timeout_us[24];
    snprintf(timeout_us, sizeof(timeout_us), "%lld", IO_TIMEOUT_MS * 1000LL);
    (void)av_dict_set(&options, "rw_timeout", timeout_us, 0);
    (void)av_dict_set(&options, "user_agent", "gtv-ai/" GTV_VERSION, 0);
    (void)av_dict_set(&options, "seekable", "0", 0);
    int err = avformat_open_input(&s->format, s->url, av_find_input_format("mpegts"), &options);
    av_dict_free(&options);
    return err;
}

// Reads until something fails. Returns the error; *cause may name it better than the code does.
static int watch(struct gtv_source *s, AVPacket *packet, const char **cause)
{
    int err = open_relay(s);
    if (err < 0)
        return err;
    int64_t opened_ms = gtv_mono_ms();
    s->last_decoded_ms = opened_ms;
    while (!atomic_load(&s->stop)) {
        s->io_deadline_ms = gtv_mono_ms() + IO_TIMEOUT_MS;
        err = av_read_frame(s->format, packet);
        if (err < 0)
            return err;
        int index = packet->stream_index;
        if (s->stream < 0 && s->format->streams[index]->codecpar->codec_type == AVMEDIA_TYPE_VIDEO) {
            err = open_decoder(s, index);
            if (err == AVERROR_DECODER_NOT_FOUND)
                *cause = "this program has no decoder for the camera's codec";
        }
        if (err >= 0 && index == s->stream)
            err = decode(s, packet);
        av_packet_unref(packet);
        if (err < 0)
            return err;
        if (gtv_mono_ms() - s->last_decoded_ms > DECODE_TIMEOUT_MS) {
            *cause = s->stream < 0 ? "the stream carries no video" : "the video cannot be decoded";
            return AVERROR_INVALIDDATA;
        }
    }
    return AVERROR_EXIT;
}

static void close_relay(struct gtv_source *s)
{
    avcodec_free_context(&s->codec);
    avformat_close_input(&s->format);
    s->stream = -1;
}

// Waits with back-off and jitter, or until it is stopped.
static void wait_before_retry(struct gtv_source *s)
{
    unsigned shift = s->failures_in_a_row < 5 ? s->failures_in_a_row : 5;
    int64_t ms = BACKOFF_FIRST_MS << shift;
    ms = ms > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : ms;
    ms = ms / 2 + (int64_t)(gtv_mono_ns() % (ms / 2 + 1));
    int64_t until = gtv_mono_ms() + ms;
    (void)pthread_mutex_lock(&s->lock);
    while (!atomic_load(&s->stop) && gtv_mono_ms() < until) {
        int64_t wall_ns = gtv_wall_ms() * 1000000 + (until - gtv_mono_ms()) * 1000000;
        struct timespec at = {.tv_sec = wall_ns / 1000000000, .tv_nsec = wall_ns % 1000000000};
        (void)pthread_cond_timedwait(&s->changed, &s->lock, &at);
    }
    (void)pthread_mutex_unlock(&s->lock);
}

static void fail(struct gtv_source *s, int err, const char *cause)
{
    char text[160];
    if (err == AVERROR_EXIT) // our own interruption: the relay was silent
        snprintf(text, sizeof(text), "the media node sent nothing for %d s", IO_TIMEOUT_MS / 1000);
    else if (err == AVERROR_EOF)
        snprintf(text, sizeof(text), "the media node ended the relay");
    else
        snprintf(text, sizeof(text), "%s%s",
                 cause ? "" : "relay of the media node: ", cause ? cause : gtv_av_cause(err));
    (void)pthread_mutex_lock(&s->lock);
    s->status.failures++;
    (void)pthread_mutex_unlock(&s->lock);
    set_state(s, GTV_SOURCE_WAITING, text);
    // Told at once, then only now and then: a camera may be away for days.
    if (s->failures_in_a_row % 64 == 0)
        gtv_log_warn(&s->log, "not watching", "cause=\"%s\"", text);
    s->failures_in_a_row++;
}

static void *run(void *arg)
{
    struct gtv_source *s = arg;
    char name[16];
    snprintf(name, sizeof(name), "ai-%.12s", s->name);
    (void)pthread_setname_np(pthread_self(), name);
    AVPacket *packet = av_packet_alloc();
    if (!packet)
        abort();
    while (!atomic_load(&s->stop)) {
        const char *cause = NULL;
        set_state(s, GTV_SOURCE_CONNECTING, NULL);
        int err = watch(s, packet, &cause);
        close_relay(s);
        if (atomic_load(&s->stop))
            break;
        fail(s, err, cause);
        wait_before_retry(s);
    }
    av_packet_free(&packet);
    (void)pthread_mutex_lock(&s->lock);
    while (s->looking)
        (void)pthread_cond_wait(&s->changed, &s->lock);
    s->status.state = GTV_SOURCE_ENDED;
    (void)pthread_mutex_unlock(&s->lock);
    atomic_store(&s->ended, true);
    return NULL;
}

// ---- From outside ----

static AVFrame *new_frame(void)
{
    AVFrame *frame = av_frame_alloc();
    if (!frame)
        abort();
    return frame;
}

struct gtv_source *gtv_source_start(const struct gtv_source_config *config)
{
    static const struct gtv_work_ops ops = {prepare, finish, release};
    struct gtv_source *s = GTV_NEW(struct gtv_source);
    s->config = *config;
    s->url = gtv_strdup(config->url);
    s->config.url = s->url;
    s->stream = -1;
    s->work = (struct gtv_work){.ops = &ops,
                                .kind = GTV_WORK_LOOK,
                                .client = (uint64_t)config->camera_id,
                                .min_confidence = config->min_confidence};
    gtv_camera_path(config->camera_id, s->name);
    s->log = (struct gtv_log){.component = "ai", .key = "camera", .id = s->name};
    s->newest = new_frame();
    s->decoded = new_frame();
    s->looked_at = new_frame();
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->changed, NULL);
    if (pthread_create(&s->thread, NULL, run, s) != 0) {
        // No thread to be had: the source has ended before it began, and says so.
        snprintf(s->status.cause, sizeof(s->status.cause), "no thread could be started");
        s->status.state = GTV_SOURCE_ENDED;
        atomic_store(&s->stop, true);
        s->thread = 0;
        atomic_store(&s->ended, true);
    }
    return s;
}

void gtv_source_stop(struct gtv_source *s)
{
    atomic_store(&s->stop, true);
    (void)pthread_mutex_lock(&s->lock);
    (void)pthread_cond_signal(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

bool gtv_source_ended(struct gtv_source *s)
{
    return atomic_load(&s->ended);
}

void gtv_source_destroy(struct gtv_source *s)
{
    if (!s)
        return;
    gtv_source_stop(s);
    if (s->thread)
        (void)pthread_join(s->thread, NULL);
    gtv_frame_scaler_finish(&s->scaler);
    av_frame_free(&s->newest);
    av_frame_free(&s->decoded);
    av_frame_free(&s->looked_at);
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->lock);
    free(s->url);
    free(s);
}

void gtv_source_get_status(struct gtv_source *s, struct gtv_source_status *out)
{
    int64_t now = gtv_mono_ms();
    (void)pthread_mutex_lock(&s->lock);
    *out = s->status;
    out->frame_rate = rate_value(&s->frames, now);
    out->look_rate = rate_value(&s->looks, now);
    (void)pthread_mutex_unlock(&s->lock);
}
