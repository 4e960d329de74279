#include "services/ai/watch/budget.h"
#include "tests/unit/unit.h"

#include <math.h>

static void assert_near(double a, double b)
{
    if (fabs(a - b) > 1e-3)
        fail_msg("%f is not %f", a, b);
}

static struct gtv_budget_camera camera(int priority, double decode, double wanted)
{
    return (struct gtv_budget_camera){.decode = decode,
                                      .keys = 3,
                                      .look = 20,
                                      .busy = 1,
                                      .wanted = wanted,
                                      .floor = 0.2,
                                      .priority = priority,
                                      .may_squeeze = true};
}

static void enough_for_all(void **state)
{
    struct gtv_budget_camera c[2] = {camera(5, 20, 5), camera(1, 20, 2)};
    assert_near(gtv_budget_share(c, 2, 1000), 180);
    assert_near(c[0].rate, 5);
    assert_near(c[1].rate, 2);
    assert_true(!c[0].squeeze && !c[1].squeeze);
}

static void shared_by_priority(void **state)
{
    struct gtv_budget_camera c[3] = {camera(6, 20, 5), camera(2, 20, 5), camera(2, 20, 0.5)};
    // 60 to decode, 12 for the floors; of the other 68 the third takes 6, the first three quarters.
    assert_near(gtv_budget_share(c, 3, 140), 140);
    assert_near(c[2].rate, 0.5);
    assert_near(c[0].rate + c[1].rate, (140 - 60 - 10) / 20.0);
    assert_true(c[0].rate > 2.5 * c[1].rate && c[0].rate < 3 * c[1].rate);
}

static void what_one_does_not_need_is_the_others(void **state)
{
    struct gtv_budget_camera c[2] = {camera(10, 20, 1), camera(1, 20, 5)};
    (void)gtv_budget_share(c, 2, 40 + 20 + 60);
    assert_near(c[0].rate, 1);
    assert_near(c[1].rate, 3);
}

static void too_little_takes_decoding_from_the_least(void **state)
{
    struct gtv_budget_camera c[3] = {camera(5, 30, 5), camera(1, 30, 5), camera(5, 30, 5)};
    (void)gtv_budget_share(c, 3, 80);
    assert_true(!c[0].squeeze && c[1].squeeze && !c[2].squeeze);
    assert_true(c[0].rate >= 0.2 && c[1].rate >= 0.2);
    (void)gtv_budget_share(c, 3, 1);
    assert_true(c[0].squeeze && c[1].squeeze && c[2].squeeze);
    assert_near(c[0].rate, 0.2); // the floor holds
}

static void how_many_more(void **state)
{
    struct gtv_budget_camera c[2] = {camera(5, 20, 1), camera(5, 20, 1)};
    assert_near(gtv_budget_more(c, 2, 1000), 23);
    assert_near(gtv_budget_more(c, 2, 10), 0);
    assert_true(gtv_budget_more(c, 0, 1000) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enough_for_all),
        cmocka_unit_test(shared_by_priority),
        cmocka_unit_test(what_one_does_not_need_is_the_others),
        cmocka_unit_test(too_little_takes_decoding_from_the_least),
        cmocka_unit_test(how_many_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
