// What proxy.c (requests and who waits) and fill.c (fetches) share; nothing else includes it.
#ifndef GTV_STREAMING_PROXY_INTERNAL_H
#define GTV_STREAMING_PROXY_INTERNAL_H

#include "services/streaming/proxy.h"

struct gtv_fill;
struct gtv_change;
struct gtv_hls_key;

struct gtv_proxy_metrics {
    struct gtv_counter *hits, *misses, *coalesced, *stale, *errors, *refused, *fetches, *fetch_errors, *bytes;
};

struct gtv_proxy {
    struct gtv_worker *worker;
    struct gtv_http_client *client;
    struct gtv_l2 *l2;      // NULL: not shared
    struct gtv_fill *fills; // of this loop
    struct gtv_change *changes;
    struct gtv_proxy_metrics m;
};

static inline struct gtv_str gtv_entry_stream(const struct gtv_entry *e)
{
    return (struct gtv_str){e->key, e->stream_len};
}

// Fetches what e, which is FILLING, stands for.
void gtv_fill_begin(struct gtv_proxy *p, struct gtv_entry *e, const struct gtv_cause *cause);
// Forgets the fetches; the client was destroyed before.
void gtv_fill_end_all(struct gtv_proxy *p);

// Forgets requests that are with the node; the client was destroyed before.
void gtv_change_end_all(struct gtv_proxy *p);
// The key of a request. False, and the request answered, when it is no name of ours.
bool gtv_proxy_take_key(struct gtv_proxy *p, struct gtv_http_request *req, struct gtv_hls_key *key);

// For the fill: pieces were appended, or the state of e changed. Serves who waits on this loop, and wakes the
// others.
void gtv_proxy_wake(struct gtv_proxy *p, struct gtv_entry *e);

#endif
