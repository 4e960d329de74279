// Our own sessions with the media nodes, one a stream, shared by all loops.
//
// MediaMTX 1.18 and later serve HLS to sessions: the index begins one (by a redirect and a cookie), and what
// belongs to it is refused without it. However many viewers there are, this service is one client of the
// node. With the CDN's secret there is no cookie, but the node keeps a session all the same, which the index
// begins. Generations before know neither.
#ifndef GTV_STREAMING_UPSTREAM_H
#define GTV_STREAMING_UPSTREAM_H

#include "lib/base/str.h"

enum {
    GTV_UPSTREAM_SESSION_CAP = 128,
    GTV_UPSTREAM_STREAMS = 4096, // beyond it a session is begun for each fetch that is refused
    // A session that was silent that long is taken for gone (MediaMTX: 30 s): its index is asked first, which
    // costs less than the 2 s by which the node delays a refusal.
    GTV_UPSTREAM_IDLE_MS = 25000,
};

struct gtv_upstream;

struct gtv_upstream *gtv_upstream_create(void);
void gtv_upstream_destroy(struct gtv_upstream *u);

// Any thread.
struct gtv_upstream_session {
    char id[GTV_UPSTREAM_SESSION_CAP]; // empty: none is needed, or the CDN's
    uint64_t serial;                   // grows with each session begun; 0: none is known
};
// The session of a stream. serial 0 and an empty id where there is none, or it was silent too long; otherwise
// it counts as used now.
struct gtv_upstream_session gtv_upstream_session(struct gtv_upstream *u, struct gtv_str stream,
                                                 int64_t now_ms);
// The index was answered, which began this session. An id that does not fit counts as none.
void gtv_upstream_began(struct gtv_upstream *u, struct gtv_str stream, struct gtv_str id, int64_t now_ms);
// The session with this serial was refused; a newer one stays.
void gtv_upstream_ended(struct gtv_upstream *u, struct gtv_str stream, uint64_t serial);

// Whether the stream's playlists understand _HLS_msn and _HLS_part; true where it is not known.
bool gtv_upstream_blocking(struct gtv_upstream *u, struct gtv_str stream);
void gtv_upstream_set_blocking(struct gtv_upstream *u, struct gtv_str stream, bool blocking, int64_t now_ms);

// True once a node asked for sessions: children of streams that are not known then ask for the index first.
bool gtv_upstream_wants_sessions(struct gtv_upstream *u);
void gtv_upstream_set_wants_sessions(struct gtv_upstream *u, bool wants);

#endif
