#include "services/supervisor/backoff.h"
#include "tests/unit/unit.h"

static void doubles_up_to_the_limit(void **state)
{
    struct backoff b = {0};
    static const int64_t expected[] = {200, 400, 800, 1600, 3200, 6400, 10000, 10000};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_int_equal(backoff_next(&b, 59999), expected[i]);
}

static void a_long_life_starts_over(void **state)
{
    struct backoff b = {0};
    backoff_next(&b, 0);
    backoff_next(&b, 0);
    assert_int_equal(backoff_next(&b, 60000), 200);
    assert_int_equal(backoff_next(&b, 0), 400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_up_to_the_limit),
        cmocka_unit_test(a_long_life_starts_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
