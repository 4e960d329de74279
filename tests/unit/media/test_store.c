#include "services/media/store.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct gtv_log quiet = {"test", NULL, NULL};

struct fixture {
    char folder[64], inner[80], file[96];
    struct gtv_loop *loop;
    int snapshots, saved, failed;
    char text[64];
};

static struct gtv_bytes *snapshot(void *arg)
{
    struct fixture *f = arg;
    f->snapshots++;
    return gtv_bytes_printf("%s %d", f->text, f->snapshots);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    snprintf(f->folder, sizeof f->folder, "/tmp/gtv-store-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->inner, sizeof f->inner, "%s/a/b", f->folder);
    snprintf(f->file, sizeof f->file, "%s/paths.json", f->inner);
    snprintf(f->text, sizeof f->text, "text");
    f->loop = gtv_loop_create("test");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char command[128];
    gtv_loop_destroy(f->loop);
    snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void saved(void *arg, const struct gtv_error *err)
{
    struct fixture *f = arg;
    f->saved += err == NULL;
    f->failed += err != NULL;
    if (f->saved + f->failed == 5) {
        gtv_loop_stop(f->loop);
    }
}

static void saves_are_collected_and_survive(void **state)
{
    struct fixture *f = *state;
    struct gtv_error err = {0};
    struct gtv_store *s = gtv_store_open(f->loop, f->inner, snapshot, f, &quiet, &err);
    assert_non_null(s);
    assert_null(gtv_store_read(s, &err));
    assert_int_equal(err.code, GTV_E_NOT_FOUND);
    for (int i = 0; i < 5; i++) {
        gtv_store_save(s, saved, f);
    }
    gtv_loop_run(f->loop);
    assert_int_equal(f->saved, 5);
    assert_int_equal(f->snapshots, 2); // the first one's write, and one for all that came meanwhile
    struct stat st;
    assert_int_equal(stat(f->file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(f->inner, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    struct gtv_bytes *text = gtv_store_read(s, &err);
    assert_str(gtv_bytes_str(text), "text 2");
    gtv_bytes_unref(text);
    gtv_store_close(s);
}

static void a_second_node_is_kept_out(void **state)
{
    struct fixture *f = *state;
    struct gtv_error err = {0};
    struct gtv_store *s = gtv_store_open(f->loop, f->inner, snapshot, f, &quiet, &err);
    assert_null(gtv_store_open(f->loop, f->inner, snapshot, f, &quiet, &err));
    assert_int_equal(err.code, GTV_E_CONFLICT);
    gtv_store_close(s);
    s = gtv_store_open(f->loop, f->inner, snapshot, f, &quiet, &err);
    assert_non_null(s);
    gtv_store_close(s);
}

static void failures_are_told(void **state)
{
    struct fixture *f = *state;
    struct gtv_error err = {0};
    struct gtv_store *s = gtv_store_open(f->loop, f->inner, snapshot, f, &quiet, &err);
    // A folder in the place of the file: rename cannot replace it.
    assert_int_equal(mkdir(f->file, 0700), 0);
    for (int i = 0; i < 5; i++) {
        gtv_store_save(s, saved, f);
    }
    gtv_loop_run(f->loop);
    assert_int_equal(f->failed, 5);
    gtv_store_close(s);
    assert_false(gtv_store_write_file("/proc/no-such-folder", GTV_STR("x"), &err));
    assert_null(gtv_store_open(f->loop, "/proc/no-such-folder", snapshot, f, &quiet, &err));
    assert_null(gtv_store_open(f->loop, "", snapshot, f, &quiet, &err));
}

static void an_old_file_survives_a_failed_write(void **state)
{
    struct fixture *f = *state;
    struct gtv_error err = {0};
    struct gtv_store *s = gtv_store_open(f->loop, f->inner, snapshot, f, &quiet, &err);
    assert_true(gtv_store_write_file(f->inner, GTV_STR("old"), &err));
    char partial[128];
    snprintf(partial, sizeof partial, "%s.new", f->file);
    assert_int_equal(mkdir(partial, 0700), 0);
    assert_false(gtv_store_write_file(f->inner, GTV_STR("new"), &err));
    struct gtv_bytes *text = gtv_store_read(s, &err);
    assert_str(gtv_bytes_str(text), "old");
    gtv_bytes_unref(text);
    gtv_store_set_aside(s);
    assert_null(gtv_store_read(s, &err));
    gtv_store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(saves_are_collected_and_survive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_node_is_kept_out, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures_are_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_old_file_survives_a_failed_write, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
