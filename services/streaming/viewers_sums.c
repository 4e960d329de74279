// The figures of what is watched, and what other replicas say of the same streams.

#include "services/streaming/viewers_internal.h"

#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAME_CAP = 256 };

// ---- figures ----

static uint64_t bitrate_of(const struct stream *s)
{
    if (s->rate_n < 2)
        return 0;
    unsigned slots = RATE_SECONDS + 1;
    unsigned newest = (s->rate_next + slots - 1) % slots, oldest = (s->rate_next + slots - s->rate_n) % slots;
    int64_t ms = s->rate[newest].at_ms - s->rate[oldest].at_ms;
    return ms > 0 ? (s->rate[newest].bytes - s->rate[oldest].bytes) * 8000 / (uint64_t)ms : 0;
}

// With the shard's lock held.
static struct gtv_viewed_stream figures(const struct stream *s, bool others)
{
    struct gtv_viewed_stream out = {
        .viewers = others ? viewers_count(s) : gtv_map_count(s->viewers),
        .peak = s->peak,
        .bytes = s->bytes,
        .requests = s->requests,
        .hits = s->hits,
        .bitrate = bitrate_of(s),
        .target_ms = s->target_ms,
        .window_ms = s->window_ms,
    };
    if (others) {
        out.bytes += s->others.bytes;
        out.requests += s->others.requests;
        out.hits += s->others.hits;
        out.bitrate += s->others.bitrate;
        out.peak = out.peak > s->others.peak ? out.peak : s->others.peak;
    }
    return out;
}

struct gtv_viewed_stream gtv_viewers_stream(struct gtv_viewers *v, struct gtv_str stream, int64_t now_ms)
{
    struct gtv_viewed_stream out = {0};
    struct shard *sh = viewers_shard(v, stream);
    pthread_mutex_lock(&sh->lock);
    struct stream *s = gtv_map_get(sh->streams, stream);
    if (s) {
        viewers_forget_gone(s, now_ms);
        out = figures(s, true);
    }
    pthread_mutex_unlock(&sh->lock);
    return out;
}

struct gtv_viewed_stream gtv_viewers_all(struct gtv_viewers *v, int64_t now_ms)
{
    struct gtv_viewed_stream all = {0};
    for (size_t i = 0; i < VIEWER_SHARDS; i++) {
        struct shard *sh = &v->shards[i];
        size_t it = 0;
        struct gtv_str key;
        void *value;
        pthread_mutex_lock(&sh->lock);
        while (gtv_map_next(sh->streams, &it, &key, &value)) {
            viewers_forget_gone(value, now_ms);
            struct gtv_viewed_stream one = figures(value, true);
            all.viewers += one.viewers;
            all.bytes += one.bytes;
            all.requests += one.requests;
            all.hits += one.hits;
            all.bitrate += one.bitrate;
        }
        pthread_mutex_unlock(&sh->lock);
    }
    size_t peak = atomic_load(&v->peak);
    while (all.viewers > peak && !atomic_compare_exchange_weak(&v->peak, &peak, all.viewers))
        ;
    all.peak = peak > all.viewers ? peak : all.viewers;
    return all;
}

void gtv_viewers_total(struct gtv_viewers *v, int64_t now_ms, size_t *viewers, uint64_t *bytes)
{
    struct gtv_viewed_stream all = gtv_viewers_all(v, now_ms);
    *viewers = all.viewers;
    *bytes = all.bytes;
}

// ---- each second ----

static void sample(struct stream *s, int64_t now_ms)
{
    unsigned slots = RATE_SECONDS + 1;
    if (s->rate_n == 0) { // it began within this second
        s->rate[s->rate_next++].at_ms = now_ms - 1000;
        s->rate_n++;
    }
    s->rate[s->rate_next].at_ms = now_ms;
    s->rate[s->rate_next].bytes = s->bytes;
    s->rate_next = (s->rate_next + 1) % slots;
    s->rate_n += s->rate_n < slots;
    uint32_t count = (uint32_t)viewers_count(s);
    s->minute.viewer_seconds += count;
    if (count > s->minute.viewers_max)
        s->minute.viewers_max = count;
}

void gtv_viewers_prune(struct gtv_viewers *v, int64_t now_ms)
{
    size_t viewers = 0;
    for (size_t i = 0; i < VIEWER_SHARDS; i++) {
        struct shard *sh = &v->shards[i];
        size_t it = 0;
        struct gtv_str key;
        void *value;
        pthread_mutex_lock(&sh->lock);
        while (gtv_map_next(sh->streams, &it, &key, &value)) {
            struct stream *s = value;
            viewers_forget_gone(s, now_ms);
            sample(s, now_ms);
            viewers += viewers_count(s);
            if (viewers_count(s) == 0 && now_ms - s->last_ms > IDLE_STREAM_MS) {
                gtv_map_remove(sh->streams, key);
                viewers_stream_free(s);
                atomic_fetch_sub(&v->stream_count, 1);
            }
        }
        pthread_mutex_unlock(&sh->lock);
    }
    v->all.viewer_seconds += viewers;
    if (viewers > v->all.viewers_max)
        v->all.viewers_max = (uint32_t)viewers;
    size_t peak = atomic_load(&v->peak);
    while (viewers > peak && !atomic_compare_exchange_weak(&v->peak, &peak, viewers))
        ;
}

// ---- each minute ----

struct taken {
    char name[NAME_CAP];
    struct gtv_viewed_minute minute;
};

// With the shard's lock held.
static struct gtv_viewed_minute minute_of(const struct stream *s)
{
    struct gtv_viewed_minute m = s->minute;
    m.bytes = s->bytes - s->minute.bytes;
    m.requests = s->requests - s->minute.requests;
    m.hits = s->hits - s->minute.hits;
    return m;
}

// With the shard's lock held: what the minute held, and the next one begins. False when it held nothing.
static bool turn_minute(struct stream *s, struct gtv_viewed_minute *out)
{
    *out = minute_of(s);
    s->minute = (struct gtv_viewed_minute){.bytes = s->bytes, .requests = s->requests, .hits = s->hits};
    return out->bytes || out->requests || out->viewers_max;
}

void gtv_viewers_take_minute(struct gtv_viewers *v,
                             void (*fn)(void *arg, struct gtv_str stream, const struct gtv_viewed_minute *m),
                             void *arg)
{
    struct gtv_viewed_minute all = v->all;
    for (size_t i = 0; i < VIEWER_SHARDS; i++) {
        struct shard *sh = &v->shards[i];
        size_t it = 0, n = 0;
        struct gtv_str key;
        void *value;
        pthread_mutex_lock(&sh->lock);
        struct taken *list = gtv_alloc((gtv_map_count(sh->streams) + 1) * sizeof *list);
        while (gtv_map_next(sh->streams, &it, &key, &value))
            if (turn_minute(value, &list[n].minute) && gtv_str_copy(list[n].name, NAME_CAP, key))
                n++;
        pthread_mutex_unlock(&sh->lock);
        for (size_t k = 0; k < n; k++) {
            all.bytes += list[k].minute.bytes;
            all.requests += list[k].minute.requests;
            all.hits += list[k].minute.hits;
            fn(arg, gtv_str_of(list[k].name), &list[k].minute);
        }
        free(list);
    }
    if (all.bytes || all.requests || all.viewers_max)
        fn(arg, GTV_STR("*"), &all);
    v->all = (struct gtv_viewed_minute){0};
}

void gtv_viewers_peek_minute(struct gtv_viewers *v, struct gtv_str stream, struct gtv_viewed_minute *out)
{
    *out = (struct gtv_viewed_minute){0};
    if (!gtv_str_eq(stream, GTV_STR("*"))) {
        struct shard *sh = viewers_shard(v, stream);
        pthread_mutex_lock(&sh->lock);
        const struct stream *s = gtv_map_get(sh->streams, stream);
        if (s)
            *out = minute_of(s);
        pthread_mutex_unlock(&sh->lock);
        return;
    }
    *out = v->all;
    for (size_t i = 0; i < VIEWER_SHARDS; i++) {
        size_t it = 0;
        struct gtv_str key;
        void *value;
        pthread_mutex_lock(&v->shards[i].lock);
        while (gtv_map_next(v->shards[i].streams, &it, &key, &value)) {
            struct gtv_viewed_minute m = minute_of(value);
            out->bytes += m.bytes;
            out->requests += m.requests;
            out->hits += m.hits;
        }
        pthread_mutex_unlock(&v->shards[i].lock);
    }
}

// ---- other replicas ----

void gtv_viewers_each_local(struct gtv_viewers *v, int64_t now_ms,
                            void (*stream)(void *arg, struct gtv_str name, const struct gtv_viewed_stream *s),
                            void (*viewer)(void *arg, const struct gtv_viewer *viewer), void *arg)
{
    for (size_t i = 0; i < VIEWER_SHARDS; i++) {
        struct shard *sh = &v->shards[i];
        size_t it = 0;
        struct gtv_str key, token;
        void *value, *one;
        pthread_mutex_lock(&sh->lock);
        while (gtv_map_next(sh->streams, &it, &key, &value)) {
            struct stream *s = value;
            size_t at = 0;
            viewers_forget_gone(s, now_ms);
            struct gtv_viewed_stream sums = figures(s, false);
            stream(arg, key, &sums);
            while (gtv_map_next(s->viewers, &at, &token, &one))
                viewer(arg, &((struct watching *)one)->v);
        }
        pthread_mutex_unlock(&sh->lock);
    }
}

// Calls fn for each stream, with its shard's lock held.
static void each_stream(struct gtv_viewers *v, void (*fn)(struct stream *s))
{
    for (size_t i = 0; i < VIEWER_SHARDS; i++) {
        size_t it = 0;
        struct gtv_str key;
        void *value;
        pthread_mutex_lock(&v->shards[i].lock);
        while (gtv_map_next(v->shards[i].streams, &it, &key, &value))
            fn(value);
        pthread_mutex_unlock(&v->shards[i].lock);
    }
}

static void round_begins(struct stream *s)
{
    size_t it = 0;
    struct gtv_str key;
    void *value;
    s->others_next = (struct gtv_viewed_stream){0};
    while (s->remote && gtv_map_next(s->remote, &it, &key, &value))
        ((struct remote *)value)->seen = false;
}

static void round_ends(struct stream *s)
{
    size_t it = 0;
    struct gtv_str key;
    void *value;
    s->others = s->others_next;
    if (!s->remote)
        return;
    while (gtv_map_next(s->remote, &it, &key, &value)) {
        struct remote *r = value;
        r->shared = false;
        if (!r->seen) {
            gtv_map_remove(s->remote, key);
            free(r);
        }
    }
    s->remote_only = gtv_map_count(s->remote);
    for (it = 0; gtv_map_next(s->viewers, &it, &key, &value);) {
        struct remote *r = gtv_map_get(s->remote, gtv_str_of(((struct watching *)value)->v.id));
        if (!r || r->shared)
            continue;
        r->shared = true;
        s->remote_only--;
    }
    if (viewers_count(s) > s->peak)
        s->peak = viewers_count(s);
}

void gtv_viewers_remote_begin(struct gtv_viewers *v)
{
    each_stream(v, round_begins);
}

void gtv_viewers_remote_end(struct gtv_viewers *v)
{
    each_stream(v, round_ends);
}

void gtv_viewers_remote_stream(struct gtv_viewers *v, struct gtv_str stream,
                               const struct gtv_viewed_stream *sums)
{
    struct shard *sh = viewers_shard(v, stream);
    pthread_mutex_lock(&sh->lock);
    struct stream *s = viewers_stream(v, sh, stream);
    if (s) {
        struct gtv_viewed_stream *o = &s->others_next;
        o->bytes += sums->bytes;
        o->requests += sums->requests;
        o->hits += sums->hits;
        o->bitrate += sums->bitrate;
        o->peak = o->peak > sums->peak ? o->peak : sums->peak;
    }
    pthread_mutex_unlock(&sh->lock);
}

void gtv_viewers_remote_viewer(struct gtv_viewers *v, struct gtv_str stream, const struct gtv_viewer *viewer)
{
    struct shard *sh = viewers_shard(v, stream);
    struct gtv_str id = gtv_str_of(viewer->id);
    pthread_mutex_lock(&sh->lock);
    struct stream *s = viewers_stream(v, sh, stream);
    if (s && !s->remote)
        s->remote = gtv_map_create();
    struct remote *r = s ? gtv_map_get(s->remote, id) : NULL;
    if (s && !r && gtv_map_count(s->remote) < GTV_VIEWERS_PER_STREAM) {
        r = GTV_NEW(struct remote);
        r->shared = true; // not counted before the round ends
        (void)gtv_map_put(s->remote, id, r);
    }
    if (r && r->seen) { // at two other replicas
        r->v.bytes += viewer->bytes;
        r->v.requests += viewer->requests;
        r->v.stalls += viewer->stalls;
        r->v.stalled_ms += viewer->stalled_ms;
        r->v.since_ms = r->v.since_ms < viewer->since_ms ? r->v.since_ms : viewer->since_ms;
        r->v.last_ms = r->v.last_ms > viewer->last_ms ? r->v.last_ms : viewer->last_ms;
    } else if (r) {
        r->v = *viewer;
        r->seen = true;
    }
    pthread_mutex_unlock(&sh->lock);
}
