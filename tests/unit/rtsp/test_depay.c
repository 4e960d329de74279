#include "lib/rtsp/depay.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

// What came out: units as hexadecimal text, audio frames as they are.
struct out {
    int units, frames, damaged, keys;
    char text[4096];
    int64_t stamps[256];
    size_t lengths[256];
};

static void put(struct out *o, const char *data, size_t n)
{
    size_t at = strlen(o->text);
    for (size_t i = 0; i < n && at + 4 < sizeof o->text; i++, at += 2) {
        snprintf(o->text + at, 3, "%02x", (unsigned char)data[i]);
    }
    snprintf(o->text + at, 2, " ");
}

static void on_video(void *arg, struct gtv_access *unit, int64_t stamp, size_t received)
{
    struct out *o = arg;
    assert_true(unit->picture && received > 0);
    o->stamps[o->units] = stamp;
    o->lengths[o->units] = unit->data.len;
    o->units++;
    o->damaged += unit->damaged;
    o->keys += unit->key;
    if (unit->sets.len > 0) {
        put(o, unit->sets.data, unit->sets.len);
    }
    put(o, unit->data.data, unit->data.len);
}

static void on_audio(void *arg, struct gtv_str frame, int64_t stamp, size_t received)
{
    struct out *o = arg;
    o->stamps[o->frames] = stamp;
    o->lengths[o->frames++] = frame.n;
    put(o, frame.p, frame.n);
}

static const struct gtv_depay_callbacks callbacks = {on_video, on_audio};
static struct out out;
static struct gtv_depay depay;
static struct gtv_rtp_stream stream;
static uint16_t seq;

static void on_delivery(void *arg, const struct gtv_rtp_delivery *d)
{
    gtv_depay_packet(arg, d);
}

static void begin(const struct gtv_sdp_track *track, bool reorder)
{
    out = (struct out){0};
    gtv_rtp_stream_finish(&stream);
    gtv_depay_finish(&depay);
    gtv_depay_init(&depay, track, &callbacks, &out);
    gtv_rtp_stream_init(&stream, track->clock, 96, reorder, on_delivery, &depay);
    seq = 65530; // wraps soon
}

// In memory of exactly its size, so that the sanitizer sees a read beyond it.
static void send_as(uint16_t number, uint32_t timestamp, bool marker, const void *payload, size_t n,
                    int64_t now_ms)
{
    uint8_t *packet = malloc(12 + n);
    assert_non_null(packet);
    const uint8_t head[12] = {0x80,
                              (uint8_t)(96 | marker << 7),
                              (uint8_t)(number >> 8),
                              (uint8_t)number,
                              (uint8_t)(timestamp >> 24),
                              (uint8_t)(timestamp >> 16),
                              (uint8_t)(timestamp >> 8),
                              (uint8_t)timestamp,
                              1,
                              2,
                              3,
                              4};
    memcpy(packet, head, sizeof head);
    memcpy(packet + 12, payload, n);
    gtv_rtp_stream_push(&stream, (struct gtv_str){(const char *)packet, 12 + n}, now_ms);
    free(packet);
}

#define SEND(timestamp, marker, literal) send_as(seq++, timestamp, marker, literal, sizeof(literal) - 1, 0)

static const struct gtv_sdp_track h264 = {.kind = GTV_SDP_VIDEO, .codec = GTV_CODEC_H264, .clock = 90000};
static const struct gtv_sdp_track h265 = {.kind = GTV_SDP_VIDEO, .codec = GTV_CODEC_H265, .clock = 90000};

static void test_h264(void **state)
{
    begin(&h264, false);
    // A STAP-A with both parameter sets, then an IDR in three fragments, then a slice of its own.
    SEND(1000, false, "\x78\x00\x02\x67\x01\x00\x02\x68\x02");
    SEND(1000, false,
         "\x7c\x85"
         "aa");
    SEND(1000, false,
         "\x7c\x05"
         "bb");
    SEND(1000, true,
         "\x7c\x45"
         "cc");
    assert_int_equal(out.units, 1);
    SEND(4600, true,
         "\x41"
         "dd");
    assert_int_equal(out.units, 2);
    assert_int_equal(out.keys, 1);
    assert_int_equal(out.damaged, 0);
    assert_string_equal(out.text, "000000026701000000026802 0000000765616162626363 00000003416464 ");
    assert_int_equal(out.stamps[1] - out.stamps[0], 3600);
}

static void test_a_unit_without_a_marker(void **state)
{
    begin(&h264, false);
    SEND(0, false,
         "\x41"
         "a");
    SEND(0, false,
         "\x41"
         "b");
    assert_int_equal(out.units, 0);
    SEND(3600, false,
         "\x41"
         "c");
    assert_int_equal(out.units, 1);
    assert_string_equal(out.text, "000000024161000000024162 ");
}

static void test_markers_on_every_slice(void **state)
{
    begin(&h264, false);
    for (uint32_t i = 0; i < 10; i++) {
        SEND(i * 3600, true,
             "\x41"
             "a");
        SEND(i * 3600, true,
             "\x41"
             "b");
    }
    // The first picture fell apart; from then on only the time stamp counts.
    assert_int_equal(out.damaged, 1);
    assert_int_equal(out.units, 10);
    assert_int_equal(out.lengths[9], 12);
}

static void test_sets_with_their_own_time_stamp(void **state)
{
    begin(&h264, false);
    SEND(0, true, "\x67\x01");
    SEND(0, true, "\x68\x02");
    SEND(3600, true, "\x65\x03");
    assert_int_equal(out.units, 1);
    assert_string_equal(out.text, "000000026701000000026802 000000026503 ");
    assert_int_equal(out.stamps[0], 3600);
}

static void test_h265(void **state)
{
    begin(&h265, false);
    SEND(0, false, "\x60\x01\x00\x03\x40\x01\x0a\x00\x03\x42\x01\x0b\x00\x03\x44\x01\x0c");
    SEND(0, false,
         "\x62\x01\x93"
         "aa");
    SEND(0, true,
         "\x62\x01\x53"
         "bb");
    SEND(3600, true,
         "\x02\x01"
         "cc");
    assert_int_equal(out.units, 2);
    assert_int_equal(out.keys, 1);
    assert_int_equal(out.damaged, 0);
    assert_string_equal(out.text,
                        "0000000340010a0000000342010b0000000344010c 00000006260161616262 0000000402016363 ");
    // With decoding order numbers in all payloads.
    struct gtv_sdp_track donl = h265;
    donl.donl = true;
    begin(&donl, false);
    SEND(0, false, "\x60\x01\x00\x01\x00\x03\x40\x01\x0a\x00\x00\x03\x42\x01\x0b");
    SEND(0, false,
         "\x62\x01\x93\x00\x02"
         "aa");
    SEND(0, false,
         "\x62\x01\x53"
         "bb");
    SEND(0, true,
         "\x02\x01\x00\x03"
         "cc");
    assert_string_equal(out.text, "0000000340010a0000000342010b 000000062601616162620000000402016363 ");
    assert_int_equal(out.damaged, 0);
}

static void test_loss(void **state)
{
    begin(&h264, false);
    SEND(0, true,
         "\x65"
         "a");
    seq++;
    SEND(3600, true,
         "\x41"
         "b");
    SEND(7200, false,
         "\x7c\x81"
         "c");
    seq++;
    SEND(7200, true,
         "\x7c\x41"
         "d");
    SEND(10800, true,
         "\x41"
         "e");
    assert_int_equal(out.units, 4);
    assert_int_equal(out.damaged, 2);
    assert_int_equal(stream.missing, 2);
    // A fragment whose beginning never came, duplicates, and what is no H.264 at all.
    SEND(14400, true,
         "\x7c\x41"
         "f");
    SEND(18000, true,
         "\x41"
         "g");
    seq--;
    SEND(18000, true,
         "\x41"
         "g");
    SEND(21600, false, "\x7f\xff");
    SEND(21600, false, "\x78\xff\xff\x41");
    SEND(21600, true, "");
    SEND(25200, true,
         "\x41"
         "h");
    assert_int_equal(out.units, 6);
}

static void test_reordering(void **state)
{
    static const char names[] = "abcdefgh";
    static const uint16_t order[] = {0, 2, 1, 1, 5, 4, 3, 7, 6, 0};
    begin(&h264, true);
    uint16_t first = seq;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        char payload[2] = {0x41, names[order[i]]};
        send_as((uint16_t)(first + order[i]), order[i] * 3600u, true, payload, 2, 0);
    }
    assert_int_equal(out.units, 8);
    assert_int_equal(out.damaged, 0);
    for (int i = 1; i < 8; i++) {
        assert_int_equal(out.stamps[i] - out.stamps[i - 1], 3600);
    }
    // One that does not come is given up after its time, and after as many packets as are held.
    send_as((uint16_t)(first + 9), 9 * 3600, true, "\x41x", 2, 1000);
    gtv_rtp_stream_tick(&stream, 1000 + GTV_RTP_HELD_MS - 1);
    assert_int_equal(out.units, 8);
    gtv_rtp_stream_tick(&stream, 1000 + GTV_RTP_HELD_MS);
    assert_int_equal(out.units, 9);
    assert_int_equal(out.damaged, 1);
    for (uint16_t i = 11; i < 11 + GTV_RTP_HELD_MAX; i++) {
        send_as((uint16_t)(first + i), i * 3600u, true, "\x41y", 2, 2000);
    }
    assert_true(out.units >= 9 + GTV_RTP_HELD_MAX - 1);
    assert_int_equal(stream.missing, 2);
}

static void test_time_wraps(void **state)
{
    begin(&h264, false);
    for (uint32_t i = 0; i < 4; i++) {
        SEND(0xfffff000u + i * 3600, true,
             "\x41"
             "a");
    }
    assert_int_equal(out.stamps[3] - out.stamps[0], 3 * 3600);
    // Another sender, on the same track.
    uint8_t packet[14] = {0x80, 0xe0, 0x12, 0x34, 0, 0, 0, 0, 9, 9, 9, 9, 0x41, 'z'};
    gtv_rtp_stream_push(&stream, (struct gtv_str){(char *)packet, sizeof packet}, 0);
    assert_int_equal(out.units, 5);
    assert_int_equal(out.damaged, 1);
    // Jumps for ever neither overflow nor stop anything.
    for (uint32_t i = 0; i < 60; i++) {
        uint32_t stamp = (i + 1) * 0x7fffffffu;
        packet[3]++;
        for (int b = 0; b < 4; b++) {
            packet[4 + b] = (uint8_t)(stamp >> (24 - 8 * b));
        }
        out.units = 0;
        gtv_rtp_stream_push(&stream, (struct gtv_str){(char *)packet, sizeof packet}, 0);
        assert_int_equal(out.units, 1);
    }
}

static void test_headers(void **state)
{
    struct gtv_rtp_packet p;
    // An extension of one word, one contributing source, three bytes of padding.
    static const uint8_t packet[] = {0xb1, 96,   0,    1, 0, 0, 0, 2, 0, 0,   0,   3, 1, 1, 1,
                                     1,    0xbe, 0xde, 0, 1, 9, 9, 9, 9, 'o', 'k', 0, 0, 3};
    assert_true(gtv_rtp_read((struct gtv_str){(const char *)packet, sizeof packet}, &p));
    assert_str(p.payload, "ok");
    for (size_t n = 0; n < 26; n++) {
        char *copy = malloc(n + 1);
        memcpy(copy, packet, n);
        if (gtv_rtp_read((struct gtv_str){copy, n}, &p)) {
            assert_true(p.payload.n <= n);
        }
        free(copy);
    }
    assert_false(gtv_rtp_read((struct gtv_str){(const char *)packet, 20}, &p));
}

static void test_aac(void **state)
{
    uint8_t config_bytes[] = {0x14, 0x08};
    struct gtv_bytes *config = gtv_bytes_copy(config_bytes, 2);
    struct gtv_sdp_track aac = {.kind = GTV_SDP_AUDIO,
                                .codec = GTV_CODEC_AAC,
                                .clock = 16000,
                                .config = config,
                                .size_length = 13,
                                .index_length = 3,
                                .index_delta_length = 3};
    begin(&aac, false);
    SEND(16000, true,
         "\x00\x20\x00\x10\x00\x18"
         "aabbb");
    assert_int_equal(out.frames, 2);
    assert_string_equal(out.text, "6161 626262 ");
    assert_int_equal(out.stamps[0], 90000);
    assert_int_equal(out.stamps[1], 90000 + 1024 * 90000 / 16000);
    // In two fragments, and one that never ends.
    SEND(17024, false,
         "\x00\x10\x00\x20"
         "cc");
    SEND(17024, true,
         "\x00\x10\x00\x20"
         "dd");
    SEND(18048, false,
         "\x00\x10\x00\x20"
         "ee");
    SEND(19072, true,
         "\x00\x10\x00\x08"
         "f");
    assert_string_equal(out.text, "6161 626262 63636464 66 ");
    SEND(20096, true, "\xff\xff\x00");
    SEND(20096, true,
         "\x00\x20\x00\x08\xff\xf8"
         "g");
    SEND(20096, true, "\x00");
    gtv_bytes_unref(config);
}

static void test_other_audio(void **state)
{
    struct gtv_sdp_track track = {.kind = GTV_SDP_AUDIO, .codec = GTV_CODEC_OPUS, .clock = 48000};
    begin(&track, false);
    SEND(48000, true, "opus");
    assert_string_equal(out.text, "6f707573 ");
    assert_int_equal(out.stamps[0], 90000);
    track.codec = GTV_CODEC_PCMA;
    track.clock = 8000;
    begin(&track, false);
    SEND(8000, false, "alaw");
    assert_string_equal(out.text, "616c6177 ");
    track.codec = GTV_CODEC_AAC;
    track.clock = 24000;
    track.latm = true;
    begin(&track, false);
    SEND(24000, false,
         "\x04"
         "la");
    SEND(24000, true, "tm");
    SEND(25024, true,
         "\xff\x05"
         "short");
    SEND(26048, true,
         "\x02"
         "ok");
    assert_string_equal(out.text, "6c61746d 6f6b ");
}

static void test_reports(void **state)
{
    uint8_t report[GTV_RTCP_REPORT_BYTES];
    begin(&h264, false);
    assert_int_equal(gtv_rtcp_write_report(&stream, 7, 0, report), 0);
    SEND(0, true,
         "\x41"
         "a");
    seq++;
    SEND(3600, true,
         "\x41"
         "b");
    static const uint8_t sender[28] = {0x80, 200, 0, 6, 1, 2, 3, 4, 0, 0, 0xaa, 0xbb, 0xcc, 0xdd};
    assert_int_equal(gtv_rtcp_read(&stream, (struct gtv_str){(const char *)sender, 28}, 1000),
                     GTV_RTCP_NOTHING);
    assert_int_equal(gtv_rtcp_write_report(&stream, 7, 1500, report), sizeof report);
    static const uint8_t begins[] = {0x81, 201, 0, 7, 0, 0, 0, 7, 1, 2, 3, 4};
    assert_memory_equal(report, begins, sizeof begins);
    assert_int_equal(report[12], 256 / 3);
    assert_int_equal(report[15], 1);
    static const uint8_t last[] = {0xaa, 0xbb, 0xcc, 0xdd, 0, 0, 0x80, 0};
    assert_memory_equal(report + 24, last, sizeof last);
    static const uint8_t bye[] = {0x80, 201, 0, 1, 1, 2, 3, 4, 0x81, 203, 0, 1, 1, 2, 3, 4, 0x80};
    assert_int_equal(gtv_rtcp_read(&stream, (struct gtv_str){(const char *)bye, sizeof bye}, 0),
                     GTV_RTCP_BYE);
}

static void test_the_senders_clock(void **state)
{
    int64_t us = 0;
    begin(&h264, false);
    // A whole second and a half, at the time stamp 90000.
    static const uint8_t report[28] = {0x80, 200,  0,    6, 1, 2, 3, 4, 0xed, 0x00,
                                       0x2c, 0x7e, 0x80, 0, 0, 0, 0, 1, 0x5f, 0x90};
    assert_false(gtv_rtp_sender_time(&stream, 0, &us));
    (void)gtv_rtcp_read(&stream, (struct gtv_str){(const char *)report, 28}, 1000);
    assert_false(gtv_rtp_sender_time(&stream, 0, &us)); // nothing came yet
    SEND(90000 + 45000, true,
         "\x41"
         "a");
    assert_true(gtv_rtp_sender_time(&stream, stream.ticks, &us));
    assert_int_equal(us, (INT64_C(0xed002c7e) - INT64_C(2208988800)) * 1000000 + 1000000);
    assert_true(gtv_rtp_sender_time(&stream, stream.ticks - 90000, &us));
    assert_int_equal(us, (INT64_C(0xed002c7e) - INT64_C(2208988800)) * 1000000);
    static const uint8_t none[28] = {0x80, 200, 0, 6, 1, 2, 3, 4};
    (void)gtv_rtcp_read(&stream, (struct gtv_str){(const char *)none, 28}, 1000);
    assert_false(gtv_rtp_sender_time(&stream, stream.ticks, &us));
}

static int finish(void **state)
{
    gtv_rtp_stream_finish(&stream);
    gtv_depay_finish(&depay);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_h264),
        cmocka_unit_test(test_a_unit_without_a_marker),
        cmocka_unit_test(test_markers_on_every_slice),
        cmocka_unit_test(test_sets_with_their_own_time_stamp),
        cmocka_unit_test(test_h265),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_reordering),
        cmocka_unit_test(test_time_wraps),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_aac),
        cmocka_unit_test(test_other_audio),
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_the_senders_clock),
    };
    return cmocka_run_group_tests(tests, NULL, finish);
}
