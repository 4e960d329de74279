// What path.c (the source's side) and wait.c (who waits for it) share.
#ifndef GTV_MEDIA_PATH_INTERNAL_H
#define GTV_MEDIA_PATH_INTERNAL_H

#include "services/media/gop.h"
#include "services/media/path.h"

struct gtv_path {
    struct gtv_path_env *env;
    struct gtv_pathconf conf;
    struct gtv_log log;
    enum gtv_path_state state;
    struct gtv_source *source;       // dialled; NULL but in CONNECTING and CONNECTED
    struct gtv_publisher *publisher; // come by itself; never beside a dialled one
    struct gtv_format *format;       // a reference; NULL: not known (any more)

    const char *cause_code;
    char cause[160];
    char told[160]; // the cause that was logged last
    unsigned failures;
    int64_t retry_ms, ready_ms, unwanted_ms; // monotonic; 0: never
    int64_t ready_wall_ms;

    struct gtv_gop gop;
    struct gtv_reader *readers;
    struct gtv_path_wait *waits;
    size_t wait_count;
    struct gtv_muxer *muxer; // hls's
    uint64_t next_segment;

    uint64_t received, sent, skipped, error_frames;
};

// Dials when the source is wanted, due and not dialled.
void gtv_path_want(struct gtv_path *p, int64_t now_ms);
// Answers every wait that can be answered now, or that has lasted for too long.
void gtv_path_waits_serve(struct gtv_path *p, int64_t now_ms);
void gtv_path_waits_refuse(struct gtv_path *p); // the path goes: answers all of them

#endif
