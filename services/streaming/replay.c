#include "services/streaming/replay.h"

#include "lib/base/mem.h"
#include "services/streaming/control.h"
#include "services/streaming/hub.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TAIL_WAIT_MS = 100, // for the tail to say where it stands
    TAIL_WAITS = 50,
};

struct gtv_replays {
    struct gtv_control *control;
    struct gtv_replay *first, **end;
    size_t running;
    struct gtv_timer *retry;
};

struct gtv_replay *gtv_replay_create(struct gtv_worker *worker, struct gtv_client *client, const char *stream,
                                     const char *types, struct gtv_str since)
{
    struct gtv_event_id id;
    struct gtv_replay *r = GTV_NEW(struct gtv_replay);
    if (!gtv_event_id_parse(since, &id) || !gtv_str_copy(r->since, sizeof r->since, since)) {
        free(r);
        return NULL;
    }
    r->worker = worker;
    r->client = client;
    r->stream = gtv_strdup(stream);
    r->types = gtv_strdup(types);
    r->last = id;
    return r;
}

static void drop_chunk(struct gtv_replay *r)
{
    for (size_t i = 0; i < r->count; i++)
        gtv_message_unref(r->chunk[i]);
    r->count = 0;
}

void gtv_replay_free(struct gtv_replay *r)
{
    if (!r)
        return;
    drop_chunk(r);
    free(r->stream);
    free(r->types);
    free(r);
}

// ---- on the control loop ----

static void start_next(struct gtv_replays *all);
static void read_chunk(struct gtv_replays *all, struct gtv_replay *r);

static void arrived(void *arg)
{
    struct gtv_replay *r = arg;
    struct gtv_replays *all = r->worker->app->control ? r->worker->app->control->replays : NULL;
    if (!all) { // shutting down
        gtv_replay_free(r);
        return;
    }
    r->next = NULL;
    *all->end = r;
    all->end = &r->next;
    start_next(all);
}

bool gtv_replay_next(struct gtv_replay *r)
{
    return gtv_loop_post(r->worker->app->workers[0].loop, arrived, r);
}

// The chunk, and perhaps the end of the replay, go to the client's loop.
static void hand_over(struct gtv_replays *all, struct gtv_replay *r)
{
    all->running--;
    if (!gtv_loop_post(r->worker->loop, gtv_hub_replayed, r)) {
        // It has 65,536 posts waiting, or ended. The client is told so when it takes some again.
        drop_chunk(r);
        r->gap = r->live = true;
        r->next = all->first;
        if (!all->first)
            all->end = &r->next;
        all->first = r;
        gtv_timer_start(all->retry, TAIL_WAIT_MS, 0);
    }
}

static void give_up(struct gtv_replays *all, struct gtv_replay *r)
{
    r->gap = r->live = true;
    hand_over(all, r);
}

static struct gtv_str str_of(const redisReply *v)
{
    return v->type == REDIS_REPLY_STRING ? (struct gtv_str){v->str, v->len} : (struct gtv_str){"", 0};
}

static struct gtv_message *message_of(const struct gtv_replay *r, const redisReply *entry)
{
    if (entry->elements < 2 || entry->element[1]->type != REDIS_REPLY_ARRAY)
        return NULL;
    struct gtv_str stream = {"", 0}, type = {"", 0}, json = {"", 0};
    const redisReply *fields = entry->element[1];
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        struct gtv_str k = str_of(fields->element[i]), v = str_of(fields->element[i + 1]);
        if (gtv_str_eq(k, GTV_STR("stream")))
            stream = v;
        else if (gtv_str_eq(k, GTV_STR("type")))
            type = v;
        else if (gtv_str_eq(k, GTV_STR("json")))
            json = v;
    }
    if (!gtv_event_shows(stream, json) || (r->stream && !gtv_str_eq(stream, gtv_str_of(r->stream))))
        return NULL;
    struct gtv_message *m = gtv_message_create(stream, type, entry->element[0]->str, json);
    if (m && !gtv_types_want(r->types, m->type)) {
        gtv_message_unref(m);
        m = NULL;
    }
    return m;
}

static bool tail_at(const struct gtv_replays *all, struct gtv_event_id *out)
{
    const struct gtv_redis_tail *tail = all->control->events; // NULL while shutting down
    return tail && gtv_event_id_parse(gtv_str_of(gtv_redis_tail_last(tail)), out);
}

static struct gtv_replays *replays_of(const struct gtv_replay *r)
{
    return r->worker->app->control->replays;
}

static void chunk_cb(void *arg, redisReply *reply)
{
    struct gtv_replay *r = arg;
    struct gtv_replays *all = replays_of(r);
    struct gtv_event_id tail;
    if (!reply || reply->type != REDIS_REPLY_ARRAY || !tail_at(all, &tail)) {
        give_up(all, r);
        start_next(all);
        return;
    }
    bool beyond = false;
    for (size_t i = 0; i < reply->elements && i < GTV_REPLAY_CHUNK && !beyond; i++) {
        const redisReply *entry = reply->element[i];
        struct gtv_event_id id;
        if (entry->elements < 1 || !gtv_event_id_parse(str_of(entry->element[0]), &id))
            continue;
        // What the tail has not handed out yet will come live.
        beyond = gtv_event_id_cmp(id, tail) > 0;
        if (beyond)
            break;
        r->last = id;
        struct gtv_message *m = message_of(r, entry);
        if (m)
            r->chunk[r->count++] = m;
    }
    bool all_read = reply->elements < GTV_REPLAY_CHUNK;
    // While the answer was on its way the tail may have handed out more than the answer holds.
    bool caught_up = gtv_event_id_cmp(tail, r->last) <= 0 || gtv_event_id_cmp(tail, r->at_send) <= 0;
    r->live = beyond || (all_read && caught_up);
    hand_over(all, r);
    start_next(all);
}

static void read_chunk(struct gtv_replays *all, struct gtv_replay *r)
{
    char from[64];
    struct gtv_event_id id = r->last;
    // "(" for an exclusive start needs Redis 6.2: the next possible id does not.
    if (++id.n == 0)
        id.ms++;
    snprintf(from, sizeof from, "%llu-%llu", (unsigned long long)id.ms, (unsigned long long)id.n);
    if (!tail_at(all, &r->at_send) ||
        !gtv_redis_command(all->control->redis, chunk_cb, r, "XRANGE %s %s + COUNT %d", GTV_KEY_EVENTS, from,
                           (int)GTV_REPLAY_CHUNK))
        give_up(all, r);
}

// Whether what came after `since` is still all there: its oldest entry tells.
static void oldest_cb(void *arg, redisReply *reply)
{
    struct gtv_replay *r = arg;
    struct gtv_replays *all = replays_of(r);
    struct gtv_event_id oldest;
    if (!reply || reply->type != REDIS_REPLY_ARRAY) {
        give_up(all, r);
        start_next(all);
        return;
    }
    bool from_the_start = r->last.ms == 0 && r->last.n == 0;
    bool has_oldest = reply->elements == 1 && reply->element[0]->elements >= 1 &&
                      gtv_event_id_parse(str_of(reply->element[0]->element[0]), &oldest);
    if (!from_the_start && (!has_oldest || gtv_event_id_cmp(r->last, oldest) < 0))
        r->gap = true;
    read_chunk(all, r);
}

static void start_one(struct gtv_replays *all, struct gtv_replay *r)
{
    if (r->live) { // its last hand-over was refused
        give_up(all, r);
    } else if (r->begun) {
        read_chunk(all, r);
    } else {
        r->begun = true;
        if (!gtv_redis_command(all->control->redis, oldest_cb, r, "XRANGE %s - + COUNT 1", GTV_KEY_EVENTS))
            give_up(all, r);
    }
}

static void start_next(struct gtv_replays *all)
{
    while (all->first && all->running < GTV_REPLAYS_AT_ONCE) {
        struct gtv_replay *r = all->first;
        struct gtv_event_id tail;
        if (gtv_redis_up(all->control->redis) && !tail_at(all, &tail) && r->waits++ < TAIL_WAITS) {
            gtv_timer_start(all->retry, TAIL_WAIT_MS, 0); // soon after a start only
            return;
        }
        all->first = r->next;
        if (!all->first)
            all->end = &all->first;
        all->running++;
        start_one(all, r);
        if (all->first == r)
            return; // refused again: the retry goes on
    }
}

static void retry_cb(void *arg)
{
    start_next(arg);
}

struct gtv_replays *gtv_replays_create(struct gtv_control *c)
{
    struct gtv_replays *all = GTV_NEW(struct gtv_replays);
    all->control = c;
    all->end = &all->first;
    all->retry = gtv_timer_create(c->loop, retry_cb, all);
    return all;
}

void gtv_replays_destroy(struct gtv_replays *all)
{
    if (!all)
        return;
    gtv_timer_destroy(all->retry);
    for (struct gtv_replay *r = all->first, *next; r; r = next) {
        next = r->next;
        gtv_replay_free(r);
    }
    free(all);
}
