// Looks at every media node again and again: what its paths do becomes states (states.h), events of type
// "status" and outages (ledger.h); what it lists goes to the reconciler. Control loop only.
#ifndef GTV_STREAMING_WATCHER_H
#define GTV_STREAMING_WATCHER_H

#include "services/streaming/control.h"

struct gtv_watcher *gtv_watcher_create(struct gtv_control *control);
void gtv_watcher_destroy(struct gtv_watcher *w);
void gtv_watcher_soon(struct gtv_watcher *w);  // looks now instead of at the next turn
void gtv_watcher_check(struct gtv_watcher *w); // and compares the nodes' configurations too

#endif
