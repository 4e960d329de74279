// Frames of video into the network's input.
#ifndef GTV_AI_FRAME_H
#define GTV_AI_FRAME_H

#include "services/ai/network/geometry.h"

#include <libavutil/frame.h>

struct SwsContext;

// Keeps what scaling needs between frames of one size. Zeroed is valid. One thread at a time.
struct gtv_frame_scaler {
    struct SwsContext *sws;
    uint8_t *rgb; // with room at the end of each row: libswscale's fast paths write in whole blocks
    size_t stride, rows;
};

// Converts and scales a frame of any software pixel format into its place and fills the padding. False with
// *err.
bool gtv_frame_fill(struct gtv_frame_scaler *s, const AVFrame *frame, const struct gtv_geometry *g,
                    uint8_t *input, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_frame_scaler_finish(struct gtv_frame_scaler *s);

#endif
