// The REST answers that only read.
#ifndef GTV_STREAMING_ROUTES_H
#define GTV_STREAMING_ROUTES_H

#include "services/streaming/app.h"

extern const struct gtv_http_route gtv_streaming_routes[];
extern const size_t gtv_streaming_route_count;

// The camera of the pattern's {id}; false when it is no number, and then the request is answered.
bool gtv_param_camera(struct gtv_http_request *req, int64_t *id) GTV_WARN_UNUSED;
// Adds uptime_24h: the share of the last 24 hours without an outage, 0 to 1; null while nothing is known.
void gtv_add_uptime(yyjson_mut_doc *doc, yyjson_mut_val *o, struct gtv_app *app, int64_t camera_id);
// Adds at and age_ms: when bytes last came, to the second; null before the first.
void gtv_add_last_frame(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_path_state *s);
// Adds hls_url and webrtc_url of a path.
void gtv_add_urls(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_streaming_options *options,
                  const char *path);
// Adds what is known of a path's state: camera_id, stream_path, status, state, ready, cause, cause_code,
// since, ...
void gtv_add_status(yyjson_mut_doc *doc, yyjson_mut_val *o, struct gtv_app *app, struct gtv_str path);

#endif
