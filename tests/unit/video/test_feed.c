#include "lib/video/feed.h"
#include "tests/unit/unit.h"

// One grey picture of 64x48 by x264 and by x265: parameter sets and a key frame.
static const uint8_t h264[] = {0x00, 0x00, 0x00, 0x01, 0x67, 0x4d, 0x40, 0x1f, 0xec, 0xa2, 0x3d, 0x80, 0x88,
                               0x00, 0x00, 0x03, 0x00, 0x08, 0x00, 0x00, 0x03, 0x01, 0x90, 0x78, 0xc1, 0x8c,
                               0xb0, 0x00, 0x00, 0x00, 0x01, 0x68, 0xeb, 0xe3, 0xcb, 0x20, 0x00, 0x00, 0x01,
                               0x65, 0x88, 0x84, 0x00, 0x2b, 0xff, 0xfe, 0xf6, 0x73, 0x7c, 0x25, 0x72, 0x58,
                               0xe3, 0x79, 0x92, 0xef, 0x1d, 0xb9, 0x69, 0xe7, 0x7a, 0xcd, 0x03, 0xe1, 0x8d};
enum { H264_SETS = 36 }; // bytes before the picture
static const uint8_t h265[] = {
    0x00, 0x00, 0x00, 0x01, 0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90,
    0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x1e, 0x95, 0x98, 0x09, 0x00, 0x00, 0x00, 0x01, 0x42, 0x01,
    0x01, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x1e, 0xa0,
    0x20, 0x83, 0x16, 0x59, 0x59, 0xae, 0x4c, 0xaf, 0x01, 0x68, 0x08, 0x00, 0x00, 0x03, 0x00, 0x08, 0x00,
    0x00, 0x03, 0x00, 0xc8, 0x40, 0x00, 0x00, 0x00, 0x01, 0x44, 0x01, 0xc1, 0x73, 0xd0, 0x89, 0x00, 0x00,
    0x01, 0x28, 0x01, 0xaf, 0x1d, 0x80, 0xee, 0x23, 0x8f, 0xae, 0xf5, 0xf3, 0x56, 0xcb};
static const uint8_t h264_inter[] = {0x00, 0x00, 0x00, 0x01, 0x41, 0x9a, 0x21, 0x6c, 0x42};

static const int64_t start_us = INT64_C(1795372575896105);
static const struct gtv_log quiet = {"test", NULL, NULL};

struct seen {
    int formats, units, keys, seams, audio;
    struct gtv_video_info video;
    int64_t last_time, first_time;
    size_t last_bytes;
};

static void on_format(void *arg, struct gtv_format *format)
{
    struct seen *s = arg;
    s->formats++;
    s->video = format->video;
}

static void on_sample(void *arg, const struct gtv_sample *sample, size_t received)
{
    struct seen *s = arg;
    if (!sample->video) {
        s->audio++;
        return;
    }
    assert_true(s->formats > 0);
    s->first_time = s->units++ == 0 ? sample->pts : s->first_time;
    s->keys += sample->key;
    s->seams += sample->discontinuity;
    s->last_time = sample->pts;
    s->last_bytes = sample->data->len;
}

static const struct gtv_feed_callbacks callbacks = {on_format, on_sample};
static enum gtv_codec codec; // of the feed created last

static struct gtv_feed *create(enum gtv_codec video, const uint8_t *extradata, int n, struct seen *s)
{
    struct gtv_feed_config config = {.video = codec = video, .audio.codec = GTV_CODEC_AAC};
    struct gtv_access a;
    gtv_access_init(&a, video);
    gtv_access_annexb(&a, (struct gtv_str){(const char *)extradata, (size_t)n});
    config.sets = n > 0 ? gtv_bytes_copy(a.sets.data, a.sets.len) : NULL;
    config.audio.config = gtv_bytes_copy("\x12\x10", 2);
    struct gtv_feed *f = gtv_feed_create(&config, &callbacks, s, &quiet);
    gtv_bytes_unref(config.sets);
    gtv_bytes_unref(config.audio.config);
    gtv_access_finish(&a);
    return f;
}

static void feed_at(struct gtv_feed *f, const uint8_t *data, size_t n, int64_t pts, int64_t arrival_us)
{
    struct gtv_access a;
    gtv_access_init(&a, codec);
    gtv_access_annexb(&a, (struct gtv_str){(const char *)data, n});
    gtv_feed_video(f, &a, pts, arrival_us, n);
    gtv_access_finish(&a);
}

static void describes_h264(void **state)
{
    struct seen s = {0};
    struct gtv_feed *f = create(GTV_CODEC_H264, NULL, 0, &s);
    feed_at(f, h264_inter, sizeof h264_inter, 0, start_us); // before any key frame
    assert_int_equal(s.units, 0);
    feed_at(f, h264, sizeof h264, 3600, start_us + 40000);
    assert_int_equal(s.formats, 1);
    assert_string_equal(s.video.codecs, "avc1.4d401f");
    assert_string_equal(s.video.profile, "Main");
    assert_string_equal(s.video.level, "3.1");
    assert_int_equal(s.video.width, 64);
    assert_int_equal(s.video.height, 48);
    assert_true(s.video.fps > 24.9 && s.video.fps < 25.1);
    feed_at(f, h264_inter, sizeof h264_inter, 7200, start_us + 80000);
    feed_at(f, h264, sizeof h264, 10800, start_us + 120000);
    assert_int_equal(s.formats, 1); // the same parameters
    assert_int_equal(s.units, 3);
    assert_int_equal(s.keys, 2);
    assert_int_equal(s.seams, 1); // the beginning
    assert_int_equal(s.last_time - s.first_time, 7200);
    gtv_feed_destroy(f);
}

static void describes_h265(void **state)
{
    struct seen s = {0};
    struct gtv_feed *f = create(GTV_CODEC_H265, NULL, 0, &s);
    feed_at(f, h265, sizeof h265, 0, start_us);
    assert_int_equal(s.formats, 1);
    assert_string_equal(s.video.codecs, "hvc1.1.6.L30.90");
    assert_string_equal(s.video.level, "1");
    assert_int_equal(s.video.width, 64);
    assert_int_equal(s.video.height, 48);
    gtv_feed_destroy(f);
}

static void takes_parameters_from_elsewhere(void **state)
{
    struct seen s = {0};
    struct gtv_feed *f = create(GTV_CODEC_H264, h264, H264_SETS, &s);
    feed_at(f, h264 + H264_SETS, sizeof h264 - H264_SETS, 0, start_us);
    assert_int_equal(s.units, 1);
    assert_int_equal(s.last_bytes, sizeof h264 - H264_SETS + 1); // a length of 4 bytes for a start code of 3
    gtv_feed_destroy(f);
    s = (struct seen){0};
    f = create(GTV_CODEC_H264, NULL, 0, &s); // ahead of the picture, in a unit of their own
    feed_at(f, h264, H264_SETS, 0, start_us);
    feed_at(f, h264 + H264_SETS, sizeof h264 - H264_SETS, 0, start_us);
    assert_int_equal(s.units, 1);
    gtv_feed_destroy(f);
}

static void damage_costs_what_was_damaged(void **state)
{
    struct seen s = {0};
    struct gtv_feed *f = create(GTV_CODEC_H264, h264, H264_SETS, &s);
    struct gtv_access a;
    gtv_access_init(&a, GTV_CODEC_H264);
    feed_at(f, h264, sizeof h264, 0, start_us);
    gtv_access_annexb(&a, (struct gtv_str){(const char *)h264_inter, sizeof h264_inter});
    gtv_access_damage(&a);
    gtv_feed_video(f, &a, 3600, start_us + 40000, 1);
    feed_at(f, h264_inter, sizeof h264_inter, 7200, start_us + 80000);
    assert_int_equal(s.units, 2); // one picture less
    gtv_access_annexb(&a, (struct gtv_str){(const char *)h264, sizeof h264});
    gtv_access_damage(&a);
    gtv_feed_video(f, &a, 10800, start_us + 120000, 1);
    feed_at(f, h264_inter, sizeof h264_inter, 14400, start_us + 160000);
    assert_int_equal(s.units, 2); // what the key frame would have begun is lost with it
    feed_at(f, h264, sizeof h264, 18000, start_us + 200000);
    assert_int_equal(s.units, 3);
    assert_int_equal(gtv_feed_damaged(f), 2);
    gtv_access_finish(&a);
    gtv_feed_destroy(f);
}

static void audio_follows_the_picture(void **state)
{
    struct seen s = {0};
    struct gtv_feed *f = create(GTV_CODEC_H264, h264, H264_SETS, &s);
    struct gtv_bytes *frame = gtv_bytes_copy("frame", 5);
    gtv_feed_audio(f, frame, 0, start_us, 5);
    assert_int_equal(s.audio, 0); // nothing to go with yet
    feed_at(f, h264, sizeof h264, 0, start_us);
    gtv_feed_audio(f, frame, 1920, start_us + 20000, 5);
    gtv_feed_audio(f, frame, 1920, start_us + 20000, 5);
    gtv_feed_audio(f, frame, 3840, start_us + 40000, 5);
    assert_in_range(s.audio, 2, 3);
    gtv_bytes_unref(frame);
    gtv_feed_destroy(f);
}

static void unknown_parameters_hold_everything(void **state)
{
    struct seen s = {0};
    struct gtv_feed *f = create(GTV_CODEC_H264, NULL, 0, &s);
    feed_at(f, h264 + H264_SETS, sizeof h264 - H264_SETS, 0, start_us);
    assert_int_equal(s.units, 0);
    static const uint8_t garbage[] = {0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 0, 0, 1, 0x65, 0x88};
    feed_at(f, garbage, sizeof garbage, 3600, start_us + 40000);
    assert_int_equal(s.formats, 0);
    feed_at(f, h264, sizeof h264, 7200, start_us + 80000);
    assert_int_equal(s.units, 1);
    gtv_feed_destroy(f);
}

static void changed_parameters_are_a_seam(void **state)
{
    struct seen s = {0};
    struct gtv_feed *f = create(GTV_CODEC_H264, NULL, 0, &s);
    uint8_t other[sizeof h264];
    memcpy(other, h264, sizeof h264);
    other[7] = 0x1e; // level 3.0
    feed_at(f, h264, sizeof h264, 0, start_us);
    feed_at(f, other, sizeof other, 3600, start_us + 40000);
    assert_int_equal(s.formats, 2);
    assert_string_equal(s.video.codecs, "avc1.4d401e");
    assert_int_equal(s.seams, 2);
    gtv_feed_destroy(f);
}

static void a_jump_waits_for_no_key_frame_while_the_wall_is_even(void **state)
{
    struct seen s = {0};
    struct gtv_feed *f = create(GTV_CODEC_H264, NULL, 0, &s);
    feed_at(f, h264, sizeof h264, 0, start_us);
    feed_at(f, h264_inter, sizeof h264_inter, 900000000, start_us + 40000); // ten thousand seconds on
    assert_int_equal(s.units, 2);
    assert_int_equal(s.last_time - s.first_time, 3600);
    feed_at(f, h264, sizeof h264, 900003600, start_us + 80000);
    assert_int_equal(s.seams, 2);
    gtv_feed_destroy(f);
}

static void a_wall_clock_set_back_waits_for_a_key_frame(void **state)
{
    struct seen s = {0};
    struct gtv_feed *f = create(GTV_CODEC_H264, NULL, 0, &s);
    feed_at(f, h264, sizeof h264, 0, start_us);
    feed_at(f, h264_inter, sizeof h264_inter, 3600, start_us - 3600000000);
    feed_at(f, h264_inter, sizeof h264_inter, 7200, start_us - 3600000000 + 40000);
    assert_int_equal(s.units, 1);
    feed_at(f, h264, sizeof h264, 10800, start_us - 3600000000 + 80000);
    assert_int_equal(s.units, 2);
    assert_int_equal(s.seams, 2);
    gtv_feed_destroy(f);
}

static void packets_without_stamps_follow_their_arrival(void **state)
{
    struct seen s = {0};
    struct gtv_feed *f = create(GTV_CODEC_H264, NULL, 0, &s);
    for (int i = 0; i < 50; i++) {
        feed_at(f, h264, sizeof h264, GTV_NO_STAMP, start_us + i * 40000);
    }
    assert_int_equal(s.units, 50);
    assert_in_range(s.last_time - s.first_time, 49 * 3600 - 3600, 49 * 3600 + 3600);
    gtv_feed_destroy(f);
}

static void nal_units_are_found(void **state)
{
    static const char data[] = "\0\0\0\1\x67\x01\0\0\1\x68\0\0\0\0\0\1\x65\x02\x03\0\0";
    size_t at = 0;
    struct gtv_str nal, all = {data, sizeof data - 1};
    assert_true(gtv_nal_next(all, &at, &nal));
    assert_str(nal, "\x67\x01");
    assert_true(gtv_nal_next(all, &at, &nal));
    assert_str(nal, "\x68");
    assert_true(gtv_nal_next(all, &at, &nal));
    assert_str(nal, "\x65\x02\x03");
    assert_false(gtv_nal_next(all, &at, &nal));
    for (size_t n = 0; n <= all.n; n++) { // every cut of it
        at = 0;
        while (gtv_nal_next((struct gtv_str){data, n}, &at, &nal)) {
            assert_true(nal.n > 0 && nal.p + nal.n <= data + n);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(describes_h264),
        cmocka_unit_test(describes_h265),
        cmocka_unit_test(takes_parameters_from_elsewhere),
        cmocka_unit_test(damage_costs_what_was_damaged),
        cmocka_unit_test(audio_follows_the_picture),
        cmocka_unit_test(unknown_parameters_hold_everything),
        cmocka_unit_test(changed_parameters_are_a_seam),
        cmocka_unit_test(a_jump_waits_for_no_key_frame_while_the_wall_is_even),
        cmocka_unit_test(a_wall_clock_set_back_waits_for_a_key_frame),
        cmocka_unit_test(packets_without_stamps_follow_their_arrival),
        cmocka_unit_test(nal_units_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
