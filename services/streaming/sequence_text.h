// The text of media playlists for sequence.c: what they count, their end, and the same list with other
// numbers. Pure; any thread.
#ifndef GTV_STREAMING_SEQUENCE_TEXT_H
#define GTV_STREAMING_SEQUENCE_TEXT_H

#include "lib/base/buf.h"
#include "services/streaming/sequence.h"

struct gtv_sequence_list {
    char generation[GTV_SEQUENCE_NAME_CAP]; // empty: its names tell none
    int64_t first, discontinuity;           // EXT-X-MEDIA-SEQUENCE, EXT-X-DISCONTINUITY-SEQUENCE
    int64_t segments;                       // listed, and skipped (EXT-X-SKIP)
    int64_t tags;                           // EXT-X-DISCONTINUITY in it
    int64_t target_s;
    double partial_s; // of parts after the last segment
    bool skips, keys; // EXT-X-SKIP, EXT-X-KEY
};
// False when it is no media playlist, or one with numbers beyond 2^53.
bool gtv_sequence_read(struct gtv_str text, struct gtv_sequence_list *out) GTV_WARN_UNUSED;

static inline bool gtv_sequence_named(const struct gtv_sequence_list *list)
{
    return list->generation[0] != '\0';
}

struct gtv_sequence_block {
    size_t at, len;         // in text: tags and URI of a segment, without EXT-X-MAP and EXT-X-DISCONTINUITY
    size_t map_at, map_len; // in text: its EXT-X-MAP; map_len 0: none
    int64_t disc;           // its discontinuity sequence number
};
// The end of a list, segments that are still in the cache.
struct gtv_sequence_tail {
    struct gtv_buf text;
    size_t count;  // of blocks, at least 1
    int64_t end;   // the number after the last one
    size_t window; // segments that the whole list had
    int64_t target_s;
    struct gtv_sequence_block blocks[GTV_SEQUENCE_TAIL_MAX];
};
// NULL when there is none to keep. A last segment of which only parts are there becomes a gap.
struct gtv_sequence_tail *gtv_sequence_tail_create(struct gtv_str text, struct gtv_str stream,
                                                   gtv_sequence_cached_fn cached, void *arg);
void gtv_sequence_tail_destroy(struct gtv_sequence_tail *t); // NULL is accepted

// The list with its first segment numbered first, in the discontinuity disc; before it the tail (NULL: none)
// from the block `from` on (count: none of them). NULL without memory.
struct gtv_bytes *gtv_sequence_render(struct gtv_str text, const struct gtv_sequence_list *list,
                                      int64_t first, int64_t disc, const struct gtv_sequence_tail *tail,
                                      size_t from) GTV_WARN_UNUSED;

#endif
