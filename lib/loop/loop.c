// Phases of a loop: created -> running (gtv_loop_run or the thread of gtv_loop_start) -> stopped ->
// destroyed. A post that was accepted always runs: on the loop, or in gtv_loop_destroy when the loop never
// ran.
#include "lib/loop/loop.h"

#include "lib/base/mem.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

// Waiting posts; beyond it gtv_loop_post refuses.
enum { MAX_POSTS = 65536, FIRST_POSTS = 64 };

struct post {
    void (*fn)(void *arg);
    void *arg;
};

struct post_list {
    struct post *items;
    size_t count, cap;
};

struct gtv_loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_signal_t on_int, on_term, on_hup;
    bool has_signals;
    void (*hangup_fn)(void *arg); // NULL: on_hup is not set up
    void *hangup_arg;
    void (*signal_fn)(void *arg, int signum);
    void *signal_arg;
    char name[16];
    pthread_t thread;
    bool started;

    pthread_mutex_t lock; // guards waiting and stopped
    struct post_list waiting;
    bool stopped;

    struct post_list running; // the loop's thread only: what the drain in progress took over
};

struct gtv_timer {
    uv_timer_t uv;
    void (*fn)(void *arg);
    void *arg;
};

// Takes over what waits; false when nothing did.
static bool take_posts(struct gtv_loop *loop, bool *stopped)
{
    pthread_mutex_lock(&loop->lock);
    struct post_list spare = loop->running;
    loop->running = loop->waiting;
    loop->waiting = spare;
    loop->waiting.count = 0;
    *stopped = loop->stopped;
    pthread_mutex_unlock(&loop->lock);
    return loop->running.count > 0;
}

static void run_posts(struct gtv_loop *loop)
{
    // What is posted meanwhile goes to the other list, so this one stands still.
    for (size_t i = 0; i < loop->running.count; i++) {
        loop->running.items[i].fn(loop->running.items[i].arg);
    }
    loop->running.count = 0;
    if (loop->running.cap > 1024) { // a burst must not hold its memory for ever
        free(loop->running.items);
        loop->running = (struct post_list){0};
    }
}

static void on_wake(uv_async_t *handle)
{
    struct gtv_loop *loop = handle->data;
    bool stopped = false;
    // One turn only: posts that post again must not keep the sockets waiting. Their own wake-up is already
    // sent.
    if (take_posts(loop, &stopped)) {
        run_posts(loop);
    }
    if (stopped) { // nothing can be posted any more: what is left is finite
        while (take_posts(loop, &stopped)) {
            run_posts(loop);
        }
        uv_stop(&loop->uv);
    }
}

struct gtv_loop *gtv_loop_create(const char *name)
{
    struct gtv_loop *loop = GTV_NEW(struct gtv_loop);
    // A peer that closed must be an error of the write, never a signal that ends the process.
    (void)signal(SIGPIPE, SIG_IGN);
    (void)snprintf(loop->name, sizeof(loop->name), "%s", name ? name : "loop");
    if (pthread_mutex_init(&loop->lock, NULL) != 0 || uv_loop_init(&loop->uv) != 0 ||
        uv_async_init(&loop->uv, &loop->wake, on_wake) != 0) {
        (void)fprintf(stderr, "cannot create an event loop: out of file descriptors or memory\n");
        abort();
    }
    loop->uv.data = loop;
    loop->wake.data = loop;
    return loop;
}

static void close_left(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

void gtv_loop_destroy(struct gtv_loop *loop)
{
    if (!loop) {
        return;
    }
    assert(!loop->started && "join the thread before the loop is destroyed");
    pthread_mutex_lock(&loop->lock);
    loop->stopped = true;
    pthread_mutex_unlock(&loop->lock);
    bool stopped = false;
    while (take_posts(loop, &stopped)) {
        run_posts(loop);
    }
    // Close callbacks may close further handles.
    do {
        uv_walk(&loop->uv, close_left, NULL);
        (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    } while (uv_loop_close(&loop->uv) == UV_EBUSY);
    free(loop->waiting.items);
    free(loop->running.items);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

uv_loop_t *gtv_loop_uv(struct gtv_loop *loop)
{
    return &loop->uv;
}

void gtv_loop_run(struct gtv_loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

static void *thread_main(void *arg)
{
    struct gtv_loop *loop = arg;
    (void)pthread_setname_np(pthread_self(), loop->name);
    gtv_loop_run(loop);
    return NULL;
}

void gtv_loop_start(struct gtv_loop *loop)
{
    assert(!loop->started);
    if (pthread_create(&loop->thread, NULL, thread_main, loop) != 0) {
        (void)fprintf(stderr, "cannot start the thread of an event loop\n");
        abort();
    }
    loop->started = true;
}

void gtv_loop_stop(struct gtv_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->stopped = true;
    // Under the lock: the loop's thread cannot get past its last drain, and so not be joined and destroyed,
    // before this returned.
    (void)uv_async_send(&loop->wake);
    pthread_mutex_unlock(&loop->lock);
}

void gtv_loop_join(struct gtv_loop *loop)
{
    if (loop->started) {
        (void)pthread_join(loop->thread, NULL);
        loop->started = false;
    }
}

bool gtv_loop_post(struct gtv_loop *loop, void (*fn)(void *arg), void *arg)
{
    bool accepted = false;
    pthread_mutex_lock(&loop->lock);
    struct post_list *list = &loop->waiting;
    if (!loop->stopped && list->count < MAX_POSTS) {
        if (list->count == list->cap) {
            list->cap = list->cap ? list->cap * 2 : FIRST_POSTS;
            list->items = gtv_realloc(list->items, list->cap * sizeof(*list->items));
        }
        list->items[list->count++] = (struct post){fn, arg};
        if (list->count == 1) {
            (void)uv_async_send(&loop->wake);
        }
        accepted = true;
    }
    pthread_mutex_unlock(&loop->lock);
    return accepted;
}

static void on_timer(uv_timer_t *handle)
{
    struct gtv_timer *t = handle->data;
    t->fn(t->arg);
}

struct gtv_timer *gtv_timer_create(struct gtv_loop *loop, void (*fn)(void *arg), void *arg)
{
    struct gtv_timer *t = GTV_NEW(struct gtv_timer);
    (void)uv_timer_init(&loop->uv, &t->uv);
    t->uv.data = t;
    t->fn = fn;
    t->arg = arg;
    return t;
}

static void note_end(void *arg)
{
    *(bool *)arg = true;
}

void gtv_loop_run_until(struct gtv_loop *loop, bool (*done)(void *arg), void *arg, uint64_t limit_ms)
{
    bool ended = false;
    struct gtv_timer *limit = gtv_timer_create(loop, note_end, &ended);
    gtv_timer_start(limit, limit_ms, 0);
    while (!ended && !done(arg))
        (void)uv_run(&loop->uv, UV_RUN_ONCE);
    gtv_timer_destroy(limit);
}

void gtv_timer_start(struct gtv_timer *t, uint64_t first_ms, uint64_t repeat_ms)
{
    // The loop's idea of now may be old when a long callback ran before.
    uv_update_time(t->uv.loop);
    (void)uv_timer_start(&t->uv, on_timer, first_ms, repeat_ms);
}

void gtv_timer_stop(struct gtv_timer *t)
{
    (void)uv_timer_stop(&t->uv);
}

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void gtv_timer_destroy(struct gtv_timer *t)
{
    if (!t) {
        return;
    }
    if (uv_is_closing((uv_handle_t *)&t->uv)) { // gtv_loop_destroy was first
        free(t);
        return;
    }
    uv_close((uv_handle_t *)&t->uv, on_timer_closed);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct gtv_loop *loop = handle->data;
    // The default comes back: a second Ctrl-C ends a program whose orderly end hangs.
    (void)uv_signal_stop(&loop->on_int);
    (void)uv_signal_stop(&loop->on_term);
    loop->signal_fn(loop->signal_arg, signum);
}

void gtv_loop_on_signal(struct gtv_loop *loop, void (*fn)(void *arg, int signum), void *arg)
{
    loop->signal_fn = fn;
    loop->signal_arg = arg;
    if (!loop->has_signals) {
        (void)uv_signal_init(&loop->uv, &loop->on_int);
        (void)uv_signal_init(&loop->uv, &loop->on_term);
        loop->on_int.data = loop;
        loop->on_term.data = loop;
        loop->has_signals = true;
    }
    (void)uv_signal_start(&loop->on_int, on_signal, SIGINT);
    (void)uv_signal_start(&loop->on_term, on_signal, SIGTERM);
}

static void on_hangup(uv_signal_t *handle, int signum)
{
    struct gtv_loop *loop = handle->data;
    loop->hangup_fn(loop->hangup_arg);
}

void gtv_loop_on_hangup(struct gtv_loop *loop, void (*fn)(void *arg), void *arg)
{
    if (!loop->hangup_fn) {
        (void)uv_signal_init(&loop->uv, &loop->on_hup);
        loop->on_hup.data = loop;
    }
    loop->hangup_fn = fn;
    loop->hangup_arg = arg;
    (void)uv_signal_start(&loop->on_hup, on_hangup, SIGHUP);
}
