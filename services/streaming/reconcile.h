// Brings every media node in line with the desired state, whatever happened to it:
// - a camera that its node does not have is added (after a node's restart all of them are), 16 at a time;
// - every 10 s the nodes' configurations are read, and what others changed is put back;
// - a path of ours (cam_<id>) that nobody desires is deleted after a grace time, and a camera's path on
// another
//   node than its own once its own has it; paths of other names are left alone;
// - once every camera is where the nodes that take part now should have it, viewers are sent there.
// Of several replicas the holder of the lease acts, so that each thing is done, and told, once; the others
// only look. What was done is logged and told as events of type "provision". Control loop.
#ifndef GTV_STREAMING_RECONCILE_H
#define GTV_STREAMING_RECONCILE_H

#include "services/streaming/control.h"

struct gtv_reconciler;

struct gtv_reconciler *gtv_reconciler_create(struct gtv_control *control);
void gtv_reconciler_destroy(struct gtv_reconciler *r);

// What a node lists, asked for at began_ms (monotonic).
void gtv_reconciler_saw(struct gtv_reconciler *r, size_t node, const struct gtv_path_state *items, size_t n,
                        int64_t began_ms);
// Compares the configurations at the next look instead of at its time.
void gtv_reconciler_check(struct gtv_reconciler *r, size_t node);

#endif
