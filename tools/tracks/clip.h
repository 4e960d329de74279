// A clip's looks: what the network finds in its frames, at a given rate; from the network itself or from what
// an earlier run wrote down.
#ifndef GTV_TRACKS_CLIP_H
#define GTV_TRACKS_CLIP_H

#include "services/ai/network/detector.h"

#include <libavutil/frame.h>
#include <stdio.h>

struct gtv_clip;

struct gtv_clip_config {
    const char *path;       // of the clip
    const char *models_dir; // of the weights
    const char *model;      // NULL: the default
    double looks;           // a second
    double confidence;      // least of a detection
    double seconds;         // 0: all of the clip
    double offset_ms;       // of the first look, after the first frame
    unsigned turns;         // how often it is played, one turn after the other
    FILE *save;             // NULL, or: what was found goes there, a JSON object a line
};

// One look. luma is the frame's own plane; NULL from a file of detections, as frame and model are.
struct gtv_clip_look {
    int64_t at_ms; // since the beginning of the first turn
    int width, height;
    struct gtv_detections found;
    bool analysed; // false: between two looks; nothing was searched
    const uint8_t *luma, *cb, *cr;
    size_t stride, chroma_stride;
    int chroma_width, chroma_height;
    const AVFrame *frame; // until the next one
    const struct gtv_model *model;
};

struct gtv_clip *gtv_clip_open(const struct gtv_clip_config *config, struct gtv_error *err) GTV_WARN_UNUSED;
// What an earlier run saved, thinned to config->looks; path is that file.
struct gtv_clip *gtv_clip_open_saved(const struct gtv_clip_config *config,
                                     struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_clip_close(struct gtv_clip *c);                // NULL is accepted
struct gtv_infer *gtv_clip_runtime(struct gtv_clip *c); // NULL from a file of detections
// The next frame. False at the end (err->code is 0) or when something failed.
bool gtv_clip_next(struct gtv_clip *c, struct gtv_clip_look *out, struct gtv_error *err) GTV_WARN_UNUSED;

// One more look soon, before the next regular one, as the cameras have it (gtv_tracker_curious).
void gtv_clip_again(struct gtv_clip *c);

#endif
