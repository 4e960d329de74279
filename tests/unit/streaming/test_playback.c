#include "services/streaming/history.h"
#include "services/streaming/playback.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static void check_render(const char *text, const char *expected)
{
    struct gtv_cuts *c = gtv_cuts_create(gtv_str_of(text));
    struct gtv_bytes *out = gtv_cuts_render(c, gtv_str_of(text), GTV_STR("T"));
    assert_non_null(out);
    assert_str(gtv_bytes_str(out), expected);
    gtv_bytes_unref(out);
    gtv_cuts_destroy(c);
}

static void each_uri_gets_the_token(void **state)
{
    check_render("#EXTM3U\n#EXTINF:2,\nseg1.ts\n", "#EXTM3U\n#EXTINF:2,\nseg1.ts?session=T\n");
    check_render("a.ts?x=1\r\nb.ts \nsub/c.ts", "a.ts?x=1&session=T\r\nb.ts?session=T \nsub/c.ts?session=T");
    check_render("#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"1@2\"\n#EXT-X-PART:DURATION=1,URI=\"p.mp4\"\n",
                 "#EXT-X-MAP:URI=\"init.mp4?session=T\",BYTERANGE=\"1@2\"\n"
                 "#EXT-X-PART:DURATION=1,URI=\"p.mp4?session=T\"\n");
    check_render("/x.ts#frag\nhttp://other/y.ts\n//host/z.ts\ndata:,\na/b:c.ts\n",
                 "/x.ts?session=T#frag\nhttp://other/y.ts\n//host/z.ts\ndata:,\na/b:c.ts?session=T\n");
    // A quoted value that looks like an attribute, an open quote, nothing at all.
    check_render("#EXT-X-MEDIA:NAME=\"a,URI=\",URI=\"v.m3u8\"\n",
                 "#EXT-X-MEDIA:NAME=\"a,URI=\",URI=\"v.m3u8?session=T\"\n");
    check_render("#EXT-X-MAP:URI=\"open\n\n#comment URI=\"x\"\n",
                 "#EXT-X-MAP:URI=\"open\n\n#comment URI=\"x\"\n");
    check_render("", "");
    check_render("#EXT-X-MAP:URI=", "#EXT-X-MAP:URI=");
    struct gtv_cuts *c = gtv_cuts_create(GTV_STR("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n"));
    assert_true(gtv_cuts_multivariant(c));
    assert_int_equal(gtv_cuts_count(c), 1);
    gtv_cuts_destroy(c);
    gtv_cuts_destroy(NULL);
}

static void grants(void **state)
{
    char token[GTV_GRANT_CAP];
    gtv_grant_mint("key-of-the-console", GTV_STR("cam_1"), 1000, token);
    assert_int_equal(strlen(token), 43);
    struct gtv_str t = gtv_str_of(token);
    assert_int_equal(gtv_grant_check("key-of-the-console", GTV_STR("cam_1"), t, 999), GTV_GRANT_GOOD);
    assert_int_equal(gtv_grant_check("key-of-the-console", GTV_STR("cam_1"), t, 1000), GTV_GRANT_OVER);
    assert_int_equal(gtv_grant_check("key-of-the-console", GTV_STR("cam_2"), t, 999), GTV_GRANT_WRONG);
    assert_int_equal(gtv_grant_check("another-key", GTV_STR("cam_1"), t, 999), GTV_GRANT_WRONG);
    for (size_t i = 0; i < t.n; i++) { // one letter changed anywhere
        char kept = token[i];
        token[i] = kept == 'A' ? 'B' : 'A';
        assert_int_equal(gtv_grant_check("key-of-the-console", GTV_STR("cam_1"), t, 999), GTV_GRANT_WRONG);
        token[i] = kept;
    }
    assert_true(gtv_bearer_is(GTV_STR("Bearer secret"), "secret"));
    assert_true(gtv_bearer_is(GTV_STR("bearer secret"), "secret"));
    assert_false(gtv_bearer_is(GTV_STR("Bearer secret2"), "secret"));
    assert_false(gtv_bearer_is(GTV_STR("Basic secret"), "secret"));
    assert_false(gtv_bearer_is(GTV_STR("Bearer "), ""));
    assert_false(gtv_bearer_is((struct gtv_str){NULL, 0}, "secret"));
}

static void sessions(void **state)
{
    struct gtv_sessions *a = gtv_sessions_create(), *b = gtv_sessions_create();
    char token[GTV_SESSION_TEXT_MAX + 1], id[GTV_SESSION_ID_CAP];
    uint8_t key[GTV_SESSION_KEY_LEN];
    gtv_session_mint(a, GTV_STR("cam_1"), 100000, token);
    struct gtv_str t = gtv_str_of(token);
    assert_true(gtv_session_text_valid(t));
    assert_true(gtv_session_valid(a, GTV_STR("cam_1"), t, 100000 + GTV_SESSION_LIFE_S));
    assert_false(gtv_session_valid(a, GTV_STR("cam_1"), t, 100001 + GTV_SESSION_LIFE_S));
    assert_false(gtv_session_valid(a, GTV_STR("cam_2"), t, 100000));
    assert_false(gtv_session_valid(b, GTV_STR("cam_1"), t, 100000));
    gtv_sessions_get_key(a, key);
    gtv_sessions_set_key(b, key);
    assert_true(gtv_session_valid(b, GTV_STR("cam_1"), t, 100000));
    gtv_sessions_get_key(b, key);
    key[0] ^= 1;
    gtv_sessions_set_key(b, key); // what was made with the key before stays valid
    assert_true(gtv_session_valid(b, GTV_STR("cam_1"), t, 100000));
    gtv_session_id(GTV_STR("abc"), id);
    assert_string_equal(id, "ba7816bf8f01cfea"); // FIPS 180-2, B.1
    assert_false(gtv_session_text_valid(GTV_STR("")));
    assert_false(gtv_session_text_valid(GTV_STR("a b")));
    assert_str(gtv_query_raw(GTV_STR("a=1&session=x=y&session=z"), GTV_STR("session")), "x=y");
    assert_null(gtv_query_raw(GTV_STR("sessions=1"), GTV_STR("session")).p);
    gtv_sessions_destroy(a);
    gtv_sessions_destroy(b);
}

static void count_name(void *arg, struct gtv_str name, int64_t until_ms)
{
    ++*(size_t *)arg;
}

static void kicked_names_are_bounded(void **state)
{
    struct gtv_sessions *s = gtv_sessions_create();
    assert_false(gtv_sessions_any_kicked(s));
    for (int i = 0; i < GTV_KICKED_MAX + 5; i++) {
        char name[32];
        int n = snprintf(name, sizeof name, "s:%d", i);
        gtv_sessions_kick(s, (struct gtv_str){name, (size_t)n}, 1000 + i);
    }
    size_t count = 0;
    gtv_sessions_each_kicked(s, 0, count_name, &count);
    assert_int_equal(count, GTV_KICKED_MAX);
    assert_false(gtv_sessions_kicked(s, GTV_STR("s:0"), 0)); // would have ended first
    assert_true(gtv_sessions_kicked(s, GTV_STR("s:10004"), 0));
    assert_false(gtv_sessions_kicked(s, GTV_STR("s:10004"), 1000 + 10004));
    uint64_t kicks = gtv_sessions_kicks(s);
    gtv_sessions_kick(s, GTV_STR("s:10004"), 500);
    assert_int_equal(gtv_sessions_kicks(s), kicks);
    gtv_sessions_destroy(s);
}

static void history_records(void **state)
{
    const struct gtv_history_record r = {30000000, {7, 350, 123456789012, 99, 33}};
    char text[GTV_HISTORY_TEXT_CAP];
    struct gtv_history_record back = {0};
    assert_true(gtv_history_read(gtv_str_of(gtv_history_write(&r, "0123456789abcdef", text)), &back));
    assert_int_equal(back.minute, r.minute);
    assert_int_equal(back.m.viewers_max, 7);
    assert_int_equal(back.m.viewer_seconds, 350);
    assert_int_equal(back.m.bytes, 123456789012);
    assert_int_equal(back.m.requests, 99);
    assert_int_equal(back.m.hits, 33);
    static const char *const bad[] = {
        "", ":", "1:a:1:1:1:1", "1:a:1:1:1:1:1:1", "x:a:1:1:1:1:1", "1:a:-1:1:1:1:1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(gtv_history_read(gtv_str_of(bad[i]), &back));
    const struct gtv_history_record two[] = {
        {10, {3, 100, 1, 1, 1}}, {10, {2, 120, 2, 2, 1}}, {11, {5, 60, 4, 1, 0}}, {99, {9, 9, 9, 9, 9}}};
    struct gtv_viewed_minute buckets[2] = {{0}};
    gtv_history_merge(two, 4, 10, 2, buckets, 2);
    assert_int_equal(buckets[0].viewers_max, 5);
    assert_int_equal(buckets[0].viewer_seconds, 180);
    assert_int_equal(buckets[0].bytes, 7);
    assert_int_equal(buckets[0].requests, 4);
    assert_int_equal(buckets[1].bytes, 0);
}

static void history_wishes(void **state)
{
    struct gtv_history_wish w;
    struct gtv_error err = {0};
    const struct gtv_str none = {NULL, 0};
    int64_t now_ms = 30000000LL * 60000;
    assert_true(gtv_history_wish_parse(none, none, none, now_ms, &w, &err));
    assert_string_equal(w.stream, "*");
    assert_int_equal(w.first, 30000000 - 1439);
    assert_int_equal(w.step, 1);
    assert_true(gtv_history_wish_parse(GTV_STR("a/b"), GTV_STR("0"), GTV_STR("86400"), now_ms, &w, &err));
    assert_int_equal(w.first, 30000000 - 1439); // a day at most
    assert_int_equal(w.step, 1440);
    assert_false(gtv_history_wish_parse(GTV_STR("a b"), none, none, now_ms, &w, &err));
    assert_string_equal(err.field, "stream");
    assert_false(gtv_history_wish_parse(none, GTV_STR("-5"), none, now_ms, &w, &err));
    assert_string_equal(err.field, "from");
    assert_false(gtv_history_wish_parse(none, none, GTV_STR("90"), now_ms, &w, &err));
    assert_string_equal(err.field, "step");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_uri_gets_the_token),
        cmocka_unit_test(grants),
        cmocka_unit_test(sessions),
        cmocka_unit_test(kicked_names_are_bounded),
        cmocka_unit_test(history_records),
        cmocka_unit_test(history_wishes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
