// The access units since the latest key frame: where a new reader of a path begins. Loop thread only.
#ifndef GTV_MEDIA_GOP_H
#define GTV_MEDIA_GOP_H

#include "services/media/unit.h"

// Zeroed but for max_bytes it is a valid empty one.
struct gtv_gop {
    struct gtv_unit *units; // one reference each; the first is a key frame
    size_t count, cap, bytes;
    size_t max_bytes; // beyond it all is dropped up to the next key frame
};

void gtv_gop_push(struct gtv_gop *g, const struct gtv_unit *unit); // takes a reference
void gtv_gop_clear(struct gtv_gop *g);
void gtv_gop_finish(struct gtv_gop *g);

#endif
