// Frames into what the gate looks at.
#include "services/ai/gate/gate.h"

enum { ACROSS = 4, DOWN = 2, CHROMA_SIDE = 48 };

void gtv_gate_shrink(const uint8_t *luma, size_t stride, int width, int height, uint8_t *out, int out_width,
                     int out_height)
{
    int columns[GTV_GATE_MAX_SIDE][ACROSS];
    out_width = out_width > GTV_GATE_MAX_SIDE ? GTV_GATE_MAX_SIDE : out_width;
    for (int x = 0; x < out_width; x++) {
        for (int i = 0; i < ACROSS; i++)
            columns[x][i] =
                (int)((2 * ((int64_t)x * ACROSS + i) + 1) * width / ((int64_t)2 * ACROSS * out_width));
    }
    for (int y = 0; y < out_height; y++) {
        const uint8_t *rows[DOWN];
        for (int i = 0; i < DOWN; i++)
            rows[i] = luma + (size_t)((2 * ((int64_t)y * DOWN + i) + 1) * height /
                                      ((int64_t)2 * DOWN * out_height)) *
                                 stride;
        for (int x = 0; x < out_width; x++) {
            unsigned sum = 0;
            for (int i = 0; i < ACROSS; i++) {
                for (int r = 0; r < DOWN; r++)
                    sum += rows[r][columns[x][i]];
            }
            out[(size_t)y * (size_t)out_width + (size_t)x] =
                (uint8_t)((sum + ACROSS * DOWN / 2) / (ACROSS * DOWN));
        }
    }
}

static unsigned from_grey(uint8_t v)
{
    return v < 128 ? 128U - v : v - 128U;
}

double gtv_gate_chroma(const uint8_t *cb, const uint8_t *cr, size_t stride, int width, int height)
{
    uint64_t sum = 0, count = 0;
    int step_x = width > CHROMA_SIDE ? width / CHROMA_SIDE : 1,
        step_y = height > CHROMA_SIDE ? height / CHROMA_SIDE : 1;
    for (int y = 0; y < height; y += step_y) {
        for (int x = 0; x < width; x += step_x) {
            size_t at = (size_t)y * stride + (size_t)x;
            sum += from_grey(cb[at]) + from_grey(cr[at]);
            count++;
        }
    }
    return count ? (double)sum / (double)count : 0;
}
