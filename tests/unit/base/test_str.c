#include "lib/base/str.h"
#include "tests/unit/unit.h"

static void comparisons(void **state)
{
    assert_true(gtv_str_eq((struct gtv_str){NULL, 0}, GTV_STR("")));
    assert_false(gtv_str_eq(GTV_STR("a"), GTV_STR("A")));
    assert_true(gtv_str_ieq(GTV_STR("Content-Length"), GTV_STR("cONTENT-lENGTH")));
    assert_false(gtv_str_ieq(GTV_STR("[a"), GTV_STR("{a"))); // they differ by the same bit as a letter's case
    assert_true(gtv_str_starts(GTV_STR("abc"), GTV_STR("ab")));
    assert_false(gtv_str_starts(GTV_STR("a"), GTV_STR("ab")));
    assert_true(gtv_str_ends(GTV_STR("x.ts"), GTV_STR(".ts")));
    assert_true(gtv_str_ends((struct gtv_str){NULL, 0}, GTV_STR("")));
}

static void trim_find_and_cut(void **state)
{
    assert_str(gtv_str_trim(GTV_STR(" \t a b\t ")), "a b");
    assert_str(gtv_str_trim(GTV_STR("  ")), "");
    assert_int_equal(gtv_str_find(GTV_STR("a:b:c"), ':'), 1);
    assert_int_equal(gtv_str_find((struct gtv_str){NULL, 0}, ':'), -1);
    struct gtv_str s = GTV_STR("a,,b");
    assert_str(gtv_str_cut(&s, ','), "a");
    assert_str(gtv_str_cut(&s, ','), "");
    assert_str(gtv_str_cut(&s, ','), "b");
    assert_str(s, "");
    assert_str(gtv_str_cut(&s, ','), "");
}

static void integers(void **state)
{
    int64_t v = 42;
    assert_true(gtv_parse_int(GTV_STR("-9223372036854775808"), INT64_MIN, INT64_MAX, &v));
    assert_true(v == INT64_MIN);
    assert_true(gtv_parse_int(GTV_STR("9223372036854775807"), INT64_MIN, INT64_MAX, &v));
    assert_true(v == INT64_MAX);
    assert_true(gtv_parse_int(GTV_STR("+7"), 0, 10, &v));
    assert_int_equal(v, 7);
    static const char *const wrong[] = {"",
                                        "-",
                                        "+",
                                        "1 ",
                                        " 1",
                                        "0x10",
                                        "1.0",
                                        "11",
                                        "-1",
                                        "9223372036854775808",
                                        "99999999999999999999999"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(gtv_parse_int(gtv_str_of(wrong[i]), 0, 10, &v));
    assert_false(gtv_parse_int(GTV_STR("9223372036854775808"), INT64_MIN, INT64_MAX, &v));
    assert_int_equal(v, 7);
}

static void doubles_and_bools(void **state)
{
    double d = 0;
    assert_true(gtv_parse_double(GTV_STR("0.5"), 0, 1, &d));
    assert_true(d == 0.5);
    static const char *const wrong[] = {"", "nan", "inf", "0x1", " 1", "1e999", "1.5", "0.5.5", "e"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(gtv_parse_double(gtv_str_of(wrong[i]), 0, 1, &d));
    bool b = false;
    assert_true(gtv_parse_bool(GTV_STR("Yes"), &b) && b);
    assert_true(gtv_parse_bool(GTV_STR("OFF"), &b) && !b);
    assert_false(gtv_parse_bool(GTV_STR("2"), &b));
}

static void copies(void **state)
{
    char dst[4] = "xxx";
    assert_true(gtv_str_copy(dst, sizeof(dst), GTV_STR("abc")));
    assert_string_equal(dst, "abc");
    assert_false(gtv_str_copy(dst, sizeof(dst), GTV_STR("abcd")));
    assert_string_equal(dst, "");
}

static void utf8(void **state)
{
    static const char *const good[] = {
        "", "abc", "\xC3\xA7", "\xE2\x82\xAC", "\xF0\x9F\x9A\x97", "\xED\x9F\xBF", "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {"\x80",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xE0\x80\x80",
                                      "\xED\xA0\x80",
                                      "\xF0\x80\x80\x80",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xC3",
                                      "\xE2\x82",
                                      "\xC3(",
                                      "\xFF"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(gtv_utf8_valid(gtv_str_of(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(gtv_utf8_valid(gtv_str_of(bad[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparisons), cmocka_unit_test(trim_find_and_cut),
        cmocka_unit_test(integers),    cmocka_unit_test(doubles_and_bools),
        cmocka_unit_test(copies),      cmocka_unit_test(utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
