#include "services/streaming/replicas.h"
#include "services/streaming/viewers.h"
#include "tests/unit/unit.h"

#include "lib/base/bytes.h"
#include "lib/base/clock.h"

#include <pthread.h>
#include <stdio.h>

struct fixture {
    struct gtv_sessions *sessions;
    struct gtv_viewers *viewers;
    char token[GTV_SESSION_TEXT_MAX + 1];
};

static struct fixture fixture(size_t max, bool signed_only)
{
    struct fixture f = {.sessions = gtv_sessions_create()};
    f.viewers = gtv_viewers_create(max, signed_only, f.sessions);
    return f;
}

static void finish(struct fixture *f)
{
    gtv_viewers_destroy(f->viewers);
    gtv_sessions_destroy(f->sessions);
}

static enum gtv_viewer_answer ask(struct fixture *f, enum gtv_viewer_ask what, const char *session,
                                  const char *file, int64_t now_ms)
{
    const struct gtv_viewer_request r = {.stream = GTV_STR("cam_1"),
                                         .file = gtv_str_of(file),
                                         .session = gtv_str_of(session),
                                         .address = GTV_STR("10.0.0.1"),
                                         .agent = GTV_STR("vlc"),
                                         .ask = what,
                                         .bytes = 10,
                                         .hit = what == GTV_ASK_SEGMENT,
                                         .now_ms = now_ms};
    return gtv_viewers_touch(f->viewers, &r, f->token);
}

static struct gtv_viewed_stream seen(struct fixture *f, int64_t now_ms)
{
    return gtv_viewers_stream(f->viewers, GTV_STR("cam_1"), now_ms);
}

static void a_viewer_is_a_session(void **state)
{
    struct fixture f = fixture(100, false);
    char first[GTV_SESSION_TEXT_MAX + 1];
    assert_int_equal(ask(&f, GTV_ASK_INDEX, NULL, "index.m3u8", 0), GTV_VIEWER_OK);
    memcpy(first, f.token, sizeof first);
    assert_int_equal(strlen(first), 43);
    assert_int_equal(ask(&f, GTV_ASK_PLAYLIST, first, "main.m3u8", 10), GTV_VIEWER_OK);
    assert_string_equal(f.token, first);
    assert_int_equal(ask(&f, GTV_ASK_SEGMENT, first, "seg1.ts", 20), GTV_VIEWER_OK);
    assert_int_equal(seen(&f, 20).viewers, 1);
    assert_int_equal(ask(&f, GTV_ASK_INDEX, NULL, "index.m3u8", 30), GTV_VIEWER_OK);
    assert_string_not_equal(f.token, first); // another player of the same client
    assert_int_equal(ask(&f, GTV_ASK_INDEX, NULL, "index.m3u8", 40), GTV_VIEWER_OK);
    struct gtv_viewed_stream s = seen(&f, 40);
    assert_int_equal(s.viewers, 3);
    assert_int_equal(s.peak, 3);
    assert_int_equal(s.bytes, 50);
    assert_int_equal(s.requests, 5);
    assert_int_equal(s.hits, 1);
    const struct gtv_viewer_request more = {.stream = GTV_STR("cam_1"), .session = gtv_str_of(first)};
    gtv_viewers_add_bytes(f.viewers, &more, 7);
    assert_int_equal(gtv_viewers_all(f.viewers, 40).bytes, 57);
    assert_true(gtv_viewers_has(f.viewers, GTV_STR("cam_1"), gtv_str_of(first), 40));
    assert_false(gtv_viewers_has(f.viewers, GTV_STR("cam_2"), gtv_str_of(first), 40));
    finish(&f);
}

static void one_that_was_not_taken_up_is_given_again(void **state)
{
    struct fixture f = fixture(100, false);
    for (int64_t now_ms = 0; now_ms <= 10000; now_ms += 1500)
        assert_int_equal(ask(&f, GTV_ASK_INDEX, NULL, "index.m3u8", now_ms), GTV_VIEWER_OK);
    assert_int_equal(seen(&f, 10000).peak, 1);
    finish(&f);
}

static void without_a_session_address_and_agent_tell(void **state)
{
    struct fixture f = fixture(100, false);
    assert_int_equal(ask(&f, GTV_ASK_PLAYLIST, NULL, "main.m3u8", 0), GTV_VIEWER_OK);
    char token[GTV_SESSION_TEXT_MAX + 1];
    memcpy(token, f.token, sizeof token);
    assert_int_equal(ask(&f, GTV_ASK_SEGMENT, token, "seg1.ts", 1), GTV_VIEWER_OK);
    assert_int_equal(ask(&f, GTV_ASK_PLAYLIST, NULL, "main.m3u8", 2), GTV_VIEWER_OK);
    assert_string_equal(f.token, token);
    assert_int_equal(ask(&f, GTV_ASK_SEGMENT, NULL, "seg2.ts", 3), GTV_VIEWER_OK);
    assert_int_equal(seen(&f, 3).viewers, 1);
    finish(&f);
}

static void they_leave_after_three_target_durations(void **state)
{
    struct fixture f = fixture(100, false);
    gtv_viewers_set_window(f.viewers, GTV_STR("cam_1"), 4000, 20000);
    assert_int_equal(ask(&f, GTV_ASK_PLAYLIST, "a", "main.m3u8", 0), GTV_VIEWER_OK);
    assert_int_equal(ask(&f, GTV_ASK_PLAYLIST, "b", "main.m3u8", 5000), GTV_VIEWER_OK);
    assert_int_equal(seen(&f, 12000).viewers, 2);
    struct gtv_viewed_stream s = seen(&f, 12001);
    assert_int_equal(s.viewers, 1);
    assert_int_equal(s.peak, 2);
    assert_int_equal(s.bytes, 20); // what was sent stays counted
    assert_int_equal(s.window_ms, 20000);
    gtv_viewers_prune(f.viewers, 17001);
    assert_int_equal(seen(&f, 17001).viewers, 0);
    finish(&f);
}

static void a_full_stream_keeps_who_is_there(void **state)
{
    struct fixture f = fixture(2, false);
    assert_int_equal(ask(&f, GTV_ASK_PLAYLIST, "a", "m", 0), GTV_VIEWER_OK);
    assert_int_equal(ask(&f, GTV_ASK_PLAYLIST, "b", "m", 3000), GTV_VIEWER_OK);
    assert_int_equal(ask(&f, GTV_ASK_PLAYLIST, "c", "m", 3000), GTV_VIEWER_FULL);
    assert_int_equal(ask(&f, GTV_ASK_INDEX, NULL, "m", 3000), GTV_VIEWER_FULL);
    assert_int_equal(ask(&f, GTV_ASK_PLAYLIST, "a", "m", 3000), GTV_VIEWER_OK);
    assert_int_equal(ask(&f, GTV_ASK_PLAYLIST, "b", "m", 9000), GTV_VIEWER_OK);
    // a has left: 2 s are taken for the target duration until it is known.
    assert_int_equal(ask(&f, GTV_ASK_PLAYLIST, "c", "m", 9001), GTV_VIEWER_OK);
    finish(&f);
}

static void copy_viewer(void *arg, const struct gtv_viewer *viewer)
{
    *(struct gtv_viewer *)arg = *viewer;
}

static struct gtv_viewer only(struct fixture *f, int64_t now_ms)
{
    struct gtv_viewer v = {0};
    gtv_viewers_list(f->viewers, GTV_STR("cam_1"), now_ms, 1, copy_viewer, &v);
    return v;
}

static void stalls_by_request_times(void **state)
{
    struct fixture f = fixture(9, false);
    gtv_viewers_set_window(f.viewers, GTV_STR("cam_1"), 10000, 12000);
    gtv_viewers_set_segment(f.viewers, GTV_STR("cam_1"), 2000);
    // Three segments at once last until 6,000; then one each 2 s.
    static const struct {
        const char *file;
        int64_t at_ms;
        unsigned stalls;
    } steps[] = {{"1", 0, 0},    {"2", 10, 0},    {"3", 20, 0},    {"3", 30, 0},   {"4", 5900, 0},
                 {"5", 8500, 0}, {"6", 14000, 1}, {"7", 16900, 1}, {"8", 20500, 2}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(ask(&f, GTV_ASK_SEGMENT, "a", steps[i].file, steps[i].at_ms), GTV_VIEWER_OK);
        assert_int_equal(only(&f, steps[i].at_ms).stalls, steps[i].stalls);
    }
    assert_int_equal(only(&f, 20500).stalled_ms, 14000 - 10500 + 20500 - 18900);
    finish(&f);
}

static void only_signed_tokens_where_they_must_be(void **state)
{
    struct fixture f = fixture(9, true), other = fixture(9, false);
    assert_int_equal(ask(&f, GTV_ASK_INDEX, "my-own", "index.m3u8", 0), GTV_VIEWER_OK);
    assert_string_not_equal(f.token, "my-own");
    char token[GTV_SESSION_TEXT_MAX + 1];
    gtv_session_mint(f.sessions, GTV_STR("cam_1"), gtv_wall_ms() / 1000, token);
    assert_int_equal(ask(&f, GTV_ASK_PLAYLIST, token, "main.m3u8", 1), GTV_VIEWER_OK);
    assert_string_equal(f.token, token); // another replica's
    gtv_session_mint(other.sessions, GTV_STR("cam_1"), gtv_wall_ms() / 1000, token);
    assert_int_equal(ask(&f, GTV_ASK_PLAYLIST, token, "main.m3u8", 2), GTV_VIEWER_OK);
    assert_string_not_equal(f.token, token);
    finish(&f);
    finish(&other);
}

static void a_kick_holds(void **state)
{
    struct fixture f = fixture(9, false);
    int64_t wall_ms = gtv_wall_ms();
    assert_int_equal(ask(&f, GTV_ASK_PLAYLIST, "a", "m", 0), GTV_VIEWER_OK);
    assert_false(gtv_viewers_kick(f.viewers, GTV_STR("cam_1"), GTV_STR("0123456789abcdef"), 0, wall_ms));
    struct gtv_viewer v = only(&f, 0);
    assert_true(gtv_viewers_kick(f.viewers, GTV_STR("cam_1"), gtv_str_of(v.id), 0, wall_ms));
    assert_int_equal(seen(&f, 0).viewers, 0);
    assert_int_equal(ask(&f, GTV_ASK_SEGMENT, "a", "s", 1), GTV_VIEWER_KICKED);
    assert_int_equal(ask(&f, GTV_ASK_INDEX, NULL, "i", 1), GTV_VIEWER_KICKED);
    assert_int_equal(ask(&f, GTV_ASK_PLAYLIST, "b", "m", 1), GTV_VIEWER_OK);
    finish(&f);
}

static void bit_rate_and_minutes(void **state)
{
    struct fixture f = fixture(9, false);
    struct gtv_viewed_minute m;
    for (int64_t s = 0; s < 5; s++) {
        assert_int_equal(ask(&f, GTV_ASK_SEGMENT, "a", "x", s * 1000), GTV_VIEWER_OK);
        gtv_viewers_prune(f.viewers, s * 1000 + 1);
    }
    assert_int_equal(seen(&f, 4000).bitrate, 80);
    gtv_viewers_peek_minute(f.viewers, GTV_STR("cam_1"), &m);
    assert_int_equal(m.bytes, 50);
    assert_int_equal(m.viewers_max, 1);
    assert_int_equal(m.viewer_seconds, 5);
    gtv_viewers_peek_minute(f.viewers, GTV_STR("*"), &m);
    assert_int_equal(m.requests, 5);
    finish(&f);
}

static void two_replicas_are_one(void **state)
{
    struct fixture a = fixture(3, false), b = fixture(3, false);
    int64_t wall_ms = 1800000000000;
    assert_int_equal(ask(&a, GTV_ASK_PLAYLIST, "both", "m", 0), GTV_VIEWER_OK);
    assert_int_equal(ask(&a, GTV_ASK_PLAYLIST, "only-a", "m", 0), GTV_VIEWER_OK);
    assert_int_equal(ask(&b, GTV_ASK_PLAYLIST, "both", "m", 0), GTV_VIEWER_OK);
    struct gtv_bytes *json = gtv_replica_write(b.viewers, 0, wall_ms);
    gtv_viewers_remote_begin(a.viewers);
    assert_true(gtv_replica_read(a.viewers, gtv_bytes_str(json), 0, wall_ms));
    gtv_viewers_remote_end(a.viewers);
    gtv_bytes_unref(json);
    assert_int_equal(seen(&a, 0).viewers, 2);
    assert_int_equal(seen(&a, 0).bytes, 30);
    json = gtv_replica_write(a.viewers, 0, wall_ms);
    gtv_viewers_remote_begin(b.viewers);
    assert_true(gtv_replica_read(b.viewers, gtv_bytes_str(json), 0, wall_ms));
    gtv_viewers_remote_end(b.viewers);
    gtv_bytes_unref(json);
    assert_int_equal(seen(&b, 0).viewers, 2);
    assert_int_equal(ask(&b, GTV_ASK_PLAYLIST, "third", "m", 0), GTV_VIEWER_OK);
    assert_int_equal(ask(&b, GTV_ASK_PLAYLIST, "fourth", "m", 0), GTV_VIEWER_FULL);
    assert_int_equal(ask(&b, GTV_ASK_PLAYLIST, "only-a", "m", 0), GTV_VIEWER_OK); // it watches already
    assert_int_equal(seen(&b, 0).viewers, 3);
    // The other one is gone.
    gtv_viewers_remote_begin(a.viewers);
    gtv_viewers_remote_end(a.viewers);
    assert_int_equal(seen(&a, 0).viewers, 2);
    assert_int_equal(seen(&a, 0).bytes, 20);
    static const char *const broken[] = {"", "[]", "{\"streams\":7}"};
    for (size_t i = 0; i < 3; i++)
        assert_false(gtv_replica_read(a.viewers, gtv_str_of(broken[i]), 0, 0));
    assert_true(gtv_replica_read(
        a.viewers, GTV_STR("{\"streams\":[1,{\"path\":\"a b\"},{\"path\":\"x\",\"viewers\":[[],[1],3]}]}"), 0,
        0));
    finish(&a);
    finish(&b);
}

static void long_and_hostile_names(void **state)
{
    struct fixture f = fixture(10, false);
    char agent[1000];
    memset(agent, 'x', sizeof agent - 1);
    agent[sizeof agent - 1] = '\0';
    const struct gtv_viewer_request r = {.stream = GTV_STR("cam_1"),
                                         .address = gtv_str_of(agent),
                                         .agent = gtv_str_of(agent),
                                         .session = gtv_str_of(agent),
                                         .ask = GTV_ASK_PLAYLIST};
    assert_int_equal(gtv_viewers_touch(f.viewers, &r, f.token), GTV_VIEWER_OK);
    assert_int_equal(gtv_viewers_touch(f.viewers, &r, f.token), GTV_VIEWER_OK);
    assert_int_equal(seen(&f, 0).viewers, 1);
    assert_int_equal(strlen(only(&f, 0).agent), GTV_VIEWER_AGENT_MAX);
    assert_int_equal(ask(&f, GTV_ASK_PLAYLIST, "\"\r\n", "m", 0), GTV_VIEWER_OK);
    assert_int_equal(strlen(f.token), 43);
    finish(&f);
}

static void *watch(void *arg)
{
    struct fixture *shared = arg, own = *shared;
    for (int i = 0; i < 2000; i++) {
        char session[16];
        snprintf(session, sizeof session, "s%d", i % 7);
        (void)ask(&own, i % 2 ? GTV_ASK_SEGMENT : GTV_ASK_INDEX, i % 5 ? session : NULL, "f", i * 100);
        if (i % 50 == 0)
            (void)gtv_viewers_all(own.viewers, i * 100);
    }
    return NULL;
}

static void from_many_threads(void **state)
{
    struct fixture f = fixture(50, false);
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, watch, &f), 0);
    for (int i = 0; i < 50; i++) {
        gtv_viewers_prune(f.viewers, i * 4000);
        gtv_viewers_remote_begin(f.viewers);
        gtv_viewers_remote_end(f.viewers);
    }
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_true(seen(&f, 0).requests > 0);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_viewer_is_a_session),
        cmocka_unit_test(one_that_was_not_taken_up_is_given_again),
        cmocka_unit_test(without_a_session_address_and_agent_tell),
        cmocka_unit_test(they_leave_after_three_target_durations),
        cmocka_unit_test(a_full_stream_keeps_who_is_there),
        cmocka_unit_test(stalls_by_request_times),
        cmocka_unit_test(only_signed_tokens_where_they_must_be),
        cmocka_unit_test(a_kick_holds),
        cmocka_unit_test(bit_rate_and_minutes),
        cmocka_unit_test(two_replicas_are_one),
        cmocka_unit_test(long_and_hostile_names),
        cmocka_unit_test(from_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
