#include "services/media/hls.h"

#include "lib/base/mem.h"
#include "services/media/playlist.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    RING_MAX = 64, // segments held at most; the option allows fewer
    GRACE = 1,     // segments kept beyond the listed ones, for players that read the playlist a moment ago
    // A camera's second is seldom exactly one of ours: a segment may be so many parts of 100 shorter, else a
    // GOP of 1 s would now and then give segments of 2 s.
    SHORTER_PERCENT = 10,
};

struct segment {
    uint64_t number;
    int64_t start, end; // path ticks
    bool discontinuity;
    struct gtv_bytes **pieces; // one reference each
    size_t count, cap, bytes;
};

struct gtv_hls {
    struct gtv_hls_options options;
    struct gtv_log log;
    char prefix[13];
    struct segment ring[RING_MAX]; // oldest first
    size_t count;
    struct segment open;
    bool is_open, interrupted;
    uint64_t next_number;
    uint64_t discontinuities; // of segments that left the playlist
    size_t bytes;
    uint64_t discarded;
    int target_duration;
};

struct gtv_hls *gtv_hls_create(const struct gtv_hls_options *options, const struct gtv_log *log)
{
    struct gtv_hls *h = GTV_NEW(struct gtv_hls);
    h->options = *options;
    if (h->options.segments > RING_MAX - GRACE) {
        h->options.segments = RING_MAX - GRACE;
    }
    h->log = *log;
    h->next_number = options->first_number;
    // Players that knew an earlier muxer see the seam.
    h->interrupted = options->first_number > 0;
    h->target_duration = 1;
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        random = (uint64_t)(uintptr_t)h;
    }
    snprintf(h->prefix, sizeof h->prefix, "%012" PRIx64, random >> 16);
    return h;
}

static void drop_segment(struct gtv_hls *h, struct segment *s)
{
    for (size_t i = 0; i < s->count; i++) {
        gtv_bytes_unref(s->pieces[i]);
    }
    free(s->pieces);
    h->bytes -= s->bytes;
    *s = (struct segment){0};
}

void gtv_hls_destroy(struct gtv_hls *h)
{
    if (h == NULL) {
        return;
    }
    for (size_t i = 0; i < h->count; i++) {
        drop_segment(h, &h->ring[i]);
    }
    drop_segment(h, &h->open);
    free(h);
}

static size_t listed_from(const struct gtv_hls *h)
{
    return h->count > h->options.segments ? h->count - h->options.segments : 0;
}

static void drop_oldest(struct gtv_hls *h)
{
    drop_segment(h, &h->ring[0]);
    h->count--;
    memmove(&h->ring[0], &h->ring[1], h->count * sizeof h->ring[0]);
}

// Counts the discontinuity of the segment that the playlist is about to lose.
static void unlist_first(struct gtv_hls *h)
{
    if (h->count > 0 && h->ring[listed_from(h)].discontinuity) {
        h->discontinuities++;
    }
}

static void complete_open(struct gtv_hls *h, int64_t end)
{
    h->open.end = end;
    int rounded = (int)((end - h->open.start + 45000) / 90000);
    if (rounded > h->target_duration) {
        h->target_duration = rounded; // never smaller again: RFC 8216, 6.2.1
    }
    if (h->count >= h->options.segments) {
        unlist_first(h);
    }
    if (h->count >= h->options.segments + GRACE) {
        drop_oldest(h);
    }
    h->ring[h->count++] = h->open;
    h->open = (struct segment){0};
    h->is_open = false;
}

static void append_piece(struct segment *s, struct gtv_bytes *piece)
{
    if (s->count == s->cap) {
        s->cap = s->cap == 0 ? 64 : s->cap * 2;
        s->pieces = gtv_realloc(s->pieces, s->cap * sizeof(struct gtv_bytes *));
    }
    s->pieces[s->count++] = gtv_bytes_ref(piece);
    s->bytes += piece->len;
}

// Makes room under the byte bound: old segments first, and when the open one alone is too large, that one.
static void keep_bound(struct gtv_hls *h)
{
    while (h->bytes > h->options.max_bytes && h->count > 1) {
        if (listed_from(h) == 0) {
            unlist_first(h);
        }
        drop_oldest(h);
    }
    if (h->is_open && h->open.bytes > h->options.max_bytes) {
        gtv_log_warn(&h->log, "no key frame within the ring's size: dropping what was collected", "bytes=%zu",
                     h->open.bytes);
        h->discarded += h->open.count;
        gtv_hls_interrupt(h);
    }
}

bool gtv_hls_push(struct gtv_hls *h, const struct gtv_unit *unit)
{
    bool completed = false;
    if (unit->video && unit->key) {
        int64_t length = unit->time - h->open.start;
        int64_t least = h->options.segment_ms * 90 * (100 - SHORTER_PERCENT) / 100;
        if (h->is_open && length > 0 && (length >= least || unit->discontinuity)) {
            complete_open(h, unit->time);
            completed = true;
        } else if (h->is_open && unit->discontinuity) {
            gtv_hls_interrupt(h); // the time line went backwards: the open segment has no length
        }
        if (!h->is_open) {
            h->open = (struct segment){.number = h->next_number++, .start = unit->time};
            h->open.discontinuity = h->interrupted || (unit->discontinuity && h->count > 0);
            h->interrupted = false;
            h->is_open = true;
        }
    }
    if (!h->is_open) {
        return completed;
    }
    append_piece(&h->open, unit->ts);
    h->bytes += unit->ts->len;
    keep_bound(h);
    return completed;
}

void gtv_hls_interrupt(struct gtv_hls *h)
{
    if (h->is_open) {
        h->next_number = h->open.number; // it was never listed
        drop_segment(h, &h->open);
        h->is_open = false;
    }
    h->interrupted = h->interrupted || h->count > 0;
}

bool gtv_hls_ready(const struct gtv_hls *h)
{
    return h->count > 0;
}

static uint64_t bit_rate(size_t bytes, int64_t ticks)
{
    return ticks > 0 ? (uint64_t)bytes * 8 * 90000 / (uint64_t)ticks : 0;
}

struct gtv_bytes *gtv_hls_index(struct gtv_hls *h, const struct gtv_format *format)
{
    if (h->count == 0) {
        return NULL;
    }
    struct gtv_playlist_variant v = {.video_codecs = format->video.codecs,
                                     .audio_codecs =
                                         format->audio.codec == GTV_CODEC_AAC ? format->audio.codecs : NULL,
                                     .width = format->video.width,
                                     .height = format->video.height,
                                     .fps = format->video.fps};
    size_t bytes = 0;
    int64_t ticks = 0;
    for (size_t i = listed_from(h); i < h->count; i++) {
        const struct segment *s = &h->ring[i];
        uint64_t rate = bit_rate(s->bytes, s->end - s->start);
        v.bandwidth = rate > v.bandwidth ? rate : v.bandwidth;
        bytes += s->bytes;
        ticks += s->end - s->start;
    }
    v.average_bandwidth = bit_rate(bytes, ticks);
    struct gtv_buf out;
    gtv_buf_init(&out, 4096);
    gtv_playlist_index(&out, &v);
    return gtv_buf_take(&out);
}

struct gtv_bytes *gtv_hls_media(struct gtv_hls *h)
{
    if (h->count == 0) {
        return NULL;
    }
    struct gtv_playlist_segment listed[RING_MAX];
    size_t from = listed_from(h), n = 0;
    for (size_t i = from; i < h->count; i++) {
        const struct segment *s = &h->ring[i];
        listed[n++] = (struct gtv_playlist_segment){.wall_ms = gtv_ticks_to_ms(s->start),
                                                    .duration = (double)(s->end - s->start) / 90000,
                                                    .discontinuity = s->discontinuity,
                                                    .prefix = h->prefix,
                                                    .number = s->number};
    }
    struct gtv_buf out;
    gtv_buf_init(&out, (size_t)256 * (RING_MAX + 1));
    gtv_playlist_media(&out, listed, n, h->target_duration, h->ring[from].number, h->discontinuities);
    return gtv_buf_take(&out);
}

bool gtv_hls_segment(struct gtv_hls *h, struct gtv_str name, struct gtv_bytes *const **pieces, size_t *count,
                     size_t *bytes)
{
    for (size_t i = 0; i < h->count; i++) {
        char mine[GTV_SEGMENT_NAME_CAP];
        if (gtv_str_eq(name, gtv_str_of(gtv_playlist_segment_name(h->prefix, h->ring[i].number, mine)))) {
            *pieces = h->ring[i].pieces;
            *count = h->ring[i].count;
            *bytes = h->ring[i].bytes;
            return true;
        }
    }
    return false;
}

uint64_t gtv_hls_next_number(const struct gtv_hls *h)
{
    return h->next_number;
}

size_t gtv_hls_bytes(const struct gtv_hls *h)
{
    return h->bytes;
}

uint64_t gtv_hls_discarded(const struct gtv_hls *h)
{
    return h->discarded;
}
