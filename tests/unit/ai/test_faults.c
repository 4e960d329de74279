#include "services/ai/watch/faults.h"
#include "tests/unit/unit.h"

static void told_once(void **state)
{
    struct gtv_faults f = {0};
    assert_int_equal(gtv_faults_update(&f, 0, true, 1000), 0);
    assert_int_equal(gtv_faults_update(&f, GTV_GATE_BLACK, true, 2000), GTV_GATE_BLACK);
    assert_int_equal(gtv_faults_update(&f, GTV_GATE_BLACK, true, 3000), 0);
    assert_int_equal(gtv_faults_update(&f, GTV_GATE_INFRARED, true, 4000),
                     GTV_GATE_BLACK | GTV_GATE_INFRARED);
    assert_int_equal(f.told, GTV_GATE_INFRARED);
    assert_int_equal(gtv_faults_update(&f, 0, true, 5000), GTV_GATE_INFRARED);
}

static void not_again_by_who_takes_over(void **state)
{
    struct gtv_faults f;
    gtv_faults_inherit(&f, GTV_GATE_FROZEN | GTV_FAULT_UNTIMED | 1U << 20);
    assert_int_equal(f.told, GTV_GATE_FROZEN | GTV_FAULT_UNTIMED);
    assert_int_equal(gtv_faults_update(&f, 0, false, 1000), 0); // the stream has to come first
    assert_int_equal(gtv_faults_update(&f, 0, false, 90000), 0);
    assert_int_equal(gtv_faults_update(&f, 0, true, 91000), 0);
    assert_int_equal(gtv_faults_update(&f, GTV_GATE_FROZEN, true, 101000), 0); // seen again
    assert_int_equal(gtv_faults_update(&f, GTV_GATE_FROZEN, true, 106000),
                     GTV_FAULT_UNTIMED); // not seen again
    assert_int_equal(f.told, GTV_GATE_FROZEN);
    assert_int_equal(gtv_faults_update(&f, 0, true, 107000), GTV_GATE_FROZEN);
}

static void seen_again_it_may_end_at_once(void **state)
{
    struct gtv_faults f;
    gtv_faults_inherit(&f, GTV_GATE_BLACK);
    assert_int_equal(gtv_faults_update(&f, 0, false, 1000), 0);
    assert_int_equal(gtv_faults_update(&f, GTV_GATE_BLACK, true, 2000), 0);
    assert_int_equal(gtv_faults_update(&f, 0, true, 3000), GTV_GATE_BLACK);
    assert_int_equal(f.told, 0);
}

static void the_first_picture_may_be_here_already(void **state)
{
    struct gtv_faults f;
    gtv_faults_inherit(&f, GTV_GATE_INFRARED);
    assert_int_equal(gtv_faults_update(&f, 0, true, 1000), 0);
    assert_int_equal(gtv_faults_update(&f, GTV_GATE_INFRARED, true, 4000), 0);
    assert_int_equal(gtv_faults_update(&f, 0, true, 9000), GTV_GATE_INFRARED);
}

static void what_was_told_is_read(void **state)
{
    char key[GTV_FAULTS_KEY_CAP];
    assert_string_equal(gtv_faults_key(7, key), "gtv:ai:faults:7");
    assert_int_equal(gtv_faults_read("black", "on|1795374689207"), GTV_GATE_BLACK);
    assert_int_equal(gtv_faults_read("untimed", "on|1"), GTV_FAULT_UNTIMED);
    assert_int_equal(gtv_faults_read("black", "off|1795374689207"), 0);
    assert_int_equal(gtv_faults_read("nonsense", "on|1"), 0);
    assert_int_equal(gtv_faults_read("black", ""), 0);
}

static void names(void **state)
{
    for (unsigned bit = 1; bit <= GTV_FAULTS_ALL; bit <<= 1)
        assert_true(*gtv_fault_name(bit) != '\0');
    assert_string_equal(gtv_fault_name(GTV_FAULT_UNTIMED), "untimed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(told_once),
        cmocka_unit_test(not_again_by_who_takes_over),
        cmocka_unit_test(seen_again_it_may_end_at_once),
        cmocka_unit_test(the_first_picture_may_be_here_already),
        cmocka_unit_test(what_was_told_is_read),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
