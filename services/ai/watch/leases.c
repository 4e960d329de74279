#include "services/ai/watch/leases.h"

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/log/log.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// The others are waited for that many rounds before a camera beyond the fair share is taken: they may be
// full.
enum { PATIENCE_ROUNDS = 3, HEAD = 9 }; // HEAD: words of the command before the cameras

struct lease {
    int64_t id;
    bool held, wanted;
    unsigned free_rounds; // in which nobody had it
    char owner[GTV_LEASE_OWNER_CAP];
};

struct gtv_leases {
    struct gtv_leases_config config;
    struct gtv_log log;
    struct gtv_redis *redis;
    struct gtv_timer *tick;
    struct gtv_map *leases;
    int64_t *asked; // the ids of the round in progress
    size_t asked_count;
    bool asking, again, closing;
    int64_t sent_ms, confirmed_ms; // monotonic: the last round that was answered was sent then
    size_t members, held;
};

// KEYS: members. ARGV: owner, ttl, max, prefix, wall ms, then for each camera its id and how impatient we are
// (1: take it whatever the share). Answers: members, then for each camera the owner after this round.
static const char script[] =
    "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000) "
    "local me, ttl, max = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]) "
    "redis.call('ZADD', KEYS[1], now, me) "
    "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ttl) "
    "redis.call('PEXPIRE', KEYS[1], 60000) "
    "local room = KEYS[1] .. ':max' redis.call('HSET', room, me, max) redis.call('PEXPIRE', room, 60000) "
    "local members = redis.call('ZRANGE', KEYS[1], 0, -1) "
    "local count, owners, n, total = {}, {}, #members, (#ARGV - 5) / 2 "
    "for _, m in ipairs(members) do count[m] = 0 end "
    "for i = 1, total do "
    "local v = redis.call('GET', ARGV[4] .. ARGV[4 + 2 * i]) "
    "local o = v and string.match(v, '^(.*)|%d+$') or '' "
    "owners[i] = o "
    "if count[o] then count[o] = count[o] + 1 end "
    "end "
    "local low, high = math.floor(total / n), math.ceil(total / n) "
    "local poor = false "
    "for m, c in pairs(count) do "
    "if m ~= me and c < low and c < tonumber(redis.call('HGET', room, m) or 0) then poor = true end end "
    "local mine = count[me] "
    "local give = 0 "
    "if poor and mine > low then give = mine - (mine > high and high or low) if give < 1 then give = 1 end "
    "end "
    "for i = 1, total do local key = ARGV[4] .. ARGV[4 + 2 * i] "
    "if owners[i] == me then "
    "if give > 0 or mine > max then redis.call('DEL', key) owners[i] = '' give = give - 1 mine = mine - 1 "
    "else redis.call('PEXPIRE', key, ttl) end "
    "elseif owners[i] == '' and mine < max and (mine < high or ARGV[5 + 2 * i] == '1') then "
    "redis.call('SET', key, me .. '|' .. ARGV[5], 'PX', ttl) owners[i] = me mine = mine + 1 "
    "end end "
    "table.insert(owners, 1, tostring(n)) return owners";

const char *gtv_lease_key(int64_t camera_id, char out[GTV_LEASE_KEY_CAP])
{
    snprintf(out, GTV_LEASE_KEY_CAP, "%s%lld", GTV_KEY_LEASE_PREFIX, (long long)camera_id);
    return out;
}

void gtv_lease_owner(char out[GTV_LEASE_OWNER_CAP])
{
    char host[32] = "ai";
    uint32_t chance = 0;
    (void)gethostname(host, sizeof(host) - 1);
    for (char *p = host; *p; p++)
        if (*p == '|' || *p <= ' ')
            *p = '-';
    if (RAND_bytes((unsigned char *)&chance, sizeof(chance)) != 1)
        chance = (uint32_t)gtv_mono_ns();
    snprintf(out, GTV_LEASE_OWNER_CAP, "%.31s-%ld-%08x", host, (long)getpid(), chance);
}

static struct lease *find(const struct gtv_leases *l, int64_t id)
{
    char key[24];
    snprintf(key, sizeof(key), "%lld", (long long)id);
    return gtv_map_get(l->leases, gtv_str_of(key));
}

static struct lease *find_or_make(struct gtv_leases *l, int64_t id)
{
    struct lease *one = find(l, id);
    if (one)
        return one;
    char key[24];
    snprintf(key, sizeof(key), "%lld", (long long)id);
    one = GTV_NEW(struct lease);
    one->id = id;
    (void)gtv_map_put(l->leases, gtv_str_of(key), one);
    return one;
}

static void set_held(struct gtv_leases *l, struct lease *one, bool held)
{
    if (one->held == held)
        return;
    one->held = held;
    l->held = held ? l->held + 1 : l->held - 1;
    if (!l->closing)
        l->config.on_change(l->config.arg, one->id, held);
}

// KEYS: lease. ARGV: owner.
static const char release_script[] =
    "local v = redis.call('GET', KEYS[1]) "
    "if v and string.match(v, '^(.*)|%d+$') == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1";

static void release(struct gtv_leases *l, const struct lease *one)
{
    char key[GTV_LEASE_KEY_CAP];
    if (l->redis && one->held)
        (void)gtv_redis_command(l->redis, NULL, NULL, "EVAL %s 1 %s %s", release_script,
                                gtv_lease_key(one->id, key), l->config.owner);
}

// What is wanted no longer is given up.
static void forget_unwanted(struct gtv_leases *l)
{
    size_t it = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(l->leases, &it, &key, &value)) {
        struct lease *one = value;
        if (one->wanted)
            continue;
        release(l, one);
        set_held(l, one, false);
        (void)gtv_map_remove(l->leases, key);
        free(one);
    }
}

static void take_owner(struct gtv_leases *l, struct lease *one, const char *owner)
{
    snprintf(one->owner, sizeof(one->owner), "%s", owner);
    one->free_rounds = *owner ? 0 : one->free_rounds + 1;
    set_held(l, one, strcmp(owner, l->config.owner) == 0);
}

static void ask(void *arg);

static void on_reply(void *arg, redisReply *reply)
{
    struct gtv_leases *l = arg;
    l->asking = false;
    if (reply && reply->type == REDIS_REPLY_ERROR)
        gtv_log_warn(&l->log, "Redis did not share out the cameras", "cause=\"%.120s\"", reply->str);
    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == l->asked_count + 1) {
        l->confirmed_ms = l->sent_ms;
        l->members = (size_t)strtoul(reply->element[0]->str, NULL, 10);
        for (size_t i = 0; i < l->asked_count; i++) {
            struct lease *one = find(l, l->asked[i]);
            if (one && one->wanted)
                take_owner(l, one, reply->element[i + 1]->str);
        }
    }
    if (l->again && !l->closing) {
        l->again = false;
        ask(l);
    }
}

static void collect_wanted(struct gtv_leases *l)
{
    size_t it = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(l->leases, &it, &key, &value))
        ((struct lease *)value)->wanted = false;
    l->asked_count = l->config.wanted(l->config.arg, l->asked, GTV_LEASE_MAX);
    for (size_t i = 0; i < l->asked_count; i++)
        find_or_make(l, l->asked[i])->wanted = true;
}

static void ask(void *arg)
{
    struct gtv_leases *l = arg;
    if (l->asking) {
        l->again = true;
        return;
    }
    collect_wanted(l);
    forget_unwanted(l);
    if (!l->redis || !gtv_redis_up(l->redis))
        return;
    size_t argc = HEAD + 2 * l->asked_count, n = 0;
    const char **argv = gtv_alloc(argc * sizeof(*argv));
    size_t *lens = gtv_alloc(argc * sizeof(*lens));
    char(*ids)[24] = gtv_alloc((l->asked_count ? l->asked_count : 1) * sizeof(*ids));
    char ttl[16], max[24], wall[24];
    snprintf(ttl, sizeof(ttl), "%d", GTV_LEASE_TTL_MS);
    snprintf(max, sizeof(max), "%zu", l->config.max);
    snprintf(wall, sizeof(wall), "%lld", (long long)gtv_wall_ms());
    const char *const head[HEAD] = {
        "EVAL", script, "1", GTV_KEY_AI_MEMBERS, l->config.owner, ttl, max, GTV_KEY_LEASE_PREFIX, wall};
    for (; n < HEAD; n++)
        argv[n] = head[n];
    for (size_t i = 0; i < l->asked_count; i++) {
        const struct lease *one = find(l, l->asked[i]);
        snprintf(ids[i], sizeof(ids[i]), "%lld", (long long)l->asked[i]);
        argv[n++] = ids[i];
        argv[n++] = one->free_rounds >= PATIENCE_ROUNDS ? "1" : "0";
    }
    for (size_t i = 0; i < n; i++)
        lens[i] = strlen(argv[i]);
    l->sent_ms = gtv_mono_ms();
    l->asking = gtv_redis_command_argv(l->redis, on_reply, l, (int)n, argv, lens);
    free(argv);
    free(lens);
    free(ids);
}

struct gtv_leases *gtv_leases_create(const struct gtv_leases_config *config)
{
    struct gtv_leases *l = GTV_NEW(struct gtv_leases);
    l->config = *config;
    l->log = (struct gtv_log){.component = "ai"};
    l->leases = gtv_map_create();
    l->asked = gtv_alloc(GTV_LEASE_MAX * sizeof(*l->asked));
    l->tick = gtv_timer_create(config->loop, ask, l);
    gtv_timer_start(l->tick, GTV_LEASE_TICK_MS, GTV_LEASE_TICK_MS);
    return l;
}

void gtv_leases_destroy(struct gtv_leases *l)
{
    if (!l)
        return;
    gtv_timer_destroy(l->tick);
    gtv_map_destroy(l->leases, free);
    free(l->asked);
    free(l);
}

void gtv_leases_redis(struct gtv_leases *l, struct gtv_redis *redis)
{
    l->redis = redis;
}

void gtv_leases_soon(struct gtv_leases *l)
{
    ask(l);
}

void gtv_leases_release_all(struct gtv_leases *l)
{
    size_t it = 0;
    struct gtv_str key;
    void *value;
    l->closing = true;
    gtv_timer_stop(l->tick);
    while (gtv_map_next(l->leases, &it, &key, &value))
        release(l, value);
    if (l->redis)
        (void)gtv_redis_command(l->redis, NULL, NULL, "ZREM %s %s", GTV_KEY_AI_MEMBERS, l->config.owner);
    if (l->redis)
        (void)gtv_redis_command(l->redis, NULL, NULL, "HDEL %s:max %s", GTV_KEY_AI_MEMBERS, l->config.owner);
}

bool gtv_leases_held(const struct gtv_leases *l, int64_t camera_id)
{
    const struct lease *one = find(l, camera_id);
    return one && one->held;
}

bool gtv_leases_sure(const struct gtv_leases *l, int64_t camera_id)
{
    if (!gtv_leases_held(l, camera_id))
        return false;
    return !l->redis || !gtv_redis_up(l->redis) || gtv_mono_ms() - l->confirmed_ms < GTV_LEASE_TTL_MS;
}

const char *gtv_leases_owner(const struct gtv_leases *l, int64_t camera_id)
{
    const struct lease *one = find(l, camera_id);
    return one && one->owner[0] ? one->owner : NULL;
}

size_t gtv_leases_members(const struct gtv_leases *l)
{
    return l->members;
}
