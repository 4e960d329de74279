#include "services/ai/plate/confidence.h"
#include "services/ai/plate/pass.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>

static const struct gtv_plate_ask early = {0}, over = {.over = true};

static struct gtv_plate plate_of(const char *text, double sure, double width)
{
    struct gtv_plate out = {.format = GTV_PLATE_FORMAT_OLD,
                            .confidence = sure,
                            .width = width,
                            .sharpness = 400,
                            .w = (int)width,
                            .h = (int)width / 3};
    for (int k = 0; k < GTV_PLATE_CHARS; k++) {
        bool letter = k < 3, both = k == 4;
        int from = letter ? 10 : 0, to = letter || both ? 36 : 10;
        for (int c = 0; c < GTV_PLATE_SIGNS; c++)
            out.chars.log[k][c] = c < from || c >= to            ? -INFINITY
                                  : c == gtv_plate_sign(text[k]) ? (float)log(sure)
                                                                 : (float)log((1 - sure) / (to - from - 1));
    }
    memcpy(out.text, text, strlen(text) + 1);
    return out;
}

static struct gtv_plate_chance car(double width, int64_t wall_ms)
{
    return (struct gtv_plate_chance){
        .vehicle = GTV_CAR, .width = width, .height = width * 0.8, .sharpness = 10, .wall_ms = wall_ms};
}

static void read_as(struct gtv_plate_pass *p, double width, int64_t wall_ms, const char *text, double sure)
{
    struct gtv_plate plate = plate_of(text, sure, width / 4);
    struct gtv_plate_chance c = car(width, wall_ms);
    (void)gtv_plate_pass_add(p, &c, &plate);
}

static double worth(const struct gtv_plate_pass *p, double width, int64_t wall_ms)
{
    struct gtv_plate_chance c = car(width, wall_ms);
    return gtv_plate_pass_worth(p, &c);
}

static void test_small_vehicles_are_not_read(void **state)
{
    assert_true(worth(NULL, 60, 1000) <= 0);
    assert_true(worth(NULL, 120, 1000) > 0);
    assert_true(worth(NULL, 240, 1000) > worth(NULL, 120, 1000));
    struct gtv_plate_chance bike = {.vehicle = GTV_MOTORCYCLE, .width = 60, .height = 90, .wall_ms = 1000};
    assert_true(gtv_plate_pass_worth(NULL, &bike) > 0); // its plate takes more of it
}

static void test_another_reading_must_promise_something(void **state)
{
    struct gtv_plate_pass p;
    gtv_plate_pass_init(&p);
    assert_true(worth(&p, 200, 1000) > 0);
    for (int i = 0; i < 3; i++) {
        assert_true(worth(&p, 200, 1000 + i * 200) > 0); // a vote needs some
        read_as(&p, 200, 1000 + i * 200, "ABC1234", 0.6);
    }
    assert_true(worth(&p, 200, 1600) <= 0);
    assert_true(worth(&p, 216, 1600) > 0);  // nearer
    assert_true(worth(&p, 200, 1900) > 0);  // another view
    assert_true(worth(&p, 216, 1450) <= 0); // the same frame but for a moment
    struct gtv_plate_chance sharp = car(200, 1600);
    sharp.sharpness = 13;
    assert_true(gtv_plate_pass_worth(&p, &sharp) > 0);
}

static void test_readings_end(void **state)
{
    struct gtv_plate_pass p;
    gtv_plate_pass_init(&p);
    int n = 0;
    for (int i = 0; i < 200; i++) {
        if (worth(&p, 200, 1000 + i * 500) <= 0)
            continue;
        read_as(&p, 200, 1000 + i * 500, i % 2 ? "ABC1234" : "XYZ9876", 0.5);
        n++;
    }
    assert_int_equal(n, GTV_PLATE_PASS_READINGS);
    assert_true(worth(&p, 260, 200000) > 0); // it has come much nearer
    for (int i = 0; i < 200; i++) {
        double width = 260 * pow(1.3, i);
        if (worth(&p, width, 200000 + i * 500) > 0)
            read_as(&p, width, 200000 + i * 500, "XYZ9876", 0.5);
    }
    assert_int_equal(p.tries, GTV_PLATE_PASS_MOST);
}

static void test_no_plate_in_sight_is_asked_less_and_less(void **state)
{
    struct gtv_plate_pass p;
    gtv_plate_pass_init(&p);
    int n = 0;
    for (int64_t ms = 1000; ms < 11000; ms += 200) {
        struct gtv_plate_chance c = car(200, ms);
        if (gtv_plate_pass_worth(&p, &c) <= 0)
            continue;
        assert_false(gtv_plate_pass_add(&p, &c, NULL));
        n++;
    }
    assert_in_range(n, 5, 7);
    assert_true(worth(&p, 260, 11000) > 0); // now there may be one
    struct gtv_plate_verdict out;
    assert_false(gtv_plate_pass_say(&p, &over, &out));
}

static void test_a_sure_plate_is_said_at_once_and_once(void **state)
{
    struct gtv_plate_pass p;
    struct gtv_plate_verdict out;
    gtv_plate_pass_init(&p);
    assert_false(gtv_plate_pass_say(&p, &early, &out));
    for (int i = 0; i < 8 && !p.told; i++) {
        read_as(&p, 300 + i, 1000 + i * 200, "ABC1234", 0.995);
        if (gtv_plate_pass_say(&p, &early, &out)) {
            assert_string_equal(out.text, "ABC1234");
            assert_true(out.sure && out.confidence >= GTV_PLATE_SURE_CONFIDENCE);
        }
    }
    assert_true(p.told);
    assert_true(worth(&p, 600, 9000) <= 0); // nothing more to learn
    assert_false(gtv_plate_pass_say(&p, &early, &out));
    assert_false(gtv_plate_pass_say(&p, &over, &out));
}

// The plate is a quarter as wide as its vehicle here. Returns how many readings it took.
static int readings_until_sure(double width)
{
    struct gtv_plate_pass p;
    struct gtv_plate_verdict out;
    gtv_plate_pass_init(&p);
    for (int i = 1; i <= 12; i++) {
        read_as(&p, width, 1000 + i * 200, "ABC1234", 0.9999);
        if (gtv_plate_pass_say(&p, &early, &out))
            return out.sure ? i : -1;
    }
    return 0;
}

static void test_one_reading_of_a_small_plate_is_not_enough(void **state)
{
    assert_int_equal(readings_until_sure(320), 1);
    assert_int_equal(readings_until_sure(220), 2);
    assert_int_equal(readings_until_sure(180), 3);
    assert_int_equal(readings_until_sure(130), 4);
    assert_int_equal(readings_until_sure(100), 0); // never
}

static void test_an_unsure_plate_is_said_at_the_end(void **state)
{
    struct gtv_plate_pass p;
    struct gtv_plate_verdict out;
    gtv_plate_pass_init(&p);
    read_as(&p, 200, 1000, "ABC1234", 0.8);
    read_as(&p, 200, 1200, "ABC1284", 0.8);
    assert_false(gtv_plate_pass_say(&p, &early, &out));
    assert_true(gtv_plate_pass_say(&p, &over, &out));
    assert_false(out.sure);
    assert_true(out.confidence < GTV_PLATE_SURE_CONFIDENCE);
    assert_false(gtv_plate_pass_say(&p, &over, &out));
}

static void test_an_unsure_plate_that_stands_is_said_after_a_while(void **state)
{
    struct gtv_plate_pass p;
    struct gtv_plate_verdict out;
    gtv_plate_pass_init(&p);
    read_as(&p, 200, 1000, "ABC1234", 0.8);
    read_as(&p, 200, 5000, "ABC1284", 0.8);
    struct gtv_plate_ask ask = {.wall_ms = 1000 + GTV_PLATE_PASS_STANDS_MS - 1};
    assert_false(gtv_plate_pass_say(&p, &ask, &out));
    read_as(&p, 240, 20000, "ABC1284", 0.8); // nearer: it may still get sure
    ask.wall_ms = 20000 + GTV_PLATE_PASS_STANDS_MS - 1;
    assert_false(gtv_plate_pass_say(&p, &ask, &out));
    ask.wall_ms++;
    assert_true(gtv_plate_pass_say(&p, &ask, &out));
    assert_false(out.sure);
    assert_false(gtv_plate_pass_say(&p, &over, &out)); // once
}

static void test_the_camera_s_own_threshold(void **state)
{
    struct gtv_plate_pass p;
    struct gtv_plate_verdict out;
    gtv_plate_pass_init(&p);
    read_as(&p, 300, 1000, "ABC1234", 0.995);
    read_as(&p, 300, 1200, "ABC1234", 0.995);
    struct gtv_plate_pass same = p;
    const struct gtv_plate_ask strict = {.threshold = 1}, lax = {.threshold = 0.3};
    assert_false(gtv_plate_pass_say(&p, &strict, &out));
    assert_true(gtv_plate_pass_say(&same, &lax, &out) && out.sure);
}

static void test_what_cannot_be_read_is_not_said(void **state)
{
    struct gtv_plate_pass p;
    struct gtv_plate_verdict out;
    gtv_plate_pass_init(&p);
    read_as(&p, 200, 1000, "ABC1234", 0.1);
    assert_false(gtv_plate_pass_say(&p, &over, &out));
}

static void test_whose_plate_it_is(void **state)
{
    struct gtv_plate plates[2] = {{.x = 100, .y = 180, .w = 40, .h = 14},
                                  {.x = 30, .y = 120, .w = 30, .h = 10}};
    const int box[4] = {0, 0, 100, 150}, front[1][4] = {{60, 60, 120, 150}},
              behind[1][4] = {{0, 20, 90, 120}};
    assert_ptr_equal(gtv_plate_pass_own(plates, 2, box, NULL, 0), &plates[1]);
    assert_ptr_equal(gtv_plate_pass_own(plates, 2, box, behind, 1), &plates[1]);
    assert_null(gtv_plate_pass_own(plates, 1, box, front, 1));
    // A plate that two boxes share is of the vehicle in front, unless the boxes are of one vehicle.
    struct gtv_plate shared = {.x = 70, .y = 120, .w = 20, .h = 8};
    assert_null(gtv_plate_pass_own(&shared, 1, box, front, 1));
    assert_ptr_equal(gtv_plate_pass_own(&shared, 1, front[0], &box, 1), &shared);
    const int twin[1][4] = {{2, 2, 100, 150}};
    assert_ptr_equal(gtv_plate_pass_own(&shared, 1, box, twin, 1), &shared);
}

static void test_what_was_told_of_late(void **state)
{
    struct gtv_plate_recent r = {0};
    bool was_sure = false;
    struct gtv_plate_verdict same = {.text = "ABC1234", .sure = true},
                             other = {.text = "ABC1235", .sure = true}, unsure = {.text = "ABC1235"},
                             converted = {.text = "ABC1C34", .sure = true};
    assert_null(gtv_plate_recent_find(&r, &same, 1000, &was_sure));
    gtv_plate_recent_note(&r, "ABC1234", true, 1000);
    assert_string_equal(gtv_plate_recent_find(&r, &same, 2000, &was_sure), "ABC1234");
    assert_string_equal(gtv_plate_recent_find(&r, &converted, 2000, &was_sure), "ABC1234");
    assert_null(gtv_plate_recent_find(&r, &other, 2000, &was_sure));
    assert_non_null(gtv_plate_recent_find(&r, &unsure, 2000, &was_sure));
    assert_null(gtv_plate_recent_find(&r, &same, 1000 + GTV_PLATE_RECENT_MS, &was_sure));
    gtv_plate_recent_note(&r, "ABC1234", true, 20000);
    assert_non_null(gtv_plate_recent_find(&r, &same, 1000 + GTV_PLATE_RECENT_MS, &was_sure));
    for (int i = 0; i < GTV_PLATE_RECENT; i++) {
        char text[8];
        snprintf(text, sizeof(text), "XYZ%04d", i * 11);
        gtv_plate_recent_note(&r, text, true, 21000 + i);
    }
    assert_null(gtv_plate_recent_find(&r, &same, 22000, &was_sure)); // the oldest made room

    // What was told as unsure is told again as sure, but not as unsure.
    struct gtv_plate_recent first = {0};
    gtv_plate_recent_note(&first, "ABC1234", false, 1000);
    assert_null(gtv_plate_recent_find(&first, &same, 2000, &was_sure));
    assert_non_null(gtv_plate_recent_find(&first, &unsure, 2000, &was_sure));
    assert_false(was_sure);
    gtv_plate_recent_note(&first, "ABC1234", true, 2000);
    assert_non_null(gtv_plate_recent_find(&first, &same, 3000, &was_sure));
    assert_true(was_sure);
}

static void test_alike(void **state)
{
    assert_true(gtv_plate_alike("ABC1C34", "ABC1234", 0)); // one registration
    assert_false(gtv_plate_alike("ABC1234", "ABC1235", 0));
    assert_true(gtv_plate_alike("ABC1234", "ABC1235", 1));
    assert_false(gtv_plate_alike("ABC1234", "ABC12345", 2));
    assert_false(gtv_plate_alike("", "", 2));
}

static void test_looks(void **state)
{
    struct gtv_plate_look a, brighter, other, flat = {0};
    for (int i = 0; i < GTV_PLATE_LOOK_SIDE * GTV_PLATE_LOOK_SIDE; i++) {
        a.luma[i] = (float)(i * 37 % 101);
        brighter.luma[i] = a.luma[i] / 2 + 60;
        other.luma[i] = (float)(i * 61 % 89);
    }
    assert_true(gtv_plate_look_alike(&a, &brighter) > 0.99);
    assert_true(gtv_plate_look_alike(&a, &other) < GTV_PLATE_LOOK_SAME);
    assert_true(gtv_plate_look_alike(&a, &flat) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_vehicles_are_not_read),
        cmocka_unit_test(test_another_reading_must_promise_something),
        cmocka_unit_test(test_readings_end),
        cmocka_unit_test(test_no_plate_in_sight_is_asked_less_and_less),
        cmocka_unit_test(test_a_sure_plate_is_said_at_once_and_once),
        cmocka_unit_test(test_one_reading_of_a_small_plate_is_not_enough),
        cmocka_unit_test(test_an_unsure_plate_is_said_at_the_end),
        cmocka_unit_test(test_an_unsure_plate_that_stands_is_said_after_a_while),
        cmocka_unit_test(test_the_camera_s_own_threshold),
        cmocka_unit_test(test_what_cannot_be_read_is_not_said),
        cmocka_unit_test(test_whose_plate_it_is),
        cmocka_unit_test(test_what_was_told_of_late),
        cmocka_unit_test(test_alike),
        cmocka_unit_test(test_looks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
