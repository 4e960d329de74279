// Cameras that the media nodes have and nobody provisioned here: a MediaMTX that another service filled, or
// a Redis that was lost. They become lines of a list, as if somebody had written them. Control loop.
#ifndef GTV_STREAMING_ADOPT_H
#define GTV_STREAMING_ADOPT_H

#include "services/streaming/bulk.h"

struct gtv_adoption;

// out: a line for each path cam_<id> that is not desired yet; the callback takes it. With err it is empty: a
// node could not be asked (its code), or the service ends (GTV_E_CANCELLED).
typedef void (*gtv_adopt_fn)(void *arg, struct gtv_bulk *out, const struct gtv_error *err);

// Asks all nodes. One at a time: false while another is under way, and fn is not called. fn may be called
// before this returns.
bool gtv_adopt_begin(struct gtv_control *c, gtv_adopt_fn fn, void *arg) GTV_WARN_UNUSED;
void gtv_adopt_destroy(struct gtv_control *c); // ends what is under way with GTV_E_CANCELLED

#endif
