#include "services/console/store.h"
#include "tests/unit/console/folder.h"
#include "tests/unit/unit.h"

struct asked {
    struct gtv_loop *loop;
    struct gtv_store *store;
    int64_t total;
    char newest[GTV_DB_EVENT_CAP];
    int answers;
};

static void answered(void *arg, const struct gtv_store_result *r)
{
    struct asked *a = arg;
    assert_null(r->err);
    a->total = r->total;
    a->answers++;
    if (a->answers == 2)
        gtv_loop_stop(a->loop);
}

static void on_loop(void *arg)
{
    struct asked *a = arg;
    const struct gtv_db_filter all = {.limit = 10};
    for (int i = 0; i < 700; i++) { // more than one batch
        char event[32];
        snprintf(event, sizeof event, "%d-0", i);
        struct gtv_db_detection d = row(1, i, "car", "", event, 0);
        gtv_store_add(a->store, &d, 1, event);
    }
    // What was reported before the question is in the answer.
    assert_true(gtv_store_find(a->store, &all, answered, a));
    const struct gtv_db_filter none = {.camera_id = 1, .limit = 10, .offset = 690};
    assert_true(gtv_store_find(a->store, &none, answered, a));
}

static void rows_and_questions(void **state)
{
    struct folder f;
    folder_make(&f);
    struct gtv_metrics *metrics = gtv_metrics_create();
    struct asked a = {.loop = gtv_loop_create("test")};
    a.store = gtv_store_create(gtv_db_open(f.url, NULL, NULL), a.loop, metrics);
    assert_true(gtv_loop_post(a.loop, on_loop, &a));
    gtv_loop_run(a.loop);
    assert_int_equal(a.answers, 2);
    assert_int_equal(a.total, 700);
    assert_true(gtv_store_healthy(a.store));
    // What waits is written at the end.
    struct gtv_db_detection d = row(1, 9000, "bus", "", "9000-0", 0);
    gtv_store_add(a.store, &d, 1, "9000-0");
    gtv_store_add(a.store, NULL, 0, "9001-0");
    gtv_store_destroy(a.store);
    gtv_loop_destroy(a.loop);
    gtv_metrics_destroy(metrics);

    char last[GTV_DB_EVENT_CAP];
    struct gtv_db *db = gtv_db_open(f.url, NULL, NULL);
    assert_true(gtv_db_last_event(db, last, NULL));
    assert_string_equal(last, "9001-0");
    gtv_db_close(db);
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_and_questions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
