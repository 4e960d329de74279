// What the files of the watcher share: its cameras and parts. watcher.c brings what is done in line with what
// is wanted, known.c follows what Redis says of cameras, reports.c tells what was seen. Internal to them;
// loop thread only, unless said otherwise.
#ifndef GTV_AI_WATCHING_H
#define GTV_AI_WATCHING_H

#include "lib/base/map.h"
#include "services/ai/watch/faults.h"
#include "services/ai/watch/leases.h"
#include "services/ai/watch/planner.h"
#include "services/ai/watch/watcher.h"

#include <stdatomic.h>

struct gtv_watch_camera {
    struct gtv_watcher *watcher;
    struct gtv_camera known;
    enum gtv_watch_order order, order_read;
    struct gtv_scene_settings *settings; // NULL: those of a camera without any
    struct gtv_str settings_text;        // as read, owned: to see a change
    bool seen;                           // by the reading in progress
    bool gone;                           // no longer provisioned: freed once its source has ended
    const char *refused;
    char refusal[256]; // what refused may point to
    bool loading;      // the state that another program left is being read
    struct gtv_source *source;
    struct gtv_analysis *analysis; // with the source
    struct gtv_planned plan;
    bool stopping;
    bool on_sub;             // the source reads its smaller stream
    uint64_t sub_frames;     // that it had when it was looked at last
    int64_t sub_waits_since; // since when none came of it; 0: they come
    int64_t sub_again_ms;    // it gave none for long: the other one is read until then; 0
    uint64_t saved;          // revision of the state in Redis
    struct gtv_faults faults;
    uint64_t resized;
    // A look's picture as JPEG, where one was wished for: the worker's until the loop takes it.
    atomic_bool picture_wished;
    _Atomic(struct gtv_bytes *) picture;
};

struct gtv_watcher {
    struct gtv_watcher_config config;
    struct gtv_log log;
    char owner[GTV_LEASE_OWNER_CAP];
    struct gtv_redis *redis;
    struct gtv_redis_tail *news;
    struct gtv_leases *leases;
    struct gtv_outbox *outbox;
    struct gtv_planner *planner;
    struct gtv_timer *reload, *tick;
    unsigned ticks;
    struct gtv_http_client *http;
    struct gtv_rtsp_hub *hub;
    struct gtv_decode_pool *decoders;
    struct gtv_scalers *scalers;
    struct gtv_scene_settings *defaults;
    struct gtv_map *cameras; // id as text -> struct gtv_watch_camera
    bool loaded;             // the cameras were read at least once
    bool closing;
    size_t sources;
    struct gtv_counter *published, *dropped, *looks;
    struct gtv_gauge *watched;
    struct gtv_histogram *latency;
    struct gtv_plate_meters meters;
};

void gtv_watch_key(int64_t id, char out[24]); // of the map of cameras
struct gtv_watch_camera *gtv_watch_find(struct gtv_watcher *w, int64_t id);
const struct gtv_scene_settings *gtv_watch_settings(const struct gtv_watch_camera *c);
// Brings what is done at a camera in line with what is wanted and held.
void gtv_watch_reconcile(struct gtv_watcher *w, struct gtv_watch_camera *c);

// known.c
void gtv_watch_load(void *watcher); // reads cameras, orders and settings
// text: the camera's settings as they lie in Redis; empty: none of its own.
void gtv_watch_take_settings(struct gtv_watcher *w, struct gtv_watch_camera *c, struct gtv_str text);

// reports.c; the first three run on a worker's thread
void gtv_watch_on_live(void *camera, struct gtv_bytes *event, int64_t wall_ms);
void gtv_watch_on_happening(void *camera, const char *type, const char *key, struct gtv_bytes *event,
                            int64_t wall_ms);
void gtv_watch_on_look(void *camera, const struct gtv_look *look);
void gtv_watch_tell_faults(struct gtv_watch_camera *c, const struct gtv_source_status *s);

#endif
