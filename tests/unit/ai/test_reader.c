// What of a camera's connection needs no network: addresses, and pictures in the form that decoders take.
#include "services/ai/watch/reader.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

static void assert_url(const char *base, const char *user, const char *pass, const char *expected)
{
    char *url = gtv_reader_rtsp_url(base, user, pass, "cam_7");
    if (expected) {
        assert_non_null(url);
        assert_string_equal(url, expected);
    } else {
        assert_null(url);
    }
    free(url);
}

static void addresses(void **state)
{
    assert_url("rtsp://mediamtx:8554", NULL, NULL, "rtsp://mediamtx:8554/cam_7");
    assert_url("rtsp://mediamtx:8554/", "", "x", "rtsp://mediamtx:8554/cam_7");
    assert_url("rtsp://u:p@mediamtx/a//", NULL, NULL, "rtsp://u:p@mediamtx/a/cam_7");
    assert_url("rtsp://mediamtx", "watcher", "s@7:/", "rtsp://watcher:s%407%3A%2F@mediamtx:554/cam_7");
    assert_url("rtsps://[::1]:8322/a", "u", NULL, "rtsps://u:@[::1]:8322/a/cam_7");
    assert_url("http://mediamtx:8888", NULL, NULL, NULL);
    assert_url("mediamtx", NULL, NULL, NULL);
}

static void ways(void **state)
{
    enum gtv_reader_way way;
    assert_true(gtv_reader_way_parse(GTV_STR("rtsp"), &way));
    assert_int_equal(way, GTV_READER_RTSP);
    assert_string_equal(gtv_reader_way_name(GTV_READER_RELAY), "relay");
    assert_false(gtv_reader_way_parse(GTV_STR("RTSP"), &way));
}

static bool annexb(const char *sets, size_t sets_n, const char *picture, size_t n, struct gtv_ts_unit *u)
{
    *u = (struct gtv_ts_unit){0};
    return gtv_reader_annexb((struct gtv_str){sets, sets_n}, (struct gtv_str){picture, n}, u);
}

static void start_codes(void **state)
{
    static const char out[] = "\0\0\0\1\x67\x42\0\0\0\1\x68\0\0\0\1\x65\x88\x80";
    struct gtv_ts_unit u;
    assert_true(annexb("\0\0\0\2\x67\x42\0\0\0\1\x68", 11, "\0\0\0\3\x65\x88\x80", 7, &u));
    assert_int_equal(u.len, sizeof(out) - 1);
    assert_memory_equal(u.data, out, sizeof(out) - 1);
    for (size_t i = 0; i < GTV_TS_PADDING; i++)
        assert_int_equal(u.data[u.len + i], 0);
    assert_true(gtv_ts_is_key(GTV_TS_H264, u.data, u.len));
    free(u.data);
    static const char *const wrong[] = {"\0\0\0\4\x65\x88\x80", "\xff\xff\xff\xff\x65\x88\x80"};
    for (size_t i = 0; i < 2; i++) {
        assert_false(annexb(NULL, 0, wrong[i], 7, &u));
        free(u.data);
    }
    assert_false(annexb(NULL, 0, "\0\0\0", 3, &u));
    free(u.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(addresses), cmocka_unit_test(ways),
                                       cmocka_unit_test(start_codes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
