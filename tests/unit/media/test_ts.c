#include "services/media/ts.h"
#include "tests/unit/unit.h"

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
    assert_int_equal(ts->len % GTV_TS_PACKET, 0);
    for (const uint8_t *p = ts->data; p < ts->data + ts->len; p += GTV_TS_PACKET) {
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
        assert_true(at <= p + GTV_TS_PACKET);
        if (pid == wanted && has_payload) {
            d->starts += (p[1] & 0x40) != 0;
            size_t n = (size_t)(p + GTV_TS_PACKET - at);
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

static struct gtv_ts_unit unit_of(const uint8_t *data, size_t n, int64_t pts, int64_t dts, bool key)
{
    struct gtv_ts_unit u = {.part_count = 1, .pts = pts, .dts = dts, .key = key};
    u.parts[0] = (struct gtv_str){(const char *)data, n};
    return u;
}

static void every_length_comes_back(void **state)
{
    static struct demux d;
    static uint8_t data[2000];
    struct gtv_ts ts = {.video = GTV_CODEC_H264, .audio = true};
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)(i * 7);
    }
    for (size_t n = 1; n < 800; n++) {
        int64_t pts = INT64_C(161583528000000) + (int64_t)n * 3600;
        bool reorder = n % 2 != 0;
        struct gtv_ts_unit u = unit_of(data, n, pts, reorder ? pts - 7200 : pts, n % 25 == 1);
        struct gtv_bytes *out = gtv_ts_video(&ts, &u);
        demux(&d, out, GTV_TS_PID_VIDEO);
        size_t header = reorder ? 19 : 14;
        assert_int_equal(d.len, header + n);
        assert_memory_equal(d.payload, "\0\0\1\xe0", 4);
        assert_int_equal(d.payload[4] << 8 | d.payload[5], header - 6 + n);
        assert_int_equal(d.payload[6], 0x84);
        assert_int_equal(timestamp(d.payload + 9), pts & 0x1ffffffff);
        if (reorder) {
            assert_int_equal(timestamp(d.payload + 14), (pts - 7200) & 0x1ffffffff);
        }
        assert_memory_equal(d.payload + header, data, n);
        assert_int_equal(d.pcr, (u.dts - 9000) & 0x1ffffffff);
        gtv_bytes_unref(out);

        u = unit_of(data, n, pts, pts, false);
        out = gtv_ts_audio(&ts, &u);
        demux(&d, out, GTV_TS_PID_AUDIO);
        assert_int_equal(d.len, 14 + n);
        assert_int_equal(d.payload[4] << 8 | d.payload[5], 8 + n);
        assert_memory_equal(d.payload + 14, data, n);
        gtv_bytes_unref(out);
    }
    assert_int_equal(d.starts, 2 * 799);
    assert_int_equal(d.random_access, 32);
    assert_int_equal(d.discontinuities, 0);
}

static void parts_are_joined(void **state)
{
    static struct demux d;
    struct gtv_ts ts = {.video = GTV_CODEC_H264};
    struct gtv_ts_unit u = {.part_count = 3, .pts = 1, .dts = 1};
    u.parts[0] = GTV_STR("ab");
    u.parts[1] = GTV_STR("");
    u.parts[2] = GTV_STR("cdefg");
    struct gtv_bytes *out = gtv_ts_video(&ts, &u);
    demux(&d, out, GTV_TS_PID_VIDEO);
    assert_memory_equal(d.payload + 14, "abcdefg", 7);
    gtv_bytes_unref(out);
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
    struct gtv_ts ts = {.video = GTV_CODEC_H265, .audio = true};
    struct gtv_ts_unit u = unit_of((const uint8_t *)"x", 1, 90000, 90000, true);
    for (int i = 0; i < 40; i++) {
        struct gtv_bytes *out = gtv_ts_video(&ts, &u);
        assert_int_equal(out->len, 3 * GTV_TS_PACKET);
        demux(&d, out, 0);
        check_crc(d.payload + 1);
        assert_int_equal((d.payload[11] & 0x1f) << 8 | d.payload[12], GTV_TS_PID_PMT);
        gtv_bytes_unref(out);
    }
    struct gtv_bytes *out = gtv_ts_video(&ts, &u);
    demux(&d, out, GTV_TS_PID_PMT);
    check_crc(d.payload + 1);
    assert_int_equal(d.payload[13], 0x24);
    assert_non_null(memmem(d.payload, 60, "\x05\x04HEVC", 6));
    assert_non_null(memmem(d.payload, 60, "\x0f\xe1\x01\xf0\x00", 5));
    gtv_bytes_unref(out);
}

static void splices_allow_a_jump(void **state)
{
    static struct demux d;
    struct gtv_ts ts = {.video = GTV_CODEC_H264};
    struct gtv_ts_unit u = unit_of((const uint8_t *)"x", 1, 90000, 90000, true);
    struct gtv_bytes *first = gtv_ts_video(&ts, &u);
    demux(&d, first, GTV_TS_PID_VIDEO);
    for (int i = 0; i < 5; i++) {
        gtv_bytes_unref(gtv_ts_video(&ts, &u)); // the reader does not get these
    }
    struct gtv_ts_counters before = ts.next;
    struct gtv_bytes *later = gtv_ts_video(&ts, &u), *splice = gtv_ts_splice(before);
    demux(&d, splice, GTV_TS_PID_VIDEO);
    assert_int_equal(d.len, 0);
    assert_int_equal(d.discontinuities, 4);
    demux(&d, later, GTV_TS_PID_VIDEO); // checks the counters
    assert_int_equal(d.len, 15);
    gtv_bytes_unref(first);
    gtv_bytes_unref(later);
    gtv_bytes_unref(splice);
}

static void adts(void **state)
{
    uint8_t h[GTV_ADTS_HEADER];
    // AAC-LC, 44.1 kHz, stereo.
    assert_true(gtv_adts_header(GTV_STR("\x12\x10"), 100, h));
    assert_memory_equal(h, "\xff\xf1\x50\x80\x0d\x7f\xfc", 7);
    assert_false(gtv_adts_header(GTV_STR("\x12"), 100, h));
    assert_false(gtv_adts_header(GTV_STR("\x12\x10"), 8192, h));
    assert_false(gtv_adts_header(GTV_STR("\x2a\x10"), 100, h)); // HE-AAC signalled explicitly
    assert_false(gtv_adts_header(GTV_STR("\x17\x90"), 100, h)); // explicit rate
    assert_false(gtv_adts_header(GTV_STR("\x12\x00"), 100, h)); // channels by programme config
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length_comes_back),
        cmocka_unit_test(parts_are_joined),
        cmocka_unit_test(tables_before_key_frames),
        cmocka_unit_test(splices_allow_a_jump),
        cmocka_unit_test(adts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
