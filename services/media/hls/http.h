// The HLS port: playlists, segments and the relay of every path.
#ifndef GTV_MEDIA_HLS_HTTP_H
#define GTV_MEDIA_HLS_HTTP_H

#include "services/media/node.h"

// Routes of the HLS server; its user is the struct gtv_node.
extern const struct gtv_http_route gtv_media_hls_routes[];
extern const size_t gtv_media_hls_route_count;
// error_reply of that server.
void gtv_media_hls_error(struct gtv_http_request *req, enum gtv_code code, const char *message, void *user);

#endif
