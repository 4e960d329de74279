// The playback server (MediaMTX's, port 9996): what is recorded, spans of it as fmp4 or mp4, and HLS of the
// past. Loop thread; files are read in libuv's pool.
#ifndef GTV_MEDIA_RECORD_PLAYBACK_H
#define GTV_MEDIA_RECORD_PLAYBACK_H

#include "services/media/gate.h"
#include "services/media/record/record.h"

// user of the server's routes; lives as long as the server.
struct gtv_playback {
    struct gtv_record *record;
    struct gtv_gate *gate; // NULL: everybody may
    size_t running;        // answers in progress; zero at first
};

extern const struct gtv_http_route gtv_playback_routes[];
extern const size_t gtv_playback_route_count;
// error_reply of that server.
void gtv_playback_error(struct gtv_http_request *req, enum gtv_code code, const char *message, void *user);

#endif
