// Frames of video into the network's input, and parts of them into RGB.
#ifndef GTV_AI_FRAME_H
#define GTV_AI_FRAME_H

#include "services/ai/network/geometry.h"

#include <libavutil/frame.h>

// What scaling needs between frames of one size, shared by all cameras: as many sets are made as work at
// once. Any thread.
struct gtv_scalers;
struct gtv_scalers *gtv_scalers_create(void);
void gtv_scalers_destroy(struct gtv_scalers *s); // NULL is accepted

// Converts and scales a frame of any software pixel format into its place and fills the padding. False with
// *err.
bool gtv_frame_fill(struct gtv_scalers *s, const AVFrame *frame, const struct gtv_geometry *g, uint8_t *input,
                    struct gtv_error *err) GTV_WARN_UNUSED;

// The part x, y, w, h (pixels, inside the frame) as RGB, at its own size, rows w * 3 bytes. Frames of 8-bit
// planar YUV and grey only: false for others, which nothing else in the watcher can read either. Any thread.
bool gtv_frame_crop(const AVFrame *frame, int x, int y, int w, int h, uint8_t *rgb) GTV_WARN_UNUSED;
// How sharp that part is: mean absolute Laplacian of its luma, in levels (0 flat, 3 soft, 15 crisp).
double gtv_frame_sharpness(const AVFrame *frame, int x, int y, int w, int h);

#endif
