#include "lib/contract/contract.h"
#include "tests/unit/unit.h"

static void assert_json(struct gtv_bytes *b, const char *expected)
{
    assert_non_null(b);
    assert_str(gtv_bytes_str(b), expected);
    gtv_bytes_unref(b);
}

static void a_detection(void **state)
{
    const struct gtv_detected objects[] = {{"car", 0.87654, 1, 2, 30, 40}, {"bus", 1, 0, 0, 5, 6}};
    const struct gtv_detection_event e = {.camera_id = 3,
                                          .wall_ms = 1700000000123,
                                          .width = 1280,
                                          .height = 720,
                                          .model = "picodet-s",
                                          .latency_ms = 41.23456,
                                          .objects = objects,
                                          .count = 2};
    assert_json(gtv_event_detection(&e),
                "{\"v\":1,\"type\":\"detection\",\"stream\":\"cam_3\",\"timestamp\":\"2023-11-14T22:13:20."
                "123Z\",\"wall_ms\":1700000000123,"
                "\"data\":{\"camera_id\":3,\"frame\":{\"width\":1280,\"height\":720},\"model\":\"picodet-s\","
                "\"latency_ms\":41.235,"
                "\"objects\":[{\"object_type\":\"car\",\"confidence\":0.877,\"bbox\":{\"x\":1,\"y\":2,\"w\":"
                "30,\"h\":40},\"plate_number\":null},"
                "{\"object_type\":\"bus\",\"confidence\":1.0,\"bbox\":{\"x\":0,\"y\":0,\"w\":5,\"h\":6},"
                "\"plate_number\":null}]}}");
}

static void objects_are_bounded(void **state)
{
    static struct gtv_detected objects[GTV_MAX_OBJECTS + 50];
    const struct gtv_detection_event e = {.camera_id = 1, .objects = objects, .count = GTV_MAX_OBJECTS + 50};
    struct gtv_bytes *b = gtv_event_detection(&e);
    yyjson_doc *doc = gtv_json_parse(gtv_bytes_str(b), NULL);
    yyjson_val *data = yyjson_obj_get(yyjson_doc_get_root(doc), "data");
    assert_int_equal(yyjson_arr_size(yyjson_obj_get(data, "objects")), GTV_MAX_OBJECTS);
    yyjson_doc_free(doc);
    gtv_bytes_unref(b);
}

static void a_status_without_password(void **state)
{
    assert_json(
        gtv_event_status_coded("cam_1", 1, "disconnected", "cannot open rtsp://u:geheim@h/x", "refused", 0),
        "{\"v\":1,\"type\":\"status\",\"stream\":\"cam_1\",\"timestamp\":\"1970-01-01T00:00:00.000Z\",\"wall_"
        "ms\":0,"
        "\"data\":{\"camera_id\":1,\"state\":\"disconnected\",\"cause\":\"cannot open "
        "rtsp://***@h/x\",\"cause_code\":\"refused\"}}");
    assert_json(gtv_event_status("cam_1", 1, "connected", NULL, 0),
                "{\"v\":1,\"type\":\"status\",\"stream\":\"cam_1\",\"timestamp\":\"1970-01-01T00:00:00."
                "000Z\",\"wall_ms\":0,"
                "\"data\":{\"camera_id\":1,\"state\":\"connected\",\"cause\":null,\"cause_code\":null}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_detection), cmocka_unit_test(objects_are_bounded),
                                       cmocka_unit_test(a_status_without_password)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
