// The HLS playlist of a recorded span (RFC 8216): segments are cut on key frames, addressed by their times,
// and read out of the files when they are asked for.
#include "services/media/record/cut.h"
#include "services/media/record/playback_job.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    SEGMENT = 4 * 90000, // shortest
    SEGMENTS_MAX = 3000, // in a playlist: longer spans have longer segments
};

struct segment {
    int64_t from, to, origin;
    uint32_t init;
    bool broken; // does not go on where the one before ended
};

struct list {
    struct segment *items;
    size_t n, cap;
    int64_t shortest;
};

static void add(struct list *l, struct segment s)
{
    if (l->n == l->cap) {
        l->cap = l->cap > 0 ? l->cap * 2 : 256;
        l->items = gtv_realloc(l->items, l->cap * sizeof *l->items);
    }
    l->items[l->n++] = s;
}

// The segments of one file. origin: of the time line that it continues, or INT64_MIN.
static bool add_file(struct list *l, const struct gtv_record_span *span, int64_t from, int64_t to,
                     int64_t *origin, bool broken)
{
    struct gtv_mp4_keys keys = {0};
    int64_t zero = 0, end = span->info.start + span->info.duration;
    if (!gtv_cut_keys(span, &keys, &zero)) {
        return false;
    }
    size_t i = 0;
    while (i + 1 < keys.n && zero + keys.list[i + 1].time <= from) {
        i++;
    }
    bool first = true;
    while (i < keys.n && (first || zero + keys.list[i].time < to)) {
        int64_t begin = zero + keys.list[i].time;
        size_t next = i + 1;
        while (next < keys.n && zero + keys.list[next].time - begin < l->shortest) {
            next++;
        }
        int64_t until = next < keys.n ? zero + keys.list[next].time : end;
        if (*origin == INT64_MIN) {
            *origin = begin;
        }
        if (until > begin) {
            add(l, (struct segment){begin, until, *origin, span->info.init, broken && first});
        }
        first = false;
        i = next;
    }
    gtv_mp4_keys_finish(&keys);
    return true;
}

static void write_segment(struct gtv_buf *out, const struct segment *s, const struct segment *before)
{
    char when[GTV_ISO8601_CAP];
    if (s->broken && before != NULL) {
        gtv_buf_puts(out, "#EXT-X-DISCONTINUITY\n");
    }
    if (before == NULL || before->init != s->init) {
        gtv_buf_printf(out, "#EXT-X-MAP:URI=\"init.mp4?at=%" PRId64 "\"\n", s->from);
    }
    gtv_buf_printf(out, "#EXT-X-PROGRAM-DATE-TIME:%s\n", gtv_iso8601_utc(s->from / 90, when));
    gtv_buf_printf(out, "#EXTINF:%.5f,\n", (double)(s->to - s->from) / 90000);
    gtv_buf_printf(out, "segment.m4s?from=%" PRId64 "&to=%" PRId64 "&base=%" PRId64 "\n", s->from, s->to,
                   s->origin);
}

bool gtv_vod_write(const struct gtv_record_span *spans, size_t n, int64_t from, int64_t to,
                   struct gtv_buf *out)
{
    struct list l = {.shortest = (to - from) / SEGMENTS_MAX};
    int64_t longest = 0, origin = INT64_MIN;
    l.shortest = l.shortest < SEGMENT ? SEGMENT : l.shortest;
    for (size_t i = 0; i < n; i++) {
        const struct gtv_record_info *info = &spans[i].info, *last = i > 0 ? &spans[i - 1].info : NULL;
        int64_t gap = last != NULL ? info->start - last->start - last->duration : INT64_MAX;
        bool broken = gap > GTV_CUT_TOLERANCE || gap < -GTV_CUT_TOLERANCE || last->init != info->init;
        if (broken) {
            origin = INT64_MIN;
        } else if (l.n > 0) {
            l.items[l.n - 1].to = info->start; // the gap of a frame or so between two files is nobody's
        }
        // A file that has gone meanwhile leaves a gap, not an error.
        if (!add_file(&l, &spans[i], from, to, &origin, broken) && l.n > 0) {
            origin = INT64_MIN;
        }
    }
    for (size_t i = 0; i < l.n; i++) {
        int64_t length = l.items[i].to - l.items[i].from;
        longest = length > longest ? length : longest;
    }
    gtv_buf_printf(out,
                   "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:%" PRId64
                   "\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n",
                   (longest + 89999) / 90000);
    for (size_t i = 0; i < l.n; i++) {
        write_segment(out, &l.items[i], i > 0 ? &l.items[i - 1] : NULL);
    }
    gtv_buf_puts(out, "#EXT-X-ENDLIST\n");
    bool ok = l.n > 0 && !out->failed;
    free(l.items);
    return ok;
}
