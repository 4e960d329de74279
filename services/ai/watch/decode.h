// A bounded pool of threads that decodes all watched cameras, each camera's pictures in order and on one
// thread at a time. Newest wins: what cannot be decoded in time is left out up to a key frame, so that
// nothing waits for long.
#ifndef GTV_AI_DECODE_H
#define GTV_AI_DECODE_H

#include "services/ai/watch/ts.h"

#include <libavutil/frame.h>

struct gtv_decode_pool;
struct gtv_decode; // one camera's

enum {
    GTV_DECODE_MAX_UNITS = 64,       // coded pictures of a camera that wait
    GTV_DECODE_MAX_BYTES = 12 << 20, // and their bytes
    GTV_DECODE_MAX_BEHIND_MS =
        1000,             // since the oldest of them came; beyond it all up to a key frame are left out
    GTV_DECODE_BURST = 8, // pictures of a camera that are decoded in a row
};

#define GTV_DECODE_MODES(X)                                                                                  \
    X(GTV_DECODE_ALL, "all")                                                                                 \
    X(GTV_DECODE_REFERENCES, "references") /* only what other pictures refer to */                           \
    X(GTV_DECODE_KEYS, "keys")             /* only key frames; decoders are shared by all such cameras */

enum gtv_decode_mode {
#define X(name, text) name,
    GTV_DECODE_MODES(X)
#undef X
};
const char *gtv_decode_mode_name(enum gtv_decode_mode mode);

// Threads: 1 or more.
struct gtv_decode_pool *gtv_decode_pool_create(size_t threads);
void gtv_decode_pool_destroy(struct gtv_decode_pool *p); // after its cameras' destruction; NULL is accepted

struct gtv_decode_config {
    struct gtv_decode_pool *pool;
    // A decoded picture, on a thread of the pool. It may be moved away (av_frame_move_ref). wall_ms: its
    // moment, by its time-stamp; the moment of its arrival where it has none. newest: none follows at once.
    void (*on_frame)(void *arg, AVFrame *frame, int64_t wall_ms, bool newest);
    void *arg;
};

struct gtv_decode *gtv_decode_create(const struct gtv_decode_config *config);
void gtv_decode_destroy(struct gtv_decode *d); // waits for the picture in progress; NULL is accepted

// Any thread. Takes unit->data.
void gtv_decode_put(struct gtv_decode *d, struct gtv_ts_unit *unit);
// The same, of a picture that need not be decoded and that no other needs: it is counted, and freed.
void gtv_decode_skip(struct gtv_decode *d, struct gtv_ts_unit *unit);
void gtv_decode_set_mode(struct gtv_decode *d, enum gtv_decode_mode mode);
// Pictures may be left to gather for so long, and are then decoded in a row: nobody looks at one earlier, and
// code and references are still in the processor's caches. 0, as at first: each at once.
void gtv_decode_set_gather(struct gtv_decode *d, int64_t ms);
// Another stream begins: what waits is dropped, and decoding begins with the next key frame.
void gtv_decode_reset(struct gtv_decode *d);

struct gtv_decode_stats {
    const char *codec; // "" before the first picture
    enum gtv_decode_mode mode;
    uint64_t units, frames;   // that came; pictures decoded
    uint64_t left_out;        // pictures that were not decoded because there was no time
    uint64_t failed;          // units that could not be decoded
    uint64_t untimed;         // pictures without a time-stamp
    double cpu_ms;            // of the threads' time, since the beginning
    double key_interval_ms;   // between the last two key frames; 0: not known
    double frame_interval_ms; // between pictures as coded, a moving average; 0: not known
    size_t waiting;
};
void gtv_decode_get_stats(struct gtv_decode *d, struct gtv_decode_stats *out); // any thread

#endif
