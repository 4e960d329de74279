// The consumer's state, for its two files: consumer.c (begins, stores, lives) and reader.c (reads and takes
// over). All on the consumer's loop, but for what says otherwise.
#ifndef GTV_AI_JOBS_CONSUMER_H
#define GTV_AI_JOBS_CONSUMER_H

#include "services/ai/jobs/internal.h"

#include <semaphore.h>

enum {
    TICK_MS = 1000, // lease, dead peers, callbacks
    READ_FIRST = 4, // entries of a read; doubles while they are small
    HELD_MIN = 8,
    FLUSH_MAX = 64, // answers stored at once
};

struct job {
    struct gtv_exam exam;
    struct gtv_consumer *consumer;
    struct job *next;
    struct gtv_job_entry entry;
    char *data; // what the entry's slices point to
    size_t size;
    bool failed;
    struct gtv_bytes *json;
};

struct list {
    struct job *first, *last;
    size_t count;
};

struct gtv_consumer {
    struct gtv_jobs_config config;
    struct gtv_log log;
    struct gtv_loop *loop;
    struct gtv_redis *redis, *reader;
    struct gtv_callbacks *callbacks;
    struct gtv_timer *tick, *leave;
    char name[96];
    struct gtv_map *held; // by entry: all that are here
    size_t held_bytes;
    struct list ready, suspects, last_chances, marked, finished;
    size_t marking, running, storing, flushes;
    bool can_detect, reading, stopping, leaving, group_made, taking;
    bool
        recovering; // entries may be ours of which we know nothing: their delivery was lost with a connection
    char cursor[GTV_JOB_ID_CAP];
    size_t read_count, ahead, window;
    int64_t lease_since_ms, lease_ms; // since when it is held without a gap, and when it was last renewed
    int64_t calm_since_ms;            // this process began, or a job of a dead one was taken over
    int64_t pause_until_ms;           // Redis refused something
    bool complained;
    sem_t stopped;
    struct gtv_counter *claimed, *deaths, *dead, *done, *failed, *dropped, *malformed;
    struct gtv_gauge *held_gauge, *running_gauge;
    struct gtv_histogram *wait_seconds;
};

// consumer.c
void consumer_pump(struct gtv_consumer *c); // does whatever can be done now
void consumer_push(struct list *l, struct job *job);
void consumer_complain(struct gtv_consumer *c, const char *what, const redisReply *reply);
struct gtv_bytes *consumer_write_failure(const struct gtv_job_entry *entry, const struct gtv_error *e);
void consumer_examined(struct gtv_exam *exam); // on a worker's thread

// reader.c
void consumer_read_more(struct gtv_consumer *c);
void consumer_take_over(struct gtv_consumer *c, int64_t now_ms);

static inline bool consumer_refused(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ERROR;
}

#endif
