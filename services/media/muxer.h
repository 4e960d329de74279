// The HLS muxer of a path: a reader of it that keeps the last segments, and the requests that are held until
// the first one is complete. Loop thread only.
#ifndef GTV_MEDIA_MUXER_H
#define GTV_MEDIA_MUXER_H

#include "lib/http/server.h"
#include "services/media/path.h"

// Each ends the request, at once or when the source has what is asked for.
void gtv_muxer_get_index(struct gtv_path *p, struct gtv_http_request *req);
void gtv_muxer_get_playlist(struct gtv_path *p, struct gtv_http_request *req);
void gtv_muxer_get_segment(struct gtv_path *p, struct gtv_http_request *req, struct gtv_str name);
void gtv_muxer_get_relay(struct gtv_path *p, struct gtv_http_request *req, bool keyframes_only);

// Fills in what concerns the muxer.
void gtv_muxer_get_status(const struct gtv_muxer *m, struct gtv_path_status *out);

#endif
