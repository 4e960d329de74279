#include "services/streaming/health.h"
#include "tests/unit/unit.h"

#include <stdio.h>

struct seen {
    unsigned bitrate, parameters;
    int64_t before, now;
    char tracks[GTV_TRACKS_CAP];
};

static void on_change(void *arg, const struct gtv_path_state *s, const struct gtv_health_change *change)
{
    struct seen *seen = arg;
    if (strcmp(change->what, "bitrate") == 0) {
        seen->bitrate++;
        seen->before = change->before_kbps;
        seen->now = change->now_kbps;
    } else {
        seen->parameters++;
        snprintf(seen->tracks, sizeof seen->tracks, "%s>%s", change->before, change->now);
    }
}

static const char *look(struct gtv_health *h, uint64_t bytes, int64_t now_ms, const char *tracks)
{
    static struct gtv_path_state s;
    s = (struct gtv_path_state){
        .name = "cam_1", .state = "connected", .ready = true, .bytes_received = bytes};
    snprintf(s.tracks, sizeof s.tracks, "%s", tracks);
    gtv_health_take(h, &s, now_ms);
    return s.state;
}

static void it_freezes_and_thaws(void **state)
{
    struct seen seen = {0};
    struct gtv_health *h = gtv_health_create(10000, on_change, &seen);
    assert_string_equal(look(h, 100, 1000, "H264"), "connected");
    assert_string_equal(look(h, 100, 10999, "H264"), "connected");
    assert_string_equal(look(h, 100, 11000, "H264"), "frozen");
    assert_string_equal(look(h, 100, 30000, "H264"), "frozen");
    assert_string_equal(look(h, 101, 31000, "H264"), "connected");
    struct gtv_path_state lost = {.name = "cam_1", .state = "disconnected"};
    gtv_health_take(h, &lost, 32000);
    assert_string_equal(lost.state, "disconnected");
    assert_string_equal(look(h, 101, 60000, "H264"), "connected"); // counted from its connection on
    gtv_health_forget(h, GTV_STR("cam_1"));
    assert_int_equal(seen.bitrate + seen.parameters, 0);
    gtv_health_destroy(h);
}

static void parameters_change(void **state)
{
    struct seen seen = {0};
    struct gtv_health *h = gtv_health_create(10000, on_change, &seen);
    look(h, 1, 1000, "");
    look(h, 2, 2000, "H264 1280x720");
    look(h, 3, 3000, "");
    look(h, 4, 4000, "H264 1280x720");
    assert_int_equal(seen.parameters, 0);
    look(h, 5, 5000, "H264 1920x1080");
    assert_int_equal(seen.parameters, 1);
    assert_string_equal(seen.tracks, "H264 1280x720>H264 1920x1080");
    gtv_health_destroy(h);
}

static void recording_that_fails_is_told(void **state)
{
    struct seen seen = {0};
    struct gtv_health *h = gtv_health_create(10000, on_change, &seen);
    static const char *const steps[] = {
        "",          "waiting", "recording", "failed: the disk is full", "failed: the disk is full",
        "recording", "off"};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct gtv_path_state s = {.name = "cam_1", .state = "disconnected"};
        snprintf(s.recording, sizeof s.recording, "%s", steps[i]);
        gtv_health_take(h, &s, 1000 * (int64_t)i);
        if (i == 3)
            assert_string_equal(seen.tracks, "recording>failed: the disk is full");
    }
    assert_int_equal(seen.parameters, 2);
    assert_string_equal(seen.tracks, "failed: the disk is full>recording");
    gtv_health_destroy(h);
}

static void bit_rate_changes(void **state)
{
    struct seen seen = {0};
    struct gtv_health *h = gtv_health_create(10000, on_change, &seen);
    uint64_t bytes = 0;
    int64_t now = 1000;
    // 1,000 kbit/s, then 1,400, then one window of 3,000, then for good.
    static const unsigned kbps[] = {1000, 1000, 1400, 3000, 1000, 3000, 3000, 3000};
    static const unsigned told[] = {0, 0, 0, 0, 0, 0, 1, 1};
    look(h, bytes, now, "H264");
    for (size_t i = 0; i < sizeof kbps / sizeof *kbps; i++) {
        for (unsigned s = 0; s < 10; s++) {
            bytes += kbps[i] * 125;
            now += 1000;
            look(h, bytes, now, "H264");
        }
        assert_int_equal(seen.bitrate, told[i]);
    }
    assert_int_equal(seen.before, 1000);
    assert_int_equal(seen.now, 3000);
    look(h, 5, now + 1000, "H264"); // a new connection counts from zero
    assert_int_equal(seen.bitrate, 1);
    gtv_health_destroy(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_freezes_and_thaws),
        cmocka_unit_test(parameters_change),
        cmocka_unit_test(recording_that_fails_is_told),
        cmocka_unit_test(bit_rate_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
