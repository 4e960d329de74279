// Frames into an MP4 file: H.264, 4:2:0, closed groups of one second, no reordering.
#ifndef GTV_STREET_ENCODE_H
#define GTV_STREET_ENCODE_H

#include <stdbool.h>

struct gtv_encoder;

// NULL with a line on stderr where the file or the encoder cannot be opened.
struct gtv_encoder *gtv_encoder_create(const char *path, int width, int height, int fps);

// One frame of width * height * 3 floats in 0..1; film grain is added that depends on the frame's number.
bool gtv_encoder_write(struct gtv_encoder *encoder, const float *rgb);

// Flush and close; false where the file could not be completed. The encoder is gone either way.
bool gtv_encoder_finish(struct gtv_encoder *encoder);

#endif
