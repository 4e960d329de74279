// Who watches what. A viewer of a stream is a client address with a user agent that asked for the stream
// within its last 3 target durations. Any thread; a request holds one of 16 locks for one look-up.
#ifndef GTV_STREAMING_VIEWERS_H
#define GTV_STREAMING_VIEWERS_H

#include "lib/base/str.h"

enum {
    GTV_VIEWER_AGENT_MAX = 160, // bytes of the user agent that are kept
    GTV_VIEWER_ADDRESS_CAP = 64,
    GTV_VIEWERS_PER_STREAM = 20000, // beyond it viewers are served, but not told apart
    GTV_VIEWED_STREAMS = 4096,      // beyond it streams are served, but not counted
};

struct gtv_viewer {
    char address[GTV_VIEWER_ADDRESS_CAP];
    char agent[GTV_VIEWER_AGENT_MAX + 1];
    int64_t since_ms, last_ms; // monotonic
    uint64_t bytes, requests;
};

struct gtv_viewed_stream {
    size_t viewers, peak;
    uint64_t bytes;                // sent since this process started
    unsigned target_ms, window_ms; // of the last playlist read
};

struct gtv_viewers;

// max_per_stream: a new viewer beyond it is refused.
struct gtv_viewers *gtv_viewers_create(size_t max_per_stream);
void gtv_viewers_destroy(struct gtv_viewers *v);

// Counts a request that will be answered with `bytes` of the stream. False only for a new viewer of a full
// stream: refuse it.
bool gtv_viewers_touch(struct gtv_viewers *v, struct gtv_str stream, struct gtv_str address,
                       struct gtv_str agent, size_t bytes, int64_t now_ms) GTV_WARN_UNUSED;
// Counts what was sent after the request was admitted.
void gtv_viewers_add_bytes(struct gtv_viewers *v, struct gtv_str stream, struct gtv_str address,
                           struct gtv_str agent, size_t bytes);
// What the stream's newest playlist says: its target duration, and how much time its segments cover.
void gtv_viewers_set_window(struct gtv_viewers *v, struct gtv_str stream, unsigned target_ms,
                            unsigned window_ms);

// Zeroed for a stream that nobody watched.
struct gtv_viewed_stream gtv_viewers_stream(struct gtv_viewers *v, struct gtv_str stream, int64_t now_ms);
void gtv_viewers_total(struct gtv_viewers *v, int64_t now_ms, size_t *viewers, uint64_t *bytes);
// Calls fn for each viewer of the stream, with a lock held: fn only copies. At most max.
void gtv_viewers_list(struct gtv_viewers *v, struct gtv_str stream, int64_t now_ms, size_t max,
                      void (*fn)(void *arg, const struct gtv_viewer *viewer), void *arg);
// Forgets those who left. Called every second or so.
void gtv_viewers_prune(struct gtv_viewers *v, int64_t now_ms);

#endif
