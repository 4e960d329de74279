// What successive looks at a path tell beyond its state: that it froze, that its bit rate changed, that its
// parameters did. Pure: time and looks come from the caller. One thread.
//
// Frozen: ready, but not a byte more for the limit. Bit rate: measured over windows of 10 s; two windows in a
// row that leave 50 % to 150 % of what was last told, by at least 64 kbit/s, are a change. Parameters: the
// tracks as the node lists them (codec, width, height). Recording: it failed, or goes on after that.
#ifndef GTV_STREAMING_HEALTH_H
#define GTV_STREAMING_HEALTH_H

#include "services/streaming/states.h"

enum {
    GTV_HEALTH_WINDOW_MS = 10000,
    GTV_HEALTH_LEAST_KBPS = 64,
};

struct gtv_health_change {
    const char *what; // "bitrate", "parameters" or "recording"
    int64_t before_kbps, now_kbps;
    const char *before, *now; // tracks, or the state of the recording with its cause
};

struct gtv_health;

// At most GTV_STATES_MAX paths are followed.
struct gtv_health *gtv_health_create(int64_t frozen_ms,
                                     void (*on_change)(void *arg, const struct gtv_path_state *s,
                                                       const struct gtv_health_change *change),
                                     void *arg);
void gtv_health_destroy(struct gtv_health *h);
// One look. Turns a connected state into "frozen", with its cause.
void gtv_health_take(struct gtv_health *h, struct gtv_path_state *s, int64_t now_ms);
void gtv_health_forget(struct gtv_health *h, struct gtv_str name);

#endif
