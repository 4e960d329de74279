// Where a picture lies in the network's input, and the one pass that puts it there.
#ifndef GTV_AI_GEOMETRY_H
#define GTV_AI_GEOMETRY_H

#include "services/ai/network/model.h"

// The picture of full_width x full_height pixels fills the rectangle x,y,width,height of the input; the rest
// is padding.
struct gtv_geometry {
    int full_width, full_height;
    int input_width, input_height;
    int x, y, width, height;
    double back_x, back_y; // pixels of the picture for one of the input
    uint8_t pad;
};

void gtv_geometry_init(struct gtv_geometry *g, const struct gtv_model *m, int full_width, int full_height);

// Resamples a u8 RGB picture of any size (the full one, or one decoded at a smaller scale) into its place in
// the input and fills the padding. Triangle filter: bilinear, and as wide as the reduction asks for from a
// half on. stride in bytes. False only without memory.
bool gtv_geometry_fill(const struct gtv_geometry *g, const uint8_t *rgb, int width, int height, size_t stride,
                       uint8_t *input) GTV_WARN_UNUSED;
// The padding alone, for callers that scale by other means.
void gtv_geometry_pad(const struct gtv_geometry *g, uint8_t *input);

// From the input's coordinates to the picture's, cut at its edges.
void gtv_geometry_back(const struct gtv_geometry *g, float box[4]);

#endif
