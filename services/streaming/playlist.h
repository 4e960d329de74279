// What the proxy must know of an HLS playlist (RFC 8216), read in one pass. Pure; any thread.
#ifndef GTV_STREAMING_PLAYLIST_H
#define GTV_STREAMING_PLAYLIST_H

#include "lib/base/str.h"

struct gtv_playlist {
    bool multivariant;  // lists variants, not segments
    bool ended;         // EXT-X-ENDLIST: will not change
    unsigned target_ms; // EXT-X-TARGETDURATION; 0 in a multivariant one
    unsigned window_ms; // sum of the segments' durations, at most an hour
    size_t segments;
};

// False when the text is no playlist (no #EXTM3U first, or neither kind).
bool gtv_playlist_scan(struct gtv_str text, struct gtv_playlist *out) GTV_WARN_UNUSED;

// Walks the segments that a media playlist names: the next URI line of *rest, which is advanced; false at the
// end.
bool gtv_playlist_next_uri(struct gtv_str *rest, struct gtv_str *uri);

// How long it may be served: half the target duration, so that a client that asks each target duration sees
// each change. A multivariant playlist hardly changes, but names its variants' generation: 1 s. Milliseconds,
// within [200, 5000].
unsigned gtv_playlist_life_ms(const struct gtv_playlist *p);

#endif
