// From rows of planes, as a decoder yields them, to u8 RGB pixels of a network's input: one pass that scales,
// converts the colours and turns the picture upright. Triangle filter: bilinear, and as wide as the reduction
// asks for from a half on.
#ifndef GTV_AI_RESAMPLE_H
#define GTV_AI_RESAMPLE_H

#include "services/ai/network/geometry.h"

enum gtv_resample_color {
    GTV_RESAMPLE_GREY,
    GTV_RESAMPLE_YCC,
    GTV_RESAMPLE_RGB
}; // YCC: as JPEG's, full range

enum {
    GTV_RESAMPLE_SLACK = 64, // bytes that must be readable behind each row that is given
    GTV_RESAMPLE_BATCH = 64, // rows of a plane, at most, between two calls of gtv_resampler_drain
};

// One plane as it is stored. The extent is its part of the picture's size, which may end within the last
// sample: 640 samples may show a picture 639.5 wide.
struct gtv_resample_plane {
    int width, height;
    double extent_x, extent_y;
};

// Memory is kept from picture to picture. Zeroed is a valid empty one.
struct gtv_resampler;
struct gtv_resampler *gtv_resampler_create(void);
void gtv_resampler_destroy(struct gtv_resampler *r); // NULL is accepted
// For tests: without the vector instructions of this processor.
void gtv_resampler_plain(struct gtv_resampler *r, bool plain);

// The upright picture will fill g's rectangle of pixels, whose padding is written at once. Planes describe
// the picture as it is stored; orientation is EXIF's. False without memory.
bool gtv_resampler_begin(struct gtv_resampler *r, const struct gtv_geometry *g, int orientation,
                         enum gtv_resample_color color, const struct gtv_resample_plane planes[3],
                         uint8_t *pixels) GTV_WARN_UNUSED;
// The next row of a plane. Rows beyond its height are passed over.
void gtv_resampler_row(struct gtv_resampler *r, int plane, const uint8_t *row);
// Writes all rows of the output that the rows so far allow.
void gtv_resampler_drain(struct gtv_resampler *r);
// Fills in mid-grey for rows that never came, and ends.
void gtv_resampler_end(struct gtv_resampler *r);

// The place of the stored picture's pixel 0,0 in an upright picture of width x height pixels (upright), and
// the steps to its right and lower neighbours, in pixels.
struct gtv_upright {
    int x, y;
    int right_x, right_y, down_x, down_y;
};
struct gtv_upright gtv_upright(int orientation, int width, int height);

#endif
