#include "services/media/snapshot/picture.h"
#include "tests/unit/media/pictures.h"

#include <stdio.h>

#include <jpeglib.h>

static void check(const struct gtv_picture *p, unsigned width, unsigned height)
{
    struct jpeg_decompress_struct d;
    struct jpeg_error_mgr errors;
    assert_non_null(p->jpeg);
    d.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&d);
    jpeg_mem_src(&d, p->jpeg->data, p->jpeg->len);
    assert_int_equal(jpeg_read_header(&d, TRUE), JPEG_HEADER_OK);
    assert_int_equal(d.image_width, width);
    assert_int_equal(d.image_height, height);
    d.out_color_space = JCS_GRAYSCALE;
    assert_true(jpeg_start_decompress(&d));
    uint8_t line[256];
    JSAMPROW row = line;
    assert_int_equal(jpeg_read_scanlines(&d, &row, 1), 1);
    assert_true(line[0] > 110 && line[0] < 146); // the picture is grey
    jpeg_destroy_decompress(&d);
}

static void several_widths_of_one_picture(void **state)
{
    for (int i = 0; i < 2; i++) {
        struct gtv_bytes *key = NULL;
        struct gtv_format *f = picture_format(i == 0 ? GTV_CODEC_H264 : GTV_CODEC_H265, GTV_CODEC_NONE, &key);
        struct gtv_picture p[3] = {{.width = 64}, {.width = 32}, {.width = 18}};
        assert_true(gtv_picture_make(f, key, p, 3));
        check(&p[0], 64, 48);
        check(&p[1], 32, 24);
        check(&p[2], 18, 14);
        for (size_t k = 0; k < 3; k++) {
            gtv_bytes_unref(p[k].jpeg);
        }
        gtv_bytes_unref(key);
        gtv_format_unref(f);
    }
}

static void widths_are_bounded(void **state)
{
    struct gtv_format f = {.video = {.width = 1280}};
    assert_int_equal(gtv_picture_width(&f, 0), 1280);
    assert_int_equal(gtv_picture_width(&f, 321), 320);
    assert_int_equal(gtv_picture_width(&f, 1), 16);
    assert_int_equal(gtv_picture_width(&f, 4000), 1280);
}

static void damaged_pictures_are_refused(void **state)
{
    struct gtv_format *f = picture_format(GTV_CODEC_H264, GTV_CODEC_NONE, NULL);
    static const char *const bad[] = {"", "\0\0\0\1\x65", "\0\0\0\xff\x65", "abcdefghijkl"};
    static const size_t lengths[] = {0, 5, 5, 12};
    for (size_t i = 0; i < 4; i++) {
        struct gtv_bytes *b = gtv_bytes_copy(bad[i], lengths[i]);
        struct gtv_picture p = {.width = 64};
        assert_false(gtv_picture_make(f, b, &p, 1));
        assert_null(p.jpeg);
        gtv_bytes_unref(b);
    }
    gtv_format_unref(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_widths_of_one_picture),
        cmocka_unit_test(widths_are_bounded),
        cmocka_unit_test(damaged_pictures_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
