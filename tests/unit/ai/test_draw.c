#include "services/ai/picture/draw.h"

#include "services/ai/picture/jpeg_write.h"
#include "services/ai/picture/picture.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

enum { W = 200, H = 120 };

static struct gtv_image blank(void)
{
    struct gtv_image image = {0};
    struct gtv_error err;
    assert_true(gtv_image_alloc(&image, W, H, &err));
    memset(image.rgb, 0, image.stride * H);
    return image;
}

static const uint8_t *at(const struct gtv_image *image, int x, int y)
{
    return image->rgb + (size_t)y * image->stride + (size_t)x * 3;
}

static size_t count(const struct gtv_image *image)
{
    size_t n = 0;
    for (size_t i = 0; i < (size_t)W * H; i++)
        n += image->rgb[3 * i] != 0;
    return n;
}

static const struct gtv_draw_color white = {255, 255, 255};

static void rectangles(void **state)
{
    struct gtv_image image = blank();
    gtv_draw_rect(&image, 10, 20, 50, 30, 2, white);
    assert_int_equal(count(&image), 50 * 30 - 46 * 26);
    assert_int_equal(at(&image, 10, 20)[0], 255);
    assert_int_equal(at(&image, 59, 49)[1], 255);
    assert_int_equal(at(&image, 60, 49)[1], 0);
    assert_int_equal(at(&image, 12, 22)[1], 0);
    gtv_draw_rect(&image, -1000, -1000, 5000, 5000, 3, white); // its sides lie outside
    assert_int_equal(count(&image), 50 * 30 - 46 * 26);
    gtv_image_finish(&image);
}

static void far_outside(void **state)
{
    struct gtv_image image = blank();
    static const int far[] = {INT32_MIN, INT32_MIN + 1, -1000000, 0, 1000000, INT32_MAX - 1, INT32_MAX};
    size_t n = sizeof(far) / sizeof(far[0]);
    for (size_t i = 0; i < n * n * n; i++) {
        int x = far[i % n], y = far[i / n % n], s = far[i / n / n];
        gtv_draw_rect(&image, x, y, s, s, 2, white);
        gtv_draw_box(&image, x, y, s, y, GTV_STR("car 91%"), white);
        gtv_draw_text(&image, x, y, 2, GTV_STR("text"), white);
    }
    gtv_image_finish(&image);
}

static void letters(void **state)
{
    struct gtv_image image = blank();
    // Every letter leaves something, and no two the same.
    char seen[95][H * W / 100];
    memset(seen, 0, sizeof(seen));
    for (int c = ' '; c <= '~'; c++) {
        memset(image.rgb, 0, image.stride * H);
        gtv_draw_text(&image, 0, 0, 1, (struct gtv_str){(const char[]){(char)c}, 1}, white);
        assert_true(c == ' ' ? count(&image) == 0 : count(&image) >= 2);
        for (int i = 0; i < 6 * 9; i++)
            seen[c - ' '][i] = at(&image, i % 6, i / 6)[0] != 0;
        for (int o = ' '; o < c; o++)
            assert_int_not_equal(memcmp(seen[o - ' '], seen[c - ' '], 54), 0);
    }
    memset(image.rgb, 0, image.stride * H);
    gtv_draw_text(&image, 0, 0, 1, GTV_STR("\xc3"), white); // unknown: a frame
    assert_int_equal(count(&image), 20);
    assert_int_equal(gtv_draw_text_width(GTV_STR("ABC"), 2), 36);
    gtv_image_finish(&image);
}

static void boxes_with_labels(void **state)
{
    struct gtv_image image = blank();
    gtv_draw_box(&image, 40, 60, 80, 40, GTV_STR("truck 87% BRA2E19"), gtv_draw_kind_color(3));
    const struct gtv_draw_color c = gtv_draw_kind_color(3);
    assert_int_equal(at(&image, 40, 60)[0], c.r);
    assert_int_equal(at(&image, 41, 52)[0], c.r); // the bar above it
    assert_int_equal(at(&image, 80, 80)[0], 0);
    gtv_image_finish(&image);
}

static void writes_jpeg(void **state)
{
    struct gtv_image image = blank();
    gtv_draw_rect(&image, 100, 0, 100, H, 100, (struct gtv_draw_color){250, 10, 10});
    struct gtv_bytes *b = gtv_jpeg_encode(image.rgb, W, H, image.stride, 90);
    assert_non_null(b);
    struct gtv_image back;
    struct gtv_error err = {0};
    assert_true(gtv_picture_decode(gtv_bytes_str(b), &back, &err));
    assert_true(back.width == W && back.height == H);
    assert_true(at(&back, 150, 60)[0] > 230 && at(&back, 50, 60)[0] < 20);
    gtv_image_finish(&back);
    gtv_bytes_unref(b);
    // A crop: its first pixel, and the picture's stride.
    b = gtv_jpeg_encode(at(&image, 120, 20), 33, 17, image.stride, 1000);
    assert_true(gtv_picture_decode(gtv_bytes_str(b), &back, &err));
    assert_true(back.width == 33 && back.height == 17 && at(&back, 5, 5)[0] > 230);
    gtv_image_finish(&back);
    gtv_bytes_unref(b);
    assert_null(gtv_jpeg_encode(image.rgb, 0, 5, 0, 80));
    assert_null(gtv_jpeg_encode(image.rgb, 70000, 1, 0, 80));
    gtv_image_finish(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rectangles),        cmocka_unit_test(far_outside), cmocka_unit_test(letters),
        cmocka_unit_test(boxes_with_labels), cmocka_unit_test(writes_jpeg),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
