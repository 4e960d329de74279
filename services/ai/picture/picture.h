// Posted pictures: JPEG, PNG and WebP, turned upright by their EXIF orientation, within limits that hold
// before anything is allocated. Two ways in: straight into a network's input, or into RGB.
#ifndef GTV_AI_PICTURE_H
#define GTV_AI_PICTURE_H

#include "services/ai/network/geometry.h"
#include "services/ai/picture/image.h"

enum gtv_picture_format { GTV_PICTURE_JPEG, GTV_PICTURE_PNG, GTV_PICTURE_WEBP };

struct gtv_picture_info {
    enum gtv_picture_format format;
    int width, height; // upright: what boxes are measured in
    int orientation;   // 1..8 as in EXIF (1: stored upright)
    int reduction;     // 1, 2 or 4: the scale of the decoding was 1/reduction
    bool cut_off;      // the file ends too early, but most of the picture is there
    double decode_ms;  // the decoder's time
    double prepare_ms; // resampling and colours
};

// Memory that decoding needs, kept from picture to picture. One thread at a time: each worker has its own.
struct gtv_picture_scratch;
struct gtv_picture_scratch *gtv_picture_scratch_create(void);
void gtv_picture_scratch_destroy(struct gtv_picture_scratch *s); // NULL is accepted

// Decodes base64 (as gtv_base64_decode) into the scratch: *file is good until the next call of this function.
bool gtv_picture_from_base64(struct gtv_picture_scratch *s, struct gtv_str text, struct gtv_str *file,
                             struct gtv_error *err) GTV_WARN_UNUSED;

// Format, size and orientation from the header alone; the limits are checked. No thread, nothing allocated
// that outlives the call.
bool gtv_picture_probe(struct gtv_str file, struct gtv_picture_info *info,
                       struct gtv_error *err) GTV_WARN_UNUSED;

// One pass from the file to the model's input: decodes at the cheapest scale, resamples, turns upright, pads.
// pixels is u8 RGB of model->input's size; *g says where the upright picture lies in it. scratch may be NULL
// (then memory comes and goes with the call). *info is filled as far as it is known when it fails. False with
// GTV_E_INVALID (no picture, broken, cut off, takes too long), GTV_E_TOO_LARGE (pixels, memory) or
// GTV_E_UNAVAILABLE (no memory now).
bool gtv_picture_to_input(struct gtv_picture_scratch *s, struct gtv_str file, const struct gtv_model *model,
                          uint8_t *pixels, struct gtv_geometry *g, struct gtv_picture_info *info,
                          struct gtv_error *err) GTV_WARN_UNUSED;

// The whole picture at full size in RGB, upright. The caller ends with gtv_image_finish. Errors as above.
bool gtv_picture_decode(struct gtv_str file, struct gtv_image *out, struct gtv_error *err) GTV_WARN_UNUSED;

struct gtv_picture_region {
    int x, y, width, height; // in the upright picture
};
// The same of a part of it (cut at the picture's edges), without converting the rest: rows below it are not
// even read. out->full_width and full_height are the whole picture's. GTV_E_INVALID as well when nothing of
// the region lies in the picture; the region as it was used comes back in *region.
bool gtv_picture_decode_region(struct gtv_str file, struct gtv_picture_region *region, struct gtv_image *out,
                               struct gtv_error *err) GTV_WARN_UNUSED;

#endif
