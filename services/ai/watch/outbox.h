// Durable events on their way to Redis: each happening is told once, whoever tells it (its key is set with
// NX), only by the program that held the camera when it happened (fencing by the lease), and not lost while
// Redis is away (a bounded spool on disk). Loop thread only.
#ifndef GTV_AI_OUTBOX_H
#define GTV_AI_OUTBOX_H

#include "lib/base/bytes.h"
#include "lib/metrics/metrics.h"
#include "lib/redis/redis.h"

struct gtv_outbox;

struct gtv_outbox_config {
    struct gtv_loop *loop;
    const char *spool_dir;
    size_t spool_bytes;
    const char *owner; // as in the leases; lives on
    struct gtv_metrics *metrics;
};

// A spool's folder that cannot be used is warned of, and stands in the figures: what happens while Redis is
// away is lost then.
struct gtv_outbox *gtv_outbox_create(const struct gtv_outbox_config *config);
void gtv_outbox_destroy(struct gtv_outbox *o);                        // after its Redis; NULL is accepted
void gtv_outbox_redis(struct gtv_outbox *o, struct gtv_redis *redis); // to be used from now on

// key: the whole one (gtv_happening_key). json: the event; a reference is taken.
void gtv_outbox_put(struct gtv_outbox *o, int64_t camera_id, const char *type, const char *key,
                    struct gtv_bytes *json, int64_t made_ms);

struct gtv_outbox_stats {
    uint64_t told, again, fenced, spooled, lost;
    size_t spool_bytes;  // that wait
    const char *problem; // why there is no spool; NULL: there is one. Lives as long as the outbox
};
void gtv_outbox_get_stats(const struct gtv_outbox *o, struct gtv_outbox_stats *out);

#endif
