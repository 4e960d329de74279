// The HLS proxy of one loop, in front of the media node, over the cache that all loops share.
//
// A request is a hit (answered at once with the shared bytes), joins a fetch that runs on whichever loop
// began it, or begins one. Waiters of a segment get its pieces while they arrive; waiters of a playlist get
// it when it is whole, because only its text says how long it may live. A fetch goes on though its waiters
// left: the next viewer finds the answer.
//
// How a fetch wakes waiters of other loops: it appends a piece, marks under the entry's lock which loops are
// owed a wake-up, and posts one to each that is not already woken. Pieces themselves are read without a lock.
#ifndef GTV_STREAMING_PROXY_H
#define GTV_STREAMING_PROXY_H

#include "services/streaming/app.h"

enum {
    GTV_SEGMENT_MAX = 64 * 1024 * 1024, // bytes of a segment
    GTV_PLAYLIST_MAX = 1024 * 1024,     // bytes of a playlist
    GTV_UPSTREAM_CONNECTIONS = 64,      // to the media node, per loop; fetches beyond it wait
};

struct gtv_proxy *gtv_proxy_create(struct gtv_worker *worker);
void gtv_proxy_destroy(struct gtv_proxy *p); // after the loop's server was destroyed

// GET /hls/{stream*}/index.m3u8 and /hls/{stream*}/{file}
void gtv_proxy_handle(struct gtv_http_request *req, void *worker);

// POST, PUT, PATCH, DELETE, M-SEARCH of the same
enum { GTV_CHANGE_BODY = 64 * 1024 };
void gtv_proxy_handle_change(struct gtv_http_request *req, void *worker);

#endif
