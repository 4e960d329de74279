#include "services/console/newcomers.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static struct gtv_detected box(const char *type, int x, int y, int w, int h)
{
    struct gtv_detected d = {.confidence = 0.75, .x = x, .y = y, .w = w, .h = h};
    snprintf(d.object_type, sizeof d.object_type, "%s", type);
    return d;
}

static size_t fresh[GTV_MAX_OBJECTS];

static size_t look(struct gtv_newcomers *n, int64_t camera, int64_t ms, struct gtv_detected a)
{
    return gtv_newcomers_take(n, camera, ms, &a, 1, fresh);
}

static void overlaps(void **state)
{
    struct gtv_detected a = box("car", 0, 0, 10, 10), b = box("car", 5, 0, 10, 10),
                        c = box("car", 10, 0, 5, 5);
    struct gtv_detected in = box("car", 2, 2, 5, 4), none = box("car", 3, 3, 0, 0);
    assert_float_equal(gtv_iou(&a, &a), 1, 1e-9);
    assert_float_equal(gtv_iou(&a, &b), 1.0 / 3, 1e-9);
    assert_float_equal(gtv_iou(&a, &c), 0, 1e-9); // they touch
    assert_float_equal(gtv_iou(&a, &none), 0, 1e-9);
    assert_float_equal(gtv_containment(&a, &in), 1, 1e-9);
    assert_float_equal(gtv_containment(&in, &a), 1, 1e-9);
    assert_float_equal(gtv_containment(&a, &none), 0, 1e-9);
    struct gtv_detected huge = box("car", INT32_MAX - 1, INT32_MAX - 1, INT32_MAX, INT32_MAX);
    assert_float_equal(gtv_iou(&huge, &huge), 1, 1e-9);
}

static void a_vehicle_that_moves_is_new_once(void **state)
{
    struct gtv_newcomers *n = gtv_newcomers_create();
    assert_int_equal(look(n, 1, 1000, box("car", 0, 0, 100, 50)), 1);
    for (int i = 1; i < 50; i++)
        assert_int_equal(look(n, 1, 1000 + i * 200, box("car", i * 20, 0, 100, 50)), 0);
    gtv_newcomers_destroy(n);
}

static void what_makes_it_new(void **state)
{
    struct gtv_newcomers *n = gtv_newcomers_create();
    assert_int_equal(look(n, 1, 1000, box("car", 0, 0, 100, 50)), 1);
    assert_int_equal(look(n, 2, 1000, box("car", 0, 0, 100, 50)), 1);   // another camera
    assert_int_equal(look(n, 1, 1200, box("bus", 0, 0, 100, 50)), 1);   // another class
    assert_int_equal(look(n, 1, 1400, box("car", 300, 0, 100, 50)), 1); // another place
    assert_int_equal(look(n, 1, 3000, box("car", 0, 0, 100, 50)), 0);   // 2,000 ms later: still the same
    assert_int_equal(look(n, 1, 5001, box("car", 0, 0, 100, 50)), 1);   // 2,001 ms later
    assert_int_equal(look(n, 1, 4000, box("car", 0, 0, 100, 50)), 1);   // the clock was set back
    gtv_newcomers_destroy(n);
}

static void what_is_not_sure_is_confirmed_first(void **state)
{
    struct gtv_newcomers *n = gtv_newcomers_create();
    struct gtv_detected d = box("car", 0, 0, 100, 50);
    d.confidence = 0.45;
    assert_int_equal(look(n, 1, 1000, d), 0);
    assert_int_equal(look(n, 1, 1200, d), 1);
    assert_int_equal(look(n, 1, 1400, d), 0);
    // Seen once and never again.
    d.x = 500;
    assert_int_equal(look(n, 1, 1600, d), 0);
    assert_int_equal(look(n, 1, 9000, d), 0);
    d.confidence = 0.9;
    assert_int_equal(look(n, 1, 9200, d), 1);
    gtv_newcomers_destroy(n);
}

static void it_grows_in_from_the_border(void **state)
{
    struct gtv_newcomers *n = gtv_newcomers_create();
    assert_int_equal(look(n, 1, 1000, box("car", 0, 651, 279, 69)), 1);
    assert_int_equal(look(n, 1, 1200, box("car", 1, 570, 434, 150)), 0);
    gtv_newcomers_destroy(n);
}

static void two_are_told_apart(void **state)
{
    struct gtv_newcomers *n = gtv_newcomers_create();
    struct gtv_detected one[] = {box("car", 0, 0, 100, 50)};
    assert_int_equal(gtv_newcomers_take(n, 1, 0, one, 1, fresh), 1);
    // Both overlap with the one seen: the nearer continues it, the other is new.
    struct gtv_detected two[] = {box("car", 45, 0, 100, 50), box("car", 5, 0, 100, 50)};
    assert_int_equal(gtv_newcomers_take(n, 1, 200, two, 2, fresh), 1);
    assert_int_equal(fresh[0], 0);
    gtv_newcomers_destroy(n);
}

static void crowds_are_bounded(void **state)
{
    struct gtv_newcomers *n = gtv_newcomers_create();
    struct gtv_detected crowd[GTV_MAX_OBJECTS + 1];
    for (int turn = 0; turn < 4; turn++) {
        for (int i = 0; i <= GTV_MAX_OBJECTS; i++)
            crowd[i] = box("car", i * 100, turn * 100, 50, 50);
        assert_int_equal(gtv_newcomers_take(n, 1, turn, crowd, GTV_MAX_OBJECTS + 1, fresh), GTV_MAX_OBJECTS);
    }
    // The first turn made room for the last ones, which are still known.
    assert_int_equal(gtv_newcomers_take(n, 1, 5, crowd, GTV_MAX_OBJECTS, fresh), 0);
    for (int64_t camera = 1; camera <= GTV_NEWCOMER_CAMERAS + 10; camera++)
        (void)look(n, camera, 5, box("car", 0, 0, 10, 10));
    gtv_newcomers_destroy(n);
    gtv_newcomers_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(overlaps),
        cmocka_unit_test(a_vehicle_that_moves_is_new_once),
        cmocka_unit_test(what_makes_it_new),
        cmocka_unit_test(what_is_not_sure_is_confirmed_first),
        cmocka_unit_test(it_grows_in_from_the_border),
        cmocka_unit_test(two_are_told_apart),
        cmocka_unit_test(crowds_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
