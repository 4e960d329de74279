// The inner loops of resample.c in AVX2, and the tables that they share with the plain ones.
#ifndef GTV_AI_RESAMPLE_SIMD_H
#define GTV_AI_RESAMPLE_SIMD_H

#include "services/ai/picture/resample.h"

enum {
    GTV_AXIS_ONE = 128, // what the weights of one output sum up to
    // YCbCr to RGB (JFIF 1.02) in 8192ths.
    GTV_YCC_RED = 11485,    // 1.402
    GTV_YCC_GREEN_B = 2819, // 0.344136
    GTV_YCC_GREEN_R = 5850, // 0.714136
    GTV_YCC_BLUE = 14516,   // 1.772
};

// Outputs that one register holds: their inputs lie within 16 bytes from `from` on (and, with more than four
// taps, from every fourth byte behind it on).
struct gtv_axis_group {
    int from;
    int8_t pick[16];    // which of the 16
    uint8_t weight[16]; // of two taps: beside pick
};

// One side's resampling: output i is the weighted sum of taps inputs from start[i] on.
struct gtv_axis {
    bool valid;
    int in, out;
    double extent;
    int taps, stride; // stride: taps rounded up to four; the weights between are 0
    int *start;
    uint8_t *weight; // stride for each output
    int lanes;       // outputs of a group: 8 (two taps), 4, or 0: no vector code for these
    struct gtv_axis_group *groups;
    size_t start_size, weight_size, groups_size;
};

// The rows of one plane that make up one row of output.
struct gtv_taps {
    const int8_t *ring;
    size_t stride;
    int mask, first, count;
    const uint8_t *weight;
};

bool gtv_resample_has_simd(void);
// Fills lanes and groups, after the weights.
void gtv_axis_group(struct gtv_axis *a);
// Reads up to GTV_RESAMPLE_SLACK bytes behind the row, and writes as many behind `to`.
void gtv_across_simd(const struct gtv_axis *a, const uint8_t *row, int8_t *to);
// rgb has room for width rounded up to 32 pixels.
void gtv_down_simd(const struct gtv_taps t[3], enum gtv_resample_color color, int width, uint8_t *rgb);

#endif
