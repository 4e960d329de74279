#include "services/streaming/key.h"
#include "services/streaming/playlist.h"
#include "services/streaming/upstream.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static void sessions(void **state)
{
    struct gtv_upstream *u = gtv_upstream_create();
    const struct gtv_str cam = GTV_STR("cam_1");
    assert_int_equal(gtv_upstream_session(u, cam, 0).serial, 0);
    gtv_upstream_began(u, cam, GTV_STR("abc"), 0);
    struct gtv_upstream_session first = gtv_upstream_session(u, cam, 20000);
    assert_string_equal(first.id, "abc");
    assert_int_equal(gtv_upstream_session(u, cam, 40000).serial, first.serial); // used at 20 s
    assert_int_equal(gtv_upstream_session(u, cam, 40000 + GTV_UPSTREAM_IDLE_MS).serial, 0);
    gtv_upstream_began(u, cam, GTV_STR("def"), 50000);
    gtv_upstream_ended(u, cam, first.serial); // an old one: the new one stays
    assert_string_equal(gtv_upstream_session(u, cam, 50001).id, "def");
    gtv_upstream_ended(u, cam, gtv_upstream_session(u, cam, 50001).serial);
    assert_int_equal(gtv_upstream_session(u, cam, 50002).serial, 0);
    assert_true(gtv_upstream_blocking(u, cam) && gtv_upstream_blocking(u, GTV_STR("other")));
    gtv_upstream_set_blocking(u, cam, false, 0);
    assert_false(gtv_upstream_blocking(u, cam));
    char name[16];
    for (int i = 0; i < GTV_UPSTREAM_STREAMS + 10; i++) { // bounded: what idles gives way
        snprintf(name, sizeof name, "s%d", i);
        gtv_upstream_began(u, gtv_str_of(name), GTV_STR("x"), i < 100 ? 0 : 100000);
    }
    assert_string_equal(gtv_upstream_session(u, gtv_str_of(name), 100000).id, "x");
    gtv_upstream_destroy(u);
}

static const char *key_of(const char *path, const char *query)
{
    static struct gtv_hls_key key;
    struct gtv_error err;
    if (!gtv_hls_key_make(&key, gtv_str_of(path), &err) ||
        !gtv_hls_key_add_query(&key, gtv_str_of(query), &err))
        return gtv_code_name(err.code);
    key.text[key.n] = '\0';
    return key.text;
}

static void keys(void **state)
{
    assert_string_equal(key_of("a/b/seg1.ts", "session=x&token=y"), "a/b/seg1.ts");
    assert_string_equal(key_of("a/b/seg1.ts", "session=x&v=4"), "a/b/seg1.ts?v=4"); // its query may matter
    assert_string_equal(key_of("a/i.m3u8", "x=1&session=y"), "a/i.m3u8");
    assert_string_equal(key_of("a/i.m3u8", "_HLS_skip=YES&x=1&_HLS_part=02&_HLS_msn=0007"),
                        "a/i.m3u8?_HLS_msn=7&_HLS_part=2&_HLS_skip=YES");
    assert_string_equal(key_of("a/i.m3u8", "_HLS_msn=0&_HLS_skip=maybe"), "a/i.m3u8?_HLS_msn=0");
    assert_string_equal(key_of("a/i.m3u8", "_HLS_part=1"), "bad_request");
    assert_string_equal(key_of("a/i.m3u8", "_HLS_msn="), "bad_request");
    assert_string_equal(key_of("a/i.m3u8", "_HLS_msn=9999999999999999"), "bad_request");
    assert_string_equal(key_of("a/x.html", ""), "not_found");
    assert_string_equal(key_of("i.m3u8", ""), "bad_request");
    assert_string_equal(key_of("a/../i.m3u8", ""), "bad_request");
}

static void our_session_is_taken_out(void **state)
{
    char id[64];
    struct gtv_bytes *b = gtv_playlist_clean(
        GTV_STR(
            "#EXTM3U\r\n#EXT-X-MAP:URI=\"i.mp4?session=S&k=1\"\r\n#EXTINF:2,\r\nseg1.ts?a=1&session=S&b=2\r\n"
            "#EXT-X-PART:DURATION=1,URI=\"p1.mp4?session=S\"\nseg2.ts?_HLS_msn=4&cookieCheck=1\nseg3.ts"),
        id, sizeof id);
    assert_non_null(b);
    assert_str(gtv_bytes_str(b),
               "#EXTM3U\r\n#EXT-X-MAP:URI=\"i.mp4?k=1\"\r\n#EXTINF:2,\r\nseg1.ts?a=1&b=2\r\n"
               "#EXT-X-PART:DURATION=1,URI=\"p1.mp4\"\nseg2.ts\nseg3.ts");
    assert_string_equal(id, "S");
    gtv_bytes_unref(b);
    assert_null(gtv_playlist_clean(GTV_STR("#EXTM3U\nseg1.ts?a=1\n"), id, sizeof id));
    assert_string_equal(id, "");
}

static void parts_and_maps_are_named_too(void **state)
{
    static const char *const names[] = {"i.mp4", "p1.mp4", "s1.mp4"};
    struct gtv_str rest = GTV_STR("#EXTM3U\n#EXT-X-MAP:URI=\"i.mp4\"\n#EXT-X-PART:DURATION=1,URI=\"p1.mp4\"\n"
                                  "#EXTINF:1,\ns1.mp4\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p2.mp4\"\n"),
                   uri;
    for (size_t i = 0; i < 3; i++) {
        assert_true(gtv_playlist_next_uri(&rest, &uri));
        assert_str(uri, names[i]);
    }
    assert_false(gtv_playlist_next_uri(&rest, &uri));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sessions), cmocka_unit_test(keys),
                                       cmocka_unit_test(our_session_is_taken_out),
                                       cmocka_unit_test(parts_and_maps_are_named_too)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
