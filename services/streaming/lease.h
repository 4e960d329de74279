// Which of several replicas acts for all: the one that holds a key in Redis, renewed while it lives. Without
// Redis each acts for itself. Control loop only.
#ifndef GTV_STREAMING_LEASE_H
#define GTV_STREAMING_LEASE_H

#include "lib/redis/redis.h"

#define GTV_KEY_LEASE "gtv:lease:watch" // string: the holder's token, expiry 5 s

struct gtv_lease;

// on_held: this one took over, while Redis is up.
struct gtv_lease *gtv_lease_create(struct gtv_loop *loop, void (*on_held)(void *arg), void *arg);
void gtv_lease_destroy(struct gtv_lease *l); // before its Redis
void gtv_lease_redis(struct gtv_lease *l, struct gtv_redis *redis, bool up);
bool gtv_lease_held(const struct gtv_lease *l);
// Leaves the key to another one at once instead of after its expiry.
void gtv_lease_release(struct gtv_lease *l);

#endif
