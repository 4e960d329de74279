// Waiting until what was started answers. Loop thread only; the callbacks come once, never before the start
// function returned.
#ifndef GTV_SUPERVISOR_READY_H
#define GTV_SUPERVISOR_READY_H

#include "lib/http/client.h"

// ---- Redis: PING on its socket until PONG ----
struct redis_wait;
struct redis_wait *redis_wait_start(struct gtv_loop *loop, const char *socket_path, int64_t limit_ms,
                                    void (*done)(void *arg, bool up), void *arg);
void redis_wait_destroy(struct redis_wait *w); // NULL is accepted

// ---- Services: GET /health on each until all have answered below 500 ----
enum { HEALTH_MAX = 8 };

struct health_target {
    const char *name;
    char *url; // allocated; the waiter frees it
    bool ready;
};

struct health_wait;
// Takes the targets over. done tells which are ready when all are, or at the limit.
struct health_wait *health_wait_start(struct gtv_loop *loop, struct gtv_http_client *client,
                                      const struct health_target *targets, size_t n, int64_t limit_ms,
                                      void (*done)(void *arg, const struct health_target *targets, size_t n),
                                      void *arg);
void health_wait_destroy(struct health_wait *w); // NULL is accepted

#endif
