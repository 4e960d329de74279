// What viewers.c (requests) and viewers_sums.c (figures, other replicas) share; nothing else includes it.
#ifndef GTV_STREAMING_VIEWERS_INTERNAL_H
#define GTV_STREAMING_VIEWERS_INTERNAL_H

#include "lib/base/map.h"
#include "services/streaming/viewers.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    VIEWER_SHARDS = 16,
    TARGET_DEFAULT_MS = 2000, // until the stream's first playlist was read
    ALIVE_TARGETS = 3,
    IDLE_STREAM_MS = 24 * 3600 * 1000, // a stream's sums are kept that long after its last request
    RATE_SECONDS = 10,
    CLIENT_KEY_CAP = GTV_VIEWER_ADDRESS_CAP + GTV_VIEWER_AGENT_MAX + 1,
};

struct watching {
    struct gtv_viewer v;
    char token[GTV_SESSION_TEXT_MAX + 1];
    char grant[GTV_SESSION_ID_CAP]; // id of the URL's token, or ""
    bool claimed;                   // its token came back
    bool direct;                    // it asks without a token, and is known by address and agent
    uint32_t last_file;             // FNV-1a of the segment asked for last
    int64_t playable_until_ms;      // monotonic; 0 before the first segment
};

struct remote {
    struct gtv_viewer v;
    bool seen;   // in this round
    bool shared; // the same session is known here
};

struct stream {
    struct gtv_map *viewers; // token -> struct watching
    struct gtv_map *clients; // address "\n" agent -> one of viewers
    struct gtv_map *remote;  // id -> struct remote; NULL while there is no other replica
    size_t remote_only;      // of remote, those that are not shared
    struct gtv_viewed_stream others, others_next;
    size_t peak;
    uint64_t bytes, requests, hits;
    unsigned target_ms, window_ms, segment_ms;
    int64_t last_ms;
    struct {
        int64_t at_ms;
        uint64_t bytes;
    } rate[RATE_SECONDS + 1];
    unsigned rate_n, rate_next;
    struct gtv_viewed_minute minute; // viewers of this minute; the rest as it was when the minute began
};

struct shard {
    pthread_mutex_t lock; // guards all of the shard; the lock of the sessions may be taken inside
    struct gtv_map *streams;
};

struct gtv_viewers {
    atomic_size_t max_per_stream;
    bool signed_only;
    struct gtv_sessions *sessions;
    atomic_size_t stream_count, peak;
    struct gtv_viewed_minute all; // of the loop that prunes
    struct shard shards[VIEWER_SHARDS];
};

struct shard *viewers_shard(struct gtv_viewers *v, struct gtv_str stream);
// With the shard's lock held, all below. NULL when too many streams are known.
struct stream *viewers_stream(struct gtv_viewers *v, struct shard *sh, struct gtv_str name);
void viewers_stream_free(void *stream);
size_t viewers_count(const struct stream *s);
void viewers_forget_gone(struct stream *s, int64_t now_ms);
bool viewers_alive(const struct stream *s, const struct gtv_viewer *viewer, int64_t now_ms);

#endif
