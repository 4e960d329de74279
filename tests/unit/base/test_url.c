#include "lib/base/url.h"
#include "tests/unit/unit.h"

static void parses_a_camera(void **state)
{
    struct gtv_url u;
    assert_true(gtv_url_parse(GTV_STR("rtsp://user:p%40s@s@cam.example:8554/live/ch0?x=1#f"), &u));
    assert_str(u.scheme, "rtsp");
    assert_str(u.user, "user");
    assert_str(u.pass, "p%40s@s");
    assert_str(u.host, "cam.example");
    assert_str(u.path, "/live/ch0");
    assert_str(u.query, "x=1");
    assert_int_equal(u.port, 8554);
    assert_true(u.has_user && u.has_pass && u.has_port && !u.ipv6);
}

static void defaults_and_ipv6(void **state)
{
    struct gtv_url u;
    assert_true(gtv_url_parse(GTV_STR("RTSP://10.0.0.1"), &u));
    assert_int_equal(u.port, 554);
    assert_false(u.has_port || u.has_user);
    assert_str(u.path, "");
    assert_true(gtv_url_parse(GTV_STR("http://[::1]:8000?q"), &u));
    assert_true(u.ipv6);
    assert_str(u.host, "::1");
    assert_str(u.query, "q");
    assert_int_equal(u.port, 8000);
    assert_true(gtv_url_parse(GTV_STR("redis://:secret@h/2"), &u));
    assert_str(u.user, "");
    assert_str(u.pass, "secret");
    assert_true(gtv_url_parse(GTV_STR("foo://h"), &u));
    assert_int_equal(u.port, 0);
}

static void refuses(void **state)
{
    static const char *const wrong[] = {"",
                                        "rtsp",
                                        "rtsp:/h",
                                        "rtsp://",
                                        "rtsp://user:p@",
                                        "rtsp://h:",
                                        "rtsp://h:0",
                                        "rtsp://h:65536",
                                        "rtsp://h:+80",
                                        "rtsp://h:8x",
                                        "rtsp://h h/",
                                        "rtsp://h/\n",
                                        "1rtsp://h",
                                        "://h",
                                        "rtsp://[::1",
                                        "rtsp://[zz]/",
                                        "rtsp://[::1]x/",
                                        "/path",
                                        "rtsp://h/\"",
                                        "rtsp://u:p#w@h/",
                                        "rtsp://a,b/",
                                        "unix:///tmp/x",
                                        "rtsp://h/<x>"};
    struct gtv_url u;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(gtv_url_parse(gtv_str_of(wrong[i]), &u));
    char with_nul[] = "rtsp://h/a\0b";
    assert_false(gtv_url_parse((struct gtv_str){with_nul, sizeof(with_nul) - 1}, &u));
    char longest[2050];
    memset(longest, 'a', sizeof(longest));
    memcpy(longest, "rtsp://", 7);
    assert_true(gtv_url_parse((struct gtv_str){longest, 2048}, &u));
    assert_false(gtv_url_parse((struct gtv_str){longest, 2049}, &u));
}

static void decodes(void **state)
{
    char out[8];
    assert_int_equal(gtv_url_decode(GTV_STR("a%20b+c"), false, out, sizeof(out)), 5);
    assert_string_equal(out, "a b+c");
    assert_int_equal(gtv_url_decode(GTV_STR("a+%2B"), true, out, sizeof(out)), 3);
    assert_string_equal(out, "a +");
    static const char *const wrong[] = {"%", "%2", "%zz", "%00", "12345678"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(gtv_url_decode(gtv_str_of(wrong[i]), false, out, sizeof(out)), -1);
}

static void encodes(void **state)
{
    char out[16];
    assert_true(gtv_url_encode(GTV_STR("a/b c~"), true, out, sizeof(out)));
    assert_string_equal(out, "a/b%20c~");
    assert_true(gtv_url_encode(GTV_STR("/\xC3\xA7"), false, out, sizeof(out)));
    assert_string_equal(out, "%2F%C3%A7");
    assert_false(gtv_url_encode(GTV_STR("      "), false, out, sizeof(out)));
}

static void check_redacted(const char *text, const char *expected)
{
    char out[256];
    size_t n = gtv_redact(gtv_str_of(text), out, sizeof(out));
    assert_string_equal(out, expected);
    assert_int_equal(n, strlen(expected));
}

static void redacts(void **state)
{
    check_redacted("plain text with a@b and a:b", "plain text with a@b and a:b");
    check_redacted("rtsp://u:p@h/x", "rtsp://***@h/x");
    check_redacted("two: rtsp://u:p@h/x rtsp://v:q@i/y.", "two: rtsp://***@h/x rtsp://***@i/y.");
    check_redacted("rtsp://a/b,rtsp://u:p@h", "rtsp://a/b,rtsp://***@h");
    check_redacted("rtsp://u:p@ss@h/x", "rtsp://***@h/x");
    check_redacted("rtsp://u:p/w?x#y@h/x", "rtsp://***@h/x");
    check_redacted("url=\"rtsp://u:p\"w@h/x\" by=\"a@b\"", "url=\"rtsp://***@h/x\" by=\"a@b\"");
    check_redacted("{\"url\":\"http://h/x\",\"mail\":\"a@b\"}", "{\"url\":\"http://h/x\",\"mail\":\"a@b\"}");
    check_redacted("{\"url\":\"rtsp:\\/\\/u:p@h\\/x\"}", "{\"url\":\"rtsp:\\/\\/***@h\\/x\"}");
    check_redacted("/x?url=rtsp%3A%2F%2Fu%3Ap%40h%2F", "/x?url=rtsp%3A%2F%2F***%40h%2F");
    check_redacted("redis://:secret@h/2", "redis://***@h/2");
    check_redacted("http://h:80/x", "http://h:80/x");
}

static void redacts_before_it_cuts(void **state)
{
    const char *text = "rtsp://user:password@host/path";
    for (size_t cap = 1; cap < 40; cap++) {
        char out[40];
        memset(out, 'x', sizeof(out));
        size_t n = gtv_redact(gtv_str_of(text), out, cap);
        assert_true(n < cap);
        assert_int_equal(out[n], 0);
        assert_null(strstr(out, "us"));
        assert_null(strstr(out, "pass"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_a_camera),
        cmocka_unit_test(defaults_and_ipv6),
        cmocka_unit_test(refuses),
        cmocka_unit_test(decodes),
        cmocka_unit_test(encodes),
        cmocka_unit_test(redacts),
        cmocka_unit_test(redacts_before_it_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
