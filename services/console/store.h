// The SQL thread: what comes from the loop waits in one bounded queue, rows are written in batches, answers
// go back by gtv_loop_post.
#ifndef GTV_CONSOLE_STORE_H
#define GTV_CONSOLE_STORE_H

#include "lib/loop/loop.h"
#include "lib/metrics/metrics.h"
#include "services/console/db.h"

enum {
    GTV_STORE_QUEUE =
        4096, // items between loop and thread; when it is full, detections are dropped and counted
    GTV_STORE_BATCH = 512,    // rows in one transaction; of more after the database refused
    GTV_STORE_BATCH_MS = 200, // how long a row waits for company
    GTV_STORE_WAITING = 8192, // rows that wait in memory (of 0.8 KiB each) while the database refuses; then
                              // the oldest are given up
    GTV_STORE_CAUSE_CAP = 256,
};

struct gtv_store;

// What a query found; lives until the callback returns. err is NULL when all went well.
struct gtv_store_result {
    const struct gtv_db_detection *rows; // one of the three, by what was asked
    const struct gtv_db_happening *happenings;
    const struct gtv_db_count *counts;
    size_t count;
    int64_t total;
    const struct gtv_error *err;
};

// Starts the thread, which owns db from here on and closes it; db may be one that is away. metrics must
// outlive the store.
struct gtv_store *gtv_store_create(struct gtv_db *db, struct gtv_loop *loop, struct gtv_metrics *metrics);
// Writes what waits and joins the thread. Callbacks that were not yet called get their chance while the loop
// is destroyed.
void gtv_store_destroy(struct gtv_store *s);
void gtv_store_set_limits(struct gtv_store *s,
                          struct gtv_db_limits limits); // any thread; the next writing keeps to them

// Loop thread, once. fn is called on the loop, once, when the database was reached for the first time: with
// the last event whose detections are stored, "" where there is none.
void gtv_store_begin(struct gtv_store *s, void (*fn)(void *arg, const char *last_event), void *arg);
// Loop thread. Copies the rows (n <= GTV_MAX_OBJECTS; 0 only moves last_event on). Never blocks.
void gtv_store_add(struct gtv_store *s, const struct gtv_db_detection *rows, size_t n,
                   const char *last_event);
// Loop thread. fn is called on the loop, once; false (and never) when the queue is full.
typedef void (*gtv_store_answer_fn)(void *arg, const struct gtv_store_result *r);
bool gtv_store_find(struct gtv_store *s, const struct gtv_db_filter *filter, gtv_store_answer_fn fn,
                    void *arg) GTV_WARN_UNUSED;
bool gtv_store_find_happenings(struct gtv_store *s, const struct gtv_db_happening_filter *filter,
                               gtv_store_answer_fn fn, void *arg) GTV_WARN_UNUSED;
bool gtv_store_count_lines(struct gtv_store *s, const struct gtv_db_count_filter *filter,
                           gtv_store_answer_fn fn, void *arg) GTV_WARN_UNUSED;
// Loop thread. Stores them in one transaction; rows must stay as they are until fn is called, on the loop,
// with whether they are in the database. False (and never) when the queue is full.
bool gtv_store_put_happenings(struct gtv_store *s, const struct gtv_db_happening *rows, size_t n,
                              void (*fn)(void *arg, bool ok), void *arg) GTV_WARN_UNUSED;
bool gtv_store_healthy(struct gtv_store *s); // any thread: the last write went well, and a server answers
bool gtv_store_leads(struct gtv_store *s);   // any thread: no other console stores what is new in view
// Any thread: why it was last not healthy; out.
const char *gtv_store_cause(struct gtv_store *s, char out[GTV_STORE_CAUSE_CAP]);

#endif
