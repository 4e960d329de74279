#include "lib/rtsp/sdp.h"
#include "tests/unit/unit.h"

static const char camera[] =
    "v=0\r\n"
    "o=- 1 1 IN IP4 10.0.0.5\r\n"
    "s=Media Server\r\n"
    "c=IN IP4 0.0.0.0\r\n"
    "t=0 0\r\n"
    "a=control:rtsp://10.0.0.5:554/live/\r\n"
    "a=range:npt=now-\r\n"
    "m=video 0 RTP/AVP 96\r\n"
    "a=fmtp:96 packetization-mode=1;profile-level-id=640033;"
    "sprop-parameter-sets=Z2QAM6w0yAHgAIn5ZuDAgMgAAAMACAAAAwGUeMGVQA==,aO48sA==\r\n"
    "a=rtpmap:96 H264/90000\r\n"
    "a=control:trackID=0\r\n"
    "m=audio 0 RTP/AVP 97\r\n"
    "a=rtpmap:97 mpeg4-generic/16000/1\r\n"
    "a=fmtp:97 streamtype=5; mode=AAC-hbr; config=1408; SizeLength=13; IndexLength=3;"
    "IndexDeltaLength=3;\r\n"
    "a=control:trackID=1\r\n"
    "m=application 0 RTP/AVP 107\r\n"
    "a=rtpmap:107 vnd.onvif.metadata/90000\r\n"
    "a=control:trackID=4\r\n";

static bool parse(const char *text, struct gtv_sdp *s)
{
    struct gtv_error err = {0};
    return gtv_sdp_parse(gtv_str_of(text), s, &err);
}

static void test_a_camera(void **state)
{
    struct gtv_sdp s;
    assert_true(parse(camera, &s));
    assert_int_equal(s.count, 3);
    assert_string_equal(s.control, "rtsp://10.0.0.5:554/live/");
    const struct gtv_sdp_track *v = &s.tracks[0], *a = &s.tracks[1];
    assert_int_equal(v->kind, GTV_SDP_VIDEO);
    assert_int_equal(v->codec, GTV_CODEC_H264);
    assert_int_equal(v->payload_type, 96);
    assert_int_equal(v->clock, 90000);
    assert_int_equal(v->packetization_mode, 1);
    assert_string_equal(v->control, "trackID=0");
    assert_int_equal(v->sets->data[3] + 4, v->sets->len - 4 - 4);
    assert_int_equal(v->sets->data[4], 0x67);
    static const uint8_t pps[] = {0, 0, 0, 4, 0x68, 0xee, 0x3c, 0xb0};
    assert_memory_equal(v->sets->data + v->sets->len - 8, pps, 8);
    assert_int_equal(a->kind, GTV_SDP_AUDIO);
    assert_int_equal(a->codec, GTV_CODEC_AAC);
    assert_int_equal(a->clock, 16000);
    assert_int_equal(a->channels, 1);
    assert_int_equal(a->size_length, 13);
    assert_int_equal(a->config->len, 2);
    assert_int_equal(a->config->data[0], 0x14);
    assert_int_equal(s.tracks[2].kind, GTV_SDP_OTHER);
    assert_int_equal(s.tracks[2].codec, GTV_CODEC_NONE);
    gtv_sdp_finish(&s);
}

static void test_other_codecs(void **state)
{
    struct gtv_sdp s;
    assert_true(
        parse("v=0\n"
              "m=video 0 RTP/AVP 26 98\n" // the one that can be carried is taken, whatever its place
              "a=rtpmap:98 H265/90000\n"
              "a=fmtp:98 sprop-vps=QAEMAf//AWAAAAMAAAMAAAMAAAMAlqwJ; sprop-sps=QgEBAWAAAAMAAAMAAAMAAAM=;"
              "sprop-pps=RAHgdrAmQA==; sprop-max-don-diff=2\n"
              "m=audio 0 RTP/AVP 8\n"
              "m=audio 0 RTP/AVP 0 101\n"
              "a=rtpmap:101 telephone-event/8000\n"
              "m=audio 0 RTP/AVP 111\n"
              "a=rtpmap:111 opus/48000/2\n"
              "m=audio 0 RTP/AVP 96\n"
              "a=rtpmap:96 MP4A-LATM/24000\n"
              "a=fmtp:96 profile-level-id=15;object=2;cpresent=0;config=400026203fc0\n"
              "m=video 0 RTP/AVP 26\n",
              &s));
    assert_int_equal(s.count, 6);
    assert_int_equal(s.tracks[0].codec, GTV_CODEC_H265);
    assert_int_equal(s.tracks[0].payload_type, 98);
    assert_true(s.tracks[0].donl);
    assert_int_equal(s.tracks[0].sets->data[4], 0x40);
    assert_int_equal(s.tracks[1].codec, GTV_CODEC_PCMA);
    assert_int_equal(s.tracks[1].clock, 8000);
    assert_int_equal(s.tracks[2].codec, GTV_CODEC_PCMU);
    assert_int_equal(s.tracks[3].codec, GTV_CODEC_OPUS);
    assert_int_equal(s.tracks[3].channels, 2);
    assert_true(s.tracks[4].latm);
    assert_int_equal(s.tracks[4].codec, GTV_CODEC_AAC);
    assert_int_equal(s.tracks[4].config->len, 2);
    assert_int_equal(s.tracks[4].config->data[0], 0x13); // AAC-LC, 24 kHz
    assert_int_equal(s.tracks[4].config->data[1], 0x10); // mono
    assert_int_equal(s.tracks[5].codec, GTV_CODEC_NONE);
    assert_string_equal(s.tracks[5].encoding, "JPEG");
    gtv_sdp_finish(&s);
}

static void test_bad_input(void **state)
{
    struct gtv_sdp s;
    assert_false(parse("", &s));
    assert_false(parse("<html>no camera here</html>", &s));
    assert_true(parse("v=0\n", &s));
    assert_int_equal(s.count, 0);
    assert_true(parse("m=video\nm=audio 0\nm=\nm=video 0 RTP/AVP 999\na=rtpmap:999 H264/90000\n"
                      "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/0\na=fmtp:96 sprop-parameter-sets=!!!,Z,aO4=\n",
                      &s));
    assert_int_equal(s.count, 5);
    assert_int_equal(s.tracks[4].codec, GTV_CODEC_H264);
    assert_int_equal(s.tracks[4].clock, 90000);
    assert_null(s.tracks[4].sets); // too short to be any
    gtv_sdp_finish(&s);
    // AAC without its configuration cannot be carried; encryption neither.
    assert_true(parse("m=audio 0 RTP/AVP 97\na=rtpmap:97 mpeg4-generic/16000/1\nm=video 0 RTP/SAVP 96\n"
                      "a=rtpmap:96 H264/90000\nm=video 0 raw/raw 96\na=rtpmap:96 H264/90000\n",
                      &s));
    assert_int_equal(s.tracks[0].codec, GTV_CODEC_NONE);
    assert_int_equal(s.tracks[1].codec, GTV_CODEC_NONE);
    assert_int_equal(s.tracks[2].codec, GTV_CODEC_NONE);
    gtv_sdp_finish(&s);
    struct gtv_buf b = {0};
    for (int i = 0; i < GTV_SDP_TRACKS_MAX + 5; i++) {
        gtv_buf_puts(&b, "m=video 0 RTP/AVP 96\na=rtpmap:96 H264/90000\n");
    }
    assert_true(parse(b.data, &s));
    assert_int_equal(s.count, GTV_SDP_TRACKS_MAX);
    gtv_sdp_finish(&s);
    for (int i = 0; i < GTV_SDP_LINES_MAX; i++) {
        gtv_buf_puts(&b, "a=x\n");
    }
    assert_false(parse(b.data, &s));
    gtv_sdp_finish(&s);
    gtv_buf_finish(&b);
}

static void test_writing_comes_back(void **state)
{
    struct gtv_sdp s, again;
    struct gtv_buf b = {0};
    assert_true(parse(camera, &s));
    gtv_sdp_write(&b, &s, "cam\r\nm=evil 0 0 0", "0.0.0.0");
    assert_false(b.failed);
    assert_true(parse(b.data, &again));
    assert_int_equal(again.count, 2);
    assert_string_equal(again.control, s.control);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(again.tracks[i].codec, s.tracks[i].codec);
        assert_int_equal(again.tracks[i].clock, s.tracks[i].clock);
        assert_string_equal(again.tracks[i].control, s.tracks[i].control);
    }
    assert_true(gtv_str_eq(gtv_bytes_str(again.tracks[0].sets), gtv_bytes_str(s.tracks[0].sets)));
    assert_true(gtv_str_eq(gtv_bytes_str(again.tracks[1].config), gtv_bytes_str(s.tracks[1].config)));
    gtv_sdp_finish(&s);
    gtv_sdp_finish(&again);
    gtv_buf_finish(&b);
}

static void test_control_urls(void **state)
{
    static const struct {
        const char *base, *control, *url;
    } cases[] = {
        {"rtsp://h/a", "trackID=0", "rtsp://h/a/trackID=0"},
        {"rtsp://h/a/", "trackID=0", "rtsp://h/a/trackID=0"},
        {"rtsp://h/a/", "/trackID=0", "rtsp://h/a/trackID=0"},
        {"rtsp://h/a?channel=1&subtype=0", "trackID=0", "rtsp://h/a?channel=1&subtype=0/trackID=0"},
        {"rtsp://h/a", "?ctype=video", "rtsp://h/a?ctype=video"},
        {"rtsp://h/a", "*", "rtsp://h/a"},
        {"rtsp://h/a", "", "rtsp://h/a"},
        {"rtsp://h/a", "rtsp://h:8554/b/1", "rtsp://h:8554/b/1"},
    };
    char out[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(
            gtv_sdp_control_url(gtv_str_of(cases[i].base), gtv_str_of(cases[i].control), out, sizeof out));
        assert_string_equal(out, cases[i].url);
    }
    assert_false(gtv_sdp_control_url(GTV_STR("rtsp://h/a"), GTV_STR("trackID=0"), out, 20));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_camera),     cmocka_unit_test(test_other_codecs),
        cmocka_unit_test(test_bad_input),    cmocka_unit_test(test_writing_comes_back),
        cmocka_unit_test(test_control_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
