// Samples to MPEG-TS, one after the other. One thread, the caller's.
#ifndef GTV_MEDIA_MUX_H
#define GTV_MEDIA_MUX_H

#include "services/media/hls/mpegts.h"

// Zeroed is a valid one that knows no format.
struct gtv_mux {
    struct gtv_format *format; // a reference
    struct gtv_mpegts_counters next;
};

void gtv_mux_set_format(struct gtv_mux *m, struct gtv_format *format); // takes a reference
void gtv_mux_finish(struct gtv_mux *m);

// Whole transport packets, one reference for the caller. NULL: the format is not known, MPEG-TS cannot carry
// the sample (Opus), or there is no memory.
struct gtv_bytes *gtv_mux_sample(struct gtv_mux *m, const struct gtv_sample *sample) GTV_WARN_UNUSED;

#endif
