// Where a consumer's jobs come from: new entries of the stream, what was delivered and lost with a
// connection, and what belonged to processes that died.
#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "services/ai/jobs/consumer.h"

#include <stdlib.h>

enum {
    BLOCK_MS = 2000,               // of a read; the connection's own limit is 5 s
    READ_MAX = 64,                 // so that a read brings 640 MiB in the very worst case
    READ_BYTES = 16 * 1024 * 1024, // what a read should bring
    HELD_MAX = 256,                // jobs that are here
    HELD_BYTES = 64 * 1024 * 1024, // beyond it nothing more is read
    AHEAD_MS = 500,                // how much work is read ahead
    WINDOW_MS = 4,                 // how much of it is marked as begun
    WINDOW_MAX = 32,               // jobs for each worker
};

// ---- Reading ----

// Takes an entry in. False when there is no memory for it: it is left to be found again.
static bool take(struct gtv_consumer *c, struct gtv_str id, const redisReply *fields, int64_t deaths)
{
    if (id.n >= GTV_JOB_ID_CAP || gtv_map_get(c->held, id))
        return true;
    size_t count = fields && fields->type == REDIS_REPLY_ARRAY ? fields->elements : 0, size = 0;
    for (size_t i = 0; i < count; i++)
        size += reply_str(fields->element[i]).n;
    struct job *job = GTV_NEW(struct job);
    struct gtv_str *slices = gtv_alloc((count + 1) * sizeof(*slices));
    job->data = malloc(size + 1);
    if (!job->data) {
        free(slices);
        free(job);
        return false;
    }
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        struct gtv_str s = reply_str(fields->element[i]);
        if (s.n)
            memcpy(job->data + at, s.p, s.n);
        slices[i] = (struct gtv_str){job->data + at, s.n};
        at += s.n;
    }
    struct gtv_error err = {0};
    job->consumer = c;
    job->size = size;
    job->entry.options.confidence = gtv_live_double(c->config.confidence);
    bool ok = gtv_job_entry_read(id, slices, count, &job->entry, &err);
    free(slices);
    if (ok && job->entry.callback_url.n && !c->config.callback_secret) {
        gtv_error_set(&err, GTV_E_INVALID, "callback_url",
                      "callbacks are off here: the operator has to set AI_CALLBACK_SECRET");
        job->entry.callback_url = (struct gtv_str){0};
        ok = false;
    }
    c->held_bytes += size;
    (void)gtv_map_put(c->held, gtv_str_of(job->entry.id), job);
    if (!ok) {
        job->failed = true;
        job->json = consumer_write_failure(&job->entry, &err);
        gtv_counter_add(c->malformed, 1);
        consumer_push(&c->finished, job);
        return true;
    }
    job->exam.work.kind = GTV_WORK_JOB;
    job->exam.work.client = (uint64_t)job->entry.camera_id;
    job->exam.camera_id = job->entry.camera_id;
    job->exam.received_wall_ms = job->entry.enqueued_ms;
    job->exam.picture = job->entry.picture;
    job->exam.base64 = job->entry.base64;
    job->exam.field = job->entry.base64 ? "image_base64" : "picture";
    job->exam.options = job->entry.options;
    job->exam.done = consumer_examined;
    consumer_push(deaths >= GTV_JOBS_DEATHS_MAX - 1 ? &c->last_chances
                  : deaths                          ? &c->suspects
                                                    : &c->ready,
                  job);
    return true;
}

static void next_read_count(struct gtv_consumer *c, size_t biggest)
{
    size_t fits = biggest ? READ_BYTES / biggest : READ_MAX;
    c->read_count = c->read_count * 2 < READ_MAX ? c->read_count * 2 : READ_MAX;
    if (c->read_count > fits)
        c->read_count = fits ? fits : 1;
}

static void take_entries(struct gtv_consumer *c, const redisReply *entries)
{
    size_t biggest = 0;
    for (size_t i = 0; i < entries->elements; i++) {
        struct gtv_str id = reply_str(reply_at(entries->element[i], 0));
        const redisReply *fields = reply_at(entries->element[i], 1);
        if (!id.p || id.n >= GTV_JOB_ID_CAP)
            continue; // of another server than Redis
        if (c->recovering)
            memcpy(c->cursor, id.p, id.n + 1);
        if (!fields || fields->type != REDIS_REPLY_ARRAY) { // deleted since
            (void)gtv_redis_command(c->redis, NULL, NULL, "XACK ai:jobs ai %b", id.p, id.n);
            continue;
        }
        size_t before = c->held_bytes;
        if (!take(c, id, fields, c->recovering))
            c->pause_until_ms = gtv_mono_ms() + TICK_MS;
        if (c->held_bytes - before > biggest)
            biggest = c->held_bytes - before;
    }
    next_read_count(c, biggest);
}

static void read_done(void *arg, redisReply *reply)
{
    struct gtv_consumer *c = arg;
    c->reading = false;
    if (!reply)
        return; // the connection's state is told next
    if (consumer_refused(reply)) {
        consumer_complain(c, "read", reply);
    } else {
        const redisReply *entries = reply_at(reply_at(reply, 0), 1);
        if (entries && entries->type == REDIS_REPLY_ARRAY && entries->elements)
            take_entries(c, entries);
        else
            c->recovering = false;
    }
    consumer_pump(c);
}

static void group_done(void *arg, redisReply *reply)
{
    struct gtv_consumer *c = arg;
    c->reading = false;
    if (reply && consumer_refused(reply) && !gtv_str_starts(reply_str(reply), GTV_STR("BUSYGROUP")))
        consumer_complain(c, "group", reply);
    else if (reply)
        c->group_made = true;
    consumer_pump(c);
}

// How much is read ahead and how much is begun, by what a picture takes.
static void pace(struct gtv_consumer *c)
{
    struct gtv_engine_stats stats = {0};
    gtv_engine_get_stats(c->config.engine, &stats);
    double workers = stats.workers ? (double)stats.workers : 1;
    double each = stats.picture_ms > 0.01 ? stats.picture_ms : 0.01;
    bool known = stats.picture_ms > 0;
    double begun = known ? WINDOW_MS / each : 2, ahead = known ? AHEAD_MS / each * workers : HELD_MIN;
    double least = stats.batch > 1 ? (double)stats.batch + 1 : 2;
    begun = begun < least ? least : begun > WINDOW_MAX ? WINDOW_MAX : begun;
    c->window = (size_t)(begun * workers);
    if (c->window > FLUSH_MAX)
        c->window = FLUSH_MAX;
    c->ahead = ahead > HELD_MAX ? HELD_MAX : ahead < HELD_MIN ? HELD_MIN : (size_t)ahead;
    if (c->ahead < 2 * c->window)
        c->ahead = 2 * c->window;
}

void consumer_read_more(struct gtv_consumer *c)
{
    if (c->reading || c->stopping || !c->can_detect || !c->lease_ms || !gtv_redis_up(c->reader) ||
        !gtv_redis_up(c->redis) || gtv_mono_ms() < c->pause_until_ms)
        return;
    if (!c->group_made) {
        c->reading = gtv_redis_command(c->reader, group_done, c, "XGROUP CREATE ai:jobs ai 0 MKSTREAM");
        return;
    }
    pace(c);
    size_t held = gtv_map_count(c->held);
    if (c->recovering) {
        c->reading =
            gtv_redis_command(c->reader, read_done, c, "XREADGROUP GROUP ai %s COUNT %d STREAMS ai:jobs %s",
                              c->name, (int)READ_FIRST, c->cursor);
        return;
    }
    if (held >= c->ahead || held + c->ahead / 4 > c->ahead || c->held_bytes >= HELD_BYTES)
        return;
    size_t count = c->ahead - held < c->read_count ? c->ahead - held : c->read_count;
    c->reading = gtv_redis_command(c->reader, read_done, c,
                                   "XREADGROUP GROUP ai %s COUNT %d BLOCK %d STREAMS ai:jobs >", c->name,
                                   (int)count, (int)BLOCK_MS);
}

// ---- Dead peers ----

static void taken_over(void *arg, redisReply *reply)
{
    struct gtv_consumer *c = arg;
    c->taking = false;
    if (!reply)
        return;
    if (consumer_refused(reply)) {
        consumer_complain(c, "take over", reply);
        return;
    }
    const redisReply *entries = reply_at(reply, 0);
    size_t n = entries && entries->type == REDIS_REPLY_ARRAY ? entries->elements : 0;
    for (size_t i = 0; i < n; i++) {
        const redisReply *e = entries->element[i];
        if (!take(c, reply_str(reply_at(e, 0)), reply_at(e, 1), reply_int(reply_at(e, 2))))
            c->recovering = true;
    }
    uint64_t died = (uint64_t)reply_int(reply_at(reply, 1)), buried = (uint64_t)reply_int(reply_at(reply, 2));
    gtv_counter_add(c->claimed, n);
    if (died)
        c->calm_since_ms = gtv_mono_ms();
    gtv_counter_add(c->deaths, died);
    gtv_counter_add(c->dead, buried);
    if (n || buried)
        gtv_log_warn(&c->log, "jobs of a dead worker were taken over", "jobs=%zu running=%llu given_up=%llu",
                     n, (unsigned long long)died, (unsigned long long)buried);
    if (buried)
        gtv_callbacks_poll(c->callbacks);
    consumer_pump(c);
}

void consumer_take_over(struct gtv_consumer *c, int64_t now)
{
    // Right after an outage everybody's lease is gone: first all have to have had the time to renew theirs.
    size_t held = gtv_map_count(c->held);
    if (c->taking || c->stopping || !c->can_detect || !c->group_made || !c->lease_since_ms ||
        now - c->lease_since_ms < GTV_JOBS_LEASE_MS || held >= c->ahead || c->held_bytes >= HELD_BYTES)
        return;
    size_t room = c->ahead - held < c->read_count ? c->ahead - held : c->read_count;
    char count[24], ttl[24], wall[24];
    struct script_args args = {0};
    script_begin(&args, gtv_script_take_over);
    script_add(&args, gtv_str_of(c->name));
    script_add_int(&args, (int64_t)room, count);
    script_add_int(&args, gtv_live_int(c->config.result_ttl), ttl);
    script_add_int(&args, gtv_wall_ms(), wall);
    c->taking = script_send(&args, c->redis, taken_over, c);
}
