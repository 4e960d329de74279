#include "services/supervisor/env.h"
#include "tests/unit/unit.h"

static void inherits_all_but_the_cameras(void **state)
{
    struct env e = {0};
    env_inherit(&e, (char *[]){"PATH=/bin", "GTV_CAMERAS=rtsp://u:secret@h/", "GTV_CAMERA_ALLOW=10.0.0.1",
                               "EMPTY=", NULL});
    assert_int_equal(e.count, 3);
    assert_string_equal(env_get(&e, "PATH"), "/bin");
    assert_string_equal(env_get(&e, "GTV_CAMERA_ALLOW"), "10.0.0.1");
    assert_null(env_get(&e, "GTV_CAMERAS"));
    assert_null(env_get(&e, "PAT"));
    assert_null(e.vars[3]);
    env_finish(&e);
}

static void sets_and_replaces(void **state)
{
    struct env e = {0};
    env_set(&e, "PORT", "%d", 8001);
    env_set(&e, "PORT", "%d", 8002);
    assert_int_equal(e.count, 1);
    assert_string_equal(e.vars[0], "PORT=8002");
    env_finish(&e);
}

static void weak_values_give_way(void **state)
{
    struct env e = {0};
    env_inherit(&e, (char *[]){"URL=mine", "EMPTY=", NULL});
    e.weak = true;
    env_set(&e, "URL", "%s", "default");
    env_set(&e, "EMPTY", "%s", "default");
    env_set(&e, "NEW", "%s", "default");
    assert_string_equal(env_get(&e, "URL"), "mine");
    assert_string_equal(env_get(&e, "EMPTY"), "default");
    assert_string_equal(env_get(&e, "NEW"), "default");
    env_finish(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inherits_all_but_the_cameras),
        cmocka_unit_test(sets_and_replaces),
        cmocka_unit_test(weak_values_give_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
