#include "services/streaming/playlist.h"
#include "tests/unit/unit.h"

static void a_media_playlist(void **state)
{
    const struct gtv_str text =
        GTV_STR("#EXTM3U\r\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:7\n"
                "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:11:56.369Z\n#EXTINF:2.00000,\nabc_seg7.ts\n"
                "#EXTINF:1.5,title\r\nabc_seg8.ts\r\n\n");
    struct gtv_playlist p;
    assert_true(gtv_playlist_scan(text, &p));
    assert_false(p.multivariant || p.ended);
    assert_int_equal(p.target_ms, 2000);
    assert_int_equal(p.window_ms, 3500);
    assert_int_equal(p.segments, 2);
    assert_int_equal(gtv_playlist_life_ms(&p), 1000);
    struct gtv_str rest = text, uri;
    assert_true(gtv_playlist_next_uri(&rest, &uri));
    assert_str(uri, "abc_seg7.ts");
    assert_true(gtv_playlist_next_uri(&rest, &uri));
    assert_str(uri, "abc_seg8.ts");
    assert_false(gtv_playlist_next_uri(&rest, &uri));
}

static void a_multivariant_playlist(void **state)
{
    struct gtv_playlist p;
    assert_true(gtv_playlist_scan(GTV_STR("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmain_stream.m3u8"), &p));
    assert_true(p.multivariant);
    assert_int_equal(gtv_playlist_life_ms(&p), 1000);
}

static void life_is_bounded(void **state)
{
    struct gtv_playlist p = {.target_ms = 0};
    assert_int_equal(gtv_playlist_life_ms(&p), 200);
    p.target_ms = 3600000;
    assert_int_equal(gtv_playlist_life_ms(&p), 5000);
    assert_true(gtv_playlist_scan(
        GTV_STR("#EXTM3U\n#EXT-X-TARGETDURATION:3600\n#EXTINF:3600,\na\n#EXTINF:3600,\nb\n#EXT-X-ENDLIST"),
        &p));
    assert_true(p.ended);
    assert_int_equal(p.window_ms, 3600000);
}

static void what_is_none(void **state)
{
    static const char *const wrong[] = {
        "",
        "<html>",
        "#EXTM3",
        "\n#EXTM3U\n#EXT-X-TARGETDURATION:2\n",
        "#EXTM3U\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:two\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:-2\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:99999999999999999999\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-STREAM-INF:BANDWIDTH=1\nx\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct gtv_playlist p;
        assert_false(gtv_playlist_scan(gtv_str_of(wrong[i]), &p));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_media_playlist),
                                       cmocka_unit_test(a_multivariant_playlist),
                                       cmocka_unit_test(life_is_bounded), cmocka_unit_test(what_is_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
