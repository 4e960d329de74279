#include "lib/base/mem.h"
#include "services/streaming/sequence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

static const struct gtv_str stream = {"cam_1", 5}, file = {"main_stream.m3u8", 16};

static bool all_cached(void *arg, struct gtv_str s, struct gtv_str name)
{
    return true;
}

static bool from_seven(void *arg, struct gtv_str s, struct gtv_str name)
{
    return gtv_str_ends(name, GTV_STR("seg7.ts")) || gtv_str_ends(name, GTV_STR("seg8.ts"));
}

// A list of the muxer `name`: segments first to first + n - 1.
static struct gtv_bytes *list(const char *name, int first, int n)
{
    char text[4096];
    int at =
        snprintf(text, sizeof text,
                 "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:%d\n", first);
    for (int i = first; i < first + n; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, "#EXTINF:2.00000,\n%s_main_seg%d.ts\n", name, i);
    return gtv_bytes_copy(text, (size_t)at);
}

// What viewers get of it; the seam is decided alone. Allocated.
static char *published(struct gtv_sequences *s, struct gtv_bytes *text, gtv_sequence_cached_fn cached)
{
    struct gtv_bytes *out;
    struct gtv_sequence_seam seam;
    enum gtv_sequence_result r = gtv_sequence_apply(s, stream, file, text, 0, &out, &seam);
    if (r == GTV_SEQUENCE_DECIDE) {
        gtv_sequence_decide(s, stream, &seam, NULL, cached, NULL, 0);
        r = gtv_sequence_apply(s, stream, file, text, 0, &out, &seam);
    }
    assert_int_not_equal(r, GTV_SEQUENCE_DECIDE);
    char *copy = gtv_strndup(gtv_bytes_str(r == GTV_SEQUENCE_MADE ? out : text));
    gtv_bytes_unref(out);
    gtv_bytes_unref(text);
    return copy;
}

static void expect(struct gtv_sequences *s, struct gtv_bytes *text, gtv_sequence_cached_fn cached,
                   const char *want)
{
    char *got = published(s, text, cached);
    assert_string_equal(got, want);
    free(got);
}

#define HEAD      "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n"
#define SEG(name) "#EXTINF:2.00000,\n" name ".ts\n"

static void test_numbers_go_on(void **state)
{
    struct gtv_sequences *s = gtv_sequences_create();
    expect(s, list("aaaaaaaaaaaa", 6, 3), all_cached,
           HEAD "#EXT-X-MEDIA-SEQUENCE:6\n" SEG("aaaaaaaaaaaa_main_seg6") SEG("aaaaaaaaaaaa_main_seg7")
               SEG("aaaaaaaaaaaa_main_seg8"));
    expect(s, list("bbbbbbbbbbbb", 0, 1), all_cached,
           HEAD "#EXT-X-MEDIA-SEQUENCE:7\n" SEG("aaaaaaaaaaaa_main_seg7")
               SEG("aaaaaaaaaaaa_main_seg8") "#EXT-X-DISCONTINUITY\n" SEG("bbbbbbbbbbbb_main_seg0"));
    // What was under way when the muxer ended is no second seam.
    expect(s, list("aaaaaaaaaaaa", 6, 3), all_cached,
           HEAD "#EXT-X-MEDIA-SEQUENCE:6\n" SEG("aaaaaaaaaaaa_main_seg6") SEG("aaaaaaaaaaaa_main_seg7")
               SEG("aaaaaaaaaaaa_main_seg8"));
    expect(s, list("bbbbbbbbbbbb", 0, 2), all_cached,
           HEAD "#EXT-X-MEDIA-SEQUENCE:8\n" SEG("aaaaaaaaaaaa_main_seg8") "#EXT-X-DISCONTINUITY\n" SEG(
               "bbbbbbbbbbbb_main_seg0") SEG("bbbbbbbbbbbb_main_seg1"));
    expect(s, list("bbbbbbbbbbbb", 1, 3), all_cached,
           HEAD "#EXT-X-MEDIA-SEQUENCE:10\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n" SEG("bbbbbbbbbbbb_main_seg1")
               SEG("bbbbbbbbbbbb_main_seg2") SEG("bbbbbbbbbbbb_main_seg3"));
    assert_int_equal(gtv_sequence_seams(s, stream), 2);
    gtv_sequences_destroy(s);
}

static void test_the_tail_is_what_is_cached(void **state)
{
    struct gtv_sequences *s = gtv_sequences_create();
    free(published(s, list("aaaaaaaaaaaa", 4, 5), all_cached));
    expect(s, list("bbbbbbbbbbbb", 0, 1), from_seven,
           HEAD "#EXT-X-MEDIA-SEQUENCE:7\n" SEG("aaaaaaaaaaaa_main_seg7")
               SEG("aaaaaaaaaaaa_main_seg8") "#EXT-X-DISCONTINUITY\n" SEG("bbbbbbbbbbbb_main_seg0"));
    // A second seam while the first one is still listed.
    expect(s, list("cccccccccccc", 0, 1), all_cached,
           HEAD "#EXT-X-MEDIA-SEQUENCE:8\n" SEG("aaaaaaaaaaaa_main_seg8") "#EXT-X-DISCONTINUITY\n" SEG(
               "bbbbbbbbbbbb_main_seg0") "#EXT-X-DISCONTINUITY\n" SEG("cccccccccccc_main_seg0"));
    gtv_sequences_destroy(s);
}

static void test_names_without_a_generation(void **state)
{
    struct gtv_sequences *s = gtv_sequences_create();
    free(published(s, list("cam", 40, 3), all_cached));
    free(published(s, list("cam", 41, 3), all_cached));
    char *again = published(s, list("cam", 0, 3), all_cached);
    assert_non_null(strstr(again, "#EXT-X-MEDIA-SEQUENCE:44\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n"));
    free(again);
    gtv_sequences_destroy(s);
}

static void test_what_replicas_agreed_on(void **state)
{
    struct gtv_sequences *s = gtv_sequences_create();
    struct gtv_bytes *text = list("dddddddddddd", 3, 2), *out;
    struct gtv_sequence_seam seam;
    assert_int_equal(gtv_sequence_apply(s, stream, file, text, 0, &out, &seam), GTV_SEQUENCE_DECIDE);
    assert_int_equal(seam.first, 3);
    assert_int_equal(seam.next, -1);
    const struct gtv_sequence_offsets given = {100, 4}, later = {200, 9};
    gtv_sequence_decide(s, stream, &seam, &given, all_cached, NULL, 0);
    gtv_sequence_decide(s, stream, &seam, &later, all_cached, NULL, 0);
    expect(s, text, all_cached,
           HEAD "#EXT-X-MEDIA-SEQUENCE:103\n#EXT-X-DISCONTINUITY-SEQUENCE:4\n" SEG("dddddddddddd_main_seg3")
               SEG("dddddddddddd_main_seg4"));
    gtv_sequences_destroy(s);
}

static void expect_query(struct gtv_sequences *s, const char *asked, const char *want)
{
    char out[GTV_SEQUENCE_QUERY_CAP];
    gtv_sequence_query(s, stream, gtv_str_of(asked), out);
    assert_string_equal(out, want);
}

static void test_blocking_reloads(void **state)
{
    struct gtv_sequences *s = gtv_sequences_create();
    expect_query(s, "_HLS_msn=7&_HLS_part=2&_HLS_skip=YES", "_HLS_msn=7&_HLS_part=2&_HLS_skip=YES");
    free(published(s, list("aaaaaaaaaaaa", 6, 3), all_cached));
    struct gtv_bytes *low =
        gtv_bytes_printf("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:2,"
                         "\nbbbbbbbbbbbb_video1_seg0.mp4\n"
                         "#EXT-X-PART:DURATION=0.5,URI=\"bbbbbbbbbbbb_video1_part4.mp4\"\n"
                         "#EXT-X-RENDITION-REPORT:URI=\"audio2_stream.m3u8\",LAST-MSN=1,LAST-PART=0\n");
    char *got = published(s, low, all_cached);
    assert_non_null(strstr(got, "LAST-MSN=10,LAST-PART=0\n"));
    free(got);
    expect_query(s, "_HLS_msn=10&_HLS_part=1&_HLS_skip=YES",
                 "_HLS_msn=1&_HLS_part=1"); // the old end is still shown
    expect_query(s, "_HLS_msn=8", "");
    expect_query(s, "_HLS_msn=99999999999999999999", "");
    gtv_sequences_destroy(s);
}

static void test_a_segment_of_parts_alone_becomes_a_gap(void **state)
{
    struct gtv_sequences *s = gtv_sequences_create();
    free(published(
        s,
        gtv_bytes_printf(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI=\"aaaaaaaaaaaa_init."
            "mp4\"\n"
            "#EXTINF:2,\naaaaaaaaaaaa_seg7.mp4\n#EXT-X-PART:DURATION=0.5,URI=\"aaaaaaaaaaaa_part4.mp4\"\n"),
        all_cached));
    expect(s,
           gtv_bytes_printf("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-MAP:URI="
                            "\"bbbbbbbbbbbb_init.mp4\"\n"
                            "#EXT-X-PART:DURATION=0.5,URI=\"bbbbbbbbbbbb_part0.mp4\"\n"),
           all_cached,
           "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:8\n#EXT-X-MAP:URI=\"aaaaaaaaaaaa_init."
           "mp4\"\n"
           "#EXT-X-GAP\n#EXTINF:0.50000,\ngap.mp4\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"bbbbbbbbbbbb_init."
           "mp4\"\n"
           "#EXT-X-PART:DURATION=0.5,URI=\"bbbbbbbbbbbb_part0.mp4\"\n");
    gtv_sequences_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_go_on),
        cmocka_unit_test(test_the_tail_is_what_is_cached),
        cmocka_unit_test(test_names_without_a_generation),
        cmocka_unit_test(test_what_replicas_agreed_on),
        cmocka_unit_test(test_blocking_reloads),
        cmocka_unit_test(test_a_segment_of_parts_alone_becomes_a_gap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
