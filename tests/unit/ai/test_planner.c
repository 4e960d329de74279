#include "lib/base/clock.h"
#include "lib/metrics/metrics.h"
#include "services/ai/watch/planner.h"
#include "services/ai/watch/watcher.h"
#include "tests/unit/unit.h"

#include <math.h>

enum { CAMERAS = 4 };

static struct gtv_metrics *metrics;
static struct gtv_planner *planner;
static struct gtv_scene_settings settings;
static struct gtv_planned cameras[CAMERAS], *list[CAMERAS];
static struct gtv_source_status status[CAMERAS];

static int create(void **state)
{
    metrics = gtv_metrics_create();
    gtv_scene_settings_init(&settings);
    planner = gtv_planner_create(&(struct gtv_planner_config){
        .cores = 1, .cpu_budget = 0.5, .max_fps = 5, .min_fps = 0.5, .metrics = metrics});
    for (size_t i = 0; i < CAMERAS; i++) {
        cameras[i] = (struct gtv_planned){0};
        status[i] = (struct gtv_source_status){
            .decode = {.mode = GTV_DECODE_REFERENCES, .key_interval_ms = 1000, .frame_interval_ms = 100}};
        list[i] = &cameras[i];
    }
    return 0;
}

static int destroy(void **state)
{
    gtv_planner_destroy(planner);
    gtv_metrics_destroy(metrics);
    return 0;
}

// A second in which each camera was decoded for decode ms and looked at so many times, look ms each.
static void second(double decode, unsigned looks, double look, double waits)
{
    for (size_t i = 0; i < CAMERAS; i++) {
        struct gtv_source_status *s = &status[i];
        s->decode.cpu_ms += decode;
        s->looks += looks;
        s->look_ms += looks * look;
        s->look_wait_ms = waits;
        if (cameras[i].at_ms)
            cameras[i].at_ms = gtv_mono_ms() - 1000;
        gtv_planner_measure(planner, &cameras[i], s, 0, 0, &settings);
    }
    gtv_planner_share(planner, list, CAMERAS);
}

static void what_nobody_has_measured(void **state)
{
    assert_true(fabs(gtv_planner_first_interval(planner, &settings) - 200) < 1e-6);
    settings.max_looks = 2;
    assert_true(fabs(gtv_planner_first_interval(planner, &settings) - 500) < 1e-6);
    second(0, 0, 0, 0);
    for (size_t i = 0; i < CAMERAS; i++)
        assert_true(!cameras[i].measured && isfinite(cameras[i].interval_ms) && cameras[i].interval_ms > 0);
}

static void cheap_cameras_get_what_they_want(void **state)
{
    for (int i = 0; i < 5; i++)
        second(5, 5, 10, 1);
    for (size_t i = 0; i < CAMERAS; i++) {
        assert_true(fabs(cameras[i].interval_ms - 200) < 1);
        assert_false(cameras[i].squeeze);
    }
    struct gtv_capacity c = {0};
    gtv_planner_capacity(planner, &c);
    assert_int_equal(c.cameras, CAMERAS);
    assert_true(fabs(c.budget - 500) < 1 && c.used > 200 && c.used < 240 && c.pressure >= 1 && c.more >= 4);
}

// Whatever is measured, what is granted costs no more than the budget.
static void the_budget_is_kept(void **state)
{
    for (int i = 0; i < 10; i++)
        second(40, 5, 50, 1);
    double cost = 0;
    for (size_t i = 0; i < CAMERAS; i++)
        cost += cameras[i].decode + cameras[i].one_look * 1000 / cameras[i].interval_ms;
    assert_true(cost < 520);
    struct gtv_capacity c = {0};
    gtv_planner_capacity(planner, &c);
    assert_true(c.more < 1);
    assert_true(cameras[0].plates_ms <= 25); // reading plates gives way first
}

static void looks_that_wait_take_from_it_and_it_comes_back(void **state)
{
    struct gtv_capacity c = {0};
    for (int i = 0; i < 20; i++)
        second(5, 5, 30, 400);
    gtv_planner_capacity(planner, &c);
    assert_true(c.pressure < 0.5 && c.pressure >= 0.2 && cameras[0].interval_ms > 250);
    for (int i = 0; i < 40; i++)
        second(5, 5, 10, 1);
    gtv_planner_capacity(planner, &c);
    assert_true(c.pressure >= 1 && fabs(cameras[0].interval_ms - 200) < 1);
}

static void no_room_means_key_frames(void **state)
{
    settings.max_looks = 0;
    for (int i = 0; i < 5; i++)
        second(300, 1, 30, 1);
    size_t squeezed = 0;
    for (size_t i = 0; i < CAMERAS; i++) {
        squeezed += cameras[i].squeeze;
        assert_true(cameras[i].interval_ms <= 100000);
    }
    assert_true(squeezed >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_nobody_has_measured, create, destroy),
        cmocka_unit_test_setup_teardown(cheap_cameras_get_what_they_want, create, destroy),
        cmocka_unit_test_setup_teardown(the_budget_is_kept, create, destroy),
        cmocka_unit_test_setup_teardown(looks_that_wait_take_from_it_and_it_comes_back, create, destroy),
        cmocka_unit_test_setup_teardown(no_room_means_key_frames, create, destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
