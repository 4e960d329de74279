#include "services/media/hls/pieces.h"

#include "lib/base/mem.h"
#include "services/media/hls/fmp4.h"

#include <stdlib.h>

static void reserve(struct gtv_hls_pieces *p, size_t more)
{
    if (p->count + more > p->cap) {
        p->cap = p->count + more;
        p->list = gtv_realloc(p->list, p->cap * sizeof(struct gtv_bytes *));
    }
}

// The reference becomes the list's. False for NULL.
static bool add(struct gtv_hls_pieces *p, struct gtv_bytes *piece)
{
    if (piece == NULL) {
        return false;
    }
    reserve(p, 1);
    p->list[p->count++] = piece;
    p->bytes += piece->len;
    return true;
}

static bool add_fragment(struct gtv_hls_pieces *p, const struct gtv_hls_segment *s,
                         const struct gtv_hls_part *range)
{
    struct gtv_fmp4_fragment info = {.sequence = (uint32_t)(range->number + 1),
                                     .video_next = range->end,
                                     .audio_next = GTV_FMP4_UNKNOWN,
                                     .audio_length = gtv_fmp4_audio_length(s->format)};
    reserve(p, range->count + 1);
    struct gtv_bytes **at = p->list + p->count;
    if (!gtv_fmp4_fragment(&info, s->samples + range->first, range->count, at)) {
        return false;
    }
    p->bytes += at[0]->len;
    for (size_t i = 1; i <= range->count; i++) {
        gtv_bytes_ref(at[i]);
        p->bytes += at[i]->len;
    }
    p->count += range->count + 1;
    return true;
}

bool gtv_hls_pieces_part(struct gtv_hls_pieces *out, const struct gtv_hls_segment *s,
                         const struct gtv_hls_part *part)
{
    return add_fragment(out, s, part);
}

bool gtv_hls_pieces_segment(struct gtv_hls_pieces *out, const struct gtv_hls_ring *r,
                            const struct gtv_hls_segment *s)
{
    if (r->options.variant == GTV_HLS_MPEGTS) {
        struct gtv_mpegts_counters counters = s->counters;
        return add(out, gtv_mpegts_bytes(s->format, s->samples, s->count, &counters));
    }
    if (s->part_count == 0) {
        struct gtv_hls_part whole = {
            .number = s->number, .count = s->count, .start = s->start, .end = s->end};
        return add_fragment(out, s, &whole);
    }
    // The very bytes of the parts, one after the other.
    bool ok = true;
    for (size_t i = 0; ok && i < s->part_count; i++) {
        ok = add_fragment(out, s, &s->parts[i]);
    }
    return ok;
}

bool gtv_hls_pieces_init(struct gtv_hls_pieces *out, const struct gtv_hls_segment *s)
{
    return add(out, gtv_fmp4_init(s->format));
}

void gtv_hls_pieces_finish(struct gtv_hls_pieces *p)
{
    for (size_t i = 0; i < p->count; i++) {
        gtv_bytes_unref(p->list[i]);
    }
    free(p->list);
    *p = (struct gtv_hls_pieces){0};
}
