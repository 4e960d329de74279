#include "services/supervisor/report.h"
#include "tests/unit/unit.h"

#include <unistd.h>

static void reads_resident_memory(void **state)
{
    assert_int_equal(
        report_parse_rss(GTV_STR("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t    1234 kB\nRssAnon: 1 kB\n")), 1234);
    assert_int_equal(report_parse_rss(GTV_STR("Name:\tx\nState:\tZ (zombie)\n")), -1);
    assert_int_equal(report_parse_rss(GTV_STR("VmRSS:\t x kB\n")), -1);
    assert_true(report_rss_kib(getpid()) > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_resident_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
