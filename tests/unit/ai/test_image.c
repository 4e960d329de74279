#include "services/ai/picture/image.h"

#include "lib/base/clock.h"
#include "services/ai/picture/image_jpeg.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>
#include <png.h>
#include <webp/encode.h>

struct bytes {
    uint8_t *p;
    size_t n;
};

static struct gtv_str str(struct bytes b)
{
    return (struct gtv_str){(const char *)b.p, b.n};
}

// Left half red, right half blue, with a little noise, so that truncation takes away visible data.
static struct bytes make_jpeg(int width, int height, J_COLOR_SPACE space, int components, bool progressive)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    unsigned char *out = NULL;
    unsigned long n = 0;
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &out, &n);
    c.image_width = (unsigned)width;
    c.image_height = (unsigned)height;
    c.input_components = components;
    c.in_color_space = space;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, 90, TRUE);
    if (progressive)
        jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    uint8_t *row = calloc((size_t)width, (size_t)components);
    unsigned seed = 1;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            seed = seed * 1103515245U + 12345U;
            uint8_t *p = row + x * components;
            memset(p, (int)(seed >> 16) % 24, (size_t)components);
            if (components == 1)
                p[0] = x < width / 2 ? 60 : 200;
            else if (components == 3)
                p[x < width / 2 ? 0 : 2] = 230;
            else // inverted ink: 255 is none; red is all yellow and magenta
                memcpy(p, x < width / 2 ? "\xff\x00\x00\xff" : "\x00\x00\xff\xff", 4);
        }
        JSAMPROW from = row;
        (void)jpeg_write_scanlines(&c, &from, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    free(row);
    return (struct bytes){out, n};
}

static void assert_halves(const struct gtv_image *image)
{
    int y = image->height / 2;
    const uint8_t *left = image->rgb + (size_t)y * image->stride + (size_t)(image->width / 4) * 3;
    const uint8_t *right = image->rgb + (size_t)y * image->stride + (size_t)(image->width * 3 / 4) * 3;
    assert_true(left[0] > 180 && left[2] < 80);
    assert_true(right[2] > 180 && right[0] < 80);
}

static void expect(struct bytes b, int want, int width, int height, int full_width, int full_height)
{
    struct gtv_image image;
    struct gtv_error err = {0};
    if (!gtv_image_decode(str(b), want, want, &image, &err))
        fail_msg("%s", err.message);
    assert_int_equal(image.width, width);
    assert_int_equal(image.height, height);
    assert_int_equal(image.full_width, full_width);
    assert_int_equal(image.full_height, full_height);
    assert_halves(&image);
    gtv_image_finish(&image);
}

static void refuse(struct gtv_str data, enum gtv_code code, const char *part_of_message)
{
    struct gtv_image image;
    struct gtv_error err = {0};
    assert_false(gtv_image_decode(data, 416, 416, &image, &err));
    assert_null(image.rgb);
    if (err.code != code || !strstr(err.message, part_of_message))
        fail_msg("code %d, %s", (int)err.code, err.message);
}

static void jpeg_at_the_cheapest_scale(void **state)
{
    struct bytes b = make_jpeg(1280, 720, JCS_RGB, 3, false);
    expect(b, 0, 1280, 720, 1280, 720);
    expect(b, 416, 640, 360, 1280, 720); // 360 is a little less than 416, but enough
    expect(b, 600, 1280, 720, 1280, 720);
    expect(b, 200, 320, 180, 1280, 720);
    free(b.p);
    b = make_jpeg(333, 257, JCS_RGB, 3, true);
    expect(b, 416, 333, 257, 333, 257);
    expect(b, 70, 84, 65, 333, 257);
    free(b.p);
}

static void other_colours(void **state)
{
    struct bytes b = make_jpeg(64, 64, JCS_CMYK, 4, false);
    expect(b, 0, 64, 64, 64, 64);
    free(b.p);
    b = make_jpeg(64, 64, JCS_GRAYSCALE, 1, false);
    struct gtv_image image;
    struct gtv_error err = {0};
    assert_true(gtv_image_decode(str(b), 0, 0, &image, &err));
    const uint8_t *p = image.rgb + 32 * image.stride;
    assert_true(p[0] == p[1] && p[1] == p[2] && abs(p[0] - 60) < 10);
    gtv_image_finish(&image);
    free(b.p);
}

static void cut_off(void **state)
{
    struct bytes b = make_jpeg(640, 480, JCS_RGB, 3, false);
    struct gtv_image image;
    struct gtv_error err = {0};
    struct gtv_str most = {(const char *)b.p, b.n * 9 / 10}, little = {(const char *)b.p, b.n / 3};
    assert_true(gtv_image_decode(most, 0, 0, &image, &err));
    gtv_image_finish(&image);
    refuse(little, GTV_E_INVALID, "cut off: only");
    // Every length in the header, and then some: no crash, an answer each time.
    for (size_t n = 0; n < 1200; n++) {
        if (gtv_image_decode((struct gtv_str){(const char *)b.p, n}, 0, 0, &image, &err))
            fail_msg("accepted after %zu bytes", n);
    }
    free(b.p);
}

static void flipped_bytes(void **state)
{
    struct bytes b = make_jpeg(200, 150, JCS_RGB, 3, true);
    unsigned seed = 7;
    for (int i = 0; i < 300; i++) {
        uint8_t *copy = malloc(b.n);
        memcpy(copy, b.p, b.n);
        for (int k = 0; k < 4; k++) {
            seed = seed * 1103515245U + 12345U;
            copy[(seed >> 8) % b.n] = (uint8_t)(seed >> 3);
        }
        struct gtv_image image;
        struct gtv_error err = {0};
        if (gtv_image_decode((struct gtv_str){(const char *)copy, b.n}, 100, 100, &image, &err))
            gtv_image_finish(&image);
        else
            assert_int_not_equal(err.code, GTV_OK);
        free(copy);
    }
    free(b.p);
}

// The size of a JPEG stands 5 bytes behind its SOF marker, and the sampling of its first component 11 bytes
// behind it.
static void claim_size(struct bytes b, unsigned width, unsigned height, uint8_t sampling)
{
    for (size_t i = 2; i + 9 < b.n; i++) {
        if (b.p[i] == 0xFF && (b.p[i + 1] == 0xC0 || b.p[i + 1] == 0xC2)) {
            b.p[i + 5] = (uint8_t)(height >> 8);
            b.p[i + 6] = (uint8_t)height;
            b.p[i + 7] = (uint8_t)(width >> 8);
            b.p[i + 8] = (uint8_t)width;
            b.p[i + 11] = sampling;
            return;
        }
    }
    fail();
}

static void bombs(void **state)
{
    struct bytes b = make_jpeg(64, 64, JCS_RGB, 3, true);
    claim_size(b, 65500, 65500, 0x22);
    refuse(str(b), GTV_E_TOO_LARGE, "at most 50 million");
    claim_size(b, 7000, 7000, 0x22);
    refuse(str(b), GTV_E_INVALID, "more pixels than its data");
    // With something behind its end, so that its length looks right.
    struct bytes padded = {calloc(1, 100000), 100000};
    claim_size(b, 7000, 7000, 0x11);
    memcpy(padded.p, b.p, b.n);
    refuse(str(padded), GTV_E_TOO_LARGE, "memory");
    claim_size(b, 64, 64, 0x22);

    // The last scan again and again.
    size_t scan = b.n;
    while (scan > 0 && !(b.p[scan - 1] == 0xFF && b.p[scan] == 0xDA))
        scan--;
    scan--;
    size_t part = b.n - 2 - scan;
    struct bytes many = {malloc(b.n + 500 * part), scan};
    memcpy(many.p, b.p, scan);
    for (int i = 0; i < 500; i++, many.n += part)
        memcpy(many.p + many.n, b.p + scan, part);
    memcpy(many.p + many.n, "\xFF\xD9", 2);
    many.n += 2;
    refuse(str(many), GTV_E_INVALID, "more scans");

    // One component, so that it fits into memory: bounded by scans and time.
    free(b.p);
    b = make_jpeg(64, 64, JCS_GRAYSCALE, 1, true);
    claim_size(b, 7000, 7000, 0x11);
    memcpy(padded.p, b.p, b.n);
    int64_t start = gtv_mono_ms();
    struct gtv_image image;
    struct gtv_error err = {0};
    if (gtv_image_decode(str(padded), 416, 416, &image, &err))
        gtv_image_finish(&image);
    assert_true(gtv_mono_ms() - start < 2 * GTV_IMAGE_MAX_DECODE_MS);
    free(b.p);
    free(many.p);
    free(padded.p);
}

static struct bytes make_png(unsigned width, unsigned height)
{
    uint8_t *rgb = calloc((size_t)width * height, 3);
    for (size_t i = 0; i < (size_t)width * height; i++)
        rgb[i * 3 + (i % width < width / 2 ? 0 : 2)] = 230;
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = width, .height = height, .format = PNG_FORMAT_RGB};
    png_alloc_size_t n = 0;
    assert_true(png_image_write_to_memory(&image, NULL, &n, 0, rgb, 0, NULL));
    struct bytes b = {malloc(n), n};
    assert_true(png_image_write_to_memory(&image, b.p, &n, 0, rgb, 0, NULL));
    b.n = n;
    free(rgb);
    return b;
}

static void png(void **state)
{
    struct bytes b = make_png(320, 200);
    expect(b, 416, 320, 200, 320, 200);
    refuse((struct gtv_str){(const char *)b.p, b.n / 2}, GTV_E_INVALID, "cut off");
    refuse((struct gtv_str){(const char *)b.p, 12}, GTV_E_INVALID, "PNG");
    free(b.p);
    b = make_png(10000, 5001);
    refuse(str(b), GTV_E_TOO_LARGE, "at most 50 million");
    free(b.p);
}

static void webp(void **state)
{
    enum { W = 800, H = 600 };
    uint8_t *rgb = calloc((size_t)W * H, 3);
    for (size_t i = 0; i < (size_t)W * H; i++)
        rgb[i * 3 + (i % W < W / 2 ? 0 : 2)] = 230;
    struct bytes b = {0};
    b.n = WebPEncodeRGB(rgb, W, H, W * 3, 80, &b.p);
    assert_true(b.n > 0);
    expect(b, 0, 800, 600, 800, 600);
    expect(b, 300, 400, 300, 800, 600);
    refuse((struct gtv_str){(const char *)b.p, b.n / 2}, GTV_E_INVALID, "cut off");
    refuse((struct gtv_str){(const char *)b.p, 14}, GTV_E_INVALID, "WebP");
    WebPFree(b.p);
    free(rgb);
}

static void no_picture(void **state)
{
    refuse(GTV_STR(""), GTV_E_INVALID, "empty");
    refuse(GTV_STR("no jpeg"), GTV_E_INVALID, "no picture");
    refuse(GTV_STR("GIF89a......"), GTV_E_INVALID, "no picture");
    refuse(GTV_STR("\xFF\xD8\xFF"), GTV_E_INVALID, "JPEG");
    refuse(GTV_STR("\xFF\xD8\xFF\xD9"), GTV_E_INVALID, "JPEG");
}

static void reductions(void **state)
{
    assert_int_equal(gtv_image_reduction(4000, 3000, 416, 416), 4);
    assert_int_equal(gtv_image_reduction(1280, 720, 416, 416), 2);
    assert_int_equal(gtv_image_reduction(640, 480, 416, 416), 1);
    assert_int_equal(gtv_image_reduction(100000, 400, 416, 416), 1);
    assert_int_equal(gtv_image_reduction(1280, 720, 0, 0), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jpeg_at_the_cheapest_scale),
        cmocka_unit_test(other_colours),
        cmocka_unit_test(cut_off),
        cmocka_unit_test(flipped_bytes),
        cmocka_unit_test(bombs),
        cmocka_unit_test(png),
        cmocka_unit_test(webp),
        cmocka_unit_test(no_picture),
        cmocka_unit_test(reductions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
