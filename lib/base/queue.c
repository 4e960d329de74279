#include "lib/base/queue.h"

#include "lib/base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct gtv_queue {
    pthread_mutex_t lock; // guards all that follows
    pthread_cond_t not_empty;
    size_t capacity, head, count;
    bool closed;
    void **items; // a ring
};

struct gtv_queue *gtv_queue_create(size_t capacity)
{
    struct gtv_queue *q = GTV_NEW(struct gtv_queue);
    q->capacity = capacity ? capacity : 1;
    q->items = gtv_alloc(q->capacity * sizeof(*q->items));
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->not_empty, &attr);
    pthread_condattr_destroy(&attr);
    return q;
}

static void *take_oldest(struct gtv_queue *q)
{
    void *item = q->items[q->head];
    q->head = (q->head + 1) % q->capacity;
    q->count--;
    return item;
}

static void append(struct gtv_queue *q, void *item)
{
    q->items[(q->head + q->count) % q->capacity] = item;
    q->count++;
    pthread_cond_signal(&q->not_empty);
}

void gtv_queue_destroy(struct gtv_queue *q, void (*free_item)(void *))
{
    if (!q)
        return;
    while (q->count) {
        void *item = take_oldest(q);
        if (free_item)
            free_item(item);
    }
    pthread_cond_destroy(&q->not_empty);
    pthread_mutex_destroy(&q->lock);
    free(q->items);
    free(q);
}

bool gtv_queue_push(struct gtv_queue *q, void *item)
{
    pthread_mutex_lock(&q->lock);
    bool room = !q->closed && q->count < q->capacity;
    if (room)
        append(q, item);
    pthread_mutex_unlock(&q->lock);
    return room;
}

void *gtv_queue_push_newest(struct gtv_queue *q, void *item)
{
    void *out = NULL;
    pthread_mutex_lock(&q->lock);
    if (q->closed) {
        out = item;
    } else {
        if (q->count == q->capacity)
            out = take_oldest(q);
        append(q, item);
    }
    pthread_mutex_unlock(&q->lock);
    return out;
}

static struct timespec deadline_after(int timeout_ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += timeout_ms / 1000;
    t.tv_nsec += (timeout_ms % 1000) * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000L;
    }
    return t;
}

void *gtv_queue_pop(struct gtv_queue *q, int timeout_ms)
{
    struct timespec deadline = {0};
    if (timeout_ms > 0)
        deadline = deadline_after(timeout_ms);
    pthread_mutex_lock(&q->lock);
    while (q->count == 0 && !q->closed) {
        int rc = ETIMEDOUT;
        if (timeout_ms < 0)
            rc = pthread_cond_wait(&q->not_empty, &q->lock);
        else if (timeout_ms > 0)
            rc = pthread_cond_timedwait(&q->not_empty, &q->lock, &deadline);
        if (rc == ETIMEDOUT)
            break;
    }
    void *item = q->count ? take_oldest(q) : NULL;
    pthread_mutex_unlock(&q->lock);
    return item;
}

void gtv_queue_close(struct gtv_queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->not_empty);
    pthread_mutex_unlock(&q->lock);
}

size_t gtv_queue_count(struct gtv_queue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t n = q->count;
    pthread_mutex_unlock(&q->lock);
    return n;
}
