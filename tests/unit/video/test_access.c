#include "lib/video/access.h"
#include "tests/unit/unit.h"

// Parameter sets and the first slice of one grey picture of 64x48 by x264 and by x265.
static const uint8_t h264[] = {0x00, 0x00, 0x00, 0x01, 0x09, 0xf0, 0x00, 0x00, 0x00, 0x01, 0x67, 0x4d, 0x40,
                               0x1f, 0xec, 0xa2, 0x3d, 0x80, 0x88, 0x00, 0x00, 0x03, 0x00, 0x08, 0x00, 0x00,
                               0x03, 0x01, 0x90, 0x78, 0xc1, 0x8c, 0xb0, 0x00, 0x00, 0x00, 0x01, 0x68, 0xeb,
                               0xe3, 0xcb, 0x20, 0x00, 0x00, 0x01, 0x65, 0x88, 0x84, 0x00, 0x2b, 0xff};
static const uint8_t h265[] = {0x00, 0x00, 0x00, 0x01, 0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00,
                               0x00, 0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x1e, 0x95,
                               0x98, 0x09, 0x00, 0x00, 0x00, 0x01, 0x42, 0x01, 0x01, 0x01, 0x60, 0x00, 0x00,
                               0x03, 0x00, 0x90, 0x00, 0x00, 0x03, 0x00, 0x00, 0x03, 0x00, 0x1e, 0xa0, 0x20,
                               0x83, 0x16, 0x59, 0x59, 0xae, 0x4c, 0xaf, 0x01, 0x68, 0x08, 0x00, 0x00, 0x03,
                               0x00, 0x08, 0x00, 0x00, 0x03, 0x00, 0xc8, 0x40, 0x00, 0x00, 0x00, 0x01, 0x44,
                               0x01, 0xc1, 0x73, 0xd0, 0x89, 0x00, 0x00, 0x01, 0x28, 0x01, 0xaf, 0x1d, 0x80};

static struct gtv_bytes *sets_of(const struct gtv_access *a)
{
    return gtv_bytes_copy(a->sets.data, a->sets.len);
}

static void splits_pictures_from_sets(void **state)
{
    struct gtv_access a;
    gtv_access_init(&a, GTV_CODEC_H264);
    gtv_access_annexb(&a, (struct gtv_str){(const char *)h264, sizeof h264});
    assert_true(a.key && a.picture && !a.damaged);
    struct gtv_bytes *data = gtv_access_take(&a), *sets = sets_of(&a);
    static const uint8_t wanted[] = {0, 0, 0, 6, 0x65, 0x88, 0x84, 0x00, 0x2b, 0xff};
    assert_int_equal(data->len, sizeof wanted); // no delimiter, no sets
    assert_memory_equal(data->data, wanted, sizeof wanted);
    size_t at = 0, count = 0;
    struct gtv_str nal;
    while (gtv_nal_prefixed_next(gtv_bytes_str(sets), &at, &nal)) {
        assert_int_equal(nal.p[0] & 0x1f, count++ == 0 ? 7 : 8);
    }
    assert_int_equal(count, 2);
    gtv_bytes_unref(data);
    gtv_bytes_unref(sets);
    gtv_access_reset(&a);
    assert_null(gtv_access_take(&a));
    gtv_access_finish(&a);
}

static void a_set_that_comes_twice_is_kept_once(void **state)
{
    struct gtv_access a;
    gtv_access_init(&a, GTV_CODEC_H264);
    struct gtv_str unit = {(const char *)h264, sizeof h264};
    gtv_access_annexb(&a, unit);
    size_t n = a.sets.len;
    gtv_access_annexb(&a, unit);
    assert_int_equal(a.sets.len, n);
    gtv_access_finish(&a);
}

static void joins_fragments(void **state)
{
    struct gtv_access a;
    gtv_access_init(&a, GTV_CODEC_H264);
    gtv_access_nal_begin(&a);
    gtv_access_nal_append(&a, "\x41", 1);
    gtv_access_nal_append(&a, "lost", 4);
    gtv_access_nal_begin(&a); // the last fragment never came
    gtv_access_nal_append(&a, "\x41", 1);
    gtv_access_nal_append(&a, "abc", 3);
    gtv_access_nal_end(&a);
    gtv_access_nal(&a, GTV_STR("\x0c\xff\xff")); // filler
    struct gtv_bytes *data = gtv_access_take(&a);
    assert_int_equal(data->len, 8);
    assert_memory_equal(data->data,
                        "\0\0\0\4\x41"
                        "abc",
                        8);
    assert_false(a.key);
    gtv_bytes_unref(data);
    gtv_access_finish(&a);
}

static void refuses_lengths_beyond_the_end(void **state)
{
    struct gtv_access a;
    gtv_access_init(&a, GTV_CODEC_H264);
    assert_true(gtv_access_prefixed(&a, GTV_STR("\0\0\0\2\x65x"), 4));
    assert_false(gtv_access_prefixed(&a, GTV_STR("\0\0\0\3\x65x"), 4));
    assert_false(gtv_access_prefixed(&a, GTV_STR("\0\0"), 4));
    gtv_access_finish(&a);
    size_t at = 0;
    struct gtv_str nal;
    assert_false(gtv_nal_prefixed_next(GTV_STR("\xff\xff\xff\xffxx"), &at, &nal));
    assert_false(gtv_nal_prefixed_next(GTV_STR("\0\0\0"), &at, &nal));
}

static void has_a_ceiling(void **state)
{
    struct gtv_access a;
    gtv_access_init(&a, GTV_CODEC_H264);
    static char block[65536];
    gtv_access_nal_begin(&a);
    gtv_access_nal_append(&a, "\x65", 1);
    for (int i = 0; i <= GTV_ACCESS_MAX / (int)sizeof block; i++) {
        gtv_access_nal_append(&a, block, sizeof block);
    }
    gtv_access_nal_end(&a);
    assert_true(a.damaged);
    assert_null(gtv_access_take(&a));
    gtv_access_reset(&a);
    gtv_access_nal(&a, GTV_STR("\x65x"));
    assert_false(a.damaged);
    struct gtv_bytes *data = gtv_access_take(&a);
    assert_int_equal(data->len, 6);
    gtv_bytes_unref(data);
    gtv_access_finish(&a);
}

static void describe(enum gtv_codec codec, const uint8_t *bytes, size_t n, const char *codecs)
{
    struct gtv_access a;
    gtv_access_init(&a, codec);
    gtv_access_annexb(&a, (struct gtv_str){(const char *)bytes, n});
    struct gtv_bytes *sets = sets_of(&a);
    struct gtv_format *f = gtv_format_create(codec, sets, NULL);
    assert_non_null(f);
    assert_string_equal(f->video.codecs, codecs);
    assert_int_equal(f->video.width, 64);
    assert_int_equal(f->video.height, 48);
    assert_int_equal(f->audio.codec, GTV_CODEC_NONE);
    gtv_format_unref(gtv_format_ref(f));
    gtv_format_unref(f);
    gtv_bytes_unref(sets);
    gtv_access_finish(&a);
}

static void reads_formats(void **state)
{
    describe(GTV_CODEC_H264, h264, sizeof h264, "avc1.4d401f");
    describe(GTV_CODEC_H265, h265, sizeof h265, "hvc1.1.6.L30.90");
    struct gtv_bytes *junk = gtv_bytes_copy("\0\0\0\2\x67z\0\0\0\1\x68", 11);
    assert_null(gtv_format_create(GTV_CODEC_H264, junk, NULL));
    gtv_bytes_unref(junk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_pictures_from_sets),
        cmocka_unit_test(a_set_that_comes_twice_is_kept_once),
        cmocka_unit_test(joins_fragments),
        cmocka_unit_test(refuses_lengths_beyond_the_end),
        cmocka_unit_test(has_a_ceiling),
        cmocka_unit_test(reads_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
