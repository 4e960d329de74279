#include "services/streaming/cameras.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

struct item {
    struct gtv_camera camera;
    int64_t changed_ms;
    int accepted; // by this node, its number + 1; 0: not that we knew
    bool dirty;   // Redis has not got it yet
    bool removed; // a tomb: Redis has not heard of the removal yet
};

struct gtv_cameras {
    pthread_mutex_t lock; // guards the map and the items
    struct gtv_map *map;  // id as text -> item
    atomic_bool loaded;
    char self[17];
};

static const struct gtv_log log_cameras = {"streaming", NULL, NULL};

#define KEY_CAP 24
static struct gtv_str key_of(int64_t id, char out[KEY_CAP])
{
    int n = snprintf(out, KEY_CAP, "%lld", (long long)id);
    return (struct gtv_str){out, (size_t)n};
}

struct gtv_cameras *gtv_cameras_create(void)
{
    struct gtv_cameras *c = GTV_NEW(struct gtv_cameras);
    pthread_mutex_init(&c->lock, NULL);
    c->map = gtv_map_create();
    uint64_t random = 0;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        abort(); // the kernel has always 8 bytes
    snprintf(c->self, sizeof c->self, "%016llx", (unsigned long long)random);
    return c;
}

const char *gtv_cameras_self(const struct gtv_cameras *c)
{
    return c->self;
}

void gtv_cameras_destroy(struct gtv_cameras *c)
{
    if (!c)
        return;
    gtv_map_destroy(c->map, free);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

// With the lock held. Tombs are not found.
static struct item *find(struct gtv_cameras *c, int64_t id)
{
    char key[KEY_CAP];
    struct item *it = gtv_map_get(c->map, key_of(id, key));
    return it && !it->removed ? it : NULL;
}

bool gtv_cameras_get(struct gtv_cameras *c, int64_t id, struct gtv_camera *out)
{
    pthread_mutex_lock(&c->lock);
    struct item *it = find(c, id);
    if (it)
        *out = it->camera;
    pthread_mutex_unlock(&c->lock);
    return it != NULL;
}

static int by_id(const void *a, const void *b)
{
    int64_t x = ((const struct gtv_camera *)a)->id, y = ((const struct gtv_camera *)b)->id;
    return (x > y) - (x < y);
}

struct gtv_camera *gtv_cameras_all(struct gtv_cameras *c, size_t *n)
{
    *n = 0;
    pthread_mutex_lock(&c->lock);
    struct gtv_camera *all = gtv_alloc((gtv_map_count(c->map) + 1) * sizeof *all);
    size_t at = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(c->map, &at, &key, &value))
        if (!((struct item *)value)->removed)
            all[(*n)++] = ((struct item *)value)->camera;
    pthread_mutex_unlock(&c->lock);
    qsort(all, *n, sizeof *all, by_id);
    return all;
}

size_t gtv_cameras_count(struct gtv_cameras *c)
{
    size_t n = 0, at = 0;
    struct gtv_str key;
    void *value;
    pthread_mutex_lock(&c->lock);
    while (gtv_map_next(c->map, &at, &key, &value))
        n += !((struct item *)value)->removed;
    pthread_mutex_unlock(&c->lock);
    return n;
}

bool gtv_cameras_has_room(struct gtv_cameras *c, int64_t id)
{
    char key[KEY_CAP];
    pthread_mutex_lock(&c->lock);
    bool room = gtv_map_count(c->map) < GTV_CAMERAS_MAX || gtv_map_get(c->map, key_of(id, key));
    pthread_mutex_unlock(&c->lock);
    return room;
}

int64_t gtv_cameras_changed_ms(struct gtv_cameras *c, int64_t id)
{
    pthread_mutex_lock(&c->lock);
    struct item *it = find(c, id);
    int64_t when = it ? it->changed_ms : 0;
    pthread_mutex_unlock(&c->lock);
    return when;
}

void gtv_cameras_accepted(struct gtv_cameras *c, int64_t id, int node)
{
    pthread_mutex_lock(&c->lock);
    struct item *it = find(c, id);
    if (it)
        it->accepted = node + 1;
    pthread_mutex_unlock(&c->lock);
}

int gtv_cameras_accepted_by(struct gtv_cameras *c, int64_t id)
{
    pthread_mutex_lock(&c->lock);
    struct item *it = find(c, id);
    int node = it ? it->accepted - 1 : -1;
    pthread_mutex_unlock(&c->lock);
    return node;
}

bool gtv_cameras_loaded(const struct gtv_cameras *c)
{
    return atomic_load_explicit(&c->loaded, memory_order_acquire);
}

// With the lock held.
static struct item *get_or_add(struct gtv_cameras *c, int64_t id)
{
    char key[KEY_CAP];
    struct item *it = gtv_map_get(c->map, key_of(id, key));
    if (!it) {
        it = GTV_NEW(struct item);
        (void)gtv_map_put(c->map, key_of(id, key), it);
    }
    return it;
}

// ---- writing to Redis ----

struct written {
    struct gtv_cameras *cameras;
    int64_t id, changed_ms;
    bool removed;
    gtv_cameras_stored_fn stored; // or NULL
    void *arg;
};

static void written_cb(void *arg, redisReply *reply)
{
    struct written *w = arg;
    bool ok = reply && reply->type != REDIS_REPLY_ERROR;
    if (reply && reply->type == REDIS_REPLY_ERROR)
        gtv_log_error(&log_cameras, "redis refuses to store a camera", "camera=cam_%lld cause=\"%s\"",
                      (long long)w->id, reply->str);
    char key[KEY_CAP];
    pthread_mutex_lock(&w->cameras->lock);
    struct item *it = gtv_map_get(w->cameras->map, key_of(w->id, key));
    // A change that came after the one that was written is still to be written.
    if (ok && it && it->changed_ms == w->changed_ms && it->removed == w->removed) {
        it->dirty = false;
        if (it->removed) {
            gtv_map_remove(w->cameras->map, key_of(w->id, key));
            free(it);
        }
    }
    pthread_mutex_unlock(&w->cameras->lock);
    if (w->stored)
        w->stored(w->arg);
    free(w);
}

// False: it was not sent, and stored is not called.
static bool write_item(struct gtv_cameras *c, struct gtv_redis *redis, const struct item *it,
                       gtv_cameras_stored_fn stored, void *arg)
{
    if (!redis || !gtv_redis_up(redis))
        return false;
    char key[KEY_CAP];
    struct gtv_str id = key_of(it->camera.id, key);
    struct written *w = GTV_NEW(struct written);
    *w = (struct written){c, it->camera.id, it->changed_ms, it->removed, stored, arg};
    bool sent;
    if (it->removed) {
        sent = gtv_redis_command(redis, written_cb, w, "HDEL %s %b", GTV_KEY_CAMERAS, id.p, id.n);
    } else {
        struct gtv_bytes *json = gtv_camera_write(&it->camera);
        sent = json && gtv_redis_command(redis, written_cb, w, "HSET %s %b %b", GTV_KEY_CAMERAS, id.p, id.n,
                                         json->data, json->len);
        gtv_bytes_unref(json);
    }
    if (!sent) {
        free(w);
        return false;
    }
    (void)gtv_redis_command(redis, NULL, NULL, "XADD %s MAXLEN ~ 1000 * id %b by %s", GTV_KEY_CAMERAS_NEWS,
                            id.p, id.n, c->self);
    return true;
}

static bool change(struct gtv_cameras *c, struct gtv_redis *redis, int64_t id,
                   const struct gtv_camera *camera, gtv_cameras_stored_fn stored, void *arg)
{
    pthread_mutex_lock(&c->lock);
    struct item *it = get_or_add(c, id);
    if (camera)
        it->camera = *camera;
    it->camera.id = id;
    it->removed = !camera;
    it->accepted = 0;
    it->changed_ms = gtv_mono_ms();
    it->dirty = true;
    struct item copy = *it;
    pthread_mutex_unlock(&c->lock);
    return write_item(c, redis, &copy, stored, arg);
}

bool gtv_cameras_put(struct gtv_cameras *c, struct gtv_redis *redis, const struct gtv_camera *camera,
                     gtv_cameras_stored_fn stored, void *arg)
{
    return change(c, redis, camera->id, camera, stored, arg);
}

bool gtv_cameras_remove(struct gtv_cameras *c, struct gtv_redis *redis, int64_t id)
{
    struct gtv_camera known;
    bool found = gtv_cameras_get(c, id, &known);
    // Before Redis was read it may hold a camera that we do not know yet: it must not come back.
    if (found || !gtv_cameras_loaded(c))
        (void)change(c, redis, id, NULL, NULL, NULL);
    return found;
}

// ---- reading from Redis ----

static bool parse_camera(struct gtv_str text, int64_t id, struct gtv_camera *out)
{
    struct gtv_error err = {0};
    yyjson_doc *doc = gtv_json_parse(text, &err);
    bool ok = doc && gtv_camera_parse(yyjson_doc_get_root(doc), out, &err) && out->id == id;
    yyjson_doc_free(doc);
    if (!ok)
        gtv_log_error(&log_cameras, "a stored camera cannot be read, it is left alone",
                      "camera=cam_%lld cause=\"%s\"", (long long)id, err.message);
    return ok;
}

static void take_stored(struct gtv_cameras *c, struct gtv_str id_text, struct gtv_str json,
                        struct gtv_map *seen)
{
    int64_t id;
    struct gtv_camera camera;
    if (!gtv_parse_int(id_text, 1, INT64_MAX, &id))
        return;
    if (seen)
        (void)gtv_map_put(seen, id_text, c);
    if (!gtv_cameras_has_room(c, id) || !parse_camera(json, id, &camera))
        return;
    pthread_mutex_lock(&c->lock);
    struct item *it = get_or_add(c, id);
    if (!it->dirty) {
        it->camera = camera;
        it->accepted = 0; // another replica may have changed it
    }
    pthread_mutex_unlock(&c->lock);
}

// Cameras that Redis does not have (any more): another replica removed them. But an empty Redis that used to
// have some has lost its memory, and is told again.
static void drop_or_restore(struct gtv_cameras *c, const struct gtv_map *seen)
{
    bool lost = gtv_map_count(seen) == 0;
    size_t at = 0;
    struct gtv_str key;
    void *value;
    pthread_mutex_lock(&c->lock);
    while (gtv_map_next(c->map, &at, &key, &value)) {
        struct item *it = value;
        if (it->dirty || gtv_map_get(seen, key))
            continue;
        if (lost) {
            it->dirty = true;
        } else {
            gtv_map_remove(c->map, key);
            free(it);
        }
    }
    pthread_mutex_unlock(&c->lock);
}

static void flush_dirty(struct gtv_cameras *c, struct gtv_redis *redis)
{
    size_t n = 0, at = 0;
    struct gtv_str key;
    void *value;
    pthread_mutex_lock(&c->lock);
    struct item *dirty = gtv_alloc((gtv_map_count(c->map) + 1) * sizeof *dirty);
    while (gtv_map_next(c->map, &at, &key, &value))
        if (((struct item *)value)->dirty)
            dirty[n++] = *(struct item *)value;
    pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; i < n; i++)
        (void)write_item(c, redis, &dirty[i], NULL, NULL);
    free(dirty);
}

struct reading {
    struct gtv_cameras *cameras;
    struct gtv_redis *redis;
    int64_t id;
};

static struct gtv_str str_of_reply(const redisReply *r)
{
    return r->type == REDIS_REPLY_STRING ? (struct gtv_str){r->str, r->len} : (struct gtv_str){"", 0};
}

static void all_cb(void *arg, redisReply *reply)
{
    struct reading *r = arg;
    if (reply && reply->type == REDIS_REPLY_ARRAY) {
        struct gtv_map *seen = gtv_map_create();
        for (size_t i = 0; i + 1 < reply->elements; i += 2)
            take_stored(r->cameras, str_of_reply(reply->element[i]), str_of_reply(reply->element[i + 1]),
                        seen);
        drop_or_restore(r->cameras, seen);
        gtv_log_info(&log_cameras, "desired cameras read from redis", "count=%zu", gtv_map_count(seen));
        gtv_map_destroy(seen, NULL);
        atomic_store_explicit(&r->cameras->loaded, true, memory_order_release);
        flush_dirty(r->cameras, r->redis);
    }
    free(r);
}

static void one_cb(void *arg, redisReply *reply)
{
    struct reading *r = arg;
    char key[KEY_CAP];
    if (reply && reply->type == REDIS_REPLY_STRING) {
        take_stored(r->cameras, key_of(r->id, key), str_of_reply(reply), NULL);
    } else if (reply && reply->type == REDIS_REPLY_NIL) {
        pthread_mutex_lock(&r->cameras->lock);
        struct item *it = gtv_map_get(r->cameras->map, key_of(r->id, key));
        if (it && !it->dirty) {
            gtv_map_remove(r->cameras->map, key_of(r->id, key));
            free(it);
        }
        pthread_mutex_unlock(&r->cameras->lock);
    }
    free(r);
}

void gtv_cameras_sync(struct gtv_cameras *c, struct gtv_redis *redis)
{
    flush_dirty(c, redis);
    struct reading *r = GTV_NEW(struct reading);
    *r = (struct reading){c, redis, 0};
    if (!gtv_redis_command(redis, all_cb, r, "HGETALL %s", GTV_KEY_CAMERAS))
        free(r);
}

void gtv_cameras_refresh(struct gtv_cameras *c, struct gtv_redis *redis, int64_t id)
{
    struct reading *r = GTV_NEW(struct reading);
    *r = (struct reading){c, redis, id};
    if (!gtv_redis_command(redis, one_cb, r, "HGET %s %lld", GTV_KEY_CAMERAS, (long long)id))
        free(r);
}
