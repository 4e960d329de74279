#include "services/console/ingest.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static struct gtv_db_detection base;
static struct gtv_detected objects[GTV_MAX_OBJECTS];
static char plates[GTV_MAX_OBJECTS][GTV_DB_PLATE_CAP];
static size_t count;

static bool parse(const char *json)
{
    yyjson_doc *doc = gtv_json_parse(gtv_str_of(json), NULL);
    assert_non_null(doc);
    bool ok = gtv_ingest_parse(yyjson_doc_get_root(doc), &base, objects, plates, &count);
    yyjson_doc_free(doc);
    return ok;
}

static void what_the_house_writes_is_read(void **state)
{
    const struct gtv_detected seen[] = {
        {.object_type = "car", .confidence = 0.875, .x = -3, .y = 2, .w = 30, .h = 40},
        {.object_type = "bus", .confidence = 1, .x = 0, .y = 0, .w = 1280, .h = 720},
    };
    const struct gtv_detection_event e = {.camera_id = 7,
                                          .wall_ms = 1795374689207,
                                          .width = 1280,
                                          .height = 720,
                                          .model = "m",
                                          .objects = seen,
                                          .count = 2};
    struct gtv_bytes *json = gtv_event_detection(&e);
    char text[2048];
    assert_true(gtv_str_copy(text, sizeof text, gtv_bytes_str(json)));
    gtv_bytes_unref(json);
    assert_true(parse(text));
    assert_int_equal(count, 2);
    assert_int_equal(base.camera_id, 7);
    assert_int_equal(base.wall_ms, 1795374689207);
    assert_int_equal(base.frame_width, 1280);
    assert_string_equal(objects[0].object_type, "car");
    assert_int_equal(objects[0].x, -3);
    assert_float_equal(objects[0].confidence, 0.875, 1e-9);
    assert_int_equal(objects[1].w, 1280);
    assert_string_equal(plates[0], "");
}

#define EVENT(objects_json)                                                                                  \
    "{\"wall_ms\":5,\"data\":{\"camera_id\":1,\"frame\":{\"width\":10,\"height\":10},"                       \
    "\"objects\":" objects_json "}}"
#define BOX "\"bbox\":{\"x\":1,\"y\":1,\"w\":2,\"h\":2}"

static void plates_and_none(void **state)
{
    assert_true(parse(EVENT("[]")));
    assert_int_equal(count, 0);
    assert_true(
        parse(EVENT("[{\"object_type\":\"car\",\"confidence\":0.5," BOX ",\"plate_number\":\"BRA2E19\"}]")));
    assert_string_equal(plates[0], "BRA2E19");
    assert_true(parse(EVENT("[{\"object_type\":\"car\",\"confidence\":0.5," BOX
                            ",\"plate_number\":\"A PLATE THAT IS FAR TOO LONG\"}]")));
    assert_string_equal(plates[0], "");
}

static void nonsense_is_refused(void **state)
{
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"wall_ms\":5}",
        "{\"wall_ms\":5,\"data\":[]}",
        "{\"wall_ms\":\"5\",\"data\":{\"camera_id\":1,\"frame\":{\"width\":1,\"height\":1},\"objects\":[]}}",
        "{\"wall_ms\":5,\"data\":{\"camera_id\":0,\"frame\":{\"width\":1,\"height\":1},\"objects\":[]}}",
        "{\"wall_ms\":5,\"data\":{\"camera_id\":1,\"frame\":{\"width\":0,\"height\":1},\"objects\":[]}}",
        EVENT("{}"),
        EVENT("[1]"),
        EVENT("[{\"object_type\":\"car\",\"confidence\":0.5}]"),
        EVENT("[{\"object_type\":\"car\",\"confidence\":1.5," BOX "}]"),
        EVENT("[{\"object_type\":\"a class with a long name\",\"confidence\":0.5," BOX "}]"),
        EVENT(
            "[{\"object_type\":\"car\",\"confidence\":0.5,\"bbox\":{\"x\":1e300,\"y\":1,\"w\":2,\"h\":2}}]"),
        EVENT("[{\"object_type\":\"car\",\"confidence\":0.5,\"bbox\":{\"x\":1,\"y\":1,\"w\":-2,\"h\":2}}]"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(parse(bad[i]));
    char many[16 * 1024] = "";
    size_t at = (size_t)snprintf(many, sizeof many,
                                 "{\"wall_ms\":5,\"data\":{\"camera_id\":1,\"frame\":"
                                 "{\"width\":10,\"height\":10},\"objects\":[");
    for (int i = 0; i <= GTV_MAX_OBJECTS; i++)
        at += (size_t)snprintf(many + at, sizeof many - at,
                               "%s{\"object_type\":\"car\",\"confidence\":0.5," BOX "}", i ? "," : "");
    snprintf(many + at, sizeof many - at, "]}}");
    assert_false(parse(many));
}

static void where_to_begin(void **state)
{
    char from[GTV_DB_EVENT_CAP];
    gtv_ingest_look_back("1795400010000-7", from);
    assert_string_equal(from, "1795400005000");
    static const char *const all[] = {"", "0", "12-0", "what"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        gtv_ingest_look_back(all[i], from);
        assert_string_equal(from, "0");
    }
    assert_true(gtv_db_event_done("5-1", "5-1") && gtv_db_event_done("5-1", "5-2"));
    assert_true(gtv_db_event_done("999-9", "1000-0"));
    assert_false(gtv_db_event_done("5-2", "5-1") || gtv_db_event_done("5-2", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_to_begin),
        cmocka_unit_test(what_the_house_writes_is_read),
        cmocka_unit_test(plates_and_none),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
