#include "services/media/hls/ring.h"

#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    GRACE = 1, // segments kept beyond the listed ones, for players that read the playlist a moment ago
    // A camera's second is seldom exactly one of ours: a segment may be so many parts of 100 shorter, else a
    // GOP of 1 s would now and then give segments of 2 s.
    SHORTER_PERCENT = 10,
    PART_SLACK_PERCENT = 5, // a part may be so much longer than its pictures should be
};

bool gtv_hls_variant_parse(struct gtv_str word, enum gtv_hls_variant *out)
{
    static const char *const words[] = {"mpegts", "fmp4", "lowLatency"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (gtv_str_eq(word, gtv_str_of(words[i]))) {
            *out = (enum gtv_hls_variant)i;
            return true;
        }
    }
    return false;
}

void gtv_hls_ring_init(struct gtv_hls_ring *r, const struct gtv_hls_options *options,
                       const struct gtv_log *log)
{
    *r = (struct gtv_hls_ring){.options = *options, .log = *log, .next_number = options->first_number};
    if (r->options.segments > GTV_HLS_RING_MAX - GRACE) {
        r->options.segments = GTV_HLS_RING_MAX - GRACE;
    }
    r->list = gtv_alloc((r->options.segments + GRACE) * sizeof *r->list);
    // Players that knew an earlier muxer see the seam.
    r->interrupted = options->first_number > 0;
    r->target_duration = 1;
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        random = (uint64_t)(uintptr_t)r;
    }
    snprintf(r->prefix, sizeof r->prefix, "%012" PRIx64, random >> 16);
}

static size_t memory_of(const struct gtv_hls_segment *s)
{
    return s->bytes + s->count * GTV_HLS_SAMPLE_COST;
}

static void drop_segment(struct gtv_hls_ring *r, struct gtv_hls_segment *s)
{
    for (size_t i = 0; i < s->count; i++) {
        gtv_bytes_unref(s->samples[i].data);
    }
    free(s->samples);
    free(s->parts);
    gtv_format_unref(s->format);
    r->bytes -= memory_of(s);
    *s = (struct gtv_hls_segment){0};
}

void gtv_hls_ring_finish(struct gtv_hls_ring *r)
{
    for (size_t i = 0; i < r->count; i++) {
        drop_segment(r, &r->list[i]);
    }
    drop_segment(r, &r->open);
    free(r->list);
    gtv_format_unref(r->format);
    gtv_format_unref(r->coming);
    *r = (struct gtv_hls_ring){0};
}

static bool same_bytes(const struct gtv_bytes *a, const struct gtv_bytes *b)
{
    size_t n = a != NULL ? a->len : 0;
    return n == (b != NULL ? b->len : 0) && (n == 0 || memcmp(a->data, b->data, n) == 0);
}

static bool same_format(const struct gtv_format *a, const struct gtv_format *b)
{
    return a->video.codec == b->video.codec && same_bytes(a->sets, b->sets) &&
           a->audio.codec == b->audio.codec && a->audio.rate == b->audio.rate &&
           a->audio.channels == b->audio.channels && same_bytes(a->audio.config, b->audio.config);
}

void gtv_hls_ring_format(struct gtv_hls_ring *r, struct gtv_format *format)
{
    gtv_format_unref(r->coming);
    r->coming = NULL;
    if (r->format == NULL || !same_format(r->format, format)) {
        r->coming = gtv_format_ref(format);
    }
    if (r->options.variant == GTV_HLS_MPEGTS && format->audio.codec != GTV_CODEC_NONE &&
        !gtv_mpegts_has_audio(format) && !r->told_audio) {
        r->told_audio = true;
        gtv_log_info(&r->log, "audio is left out of MPEG-TS", "codec=%s", format->audio.codecs);
    }
}

size_t gtv_hls_ring_listed(const struct gtv_hls_ring *r)
{
    return r->count > r->options.segments ? r->count - r->options.segments : 0;
}

uint64_t gtv_hls_ring_open_number(const struct gtv_hls_ring *r)
{
    return r->is_open ? r->open.number : r->next_number;
}

static void drop_oldest(struct gtv_hls_ring *r)
{
    drop_segment(r, &r->list[0]);
    r->count--;
    memmove(&r->list[0], &r->list[1], r->count * sizeof r->list[0]);
}

// Counts the discontinuity of the segment that the playlist is about to lose.
static void unlist_first(struct gtv_hls_ring *r)
{
    if (r->count > 0 && r->list[gtv_hls_ring_listed(r)].discontinuity) {
        r->discontinuities++;
    }
}

// ---- Parts ----

// Pictures of one part.
static int64_t pictures_a_part(const struct gtv_hls_ring *r)
{
    int64_t n = r->frame > 0 ? (r->options.part_ms * 90 + r->frame / 2) / r->frame : 1;
    return n > 0 ? n : 1;
}

int64_t gtv_hls_ring_part_target(const struct gtv_hls_ring *r)
{
    int64_t ticks = r->frame > 0 ? pictures_a_part(r) * r->frame : r->options.part_ms * 90;
    return ticks + ticks * PART_SLACK_PERCENT / 100;
}

// Ends the part that is being collected, if it has a picture.
static unsigned end_part(struct gtv_hls_ring *r, int64_t end)
{
    struct gtv_hls_segment *s = &r->open;
    if (r->options.variant != GTV_HLS_LOW_LATENCY || r->frame == 0 || r->part_at >= s->count) {
        return 0;
    }
    if (s->part_count == s->part_cap) {
        s->part_cap = s->part_cap == 0 ? 8 : s->part_cap * 2;
        s->parts = gtv_realloc(s->parts, s->part_cap * sizeof *s->parts);
    }
    s->parts[s->part_count++] = (struct gtv_hls_part){.number = r->next_part++,
                                                      .first = r->part_at,
                                                      .count = s->count - r->part_at,
                                                      .start = r->part_start,
                                                      .end = end,
                                                      .independent = s->samples[r->part_at].key};
    r->part_at = s->count;
    r->part_start = end;
    return GTV_HLS_NEW_PART;
}

// A picture is about to be appended: does the part end before it?
static unsigned end_part_if_due(struct gtv_hls_ring *r, const struct gtv_sample *s)
{
    if (r->frame == 0 || r->open.count == 0) {
        return 0;
    }
    // Half a picture of tolerance: the path clock bends a little, and cameras jitter.
    if (s->dts - r->part_start < pictures_a_part(r) * r->frame - r->frame / 2) {
        return 0;
    }
    return end_part(r, s->dts);
}

// ---- Segments ----

static unsigned complete_open(struct gtv_hls_ring *r, int64_t end)
{
    unsigned happened = end_part(r, end) | GTV_HLS_NEW_SEGMENT;
    struct gtv_hls_segment *s = &r->open;
    s->end = end;
    int rounded = (int)((end - s->start + 45000) / 90000);
    if (rounded > r->target_duration) {
        r->target_duration = rounded; // never smaller again: RFC 8216, 6.2.1
    }
    r->frame = s->pictures > 0 ? (end - s->start) / (int64_t)s->pictures : 0;
    if (r->count >= r->options.segments) {
        unlist_first(r);
    }
    if (r->count >= r->options.segments + GRACE) {
        drop_oldest(r);
    }
    s->samples = gtv_realloc(s->samples, s->count * sizeof *s->samples);
    s->cap = s->count;
    r->list[r->count++] = *s;
    *s = (struct gtv_hls_segment){0};
    r->is_open = false;
    return happened;
}

// Where the open segment ends when nothing continues it.
static int64_t end_of_open(const struct gtv_hls_ring *r)
{
    int64_t frame = r->frame;
    if (frame == 0 && r->open.pictures > 1) {
        frame = (r->last_picture - r->open.start) / (int64_t)(r->open.pictures - 1);
    }
    return r->last_picture + (frame > 0 ? frame : 3600);
}

unsigned gtv_hls_ring_interrupt(struct gtv_hls_ring *r)
{
    unsigned happened = 0;
    if (r->is_open && r->open.part_count > 0) {
        happened = complete_open(r, end_of_open(r)); // players know it by its parts
    } else if (r->is_open) {
        r->next_number = r->open.number; // it was never listed
        r->counters = r->open.counters;
        drop_segment(r, &r->open);
        r->is_open = false;
    }
    r->interrupted = r->interrupted || r->count > 0;
    return happened;
}

static void begin_segment(struct gtv_hls_ring *r, const struct gtv_sample *s, bool seam)
{
    if (r->coming != NULL) {
        gtv_format_unref(r->format);
        r->format = r->coming;
        r->coming = NULL;
        r->format_number++;
    }
    r->open = (struct gtv_hls_segment){.number = r->next_number++,
                                       .shown = s->pts,
                                       .start = s->dts,
                                       .discontinuity = r->interrupted || (seam && r->count > 0),
                                       .format = gtv_format_ref(r->format),
                                       .format_number = r->format_number,
                                       .counters = r->counters};
    r->interrupted = false;
    r->is_open = true;
    r->part_at = 0;
    r->part_start = s->dts;
}

static unsigned take_key(struct gtv_hls_ring *r, const struct gtv_sample *s)
{
    unsigned happened = 0;
    bool seam = s->discontinuity || r->coming != NULL;
    if (r->is_open) {
        int64_t length = s->dts - r->open.start;
        int64_t least = r->options.segment_ms * 90 * (100 - SHORTER_PERCENT) / 100;
        if (seam) {
            // The clock may have jumped: the segment's own pictures tell where it ends.
            happened = complete_open(r, end_of_open(r));
        } else if (length >= least && length > 0) {
            happened = complete_open(r, s->dts);
        }
    }
    if (!r->is_open && (r->coming != NULL || r->format != NULL)) {
        begin_segment(r, s, seam);
    }
    return happened;
}

// Makes room under the byte bound: old segments first, and when the open one alone is too large, that one.
static unsigned keep_bound(struct gtv_hls_ring *r)
{
    unsigned happened = 0;
    while (r->bytes > r->options.max_bytes && r->count > 1) {
        if (gtv_hls_ring_listed(r) == 0) {
            unlist_first(r);
        }
        drop_oldest(r);
    }
    if (r->is_open && memory_of(&r->open) > r->options.max_bytes) {
        gtv_log_warn(&r->log, "no key frame within the ring's size: dropping what was collected", "bytes=%zu",
                     r->open.bytes);
        r->discarded += r->open.count;
        happened = gtv_hls_ring_interrupt(r);
        while (r->bytes > r->options.max_bytes && r->count > 0) {
            if (gtv_hls_ring_listed(r) == 0) {
                unlist_first(r);
            }
            drop_oldest(r);
        }
    }
    return happened;
}

static void append(struct gtv_hls_ring *r, const struct gtv_sample *sample)
{
    struct gtv_hls_segment *s = &r->open;
    if (s->count == s->cap) {
        s->cap = s->cap == 0 ? 64 : s->cap * 2;
        s->samples = gtv_realloc(s->samples, s->cap * sizeof *s->samples);
    }
    s->samples[s->count++] = *sample;
    gtv_bytes_ref(sample->data);
    s->bytes += sample->data->len;
    r->bytes += sample->data->len + GTV_HLS_SAMPLE_COST;
    if (sample->video) {
        s->pictures++;
        r->last_picture = sample->dts;
    }
    if (r->options.variant == GTV_HLS_MPEGTS) {
        s->ts_bytes += gtv_mpegts_pass(s->format, sample, &r->counters);
    }
}

unsigned gtv_hls_ring_push(struct gtv_hls_ring *r, const struct gtv_sample *sample)
{
    unsigned happened = 0;
    if (sample->video && sample->key) {
        happened = take_key(r, sample);
    }
    if (!r->is_open) {
        return happened;
    }
    if (sample->video) {
        happened |= end_part_if_due(r, sample);
    }
    append(r, sample);
    return happened | keep_bound(r);
}

// ---- Names ----

const char *gtv_hls_segment_name(const struct gtv_hls_ring *r, uint64_t number, char out[GTV_HLS_NAME_CAP])
{
    bool ts = r->options.variant == GTV_HLS_MPEGTS;
    snprintf(out, GTV_HLS_NAME_CAP, "%s_%s_seg%" PRIu64 ".%s", r->prefix, ts ? "main" : "video1", number,
             ts ? "ts" : "mp4");
    return out;
}

const char *gtv_hls_part_name(const struct gtv_hls_ring *r, uint64_t number, char out[GTV_HLS_NAME_CAP])
{
    snprintf(out, GTV_HLS_NAME_CAP, "%s_video1_part%" PRIu64 ".mp4", r->prefix, number);
    return out;
}

const char *gtv_hls_init_name(const struct gtv_hls_ring *r, unsigned format_number,
                              char out[GTV_HLS_NAME_CAP])
{
    if (format_number > 1) {
        snprintf(out, GTV_HLS_NAME_CAP, "%s_video1_init%u.mp4", r->prefix, format_number);
    } else {
        snprintf(out, GTV_HLS_NAME_CAP, "%s_video1_init.mp4", r->prefix);
    }
    return out;
}

static enum gtv_hls_found find_part(const struct gtv_hls_ring *r, struct gtv_str name,
                                    const struct gtv_hls_segment **segment, const struct gtv_hls_part **part)
{
    char mine[GTV_HLS_NAME_CAP];
    if (gtv_str_eq(name, gtv_str_of(gtv_hls_part_name(r, r->next_part, mine)))) {
        return GTV_HLS_COMING;
    }
    for (size_t i = 0; i <= r->count; i++) {
        const struct gtv_hls_segment *s = i < r->count ? &r->list[r->count - 1 - i] : &r->open;
        for (size_t k = 0; k < s->part_count; k++) {
            if (gtv_str_eq(name, gtv_str_of(gtv_hls_part_name(r, s->parts[k].number, mine)))) {
                *segment = s;
                *part = &s->parts[k];
                return GTV_HLS_PART;
            }
        }
    }
    return GTV_HLS_NOTHING;
}

enum gtv_hls_found gtv_hls_ring_find(const struct gtv_hls_ring *r, struct gtv_str name,
                                     const struct gtv_hls_segment **segment, const struct gtv_hls_part **part)
{
    char mine[GTV_HLS_NAME_CAP];
    if (!gtv_str_starts(name, gtv_str_of(r->prefix))) {
        return GTV_HLS_NOTHING;
    }
    for (size_t i = 0; i < r->count; i++) {
        if (gtv_str_eq(name, gtv_str_of(gtv_hls_segment_name(r, r->list[i].number, mine)))) {
            *segment = &r->list[i];
            return GTV_HLS_SEGMENT;
        }
    }
    for (size_t i = 0; r->options.variant != GTV_HLS_MPEGTS && i <= r->count; i++) {
        const struct gtv_hls_segment *s = i < r->count ? &r->list[i] : &r->open;
        if (s->format != NULL && gtv_str_eq(name, gtv_str_of(gtv_hls_init_name(r, s->format_number, mine)))) {
            *segment = s;
            return GTV_HLS_INIT;
        }
    }
    return r->options.variant == GTV_HLS_LOW_LATENCY ? find_part(r, name, segment, part) : GTV_HLS_NOTHING;
}
