#include "lib/base/buf.h"
#include "services/media/hls.h"
#include "services/media/playlist.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static const struct gtv_log quiet = {"test", NULL, NULL};
static const int64_t start = INT64_C(1795360316369) * 90;

static bool push(struct gtv_hls *h, int64_t ms, bool key, bool discontinuity, size_t bytes)
{
    struct gtv_unit u = {.time = start + ms * 90, .video = true, .key = key, .discontinuity = discontinuity};
    u.ts = gtv_bytes_create(bytes);
    memset(u.ts->data, key ? 'K' : 'd', bytes);
    u.ts->len = bytes;
    bool completed = gtv_hls_push(h, &u);
    gtv_bytes_unref(u.ts);
    return completed;
}

// Frames of 40 ms, a key frame each gop_ms, in [from, to).
static void run(struct gtv_hls *h, int64_t from, int64_t to, int64_t gop_ms)
{
    for (int64_t ms = from; ms < to; ms += 40) {
        (void)push(h, ms, ms % gop_ms == 0, false, 188);
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

static struct gtv_hls *create(size_t max_bytes, uint64_t first)
{
    struct gtv_hls_options o = {
        .segments = 7, .segment_ms = 1000, .max_bytes = max_bytes, .first_number = first};
    return gtv_hls_create(&o, &quiet);
}

static char *media(struct gtv_hls *h, char *out, size_t cap)
{
    struct gtv_bytes *text = gtv_hls_media(h);
    out[0] = '\0';
    if (text != NULL) {
        assert_true(gtv_str_copy(out, cap, gtv_bytes_str(text)));
    }
    gtv_bytes_unref(text);
    return out;
}

static void nothing_before_the_first_segment(void **state)
{
    struct gtv_hls *h = create(1 << 20, 0);
    struct gtv_format format = {0};
    assert_null(gtv_hls_media(h));
    (void)push(h, 0, false, false, 188); // not a key frame: nothing can start
    run(h, 0, 1000, 1000);
    assert_false(gtv_hls_ready(h));
    assert_null(gtv_hls_index(h, &format));
    assert_true(push(h, 1000, true, false, 188));
    assert_true(gtv_hls_ready(h));
    gtv_hls_destroy(h);
}

static void keeps_a_ring(void **state)
{
    char text[8192];
    struct gtv_hls *h = create(1 << 20, 0);
    run(h, 0, 20040, 1000);
    media(h, text, sizeof text);
    assert_int_equal(count(text, "#EXTINF:1.00000,"), 7);
    assert_int_equal(count(text, "#EXT-X-PROGRAM-DATE-TIME"), 7);
    assert_non_null(strstr(text, "#EXT-X-MEDIA-SEQUENCE:13\n"));
    assert_non_null(strstr(text, "#EXT-X-TARGETDURATION:1\n"));
    assert_non_null(strstr(text, "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:12:09.369Z\n"));
    assert_null(strstr(text, "DISCONTINUITY"));
    // 7 listed, 1 of grace, and the first frame of the open one.
    assert_int_equal(gtv_hls_bytes(h), 188U * (8 * 25 + 1));
    gtv_hls_destroy(h);
}

static void segments_by_name(void **state)
{
    char text[8192], name[GTV_SEGMENT_NAME_CAP];
    struct gtv_hls *h = create(1 << 20, 0);
    run(h, 0, 20040, 1000);
    media(h, text, sizeof text);
    const char *first = strstr(text, "_main_seg13.ts") - 12;
    char prefix[13] = {0};
    memcpy(prefix, first, 12);
    struct gtv_bytes *const *pieces;
    size_t n, bytes;
    for (uint64_t number = 12; number <= 19; number++) {
        struct gtv_str wanted = gtv_str_of(gtv_playlist_segment_name(prefix, number, name));
        assert_true(gtv_hls_segment(h, wanted, &pieces, &n, &bytes));
        assert_int_equal(n, 25);
        assert_int_equal(bytes, 25 * 188);
        assert_int_equal(pieces[0]->data[0], 'K');
        assert_int_equal(pieces[1]->data[0], 'd');
    }
    static const uint64_t gone[] = {11, 20, 99};
    for (size_t i = 0; i < 3; i++) {
        assert_false(gtv_hls_segment(h, gtv_str_of(gtv_playlist_segment_name(prefix, gone[i], name)), &pieces,
                                     &n, &bytes));
    }
    assert_false(gtv_hls_segment(h, GTV_STR("000000000000_main_seg13.ts"), &pieces, &n, &bytes));
    assert_false(gtv_hls_segment(h, GTV_STR(""), &pieces, &n, &bytes));
    gtv_hls_destroy(h);
}

static void names_differ_between_muxers(void **state)
{
    char a[8192], b[8192];
    struct gtv_hls *first = create(1 << 20, 0), *second = create(1 << 20, 20);
    run(first, 0, 2040, 1000);
    run(second, 0, 2040, 1000);
    media(first, a, sizeof a);
    media(second, b, sizeof b);
    assert_memory_not_equal(strstr(a, "_main_seg") - 12, strstr(b, "_main_seg") - 12, 12);
    // A later muxer of the path goes on counting, behind a seam.
    assert_non_null(strstr(b, "#EXT-X-MEDIA-SEQUENCE:20\n#EXT-X-DISCONTINUITY\n"));
    gtv_hls_destroy(first);
    gtv_hls_destroy(second);
}

static void a_gop_slightly_short_of_a_second(void **state)
{
    char text[8192];
    struct gtv_hls *h = create(1 << 20, 0);
    for (int i = 0; i <= 5 * 25; i++) {
        (void)push(h, i * 995 / 25, i % 25 == 0, false, 188);
    }
    assert_int_equal(count(media(h, text, sizeof text), "#EXTINF:0.99"), 5);
    gtv_hls_destroy(h);
}

static void short_gops_share_a_segment(void **state)
{
    char text[8192];
    struct gtv_hls *h = create(1 << 20, 0);
    run(h, 0, 3240, 400);
    media(h, text, sizeof text);
    assert_int_equal(count(text, "#EXTINF:1.20000,"), 2);
    gtv_hls_destroy(h);
}

static void long_gops_make_long_segments(void **state)
{
    char text[8192];
    struct gtv_hls *h = create(1 << 20, 0);
    run(h, 0, 8040, 4000);
    media(h, text, sizeof text);
    assert_int_equal(count(text, "#EXTINF:4.00000,"), 2);
    assert_non_null(strstr(text, "#EXT-X-TARGETDURATION:4\n"));
    gtv_hls_destroy(h);
}

static void lost_sources_leave_a_seam(void **state)
{
    char text[8192];
    struct gtv_hls *h = create(1 << 20, 0);
    run(h, 0, 3400, 1000);
    gtv_hls_interrupt(h);
    run(h, 60000, 62040, 1000);
    media(h, text, sizeof text);
    assert_int_equal(count(text, "#EXTINF"), 5);
    assert_int_equal(count(text, "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:12:56.369Z"),
                     1);
    assert_non_null(strstr(
        text, "_main_seg3.ts")); // the number of the part that was dropped is used again: nobody saw it
    run(h, 62040, 72040, 1000);
    assert_non_null(strstr(media(h, text, sizeof text), "#EXT-X-DISCONTINUITY-SEQUENCE:1\n"));
    gtv_hls_destroy(h);
}

static void a_seam_in_the_time_line(void **state)
{
    char text[8192];
    struct gtv_hls *h = create(1 << 20, 0);
    run(h, 0, 1400, 1000);
    assert_true(push(h, 1400, true, true, 188)); // earlier than a second: the seam cuts
    run(h, 1440, 3040, 3000);
    media(h, text, sizeof text);
    assert_non_null(strstr(text, "#EXTINF:0.40000,"));
    assert_int_equal(count(text, "#EXT-X-DISCONTINUITY\n"), 1);
    // Backwards: what is open has no length and goes.
    (void)push(h, -5000, true, true, 188);
    (void)push(h, -4000, true, false, 188);
    assert_int_equal(count(media(h, text, sizeof text), "#EXT-X-DISCONTINUITY\n"), 2);
    gtv_hls_destroy(h);
}

static void memory_is_bounded(void **state)
{
    struct gtv_hls *h = create(100000, 0);
    for (int i = 0; i < 400; i++) {
        (void)push(h, i * 40, i % 25 == 0, false, 1000); // 25 KB a second
        assert_true(gtv_hls_bytes(h) <= 100000);
    }
    assert_true(gtv_hls_ready(h));
    gtv_hls_destroy(h);

    h = create(100000, 0); // one GOP that is too long
    for (int i = 0; i < 400; i++) {
        (void)push(h, i * 40, i == 0, false, 1000);
        assert_true(gtv_hls_bytes(h) <= 101000);
    }
    assert_int_equal(gtv_hls_discarded(h), 101);
    assert_false(gtv_hls_ready(h));
    gtv_hls_destroy(h);
}

static void the_index_tells_the_rate(void **state)
{
    struct gtv_hls *h = create(1 << 20, 0);
    struct gtv_format format = {.video = {.codecs = "avc1.4d401f", .width = 1280, .height = 720}};
    run(h, 0, 3040, 1000);
    struct gtv_bytes *text = gtv_hls_index(h, &format);
    assert_non_null(memmem(text->data, text->len, "BANDWIDTH=37600,AVERAGE-BANDWIDTH=37600,",
                           40)); // 25 x 188 bytes a second
    gtv_bytes_unref(text);
    gtv_hls_destroy(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_before_the_first_segment),
        cmocka_unit_test(keeps_a_ring),
        cmocka_unit_test(segments_by_name),
        cmocka_unit_test(names_differ_between_muxers),
        cmocka_unit_test(a_gop_slightly_short_of_a_second),
        cmocka_unit_test(short_gops_share_a_segment),
        cmocka_unit_test(long_gops_make_long_segments),
        cmocka_unit_test(lost_sources_leave_a_seam),
        cmocka_unit_test(a_seam_in_the_time_line),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(the_index_tells_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
