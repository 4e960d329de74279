// The desired state: which cameras there shall be. Kept in memory and in Redis (hash gtv:cameras), where
// other replicas and the ai program read it. Without Redis memory goes on alone, and what changed meanwhile
// is written when it is back.
//
// Reading is allowed on any thread; the rest belongs to the control loop.
#ifndef GTV_STREAMING_CAMERAS_H
#define GTV_STREAMING_CAMERAS_H

#include "lib/contract/contract.h"
#include "lib/redis/redis.h"

enum { GTV_CAMERAS_MAX = 4096 };

struct gtv_cameras;

struct gtv_cameras *gtv_cameras_create(void);
void gtv_cameras_destroy(struct gtv_cameras *c);

bool gtv_cameras_get(struct gtv_cameras *c, int64_t id, struct gtv_camera *out) GTV_WARN_UNUSED;
size_t gtv_cameras_count(struct gtv_cameras *c);
// A copy of all, by id: free() it. It holds credentials: never log or answer it as it is.
struct gtv_camera *gtv_cameras_all(struct gtv_cameras *c, size_t *n);

// Whether one more camera, or this known one, may be put.
bool gtv_cameras_has_room(struct gtv_cameras *c, int64_t id);

// stored is called on the control loop when Redis has it (or refused, or was lost: then it is written when
// Redis is back); never before the return. False: Redis is away, and nothing is called.
typedef void (*gtv_cameras_stored_fn)(void *arg);
bool gtv_cameras_put(struct gtv_cameras *c, struct gtv_redis *redis, const struct gtv_camera *camera,
                     gtv_cameras_stored_fn stored, void *arg);
bool gtv_cameras_remove(struct gtv_cameras *c, struct gtv_redis *redis, int64_t id); // false: unknown
// Monotonic milliseconds of the last put of this camera in this process; 0 when it was only read.
int64_t gtv_cameras_changed_ms(struct gtv_cameras *c, int64_t id);

// The node that accepted the camera as it is now desired, as far as this process knows; -1: it does not.
void gtv_cameras_accepted(struct gtv_cameras *c, int64_t id, int node);
int gtv_cameras_accepted_by(struct gtv_cameras *c, int64_t id);

// Redis came (back): writes what it missed, then reads what it has.
void gtv_cameras_sync(struct gtv_cameras *c, struct gtv_redis *redis);
// What our own entries in the stream gtv:cameras:news are signed with: we know them already.
const char *gtv_cameras_self(const struct gtv_cameras *c);
// News from that stream: reads that camera again.
void gtv_cameras_refresh(struct gtv_cameras *c, struct gtv_redis *redis, int64_t id);
// Redis was read at least once. Any thread.
bool gtv_cameras_loaded(const struct gtv_cameras *c);

#endif
