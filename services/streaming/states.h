// What each path of the media node is doing, as last seen: written by the watcher on the control loop, read
// on any.
#ifndef GTV_STREAMING_STATES_H
#define GTV_STREAMING_STATES_H

#include "lib/base/str.h"

enum {
    GTV_PATH_NAME_CAP = 256,
    GTV_TRACKS_CAP = 128,
    GTV_RECORDING_CAP = 200,
    GTV_STATES_MAX = 4096, // paths; what the node lists beyond it is not looked at
};

struct gtv_path_state {
    char name[GTV_PATH_NAME_CAP];
    char state[16];      // idle, connecting, connected, frozen, disconnected
    char cause[200];     // in words, for people; redacted; "" without one
    char cause_code[32]; // "refused", "unauthorized", ...
    bool ready, present; // present: the media node lists it
    char source_type[32];
    char tracks[GTV_TRACKS_CAP];       // "H264 1920x1080, MPEG-4 Audio"; "" while the node does not know them
    char recording[GTV_RECORDING_CAP]; // "recording", "waiting", "off", "failed: the disk is full"; "": the
                                       // node does not say
    unsigned node_readers;
    uint64_t bytes_received;
    int64_t since_ms;      // wall clock: when the state began
    int64_t last_frame_ms; // wall clock: when bytes_received last grew, to the second; 0: not yet
    unsigned node;         // the number of the node that lists it
};

struct gtv_states;

struct gtv_states *gtv_states_create(void);
void gtv_states_destroy(struct gtv_states *s);
bool gtv_states_get(struct gtv_states *s, struct gtv_str name, struct gtv_path_state *out) GTV_WARN_UNUSED;
// Replaces or adds; returns false when GTV_STATES_MAX are known and this is one more.
bool gtv_states_put(struct gtv_states *s, const struct gtv_path_state *state);
void gtv_states_remove(struct gtv_states *s, struct gtv_str name);
// A copy of all, sorted by name: free() it. NULL and *n 0 when there are none.
struct gtv_path_state *gtv_states_all(struct gtv_states *s, size_t *n);

#endif
