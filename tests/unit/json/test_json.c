#include "lib/base/buf.h"
#include "lib/json/json.h"
#include "tests/unit/unit.h"

#include <math.h>

static yyjson_doc *parse(const char *text)
{
    struct gtv_error err = {0};
    yyjson_doc *doc = gtv_json_parse(gtv_str_of(text), &err);
    assert_non_null(doc);
    return doc;
}

static void strict_parsing(void **state)
{
    static const char *const wrong[] = {"",     "{",        "{\"a\":1,}", "{a:1}",  "NaN",
                                        "[1]x", "\"\xff\"", "'a'",        "// c\n1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct gtv_error err = {0};
        assert_null(gtv_json_parse(gtv_str_of(wrong[i]), &err));
        assert_int_equal(err.code, GTV_E_INVALID);
        assert_true(err.message[0]);
    }
}

static void in_place(void **state)
{
    static const struct {
        const char *text, *value; // of "a"; NULL: refused
    } cases[] = {
        {"{\"a\":\"x\\\\\",\"b\":1}", "x\\"},
        {"{\"a\":\"[[[\\\"[[[\"}", "[[[\"[[["},
        {"{\"a\":\"\\u00e7\"}", "ç"},
        {"{\"a\":\"open", NULL},
        {"{\"a\":\"\\\"}", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64] = {0};
        struct gtv_error err = {0};
        struct gtv_str value = {0};
        size_t n = strlen(cases[i].text);
        memcpy(text, cases[i].text, n);
        yyjson_doc *doc = gtv_json_parse_in_place(text, n, &err);
        assert_int_equal(doc != NULL, cases[i].value != NULL);
        if (doc) {
            assert_true(gtv_json_get_str(yyjson_doc_get_root(doc), "a", GTV_JSON_REQUIRED, &value, &err));
            assert_str(value, cases[i].value);
            assert_true(value.p >= text && value.p < text + sizeof(text));
        }
        yyjson_doc_free(doc);
    }
}

static void numbers_that_are_told(void **state)
{
    const double zero = 0;
    assert_float_equal(gtv_json_hundredths(1.005001), 1.01, 1e-9);
    assert_float_equal(gtv_json_hundredths(-2.346), -2.35, 1e-9);
    assert_float_equal(gtv_json_thousandths(0.93751), 0.938, 1e-9);
    assert_float_equal(gtv_json_thousandths(1e13), 0, 0);
    assert_float_equal(gtv_json_thousandths(zero / zero), 0, 0);
}

static void depth_is_bounded(void **state)
{
    char text[256] = "";
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    yyjson_doc_free(parse(text));
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    struct gtv_error err = {0};
    assert_null(gtv_json_parse(gtv_str_of(text), &err));
    yyjson_doc_free(
        parse("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[\"]"));
}

static void typed_fields(void **state)
{
    yyjson_doc *doc = parse("{\"s\":\"text\",\"i\":7,\"r\":3.0,\"d\":0.25,\"b\":true,\"n\":null}");
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct gtv_error err = {0};
    struct gtv_str s = GTV_STR("default");
    int64_t i = 0;
    double d = 0;
    bool b = false;
    assert_true(gtv_json_get_str(root, "n", GTV_JSON_OPTIONAL, &s, &err));
    assert_true(gtv_json_get_str(root, "absent", GTV_JSON_OPTIONAL, &s, &err));
    assert_str(s, "default");
    assert_true(gtv_json_get_str(root, "s", GTV_JSON_REQUIRED, &s, &err));
    assert_str(s, "text");
    assert_true(gtv_json_get_int(root, "i", GTV_JSON_REQUIRED, 0, 10, &i, &err) && i == 7);
    assert_true(gtv_json_get_int(root, "r", GTV_JSON_REQUIRED, 0, 10, &i, &err) && i == 3);
    assert_true(gtv_json_get_double(root, "i", GTV_JSON_REQUIRED, 0, 10, &d, &err) && d == 7);
    assert_true(gtv_json_get_double(root, "d", GTV_JSON_REQUIRED, 0, 1, &d, &err) && d == 0.25);
    assert_true(gtv_json_get_bool(root, "b", GTV_JSON_REQUIRED, &b, &err) && b);
    assert_int_equal(err.code, GTV_OK);
    yyjson_doc_free(doc);
}

static void errors_name_the_field(void **state)
{
    yyjson_doc *doc = parse("{\"i\":\"7\",\"big\":99999999999999999999,\"half\":1.5,\"nul\":\"a\\u0000b\","
                            "\"u\":18446744073709551615}");
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct gtv_error err = {0};
    int64_t i = 5;
    struct gtv_str s;
    assert_false(gtv_json_get_int(root, "i", GTV_JSON_REQUIRED, 0, 10, &i, &err));
    assert_string_equal(err.field, "i");
    assert_int_equal(err.code, GTV_E_INVALID);
    static const char *const names[] = {"absent", "big", "half", "u"};
    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
        assert_false(gtv_json_get_int(root, names[k], GTV_JSON_REQUIRED, INT64_MIN, INT64_MAX, &i, &err));
        assert_string_equal(err.field, names[k]);
    }
    assert_int_equal(i, 5);
    assert_false(gtv_json_get_str(root, "nul", GTV_JSON_REQUIRED, &s, &err));
    assert_false(gtv_json_get_str(NULL, "x", GTV_JSON_OPTIONAL, &s, &err));
    yyjson_doc_free(doc);
}

static void writes_what_it_can(void **state)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "a", "x\xffy");
    yyjson_mut_obj_add_real(doc, root, "b", NAN);
    struct gtv_bytes *bytes = gtv_json_write(doc);
    assert_str(gtv_bytes_str(bytes), "{\"a\":\"x\xEF\xBF\xBDy\",\"b\":null}");
    gtv_bytes_unref(bytes);
}

static void shapes_of_every_answer(void **state)
{
    yyjson_mut_val *root;
    yyjson_mut_doc *doc = gtv_json_object(&root);
    gtv_json_add_text(doc, root, "a", "x");
    gtv_json_add_text(doc, root, "b", "");
    gtv_json_add_text(doc, root, "c", NULL);
    gtv_json_add_time(doc, root, "d", 1500);
    gtv_json_add_time(doc, root, "e", 0);
    struct gtv_bytes *bytes = gtv_json_write(doc);
    assert_str(gtv_bytes_str(bytes),
               "{\"a\":\"x\",\"b\":null,\"c\":null,\"d\":\"1970-01-01T00:00:01.500Z\",\"e\":null}");
    gtv_bytes_unref(bytes);
}

static void quotes(void **state)
{
    struct gtv_buf out = {0};
    gtv_json_quote(&out, GTV_STR("a\"\\\n\x01\xC3\xA7\x80"));
    assert_str(gtv_buf_str(&out), "\"a\\\"\\\\\\n\\u0001\xC3\xA7\xEF\xBF\xBD\"");
    gtv_buf_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_place),
        cmocka_unit_test(strict_parsing),
        cmocka_unit_test(numbers_that_are_told),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(typed_fields),
        cmocka_unit_test(errors_name_the_field),
        cmocka_unit_test(writes_what_it_can),
        cmocka_unit_test(quotes),
        cmocka_unit_test(shapes_of_every_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
