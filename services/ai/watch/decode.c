#include "services/ai/watch/decode.h"

#include "lib/av/av.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <libavcodec/avcodec.h>
#include <libavutil/imgutils.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CODECS = GTV_TS_H265 + 1,
    SPARES = 2,     // buffers of key frames that are kept for the next
    SOON_MS = 4000, // key frames that close: what the pictures between them lose stays invisible
};

struct unit {
    struct unit *next;
    struct gtv_ts_unit coded;
    int64_t came_ms;
};

struct gtv_decode {
    struct gtv_decode_config config; // constant

    // Of the thread that has it in hand (see busy).
    AVCodecContext *own; // NULL while only key frames are decoded
    enum gtv_ts_codec own_codec;
    bool own_begun; // a key frame was decoded since it was opened

    // Guarded by the pool's lock.
    struct unit *first, *last;
    size_t waiting, waiting_bytes;
    bool busy, ready;            // a thread works on it; it is in the list of those that want one
    bool need_key;               // units are left out up to the next key frame
    int64_t gather_ms, burst_ms; // how long pictures gather; when those of the last time were wanted
    bool reopen;                 // the decoder has to be made anew
    struct gtv_decode *next_ready;
    int64_t last_key_pts, last_pts; // -1: none
    struct gtv_decode_stats stats;
};

struct worker {
    struct gtv_decode_pool *pool;
    pthread_t thread;
    size_t index;
    AVCodecContext *shared[CODECS]; // for key frames of any camera
    AVPacket *packet;
    AVFrame *frame;
    AVFrame *newest; // decoded and not given yet: another may follow
};

// Buffers that key frames were in; the newest first.
struct spares {
    pthread_mutex_t lock; // guards what follows
    struct {
        uint8_t *data; // its size stands at its beginning
        size_t size;
    } kept[SPARES];
};

struct gtv_decode_pool {
    struct spares spares;
    pthread_mutex_t lock; // guards the list and what the cameras say
    pthread_cond_t work;  // something is ready, or it is the end
    pthread_cond_t idle;  // a camera is no longer busy
    struct gtv_decode *ready, *ready_last;
    bool stopping;
    size_t count;
    struct worker *workers;
};

const char *gtv_decode_mode_name(enum gtv_decode_mode mode)
{
    switch (mode) {
#define X(name, text)                                                                                        \
    case name:                                                                                               \
        return text;
        GTV_DECODE_MODES(X)
#undef X
    }
    return "";
}

// ---- Decoding (a thread of the pool) ----

// Few buffers of key frames are kept for the next: all cameras' come at once where one clock drives them,
// wait for their looks at once, and libavcodec's pool would keep as many for ever.
static void give_back(void *arg, uint8_t *data)
{
    struct spares *s = arg;
    size_t size = *(const size_t *)(const void *)data;
    (void)pthread_mutex_lock(&s->lock);
    uint8_t *oldest = s->kept[SPARES - 1].data;
    memmove(&s->kept[1], &s->kept[0], (SPARES - 1) * sizeof(s->kept[0]));
    s->kept[0].data = data;
    s->kept[0].size = size;
    (void)pthread_mutex_unlock(&s->lock);
    av_free(oldest);
}

static uint8_t *take_spare(struct spares *s, size_t size)
{
    uint8_t *data = NULL;
    (void)pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < SPARES && !data; i++) {
        if (!s->kept[i].data || s->kept[i].size != size)
            continue;
        data = s->kept[i].data;
        memmove(&s->kept[i], &s->kept[i + 1], (SPARES - 1 - i) * sizeof(s->kept[0]));
        s->kept[SPARES - 1].data = NULL;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return data;
}

// An AVCodecContext's get_buffer2; its opaque is the spares.
static int lend(AVCodecContext *c, AVFrame *frame, int flags)
{
    enum { ALIGN = 64 };
    int w = frame->width, h = frame->height, unused[AV_NUM_DATA_POINTERS];
    if (c->codec_type != AVMEDIA_TYPE_VIDEO || !(c->codec->capabilities & AV_CODEC_CAP_DR1))
        return avcodec_default_get_buffer2(c, frame, flags);
    avcodec_align_dimensions2(c, &w, &h, unused);
    int picture = av_image_get_buffer_size((enum AVPixelFormat)frame->format, w, h, ALIGN);
    if (picture < 0)
        return picture;
    // Its size stands before the picture; decoders read a little beyond the end.
    size_t size = (size_t)picture + 2 * (size_t)ALIGN;
    uint8_t *data = take_spare(c->opaque, size);
    if (!data)
        data = av_malloc(size);
    if (!data)
        return AVERROR(ENOMEM);
    *(size_t *)(void *)data = size;
    frame->buf[0] = av_buffer_create(data, size, give_back, c->opaque, 0);
    if (!frame->buf[0]) {
        av_free(data);
        return AVERROR(ENOMEM);
    }
    frame->extended_data = frame->data;
    picture = av_image_fill_arrays(frame->data, frame->linesize, data + ALIGN,
                                   (enum AVPixelFormat)frame->format, w, h, ALIGN);
    return picture < 0 ? picture : 0;
}

// spares: of key frames alone; NULL: the decoder keeps its own.
static AVCodecContext *open_codec(enum gtv_ts_codec which, struct spares *spares)
{
    const AVCodec *codec = avcodec_find_decoder(which == GTV_TS_H265 ? AV_CODEC_ID_HEVC : AV_CODEC_ID_H264);
    AVCodecContext *c = codec ? avcodec_alloc_context3(codec) : NULL;
    if (!c)
        return NULL;
    c->pkt_timebase = (AVRational){1, 90000};
    c->thread_count = 1; // cameras are what runs side by side, and frame threads delay
    c->skip_loop_filter = AVDISCARD_NONREF;
    if (spares) {
        c->opaque = spares;
        c->get_buffer2 = lend;
    }
    if (avcodec_open2(c, codec, NULL) < 0)
        avcodec_free_context(&c);
    return c;
}

static void give(struct gtv_decode *d, AVFrame *frame, bool newest)
{
    if (!frame->buf[0])
        return;
    int64_t now = gtv_wall_ms(), wall = now, pts = frame->best_effort_timestamp;
    if (pts != AV_NOPTS_VALUE)
        wall = gtv_av_pts33_to_wall_ms(pts & (((int64_t)1 << 33) - 1), now);
    d->config.on_frame(d->config.arg, frame, wall, newest);
    av_frame_unref(frame);
}

// Feeds one picture; returns how many came out, or -1 when it could not be decoded. packet NULL: what the
// decoder still holds.
static int run(struct worker *w, struct gtv_decode *d, AVCodecContext *c, const AVPacket *packet)
{
    int got = 0, err = avcodec_send_packet(c, packet);
    if (err < 0 && err != AVERROR_EOF)
        return -1;
    while (avcodec_receive_frame(c, w->frame) >= 0) {
        got++;
        give(d, w->newest, false);
        av_frame_move_ref(w->newest, w->frame);
    }
    return got;
}

static int decode_key(struct worker *w, struct gtv_decode *d, enum gtv_ts_codec codec)
{
    AVCodecContext **c = &w->shared[codec];
    if (!*c)
        *c = open_codec(codec, &w->pool->spares);
    if (!*c)
        return -1;
    int got = run(w, d, *c, w->packet);
    int rest = run(w, d, *c, NULL); // it alone: what waits for later pictures comes now
    avcodec_flush_buffers(*c);
    return got < 0 ? got : got + (rest > 0 ? rest : 0);
}

static int decode_own(struct worker *w, struct gtv_decode *d, enum gtv_ts_codec codec, bool key,
                      enum gtv_decode_mode mode, bool soon)
{
    if (d->own && d->own_codec != codec)
        avcodec_free_context(&d->own);
    if (!d->own) {
        d->own = open_codec(codec, NULL);
        d->own_codec = codec;
        d->own_begun = false;
    }
    if (!d->own)
        return -1;
    if (!d->own_begun && !key)
        return 0;
    d->own_begun = true;
    d->own->skip_frame = mode == GTV_DECODE_REFERENCES ? AVDISCARD_NONREF : AVDISCARD_DEFAULT;
    // Without the filter the next picture is predicted from a slightly worse one, until the next key frame.
    d->own->skip_loop_filter = soon ? AVDISCARD_NONKEY : AVDISCARD_NONREF;
    return run(w, d, d->own, w->packet);
}

// Returns as run().
static int decode(struct worker *w, struct gtv_decode *d, const struct gtv_ts_unit *u,
                  enum gtv_decode_mode mode, bool soon)
{
    w->packet->data = u->data;
    w->packet->size = (int)u->len;
    w->packet->pts = u->has_pts ? u->pts33 : AV_NOPTS_VALUE;
    w->packet->dts = AV_NOPTS_VALUE;
    w->packet->flags = u->key ? AV_PKT_FLAG_KEY : 0;
    int got = 0;
    if (mode != GTV_DECODE_KEYS) {
        got = decode_own(w, d, u->codec, u->key, mode, soon);
    } else {
        avcodec_free_context(&d->own); // a decoder of its own is the most that a camera costs
        if (u->key)
            got = decode_key(w, d, u->codec);
    }
    w->packet->data = NULL;
    w->packet->size = 0;
    return got;
}

// ---- Waiting (the pool's lock is held) ----

static bool gathers(const struct gtv_decode *d, int64_t now)
{
    return d->waiting < GTV_DECODE_BURST && now - d->burst_ms < d->gather_ms;
}

static void make_ready(struct gtv_decode_pool *p, struct gtv_decode *d, int64_t now)
{
    if (d->ready || d->busy || !d->first || gathers(d, now))
        return;
    d->burst_ms = now;
    d->ready = true;
    d->next_ready = NULL;
    if (p->ready)
        p->ready_last->next_ready = d;
    else
        p->ready = d;
    p->ready_last = d;
    (void)pthread_cond_signal(&p->work);
}

static void free_unit(struct unit *u)
{
    free(u->coded.data);
    free(u);
}

static void drop_waiting(struct gtv_decode *d)
{
    while (d->first) {
        struct unit *u = d->first;
        d->first = u->next;
        free_unit(u);
    }
    d->last = NULL;
    d->waiting = d->waiting_bytes = 0;
}

static struct unit *take(struct gtv_decode *d)
{
    struct unit *u = d->first;
    d->first = u->next;
    if (!d->first)
        d->last = NULL;
    d->waiting--;
    d->waiting_bytes -= u->coded.len;
    return u;
}

static bool behind(const struct gtv_decode *d, int64_t now)
{
    // What gathers is not late, however long nothing came after it.
    bool late = (d->ready || d->busy) && d->first && now - d->first->came_ms > GTV_DECODE_MAX_BEHIND_MS;
    return late || d->waiting >= GTV_DECODE_MAX_UNITS || d->waiting_bytes >= GTV_DECODE_MAX_BYTES;
}

static double apart_ms(int64_t from, int64_t to)
{
    int64_t ticks = (to - from) & (((int64_t)1 << 33) - 1);
    return ticks < (int64_t)60 * 90000 ? (double)ticks / 90 : 0;
}

static void measure(struct gtv_decode *d, const struct gtv_ts_unit *u)
{
    d->stats.units++;
    if (!u->has_pts) {
        d->stats.untimed++;
        return;
    }
    double gap = d->last_pts >= 0 ? apart_ms(d->last_pts, u->pts33) : 0;
    if (gap > 0 && gap < 2000) { // pictures out of order look like long gaps
        double *mean = &d->stats.frame_interval_ms;
        *mean = *mean > 0 ? *mean + (gap - *mean) / 16 : gap;
    }
    d->last_pts = u->pts33;
    if (u->key) {
        gap = d->last_key_pts >= 0 ? apart_ms(d->last_key_pts, u->pts33) : 0;
        if (gap > 0)
            d->stats.key_interval_ms = gap;
        d->last_key_pts = u->pts33;
    }
}

void gtv_decode_put(struct gtv_decode *d, struct gtv_ts_unit *unit)
{
    struct gtv_decode_pool *p = d->config.pool;
    int64_t now = gtv_mono_ms();
    bool taken = false;
    (void)pthread_mutex_lock(&p->lock);
    measure(d, unit);
    bool was_ready = d->ready;
    if (behind(d, now)) {
        d->stats.left_out += d->waiting;
        drop_waiting(d);
        d->need_key = true;
    }
    if (unit->key)
        d->need_key = false;
    if (d->need_key) {
        d->stats.left_out++;
    } else if (unit->key || d->stats.mode != GTV_DECODE_KEYS) {
        if (unit->key && d->stats.mode == GTV_DECODE_KEYS && d->first) {
            d->stats.left_out += d->waiting;
            drop_waiting(d); // a newer one makes it worthless
        }
        struct unit *u = GTV_NEW(struct unit);
        u->coded = *unit;
        u->came_ms = now;
        if (d->last)
            d->last->next = u;
        else
            d->first = u;
        d->last = u;
        d->waiting++;
        d->waiting_bytes += unit->len;
        taken = true;
        make_ready(p, d, now);
        for (u = d->ready && !was_ready ? d->first : NULL; u; u = u->next)
            u->came_ms = now; // they were not wanted before
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (!taken)
        free(unit->data);
}

void gtv_decode_skip(struct gtv_decode *d, struct gtv_ts_unit *unit)
{
    struct gtv_decode_pool *p = d->config.pool;
    (void)pthread_mutex_lock(&p->lock);
    measure(d, unit);
    (void)pthread_mutex_unlock(&p->lock);
    free(unit->data);
}

// Decodes the camera's next picture. The lock is held before and after.
static void decode_next(struct worker *w, struct gtv_decode *d, bool last)
{
    struct gtv_decode_pool *p = w->pool;
    struct unit *u = take(d);
    enum gtv_decode_mode mode = d->stats.mode;
    bool reopen = d->reopen, soon = d->stats.key_interval_ms > 0 && d->stats.key_interval_ms <= SOON_MS;
    d->reopen = false;
    (void)pthread_mutex_unlock(&p->lock);

    double began = gtv_thread_ms();
    if (reopen)
        avcodec_free_context(&d->own);
    int got = decode(w, d, &u->coded, mode, soon);
    if (last)
        give(d, w->newest, true);
    double cost = gtv_thread_ms() - began;
    const char *codec = u->coded.codec == GTV_TS_H265 ? "hevc" : "h264";
    free_unit(u);

    (void)pthread_mutex_lock(&p->lock);
    d->stats.codec = codec;
    d->stats.cpu_ms += cost;
    d->stats.frames += got > 0 ? (uint64_t)got : 0;
    d->stats.failed += got < 0;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct gtv_decode_pool *p = w->pool;
    char name[16];
    snprintf(name, sizeof(name), "ai-decode-%u", (unsigned)w->index % 1000);
    (void)pthread_setname_np(pthread_self(), name);
    (void)pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->ready && !p->stopping)
            (void)pthread_cond_wait(&p->work, &p->lock);
        if (p->stopping)
            break;
        struct gtv_decode *d = p->ready;
        p->ready = d->next_ready;
        d->ready = false;
        if (!d->first)
            continue;
        d->busy = true;
        // What comes meanwhile is for another time.
        size_t n = d->waiting < GTV_DECODE_BURST ? d->waiting : GTV_DECODE_BURST;
        for (; n && d->first && !p->stopping; n--)
            decode_next(w, d, n == 1 || d->waiting == 1);
        av_frame_unref(w->newest); // what followed it was dropped
        d->busy = false;
        make_ready(p, d, gtv_mono_ms());
        (void)pthread_cond_broadcast(&p->idle);
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

// ---- From outside ----

struct gtv_decode *gtv_decode_create(const struct gtv_decode_config *config)
{
    struct gtv_decode *d = GTV_NEW(struct gtv_decode);
    d->config = *config;
    d->need_key = true;
    d->last_pts = d->last_key_pts = -1;
    d->stats.codec = "";
    return d;
}

static void unlist(struct gtv_decode_pool *p, struct gtv_decode *d)
{
    struct gtv_decode **at = &p->ready, *before = NULL;
    while (*at && *at != d) {
        before = *at;
        at = &(*at)->next_ready;
    }
    if (!*at)
        return;
    *at = d->next_ready;
    if (p->ready_last == d)
        p->ready_last = before;
    d->ready = false;
}

void gtv_decode_destroy(struct gtv_decode *d)
{
    if (!d)
        return;
    struct gtv_decode_pool *p = d->config.pool;
    (void)pthread_mutex_lock(&p->lock);
    drop_waiting(d);
    while (d->busy)
        (void)pthread_cond_wait(&p->idle, &p->lock);
    unlist(p, d);
    (void)pthread_mutex_unlock(&p->lock);
    avcodec_free_context(&d->own);
    free(d);
}

void gtv_decode_set_mode(struct gtv_decode *d, enum gtv_decode_mode mode)
{
    struct gtv_decode_pool *p = d->config.pool;
    (void)pthread_mutex_lock(&p->lock);
    if (d->stats.mode == GTV_DECODE_KEYS && mode != GTV_DECODE_KEYS) {
        drop_waiting(d);
        d->need_key = true;
    }
    d->stats.mode = mode;
    (void)pthread_mutex_unlock(&p->lock);
}

void gtv_decode_set_gather(struct gtv_decode *d, int64_t ms)
{
    struct gtv_decode_pool *p = d->config.pool;
    (void)pthread_mutex_lock(&p->lock);
    d->gather_ms = ms;
    (void)pthread_mutex_unlock(&p->lock);
}

void gtv_decode_reset(struct gtv_decode *d)
{
    struct gtv_decode_pool *p = d->config.pool;
    (void)pthread_mutex_lock(&p->lock);
    drop_waiting(d);
    d->need_key = d->reopen = true;
    d->last_pts = d->last_key_pts = -1;
    (void)pthread_mutex_unlock(&p->lock);
}

void gtv_decode_get_stats(struct gtv_decode *d, struct gtv_decode_stats *out)
{
    struct gtv_decode_pool *p = d->config.pool;
    (void)pthread_mutex_lock(&p->lock);
    *out = d->stats;
    out->waiting = d->waiting;
    (void)pthread_mutex_unlock(&p->lock);
}

struct gtv_decode_pool *gtv_decode_pool_create(size_t threads)
{
    struct gtv_decode_pool *p = GTV_NEW(struct gtv_decode_pool);
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_mutex_init(&p->spares.lock, NULL);
    (void)pthread_cond_init(&p->work, NULL);
    (void)pthread_cond_init(&p->idle, NULL);
    p->workers = gtv_alloc(threads * sizeof(*p->workers));
    for (size_t i = 0; i < threads; i++) {
        struct worker *w = &p->workers[i];
        *w = (struct worker){.pool = p,
                             .index = i,
                             .packet = av_packet_alloc(),
                             .frame = av_frame_alloc(),
                             .newest = av_frame_alloc()};
        if (!w->packet || !w->frame || !w->newest || pthread_create(&w->thread, NULL, work, w) != 0)
            abort(); // at the program's start
        p->count++;
    }
    return p;
}

void gtv_decode_pool_destroy(struct gtv_decode_pool *p)
{
    if (!p)
        return;
    (void)pthread_mutex_lock(&p->lock);
    p->stopping = true;
    (void)pthread_cond_broadcast(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->count; i++) {
        struct worker *w = &p->workers[i];
        (void)pthread_join(w->thread, NULL);
        for (size_t c = 0; c < CODECS; c++)
            avcodec_free_context(&w->shared[c]);
        av_packet_free(&w->packet);
        av_frame_free(&w->frame);
        av_frame_free(&w->newest);
    }
    for (size_t i = 0; i < SPARES; i++)
        av_free(p->spares.kept[i].data);
    (void)pthread_mutex_destroy(&p->spares.lock);
    (void)pthread_cond_destroy(&p->work);
    (void)pthread_cond_destroy(&p->idle);
    (void)pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}
