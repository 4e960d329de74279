#include "lib/rtsp/depay.h"
#include "services/media/rtsp/pay.h"
#include "tests/unit/unit.h"

static const char sets_bytes[] = "\0\0\0\x17\x67\x4d\x40\x1f\xec\xa2\x3d\x80\x88\0\0\3\0\x08\0\0\3"
                                 "\1\x90\x78\xc1\x8c\xb0\0\0\0\5\x68\xeb\xe3\xcb\x20";

struct seen {
    struct gtv_buf data, sets;
    int units;
    int64_t stamp;
};

static void on_video(void *arg, struct gtv_access *unit, int64_t stamp, size_t received)
{
    struct seen *seen = arg;
    assert_false(unit->damaged);
    gtv_buf_reset(&seen->data);
    gtv_buf_reset(&seen->sets);
    gtv_buf_append(&seen->data, unit->data.data, unit->data.len);
    gtv_buf_append(&seen->sets, unit->sets.data, unit->sets.len);
    seen->stamp = stamp;
    seen->units++;
}

static void on_audio(void *arg, struct gtv_str frame, int64_t stamp, size_t received)
{
    struct seen *seen = arg;
    gtv_buf_reset(&seen->data);
    gtv_buf_append(&seen->data, frame.p, frame.n);
    seen->stamp = stamp;
    seen->units++;
}

// Through our own reader of RTP, as a client of the server sees it.
static void take(struct gtv_depay *depay, const struct gtv_pay_batch *b, uint16_t *seq)
{
    for (size_t i = 0; i < b->count; i++) {
        uint8_t packet[65536];
        const struct gtv_pay_packet *p = &b->packets[i];
        size_t head = (size_t)p->head_len - GTV_PAY_FRAME_HEAD, n = head + p->body.n;
        memcpy(packet, p->head + GTV_PAY_FRAME_HEAD, head);
        memcpy(packet + head, p->body.p, p->body.n);
        assert_int_equal(p->head[0], '$');
        assert_int_equal(p->head[2] << 8 | p->head[3], n);
        struct gtv_rtp_delivery d = {0};
        assert_true(gtv_rtp_read((struct gtv_str){(const char *)packet, n}, &d.packet));
        assert_int_equal(d.packet.seq, *seq);
        (*seq)++;
        d.ticks = d.packet.timestamp;
        if (i + 1 < b->count) {
            assert_true(n <= GTV_PAY_PACKET_MAX);
        }
        gtv_depay_packet(depay, &d);
    }
}

// A sample of NAL units of these sizes, with header bytes in front.
static struct gtv_sample sample_of(const size_t *sizes, size_t count, uint8_t first, uint8_t second)
{
    struct gtv_buf b = {0};
    for (size_t i = 0; i < count; i++) {
        size_t n = sizes[i];
        const uint8_t head[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
        gtv_buf_append(&b, head, 4);
        for (size_t k = 0; k < n; k++) {
            uint8_t byte = k == 0 ? first : k == 1 ? second : (uint8_t)(0x80 | (k * 7 + i));
            gtv_buf_append(&b, &byte, 1);
        }
    }
    struct gtv_sample s = {.video = true, .key = true, .pts = INT64_C(160000000000000), .dts = 0};
    s.dts = s.pts;
    s.data = gtv_buf_take(&b);
    return s;
}

static void there_and_back(enum gtv_codec codec, uint8_t first, uint8_t second, const struct gtv_bytes *sets)
{
    static const struct gtv_depay_callbacks callbacks = {on_video, on_audio};
    const size_t sizes[] = {2 + 1, 1428, 1429, 1430, 5000, 100000};
    struct seen seen = {0};
    struct gtv_sample sample = sample_of(sizes, 6, first, second);
    const struct gtv_sdp_track track = {
        .kind = GTV_SDP_VIDEO, .codec = codec, .payload_type = 96, .clock = 90000, .packetization_mode = 1};
    struct gtv_depay depay;
    struct gtv_pay pay;
    struct gtv_pay_batch batch = {0};
    gtv_pay_init(&pay, codec, 90000, 96, 4);
    pay.seq = 0xfffe; // wraps on the way
    uint16_t seq = pay.seq;
    gtv_depay_init(&depay, &track, &callbacks, &seen);
    for (int i = 1; i <= 2; i++) {
        gtv_pay_sample(&pay, &sample, sets, &batch);
        size_t bytes = 0;
        for (size_t k = 0; k < batch.count; k++) {
            bytes += batch.packets[k].head_len + batch.packets[k].body.n;
            assert_int_equal(batch.packets[k].head[1], 4);
        }
        assert_int_equal(batch.bytes, bytes);
        take(&depay, &batch, &seq);
        assert_int_equal(seen.units, i);
        assert_int_equal(seen.data.len, sample.data->len);
        assert_memory_equal(seen.data.data, sample.data->data, sample.data->len);
        assert_int_equal((uint32_t)seen.stamp, gtv_pay_time(&pay, sample.pts));
        if (sets != NULL) {
            assert_int_equal(seen.sets.len, sets->len);
        }
        sample.pts += 3600;
    }
    gtv_depay_finish(&depay);
    gtv_pay_batch_finish(&batch);
    gtv_bytes_unref(sample.data);
    gtv_buf_finish(&seen.data);
    gtv_buf_finish(&seen.sets);
}

static void h264_comes_out_as_it_went_in(void **state)
{
    struct gtv_bytes *sets = gtv_bytes_copy(sets_bytes, sizeof sets_bytes - 1);
    there_and_back(GTV_CODEC_H264, 0x65, 0x88, sets);
    gtv_bytes_unref(sets);
}

static void h265_comes_out_as_it_went_in(void **state)
{
    there_and_back(GTV_CODEC_H265, 19 << 1, 1, NULL);
}

static void audio_comes_out_as_it_went_in(void **state)
{
    static const struct gtv_depay_callbacks callbacks = {on_video, on_audio};
    const struct gtv_sdp_track tracks[] = {
        {.kind = GTV_SDP_AUDIO,
         .codec = GTV_CODEC_AAC,
         .clock = 44100,
         .channels = 2,
         .size_length = 13,
         .index_length = 3,
         .index_delta_length = 3},
        {.kind = GTV_SDP_AUDIO, .codec = GTV_CODEC_OPUS, .clock = 48000, .channels = 2},
    };
    const size_t sizes[] = {1, 300, 1424, 4000, 8191};
    for (size_t t = 0; t < 2; t++) {
        struct seen seen = {0};
        struct gtv_depay depay;
        struct gtv_pay pay;
        struct gtv_pay_batch batch = {0};
        gtv_pay_init(&pay, tracks[t].codec, tracks[t].clock, 97, 2);
        uint16_t seq = pay.seq;
        gtv_depay_init(&depay, &tracks[t], &callbacks, &seen);
        for (size_t i = 0; i < 5; i++) {
            struct gtv_sample s = {.data = gtv_bytes_create(sizes[i]), .pts = 90000 + (int64_t)i * 9000};
            s.data->len = sizes[i];
            memset(s.data->data, (int)i + 1, sizes[i]);
            gtv_pay_sample(&pay, &s, NULL, &batch);
            take(&depay, &batch, &seq);
            assert_int_equal(seen.units, i + 1);
            assert_int_equal(seen.data.len, sizes[i]);
            assert_memory_equal(seen.data.data, s.data->data, sizes[i]);
            gtv_bytes_unref(s.data);
        }
        gtv_depay_finish(&depay);
        gtv_pay_batch_finish(&batch);
        gtv_buf_finish(&seen.data);
        gtv_buf_finish(&seen.sets);
    }
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void a_report_ties_the_clocks_together(void **state)
{
    struct gtv_pay pay;
    uint8_t r[GTV_PAY_REPORT_BYTES];
    const int64_t seconds = INT64_C(1795372575), ticks = seconds * 90000 + 45000;
    gtv_pay_init(&pay, GTV_CODEC_AAC, 96000, 97, 0);
    gtv_pay_report(&pay, ticks, r);
    assert_int_equal(get32(r + 8), (uint32_t)(seconds + 2208988800));
    assert_int_equal(get32(r + 12), 0x80000000U);
    assert_int_equal(get32(r + 16), (uint32_t)(pay.offset + (uint64_t)seconds * 96000 + 48000));
    assert_int_equal(((size_t)r[2] << 8 | r[3]) * 4 + 4, 28);
    assert_int_equal(28 + ((size_t)r[30] << 8 | r[31]) * 4 + 4, GTV_PAY_REPORT_BYTES);
}

static void what_cannot_be_packed_makes_no_packet(void **state)
{
    struct gtv_pay pay;
    struct gtv_pay_batch batch = {0};
    struct gtv_sample s = {.data = gtv_bytes_create(9000), .video = true};
    s.data->len = 9000;
    memset(s.data->data, 0xff, 9000); // a length far beyond the end
    gtv_pay_init(&pay, GTV_CODEC_H264, 90000, 96, 0);
    gtv_pay_sample(&pay, &s, NULL, &batch);
    assert_int_equal(batch.count, 0);
    gtv_pay_init(&pay, GTV_CODEC_AAC, 48000, 97, 0);
    gtv_pay_sample(&pay, &s, NULL, &batch); // more than 13 bits of size
    assert_int_equal(batch.count, 0);
    gtv_bytes_unref(s.data);
    gtv_pay_batch_finish(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(h264_comes_out_as_it_went_in),
        cmocka_unit_test(h265_comes_out_as_it_went_in),
        cmocka_unit_test(audio_comes_out_as_it_went_in),
        cmocka_unit_test(a_report_ties_the_clocks_together),
        cmocka_unit_test(what_cannot_be_packed_makes_no_packet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
