#include "services/ai/watch/ts.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

enum { PMT = 0x1000, VIDEO = 0x100, MAX = 8 };

struct got {
    struct gtv_ts_unit units[MAX];
    size_t n;
};

static void on_unit(void *arg, struct gtv_ts_unit *unit)
{
    struct got *g = arg;
    assert_true(g->n < MAX);
    g->units[g->n++] = *unit;
}

static void put_head(uint8_t *p, int pid, bool begins, int continuity)
{
    memset(p, 0xff, GTV_TS_PACKET);
    p[0] = 0x47;
    p[1] = (uint8_t)((begins ? 0x40 : 0) | pid >> 8);
    p[2] = (uint8_t)pid;
    p[3] = (uint8_t)(0x10 | (continuity & 15));
}

static void put_tables(uint8_t out[2 * GTV_TS_PACKET], uint8_t type)
{
    static const uint8_t pat[] = {0, 0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0, 1, 2, 3, 4};
    uint8_t pmt[] = {0,    2, 0xb0, 18,   0,    1,    0xc1, 0, 0, 0xe1, 0,
                     0xf0, 0, type, 0xe1, 0x00, 0xf0, 0,    1, 2, 3,    4};
    put_head(out, 0, true, 0);
    memcpy(out + 4, pat, sizeof(pat));
    put_head(out + GTV_TS_PACKET, PMT, true, 0);
    memcpy(out + GTV_TS_PACKET + 4, pmt, sizeof(pmt));
}

// A packet of video with n bytes of payload, filled up by an adaptation field.
static void put_video(uint8_t *p, bool begins, int continuity, const uint8_t *data, size_t n)
{
    put_head(p, VIDEO, begins, continuity);
    size_t room = GTV_TS_PACKET - 4;
    assert_true(n <= room);
    if (n < room) {
        p[3] |= 0x20;
        p[4] = (uint8_t)(room - n - 1);
        if (p[4])
            p[5] = 0;
    }
    memcpy(p + GTV_TS_PACKET - n, data, n);
}

static size_t put_pes(uint8_t *out, const uint8_t *es, size_t n, bool known, int64_t pts)
{
    size_t length = known ? n + 8 : 0;
    const uint8_t head[] = {0,
                            0,
                            1,
                            0xe0,
                            (uint8_t)(length >> 8),
                            (uint8_t)length,
                            0x80,
                            0x80,
                            5,
                            (uint8_t)(0x21 | (pts >> 29 & 0x0e)),
                            (uint8_t)(pts >> 22),
                            (uint8_t)(pts >> 14 | 1),
                            (uint8_t)(pts >> 7),
                            (uint8_t)(pts << 1 | 1)};
    memcpy(out, head, sizeof(head));
    memcpy(out + sizeof(head), es, n);
    return sizeof(head) + n;
}

static const uint8_t idr[] = {0, 0, 0, 1, 9, 0x10, 0, 0, 0, 1, 0x67, 1, 2, 0, 0, 1, 0x65, 7, 7, 7};
static const uint8_t slice[] = {0, 0, 0, 1, 9, 0x10, 0, 0, 1, 0x41, 8, 8};

static void finish(struct gtv_ts_reader *ts, struct got *g)
{
    for (size_t i = 0; i < g->n; i++)
        free(g->units[i].data);
    gtv_ts_finish(ts);
}

// However the stream is cut, the same pictures come out, each as soon as its last byte is there.
static void pictures_with_their_times(void **state)
{
    for (size_t piece = 1; piece < 400; piece += 37) {
        uint8_t stream[4 * GTV_TS_PACKET], pes[200];
        struct got g = {.n = 0};
        struct gtv_ts_reader ts;
        gtv_ts_init(&ts, on_unit, &g);
        put_tables(stream, 0x1b);
        size_t n = put_pes(pes, idr, sizeof(idr), true, 8589934591);
        put_video(stream + 2 * GTV_TS_PACKET, true, 0, pes, n);
        n = put_pes(pes, slice, sizeof(slice), false, 3000);
        put_video(stream + 3 * GTV_TS_PACKET, true, 1, pes, n);
        for (size_t at = 0; at < sizeof(stream); at += piece)
            gtv_ts_feed(&ts, stream + at, piece < sizeof(stream) - at ? piece : sizeof(stream) - at);
        assert_int_equal(g.n, 1); // the second has no length, and it began in its last packet
        assert_true(g.units[0].key);
        assert_int_equal(g.units[0].codec, GTV_TS_H264);
        assert_int_equal(g.units[0].len, sizeof(idr));
        assert_memory_equal(g.units[0].data, idr, sizeof(idr));
        assert_true(g.units[0].has_pts && g.units[0].pts33 == 8589934591);
        finish(&ts, &g);
    }
}

static void a_long_picture_ends_with_its_filled_packet(void **state)
{
    uint8_t tables[2 * GTV_TS_PACKET], packet[GTV_TS_PACKET], pes[200], more[184];
    struct got g = {.n = 0};
    struct gtv_ts_reader ts;
    gtv_ts_init(&ts, on_unit, &g);
    put_tables(tables, 0x24);
    gtv_ts_feed(&ts, tables, sizeof(tables));
    uint8_t es[170] = {0, 0, 1, 0x26, 1}; // IDR_W_RADL
    size_t n = put_pes(pes, es, sizeof(es), false, 90000);
    assert_int_equal(n, 184);
    put_video(packet, true, 0, pes, n);
    gtv_ts_feed(&ts, packet, sizeof(packet));
    memset(more, 5, sizeof(more));
    put_video(packet, false, 1, more, 184);
    gtv_ts_feed(&ts, packet, sizeof(packet));
    assert_int_equal(g.n, 0);
    put_video(packet, false, 2, more, 20);
    gtv_ts_feed(&ts, packet, sizeof(packet));
    assert_int_equal(g.n, 1);
    assert_true(g.units[0].key && g.units[0].codec == GTV_TS_H265 && g.units[0].len == 170 + 184 + 20);
    finish(&ts, &g);
}

static void a_hole_drops_the_picture(void **state)
{
    uint8_t tables[2 * GTV_TS_PACKET], packet[GTV_TS_PACKET], pes[200], more[184] = {0};
    struct got g = {.n = 0};
    struct gtv_ts_reader ts;
    gtv_ts_init(&ts, on_unit, &g);
    put_tables(tables, 0x1b);
    gtv_ts_feed(&ts, tables, sizeof(tables));
    size_t n = put_pes(pes, idr, sizeof(idr), false, 0);
    put_video(packet, true, 0, pes, n);
    gtv_ts_feed(&ts, packet, sizeof(packet));
    put_video(packet, false, 3, more, 20);
    gtv_ts_feed(&ts, packet, sizeof(packet));
    assert_int_equal(g.n, 0);
    assert_int_equal(ts.damaged, 1);
    // Sound and other tables are no video; rubbish between packets is passed over.
    uint8_t rubbish[700];
    for (size_t i = 0; i < sizeof(rubbish); i++)
        rubbish[i] = (uint8_t)(i * 7919);
    gtv_ts_feed(&ts, rubbish, sizeof(rubbish));
    assert_int_equal(g.n, 0);
    finish(&ts, &g);
}

static void key_frames(void **state)
{
    static const uint8_t trail[] = {0, 0, 1, 0x46, 1, 0x50, 0, 0, 1, 0x02, 1}, cra[] = {0, 0, 1, 0x2a, 1, 0};
    assert_true(gtv_ts_is_key(GTV_TS_H264, idr, sizeof(idr)));
    assert_false(gtv_ts_is_key(GTV_TS_H264, slice, sizeof(slice)));
    assert_false(gtv_ts_is_key(GTV_TS_H265, trail, sizeof(trail)));
    assert_true(gtv_ts_is_key(GTV_TS_H265, cra, sizeof(cra)));
    assert_false(gtv_ts_is_key(GTV_TS_H264, idr, 3));
    assert_false(gtv_ts_is_key(GTV_TS_H264, idr, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_with_their_times),
        cmocka_unit_test(a_long_picture_ends_with_its_filled_packet),
        cmocka_unit_test(a_hole_drops_the_picture),
        cmocka_unit_test(key_frames),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
