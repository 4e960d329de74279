// A path's camera that is read over RTSP by lib/rtsp: a source like the others. Loop thread only.
#ifndef GTV_MEDIA_RTSP_CAMERA_H
#define GTV_MEDIA_RTSP_CAMERA_H

#include "lib/rtsp/client.h"
#include "services/media/source.h"

// conf's name, source, transport and fingerprint are copied; options are too. raw may be NULL: such audio is
// left out. NULL when the source is no URL of a camera (a check of the configuration lets none through).
struct gtv_source *gtv_rtsp_camera_start(struct gtv_rtsp_hub *hub, const struct gtv_source_options *options,
                                         const struct gtv_pathconf *conf, const struct gtv_raw_audio *raw,
                                         const struct gtv_source_callbacks *callbacks,
                                         void *arg) GTV_WARN_UNUSED;

#endif
