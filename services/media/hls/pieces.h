// What players fetch, made from a ring's samples when they ask: segments, parts, init segments. Media data is
// given by reference where the format allows it (fMP4), and muxed in one pass where not (MPEG-TS). Loop
// thread only.
#ifndef GTV_MEDIA_HLS_PIECES_H
#define GTV_MEDIA_HLS_PIECES_H

#include "services/media/hls/ring.h"

// A body: its pieces in order, a reference each. Zeroed is an empty one.
struct gtv_hls_pieces {
    struct gtv_bytes **list;
    size_t count, cap, bytes;
};

// Each false without memory, or (init) when the format cannot be described; what there is then is to be
// finished all the same.
bool gtv_hls_pieces_segment(struct gtv_hls_pieces *out, const struct gtv_hls_ring *r,
                            const struct gtv_hls_segment *s) GTV_WARN_UNUSED;
bool gtv_hls_pieces_part(struct gtv_hls_pieces *out, const struct gtv_hls_segment *s,
                         const struct gtv_hls_part *part) GTV_WARN_UNUSED;
bool gtv_hls_pieces_init(struct gtv_hls_pieces *out, const struct gtv_hls_segment *s) GTV_WARN_UNUSED;
void gtv_hls_pieces_finish(struct gtv_hls_pieces *p);

#endif
