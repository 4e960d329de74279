// What the proxy must know of an HLS playlist (RFC 8216), read in one pass. Pure; any thread.
#ifndef GTV_STREAMING_PLAYLIST_H
#define GTV_STREAMING_PLAYLIST_H

#include "lib/base/bytes.h"

struct gtv_playlist {
    bool multivariant;  // lists variants, not segments
    bool ended;         // EXT-X-ENDLIST: will not change
    bool blocking;      // CAN-BLOCK-RELOAD: _HLS_msn and _HLS_part are understood
    unsigned target_ms; // EXT-X-TARGETDURATION; 0 in a multivariant one
    unsigned window_ms; // sum of the segments' durations, at most an hour
    size_t segments;
};

// False when the text is no playlist (no #EXTM3U first, or neither kind).
bool gtv_playlist_scan(struct gtv_str text, struct gtv_playlist *out) GTV_WARN_UNUSED;

// Walks what a media playlist names: segments, and the URI of EXT-X-MAP and EXT-X-PART. The next one of
// *rest, which is advanced; false at the end.
bool gtv_playlist_next_uri(struct gtv_str *rest, struct gtv_str *uri);

// The text without what belongs to our own session with the media node: `session` and `cookieCheck` in URIs'
// queries, and the `_HLS_` parameters that a muxer that does not know them repeats there. The first `session`
// is copied to session (cap bytes; may be NULL). NULL when there is nothing to take out, or no memory.
struct gtv_bytes *gtv_playlist_clean(struct gtv_str text, char *session, size_t cap) GTV_WARN_UNUSED;

// Of a multivariant playlist that costs the node a session each time.
enum { GTV_PLAYLIST_LIFE_SESSION_MS = 10000 };

// How long it may be served: half the target duration, so that a client that asks each target duration sees
// each change. A multivariant playlist hardly changes, but names its variants' generation: 1 s. Milliseconds,
// within [200, 5000].
unsigned gtv_playlist_life_ms(const struct gtv_playlist *p);

#endif
