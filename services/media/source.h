// What every source of a path tells it, whatever its kind: dialled by us (RTSP reader, libavformat) or come
// by itself (publishers).
#ifndef GTV_MEDIA_SOURCE_H
#define GTV_MEDIA_SOURCE_H

#include "services/media/sample.h"

struct gtv_source_end {
    const char *code; // for machines: gtv_av_cause_code's words, and "codec", "stalled", "no_video"; static
    char text[160];   // for the user; never holds credentials
};

// All on the loop's thread.
struct gtv_source_callbacks {
    // Before the first sample, and when it changes.
    void (*on_format)(void *arg, struct gtv_format *format);
    void (*on_sample)(void *arg, const struct gtv_sample *sample, size_t received);
    // Packets come, but for so long no key frame did.
    void (*on_silent)(void *arg, const struct gtv_source_end *why);
    void (*on_error_frames)(void *arg, unsigned count); // damaged or dropped
    void (*on_end)(void *arg, const struct gtv_source_end *end); // once, the last one
};

#endif
