// What the room's files share. Two loops: the program's, on which requests are answered (jobs.c, submit.c,
// results.c, queue.c), and the consumer's own thread (consumer.c, callbacks.c). They share nothing but this
// configuration: what passes between them passes through Redis.
#ifndef GTV_AI_JOBS_INTERNAL_H
#define GTV_AI_JOBS_INTERNAL_H

#include "lib/log/log.h"
#include "lib/net/address.h"
#include "lib/redis/redis.h"
#include "services/ai/jobs/entry.h"
#include "services/ai/jobs/jobs.h"
#include "services/ai/jobs/scripts.h"

// ---- EVAL ----

// Arguments of one script; slices are the caller's until it was sent. Zeroed is empty.
struct script_args {
    const char **text;
    size_t *len;
    int count, cap;
};
void script_begin(struct script_args *a, const char *script);
void script_add(struct script_args *a, struct gtv_str s);
void script_add_int(struct script_args *a, int64_t n, char buffer[24]); // buffer as long as the slices
// Sends it and empties the arguments. False (and no call of fn) as gtv_redis_command.
bool script_send(struct script_args *a, struct gtv_redis *redis, gtv_redis_reply_fn fn, void *arg);

static inline struct gtv_str reply_str(const redisReply *r)
{
    return r && (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS ||
                 r->type == REDIS_REPLY_ERROR)
               ? (struct gtv_str){r->str, (size_t)r->len}
               : (struct gtv_str){NULL, 0};
}
static inline int64_t reply_int(const redisReply *r)
{
    return r && r->type == REDIS_REPLY_INTEGER ? r->integer : 0;
}
static inline const redisReply *reply_at(const redisReply *r, size_t i)
{
    return r && r->type == REDIS_REPLY_ARRAY && i < r->elements ? r->element[i] : NULL;
}

// ---- The consumer (consumer.c, callbacks.c): a thread of its own ----

struct gtv_consumer;
struct gtv_consumer *gtv_consumer_create(const struct gtv_jobs_config *config,
                                         const struct gtv_net_policy *policy, struct gtv_error *err);
void gtv_consumer_stop(struct gtv_consumer *c);
void gtv_consumer_destroy(struct gtv_consumer *c);

struct gtv_callbacks;
// redis and the loop outlive it; everything on that loop.
struct gtv_callbacks *gtv_callbacks_create(struct gtv_loop *loop, struct gtv_redis *redis,
                                           const struct gtv_jobs_config *config,
                                           const struct gtv_net_policy *policy);
void gtv_callbacks_destroy(struct gtv_callbacks *c);
void gtv_callbacks_poll(struct gtv_callbacks *c); // looks for what is due

// ---- The program's loop (jobs.c) ----

struct waiter;
struct ask;

struct gtv_jobs {
    struct gtv_jobs_config config;
    struct gtv_net_policy policy;
    struct gtv_log log;
    struct gtv_redis *redis;
    struct gtv_redis_tail *done; // tasks that end, while somebody waits
    struct gtv_timer *tick;
    struct gtv_consumer *consumer;
    struct ask *asks, *asks_last; // questions to Redis without an answer, the oldest first
    size_t ask_count;
    bool stalled; // the connection is up, but the oldest question waits too long
    bool stopping;
    struct waiter *waiters;
    size_t waiter_count;
    int64_t refreshed_ms, measured_ms;
    int64_t length;
    struct gtv_gauge *queue_length, *dead_length, *oldest_ms;
};

// A question to Redis on behalf of a request. fn gets the reply, or NULL after the request was answered 503;
// user is freed by fn's owner (free_user) in any case. Takes the arguments. When it cannot be sent the
// request is answered at once.
typedef void (*ask_fn)(struct gtv_jobs *j, struct gtv_http_request *req, void *user, redisReply *reply);
void jobs_ask(struct gtv_jobs *j, struct gtv_http_request *req, struct script_args *args, ask_fn fn,
              void *user, void (*free_user)(void *));
void jobs_unavailable(struct gtv_jobs *j, struct gtv_http_request *req);

void results_on_done(void *arg, const char *id, const redisReply *fields);
void results_tick(struct gtv_jobs *j, int64_t now_ms);
void results_finish(struct gtv_jobs *j);

#endif
