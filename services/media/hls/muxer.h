// The HLS muxer of a path: a reader of it that keeps the last segments, and the requests that are held until
// there is what they ask for. Opened by the first request, or with hlsAlwaysRemux as soon as the path is
// connected; closed when no request came for a while. Loop thread only.
#ifndef GTV_MEDIA_MUXER_H
#define GTV_MEDIA_MUXER_H

#include "lib/http/server.h"
#include "services/media/hls/ring.h"
#include "services/media/path.h"

// Each ends the request, at once or when the source has what is asked for.
void gtv_muxer_get_index(struct gtv_path *p, struct gtv_http_request *req);
// With _HLS_msn, _HLS_part and _HLS_skip of Low-Latency HLS.
void gtv_muxer_get_playlist(struct gtv_path *p, struct gtv_http_request *req);
// A segment, a part or an init segment.
void gtv_muxer_get_file(struct gtv_path *p, struct gtv_http_request *req, struct gtv_str name);
void gtv_muxer_get_relay(struct gtv_path *p, struct gtv_http_request *req, bool keyframes_only, bool fmp4);

// The path became connected: opens the muxer if it is to be there without a request.
void gtv_muxer_path_connected(struct gtv_path *p);

enum gtv_hls_variant gtv_muxer_variant(const struct gtv_path *p);

// Fills in what concerns the muxer.
void gtv_muxer_get_status(const struct gtv_muxer *m, struct gtv_path_status *out);

#endif
