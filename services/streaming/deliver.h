// What answers a client out of an entry of the cache: its head, its body, and who is counted as its viewer.
// On the loop of the request.
#ifndef GTV_STREAMING_DELIVER_H
#define GTV_STREAMING_DELIVER_H

#include "services/streaming/proxy_internal.h"

// Replies with the whole of e, which is READY, or refuses the viewer. x_cache: HIT, MISS, STALE or COALESCED.
void gtv_deliver_whole(struct gtv_proxy *p, struct gtv_http_request *req, struct gtv_entry *e,
                       struct gtv_str x_cache, int64_t now_ms);

// Counts the viewer with `bytes` that will be sent; false when the stream has no room for one more: refuse.
bool gtv_deliver_admit(struct gtv_proxy *p, struct gtv_http_request *req, const struct gtv_entry *e,
                       size_t bytes, int64_t now_ms) GTV_WARN_UNUSED;
// 429, with when to ask again.
void gtv_deliver_refuse(struct gtv_proxy *p, struct gtv_http_request *req);

// Begins the reply of a segment that is still arriving: its head is known (head_done). The viewer was
// admitted.
void gtv_deliver_begin(struct gtv_http_request *req, const struct gtv_entry *e, struct gtv_str x_cache);
// That reply is over, after so many bytes.
void gtv_deliver_sent(struct gtv_proxy *p, struct gtv_http_request *req, const struct gtv_entry *e,
                      size_t bytes);

#endif
