// Gives an RTSP source whose audio has to be transcoded a track of AAC: stands between the source and its
// path. Decoding and encoding are done on one thread for all paths, behind a bounded queue.
#ifndef GTV_MEDIA_DUB_H
#define GTV_MEDIA_DUB_H

#include "lib/metrics/metrics.h"
#include "services/media/rtsp/client.h"

struct gtv_dubber;

// Loop thread; its own thread begins with the first track.
struct gtv_dubber *gtv_dubber_create(struct gtv_loop *loop, struct gtv_metrics *metrics);
// Ends the thread; when every source has been stopped, and before the loop is destroyed. NULL is accepted.
void gtv_dubber_destroy(struct gtv_dubber *d);

// As gtv_rtsp_client_start, with audio that readers cannot take as AAC.
struct gtv_source *gtv_dub_start(struct gtv_dubber *d, struct gtv_rtsp_hub *hub,
                                 const struct gtv_source_options *options, const struct gtv_pathconf *conf,
                                 const struct gtv_source_callbacks *callbacks, void *arg) GTV_WARN_UNUSED;

#endif
