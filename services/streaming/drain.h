// Which media nodes the operator has drained: set by any replica, kept in Redis (set gtv:nodes:drained), read
// by all of them. Without Redis it holds for this process, and is written when Redis is back.
#ifndef GTV_STREAMING_DRAIN_H
#define GTV_STREAMING_DRAIN_H

#include "services/streaming/app.h"

// Any loop. False when it would drain the last node that is left.
bool gtv_drain_set(struct gtv_app *app, size_t node, bool drained) GTV_WARN_UNUSED;
// Control loop, every few seconds and when Redis came (back): writes what it missed, then reads.
void gtv_drain_sync(struct gtv_control *c);

#endif
