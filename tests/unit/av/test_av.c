#include "lib/av/av.h"
#include "tests/unit/unit.h"

#include <errno.h>

#define TURN (INT64_C(1) << 33)

static void wall_clock_and_pts(void **state)
{
    assert_int_equal(gtv_av_wall_to_pts33(0), 0);
    assert_int_equal(gtv_av_wall_to_pts33(1000000), 90000);
    assert_int_equal(gtv_av_wall_to_pts33(11), 0); // a tick lasts 11.1 us
    assert_int_equal(gtv_av_wall_to_pts33(12), 1);
    int64_t now_us = INT64_C(1795372575896105);
    int64_t pts = gtv_av_wall_to_pts33(now_us);
    assert_in_range(pts, 0, TURN - 1);
    assert_int_equal(pts, now_us * 9 / 100 % TURN);
}

static void pts_back_to_the_wall(void **state)
{
    int64_t wall_ms = INT64_C(1795372575896);
    int64_t pts = gtv_av_wall_to_pts33(wall_ms * 1000);
    static const int64_t away_ms[] = {0, 1, -1, 5000, -60000, 12 * 3600000, -12 * 3600000};
    for (size_t i = 0; i < sizeof away_ms / sizeof away_ms[0]; i++) {
        assert_int_equal(gtv_av_pts33_to_wall_ms(pts, wall_ms + away_ms[i]), wall_ms);
    }
}

static void around_the_turn(void **state)
{
    // The wall clock moments just before and just after the 33 bits wrap.
    int64_t turn_ms = (INT64_C(1795372575896) * 90 / TURN + 1) * TURN / 90;
    for (int64_t ms = turn_ms - 3; ms <= turn_ms + 3; ms++) {
        int64_t pts = gtv_av_wall_to_pts33(ms * 1000);
        assert_in_range(pts, 0, TURN - 1);
        assert_int_equal(gtv_av_pts33_to_wall_ms(pts, turn_ms - 1000), ms);
        assert_int_equal(gtv_av_pts33_to_wall_ms(pts, turn_ms + 1000), ms);
    }
    assert_true(gtv_av_wall_to_pts33((turn_ms + 1) * 1000) < gtv_av_wall_to_pts33((turn_ms - 1) * 1000));
}

static void causes(void **state)
{
    assert_string_equal(gtv_av_cause_code(AVERROR(ECONNREFUSED)), "refused");
    assert_string_equal(gtv_av_cause_code(AVERROR_HTTP_UNAUTHORIZED), "unauthorised");
    assert_string_equal(gtv_av_cause(AVERROR_HTTP_UNAUTHORIZED), "unauthorised: wrong user or password");
    assert_string_equal(gtv_av_cause_code(AVERROR_HTTP_NOT_FOUND), "not_found");
    assert_string_equal(gtv_av_cause_code(AVERROR(ETIMEDOUT)), "timed_out");
    assert_string_equal(gtv_av_cause_code(AVERROR_EXIT), "timed_out");
    assert_string_equal(gtv_av_cause(GTV_AVERROR_NAME), "name does not resolve");
    assert_string_equal(gtv_av_cause_code(GTV_AVERROR_TLS), "tls");
    assert_string_equal(gtv_av_cause(-12345678), "failed");
    assert_string_equal(gtv_av_cause_code(-12345678), "failed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wall_clock_and_pts),
        cmocka_unit_test(pts_back_to_the_wall),
        cmocka_unit_test(around_the_turn),
        cmocka_unit_test(causes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
