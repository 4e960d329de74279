// What a watched camera would tell of a clip: its looks go through the watcher's own analysis, plates
// included, and every durable event is printed as it would be sent.
#ifndef GTV_TRACKS_TOLD_H
#define GTV_TRACKS_TOLD_H

#include "services/ai/scene/settings.h"
#include "tools/tracks/clip.h"

struct gtv_told;

struct gtv_told_config {
    struct gtv_clip *clip; // outlives it; not one that was opened saved
    const char *models_dir, *lpr_model;
    const struct gtv_scene_settings *settings; // copied
    double confidence;                         // of boxes that count, 0..1
    double plates_ms;                          // a second, that reading plates may take
};

// Never NULL. Without networks that read plates it says so on standard error and tells the rest.
struct gtv_told *gtv_told_create(const struct gtv_told_config *config);
bool gtv_told_look(struct gtv_told *t, const struct gtv_clip_look *look, int64_t wall_ms);
// The end of the clip: tells what is still open, frees.
void gtv_told_destroy(struct gtv_told *t); // NULL is accepted

#endif
