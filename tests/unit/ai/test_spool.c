#include "services/ai/watch/spool.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char folder[64];

static int make_folder(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/gtv-spool-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char path[128];
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/events-%d.spool", folder, i);
        (void)unlink(path);
    }
    return rmdir(folder);
}

static struct gtv_spool *open_it(size_t max)
{
    struct gtv_error err = {0};
    struct gtv_spool *s = gtv_spool_open(folder, max, &err);
    assert_non_null(s);
    return s;
}

static void assert_oldest(struct gtv_spool *s, const char *expected)
{
    struct gtv_buf line = {0};
    assert_int_equal(gtv_spool_peek(s, &line), expected != NULL);
    if (expected)
        assert_str(gtv_buf_str(&line), expected);
    gtv_buf_finish(&line);
}

static void in_order_and_over_a_restart(void **state)
{
    struct gtv_spool *s = open_it(1000);
    assert_oldest(s, NULL);
    assert_true(gtv_spool_put(s, GTV_STR("one")));
    assert_true(gtv_spool_put(s, GTV_STR("two")));
    assert_true(gtv_spool_put(s, GTV_STR("three")));
    assert_oldest(s, "one");
    assert_oldest(s, "one");
    gtv_spool_drop(s);
    gtv_spool_close(s); // what was dropped is not there again
    s = open_it(1000);
    assert_int_equal(gtv_spool_bytes(s), 10);
    assert_oldest(s, "two");
    gtv_spool_drop(s);
    assert_oldest(s, "three");
    gtv_spool_drop(s);
    assert_oldest(s, NULL);
    assert_int_equal(gtv_spool_bytes(s), 0);
    gtv_spool_close(s);
}

static void bounded(void **state)
{
    struct gtv_spool *s = open_it(10);
    assert_true(gtv_spool_put(s, GTV_STR("12345")));
    assert_false(gtv_spool_put(s, GTV_STR("12345")));
    assert_true(gtv_spool_put(s, GTV_STR("123")));
    assert_oldest(s, "12345");
    gtv_spool_drop(s);
    assert_oldest(s, "123");
    gtv_spool_drop(s);
    assert_true(gtv_spool_put(s, GTV_STR("12345"))); // there is room again
    assert_oldest(s, "12345");
    gtv_spool_drop(s);
    gtv_spool_close(s);
}

static void each_program_has_its_own(void **state)
{
    struct gtv_spool *a = open_it(100), *b = open_it(100);
    assert_true(gtv_spool_put(a, GTV_STR("a")));
    assert_true(gtv_spool_put(b, GTV_STR("b")));
    assert_oldest(a, "a");
    assert_oldest(b, "b");
    gtv_spool_drop(a);
    gtv_spool_drop(b);
    gtv_spool_close(a);
    gtv_spool_close(b);
}

static void a_line_cut_off_by_a_death(void **state)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/events-0.spool", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs("whole\nhal", f) >= 0);
    assert_int_equal(fclose(f), 0);
    struct gtv_spool *s = open_it(100);
    assert_true(gtv_spool_put(s, GTV_STR("next")));
    assert_oldest(s, "whole");
    gtv_spool_drop(s);
    assert_oldest(s, "hal"); // no event: its reader leaves it out
    gtv_spool_drop(s);
    assert_oldest(s, "next");
    gtv_spool_drop(s);
    gtv_spool_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(in_order_and_over_a_restart, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(bounded, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(each_program_has_its_own, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_line_cut_off_by_a_death, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
