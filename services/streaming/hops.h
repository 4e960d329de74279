// Where an http or https camera's address leads: the media node follows redirects, so each place that it
// would come to must have an address that a camera may have. Asked here are only addresses that were judged
// before (the connection goes to the judged address, not to the name again).
//
// A camera that does not answer, or not in time, leads nowhere: it is accepted, and the log says so.
// Bounds: GTV_HOPS_MAX redirects, GTV_HOPS_MS in all. Control loop only.
#ifndef GTV_STREAMING_HOPS_H
#define GTV_STREAMING_HOPS_H

#include "lib/http/client.h"
#include "lib/log/log.h"
#include "lib/net/address.h"

enum { GTV_HOPS_MAX = 5, GTV_HOPS_MS = 3000 };

struct gtv_hops;

// err NULL: all places are allowed, as far as the camera answered. Else GTV_E_INVALID of the field rtsp_url.
typedef void (*gtv_hops_fn)(void *arg, const struct gtv_error *err);

// Calls fn once, never before it returned. client and policy outlive it, log is copied.
struct gtv_hops *gtv_hops_begin(struct gtv_loop *loop, struct gtv_http_client *client,
                                const struct gtv_net_policy *policy, const struct gtv_log *log,
                                const char *url, gtv_hops_fn fn, void *arg);
void gtv_hops_cancel(struct gtv_hops *h); // fn is not called any more; NULL is accepted

bool gtv_hops_needed(const char *url); // http and https

// The place that `location` names, seen from `base` (RFC 3986, 5.2, without dot segments): into out, cap
// bytes. False: it is no address, or does not fit. Pure.
bool gtv_hops_resolve(const char *base, struct gtv_str location, char *out, size_t cap) GTV_WARN_UNUSED;

#endif
