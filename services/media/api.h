// The control API: MediaMTX's v3 routes as far as this node supports them, and /health and /metrics.
#ifndef GTV_MEDIA_API_H
#define GTV_MEDIA_API_H

#include "services/media/node.h"

// Routes of the API's server; its user is the struct gtv_node.
extern const struct gtv_http_route gtv_media_api_routes[];
extern const size_t gtv_media_api_route_count;
// Routes of the metrics' own server.
extern const struct gtv_http_route gtv_media_metrics_routes[];
extern const size_t gtv_media_metrics_route_count;
// error_reply of that server.
void gtv_media_api_error(struct gtv_http_request *req, enum gtv_code code, const char *message, void *user);

// Read-only routes (lists.c).
void gtv_media_info(struct gtv_http_request *req, void *user);
void gtv_media_paths_list(struct gtv_http_request *req, void *user);
void gtv_media_paths_get(struct gtv_http_request *req, void *user);
void gtv_media_muxers_list(struct gtv_http_request *req, void *user);
void gtv_media_muxers_get(struct gtv_http_request *req, void *user);

// The settings (api/config.c).
void gtv_media_config_list(struct gtv_http_request *req, void *user);
void gtv_media_config_get(struct gtv_http_request *req, void *user);
void gtv_media_config_add(struct gtv_http_request *req, void *user);
void gtv_media_config_patch(struct gtv_http_request *req, void *user);
void gtv_media_config_replace(struct gtv_http_request *req, void *user);
void gtv_media_config_delete(struct gtv_http_request *req, void *user);
void gtv_media_defaults_get(struct gtv_http_request *req, void *user);
void gtv_media_defaults_patch(struct gtv_http_request *req, void *user);
void gtv_media_global_get(struct gtv_http_request *req, void *user);
void gtv_media_global_patch(struct gtv_http_request *req, void *user);
// False: answered, for this cannot be the name of a path that is to be configured.
bool gtv_media_check_name(struct gtv_http_request *req, struct gtv_str name);

// What was recorded (api/recordings.c).
void gtv_media_recordings_list(struct gtv_http_request *req, void *user);
void gtv_media_recordings_get(struct gtv_http_request *req, void *user);
void gtv_media_recordings_delete(struct gtv_http_request *req, void *user);

// Who is connected (api/sessions.c).
void gtv_media_hlssessions_list(struct gtv_http_request *req, void *user);
void gtv_media_hlssessions_get(struct gtv_http_request *req, void *user);
void gtv_media_hlssessions_kick(struct gtv_http_request *req, void *user);
void gtv_media_rtspsessions_list(struct gtv_http_request *req, void *user);
void gtv_media_rtspsessions_get(struct gtv_http_request *req, void *user);
void gtv_media_rtspsessions_kick(struct gtv_http_request *req, void *user);
void gtv_media_rtspconns_list(struct gtv_http_request *req, void *user);
void gtv_media_rtspconns_get(struct gtv_http_request *req, void *user);
void gtv_media_rtspconns_kick(struct gtv_http_request *req, void *user);
void gtv_media_rtmpconns_list(struct gtv_http_request *req, void *user);
void gtv_media_rtmpconns_get(struct gtv_http_request *req, void *user);
void gtv_media_rtmpconns_kick(struct gtv_http_request *req, void *user);

#endif
