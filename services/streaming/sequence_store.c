#include "services/streaming/sequence_store.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/streaming/control.h"

#include <stdio.h>
#include <stdlib.h>

#define KEY_SEQUENCE "gtv:sequence:"

enum {
    LOOK_MS = 25,
    KEEP_S = 86400,
    MARGIN = 4, // segments that a replica which is gone may have published after it last told
};

// One step in Redis, so that replicas that see a seam at once decide it once.
static const char decide_script[] =
    "local h=redis.call('HMGET',KEYS[1],'generation','offset','discontinuity_offset','next','discontinuity') "
    "if h[1]==ARGV[1] then return {tonumber(h[2]),tonumber(h[3])} end "
    "local first,disc,nxt,nd=tonumber(ARGV[2]),tonumber(ARGV[3]),tonumber(ARGV[4]),tonumber(ARGV[5]) "
    "if h[1] then "
    "local stored=tonumber(h[4]) if nxt<0 then stored=stored+tonumber(ARGV[6]) end "
    "nxt=math.max(nxt,stored) nd=math.max(nd,tonumber(h[5])+1) end "
    "local o,d=0,0 if nxt>=0 then o=nxt-first d=nd-disc end "
    "redis.call('HSET',KEYS[1],'generation',ARGV[1],'offset',string.format('%.0f',o),"
    "'discontinuity_offset',string.format('%.0f',d),'next',string.format('%.0f',first+o),"
    "'discontinuity',string.format('%.0f',disc+d)) "
    "redis.call('EXPIRE',KEYS[1],ARGV[7]) return {o,d}";

// A replica that has not seen the newest generation yet has nothing to tell.
static const char publish_script[] =
    "local h=redis.call('HMGET',KEYS[1],'generation','next','discontinuity') "
    "if h[1] and h[1]~=ARGV[1] and ARGV[6]=='0' then return 0 end "
    "if h[1]~=ARGV[1] then redis.call('HSET',KEYS[1],'generation',ARGV[1],'offset',ARGV[2],"
    "'discontinuity_offset',ARGV[3]) end "
    "local n=math.max(tonumber(h[2] or 0),tonumber(ARGV[4])) "
    "local d=math.max(tonumber(h[3] or 0),tonumber(ARGV[5])) "
    "redis.call('HSET',KEYS[1],'next',string.format('%.0f',n),'discontinuity',string.format('%.0f',d)) "
    "redis.call('EXPIRE',KEYS[1],ARGV[7]) return 1";

// Goes from the worker's loop to the control loop and back.
struct question {
    atomic_uint refs; // of who carries it, and of the wait
    struct gtv_app *app;
    struct gtv_loop *loop;          // the worker's
    struct gtv_sequence_wait *wait; // the worker's; NULL: it does not wait any more
    char stream[GTV_PATH_NAME_CAP];
    struct gtv_sequence_seam seam;
    struct gtv_sequence_offsets offsets;
    bool answered;
};

struct gtv_sequence_wait {
    struct gtv_worker *worker;
    struct gtv_timer *timer;
    struct question *question;
    bool asked;
    int64_t began_ms;
    void (*fn)(void *arg);
    void *arg;
};

static void question_unref(struct question *q)
{
    if (atomic_fetch_sub(&q->refs, 1) == 1)
        free(q);
}

static bool is_cached(void *arg, struct gtv_str stream, struct gtv_str file)
{
    struct gtv_app *app = arg;
    char key[GTV_PATH_NAME_CAP * 2];
    int n = snprintf(key, sizeof key, GTV_STR_FMT "/" GTV_STR_FMT, GTV_STR_ARG(stream), GTV_STR_ARG(file));
    return n > 0 && (size_t)n < sizeof key &&
           gtv_cache_has(app->cache, (struct gtv_str){key, (size_t)n}, gtv_mono_ms());
}

static void decide(struct question *q)
{
    struct gtv_app *app = q->app;
    gtv_sequence_decide(app->sequences, gtv_str_of(q->stream), &q->seam, q->answered ? &q->offsets : NULL,
                        is_cached, app, gtv_mono_ms());
    const struct gtv_log log = {"streaming", "stream", q->stream};
    if (q->seam.next >= 0 || (q->answered && q->offsets.sequence))
        gtv_log_info(
            &log, "the muxer is a new one, its segments are counted on", "generation=%s first=%lld",
            q->seam.generation,
            (long long)(q->seam.first + (q->answered ? q->offsets.sequence : q->seam.next - q->seam.first)));
}

void gtv_sequence_wait_cancel(struct gtv_sequence_wait *w)
{
    if (!w)
        return;
    gtv_timer_destroy(w->timer);
    w->question->wait = NULL;
    question_unref(w->question);
    free(w);
}

static void finish(struct gtv_sequence_wait *w)
{
    void (*fn)(void *) = w->fn;
    void *arg = w->arg;
    decide(w->question);
    gtv_sequence_wait_cancel(w);
    fn(arg);
}

// On the worker's loop.
static void answered_cb(void *arg)
{
    struct question *q = arg;
    if (q->wait)
        finish(q->wait);
    question_unref(q);
}

static void go_back(struct question *q)
{
    if (!gtv_loop_post(q->loop, answered_cb, q))
        question_unref(q); // that loop is ending, and the wait with it
}

static void on_reply(void *arg, redisReply *reply)
{
    struct question *q = arg;
    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        reply->element[0]->type == REDIS_REPLY_INTEGER && reply->element[1]->type == REDIS_REPLY_INTEGER) {
        q->offsets = (struct gtv_sequence_offsets){reply->element[0]->integer, reply->element[1]->integer};
        q->answered = true;
    }
    go_back(q);
}

// On the control loop.
static void ask_cb(void *arg)
{
    struct question *q = arg;
    struct gtv_control *c = q->app->control;
    const struct gtv_sequence_seam *s = &q->seam;
    if (!c || !gtv_redis_command(
                  c->redis, on_reply, q, "EVAL %s 1 " KEY_SEQUENCE "%s %s %lld %lld %lld %lld %d %d",
                  decide_script, q->stream, s->generation, (long long)s->first, (long long)s->discontinuity,
                  (long long)s->next, (long long)s->next_discontinuity, (int)MARGIN, (int)KEEP_S))
        go_back(q);
}

static void ask(struct gtv_sequence_wait *w)
{
    w->asked = true;
    atomic_fetch_add(&w->question->refs, 1);
    if (!gtv_loop_post(w->worker->app->workers[0].loop, ask_cb, w->question))
        question_unref(w->question); // the timer decides
}

static bool may_come(const struct gtv_app *app)
{
    return atomic_load(&app->redis_up) || gtv_mono_ms() - app->started_ms < GTV_SEQUENCE_START_MS;
}

static void look(void *arg)
{
    struct gtv_sequence_wait *w = arg;
    const struct gtv_app *app = w->worker->app;
    if (!w->asked && atomic_load(&app->redis_up)) {
        w->began_ms = gtv_mono_ms();
        ask(w);
    } else if (w->asked ? gtv_mono_ms() - w->began_ms >= GTV_SEQUENCE_ANSWER_MS : !may_come(app)) {
        finish(w);
    }
}

struct gtv_sequence_wait *gtv_sequence_wait_begin(struct gtv_worker *worker, struct gtv_str stream,
                                                  const struct gtv_sequence_seam *seam, void (*fn)(void *arg),
                                                  void *arg)
{
    struct question *q = GTV_NEW(struct question);
    atomic_init(&q->refs, 1);
    q->app = worker->app;
    q->loop = worker->loop;
    q->seam = *seam;
    // Names without a generation tell replicas nothing to agree on.
    if (!gtv_str_copy(q->stream, sizeof q->stream, stream) || !seam->generation[0] ||
        !may_come(worker->app)) {
        decide(q);
        question_unref(q);
        return NULL;
    }
    struct gtv_sequence_wait *w = GTV_NEW(struct gtv_sequence_wait);
    *w = (struct gtv_sequence_wait){
        .worker = worker, .question = q, .began_ms = gtv_mono_ms(), .fn = fn, .arg = arg};
    q->wait = w;
    w->timer = gtv_timer_create(worker->loop, look, w);
    gtv_timer_start(w->timer, LOOK_MS, LOOK_MS);
    if (atomic_load(&worker->app->redis_up))
        ask(w);
    return w;
}

// ---- what was published ----

struct told {
    struct one {
        char stream[GTV_PATH_NAME_CAP];
        struct gtv_sequence_state state;
    } * items;
    size_t n, cap;
};

static void collect(void *arg, struct gtv_str stream, const struct gtv_sequence_state *state)
{
    struct told *t = arg;
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 16;
        t->items = gtv_realloc(t->items, t->cap * sizeof *t->items);
    }
    t->items[t->n].state = *state;
    if (gtv_str_copy(t->items[t->n].stream, sizeof t->items[t->n].stream, stream))
        t->n++;
}

void gtv_sequence_tick(struct gtv_control *c)
{
    struct told t = {NULL, 0, 0};
    if (!gtv_redis_up(c->redis))
        return; // they are told when it is back
    gtv_sequence_each_changed(c->app->sequences, gtv_mono_ms(), collect, &t);
    for (size_t i = 0; i < t.n; i++) {
        const struct gtv_sequence_state *s = &t.items[i].state;
        (void)gtv_redis_command(c->redis, NULL, NULL,
                                "EVAL %s 1 " KEY_SEQUENCE "%s %s %lld %lld %lld %lld %d %d", publish_script,
                                t.items[i].stream, s->generation, (long long)s->offsets.sequence,
                                (long long)s->offsets.discontinuity, (long long)s->next,
                                (long long)s->discontinuity, (int)s->alone, (int)KEEP_S);
    }
    free(t.items);
}
