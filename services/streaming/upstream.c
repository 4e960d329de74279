#include "services/streaming/upstream.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct stream {
    struct gtv_upstream_session session;
    int64_t used_ms;
    bool no_blocking; // its playlists do not know _HLS_msn
};

struct gtv_upstream {
    atomic_bool wants_sessions;
    pthread_mutex_t lock; // guards what follows
    struct gtv_map *streams;
    uint64_t last_serial;
};

struct gtv_upstream *gtv_upstream_create(void)
{
    struct gtv_upstream *u = GTV_NEW(struct gtv_upstream);
    pthread_mutex_init(&u->lock, NULL);
    u->streams = gtv_map_create();
    return u;
}

void gtv_upstream_destroy(struct gtv_upstream *u)
{
    if (!u)
        return;
    gtv_map_destroy(u->streams, free);
    pthread_mutex_destroy(&u->lock);
    free(u);
}

struct gtv_upstream_session gtv_upstream_session(struct gtv_upstream *u, struct gtv_str stream,
                                                 int64_t now_ms)
{
    struct gtv_upstream_session found = {0};
    pthread_mutex_lock(&u->lock);
    struct stream *s = gtv_map_get(u->streams, stream);
    if (s && s->session.serial && now_ms - s->used_ms < GTV_UPSTREAM_IDLE_MS) {
        s->used_ms = now_ms;
        found = s->session;
    }
    pthread_mutex_unlock(&u->lock);
    return found;
}

// With the lock held, and only when the table is full.
static void forget_idle(struct gtv_upstream *u, int64_t now_ms)
{
    size_t it = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(u->streams, &it, &key, &value)) {
        struct stream *s = value;
        if (now_ms - s->used_ms >= GTV_UPSTREAM_IDLE_MS)
            free(gtv_map_remove(u->streams, key));
    }
}

// With the lock held. NULL when there is no room.
static struct stream *stream_of(struct gtv_upstream *u, struct gtv_str name, int64_t now_ms)
{
    struct stream *s = gtv_map_get(u->streams, name);
    if (s)
        return s;
    if (gtv_map_count(u->streams) >= GTV_UPSTREAM_STREAMS)
        forget_idle(u, now_ms);
    if (gtv_map_count(u->streams) >= GTV_UPSTREAM_STREAMS)
        return NULL;
    s = GTV_NEW(struct stream);
    s->used_ms = now_ms;
    gtv_map_put(u->streams, name, s);
    return s;
}

void gtv_upstream_began(struct gtv_upstream *u, struct gtv_str stream, struct gtv_str id, int64_t now_ms)
{
    pthread_mutex_lock(&u->lock);
    struct stream *s = stream_of(u, stream, now_ms);
    if (s) {
        s->used_ms = now_ms;
        s->session.serial = ++u->last_serial;
        if (!gtv_str_copy(s->session.id, sizeof s->session.id, id))
            s->session.id[0] = '\0';
    }
    pthread_mutex_unlock(&u->lock);
}

void gtv_upstream_ended(struct gtv_upstream *u, struct gtv_str stream, uint64_t serial)
{
    pthread_mutex_lock(&u->lock);
    struct stream *s = gtv_map_get(u->streams, stream);
    if (s && s->session.serial == serial)
        s->session = (struct gtv_upstream_session){0};
    pthread_mutex_unlock(&u->lock);
}

bool gtv_upstream_blocking(struct gtv_upstream *u, struct gtv_str stream)
{
    pthread_mutex_lock(&u->lock);
    const struct stream *s = gtv_map_get(u->streams, stream);
    bool blocking = !s || !s->no_blocking;
    pthread_mutex_unlock(&u->lock);
    return blocking;
}

void gtv_upstream_set_blocking(struct gtv_upstream *u, struct gtv_str stream, bool blocking, int64_t now_ms)
{
    pthread_mutex_lock(&u->lock);
    struct stream *s = stream_of(u, stream, now_ms);
    if (s)
        s->no_blocking = !blocking;
    pthread_mutex_unlock(&u->lock);
}

bool gtv_upstream_wants_sessions(struct gtv_upstream *u)
{
    return atomic_load_explicit(&u->wants_sessions, memory_order_relaxed);
}

void gtv_upstream_set_wants_sessions(struct gtv_upstream *u, bool wants)
{
    atomic_store_explicit(&u->wants_sessions, wants, memory_order_relaxed);
}
