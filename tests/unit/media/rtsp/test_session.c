#include "tests/unit/unit.h"

#include "lib/log/log.h"
#include "lib/rtsp/digest.h"
#include "tests/unit/media/rtsp/rig.h"

#include <stdio.h>
#include <stdlib.h>

#define SDP_TEXT                                                                                             \
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"  \
    "a=fmtp:96 packetization-mode=1\r\na=control:streamid=0\r\n"

static int set_up(void **state)
{
    static struct rig r;
    gtv_log_set_level(GTV_LOG_ERROR);
    rig_init(&r);
    *state = &r;
    return 0;
}

static int tear_down(void **state)
{
    rig_finish(*state);
    return 0;
}

static void ask(struct rig *r, const char *method, const char *uri, const char *more, const char *body)
{
    char text[4096];
    gtv_buf_reset(&r->out);
    snprintf(text, sizeof text, "%s %s RTSP/1.0\r\nCSeq: 7\r\n%sContent-Length: %zu\r\n\r\n%s", method, uri,
             more, strlen(body), body);
    rig_send(r, gtv_str_of(text));
}

// The status of the one response that was written since the last request; 0: none.
static int status(struct rig *r)
{
    struct gtv_rtsp_message m;
    struct gtv_error err = {0};
    size_t used = 0, need = 0;
    return gtv_rtsp_read(gtv_buf_str(&r->out), &used, &need, &m, &err) == GTV_RTSP_RESPONSE ? m.status : 0;
}

static int asked(struct rig *r, const char *method, const char *uri, const char *more)
{
    ask(r, method, uri, more, "");
    return status(r);
}

// "Session: ID\r\n" of the last response.
static const char *session_of(struct rig *r)
{
    static char header[200];
    struct gtv_rtsp_message m;
    struct gtv_error err = {0};
    size_t used = 0, need = 0;
    int seconds = 0;
    gtv_rtsp_read(gtv_buf_str(&r->out), &used, &need, &m, &err);
    struct gtv_str id = gtv_rtsp_session(gtv_rtsp_header(&m, "Session"), &seconds);
    assert_int_equal(id.n, 36);
    assert_int_equal(seconds, 60);
    snprintf(header, sizeof header, "Session: " GTV_STR_FMT "\r\n", GTV_STR_ARG(id));
    return header;
}

#define TCP "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
#define CAM "rtsp://127.0.0.1/cam_1"

static struct gtv_path_status status_of(struct rig *r)
{
    struct gtv_path_status s;
    gtv_path_get_status(r->publisher, &s);
    return s;
}

static void each_wrong_request_has_its_answer(void **state)
{
    static const struct {
        const char *method, *uri, *more;
        int status;
    } rows[] = {
        {"OPTIONS", "*", "", 200},
        {"OPTIONS", "rtsp://127.0.0.1/no_such_path", "", 200},
        {"WINK", CAM, "", 501},
        {"DESCRIBE", "rtsp://127.0.0.1/no_such_path", "", 404},
        {"DESCRIBE", CAM, "", 404}, // nobody publishes
        {"DESCRIBE", CAM, "Accept: application/xml\r\n", 406},
        {"DESCRIBE", "rtsp://127.0.0.1/a/../cam_1", "", 400},
        {"DESCRIBE", "rtsp://127.0.0.1/..%2fcam_1", "", 400},
        {"DESCRIBE", "rtsp://127.0.0.1/a%20b", "", 400},
        {"DESCRIBE", "rtsp://127.0.0.1/c%C3%A2mera", "", 400},
        {"DESCRIBE", "rtsp://127.0.0.1/%zz", "", 400},
        {"DESCRIBE", "rtsp://127.0.0.1/", "", 400},
        {"DESCRIBE", "/cam_1", "", 400},
        {"DESCRIBE", "http://127.0.0.1/cam_1", "", 400},
        {"DESCRIBE", CAM, "Require: onvif-replay\r\n", 551},
        {"ANNOUNCE", CAM, "Content-Type: text/html\r\n", 415},
        {"ANNOUNCE", CAM, "Content-Type: application/sdp\r\n", 400},
        {"ANNOUNCE", "rtsp://127.0.0.1/cam_2", "", 400}, // is pulled
        {"ANNOUNCE", "rtsp://127.0.0.1/no_such_path", "", 404},
        {"SETUP", CAM, "", 404},
        {"SETUP", CAM, "Session: 12345678\r\n", 454},
        {"PLAY", CAM, "", 454},
        {"RECORD", CAM, "", 454},
        {"PAUSE", CAM, "", 454},
        {"TEARDOWN", CAM, "", 454},
        {"GET_PARAMETER", CAM, "", 200},
        {"SET_PARAMETER", CAM, "Session: nobodys\r\n", 454},
    };
    struct rig *r = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int got = asked(r, rows[i].method, rows[i].uri, rows[i].more);
        if (got != rows[i].status) {
            fail_msg("%s %s %s: %d", rows[i].method, rows[i].uri, rows[i].more, got);
        }
        assert_false(r->closed);
    }
    gtv_buf_reset(&r->out);
    rig_send(r, GTV_STR("OPTIONS * RTSP/1.0\r\n\r\n"));
    assert_int_equal(status(r), 400); // without a CSeq
}

static void rubbish_and_what_is_too_large_end_it(void **state)
{
    struct rig *r = *state;
    rig_send(r, GTV_STR("ANNOUNCE " CAM " RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 104857600\r\n\r\n"));
    assert_int_equal(status(r), 413);
    assert_true(r->closed);
    gtv_rtsp_session_destroy(r->s, "closed", "");
    gtv_buf_reset(&r->out);
    gtv_buf_reset(&r->kept);
    rig_connect(r);
    rig_send(r, GTV_STR("\x16\x03\x01\x02garbage garbage\r\n\r\n"));
    assert_int_equal(status(r), 400);
    assert_true(r->closed);
}

static void announce(struct rig *r)
{
    ask(r, "ANNOUNCE", CAM, "Content-Type: application/sdp\r\n", SDP_TEXT);
    assert_int_equal(status(r), 200);
}

// A key frame with its parameter sets, in packets of one NAL unit.
static void send_key_frame(struct rig *r, uint16_t seq, uint32_t time)
{
    static const struct gtv_str nals[] = {
        {"\x67\x4d\x40\x1f\xec\xa2\x3d\x80\x88\0\0\3\0\x08\0\0\3\1\x90\x78\xc1\x8c\xb0", 23},
        {"\x68\xeb\xe3\xcb\x20", 5},
        {"\x65\x88\x84\0\x10\xff\xfe\xf6\xf0\xfe", 10}};
    for (size_t i = 0; i < 3; i++, seq++) {
        uint8_t p[64] = {'$', 0, 0, (uint8_t)(12 + nals[i].n), 0x80, (uint8_t)(i == 2 ? 0xe0 : 0x60)};
        p[6] = (uint8_t)(seq >> 8);
        p[7] = (uint8_t)seq;
        for (int k = 0; k < 4; k++) {
            p[8 + k] = (uint8_t)(time >> (24 - 8 * k));
        }
        p[15] = 9;
        memcpy(p + 16, nals[i].p, nals[i].n);
        rig_send(r, (struct gtv_str){(const char *)p, 16 + nals[i].n});
    }
}

static void publish(struct rig *r)
{
    announce(r);
    assert_int_equal(asked(r, "SETUP", CAM "/streamid=0", TCP), 200);
    assert_int_equal(asked(r, "RECORD", CAM, ""), 200);
    send_key_frame(r, 1, 90000);
    assert_int_equal(status_of(r).state, GTV_PATH_CONNECTED);
}

static void a_publisher_brings_its_path(void **state)
{
    struct rig *r = *state;
    announce(r);
    const char *session = session_of(r);
    assert_int_equal(asked(r, "PLAY", CAM, session), 455);
    assert_int_equal(asked(r, "RECORD", CAM, session), 455); // nothing is set up
    assert_int_equal(asked(r, "SETUP", CAM "/streamid=0", "Transport: RTP/AVP;multicast\r\n"), 461);
    assert_int_equal(asked(r, "SETUP", CAM "/streamid=0", ""), 461);
    assert_int_equal(asked(r, "SETUP", CAM "/streamid=0", TCP), 200);
    assert_int_equal(asked(r, "SETUP", CAM "/streamid=0", TCP), 400); // again
    assert_int_equal(asked(r, "ANNOUNCE", CAM, ""), 455);
    assert_int_equal(asked(r, "RECORD", CAM, session), 200);
    assert_int_equal(asked(r, "RECORD", CAM, session), 455);
    assert_string_equal(status_of(r).source_type, "rtspSession");
    rig_send(r, GTV_STR("$\x09\0\x04rare")); // a channel that nobody set up
    rig_send(r, GTV_STR("$\0\0\x03xyz"));    // no RTP
    send_key_frame(r, 1, 90000);
    assert_int_equal(status_of(r).state, GTV_PATH_CONNECTED);
    assert_int_equal(status_of(r).format->video.width, 64);
    assert_int_equal(asked(r, "TEARDOWN", CAM, session), 200);
    assert_int_equal(status_of(r).state, GTV_PATH_IDLE);
    assert_string_equal(status_of(r).cause, "the publisher ended it");
    assert_false(r->closed);
    publish(r); // the connection can be used again
}

static void a_publisher_that_falls_silent_is_over(void **state)
{
    struct rig *r = *state;
    publish(r);
    r->now_ms += 9000;
    gtv_rtsp_session_tick(r->s, r->now_ms);
    assert_false(r->closed);
    r->now_ms += 1100;
    gtv_rtsp_session_tick(r->s, r->now_ms);
    assert_true(r->closed);
    assert_string_equal(status_of(r).cause_code, "stalled");
}

static void the_next_publisher_ends_the_first(void **state)
{
    struct rig *r = *state;
    publish(r);
    struct rig other = *r; // another connection to the same paths
    memset(&other.out, 0, sizeof other.out);
    memset(&other.kept, 0, sizeof other.kept);
    rig_connect(&other);
    publish(&other);
    assert_true(r->closed);
    assert_false(other.closed);
    gtv_rtsp_session_destroy(other.s, "closed", NULL);
    assert_string_equal(status_of(r).cause, "the publisher closed the connection");
    gtv_buf_finish(&other.out);
    gtv_buf_finish(&other.kept);
    r->env.batch = other.env.batch;
}

// Frames on this channel in what was written, behind the response.
static size_t frames(struct rig *r, uint8_t channel)
{
    struct gtv_rtsp_message m;
    struct gtv_error err = {0};
    size_t at = 0, used = 0, need = 0, n = 0;
    for (enum gtv_rtsp_kind kind = GTV_RTSP_FRAME; kind != GTV_RTSP_MORE; at += used) {
        kind = gtv_rtsp_read((struct gtv_str){r->out.data + at, r->out.len - at}, &used, &need, &m, &err);
        assert_int_not_equal(kind, GTV_RTSP_BAD);
        n += kind == GTV_RTSP_FRAME && m.channel == channel;
    }
    return n;
}

static void a_reader_gets_the_stream_from_its_key_frame(void **state)
{
    struct rig *p = *state;
    publish(p);
    struct rig r = *p;
    memset(&r.out, 0, sizeof r.out);
    memset(&r.kept, 0, sizeof r.kept);
    rig_connect(&r);
    assert_int_equal(asked(&r, "DESCRIBE", CAM "?token=1", "Accept: application/sdp\r\n"), 200);
    assert_non_null(memmem(r.out.data, r.out.len, "Content-Base: " CAM "/\r\n", 38));
    assert_non_null(memmem(r.out.data, r.out.len, "sprop-parameter-sets=Z01AH", 26));
    assert_int_equal(asked(&r, "SETUP", CAM "/trackID=1", TCP), 404); // there is no audio
    assert_int_equal(asked(&r, "SETUP", CAM "/trackID=x", TCP), 404);
    assert_int_equal(asked(&r, "SETUP", CAM "/trackID=0", "Transport: RTP/AVP;multicast\r\n"), 461);
    assert_int_equal(asked(&r, "SETUP", CAM "/trackID=0", TCP), 200);
    const char *session = session_of(&r);
    assert_int_equal(asked(&r, "SETUP", CAM "/trackID=0", session), 400); // again
    assert_int_equal(asked(&r, "PLAY", CAM "/", "Session: 00000000-0000-4000-8000-000000000000\r\n"), 454);
    assert_int_equal(asked(&r, "PLAY", CAM "/", session), 200);
    assert_non_null(memmem(r.out.data, r.out.len, ";rtptime=", 9));
    assert_int_equal(frames(&r, 1), 1); // a report first
    assert_int_equal(frames(&r, 0), 3); // the sets and the picture
    assert_int_equal(gtv_sessions_count(p->sessions, GTV_SESSION_RTSP), 2);

    // One that does not take its bytes goes on at a later key frame.
    r.queued = GTV_RTSP_QUEUE_MAX;
    gtv_buf_reset(&r.out);
    send_key_frame(p, 4, 93600);
    assert_int_equal(frames(&r, 0), 0);
    r.queued = 0;
    send_key_frame(p, 7, 97200);
    assert_int_equal(frames(&r, 0), 3);

    assert_int_equal(asked(&r, "PAUSE", CAM "/", session), 200);
    gtv_buf_reset(&r.out);
    send_key_frame(p, 10, 100800);
    assert_int_equal(frames(&r, 0), 0);
    assert_int_equal(asked(&r, "PLAY", CAM "/", session), 200);
    gtv_rtsp_session_destroy(p->s, "closed", "it went");
    p->s = NULL;
    assert_true(r.closed); // its source is gone
    gtv_rtsp_session_destroy(r.s, "closed", "");
    gtv_buf_finish(&r.out);
    gtv_buf_finish(&r.kept);
    p->env.batch = r.env.batch;
}

static void over_udp_the_client_has_to_live(void **state)
{
    struct rig *p = *state;
    publish(p);
    struct rig r = *p;
    memset(&r.out, 0, sizeof r.out);
    memset(&r.kept, 0, sizeof r.kept);
    rig_connect(&r);
    assert_int_equal(asked(&r, "SETUP", CAM "/trackID=0", "Transport: RTP/AVP;unicast\r\n"), 400);
    assert_int_equal(asked(&r, "SETUP", CAM "/trackID=0",
                           "Transport: RTP/AVP;multicast,RTP/AVP;unicast;client_port=5000-5001;destination="
                           "192.0.2.77\r\n"),
                     200);
    assert_int_equal(r.claims, 2);
    assert_non_null(memmem(r.out.data, r.out.len, "client_port=5000-5001;server_port=8000-8001;ssrc=", 49));
    const char *session = session_of(&r);
    assert_int_equal(asked(&r, "PLAY", CAM "/", session), 200);
    assert_int_equal(r.udp_packets, 4);
    r.now_ms += 50000;
    gtv_rtsp_session_datagram(r.s, 0, true, GTV_STR("\x80\xc9\0\1abcd"), r.now_ms);
    r.now_ms += 50000;
    gtv_rtsp_session_tick(r.s, r.now_ms);
    assert_false(r.closed);
    r.now_ms += 11000;
    gtv_rtsp_session_tick(r.s, r.now_ms);
    assert_true(r.closed);
    assert_int_equal(r.claims, 0);
    gtv_rtsp_session_destroy(r.s, "closed", "");
    gtv_buf_finish(&r.out);
    gtv_buf_finish(&r.kept);
    p->env.batch = r.env.batch;
}

static void who_says_nothing_is_not_waited_for(void **state)
{
    struct rig *r = *state;
    r->now_ms += GTV_RTSP_FIRST_MS;
    gtv_rtsp_session_tick(r->s, r->now_ms);
    assert_true(r->closed);
}

// Answers the challenge that it gets.
static void ask_with_digest(struct rig *r, const char *pass)
{
    struct gtv_digest_challenge challenge = {0};
    struct gtv_buf header = {0};
    struct gtv_rtsp_message m;
    struct gtv_error err = {0};
    size_t used = 0, need = 0;
    ask(r, "ANNOUNCE", CAM, "Content-Type: application/sdp\r\n", SDP_TEXT);
    assert_int_equal(gtv_rtsp_read(gtv_buf_str(&r->out), &used, &need, &m, &err), GTV_RTSP_RESPONSE);
    assert_true(gtv_digest_challenge_read(&m, &challenge));
    assert_int_equal(challenge.scheme, GTV_DIGEST_MD5);
    gtv_digest_write(&header, &challenge, "ANNOUNCE", CAM, "ana", pass);
    ask(r, "ANNOUNCE", CAM, header.data, SDP_TEXT);
    gtv_buf_finish(&header);
}

static void wrong_credentials_are_answered_later(void **state)
{
    struct rig *r = *state;
    struct gtv_error err = {0};
    static const char users[] = "[{\"user\":\"ana\",\"pass\":\"secret\",\"ips\":[],\"permissions\":"
                                "[{\"action\":\"publish\",\"path\":\"\"}]}]";
    yyjson_doc *doc = yyjson_read(users, sizeof users - 1, 0);
    assert_true(gtv_auth_configure(r->auth, yyjson_doc_get_root(doc), &err));
    yyjson_doc_free(doc);
    ask(r, "ANNOUNCE", CAM, "Content-Type: application/sdp\r\n", SDP_TEXT);
    assert_int_equal(status(r), 401);
    assert_non_null(memmem(r->out.data, r->out.len, "WWW-Authenticate: Digest realm=", 31));
    assert_non_null(memmem(r->out.data, r->out.len, "WWW-Authenticate: Basic realm=", 30));
    for (int i = 1; i <= GTV_RTSP_AUTH_TRIES; i++) {
        ask(r, "ANNOUNCE", CAM, "Authorization: Basic YW5hOndyb25n\r\n", SDP_TEXT); // ana:wrong
        assert_int_equal(status(r), 0);
        rig_send(r, GTV_STR("OPTIONS * RTSP/1.0\r\nCSeq: 8\r\n\r\n")); // waits behind it
        assert_int_equal(r->out.len, 0);
        r->now_ms += GTV_RTSP_AUTH_DELAY_MS;
        gtv_rtsp_session_tick(r->s, r->now_ms);
        assert_int_equal(r->resumes, i);
        rig_send(r, GTV_STR(""));
        assert_int_equal(status(r), 401);
        assert_int_equal(r->closed, i == GTV_RTSP_AUTH_TRIES);
    }
    gtv_rtsp_session_destroy(r->s, "closed", "");
    gtv_buf_reset(&r->kept);
    rig_connect(r);
    ask_with_digest(r, "wrong");
    assert_int_equal(status(r), 0);
    r->now_ms += GTV_RTSP_AUTH_DELAY_MS;
    gtv_rtsp_session_tick(r->s, r->now_ms);
    rig_send(r, GTV_STR(""));
    assert_int_equal(status(r), 401);
    ask_with_digest(r, "secret");
    assert_int_equal(status(r), 200);
    gtv_rtsp_session_destroy(r->s, "closed", "");
    rig_connect(r);
    ask(r, "ANNOUNCE", CAM, "Authorization: Basic YW5hOnNlY3JldA==\r\n", SDP_TEXT); // ana:secret
    assert_int_equal(status(r), 200);
    assert_int_equal(asked(r, "DESCRIBE", CAM, "Authorization: Basic YW5hOnNlY3JldA==\r\n"),
                     0); // only publish
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_wrong_request_has_its_answer),    TEST(rubbish_and_what_is_too_large_end_it),
        TEST(a_publisher_brings_its_path),          TEST(a_publisher_that_falls_silent_is_over),
        TEST(the_next_publisher_ends_the_first),    TEST(a_reader_gets_the_stream_from_its_key_frame),
        TEST(over_udp_the_client_has_to_live),      TEST(who_says_nothing_is_not_waited_for),
        TEST(wrong_credentials_are_answered_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
