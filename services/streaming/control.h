// What must happen in one place: provisioning, the desired state, watching the media node, Redis. All of it
// on the control loop; requests on other loops hand an operation over and get its result posted back.
#ifndef GTV_STREAMING_CONTROL_H
#define GTV_STREAMING_CONTROL_H

#include "services/streaming/app.h"
#include "services/streaming/health.h"
#include "services/streaming/lease.h"
#include "services/streaming/media.h"

struct gtv_adoption;
struct gtv_op;
struct gtv_history;
struct gtv_replays;
struct gtv_replicas;
struct gtv_watcher;

struct gtv_control {
    struct gtv_app *app;
    struct gtv_loop *loop;
    struct gtv_media *media[GTV_NODES_MAX]; // one a node
    struct gtv_http_client *probe;          // asks http cameras where they lead
    struct gtv_watcher *watcher;
    struct gtv_redis *redis;
    struct gtv_redis_tail *events, *news;
    struct gtv_replays *replays;
    struct gtv_replicas *replicas;
    struct gtv_history *history;
    struct gtv_health *health;
    struct gtv_lease *lease; // of those who watch the same media nodes one tells what they do
    int64_t local_ms;        // the last id of an event that did not go through Redis
    unsigned local_n;
    struct gtv_timer *second, *stats;
    struct gtv_op *ops; // running, and waiting for another one of the same camera
    size_t op_count, bulk_jobs;
    struct gtv_adoption *adoption; // under way, or NULL
    uint32_t drain_unwritten;      // bit i: Redis has not been told of node i
    int64_t drain_changed_ms;      // monotonic
    unsigned seconds;
    struct gtv_gauge *m_media_up, *m_redis_up, *m_cameras, *m_connected, *m_viewers, *m_cache_bytes,
        *m_cache_entries, *m_subscribers;
};

struct gtv_control *gtv_control_create(struct gtv_app *app, struct gtv_loop *loop,
                                       struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_control_destroy(struct gtv_control *c); // after all loops stopped

// Publishes an event: through Redis where it is up (it comes back through the tail, also to other replicas),
// else to this process's own subscribers. Takes the reference to json.
void gtv_control_publish(struct gtv_control *c, const char *stream, const char *type, struct gtv_bytes *json);

// POST /cameras/provision, PUT and DELETE /cameras/{id}, on any loop.
void gtv_handle_provision(struct gtv_http_request *req, void *worker);
void gtv_handle_put(struct gtv_http_request *req, void *worker);
void gtv_handle_remove(struct gtv_http_request *req, void *worker);

#endif
