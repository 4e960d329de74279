#include "services/streaming/l2.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/redis/redis.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    KEY_CAP = 1200,
    LOCK_MS = 2000, // a replica that sets it and dies delays the others by GTV_L2_WAIT_MS meanwhile
    AGAIN_MS = 25,  // between two looks at what another replica fetches
};

struct gtv_l2 {
    struct gtv_worker *worker;
    struct gtv_redis *redis;
    struct gtv_l2_get *gets; // that were not called back
    int64_t rest_until_ms;
    size_t unsent;
    struct gtv_counter *hits, *misses, *late, *away, *stored, *dropped, *failed;
};

// Lives until its callers and Redis have both let go of it.
//
//   LOOK   GET was sent            -> hit, or LOCK
//   LOCK   SET NX was sent         -> ours: fetch it; another's: AGAIN
//   AGAIN  waits, then LOOK        until GTV_L2_WAIT_MS are over
enum step { LOOK, LOCK, AGAIN };

struct gtv_l2_get {
    struct gtv_l2 *l2;
    struct gtv_l2_get *prev, *next;
    char *key;
    void (*fn)(void *arg, const struct gtv_l2_answer *answer);
    void *arg;
    struct gtv_timer *timer;
    enum step step;
    int64_t until_ms;
    bool over;   // called back, or cancelled
    bool asking; // a reply of Redis will come
};

struct put {
    struct gtv_l2 *l2;
    size_t bytes;
};

struct gtv_l2 *gtv_l2_create(struct gtv_worker *worker)
{
    struct gtv_app *app = worker->app;
    struct gtv_error err = {0};
    char name[32];
    if (!app->options.l2)
        return NULL;
    struct gtv_l2 *l2 = GTV_NEW(struct gtv_l2);
    l2->worker = worker;
    snprintf(name, sizeof name, "gtv-l2-%u", worker->index);
    l2->redis = gtv_redis_create(worker->loop, app->options.redis_url, name, NULL, NULL, &err);
    if (!l2->redis) {
        gtv_log_error(&app->log, "segments are not shared with other replicas", "cause=\"%s\"", err.message);
        free(l2);
        return NULL;
    }
    static const char looks[] = "gtv_streaming_hls_l2_lookups_total",
                      puts[] = "gtv_streaming_hls_l2_stores_total",
                      looks_help[] = "Look-ups of segments in Redis", puts_help[] = "Segments for Redis";
    l2->hits = gtv_metrics_counter(app->metrics, looks, "result=\"hit\"", looks_help);
    l2->misses = gtv_metrics_counter(app->metrics, looks, "result=\"miss\"", looks_help);
    l2->late = gtv_metrics_counter(app->metrics, looks, "result=\"late\"", looks_help);
    l2->away = gtv_metrics_counter(app->metrics, looks, "result=\"away\"", looks_help);
    l2->stored = gtv_metrics_counter(app->metrics, puts, "result=\"stored\"", puts_help);
    l2->dropped = gtv_metrics_counter(app->metrics, puts, "result=\"dropped\"", puts_help);
    l2->failed = gtv_metrics_counter(app->metrics, puts, "result=\"failed\"", puts_help);
    return l2;
}

// ---- looking ----

static void look(struct gtv_l2_get *g);

static void get_release(struct gtv_l2_get *g)
{
    if (!g->over || g->asking)
        return;
    free(g->key);
    free(g);
}

// From then on only Redis may still hold it.
static void get_end(struct gtv_l2_get *g)
{
    g->over = true;
    gtv_timer_destroy(g->timer);
    g->timer = NULL;
    if (g->prev)
        g->prev->next = g->next;
    else
        g->l2->gets = g->next;
    if (g->next)
        g->next->prev = g->prev;
}

static void get_answer(struct gtv_l2_get *g, const struct gtv_l2_answer *answer)
{
    void (*fn)(void *, const struct gtv_l2_answer *) = g->fn;
    void *arg = g->arg;
    get_end(g);
    fn(arg, answer);
    get_release(g);
}

static void rest(struct gtv_l2 *l2)
{
    l2->rest_until_ms = gtv_mono_ms() + GTV_L2_REST_MS;
}

static void on_timer(void *arg)
{
    struct gtv_l2_get *g = arg;
    if (g->step == AGAIN) {
        look(g);
        return;
    }
    gtv_counter_add(g->l2->late, 1);
    rest(g->l2);
    get_answer(g, NULL);
}

// Another replica fetches it: it is looked for again, for a while.
static void wait_for_other(struct gtv_l2_get *g)
{
    if (gtv_mono_ms() + AGAIN_MS > g->until_ms) {
        gtv_counter_add(g->l2->misses, 1);
        get_answer(g, NULL);
        return;
    }
    g->step = AGAIN;
    gtv_timer_start(g->timer, AGAIN_MS, 0);
}

static void on_lock(void *arg, redisReply *reply)
{
    struct gtv_l2_get *g = arg;
    g->asking = false;
    if (g->over) {
        get_release(g);
    } else if (reply && reply->type == REDIS_REPLY_NIL) {
        wait_for_other(g);
    } else {
        gtv_counter_add(g->l2->misses, 1);
        get_answer(g, NULL);
    }
}

static void lock(struct gtv_l2_get *g)
{
    g->step = LOCK;
    g->asking = true;
    if (gtv_redis_command(g->l2->redis, on_lock, g, "SET gtv:hls:lock:%s %u NX PX %d", g->key,
                          g->l2->worker->index, LOCK_MS)) {
        gtv_timer_start(g->timer, GTV_L2_LIMIT_MS, 0);
        return;
    }
    g->asking = false;
    gtv_counter_add(g->l2->away, 1);
    get_answer(g, NULL);
}

static bool is_part(const char *key)
{
    return strstr(key, "_part") != NULL;
}

static void on_value(void *arg, redisReply *reply)
{
    struct gtv_l2_get *g = arg;
    struct gtv_l2_answer answer;
    g->asking = false;
    if (g->over) {
        get_release(g);
        return;
    }
    if (reply && reply->type == REDIS_REPLY_STRING &&
        gtv_l2_decode((struct gtv_str){reply->str, reply->len}, gtv_wall_ms(), &answer)) {
        gtv_counter_add(g->l2->hits, 1);
        get_answer(g, &answer);
    } else if (reply && reply->type == REDIS_REPLY_NIL && !is_part(g->key)) {
        lock(g);
    } else {
        gtv_counter_add(reply ? g->l2->misses : g->l2->away, 1);
        get_answer(g, NULL);
    }
}

static bool send_look(struct gtv_l2_get *g)
{
    g->step = LOOK;
    g->asking = gtv_redis_command(g->l2->redis, on_value, g, "GET gtv:hls:%s", g->key);
    if (g->asking)
        gtv_timer_start(g->timer, GTV_L2_LIMIT_MS, 0);
    return g->asking;
}

static void look(struct gtv_l2_get *g)
{
    if (send_look(g))
        return;
    gtv_counter_add(g->l2->away, 1);
    get_answer(g, NULL);
}

struct gtv_l2_get *gtv_l2_get(struct gtv_l2 *l2, const char *key,
                              void (*fn)(void *arg, const struct gtv_l2_answer *answer), void *arg)
{
    if (!l2)
        return NULL;
    int64_t now_ms = gtv_mono_ms();
    if (now_ms < l2->rest_until_ms || !gtv_redis_up(l2->redis)) {
        gtv_counter_add(l2->away, 1);
        return NULL;
    }
    struct gtv_l2_get *g = GTV_NEW(struct gtv_l2_get);
    *g = (struct gtv_l2_get){.l2 = l2, .key = gtv_strdup(key), .fn = fn, .arg = arg, .next = l2->gets};
    if (g->next)
        g->next->prev = g;
    l2->gets = g;
    g->until_ms = now_ms + GTV_L2_WAIT_MS;
    g->timer = gtv_timer_create(l2->worker->loop, on_timer, g);
    if (send_look(g))
        return g;
    gtv_counter_add(l2->away, 1);
    gtv_l2_get_cancel(g);
    return NULL;
}

void gtv_l2_get_cancel(struct gtv_l2_get *g)
{
    if (!g)
        return;
    get_end(g);
    get_release(g);
}

// ---- storing ----

static void on_stored(void *arg, redisReply *reply)
{
    struct put *put = arg;
    bool ok = reply && reply->type == REDIS_REPLY_STATUS;
    put->l2->unsent -= put->bytes;
    gtv_counter_add(ok ? put->l2->stored : put->l2->failed, 1);
    free(put);
}

void gtv_l2_put(struct gtv_l2 *l2, const struct gtv_entry *e)
{
    if (!l2 || e->is_playlist || e->status != 200 || e->vary)
        return;
    int64_t now_ms = gtv_mono_ms();
    int64_t left_ms = atomic_load_explicit(&e->expires_ms, memory_order_relaxed) - now_ms;
    if (left_ms < GTV_L2_LIFE_MIN_MS || e->body->len > GTV_L2_OBJECT_MAX)
        return;
    struct gtv_bytes *text = NULL;
    if (now_ms >= l2->rest_until_ms && gtv_redis_up(l2->redis) &&
        l2->unsent + e->body->len <= GTV_L2_UNSENT_MAX)
        text = gtv_l2_encode(e, now_ms, gtv_wall_ms());
    struct put *put = GTV_NEW(struct put);
    *put = (struct put){l2, e->body->len};
    char key[KEY_CAP], ttl[24];
    int key_n = snprintf(key, sizeof key, "gtv:hls:%s", e->key);
    int ttl_n = snprintf(ttl, sizeof ttl, "%lld", (long long)left_ms);
    const char *argv[] = {"SET", key, text ? (const char *)text->data : "", "PX", ttl};
    const size_t lens[] = {3, (size_t)key_n, text ? text->len : 0, 2, (size_t)ttl_n};
    l2->unsent += put->bytes;
    if (!text || (size_t)key_n >= sizeof key ||
        !gtv_redis_command_argv(l2->redis, on_stored, put, 5, argv, lens)) {
        gtv_counter_add(l2->dropped, 1);
        l2->unsent -= put->bytes;
        free(put);
    } else {
        (void)gtv_redis_command(l2->redis, NULL, NULL, "DEL gtv:hls:lock:%s", e->key);
    }
    gtv_bytes_unref(text);
}

void gtv_l2_drop(struct gtv_l2 *l2, const char *key)
{
    if (l2)
        (void)gtv_redis_command(l2->redis, NULL, NULL, "DEL gtv:hls:%s", key);
}

void gtv_l2_destroy(struct gtv_l2 *l2)
{
    if (!l2)
        return;
    for (struct gtv_l2_get *g = l2->gets, *next; g; g = next) {
        next = g->next;
        gtv_l2_get_cancel(g);
    }
    gtv_redis_destroy(l2->redis);
    free(l2);
}
