// The credentials of HTTP requests: Basic (RFC 7617). Loop thread only.
#ifndef GTV_MEDIA_GATE_H
#define GTV_MEDIA_GATE_H

#include "lib/http/server.h"
#include "services/media/auth.h"

struct gtv_gate;

// auth outlives it.
struct gtv_gate *gtv_gate_create(struct gtv_loop *loop, const struct gtv_auth *auth,
                                 struct gtv_metrics *metrics);
// After the servers are destroyed; NULL is accepted.
void gtv_gate_destroy(struct gtv_gate *g);

// True: go on. False: the request is answered, or will be: 401 with a challenge where no credentials were
// given, 401 without one after two seconds where they were wrong (against guessing); 429 while a thousand
// such answers wait. user (NULL is accepted): who it was, in the request's arena; empty without credentials.
bool gtv_gate_pass(struct gtv_gate *g, struct gtv_http_request *req, enum gtv_action action,
                   struct gtv_str path, struct gtv_str *user);

#endif
