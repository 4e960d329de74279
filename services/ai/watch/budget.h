// Who gets how much: shares the CPU's time that looks may take among cameras. Pure.
//
// Reading and decoding come first, for every camera: what they cost is measured and taken off. Of what is
// left each camera gets its floor, and the rest is shared by weighted max-min fairness: nobody is given more
// than it asks for, and what it does not need goes to the others by their priorities (progressive filling;
// Bertsekas and Gallager, Data Networks, 6.5.2). Where not even the floors fit, the least important cameras
// are told to decode key frames only.
#ifndef GTV_AI_BUDGET_H
#define GTV_AI_BUDGET_H

#include <stdbool.h>
#include <stddef.h>

// All costs are milliseconds of a core for each second of time.
struct gtv_budget_camera {
    double decode;    // that it costs now
    double keys;      // that it would cost with key frames only
    double look;      // milliseconds of one look
    double busy;      // 0..1: share of the looks due that are done (the gate keeps the others back)
    double wanted;    // looks a second, at most
    double floor;     // looks a second, at least; of those done, whatever the gate says
    int priority;     // 1..10
    bool may_squeeze; // key frames only would be less
    // What came out:
    double rate; // looks a second
    bool squeeze;
};

// available: of the cores, for these cameras, in milliseconds a second. Returns what the cameras will take.
double gtv_budget_share(struct gtv_budget_camera *cameras, size_t n, double available);

// How many more cameras that cost as much as these do on average, with their wanted rates, fit. Negative: not
// known, as there are none.
double gtv_budget_more(const struct gtv_budget_camera *cameras, size_t n, double available);

#endif
