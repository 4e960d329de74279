#include "services/ai/settings.h"

#include "tests/unit/unit.h"

#include <stdlib.h>

static void defaults_are_the_contract(void **state)
{
    struct gtv_ai_settings s = {0};
    struct gtv_error err = {0};
    char *argv[] = {(char[]){"gtv-ai"}, NULL};
    if (!gtv_ai_settings_load(&s, 1, argv, &err))
        fail_msg("%s", err.message);
    assert_int_equal(s.port, 8080);
    assert_int_equal(s.metrics_port, 9092);
    assert_int_equal(s.redis_port, 6379);
    assert_int_equal(s.redis_db, 1);
    assert_int_equal(s.workers, 4);
    assert_int_equal(s.max_queue_size, 1000);
    assert_int_equal(s.batch_size, 8);
    assert_true(s.confidence > 0.499 && s.confidence < 0.501);
    assert_false(s.enable_gpu);
    assert_null(s.yolo_model);
    gtv_ai_settings_finish(&s);
}

static void refuses_a_wrong_precision(void **state)
{
    struct gtv_ai_settings s = {0};
    struct gtv_error err = {0};
    (void)setenv("AI_PRECISION", "fp4", 1);
    char *argv[] = {(char[]){"gtv-ai"}, NULL};
    assert_false(gtv_ai_settings_load(&s, 1, argv, &err));
    assert_non_null(strstr(err.message, "AI_PRECISION"));
    (void)unsetenv("AI_PRECISION");
    gtv_ai_settings_finish(&s);
}

static void input_sizes(void **state)
{
    int w = 1, h = 1;
    assert_true(gtv_ai_input_size(NULL, &w, &h));
    assert_int_equal(w + h, 0);
    assert_true(gtv_ai_input_size(" ", &w, &h));
    assert_true(gtv_ai_input_size("640x384", &w, &h));
    assert_int_equal(w, 640);
    assert_int_equal(h, 384);
    static const char *const bad[] = {"640",      "640x",      "x384",      "640x380", "0x0",
                                      "-640x384", "4096x4096", "640x384x3", "a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(gtv_ai_input_size(bad[i], &w, &h));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_contract),
        cmocka_unit_test(refuses_a_wrong_precision),
        cmocka_unit_test(input_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
