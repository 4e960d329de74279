// Which cameras are watched, and what becomes of their looks: follows the cameras in Redis, holds the leases
// of its share of them, keeps one source and one analysis for each that it holds, shares out the CPU's time,
// and tells what happens. Loop thread only, unless said otherwise.
#ifndef GTV_AI_WATCHER_H
#define GTV_AI_WATCHER_H

#include "lib/loop/loop.h"
#include "services/ai/watch/analysis.h"
#include "services/ai/watch/outbox.h"

struct gtv_watcher;
struct gtv_watchlists; // watchlist/watchlist.h

// Hashes: camera id -> settings of PUT /cameras/{id}/analysis; camera id -> "start" or "stop".
#define GTV_KEY_AI_ANALYSIS "gtv:ai:analysis"
#define GTV_KEY_AI_ORDERS   "gtv:ai:orders"
// String: what gtv_analysis_save wrote, for who watches the camera next; with an expiry.
#define GTV_KEY_AI_STATE "gtv:ai:state:"

struct gtv_watcher_config {
    struct gtv_loop *loop;
    const char *redis_url;
    const char *hls_url;               // base address of the media node
    const char *rtsp_url;              // the same by RTSP; NULL or empty: none
    const char *read_user, *read_pass; // that the node wants; NULL or empty: none
    enum gtv_reader_way way;           // by which cameras are read
    struct gtv_engine *engine;
    struct gtv_metrics *metrics;
    struct gtv_store *store;   // of crops; NULL: none are kept
    struct gtv_plates *plates; // empty: none are read
    double max_fps, min_fps;   // looks a second at each camera
    double min_confidence;     // 0..1
    double cpu_budget;         // share of `cores` that watching may take
    size_t max_cameras, cores; // cores: as many threads decode
    enum gtv_decode_policy policy;
    bool size_gate; // see gtv_source_config
    const char *spool_dir;
    size_t spool_bytes;
    struct gtv_watchlists *watchlists; // asked for every plate that is read; NULL: none
};

// The strings must live on. NULL with *err when the address of Redis is none, or the spool cannot be written.
struct gtv_watcher *gtv_watcher_create(const struct gtv_watcher_config *config,
                                       struct gtv_error *err) GTV_WARN_UNUSED;
// Ends all sources and waits for them; the engine must still run. What they reported last is on its way over
// the loop's queue, so destroy comes by way of gtv_loop_post.
void gtv_watcher_stop(struct gtv_watcher *w);
// Other rates (max_fps, min_fps, cpu_budget of the configuration) from the next second on.
void gtv_watcher_set_rates(struct gtv_watcher *w, double max_fps, double min_fps, double cpu_budget);
void gtv_watcher_destroy(struct gtv_watcher *w); // after stop; NULL is accepted

enum gtv_watch_order {
    GTV_WATCH_AUTO,  // as the camera's ai_enabled says
    GTV_WATCH_START, // watched whatever it says
    GTV_WATCH_STOP,  // not watched
};

// What is known of a camera. Strings are borrowed until the next call on the loop.
struct gtv_watched {
    int64_t id;
    const char *name;
    bool ai_enabled;
    enum gtv_watch_order order;
    bool watched;                    // a source works on it
    bool has_sub, on_sub;            // it has a smaller stream; the source reads that one
    const char *refused;             // why not, though it is wanted; NULL otherwise
    const char *elsewhere;           // the program that watches it in place of this one; NULL: none
    struct gtv_source_status source; // zeroed without a source
    size_t tracks;                   // in sight
    struct gtv_line_count counts[GTV_SCENE_MAX_LINES]; // of the lines; strings borrowed
    size_t line_count;
    double analysis_ms; // spent on tracks and scene since the beginning
};

// An order by hand holds, for all programs, until the camera is removed, or another order. GTV_E_NOT_FOUND
// for a camera that is not provisioned, GTV_E_UNAVAILABLE while the cameras are not known yet or nothing can
// be watched.
bool gtv_watcher_order(struct gtv_watcher *w, int64_t id, enum gtv_watch_order order,
                       struct gtv_error *err) GTV_WARN_UNUSED;
bool gtv_watcher_get(struct gtv_watcher *w, int64_t id, struct gtv_watched *out,
                     struct gtv_error *err) GTV_WARN_UNUSED;
// All cameras in the order of their ids. Returns how many there are; fills at most cap.
size_t gtv_watcher_list(struct gtv_watcher *w, struct gtv_watched *out, size_t cap);
bool gtv_watcher_redis_up(const struct gtv_watcher *w);
const char *gtv_watcher_redis_reason(const struct gtv_watcher *w); // why it is away; NULL while it is up
const char *gtv_watcher_owner(const struct gtv_watcher *w);        // this program's name in the leases

// From which confidence boxes count where a camera does not say: the detector is another one. Tracks that are
// in sight end, and begin anew.
void gtv_watcher_set_confidence(struct gtv_watcher *w, double confidence);

// The whole picture of a look as JPEG, the caller's; NULL while none is there: then the next look's is wished
// for, and the caller asks again. The first one may be older than the wish. False: this program does not
// watch the camera now.
bool gtv_watcher_take_picture(struct gtv_watcher *w, int64_t id, struct gtv_bytes **out) GTV_WARN_UNUSED;

// The settings of a camera's analysis. Borrowed until the next call on the loop; NULL with *err as above.
const struct gtv_scene_settings *gtv_watcher_settings(struct gtv_watcher *w, int64_t id,
                                                      struct gtv_error *err) GTV_WARN_UNUSED;
// Changes them at once and stores them for all programs. GTV_E_UNAVAILABLE while Redis is away.
bool gtv_watcher_set(struct gtv_watcher *w, int64_t id, const struct gtv_scene_settings *settings,
                     struct gtv_error *err) GTV_WARN_UNUSED;

// What watching costs and what else would fit, all in milliseconds of a core a second.
struct gtv_capacity {
    size_t cores, cameras, programs; // cameras: watched by this program; programs: that live, 0: not known
    double budget, used;             // used: measured over the last seconds
    double decode, gate, look, analysis, plates; // parts of used; gate is of decode, the last two are of look
    double pressure;                             // 0..1: what is left of the budget while looks have to wait
    double each;                                 // what a camera asks for on average; 0: not known
    double more;                                 // cameras that would fit; negative: not known
};
void gtv_watcher_capacity(struct gtv_watcher *w, struct gtv_capacity *out);
void gtv_watcher_outbox_stats(struct gtv_watcher *w, struct gtv_outbox_stats *out);

#endif
