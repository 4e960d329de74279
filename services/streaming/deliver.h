// What answers a client out of an entry of the cache: its head, its body or a part of it, and who is counted
// as its viewer. On the loop of the request.
#ifndef GTV_STREAMING_DELIVER_H
#define GTV_STREAMING_DELIVER_H

#include "services/streaming/proxy_internal.h"

// Replies out of the whole of e, which is READY: all of it, a range (206), or what the request's conditions
// ask for (304, 412, 416); or refuses the viewer. x_cache: HIT, MISS, STALE or COALESCED.
void gtv_deliver_whole(struct gtv_proxy *p, struct gtv_http_request *req, struct gtv_entry *e,
                       struct gtv_str x_cache, int64_t now_ms);

// Whether the request asks for a range or has conditions: then it can only be answered out of the whole.
bool gtv_deliver_needs_whole(const struct gtv_http_request *req);

// Counts the viewer of a segment that is still arriving. GTV_VIEWER_OK, or refuse it.
enum gtv_viewer_answer gtv_deliver_admit(struct gtv_proxy *p, struct gtv_http_request *req,
                                         struct gtv_entry *e, int64_t now_ms) GTV_WARN_UNUSED;
// 429 with when to ask again, or 403.
void gtv_deliver_refuse(struct gtv_proxy *p, struct gtv_http_request *req, enum gtv_viewer_answer answer);

// Begins the reply of a segment that is still arriving: its head is known (head_done). The viewer was
// admitted.
void gtv_deliver_begin(struct gtv_http_request *req, const struct gtv_entry *e, struct gtv_str x_cache);
// That reply is over, after so many bytes.
void gtv_deliver_sent(struct gtv_proxy *p, struct gtv_http_request *req, const struct gtv_entry *e,
                      size_t bytes);

#endif
