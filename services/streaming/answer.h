// What is kept of a node's answer: its head as clients get it, and how long it may be used. See README.md for
// the policy. Pure but for the entry; the filling loop's.
#ifndef GTV_STREAMING_ANSWER_H
#define GTV_STREAMING_ANSWER_H

#include "lib/http/client.h"
#include "services/streaming/cache.h"
#include "services/streaming/playlist.h"

enum {
    GTV_ANSWER_FIELDS_MAX = 24,           // of an answer that are passed on
    GTV_ANSWER_FIELDS_BYTES = 4096,       // in all; what is beyond is left out
    GTV_STALE_WINDOW_MAX_MS = 300 * 1000, // whatever the node allows
};

struct gtv_answer_context {
    bool session;               // it came by our own session with the node: `private` is us
    int64_t segment_keep_ms;    // how long a segment is worth keeping
    int64_t if_error_ms;        // where the node does not say
    int64_t now_ms, now_wall_s; // monotonic; wall clock
};

// The head of a 200 while the body is still arriving, without a tag of ours. What ends short is seen to: its
// client knows that it is not whole. For on_head.
void gtv_answer_begin(struct gtv_entry *e, const struct gtv_http_response *r,
                      const struct gtv_answer_context *context);

// The head of the whole, its status, its validators and its life. playlist: NULL for all others. r may be 304
// to a question about e->stale, which lends what r does not say. Call before gtv_cache_store with the same
// body.
struct gtv_entry_life gtv_answer_finish(struct gtv_entry *e, const struct gtv_http_response *r,
                                        const struct gtv_bytes *body, const struct gtv_playlist *playlist,
                                        const struct gtv_answer_context *context);

// The fields of an answer that is passed on and not kept. Slices of r; returns how many.
size_t gtv_answer_pass(const struct gtv_http_response *r, struct gtv_http_header out[GTV_ANSWER_FIELDS_MAX]);

#endif
