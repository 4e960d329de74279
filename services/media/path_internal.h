// What path.c (the source's side) and serve.c (the readers' side) share.
#ifndef GTV_MEDIA_PATH_INTERNAL_H
#define GTV_MEDIA_PATH_INTERNAL_H

#include "services/media/gop.h"
#include "services/media/hls.h"
#include "services/media/path.h"
#include "services/media/relay.h"

enum gtv_waiter_kind { GTV_WAIT_INDEX, GTV_WAIT_PLAYLIST, GTV_WAIT_RELAY, GTV_WAIT_RELAY_KEYS };

// A request that is held until the source has what it asks for.
struct gtv_waiter {
    struct gtv_waiter *next;
    struct gtv_path *path;
    struct gtv_http_request *req;
    enum gtv_waiter_kind kind;
    int64_t deadline_ms; // monotonic
};

struct gtv_path {
    struct gtv_path_env *env;
    struct gtv_pathconf conf;
    struct gtv_log log;
    enum gtv_path_state state;
    struct gtv_pull *pull; // NULL but in CONNECTING and CONNECTED
    struct gtv_tracks tracks;
    bool tracks_known;

    const char *cause_code;
    char cause[160];
    char told[160]; // the cause that was logged last
    unsigned failures;
    int64_t retry_ms, lost_ms, ready_ms, unwanted_ms; // monotonic; 0: never
    int64_t ready_wall_ms;

    struct gtv_gop gop;
    struct gtv_relay *relay;
    struct gtv_hls *hls;                        // from the first HLS request on, until none came for a while
    int64_t muxer_created_ms, muxer_request_ms; // wall, monotonic
    uint64_t next_segment;
    struct gtv_waiter *waiters;
    size_t waiter_count;

    uint64_t received, error_frames, segments_sent, muxer_sent;
};

void gtv_path_open_muxer(struct gtv_path *p);
// Dials when the source is wanted, due and not dialled.
void gtv_path_want(struct gtv_path *p, int64_t now_ms);
// Answers every waiter that can be answered now, or that has waited for too long.
void gtv_path_waiters_serve(struct gtv_path *p, int64_t now_ms);
void gtv_path_waiters_refuse(struct gtv_path *p); // the path goes: answers all of them

#endif
