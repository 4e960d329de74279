#include "lib/base/cause.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define TRACE  "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT "00f067aa0ba902b7"

static void a_trace_is_taken_and_passed_on(void **state)
{
    struct gtv_cause c = {0};
    char first[GTV_TRACEPARENT_CAP], second[GTV_TRACEPARENT_CAP];
    assert_false(gtv_cause_traceparent(&c, first));
    assert_true(gtv_cause_set_trace(&c, GTV_STR("00-" TRACE "-" PARENT "-01")));
    assert_string_equal(c.trace, TRACE);
    assert_string_equal(c.parent, PARENT);
    assert_string_equal(c.flags, "01");
    assert_true(gtv_cause_traceparent(&c, first) && gtv_cause_traceparent(&c, second));
    assert_int_equal(strlen(first), 55);
    assert_int_equal(strncmp(first, "00-" TRACE "-", 36), 0);
    assert_string_equal(first + 52, "-01");
    assert_int_not_equal(strncmp(first + 36, PARENT, 16), 0); // the span is ours
    assert_int_not_equal(strncmp(first + 36, second + 36, 16), 0);
    struct gtv_cause again = {0};
    assert_true(gtv_cause_set_trace(&again, gtv_str_of(first)));
}

static void wrong_traces_are_ignored(void **state)
{
    static const char *const wrong[] = {
        "",
        "00",
        "00-" TRACE "-" PARENT,
        "00-" TRACE "-" PARENT "-0",
        "00-" TRACE "-" PARENT "-01x",
        "00-" TRACE "-" PARENT "-01-more",
        "ff-" TRACE "-" PARENT "-01",
        "0G-" TRACE "-" PARENT "-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT "-01",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" TRACE "-0000000000000000-01",
        "00_" TRACE "-" PARENT "-01",
        "01-" TRACE "-" PARENT "-01.more",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct gtv_cause c = {0};
        assert_false(gtv_cause_set_trace(&c, gtv_str_of(wrong[i])));
        assert_string_equal(c.trace, "");
    }
    struct gtv_cause c = {0};
    assert_true(gtv_cause_set_trace(&c, GTV_STR("01-" TRACE "-" PARENT "-01-what-is-new")));
}

static void states_are_joined_and_limited(void **state)
{
    struct gtv_cause c = {0};
    char longer[GTV_TRACE_STATE_MAX + 2];
    memset(longer, 'a', sizeof(longer));
    gtv_cause_add_state(&c, (struct gtv_str){longer, sizeof(longer)});
    gtv_cause_add_state(&c, GTV_STR("a=\x01"));
    gtv_cause_add_state(&c, GTV_STR("a=\xc3\xa7"));
    assert_string_equal(c.state, "");
    gtv_cause_add_state(&c, GTV_STR("vendor=1"));
    gtv_cause_add_state(&c, GTV_STR("other=2"));
    assert_string_equal(c.state, "vendor=1,other=2");
    gtv_cause_add_state(&c, (struct gtv_str){longer, GTV_TRACE_STATE_MAX});
    assert_string_equal(c.state, "vendor=1,other=2");
}

static void ids_of_requests_are_checked(void **state)
{
    struct gtv_cause c = {0};
    char longer[GTV_REQUEST_ID_MAX + 1];
    memset(longer, '7', sizeof(longer));
    gtv_cause_set_request(&c, GTV_STR("aZ9._-"));
    assert_string_equal(c.request, "aZ9._-");
    gtv_cause_set_request(&c, GTV_STR("with space"));
    assert_string_equal(c.request, "");
    gtv_cause_set_request(&c, (struct gtv_str){longer, GTV_REQUEST_ID_MAX});
    assert_int_equal(strlen(c.request), GTV_REQUEST_ID_MAX);
    gtv_cause_set_request(&c, (struct gtv_str){longer, sizeof(longer)});
    assert_string_equal(c.request, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_trace_is_taken_and_passed_on),
        cmocka_unit_test(wrong_traces_are_ignored),
        cmocka_unit_test(states_are_joined_and_limited),
        cmocka_unit_test(ids_of_requests_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
