#include "services/streaming/provision.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static void a_body(void **state)
{
    struct gtv_camera c;
    assert_true(gtv_provision_parse(
        GTV_STR("{\"camera_id\":5,\"rtsp_url\":\"rtsp://u:p@192.0.2.1/x?a=b\",\"name\":\"Rua\"}"), 0, &c,
        NULL));
    assert_int_equal(c.id, 5);
    assert_string_equal(c.url, "rtsp://u:p@192.0.2.1/x?a=b");
    assert_string_equal(c.name, "Rua");
    assert_true(c.on_demand);
    assert_false(c.record || c.ai_enabled);
    assert_true(gtv_provision_parse(
        GTV_STR("{\"camera_id\":5,\"rtsp_url\":\"SRT://h:9000?streamid=x\",\"name\":\"\",\"on_demand\":false,"
                "\"record\":true,\"ai_enabled\":true,\"unknown\":[1]}"),
        0, &c, NULL));
    assert_true(!c.on_demand && c.record && c.ai_enabled);
}

static void a_smaller_stream(void **state)
{
    struct gtv_camera c;
    struct gtv_error err = {0};
    assert_true(gtv_provision_parse(GTV_STR("{\"camera_id\":5,\"rtsp_url\":\"rtsp://h/x\",\"name\":\"\","
                                            "\"sub_rtsp_url\":\"rtsp://u:p@h/x2\"}"),
                                    0, &c, NULL));
    assert_string_equal(c.sub_url, "rtsp://u:p@h/x2");
    static const char *const none[] = {"\"\"", "null"};
    static const char *const wrong[] = {"\"publisher\"", "\"file:///x\"", "\"rtsp://***@h/x\"", "7"};
    char body[256];
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        snprintf(body, sizeof body,
                 "{\"camera_id\":1,\"name\":\"x\",\"rtsp_url\":\"rtsp://h/x\",\"sub_rtsp_url\":%s}", none[i]);
        assert_true(gtv_provision_parse(gtv_str_of(body), 0, &c, NULL));
        assert_string_equal(c.sub_url, "");
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(body, sizeof body,
                 "{\"camera_id\":1,\"name\":\"x\",\"rtsp_url\":\"rtsp://h/x\",\"sub_rtsp_url\":%s}",
                 wrong[i]);
        assert_false(gtv_provision_parse(gtv_str_of(body), 0, &c, &err));
        assert_string_equal(err.field, "sub_rtsp_url");
    }
}

static void addresses(void **state)
{
    static const char *const good[] = {
        "rtsp://h/x",           "rtsps://h:322/x",  "rtmp://h/app/key",       "srt://h:8890?streamid=a",
        "http://h/x",           "https://h/x.m3u8", "rtsp://[2001:db8::1]/x", "rtsp://cam_2.local/x",
        "rtsp://u:p@ss%40@h/x", "rtmps://h/app/key"};
    static const char *const bad[] = {"",
                                      "x",
                                      "publishers",
                                      "file:///x",
                                      "concat:a|b",
                                      "rtsp:/h",
                                      "rtsp://",
                                      "rtsp:///x",
                                      "rtsp://h:0/x",
                                      "rtsp://h:65536/x",
                                      "rtsp://h/\\u0001",
                                      "rtsp://a b/",
                                      "rtsp://[::1",
                                      "rtsp://[fe80::1%25eth0]/x",
                                      "rtsp://%6c/x",
                                      "rtsp://a\\\\b@h/x",
                                      "rtspx://h/x"};
    char body[512];
    struct gtv_camera c;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        snprintf(body, sizeof body, "{\"camera_id\":1,\"name\":\"x\",\"rtsp_url\":\"%s\"}", good[i]);
        assert_true(gtv_provision_parse(gtv_str_of(body), 0, &c, NULL));
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct gtv_error err = {0};
        snprintf(body, sizeof body, "{\"camera_id\":1,\"name\":\"x\",\"rtsp_url\":\"%s\"}", bad[i]);
        assert_false(gtv_provision_parse(gtv_str_of(body), 0, &c, &err));
        assert_string_equal(err.field, "rtsp_url");
        assert_int_equal(err.code, GTV_E_INVALID);
    }
}

static void no_object(void **state)
{
    static const char *const bad[] = {"", "{", "[]", "null", "5", "{} x", "{\"camera_id\":1}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct gtv_camera c;
        struct gtv_error err = {0};
        assert_false(gtv_provision_parse(gtv_str_of(bad[i]), 0, &c, &err));
        assert_int_equal(err.code, GTV_E_INVALID);
    }
}

static void by_path(void **state)
{
    struct gtv_camera c;
    struct gtv_error err = {0};
    struct gtv_str without = GTV_STR("{\"rtsp_url\":\"publisher\",\"name\":\"x\"}");
    struct gtv_str with = GTV_STR("{\"camera_id\":5,\"rtsp_url\":\"rtsp://h/x\",\"name\":\"x\"}");
    assert_true(gtv_provision_parse(without, 5, &c, NULL));
    assert_int_equal(c.id, 5);
    assert_false(c.on_demand); // nobody dials a publisher
    assert_true(gtv_provision_parse(with, 5, &c, NULL));
    assert_false(gtv_provision_parse(with, 6, &c, &err));
    assert_string_equal(err.field, "camera_id");
    assert_false(gtv_provision_parse(without, 0, &c, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_body), cmocka_unit_test(a_smaller_stream),
                                       cmocka_unit_test(addresses), cmocka_unit_test(no_object),
                                       cmocka_unit_test(by_path)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
