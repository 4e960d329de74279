#include "lib/base/clock.h"
#include "tests/unit/unit.h"

static void formats(void **state)
{
    char out[GTV_ISO8601_CAP];
    assert_string_equal(gtv_iso8601_utc(1795360316369, out), "2026-11-22T15:11:56.369Z");
    assert_string_equal(gtv_iso8601_naive(1795360316369, out), "2026-11-22T15:11:56.369000");
    assert_string_equal(gtv_iso8601_utc(-1, out), "1969-12-31T23:59:59.999Z");
    assert_string_equal(gtv_iso8601_utc(INT64_MAX, out), "1970-01-01T00:00:00.000Z");
    assert_string_equal(gtv_http_date(784111777, out), "Sun, 06 Nov 1994 08:49:37 GMT");
}

static void parses(void **state)
{
    int64_t ms = 0;
    assert_true(gtv_iso8601_parse(GTV_STR("2026-11-22T15:11:56.369Z"), &ms));
    assert_true(ms == 1795360316369);
    assert_true(gtv_iso8601_parse(GTV_STR("2026-11-22T12:11:56.369999-03:00"), &ms));
    assert_true(ms == 1795360316369);
    assert_true(gtv_iso8601_parse(GTV_STR("2026-11-22T12:11:56.3-0300"), &ms));
    assert_true(ms == 1795360316300);
    assert_true(gtv_iso8601_parse(GTV_STR("2026-11-22 15:11:56"), &ms));
    assert_true(ms == 1795360316000);
    assert_true(gtv_iso8601_parse(GTV_STR("2016-12-31T23:59:60Z"), &ms));
    static const char *const wrong[] = {"",
                                        "2026-11-22",
                                        "2026-02-30T00:00:00Z",
                                        "2026-13-01T00:00:00Z",
                                        "2026-11-22T24:00:00Z",
                                        "2026-11-22T15:11:56.Z",
                                        "2026-11-22T15:11:56ZZ",
                                        "2026-11-22T15:11:56+3",
                                        "26-11-22T15:11:56Z",
                                        "2026-11-22T15:11:56 Z",
                                        "2026-1122T15:11:56Z",
                                        "+026-11-22T15:11:56Z"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(gtv_iso8601_parse(gtv_str_of(wrong[i]), &ms));
}

static void round_trip(void **state)
{
    char out[GTV_ISO8601_CAP];
    for (int64_t t = -100000000000; t < 4000000000000; t += 7919777777) {
        int64_t back = 0;
        assert_true(gtv_iso8601_parse(gtv_str_of(gtv_iso8601_utc(t, out)), &back));
        assert_true(back == t);
    }
}

static void clocks_go_on(void **state)
{
    int64_t a = gtv_mono_ns();
    assert_true(gtv_mono_ns() >= a);
    assert_true(gtv_wall_ms() > 1600000000000);
    assert_in_range(gtv_wall_us() / 1000 - gtv_wall_ms() + 1000, 0, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats),
        cmocka_unit_test(parses),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(clocks_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
