// What the node says instead of a file: which of its answers are its own errors (they are told in the house's
// words), and which are passed on as they are. On a fetch's loop.
#ifndef GTV_STREAMING_REFUSAL_H
#define GTV_STREAMING_REFUSAL_H

#include "lib/http/client.h"
#include "services/streaming/app.h"

// True when an answer with this body is an error of MediaMTX's kind: a status of 400 and more with its JSON
// ("error" or "detail"), its plain 404, or no words at all; or something that only concerns us: an
// unasked-for 304, a redirect that begins a session, a 401.
bool gtv_refusal_is_the_nodes(const struct gtv_http_response *r, struct gtv_str body);

// The house's error for it. stream: what was asked for; camera's cause is told where it is known.
void gtv_refusal_error(struct gtv_app *app, struct gtv_str stream, bool is_playlist, int status,
                       struct gtv_str body, struct gtv_error *err);

enum {
    // Without Redis nobody knows which cameras are desired; after that long a 404 is believed.
    GTV_REFUSAL_START_MS = 5000,
    GTV_REFUSAL_FRESH_MS = 5000, // a camera is ready for so long, and a file of it may still be to come
    GTV_REFUSAL_RETRY_S = 1,     // for Retry-After
};
enum gtv_refusal {
    GTV_REFUSAL_FINAL, // there is no such stream or file; *err is left alone
    GTV_REFUSAL_LATER, // the camera gives no picture now
    GTV_REFUSAL_SOON,  // it is being put back into its node, or it is not known yet whether it is desired
};
// What a 404 of the node means: it has started anew perhaps, and does not know yet what is desired of it, or
// this program does not. Unless FINAL *err is GTV_E_UNAVAILABLE with the cause. index: the stream's
// index.m3u8 was asked for.
enum gtv_refusal gtv_refusal_of_missing(struct gtv_app *app, struct gtv_str stream, bool index,
                                        struct gtv_error *err);

#endif
