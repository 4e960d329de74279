#include "services/console/store.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/queue.h"
#include "lib/log/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    RETRY_MS = 1000,
    FOLLOW_MS = 1000, // between two looks at how far the console that leads is
    CHECK_MS = 2000,
    AWAY_MS = 500, // the same while a server is away; how often it is dialled is db_postgres.c's affair
    WARN_EVERY_MS = 30000,
};

static const struct gtv_log log_store = {"console", "part", "store"};

enum item_kind { ROWS, HAPPENINGS, FIND, FIND_HAPPENINGS, COUNT_LINES, BEGIN };

struct item {
    enum item_kind kind;
    // rows, also of an answer
    struct gtv_db_detection *rows;
    struct gtv_db_happening *happenings;
    struct gtv_db_count *counts;
    size_t count;
    char last_event[GTV_DB_EVENT_CAP];
    // happenings to store: their owner's
    const struct gtv_db_happening *told;
    void (*told_fn)(void *arg, bool ok);
    // where to begin: last_event
    void (*begin_fn)(void *arg, const char *last_event);
    // query, and then its answer
    union {
        struct gtv_db_filter find;
        struct gtv_db_happening_filter happenings;
        struct gtv_db_count_filter counts;
    } filter;
    gtv_store_answer_fn fn;
    void *arg;
    int64_t total;
    struct gtv_error err;
    bool failed;
};

// Rows that wait for their transaction. SQL thread only.
struct batch {
    struct gtv_db_detection rows[GTV_STORE_WAITING];
    size_t count;
    char last_event[GTV_DB_EVENT_CAP];
    bool open;       // something is in it
    bool held;       // it was tried and will be again, at due_ms: the database refuses, or another leads
    int64_t due_ms;  // monotonic: when it is written at the latest
    int64_t warn_ms; // monotonic: no warning before
};

struct gtv_store {
    struct gtv_db *db; // SQL thread only, but for its limits
    struct gtv_loop *loop;
    struct gtv_queue *queue;
    pthread_t thread;
    struct batch batch;
    struct item *begin;                  // SQL thread only: who waits for the database to be reached
    int64_t check_ms;                    // monotonic, SQL thread only: when it is asked whether it is there
    atomic_bool written, reached, leads; // the last write, the last check went well; no other console leads
    atomic_bool closing;
    pthread_mutex_t lock; // guards cause
    char cause[GTV_STORE_CAUSE_CAP];
    int64_t drop_warn_ms; // loop thread only
    struct gtv_counter *stored, *told, *dropped, *failures;
    struct gtv_gauge *waiting;
};

static void free_item(void *p)
{
    struct item *i = p;
    if (!i)
        return;
    free(i->rows);
    free(i->happenings);
    free(i->counts);
    free(i);
}

static void answer(void *p)
{
    struct item *i = p;
    const struct gtv_store_result r = {.rows = i->rows,
                                       .happenings = i->happenings,
                                       .counts = i->counts,
                                       .count = i->count,
                                       .total = i->total,
                                       .err = i->failed ? &i->err : NULL};
    i->fn(i->arg, &r);
    free_item(i);
}

static void answer_told(void *p)
{
    struct item *i = p;
    i->told_fn(i->arg, !i->failed);
    free_item(i);
}

static void answer_begin(void *p)
{
    struct item *i = p;
    i->begin_fn(i->arg, i->last_event);
    free_item(i);
}

static void set_cause(struct gtv_store *s, const struct gtv_error *err)
{
    pthread_mutex_lock(&s->lock);
    snprintf(s->cause, sizeof s->cause, "%s", err->message);
    pthread_mutex_unlock(&s->lock);
}

// Another console stores them: what it has not come to yet is kept, for when it is gone.
static void follow(struct batch *b, const char *last_event)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->count; i++)
        if (!gtv_db_event_done(b->rows[i].event, last_event))
            b->rows[kept++] = b->rows[i];
    b->count = kept;
    b->open = b->held = kept > 0;
    b->due_ms = gtv_mono_ms() + FOLLOW_MS;
}

// False when there are still rows, to be tried again.
static bool flush(struct gtv_store *s)
{
    struct batch *b = &s->batch;
    struct gtv_db_stand stand;
    struct gtv_error err = {0};
    if (!b->open)
        return true;
    int64_t now = gtv_mono_ms();
    if (!gtv_db_store(s->db, b->rows, b->count, b->last_event, &stand, &err)) {
        atomic_store(&s->written, false);
        set_cause(s, &err);
        gtv_counter_add(s->failures, 1);
        if (now >= b->warn_ms) {
            gtv_log_error(&log_store, "detections cannot be stored, trying again", "waiting=%zu cause=\"%s\"",
                          b->count, err.message);
            b->warn_ms = now + WARN_EVERY_MS;
        }
        b->due_ms = gtv_mono_ms() + RETRY_MS;
        b->held = true;
        return false;
    }
    atomic_store(&s->written, true);
    atomic_store(&s->leads, stand.leads);
    if (!stand.leads) {
        follow(b, stand.event);
        return !b->open;
    }
    gtv_counter_add(s->stored, b->count);
    b->count = 0;
    b->open = b->held = false;
    return true;
}

static void add_rows(struct gtv_store *s, const struct item *i)
{
    struct batch *b = &s->batch;
    if (b->count + i->count > GTV_STORE_BATCH && (!b->held || gtv_mono_ms() >= b->due_ms))
        (void)flush(s);
    if (b->count + i->count > GTV_STORE_WAITING) {
        // The database has been refusing for long: what is oldest is given up, so that memory stays bounded.
        gtv_counter_add(s->dropped, b->count);
        b->count = 0;
    }
    if (!b->open) {
        b->open = true;
        b->due_ms = gtv_mono_ms() + GTV_STORE_BATCH_MS;
    }
    for (size_t k = 0; k < i->count && b->count < GTV_STORE_WAITING; k++)
        b->rows[b->count++] = i->rows[k];
    snprintf(b->last_event, sizeof b->last_event, "%s", i->last_event);
}

static bool run_find(struct gtv_store *s, struct item *i)
{
    struct gtv_error *err = &i->err;
    switch (i->kind) {
    case FIND:
        i->rows = calloc((size_t)i->filter.find.limit, sizeof *i->rows);
        return i->rows && gtv_db_find(s->db, &i->filter.find, i->rows, &i->count, &i->total, err);
    case FIND_HAPPENINGS:
        i->happenings = calloc((size_t)i->filter.happenings.limit, sizeof *i->happenings);
        return i->happenings &&
               gtv_db_find_happenings(s->db, &i->filter.happenings, i->happenings, &i->count, &i->total, err);
    case COUNT_LINES:
        i->counts = calloc((size_t)i->filter.counts.limit, sizeof *i->counts);
        return i->counts &&
               gtv_db_count_lines(s->db, &i->filter.counts, i->counts, &i->count, &i->total, err);
    case ROWS:
    case HAPPENINGS:
    case BEGIN:
        break;
    }
    return false;
}

// The item goes back to the loop, or is freed when that has stopped.
static void run_query(struct gtv_store *s, struct item *i)
{
    if (!s->batch.held || gtv_mono_ms() >= s->batch.due_ms)
        (void)flush(s); // what was reported before the question belongs in the answer
    i->failed = !run_find(s, i);
    if (i->failed && i->err.code == GTV_OK)
        gtv_error_set(&i->err, GTV_E_LIMIT, NULL, "no memory for the answer");
    if (i->failed && i->err.code == GTV_E_UNAVAILABLE) // where it stands is for the log and /ready
        gtv_error_set(&i->err, GTV_E_UNAVAILABLE, NULL, "the database is away");
    if (!gtv_loop_post(s->loop, answer, i))
        free_item(i);
}

static void put_happenings(struct gtv_store *s, struct item *i)
{
    int64_t now = gtv_mono_ms();
    i->failed = !gtv_db_store_happenings(s->db, i->told, i->count, &i->err);
    atomic_store(&s->written, !i->failed);
    if (!i->failed) {
        gtv_counter_add(s->told, i->count);
    } else {
        set_cause(s, &i->err);
        gtv_counter_add(s->failures, 1);
        if (now >= s->batch.warn_ms)
            gtv_log_error(&log_store, "what happened cannot be stored, trying again", "cause=\"%s\"",
                          i->err.message);
        s->batch.warn_ms = now >= s->batch.warn_ms ? now + WARN_EVERY_MS : s->batch.warn_ms;
    }
    if (!gtv_loop_post(s->loop, answer_told, i))
        free_item(i);
}

// A server that is away is noticed, and connected to again, also while nothing is written or asked.
static void check(struct gtv_store *s)
{
    struct gtv_error err = {0};
    bool leads = false, reached = gtv_db_check(s->db, &err) && gtv_db_lead(s->db, &leads, &err);
    atomic_store(&s->leads, reached && leads);
    if (!reached) {
        set_cause(s, &err);
        if (atomic_load(&s->reached))
            gtv_log_error(&log_store, "the database is away", "cause=\"%s\"", err.message);
    }
    atomic_store(&s->reached, reached);
    s->check_ms = gtv_mono_ms() + (reached ? CHECK_MS : AWAY_MS);
}

static void try_begin(struct gtv_store *s)
{
    struct item *i = s->begin;
    struct gtv_error err = {0};
    if (!i || !gtv_db_last_event(s->db, i->last_event, &err))
        return; // check tells why, and comes back here
    s->begin = NULL;
    if (!gtv_loop_post(s->loop, answer_begin, i))
        free_item(i);
}

static int wait_ms(const struct gtv_store *s)
{
    const struct batch *b = &s->batch;
    int64_t due = b->open && b->due_ms < s->check_ms ? b->due_ms : s->check_ms, left = due - gtv_mono_ms();
    return left < 0 ? 0 : (int)left;
}

static void *sql_thread(void *arg)
{
    struct gtv_store *s = arg;
    bool closing = false;
    pthread_setname_np(pthread_self(), "console-sql");
    while (!closing) {
        struct item *i = gtv_queue_pop(s->queue, wait_ms(s));
        gtv_gauge_set(s->waiting, (int64_t)gtv_queue_count(s->queue));
        if (i && i->kind == ROWS) {
            add_rows(s, i);
            free_item(i);
        } else if (i && i->kind == HAPPENINGS) {
            put_happenings(s, i);
        } else if (i && i->kind == BEGIN) {
            s->begin = i;
            try_begin(s);
        } else if (i) {
            run_query(s, i);
        }
        closing = !i && atomic_load(&s->closing);
        if (s->batch.open && (closing || gtv_mono_ms() >= s->batch.due_ms))
            (void)flush(s);
        if (!closing && gtv_mono_ms() >= s->check_ms) {
            check(s);
            try_begin(s);
        }
    }
    free_item(s->begin);
    return NULL;
}

void gtv_store_set_limits(struct gtv_store *s, struct gtv_db_limits limits)
{
    gtv_db_set_limits(s->db, &limits);
}

struct gtv_store *gtv_store_create(struct gtv_db *db, struct gtv_loop *loop, struct gtv_metrics *metrics)
{
    struct gtv_store *s = GTV_NEW(struct gtv_store);
    s->db = db;
    s->loop = loop;
    s->queue = gtv_queue_create(GTV_STORE_QUEUE);
    pthread_mutex_init(&s->lock, NULL);
    atomic_init(&s->written, true);
    atomic_init(&s->reached, true);
    atomic_init(&s->leads, false);
    atomic_init(&s->closing, false);
    s->stored = gtv_metrics_counter(metrics, "gtv_console_detections_stored_total", "",
                                    "Detections written to the database");
    s->told = gtv_metrics_counter(metrics, "gtv_console_happenings_stored_total", "",
                                  "Entries of the durable stream that are in the database");
    s->dropped = gtv_metrics_counter(metrics, "gtv_console_detections_dropped_total", "",
                                     "Detections given up because the database was too slow or failing");
    s->failures =
        gtv_metrics_counter(metrics, "gtv_console_store_failures_total", "", "Transactions that failed");
    s->waiting =
        gtv_metrics_gauge(metrics, "gtv_console_store_queue", "", "Items waiting for the SQL thread");
    check(s); // also of what has just been found out
    if (pthread_create(&s->thread, NULL, sql_thread, s) != 0)
        abort(); // at start-up, without a thread there is no service
    return s;
}

void gtv_store_destroy(struct gtv_store *s)
{
    if (!s)
        return;
    atomic_store(&s->closing, true);
    gtv_queue_close(s->queue);
    pthread_join(s->thread, NULL);
    gtv_queue_destroy(s->queue, free_item);
    gtv_db_close(s->db);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void gtv_store_add(struct gtv_store *s, const struct gtv_db_detection *rows, size_t n, const char *last_event)
{
    struct item *i = GTV_NEW(struct item);
    snprintf(i->last_event, sizeof i->last_event, "%s", last_event);
    i->count = n;
    if (n) {
        i->rows = gtv_alloc(n * sizeof *rows);
        memcpy(i->rows, rows, n * sizeof *rows);
    }
    if (gtv_queue_push(s->queue, i))
        return;
    gtv_counter_add(s->dropped, n);
    int64_t now = gtv_mono_ms();
    if (n && now >= s->drop_warn_ms) {
        gtv_log_warn(&log_store, "the database is too slow, detections are dropped", "queue=%d",
                     (int)GTV_STORE_QUEUE);
        s->drop_warn_ms = now + WARN_EVERY_MS;
    }
    free_item(i);
}

static bool push(struct gtv_store *s, struct item *i)
{
    if (gtv_queue_push(s->queue, i))
        return true;
    free_item(i);
    return false;
}

static struct item *query(enum item_kind kind, gtv_store_answer_fn fn, void *arg)
{
    struct item *i = GTV_NEW(struct item);
    i->kind = kind;
    i->fn = fn;
    i->arg = arg;
    return i;
}

bool gtv_store_find(struct gtv_store *s, const struct gtv_db_filter *filter, gtv_store_answer_fn fn,
                    void *arg)
{
    struct item *i = query(FIND, fn, arg);
    i->filter.find = *filter;
    return push(s, i);
}

bool gtv_store_find_happenings(struct gtv_store *s, const struct gtv_db_happening_filter *filter,
                               gtv_store_answer_fn fn, void *arg)
{
    struct item *i = query(FIND_HAPPENINGS, fn, arg);
    i->filter.happenings = *filter;
    return push(s, i);
}

bool gtv_store_count_lines(struct gtv_store *s, const struct gtv_db_count_filter *filter,
                           gtv_store_answer_fn fn, void *arg)
{
    struct item *i = query(COUNT_LINES, fn, arg);
    i->filter.counts = *filter;
    return push(s, i);
}

bool gtv_store_put_happenings(struct gtv_store *s, const struct gtv_db_happening *rows, size_t n,
                              void (*fn)(void *arg, bool ok), void *arg)
{
    struct item *i = GTV_NEW(struct item);
    i->kind = HAPPENINGS;
    i->told = rows;
    i->count = n;
    i->told_fn = fn;
    i->arg = arg;
    return push(s, i);
}

void gtv_store_begin(struct gtv_store *s, void (*fn)(void *arg, const char *last_event), void *arg)
{
    struct item *i = GTV_NEW(struct item);
    i->kind = BEGIN;
    i->begin_fn = fn;
    i->arg = arg;
    (void)push(s, i); // as the first one, there is room
}

bool gtv_store_leads(struct gtv_store *s)
{
    return atomic_load(&s->leads);
}

bool gtv_store_healthy(struct gtv_store *s)
{
    return atomic_load(&s->written) && atomic_load(&s->reached);
}

const char *gtv_store_cause(struct gtv_store *s, char out[GTV_STORE_CAUSE_CAP])
{
    pthread_mutex_lock(&s->lock);
    snprintf(out, GTV_STORE_CAUSE_CAP, "%s", s->cause);
    pthread_mutex_unlock(&s->lock);
    return out;
}
