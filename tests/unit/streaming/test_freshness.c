#include "services/streaming/freshness.h"
#include "tests/unit/unit.h"

static struct gtv_cache_control control(const char *text)
{
    struct gtv_cache_control cc;
    gtv_cache_control_init(&cc);
    gtv_cache_control_read(&cc, gtv_str_of(text));
    return cc;
}

static void directives(void **state)
{
    struct gtv_cache_control cc = control("Public, MAX-AGE=30 , s-maxage=\"60\",stale-if-error=5");
    assert_true(cc.is_public);
    assert_false(cc.no_store || cc.no_cache || cc.is_private || cc.must_revalidate);
    assert_int_equal(cc.max_age_s, 30);
    assert_int_equal(cc.s_maxage_s, 60);
    assert_int_equal(cc.if_error_s, 5);
    assert_int_equal(cc.while_revalidate_s, -1);
    cc = control("private=\"a, no-store\", no-cache, x=\"\\\", no-store\", proxy-revalidate,, ,");
    assert_true(cc.is_private && cc.no_cache && cc.must_revalidate);
    assert_false(cc.no_store);
    assert_int_equal(control("max-age=60, max-age=1").max_age_s, 1);
    assert_int_equal(control("max-age=abc").max_age_s, 0);
    assert_int_equal(control("max-age=-1").max_age_s, 0);
    assert_int_equal(control("max-age").max_age_s, 0);
    assert_int_equal(control("max-age=99999999999999999999999").max_age_s, 1LL << 31);
    assert_int_equal(control("xmax-age=5, max-agex=6").max_age_s, -1);
    gtv_cache_control_read(&cc, GTV_STR("no-store")); // a second field adds to the first
    assert_true(cc.no_store && cc.is_private);
}

static void dates(void **state)
{
    static const char *const right[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                        "Sun Nov  6 08:49:37 1994"};
    static const char *const wrong[] = {"",
                                        "0",
                                        "Sun, 06 Nov 1994 08:49:37",
                                        "Sun, 06 Nov 1994 24:49:37 GMT",
                                        "Sun, 06 Foo 1994 08:49:37 GMT",
                                        "Sun, 36 Nov 1994 08:49:37 GMT",
                                        "Sun, 06 Nov 1994 08:49:37 UTC",
                                        "Sun, 06 Nov 1994 08:49:37 GMT x",
                                        "Sun, 06 Nov 94 08:49:37 GMT"};
    int64_t t;
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        t = 0;
        assert_true(gtv_http_date_parse(gtv_str_of(right[i]), &t));
        assert_int_equal(t, 784111777);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(gtv_http_date_parse(gtv_str_of(wrong[i]), &t));
}

static void lifetime_and_age(void **state)
{
    const int64_t now = 784111777;
    struct gtv_freshness_fields f = {.control = control("max-age=10, s-maxage=20")};
    assert_int_equal(gtv_freshness_lifetime_s(&f, now), 20);
    f.control = control("");
    assert_int_equal(gtv_freshness_lifetime_s(&f, now), -1);
    f.has_expires = true;
    f.expires = GTV_STR("0");
    assert_int_equal(gtv_freshness_lifetime_s(&f, now), 0);
    f.expires = GTV_STR("Sun, 06 Nov 1994 08:50:37 GMT");
    assert_int_equal(gtv_freshness_lifetime_s(&f, now), 60);
    f.date = GTV_STR("Sun, 06 Nov 1994 08:50:07 GMT");
    assert_int_equal(gtv_freshness_lifetime_s(&f, now), 30);
    assert_int_equal(gtv_freshness_age_s(&f, now), 0); // a clock that is ahead is no age
    assert_int_equal(gtv_freshness_age_s(&f, now + 90), 60);
    f.age = GTV_STR("70");
    assert_int_equal(gtv_freshness_age_s(&f, now + 90), 70);
    static const char *const unclear[] = {"old", "", "-1", "7.0", "70, 5", "0,0", "7;x=1"};
    for (size_t i = 0; i < sizeof unclear / sizeof *unclear; i++) {
        f.age = gtv_str_of(unclear[i]);
        assert_int_equal(gtv_freshness_age_s(&f, now), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(directives), cmocka_unit_test(dates),
                                       cmocka_unit_test(lifetime_and_age)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
