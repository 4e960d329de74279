#include "services/streaming/cache.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"

#include <stdlib.h>

enum {
    SHARDS = 64,
    OVERHEAD = 512, // what an entry costs beside its body
};

struct shard {
    pthread_mutex_t lock;
    struct gtv_map *map; // key -> entry; each holds one reference
};

struct gtv_cache {
    struct shard shards[SHARDS];
    size_t max_bytes;
    pthread_mutex_t queue_lock; // guards all below
    struct gtv_entry *newest, *oldest;
    struct gtv_entry *hand; // where SIEVE looks next, towards newer; NULL: begin at the oldest
    size_t bytes, count;
};

static struct shard *shard_of(struct gtv_cache *c, struct gtv_str key)
{
    uint32_t h = 2166136261u; // FNV-1a: only spreads the locks, the map below has a seeded hash
    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (uint8_t)key.p[i]) * 16777619u;
    return &c->shards[(h ^ h >> 16) % SHARDS];
}

struct gtv_cache *gtv_cache_create(size_t max_bytes)
{
    struct gtv_cache *c = GTV_NEW(struct gtv_cache);
    c->max_bytes = max_bytes;
    pthread_mutex_init(&c->queue_lock, NULL);
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&c->shards[i].lock, NULL);
        c->shards[i].map = gtv_map_create();
    }
    return c;
}

static void unref_entry(void *e)
{
    gtv_entry_unref(e);
}

void gtv_cache_destroy(struct gtv_cache *c)
{
    if (!c)
        return;
    for (struct gtv_entry *e = c->newest, *next; e; e = next) {
        next = e->older;
        gtv_entry_unref(e);
    }
    for (size_t i = 0; i < SHARDS; i++) {
        gtv_map_destroy(c->shards[i].map, unref_entry);
        pthread_mutex_destroy(&c->shards[i].lock);
    }
    pthread_mutex_destroy(&c->queue_lock);
    free(c);
}

// ---- order of eviction: all with the queue's lock held ----

static void queue_remove(struct gtv_cache *c, struct gtv_entry *e)
{
    if (c->hand == e)
        c->hand = e->newer;
    if (e->newer)
        e->newer->older = e->older;
    else
        c->newest = e->older;
    if (e->older)
        e->older->newer = e->newer;
    else
        c->oldest = e->newer;
    e->newer = e->older = NULL;
    e->queued = false;
    c->bytes -= e->charge;
    c->count--;
}

static void queue_add(struct gtv_cache *c, struct gtv_entry *e)
{
    e->older = c->newest;
    if (c->newest)
        c->newest->newer = e;
    else
        c->oldest = e;
    c->newest = e;
    e->queued = true;
    c->bytes += e->charge;
    c->count++;
    gtv_entry_ref(e);
}

// SIEVE: from the hand on, what was visited gets a second chance, the first that was not goes.
static struct gtv_entry *queue_evict(struct gtv_cache *c)
{
    struct gtv_entry *e = c->hand ? c->hand : c->oldest;
    while (e && atomic_exchange_explicit(&e->visited, false, memory_order_relaxed))
        e = e->newer ? e->newer : c->oldest;
    if (!e)
        return NULL;
    c->hand = e->newer;
    queue_remove(c, e);
    return e;
}

// ---- the table ----

static void map_forget(struct gtv_cache *c, struct gtv_entry *e)
{
    struct gtv_str key = gtv_str_of(e->key);
    struct shard *s = shard_of(c, key);
    pthread_mutex_lock(&s->lock);
    bool mine = gtv_map_get(s->map, key) == e;
    if (mine)
        gtv_map_remove(s->map, key);
    pthread_mutex_unlock(&s->lock);
    if (mine)
        gtv_entry_unref(e);
}

static void queue_forget(struct gtv_cache *c, struct gtv_entry *e)
{
    pthread_mutex_lock(&c->queue_lock);
    bool queued = e->queued;
    if (queued)
        queue_remove(c, e);
    pthread_mutex_unlock(&c->queue_lock);
    if (queued)
        gtv_entry_unref(e);
}

enum gtv_cache_result gtv_cache_lookup(struct gtv_cache *c, struct gtv_str key, size_t stream_len,
                                       bool is_playlist, int64_t now_ms, struct gtv_entry **out)
{
    struct shard *s = shard_of(c, key);
    struct gtv_entry *replaced = NULL;
    enum gtv_cache_result result = GTV_CACHE_FILL;
    pthread_mutex_lock(&s->lock);
    struct gtv_entry *e = gtv_map_get(s->map, key);
    int state = e ? atomic_load_explicit(&e->state, memory_order_acquire) : GTV_ENTRY_FAILED;
    if (state == GTV_ENTRY_READY && now_ms < atomic_load_explicit(&e->expires_ms, memory_order_relaxed))
        result = GTV_CACHE_HIT;
    else if (state == GTV_ENTRY_FILLING)
        result = GTV_CACHE_JOIN;
    if (result == GTV_CACHE_FILL) {
        e = gtv_entry_create(key, stream_len, is_playlist);
        replaced = gtv_map_put(s->map, key, e);
    } else if (!atomic_load_explicit(&e->visited, memory_order_relaxed)) {
        atomic_store_explicit(&e->visited, true, memory_order_relaxed);
    }
    gtv_entry_ref(e);
    pthread_mutex_unlock(&s->lock);
    if (replaced) {
        queue_forget(c, replaced);
        gtv_entry_unref(replaced);
    }
    *out = e;
    return result;
}

void gtv_cache_store(struct gtv_cache *c, struct gtv_entry *e, struct gtv_bytes *body, int64_t now_ms,
                     int64_t life_ms)
{
    e->body = body;
    e->content_length = (int64_t)body->len;
    e->fetched_ms = now_ms;
    atomic_store_explicit(&e->expires_ms, now_ms + life_ms, memory_order_relaxed);
    e->charge = body->cap + OVERHEAD;
    // It was asked for already, but only later requests say that it is popular.
    atomic_store_explicit(&e->visited, false, memory_order_relaxed);
    atomic_store_explicit(&e->state, GTV_ENTRY_READY, memory_order_release);
    if (life_ms <= 0 || e->charge > c->max_bytes) {
        map_forget(c, e);
        return;
    }
    struct gtv_entry *victims = NULL;
    pthread_mutex_lock(&c->queue_lock);
    while (c->bytes + e->charge > c->max_bytes) {
        struct gtv_entry *v = queue_evict(c);
        if (!v)
            break;
        v->older = victims; // out of the queue: its links are free
        victims = v;
    }
    queue_add(c, e);
    pthread_mutex_unlock(&c->queue_lock);
    while (victims) {
        struct gtv_entry *v = victims;
        victims = v->older;
        v->older = NULL;
        map_forget(c, v);
        gtv_entry_unref(v);
    }
}

void gtv_cache_fail(struct gtv_cache *c, struct gtv_entry *e, const struct gtv_error *err)
{
    e->error = *err;
    atomic_store_explicit(&e->state, GTV_ENTRY_FAILED, memory_order_release);
    map_forget(c, e);
}

void gtv_cache_extend(struct gtv_cache *c, struct gtv_str key, int64_t until_ms)
{
    struct shard *s = shard_of(c, key);
    pthread_mutex_lock(&s->lock);
    struct gtv_entry *e = gtv_map_get(s->map, key);
    if (e && atomic_load_explicit(&e->state, memory_order_acquire) == GTV_ENTRY_READY &&
        atomic_load_explicit(&e->expires_ms, memory_order_relaxed) < until_ms)
        atomic_store_explicit(&e->expires_ms, until_ms, memory_order_relaxed);
    pthread_mutex_unlock(&s->lock);
}

void gtv_cache_sweep(struct gtv_cache *c, int64_t now_ms)
{
    struct gtv_entry *expired = NULL;
    pthread_mutex_lock(&c->queue_lock);
    for (struct gtv_entry *e = c->oldest, *next; e; e = next) {
        next = e->newer;
        if (atomic_load_explicit(&e->expires_ms, memory_order_relaxed) > now_ms)
            continue;
        queue_remove(c, e);
        e->older = expired;
        expired = e;
    }
    pthread_mutex_unlock(&c->queue_lock);
    while (expired) {
        struct gtv_entry *e = expired;
        expired = e->older;
        e->older = NULL;
        map_forget(c, e);
        gtv_entry_unref(e);
    }
}

size_t gtv_cache_bytes(struct gtv_cache *c)
{
    pthread_mutex_lock(&c->queue_lock);
    size_t n = c->bytes;
    pthread_mutex_unlock(&c->queue_lock);
    return n;
}

size_t gtv_cache_count(struct gtv_cache *c)
{
    pthread_mutex_lock(&c->queue_lock);
    size_t n = c->count;
    pthread_mutex_unlock(&c->queue_lock);
    return n;
}
