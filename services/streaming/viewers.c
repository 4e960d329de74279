#include "services/streaming/viewers.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SHARDS = 16,
    TARGET_DEFAULT_MS = 2000, // until the stream's first playlist was read
    ALIVE_TARGETS = 3,
    IDLE_STREAM_MS = 24 * 3600 * 1000, // a stream's sums are kept that long after its last request
};

struct stream {
    struct gtv_map *viewers; // address "\n" agent -> struct gtv_viewer
    size_t peak;
    uint64_t bytes;
    unsigned target_ms, window_ms;
    int64_t last_ms;
};

struct shard {
    pthread_mutex_t lock; // guards all of the shard
    struct gtv_map *streams;
};

struct gtv_viewers {
    size_t max_per_stream;
    atomic_size_t stream_count;
    struct shard shards[SHARDS];
};

static struct shard *shard_of(struct gtv_viewers *v, struct gtv_str stream)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < stream.n; i++)
        h = (h ^ (uint8_t)stream.p[i]) * 16777619u;
    return &v->shards[(h ^ h >> 16) % SHARDS];
}

struct gtv_viewers *gtv_viewers_create(size_t max_per_stream)
{
    struct gtv_viewers *v = GTV_NEW(struct gtv_viewers);
    v->max_per_stream = max_per_stream < GTV_VIEWERS_PER_STREAM ? max_per_stream : GTV_VIEWERS_PER_STREAM;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&v->shards[i].lock, NULL);
        v->shards[i].streams = gtv_map_create();
    }
    return v;
}

static void stream_free(void *p)
{
    struct stream *s = p;
    gtv_map_destroy(s->viewers, free);
    free(s);
}

void gtv_viewers_destroy(struct gtv_viewers *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        gtv_map_destroy(v->shards[i].streams, stream_free);
        pthread_mutex_destroy(&v->shards[i].lock);
    }
    free(v);
}

static bool alive(const struct stream *s, const struct gtv_viewer *viewer, int64_t now_ms)
{
    unsigned target = s->target_ms ? s->target_ms : TARGET_DEFAULT_MS;
    return now_ms - viewer->last_ms <= (int64_t)target * ALIVE_TARGETS;
}

static void prune_stream(struct stream *s, int64_t now_ms)
{
    size_t it = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(s->viewers, &it, &key, &value)) {
        if (alive(s, value, now_ms))
            continue;
        gtv_map_remove(s->viewers, key);
        free(value);
    }
}

// NULL when too many streams are known.
static struct stream *stream_get(struct gtv_viewers *v, struct shard *sh, struct gtv_str name)
{
    struct stream *s = gtv_map_get(sh->streams, name);
    if (s)
        return s;
    if (atomic_fetch_add(&v->stream_count, 1) >= GTV_VIEWED_STREAMS) {
        atomic_fetch_sub(&v->stream_count, 1);
        return NULL;
    }
    s = GTV_NEW(struct stream);
    s->viewers = gtv_map_create();
    (void)gtv_map_put(sh->streams, name, s);
    return s;
}

static struct gtv_str viewer_key(struct gtv_str address, struct gtv_str agent, char *out, size_t cap)
{
    size_t a = address.n < GTV_VIEWER_ADDRESS_CAP - 1 ? address.n : GTV_VIEWER_ADDRESS_CAP - 1;
    size_t u = agent.n < GTV_VIEWER_AGENT_MAX ? agent.n : GTV_VIEWER_AGENT_MAX;
    if (a + 1 + u > cap)
        u = cap - a - 1;
    memcpy(out, address.p ? address.p : "", a);
    out[a] = '\n';
    memcpy(out + a + 1, agent.p ? agent.p : "", u);
    return (struct gtv_str){out, a + 1 + u};
}

// NULL when the stream is full.
static struct gtv_viewer *viewer_add(struct gtv_viewers *v, struct stream *s, struct gtv_str key,
                                     int64_t now_ms)
{
    if (gtv_map_count(s->viewers) >= v->max_per_stream)
        prune_stream(s, now_ms);
    if (gtv_map_count(s->viewers) >= v->max_per_stream)
        return NULL;
    struct gtv_viewer *viewer = GTV_NEW(struct gtv_viewer);
    struct gtv_str rest = key;
    struct gtv_str address = gtv_str_cut(&rest, '\n');
    snprintf(viewer->address, sizeof viewer->address, GTV_STR_FMT, GTV_STR_ARG(address));
    snprintf(viewer->agent, sizeof viewer->agent, GTV_STR_FMT, GTV_STR_ARG(rest));
    viewer->since_ms = now_ms;
    (void)gtv_map_put(s->viewers, key, viewer);
    if (gtv_map_count(s->viewers) > s->peak)
        s->peak = gtv_map_count(s->viewers);
    return viewer;
}

bool gtv_viewers_touch(struct gtv_viewers *v, struct gtv_str stream, struct gtv_str address,
                       struct gtv_str agent, size_t bytes, int64_t now_ms)
{
    char text[GTV_VIEWER_ADDRESS_CAP + GTV_VIEWER_AGENT_MAX + 1];
    struct gtv_str key = viewer_key(address, agent, text, sizeof text);
    struct shard *sh = shard_of(v, stream);
    bool ok = true;
    pthread_mutex_lock(&sh->lock);
    struct stream *s = stream_get(v, sh, stream);
    if (s) {
        struct gtv_viewer *viewer = gtv_map_get(s->viewers, key);
        if (!viewer)
            viewer = viewer_add(v, s, key, now_ms);
        ok = viewer != NULL;
        if (viewer) {
            viewer->last_ms = now_ms;
            viewer->bytes += bytes;
            viewer->requests++;
            s->bytes += bytes;
        }
        s->last_ms = now_ms;
    }
    pthread_mutex_unlock(&sh->lock);
    return ok;
}

void gtv_viewers_add_bytes(struct gtv_viewers *v, struct gtv_str stream, struct gtv_str address,
                           struct gtv_str agent, size_t bytes)
{
    char text[GTV_VIEWER_ADDRESS_CAP + GTV_VIEWER_AGENT_MAX + 1];
    struct gtv_str key = viewer_key(address, agent, text, sizeof text);
    struct shard *sh = shard_of(v, stream);
    pthread_mutex_lock(&sh->lock);
    struct stream *s = gtv_map_get(sh->streams, stream);
    struct gtv_viewer *viewer = s ? gtv_map_get(s->viewers, key) : NULL;
    if (s)
        s->bytes += bytes;
    if (viewer)
        viewer->bytes += bytes;
    pthread_mutex_unlock(&sh->lock);
}

void gtv_viewers_set_window(struct gtv_viewers *v, struct gtv_str stream, unsigned target_ms,
                            unsigned window_ms)
{
    struct shard *sh = shard_of(v, stream);
    pthread_mutex_lock(&sh->lock);
    struct stream *s = stream_get(v, sh, stream);
    if (s) {
        s->target_ms = target_ms;
        s->window_ms = window_ms;
    }
    pthread_mutex_unlock(&sh->lock);
}

struct gtv_viewed_stream gtv_viewers_stream(struct gtv_viewers *v, struct gtv_str stream, int64_t now_ms)
{
    struct gtv_viewed_stream out = {0};
    struct shard *sh = shard_of(v, stream);
    pthread_mutex_lock(&sh->lock);
    struct stream *s = gtv_map_get(sh->streams, stream);
    if (s) {
        prune_stream(s, now_ms);
        out = (struct gtv_viewed_stream){gtv_map_count(s->viewers), s->peak, s->bytes, s->target_ms,
                                         s->window_ms};
    }
    pthread_mutex_unlock(&sh->lock);
    return out;
}

void gtv_viewers_total(struct gtv_viewers *v, int64_t now_ms, size_t *viewers, uint64_t *bytes)
{
    *viewers = 0;
    *bytes = 0;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *sh = &v->shards[i];
        size_t it = 0;
        struct gtv_str key;
        void *value;
        pthread_mutex_lock(&sh->lock);
        while (gtv_map_next(sh->streams, &it, &key, &value)) {
            struct stream *s = value;
            prune_stream(s, now_ms);
            *viewers += gtv_map_count(s->viewers);
            *bytes += s->bytes;
        }
        pthread_mutex_unlock(&sh->lock);
    }
}

void gtv_viewers_list(struct gtv_viewers *v, struct gtv_str stream, int64_t now_ms, size_t max,
                      void (*fn)(void *arg, const struct gtv_viewer *viewer), void *arg)
{
    struct shard *sh = shard_of(v, stream);
    pthread_mutex_lock(&sh->lock);
    struct stream *s = gtv_map_get(sh->streams, stream);
    size_t it = 0;
    struct gtv_str key;
    void *value;
    while (s && max && gtv_map_next(s->viewers, &it, &key, &value)) {
        if (!alive(s, value, now_ms))
            continue;
        fn(arg, value);
        max--;
    }
    pthread_mutex_unlock(&sh->lock);
}

void gtv_viewers_prune(struct gtv_viewers *v, int64_t now_ms)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *sh = &v->shards[i];
        size_t it = 0;
        struct gtv_str key;
        void *value;
        pthread_mutex_lock(&sh->lock);
        while (gtv_map_next(sh->streams, &it, &key, &value)) {
            struct stream *s = value;
            prune_stream(s, now_ms);
            if (gtv_map_count(s->viewers) == 0 && now_ms - s->last_ms > IDLE_STREAM_MS) {
                gtv_map_remove(sh->streams, key);
                stream_free(s);
                atomic_fetch_sub(&v->stream_count, 1);
            }
        }
        pthread_mutex_unlock(&sh->lock);
    }
}
