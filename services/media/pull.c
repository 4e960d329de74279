// Phases of a pull's thread: resolve -> open (connect, read what tracks there are) -> choose the streams ->
// read until the end.
#include "services/media/pull.h"

#include "lib/av/av.h"
#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "lib/video/feed.h"
#include "services/media/avcc.h"
#include "services/media/dial.h"
#include "services/media/transcode.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    // Bytes handed to the loop that it has not taken yet. Beyond it units are dropped up to the next key
    // frame: the loop is late by
    // seconds then, and memory must not pay for it.
    PENDING_MAX = 8 * 1024 * 1024,
    STACK_BYTES = 1024 * 1024,
    // What the source had in store when it was opened comes at once: as many packets, and so quickly.
    STORED_MAX = 4096,
    STORED_READ_MS = 5,
    STORED_SPAN = 30 * 90000, // ticks; what is older belongs to another time line
    PACE_STEP_MS = 20,
    PACE_MAX_MS = 20000, // a packet that is due later than that belongs to another time line
    PACE_LATE_MS = 500,
    SILENT_MS = 10000, // without a key frame: worth a word to the user, no reason to hang up
};

struct gtv_pull {
    struct gtv_source base;
    struct gtv_source_options options;
    struct gtv_source_callbacks callbacks; // loop thread only, as is arg
    void *arg;
    bool stopped; // loop thread only: callbacks are not wanted any more
    struct gtv_pathconf conf;
    struct gtv_log log;
    pthread_t thread;
    atomic_bool stop;      // set by the loop, read by the thread
    atomic_size_t pending; // bytes posted and not yet taken

    // The thread's own.
    AVFormatContext *format;
    struct gtv_dial_guard guard;
    int64_t deadline_ms; // monotonic; libav's blocking calls end then
    int video_index, audio_index;
    struct gtv_feed *feed;
    struct gtv_access access;
    unsigned length_size; // before each NAL unit; 0: start codes
    struct gtv_buf sets;  // of extradata, where NAL units have lengths
    struct unwrap {
        bool any;
        int64_t last, offset; // in the stream's time base
    } video_stamps, audio_stamps;
    struct gtv_audio_info audio;     // as the feed has it; config with a reference
    struct gtv_transcode *transcode; // NULL: the audio goes as it comes
    AVPacket **stored;               // read, not fed; NULL once what comes is live
    size_t stored_count;
    bool paced; // the source comes in bursts: each packet waits for its time
    bool pace_set;
    int64_t pace_stamp, pace_ms; // 90 kHz ticks, and the monotonic time that they belong to
    bool skipping;               // the loop was late: wait for a key frame
    int64_t opened_ms, last_video_ms;
    struct gtv_format *owed; // could not be posted: before the next key frame then; a reference
    bool skipped;            // something is missing before the next key frame
    bool keyed, silent_told;
    struct gtv_source_end end;
};

enum kind { EVENT_FORMAT, EVENT_SAMPLE, EVENT_SILENT, EVENT_ERRORS };

struct event {
    struct gtv_pull *pull;
    enum kind kind;
    size_t received;
    unsigned errors;
    union {
        struct gtv_format *format; // with a reference, as the sample's data
        struct gtv_sample sample;
        struct gtv_source_end why;
    };
};

static void event_free(struct event *e)
{
    if (e->kind == EVENT_SAMPLE) {
        gtv_bytes_unref(e->sample.data);
    } else if (e->kind == EVENT_FORMAT) {
        gtv_format_unref(e->format);
    }
    free(e);
}

static void deliver(void *arg)
{
    struct event *e = arg;
    struct gtv_pull *p = e->pull;
    if (e->kind == EVENT_SAMPLE) {
        atomic_fetch_sub(&p->pending, e->sample.data->len);
    }
    if (!p->stopped) {
        switch (e->kind) {
        case EVENT_FORMAT:
            p->callbacks.on_format(p->arg, e->format);
            break;
        case EVENT_SAMPLE:
            p->callbacks.on_sample(p->arg, &e->sample, e->received);
            break;
        case EVENT_SILENT:
            p->callbacks.on_silent(p->arg, &e->why);
            break;
        case EVENT_ERRORS:
            p->callbacks.on_error_frames(p->arg, e->errors);
            break;
        }
    }
    event_free(e);
}

// Takes the event. False when the loop takes none.
static bool post(struct gtv_pull *p, struct event *e)
{
    e->pull = p;
    if (gtv_loop_post(p->options.loop, deliver, e)) {
        return true;
    }
    if (e->kind == EVENT_SAMPLE) {
        atomic_fetch_sub(&p->pending, e->sample.data->len);
    }
    event_free(e);
    return false;
}

static void post_errors(struct gtv_pull *p, unsigned count)
{
    struct event *e = GTV_NEW(struct event);
    e->kind = EVENT_ERRORS;
    e->errors = count;
    (void)post(p, e); // a count that is lost only makes the statistics smaller
}

// On the loop, after every other event of this pull.
static void finished(void *arg)
{
    struct gtv_pull *p = arg;
    pthread_join(p->thread, NULL);
    if (!p->stopped) {
        p->callbacks.on_end(p->arg, &p->end);
    }
    atomic_fetch_sub(p->options.running, 1);
    free(p);
}

static int interrupted(void *arg)
{
    struct gtv_pull *p = arg;
    return atomic_load_explicit(&p->stop, memory_order_relaxed) || p->guard.denied != NULL ||
           gtv_mono_ms() >= p->deadline_ms;
}

static void end_with(struct gtv_pull *p, const char *code, const char *text)
{
    p->end.code = code;
    snprintf(p->end.text, sizeof p->end.text, "%s", text);
}

static void end_with_error(struct gtv_pull *p, int averror)
{
    end_with(p, gtv_av_cause_code(averror), gtv_av_cause(averror));
}

static void end_denied(struct gtv_pull *p)
{
    char text[sizeof p->end.text];
    snprintf(text, sizeof text,
             "the camera's address is off-limits (%s); the operator can allow it with GTV_CAMERA_ALLOW",
             p->guard.denied);
    end_with(p, "denied", text);
}

// libavformat answers "input/output error" for a name that does not resolve: asking first tells the two
// apart. And the name may answer otherwise than when the camera was provisioned: its addresses are judged
// again.
static bool resolve(struct gtv_pull *p)
{
    int failed = gtv_dial_judge(&p->guard, p->conf.source);
    if (p->guard.denied != NULL) {
        end_denied(p);
    } else if (failed < 0) {
        end_with_error(p, failed);
    }
    return failed >= 0;
}

static const char *transport_name(int64_t transport)
{
    switch ((enum gtv_rtsp_transport)transport) {
    case GTV_RTSP_UDP:
        return "udp";
    case GTV_RTSP_MULTICAST:
        return "udp_multicast";
    default:
        // "automatic" too: TCP passes every firewall and loses nothing.
        return "tcp";
    }
}

static bool open_source(struct gtv_pull *p)
{
    const AVIOInterruptCB interrupt = {interrupted, p};
    p->deadline_ms = gtv_mono_ms() + p->options.connect_ms;
    int failed = gtv_dial_open(&p->format, p->conf.source, transport_name(p->conf.rtsp_transport),
                               p->options.connect_ms, &interrupt, &p->guard);
    bool late = gtv_mono_ms() >= p->deadline_ms;
    if (p->guard.denied != NULL) {
        end_denied(p);
    } else if (failed < 0) {
        struct gtv_url url;
        bool tls = failed == AVERROR(EIO) && gtv_url_parse(gtv_str_of(p->conf.source), &url) &&
                   gtv_str_ends(url.scheme, GTV_STR("s"));
        end_with_error(p, late ? AVERROR(ETIMEDOUT) : tls ? GTV_AVERROR_TLS : failed);
    }
    return failed >= 0 && p->guard.denied == NULL;
}

static enum gtv_codec video_codec(enum AVCodecID id)
{
    return id == AV_CODEC_ID_H264 ? GTV_CODEC_H264 : id == AV_CODEC_ID_HEVC ? GTV_CODEC_H265 : GTV_CODEC_NONE;
}

static struct gtv_str extradata(const AVCodecParameters *par)
{
    return (struct gtv_str){(const char *)par->extradata,
                            par->extradata_size > 0 ? (size_t)par->extradata_size : 0};
}

// What readers get of an audio track: AAC and Opus as they are, all else as AAC where the path is to have it.
static bool takes_audio(struct gtv_pull *p, const AVCodecParameters *par)
{
    struct gtv_str config = extradata(par);
    int channels = par->ch_layout.nb_channels;
    if (par->codec_id == AV_CODEC_ID_OPUS) {
        return gtv_opus_info_read(config, &p->audio);
    }
    if (par->codec_id == AV_CODEC_ID_AAC) {
        // In ADTS each frame repeats it.
        return config.n > 0 ? gtv_aac_info_read(config, &p->audio)
                            : gtv_aac_info_make(par->sample_rate, channels, &p->audio);
    }
    if (!p->conf.audio_transcode) {
        return false;
    }
    p->transcode = gtv_transcode_create(par->codec_id, par->sample_rate, channels, config);
    if (p->transcode == NULL) {
        return false;
    }
    p->audio = *gtv_transcode_info(p->transcode);
    gtv_bytes_ref(p->audio.config);
    return true;
}

// Takes the first video stream that HLS can carry and the first audio stream that needs no transcoding.
static bool choose_streams(struct gtv_pull *p)
{
    const char *refused = NULL;
    p->video_index = p->audio_index = -1;
    for (unsigned i = 0; i < p->format->nb_streams; i++) {
        AVStream *st = p->format->streams[i];
        const AVCodecParameters *par = st->codecpar;
        if (par->codec_type == AVMEDIA_TYPE_VIDEO && p->video_index < 0 &&
            video_codec(par->codec_id) != GTV_CODEC_NONE) {
            p->video_index = (int)i;
        } else if (par->codec_type == AVMEDIA_TYPE_AUDIO && p->audio_index < 0 && takes_audio(p, par)) {
            p->audio_index = (int)i;
        } else {
            st->discard = AVDISCARD_ALL;
            if (par->codec_type == AVMEDIA_TYPE_VIDEO) {
                refused = avcodec_get_name(par->codec_id);
            } else {
                gtv_log_info(&p->log, "this track is left out", "kind=%s codec=%s",
                             par->codec_type == AVMEDIA_TYPE_AUDIO ? "audio" : "other",
                             avcodec_get_name(par->codec_id));
            }
        }
    }
    if (p->video_index >= 0) {
        return true;
    }
    if (refused != NULL) {
        char text[sizeof p->end.text];
        snprintf(text, sizeof text, "codec %s cannot be carried by HLS: set the camera to H.264", refused);
        end_with(p, "codec", text);
    } else {
        end_with_error(p, AVERROR_STREAM_NOT_FOUND);
    }
    return false;
}

// From the feed, on the pull's thread.
static void feed_format(void *arg, struct gtv_format *format)
{
    struct gtv_pull *p = arg;
    struct event *e = GTV_NEW(struct event);
    e->kind = EVENT_FORMAT;
    e->format = gtv_format_ref(format);
    gtv_format_ref(format);
    gtv_format_unref(p->owed);
    p->owed = format;
    if (post(p, e)) {
        gtv_format_unref(p->owed);
        p->owed = NULL;
    } else {
        p->skipping = true;
    }
}

static void feed_sample(void *arg, const struct gtv_sample *sample, size_t received)
{
    struct gtv_pull *p = arg;
    if (p->owed != NULL && sample->key) {
        feed_format(p, p->owed);
    }
    if (p->skipping && p->owed == NULL && sample->key && atomic_load(&p->pending) < PENDING_MAX / 2) {
        p->skipping = false;
    }
    if (!p->skipping && atomic_load(&p->pending) + sample->data->len > PENDING_MAX) {
        gtv_log_warn(&p->log, "the node is late: dropping up to the next key frame", NULL);
        p->skipping = true;
    }
    if (p->skipping) {
        p->skipped = true;
        post_errors(p, 1);
        return;
    }
    p->keyed = true;
    struct event *e = GTV_NEW(struct event);
    e->kind = EVENT_SAMPLE;
    e->sample = *sample;
    e->sample.discontinuity |= sample->key && p->skipped;
    p->skipped &= !sample->key;
    gtv_bytes_ref(sample->data);
    e->received = received;
    atomic_fetch_add(&p->pending, sample->data->len);
    if (!post(p, e)) {
        p->skipping = true;
    }
}

static void tell_silence(struct gtv_pull *p)
{
    if (p->keyed || p->silent_told || gtv_mono_ms() - p->opened_ms < SILENT_MS) {
        return;
    }
    p->silent_told = true;
    struct event *e = GTV_NEW(struct event);
    e->kind = EVENT_SILENT;
    e->why.code = "no_key_frame";
    snprintf(e->why.text, sizeof e->why.text, "the camera sends no key frame");
    (void)post(p, e); // only a word to the user
}

// 90 kHz ticks without wrap: MPEG-TS counts to 2^33, FLV to 2^32.
static int64_t unwrapped(struct unwrap *u, const AVStream *st, int64_t stamp)
{
    int64_t turn = st->pts_wrap_bits > 0 && st->pts_wrap_bits < 62 ? INT64_C(1) << st->pts_wrap_bits : 0;
    if (turn > 0 && u->any && stamp - u->last < -turn / 2) {
        u->offset += turn;
    } else if (turn > 0 && u->any && stamp - u->last > turn / 2) {
        u->offset -= turn;
    }
    u->any = true;
    u->last = stamp;
    return av_rescale_q(stamp + u->offset, st->time_base, (AVRational){1, 90000});
}

// A playlist brings seconds of pictures at once; the path wants them as they were made. False: stopped.
static bool wait_for_turn(struct gtv_pull *p, int64_t stamp)
{
    int64_t now = gtv_mono_ms(), due = p->pace_ms + (stamp - p->pace_stamp) / 90;
    if (!p->pace_set || due > now + PACE_MAX_MS || due < now - PACE_LATE_MS) {
        p->pace_set = true;
        p->pace_ms = now;
        p->pace_stamp = stamp;
        return true;
    }
    while (now < due && !atomic_load_explicit(&p->stop, memory_order_relaxed)) {
        usleep((useconds_t)(due - now < PACE_STEP_MS ? due - now : PACE_STEP_MS) * 1000);
        now = gtv_mono_ms();
    }
    return !atomic_load_explicit(&p->stop, memory_order_relaxed);
}

static void feed_video(struct gtv_pull *p, struct gtv_str data, int64_t stamp, int64_t arrival_us)
{
    if (p->length_size == 0) {
        gtv_access_annexb(&p->access, data);
    } else if (!gtv_access_prefixed(&p->access, data, p->length_size)) {
        gtv_access_damage(&p->access);
    }
    if (p->access.key && p->access.sets.len == 0 && p->sets.len > 0 &&
        !gtv_access_prefixed(&p->access, gtv_buf_str(&p->sets), 4)) {
        gtv_access_damage(&p->access);
    }
    gtv_feed_video(p->feed, &p->access, stamp, arrival_us, data.n);
}

// Out of its ADTS header, which tells the configuration.
static struct gtv_str without_adts(struct gtv_pull *p, struct gtv_str frame)
{
    struct gtv_audio_info info;
    struct gtv_str raw = frame;
    if (p->audio.codec != GTV_CODEC_AAC || !gtv_adts_read(&raw, &info)) {
        return frame;
    }
    if (p->audio.config == NULL || !gtv_str_eq(gtv_bytes_str(info.config), gtv_bytes_str(p->audio.config))) {
        gtv_bytes_unref(p->audio.config);
        p->audio = info;
        gtv_feed_set_audio(p->feed, &p->audio);
    } else {
        gtv_bytes_unref(info.config);
    }
    return raw;
}

struct heard {
    struct gtv_pull *pull;
    int64_t stamp, arrival_us;
};

static void on_transcoded(void *arg, struct gtv_bytes *frame, int64_t stamp)
{
    const struct heard *h = arg;
    // As if it had come when its own sound did: what the encoder holds back is no delay of the source.
    gtv_feed_audio(h->pull->feed, frame, stamp, h->arrival_us - (h->stamp - stamp) * 100 / 9, 0);
}

static void feed_audio(struct gtv_pull *p, struct gtv_str data, int64_t stamp, int64_t arrival_us)
{
    if (p->transcode != NULL) {
        struct heard h = {p, stamp, arrival_us};
        if (stamp != GTV_NO_STAMP) {
            gtv_transcode_push(p->transcode, data, stamp, on_transcoded, &h);
        }
        return;
    }
    struct gtv_str raw = without_adts(p, data);
    struct gtv_bytes *frame = gtv_bytes_copy(raw.p, raw.n);
    if (frame != NULL) {
        gtv_feed_audio(p->feed, frame, stamp, arrival_us, data.n);
        gtv_bytes_unref(frame);
    }
}

static void feed_packet(struct gtv_pull *p, const AVPacket *packet, int64_t arrival_us)
{
    const AVStream *st = p->format->streams[packet->stream_index];
    bool video = packet->stream_index == p->video_index;
    struct unwrap *u = video ? &p->video_stamps : &p->audio_stamps;
    int64_t stamp = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
    if ((packet->flags & AV_PKT_FLAG_CORRUPT) != 0) {
        post_errors(p, 1);
    }
    stamp = stamp != AV_NOPTS_VALUE ? unwrapped(u, st, stamp) : GTV_NO_STAMP;
    if (p->paced) {
        if (video && stamp != GTV_NO_STAMP && !wait_for_turn(p, stamp)) {
            return;
        }
        arrival_us = gtv_wall_us();
    }
    struct gtv_str data = {(const char *)packet->data, (size_t)packet->size};
    if (video) {
        p->last_video_ms = gtv_mono_ms();
        feed_video(p, data, stamp, arrival_us);
    } else {
        feed_audio(p, data, stamp, arrival_us);
    }
}

// 90 kHz ticks, not unwrapped.
static int64_t raw_stamp(const struct gtv_pull *p, const AVPacket *packet)
{
    int64_t stamp = packet->dts != AV_NOPTS_VALUE ? packet->dts : packet->pts;
    return stamp != AV_NOPTS_VALUE ? av_rescale_q(stamp, p->format->streams[packet->stream_index]->time_base,
                                                  (AVRational){1, 90000})
                                   : GTV_NO_STAMP;
}

// Feeds what was stored as if each packet had come in its time, the newest one now: so that pictures and
// sound stand where they belong, and the path's clock need not be set again after the first second.
static void feed_stored(struct gtv_pull *p)
{
    int64_t newest = GTV_NO_STAMP, now_us = gtv_wall_us();
    for (size_t i = 0; i < p->stored_count; i++) {
        int64_t stamp = raw_stamp(p, p->stored[i]);
        newest = stamp > newest ? stamp : newest;
    }
    for (size_t i = 0; i < p->stored_count; i++) {
        int64_t stamp = raw_stamp(p, p->stored[i]);
        bool near = stamp != GTV_NO_STAMP && newest - stamp < STORED_SPAN;
        if (!atomic_load_explicit(&p->stop, memory_order_relaxed)) {
            feed_packet(p, p->stored[i], near ? now_us - (newest - stamp) * 100 / 9 : now_us);
        }
        av_packet_free(&p->stored[i]);
    }
    free(p->stored);
    p->stored = NULL;
    p->stored_count = 0;
}

// Takes the packet over while it may be one of the stored ones; false: it is to be fed.
static bool store(struct gtv_pull *p, AVPacket *packet, int64_t took_ms)
{
    if (p->stored == NULL) {
        return false;
    }
    AVPacket *kept = av_packet_alloc();
    if (kept != NULL) {
        av_packet_move_ref(kept, packet);
        p->stored[p->stored_count++] = kept;
    }
    if (kept == NULL || took_ms >= STORED_READ_MS || p->stored_count == STORED_MAX) {
        feed_stored(p);
    }
    return kept != NULL;
}

static void read_packets(struct gtv_pull *p)
{
    AVPacket *packet = av_packet_alloc();
    if (packet == NULL) {
        end_with_error(p, AVERROR(ENOMEM));
        return;
    }
    for (;;) {
        // Of the video: audio that goes on beside a frozen picture is a stall too.
        p->deadline_ms = p->last_video_ms + p->options.stall_ms;
        int64_t before_ms = gtv_mono_ms();
        int failed = av_read_frame(p->format, packet);
        if (failed == AVERROR(EAGAIN) && !interrupted(p)) {
            continue;
        }
        if (failed < 0 || interrupted(p)) {
            if (p->guard.denied != NULL) {
                end_denied(p);
            } else if (gtv_mono_ms() >= p->deadline_ms) {
                char text[sizeof p->end.text];
                snprintf(text, sizeof text, "stalled: connected, but no picture for %g s",
                         (double)p->options.stall_ms / 1000);
                end_with(p, "stalled", text);
            } else {
                end_with_error(p, failed);
            }
            break;
        }
        bool wanted = packet->stream_index == p->video_index || packet->stream_index == p->audio_index;
        if (wanted && !store(p, packet, gtv_mono_ms() - before_ms)) {
            feed_packet(p, packet, gtv_wall_us());
        }
        av_packet_unref(packet);
        tell_silence(p);
    }
    av_packet_free(&packet);
    if (p->stored != NULL) {
        feed_stored(p);
    }
}

static void open_feed(struct gtv_pull *p)
{
    static const struct gtv_feed_callbacks to_loop = {feed_format, feed_sample};
    const AVCodecParameters *video = p->format->streams[p->video_index]->codecpar;
    struct gtv_feed_config config = {.video = video_codec(video->codec_id), .audio = p->audio};
    struct gtv_str known = extradata(video);
    gtv_access_init(&p->access, config.video);
    gtv_buf_init(&p->sets, GTV_SETS_MAX);
    // A record of MP4 and FLV begins with its version, start codes with zeros.
    if (known.n > 6 && known.p[0] == 1) {
        if (!gtv_avcc_read(config.video, known, &p->sets, &p->length_size)) {
            gtv_buf_finish(&p->sets);
        }
    } else {
        gtv_access_annexb(&p->access, known);
        config.sets = p->access.sets.len > 0 ? gtv_bytes_copy(p->access.sets.data, p->access.sets.len) : NULL;
        gtv_access_reset(&p->access);
    }
    p->paced = strcmp(p->format->iformat->name, "hls") == 0;
    p->stored = p->paced ? NULL : gtv_alloc(STORED_MAX * sizeof(AVPacket *));
    p->feed = gtv_feed_create(&config, &to_loop, p, &p->log);
    gtv_bytes_unref(config.sets);
}

static void close_feed(struct gtv_pull *p)
{
    gtv_feed_destroy(p->feed);
    gtv_access_finish(&p->access);
    gtv_buf_finish(&p->sets);
    gtv_format_unref(p->owed);
}

static void *run(void *arg)
{
    struct gtv_pull *p = arg;
    if (resolve(p) && !atomic_load(&p->stop) && open_source(p) && choose_streams(p)) {
        p->opened_ms = p->last_video_ms = gtv_mono_ms();
        open_feed(p);
        read_packets(p);
        close_feed(p);
    }
    gtv_transcode_destroy(p->transcode);
    gtv_bytes_unref(p->audio.config);
    p->guard.denied = NULL; // it would interrupt the closing
    // Closing sends TEARDOWN, which may not wait for a dead camera for long.
    p->deadline_ms = gtv_mono_ms() + 1000;
    avformat_close_input(&p->format);
    // This one must arrive: it frees the pull. The queue it waits for empties while the loop lives.
    while (!gtv_loop_post(p->options.loop, finished, p)) {
        usleep(20000);
    }
    return NULL;
}

static void pull_stop(struct gtv_source *s)
{
    struct gtv_pull *p = (struct gtv_pull *)s;
    p->stopped = true;
    atomic_store(&p->stop, true);
}

struct gtv_source *gtv_pull_start(const struct gtv_source_options *options, const struct gtv_pathconf *conf,
                                  const struct gtv_source_callbacks *callbacks, void *arg)
{
    struct gtv_pull *p = GTV_NEW(struct gtv_pull);
    p->base.stop = pull_stop;
    p->options = *options;
    p->callbacks = *callbacks;
    p->arg = arg;
    p->conf = *conf;
    p->guard.policy = options->policy;
    p->log = (struct gtv_log){"media", "path", p->conf.name};
    end_with_error(p, 0);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    // Counted before the thread can end.
    atomic_fetch_add(options->running, 1);
    int failed = pthread_create(&p->thread, &attr, run, p);
    pthread_attr_destroy(&attr);
    if (failed != 0) {
        atomic_fetch_sub(options->running, 1);
        free(p);
        return NULL;
    }
    char name[16];
    snprintf(name, sizeof name, "pull-%.10s", p->conf.name);
    pthread_setname_np(p->thread, name);
    return &p->base;
}
