// Plates of vehicles that the detector does not find: close-ups, gates, vehicles cut off by the frame. Where
// a frame has no vehicle whose plate can be read the whole of it is searched: often while that finds
// something, seldom where it does not. Their passes have no track. The thread is whoever looks, one at a
// time.
#ifndef GTV_AI_STRAY_PLATES_H
#define GTV_AI_STRAY_PLATES_H

#include "services/ai/watch/plate_teller.h"

enum {
    GTV_STRAY_PLATES_MAX = 4,  // passes at once; further plates of a frame are left alone
    GTV_STRAY_SEARCH_MS = 250, // between two searches while a plate is being read
    GTV_STRAY_TOLD_MS = 1500,  // and while one is there that was told
    GTV_STRAY_MISSED_MS = 500, // after a search that found none, doubled with each further one
    GTV_STRAY_MISSED_MAX_MS = 8000,
    GTV_STRAY_STILL = 3,        // searches in vain, after which a picture in which nothing moves is searched
    GTV_STRAY_STILL_MS = 60000, // so seldom
    GTV_STRAY_GONE_MS = 4000,   // not seen for so long, and looked for: it has left
};

struct gtv_stray_plates;

struct gtv_stray_plates *gtv_stray_plates_create(struct gtv_plate_teller *teller); // which outlives it
void gtv_stray_plates_destroy(struct gtv_stray_plates *s); // NULL is accepted; what was not told is dropped

// vehicles: there is one whose plate may be read, and nothing is searched. *saved_ms: what reading may still
// take, less what it took.
void gtv_stray_plates_look(struct gtv_stray_plates *s, const struct gtv_plates_look *look, bool vehicles,
                           double *saved_ms);
void gtv_stray_plates_finish(struct gtv_stray_plates *s, const struct gtv_scene_settings *settings,
                             int64_t wall_ms);

#endif
