// One of the networks of the plate chain: loaded when it is first needed, then shared by all threads, with
// fewer slots than there are workers where a run is short or rare.
#ifndef GTV_AI_PLATE_NET_H
#define GTV_AI_PLATE_NET_H

#include "lib/log/log.h"
#include "services/ai/plate/model.h"

struct gtv_plate_net;

// Loads nothing yet. runtime, model and log outlive it; log may be NULL.
struct gtv_plate_net *gtv_plate_net_create(struct gtv_infer *runtime, const struct gtv_plate_model *model,
                                           const char *precision, size_t slots, const struct gtv_log *log);
void gtv_plate_net_destroy(struct gtv_plate_net *net); // nobody uses it any more; NULL is accepted

// Loads it, or waits for the thread that does. Any thread. False: it cannot be used, or is NULL.
bool gtv_plate_net_load(struct gtv_plate_net *net);
// Not yet known to be of no use. Any thread; NULL: false.
bool gtv_plate_net_usable(const struct gtv_plate_net *net);
// Why it cannot be used, or NULL. Any thread; NULL is accepted.
const char *gtv_plate_net_failure(const struct gtv_plate_net *net);

// A slot, from take to give one thread's: pixels to be filled, and then what one run of the network says.
struct gtv_plate_run {
    struct gtv_infer_model *model;
    size_t slot;
    uint8_t *pixels;
};
// Loads the network if it is not yet, and waits for a slot: that of `preferred` where it is free. A thread
// holds one run at a time: that is why nobody waits for ever. False: it cannot be used, or is NULL.
bool gtv_plate_net_take(struct gtv_plate_net *net, size_t preferred,
                        struct gtv_plate_run *out) GTV_WARN_UNUSED;
const struct gtv_tensor *gtv_plate_net_run(const struct gtv_plate_run *run); // NULL: it failed; until give
void gtv_plate_net_give(struct gtv_plate_net *net, const struct gtv_plate_run *run);

#endif
