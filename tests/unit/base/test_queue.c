#include "lib/base/clock.h"
#include "lib/base/queue.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdlib.h>

static void refuses_or_pushes_out(void **state)
{
    int v[4];
    struct gtv_queue *q = gtv_queue_create(2);
    assert_true(gtv_queue_push(q, &v[0]));
    assert_true(gtv_queue_push(q, &v[1]));
    assert_false(gtv_queue_push(q, &v[2]));
    assert_ptr_equal(gtv_queue_push_newest(q, &v[3]), &v[0]);
    assert_int_equal(gtv_queue_count(q), 2);
    assert_ptr_equal(gtv_queue_pop(q, 0), &v[1]);
    assert_null(gtv_queue_push_newest(q, &v[2]));
    gtv_queue_close(q);
    assert_false(gtv_queue_push(q, &v[0]));
    assert_ptr_equal(gtv_queue_push_newest(q, &v[0]), &v[0]);
    assert_ptr_equal(gtv_queue_pop(q, -1), &v[3]);
    assert_ptr_equal(gtv_queue_pop(q, -1), &v[2]);
    assert_null(gtv_queue_pop(q, -1));
    gtv_queue_destroy(q, NULL);
}

static void pop_waits_as_long_as_told(void **state)
{
    struct gtv_queue *q = gtv_queue_create(1);
    int64_t before = gtv_mono_ms();
    assert_null(gtv_queue_pop(q, 0));
    assert_null(gtv_queue_pop(q, 50));
    assert_in_range(gtv_mono_ms() - before, 49, 5000);
    gtv_queue_destroy(q, NULL);
    gtv_queue_destroy(NULL, NULL);
}

static void *produce(void *arg)
{
    static int item;
    for (int i = 0; i < 1000; i++) {
        while (!gtv_queue_push(arg, &item))
            sched_yield();
    }
    return NULL;
}

static void two_producers_one_consumer(void **state)
{
    struct gtv_queue *q = gtv_queue_create(8);
    pthread_t a, b;
    assert_int_equal(pthread_create(&a, NULL, produce, q), 0);
    assert_int_equal(pthread_create(&b, NULL, produce, q), 0);
    for (int i = 0; i < 2000; i++)
        assert_non_null(gtv_queue_pop(q, 10000));
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    assert_null(gtv_queue_pop(q, 0));
    gtv_queue_destroy(q, NULL);
}

static void destroy_frees_what_is_left(void **state)
{
    struct gtv_queue *q = gtv_queue_create(4);
    assert_true(gtv_queue_push(q, malloc(10)));
    assert_true(gtv_queue_push(q, malloc(10)));
    gtv_queue_destroy(q, free);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_or_pushes_out),
        cmocka_unit_test(pop_waits_as_long_as_told),
        cmocka_unit_test(two_producers_one_consumer),
        cmocka_unit_test(destroy_frees_what_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
