// Whoever reads a path: an HLS muxer, a relay reader, an RTSP session, the recorder. The path hands each the
// same samples. Loop thread only.
#ifndef GTV_MEDIA_READER_H
#define GTV_MEDIA_READER_H

#include "lib/video/sample.h"

struct gtv_path;

struct gtv_reader_ops {
    // Before the first sample, and before the key frame that changes it.
    void (*on_format)(void *arg, struct gtv_format *format);
    void (*on_sample)(void *arg, const struct gtv_sample *sample);
    // The source is gone. The reader stays attached (and gets on_format again when it is back) unless it
    // detaches itself here.
    void (*on_lost)(void *arg);
    // Every 100 ms or so, with the monotonic time. May be NULL.
    void (*on_tick)(void *arg, int64_t now_ms);
    // The path is being removed or its source replaced: the reader is detached already.
    void (*on_closed)(void *arg);
};

// Lives in its owner's struct. A callback may detach its own reader, and no other.
struct gtv_reader {
    const struct gtv_reader_ops *ops;
    void *arg;
    const char *type; // of lists: "hlsMuxer", "rtspSession", "relay"; NULL: not listed (the recorder)
    char id[40];      // of lists
    bool wants;       // its being there keeps an on-demand source open
    // The path's own.
    struct gtv_path *path;
    struct gtv_reader *next, **prev;
};

// False with *err (a sentence for the client) when maxReaders is reached. burst: if the path is connected,
// the format and all samples since the latest key frame are handed over within the call.
bool gtv_path_may_attach(const struct gtv_path *p, struct gtv_error *err) GTV_WARN_UNUSED;
bool gtv_path_attach(struct gtv_path *p, struct gtv_reader *r, bool burst,
                     struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_path_detach(struct gtv_reader *r); // nothing when it is not attached

// ---- Waiting for a source ----
// The answer comes at once or later, once; ready false: *why says it ("no stream is available on path 'x'",
// "source of path 'x' has timed out"). The wait keeps an on-demand source wanted and dials it.
struct gtv_path_wait {
    void (*done)(void *arg, bool ready, const struct gtv_error *why);
    void *arg;
    // The path's own.
    struct gtv_path *path;
    struct gtv_path_wait *next, **prev;
    int64_t deadline_ms; // monotonic; 0 before the beginning: sourceOnDemandStartTimeout from now
};
// False: done was called within the call already.
bool gtv_path_wait_begin(struct gtv_path *p, struct gtv_path_wait *w);
void gtv_path_wait_cancel(struct gtv_path_wait *w); // nothing when it is over

#endif
