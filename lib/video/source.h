// What a source of coded video tells whoever started it: a camera that is read, a publisher, a file.
#ifndef GTV_VIDEO_SOURCE_H
#define GTV_VIDEO_SOURCE_H

#include "lib/video/sample.h"

struct gtv_source_end {
    // For machines: gtv_av_cause_code's words, and "codec", "denied", "stalled", "no_video"; static.
    const char *code;
    char text[160]; // for the user; never holds credentials
};

// All on the loop's thread.
struct gtv_source_callbacks {
    // Before the first sample, and when it changes. The reference stays the source's.
    void (*on_format)(void *arg, struct gtv_format *format);
    // received: bytes from the source that it took.
    void (*on_sample)(void *arg, const struct gtv_sample *sample, size_t received);
    // Packets come, but for so long no key frame did.
    void (*on_silent)(void *arg, const struct gtv_source_end *why);
    void (*on_error_frames)(void *arg, unsigned count);          // damaged or dropped
    void (*on_end)(void *arg, const struct gtv_source_end *end); // once, the last one
};

#endif
