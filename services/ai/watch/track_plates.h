// The plates of one camera's tracks: reads them in the frames that are looked at, where that is worth its
// time, puts the readings of a track together (plate/pass.h) and tells each pass's plate once. The thread is
// whoever looks, one at a time.
#ifndef GTV_AI_TRACK_PLATES_H
#define GTV_AI_TRACK_PLATES_H

#include "lib/contract/happening.h"
#include "lib/metrics/metrics.h"
#include "services/ai/plate/plates.h"
#include "services/ai/watch/shots.h"

struct gtv_track_plates;

enum {
    GTV_TRACK_PLATES_A_LOOK = 4,      // vehicles read in one look, the most promising ones
    GTV_TRACK_PLATES_BURST_MS = 1000, // of its time a second that a camera may save up, at most
};

// Of all cameras.
struct gtv_plate_meters {
    struct gtv_counter *found, *none, *failed, *sure, *uncertain, *again;
    struct gtv_histogram *seconds;
};
void gtv_plate_meters_init(struct gtv_plate_meters *m, struct gtv_metrics *metrics);

struct gtv_track_plates_config {
    int64_t camera_id;
    struct gtv_plates *plates;             // outlives it
    const struct gtv_plate_meters *meters; // outlives it
    struct gtv_store *store;               // of crops; NULL: none are kept
    struct gtv_shots *shots;               // the tracks' best pictures; outlives it
    void (*tell)(void *arg, const struct gtv_happening_event *e);
    void *arg;
};

struct gtv_track_plates *gtv_track_plates_create(const struct gtv_track_plates_config *config);
void gtv_track_plates_destroy(struct gtv_track_plates *p); // NULL is accepted; what was not told is dropped

struct gtv_plates_look {
    const AVFrame *frame;
    size_t worker; // its slot of the networks
    int64_t wall_ms;
    const struct gtv_scene_settings *settings;
    const struct gtv_track_event *events; // of the look, with the vehicles' boxes in `found`
    size_t count;
    const struct gtv_detected *found;
    size_t found_count;
    const struct gtv_track_event *in_sight; // also of vehicles that are known to be parked
    size_t in_sight_count;
    double allowance_ms; // a second, that reading may take of a core at this camera
    bool still;          // nothing moves, and has not for a while
};
// Reads what is worth it, in a copy of each vehicle's part of the frame; privacy masks are black in it. Where
// there is no vehicle that can be read the whole frame is searched now and then (stray_plates.h). Tells the
// plates that are sure, and those of vehicles that stand. Returns the milliseconds that it took, networks
// included.
double gtv_track_plates_look(struct gtv_track_plates *p, const struct gtv_plates_look *look);
// The track has ended: tells its plate, sure or not, unless that was done, and forgets it.
void gtv_track_plates_end(struct gtv_track_plates *p, const struct gtv_track *track,
                          const struct gtv_scene_settings *settings);
// The camera is watched no longer, and all tracks have ended: tells plates without a vehicle that were not.
void gtv_track_plates_finish(struct gtv_track_plates *p, const struct gtv_scene_settings *settings);
// The plate that was told of a track as sure, or NULL. Until the track's end.
const char *gtv_track_plates_text(const struct gtv_track_plates *p, uint64_t track);

#endif
