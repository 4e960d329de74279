#include "tests/unit/unit.h"

#include "lib/base/clock.h"
#include "lib/loop/loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

struct seen {
    struct gtv_loop *loop;
    int order[16];
    int count;
    struct gtv_timer *timer;
    pthread_t thread;
    atomic_int total;
};

struct item {
    struct seen *seen;
    int value;
};

static void note(void *arg)
{
    struct item *item = arg;
    item->seen->order[item->seen->count++] = item->value;
}

static void stop(void *arg)
{
    gtv_loop_stop(arg);
}

static void posts_run_in_order(void **state)
{
    (void)state;
    struct seen seen = {.loop = gtv_loop_create("order")};
    struct item items[3] = {{&seen, 1}, {&seen, 2}, {&seen, 3}};
    for (int i = 0; i < 3; i++) {
        assert_true(gtv_loop_post(seen.loop, note, &items[i]));
    }
    gtv_loop_stop(seen.loop);
    assert_false(gtv_loop_post(seen.loop, note, &items[0]));
    gtv_loop_run(seen.loop); // ends, for it was stopped before it ran, but not before the posts
    assert_int_equal(seen.count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(seen.order[i], i + 1);
    }
    gtv_loop_destroy(seen.loop);
}

static bool three_ran(void *arg)
{
    return ((const struct seen *)arg)->count == 3;
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void turns_until_it_is_done_or_for_so_long(void **state)
{
    (void)state;
    struct seen seen = {.loop = gtv_loop_create("until")};
    struct item items[4] = {{&seen, 1}, {&seen, 2}, {&seen, 3}, {&seen, 4}};
    for (int i = 0; i < 3; i++) {
        assert_true(gtv_loop_post(seen.loop, note, &items[i]));
    }
    gtv_loop_run_until(seen.loop, three_ran, &seen, 60000);
    assert_int_equal(seen.count, 3);
    int64_t begun = gtv_mono_ms();
    gtv_loop_run_until(seen.loop, never, NULL, 50);
    assert_true(gtv_mono_ms() - begun >= 49);
    // And it runs on as if nothing had been.
    assert_true(gtv_loop_post(seen.loop, note, &items[3]));
    gtv_loop_stop(seen.loop);
    gtv_loop_run(seen.loop);
    assert_int_equal(seen.count, 4);
    gtv_loop_destroy(seen.loop);
}

static void post_again(void *arg)
{
    struct seen *seen = arg;
    if (++seen->count < 10) {
        assert_true(gtv_loop_post(seen->loop, post_again, seen));
    } else {
        gtv_loop_stop(seen->loop);
    }
}

static void a_post_may_post(void **state)
{
    (void)state;
    struct seen seen = {.loop = gtv_loop_create("again")};
    assert_true(gtv_loop_post(seen.loop, post_again, &seen));
    gtv_loop_run(seen.loop);
    assert_int_equal(seen.count, 10);
    gtv_loop_destroy(seen.loop);
}

static void add_one(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void accepted_posts_run_even_if_the_loop_never_did(void **state)
{
    (void)state;
    struct gtv_loop *loop = gtv_loop_create("never");
    atomic_int total = 0;
    assert_true(gtv_loop_post(loop, add_one, &total));
    gtv_loop_destroy(loop);
    assert_int_equal(total, 1);
    gtv_loop_destroy(NULL);
}

static void the_queue_is_bounded(void **state)
{
    (void)state;
    struct gtv_loop *loop = gtv_loop_create("full");
    atomic_int total = 0;
    for (int i = 0; i < 65536; i++) {
        assert_true(gtv_loop_post(loop, add_one, &total));
    }
    assert_false(gtv_loop_post(loop, add_one, &total));
    gtv_loop_stop(loop);
    gtv_loop_run(loop);
    assert_int_equal(total, 65536);
    gtv_loop_destroy(loop);
}

static void *post_many(void *arg)
{
    struct seen *seen = arg;
    for (int i = 0; i < 5000; i++) {
        while (!gtv_loop_post(seen->loop, add_one, &seen->total)) {
            usleep(100);
        }
    }
    return NULL;
}

static void threads_post(void **state)
{
    (void)state;
    struct seen seen = {.loop = gtv_loop_create("threads")};
    pthread_t threads[4];
    gtv_loop_start(seen.loop);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &seen), 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    gtv_loop_stop(seen.loop);
    gtv_loop_join(seen.loop);
    assert_int_equal(seen.total, 20000); // stop comes after all that was accepted
    gtv_loop_destroy(seen.loop);
}

static void name_thread(void *arg)
{
    char *name = arg;
    assert_int_equal(pthread_getname_np(pthread_self(), name, 16), 0);
}

static void a_started_thread_has_the_name(void **state)
{
    (void)state;
    char name[16] = "";
    for (int i = 0; i < 50; i++) { // also the shortest life there is, over and over
        struct gtv_loop *loop = gtv_loop_create("gtv-short");
        gtv_loop_start(loop);
        assert_true(gtv_loop_post(loop, name_thread, name));
        gtv_loop_stop(loop);
        gtv_loop_join(loop);
        gtv_loop_destroy(loop);
    }
    assert_string_equal(name, "gtv-short");
}

static void tick(void *arg)
{
    struct seen *seen = arg;
    if (++seen->count == 3) {
        gtv_timer_destroy(seen->timer); // inside its own callback
        gtv_loop_stop(seen->loop);
    }
}

static void timers_repeat(void **state)
{
    (void)state;
    struct seen seen = {.loop = gtv_loop_create("timer")};
    int64_t start = gtv_mono_ms();
    seen.timer = gtv_timer_create(seen.loop, tick, &seen);
    gtv_timer_start(seen.timer, 20, 10);
    gtv_loop_run(seen.loop);
    assert_int_equal(seen.count, 3);
    assert_true(gtv_mono_ms() - start >= 38);
    gtv_loop_destroy(seen.loop);
    gtv_timer_destroy(NULL);
}

static void a_stopped_timer_is_silent(void **state)
{
    (void)state;
    struct gtv_loop *loop = gtv_loop_create("silent");
    atomic_int total = 0;
    struct gtv_timer *quiet = gtv_timer_create(loop, add_one, &total);
    struct gtv_timer *end = gtv_timer_create(loop, stop, loop);
    gtv_timer_start(quiet, 5, 0);
    gtv_timer_stop(quiet);
    gtv_timer_start(end, 30, 0);
    gtv_loop_run(loop);
    assert_int_equal(total, 0);
    gtv_timer_destroy(quiet);
    gtv_loop_destroy(loop); // closes the other one
    gtv_timer_destroy(end); // and its memory may be given back afterwards
}

static void on_signal(void *arg, int signum)
{
    struct seen *seen = arg;
    seen->order[seen->count++] = signum;
    gtv_loop_stop(seen->loop);
}

static void raise_term(void *arg)
{
    (void)arg;
    (void)kill(getpid(), SIGTERM);
}

static void signals_arrive_on_the_loop(void **state)
{
    (void)state;
    struct seen seen = {.loop = gtv_loop_create("signal")};
    gtv_loop_on_signal(seen.loop, on_signal, &seen);
    assert_true(gtv_loop_post(seen.loop, raise_term, NULL));
    gtv_loop_run(seen.loop);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.order[0], SIGTERM);
    gtv_loop_destroy(seen.loop);
    struct sigaction now;
    assert_int_equal(sigaction(SIGPIPE, NULL, &now), 0);
    assert_ptr_equal(now.sa_handler, SIG_IGN);
}

static void on_hangup(void *arg)
{
    struct seen *seen = arg;
    if (++seen->count < 2)
        raise(SIGHUP); // each one counts
    else
        gtv_loop_stop(seen->loop);
}

static void hangups_arrive_each_time(void **state)
{
    struct seen seen = {.loop = gtv_loop_create("hangup")};
    gtv_loop_on_hangup(seen.loop, on_hangup, &seen);
    raise(SIGHUP);
    gtv_loop_run(seen.loop);
    assert_int_equal(seen.count, 2);
    gtv_loop_destroy(seen.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turns_until_it_is_done_or_for_so_long),
        cmocka_unit_test(posts_run_in_order),
        cmocka_unit_test(a_post_may_post),
        cmocka_unit_test(accepted_posts_run_even_if_the_loop_never_did),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(threads_post),
        cmocka_unit_test(a_started_thread_has_the_name),
        cmocka_unit_test(timers_repeat),
        cmocka_unit_test(a_stopped_timer_is_silent),
        cmocka_unit_test(signals_arrive_on_the_loop),
        cmocka_unit_test(hangups_arrive_each_time),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
