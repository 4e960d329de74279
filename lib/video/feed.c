#include "lib/video/feed.h"

#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

struct gtv_feed {
    struct gtv_feed_callbacks callbacks;
    void *arg;
    struct gtv_log log;
    struct gtv_feed_config config;    // audio.config with a reference
    struct gtv_audio_info next_audio; // in force with the next key frame, when audio_changes
    bool audio_changes;
    struct gtv_bytes *sets;    // parameter sets in force, or the ones to begin with
    struct gtv_format *format; // NULL before the first key frame
    struct gtv_pathclock video_clock, audio_clock;
    struct gtv_dts dts;
    bool waiting_key;               // units before the next key frame cannot be used
    bool pending_seam;              // the next key frame begins a new time line or has new parameters
    int64_t last_video, last_audio; // path ticks
    int64_t last_in;                // the source's, for units without a time stamp
    int64_t last_arrival_us;
    uint64_t damaged;
    bool unreadable_told;
};

struct gtv_feed *gtv_feed_create(const struct gtv_feed_config *config,
                                 const struct gtv_feed_callbacks *callbacks, void *arg,
                                 const struct gtv_log *log)
{
    struct gtv_feed *f = GTV_NEW(struct gtv_feed);
    f->callbacks = *callbacks;
    f->arg = arg;
    f->log = *log;
    f->config = *config;
    f->waiting_key = f->pending_seam = true;
    f->sets = config->sets != NULL ? gtv_bytes_ref(config->sets) : NULL;
    if (config->audio.config != NULL) {
        gtv_bytes_ref(config->audio.config);
    }
    return f;
}

void gtv_feed_destroy(struct gtv_feed *f)
{
    if (f == NULL) {
        return;
    }
    gtv_bytes_unref(f->sets);
    gtv_bytes_unref(f->config.audio.config);
    gtv_bytes_unref(f->next_audio.config);
    gtv_format_unref(f->format);
    free(f);
}

uint64_t gtv_feed_damaged(const struct gtv_feed *f)
{
    return f->damaged;
}

void gtv_feed_set_audio(struct gtv_feed *f, const struct gtv_audio_info *audio)
{
    gtv_bytes_unref(f->next_audio.config);
    f->next_audio = *audio;
    if (audio->config != NULL) {
        gtv_bytes_ref(audio->config);
    }
    f->audio_changes = true;
}

static void change_audio(struct gtv_feed *f)
{
    gtv_bytes_unref(f->config.audio.config);
    f->config.audio = f->next_audio;
    f->next_audio = (struct gtv_audio_info){0};
    f->audio_changes = false;
}

static int64_t source_time(const struct gtv_feed *f, int64_t stamp, int64_t arrival_us)
{
    if (stamp != GTV_NO_STAMP) {
        return stamp;
    }
    // Without any stamp the time that passed between the arrivals is the best there is.
    int64_t passed = (arrival_us - f->last_arrival_us) * 9 / 100;
    return f->last_in + (passed > 0 && passed < 180000 ? passed : 3600);
}

// Brings the format up to date with a key frame's parameter sets; false when the frame cannot be used because
// none are known.
static bool update_format(struct gtv_feed *f, const struct gtv_access *a)
{
    struct gtv_str came = gtv_buf_str(&a->sets);
    bool changed = came.n > 0 && (f->sets == NULL || !gtv_str_eq(came, gtv_bytes_str(f->sets)));
    if (f->format != NULL && !changed && !f->audio_changes) {
        return true;
    }
    if (f->audio_changes) {
        change_audio(f);
    }
    struct gtv_bytes *sets = changed ? gtv_bytes_copy(came.p, came.n) : f->sets;
    struct gtv_format *format =
        sets != NULL ? gtv_format_create(f->config.video, sets, &f->config.audio) : NULL;
    if (format == NULL) {
        if (sets != NULL && !f->unreadable_told) {
            gtv_log_warn(&f->log, "the parameter sets of the video cannot be read", NULL);
            f->unreadable_told = true;
        }
        if (changed) {
            gtv_bytes_unref(sets);
        }
        return f->format != NULL;
    }
    if (changed) {
        gtv_bytes_unref(f->sets);
        f->sets = sets;
    }
    gtv_format_unref(f->format);
    f->format = format;
    f->pending_seam = true;
    f->callbacks.on_format(f->arg, format);
    return true;
}

// Puts the unit on the path clock. False when it has no place there: what follows must wait for a key frame.
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

static void use_video(struct gtv_feed *f, struct gtv_access *a, int64_t in, int64_t arrival_us,
                      size_t received)
{
    int64_t time = 0;
    if (!place(f, in, arrival_us, &time)) {
        f->waiting_key = true;
    }
    f->last_video = time;
    if (a->damaged) {
        // One picture less; only what a lost key frame would have begun cannot be shown at all.
        f->damaged++;
        f->waiting_key |= a->key;
        return;
    }
    if ((f->waiting_key && !a->key) || (a->key && !update_format(f, a))) {
        return;
    }
    struct gtv_sample out = {.video = true, .key = a->key};
    out.dts = gtv_dts_next(&f->dts, &time);
    out.pts = time;
    out.discontinuity = a->key && f->pending_seam;
    out.data = gtv_access_take(a);
    if (out.data == NULL) {
        f->waiting_key = f->pending_seam = true;
        return;
    }
    if (a->key) {
        f->waiting_key = f->pending_seam = false;
    }
    f->callbacks.on_sample(f->arg, &out, received);
    gtv_bytes_unref(out.data);
}

void gtv_feed_video(struct gtv_feed *f, struct gtv_access *a, int64_t stamp, int64_t arrival_us,
                    size_t received)
{
    if (a->picture || a->damaged) {
        int64_t in = source_time(f, stamp, arrival_us);
        f->last_in = in;
        f->last_arrival_us = arrival_us;
        use_video(f, a, in, arrival_us, received);
    } else if (a->sets.len > 0 && !a->sets.failed && f->format == NULL) {
        // Parameter sets that travel alone, ahead of their picture.
        gtv_bytes_unref(f->sets);
        f->sets = gtv_bytes_copy(a->sets.data, a->sets.len);
    }
    gtv_access_reset(a);
}

void gtv_feed_audio(struct gtv_feed *f, struct gtv_bytes *frame, int64_t stamp, int64_t arrival_us,
                    size_t received)
{
    int64_t time = 0, in = source_time(f, stamp, arrival_us);
    gtv_pathclock_map(&f->audio_clock, in, arrival_us, &time);
    // Audio has no key frames to wait for: what would go backwards is left out.
    if (f->waiting_key || f->audio_changes || f->config.audio.codec == GTV_CODEC_NONE ||
        time <= f->last_audio || frame->len == 0) {
        return;
    }
    f->last_audio = time;
    const struct gtv_sample out = {.data = frame, .pts = time, .dts = time};
    f->callbacks.on_sample(f->arg, &out, received);
}
