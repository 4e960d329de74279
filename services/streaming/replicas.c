#include "services/streaming/replicas.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#define KEY_KEY      "gtv:playback:key"
#define KEY_REPLICAS "gtv:replicas"
#define KEY_VIEWERS  "gtv:viewers:"
#define KEY_KICKED   "gtv:playback:kicked"

enum {
    GONE_MS = 7000, // without a sign of life
    FORGOTTEN_MS = 60000,
    EXPIRY_S = 10,
    ID_CAP = 17,
    HEX_CAP = 2 * GTV_SESSION_KEY_LEN + 1,
};

struct gtv_replicas {
    struct gtv_app *app;
    struct gtv_redis *redis;
    char self[ID_CAP];
    bool others;         // were there at the last look
    uint64_t kicks_told; // version of the kicked names that Redis has
};

static void to_hex(const uint8_t *bytes, size_t n, char *out)
{
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = hex[bytes[i] >> 4];
        out[2 * i + 1] = hex[bytes[i] & 15];
    }
    out[2 * n] = '\0';
}

static bool from_hex(struct gtv_str text, uint8_t *out, size_t n)
{
    if (text.n != 2 * n)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0)
            return false;
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | v : v << 4);
    }
    return true;
}

struct gtv_replicas *gtv_replicas_create(struct gtv_app *app, struct gtv_redis *redis)
{
    struct gtv_replicas *r = GTV_NEW(struct gtv_replicas);
    uint8_t id[(ID_CAP - 1) / 2];
    if (RAND_bytes(id, sizeof id) != 1)
        abort();
    r->app = app;
    r->redis = redis;
    to_hex(id, sizeof id, r->self);
    return r;
}

void gtv_replicas_destroy(struct gtv_replicas *r)
{
    free(r);
}

const char *gtv_replicas_self(const struct gtv_replicas *r)
{
    return r->self;
}

// ---- the key ----

static void on_key(void *arg, redisReply *reply)
{
    struct gtv_replicas *r = arg;
    uint8_t key[GTV_SESSION_KEY_LEN];
    if (!reply || reply->type != REDIS_REPLY_STRING)
        return;
    if (from_hex((struct gtv_str){reply->str, reply->len}, key, sizeof key))
        gtv_sessions_set_key(r->app->sessions, key);
    else
        gtv_log_error(&r->app->log, "the deployment's key in redis cannot be read, this process signs alone",
                      "key=" KEY_KEY);
    OPENSSL_cleanse(key, sizeof key);
}

void gtv_replicas_redis_up(struct gtv_replicas *r)
{
    uint8_t key[GTV_SESSION_KEY_LEN];
    char hex[HEX_CAP];
    gtv_sessions_get_key(r->app->sessions, key);
    to_hex(key, sizeof key, hex);
    // The first one's key is everybody's; a Redis that lost its memory is told again.
    (void)gtv_redis_command(r->redis, NULL, NULL, "SET " KEY_KEY " %s NX", hex);
    (void)gtv_redis_command(r->redis, on_key, r, "GET " KEY_KEY);
    OPENSSL_cleanse(key, sizeof key);
    OPENSSL_cleanse(hex, sizeof hex);
    r->kicks_told = 0;
    gtv_replicas_tick(r);
}

// ---- who was ended ----

static void tell_kick(void *arg, struct gtv_str name, int64_t until_ms)
{
    struct gtv_replicas *r = arg;
    (void)gtv_redis_command(r->redis, NULL, NULL, "ZADD " KEY_KICKED " %lld %b", (long long)until_ms, name.p,
                            name.n);
}

static void on_kicked(void *arg, redisReply *reply)
{
    struct gtv_replicas *r = arg;
    int64_t wall_ms = gtv_wall_ms();
    if (!reply || reply->type != REDIS_REPLY_ARRAY)
        return;
    uint64_t before = gtv_sessions_kicks(r->app->sessions);
    for (size_t i = 0; i + 1 < reply->elements; i += 2) {
        const redisReply *name = reply->element[i], *until = reply->element[i + 1];
        double ms;
        if (name->type == REDIS_REPLY_STRING && until->type == REDIS_REPLY_STRING &&
            gtv_parse_double((struct gtv_str){until->str, until->len}, 0, 1e15, &ms))
            gtv_sessions_kick(r->app->sessions, (struct gtv_str){name->str, name->len}, (int64_t)ms);
    }
    if (gtv_sessions_kicks(r->app->sessions) != before)
        gtv_viewers_apply_kicks(r->app->viewers, wall_ms);
}

static void share_kicks(struct gtv_replicas *r, int64_t wall_ms)
{
    uint64_t version = gtv_sessions_kicks(r->app->sessions);
    if (version != r->kicks_told) {
        r->kicks_told = version;
        gtv_sessions_each_kicked(r->app->sessions, wall_ms, tell_kick, r);
        (void)gtv_redis_command(r->redis, NULL, NULL, "ZREMRANGEBYSCORE " KEY_KICKED " -inf %lld",
                                (long long)wall_ms);
    }
    (void)gtv_redis_command(r->redis, on_kicked, r,
                            "ZRANGEBYSCORE " KEY_KICKED " %lld +inf WITHSCORES LIMIT 0 %d",
                            (long long)wall_ms, (int)GTV_KICKED_MAX);
}

// ---- the others' viewers ----

static void on_viewers(void *arg, redisReply *reply)
{
    struct gtv_replicas *r = arg;
    if (!reply || reply->type != REDIS_REPLY_ARRAY)
        return;
    int64_t now_ms = gtv_mono_ms(), wall_ms = gtv_wall_ms();
    gtv_viewers_remote_begin(r->app->viewers);
    for (size_t i = 0; i < reply->elements; i++) {
        const redisReply *e = reply->element[i];
        if (e->type == REDIS_REPLY_STRING &&
            !gtv_replica_read(r->app->viewers, (struct gtv_str){e->str, e->len}, now_ms, wall_ms))
            gtv_log_warn(&r->app->log, "another replica's viewers cannot be read", NULL);
    }
    gtv_viewers_remote_end(r->app->viewers);
}

static void forget_others(struct gtv_replicas *r)
{
    if (r->others) {
        gtv_viewers_remote_begin(r->app->viewers);
        gtv_viewers_remote_end(r->app->viewers);
    }
    r->others = false;
}

static void tell_viewers(struct gtv_replicas *r)
{
    struct gtv_bytes *json = gtv_replica_write(r->app->viewers, gtv_mono_ms(), gtv_wall_ms());
    if (json)
        (void)gtv_redis_command(r->redis, NULL, NULL, "SET " KEY_VIEWERS "%s %b EX %d", r->self, json->data,
                                json->len, (int)EXPIRY_S);
    gtv_bytes_unref(json);
}

static void on_replicas(void *arg, redisReply *reply)
{
    struct gtv_replicas *r = arg;
    if (!reply || reply->type != REDIS_REPLY_ARRAY)
        return;
    char keys[GTV_REPLICAS_MAX][sizeof KEY_VIEWERS + ID_CAP];
    const char *argv[GTV_REPLICAS_MAX + 1] = {"MGET"};
    size_t lens[GTV_REPLICAS_MAX + 1] = {4};
    int n = 1;
    for (size_t i = 0; i < reply->elements && n <= GTV_REPLICAS_MAX; i++) {
        const redisReply *e = reply->element[i];
        if (e->type != REDIS_REPLY_STRING || e->len != ID_CAP - 1 || strcmp(e->str, r->self) == 0)
            continue;
        snprintf(keys[n - 1], sizeof keys[0], KEY_VIEWERS "%.16s", e->str);
        argv[n] = keys[n - 1];
        lens[n] = strlen(argv[n]);
        n++;
    }
    if (n == 1) {
        forget_others(r);
        return;
    }
    r->others = true;
    tell_viewers(r);
    (void)gtv_redis_command_argv(r->redis, on_viewers, r, n, argv, lens);
}

void gtv_replicas_tick(struct gtv_replicas *r)
{
    int64_t wall_ms = gtv_wall_ms();
    if (!gtv_redis_up(r->redis)) {
        forget_others(r); // what they said is no longer true
        return;
    }
    (void)gtv_redis_command(r->redis, NULL, NULL, "ZADD " KEY_REPLICAS " %lld %s", (long long)wall_ms,
                            r->self);
    (void)gtv_redis_command(r->redis, NULL, NULL, "ZREMRANGEBYSCORE " KEY_REPLICAS " -inf %lld",
                            (long long)(wall_ms - FORGOTTEN_MS));
    (void)gtv_redis_command(r->redis, on_replicas, r, "ZRANGEBYSCORE " KEY_REPLICAS " %lld +inf LIMIT 0 %d",
                            (long long)(wall_ms - GONE_MS), GTV_REPLICAS_MAX + 1);
    share_kicks(r, wall_ms);
}
