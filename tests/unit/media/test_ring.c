#include "lib/base/buf.h"
#include "services/media/hls/pieces.h"
#include "services/media/hls/playlist.h"
#include "tests/unit/media/pictures.h"

#include <stdio.h>

static const struct gtv_log quiet = {"test", NULL, NULL};
static const int64_t start = INT64_C(1795360316369) * 90;

static unsigned push(struct gtv_hls_ring *r, int64_t ms, bool key, bool discontinuity, size_t bytes)
{
    int64_t at = start + ms * 90;
    struct gtv_sample s = {.data = picture_slice(key ? 0x65 : 0x41, bytes - 4),
                           .pts = at,
                           .dts = at,
                           .video = true,
                           .key = key,
                           .discontinuity = discontinuity};
    unsigned happened = gtv_hls_ring_push(r, &s);
    gtv_bytes_unref(s.data);
    return happened;
}

// Frames of 40 ms, a key frame each gop_ms, in [from, to).
static void run(struct gtv_hls_ring *r, int64_t from, int64_t to, int64_t gop_ms)
{
    for (int64_t ms = from; ms < to; ms += 40) {
        (void)push(r, ms, ms % gop_ms == 0, false, 188);
    }
}

static int count(const char *text, const char *what)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at++) {
        n++;
    }
    return n;
}

static struct gtv_hls_ring *create(enum gtv_hls_variant variant, size_t max_bytes, uint64_t first)
{
    static struct gtv_hls_ring rings[2];
    static int turn;
    struct gtv_hls_ring *r = &rings[turn++ % 2];
    struct gtv_hls_options o = {.variant = variant,
                                .segments = 7,
                                .segment_ms = 1000,
                                .part_ms = 200,
                                .max_bytes = max_bytes,
                                .first_number = first};
    gtv_hls_ring_init(r, &o, &quiet);
    struct gtv_format *f = picture_format(GTV_CODEC_H264, GTV_CODEC_AAC, NULL);
    gtv_hls_ring_format(r, f);
    gtv_format_unref(f);
    return r;
}

static char *media(struct gtv_hls_ring *r, bool skip)
{
    static char text[32768];
    struct gtv_buf out = {0};
    text[0] = '\0';
    if (r->count > 0) {
        gtv_hls_write_media(&out, r, skip);
        assert_true(gtv_str_copy(text, sizeof text, gtv_buf_str(&out)));
    }
    gtv_buf_finish(&out);
    return text;
}

static void nothing_before_the_first_segment(void **state)
{
    struct gtv_hls_ring *r = create(GTV_HLS_MPEGTS, 1 << 20, 0);
    (void)push(r, 0, false, false, 188); // not a key frame: nothing can start
    run(r, 0, 1000, 1000);
    assert_int_equal(r->count, 0);
    assert_int_equal(push(r, 1000, true, false, 188), GTV_HLS_NEW_SEGMENT);
    assert_int_equal(r->count, 1);
    gtv_hls_ring_finish(r);
}

static void keeps_a_ring(void **state)
{
    struct gtv_hls_ring *r = create(GTV_HLS_MPEGTS, 1 << 20, 0);
    run(r, 0, 20040, 1000);
    const char *text = media(r, false);
    assert_int_equal(count(text, "#EXTINF:1.00000,"), 7);
    assert_int_equal(count(text, "#EXT-X-PROGRAM-DATE-TIME"), 7);
    assert_non_null(strstr(text, "#EXT-X-MEDIA-SEQUENCE:13\n"));
    assert_non_null(strstr(text, "#EXT-X-TARGETDURATION:1\n"));
    assert_non_null(strstr(text, "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:12:09.369Z\n"));
    assert_null(strstr(text, "DISCONTINUITY"));
    // 7 listed, 1 of grace, and the first frame of the open one.
    assert_int_equal(r->bytes, (188U + GTV_HLS_SAMPLE_COST) * (8 * 25 + 1));
    gtv_hls_ring_finish(r);
}

static void playlists_as_mediamtx_writes_them(void **state)
{
    struct gtv_hls_ring *r = create(GTV_HLS_MPEGTS, 1 << 20, 0);
    run(r, 0, 2040, 1000);
    char expected[1024];
    snprintf(expected, sizeof expected,
             "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-ALLOW-CACHE:NO\n#EXT-X-TARGETDURATION:1\n"
             "#EXT-X-MEDIA-SEQUENCE:0\n"
             "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:11:56.369Z\n#EXTINF:1.00000,\n%s_main_seg0.ts\n"
             "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:11:57.369Z\n#EXTINF:1.00000,\n%s_main_seg1.ts\n",
             r->prefix, r->prefix);
    assert_string_equal(media(r, true), expected);
    struct gtv_buf out = {0};
    gtv_hls_write_index(&out, r);
    assert_non_null(strstr(out.data, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n\n"
                                     "#EXT-X-STREAM-INF:BANDWIDTH="));
    // The tables, a delimiter and parameter sets come with the samples: 25 x 2 packets of pictures and 2
    // more.
    assert_non_null(strstr(out.data, "BANDWIDTH=78208,AVERAGE-BANDWIDTH=78208,"
                                     "CODECS=\"avc1.4d401f,mp4a.40.2\",RESOLUTION=64x48,FRAME-RATE="));
    assert_non_null(strstr(out.data, "\nmain_stream.m3u8\n"));
    gtv_buf_finish(&out);
    gtv_hls_ring_finish(r);

    r = create(GTV_HLS_FMP4, 1 << 20, 0);
    run(r, 0, 2040, 1000);
    snprintf(expected, sizeof expected,
             "#EXTM3U\n#EXT-X-VERSION:10\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:0\n"
             "#EXT-X-MAP:URI=\"%s_video1_init.mp4\"\n"
             "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:11:56.369Z\n#EXTINF:1.00000,\n%s_video1_seg0.mp4\n"
             "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:11:57.369Z\n#EXTINF:1.00000,\n%s_video1_seg1.mp4\n",
             r->prefix, r->prefix, r->prefix);
    assert_string_equal(media(r, true), expected);
    gtv_hls_ring_finish(r);
}

static void segments_by_name(void **state)
{
    char name[GTV_HLS_NAME_CAP];
    struct gtv_hls_ring *r = create(GTV_HLS_MPEGTS, 1 << 20, 0);
    run(r, 0, 20040, 1000);
    const struct gtv_hls_segment *s;
    const struct gtv_hls_part *p;
    struct gtv_mpegts_counters expected = r->list[0].counters;
    for (uint64_t number = 12; number <= 19; number++) {
        struct gtv_str wanted = gtv_str_of(gtv_hls_segment_name(r, number, name));
        assert_int_equal(gtv_hls_ring_find(r, wanted, &s, &p), GTV_HLS_SEGMENT);
        assert_int_equal(s->number, number);
        assert_int_equal(s->count, 25);
        struct gtv_hls_pieces pieces = {0};
        assert_true(gtv_hls_pieces_segment(&pieces, r, s));
        assert_int_equal(pieces.bytes, s->ts_bytes);
        gtv_hls_pieces_finish(&pieces);
        // Counters go on from one segment to the next.
        assert_memory_equal(&expected, &s->counters, sizeof expected);
        for (size_t i = 0; i < s->count; i++) {
            (void)gtv_mpegts_pass(s->format, &s->samples[i], &expected);
        }
    }
    static const uint64_t gone[] = {11, 20, 99};
    for (size_t i = 0; i < 3; i++) {
        struct gtv_str wanted = gtv_str_of(gtv_hls_segment_name(r, gone[i], name));
        assert_int_equal(gtv_hls_ring_find(r, wanted, &s, &p), GTV_HLS_NOTHING);
    }
    assert_int_equal(gtv_hls_ring_find(r, GTV_STR("000000000000_main_seg13.ts"), &s, &p), GTV_HLS_NOTHING);
    assert_int_equal(gtv_hls_ring_find(r, GTV_STR(""), &s, &p), GTV_HLS_NOTHING);
    gtv_hls_ring_finish(r);
}

static void names_differ_between_muxers(void **state)
{
    struct gtv_hls_ring *first = create(GTV_HLS_MPEGTS, 1 << 20, 0);
    struct gtv_hls_ring *second = create(GTV_HLS_MPEGTS, 1 << 20, 20);
    assert_string_not_equal(first->prefix, second->prefix);
    run(second, 0, 2040, 1000);
    // A later muxer of the path goes on counting, behind a seam.
    assert_non_null(strstr(media(second, false), "#EXT-X-MEDIA-SEQUENCE:20\n#EXT-X-DISCONTINUITY\n"));
    gtv_hls_ring_finish(first);
    gtv_hls_ring_finish(second);
}

static void segments_end_at_key_frames(void **state)
{
    struct gtv_hls_ring *r = create(GTV_HLS_MPEGTS, 1 << 20, 0);
    for (int i = 0; i <= 5 * 25; i++) {
        (void)push(r, i * 995 / 25, i % 25 == 0, false, 188); // GOPs a little short of a second
    }
    assert_int_equal(count(media(r, false), "#EXTINF:0.99"), 5);
    gtv_hls_ring_finish(r);

    r = create(GTV_HLS_MPEGTS, 1 << 20, 0);
    run(r, 0, 3240, 400); // short GOPs share a segment
    assert_int_equal(count(media(r, false), "#EXTINF:1.20000,"), 2);
    gtv_hls_ring_finish(r);

    r = create(GTV_HLS_MPEGTS, 1 << 20, 0);
    run(r, 0, 8040, 4000); // long ones make long ones
    assert_int_equal(count(media(r, false), "#EXTINF:4.00000,"), 2);
    assert_non_null(strstr(media(r, false), "#EXT-X-TARGETDURATION:4\n"));
    gtv_hls_ring_finish(r);
}

static void lost_sources_leave_a_seam(void **state)
{
    struct gtv_hls_ring *r = create(GTV_HLS_MPEGTS, 1 << 20, 0);
    run(r, 0, 3400, 1000);
    assert_int_equal(gtv_hls_ring_interrupt(r), 0);
    run(r, 60000, 62040, 1000);
    const char *text = media(r, false);
    assert_int_equal(count(text, "#EXTINF"), 5);
    assert_int_equal(count(text, "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:12:56.369Z"),
                     1);
    // The number of the segment that was dropped is used again: nobody saw it.
    assert_non_null(strstr(text, "_main_seg3.ts"));
    run(r, 62040, 72040, 1000);
    assert_non_null(strstr(media(r, false), "#EXT-X-DISCONTINUITY-SEQUENCE:1\n"));
    gtv_hls_ring_finish(r);
}

static void a_seam_in_the_time_line(void **state)
{
    struct gtv_hls_ring *r = create(GTV_HLS_MPEGTS, 1 << 20, 0);
    run(r, 0, 1400, 1000);
    assert_int_equal(push(r, 1400, true, true, 188), GTV_HLS_NEW_SEGMENT); // earlier than a second: it cuts
    run(r, 1440, 3040, 3000);
    const char *text = media(r, false);
    assert_non_null(strstr(text, "#EXTINF:0.40000,"));
    assert_int_equal(count(text, "#EXT-X-DISCONTINUITY\n"), 1);
    // Backwards, and far ahead: the pictures tell how long the segments are.
    (void)push(r, -5000, true, true, 188);
    (void)push(r, 3600000, true, true, 188);
    (void)push(r, 3601000, true, false, 188);
    text = media(r, false);
    assert_int_equal(count(text, "#EXT-X-DISCONTINUITY\n"), 3);
    assert_non_null(strstr(text, "#EXTINF:1.60000,"));
    assert_non_null(strstr(text, "#EXT-X-TARGETDURATION:2\n"));
    gtv_hls_ring_finish(r);
}

static void a_new_format_has_an_init_segment_of_its_own(void **state)
{
    struct gtv_hls_ring *r = create(GTV_HLS_FMP4, 1 << 20, 0);
    run(r, 0, 1040, 1000);
    struct gtv_format *same = picture_format(GTV_CODEC_H264, GTV_CODEC_AAC, NULL);
    struct gtv_format *other = picture_format(GTV_CODEC_H265, GTV_CODEC_OPUS, NULL);
    gtv_hls_ring_format(r, same);
    run(r, 1040, 2040, 1000);
    gtv_hls_ring_format(r, other);
    (void)push(r, 2400, true, false, 188);
    run(r, 2440, 4040, 1000);
    const char *text = media(r, false);
    assert_int_equal(count(text, "#EXT-X-MAP"), 2);
    assert_int_equal(count(text, "_video1_init.mp4\"\n"), 1);
    assert_non_null(strstr(text, "#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\""));
    assert_non_null(strstr(text, "_video1_init2.mp4\"\n"));
    char name[GTV_HLS_NAME_CAP];
    const struct gtv_hls_segment *s;
    const struct gtv_hls_part *p;
    for (unsigned i = 1; i <= 2; i++) {
        struct gtv_str wanted = gtv_str_of(gtv_hls_init_name(r, i, name));
        struct gtv_hls_pieces pieces = {0};
        assert_int_equal(gtv_hls_ring_find(r, wanted, &s, &p), GTV_HLS_INIT);
        assert_true(gtv_hls_pieces_init(&pieces, s));
        assert_non_null(memmem(pieces.list[0]->data, pieces.bytes, i == 1 ? "avcC" : "hvcC", 4));
        gtv_hls_pieces_finish(&pieces);
    }
    assert_int_equal(gtv_hls_ring_find(r, gtv_str_of(gtv_hls_init_name(r, 3, name)), &s, &p),
                     GTV_HLS_NOTHING);
    struct gtv_buf out = {0};
    gtv_hls_write_index(&out, r);
    assert_non_null(strstr(out.data, "CODECS=\"hvc1."));
    assert_non_null(strstr(out.data, ",opus\""));
    gtv_buf_finish(&out);
    gtv_format_unref(same);
    gtv_format_unref(other);
    gtv_hls_ring_finish(r);
}

static void memory_is_bounded(void **state)
{
    struct gtv_hls_ring *r = create(GTV_HLS_MPEGTS, 100000, 0);
    for (int i = 0; i < 400; i++) {
        (void)push(r, i * 40, i % 25 == 0, false, 1000); // 25 KB a second
        assert_true(r->bytes <= 100000);
    }
    assert_true(r->count > 0);
    gtv_hls_ring_finish(r);

    for (int variant = GTV_HLS_MPEGTS; variant <= GTV_HLS_LOW_LATENCY; variant++) {
        r = create((enum gtv_hls_variant)variant, 100000, 0); // one GOP that is too long
        for (int i = 0; i < 400; i++) {
            (void)push(r, i * 40, i == 0, false, 1000);
            assert_true(r->bytes <= 100000 + 1000 + GTV_HLS_SAMPLE_COST);
        }
        assert_int_equal(r->discarded, 100000 / (1000 + GTV_HLS_SAMPLE_COST) + 1);
        assert_int_equal(r->count, 0);
        gtv_hls_ring_finish(r);
    }
}

// ---- Low-Latency ----

static void parts_of_whole_pictures(void **state)
{
    static const int frames[] = {40, 66, 33, 83, 500};
    static const int64_t expected[] = {200, 198, 198, 166, 500};
    for (size_t f = 0; f < sizeof frames / sizeof frames[0]; f++) {
        struct gtv_hls_ring *r = create(GTV_HLS_LOW_LATENCY, 1 << 20, 0);
        int gop = 2000 / frames[f];
        for (int i = 0; i < 3 * gop; i++) {
            // Pictures jitter by up to 3 ms.
            (void)push(r, i * frames[f] + (i % gop == 0 ? 0 : i % 4), i % gop == 0, false, 100);
        }
        int64_t target = gtv_hls_ring_part_target(r);
        assert_int_equal(target / 90 / 5 * 5, expected[f] * 105 / 100 / 5 * 5);
        assert_int_equal(r->count, 2);
        assert_true(r->list[1].part_count > 0);
        for (size_t i = 0; i < r->list[1].part_count; i++) {
            const struct gtv_hls_part *p = &r->list[1].parts[i];
            assert_true(p->end - p->start <= target);
            if (i + 1 < r->list[1].part_count) {
                assert_true((p->end - p->start) * 100 >= target * 85);
                assert_int_equal(p->first + p->count, r->list[1].parts[i + 1].first);
                assert_int_equal(p->end, r->list[1].parts[i + 1].start);
            } else {
                assert_int_equal(p->first + p->count, r->list[1].count);
                assert_int_equal(p->end, r->list[1].end);
            }
            assert_int_equal(p->independent, i == 0);
        }
        gtv_hls_ring_finish(r);
    }
}

static void low_latency_playlist(void **state)
{
    struct gtv_hls_ring *r = create(GTV_HLS_LOW_LATENCY, 1 << 20, 0);
    run(r, 0, 20440, 2000);
    const char *text = media(r, false);
    assert_non_null(strstr(text, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.63003,"
                                 "CAN-SKIP-UNTIL=12.00000\n#EXT-X-PART-INF:PART-TARGET=0.21001\n"
                                 "#EXT-X-MEDIA-SEQUENCE:3\n"));
    assert_int_equal(count(text, "#EXTINF:2.00000,"), 7);
    assert_int_equal(count(text, "#EXT-X-PROGRAM-DATE-TIME"), 8);
    assert_int_equal(count(text, "#EXT-X-PART:DURATION=0.20000,URI="), 10 + 10 + 2);
    assert_int_equal(count(text, ",INDEPENDENT=YES\n"), 3);
    char hint[128], name[GTV_HLS_NAME_CAP];
    snprintf(hint, sizeof hint, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"%s\"\n",
             gtv_hls_part_name(r, r->next_part, name));
    assert_non_null(strstr(text, hint));
    assert_int_equal(strlen(strstr(text, hint)), strlen(hint));

    // A delta update leaves out what ended longer ago than six target durations.
    text = media(r, true);
    assert_non_null(strstr(text, "#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n"));
    assert_int_equal(count(text, "#EXTINF"), 6);
    assert_null(strstr(text, "#EXT-X-MAP"));
    assert_non_null(strstr(text, "#EXT-X-MEDIA-SEQUENCE:3\n"));
    gtv_hls_ring_finish(r);
}

static void parts_by_name(void **state)
{
    struct gtv_hls_ring *r = create(GTV_HLS_LOW_LATENCY, 1 << 20, 0);
    run(r, 0, 4440, 2000);
    char name[GTV_HLS_NAME_CAP];
    const struct gtv_hls_segment *s;
    const struct gtv_hls_part *p;
    struct gtv_buf parts = {0};
    for (uint64_t i = 0; i < r->next_part; i++) {
        struct gtv_str wanted = gtv_str_of(gtv_hls_part_name(r, i, name));
        assert_int_equal(gtv_hls_ring_find(r, wanted, &s, &p), GTV_HLS_PART);
        assert_int_equal(p->number, i);
        struct gtv_hls_pieces pieces = {0};
        assert_true(gtv_hls_pieces_part(&pieces, s, p));
        assert_int_equal(pieces.count, 6);
        for (size_t k = 0; k < pieces.count && s->number == 1; k++) {
            gtv_buf_append(&parts, pieces.list[k]->data, pieces.list[k]->len);
        }
        gtv_hls_pieces_finish(&pieces);
    }
    // A segment is its parts, one after the other.
    struct gtv_hls_pieces pieces = {0};
    assert_true(gtv_hls_pieces_segment(&pieces, r, &r->list[1]));
    assert_int_equal(pieces.bytes, parts.len);
    size_t at = 0;
    for (size_t k = 0; k < pieces.count; k++) {
        assert_memory_equal(pieces.list[k]->data, parts.data + at, pieces.list[k]->len);
        at += pieces.list[k]->len;
    }
    gtv_hls_pieces_finish(&pieces);
    gtv_buf_finish(&parts);
    assert_int_equal(gtv_hls_ring_find(r, gtv_str_of(gtv_hls_part_name(r, r->next_part, name)), &s, &p),
                     GTV_HLS_COMING);
    assert_int_equal(gtv_hls_ring_find(r, gtv_str_of(gtv_hls_part_name(r, r->next_part + 1, name)), &s, &p),
                     GTV_HLS_NOTHING);
    gtv_hls_ring_finish(r);
}

static void a_lost_source_ends_what_was_handed_out(void **state)
{
    struct gtv_hls_ring *r = create(GTV_HLS_LOW_LATENCY, 1 << 20, 0);
    run(r, 0, 2480, 2000);
    assert_int_equal(r->count, 1);
    assert_int_equal(gtv_hls_ring_interrupt(r), GTV_HLS_NEW_PART | GTV_HLS_NEW_SEGMENT);
    assert_int_equal(r->count, 2);
    assert_int_equal(r->list[1].end - r->list[1].start, 480 * 90);
    run(r, 10000, 12480, 2000);
    assert_int_equal(r->list[2].number, 2);
    assert_true(r->list[2].discontinuity);
    // One whose parts nobody saw yet is dropped.
    (void)gtv_hls_ring_interrupt(r);
    run(r, 20000, 20080, 2000);
    uint64_t number = gtv_hls_ring_open_number(r);
    assert_int_equal(gtv_hls_ring_interrupt(r), 0);
    assert_int_equal(gtv_hls_ring_open_number(r), number);
    gtv_hls_ring_finish(r);
}

static void variants_have_names(void **state)
{
    enum gtv_hls_variant v;
    assert_true(gtv_hls_variant_parse(GTV_STR("lowLatency"), &v));
    assert_int_equal(v, GTV_HLS_LOW_LATENCY);
    assert_true(gtv_hls_variant_parse(GTV_STR("mpegts"), &v));
    assert_int_equal(v, GTV_HLS_MPEGTS);
    assert_false(gtv_hls_variant_parse(GTV_STR("lowlatency"), &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_before_the_first_segment),
        cmocka_unit_test(keeps_a_ring),
        cmocka_unit_test(playlists_as_mediamtx_writes_them),
        cmocka_unit_test(segments_by_name),
        cmocka_unit_test(names_differ_between_muxers),
        cmocka_unit_test(segments_end_at_key_frames),
        cmocka_unit_test(lost_sources_leave_a_seam),
        cmocka_unit_test(a_seam_in_the_time_line),
        cmocka_unit_test(a_new_format_has_an_init_segment_of_its_own),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(parts_of_whole_pictures),
        cmocka_unit_test(low_latency_playlist),
        cmocka_unit_test(parts_by_name),
        cmocka_unit_test(a_lost_source_ends_what_was_handed_out),
        cmocka_unit_test(variants_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
