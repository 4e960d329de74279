#include "lib/contract/happening.h"
#include "tests/unit/unit.h"

static void assert_json(struct gtv_bytes *b, const char *expected)
{
    assert_non_null(b);
    assert_str(gtv_bytes_str(b), expected);
    gtv_bytes_unref(b);
}

static void a_line_is_crossed(void **state)
{
    struct gtv_happening_event e = {
        .type = "line.crossed",
        .key = "line.crossed/17/north/forward",
        .camera_id = 3,
        .wall_ms = 1700000000123,
        .width = 1280,
        .height = 720,
        .track = 17,
        .object_type = "car",
        .confidence = 0.81234,
        .x = 1,
        .y = 2,
        .w = 3,
        .h = 4,
        .place_id = "north",
        .place_name = "Norte",
        .direction = "centro",
        .is_crossing = true,
        .forward = true,
        .seconds = -1,
        .degrees = -1,
        .crop = "cam_3/20231114/17.jpg",
    };
    assert_json(
        gtv_event_happening(&e),
        "{\"v\":1,\"type\":\"line.crossed\",\"stream\":\"cam_3\",\"timestamp\":\"2023-11-14T22:13:20.123Z\","
        "\"wall_ms\":1700000000123,\"key\":\"cam_3/line.crossed/17/north/forward\",\"data\":{\"camera_id\":3,"
        "\"track_id\":17,\"object_type\":\"car\",\"confidence\":0.812,\"bbox\":{\"x\":1,\"y\":2,\"w\":3,"
        "\"h\":4},"
        "\"frame\":{\"width\":1280,\"height\":720},\"place\":{\"id\":\"north\",\"name\":\"Norte\"},"
        "\"forward\":true,"
        "\"direction\":\"centro\",\"crop\":\"cam_3/20231114/17.jpg\"}}");
}

static void a_plate_is_read(void **state)
{
    struct gtv_plate_said plate = {
        .number = "ABC1D23", .format = "mercosul", .key = "ABC1323", .confidence = 0.97, .votes = 5};
    struct gtv_happening_event e = {.type = "plate.read",
                                    .key = "plate.read/17",
                                    .camera_id = 3,
                                    .wall_ms = 1700000000123,
                                    .track = 17,
                                    .object_type = "car",
                                    .seconds = -1,
                                    .degrees = -1,
                                    .plate = &plate};
    struct gtv_bytes *b = gtv_event_happening(&e);
    assert_non_null(b);
    yyjson_doc *doc = gtv_json_parse(gtv_bytes_str(b), NULL);
    yyjson_val *data = yyjson_obj_get(yyjson_doc_get_root(doc), "data");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(data, "plate_number")), "ABC1D23");
    yyjson_val *p = yyjson_obj_get(data, "plate");
    assert_string_equal(yyjson_get_str(yyjson_obj_get(p, "key")), "ABC1323");
    assert_int_equal(yyjson_get_int(yyjson_obj_get(p, "votes")), 5);
    assert_true(yyjson_is_null(yyjson_obj_get(data, "crop")));
    assert_null(yyjson_obj_get(data, "seconds"));
    yyjson_doc_free(doc);
    gtv_bytes_unref(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_crossed),
        cmocka_unit_test(a_plate_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
