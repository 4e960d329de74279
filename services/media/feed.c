#include "services/media/feed.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

struct gtv_feed {
    struct gtv_feed_callbacks callbacks;
    void *arg;
    struct gtv_log log;
    struct gtv_ts ts;
    struct gtv_tracks tracks;
    bool tracks_known;
    struct gtv_bytes *sets; // parameter sets in force, Annex B
    struct gtv_bytes *audio_config;
    struct gtv_pathclock video_clock, audio_clock;
    struct gtv_dts dts;
    bool waiting_key;               // units before the next key frame cannot be used
    bool pending_seam;              // the next key frame begins a new time line or has new parameters
    int64_t last_video, last_audio; // path ticks
    int64_t last_in;                // the camera's, for packets without a time stamp
    int64_t last_arrival_us;
    bool unreadable_told;
};

bool gtv_feed_takes_audio(const AVCodecParameters *par)
{
    uint8_t header[GTV_ADTS_HEADER];
    struct gtv_str config = {(const char *)par->extradata,
                             par->extradata_size > 0 ? (size_t)par->extradata_size : 0};
    return par->codec_id == AV_CODEC_ID_AAC && gtv_adts_header(config, 1, header);
}

static struct gtv_str extradata(const AVCodecParameters *par)
{
    return (struct gtv_str){(const char *)par->extradata,
                            par->extradata_size > 0 ? (size_t)par->extradata_size : 0};
}

struct gtv_feed *gtv_feed_create(const AVCodecParameters *video, const AVCodecParameters *audio,
                                 const struct gtv_feed_callbacks *callbacks, void *arg,
                                 const struct gtv_log *log)
{
    struct gtv_feed *f = GTV_NEW(struct gtv_feed);
    f->callbacks = *callbacks;
    f->arg = arg;
    f->log = *log;
    f->waiting_key = f->pending_seam = true;
    f->ts.video = video->codec_id == AV_CODEC_ID_H264 ? GTV_CODEC_H264 : GTV_CODEC_H265;
    f->sets = gtv_nal_sets(f->ts.video, extradata(video));
    if (audio != NULL) {
        struct gtv_str config = extradata(audio);
        f->ts.audio = f->tracks.has_audio = true;
        f->audio_config = gtv_bytes_copy(config.p, config.n);
        snprintf(f->tracks.audio_codecs, sizeof f->tracks.audio_codecs, "mp4a.40.%d",
                 (unsigned char)config.p[0] >> 3);
        f->tracks.audio_rate = audio->sample_rate;
        f->tracks.audio_channels = audio->ch_layout.nb_channels;
    }
    return f;
}

void gtv_feed_destroy(struct gtv_feed *f)
{
    if (f == NULL) {
        return;
    }
    gtv_bytes_unref(f->sets);
    gtv_bytes_unref(f->audio_config);
    free(f);
}

static int64_t camera_time(struct gtv_feed *f, const AVPacket *packet, AVRational time_base,
                           int64_t arrival_us)
{
    int64_t stamp = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
    if (stamp != AV_NOPTS_VALUE) {
        return av_rescale_q(stamp, time_base, (AVRational){1, 90000});
    }
    // Without any stamp the time that passed between the arrivals is the best there is.
    int64_t passed = (arrival_us - f->last_arrival_us) * 9 / 100;
    return f->last_in + (passed > 0 && passed < 180000 ? passed : 3600);
}

// Notes changed parameter sets; false when the key frame cannot be used because none are known.
static bool update_tracks(struct gtv_feed *f, struct gtv_str unit, bool has_sets)
{
    struct gtv_bytes *sets = has_sets ? gtv_nal_sets(f->ts.video, unit) : NULL;
    if (sets != NULL && f->sets != NULL && gtv_str_eq(gtv_bytes_str(sets), gtv_bytes_str(f->sets)) &&
        f->tracks_known) {
        gtv_bytes_unref(sets);
        return true;
    }
    if (sets != NULL) {
        gtv_bytes_unref(f->sets);
        f->sets = sets;
    } else if (f->sets == NULL || f->tracks_known) {
        return f->sets != NULL;
    }
    struct gtv_buf whole;
    gtv_buf_init(&whole, 0);
    gtv_buf_append(&whole, f->sets->data, f->sets->len);
    gtv_buf_append(&whole, unit.p, unit.n);
    struct gtv_video_info info;
    bool ok = !whole.failed && gtv_video_info_read(f->ts.video, gtv_buf_str(&whole), &info);
    gtv_buf_finish(&whole);
    if (!ok) {
        if (!f->unreadable_told) {
            gtv_log_warn(&f->log, "the parameter sets of the video cannot be read", NULL);
            f->unreadable_told = true;
        }
        return f->tracks_known;
    }
    f->tracks.video = info;
    f->tracks_known = f->pending_seam = true;
    f->callbacks.on_tracks(f->arg, &f->tracks);
    return true;
}

// Puts the packet on the path clock. False when it has no place there: what follows must wait for a key
// frame.
static bool place(struct gtv_feed *f, int64_t in, int64_t arrival_us, int64_t *time)
{
    enum gtv_clock_step step = gtv_pathclock_map(&f->video_clock, in, arrival_us, time);
    bool first = f->last_video == 0;
    if (step == GTV_CLOCK_FOLLOWED || first) {
        return true;
    }
    gtv_log_info(&f->log, "the camera's time stamps jumped: anchored again", "jump_ms=%lld",
                 (long long)(*time - f->last_video) / 90);
    f->pending_seam = true;
    if (*time > f->last_video && *time - f->last_video <= 180000) {
        return true; // the wall clock went on evenly: so does the picture
    }
    f->dts = (struct gtv_dts){0};
    return false;
}

static void video_packet(struct gtv_feed *f, const AVPacket *packet, int64_t in, int64_t arrival_us)
{
    static const char h264_delimiter[] = {0, 0, 0, 1, 9, (char)0xf0},
                      h265_delimiter[] = {0, 0, 0, 1, 0x46, 1, 0x50};
    struct gtv_str data = {(const char *)packet->data, (size_t)packet->size};
    struct gtv_nal_scan scan = gtv_nal_scan(f->ts.video, data);
    bool key = scan.key || (packet->flags & AV_PKT_FLAG_KEY) != 0;
    int64_t time = 0;
    if (!place(f, in, arrival_us, &time)) {
        f->waiting_key = true;
    }
    f->last_video = time;
    if (f->waiting_key && !key) {
        return;
    }
    if (key && !update_tracks(f, data, scan.sets)) {
        return;
    }
    struct gtv_ts_unit unit = {.key = key};
    if (scan.delimiter && key && !scan.sets) {
        // The delimiter must stay in front of what is put in: take ours for theirs.
        size_t behind = 0;
        struct gtv_str theirs;
        if (gtv_nal_next(data, &behind, &theirs)) {
            data.p += behind;
            data.n -= behind;
            scan.delimiter = false;
        }
    }
    if (!scan.delimiter) {
        unit.parts[unit.part_count++] = f->ts.video == GTV_CODEC_H264
                                            ? (struct gtv_str){h264_delimiter, sizeof h264_delimiter}
                                            : (struct gtv_str){h265_delimiter, sizeof h265_delimiter};
    }
    if (key && !scan.sets) {
        unit.parts[unit.part_count++] = gtv_bytes_str(f->sets);
    }
    unit.parts[unit.part_count++] = data;
    unit.dts = gtv_dts_next(&f->dts, &time);
    unit.pts = time;
    unit.discontinuity = key && f->pending_seam;
    struct gtv_unit out = {
        .time = time, .video = true, .key = key, .discontinuity = unit.discontinuity, .counters = f->ts.next};
    out.ts = gtv_ts_video(&f->ts, &unit);
    if (out.ts == NULL) {
        f->waiting_key = f->pending_seam = true;
        return;
    }
    if (key) {
        f->waiting_key = f->pending_seam = false;
    }
    f->callbacks.on_unit(f->arg, &out, (size_t)packet->size);
    gtv_bytes_unref(out.ts);
}

static void audio_packet(struct gtv_feed *f, const AVPacket *packet, int64_t in, int64_t arrival_us)
{
    int64_t time = 0;
    uint8_t header[GTV_ADTS_HEADER];
    gtv_pathclock_map(&f->audio_clock, in, arrival_us, &time);
    // Audio has no key frames to wait for: what would go backwards is left out.
    if (f->waiting_key || time <= f->last_audio || packet->size <= 0 ||
        !gtv_adts_header(gtv_bytes_str(f->audio_config), (size_t)packet->size, header)) {
        return;
    }
    f->last_audio = time;
    struct gtv_ts_unit unit = {.part_count = 2, .pts = time, .dts = time};
    unit.parts[0] = (struct gtv_str){(const char *)header, sizeof header};
    unit.parts[1] = (struct gtv_str){(const char *)packet->data, (size_t)packet->size};
    struct gtv_unit out = {.time = time, .counters = f->ts.next};
    out.ts = gtv_ts_audio(&f->ts, &unit);
    if (out.ts != NULL) {
        f->callbacks.on_unit(f->arg, &out, (size_t)packet->size);
        gtv_bytes_unref(out.ts);
    }
}

void gtv_feed_packet(struct gtv_feed *f, const AVPacket *packet, AVRational time_base, bool video,
                     int64_t arrival_us)
{
    int64_t in = camera_time(f, packet, time_base, arrival_us);
    if (video) {
        f->last_in = in;
        f->last_arrival_us = arrival_us;
        video_packet(f, packet, in, arrival_us);
    } else {
        audio_packet(f, packet, in, arrival_us);
    }
}
