#include "lib/base/arena.h"
#include "tests/unit/unit.h"

static void pieces_are_aligned_and_separate(void **state)
{
    struct gtv_arena a = {0};
    char *last = NULL;
    for (size_t i = 0; i < 2000; i++) {
        char *p = gtv_arena_alloc(&a, i % 37);
        assert_int_equal((uintptr_t)p % 16, 0);
        memset(p, 'x', i % 37);
        assert_ptr_not_equal(p, last);
        last = p;
    }
    char *big = gtv_arena_alloc(&a, 100001);
    memset(big, 'y', 100001);
    char *next = gtv_arena_alloc(&a, 100);
    memset(next, 'z', 100);
    assert_int_equal(big[100000], 'y');
    gtv_arena_finish(&a);
}

static void text(void **state)
{
    struct gtv_arena a = {0};
    assert_string_equal(gtv_arena_strndup(&a, (struct gtv_str){"abcdef", 3}), "abc");
    assert_string_equal(gtv_arena_printf(&a, "%s=%d", "k", 3), "k=3");
    gtv_arena_reset(&a);
    assert_string_equal(gtv_arena_printf(&a, "%05000d", 1) + 4999, "1");
    gtv_arena_reset(&a);
    assert_string_equal(gtv_arena_printf(&a, "again"), "again");
    gtv_arena_finish(&a);
    gtv_arena_finish(&a);
    gtv_arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_separate),
        cmocka_unit_test(text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
