#include "lib/base/error.h"
#include "tests/unit/unit.h"

static void set_fills_all(void **state)
{
    struct gtv_error err = {0};
    gtv_error_set(&err, GTV_E_INVALID, "rtsp_url", "bad %d", 7);
    assert_int_equal(err.code, GTV_E_INVALID);
    assert_string_equal(err.field, "rtsp_url");
    assert_string_equal(err.message, "bad 7");
    gtv_error_set(&err, GTV_E_NOT_FOUND, NULL, NULL);
    assert_string_equal(err.field, "");
    assert_string_equal(err.message, "Not found");
    gtv_error_set(NULL, GTV_E_INVALID, NULL, "nobody listens");
}

static void set_may_quote_the_old_message(void **state)
{
    struct gtv_error err = {0};
    gtv_error_set(&err, GTV_E_IO, "f", "inner");
    gtv_error_set(&err, GTV_E_UPSTREAM, err.field, "outer: %s", err.message);
    assert_string_equal(err.message, "outer: inner");
    assert_string_equal(err.field, "f");
}

static void long_messages_are_cut(void **state)
{
    struct gtv_error err = {0};
    gtv_error_set(&err, GTV_E_IO, NULL, "%0400d", 1);
    assert_int_equal(strlen(err.message), sizeof(err.message) - 1);
}

static void codes_have_names_and_statuses(void **state)
{
    assert_string_equal(gtv_code_name(GTV_E_TOO_LARGE), "too_large");
    assert_int_equal(gtv_code_http_status(GTV_E_TOO_LARGE), 413);
    assert_string_equal(gtv_code_text(GTV_E_TIMEOUT), "Processing timeout");
    assert_string_equal(gtv_code_name((enum gtv_code)9999), "internal");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_fills_all),
        cmocka_unit_test(set_may_quote_the_old_message),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(codes_have_names_and_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
