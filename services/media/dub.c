#include "services/media/dub.h"

#include "lib/base/mem.h"
#include "lib/video/pathclock.h"
#include "services/media/transcode.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    JOBS_MAX = 1024, // frames that wait, of all paths: 20 s of one, a third of a second of 60
    STACK_BYTES = 1024 * 1024,
};

// Shared by its source (loop), its jobs and their results.
struct track {
    atomic_uint refs;
    struct gtv_transcode *transcode; // the worker's
    struct gtv_dub *dub;             // loop thread only; NULL once the source is gone
    struct gtv_loop *loop;
};

// A frame on its way in, and on its way out.
struct job {
    struct job *next;
    struct track *track;
    struct gtv_bytes *data;
    int64_t stamp, arrival_us;
};

struct gtv_dubber {
    struct gtv_loop *loop;
    struct gtv_counter *dropped;
    pthread_t thread;
    bool running;         // loop thread only
    pthread_mutex_t lock; // guards all below
    pthread_cond_t wake;
    struct job *first, **end;
    size_t count;
    bool stop;
};

struct gtv_dub {
    struct gtv_source base;
    struct gtv_dubber *dubber;
    struct gtv_source *inner;
    struct gtv_source_callbacks callbacks;
    void *arg;
    struct track *track; // NULL: the source has no such audio
    struct gtv_pathclock clock;
    int64_t last;
    bool flowing; // a picture came
};

static void track_unref(struct track *t)
{
    if (t != NULL && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1) {
        gtv_transcode_destroy(t->transcode);
        free(t);
    }
}

static void job_free(struct job *j)
{
    track_unref(j->track);
    gtv_bytes_unref(j->data);
    free(j);
}

static struct job *job_create(struct track *t, struct gtv_bytes *data, int64_t stamp, int64_t arrival_us)
{
    struct job *j = GTV_NEW(struct job);
    *j = (struct job){.track = t, .data = data, .stamp = stamp, .arrival_us = arrival_us};
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return j;
}

// ---- The worker ----

// On the loop.
static void deliver(void *arg)
{
    struct job *j = arg;
    struct gtv_dub *d = j->track->dub;
    int64_t time = 0;
    if (d != NULL && d->flowing) {
        gtv_pathclock_map(&d->clock, j->stamp, j->arrival_us, &time);
        if (time > d->last) {
            d->last = time;
            const struct gtv_sample sample = {.data = j->data, .pts = time, .dts = time};
            d->callbacks.on_sample(d->arg, &sample, 0);
        }
    }
    job_free(j);
}

static void on_encoded(void *arg, struct gtv_bytes *frame, int64_t stamp)
{
    const struct job *in = arg;
    // As if it had come when its own sound did: what the encoder holds back is no delay of the source.
    int64_t arrival_us = in->arrival_us - (in->stamp - stamp) * 100 / 9;
    struct job *out = job_create(in->track, gtv_bytes_ref(frame), stamp, arrival_us);
    if (!gtv_loop_post(in->track->loop, deliver, out)) {
        job_free(out);
    }
}

static struct job *next_job(struct gtv_dubber *d)
{
    pthread_mutex_lock(&d->lock);
    while (d->first == NULL && !d->stop) {
        pthread_cond_wait(&d->wake, &d->lock);
    }
    struct job *j = d->stop ? NULL : d->first;
    if (j != NULL) {
        d->first = j->next;
        d->end = d->first == NULL ? &d->first : d->end;
        d->count--;
    }
    pthread_mutex_unlock(&d->lock);
    return j;
}

static void *work(void *arg)
{
    struct job *j = NULL;
    while ((j = next_job(arg)) != NULL) {
        gtv_transcode_push(j->track->transcode, gtv_bytes_str(j->data), j->stamp, on_encoded, j);
        job_free(j);
    }
    return NULL;
}

struct gtv_dubber *gtv_dubber_create(struct gtv_loop *loop, struct gtv_metrics *metrics)
{
    struct gtv_dubber *d = GTV_NEW(struct gtv_dubber);
    d->loop = loop;
    d->end = &d->first;
    d->dropped = gtv_metrics_counter(metrics, "gtv_media_audio_frames_dropped_total", "",
                                     "Frames of audio that were not transcoded: the node was late.");
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->wake, NULL);
    return d;
}

void gtv_dubber_destroy(struct gtv_dubber *d)
{
    if (d == NULL) {
        return;
    }
    if (d->running) {
        pthread_mutex_lock(&d->lock);
        d->stop = true;
        pthread_cond_signal(&d->wake);
        pthread_mutex_unlock(&d->lock);
        pthread_join(d->thread, NULL);
    }
    while (d->first != NULL) {
        struct job *j = d->first;
        d->first = j->next;
        job_free(j);
    }
    pthread_cond_destroy(&d->wake);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

static bool ensure_thread(struct gtv_dubber *d)
{
    if (d->running) {
        return true;
    }
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    d->running = pthread_create(&d->thread, &attr, work, d) == 0;
    pthread_attr_destroy(&attr);
    if (d->running) {
        pthread_setname_np(d->thread, "audio");
    }
    return d->running;
}

// ---- Between source and path ----

static bool accept_track(void *arg, enum gtv_codec codec, uint32_t clock, int channels)
{
    struct gtv_dub *d = arg;
    enum AVCodecID id = codec == GTV_CODEC_PCMA   ? AV_CODEC_ID_PCM_ALAW
                        : codec == GTV_CODEC_PCMU ? AV_CODEC_ID_PCM_MULAW
                                                  : AV_CODEC_ID_NONE;
    if (id == AV_CODEC_ID_NONE || d->track != NULL || !ensure_thread(d->dubber)) {
        return false;
    }
    struct gtv_transcode *t = gtv_transcode_create(id, (int)clock, channels, GTV_STR(""));
    if (t == NULL) {
        return false;
    }
    d->track = GTV_NEW(struct track);
    atomic_init(&d->track->refs, 1);
    d->track->transcode = t;
    d->track->dub = d;
    d->track->loop = d->dubber->loop;
    return true;
}

static void take_frame(void *arg, struct gtv_str frame, int64_t stamp, int64_t arrival_us)
{
    struct gtv_dub *d = arg;
    struct gtv_dubber *w = d->dubber;
    struct gtv_bytes *data = d->track != NULL ? gtv_bytes_copy(frame.p, frame.n) : NULL;
    if (data == NULL) {
        return;
    }
    struct job *j = job_create(d->track, data, stamp, arrival_us);
    pthread_mutex_lock(&w->lock);
    bool full = w->count >= JOBS_MAX;
    if (!full) {
        *w->end = j;
        w->end = &j->next;
        w->count++;
        pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&w->lock);
    if (full) {
        gtv_counter_add(w->dropped, 1);
        job_free(j);
    }
}

void gtv_dub_format(struct gtv_dub *d, struct gtv_format *format)
{
    struct gtv_format *with_audio =
        d->track != NULL
            ? gtv_format_create(format->video.codec, format->sets, gtv_transcode_info(d->track->transcode))
            : NULL;
    d->callbacks.on_format(d->arg, with_audio != NULL ? with_audio : format);
    gtv_format_unref(with_audio);
}

void gtv_dub_sample(struct gtv_dub *d, const struct gtv_sample *sample, size_t received)
{
    d->flowing = true;
    d->callbacks.on_sample(d->arg, sample, received);
}

static void on_format(void *arg, struct gtv_format *format)
{
    gtv_dub_format(arg, format);
}

static void on_sample(void *arg, const struct gtv_sample *sample, size_t received)
{
    gtv_dub_sample(arg, sample, received);
}

static void on_silent(void *arg, const struct gtv_source_end *why)
{
    struct gtv_dub *d = arg;
    d->callbacks.on_silent(d->arg, why);
}

static void on_error_frames(void *arg, unsigned count)
{
    struct gtv_dub *d = arg;
    d->callbacks.on_error_frames(d->arg, count);
}

void gtv_dub_close(struct gtv_dub *d)
{
    if (d == NULL) {
        return;
    }
    if (d->track != NULL) {
        d->track->dub = NULL;
        track_unref(d->track);
    }
    free(d);
}

static void on_end(void *arg, const struct gtv_source_end *end)
{
    struct gtv_dub *d = arg;
    void (*tell)(void *, const struct gtv_source_end *) = d->callbacks.on_end;
    void *whom = d->arg;
    const struct gtv_source_end why = *end;
    gtv_dub_close(d);
    tell(whom, &why);
}

static void dub_stop(struct gtv_source *s)
{
    struct gtv_dub *d = (struct gtv_dub *)s;
    d->inner->stop(d->inner);
    gtv_dub_close(d);
}

struct gtv_source *gtv_dub_start(struct gtv_dubber *dubber, struct gtv_rtsp_hub *hub,
                                 const struct gtv_source_options *options, const struct gtv_pathconf *conf,
                                 const struct gtv_source_callbacks *callbacks, void *arg)
{
    static const struct gtv_source_callbacks own = {on_format, on_sample, on_silent, on_error_frames, on_end};
    struct gtv_dub *d = GTV_NEW(struct gtv_dub);
    const struct gtv_raw_audio raw = {accept_track, take_frame, d};
    d->base.stop = dub_stop;
    d->dubber = dubber;
    d->callbacks = *callbacks;
    d->arg = arg;
    d->inner = gtv_rtsp_camera_start(hub, options, conf, &raw, &own, d);
    if (d->inner == NULL) {
        free(d);
        return NULL;
    }
    return &d->base;
}

struct gtv_dub *gtv_dub_open(struct gtv_dubber *dubber, enum gtv_codec codec, uint32_t clock, int channels,
                             const struct gtv_source_callbacks *callbacks, void *arg,
                             struct gtv_raw_audio *raw)
{
    struct gtv_dub *d = GTV_NEW(struct gtv_dub);
    d->dubber = dubber;
    d->callbacks = *callbacks;
    d->arg = arg;
    if (!accept_track(d, codec, clock, channels)) {
        gtv_dub_close(d);
        return NULL;
    }
    *raw = (struct gtv_raw_audio){accept_track, take_frame, d};
    return d;
}
