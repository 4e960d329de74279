// One sample as whole transport packets: what segments and the relay's readers are made of.
#ifndef GTV_MEDIA_UNIT_H
#define GTV_MEDIA_UNIT_H

#include "services/media/ts.h"

// A value: copying it copies no bytes. Whoever keeps a copy takes a reference to ts.
struct gtv_unit {
    struct gtv_bytes *ts;
    int64_t time; // presentation time on the path clock, not cut to 33 bits
    bool video, key;
    bool discontinuity;              // of key frames: the time line or the format changed before it
    struct gtv_ts_counters counters; // as they stood before it
};

#endif
