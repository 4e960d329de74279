// The samples since the latest key frame: where a new reader of a path begins. Loop thread only.
#ifndef GTV_MEDIA_GOP_H
#define GTV_MEDIA_GOP_H

#include "lib/video/sample.h"

// Zeroed but for max_bytes it is a valid empty one.
struct gtv_gop {
    struct gtv_sample *samples; // one reference each; the first is a key frame
    size_t count, cap, bytes;
    size_t max_bytes; // beyond it only the key frame is kept
    bool key_only;    // what followed the key frame was left out: a reader cannot go on from here
};

// Takes a reference. sparing: keep no more than the key frame, for nobody reads.
void gtv_gop_push(struct gtv_gop *g, const struct gtv_sample *sample, bool sparing);
void gtv_gop_clear(struct gtv_gop *g);
void gtv_gop_finish(struct gtv_gop *g);

#endif
