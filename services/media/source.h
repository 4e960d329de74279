// The sources of a path, whatever their kind: dialled by us (RTSP reader, libavformat) or come by themselves
// (publishers).
#ifndef GTV_MEDIA_SOURCE_H
#define GTV_MEDIA_SOURCE_H

#include "lib/loop/loop.h"
#include "lib/net/address.h"
#include "lib/video/source.h"
#include "services/media/pathconf.h"

#include <stdatomic.h>

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
