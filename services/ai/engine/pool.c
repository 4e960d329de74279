#include "services/ai/engine/pool.h"

#include "lib/base/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct list {
    struct gtv_task *head, **tail;
    size_t count;
};

struct worker {
    struct gtv_pool *pool;
    size_t index;
    pthread_t thread;
};

struct gtv_pool {
    pthread_mutex_t lock; // guards what follows up to worker_count
    pthread_cond_t work;
    struct list posted, looks;
    bool look_next; // whose turn it is when both wait
    bool closing;
    size_t worker_count, max_posted; // constant
    struct worker *workers;
};

static void push(struct list *l, struct gtv_task *task)
{
    task->next = NULL;
    *l->tail = task;
    l->tail = &task->next;
    l->count++;
}

static struct gtv_task *pop(struct list *l)
{
    struct gtv_task *task = l->head;
    if (!task)
        return NULL;
    l->head = task->next;
    if (!l->head)
        l->tail = &l->head;
    l->count--;
    return task;
}

// Turn about: neither posted pictures nor cameras can starve the other.
static struct gtv_task *take(struct gtv_pool *p)
{
    bool look = p->looks.count && (p->look_next || !p->posted.count);
    p->look_next = !look;
    return pop(look ? &p->looks : &p->posted);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct gtv_pool *p = w->pool;
    char name[16];
    snprintf(name, sizeof(name), "ai-worker-%zu", w->index % 1000);
    (void)pthread_setname_np(pthread_self(), name);
    (void)pthread_mutex_lock(&p->lock);
    for (;;) {
        struct gtv_task *task = take(p);
        if (task) {
            (void)pthread_mutex_unlock(&p->lock);
            task->run(task, w->index);
            (void)pthread_mutex_lock(&p->lock);
        } else if (p->closing) {
            break;
        } else {
            (void)pthread_cond_wait(&p->work, &p->lock);
        }
    }
    (void)pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct gtv_pool *gtv_pool_create(size_t workers, size_t max_posted)
{
    struct gtv_pool *p = GTV_NEW(struct gtv_pool);
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->work, NULL);
    p->posted.tail = &p->posted.head;
    p->looks.tail = &p->looks.head;
    p->max_posted = max_posted;
    p->workers = gtv_alloc(workers * sizeof(*p->workers));
    for (size_t i = 0; i < workers; i++) {
        p->workers[i] = (struct worker){.pool = p, .index = i};
        if (pthread_create(&p->workers[i].thread, NULL, work, &p->workers[i]) != 0)
            abort(); // at start, with nothing to fall back to
        p->worker_count++;
    }
    return p;
}

void gtv_pool_destroy(struct gtv_pool *p)
{
    if (!p)
        return;
    (void)pthread_mutex_lock(&p->lock);
    p->closing = true;
    (void)pthread_cond_broadcast(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < p->worker_count; i++)
        (void)pthread_join(p->workers[i].thread, NULL);
    (void)pthread_cond_destroy(&p->work);
    (void)pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}

bool gtv_pool_post(struct gtv_pool *p, struct gtv_task *task)
{
    (void)pthread_mutex_lock(&p->lock);
    bool ok = p->posted.count < p->max_posted && !p->closing;
    if (ok)
        push(&p->posted, task);
    (void)pthread_cond_signal(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
    return ok;
}

void gtv_pool_look(struct gtv_pool *p, struct gtv_task *task)
{
    (void)pthread_mutex_lock(&p->lock);
    push(&p->looks, task);
    (void)pthread_cond_signal(&p->work);
    (void)pthread_mutex_unlock(&p->lock);
}

static size_t count_of(struct gtv_pool *p, const struct list *l)
{
    (void)pthread_mutex_lock(&p->lock);
    size_t n = l->count;
    (void)pthread_mutex_unlock(&p->lock);
    return n;
}

size_t gtv_pool_posted(struct gtv_pool *p)
{
    return count_of(p, &p->posted);
}

size_t gtv_pool_looks(struct gtv_pool *p)
{
    return count_of(p, &p->looks);
}

size_t gtv_pool_workers(const struct gtv_pool *p)
{
    return p->worker_count;
}
