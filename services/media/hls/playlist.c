#include "services/media/hls/playlist.h"

#include "lib/base/clock.h"

#include <inttypes.h>

enum {
    VERSION_TS = 3,
    VERSION_MP4 = 10,
    SKIP_TARGETS = 6, // what is older than so many target durations may be skipped: the least that is allowed
    HOLD_BACK_PARTS = 3, // a player stays so many parts behind the edge: the least that is allowed. (MediaMTX
                         // says 0.5 s whatever its parts are.)
};

const char *gtv_hls_media_name(enum gtv_hls_variant variant)
{
    return variant == GTV_HLS_MPEGTS ? "main_stream.m3u8" : "video1_stream.m3u8";
}

static uint64_t bit_rate(size_t bytes, int64_t ticks)
{
    return ticks > 0 ? (uint64_t)bytes * 8 * 90000 / (uint64_t)ticks : 0;
}

static double seconds(int64_t ticks)
{
    return (double)ticks / 90000;
}

void gtv_hls_write_index(struct gtv_buf *out, const struct gtv_hls_ring *r)
{
    bool ts = r->options.variant == GTV_HLS_MPEGTS;
    const struct gtv_format *f = r->list[r->count - 1].format;
    uint64_t highest = 0;
    size_t bytes = 0;
    int64_t ticks = 0;
    for (size_t i = gtv_hls_ring_listed(r); i < r->count; i++) {
        const struct gtv_hls_segment *s = &r->list[i];
        size_t size = ts ? s->ts_bytes : s->bytes;
        uint64_t rate = bit_rate(size, s->end - s->start);
        highest = rate > highest ? rate : highest;
        bytes += size;
        ticks += s->end - s->start;
    }
    gtv_buf_printf(out, "#EXTM3U\n#EXT-X-VERSION:%d\n#EXT-X-INDEPENDENT-SEGMENTS\n\n",
                   ts ? VERSION_TS : VERSION_MP4);
    gtv_buf_printf(out, "#EXT-X-STREAM-INF:BANDWIDTH=%" PRIu64 ",AVERAGE-BANDWIDTH=%" PRIu64 ",CODECS=\"%s",
                   highest, bit_rate(bytes, ticks), f->video.codecs);
    if (f->audio.codec != GTV_CODEC_NONE && (!ts || gtv_mpegts_has_audio(f))) {
        gtv_buf_printf(out, ",%s", f->audio.codecs);
    }
    gtv_buf_printf(out, "\",RESOLUTION=%dx%d", f->video.width, f->video.height);
    if (f->video.fps > 0) {
        gtv_buf_printf(out, ",FRAME-RATE=%.3f", f->video.fps);
    }
    gtv_buf_printf(out, "\n%s\n", gtv_hls_media_name(r->options.variant));
}

// ---- Media playlist ----

struct writer {
    struct gtv_buf *out;
    const struct gtv_hls_ring *r;
    bool low_latency;
    unsigned format_number; // that the reader knows by now; 0: none
};

static void put_parts(struct writer *w, const struct gtv_hls_segment *s)
{
    for (size_t i = 0; i < s->part_count; i++) {
        const struct gtv_hls_part *p = &s->parts[i];
        char name[GTV_HLS_NAME_CAP];
        gtv_buf_printf(w->out, "#EXT-X-PART:DURATION=%.5f,URI=\"%s\"%s\n", seconds(p->end - p->start),
                       gtv_hls_part_name(w->r, p->number, name), p->independent ? ",INDEPENDENT=YES" : "");
    }
}

static void put_head(struct writer *w, const struct gtv_hls_segment *s)
{
    char text[GTV_ISO8601_CAP > GTV_HLS_NAME_CAP ? GTV_ISO8601_CAP : GTV_HLS_NAME_CAP];
    if (s->discontinuity) {
        gtv_buf_puts(w->out, "#EXT-X-DISCONTINUITY\n");
    }
    if (w->r->options.variant != GTV_HLS_MPEGTS && s->format_number != w->format_number) {
        gtv_buf_printf(w->out, "#EXT-X-MAP:URI=\"%s\"\n", gtv_hls_init_name(w->r, s->format_number, text));
        w->format_number = s->format_number;
    }
    gtv_buf_printf(w->out, "#EXT-X-PROGRAM-DATE-TIME:%s\n", gtv_iso8601_utc(gtv_ticks_to_ms(s->shown), text));
}

static bool parts_listed(const struct gtv_hls_ring *r, size_t i)
{
    return r->options.variant == GTV_HLS_LOW_LATENCY && i + GTV_HLS_PART_SEGMENTS >= r->count;
}

// The longest of the listed parts, and no less than what is aimed at: a part is never longer than what the
// playlist says.
static int64_t part_target(const struct gtv_hls_ring *r)
{
    int64_t longest = gtv_hls_ring_part_target(r);
    for (size_t i = 0; i <= r->count; i++) {
        const struct gtv_hls_segment *s = i < r->count ? &r->list[i] : &r->open;
        for (size_t k = 0; k < s->part_count && (i == r->count || parts_listed(r, i)); k++) {
            int64_t length = s->parts[k].end - s->parts[k].start;
            longest = length > longest ? length : longest;
        }
    }
    return longest;
}

static void put_low_latency_head(struct writer *w)
{
    double part = seconds(part_target(w->r) + 1); // rounded up
    gtv_buf_printf(w->out,
                   "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=%.5f,CAN-SKIP-UNTIL=%d.00000\n"
                   "#EXT-X-PART-INF:PART-TARGET=%.5f\n",
                   part * HOLD_BACK_PARTS, w->r->target_duration * SKIP_TARGETS, part);
}

// How many segments from `from` on a delta update leaves out.
static size_t skippable(const struct gtv_hls_ring *r, size_t from)
{
    int64_t behind = 0, limit = (int64_t)r->target_duration * SKIP_TARGETS * 90000; // of the playlist's end
    for (size_t k = 0; k < r->open.part_count; k++) {
        behind += r->open.parts[k].end - r->open.parts[k].start;
    }
    size_t i = r->count;
    while (i > from && behind < limit) {
        i--;
        behind += r->list[i].end - r->list[i].start;
    }
    return i - from;
}

void gtv_hls_write_media(struct gtv_buf *out, const struct gtv_hls_ring *r, bool skip)
{
    struct writer w = {.out = out, .r = r, .low_latency = r->options.variant == GTV_HLS_LOW_LATENCY};
    bool ts = r->options.variant == GTV_HLS_MPEGTS;
    size_t from = gtv_hls_ring_listed(r);
    char name[GTV_HLS_NAME_CAP];
    gtv_buf_printf(out, "#EXTM3U\n#EXT-X-VERSION:%d\n%s#EXT-X-TARGETDURATION:%d\n",
                   ts ? VERSION_TS : VERSION_MP4, ts ? "#EXT-X-ALLOW-CACHE:NO\n" : "", r->target_duration);
    if (w.low_latency) {
        put_low_latency_head(&w);
    }
    gtv_buf_printf(out, "#EXT-X-MEDIA-SEQUENCE:%" PRIu64 "\n", r->list[from].number);
    if (r->discontinuities > 0) {
        gtv_buf_printf(out, "#EXT-X-DISCONTINUITY-SEQUENCE:%" PRIu64 "\n", r->discontinuities);
    }
    size_t left_out = skip && w.low_latency ? skippable(r, from) : 0;
    if (left_out > 0) {
        gtv_buf_printf(out, "#EXT-X-SKIP:SKIPPED-SEGMENTS=%zu\n", left_out);
        w.format_number = r->list[from + left_out - 1].format_number;
    }
    for (size_t i = from + left_out; i < r->count; i++) {
        const struct gtv_hls_segment *s = &r->list[i];
        put_head(&w, s);
        if (parts_listed(r, i)) {
            put_parts(&w, s);
        }
        gtv_buf_printf(out, "#EXTINF:%.5f,\n%s\n", seconds(s->end - s->start),
                       gtv_hls_segment_name(r, s->number, name));
    }
    if (!w.low_latency) {
        return;
    }
    if (r->open.part_count > 0) {
        put_head(&w, &r->open);
        put_parts(&w, &r->open);
    }
    gtv_buf_printf(out, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"%s\"\n",
                   gtv_hls_part_name(r, r->next_part, name));
}
