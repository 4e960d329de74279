// The best picture of each track so far: large, sharp, surely detected, not cut off by the frame's edge. Kept
// as JPEG while the track lasts, in the store once something is told of it. One thread at a time.
#ifndef GTV_AI_SHOTS_H
#define GTV_AI_SHOTS_H

#include "services/ai/scene/settings.h"
#include "services/ai/track/track.h"
#include "services/ai/watch/frame.h"
#include "services/ai/watch/store.h"

struct gtv_shots;

struct gtv_shots *gtv_shots_create(struct gtv_store *store, int64_t camera_id); // store NULL: none are kept
void gtv_shots_destroy(struct gtv_shots *s);                                    // NULL is accepted

// Looks at the vehicles that were seen in this frame, and takes those that are better than before. Privacy
// masks are black in them.
void gtv_shots_take(struct gtv_shots *s, const AVFrame *frame, const struct gtv_scene_settings *settings,
                    const struct gtv_track_event *events, size_t count);
void gtv_shots_keep(struct gtv_shots *s,
                    uint64_t track); // puts it into the store, if it is not there as it is
// The name in the store of what was kept; false: nothing was.
bool gtv_shots_name(struct gtv_shots *s, uint64_t track, char out[GTV_STORE_NAME_CAP]);
void gtv_shots_drop(struct gtv_shots *s, uint64_t track); // the track has ended

// ---- For tests ----
// How good a picture is, by the vehicle's area in pixels, the detection's confidence, the sharpness
// (gtv_frame_sharpness) and whether the frame's edge cuts it off.
double gtv_shots_score(double area, double confidence, double sharpness, bool cut_off);

#endif
