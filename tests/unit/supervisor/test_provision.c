#include "services/supervisor/provision.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

static void bodies_are_json(void **state)
{
    struct plan_camera camera = {7, "rtsp://u:p\"w@h/x", "Câmera 7"};
    char *body = provision_body(&camera);
    assert_string_equal(
        body,
        "{\"camera_id\":7,\"rtsp_url\":\"rtsp://u:p\\\"w@h/x\",\"name\":\"Câmera 7\",\"on_demand\":false,"
        "\"ai_enabled\":true}");
    free(body);
}

static void playlists(void **state)
{
    assert_false(playlist_has_segment(GTV_STR("#EXTM3U\n")));
    assert_false(playlist_has_segment(GTV_STR("")));
    assert_true(playlist_has_segment(GTV_STR("#EXTM3U\n#EXTINF:1.0,\na.ts\n")));
    struct gtv_str variant = playlist_first_variant(
        GTV_STR("#EXTM3U\n# note\n#EXT-X-STREAM-INF:BANDWIDTH=1\r\nmain.m3u8?s=1\r\nx.m3u8\n"));
    assert_str(variant, "main.m3u8?s=1");
    assert_int_equal(playlist_first_variant(GTV_STR("#EXTM3U\n#EXTINF:1.0,\na.ts\n")).n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_are_json),
        cmocka_unit_test(playlists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
