// Pulls one camera: a thread of its own runs libavformat, puts each access unit on the path clock, packs it
// into MPEG-TS once and hands it to the loop. One pull is one connection: it ends with a cause, and who
// started it decides whether to dial again.
#ifndef GTV_MEDIA_PULL_H
#define GTV_MEDIA_PULL_H

#include "lib/log/log.h"
#include "lib/loop/loop.h"
#include "lib/net/address.h"
#include "services/media/pathconf.h"
#include "services/media/unit.h"

#include <stdatomic.h>

struct gtv_pull;

struct gtv_pull_end {
    // For machines: gtv_av_cause_code's words, and "codec", "denied", "stalled", "no_video"; static.
    const char *code;
    char text[160]; // for the user; never holds credentials
};

// All on the loop's thread.
struct gtv_pull_callbacks {
    void (*on_tracks)(void *arg,
                      const struct gtv_tracks *tracks); // before the first unit, and when they change
    void (*on_unit)(void *arg, const struct gtv_unit *unit,
                    size_t received); // received: bytes from the camera it took
    void (*on_silent)(void *arg,
                      const struct gtv_pull_end *why);  // packets come, but for so long no key frame did
    void (*on_error_frames)(void *arg, unsigned count); // damaged or dropped
    void (*on_end)(void *arg, const struct gtv_pull_end *end); // once, the last one
};

struct gtv_pull_options {
    struct gtv_loop *loop;
    atomic_int *running;                 // counts the threads that have not ended
    int64_t connect_ms;                  // for name, connection, DESCRIBE, SETUP and PLAY in all
    int64_t stall_ms;                    // longest time without a packet
    const struct gtv_net_policy *policy; // outlives the pull; NULL: every address may be dialled
};

// conf's name, source and transport are copied. NULL when no thread can be started.
struct gtv_pull *gtv_pull_start(const struct gtv_pull_options *options, const struct gtv_pathconf *conf,
                                const struct gtv_pull_callbacks *callbacks, void *arg) GTV_WARN_UNUSED;
// No callback follows. The thread ends as soon as libav lets go (a name being resolved cannot be interrupted)
// and frees the pull then.
void gtv_pull_stop(struct gtv_pull *p);

#endif
