// Who watches HLS: what the control API lists as hlssessions and can throw out. A client is an address with a
// user agent that asks for one path, and stays so until 30 s after its last request. Loop thread only.
#ifndef GTV_MEDIA_HLS_CLIENTS_H
#define GTV_MEDIA_HLS_CLIENTS_H

#include "lib/http/server.h"
#include "services/media/sessions.h"

enum {
    GTV_HLS_CLIENTS_MAX = 4096, // listed at once; who comes beyond is served and not listed
    GTV_HLS_CLIENT_MS = 30000,  // without a request, until it is forgotten
};

struct gtv_hls_clients;

struct gtv_hls_clients *gtv_hls_clients_create(struct gtv_sessions *sessions);
void gtv_hls_clients_destroy(struct gtv_hls_clients *c); // before the sessions; NULL is accepted

// Counts the request to its client. begins: it asks for the index, with which somebody who was thrown out may
// come back. user: who authenticated, or empty. False: the client was thrown out; answered with 401.
bool gtv_hls_clients_admit(struct gtv_hls_clients *c, struct gtv_http_request *req, struct gtv_str path,
                           struct gtv_str user, bool begins);
// Bytes of segments that the request's client is given.
void gtv_hls_clients_sent(struct gtv_hls_clients *c, const struct gtv_http_request *req, struct gtv_str path,
                          size_t bytes);
// Forgets whoever has not asked for so long. Now and then.
void gtv_hls_clients_tick(struct gtv_hls_clients *c, int64_t now_ms);

#endif
