// Which of several ai programs watches a camera: the one that holds its lease in Redis. Leases run out 4 s
// after their holder was last heard of, so that a dead program's cameras are taken over within 10 s; living
// programs share the cameras out evenly and hand over what is too much. While Redis is away what is held
// stays held: nobody can take it. Loop thread only.
#ifndef GTV_AI_LEASES_H
#define GTV_AI_LEASES_H

#include "lib/redis/redis.h"

// String: "<owner>|<wall ms when it took the camera>", with an expiry.
#define GTV_KEY_LEASE_PREFIX "gtv:ai:lease:"
// Sorted set: owners by the moment they were last heard of, Redis' clock in ms.
#define GTV_KEY_AI_MEMBERS "gtv:ai:members"
enum {
    GTV_LEASE_KEY_CAP = 48,
    GTV_LEASE_OWNER_CAP = 64,
    GTV_LEASE_TTL_MS = 4000,
    GTV_LEASE_TICK_MS = 1000,
    GTV_LEASE_MAX = 10000, // cameras
};
const char *gtv_lease_key(int64_t camera_id, char out[GTV_LEASE_KEY_CAP]);
// A name that no other program has: host, process, and chance.
void gtv_lease_owner(char out[GTV_LEASE_OWNER_CAP]);

struct gtv_leases;

struct gtv_leases_config {
    struct gtv_loop *loop;
    const char *owner; // lives on
    size_t max;        // cameras that this program can hold
    // The cameras that shall be watched, by whomever; fills at most cap ids.
    size_t (*wanted)(void *arg, int64_t *ids, size_t cap);
    // This program has the camera from now on, or has it no longer.
    void (*on_change)(void *arg, int64_t camera_id, bool held);
    void *arg;
};

struct gtv_leases *gtv_leases_create(const struct gtv_leases_config *config);
void gtv_leases_destroy(struct gtv_leases *l); // after its Redis; NULL is accepted
void gtv_leases_redis(struct gtv_leases *l, struct gtv_redis *redis);
void gtv_leases_soon(struct gtv_leases *l); // what is wanted has changed: asks at once
// Gives up all, so that others take over at once; on_change is not called.
void gtv_leases_release_all(struct gtv_leases *l);

bool gtv_leases_held(const struct gtv_leases *l, int64_t camera_id);
// Held, and so lately confirmed that nobody else can have it; or Redis is away.
bool gtv_leases_sure(const struct gtv_leases *l, int64_t camera_id);
// Who has it, as far as is known; NULL: nobody. Borrowed until the next call on the loop.
const char *gtv_leases_owner(const struct gtv_leases *l, int64_t camera_id);
size_t gtv_leases_members(const struct gtv_leases *l); // programs that live, this one included; 0: not known

#endif
