#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

static struct gtv_str key_of(int i, char buf[16])
{
    return (struct gtv_str){buf, (size_t)snprintf(buf, 16, "k%d", i)};
}

static void put_get_remove(void **state)
{
    struct gtv_map *m = gtv_map_create();
    int a = 1, b = 2;
    assert_null(gtv_map_put(m, GTV_STR("x"), &a));
    assert_ptr_equal(gtv_map_put(m, GTV_STR("x"), &b), &a);
    assert_null(gtv_map_put(m, GTV_STR(""), &a));
    assert_int_equal(gtv_map_count(m), 2);
    assert_ptr_equal(gtv_map_get(m, GTV_STR("x")), &b);
    assert_ptr_equal(gtv_map_remove(m, GTV_STR("x")), &b);
    assert_null(gtv_map_remove(m, GTV_STR("x")));
    assert_null(gtv_map_get(m, GTV_STR("x")));
    gtv_map_destroy(m, NULL);
    gtv_map_destroy(NULL, NULL);
}

static void many_and_again(void **state)
{
    struct gtv_map *m = gtv_map_create();
    char buf[16];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 5000; i++)
            assert_null(gtv_map_put(m, key_of(i, buf), GTV_NEW(int)));
        assert_int_equal(gtv_map_count(m), 5000);
        for (int i = 0; i < 5000; i++) {
            int *v = gtv_map_get(m, key_of(i, buf));
            assert_non_null(v);
            if (round < 2)
                free(gtv_map_remove(m, key_of(i, buf)));
        }
    }
    gtv_map_destroy(m, free);
}

// A table that only ever swaps one key for another must not fill up with what was removed.
static void churn_ends(void **state)
{
    struct gtv_map *m = gtv_map_create();
    char buf[16];
    int v;
    for (int i = 0; i < 100000; i++) {
        gtv_map_put(m, key_of(i, buf), &v);
        if (i >= 3)
            assert_ptr_equal(gtv_map_remove(m, key_of(i - 3, buf)), &v);
    }
    assert_null(gtv_map_get(m, GTV_STR("absent")));
    assert_int_equal(gtv_map_count(m), 3);
    gtv_map_destroy(m, NULL);
}

static void walk_may_remove(void **state)
{
    struct gtv_map *m = gtv_map_create();
    char buf[16];
    int seen[500] = {0};
    for (int i = 0; i < 500; i++)
        gtv_map_put(m, key_of(i, buf), &seen[i]);
    size_t it = 0, n = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(m, &it, &key, &value)) {
        ++*(int *)value;
        char copy[16];
        assert_true(gtv_str_copy(copy, sizeof(copy), key));
        if (n++ % 2)
            assert_ptr_equal(gtv_map_remove(m, gtv_str_of(copy)), value);
    }
    assert_int_equal(n, 500);
    for (int i = 0; i < 500; i++)
        assert_int_equal(seen[i], 1);
    assert_int_equal(gtv_map_count(m), 250);
    gtv_map_destroy(m, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_get_remove),
        cmocka_unit_test(many_and_again),
        cmocka_unit_test(churn_ends),
        cmocka_unit_test(walk_may_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
