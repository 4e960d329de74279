// Which bytes of a recording a Range field asks for (RFC 9110, 14.1.2).
#include "services/media/record/playback_job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void ranges(void **state)
{
    uint64_t a = 0, b = 0;
    assert_true(gtv_playback_range(GTV_STR("bytes=0-99"), 1000, &a, &b));
    assert_int_equal(a, 0);
    assert_int_equal(b, 100);
    assert_true(gtv_playback_range(GTV_STR("bytes=900-"), 1000, &a, &b));
    assert_int_equal(b, 1000);
    assert_true(gtv_playback_range(GTV_STR("bytes=-10"), 1000, &a, &b));
    assert_int_equal(a, 990);
    assert_true(gtv_playback_range(GTV_STR("bytes=5-5000"), 1000, &a, &b));
    assert_int_equal(b, 1000);
    assert_true(gtv_playback_range(GTV_STR("bytes=1000-"), 1000, &a, &b));
    assert_int_equal(a, b);
    assert_true(gtv_playback_range(GTV_STR("bytes=-0"), 1000, &a, &b));
    assert_int_equal(a, b);
    static const char *const others[] = {"",          "bytes=",   "bytes=-", "bytes=5-4", "bytes=0-1,3-4",
                                         "lines=1-2", "bytes=x-2"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(gtv_playback_range(gtv_str_of(others[i]), 1000, &a, &b));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ranges)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
