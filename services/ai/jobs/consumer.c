// A job's way here: READ (from the stream, or taken over from a dead consumer) -> READY -> MARKED in Redis as
// begun -> RUNNING in the engine -> FINISHED (its answer is written) -> stored, acknowledged and gone. Only a
// marked job is blamed for the death of its process, and one that was blamed runs alone from then on. Before
// its last chance there must have been calm: where processes die for other reasons, the innocent wait for the
// end of it.
#include "services/ai/jobs/consumer.h"
#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    FLUSH_BYTES = 8 * 1024 * 1024,
    FLUSHES = 2, // at a time
    CALM_MS = 10000,
    LEAVE_MS = 2000,
};

// ---- Lists ----

void consumer_push(struct list *l, struct job *job)
{
    job->next = NULL;
    if (l->last)
        l->last->next = job;
    else
        l->first = job;
    l->last = job;
    l->count++;
}

static struct job *pop(struct list *l)
{
    struct job *job = l->first;
    if (!job)
        return NULL;
    l->first = job->next;
    if (!l->first)
        l->last = NULL;
    l->count--;
    return job;
}

static void drop(struct gtv_consumer *c, struct job *job)
{
    (void)gtv_map_remove(c->held, gtv_str_of(job->entry.id));
    c->held_bytes -= job->size;
    gtv_bytes_unref(job->json);
    free(job->data);
    free(job);
}

void consumer_complain(struct gtv_consumer *c, const char *what, const redisReply *reply)
{
    struct gtv_str why = reply_str(reply);
    if (!c->complained)
        gtv_log_warn(&c->log, "Redis refuses what the queue needs, trying again",
                     "what=%s cause=\"" GTV_STR_FMT "\"", what, GTV_STR_ARG(why));
    c->complained = true;
    c->pause_until_ms = gtv_mono_ms() + TICK_MS;
    // A flushed Redis has no group any more.
    if (gtv_str_starts(why, GTV_STR("NOGROUP")) || strstr(why.p ? why.p : "", "NOGROUP") ||
        strstr(why.p ? why.p : "", "no such key"))
        c->group_made = false;
}

// ---- Answers ----

// Whoever gets the answer, also by a callback, can find the request that it belongs to.
static void add_cause(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_cause *cause)
{
    char traceparent[GTV_TRACEPARENT_CAP];
    if (cause->request[0])
        yyjson_mut_obj_add_strcpy(doc, o, "request_id", cause->request);
    if (gtv_cause_traceparent(cause, traceparent))
        yyjson_mut_obj_add_strcpy(doc, o, "traceparent", traceparent);
}

struct gtv_bytes *consumer_write_failure(const struct gtv_job_entry *entry, const struct gtv_error *e)
{
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    yyjson_mut_obj_add_strcpy(doc, o, "task_id", entry->task);
    yyjson_mut_obj_add_str(doc, o, "status", "failed");
    add_cause(doc, o, &entry->cause);
    yyjson_mut_val *error = yyjson_mut_obj_add_obj(doc, o, "error");
    yyjson_mut_obj_add_strcpy(doc, error, "detail", e->message[0] ? e->message : gtv_code_text(e->code));
    yyjson_mut_obj_add_str(doc, error, "code", gtv_code_name(e->code));
    gtv_json_add_text(doc, error, "field", e->field);
    return gtv_json_write(doc);
}

static void examined_on_loop(void *arg)
{
    struct job *job = arg;
    struct gtv_consumer *c = job->consumer;
    c->running--;
    consumer_push(&c->finished, job);
    consumer_pump(c);
}

// On a worker's thread: the answer is written here, so that the loop only carries it.
void consumer_examined(struct gtv_exam *exam)
{
    struct job *job = (struct job *)(void *)((char *)exam - offsetof(struct job, exam));
    if (exam->err.code) {
        job->failed = true;
        job->json = consumer_write_failure(&job->entry, &exam->err);
    } else {
        yyjson_mut_val *o;
        yyjson_mut_doc *doc = gtv_json_object(&o);
        yyjson_mut_obj_add_str(doc, o, "task_id", job->entry.task);
        yyjson_mut_obj_add_str(doc, o, "status", "done");
        add_cause(doc, o, &job->entry.cause);
        gtv_exam_write(exam, doc, o, true);
        job->json = gtv_json_write(doc);
    }
    gtv_exam_finish(exam);
    // The loop's queue is only full for a moment, and it is emptied until after the engine has ended.
    while (!gtv_loop_post(job->consumer->loop, examined_on_loop, job)) {
        struct timespec moment = {.tv_nsec = 1000000};
        (void)nanosleep(&moment, NULL);
    }
}

// ---- Storing ----

struct flush {
    struct gtv_consumer *consumer;
    size_t count;
    struct job *jobs[FLUSH_MAX];
};

static void stored(void *arg, redisReply *reply)
{
    struct flush *f = arg;
    struct gtv_consumer *c = f->consumer;
    bool ok = reply && !consumer_refused(reply);
    if (reply && consumer_refused(reply))
        consumer_complain(c, "store", reply);
    c->flushes--;
    c->storing -= f->count;
    bool calls_back = false;
    for (size_t i = 0; i < f->count; i++) {
        struct job *job = f->jobs[i];
        if (!ok) { // again: storing twice changes nothing
            consumer_push(&c->finished, job);
            continue;
        }
        bool first = reply_int(reply_at(reply, i)) == 1;
        gtv_counter_add(first ? (job->failed ? c->failed : c->done) : c->dropped, 1);
        calls_back = calls_back || (first && job->entry.callback_url.n);
        drop(c, job);
    }
    free(f);
    if (ok)
        c->complained = false;
    if (calls_back)
        gtv_callbacks_poll(c->callbacks);
    consumer_pump(c);
}

static void flush(struct gtv_consumer *c)
{
    while (c->finished.count && c->flushes < FLUSHES && gtv_redis_up(c->redis) &&
           gtv_mono_ms() >= c->pause_until_ms) {
        struct flush *f = GTV_NEW(struct flush);
        f->consumer = c;
        struct script_args args = {0};
        char ttl[24], now[24];
        size_t bytes = 0;
        script_begin(&args, gtv_script_finish);
        script_add_int(&args, gtv_live_int(c->config.result_ttl), ttl);
        script_add_int(&args, gtv_wall_ms(), now);
        while (c->finished.count && f->count < FLUSH_MAX && bytes < FLUSH_BYTES) {
            struct job *job = pop(&c->finished);
            f->jobs[f->count++] = job;
            bytes += job->json ? job->json->len : 0;
            script_add(&args, gtv_str_of(job->entry.id));
            script_add(&args, gtv_str_of(job->entry.task));
            script_add(&args, job->json
                                  ? gtv_bytes_str(job->json)
                                  : GTV_STR("{\"status\":\"failed\",\"error\":{\"code\":\"internal\"}}"));
            script_add(&args, job->entry.callback_url);
        }
        c->flushes++;
        c->storing += f->count;
        if (!script_send(&args, c->redis, stored, f)) {
            c->pause_until_ms = gtv_mono_ms() + 100;
            stored(f, NULL);
            return;
        }
    }
}

// ---- Starting ----

static void run_marked(struct gtv_consumer *c)
{
    while (c->marked.count && !c->stopping) {
        struct job *job = c->marked.first;
        job->exam.received_ns = gtv_mono_ns();
        if (!gtv_exam_post(&job->exam, c->config.examiner))
            return; // full of other work; tried again when something ends, and by the tick
        (void)pop(&c->marked);
        c->running++;
    }
}

static void unmark(struct gtv_consumer *c, struct job *job)
{
    (void)gtv_redis_command(c->redis, NULL, NULL, "HDEL ai:started %s", job->entry.id);
    drop(c, job);
}

static void marked(void *arg, redisReply *reply)
{
    struct flush *f = arg;
    struct gtv_consumer *c = f->consumer;
    bool ok = reply && !consumer_refused(reply);
    if (reply && consumer_refused(reply))
        consumer_complain(c, "start", reply);
    c->marking -= f->count;
    for (size_t i = 0; i < f->count; i++) {
        struct job *job = f->jobs[i];
        bool mine = reply_int(reply_at(reply, i)) == 1;
        if (!ok && !c->stopping) {
            consumer_push(&c->suspects, job); // the mark may be there: should we die, it is told apart alone
        } else if (c->stopping) {
            unmark(c, job);
        } else if (!mine) {
            gtv_counter_add(c->dropped, 1);
            drop(c, job);
        } else {
            int64_t waited = gtv_wall_ms() - job->entry.enqueued_ms;
            gtv_histogram_observe(c->wait_seconds, waited > 0 ? (double)waited / 1000 : 0);
            consumer_push(&c->marked, job);
        }
    }
    free(f);
    consumer_pump(c);
}

static void mark(struct gtv_consumer *c, struct list *from, size_t count)
{
    struct flush *f = GTV_NEW(struct flush);
    f->consumer = c;
    struct script_args args = {0};
    script_begin(&args, gtv_script_start);
    script_add(&args, gtv_str_of(c->name));
    while (f->count < count && f->count < FLUSH_MAX && from->count) {
        struct job *job = pop(from);
        f->jobs[f->count++] = job;
        script_add(&args, gtv_str_of(job->entry.id));
    }
    c->marking += f->count;
    if (!script_send(&args, c->redis, marked, f)) {
        c->pause_until_ms = gtv_mono_ms() + 100;
        c->marking -= f->count;
        for (size_t i = 0; i < f->count; i++)
            consumer_push(from, f->jobs[i]);
        free(f);
    }
}

static void start(struct gtv_consumer *c)
{
    if (c->stopping || !gtv_redis_up(c->redis) || gtv_mono_ms() < c->pause_until_ms)
        return;
    size_t begun = c->marking + c->marked.count + c->running;
    bool calm = c->last_chances.count && gtv_mono_ms() - c->calm_since_ms >= CALM_MS;
    if (c->suspects.count || calm) {
        // Alone: nobody else is to be blamed for what it does.
        if (begun + c->finished.count + c->storing == 0)
            mark(c, c->suspects.count ? &c->suspects : &c->last_chances, 1);
        return;
    }
    if (c->ready.count && begun <= c->window / 2)
        mark(c, &c->ready, c->window - begun);
}

// ---- Lease ----

static void lease_renewed(void *arg, redisReply *reply)
{
    struct gtv_consumer *c = arg;
    if (!reply || consumer_refused(reply)) {
        if (reply)
            consumer_complain(c, "lease", reply);
        return;
    }
    int64_t now = gtv_mono_ms();
    if (!c->lease_ms || now - c->lease_ms > GTV_JOBS_LEASE_MS / 2)
        c->lease_since_ms = now;
    c->lease_ms = now;
    consumer_pump(c);
}

static void renew_lease(struct gtv_consumer *c)
{
    (void)gtv_redis_command(c->redis, lease_renewed, c, "SET ai:lease:%s 1 PX %d", c->name,
                            (int)GTV_JOBS_LEASE_MS);
}

static void look_at_detector(struct gtv_consumer *c)
{
    struct gtv_detector *d = gtv_engine_detector(c->config.engine);
    c->can_detect = gtv_detector_model(d) != NULL;
    gtv_detector_unref(d);
}

static void on_tick(void *arg)
{
    struct gtv_consumer *c = arg;
    if (!c->stopping)
        look_at_detector(c);
    gtv_gauge_set(c->held_gauge, (int64_t)gtv_map_count(c->held));
    gtv_gauge_set(c->running_gauge, (int64_t)(c->marked.count + c->running));
    if (gtv_redis_up(c->redis) && !c->leaving) {
        renew_lease(c);
        consumer_take_over(c, gtv_mono_ms());
        gtv_callbacks_poll(c->callbacks);
    }
    consumer_pump(c);
}

static void on_state(void *arg, bool up)
{
    struct gtv_consumer *c = arg;
    c->lease_ms = c->lease_since_ms = 0;
    c->group_made = false;
    c->taking = false;
    if (!up)
        return;
    c->complained = false;
    c->recovering = true;
    snprintf(c->cursor, sizeof(c->cursor), "0");
    renew_lease(c);
}

static void on_reader_state(void *arg, bool up)
{
    struct gtv_consumer *c = arg;
    c->reading = false;
    c->group_made = false;
    if (!up)
        return;
    c->recovering = true;
    snprintf(c->cursor, sizeof(c->cursor), "0");
    consumer_pump(c);
}

static void left(void *arg, redisReply *reply)
{
    struct gtv_consumer *c = arg;
    (void)reply;
    if (c->leave)
        gtv_timer_start(c->leave, 0, 0);
}

void consumer_pump(struct gtv_consumer *c)
{
    flush(c);
    run_marked(c);
    start(c);
    consumer_read_more(c);
    if (c->leaving && c->finished.count + c->storing + c->marking == 0) {
        c->leaving = false;
        // What was read and not begun is anybody's at once.
        if (!gtv_redis_command(c->redis, left, c, "DEL ai:lease:%s", c->name))
            left(c, NULL);
    }
}

// ---- Life ----

static void stop_on_loop(void *arg)
{
    struct gtv_consumer *c = arg;
    c->stopping = true;
    while (c->marked.count)
        unmark(c, pop(&c->marked));
    sem_post(&c->stopped);
}

void gtv_consumer_stop(struct gtv_consumer *c)
{
    if (!c || !gtv_loop_post(c->loop, stop_on_loop, c))
        return;
    while (sem_wait(&c->stopped) != 0) {
        // interrupted by a signal
    }
}

static void end(void *arg)
{
    struct gtv_consumer *c = arg;
    c->leaving = false;
    gtv_timer_destroy(c->tick);
    gtv_timer_destroy(c->leave);
    c->leave = NULL;
    gtv_redis_destroy(c->reader);
    gtv_redis_destroy(c->redis); // what was asked is answered with NULL here
    gtv_callbacks_destroy(c->callbacks);
    gtv_loop_stop(c->loop);
}

static void leave_on_loop(void *arg)
{
    struct gtv_consumer *c = arg;
    c->stopping = c->leaving = true;
    gtv_timer_start(c->leave, LEAVE_MS, 0);
    consumer_pump(c);
}

static void free_held(void *value)
{
    struct job *job = value;
    gtv_bytes_unref(job->json);
    free(job->data);
    free(job);
}

void gtv_consumer_destroy(struct gtv_consumer *c)
{
    if (!c)
        return;
    if (!gtv_loop_post(c->loop, leave_on_loop, c))
        abort(); // the queue of a loop that nobody posts to any more cannot be full
    gtv_loop_join(c->loop);
    gtv_loop_destroy(c->loop);
    gtv_map_destroy(c->held, free_held);
    sem_destroy(&c->stopped);
    free(c);
}

static void make_name(char out[96])
{
    char host[40] = "";
    uint64_t random = 0;
    (void)gethostname(host, sizeof(host) - 1);
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        random = (uint64_t)gtv_mono_ns();
    for (char *p = host; *p; p++)
        if (*p == ' ' || *p < 33)
            *p = '_';
    snprintf(out, 96, "%s-%d-%016llx", host, (int)getpid(), (unsigned long long)random);
}

static struct gtv_counter *outcome(struct gtv_metrics *m, const char *label)
{
    return gtv_metrics_counter(m, "gtv_ai_jobs_total", label, "Jobs of the queue that ended here, by how.");
}

static void register_metrics(struct gtv_consumer *c)
{
    static const double bounds[] = {0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300};
    struct gtv_metrics *m = c->config.metrics;
    c->done = outcome(m, "outcome=\"done\"");
    c->failed = outcome(m, "outcome=\"failed\"");
    c->dropped = outcome(m, "outcome=\"dropped\""); // cancelled, or answered by another process
    c->malformed =
        gtv_metrics_counter(m, "gtv_ai_jobs_malformed_total", "", "Entries of the queue that are no job.");
    c->claimed =
        gtv_metrics_counter(m, "gtv_ai_jobs_claimed_total", "", "Jobs taken over from dead processes.");
    c->deaths =
        gtv_metrics_counter(m, "gtv_ai_jobs_deaths_total", "", "Jobs that ran while their process died.");
    c->dead =
        gtv_metrics_counter(m, "gtv_ai_jobs_dead_total", "", "Jobs given up because processes died of them.");
    c->held_gauge =
        gtv_metrics_gauge(m, "gtv_ai_jobs_held", "", "Jobs that this process has read and not finished.");
    c->running_gauge = gtv_metrics_gauge(m, "gtv_ai_jobs_running", "", "Jobs that this process has begun.");
    c->wait_seconds =
        gtv_metrics_histogram(m, "gtv_ai_jobs_wait_seconds", "", "From entering the queue to the start.",
                              bounds, sizeof(bounds) / sizeof(bounds[0]));
}

struct gtv_consumer *gtv_consumer_create(const struct gtv_jobs_config *config,
                                         const struct gtv_net_policy *policy, struct gtv_error *err)
{
    struct gtv_consumer *c = GTV_NEW(struct gtv_consumer);
    c->config = *config;
    c->log = (struct gtv_log){.component = "jobs"};
    c->read_count = READ_FIRST;
    c->ahead = HELD_MIN;
    c->window = 2;
    c->calm_since_ms = gtv_mono_ms();
    make_name(c->name);
    c->loop = gtv_loop_create("gtv-ai-jobs");
    c->redis = gtv_redis_create(c->loop, config->redis_url, "gtv-ai-jobs", on_state, c, err);
    if (c->redis)
        c->reader = gtv_redis_create(c->loop, config->redis_url, "gtv-ai-jobs-read", on_reader_state, c, err);
    if (!c->reader) {
        gtv_redis_destroy(c->redis);
        gtv_loop_destroy(c->loop);
        free(c);
        return NULL;
    }
    sem_init(&c->stopped, 0, 0);
    c->held = gtv_map_create();
    register_metrics(c);
    c->callbacks = gtv_callbacks_create(c->loop, c->redis, config, policy);
    c->leave = gtv_timer_create(c->loop, end, c);
    c->tick = gtv_timer_create(c->loop, on_tick, c);
    gtv_timer_start(c->tick, 0, TICK_MS);
    gtv_loop_start(c->loop);
    return c;
}
