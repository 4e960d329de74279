#include "services/supervisor/ready.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { REDIS_POLL_MS = 10, HEALTH_POLL_MS = 20, HEALTH_TIMEOUT_MS = 2000 };

struct redis_wait {
    char *path;
    struct gtv_timer *timer;
    int fd; // -1: not connected
    int64_t give_up_ms;
    void (*done)(void *arg, bool up);
    void *arg;
};

// A Unix socket connects, or fails, at once; the question is always small enough for its buffer.
static void ask(struct redis_wait *w)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (!gtv_str_copy(a.sun_path, sizeof(a.sun_path), gtv_str_of(w->path)))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6)
        w->fd = fd;
    else
        close(fd);
}

// While it still loads its data Redis answers with an error: then it is asked again.
static bool answered(struct redis_wait *w)
{
    char text[128];
    ssize_t n = recv(w->fd, text, sizeof(text), MSG_DONTWAIT);
    if (n < 0)
        return false;
    if (n >= 5 && memcmp(text, "+PONG", 5) == 0)
        return true;
    close(w->fd);
    w->fd = -1;
    return false;
}

static void redis_tick(void *arg)
{
    struct redis_wait *w = arg;
    bool up = w->fd >= 0 && answered(w);
    if (!up && w->fd < 0)
        ask(w);
    if (!up && gtv_mono_ms() < w->give_up_ms)
        return;
    gtv_timer_stop(w->timer);
    w->done(w->arg, up);
}

struct redis_wait *redis_wait_start(struct gtv_loop *loop, const char *socket_path, int64_t limit_ms,
                                    void (*done)(void *arg, bool up), void *arg)
{
    struct redis_wait *w = GTV_NEW(struct redis_wait);
    *w = (struct redis_wait){gtv_strdup(socket_path),
                             gtv_timer_create(loop, redis_tick, w),
                             -1,
                             gtv_mono_ms() + limit_ms,
                             done,
                             arg};
    gtv_timer_start(w->timer, REDIS_POLL_MS, REDIS_POLL_MS);
    return w;
}

void redis_wait_destroy(struct redis_wait *w)
{
    if (!w)
        return;
    gtv_timer_destroy(w->timer);
    if (w->fd >= 0)
        close(w->fd);
    free(w->path);
    free(w);
}

struct asked {
    struct health_wait *wait;
    struct gtv_http_fetch *fetch; // NULL: none in flight
};

struct health_wait {
    struct gtv_http_client *client;
    struct gtv_timer *timer;
    int64_t give_up_ms;
    struct health_target targets[HEALTH_MAX];
    struct asked asked[HEALTH_MAX];
    size_t n;
    void (*done)(void *arg, const struct health_target *targets, size_t n);
    void *arg;
};

static void on_health(void *arg, const struct gtv_http_response *r, const struct gtv_error *err)
{
    struct asked *a = arg;
    a->fetch = NULL;
    if (!err && r && r->status < 500)
        a->wait->targets[a - a->wait->asked].ready = true;
}

static void health_tick(void *arg)
{
    struct health_wait *w = arg;
    size_t ready = 0;
    for (size_t i = 0; i < w->n; i++)
        ready += w->targets[i].ready;
    if (ready == w->n || gtv_mono_ms() >= w->give_up_ms) {
        gtv_timer_stop(w->timer);
        w->done(w->arg, w->targets, w->n);
        return;
    }
    for (size_t i = 0; i < w->n; i++) {
        if (w->targets[i].ready || w->asked[i].fetch)
            continue;
        struct gtv_http_fetch_options o = {.url = w->targets[i].url, .timeout_ms = HEALTH_TIMEOUT_MS};
        struct gtv_http_fetch_callbacks cb = {.on_done = on_health};
        w->asked[i].fetch = gtv_http_fetch(w->client, &o, &cb, &w->asked[i]);
    }
}

struct health_wait *health_wait_start(struct gtv_loop *loop, struct gtv_http_client *client,
                                      const struct health_target *targets, size_t n, int64_t limit_ms,
                                      void (*done)(void *arg, const struct health_target *targets, size_t n),
                                      void *arg)
{
    struct health_wait *w = GTV_NEW(struct health_wait);
    w->client = client;
    w->timer = gtv_timer_create(loop, health_tick, w);
    w->give_up_ms = gtv_mono_ms() + limit_ms;
    w->n = n < HEALTH_MAX ? n : HEALTH_MAX;
    for (size_t i = 0; i < w->n; i++) {
        w->targets[i] = targets[i];
        w->asked[i].wait = w;
    }
    w->done = done;
    w->arg = arg;
    gtv_timer_start(w->timer, HEALTH_POLL_MS, HEALTH_POLL_MS);
    return w;
}

void health_wait_destroy(struct health_wait *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n; i++) {
        if (w->asked[i].fetch)
            gtv_http_fetch_cancel(w->asked[i].fetch);
        free(w->targets[i].url);
    }
    gtv_timer_destroy(w->timer);
    free(w);
}
