// Which cameras are watched, and what becomes of their looks: follows the cameras in Redis, keeps one source
// for each that is wanted, and publishes its detections as events. Loop thread only, unless said otherwise.
#ifndef GTV_AI_WATCHER_H
#define GTV_AI_WATCHER_H

#include "lib/loop/loop.h"
#include "services/ai/watch/source.h"

struct gtv_watcher;

struct gtv_watcher_config {
    struct gtv_loop *loop;
    const char *redis_url;
    const char *hls_url; // base address of the media node
    struct gtv_engine *engine;
    struct gtv_metrics *metrics;
    double max_fps, min_confidence;
    size_t max_cameras, decode_threads;
    enum gtv_decode_policy policy;
};

// The strings must live on. NULL with *err when the address of Redis is none.
struct gtv_watcher *gtv_watcher_create(const struct gtv_watcher_config *config,
                                       struct gtv_error *err) GTV_WARN_UNUSED;
// Ends all sources and waits for them; the engine must still run. What they reported last is on its way over
// the loop's queue, so destroy comes by way of gtv_loop_post.
void gtv_watcher_stop(struct gtv_watcher *w);
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
    const char *refused;             // why not, though it is wanted; NULL otherwise
    struct gtv_source_status source; // zeroed without a source
};

// An order by hand holds until this process ends, the camera is removed, or another order. GTV_E_NOT_FOUND
// for a camera that is not provisioned, GTV_E_UNAVAILABLE while the cameras are not known yet or nothing can
// be watched.
bool gtv_watcher_order(struct gtv_watcher *w, int64_t id, enum gtv_watch_order order,
                       struct gtv_error *err) GTV_WARN_UNUSED;
bool gtv_watcher_get(struct gtv_watcher *w, int64_t id, struct gtv_watched *out,
                     struct gtv_error *err) GTV_WARN_UNUSED;
// All cameras in the order of their ids. Returns how many there are; fills at most cap.
size_t gtv_watcher_list(struct gtv_watcher *w, struct gtv_watched *out, size_t cap);
bool gtv_watcher_redis_up(const struct gtv_watcher *w);

#endif
