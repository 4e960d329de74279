// Whether the sizes of the coded pictures between two key frames say by themselves that nothing moved, so
// that the second key frame need not even be decoded. It learns from the motion gate what a camera's sizes
// are when nothing moves and when something does. Where the two do not part (a constant bit rate, much noise)
// it never says so. A pure state machine of one size: no thread, no clock, no allocation. One thread at a
// time.
#ifndef GTV_AI_GATE_SIZES_H
#define GTV_AI_GATE_SIZES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GTV_SIZES_STILL = 32,  // intervals of each kind that are remembered
    GTV_SIZES_MOVING = 24, // in the midst of motion
    GTV_SIZES_ONSET = 24,  // with which motion began: the least that a vehicle ever was
    GTV_SIZES_FEATURES = 2,
};

// The pictures from one key frame to the next, both left out. Zeroed: none yet.
struct gtv_sizes_interval {
    uint32_t pictures;
    uint64_t bytes;
    uint32_t most; // of one picture
};
void gtv_sizes_add(struct gtv_sizes_interval *i, size_t bytes);

// Binary logarithms: the mean size of a picture, and the greatest.
struct gtv_sizes_point {
    float at[GTV_SIZES_FEATURES];
};

// Zeroed is valid: nothing is known.
struct gtv_sizes {
    struct gtv_sizes_point still[GTV_SIZES_STILL];   // rings; the counts go on
    struct gtv_sizes_point moving[GTV_SIZES_MOVING]; // beyond what is usual when nothing moves
    struct gtv_sizes_point onset[GTV_SIZES_ONSET];
    uint32_t still_count, moving_count, onset_count;
    uint32_t pictures;                        // of the last interval that was learnt
    bool moved;                               // in the last key frame that was looked at
    bool ready;                               // what follows holds
    struct gtv_sizes_point centre, low, high; // of what is usual when nothing moves
    struct gtv_sizes_point least;             // from here on something may have moved
};

// What the gate said of the key frame that ended the interval.
void gtv_sizes_learn(struct gtv_sizes *s, const struct gtv_sizes_interval *i, bool motion);

// True: nothing moved. To be asked only where nothing had moved in the key frame that began the interval.
bool gtv_sizes_quiet(const struct gtv_sizes *s, const struct gtv_sizes_interval *i);

#endif
