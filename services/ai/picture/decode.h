// What picture.c asks of the decoders, and where they put their rows.
#ifndef GTV_AI_DECODE_H
#define GTV_AI_DECODE_H

#include "services/ai/picture/picture.h"
#include "services/ai/picture/resample.h"

// One decoding. Pictures arrive as they are stored; where they go they are upright.
struct gtv_decode {
    struct gtv_str file;
    struct gtv_picture_info *info;
    struct gtv_error *err;
    int width, height;  // as stored, at full size
    int by;             // 1, 2 or 4: the decoder may work at 1/by
    double deadline_ms; // of the thread's processor time

    // Into a network's input,
    struct gtv_resampler *resampler;
    const struct gtv_geometry *geometry;
    uint8_t *pixels;
    // or, when image is not NULL, into RGB: the part of the stored picture that is wanted.
    struct gtv_image *image;
    struct gtv_picture_region part;

    // For the decoder's rows; kept from picture to picture.
    uint8_t **memory;
    size_t *memory_size;

    int64_t prepare_ns; // spent behind the decoder

    // decode.c's.
    int columns, rows; // of the decoded picture, to the input
    uint8_t *line, *planes[3];
};

bool gtv_decode_jpeg(struct gtv_decode *d) GTV_WARN_UNUSED;
bool gtv_decode_png(struct gtv_decode *d) GTV_WARN_UNUSED;
bool gtv_decode_webp(struct gtv_decode *d) GTV_WARN_UNUSED;

// n bytes that live as long as the decoding; one call a decoding. NULL without memory (d->err says so).
uint8_t *gtv_decode_memory(struct gtv_decode *d, size_t n);
bool gtv_decode_late(struct gtv_decode *d); // the deadline has passed (d->err says so)

// ---- For decoders that yield rows of RGB ----

// columns x rows will come, in which the picture takes extent_x x extent_y. False without memory.
bool gtv_decode_rows_begin(struct gtv_decode *d, int columns, int rows, double extent_x,
                           double extent_y) GTV_WARN_UNUSED;
// Where to put the next row: room for columns pixels.
uint8_t *gtv_decode_row_room(struct gtv_decode *d, int y);
// Row y has come, in order: its first pixel is column x of the stored picture (0 but for crops).
void gtv_decode_row(struct gtv_decode *d, int y, int x, const uint8_t *rgb);
// The rows from y on are missing.
void gtv_decode_rows_end(struct gtv_decode *d, int y);

#endif
