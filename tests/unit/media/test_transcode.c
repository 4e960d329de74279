#include "services/media/transcode.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

struct heard {
    size_t count;
    int64_t first, last, shortest, longest;
};

static void on_frame(void *arg, struct gtv_bytes *frame, int64_t stamp)
{
    struct heard *h = arg;
    assert_true(frame->len > 0);
    if (h->count++ == 0) {
        h->first = stamp;
    } else {
        int64_t step = stamp - h->last;
        h->shortest = step < h->shortest ? step : h->shortest;
        h->longest = step > h->longest ? step : h->longest;
    }
    h->last = stamp;
}

static struct heard fresh(void)
{
    return (struct heard){.shortest = INT64_MAX, .longest = INT64_MIN};
}

// n packets of 20 ms of A-law silence at 8 kHz, whose stamps are off by a rounding each.
static int64_t push(struct gtv_transcode *t, int64_t stamp, int n, struct heard *h)
{
    char packet[160];
    memset(packet, (char)0xd5, sizeof packet);
    for (int i = 0; i < n; i++) {
        gtv_transcode_push(t, (struct gtv_str){packet, sizeof packet}, stamp + (i % 3) - 1, on_frame, h);
        stamp += 1800;
    }
    return stamp;
}

static void telephone_quality_becomes_aac(void **state)
{
    struct gtv_transcode *t = gtv_transcode_create(AV_CODEC_ID_PCM_ALAW, 8000, 1, GTV_STR(""));
    struct heard h = fresh();
    assert_non_null(t);
    const struct gtv_audio_info *info = gtv_transcode_info(t);
    assert_int_equal(info->codec, GTV_CODEC_AAC);
    assert_int_equal(info->rate, 16000);
    assert_int_equal(info->channels, 1);
    assert_string_equal(info->codecs, "mp4a.40.2");
    int64_t end = push(t, 900000, 500, &h); // 10 s
    // 1024 samples at 16 kHz are 5760 ticks; the encoder begins one frame before its input.
    assert_true(h.count > 150 && h.count < 160);
    assert_true(llabs(h.first - (900000 - 5760)) <= 1);
    assert_true(h.shortest >= 5759 && h.longest <= 5761);
    assert_true(end - h.last < 5 * 5760);
    gtv_transcode_destroy(t);
}

static void jumps_are_followed(void **state)
{
    struct gtv_transcode *t = gtv_transcode_create(AV_CODEC_ID_PCM_MULAW, 8000, 2, GTV_STR(""));
    struct heard h = fresh();
    int64_t hours = INT64_C(36000) * 90000;
    (void)push(t, 0, 100, &h);
    (void)push(t, hours, 100, &h);
    assert_true(h.last > hours && h.last < hours + 200 * 1800);
    (void)push(t, 0, 100, &h);
    assert_true(h.last < 200 * 1800);
    gtv_transcode_destroy(t);
}

static void rubbish_is_left_out(void **state)
{
    assert_null(gtv_transcode_create(AV_CODEC_ID_PCM_ALAW, 0, 1, GTV_STR("")));
    assert_null(gtv_transcode_create(AV_CODEC_ID_PCM_ALAW, 8000, 0, GTV_STR("")));
    assert_null(gtv_transcode_create(AV_CODEC_ID_NONE, 8000, 1, GTV_STR("")));
    struct gtv_transcode *t = gtv_transcode_create(AV_CODEC_ID_MP3, 44100, 2, GTV_STR(""));
    struct heard h = fresh();
    char packet[400];
    unsigned dice = 1;
    assert_non_null(t);
    for (int i = 0; i < 300; i++) {
        for (size_t at = 0; at < sizeof packet; at++) {
            dice = dice * 1103515245U + 12345U;
            packet[at] = (char)(dice >> 16);
        }
        gtv_transcode_push(t, (struct gtv_str){packet, sizeof packet}, i * 2000, on_frame, &h);
    }
    gtv_transcode_destroy(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(telephone_quality_becomes_aac),
        cmocka_unit_test(jumps_are_followed),
        cmocka_unit_test(rubbish_is_left_out),
    };
    av_log_set_level(AV_LOG_QUIET);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
