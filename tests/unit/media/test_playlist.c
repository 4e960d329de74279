#include "services/media/playlist.h"
#include "tests/unit/unit.h"

static void index_as_mediamtx_writes_it(void **state)
{
    struct gtv_playlist_variant v = {.bandwidth = 4169088,
                                     .average_bandwidth = 4169088,
                                     .video_codecs = "avc1.4d401f",
                                     .width = 1280,
                                     .height = 720,
                                     .fps = 25};
    struct gtv_buf out = {0};
    gtv_playlist_index(&out, &v);
    assert_str(gtv_buf_str(&out),
               "#EXTM3U\n"
               "#EXT-X-VERSION:3\n"
               "#EXT-X-INDEPENDENT-SEGMENTS\n"
               "\n"
               "#EXT-X-STREAM-INF:BANDWIDTH=4169088,AVERAGE-BANDWIDTH=4169088,CODECS=\"avc1.4d401f\","
               "RESOLUTION=1280x720,FRAME-RATE=25.000\n"
               "main_stream.m3u8\n");
    gtv_buf_finish(&out);
}

static void index_with_audio_and_unknown_rate(void **state)
{
    struct gtv_playlist_variant v = {.bandwidth = 2,
                                     .average_bandwidth = 1,
                                     .video_codecs = "hvc1.1.6.L93.B0",
                                     .audio_codecs = "mp4a.40.2",
                                     .width = 640,
                                     .height = 360};
    struct gtv_buf out = {0};
    gtv_playlist_index(&out, &v);
    assert_non_null(
        strstr(out.data, "CODECS=\"hvc1.1.6.L93.B0,mp4a.40.2\",RESOLUTION=640x360\nmain_stream.m3u8\n"));
    gtv_buf_finish(&out);
}

static void media_as_mediamtx_writes_it(void **state)
{
    struct gtv_playlist_segment s[] = {
        {.wall_ms = 1795360316369, .duration = 2, .prefix = "026961b54d72", .number = 21},
        {.wall_ms = 1795360318369, .duration = 1.96, .prefix = "026961b54d72", .number = 22}};
    struct gtv_buf out = {0};
    gtv_playlist_media(&out, s, 2, 2, 21, 0);
    assert_str(gtv_buf_str(&out), "#EXTM3U\n"
                                  "#EXT-X-VERSION:3\n"
                                  "#EXT-X-ALLOW-CACHE:NO\n"
                                  "#EXT-X-TARGETDURATION:2\n"
                                  "#EXT-X-MEDIA-SEQUENCE:21\n"
                                  "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:11:56.369Z\n"
                                  "#EXTINF:2.00000,\n"
                                  "026961b54d72_main_seg21.ts\n"
                                  "#EXT-X-PROGRAM-DATE-TIME:2026-11-22T15:11:58.369Z\n"
                                  "#EXTINF:1.96000,\n"
                                  "026961b54d72_main_seg22.ts\n");
    gtv_buf_finish(&out);
}

static void discontinuities(void **state)
{
    struct gtv_playlist_segment s = {
        .wall_ms = 0, .duration = 1, .discontinuity = true, .prefix = "026961b54d72", .number = 3};
    struct gtv_buf out = {0};
    gtv_playlist_media(&out, &s, 1, 1, 3, 2);
    assert_non_null(strstr(out.data,
                           "#EXT-X-MEDIA-SEQUENCE:3\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n#EXT-X-DISCONTINUITY\n"
                           "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z\n"));
    gtv_buf_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(index_as_mediamtx_writes_it),
        cmocka_unit_test(index_with_audio_and_unknown_rate),
        cmocka_unit_test(media_as_mediamtx_writes_it),
        cmocka_unit_test(discontinuities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
