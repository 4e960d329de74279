#include "services/streaming/app.h"
#include "tests/unit/unit.h"

static void stream_names(void **state)
{
    static const char *const good[] = {"cam_1", "a", "site-2/cam.7", "A/b/C", "..a", "index.m3u8"};
    static const char *const bad[] = {"",    "/",   "a/",   "/a",     "a//b",  ".",   "..", "a/../b",
                                      "a b", "a;b", "a%2f", "cam\\1", "cam\n", "câm", "a?b"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(gtv_stream_name_valid(gtv_str_of(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(gtv_stream_name_valid(gtv_str_of(bad[i])));
    char name[GTV_PATH_NAME_CAP + 1];
    memset(name, 'a', sizeof name);
    assert_true(gtv_stream_name_valid((struct gtv_str){name, GTV_PATH_NAME_CAP - 1}));
    assert_false(gtv_stream_name_valid((struct gtv_str){name, GTV_PATH_NAME_CAP}));
}

static void shown_addresses(void **state)
{
    static const struct {
        const char *url, *shown;
    } cases[] = {
        {"rtsp://192.0.2.1/live", "rtsp://192.0.2.1/live"},
        {"rtsp://u:p@192.0.2.1:8554/live?user=u&password=p", "rtsp://***@192.0.2.1:8554/live"},
        {"rtsp://u@h/live", "rtsp://***@h/live"},
        {"rtsp://u:p@ss@h/live", "rtsp://***@h/live"},
        {"rtsp://h/user=admin_password=secret_channel=1", "rtsp://h/***"},
        {"rtsp://[2001:db8::1]:554/x", "rtsp://[2001:db8::1]:554/x"},
        {"nonsense:secret", "***"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[GTV_SHOWN_URL_CAP];
        assert_string_equal(gtv_shown_url(cases[i].url, out), cases[i].shown);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(stream_names), cmocka_unit_test(shown_addresses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
