#include "services/ai/engine/pool.h"

#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>

struct note {
    struct gtv_task task;
    atomic_int runs;
    int order;
};

static atomic_int sequence;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void run(struct gtv_task *task, size_t worker)
{
    struct note *n = (struct note *)(void *)task;
    n->order = atomic_fetch_add(&sequence, 1);
    atomic_fetch_add(&n->runs, 1);
}

static void run_when_open(struct gtv_task *task, size_t worker)
{
    (void)pthread_mutex_lock(&gate);
    (void)pthread_mutex_unlock(&gate);
    run(task, worker);
}

static void everything_runs_once(void **state)
{
    enum { N = 2000 };
    static struct note posted[N], looks[N];
    struct gtv_pool *p = gtv_pool_create(3, N);
    assert_int_equal(gtv_pool_workers(p), 3);
    for (int i = 0; i < N; i++) {
        posted[i].task.run = looks[i].task.run = run;
        assert_true(gtv_pool_post(p, &posted[i].task));
        gtv_pool_look(p, &looks[i].task);
    }
    gtv_pool_destroy(p); // runs what still waits
    for (int i = 0; i < N; i++) {
        assert_int_equal(atomic_load(&posted[i].runs), 1);
        assert_int_equal(atomic_load(&looks[i].runs), 1);
    }
}

static void posting_is_bounded_and_turns_are_taken(void **state)
{
    struct note first = {.task.run = run_when_open}, posted[4] = {0}, looks[4] = {0};
    struct gtv_pool *p = gtv_pool_create(1, 4);
    atomic_store(&sequence, 0);
    (void)pthread_mutex_lock(&gate);
    gtv_pool_look(p, &first.task);
    while (gtv_pool_looks(p)) // until the one worker stands at the gate
        ;
    for (int i = 0; i < 4; i++) {
        posted[i].task.run = looks[i].task.run = run;
        assert_true(gtv_pool_post(p, &posted[i].task));
        gtv_pool_look(p, &looks[i].task);
    }
    struct note refused = {.task.run = run};
    assert_false(gtv_pool_post(p, &refused.task));
    assert_int_equal(gtv_pool_posted(p), 4);
    assert_int_equal(gtv_pool_looks(p), 4);
    (void)pthread_mutex_unlock(&gate);
    gtv_pool_destroy(p);
    assert_int_equal(atomic_load(&refused.runs), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(posted[i].order, 1 + 2 * i); // after a look comes a picture
        assert_int_equal(looks[i].order, 2 + 2 * i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_runs_once),
        cmocka_unit_test(posting_is_bounded_and_turns_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
