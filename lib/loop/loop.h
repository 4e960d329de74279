// One libuv loop per thread, and the only way to hand work to it from another thread.
#ifndef GTV_LOOP_LOOP_H
#define GTV_LOOP_LOOP_H

#include "lib/base/str.h"

#include <uv.h>

struct gtv_loop;

// Not running yet. `name` (<= 15 bytes) names the thread.
struct gtv_loop *gtv_loop_create(const char *name);
void gtv_loop_destroy(
    struct gtv_loop *loop); // after it stopped; closes what handles are left; NULL is accepted

uv_loop_t *gtv_loop_uv(struct gtv_loop *loop); // for use on the loop's own thread only

void gtv_loop_run(struct gtv_loop *loop);   // on the caller's thread, until gtv_loop_stop
void gtv_loop_start(struct gtv_loop *loop); // on a thread of its own
// On the caller's thread, before gtv_loop_run: turns until done(arg), asked after each turn, or for limit_ms.
void gtv_loop_run_until(struct gtv_loop *loop, bool (*done)(void *arg), void *arg, uint64_t limit_ms);
void gtv_loop_stop(struct gtv_loop *loop); // any thread: ends the run after the posts made so far
void gtv_loop_join(struct gtv_loop *loop); // waits for a started thread to end

// Any thread: runs fn(arg) on the loop's thread, in order of posting. False when 65,536 are waiting or the
// loop was stopped: fn will not run and arg stays the caller's.
bool gtv_loop_post(struct gtv_loop *loop, void (*fn)(void *arg), void *arg) GTV_WARN_UNUSED;

// A timer on the loop's own thread. repeat_ms 0 fires once. Destroy is allowed inside the callback.
struct gtv_timer;
struct gtv_timer *gtv_timer_create(struct gtv_loop *loop, void (*fn)(void *arg), void *arg);
void gtv_timer_start(struct gtv_timer *t, uint64_t first_ms, uint64_t repeat_ms);
void gtv_timer_stop(struct gtv_timer *t);
void gtv_timer_destroy(struct gtv_timer *t); // NULL is accepted

// SIGINT and SIGTERM call fn once on this loop. (SIGPIPE is ignored from the first loop on.)
void gtv_loop_on_signal(struct gtv_loop *loop, void (*fn)(void *arg, int signum), void *arg);
// Each SIGHUP calls fn on this loop, where it would end the program otherwise.
void gtv_loop_on_hangup(struct gtv_loop *loop, void (*fn)(void *arg), void *arg);

#endif
