#include "services/streaming/hops.h"
#include "tests/unit/unit.h"

static void where_a_location_leads(void **state)
{
    static const struct {
        const char *base, *location, *place; // NULL: nowhere
    } cases[] = {
        {"http://cam/a/b.m3u8", "http://127.0.0.1/x", "http://127.0.0.1/x"},
        {"http://cam/a/b.m3u8", "rtsp://10.0.0.1:554/x", "rtsp://10.0.0.1:554/x"},
        {"https://cam:8443/a/b.m3u8", "//other/x", "https://other/x"},
        {"https://u:p@cam:8443/a/b.m3u8", "/x?y=1", "https://cam:8443/x?y=1"}, // the password stays behind
        {"http://[::1]:81/a/b.m3u8", "c.m3u8", "http://[::1]:81/a/c.m3u8"},
        {"http://cam", "c.m3u8", "http://cam/c.m3u8"},
        {"http://cam/a", "", NULL},
        {"http://cam/a", "http://", NULL},
        {"http://cam/a", "///", NULL},
        {"http://cam/a", "/x y", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[128];
        bool leads = gtv_hops_resolve(cases[i].base, gtv_str_of(cases[i].location), out, sizeof out);
        assert_int_equal(leads, cases[i].place != NULL);
        if (leads)
            assert_string_equal(out, cases[i].place);
    }
    char small[12];
    assert_false(gtv_hops_resolve("http://cam/a", GTV_STR("/longer"), small, sizeof small));
}

static void who_is_asked(void **state)
{
    assert_true(gtv_hops_needed("http://cam/a"));
    assert_true(gtv_hops_needed("HTTPS://cam/a"));
    assert_false(gtv_hops_needed("rtsp://cam/a"));
    assert_false(gtv_hops_needed("publisher"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(where_a_location_leads),
                                       cmocka_unit_test(who_is_asked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
