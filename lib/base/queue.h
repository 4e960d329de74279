// Bounded queue between threads. When full the caller chooses: refuse the new item, or push out the oldest.
#ifndef GTV_BASE_QUEUE_H
#define GTV_BASE_QUEUE_H

#include "lib/base/str.h"

struct gtv_queue;

struct gtv_queue *gtv_queue_create(size_t capacity);
void gtv_queue_destroy(struct gtv_queue *q, void (*free_item)(void *));
bool gtv_queue_push(struct gtv_queue *q,
                    void *item) GTV_WARN_UNUSED; // false when full or closed: item stays the caller's
// Never refuses unless closed (then item is returned): returns the item pushed out, which is the caller's to
// free, or NULL.
void *gtv_queue_push_newest(struct gtv_queue *q, void *item) GTV_WARN_UNUSED;
void *gtv_queue_pop(struct gtv_queue *q,
                    int timeout_ms);       // -1 waits for ever; NULL on time-out, or closed and empty
void gtv_queue_close(struct gtv_queue *q); // wakes all waiters
size_t gtv_queue_count(struct gtv_queue *q);

#endif
