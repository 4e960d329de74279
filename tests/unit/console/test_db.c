#include "tests/unit/console/folder.h"
#include "tests/unit/unit.h"

#include <sqlite3.h>

static struct gtv_db_detection found[100];
static size_t n;
static int64_t total;

static void find(struct gtv_db *db, int64_t camera, const char *plate, int64_t limit, int64_t offset)
{
    struct gtv_db_filter f = {.camera_id = camera, .limit = limit, .offset = offset};
    snprintf(f.plate, sizeof f.plate, "%s", plate);
    assert_true(gtv_db_find(db, &f, found, &n, &total, NULL));
}

static void stored_and_found(void **state)
{
    struct folder f;
    folder_make(&f);
    char last[GTV_DB_EVENT_CAP];
    struct gtv_db *db = gtv_db_open(f.url, NULL, NULL);
    assert_non_null(db);
    assert_true(gtv_db_last_event(db, last, NULL));
    assert_string_equal(last, "");
    const struct gtv_db_detection rows[] = {
        row(1, 1000, "car", "", "1-0", 0),
        row(1, 1000, "bus", "BRA2E19", "1-0", 1),
        row(2, 3000, "truck", "", "2-0", 0),
        row(2, 2000, "motorcycle", "BRA2E19", "3-0", 0),
    };
    assert_true(gtv_db_store(db, rows, 4, "3-0", NULL, NULL));
    // The same entries once more, as after a crash: stored once.
    assert_true(gtv_db_store(db, rows, 4, "3-0", NULL, NULL));
    find(db, 0, "", 100, 0);
    assert_int_equal(n, 4);
    assert_int_equal(total, 4);
    assert_string_equal(found[0].object.object_type, "truck");
    assert_string_equal(found[0].camera_name, "Câmera 2");
    assert_string_equal(found[0].plate, "");
    assert_int_equal(found[1].wall_ms, 2000);
    assert_string_equal(found[1].plate, "BRA2E19");
    assert_int_equal(found[0].object.w, 3);
    assert_int_equal(found[0].frame_height, 720);
    assert_float_equal(found[0].object.confidence, 0.75, 1e-9);
    find(db, 0, "", 1, 1);
    assert_int_equal(n, 1);
    assert_int_equal(total, 4);
    assert_int_equal(found[0].wall_ms, 2000);
    find(db, 1, "", 100, 0);
    assert_int_equal(total, 2);
    find(db, 0, "BRA2E19", 100, 0);
    assert_int_equal(total, 2);
    find(db, 1, "BRA2E19", 100, 0);
    assert_int_equal(total, 1);
    assert_string_equal(found[0].object.object_type, "bus");
    find(db, 0, "' OR 1=1 --", 100, 0);
    assert_int_equal(total, 0);
    gtv_db_close(db);
    db = gtv_db_open(f.url, NULL, NULL);
    assert_true(gtv_db_last_event(db, last, NULL));
    assert_string_equal(last, "3-0");
    find(db, 0, "", 100, 0);
    assert_int_equal(total, 4);
    gtv_db_close(db);
    folder_remove(&f);
}

static void only_the_newest_are_kept(void **state)
{
    struct folder f;
    folder_make(&f);
    struct gtv_db *db = gtv_db_open(f.url, &(struct gtv_db_limits){.rows = 10}, NULL);
    for (int i = 0; i < 25; i++) {
        char event[32];
        snprintf(event, sizeof event, "%d-0", i);
        struct gtv_db_detection d = row(1, i, "car", "", event, 0);
        assert_true(gtv_db_store(db, &d, 1, event, NULL, NULL));
    }
    find(db, 0, "", 100, 0);
    assert_int_equal(total, 10);
    assert_int_equal(found[0].wall_ms, 24);
    assert_int_equal(found[9].wall_ms, 15);
    gtv_db_close(db);
    folder_remove(&f);
}

static void what_cannot_be_opened_is_said(void **state)
{
    struct gtv_error err = {0};
    // A server that does not answer is waited for.
    struct gtv_db *away = gtv_db_open("postgresql://u:s3cret@127.0.0.1:1/db", NULL, &err);
    assert_non_null(away);
    assert_false(gtv_db_check(away, &err));
    assert_int_equal(err.code, GTV_E_UNAVAILABLE);
    assert_non_null(strstr(err.message, "PostgreSQL"));
    assert_null(strstr(err.message, "s3cret"));
    assert_string_equal(err.field, "DATABASE_URL");
    gtv_db_close(away);
    assert_null(gtv_db_open("mysql://h/db", NULL, &err));
    assert_null(gtv_db_open("sqlite:", NULL, &err));
    assert_null(gtv_db_open("sqlite:/proc/no/such/console.db", NULL, &err));
    assert_non_null(strstr(err.message, "/proc/no/such/console.db"));
    gtv_db_close(NULL);
}

static void addresses_of_servers(void **state)
{
    static const char *const right[] = {
        "postgresql://gtv:s3cret@db.example:5433/gtv?sslmode=verify-full",
        "postgres://gtv:a%40b%2Fc@[::1]:5432/gtv",
        "postgresql://gtv@one,two:5433/gtv?target_session_attrs=read-write",
        "postgresql:///gtv?host=/run/postgresql",
    };
    static const char *const wrong[] = {
        "postgresql:gtv:s3cret@h/gtv",    "postgresql://",
        "postgresql://u:s3cret@h:http/d", "postgresql://u:s3cret@h:70000/d",
        "postgresql://u:s3cret@h:0/d",    "postgresql://u:s3cret@h/d?sslmode=yes",
        "postgresql://u:s3cret%@h/d",     "postgresql://u:s3cret@h/d?colour=red",
        "postgres://u:s3cret@[::1/d",
    };
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        assert_true(gtv_db_url_ok(right[i], NULL));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct gtv_error err = {0};
        assert_false(gtv_db_url_ok(wrong[i], &err));
        assert_string_equal(err.field, "DATABASE_URL");
        assert_non_null(strstr(err.message, "PostgreSQL"));
        assert_null(strstr(err.message, "s3cret"));
    }
}

static void a_newer_schema_is_left_alone(void **state)
{
    struct folder f;
    folder_make(&f);
    gtv_db_close(gtv_db_open(f.url, NULL, NULL));
    sqlite3 *sql;
    assert_int_equal(sqlite3_open(f.url + strlen("sqlite:"), &sql), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sql, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(sql);
    struct gtv_error err = {0};
    assert_null(gtv_db_open(f.url, NULL, &err));
    assert_non_null(strstr(err.message, "newer"));
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stored_and_found),
        cmocka_unit_test(only_the_newest_are_kept),
        cmocka_unit_test(what_cannot_be_opened_is_said),
        cmocka_unit_test(addresses_of_servers),
        cmocka_unit_test(a_newer_schema_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
