// Watches the media node: every 2 s its list of paths becomes the states that everybody reads, a change
// becomes a status event, and desired cameras that the node has lost are put back. Control loop only.
#ifndef GTV_STREAMING_WATCHER_H
#define GTV_STREAMING_WATCHER_H

#include "services/streaming/control.h"

struct gtv_watcher *gtv_watcher_create(struct gtv_control *control);
void gtv_watcher_destroy(struct gtv_watcher *w);
void gtv_watcher_soon(struct gtv_watcher *w); // looks now instead of at the next turn

#endif
