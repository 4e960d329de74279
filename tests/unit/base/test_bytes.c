#include "lib/base/bytes.h"
#include "tests/unit/unit.h"

#include <pthread.h>

static void copy_and_printf(void **state)
{
    struct gtv_bytes *a = gtv_bytes_copy("abc", 3);
    assert_str(gtv_bytes_str(a), "abc");
    struct gtv_bytes *b = gtv_bytes_printf("%s-%d", "x", 5);
    assert_str(gtv_bytes_str(b), "x-5");
    gtv_bytes_unref(a);
    gtv_bytes_unref(b);
    gtv_bytes_unref(NULL);
    assert_null(gtv_bytes_create(SIZE_MAX));
}

static void count_free(void *owner)
{
    ++*(int *)owner;
}

static void wrapped_memory_goes_back_once(void **state)
{
    int freed = 0;
    struct gtv_bytes *b = gtv_bytes_wrap("static", 6, count_free, &freed);
    assert_ptr_equal(gtv_bytes_ref(b), b);
    gtv_bytes_unref(b);
    assert_int_equal(freed, 0);
    gtv_bytes_unref(b);
    assert_int_equal(freed, 1);
}

static void *churn(void *arg)
{
    struct gtv_bytes *b = arg;
    for (int i = 0; i < 10000; i++)
        gtv_bytes_unref(gtv_bytes_ref(b));
    gtv_bytes_unref(b);
    return NULL;
}

static void references_across_threads(void **state)
{
    int freed = 0;
    struct gtv_bytes *b = gtv_bytes_wrap("x", 1, count_free, &freed);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, gtv_bytes_ref(b)), 0);
    gtv_bytes_unref(b);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(freed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_and_printf),
        cmocka_unit_test(wrapped_memory_goes_back_once),
        cmocka_unit_test(references_across_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
