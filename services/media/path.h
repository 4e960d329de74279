// One path: its configuration, its source and its readers (reader.h), to whom it hands out what the source
// brings. Loop thread only.
#ifndef GTV_MEDIA_PATH_H
#define GTV_MEDIA_PATH_H

#include "lib/http/server.h"
#include "lib/metrics/metrics.h"
#include "services/media/options.h"
#include "services/media/publish.h"
#include "services/media/reader.h"
#include "services/media/source.h"

struct gtv_path;
struct gtv_gop;
struct gtv_dubber;
struct gtv_rtsp_hub;
struct gtv_snapshots;
struct gtv_hls_clients;
struct gtv_muxer;

// What all paths share; outlives them.
struct gtv_path_env {
    struct gtv_loop *loop;
    const struct gtv_media_options *options;
    const struct gtv_net_policy *policy; // of every address that is dialled; NULL: any may be
    struct gtv_dubber *dubber;           // transcodes the audio of RTSP sources and publishers
    struct gtv_rtsp_hub *rtsp;           // what the readers of RTSP sources share
    struct gtv_snapshots *snapshots;     // pictures of paths
    struct gtv_hls_clients *hls_clients; // who watches HLS
    atomic_int running;                  // threads of pulls
    size_t gop_bytes;                    // what all paths keep for newcomers; loop thread only
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

// True, with *why as the sentence for the client, when it makes no sense to wait for the source (any more).
bool gtv_path_refusal(const struct gtv_path *p, bool in_time, struct gtv_error *why);

const struct gtv_log *gtv_path_log(const struct gtv_path *p);
struct gtv_path_env *gtv_path_get_env(const struct gtv_path *p);
struct gtv_format *gtv_path_format(const struct gtv_path *p); // NULL while not connected; no reference
const struct gtv_gop *gtv_path_gop(const struct gtv_path *p);
const struct gtv_reader *gtv_path_readers(const struct gtv_path *p); // the list's first
// Bytes handed to readers, and samples that slow ones did not get.
void gtv_path_count_sent(struct gtv_path *p, size_t bytes);
void gtv_path_count_skipped(struct gtv_path *p, unsigned samples);

// The HLS muxer of the path, and the number that its next segment gets: the path only keeps them.
struct gtv_muxer *gtv_path_muxer(const struct gtv_path *p);
void gtv_path_set_muxer(struct gtv_path *p, struct gtv_muxer *m);
uint64_t *gtv_path_segment_number(struct gtv_path *p);

// What lists and metrics show. Pointers live until the path changes.
struct gtv_path_status {
    enum gtv_path_state state;
    const char *state_name;
    const char *cause, *cause_code;  // NULL: none
    const struct gtv_format *format; // NULL while not connected
    const char *source_type;         // "rtspSource", "rtspSession", ...; NULL: a publisher that is not there
    const char *source_id;
    int64_t ready_wall_ms;
    uint64_t received, sent, error_frames, skipped;
    size_t readers; // that are listed
    bool has_muxer;
    int64_t muxer_created_ms, muxer_request_ms; // wall
    uint64_t muxer_sent, muxer_discarded;
    size_t ring_bytes;
};
void gtv_path_get_status(const struct gtv_path *p, struct gtv_path_status *out);

#endif
