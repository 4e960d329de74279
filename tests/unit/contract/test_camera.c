#include "lib/contract/contract.h"
#include "tests/unit/unit.h"

static bool parse(const char *text, struct gtv_camera *out, struct gtv_error *err)
{
    yyjson_doc *doc = gtv_json_parse(gtv_str_of(text), err);
    bool ok = doc && gtv_camera_parse(yyjson_doc_get_root(doc), out, err);
    yyjson_doc_free(doc);
    return ok;
}

static void round_trip(void **state)
{
    const struct gtv_camera in = {.id = 7,
                                  .name = "Portão \"2\"",
                                  .url = "rtsp://u:p@192.0.2.1/x",
                                  .sub_url = "rtsp://u:p@192.0.2.1/x2",
                                  .on_demand = false,
                                  .record = true,
                                  .ai_enabled = true,
                                  .created_ms = 1700000000123};
    struct gtv_bytes *json = gtv_camera_write(&in);
    assert_non_null(json);
    char text[512];
    assert_true(gtv_str_copy(text, sizeof text, gtv_bytes_str(json)));
    struct gtv_camera out;
    assert_true(parse(text, &out, NULL));
    assert_int_equal(out.id, 7);
    assert_string_equal(out.name, in.name);
    assert_string_equal(out.url, in.url);
    assert_string_equal(out.sub_url, in.sub_url);
    assert_false(out.on_demand);
    assert_true(out.record && out.ai_enabled);
    assert_int_equal(out.created_ms, in.created_ms);
    gtv_bytes_unref(json);
}

static void defaults(void **state)
{
    struct gtv_camera c;
    assert_true(parse("{\"id\":1,\"url\":\"rtsp://h/x\"}", &c, NULL));
    assert_true(c.on_demand);
    assert_false(c.record || c.ai_enabled);
    assert_string_equal(c.name, "");
    assert_string_equal(c.sub_url, "");
}

static void refuses(void **state)
{
    static const struct {
        const char *text, *field;
    } wrong[] = {
        {"{\"url\":\"rtsp://h/x\"}", "id"},
        {"{\"id\":0,\"url\":\"rtsp://h/x\"}", "id"},
        {"{\"id\":\"1\",\"url\":\"rtsp://h/x\"}", "id"},
        {"{\"id\":1}", "url"},
        {"{\"id\":1,\"url\":\"rtsp://h/x\",\"record\":1}", "record"},
        {"{\"id\":1,\"url\":\"rtsp://h/\\u0000x\"}", "url"},
        {"[]", ""},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct gtv_camera c;
        struct gtv_error err = {0};
        assert_false(parse(wrong[i].text, &c, &err));
        assert_string_equal(err.field, wrong[i].field);
        assert_int_equal(err.code, GTV_E_INVALID);
    }
}

static void paths(void **state)
{
    char path[GTV_CAMERA_PATH_CAP];
    int64_t id;
    assert_string_equal(gtv_camera_path(7, path), "cam_7");
    assert_string_equal(gtv_camera_path(INT64_MAX, path), "cam_9223372036854775807");
    assert_true(gtv_camera_path_parse(gtv_str_of(path), &id));
    assert_true(id == INT64_MAX);
    static const char *const wrong[] = {"",
                                        "cam_",
                                        "cam_0",
                                        "cam_01",
                                        "cam_-1",
                                        "cam_+1",
                                        "cam_1/x",
                                        "camera1",
                                        "cam_1 ",
                                        "Cam_1",
                                        "cam_9223372036854775808"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(gtv_camera_path_parse(gtv_str_of(wrong[i]), &id));
    assert_string_equal(gtv_camera_sub_path(INT64_MAX, path), "cam_9223372036854775807_sub");
    assert_false(gtv_camera_path_parse(gtv_str_of(path), &id));
    assert_true(gtv_camera_sub_path_parse(gtv_str_of(path), &id));
    assert_true(id == INT64_MAX);
    static const char *const none[] = {"",      "_sub",          "cam_sub",  "cam_0_sub",
                                       "cam_7", "cam_7_sub_sub", "cam_7_SUB"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_false(gtv_camera_sub_path_parse(gtv_str_of(none[i]), &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(defaults),
                                       cmocka_unit_test(refuses), cmocka_unit_test(paths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
