// What every source of a path tells it, whatever its kind: dialled by us (RTSP reader, libavformat) or come
// by itself (publishers).
#ifndef GTV_MEDIA_SOURCE_H
#define GTV_MEDIA_SOURCE_H

#include "lib/loop/loop.h"
#include "lib/net/address.h"
#include "services/media/pathconf.h"
#include "services/media/sample.h"

#include <stdatomic.h>

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

// What a dialled source is started with.
struct gtv_source_options {
    struct gtv_loop *loop;
    atomic_int *running;                 // counts the threads and name requests that have not ended
    int64_t connect_ms;                  // for name, connection, DESCRIBE, SETUP and PLAY in all
    int64_t stall_ms;                    // longest time without a picture
    const struct gtv_net_policy *policy; // outlives the source; NULL: every address may be dialled
};

// A source that runs: the first member of its kind's struct.
struct gtv_source {
    // No callback follows, not even on_end. The source frees itself, now or as soon as it can.
    void (*stop)(struct gtv_source *s);
};

#endif
