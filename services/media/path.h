// One path: its configuration, the pull of its camera, its HLS muxer and the readers of its relay. Loop
// thread only.
#ifndef GTV_MEDIA_PATH_H
#define GTV_MEDIA_PATH_H

#include "lib/http/server.h"
#include "lib/metrics/metrics.h"
#include "services/media/options.h"
#include "services/media/pull.h"

struct gtv_path;

// What all paths share; outlives them.
struct gtv_path_env {
    struct gtv_loop *loop;
    const struct gtv_media_options *options;
    const struct gtv_net_policy *policy; // of every address that is dialled; NULL: any may be
    atomic_int running;                  // threads of pulls
    int dialling;                        // paths between dial and first picture; loop thread only
    struct gtv_counter *dials, *failures, *segments, *damaged;
};

enum gtv_path_state {
    GTV_PATH_IDLE,       // nobody asks for it, or it waits for a publisher
    GTV_PATH_CONNECTING, // from the dial to the first key frame
    GTV_PATH_CONNECTED,
    GTV_PATH_FAILED, // waits to be dialled again
};

struct gtv_path *gtv_path_create(struct gtv_path_env *env, const struct gtv_pathconf *conf);
// Ends the pull and every reply; NULL is accepted.
void gtv_path_destroy(struct gtv_path *p);

const struct gtv_pathconf *gtv_path_conf(const struct gtv_path *p);
// A source that did not change goes on running.
void gtv_path_configure(struct gtv_path *p, const struct gtv_pathconf *conf);
// Every 100 ms or so: dials, retries, closes what nobody reads, answers those who waited for too long. now_ms
// is monotonic.
void gtv_path_tick(struct gtv_path *p, int64_t now_ms);

// Each ends the request, at once or when the source has what is asked for.
void gtv_path_get_index(struct gtv_path *p, struct gtv_http_request *req);
void gtv_path_get_playlist(struct gtv_path *p, struct gtv_http_request *req);
void gtv_path_get_segment(struct gtv_path *p, struct gtv_http_request *req, struct gtv_str name);
void gtv_path_get_relay(struct gtv_path *p, struct gtv_http_request *req, bool keyframes_only);

// What lists and metrics show. Pointers live until the path changes.
struct gtv_path_status {
    enum gtv_path_state state;
    const char *state_name;
    const char *cause, *cause_code;  // NULL: none
    const struct gtv_tracks *tracks; // NULL while not connected
    int64_t ready_wall_ms;
    uint64_t received, sent, error_frames, relay_skipped;
    size_t relay_readers;
    bool has_muxer;
    int64_t muxer_created_ms, muxer_request_ms; // wall
    uint64_t muxer_sent, muxer_discarded;
    size_t ring_bytes;
};
void gtv_path_get_status(const struct gtv_path *p, struct gtv_path_status *out);
uint64_t gtv_path_relay_reader_id(const struct gtv_path *p, size_t i);

#endif
