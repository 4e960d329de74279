// Operations on cameras, one after the other for each camera. Control loop.
#ifndef GTV_STREAMING_OPS_H
#define GTV_STREAMING_OPS_H

#include "services/streaming/control.h"

enum gtv_op_kind {
    GTV_OP_PROVISION, // resolve and check, tell the node, then keep as desired state
    GTV_OP_STORE,     // resolve and check, keep as desired state; the reconciler tells the node
    GTV_OP_REMOVE,
};

struct gtv_op_outcome {
    struct gtv_error err; // code GTV_E_CANCELLED: the service ends, answer nothing
    const char *result;   // "created", "changed", "unchanged", "removed"; static
};
typedef void (*gtv_op_done_fn)(void *arg, const struct gtv_op_outcome *outcome);

// Begins it, or queues it behind others of its camera; at most 1,024 are under way, the next one fails with
// GTV_E_LIMIT. done is called once, perhaps before this returns. For a removal only the camera's id is read.
// cause (copied): the request that wants it, for the log and for the media node.
void gtv_op_begin(struct gtv_control *c, enum gtv_op_kind kind, const struct gtv_camera *camera,
                  const struct gtv_cause *cause, gtv_op_done_fn done, void *arg);
bool gtv_ops_busy(const struct gtv_control *c, int64_t camera); // one is under way
// Ends what is under way: done is called with GTV_E_CANCELLED.
void gtv_ops_destroy(struct gtv_control *c);

#endif
