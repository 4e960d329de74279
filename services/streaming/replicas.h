// Replicas of this program that share a Redis: they sign with one key, count viewers together, and end
// sessions for each other. All on the control loop.
//
// Redis keys: gtv:playback:key (the deployment's key, hex), gtv:replicas (sorted set: replica -> wall ms of
// its last sign of life), gtv:viewers:<replica> (JSON, expiry 10 s, only while there are others),
// gtv:playback:kicked (sorted set: name -> wall ms until which it holds).
#ifndef GTV_STREAMING_REPLICAS_H
#define GTV_STREAMING_REPLICAS_H

#include "lib/redis/redis.h"
#include "services/streaming/app.h"

enum {
    GTV_REPLICAS_MAX = 16,            // others that are listened to
    GTV_REPLICA_SESSIONS_MAX = 20000, // told to others; what is beyond is only in the sums
    GTV_REPLICA_JSON_MAX = 16 * 1024 * 1024,
};

struct gtv_replicas;

// redis must live longer.
struct gtv_replicas *gtv_replicas_create(struct gtv_app *app, struct gtv_redis *redis);
void gtv_replicas_destroy(struct gtv_replicas *r); // after redis
const char *gtv_replicas_self(const struct gtv_replicas *r);
// Redis came (back).
void gtv_replicas_redis_up(struct gtv_replicas *r);
// Every 2 seconds.
void gtv_replicas_tick(struct gtv_replicas *r);

// ---- Pure but for the viewers ----
// What this process tells others. NULL when it would be larger than GTV_REPLICA_JSON_MAX.
struct gtv_bytes *gtv_replica_write(struct gtv_viewers *v, int64_t now_ms, int64_t wall_ms) GTV_WARN_UNUSED;
// Takes what another one tells; false when it cannot be read. Between gtv_viewers_remote_begin and _end.
bool gtv_replica_read(struct gtv_viewers *v, struct gtv_str json, int64_t now_ms,
                      int64_t wall_ms) GTV_WARN_UNUSED;

#endif
