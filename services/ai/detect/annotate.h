// The picture with what was found drawn into it.
#ifndef GTV_AI_ANNOTATE_H
#define GTV_AI_ANNOTATE_H

#include "services/ai/detect/exam.h"

// Decodes the file at full size, draws a box with its label for each detection, and encodes it as JPEG. Takes
// some 10 ms and 3 bytes a pixel. NULL with *err.
struct gtv_bytes *gtv_exam_draw(const struct gtv_exam *exam, struct gtv_str file,
                                struct gtv_error *err) GTV_WARN_UNUSED;

// "data:image/jpeg;base64,..." with a NUL behind it; the caller frees it.
char *gtv_data_url(const struct gtv_bytes *jpeg, size_t *len);

#endif
