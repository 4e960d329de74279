#include "lib/rtsp/message.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

static struct gtv_rtsp_message m;
static size_t used, need;

// From memory of exactly its size, so that the sanitizer sees a read beyond it.
static enum gtv_rtsp_kind read_some(const char *text, size_t n, struct gtv_error *err)
{
    static char *copy;
    free(copy);
    copy = malloc(n > 0 ? n : 1);
    assert_non_null(copy);
    memcpy(copy, text, n);
    enum gtv_rtsp_kind kind = gtv_rtsp_read((struct gtv_str){copy, n}, &used, &need, &m, err);
    return kind;
}

static enum gtv_rtsp_kind read_text(const char *text)
{
    struct gtv_error err = {0};
    return read_some(text, strlen(text), &err);
}

static void test_response(void **state)
{
    const char *text = "RTSP/1.0 200 OK\r\nCSeq: 3\r\nContent-Type: application/sdp\r\ncontent-length:  4\r\n"
                       "\r\nv=0\nrest";
    for (size_t n = 0; n < strlen(text) - 4; n++) {
        struct gtv_error err = {0};
        assert_int_equal(read_some(text, n, &err), GTV_RTSP_MORE);
        assert_true(need == 0 || need == strlen(text) - 4);
    }
    assert_int_equal(read_text(text), GTV_RTSP_RESPONSE);
    assert_int_equal(used, strlen(text) - 4);
    assert_int_equal(m.status, 200);
    assert_int_equal(m.cseq, 3);
    assert_str(m.reason, "OK");
    assert_str(gtv_rtsp_header(&m, "CONTENT-TYPE"), "application/sdp");
    assert_str(m.body, "v=0\n");
    assert_null(gtv_rtsp_header(&m, "Session").p);
}

static void test_request(void **state)
{
    // Bare line feeds and empty lines in front are what some cameras send.
    assert_int_equal(read_text("\r\n\nSETUP rtsp://h/a/trackID=0 RTSP/1.0\nCSeq: 9\nTransport: a,\n b\n\n"),
                     GTV_RTSP_REQUEST);
    assert_str(m.method, "SETUP");
    assert_str(m.uri, "rtsp://h/a/trackID=0");
    assert_int_equal(m.cseq, 9);
    assert_str(gtv_rtsp_header(&m, "Transport"), "a,\n b");
}

static void test_frame(void **state)
{
    struct gtv_error err = {0};
    const char data[] = "$\x02\x00\x05hello$";
    for (size_t n = 1; n < 9; n++) {
        assert_int_equal(read_some(data, n, &err), GTV_RTSP_MORE);
        assert_int_equal(need, n < 4 ? 4 : 9);
    }
    assert_int_equal(read_some(data, sizeof data - 1, &err), GTV_RTSP_FRAME);
    assert_int_equal(used, 9);
    assert_int_equal(m.channel, 2);
    assert_str(m.body, "hello");
}

static void test_refusals(void **state)
{
    static const char *const texts[] = {
        "\x80garbage",
        "GET / HTTP/1.1\r\n",
        "RTSP/1.0 20 OK\r\n\r\n",
        "RTSP/3.0 200 OK\r\n\r\n",
        "DESCRIBE RTSP/1.0\r\n\r\n",
        "DESCRIBE  RTSP/1.0\r\n\r\n",
        "DESC(RIBE x RTSP/1.0\r\n\r\n",
        "OPTIONS * RTSP/1.0\r\nno colon\r\n\r\n",
        "OPTIONS * RTSP/1.0\r\na b: c\r\n\r\n",
        "OPTIONS * RTSP/1.0\r\nA: \x01\r\n\r\n",
        "OPTIONS * RTSP/1.0\r\n folded: first\r\n\r\n",
        "RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
        "RTSP/1.0 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "RTSP/1.0 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "averyveryverylongwordthatisnomethodatall",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (read_text(texts[i]) != GTV_RTSP_BAD) {
            fail_msg("accepted: %s", texts[i]);
        }
    }
}

static void test_limits(void **state)
{
    struct gtv_error err = {0};
    const char *huge = "RTSP/1.0 200 OK\r\nContent-Length: 104857600\r\n\r\nv=0";
    assert_int_equal(read_some(huge, strlen(huge), &err), GTV_RTSP_BAD);
    assert_int_equal(err.code, GTV_E_TOO_LARGE);
    struct gtv_buf b = {0};
    gtv_buf_puts(&b, "OPTIONS ");
    while (b.len <= GTV_RTSP_START_MAX) {
        gtv_buf_puts(&b, "x");
    }
    assert_int_equal(read_text(b.data), GTV_RTSP_BAD);
    gtv_buf_reset(&b);
    gtv_buf_puts(&b, "OPTIONS * RTSP/1.0\r\n");
    for (int i = 0; i <= GTV_RTSP_HEADERS_MAX; i++) {
        gtv_buf_printf(&b, "X-%d: 1\r\n", i);
    }
    assert_int_equal(read_text(b.data), GTV_RTSP_BAD);
    gtv_buf_reset(&b);
    gtv_buf_puts(&b, "OPTIONS * RTSP/1.0\r\nA: ");
    while (b.len <= GTV_RTSP_HEAD_MAX) {
        gtv_buf_puts(&b, "y");
    }
    assert_int_equal(read_text(b.data), GTV_RTSP_BAD);
    gtv_buf_finish(&b);
}

static void test_writing_comes_back(void **state)
{
    struct gtv_buf b = {0};
    gtv_rtsp_write_request(&b, "PLAY", GTV_STR("rtsp://h/a"), 5);
    gtv_rtsp_write_header(&b, "Session", "%s", "12\r\nEvil: 1");
    gtv_rtsp_write_end(&b, NULL, (struct gtv_str){0});
    assert_int_equal(read_text(b.data), GTV_RTSP_REQUEST);
    assert_str(m.method, "PLAY");
    assert_int_equal(m.cseq, 5);
    assert_str(gtv_rtsp_header(&m, "Session"), "12  Evil: 1");
    assert_null(gtv_rtsp_header(&m, "Evil").p);
    gtv_buf_reset(&b);
    gtv_rtsp_write_response(&b, 454, NULL, 7);
    gtv_rtsp_write_end(&b, "text/plain", GTV_STR("no"));
    assert_int_equal(read_text(b.data), GTV_RTSP_RESPONSE);
    assert_int_equal(m.status, 454);
    assert_str(m.reason, "Session Not Found");
    assert_str(m.body, "no");
    gtv_buf_finish(&b);
}

static void test_transport(void **state)
{
    struct gtv_str header = GTV_STR("RAW/RAW/UDP;x, RTP/AVP;unicast;client_port=5000-5001;mode=\"PLAY\" ,"
                                    "RTP/AVP/TCP;interleaved=2;ssrc=DEADbeef;mode=record;server_port=7-8");
    struct gtv_rtsp_transport_choice c;
    assert_true(gtv_rtsp_transport_next(&header, &c));
    assert_false(c.tcp || c.multicast || c.record);
    assert_int_equal(c.client_port[0], 5000);
    assert_int_equal(c.client_port[1], 5001);
    assert_int_equal(c.server_port[0], -1);
    assert_true(gtv_rtsp_transport_next(&header, &c));
    assert_true(c.tcp && c.record && c.has_ssrc);
    assert_int_equal(c.ssrc, 0xdeadbeef);
    assert_int_equal(c.interleaved[0], 2);
    assert_int_equal(c.interleaved[1], 3);
    assert_int_equal(c.server_port[1], 8);
    assert_false(gtv_rtsp_transport_next(&header, &c));
    header = GTV_STR("RTP/AVP;multicast;client_port=70000;interleaved=300");
    assert_true(gtv_rtsp_transport_next(&header, &c));
    assert_true(c.multicast);
    assert_int_equal(c.client_port[0], -1);
    assert_int_equal(c.interleaved[0], -1);
}

static void test_session_and_lists(void **state)
{
    int seconds = 0;
    assert_str(gtv_rtsp_session(GTV_STR(" abc ; timeout = 30"), &seconds), "abc");
    assert_int_equal(seconds, 30);
    assert_str(gtv_rtsp_session(GTV_STR("abc;timeout=x"), &seconds), "abc");
    assert_int_equal(seconds, 60);
    assert_true(gtv_rtsp_list_has(GTV_STR("OPTIONS, Get_Parameter ,PLAY"), "GET_PARAMETER"));
    assert_false(gtv_rtsp_list_has(GTV_STR("OPTIONS, SET_PARAMETER"), "PARAMETER"));
    assert_false(gtv_rtsp_list_has((struct gtv_str){0}, "PLAY"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_response),  cmocka_unit_test(test_request),
        cmocka_unit_test(test_frame),     cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_limits),    cmocka_unit_test(test_writing_comes_back),
        cmocka_unit_test(test_transport), cmocka_unit_test(test_session_and_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
