#include "services/streaming/viewers.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static bool touch(struct gtv_viewers *v, const char *address, const char *agent, size_t bytes, int64_t now_ms)
{
    return gtv_viewers_touch(v, GTV_STR("cam_1"), gtv_str_of(address), gtv_str_of(agent), bytes, now_ms);
}

static void distinct_by_address_and_agent(void **state)
{
    struct gtv_viewers *v = gtv_viewers_create(100);
    assert_true(touch(v, "10.0.0.1", "vlc", 10, 0));
    assert_true(touch(v, "10.0.0.1", "vlc", 10, 1));
    assert_true(touch(v, "10.0.0.1", "chrome", 10, 1));
    assert_true(touch(v, "10.0.0.2", "vlc", 10, 1));
    struct gtv_viewed_stream s = gtv_viewers_stream(v, GTV_STR("cam_1"), 1);
    assert_int_equal(s.viewers, 3);
    assert_int_equal(s.bytes, 40);
    assert_int_equal(gtv_viewers_stream(v, GTV_STR("cam_2"), 1).viewers, 0);
    gtv_viewers_add_bytes(v, GTV_STR("cam_1"), GTV_STR("10.0.0.2"), GTV_STR("vlc"), 5);
    size_t viewers;
    uint64_t bytes;
    gtv_viewers_total(v, 1, &viewers, &bytes);
    assert_int_equal(viewers, 3);
    assert_int_equal(bytes, 45);
    gtv_viewers_destroy(v);
}

static void they_leave_after_three_target_durations(void **state)
{
    struct gtv_viewers *v = gtv_viewers_create(100);
    gtv_viewers_set_window(v, GTV_STR("cam_1"), 4000, 20000);
    assert_true(touch(v, "a", "", 7, 0));
    assert_true(touch(v, "b", "", 7, 5000));
    assert_int_equal(gtv_viewers_stream(v, GTV_STR("cam_1"), 12000).viewers, 2);
    struct gtv_viewed_stream s = gtv_viewers_stream(v, GTV_STR("cam_1"), 12001);
    assert_int_equal(s.viewers, 1);
    assert_int_equal(s.peak, 2);
    assert_int_equal(s.bytes, 14); // what was sent stays counted
    assert_int_equal(s.window_ms, 20000);
    gtv_viewers_prune(v, 17001);
    assert_int_equal(gtv_viewers_stream(v, GTV_STR("cam_1"), 17001).viewers, 0);
    gtv_viewers_destroy(v);
}

static void a_full_stream_keeps_who_is_there(void **state)
{
    struct gtv_viewers *v = gtv_viewers_create(2);
    assert_true(touch(v, "a", "", 0, 0));
    assert_true(touch(v, "b", "", 0, 3000));
    assert_false(touch(v, "c", "", 0, 3000));
    assert_true(touch(v, "a", "", 0, 3000));
    assert_true(touch(v, "b", "", 0, 9000));
    assert_true(
        touch(v, "c", "", 0, 9001)); // a has left: 2 s are taken for the target duration until it is known
    gtv_viewers_destroy(v);
}

static void copy_address(void *arg, const struct gtv_viewer *viewer)
{
    snprintf(arg, 256, "%s/%s", viewer->address, viewer->agent);
}

static void long_and_hostile_names(void **state)
{
    struct gtv_viewers *v = gtv_viewers_create(10);
    char agent[1000], shown[256] = "";
    memset(agent, 'x', sizeof agent - 1);
    agent[sizeof agent - 1] = '\0';
    assert_true(touch(v, agent, agent, 0, 0));
    assert_true(touch(v, "", "", 0, 0));
    assert_int_equal(gtv_viewers_stream(v, GTV_STR("cam_1"), 0).viewers, 2);
    gtv_viewers_list(v, GTV_STR("cam_1"), 0, 1, copy_address, shown);
    gtv_viewers_destroy(v);
    v = gtv_viewers_create(10);
    assert_true(touch(v, "1.2.3.4", "a\nb", 0, 0));
    gtv_viewers_list(v, GTV_STR("cam_1"), 0, 10, copy_address, shown);
    assert_string_equal(shown, "1.2.3.4/a\nb");
    gtv_viewers_destroy(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(distinct_by_address_and_agent),
                                       cmocka_unit_test(they_leave_after_three_target_durations),
                                       cmocka_unit_test(a_full_stream_keeps_who_is_there),
                                       cmocka_unit_test(long_and_hostile_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
