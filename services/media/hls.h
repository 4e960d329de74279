// One path's HLS muxer: cuts the access units into segments, keeps a ring of the last ones, writes its
// playlists. Loop thread only.
#ifndef GTV_MEDIA_HLS_H
#define GTV_MEDIA_HLS_H

#include "lib/log/log.h"
#include "services/media/sample.h"
#include "services/media/unit.h"

struct gtv_hls;

struct gtv_hls_options {
    size_t segments;       // listed in the playlist
    int64_t segment_ms;    // shortest segment; it ends at the first key frame after that
    size_t max_bytes;      // of all segments held, the open one included
    uint64_t first_number; // media sequence to go on from, so that players that saw an earlier muxer of this
                           // path need not start over
};

// The names' prefix is drawn at random for each muxer: a name never comes twice with other bytes.
struct gtv_hls *gtv_hls_create(const struct gtv_hls_options *options, const struct gtv_log *log);
void gtv_hls_destroy(struct gtv_hls *h); // NULL is accepted; replies on their way keep their bytes

// Takes a reference to the unit's bytes. True when a segment was completed by it.
bool gtv_hls_push(struct gtv_hls *h, const struct gtv_unit *unit);
// The source was lost: what is open is dropped (its end is not known), the next segment is marked as
// discontinuous.
void gtv_hls_interrupt(struct gtv_hls *h);

bool gtv_hls_ready(const struct gtv_hls *h); // a segment exists
// NULL before the first segment, or without memory. A reference for the caller.
struct gtv_bytes *gtv_hls_index(struct gtv_hls *h, const struct gtv_format *format) GTV_WARN_UNUSED;
struct gtv_bytes *gtv_hls_media(struct gtv_hls *h) GTV_WARN_UNUSED;
// The pieces of a segment by its name, in order; they stay the muxer's, and valid until the next push. False:
// no such segment (any more).
bool gtv_hls_segment(struct gtv_hls *h, struct gtv_str name, struct gtv_bytes *const **pieces, size_t *count,
                     size_t *bytes);

uint64_t gtv_hls_next_number(const struct gtv_hls *h); // of the segment that is open or comes next
size_t gtv_hls_bytes(const struct gtv_hls *h);         // held
uint64_t gtv_hls_discarded(const struct gtv_hls *h);   // access units dropped because the bound was reached

#endif
