// From a camera's time stamps to the path clock: 90 kHz ticks of the Unix wall clock (not yet cut to 33
// bits).
//
// The first packet is anchored at its arrival. From there on the clock follows the camera's own increments,
// so that a picture keeps its even pace whatever the network does, and is bent gently (at most 0.5 %) toward
// the smallest delay between a packet's time and its arrival, so that a camera whose clock runs fast or slow
// does not drift away from the wall.
#ifndef GTV_VIDEO_PATHCLOCK_H
#define GTV_VIDEO_PATHCLOCK_H

#include "lib/base/str.h"

// Zeroed is a valid clock that has seen nothing. One per stream; one thread.
struct gtv_pathclock {
    bool anchored;
    int64_t offset;       // path tick = camera tick + offset
    int64_t last_in;      // the highest camera tick so far
    int64_t last_out;     // the highest path tick given out
    int reordered;        // packets in a row that were not newer than last_in
    int64_t window_start; // arrival tick at which the running window began
    int64_t window_min;   // smallest delay seen in it, ticks; INT64_MAX: none yet
    int64_t known_min;    // smallest delay of the last full window and of this one
};

enum gtv_clock_step {
    GTV_CLOCK_FOLLOWED, // the same time line
    GTV_CLOCK_ANCHORED, // the first packet, or a jump of more than 2 s: a new anchor, near the old line if
                        // `out` is within 2 s after it
};

// in: the packet's presentation time stamp, in 90 kHz ticks without wrap. arrival_us: wall clock at arrival.
// Packets that are newer than all before get strictly increasing times on one time line; reordered ones
// (B-frames) keep their distance.
enum gtv_clock_step gtv_pathclock_map(struct gtv_pathclock *c, int64_t in, int64_t arrival_us, int64_t *out);

// Decoding times for streams that carry presentation times only. Zeroed is valid.
struct gtv_dts {
    int64_t held[17]; // ascending presentation times not yet used as decoding times
    int count, depth; // depth grows to the reordering that the stream shows
    int64_t last;
    bool any;
};

// Gives a decoding time <= *pts and above all before. Where a stream turns out to reorder more than it did
// before, the late frame's *pts is raised by as much as is needed: a few frames, once.
int64_t gtv_dts_next(struct gtv_dts *d, int64_t *pts);

#endif
