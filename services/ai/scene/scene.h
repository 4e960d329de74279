// From tracks to what happens: lines crossed, zones entered and left, speeds, stops, wrong ways. A vehicle is
// where the middle of its box's lower edge is (where it stands on the road). A pure state machine: no thread,
// no clock, no allocation but in create, set and load. One thread at a time.
#ifndef GTV_AI_SCENE_H
#define GTV_AI_SCENE_H

#include "services/ai/scene/settings.h"
#include "services/ai/track/track.h"

struct gtv_scene;

enum {
    GTV_SCENE_MAX_PARKED = 128,     // places remembered; beyond it the longest unseen is forgotten
    GTV_SCENE_MAX_HAPPENINGS = 512, // of one look; what is beyond is counted and dropped
};

#define GTV_HAPPENINGS(X)                                                                                    \
    X(GTV_TRACK_BEGAN, "track.started") /* a vehicle came; not one that is known to be parked there */       \
    X(GTV_TRACK_OVER, "track.ended")    /* of one that was said to have come */                              \
    X(GTV_LINE_CROSSED, "line.crossed") /* once for each track, line and direction */                        \
    X(GTV_ZONE_ENTERED, "zone.entered")                                                                      \
    X(GTV_ZONE_LEFT, "zone.left")     /* seconds: how long it was in */                                      \
    X(GTV_SPEED_MEASURED, "speed")    /* speed_kmh */                                                        \
    X(GTV_VEHICLE_STOPPED, "stopped") /* in a zone with stopped_s; once for each stand */                    \
    X(GTV_WRONG_WAY, "wrong_way")     /* in a zone with a direction; once for each stay */

enum gtv_happening_kind {
#define X(name, text) name,
    GTV_HAPPENINGS(X)
#undef X
        GTV_HAPPENING_KINDS,
};
const char *gtv_happening_name(enum gtv_happening_kind kind);

struct gtv_happening {
    enum gtv_happening_kind kind;
    int64_t wall_ms;  // between two looks where it can be told: when the line was crossed
    uint64_t track;   // by which the vehicle was first known
    uint64_t current; // the tracker's id for it now: another after a parked car was lost and found again
    enum gtv_vehicle vehicle;
    double confidence;
    struct gtv_track_box box; // pixels, at the look that told
    double x, y;              // where, 0..1
    const char *id, *name;    // of the line, zone or speed; NULL for tracks. Until the settings change
    bool forward;             // lines
    const char *direction;    // lines: its name for people, else "forward" or "backward"
    double seconds;           // zone.left, stopped, track.ended: for how long
    double speed_kmh, limit_kmh;
    bool over;      // speed_kmh is above limit_kmh
    double degrees; // wrong_way: which way it drives, as in the settings
    char key[96];   // the same for the same happening: kind, track and place
};

// The settings are copied.
struct gtv_scene *gtv_scene_create(const struct gtv_scene_settings *settings);
void gtv_scene_destroy(struct gtv_scene *s); // NULL is accepted
const struct gtv_scene_settings *gtv_scene_settings(const struct gtv_scene *s);
// Other settings from now on. Counts of lines that keep their id and their place go on; so do parked places.
void gtv_scene_set(struct gtv_scene *s, const struct gtv_scene_settings *settings);

// Before tracking: drops, in place, what is outside the regions, inside an exclusion or a mask, or of a class
// that is not wanted. Returns how many stay. Leaves confidence to the tracker.
size_t gtv_scene_filter(const struct gtv_scene_settings *settings, struct gtv_detected *found, size_t count,
                        int width, int height);

// The tracker's events of one look, in; what happened, in order of time, out (room for
// GTV_SCENE_MAX_HAPPENINGS). Returns how many.
size_t gtv_scene_update(struct gtv_scene *s, const struct gtv_track_event *events, size_t count,
                        int64_t wall_ms, int width, int height, struct gtv_happening *out);

// Whether the tracker's track has been said to have begun: one at a remembered parking place is that of the
// vehicle there, and not said again.
bool gtv_scene_announced(const struct gtv_scene *s, uint64_t track);

struct gtv_line_count {
    const char *id, *name;
    uint64_t total[2][GTV_VEHICLE_COUNT];  // [0] backward, [1] forward
    uint64_t minute[2][GTV_VEHICLE_COUNT]; // in the 60 s up to now
};
// The line's counts at wall_ms. False when there is no such line.
bool gtv_scene_count(const struct gtv_scene *s, size_t line, int64_t wall_ms, struct gtv_line_count *out);
uint64_t gtv_scene_dropped(const struct gtv_scene *s); // happenings that had no room

// What another program needs to go on where this one ended: totals and parked places, as JSON.
struct gtv_bytes *gtv_scene_save(const struct gtv_scene *s) GTV_WARN_UNUSED;
// Takes what fits the settings and leaves out the rest. False when it cannot be read.
bool gtv_scene_load(struct gtv_scene *s, struct gtv_str json, struct gtv_error *err) GTV_WARN_UNUSED;

#endif
