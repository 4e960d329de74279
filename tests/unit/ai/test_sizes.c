#include "services/ai/gate/sizes.h"

#include "tests/unit/ai/sizes_street.h"
#include "tests/unit/unit.h"

#include <string.h>

// An interval of a second at 15 pictures a second: of so many bytes, the largest of so many.
static struct gtv_sizes_interval second(uint64_t bytes, uint32_t most)
{
    return (struct gtv_sizes_interval){.pictures = 14, .bytes = bytes, .most = most};
}

// The street's camera of a variable rate: its empty road, and vehicles on it.
static struct gtv_sizes_interval empty(unsigned at)
{
    static const struct {
        uint64_t bytes;
        uint32_t most;
    } recorded[] = {{31380, 2838}, {31022, 3376}, {29711, 2932}, {30240, 2961}, {29122, 2674}, {31406, 3178},
                    {30211, 3136}, {29870, 3348}, {29418, 3073}, {31077, 3270}, {29005, 2971}, {28391, 2865},
                    {30550, 3555}, {30872, 3486}, {31215, 3049}, {27404, 3010}};
    size_t i = at % (sizeof(recorded) / sizeof(recorded[0]));
    return second(recorded[i].bytes, recorded[i].most);
}

static struct gtv_sizes_interval busy(unsigned at)
{
    static const struct {
        uint64_t bytes;
        uint32_t most;
    } recorded[] = {{50404, 4757}, {62031, 5248}, {55120, 4903}, {51080, 4483}, {52370, 4322}, {75300, 6326},
                    {45160, 4258}, {49110, 4237}, {48020, 4356}, {72440, 6018}, {55720, 7462}};
    size_t i = at % (sizeof(recorded) / sizeof(recorded[0]));
    return second(recorded[i].bytes, recorded[i].most);
}

// So many turns of some seconds without and with motion.
static void learn(struct gtv_sizes *s, unsigned turns)
{
    for (unsigned turn = 0; turn < turns; turn++) {
        for (unsigned i = 0; i < 12; i++) {
            struct gtv_sizes_interval one = empty(turn * 5 + i);
            gtv_sizes_learn(s, &one, false);
        }
        for (unsigned i = 0; i < 5; i++) {
            struct gtv_sizes_interval one = busy(turn * 3 + i);
            gtv_sizes_learn(s, &one, true);
        }
    }
    struct gtv_sizes_interval one = empty(0);
    gtv_sizes_learn(s, &one, false);
}

static void adds_up(void **state)
{
    (void)state;
    struct gtv_sizes_interval i = {0};
    gtv_sizes_add(&i, 100);
    gtv_sizes_add(&i, 300);
    gtv_sizes_add(&i, 200);
    assert_int_equal(i.pictures, 3);
    assert_int_equal(i.bytes, 600);
    assert_int_equal(i.most, 300);
}

static void says_nothing_before_it_knows_both(void **state)
{
    (void)state;
    struct gtv_sizes s = {0};
    struct gtv_sizes_interval one = empty(0);
    assert_false(gtv_sizes_quiet(&s, &one));
    for (unsigned i = 0; i < 60; i++) {
        one = empty(i);
        gtv_sizes_learn(&s, &one, false);
    }
    assert_false(gtv_sizes_quiet(&s, &one));
}

static void tells_an_empty_road_from_vehicles(void **state)
{
    (void)state;
    struct gtv_sizes s = {0};
    learn(&s, 4);
    for (unsigned i = 0; i < 16; i++) {
        struct gtv_sizes_interval one = empty(i);
        assert_true(gtv_sizes_quiet(&s, &one));
    }
    for (unsigned i = 0; i < 11; i++) {
        struct gtv_sizes_interval one = busy(i);
        assert_false(gtv_sizes_quiet(&s, &one));
    }
    // One large picture among small ones: a vehicle that came at the end.
    struct gtv_sizes_interval late = second(33000, 5200);
    assert_false(gtv_sizes_quiet(&s, &late));
}

static void sizes_that_do_not_part_say_nothing(void **state)
{
    (void)state;
    struct gtv_sizes s = {0};
    // A constant rate: the same bytes with and without vehicles.
    for (unsigned turn = 0; turn < 8; turn++)
        for (unsigned i = 0; i < 17; i++) {
            struct gtv_sizes_interval one =
                second(121000 + (i * 7919 + turn * 104729) % 3000, 10600 + (i * 6151 + turn * 3571) % 900);
            gtv_sizes_learn(&s, &one, i >= 12);
        }
    unsigned quiet = 0;
    for (unsigned i = 0; i < 17; i++) {
        struct gtv_sizes_interval one = second(121000 + (i * 7919) % 3000, 10600 + (i * 6151) % 900);
        quiet += gtv_sizes_quiet(&s, &one);
    }
    assert_int_equal(quiet, 0);
}

static void remembers_how_small_motion_can_be(void **state)
{
    (void)state;
    struct gtv_sizes s = {0};
    struct gtv_sizes_interval slight = second(32500, 3400), one = second(31800, 3300);
    learn(&s, 4);
    assert_true(gtv_sizes_quiet(&s, &one));
    gtv_sizes_learn(&s, &slight, true); // a motorcycle far away
    learn(&s, 1);
    assert_false(gtv_sizes_quiet(&s, &slight));
    one = second(29000, 2700);
    assert_true(gtv_sizes_quiet(&s, &one)); // smaller still
}

static void a_vehicle_that_stopped_teaches_nothing(void **state)
{
    (void)state;
    struct gtv_sizes s = {0};
    learn(&s, 4);
    struct gtv_sizes_interval one = busy(0);
    gtv_sizes_learn(&s, &one, true);
    for (unsigned i = 0; i < 3; i++) { // the gate still sees it, though it does not move
        one = empty(i);
        gtv_sizes_learn(&s, &one, true);
    }
    learn(&s, 0);
    one = empty(4);
    assert_true(gtv_sizes_quiet(&s, &one));
}

static void a_stream_that_shrinks_is_looked_at(void **state)
{
    (void)state;
    struct gtv_sizes s = {0};
    learn(&s, 4);
    struct gtv_sizes_interval frozen = second(700, 60), lost = empty(0);
    assert_false(gtv_sizes_quiet(&s, &frozen));
    lost.pictures = 9; // some went missing on the way
    assert_false(gtv_sizes_quiet(&s, &lost));
    struct gtv_sizes_interval none = {0};
    assert_false(gtv_sizes_quiet(&s, &none));
}

static void follows_the_day(void **state)
{
    (void)state;
    struct gtv_sizes s = {0};
    learn(&s, 4);
    // At night everything takes a third of it, vehicles too.
    struct gtv_sizes_interval dark, car = second(18000, 1700);
    for (unsigned i = 0; i < 3 * GTV_SIZES_STILL; i++) {
        dark = empty(i);
        dark.bytes /= 3;
        dark.most /= 3;
        gtv_sizes_learn(&s, &dark, false);
    }
    assert_true(gtv_sizes_quiet(&s, &dark));
    assert_false(gtv_sizes_quiet(&s, &car));
}

// As a source asks: one key frame in five is decoded whatever the sizes say.
static void leaves_out_a_recorded_empty_street(void **state)
{
    (void)state;
    struct gtv_sizes s = {0};
    unsigned since = 0, left_out = 0, still = 0, missed = 0, n = sizeof(street) / sizeof(street[0]);
    for (unsigned i = 0; i < n; i++) {
        struct gtv_sizes_interval one = {
            .pictures = street[i].pictures, .bytes = street[i].bytes, .most = street[i].most};
        still += !street[i].motion;
        if (!s.moved && since < 4 && gtv_sizes_quiet(&s, &one)) {
            since++;
            left_out++;
            missed += street[i].motion;
        } else {
            since = 0;
            gtv_sizes_learn(&s, &one, street[i].motion);
        }
    }
    assert_int_equal(missed, 0);
    assert_true(still > 150 && left_out > 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adds_up),
        cmocka_unit_test(says_nothing_before_it_knows_both),
        cmocka_unit_test(tells_an_empty_road_from_vehicles),
        cmocka_unit_test(sizes_that_do_not_part_say_nothing),
        cmocka_unit_test(remembers_how_small_motion_can_be),
        cmocka_unit_test(a_vehicle_that_stopped_teaches_nothing),
        cmocka_unit_test(a_stream_that_shrinks_is_looked_at),
        cmocka_unit_test(follows_the_day),
        cmocka_unit_test(leaves_out_a_recorded_empty_street),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
