// The scene's inside: what is known of each vehicle.
#ifndef GTV_AI_SCENE_FOLLOW_H
#define GTV_AI_SCENE_FOLLOW_H

#include "services/ai/scene/scene.h"

enum { GTV_SCENE_MAX_FOLLOWED = GTV_TRACK_MAX + GTV_SCENE_MAX_PARKED, GTV_SCENE_MINUTE = 60 };

enum gtv_follow_state {
    GTV_FOLLOW_NONE,   // a free place
    GTV_FOLLOW_MOVING, // it has a track
    GTV_FOLLOW_PARKED, // it stood when its track ended: it is taken to be there still
};

// A vehicle beside one line. Distances are in pixels, positive on the right of a..b.
struct gtv_follow_line {
    double distance;    // of the latest place
    int settled;        // the side on which it was last for sure: -1, 1; 0: not known yet
    int64_t crossed_ms; // when it last went over, or 0
    double crossed_x, crossed_y;
    bool hit;                       // that was between the line's ends
    int64_t counted_ms;             // of the last crossing that was counted, for speeds; 0: none
    bool counted[2];                // backward, forward
    enum gtv_vehicle counted_as[2]; // so that it can be put right when the vote changes
};

struct gtv_follow_zone {
    bool inside; // as told
    bool told_stop, told_wrong;
    unsigned stays;                // how often it came in
    int64_t entered_ms, turned_ms; // turned_ms: since when it is on the other side than told; 0: it is not
    unsigned wrong;                // looks in a row that went the wrong way
};

struct gtv_follow {
    uint64_t id, current; // of the first track and of the one it has now
    bool announced;
    struct gtv_follow *parked; // the vehicle that stood here, until it is clear that this is it; or NULL
    enum gtv_vehicle vehicle;
    double confidence;
    int64_t first_ms, seen_ms;
    struct gtv_track_box box; // pixels
    double x, y;              // where it stands, pixels
    double rest_x, rest_y;    // where it has been standing since rest_ms
    int64_t rest_ms;
    double from_x, from_y; // where it was a while ago, to tell which way it drives
    struct gtv_follow_line lines[GTV_SCENE_MAX_LINES];
    struct gtv_follow_zone zones[GTV_SCENE_MAX_AREAS];
};

struct gtv_scene {
    struct gtv_scene_settings settings;
    int width, height;
    int64_t wall_ms;
    // The states lie apart, so that looking for one does not touch the memory of all.
    enum gtv_follow_state state[GTV_SCENE_MAX_FOLLOWED];
    struct gtv_follow follows[GTV_SCENE_MAX_FOLLOWED];
    uint64_t total[GTV_SCENE_MAX_LINES][2][GTV_VEHICLE_COUNT];
    // Of the last minute, by second; minute_s[i] says which second lies in place i.
    int64_t minute_s[GTV_SCENE_MINUTE];
    uint16_t minute[GTV_SCENE_MINUTE][GTV_SCENE_MAX_LINES][2][GTV_VEHICLE_COUNT];
    uint64_t dropped;
    struct gtv_happening *out; // of the update in progress
    size_t out_count;
};

// Adds a happening with the vehicle's facts; NULL when there is no room (counted). place: id of a line, zone
// or pair, or NULL.
struct gtv_happening *gtv_scene_tell(struct gtv_scene *s, enum gtv_happening_kind kind,
                                     const struct gtv_follow *f, int64_t wall_ms, const char *place,
                                     const char *suffix);
double gtv_follow_size(const struct gtv_follow *f); // side of a square of the box's area, pixels

// It went from where it was (f->x, f->y at f->seen_ms) to x, y at wall_ms.
void gtv_follow_cross(struct gtv_scene *s, struct gtv_follow *f, double x, double y, int64_t wall_ms);
// The vote changed: what was counted as the old class is the new one's.
void gtv_follow_recount(struct gtv_scene *s, struct gtv_follow *f, enum gtv_vehicle now);
// Zones, after f->x and f->y are those of wall_ms.
void gtv_follow_zones(struct gtv_scene *s, struct gtv_follow *f, int64_t wall_ms);
void gtv_follow_leave(struct gtv_scene *s, struct gtv_follow *f, int64_t wall_ms); // all zones

#endif
