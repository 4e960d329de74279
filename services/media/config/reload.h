// Reads the configuration file again at SIGHUP and when it changes. What did not change goes on running; a
// file that is wrong changes nothing and is told in the log and in gtv_media_config_valid. Loop thread only.
#ifndef GTV_MEDIA_RELOAD_H
#define GTV_MEDIA_RELOAD_H

#include "services/media/node.h"

struct gtv_reload;

// The node must have settings. Without a file SIGHUP is only told in the log.
struct gtv_reload *gtv_reload_create(struct gtv_loop *loop, struct gtv_node *node);
void gtv_reload_stop(struct gtv_reload *r);    // at the end, while the loop still runs; NULL is accepted
void gtv_reload_destroy(struct gtv_reload *r); // after the loop is destroyed; NULL is accepted

// Now. False with *err: everything is as it was.
bool gtv_reload_now(struct gtv_reload *r, struct gtv_error *err);

#endif
