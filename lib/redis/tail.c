#include "lib/base/mem.h"
#include "lib/log/log.h"
#include "lib/redis/link.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BLOCK_MS = 10000,
    ANSWER_LIMIT_MS = BLOCK_MS + 5000,
    BATCH = 256,
    RETRY_MS = 1000,
};

struct gtv_redis_tail {
    struct gtv_redis_link *link;
    struct gtv_timer *retry;
    char key[128];
    char last[64]; // id of the last entry seen, or "$" until its meaning is pinned down, or where to begin
    void (*on_entry)(void *arg, const char *id, const redisReply *fields);
    void *arg;
    bool *destroyed; // set while entries are being handed out, so that on_entry may destroy the tail
};

static const struct gtv_log log_tail = {"redis", NULL, NULL};

static void next_read(struct gtv_redis_tail *t);

static void read_failed(struct gtv_redis_tail *t, const char *cause)
{
    gtv_log_warn(&log_tail, "cannot read the stream, trying again", "stream=%s cause=\"%s\"", t->key, cause);
    gtv_timer_start(t->retry, RETRY_MS, 0);
}

// [[key, [[id, [k, v, ...]], ...]]]: hands out the entries. False when the tail was destroyed meanwhile.
static bool hand_out(struct gtv_redis_tail *t, const redisReply *reply)
{
    if (reply->elements < 1 || reply->element[0]->elements < 2)
        return true;
    const redisReply *entries = reply->element[0]->element[1];
    bool destroyed = false;
    t->destroyed = &destroyed;
    for (size_t i = 0; i < entries->elements; i++) {
        const redisReply *e = entries->element[i];
        if (e->elements < 2 || e->element[0]->type != REDIS_REPLY_STRING)
            continue;
        snprintf(t->last, sizeof t->last, "%s", e->element[0]->str);
        if (e->element[1]->type != REDIS_REPLY_ARRAY)
            continue; // an entry that was trimmed away between
        t->on_entry(t->arg, e->element[0]->str, e->element[1]);
        if (destroyed)
            return false;
    }
    t->destroyed = NULL;
    return true;
}

static void entries_cb(void *arg, redisReply *reply)
{
    struct gtv_redis_tail *t = arg;
    if (!reply)
        return; // away: state_cb starts again
    if (reply->type == REDIS_REPLY_ERROR) {
        read_failed(t, reply->str);
        return;
    }
    if (reply->type == REDIS_REPLY_ARRAY && !hand_out(t, reply))
        return;
    next_read(t);
}

// "$" in every XREAD would lose what comes between two of them: it is asked for once and replaced by a real
// id.
static void last_id_cb(void *arg, redisReply *reply)
{
    struct gtv_redis_tail *t = arg;
    if (!reply)
        return;
    if (reply->type == REDIS_REPLY_ERROR) {
        read_failed(t, reply->str);
        return;
    }
    const char *id = "0-0";
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 && reply->element[0]->elements >= 1 &&
        reply->element[0]->element[0]->type == REDIS_REPLY_STRING)
        id = reply->element[0]->element[0]->str;
    snprintf(t->last, sizeof t->last, "%s", id);
    next_read(t);
}

static void next_read(struct gtv_redis_tail *t)
{
    char *cmd = NULL;
    int n;
    bool pin = strcmp(t->last, "$") == 0;
    if (pin)
        n = redisFormatCommand(&cmd, "XREVRANGE %s + - COUNT 1", t->key);
    else
        n = redisFormatCommand(&cmd, "XREAD COUNT %d BLOCK %d STREAMS %s %s", (int)BATCH, (int)BLOCK_MS,
                               t->key, t->last);
    if (n < 0)
        return;
    // A refusal means that the link just went away; state_cb comes back here.
    (void)gtv_redis_link_send(t->link, pin ? last_id_cb : entries_cb, t, cmd, (size_t)n, ANSWER_LIMIT_MS);
    redisFreeCommand(cmd);
}

static void retry_cb(void *arg)
{
    struct gtv_redis_tail *t = arg;
    if (gtv_redis_link_up(t->link))
        next_read(t);
}

static void state_cb(void *arg, bool up)
{
    struct gtv_redis_tail *t = arg;
    gtv_timer_stop(t->retry);
    if (up)
        next_read(t);
}

struct gtv_redis_tail *
gtv_redis_tail_create(struct gtv_loop *loop, const char *url, const char *client_name, const char *key,
                      const char *from, void (*on_entry)(void *arg, const char *id, const redisReply *fields),
                      void *arg, struct gtv_error *err)
{
    struct gtv_redis_target target;
    if (!gtv_redis_target_parse(url, &target, err))
        return NULL;
    struct gtv_redis_tail *t = GTV_NEW(struct gtv_redis_tail);
    if (!gtv_str_copy(t->key, sizeof t->key, gtv_str_of(key)) ||
        !gtv_str_copy(t->last, sizeof t->last, gtv_str_of(from))) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "the stream's name or start is too long");
        free(t);
        return NULL;
    }
    t->on_entry = on_entry;
    t->arg = arg;
    t->retry = gtv_timer_create(loop, retry_cb, t);
    t->link = gtv_redis_link_create(loop, &target, client_name, state_cb, t);
    return t;
}

const char *gtv_redis_tail_last(const struct gtv_redis_tail *t)
{
    return t->last;
}

void gtv_redis_tail_destroy(struct gtv_redis_tail *t)
{
    if (!t)
        return;
    if (t->destroyed)
        *t->destroyed = true;
    gtv_timer_destroy(t->retry);
    gtv_redis_link_destroy(t->link);
    free(t);
}
