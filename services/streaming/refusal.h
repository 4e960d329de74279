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

#endif
