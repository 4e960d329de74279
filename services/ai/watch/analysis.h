// What becomes of one camera's looks: tracks, what happens in the scene, pictures of the tracks, and the
// events that tell of it. One look at a time; the thread is whoever looks, and nothing is looked at while it
// is made, finished or freed.
#ifndef GTV_AI_ANALYSIS_H
#define GTV_AI_ANALYSIS_H

#include "lib/contract/happening.h"
#include "services/ai/scene/scene.h"
#include "services/ai/watch/source.h"
#include "services/ai/watch/store.h"
#include "services/ai/watch/track_plates.h"

struct gtv_analysis;

enum { GTV_ANALYSIS_LIVE_MS = 190 }; // between two live events of a camera: at most five a second

struct gtv_analysis_config {
    int64_t camera_id;
    double confidence;                         // of boxes that are shown and of tracks that begin, 0..1
    const struct gtv_scene_settings *settings; // copied
    struct gtv_store *store;                   // of crops; NULL: none are kept
    struct gtv_plates *plates;                 // outlives it; NULL or empty: none are read
    const struct gtv_plate_meters *meters;     // with plates; outlives it
    // Live boxes: takes the event.
    void (*on_live)(void *arg, struct gtv_bytes *event, int64_t wall_ms);
    // What happened: durable. Takes the event; key is the whole one.
    void (*on_happening)(void *arg, const char *type, const char *key, struct gtv_bytes *event,
                         int64_t wall_ms);
    void *arg;
};

struct gtv_analysis *gtv_analysis_create(const struct gtv_analysis_config *config);
void gtv_analysis_destroy(struct gtv_analysis *a); // NULL is accepted

void gtv_analysis_look(struct gtv_analysis *a, const struct gtv_look *look);
// The camera is watched no longer: its tracks end and its boxes vanish. silent: another program goes on with
// them, only the boxes vanish.
void gtv_analysis_finish(struct gtv_analysis *a, bool silent);

// Any thread, from here on.
void gtv_analysis_set(struct gtv_analysis *a, const struct gtv_scene_settings *settings); // copied
// Other networks have another scale: from which confidence boxes count where the camera does not say.
void gtv_analysis_set_confidence(struct gtv_analysis *a, double confidence);
size_t gtv_analysis_tracks(struct gtv_analysis *a); // in sight
// Counts of the lines so far. Returns how many; fills at most cap.
size_t gtv_analysis_counts(struct gtv_analysis *a, int64_t wall_ms, struct gtv_line_count *out, size_t cap);
double gtv_analysis_cpu_ms(struct gtv_analysis *a);   // spent here since the beginning, without plates
double gtv_analysis_plate_ms(struct gtv_analysis *a); // spent on reading plates
// How much of a core reading plates may take from now on, milliseconds a second.
void gtv_analysis_allow_plates(struct gtv_analysis *a, double ms_a_second);

// The tracks that have begun and the scene's memory, as JSON, for another program that goes on where this one
// ends; load takes it before the first look. Tracks whose vehicles are not seen again within
// GTV_ANALYSIS_RESUME_MS end. *revision changes with what is to be saved.
enum { GTV_ANALYSIS_RESUME_MS = 6000 };
struct gtv_bytes *gtv_analysis_save(struct gtv_analysis *a, uint64_t *revision) GTV_WARN_UNUSED;
void gtv_analysis_load(struct gtv_analysis *a, struct gtv_str json);

#endif
