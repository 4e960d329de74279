// What all replicas agree on about a stream's numbers (sequence.h): in Redis, `gtv:sequence:<stream>`, a hash
// of `generation`, `offset`, `discontinuity_offset` (what is added to this generation's numbers), `next` and
// `discontinuity` (what was published, at most 2 s ago). It outlives restarts of this service by a day.
#ifndef GTV_STREAMING_SEQUENCE_STORE_H
#define GTV_STREAMING_SEQUENCE_STORE_H

#include "services/streaming/app.h"
#include "services/streaming/sequence.h"

struct gtv_control;
struct gtv_sequence_wait;

enum {
    GTV_SEQUENCE_ANSWER_MS = 500, // Redis has that long to answer, then this process decides alone
    GTV_SEQUENCE_START_MS = 1000, // and that long to be there at all, from the program's start
    GTV_SEQUENCE_EVERY_S = 2,
};

// Has the seam decided; fn(arg) is called when it is. NULL: it is already, and fn is not called. Worker's
// loop.
struct gtv_sequence_wait *gtv_sequence_wait_begin(struct gtv_worker *worker, struct gtv_str stream,
                                                  const struct gtv_sequence_seam *seam, void (*fn)(void *arg),
                                                  void *arg);
void gtv_sequence_wait_cancel(struct gtv_sequence_wait *w); // fn is not called; NULL is accepted

// Tells Redis what was published since the last call. The control loop.
void gtv_sequence_tick(struct gtv_control *c);

#endif
