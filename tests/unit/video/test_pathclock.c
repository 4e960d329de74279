#include "lib/video/pathclock.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

#define SECOND INT64_C(90000)
#define FRAME  3600 // 25 frames a second

static const int64_t start_us = INT64_C(1795372575896105);

static int64_t ticks(int64_t us)
{
    return us / 100 * 9 + us % 100 * 9 / 100;
}

static void anchors_at_the_first_arrival(void **state)
{
    struct gtv_pathclock c = {0};
    int64_t out = 0;
    assert_int_equal(gtv_pathclock_map(&c, 123456, start_us, &out), GTV_CLOCK_ANCHORED);
    assert_int_equal(out, ticks(start_us));
}

static void jitter_does_not_show(void **state)
{
    struct gtv_pathclock c = {0};
    int64_t out = 0, last = 0;
    srand(7);
    for (int i = 0; i < 25 * 60; i++) {
        int64_t jitter = rand() % 80000;
        enum gtv_clock_step step = gtv_pathclock_map(&c, i * FRAME, start_us + i * 40000 + jitter, &out);
        if (i > 0) {
            assert_int_equal(step, GTV_CLOCK_FOLLOWED);
            // 0.5 % of a frame at most.
            assert_in_range(out - last, FRAME - FRAME / 200, FRAME + FRAME / 200);
        }
        last = out;
    }
    // The best packets arrive without delay: the clock has come to them.
    assert_true(llabs(out - ticks(start_us + (25 * 60 - 1) * 40000)) < SECOND / 50);
}

static void follows_a_camera_that_drifts(void **state)
{
    // The camera's second is 0.1 % too short, and too long.
    for (int sign = -1; sign <= 1; sign += 2) {
        struct gtv_pathclock c = {0};
        int64_t out = 0, last = 0, wall = 0;
        for (int64_t i = 0; i < 25 * 3600; i++) {
            wall = start_us + i * 40000 + sign * i * 40;
            (void)gtv_pathclock_map(&c, i * FRAME, wall, &out);
            assert_true(out > last);
            last = out;
        }
        // Drifted by 3.6 s without the bending; 5 s of window at 0.1 % are 5 ms.
        assert_true(llabs(out - ticks(wall)) < SECOND / 20);
    }
}

static void jumps_are_anchored_again(void **state)
{
    static const int64_t jumps[] = {3 * SECOND, -3 * SECOND, INT64_C(36000) * SECOND, -(INT64_C(1) << 32)};
    for (size_t j = 0; j < sizeof jumps / sizeof jumps[0]; j++) {
        struct gtv_pathclock c = {0};
        int64_t out = 0, before;
        for (int i = 0; i < 50; i++) {
            (void)gtv_pathclock_map(&c, i * FRAME, start_us + i * 40000, &out);
        }
        before = out;
        enum gtv_clock_step step = gtv_pathclock_map(&c, 50 * FRAME + jumps[j], start_us + 50 * 40000, &out);
        assert_int_equal(step, GTV_CLOCK_ANCHORED);
        // The wall went on by one frame: so does the path.
        assert_int_equal(out - before, FRAME);
    }
}

static void a_short_gap_is_kept(void **state)
{
    struct gtv_pathclock c = {0};
    int64_t out = 0, before;
    (void)gtv_pathclock_map(&c, 0, start_us, &out);
    before = out;
    assert_int_equal(gtv_pathclock_map(&c, SECOND, start_us + 1000000, &out), GTV_CLOCK_FOLLOWED);
    assert_int_equal(out - before, SECOND);
}

static void a_stored_burst_moves_the_anchor(void **state)
{
    // A server that begins with 3 s of stored pictures at once: the anchor was 3 s late.
    struct gtv_pathclock c = {0};
    int64_t out = 0;
    int anchored = 0;
    for (int i = 0; i < 75; i++) {
        anchored += gtv_pathclock_map(&c, i * FRAME, start_us + i * 100, &out) == GTV_CLOCK_ANCHORED;
    }
    assert_true(anchored > 1);
    assert_true(llabs(out - ticks(start_us)) <= SECOND);
}

static void the_wall_clock_steps(void **state)
{
    for (int sign = -1; sign <= 1; sign += 2) {
        struct gtv_pathclock c = {0};
        int64_t out = 0, step_us = sign * INT64_C(3600000000);
        for (int i = 0; i < 25 * 30; i++) {
            int64_t wall = start_us + i * 40000 + (i > 100 ? step_us : 0);
            (void)gtv_pathclock_map(&c, i * FRAME, wall, &out);
        }
        assert_true(llabs(out - ticks(start_us + 749 * 40000 + step_us)) < SECOND / 10);
    }
}

static void same_stamp_twice_still_increases(void **state)
{
    struct gtv_pathclock c = {0};
    struct gtv_dts d = {0};
    int64_t last = INT64_MIN;
    static const int64_t in[] = {0, FRAME, FRAME, 2 * FRAME, 3 * FRAME};
    for (int i = 0; i < 5; i++) {
        int64_t out;
        (void)gtv_pathclock_map(&c, in[i], start_us + i * 40000, &out);
        int64_t dts = gtv_dts_next(&d, &out);
        assert_true(dts > last && dts <= out);
        last = dts;
    }
}

static void decoding_times_without_reordering(void **state)
{
    struct gtv_dts d = {0};
    for (int64_t i = 0; i < 100; i++) {
        int64_t pts = i * FRAME;
        assert_int_equal(gtv_dts_next(&d, &pts), i * FRAME);
        assert_int_equal(pts, i * FRAME);
    }
}

static void decoding_times_with_b_frames(void **state)
{
    // I P B B P B B ... in decoding order.
    struct gtv_dts d = {0};
    int64_t last = INT64_MIN;
    int raised = 0;
    for (int group = 0; group < 50; group++) {
        int64_t base = group * 3;
        int64_t order[] = {base + 3, base + 1, base + 2};
        for (int i = 0; i < 3; i++) {
            int64_t pts = (order[i] + 10) * FRAME, given = pts;
            int64_t dts = gtv_dts_next(&d, &pts);
            assert_true(dts > last && dts <= pts && pts >= given);
            raised += pts != given;
            last = dts;
        }
    }
    assert_true(raised <= 3); // until the depth was known
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(anchors_at_the_first_arrival),
        cmocka_unit_test(jitter_does_not_show),
        cmocka_unit_test(follows_a_camera_that_drifts),
        cmocka_unit_test(jumps_are_anchored_again),
        cmocka_unit_test(a_short_gap_is_kept),
        cmocka_unit_test(a_stored_burst_moves_the_anchor),
        cmocka_unit_test(the_wall_clock_steps),
        cmocka_unit_test(same_stamp_twice_still_increases),
        cmocka_unit_test(decoding_times_without_reordering),
        cmocka_unit_test(decoding_times_with_b_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
