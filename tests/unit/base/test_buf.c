#include "lib/base/buf.h"
#include "tests/unit/unit.h"

static void grows_and_stays_terminated(void **state)
{
    struct gtv_buf b = {0};
    for (int i = 0; i < 1000; i++)
        assert_true(gtv_buf_printf(&b, "%03d,", i));
    assert_int_equal(b.len, 4000);
    assert_int_equal(b.data[4000], 0);
    assert_memory_equal(b.data + 3996, "999,", 4);
    gtv_buf_drop_front(&b, 3996);
    assert_str(gtv_buf_str(&b), "999,");
    gtv_buf_drop_front(&b, 100);
    assert_int_equal(b.len, 0);
    gtv_buf_finish(&b);
}

static void ceiling_holds(void **state)
{
    struct gtv_buf b;
    gtv_buf_init(&b, 5);
    assert_true(gtv_buf_puts(&b, "abcde"));
    assert_false(gtv_buf_printf(&b, "%s", "f"));
    assert_true(b.failed);
    assert_str(gtv_buf_str(&b), "abcde");
    assert_null(gtv_buf_take(&b));
    assert_int_equal(b.max, 5);
    assert_false(b.failed);
    assert_false(gtv_buf_printf(&b, "%s", "abcdef"));
    gtv_buf_reset(&b);
    assert_true(gtv_buf_puts(&b, "ok"));
    gtv_buf_finish(&b);
}

static void take_moves_the_content(void **state)
{
    struct gtv_buf b = {0};
    gtv_buf_puts(&b, "hello");
    struct gtv_bytes *bytes = gtv_buf_take(&b);
    assert_str(gtv_bytes_str(bytes), "hello");
    assert_null(b.data);
    gtv_bytes_unref(bytes);
    bytes = gtv_buf_take(&b);
    assert_int_equal(bytes->len, 0);
    gtv_bytes_unref(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grows_and_stays_terminated),
        cmocka_unit_test(ceiling_holds),
        cmocka_unit_test(take_moves_the_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
