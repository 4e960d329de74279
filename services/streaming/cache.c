#include "services/streaming/cache.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    SHARDS = 64,
    OVERHEAD = 1024, // what an entry costs beside its body
};

struct shard {
    pthread_mutex_t lock;
    struct gtv_map *map; // key -> entry; each holds one reference
};

struct gtv_cache {
    struct shard shards[SHARDS];
    atomic_size_t max_bytes;
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

void gtv_cache_set_max(struct gtv_cache *c, size_t max_bytes)
{
    atomic_store_explicit(&c->max_bytes, max_bytes, memory_order_relaxed);
}

static size_t max_of(const struct gtv_cache *c)
{
    return atomic_load_explicit(&c->max_bytes, memory_order_relaxed);
}

struct gtv_cache *gtv_cache_create(size_t max_bytes)
{
    struct gtv_cache *c = GTV_NEW(struct gtv_cache);
    gtv_cache_set_max(c, max_bytes);
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

// Until when an expired answer is worth keeping.
static int64_t kept_until(const struct gtv_entry *e)
{
    int64_t more =
        e->life.while_revalidate_ms > e->life.if_error_ms ? e->life.while_revalidate_ms : e->life.if_error_ms;
    if (e->validators && more < GTV_STALE_CONFIRM_MS)
        more = GTV_STALE_CONFIRM_MS;
    return atomic_load_explicit(&e->expires_ms, memory_order_relaxed) + more;
}

static bool within(const struct gtv_entry *e, int64_t more_ms, int64_t now_ms)
{
    return more_ms > 0 && now_ms < atomic_load_explicit(&e->expires_ms, memory_order_relaxed) + more_ms;
}

static enum gtv_cache_result judge(const struct gtv_entry *e, int64_t now_ms)
{
    if (!e)
        return GTV_CACHE_FILL;
    switch (atomic_load_explicit(&e->state, memory_order_acquire)) {
    case GTV_ENTRY_FILLING:
        return e->stale && within(e->stale, e->stale->life.while_revalidate_ms, now_ms) ? GTV_CACHE_STALE
                                                                                        : GTV_CACHE_JOIN;
    case GTV_ENTRY_READY:
        if (now_ms < atomic_load_explicit(&e->expires_ms, memory_order_relaxed))
            return GTV_CACHE_HIT;
        return now_ms < atomic_load_explicit(&e->retry_ms, memory_order_relaxed) ? GTV_CACHE_STALE
                                                                                 : GTV_CACHE_FILL;
    default:
        return GTV_CACHE_FILL;
    }
}

enum gtv_cache_result gtv_cache_lookup(struct gtv_cache *c, struct gtv_str key, size_t stream_len,
                                       bool is_playlist, int64_t now_ms, struct gtv_entry **out,
                                       struct gtv_entry **fill)
{
    struct shard *s = shard_of(c, key);
    struct gtv_entry *replaced = NULL;
    *fill = NULL;
    pthread_mutex_lock(&s->lock);
    struct gtv_entry *e = gtv_map_get(s->map, key);
    enum gtv_cache_result result = judge(e, now_ms);
    if (result == GTV_CACHE_FILL) {
        struct gtv_entry *n = gtv_entry_create(key, stream_len, is_playlist);
        if (e && atomic_load_explicit(&e->state, memory_order_acquire) == GTV_ENTRY_READY &&
            now_ms < kept_until(e)) {
            n->stale = e;
            gtv_entry_ref(e);
            if (within(e, e->life.while_revalidate_ms, now_ms))
                result = GTV_CACHE_STALE;
        }
        replaced = gtv_map_put(s->map, key, n);
        gtv_entry_ref(n);
        *fill = n;
        if (result == GTV_CACHE_FILL)
            e = n;
    } else {
        if (result == GTV_CACHE_STALE && e->stale &&
            atomic_load_explicit(&e->state, memory_order_relaxed) == GTV_ENTRY_FILLING)
            e = e->stale;
        if (!atomic_load_explicit(&e->visited, memory_order_relaxed))
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

// Counts e against the limit, and evicts until it fits.
static void queue_in(struct gtv_cache *c, struct gtv_entry *e)
{
    struct gtv_entry *victims = NULL;
    pthread_mutex_lock(&c->queue_lock);
    while (!e->queued && c->bytes + e->charge > max_of(c)) {
        struct gtv_entry *v = queue_evict(c);
        if (!v)
            break;
        v->older = victims; // out of the queue: its links are free
        victims = v;
    }
    if (!e->queued)
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

void gtv_cache_store(struct gtv_cache *c, struct gtv_entry *e, struct gtv_bytes *body, int64_t now_ms,
                     const struct gtv_entry_life *life)
{
    struct shard *s = shard_of(c, gtv_str_of(e->key));
    e->body = body;
    e->fetched_ms = now_ms - life->age_ms;
    e->life = *life;
    atomic_store_explicit(&e->expires_ms, now_ms + life->fresh_ms, memory_order_relaxed);
    if (!e->vary) { // nobody else reads it then
        free(e->asked.fields);
        e->asked = (struct gtv_entry_head){0};
    }
    e->charge = body->cap + e->head.bytes + e->whole.bytes + e->asked.bytes + OVERHEAD;
    // It was asked for already, but only later requests say that it is popular.
    atomic_store_explicit(&e->visited, false, memory_order_relaxed);
    pthread_mutex_lock(&s->lock); // look-ups read e->stale under it
    struct gtv_entry *stale = e->stale;
    e->stale = NULL;
    atomic_store_explicit(&e->state, GTV_ENTRY_READY, memory_order_release);
    pthread_mutex_unlock(&s->lock);
    gtv_entry_unref(stale);
    if (kept_until(e) <= now_ms || e->charge > max_of(c))
        map_forget(c, e);
    else
        queue_in(c, e);
}

bool gtv_cache_has_stale(const struct gtv_entry *e, int64_t now_ms)
{
    return e->stale && within(e->stale, e->stale->life.if_error_ms, now_ms);
}

void gtv_cache_forget_stale(struct gtv_cache *c, struct gtv_entry *e)
{
    struct shard *s = shard_of(c, gtv_str_of(e->key));
    pthread_mutex_lock(&s->lock);
    struct gtv_entry *stale = e->stale;
    e->stale = NULL;
    pthread_mutex_unlock(&s->lock);
    gtv_entry_unref(stale);
}

struct gtv_entry *gtv_cache_replace(struct gtv_cache *c, struct gtv_str key, size_t stream_len,
                                    bool is_playlist)
{
    struct shard *s = shard_of(c, key);
    struct gtv_entry *e = gtv_entry_create(key, stream_len, is_playlist);
    gtv_entry_ref(e); // the map's
    gtv_entry_ref(e); // the reader's
    pthread_mutex_lock(&s->lock);
    struct gtv_entry *replaced = gtv_map_put(s->map, key, e);
    pthread_mutex_unlock(&s->lock);
    if (replaced) {
        queue_forget(c, replaced);
        gtv_entry_unref(replaced);
    }
    return e;
}

void gtv_cache_fail(struct gtv_cache *c, struct gtv_entry *e, const struct gtv_error *err, bool down,
                    int64_t now_ms)
{
    struct gtv_str key = gtv_str_of(e->key);
    struct shard *s = shard_of(c, key);
    struct gtv_entry *stale = e->stale;
    e->error = *err;
    bool use_stale = down && gtv_cache_has_stale(e, now_ms);
    e->use_stale = use_stale;
    atomic_store_explicit(&e->state, GTV_ENTRY_FAILED, memory_order_release);
    if (!use_stale) {
        map_forget(c, e);
        return;
    }
    int64_t retry = now_ms + GTV_STALE_RETRY_MS,
            end = atomic_load_explicit(&stale->expires_ms, memory_order_relaxed) + stale->life.if_error_ms;
    atomic_store_explicit(&stale->retry_ms, retry < end ? retry : end, memory_order_relaxed);
    pthread_mutex_lock(&s->lock);
    bool mine = gtv_map_get(s->map, key) == e;
    if (mine) {
        gtv_entry_ref(stale);
        gtv_map_put(s->map, key, stale);
    }
    pthread_mutex_unlock(&s->lock);
    if (mine) {
        gtv_entry_unref(e);
        queue_in(c, stale);
    }
}

void gtv_cache_drop(struct gtv_cache *c, struct gtv_str key)
{
    struct shard *s = shard_of(c, key);
    pthread_mutex_lock(&s->lock);
    struct gtv_entry *e = gtv_map_get(s->map, key);
    bool ready = e && atomic_load_explicit(&e->state, memory_order_acquire) == GTV_ENTRY_READY;
    if (ready)
        gtv_map_remove(s->map, key);
    pthread_mutex_unlock(&s->lock);
    if (ready) {
        queue_forget(c, e);
        gtv_entry_unref(e);
    }
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

bool gtv_cache_has(struct gtv_cache *c, struct gtv_str key, int64_t now_ms)
{
    struct shard *s = shard_of(c, key);
    pthread_mutex_lock(&s->lock);
    const struct gtv_entry *e = gtv_map_get(s->map, key);
    bool has = judge(e, now_ms) == GTV_CACHE_HIT;
    pthread_mutex_unlock(&s->lock);
    return has;
}

void gtv_cache_sweep(struct gtv_cache *c, int64_t now_ms)
{
    struct gtv_entry *expired = NULL;
    pthread_mutex_lock(&c->queue_lock);
    for (struct gtv_entry *e = c->oldest, *next; e; e = next) {
        next = e->newer;
        if (kept_until(e) > now_ms)
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
