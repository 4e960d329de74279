// The inference threads and what waits for them: posted pictures in a bounded queue, and at most one look of
// each camera.
#ifndef GTV_AI_POOL_H
#define GTV_AI_POOL_H

#include "lib/base/str.h"

struct gtv_pool;

// Embedded in whatever is to be done. The pool never frees it. While it waits or runs it belongs to the pool.
struct gtv_task {
    void (*run)(struct gtv_task *task,
                size_t worker); // on the worker's thread; worker counts from 0: its slot of the detector
    struct gtv_task *next;
};

// Starts the threads. max_posted bounds gtv_pool_post; looks are bounded by their callers, who hold one each.
struct gtv_pool *gtv_pool_create(size_t workers, size_t max_posted);
// Runs what still waits, then ends the threads. NULL is accepted.
void gtv_pool_destroy(struct gtv_pool *p);

bool gtv_pool_post(struct gtv_pool *p, struct gtv_task *task)
    GTV_WARN_UNUSED; // any thread; false when full: task stays the caller's
void gtv_pool_look(struct gtv_pool *p, struct gtv_task *task); // any thread; never refused

size_t gtv_pool_posted(struct gtv_pool *p); // posted pictures that wait
size_t gtv_pool_looks(struct gtv_pool *p);  // looks that wait
size_t gtv_pool_workers(const struct gtv_pool *p);

#endif
