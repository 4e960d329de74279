#include "services/streaming/bulk.h"

#include "lib/base/buf.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

static bool parse(const char *text, bool csv, struct gtv_bulk *b, struct gtv_error *err)
{
    size_t n = strlen(text);
    char *copy = malloc(n + 1);
    assert_non_null(copy);
    memcpy(copy, text, n + 1);
    *err = (struct gtv_error){0};
    bool ok = gtv_bulk_parse(copy, n, csv, b, err);
    free(copy);
    return ok;
}

static void json_lines(void **state)
{
    struct gtv_bulk b;
    struct gtv_error err;
    assert_true(parse("{\"cameras\":[{\"camera_id\":1,\"rtsp_url\":\"rtsp://h/x\",\"name\":\"a\"},5,"
                      "{\"camera_id\":2,\"rtsp_url\":\"file:///x\",\"name\":\"b\"},"
                      "{\"camera_id\":1,\"rtsp_url\":\"rtsp://h/y\",\"name\":\"c\"},"
                      "{\"camera_id\":3,\"rtsp_url\":\"publisher\",\"name\":\"d\"}]}",
                      false, &b, &err));
    assert_int_equal(b.count, 5);
    static const char *const fields[] = {"", "", "rtsp_url", "camera_id", ""};
    static const bool wrong[] = {false, true, true, true, false};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(b.lines[i].line, i + 1);
        assert_int_equal(b.lines[i].outcome.err.code != GTV_OK, wrong[i]);
        assert_int_equal(b.lines[i].over, wrong[i]);
        assert_string_equal(b.lines[i].outcome.err.field, fields[i]);
    }
    assert_false(b.lines[4].camera.on_demand); // nobody dials a publisher
    gtv_bulk_finish(&b);
}

static void csv_lines(void **state)
{
    struct gtv_bulk b;
    struct gtv_error err;
    assert_true(parse("\xef\xbb\xbfName;RTSP_URL;camera_id;place;on_demand\r\n"
                      "\"Rua \"\"A\"\"; centro\";rtsp://u:p@h/x;7;Praça;no\r\n"
                      "b;rtsp://h/x;seven;;\r\n"
                      "\xff;rtsp://h/x;8;;\r\n"
                      "d;rtsp://h/x;9;;perhaps\r\n"
                      "e;rtsp://h/x\r\n",
                      true, &b, &err));
    assert_int_equal(b.count, 5);
    assert_int_equal(b.lines[0].outcome.err.code, GTV_OK);
    assert_string_equal(b.lines[0].camera.name, "Rua \"A\"; centro");
    assert_string_equal(b.lines[0].camera.url, "rtsp://u:p@h/x");
    assert_int_equal(b.lines[0].camera.id, 7);
    assert_false(b.lines[0].camera.on_demand);
    assert_int_equal(b.lines[0].line, 2);
    static const char *const fields[] = {"", "camera_id", "name", "on_demand", "camera_id"};
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(b.lines[i].outcome.err.field, fields[i]);
    gtv_bulk_finish(&b);
}

static void unusable(void **state)
{
    static const struct {
        const char *text;
        bool csv;
        const char *field;
    } cases[] = {
        {"", true, ""},
        {"", false, ""},
        {"[]", false, "cameras"},
        {"{}", false, "cameras"},
        {"[{]", false, ""},
        {"camera_id,name\n1,a\n", true, "rtsp_url"},
        {"\"a", true, ""},
        {"camera_id,rtsp_url,name,NAME\n", true, "name"},
        {"5", false, "cameras"},
        {"camera_id,rtsp_url,name\n", true, "cameras"},
        {"{\"redacted\":true,\"cameras\":[{}]}", false, "redacted"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gtv_bulk b;
        struct gtv_error err;
        assert_false(parse(cases[i].text, cases[i].csv, &b, &err));
        assert_int_equal(err.code, GTV_E_INVALID);
        assert_string_equal(err.field, cases[i].field);
        assert_null(b.lines);
    }
}

static void too_many(void **state)
{
    struct gtv_buf text = {0};
    struct gtv_bulk b;
    struct gtv_error err;
    gtv_buf_puts(&text, "camera_id,rtsp_url,name\n");
    for (int i = 1; i <= GTV_BULK_LINES + 1; i++) {
        gtv_buf_printf(&text, "%d,rtsp://h/%d,a\n", i, i);
        if (i == GTV_BULK_LINES) {
            assert_true(parse(text.data, true, &b, &err));
            assert_int_equal(b.count, GTV_BULK_LINES);
            gtv_bulk_finish(&b);
        }
    }
    assert_false(parse(text.data, true, &b, &err));
    assert_int_equal(err.code, GTV_E_TOO_LARGE);
    gtv_buf_finish(&text);
}

static void the_answer_hides_passwords(void **state)
{
    struct gtv_bulk b;
    struct gtv_error err;
    assert_true(parse("[{\"camera_id\":1,\"rtsp_url\":\"rtsp://h/x\",\"name\":\"a\"}]", false, &b, &err));
    gtv_error_set(&b.lines[0].outcome.err, GTV_E_UPSTREAM, NULL, "no to rtsp://u:secret@h/x");
    struct gtv_bytes *json = gtv_json_write(gtv_bulk_answer(&b));
    assert_non_null(json);
    char *text = malloc(json->len + 1);
    assert_non_null(text);
    memcpy(text, json->data, json->len);
    text[json->len] = '\0';
    assert_null(strstr(text, "secret"));
    assert_non_null(strstr(text, "\"success\":false,\"total\":1,\"succeeded\":0,\"failed\":1"));
    free(text);
    gtv_bytes_unref(json);
    gtv_bulk_finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(json_lines), cmocka_unit_test(csv_lines),
                                       cmocka_unit_test(unusable), cmocka_unit_test(too_many),
                                       cmocka_unit_test(the_answer_hides_passwords)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
