// The control API: MediaMTX's v3 routes as far as this node supports them, and /health and /metrics.
#ifndef GTV_MEDIA_API_H
#define GTV_MEDIA_API_H

#include "services/media/node.h"

// Routes of the API's server; its user is the struct gtv_node.
extern const struct gtv_http_route gtv_media_api_routes[];
extern const size_t gtv_media_api_route_count;
// error_reply of that server.
void gtv_media_api_error(struct gtv_http_request *req, enum gtv_code code, const char *message, void *user);

// Read-only routes (lists.c).
void gtv_media_info(struct gtv_http_request *req, void *user);
void gtv_media_config_list(struct gtv_http_request *req, void *user);
void gtv_media_config_get(struct gtv_http_request *req, void *user);
void gtv_media_paths_list(struct gtv_http_request *req, void *user);
void gtv_media_paths_get(struct gtv_http_request *req, void *user);
void gtv_media_muxers_list(struct gtv_http_request *req, void *user);
void gtv_media_muxers_get(struct gtv_http_request *req, void *user);

#endif
