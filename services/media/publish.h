// Publishers: sources that come by themselves (RTSP ANNOUNCE and RECORD, RTMP publish). Loop thread only.
#ifndef GTV_MEDIA_PUBLISH_H
#define GTV_MEDIA_PUBLISH_H

#include "services/media/source.h"

struct gtv_path;

// Lives in its owner's struct.
struct gtv_publisher {
    void (*on_kicked)(void *arg, const char *why); // the path was removed, or another publisher took it over
    void *arg;
    const char *type; // of lists: "rtspSession", "rtmpConn"
    char id[40];
    // The path's own.
    struct gtv_path *path;
};

// Takes the path. False with *err: its source is not "publisher", or somebody publishes and overridePublisher
// is off. The samples then go to gtv_path_source_callbacks() with the path as their arg, by way of a
// gtv_feed; the owner ends with gtv_path_unpublish (not with on_end).
bool gtv_path_publish(struct gtv_path *p, struct gtv_publisher *pub, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_path_unpublish(struct gtv_publisher *pub, const struct gtv_source_end *why); // nothing when kicked
const struct gtv_source_callbacks *gtv_path_source_callbacks(void);

#endif
