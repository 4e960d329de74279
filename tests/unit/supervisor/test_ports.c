#include "services/supervisor/ports.h"
#include "tests/unit/unit.h"

static void prefers_and_falls_back(void **state)
{
    struct ports taken = {.count = 0};
    int any = ports_take(&taken, 0);
    assert_in_range(any, 1, 65535);
    int other = ports_take(&taken, any);
    assert_in_range(other, 1, 65535);
    assert_int_not_equal(other, any);
    ports_release(&taken);
    assert_int_equal(taken.count, 0);
    assert_int_equal(ports_take(&taken, any), any);
    ports_release(&taken);
}

static void says_why_a_door_cannot_open(void **state)
{
    struct ports taken = {.count = 0};
    struct gtv_error err = {0};
    int port = 0;
    assert_true(ports_take_exactly(&taken, "127.0.0.1", &port, "--port", &err));
    assert_in_range(port, 1, 65535);
    assert_false(ports_take_exactly(&taken, "127.0.0.1", &port, "--port", &err));
    assert_int_equal(err.code, GTV_E_CONFLICT);
    assert_non_null(strstr(err.message, "taken by another program"));
    assert_false(ports_take_exactly(&taken, "somewhere", &port, "--port", &err));
    assert_string_equal(err.field, "GTV_LISTEN");
    ports_release(&taken);
}

static void has_an_end(void **state)
{
    struct ports taken = {.count = 0};
    for (int i = 0; i < PORTS_MAX; i++)
        assert_true(ports_take(&taken, 0) > 0);
    assert_int_equal(ports_take(&taken, 0), 0);
    ports_release(&taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prefers_and_falls_back),
        cmocka_unit_test(says_why_a_door_cannot_open),
        cmocka_unit_test(has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
