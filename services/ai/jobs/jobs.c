#include "services/ai/jobs/jobs.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/ai/jobs/internal.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TICK_MS = 100,
    STALL_MS = 1000, // without an answer Redis counts as away, until it answers
    MEASURE_MS = 1000,
    ASKS_MAX = 4096, // questions without an answer
};

struct ask {
    struct gtv_jobs *jobs;
    struct ask *before, *after;
    struct gtv_http_request *req; // NULL once it was answered 503
    ask_fn fn;
    void *user;
    void (*free_user)(void *);
    int64_t sent_ms;
};

// ---- EVAL ----

void script_add(struct script_args *a, struct gtv_str s)
{
    if (a->count == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 16;
        a->text = gtv_realloc(a->text, (size_t)a->cap * sizeof(*a->text));
        a->len = gtv_realloc(a->len, (size_t)a->cap * sizeof(*a->len));
    }
    a->text[a->count] = s.p ? s.p : "";
    a->len[a->count++] = s.n;
}

void script_begin(struct script_args *a, const char *script)
{
    script_add(a, GTV_STR("EVAL"));
    script_add(a, gtv_str_of(script));
    script_add(a, GTV_STR("0"));
}

void script_add_int(struct script_args *a, int64_t n, char buffer[24])
{
    int len = snprintf(buffer, 24, "%lld", (long long)n);
    script_add(a, (struct gtv_str){buffer, (size_t)len});
}

bool script_send(struct script_args *a, struct gtv_redis *redis, gtv_redis_reply_fn fn, void *arg)
{
    bool sent = redis && gtv_redis_command_argv(redis, fn, arg, a->count, a->text, a->len);
    free(a->text);
    free(a->len);
    *a = (struct script_args){0};
    return sent;
}

// ---- Questions ----

void jobs_unavailable(struct gtv_jobs *j, struct gtv_http_request *req)
{
    struct gtv_error err = {0};
    const char *why = j ? gtv_jobs_reason(j) : NULL;
    gtv_error_set(&err, GTV_E_UNAVAILABLE, NULL, "The queue is away: Redis does not answer%s%s",
                  why ? ": " : "", why ? why : "");
    gtv_reply_error_later(req, &err, 1);
}

static void link_ask(struct ask *a)
{
    struct gtv_jobs *j = a->jobs;
    a->before = j->asks_last;
    if (a->before)
        a->before->after = a;
    else
        j->asks = a;
    j->asks_last = a;
    j->ask_count++;
}

static void unlink_ask(struct ask *a)
{
    struct gtv_jobs *j = a->jobs;
    j->ask_count--;
    if (a->before)
        a->before->after = a->after;
    else
        j->asks = a->after;
    if (a->after)
        a->after->before = a->before;
    else
        j->asks_last = a->before;
}

static void on_reply(void *arg, redisReply *reply)
{
    struct ask *a = arg;
    struct gtv_jobs *j = a->jobs;
    unlink_ask(a);
    if (reply)
        j->stalled = false;
    if (reply && reply->type == REDIS_REPLY_ERROR) {
        gtv_log_warn(&j->log, "Redis refuses a question", "cause=\"%s\"", reply->str);
        if (a->req) {
            struct gtv_error err = {0};
            gtv_error_set(&err, GTV_E_UNAVAILABLE, NULL, "The queue is away: %.160s", reply->str);
            gtv_reply_error_later(a->req, &err, 1);
        }
    } else if (a->req && !reply) {
        jobs_unavailable(j, a->req);
    } else if (a->req) {
        a->fn(j, a->req, a->user, reply);
    }
    if (a->free_user)
        a->free_user(a->user);
    free(a);
}

void jobs_ask(struct gtv_jobs *j, struct gtv_http_request *req, struct script_args *args, ask_fn fn,
              void *user, void (*free_user)(void *))
{
    struct ask *a = GTV_NEW(struct ask);
    *a = (struct ask){j, NULL, NULL, req, fn, user, free_user, gtv_mono_ms()};
    bool sent = script_send(args, j->stalled || j->stopping || j->ask_count >= ASKS_MAX ? NULL : j->redis,
                            on_reply, a);
    if (!sent) {
        jobs_unavailable(j, req);
        if (free_user)
            free_user(user);
        free(a);
        return;
    }
    link_ask(a);
}

static void find_stall(struct gtv_jobs *j, int64_t now)
{
    for (struct ask *a = j->asks; a && now - a->sent_ms > STALL_MS; a = a->after) {
        if (!j->stalled)
            gtv_log_warn(&j->log, "Redis takes too long to answer", NULL);
        j->stalled = true;
        if (!a->req)
            continue;
        struct gtv_http_request *req = a->req;
        a->req = NULL;
        jobs_unavailable(j, req);
    }
}

// ---- Figures ----

static void measured(struct gtv_jobs *j, struct gtv_http_request *req, void *user, redisReply *reply)
{
    (void)req;
    (void)user;
    j->length = reply_int(reply_at(reply, 0));
    gtv_gauge_set(j->queue_length, j->length);
    gtv_gauge_set(j->dead_length, reply_int(reply_at(reply, 4)));
    struct gtv_str oldest = reply_str(reply_at(reply, 3));
    gtv_gauge_set(j->oldest_ms, oldest.n ? (gtv_wall_ms() - gtv_job_entry_time(oldest)) / 1000 : 0);
}

static void on_measured(void *arg, redisReply *reply)
{
    struct ask *a = arg;
    if (reply && reply->type == REDIS_REPLY_ARRAY)
        measured(a->jobs, NULL, NULL, reply);
    on_reply(a, reply); // without a request it only takes note that Redis answers
}

// One question of our own a second: it also finds out that Redis hangs, or does so no more.
static void measure(struct gtv_jobs *j, int64_t now)
{
    if (now - j->measured_ms < MEASURE_MS || (j->asks && j->stalled))
        return;
    j->measured_ms = now;
    struct ask *a = GTV_NEW(struct ask);
    *a = (struct ask){.jobs = j, .sent_ms = now};
    struct script_args args = {0};
    script_begin(&args, gtv_script_queue);
    if (!script_send(&args, j->redis, on_measured, a)) {
        free(a);
        return;
    }
    link_ask(a);
}

static void on_tick(void *arg)
{
    struct gtv_jobs *j = arg;
    int64_t now = gtv_mono_ms();
    find_stall(j, now);
    measure(j, now);
    results_tick(j, now);
}

static void on_state(void *arg, bool up)
{
    struct gtv_jobs *j = arg;
    (void)up;
    j->stalled = false;
}

// ---- Life ----

struct gtv_jobs *gtv_jobs_create(const struct gtv_jobs_config *config, struct gtv_error *err)
{
    struct gtv_jobs *j = GTV_NEW(struct gtv_jobs);
    j->config = *config;
    j->log = (struct gtv_log){.component = "jobs"};
    if (!gtv_net_policy_parse(config->callback_allow, &j->policy, err)) {
        gtv_error_set(err, GTV_E_INVALID, "AI_CALLBACK_ALLOW",
                      "AI_CALLBACK_ALLOW must be addresses and CIDRs, separated by commas");
        free(j);
        return NULL;
    }
    j->redis = gtv_redis_create(config->loop, config->redis_url, "gtv-ai-queue", on_state, j, err);
    if (j->redis)
        j->done = gtv_redis_tail_create(config->loop, config->redis_url, "gtv-ai-done", GTV_JOBS_DONE, "$",
                                        results_on_done, j, err);
    if (j->done)
        j->consumer = gtv_consumer_create(config, &j->policy, err);
    if (!j->consumer) {
        gtv_redis_tail_destroy(j->done);
        gtv_redis_destroy(j->redis);
        free(j);
        return NULL;
    }
    j->queue_length = gtv_metrics_gauge(config->metrics, "gtv_ai_jobs_queued", "", "Jobs that wait or run.");
    gtv_gauge_set(
        gtv_metrics_gauge(config->metrics, "gtv_ai_jobs_limit", "", "Jobs that may wait or run at once."),
        config->max_queue);
    j->dead_length = gtv_metrics_gauge(config->metrics, "gtv_ai_jobs_dead_letters", "", "Dead letters.");
    j->oldest_ms =
        gtv_metrics_gauge(config->metrics, "gtv_ai_jobs_oldest_seconds", "", "Age of the oldest job.");
    j->tick = gtv_timer_create(config->loop, on_tick, j);
    gtv_timer_start(j->tick, TICK_MS, TICK_MS);
    return j;
}

void gtv_jobs_stop(struct gtv_jobs *j)
{
    if (!j)
        return;
    j->stopping = true;
    results_finish(j);
    gtv_consumer_stop(j->consumer);
}

void gtv_jobs_destroy(struct gtv_jobs *j)
{
    if (!j)
        return;
    j->stopping = true;
    gtv_consumer_destroy(j->consumer);
    gtv_timer_destroy(j->tick);
    results_finish(j);
    gtv_redis_tail_destroy(j->done);
    gtv_redis_destroy(j->redis); // what was asked is answered 503 here
    free(j);
}

bool gtv_jobs_up(const struct gtv_jobs *j)
{
    return j && gtv_redis_up(j->redis) && !j->stalled;
}

const char *gtv_jobs_reason(const struct gtv_jobs *j)
{
    if (!j)
        return "the program ends";
    const char *why = gtv_redis_reason(j->redis);
    return why ? why : j->stalled ? "no answer in time" : NULL;
}

int64_t gtv_jobs_length(const struct gtv_jobs *j)
{
    return j ? j->length : 0;
}
