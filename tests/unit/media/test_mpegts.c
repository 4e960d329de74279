#include "services/media/hls/mpegts.h"
#include "tests/unit/media/pictures.h"

#include <libavutil/crc.h>

// A demuxer of one pid's payload, which fails the test on anything that the standard does not allow.
struct demux {
    int counter[0x2000]; // last seen + 1; 0: none yet
    uint8_t payload[70000];
    size_t len;
    int64_t pcr;
    int starts, discontinuities, random_access;
};

static void read_field(struct demux *d, const uint8_t *field)
{
    size_t len = field[0];
    assert_true(len <= 183);
    if (len == 0) {
        return;
    }
    d->discontinuities += (field[1] & 0x80) != 0;
    d->random_access += (field[1] & 0x40) != 0;
    size_t used = 1;
    if (field[1] & 0x10) {
        d->pcr = (int64_t)field[2] << 25 | field[3] << 17 | field[4] << 9 | field[5] << 1 | field[6] >> 7;
        used += 6;
    }
    for (size_t i = used + 1; i <= len; i++) {
        assert_int_equal(field[i], 0xff);
    }
}

static void demux(struct demux *d, const struct gtv_bytes *ts, int wanted)
{
    d->len = 0;
    assert_int_equal(ts->len % GTV_MPEGTS_PACKET, 0);
    for (const uint8_t *p = ts->data; p < ts->data + ts->len; p += GTV_MPEGTS_PACKET) {
        assert_int_equal(p[0], 0x47);
        int pid = (p[1] & 0x1f) << 8 | p[2], counter = p[3] & 15;
        bool has_field = p[3] & 0x20, has_payload = p[3] & 0x10;
        bool jump = has_field && p[4] > 0 && p[5] & 0x80;
        if (d->counter[pid] != 0 && !jump) {
            assert_int_equal(counter, (d->counter[pid] - 1 + has_payload) & 15);
        }
        d->counter[pid] = counter + 1;
        const uint8_t *at = p + 4;
        if (has_field) {
            read_field(d, at);
            at += 1 + at[0];
        }
        assert_true(at <= p + GTV_MPEGTS_PACKET);
        if (pid == wanted && has_payload) {
            d->starts += (p[1] & 0x40) != 0;
            size_t n = (size_t)(p + GTV_MPEGTS_PACKET - at);
            memcpy(d->payload + d->len, at, n);
            d->len += n;
        }
    }
}

static int64_t timestamp(const uint8_t *b)
{
    assert_int_equal(b[0] & 1 & b[2] & b[4], 1);
    return (int64_t)(b[0] >> 1 & 7) << 30 | b[1] << 22 | (b[2] >> 1) << 15 | b[3] << 7 | b[4] >> 1;
}

static const int64_t start = INT64_C(1795360316369) * 90;

static void every_length_comes_back(void **state)
{
    static struct demux d;
    struct gtv_format *format = picture_format(GTV_CODEC_H264, GTV_CODEC_AAC, NULL);
    struct gtv_mpegts_counters counters = {0}, passed = {0};
    for (size_t n = 1; n < 800; n++) {
        bool reorder = n % 2 != 0, key = n % 25 == 1;
        struct gtv_bytes *slice = picture_slice(0x41, n);
        int64_t pts = start + (int64_t)n * 3600;
        struct gtv_sample s = {
            .data = slice, .pts = pts, .dts = reorder ? pts - 7200 : pts, .video = true, .key = key};
        struct gtv_bytes *out = gtv_mpegts_bytes(format, &s, 1, &counters);
        assert_int_equal(out->len, gtv_mpegts_pass(format, &s, &passed));
        assert_memory_equal(&passed, &counters, sizeof passed);
        demux(&d, out, GTV_MPEGTS_PID_VIDEO);
        size_t header = reorder ? 19 : 14, before = header + 6 + (key ? format->sets->len : 0);
        assert_int_equal(d.len, before + 4 + n);
        assert_memory_equal(d.payload, "\0\0\1\xe0", 4);
        assert_int_equal(d.payload[4] << 8 | d.payload[5], d.len - 6);
        assert_int_equal(d.payload[6], 0x84);
        assert_int_equal(timestamp(d.payload + 9), pts & 0x1ffffffff);
        if (reorder) {
            assert_int_equal(timestamp(d.payload + 14), (pts - 7200) & 0x1ffffffff);
        }
        assert_memory_equal(d.payload + header, "\0\0\0\1\x09\xf0\0\0\0\1", 10);
        assert_memory_equal(d.payload + before, "\0\0\0\1", 4);
        assert_memory_equal(d.payload + before + 4, slice->data + 4, n);
        assert_int_equal(d.pcr, (s.dts - 9000) & 0x1ffffffff);
        gtv_bytes_unref(out);

        s = (struct gtv_sample){.data = slice, .pts = pts, .dts = pts};
        out = gtv_mpegts_bytes(format, &s, 1, &counters);
        assert_int_equal(out->len, gtv_mpegts_pass(format, &s, &passed));
        demux(&d, out, GTV_MPEGTS_PID_AUDIO);
        assert_int_equal(d.len, 14 + 7 + 4 + n);
        assert_int_equal(d.payload[4] << 8 | d.payload[5], d.len - 6);
        assert_memory_equal(d.payload + 14, "\xff\xf1\x4c\x80", 4);
        assert_memory_equal(d.payload + 21, slice->data, n + 4);
        gtv_bytes_unref(out);
        gtv_bytes_unref(slice);
    }
    assert_int_equal(d.starts, 2 * 799);
    assert_int_equal(d.random_access, 32);
    assert_int_equal(d.discontinuities, 0);
    gtv_format_unref(format);
}

static void lengths_become_start_codes(void **state)
{
    static struct demux d;
    static const uint8_t two[] = {0, 0, 0, 2, 0x41, 0x9a, 0, 0, 0, 3, 0x41, 0x9b, 0x9c};
    static const uint8_t out_of_bounds[] = {0, 0, 0, 1, 0x41, 0, 0, 9, 0, 0x42};
    struct gtv_format *format = picture_format(GTV_CODEC_H264, GTV_CODEC_NONE, NULL);
    struct gtv_mpegts_counters counters = {0};
    struct gtv_sample s = {.data = gtv_bytes_copy(two, sizeof two), .video = true};
    struct gtv_bytes *out = gtv_mpegts_bytes(format, &s, 1, &counters);
    demux(&d, out, GTV_MPEGTS_PID_VIDEO);
    assert_int_equal(d.len, 14 + 6 + sizeof two);
    assert_memory_equal(d.payload + 20, "\0\0\0\1\x41\x9a\0\0\0\1\x41\x9b\x9c", sizeof two);
    gtv_bytes_unref(out);
    gtv_bytes_unref(s.data);

    s.data = gtv_bytes_copy(out_of_bounds, sizeof out_of_bounds);
    out = gtv_mpegts_bytes(format, &s, 1, &counters);
    demux(&d, out, GTV_MPEGTS_PID_VIDEO);
    assert_memory_equal(d.payload + 20, "\0\0\0\1\x41\0\0\x09\0\x42", sizeof out_of_bounds);
    gtv_bytes_unref(out);
    gtv_bytes_unref(s.data);
    gtv_format_unref(format);
}

static void check_crc(const uint8_t *section)
{
    size_t len = 3 + ((size_t)(section[1] & 15) << 8 | section[2]);
    // Over the whole section, its CRC included, the remainder is 0.
    assert_int_equal(av_crc(av_crc_get_table(AV_CRC_32_IEEE), 0xffffffff, section, len), 0);
}

static void tables_before_key_frames(void **state)
{
    static struct demux d;
    struct gtv_format *format = picture_format(GTV_CODEC_H265, GTV_CODEC_AAC, NULL);
    struct gtv_mpegts_counters counters = {0};
    struct gtv_sample s = {
        .data = picture_slice(0x28, 3), .pts = 90000, .dts = 90000, .video = true, .key = true};
    for (int i = 0; i < 40; i++) {
        struct gtv_bytes *out = gtv_mpegts_bytes(format, &s, 1, &counters);
        assert_int_equal(out->len, 3 * GTV_MPEGTS_PACKET);
        demux(&d, out, 0);
        check_crc(d.payload + 1);
        assert_int_equal((d.payload[11] & 0x1f) << 8 | d.payload[12], GTV_MPEGTS_PID_PMT);
        gtv_bytes_unref(out);
    }
    struct gtv_bytes *out = gtv_mpegts_bytes(format, &s, 1, &counters);
    demux(&d, out, GTV_MPEGTS_PID_PMT);
    check_crc(d.payload + 1);
    assert_int_equal(d.payload[13], 0x24);
    assert_non_null(memmem(d.payload, 60, "\x05\x04HEVC", 6));
    assert_non_null(memmem(d.payload, 60, "\x0f\xe1\x01\xf0\x00", 5));
    gtv_bytes_unref(out);
    out = gtv_mpegts_bytes(format, &s, 1, &counters);
    demux(&d, out, GTV_MPEGTS_PID_VIDEO);
    assert_memory_equal(d.payload + 14, "\0\0\0\1\x46\x01\x50\0\0\0\1\x40\x01", 13);
    gtv_bytes_unref(out);
    gtv_bytes_unref(s.data);
    gtv_format_unref(format);
}

static void opus_is_left_out(void **state)
{
    struct gtv_format *format = picture_format(GTV_CODEC_H264, GTV_CODEC_OPUS, NULL);
    struct gtv_mpegts_counters counters = {0}, none = {0};
    struct gtv_sample s = {.data = picture_slice(0x78, 3)};
    assert_false(gtv_mpegts_has_audio(format));
    assert_int_equal(gtv_mpegts_pass(format, &s, &counters), 0);
    struct gtv_bytes *out = gtv_mpegts_bytes(format, &s, 1, &counters);
    assert_int_equal(out->len, 0);
    assert_memory_equal(&counters, &none, sizeof none);
    gtv_bytes_unref(out);
    gtv_bytes_unref(s.data);
    gtv_format_unref(format);
}

static void adts(void **state)
{
    uint8_t h[GTV_MPEGTS_ADTS];
    // AAC-LC, 44.1 kHz, stereo.
    assert_true(gtv_mpegts_adts(GTV_STR("\x12\x10"), 100, h));
    assert_memory_equal(h, "\xff\xf1\x50\x80\x0d\x7f\xfc", 7);
    assert_false(gtv_mpegts_adts(GTV_STR("\x12"), 100, h));
    assert_false(gtv_mpegts_adts(GTV_STR("\x12\x10"), 8192, h));
    assert_false(gtv_mpegts_adts(GTV_STR("\x2a\x10"), 100, h)); // HE-AAC signalled explicitly
    assert_false(gtv_mpegts_adts(GTV_STR("\x17\x90"), 100, h)); // explicit rate
    assert_false(gtv_mpegts_adts(GTV_STR("\x12\x00"), 100, h)); // channels by programme config
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(lengths_become_start_codes),
        cmocka_unit_test(tables_before_key_frames),
        cmocka_unit_test(opus_is_left_out),
        cmocka_unit_test(adts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
