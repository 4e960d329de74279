#include "services/streaming/lease.h"

#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    EXPIRY_MS = 5000,
    RENEW_MS = 1500, // two may fail before the key expires
};

struct gtv_lease {
    struct gtv_redis *redis; // NULL while it is away
    struct gtv_timer *timer;
    void (*on_held)(void *arg);
    void *arg;
    char token[33];
    bool held;
};

// One step in Redis, so that two that find the key missing cannot both have it.
static const char take_script[] = "local h=redis.call('GET',KEYS[1]) "
                                  "if h==ARGV[1] then redis.call('PEXPIRE',KEYS[1],ARGV[2]) return 1 end "
                                  "if h then return 0 end "
                                  "redis.call('SET',KEYS[1],ARGV[1],'PX',ARGV[2]) return 1";
static const char release_script[] =
    "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('DEL',KEYS[1]) end return 0";

static void taken_cb(void *arg, redisReply *reply)
{
    struct gtv_lease *l = arg;
    if (!reply)
        return; // away: gtv_lease_redis says so too
    bool before = l->held;
    l->held = reply->type == REDIS_REPLY_INTEGER && reply->integer == 1;
    if (l->held && !before && l->on_held)
        l->on_held(l->arg);
}

static void take(void *arg)
{
    struct gtv_lease *l = arg;
    if (l->redis)
        (void)gtv_redis_command(l->redis, taken_cb, l, "EVAL %s 1 %s %s %d", take_script, GTV_KEY_LEASE,
                                l->token, (int)EXPIRY_MS);
}

struct gtv_lease *gtv_lease_create(struct gtv_loop *loop, void (*on_held)(void *arg), void *arg)
{
    struct gtv_lease *l = GTV_NEW(struct gtv_lease);
    uint64_t random[2] = {0};
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        abort(); // the kernel has always 16 bytes
    snprintf(l->token, sizeof l->token, "%016llx%016llx", (unsigned long long)random[0],
             (unsigned long long)random[1]);
    l->on_held = on_held;
    l->arg = arg;
    l->timer = gtv_timer_create(loop, take, l);
    gtv_timer_start(l->timer, RENEW_MS, RENEW_MS);
    return l;
}

void gtv_lease_destroy(struct gtv_lease *l)
{
    if (!l)
        return;
    gtv_timer_destroy(l->timer);
    free(l);
}

void gtv_lease_redis(struct gtv_lease *l, struct gtv_redis *redis, bool up)
{
    l->redis = up ? redis : NULL;
    l->held = false;
    take(l);
}

bool gtv_lease_held(const struct gtv_lease *l)
{
    return !l->redis || l->held;
}

void gtv_lease_release(struct gtv_lease *l)
{
    if (l->redis && l->held)
        (void)gtv_redis_command(l->redis, NULL, NULL, "EVAL %s 1 %s %s", release_script, GTV_KEY_LEASE,
                                l->token);
    l->held = false;
    gtv_timer_stop(l->timer);
}
