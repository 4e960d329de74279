#include "services/ai/jobs/entry.h"

#include "tests/unit/unit.h"

static bool read_fields(const char *id, const struct gtv_str *fields, size_t n, struct gtv_job_entry *e,
                        struct gtv_error *err)
{
    *e = (struct gtv_job_entry){.options.confidence = 0.5};
    *err = (struct gtv_error){0};
    return gtv_job_entry_read(gtv_str_of(id), fields, n, e, err);
}

#define F(name, value) GTV_STR(name), GTV_STR(value)
#define COUNT(a)       (sizeof(a) / sizeof((a)[0]))

static void a_whole_entry(void **state)
{
    const struct gtv_str fields[] = {F("picture", "\xff\xd8\0x"),
                                     F("camera_id", "7"),
                                     F("task_id", "a:b_c.d-1"),
                                     F("classes", "car, truck"),
                                     F("confidence", "0.25"),
                                     F("annotate", "1"),
                                     F("plates", "0"),
                                     F("callback_url", "https://example.org/x"),
                                     F("enqueued_ms", "123456789"),
                                     F("unknown", "thing")};
    struct gtv_job_entry e;
    struct gtv_error err;
    assert_true(read_fields("1700000000000-5", fields, COUNT(fields), &e, &err));
    assert_string_equal(e.id, "1700000000000-5");
    assert_string_equal(e.task, "a:b_c.d-1");
    assert_int_equal(e.camera_id, 7);
    assert_int_equal(e.picture.n, 4);
    assert_false(e.base64);
    assert_int_equal(e.options.vehicles, 1u << GTV_CAR | 1u << GTV_TRUCK);
    assert_true(e.options.confidence > 0.249 && e.options.confidence < 0.251);
    assert_true(e.options.annotate);
    assert_true(e.options.no_plates);
    assert_int_equal(e.enqueued_ms, 123456789);
    assert_int_equal(e.callback_url.n, 21);
}

static void names_of_tasks(void **state)
{
    const struct gtv_str plain[] = {F("picture", "x"), F("camera_id", "0")};
    const struct gtv_str nonce[] = {F("picture", "x"), F("camera_id", "0"), F("nonce", "abcdef")};
    const struct gtv_str wrong[] = {F("picture", "x"), F("camera_id", "0"), F("task_id", "a b")};
    struct gtv_job_entry e;
    struct gtv_error err;
    assert_true(read_fields("5-0", plain, COUNT(plain), &e, &err));
    assert_string_equal(e.task, "5-0");
    assert_int_equal(e.enqueued_ms, 5);
    assert_true(read_fields("5-0", nonce, COUNT(nonce), &e, &err));
    assert_string_equal(e.task, "5-0-abcdef");
    assert_false(read_fields("5-0", wrong, COUNT(wrong), &e, &err));
    assert_string_equal(e.task, "5-0");
    assert_string_equal(err.field, "task_id");
}

static void refuses(const struct gtv_str *fields, size_t n, const char *field)
{
    struct gtv_job_entry e;
    struct gtv_error err;
    assert_false(read_fields("1-1", fields, n, &e, &err));
    assert_int_equal(err.code, GTV_E_INVALID);
    assert_string_equal(err.field, field);
}

static void wrong_fields(void **state)
{
    const struct gtv_str none[] = {F("a", "b")}, no_picture[] = {F("camera_id", "1")};
    const struct gtv_str empty[] = {F("camera_id", "1"), F("picture", "")};
    const struct gtv_str two[] = {F("camera_id", "1"), F("picture", "x"), F("image_base64", "eA==")};
    const struct gtv_str number[] = {F("camera_id", "1x"), F("picture", "x")};
    const struct gtv_str below[] = {F("camera_id", "-1"), F("picture", "x")};
    const struct gtv_str nan[] = {F("camera_id", "1"), F("picture", "x"), F("confidence", "nan")};
    const struct gtv_str ufo[] = {F("camera_id", "1"), F("picture", "x"), F("classes", "car,ufo")};
    const struct gtv_str maybe[] = {F("camera_id", "1"), F("picture", "x"), F("annotate", "maybe")};
    const struct gtv_str file[] = {F("camera_id", "1"), F("picture", "x"),
                                   F("callback_url", "file:///etc/passwd")};
    refuses(none, COUNT(none), "camera_id");
    refuses(no_picture, COUNT(no_picture), "picture");
    refuses(empty, COUNT(empty), "picture");
    refuses(two, COUNT(two), "picture");
    refuses(number, COUNT(number), "camera_id");
    refuses(below, COUNT(below), "camera_id");
    refuses(nan, COUNT(nan), "confidence");
    refuses(ufo, COUNT(ufo), "classes");
    refuses(maybe, COUNT(maybe), "annotate");
    refuses(file, COUNT(file), "callback_url");
    struct gtv_str many[2 * GTV_JOB_FIELDS_MAX + 2];
    for (size_t i = 0; i < COUNT(many); i++)
        many[i] = GTV_STR("x");
    refuses(many, COUNT(many), "");
}

static void entries_of_tasks(void **state)
{
    char id[GTV_JOB_ID_CAP];
    assert_true(gtv_job_task_entry(GTV_STR("1700000000000-12-0123456789abcdef"), id));
    assert_string_equal(id, "1700000000000-12");
    assert_true(gtv_job_task_entry(GTV_STR("7-0"), id));
    assert_string_equal(id, "7-0");
    static const char *const others[] = {"",
                                         "7",
                                         "7-",
                                         "-7",
                                         "07-1",
                                         "7-01",
                                         "7-1-",
                                         "7-1x",
                                         "a-1",
                                         "7-1 ",
                                         "7--1",
                                         "99999999999999999999-1",
                                         "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"};
    for (size_t i = 0; i < COUNT(others); i++) {
        assert_false(gtv_job_task_entry(gtv_str_of(others[i]), id));
        assert_string_equal(id, "");
    }
    assert_int_equal(gtv_job_entry_time(GTV_STR("1700000000000-12")), 1700000000000);
    assert_int_equal(gtv_job_entry_time(GTV_STR("x")), 0);
}

static void addresses_of_callbacks(void **state)
{
    struct gtv_error err = {0};
    assert_true(gtv_job_url_check(GTV_STR("http://10.1.2.3:8080/a?b=c"), &err));
    assert_true(gtv_job_url_check(GTV_STR("https://[2001:db8::1]/"), &err));
    static const char *const wrong[] = {"",
                                        "x",
                                        "ftp://a/",
                                        "http://",
                                        "http://u@a/",
                                        "http://u:p@a/",
                                        "http://a/#b",
                                        "http://a b/",
                                        "http://a/\r\nX: y"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        err = (struct gtv_error){0};
        assert_false(gtv_job_url_check(gtv_str_of(wrong[i]), &err));
        assert_string_equal(err.field, "callback_url");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_entry),          cmocka_unit_test(names_of_tasks),
        cmocka_unit_test(wrong_fields),           cmocka_unit_test(entries_of_tasks),
        cmocka_unit_test(addresses_of_callbacks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
