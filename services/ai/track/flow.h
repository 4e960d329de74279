// How vehicles usually move at each place of the picture, learnt from the tracks themselves: a camera stands
// still and its road does too. Where looks are rare, a vehicle has moved by more than its length from one to
// the next, and without this the one behind it would be taken for it.
#ifndef GTV_AI_TRACK_FLOW_H
#define GTV_AI_TRACK_FLOW_H

#include <stdbool.h>
#include <stddef.h>

enum { GTV_FLOW_COLUMNS = 20, GTV_FLOW_ROWS = 15, GTV_FLOW_WAYS = 2 };

// One way of moving at a place. Speeds in frames a second: 1 is once across the picture.
struct gtv_flow_way {
    double weight; // vehicles that taught it, fading
    double vx, vy;
    double var; // of the speed, each axis
};

struct gtv_flow {
    struct gtv_flow_way cells[GTV_FLOW_ROWS][GTV_FLOW_COLUMNS][GTV_FLOW_WAYS];
};

// A vehicle at x, y (0..1) moves by vx, vy; weight is how much it counts (1: a whole vehicle).
void gtv_flow_learn(struct gtv_flow *f, double x, double y, double vx, double vy, double weight);
// The ways that are known at a place, from the cell and its neighbours. Returns how many of out were written.
size_t gtv_flow_ask(const struct gtv_flow *f, double x, double y, struct gtv_flow_way out[GTV_FLOW_WAYS]);

#endif
