// A camera read over RTSP (RFC 2326) on the loop: TCP interleaved, UDP, TLS. One client is one connection: it
// ends with a cause, and who started it decides whether to dial again.
#ifndef GTV_MEDIA_RTSP_CLIENT_H
#define GTV_MEDIA_RTSP_CLIENT_H

#include "services/media/rtsp/hub.h"
#include "services/media/source.h"

// Audio that has to be transcoded before anybody can play it (G.711). Loop thread only.
struct gtv_raw_audio {
    // True: the frames of this track are wanted.
    bool (*accept)(void *arg, enum gtv_codec codec, uint32_t clock, int channels);
    // stamp: 90 kHz ticks without wraps; arrival_us: wall clock.
    void (*frame)(void *arg, struct gtv_str frame, int64_t stamp, int64_t arrival_us);
    void *arg;
};

// conf's name, source, transport and fingerprint are copied; options are too. raw may be NULL: such audio is
// left out. NULL when the source is no URL of a camera (a check of the configuration lets none through).
struct gtv_source *gtv_rtsp_client_start(struct gtv_rtsp_hub *hub, const struct gtv_source_options *options,
                                         const struct gtv_pathconf *conf, const struct gtv_raw_audio *raw,
                                         const struct gtv_source_callbacks *callbacks,
                                         void *arg) GTV_WARN_UNUSED;

#endif
