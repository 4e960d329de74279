// Gives an RTSP source or publisher whose audio has to be transcoded a track of AAC: stands between it and
// its path. Decoding and encoding are done on one thread for all paths, behind a bounded queue.
#ifndef GTV_MEDIA_DUB_H
#define GTV_MEDIA_DUB_H

#include "lib/metrics/metrics.h"
#include "services/media/rtsp/camera.h"

struct gtv_dubber;
struct gtv_dub;

// Loop thread; its own thread begins with the first track.
struct gtv_dubber *gtv_dubber_create(struct gtv_loop *loop, struct gtv_metrics *metrics);
// Ends the thread; when every source has been stopped, and before the loop is destroyed. NULL is accepted.
void gtv_dubber_destroy(struct gtv_dubber *d);

// As gtv_rtsp_camera_start, with audio that readers cannot take as AAC.
struct gtv_source *gtv_dub_start(struct gtv_dubber *d, struct gtv_rtsp_hub *hub,
                                 const struct gtv_source_options *options, const struct gtv_pathconf *conf,
                                 const struct gtv_source_callbacks *callbacks, void *arg) GTV_WARN_UNUSED;

// The same for a publisher, with this track of audio (*raw gets whom to give its frames to); on_format and
// on_sample of callbacks get what comes out. NULL when it cannot be transcoded. Loop thread.
struct gtv_dub *gtv_dub_open(struct gtv_dubber *d, enum gtv_codec codec, uint32_t clock, int channels,
                             const struct gtv_source_callbacks *callbacks, void *arg,
                             struct gtv_raw_audio *raw) GTV_WARN_UNUSED;
void gtv_dub_close(struct gtv_dub *d); // no callback follows; NULL is accepted
// What its feed says: the format without audio, and the pictures.
void gtv_dub_format(struct gtv_dub *d, struct gtv_format *format);
void gtv_dub_sample(struct gtv_dub *d, const struct gtv_sample *sample, size_t received);

#endif
