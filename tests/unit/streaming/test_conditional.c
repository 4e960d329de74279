#include "services/streaming/conditional.h"
#include "tests/unit/unit.h"

static const struct gtv_conditional_stored stored = {
    .etag = {"\"v,1\"", 5}, .last_modified = {"Sun, 06 Nov 1994 08:49:37 GMT", 29}, .len = 1000};

static struct gtv_conditional range(const char *text)
{
    const struct gtv_conditional_request r = {.range = gtv_str_of(text), .ranges = true};
    return gtv_conditional_judge(&r, &stored);
}

static void ranges(void **state)
{
    static const struct {
        const char *text;
        int status;
        size_t from, len;
    } cases[] = {
        {"bytes=0-0", 206, 0, 1},
        {"bytes=0-", 206, 0, 1000},
        {"bytes=999-5000", 206, 999, 1},
        {"bytes=-1", 206, 999, 1},
        {"bytes=-5000", 206, 0, 1000},
        {"Bytes = 10-19", 206, 10, 10},
        {"bytes=1000-", 416, 0, 0},
        {"bytes=2000-3000", 416, 0, 0},
        {"bytes=9-5", 200, 0, 1000},
        {"bytes=0-1,3-4", 200, 0, 1000},
        {"bytes=-", 200, 0, 1000},
        {"bytes", 200, 0, 1000},
        {"", 200, 0, 1000},
        {"items=0-1", 200, 0, 1000},
        {"bytes=+1-2", 200, 0, 1000},
        {"bytes=1--2", 200, 0, 1000},
        {"bytes=0-99999999999999999999", 200, 0, 1000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gtv_conditional c = range(cases[i].text);
        assert_int_equal(c.status, cases[i].status);
        if (c.status != 416) {
            assert_int_equal(c.from, cases[i].from);
            assert_int_equal(c.len, cases[i].len);
        }
    }
    assert_int_equal(range("bytes=-0").status, 416);
    const struct gtv_conditional_request head = {.range = GTV_STR("bytes=0-1")};
    assert_int_equal(gtv_conditional_judge(&head, &stored).status, 200);
}

static int judged(struct gtv_conditional_request r)
{
    r.ranges = true;
    return gtv_conditional_judge(&r, &stored).status;
}

#define ASKED(...) judged((struct gtv_conditional_request){__VA_ARGS__})

static void conditions(void **state)
{
    const struct gtv_str before = GTV_STR("Sun, 06 Nov 1994 08:49:36 GMT"),
                         then = GTV_STR("Sun, 06 Nov 1994 08:49:37 GMT"), part = GTV_STR("bytes=0-1");
    assert_int_equal(ASKED(.if_none_match = GTV_STR("\"v,1\"")), 304);
    assert_int_equal(ASKED(.if_none_match = GTV_STR("\"a\", W/\"v,1\"")), 304);
    assert_int_equal(ASKED(.if_none_match = GTV_STR("*")), 304);
    assert_int_equal(ASKED(.if_none_match = GTV_STR("\"v\"")), 200);
    assert_int_equal(ASKED(.if_none_match = GTV_STR("v,1")), 200);
    assert_int_equal(ASKED(.if_modified_since = then), 304);
    assert_int_equal(ASKED(.if_modified_since = before), 200);
    assert_int_equal(ASKED(.if_modified_since = GTV_STR("soon")), 200);
    assert_int_equal(ASKED(.if_none_match = GTV_STR("\"x\""), .if_modified_since = then), 200);
    assert_int_equal(ASKED(.if_match = GTV_STR("\"v,1\"")), 200);
    assert_int_equal(ASKED(.if_match = GTV_STR("W/\"v,1\"")), 412); // only a strong tag will do
    assert_int_equal(ASKED(.if_match = GTV_STR("*")), 200);
    assert_int_equal(ASKED(.if_unmodified_since = before), 412);
    assert_int_equal(ASKED(.if_unmodified_since = then), 200);
    assert_int_equal(ASKED(.range = part, .if_range = GTV_STR("\"v,1\"")), 206);
    assert_int_equal(ASKED(.range = part, .if_range = GTV_STR("W/\"v,1\"")), 200);
    assert_int_equal(ASKED(.range = part, .if_range = then), 206);
    assert_int_equal(ASKED(.range = part, .if_range = before), 200);
    assert_int_equal(ASKED(.range = part, .if_none_match = GTV_STR("\"v,1\"")), 304);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ranges), cmocka_unit_test(conditions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
