// Phases of a source: connecting -> watching -> (failure) waiting -> connecting ... -> ended. A look belongs
// to the engine from gtv_engine_post until release() clears `looking`; the source is not freed before.
#include "services/ai/watch/source.h"

#include "lib/av/av.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/contract/contract.h"
#include "services/ai/gate/sizes.h"
#include "services/ai/track/track.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DECODE_TIMEOUT_MS = 10000, // bytes, but no picture
    BACKOFF_FIRST_MS = 500,
    BACKOFF_MAX_MS = 10000,
    RATE_SPAN = 32,
    RATE_STALE_MS = 6500, // a quiet camera is decoded every 5 s
    GATE_WIDTH = 160,
    GATE_EVERY_MS = 180,   // the gate sees frames at that distance, or when a look is due
    GATHER_FROM_MS = 450,  // where looks are that far apart, pictures gather before they are decoded,
    GATHER_MS = 240,       // for so long; more than 300 would make the gate ask for fewer pictures in a row
    MOTION_HOLD_MS = 1200, // after the last motion looks go on, so that tracks end properly
    UNTIMED_UNITS = 30,    // pictures without a time-stamp in a row
    UNSEEN_MS = 5000,      // at least so often a picture is decoded, whatever the sizes say
};

#define LOW_CONFIDENCE 0.12 // what the tracker's second round can use

// The moments of the last events, for a rate that follows quickly.
struct rate {
    int64_t at_ms[RATE_SPAN];
    size_t count;
};

struct gtv_source {
    struct gtv_source_config config; // constant
    char *relay_url, *rtsp_url;
    struct gtv_log log;
    char name[GTV_CAMERA_PATH_CAP];
    atomic_bool stop;
    struct gtv_decode *decode;

    // The loop's own.
    struct gtv_reader *reader;
    int64_t retry_ms, opened_ms;
    uint64_t frames_at_open, untimed_units;
    unsigned failures_in_a_row;
    struct gtv_sizes_interval since_key;
    bool whole; // since_key began with a key frame

    // Of the decoder's thread.
    struct gtv_gate *gate;
    int gate_width, gate_height;
    uint8_t *plane;
    double due_ms;
    int64_t gated_ms, moved_ms; // monotonic: the gate's last frame, the last motion

    // A worker's, while a look runs.
    struct gtv_work work;
    double began_ms; // the worker's CPU time when it took the look
    double infer_ms; // of an inference, when nothing else holds it up
    AVFrame *looked_at;
    int64_t looked_at_wall_ms;
    bool still; // set before it is posted: nothing moves

    pthread_mutex_t lock; // guards what follows
    pthread_cond_t changed;
    AVFrame *newest; // what the look that waits will see
    int64_t newest_wall_ms;
    bool looking, begun; // a look waits or runs; it has its frame
    bool ample;          // see gtv_source_grant
    int extra;           // looks between the regular ones, since the last of those
    int64_t again_ms;    // when such a one is due, monotonic; 0: not at all
    bool settings_new;
    struct gtv_sizes sizes;
    struct gtv_sizes_interval ended; // with the newest key frame; pictures 0: it is learnt, or of no use
    bool keys;                       // key frames alone are decoded
    int64_t decoded_ms, posted_ms;   // monotonic: the last picture, the last look
    double min_confidence;           // see gtv_source_config
    struct gtv_scene_settings settings;
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

enum gtv_decode_mode gtv_source_choose(enum gtv_decode_policy policy, bool keys_only, double interval_ms,
                                       double key_interval_ms, double frame_interval_ms)
{
    if (keys_only || policy == GTV_DECODE_ALWAYS_KEYS)
        return GTV_DECODE_KEYS;
    if (policy != GTV_DECODE_AUTO)
        return policy == GTV_DECODE_ALWAYS_ALL ? GTV_DECODE_ALL : GTV_DECODE_REFERENCES;
    if (key_interval_ms > 0 && key_interval_ms <= interval_ms * 1.1)
        return GTV_DECODE_KEYS;
    // Every other picture is enough for looks that are further apart than two of them.
    return frame_interval_ms > 0 && interval_ms < frame_interval_ms * 2 ? GTV_DECODE_ALL
                                                                        : GTV_DECODE_REFERENCES;
}

static void set_state(struct gtv_source *s, enum gtv_source_state state, const char *cause)
{
    (void)pthread_mutex_lock(&s->lock);
    s->status.state = state;
    if (cause)
        snprintf(s->status.cause, sizeof(s->status.cause), "%s", cause);
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
    (void)pthread_mutex_lock(&s->lock);
    snprintf(s->status.cause, sizeof(s->status.cause), "a look failed: %.140s", err->message);
    (void)pthread_mutex_unlock(&s->lock);
}

static bool prepare(struct gtv_work *w, size_t worker, const struct gtv_model *model, uint8_t *pixels,
                    struct gtv_geometry *g)
{
    struct gtv_source *s = source_of(w);
    s->began_ms = gtv_thread_ms();
    (void)pthread_mutex_lock(&s->lock);
    av_frame_move_ref(s->looked_at, s->newest);
    s->looked_at_wall_ms = s->newest_wall_ms;
    s->begun = true;
    (void)pthread_mutex_unlock(&s->lock);
    if (atomic_load(&s->stop) || !s->looked_at->buf[0])
        return false;
    struct gtv_error err = {0};
    gtv_geometry_init(g, model, s->looked_at->width, s->looked_at->height);
    if (gtv_frame_fill(s->config.scalers, s->looked_at, g, pixels, &err))
        return true;
    look_failed(s, &err);
    return false;
}

static void finish(struct gtv_work *w, size_t worker, const struct gtv_model *model,
                   const struct gtv_detections *found, const struct gtv_error *err)
{
    struct gtv_source *s = source_of(w);
    double ms = 0, elsewhere_ms = 0;
    bool again = false;
    if (err)
        look_failed(s, err);
    if (found) {
        struct gtv_look look = {.camera_id = s->config.camera_id,
                                .wall_ms = s->looked_at_wall_ms,
                                .frame = s->looked_at,
                                .model = model,
                                .found = found,
                                .worker = worker,
                                .wait_ms = w->wait_ms,
                                .prepare_ms = w->prepare_ms,
                                .infer_ms = w->infer_ms / (double)(w->batch ? w->batch : 1),
                                .still = s->still,
                                .elsewhere_ms = &elsewhere_ms,
                                .again = &again};
        // The runtime computes on a thread of its own, so that only the wall clock knows how long: the least
        // that it took lately is what it costs, the rest was waiting for the processor.
        if (s->infer_ms <= 0 || look.infer_ms < s->infer_ms)
            s->infer_ms = look.infer_ms;
        else
            s->infer_ms += (look.infer_ms - s->infer_ms) / 50;
        ms = (gtv_thread_ms() - s->began_ms) / (double)(w->batch ? w->batch : 1) + s->infer_ms;
        look.computed = look.infer_ms > 0 ? s->infer_ms / look.infer_ms : 1;
        double began = gtv_thread_ms();
        s->config.on_look(s->config.arg, &look);
        ms += gtv_thread_ms() - began + elsewhere_ms;
    }
    av_frame_unref(s->looked_at);

    (void)pthread_mutex_lock(&s->lock);
    if (found) {
        rate_add(&s->looks, gtv_mono_ms());
        s->status.looks++;
        s->status.look_ms += ms;
        s->status.look_wait_ms = w->wait_ms;
        s->status.last_look_wall_ms = s->looked_at_wall_ms;
        double own = s->settings.min_confidence, least = own > 0 ? own : s->min_confidence;
        s->status.last_count = 0;
        for (size_t i = 0; i < found->count; i++)
            s->status.last_count += found->objects[i].confidence >= least;
        bool rare = s->status.interval_ms >= GTV_TRACK_AGAIN_FROM_MS && s->extra < GTV_TRACK_AGAIN_MOST;
        s->again_ms = again && rare && s->ample ? s->posted_ms + GTV_TRACK_AGAIN_MS : 0;
    }
    (void)pthread_mutex_unlock(&s->lock);
}

static void release(struct gtv_work *w, size_t worker)
{
    struct gtv_source *s = source_of(w);
    (void)pthread_mutex_lock(&s->lock);
    s->looking = s->begun = false;
    (void)pthread_cond_signal(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

// ---- Pictures (a decoder's thread) ----

static bool take_settings(struct gtv_source *s, struct gtv_scene_settings *out)
{
    (void)pthread_mutex_lock(&s->lock);
    bool fresh = s->settings_new;
    if (fresh)
        *out = s->settings;
    s->settings_new = false;
    (void)pthread_mutex_unlock(&s->lock);
    return fresh;
}

// The gate for pictures of this shape, with the settings of now.
static bool keep_gate(struct gtv_source *s, const AVFrame *frame)
{
    int height = frame->width > 0 ? GATE_WIDTH * frame->height / frame->width : 0;
    height = height < 16 ? 16 : height > GTV_GATE_MAX_SIDE ? GTV_GATE_MAX_SIDE : height;
    struct gtv_scene_settings settings;
    bool fresh = take_settings(s, &settings);
    if (s->gate && s->gate_height == height) {
        if (fresh)
            gtv_gate_set(s->gate, &settings);
        return true;
    }
    if (!fresh) {
        (void)pthread_mutex_lock(&s->lock);
        settings = s->settings;
        (void)pthread_mutex_unlock(&s->lock);
    }
    gtv_gate_destroy(s->gate);
    s->gate = gtv_gate_create(&(struct gtv_gate_config){
        .width = GATE_WIDTH, .height = height, .sensitivity = settings.sensitivity, .settings = &settings});
    s->gate_width = GATE_WIDTH;
    s->gate_height = height;
    s->plane = gtv_realloc(s->plane, (size_t)GATE_WIDTH * (size_t)height);
    return s->gate != NULL;
}

// How far the chroma planes are halved; false for pictures that the gate cannot read.
static bool chroma_shift(int format, int *x, int *y)
{
    *x = *y = 0;
    switch (format) {
    case AV_PIX_FMT_YUV420P:
    case AV_PIX_FMT_YUVJ420P:
        *x = *y = 1;
        return true;
    case AV_PIX_FMT_YUV422P:
    case AV_PIX_FMT_YUVJ422P:
        *x = 1;
        return true;
    case AV_PIX_FMT_YUV444P:
    case AV_PIX_FMT_YUVJ444P:
        return true;
    default:
        return false;
    }
}

static void run_gate(struct gtv_source *s, const AVFrame *frame, int64_t wall_ms, int64_t now)
{
    int x, y;
    struct gtv_gate_result result = {.motion = true, .learning = true};
    double began = gtv_thread_ms();
    if (chroma_shift(frame->format, &x, &y) && keep_gate(s, frame)) {
        gtv_gate_shrink(frame->data[0], (size_t)frame->linesize[0], frame->width, frame->height, s->plane,
                        s->gate_width, s->gate_height);
        struct gtv_gate_frame in = {.luma = s->plane,
                                    .stride = (size_t)s->gate_width,
                                    .wall_ms = wall_ms,
                                    .chroma = gtv_gate_chroma(frame->data[1], frame->data[2],
                                                              (size_t)frame->linesize[1], frame->width >> x,
                                                              frame->height >> y)};
        gtv_gate_update(s->gate, &in, &result);
    }
    double cost = gtv_thread_ms() - began;
    s->gated_ms = now;
    if (result.motion)
        s->moved_ms = now;
    (void)pthread_mutex_lock(&s->lock);
    s->status.gate_cpu_ms += cost;
    s->status.faults = result.faults;
    if (s->keys && !result.learning)
        gtv_sizes_learn(&s->sizes, &s->ended, result.motion);
    s->ended = (struct gtv_sizes_interval){0};
    if (result.motion)
        s->status.last_motion_wall_ms = wall_ms;
    (void)pthread_mutex_unlock(&s->lock);
}

// Notes the picture; a look that still waits sees the newest in place of an older one. Returns whether
// another look is due.
static bool note(struct gtv_source *s, AVFrame *frame, int64_t wall_ms, int64_t now, bool newest, bool *taken)
{
    (void)pthread_mutex_lock(&s->lock);
    struct gtv_source_status *st = &s->status;
    if (st->state != GTV_SOURCE_WATCHING || st->cause[0]) {
        st->state = GTV_SOURCE_WATCHING;
        st->cause[0] = '\0';
    }
    st->frames++;
    s->decoded_ms = now;
    st->last_frame_wall_ms = wall_ms;
    if (st->width && (st->width != frame->width || st->height != frame->height))
        st->resized++;
    st->width = frame->width;
    st->height = frame->height;
    rate_add(&s->frames, now);
    *taken = s->looking && !s->begun;
    if (*taken && newest) {
        av_frame_unref(s->newest);
        av_frame_move_ref(s->newest, frame);
        s->newest_wall_ms = wall_ms;
    }
    bool could = newest && !s->looking, due = could && gtv_source_due(now, st->interval_ms, &s->due_ms);
    bool extra = could && !due && s->again_ms && now >= s->again_ms;
    if (due || extra) {
        s->extra = due ? 0 : s->extra + 1;
        s->again_ms = 0;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return due || extra;
}

// Whether a look that is due shall be: something moves, or nothing has been looked at for long.
static bool worth_it(struct gtv_source *s, int64_t now)
{
    (void)pthread_mutex_lock(&s->lock);
    double idle_ms = s->settings.idle_look_s * 1000;
    bool worth = !s->settings.motion_gate || now - s->moved_ms <= MOTION_HOLD_MS ||
                 (double)(now - s->posted_ms) >= idle_ms;
    if (!worth)
        s->status.still++;
    (void)pthread_mutex_unlock(&s->lock);
    return worth;
}

static void on_frame(void *arg, AVFrame *frame, int64_t wall_ms, bool newest)
{
    struct gtv_source *s = arg;
    int64_t now = gtv_mono_ms();
    bool taken;
    if (atomic_load(&s->stop))
        return;
    bool due = note(s, frame, wall_ms, now, newest, &taken);
    if (taken || !newest)
        return;
    if (due || now - s->gated_ms >= GATE_EVERY_MS)
        run_gate(s, frame, wall_ms, now);
    if (!due || !worth_it(s, now))
        return;
    (void)pthread_mutex_lock(&s->lock);
    s->posted_ms = now;
    s->work.min_confidence = fmin(s->min_confidence, LOW_CONFIDENCE);
    s->still = s->settings.motion_gate && now - s->moved_ms > MOTION_HOLD_MS;
    av_frame_unref(s->newest);
    av_frame_move_ref(s->newest, frame);
    s->newest_wall_ms = wall_ms;
    s->looking = true;
    s->begun = false;
    (void)pthread_mutex_unlock(&s->lock);
    if (gtv_engine_post(s->config.engine, &s->work))
        return;
    (void)pthread_mutex_lock(&s->lock);
    av_frame_unref(s->newest);
    s->looking = false;
    (void)pthread_mutex_unlock(&s->lock);
}

// ---- Reading (the loop) ----

// Whether the key frame that ends the interval need not be decoded. The lock is held.
static bool is_quiet(const struct gtv_source *s, const struct gtv_sizes_interval *i, int64_t now)
{
    double most = fmin(UNSEEN_MS, s->settings.idle_look_s * 1000);
    int64_t before = s->decoded_ms < s->posted_ms ? s->decoded_ms : s->posted_ms;
    return s->config.size_gate && s->keys && s->settings.motion_gate && !s->again_ms && !s->sizes.moved &&
           (s->status.faults & ~(unsigned)GTV_GATE_INFRARED) == 0 &&
           (double)(now - before) + s->status.interval_ms / 2 < most && gtv_sizes_quiet(&s->sizes, i);
}

// A key frame: the pictures before it may say that nothing moved. Returns whether they do.
static bool end_interval(struct gtv_source *s)
{
    int64_t now = gtv_mono_ms();
    (void)pthread_mutex_lock(&s->lock);
    s->ended = s->whole ? s->since_key : (struct gtv_sizes_interval){0};
    bool quiet = s->whole && is_quiet(s, &s->ended, now);
    if (quiet) {
        s->status.quiet++;
        s->status.still += !s->looking && gtv_source_due(now, s->status.interval_ms, &s->due_ms);
    }
    (void)pthread_mutex_unlock(&s->lock);
    s->since_key = (struct gtv_sizes_interval){0};
    s->whole = true;
    return quiet;
}

static void on_unit(void *arg, struct gtv_ts_unit *unit)
{
    struct gtv_source *s = arg;
    s->untimed_units = unit->has_pts ? 0 : s->untimed_units + 1;
    if (!unit->key)
        gtv_sizes_add(&s->since_key, unit->len);
    if (unit->key && end_interval(s))
        gtv_decode_skip(s->decode, unit);
    else
        gtv_decode_put(s->decode, unit);
}

static void fail(struct gtv_source *s, const char *cause)
{
    gtv_reader_close(s->reader);
    s->reader = NULL;
    (void)pthread_mutex_lock(&s->lock);
    s->status.failures++;
    (void)pthread_mutex_unlock(&s->lock);
    set_state(s, GTV_SOURCE_WAITING, cause);
    // Told at once, then only now and then: a camera may be away for days.
    if (s->failures_in_a_row % 64 == 0)
        gtv_log_warn(&s->log, "not watching", "cause=\"%s\"", cause);
    unsigned shift = s->failures_in_a_row < 5 ? s->failures_in_a_row : 5;
    int64_t ms = BACKOFF_FIRST_MS << shift;
    ms = ms > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : ms;
    s->retry_ms = gtv_mono_ms() + ms / 2 + gtv_mono_ns() % (ms / 2 + 1);
    s->failures_in_a_row++;
}

static void on_end(void *arg, const char *cause)
{
    fail(arg, cause);
}

static void open_reader(struct gtv_source *s, int64_t now)
{
    set_state(s, GTV_SOURCE_CONNECTING, NULL);
    gtv_decode_reset(s->decode);
    s->opened_ms = now;
    s->untimed_units = 0;
    s->since_key = (struct gtv_sizes_interval){0};
    s->whole = false;
    (void)pthread_mutex_lock(&s->lock);
    s->frames_at_open = s->status.frames;
    (void)pthread_mutex_unlock(&s->lock);
    gtv_reader_open(&s->reader, &(struct gtv_reader_config){.http = s->config.http,
                                                            .hub = s->config.hub,
                                                            .relay_url = s->relay_url,
                                                            .rtsp_url = s->rtsp_url,
                                                            .user = s->config.user,
                                                            .pass = s->config.pass,
                                                            .way = s->config.way,
                                                            .name = s->name,
                                                            .on_unit = on_unit,
                                                            .on_end = on_end,
                                                            .arg = s});
}

void gtv_source_tick(struct gtv_source *s, int64_t now)
{
    if (atomic_load(&s->stop))
        return;
    if (!s->reader && now >= s->retry_ms)
        open_reader(s, now);
    if (s->reader)
        gtv_reader_tick(s->reader, now);
    if (!s->reader)
        return;
    struct gtv_decode_stats stats;
    gtv_decode_get_stats(s->decode, &stats);
    (void)pthread_mutex_lock(&s->lock);
    struct gtv_source_status *st = &s->status;
    bool pictures = st->frames != s->frames_at_open;
    st->way = gtv_reader_way(s->reader);
    bool stale = st->last_frame_wall_ms && pictures && s->frames.count &&
                 now - s->frames.at_ms[(s->frames.count - 1) % RATE_SPAN] > DECODE_TIMEOUT_MS;
    st->untimed = s->untimed_units > UNTIMED_UNITS;
    bool keys = s->settings.key_frames || st->squeezed;
    double interval = st->interval_ms;
    if (stats.codec[0])
        snprintf(st->codec, sizeof(st->codec), "%s", stats.codec);
    (void)pthread_mutex_unlock(&s->lock);
    enum gtv_decode_mode mode =
        gtv_source_choose(s->config.policy, keys, interval, stats.key_interval_ms, stats.frame_interval_ms);
    if (mode != stats.mode)
        gtv_decode_set_mode(s->decode, mode);
    (void)pthread_mutex_lock(&s->lock);
    s->keys = mode == GTV_DECODE_KEYS;
    (void)pthread_mutex_unlock(&s->lock);
    // Only the gate and rare looks want pictures, and no look of frequent ones shall be late.
    bool gather = mode != GTV_DECODE_KEYS && interval >= GATHER_FROM_MS;
    gtv_decode_set_gather(s->decode, gather ? (int64_t)fmin(GATHER_MS, interval / 4) : 0);
    double patience = DECODE_TIMEOUT_MS + 3 * stats.key_interval_ms;
    if ((!pictures && (double)(now - s->opened_ms) > patience) ||
        (stale && (double)(now - s->opened_ms) > 2 * patience)) {
        fail(s, gtv_reader_fault(s->reader));
    } else if (pictures && s->failures_in_a_row) {
        gtv_log_info(&s->log, "watching again", "after_failures=%u", s->failures_in_a_row);
        s->failures_in_a_row = 0;
    }
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
    s->config.relay_url = s->relay_url = gtv_strdup(config->relay_url);
    s->config.rtsp_url = s->rtsp_url = config->rtsp_url ? gtv_strdup(config->rtsp_url) : NULL;
    s->settings = *config->settings;
    s->config.settings = NULL;
    s->work = (struct gtv_work){
        .ops = &ops, .kind = GTV_WORK_LOOK, .client = (uint64_t)config->camera_id, .vehicles = 0};
    s->min_confidence = config->min_confidence;
    gtv_camera_path(config->camera_id, s->name);
    s->log = (struct gtv_log){.component = "ai", .key = "camera", .id = s->name};
    s->newest = new_frame();
    s->looked_at = new_frame();
    s->status.interval_ms = 1000;
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->changed, NULL);
    s->decode = gtv_decode_create(
        &(struct gtv_decode_config){.pool = config->decoders, .on_frame = on_frame, .arg = s});
    open_reader(s, gtv_mono_ms());
    return s;
}

void gtv_source_stop(struct gtv_source *s)
{
    atomic_store(&s->stop, true);
    gtv_reader_close(s->reader);
    s->reader = NULL;
}

bool gtv_source_ended(struct gtv_source *s)
{
    if (!atomic_load(&s->stop))
        return false;
    (void)pthread_mutex_lock(&s->lock);
    bool ended = !s->looking;
    (void)pthread_mutex_unlock(&s->lock);
    return ended;
}

void gtv_source_destroy(struct gtv_source *s)
{
    if (!s)
        return;
    gtv_source_stop(s);
    gtv_decode_destroy(s->decode); // no new look begins after it
    (void)pthread_mutex_lock(&s->lock);
    while (s->looking)
        (void)pthread_cond_wait(&s->changed, &s->lock);
    (void)pthread_mutex_unlock(&s->lock);
    gtv_gate_destroy(s->gate);
    free(s->plane);
    av_frame_free(&s->newest);
    av_frame_free(&s->looked_at);
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->lock);
    free(s->relay_url);
    free(s->rtsp_url);
    free(s);
}

void gtv_source_grant(struct gtv_source *s, double interval_ms, bool squeeze, bool ample)
{
    (void)pthread_mutex_lock(&s->lock);
    s->status.interval_ms = interval_ms;
    s->status.squeezed = squeeze;
    s->ample = ample;
    (void)pthread_mutex_unlock(&s->lock);
}

void gtv_source_set(struct gtv_source *s, const struct gtv_scene_settings *settings)
{
    (void)pthread_mutex_lock(&s->lock);
    s->settings = *settings;
    s->settings_new = true;
    (void)pthread_mutex_unlock(&s->lock);
}

void gtv_source_set_confidence(struct gtv_source *s, double min_confidence)
{
    (void)pthread_mutex_lock(&s->lock);
    s->min_confidence = min_confidence;
    (void)pthread_mutex_unlock(&s->lock);
}

void gtv_source_get_status(struct gtv_source *s, struct gtv_source_status *out)
{
    int64_t now = gtv_mono_ms();
    struct gtv_decode_stats decode;
    gtv_decode_get_stats(s->decode, &decode);
    (void)pthread_mutex_lock(&s->lock);
    *out = s->status;
    out->frame_rate = rate_value(&s->frames, now);
    out->look_rate = rate_value(&s->looks, now);
    (void)pthread_mutex_unlock(&s->lock);
    out->decode = decode;
}
