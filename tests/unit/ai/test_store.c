#include "services/ai/watch/store.h"
#include "tests/unit/unit.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <utime.h>

enum { DAY_MS = 86400 * 1000, NOON_MS = 43200 * 1000 };

static char folder[64];

static int make_folder(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/gtv-store-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r '%s'", folder);
    return system(command);
}

static struct gtv_store *open_it(uint64_t max_bytes)
{
    struct gtv_error err = {0};
    struct gtv_store *s = gtv_store_create(
        &(struct gtv_store_config){.dir = folder, .max_bytes = max_bytes, .max_age_s = 30 * 86400}, &err);
    assert_non_null(s);
    return s;
}

static void put(struct gtv_store *s, const char *name, size_t n, int fill)
{
    struct gtv_bytes *b = gtv_bytes_create(n);
    assert_non_null(b);
    memset(b->data, fill, n);
    b->len = n;
    assert_true(gtv_store_put(s, name, b));
    gtv_bytes_unref(b);
}

static bool is_there(struct gtv_store *s, const char *name)
{
    struct gtv_bytes *b = gtv_store_get(s, name);
    gtv_bytes_unref(b);
    return b != NULL;
}

static uint64_t bytes_of(struct gtv_store *s)
{
    struct gtv_store_stats stats;
    gtv_store_get_stats(s, &stats);
    return stats.bytes;
}

static void names(void **state)
{
    char name[GTV_STORE_NAME_CAP];
    assert_string_equal(gtv_store_name(7, NOON_MS, 42, name), "cam_7/19700101/42.jpg");
    assert_string_equal(gtv_store_name(7, NOON_MS + (int64_t)31 * DAY_MS, 1, name), "cam_7/19700201/1.jpg");
}

static void kept_replaced_and_removed(void **state)
{
    struct gtv_store *s = open_it(1 << 20);
    const char *name = "cam_1/20261123/5.jpg";
    assert_false(is_there(s, name));
    put(s, name, 100, 'a');
    put(s, name, 50, 'b');
    struct gtv_bytes *b = gtv_store_get(s, name);
    assert_non_null(b);
    assert_int_equal(b->len, 50);
    assert_int_equal(b->data[49], 'b');
    gtv_bytes_unref(b);
    gtv_store_remove(s, name);
    gtv_store_remove(s, name);
    assert_false(is_there(s, name));
    gtv_store_destroy(s);
}

static void other_names_are_none(void **state)
{
    static const char *const bad[] = {"",
                                      "5.jpg",
                                      "cam_1/20261123/",
                                      "cam_1/20261123/../5.jpg",
                                      "cam_1/2026112/5.jpg",
                                      "cam_1/20261123/-5.jpg",
                                      "cam_1/20261123/5.png",
                                      "cam_x/20261123/5.jpg",
                                      "../cam_1/20261123/5.jpg",
                                      "cam_1/20261123/99999999999999999999.jpg"};
    struct gtv_store *s = open_it(1 << 20);
    struct gtv_bytes *b = gtv_bytes_copy("x", 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(gtv_store_put(s, bad[i], b));
        assert_null(gtv_store_get(s, bad[i]));
        gtv_store_remove(s, bad[i]);
    }
    gtv_bytes_unref(b);
    gtv_store_destroy(s);
}

// When it is full the oldest go, and their folders with them, until a tenth is free.
static void bounded(void **state)
{
    struct gtv_store *s = open_it(10000);
    char path[128];
    for (int i = 0; i < 10; i++) {
        char name[64];
        snprintf(name, sizeof(name), "cam_1/2026112%d/1.jpg", i);
        put(s, name, 1000, 'x');
        snprintf(path, sizeof(path), "%s/%s", folder, name);
        time_t at = time(NULL) - 1000 + i;
        assert_int_equal(utime(path, &(struct utimbuf){at, at}), 0);
    }
    gtv_store_destroy(s);
    s = open_it(10000);
    for (int i = 0; i < 3000 && bytes_of(s) != 10000; i++) // counted at the start
        (void)usleep(20000);
    put(s, "cam_2/20261123/1.jpg", 1000, 'x');
    for (int i = 0; i < 3000 && is_there(s, "cam_1/20261121/1.jpg"); i++)
        (void)usleep(20000);
    assert_false(is_there(s, "cam_1/20261120/1.jpg"));
    assert_false(is_there(s, "cam_1/20261121/1.jpg"));
    assert_true(is_there(s, "cam_1/20261122/1.jpg"));
    assert_true(is_there(s, "cam_2/20261123/1.jpg"));
    snprintf(path, sizeof(path), "%s/cam_1/20261120", folder);
    assert_int_equal(access(path, F_OK), -1);
    gtv_store_destroy(s);
}

static void old_ones_go_at_the_start(void **state)
{
    char path[128];
    struct gtv_store *s = open_it(1 << 20);
    put(s, "cam_1/20261123/1.jpg", 10, 'x');
    put(s, "cam_1/20261123/2.jpg", 10, 'x');
    gtv_store_destroy(s);
    snprintf(path, sizeof(path), "%s/cam_1/20261123/1.jpg", folder);
    time_t at = time(NULL) - (time_t)31 * 86400;
    assert_int_equal(utime(path, &(struct utimbuf){at, at}), 0);
    s = open_it(1 << 20);
    for (int i = 0; i < 3000 && is_there(s, "cam_1/20261123/1.jpg"); i++)
        (void)usleep(20000);
    assert_false(is_there(s, "cam_1/20261123/1.jpg"));
    assert_true(is_there(s, "cam_1/20261123/2.jpg"));
    gtv_store_destroy(s);
}

static void a_folder_that_cannot_be_made(void **state)
{
    char path[128];
    struct gtv_error err = {0};
    snprintf(path, sizeof(path), "%s/file", folder);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    snprintf(path, sizeof(path), "%s/file/crops", folder);
    assert_null(
        gtv_store_create(&(struct gtv_store_config){.dir = path, .max_bytes = 1, .max_age_s = 1}, &err));
    assert_int_equal(err.code, GTV_E_IO);
}

// ---- A store behind it ----

struct behind {
    atomic_int taken, refused;
    atomic_bool away;
};

static bool take(void *arg, const char *name, const struct gtv_bytes *picture, struct gtv_error *err)
{
    struct behind *b = arg;
    if (atomic_load(&b->away)) {
        gtv_error_set(err, GTV_E_UPSTREAM, NULL, "it is away");
        atomic_fetch_add(&b->refused, 1);
        return false;
    }
    assert_true(gtv_store_is_name(name) && picture->len == 100);
    atomic_fetch_add(&b->taken, 1);
    return true;
}

static void wait_for(atomic_int *n, int least)
{
    for (int i = 0; i < 3000 && atomic_load(n) < least; i++)
        usleep(10000);
    assert_true(atomic_load(n) >= least);
}

static void what_is_sent_leaves_the_folder(void **state)
{
    struct behind b = {.away = true};
    struct gtv_error err = {0};
    struct gtv_store_stats stats;
    struct gtv_store *s = gtv_store_create(
        &(struct gtv_store_config){
            .dir = folder, .max_bytes = 1 << 20, .max_age_s = 30 * 86400, .send = take, .arg = &b},
        &err);
    assert_non_null(s);
    int64_t now = (int64_t)time(NULL) * 1000;
    char one[GTV_STORE_NAME_CAP], two[GTV_STORE_NAME_CAP];
    put(s, gtv_store_name(8, now, 1, one), 100, 'a');
    put(s, gtv_store_plate_name(8, now, 2, two), 100, 'b');
    wait_for(&b.refused, 1);
    assert_true(is_there(s, one) && is_there(s, two));
    atomic_store(&b.away, false);
    wait_for(&b.taken, 2);
    for (int i = 0; i < 3000 && (is_there(s, one) || is_there(s, two)); i++)
        usleep(10000);
    assert_false(is_there(s, one) || is_there(s, two));
    gtv_store_get_stats(s, &stats);
    assert_true(stats.sent == 2 && stats.failures >= 1 && stats.problem[0] == '\0');
    put(s, one, 100, 'c'); // and again
    wait_for(&b.taken, 3);
    gtv_store_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_sent_leaves_the_folder, make_folder, remove_folder),
        cmocka_unit_test(names),
        cmocka_unit_test_setup_teardown(kept_replaced_and_removed, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(other_names_are_none, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(bounded, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(old_ones_go_at_the_start, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_made, make_folder, remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
