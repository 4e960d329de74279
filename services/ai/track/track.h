// Vehicles followed from look to look: ByteTrack (Zhang et al., ECCV 2022, arXiv 2110.06864: all detections
// take part, the sure ones first and the unsure ones for what is left over) on a Kalman filter of its own, in
// seconds and pixels instead of frames, so that looks may come at any rate and irregularly. A pure state
// machine: no thread, no clock, no allocation but in create. One thread at a time.
#ifndef GTV_AI_TRACK_H
#define GTV_AI_TRACK_H

#include "services/ai/network/detector.h"

struct gtv_tracker;

enum {
    GTV_TRACK_MAX = 128, // kept at once, lost ones included; beyond it the longest lost makes room
    // A look can say at most this much: every track ended, and one for each detection.
    GTV_TRACK_EVENTS_MAX = GTV_TRACK_MAX + GTV_MAX_OBJECTS,
};

// Zeroed fields take the default in brackets.
struct gtv_track_config {
    double sure;     // confidence from which a detection takes part in the first round [0.4]
    double unsure;   // and from which in the second; below it is ignored [0.12]: ask the detector for this
    double start;    // confidence that a new track's first detection must have [0.4]
    double lost_s;   // how long a moving track is kept while it is not seen [2.5]
    double parked_s; // the same for one that stood still when it was last seen [20]
    uint64_t after;  // ids are greater than this one: of tracks known from elsewhere [0]
};

// Pixels of the frame, not rounded; x, y is the upper left corner.
struct gtv_track_box {
    double x, y, w, h;
};

struct gtv_track {
    uint64_t id; // unique for a camera, rising, also over restarts (seeded by the wall clock); below 2^53
    enum gtv_vehicle vehicle;        // voted over the track, by confidence
    double vehicle_share;            // of the votes, 0..1
    double confidence;               // the best so far
    int64_t first_ms;                // wall clock of its first detection, which may be before it was STARTED
    int64_t seen_ms;                 // of its latest
    struct gtv_track_box first, box; // as detected first; as filtered now
    double vx, vy;                   // pixels a second, of the box's centre
    int64_t still_ms;                // since when it stands where it is (wall clock); 0: it moves
    uint32_t looks;                  // in which it was seen
    int detection;                   // its index in this look's detections; -1: not seen in this look
};

enum gtv_track_change {
    GTV_TRACK_STARTED, // it was seen a second time (or surely enough): it is one
    GTV_TRACK_UPDATED, // seen again
    GTV_TRACK_MISSED,  // not seen in this look, kept: box is where it should be
    GTV_TRACK_ENDED,   // out of sight for too long; box is where it was last seen
};

struct gtv_track_event {
    enum gtv_track_change change;
    const struct gtv_track *track; // until the next call
};

struct gtv_tracker *gtv_tracker_create(const struct gtv_track_config *config); // NULL: all defaults
void gtv_tracker_destroy(struct gtv_tracker *t);                               // NULL is accepted

// Whether the last look showed a vehicle for the first time where none was ever followed: nothing says where
// it goes, and a look soon after will. With rare looks it would be taken for another one in the next.
enum {
    GTV_TRACK_AGAIN_MS = 200,      // when that look should be
    GTV_TRACK_AGAIN_MOST = 3,      // in a row, before the next regular look
    GTV_TRACK_AGAIN_FROM_MS = 400, // where looks are closer than this none is needed
};
bool gtv_tracker_curious(const struct gtv_tracker *t);

// One look: what was found at wall_ms in a frame of width x height pixels. The detections need no order;
// those that are not finite, empty or of an unknown type are left out. Time that stands still or goes back is
// taken as a millisecond; after a gap of more than a minute all tracks end. When the frame's size changes the
// tracks are scaled with it. Each track that is confirmed has exactly one event a look, so that UPDATED and
// MISSED together are all that is in sight. Returns how many of out (room for GTV_TRACK_EVENTS_MAX) were
// written.
size_t gtv_tracker_update(struct gtv_tracker *t, const struct gtv_detected *found, size_t count,
                          int64_t wall_ms, int width, int height, struct gtv_track_event *out);
// Ends all tracks: of a camera that is watched no longer, or was away.
size_t gtv_tracker_finish(struct gtv_tracker *t, struct gtv_track_event *out);

// ---- For tests ----
// The cheapest complete assignment of rows to columns: cost[r * columns + c], where gtv_assign_never keeps
// two apart; to[r] is the column or -1. Rows and columns are GTV_TRACK_MAX at most. Kuhn-Munkres with
// potentials (Jonker and Volgenant 1987), exact. As many pairs as are worth it: leaving a row and a column
// single costs `single`.
#define GTV_ASSIGN_NEVER 1e9F
void gtv_assign(const float *cost, size_t rows, size_t columns, float single, int *to);

#endif
