#include "services/ai/picture/picture.h"

#include "lib/base/clock.h"
#include "services/ai/picture/jpeg_write.h"
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
    c.arith_code = width == 123; // one of the tests' sizes stands for arithmetic coding
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

static void assert_colors(const uint8_t *left, const uint8_t *right)
{
    if (left[0] < 180 || left[2] > 80 || right[2] < 180 || right[0] > 80)
        fail_msg("left %d %d %d, right %d %d %d", left[0], left[1], left[2], right[0], right[1], right[2]);
}

static const struct gtv_model model = {
    .input = {.width = 96, .height = 64}, .resize = GTV_RESIZE_STRETCH, .pad = 114};

// To an input of `width` x `height`, and whole into RGB: red on the left, blue on the right in both.
static void expect_scaled(struct bytes b, int width, int height, int reduction, int full_width,
                          int full_height)
{
    struct gtv_model m = model;
    m.input.width = width;
    m.input.height = height;
    uint8_t *pixels = malloc((size_t)width * (size_t)height * 3);
    struct gtv_geometry g;
    struct gtv_picture_info info;
    struct gtv_error err = {0};
    if (!gtv_picture_to_input(NULL, str(b), &m, pixels, &g, &info, &err))
        fail_msg("%s", err.message);
    assert_int_equal(info.reduction, reduction);
    assert_int_equal(info.width, full_width);
    assert_int_equal(info.height, full_height);
    assert_int_equal(g.full_width, full_width);
    const uint8_t *row = pixels + (size_t)(height / 2) * (size_t)width * 3;
    assert_colors(row + width / 4 * 3, row + width * 3 / 4 * 3);
    free(pixels);

    struct gtv_image image;
    if (!gtv_picture_decode(str(b), &image, &err))
        fail_msg("%s", err.message);
    assert_int_equal(image.width, full_width);
    assert_int_equal(image.height, full_height);
    row = image.rgb + (size_t)(full_height / 2) * image.stride;
    assert_colors(row + full_width / 4 * 3, row + full_width * 3 / 4 * 3);
    gtv_image_finish(&image);
}

static bool accepts(struct gtv_str data, struct gtv_picture_info *info, struct gtv_error *err)
{
    static uint8_t pixels[96 * 64 * 3];
    struct gtv_geometry g;
    struct gtv_image image;
    memset(err, 0, sizeof(*err));
    bool ok = gtv_picture_to_input(NULL, data, &model, pixels, &g, info, err);
    struct gtv_error other = {0};
    if (ok && gtv_picture_decode(data, &image, &other))
        gtv_image_finish(&image);
    return ok;
}

static void refuse(struct gtv_str data, enum gtv_code code, const char *part_of_message)
{
    struct gtv_picture_info info;
    struct gtv_error err = {0};
    assert_false(accepts(data, &info, &err));
    if (err.code != code || !strstr(err.message, part_of_message))
        fail_msg("code %d, %s", (int)err.code, err.message);
    struct gtv_image image;
    memset(&err, 0, sizeof(err));
    assert_false(gtv_picture_decode(data, &image, &err));
    assert_null(image.rgb);
    assert_int_equal(err.code, code);
}

static void jpeg_at_the_cheapest_scale(void **state)
{
    struct bytes b = make_jpeg(1280, 720, JCS_RGB, 3, false);
    expect_scaled(b, 416, 416, 2, 1280, 720); // 360 is a little less than 416, but enough
    expect_scaled(b, 600, 600, 1, 1280, 720);
    expect_scaled(b, 320, 180, 4, 1280, 720);
    expect_scaled(b, 31, 17, 4, 1280, 720);
    free(b.p);
    b = make_jpeg(333, 257, JCS_RGB, 3, true);
    expect_scaled(b, 416, 416, 1, 333, 257);
    expect_scaled(b, 70, 50, 4, 333, 257);
    free(b.p);
    b = make_jpeg(123, 77, JCS_RGB, 3, false);
    expect_scaled(b, 50, 50, 1, 123, 77);
    free(b.p);
    b = make_jpeg(1, 1, JCS_RGB, 3, false);
    struct gtv_picture_info info;
    struct gtv_error err;
    assert_true(accepts(str(b), &info, &err));
    free(b.p);
}

static void other_colours(void **state)
{
    struct bytes b = make_jpeg(64, 64, JCS_CMYK, 4, false);
    expect_scaled(b, 64, 64, 1, 64, 64);
    expect_scaled(b, 30, 30, 2, 64, 64);
    free(b.p);
    b = make_jpeg(64, 64, JCS_GRAYSCALE, 1, false);
    struct gtv_model m = model;
    m.input.width = m.input.height = 64;
    uint8_t pixels[64 * 64 * 3];
    struct gtv_geometry g;
    struct gtv_picture_info info;
    struct gtv_error err = {0};
    assert_true(gtv_picture_to_input(NULL, str(b), &m, pixels, &g, &info, &err));
    const uint8_t *p = pixels + 32 * 64 * 3 + 30;
    assert_true(p[0] == p[1] && p[1] == p[2] && abs(p[0] - 60) < 10);
    free(b.p);
}

// ---- Upright ----

// A marker segment with an orientation, behind the JPEG's SOI.
static struct bytes turned_jpeg(struct bytes b, int orientation, bool big)
{
    uint8_t app1[] = {0xFF,
                      0xE1,
                      0,
                      34,
                      'E',
                      'x',
                      'i',
                      'f',
                      0,
                      0,
                      'I',
                      'I',
                      42,
                      0,
                      8,
                      0,
                      0,
                      0,
                      1,
                      0,
                      0x12,
                      1,
                      3,
                      0,
                      1,
                      0,
                      0,
                      0,
                      (uint8_t)orientation,
                      0,
                      0,
                      0,
                      0,
                      0,
                      0,
                      0};
    static const uint8_t other[] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1};
    if (big) {
        memcpy(app1 + 10, other, sizeof(other));
        app1[28] = 0;
        app1[29] = (uint8_t)orientation;
    }
    struct bytes out = {malloc(b.n + sizeof(app1)), b.n + sizeof(app1)};
    memcpy(out.p, b.p, 2);
    memcpy(out.p + 2, app1, sizeof(app1));
    memcpy(out.p + 2 + sizeof(app1), b.p + 2, b.n - 2);
    return out;
}

// Four corners in four colours; then every orientation must bring the one that belongs there to the upper
// left and the upper right.
static const uint8_t corner_color[4][3] = {{220, 20, 20}, {20, 220, 20}, {20, 20, 220}, {220, 220, 220}};

static struct bytes corners_jpeg(int width, int height)
{
    uint8_t *rgb = malloc((size_t)width * (size_t)height * 3);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++)
            memcpy(rgb + ((size_t)y * (size_t)width + (size_t)x) * 3,
                   corner_color[(y >= height / 2) * 2 + (x >= width / 2)], 3);
    }
    struct gtv_bytes *jpeg = gtv_jpeg_encode(rgb, width, height, (size_t)width * 3, 95);
    struct bytes out = {malloc(jpeg->len), jpeg->len};
    memcpy(out.p, jpeg->data, out.n);
    gtv_bytes_unref(jpeg);
    free(rgb);
    return out;
}

static int corner_at(const uint8_t *p)
{
    for (int i = 0; i < 4; i++) {
        const uint8_t *c = corner_color[i];
        if (abs(p[0] - c[0]) < 40 && abs(p[1] - c[1]) < 40 && abs(p[2] - c[2]) < 40)
            return i;
    }
    return -1;
}

// EXIF 2.3: which stored corner is seen at the upper left and the upper right (0 1 over 2 3 as stored).
static const int seen[9][2] = {{0, 0}, {0, 1}, {1, 0}, {3, 2}, {2, 3}, {0, 2}, {2, 0}, {3, 1}, {1, 3}};

static void check_corners(const uint8_t *rgb, int width, int height, size_t stride, int orientation)
{
    const uint8_t *row = rgb + (size_t)(height / 4) * stride;
    assert_int_equal(corner_at(row + width / 4 * 3), seen[orientation][0]);
    assert_int_equal(corner_at(row + width * 3 / 4 * 3), seen[orientation][1]);
}

static void stands_upright(void **state)
{
    struct bytes plain = corners_jpeg(320, 160);
    for (int o = 1; o <= 8; o++) {
        struct bytes b = turned_jpeg(plain, o, o % 2 == 0);
        int w = o >= 5 ? 160 : 320, h = o >= 5 ? 320 : 160;
        struct gtv_model m = model;
        m.resize = GTV_RESIZE_LETTERBOX_CENTER;
        uint8_t pixels[96 * 64 * 3];
        struct gtv_geometry g;
        struct gtv_picture_info info;
        struct gtv_error err = {0};
        assert_true(gtv_picture_to_input(NULL, str(b), &m, pixels, &g, &info, &err));
        assert_int_equal(info.orientation, o);
        assert_int_equal(info.width, w);
        assert_int_equal(info.height, h);
        assert_int_equal(g.full_width, w);
        assert_int_equal(g.width, o >= 5 ? 32 : 96);
        check_corners(pixels + (g.y * 96 + g.x) * 3, g.width, g.height, sizeof(pixels) / 64, o);
        assert_int_equal(pixels[0], 114);

        struct gtv_image image;
        assert_true(gtv_picture_decode(str(b), &image, &err));
        assert_int_equal(image.width, w);
        check_corners(image.rgb, image.width, image.height, image.stride, o);
        // A region holds what the whole picture has there.
        struct gtv_picture_region r = {w / 2 - 13, h / 3, w, 50}, used = r;
        struct gtv_image part;
        assert_true(gtv_picture_decode_region(str(b), &used, &part, &err));
        assert_int_equal(used.width, w - r.x);
        assert_int_equal(part.height, 50);
        assert_int_equal(part.full_width, w);
        for (int y = 3; y < 47; y += 7) {
            for (int x = 3; x < part.width; x += 11) {
                const uint8_t *a = part.rgb + (size_t)y * part.stride + (size_t)x * 3;
                const uint8_t *e = image.rgb + (size_t)(r.y + y) * image.stride + (size_t)(r.x + x) * 3;
                for (int c = 0; c < 3; c++)
                    assert_true(abs(a[c] - e[c]) < 24);
            }
        }
        gtv_image_finish(&part);
        gtv_image_finish(&image);
        free(b.p);
    }
    free(plain.p);
}

static void regions(void **state)
{
    struct bytes b = make_jpeg(200, 100, JCS_RGB, 3, true);
    struct gtv_image image;
    struct gtv_error err = {0};
    static const struct gtv_picture_region outside[] = {{200, 0, 5, 5},  {0, 100, 5, 5},
                                                        {-5, 0, 5, 5},   {10, 10, 0, 5},
                                                        {10, 10, 5, -5}, {INT32_MAX, 0, INT32_MAX, 1}};
    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        struct gtv_picture_region r = outside[i];
        assert_false(gtv_picture_decode_region(str(b), &r, &image, &err));
        assert_int_equal(err.code, GTV_E_INVALID);
        assert_null(image.rgb);
    }
    struct gtv_picture_region last = {199, 99, 1, 1};
    assert_true(gtv_picture_decode_region(str(b), &last, &image, &err));
    assert_true(image.width == 1 && image.height == 1 && image.rgb[2] > 180);
    gtv_image_finish(&image);
    free(b.p);
}

static void broken_exif(void **state)
{
    struct bytes plain = corners_jpeg(64, 64);
    struct bytes b = turned_jpeg(plain, 6, false);
    struct gtv_picture_info info;
    struct gtv_error err;
    unsigned seed = 3;
    for (int i = 0; i < 400; i++) { // a picture is not refused for its EXIF, whatever it says
        struct bytes c = {malloc(b.n), b.n};
        memcpy(c.p, b.p, b.n);
        for (int k = 0; k < 3; k++) {
            seed = seed * 1103515245U + 12345U;
            c.p[12 + (seed >> 8) % 26] = (uint8_t)(seed >> 3);
        }
        assert_true(accepts(str(c), &info, &err));
        assert_true(info.orientation >= 1 && info.orientation <= 8);
        free(c.p);
    }
    free(b.p);
    free(plain.p);
}

// ---- Broken ----

static void cut_off(void **state)
{
    struct bytes b = make_jpeg(640, 480, JCS_RGB, 3, false);
    struct gtv_picture_info info;
    struct gtv_error err = {0};
    assert_true(accepts((struct gtv_str){(const char *)b.p, b.n * 9 / 10}, &info, &err));
    assert_true(info.cut_off);
    assert_true(accepts(str(b), &info, &err));
    assert_false(info.cut_off);
    refuse((struct gtv_str){(const char *)b.p, b.n * 7 / 10}, GTV_E_INVALID, "cut off: only");
    refuse((struct gtv_str){(const char *)b.p, b.n / 3}, GTV_E_INVALID, "cut off: only");
    // Every length in the header, and then some: no crash, an answer each time.
    for (size_t n = 0; n < 1200; n++) {
        if (accepts((struct gtv_str){(const char *)b.p, n}, &info, &err))
            fail_msg("accepted after %zu bytes", n);
    }
    free(b.p);
    // In scans: what came first is the whole picture, coarse.
    b = make_jpeg(640, 480, JCS_RGB, 3, true);
    assert_true(accepts((struct gtv_str){(const char *)b.p, b.n * 9 / 10}, &info, &err));
    assert_true(info.cut_off);
    refuse((struct gtv_str){(const char *)b.p, b.n / 50}, GTV_E_INVALID, "cut off");
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
        struct gtv_picture_info info;
        struct gtv_error err = {0};
        if (!accepts((struct gtv_str){(const char *)copy, b.n}, &info, &err))
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

// A whole progressive JPEG in 118 bytes that claims 49 million pixels, with a scan for each 10 bytes of it.
static void small_bomb(void **state)
{
    static const uint8_t head[] = {0xFF, 0xC2, 0, 11,   8,    7000 >> 8, 7000 & 255, 7000 >> 8, 7000 & 255, 1,
                                   1,    0x11, 0, 0xFF, 0xC4, 0,         20,         0,         1};
    static const uint8_t scan[] = {0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 0, 0};
    uint8_t bomb[118] = {0xFF, 0xD8, 0xFF, 0xDB, 0, 67};
    memset(bomb + 7, 1, 64);
    memcpy(bomb + 71, head, sizeof(head));
    memcpy(bomb + 106, scan, sizeof(scan));
    bomb[116] = 0xFF;
    bomb[117] = 0xD9;
    int64_t start = gtv_mono_ms();
    refuse((struct gtv_str){(const char *)bomb, sizeof(bomb)}, GTV_E_INVALID, "more pixels than its data");
    assert_true(gtv_mono_ms() - start < 20 * GTV_IMAGE_MAX_DECODE_MS);
    // Made long enough for its claim, it is bounded by scans and time.
    size_t n = 30000;
    uint8_t *large = malloc(n);
    memcpy(large, bomb, 106);
    for (size_t at = 106; at + sizeof(scan) <= n; at += sizeof(scan))
        memcpy(large + at, scan, sizeof(scan));
    start = gtv_mono_ms();
    struct gtv_picture_info info;
    struct gtv_error err;
    assert_false(accepts((struct gtv_str){(const char *)large, n}, &info, &err));
    assert_int_equal(err.code, GTV_E_INVALID);
    assert_true(gtv_mono_ms() - start < 20 * GTV_IMAGE_MAX_DECODE_MS);
    free(large);
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
    struct gtv_picture_info info;
    struct gtv_error err = {0};
    (void)accepts(str(padded), &info, &err);
    // Two decodings, each limited in processor time, on a machine that does other things too.
    assert_true(gtv_mono_ms() - start < 20 * GTV_IMAGE_MAX_DECODE_MS);
    free(b.p);
    free(many.p);
    free(padded.p);
}

// Without its last argument as make_jpeg's pictures; with alpha the lower half is transparent white.
static struct bytes make_png(unsigned width, unsigned height, int type, int depth, bool interlaced)
{
    size_t channels = type == PNG_COLOR_TYPE_RGB_ALPHA ? 4 : type == PNG_COLOR_TYPE_PALETTE ? 1 : 3;
    size_t each = depth == 16 ? 2 : 1, stride = width * channels * each;
    uint8_t *pixels = calloc(height, stride);
    png_bytep *rows = calloc(height, sizeof(*rows));
    for (size_t y = 0; y < height; y++) {
        rows[y] = pixels + y * stride;
        for (size_t x = 0; x < width; x++) {
            uint8_t *p = rows[y] + x * channels * each;
            bool left = x < width / 2;
            if (channels == 1) {
                p[0] = left ? 0 : 1;
                continue;
            }
            p[(left ? 0 : 2) * each] = 230;
            if (channels == 4 && y > height * 3 / 4)
                memset(p, 255, 3);
            else if (channels == 4)
                p[3 * each] = 255;
        }
    }
    char *data = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&data, &n);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, f);
    png_set_IHDR(png, info, width, height, depth, type, interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    const png_color palette[2] = {{230, 0, 0}, {0, 0, 230}};
    if (type == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, palette, 2);
    png_set_rows(png, info, rows);
    png_write_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
    png_destroy_write_struct(&png, &info);
    (void)fclose(f);
    free(rows);
    free(pixels);
    return (struct bytes){(uint8_t *)data, n};
}

static void png(void **state)
{
    static const int kinds[][2] = {{PNG_COLOR_TYPE_RGB, 8},
                                   {PNG_COLOR_TYPE_RGB, 16},
                                   {PNG_COLOR_TYPE_PALETTE, 8},
                                   {PNG_COLOR_TYPE_RGB_ALPHA, 8},
                                   {PNG_COLOR_TYPE_RGB_ALPHA, 16}};
    struct gtv_error err = {0};
    struct gtv_image image;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        for (int interlaced = 0; interlaced < 2; interlaced++) {
            struct bytes b = make_png(320, 200, kinds[i][0], kinds[i][1], interlaced);
            expect_scaled(b, 96, 64, 1, 320, 200);
            if (kinds[i][0] == PNG_COLOR_TYPE_RGB_ALPHA) {
                assert_true(gtv_picture_decode(str(b), &image, &err));
                const uint8_t *p = image.rgb + 190 * image.stride;
                assert_true(p[0] == 0 && p[1] == 0 && p[2] == 0); // what is transparent lies on black
                gtv_image_finish(&image);
            }
            refuse((struct gtv_str){(const char *)b.p, b.n / 4}, GTV_E_INVALID, "cut off");
            free(b.p);
        }
    }
    struct bytes b = make_png(320, 200, PNG_COLOR_TYPE_RGB, 8, false);
    refuse((struct gtv_str){(const char *)b.p, 12}, GTV_E_INVALID, "PNG");
    struct gtv_picture_region r = {140, 60, 40, 30};
    assert_true(gtv_picture_decode_region(str(b), &r, &image, &err));
    assert_colors(image.rgb + 3, image.rgb + 38 * 3);
    gtv_image_finish(&image);
    // eXIf in front of the data: seen as rotated.
    static const uint8_t exif[] = {0,    0, 0, 26, 'e', 'X', 'I', 'f', 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1,
                                   0x12, 0, 3, 0,  0,   0,   1,   0,   6,   0,   0, 0,  0, 0, 0, 0, 0, 0, 0};
    struct bytes turned = {malloc(b.n + sizeof(exif)), b.n + sizeof(exif)};
    memcpy(turned.p, b.p, 33); // signature and IHDR
    memcpy(turned.p + 33, exif, sizeof(exif));
    memcpy(turned.p + 33 + sizeof(exif), b.p + 33, b.n - 33);
    assert_true(gtv_picture_decode(str(turned), &image, &err));
    assert_int_equal(image.width, 200);
    assert_int_equal(image.height, 320);
    const uint8_t *top = image.rgb + 10 * image.stride + 300, *bottom = image.rgb + 310 * image.stride + 300;
    assert_colors(top, bottom);
    gtv_image_finish(&image);
    free(turned.p);
    // The size alone decides, before anything is read.
    memcpy(b.p + 16, "\0\0\x27\x10\0\0\x13\x89", 8); // 10000 x 5001
    refuse(str(b), GTV_E_TOO_LARGE, "at most 50 million");
    memcpy(b.p + 16, "\0\1\0\0\0\0\0\1", 8);
    refuse(str(b), GTV_E_TOO_LARGE, "a side");
    memcpy(b.p + 16, "\0\0\0\0\0\0\0\1", 8);
    refuse(str(b), GTV_E_INVALID, "empty");
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
    expect_scaled(b, 700, 500, 1, 800, 600);
    expect_scaled(b, 300, 300, 2, 800, 600);
    struct gtv_picture_region r = {381, 61, 40, 30};
    struct gtv_image image;
    struct gtv_error err = {0};
    assert_true(gtv_picture_decode_region(str(b), &r, &image, &err));
    assert_true(image.width == 40 && image.height == 30);
    assert_colors(image.rgb + 3, image.rgb + 38 * 3);
    gtv_image_finish(&image);
    refuse((struct gtv_str){(const char *)b.p, b.n / 2}, GTV_E_INVALID, "cut off");
    refuse((struct gtv_str){(const char *)b.p, 14}, GTV_E_INVALID, "WebP");
    struct gtv_picture_info info;
    assert_true(accepts((struct gtv_str){(const char *)b.p, b.n - 12}, &info, &err));
    assert_true(info.cut_off);

    // The extended form, with EXIF behind the picture: upside down.
    static const uint8_t extended[] = {
        'R', 'I',           'F',          'F', 0, 0, 0, 0, 'W', 'E', 'B', 'P',           'V',
        'P', '8',           'X',          10,  0, 0, 0, 8, 0,   0,   0,   (W - 1) & 255, (W - 1) >> 8,
        0,   (H - 1) & 255, (H - 1) >> 8, 0};
    static const uint8_t exif[] = {'E', 'X',  'I', 'F', 26, 0, 0, 0, 'I', 'I', 42, 0, 8, 0, 0, 0, 1,
                                   0,   0x12, 1,   3,   0,  1, 0, 0, 0,   3,   0,  0, 0, 0, 0, 0, 0};
    size_t n = sizeof(extended) + b.n - 12 + sizeof(exif);
    struct bytes turned = {malloc(n), n};
    memcpy(turned.p, extended, sizeof(extended));
    memcpy(turned.p + sizeof(extended), b.p + 12, b.n - 12);
    memcpy(turned.p + n - sizeof(exif), exif, sizeof(exif));
    for (size_t i = 0; i < 4; i++)
        turned.p[4 + i] = (uint8_t)((n - 8) >> 8 * i);
    assert_true(gtv_picture_decode(str(turned), &image, &err));
    assert_colors(image.rgb + 700 * 3, image.rgb + 10 * 3);
    gtv_image_finish(&image);
    turned.p[20] |= 2; // as if it were an animation
    refuse(str(turned), GTV_E_INVALID, "animation");
    free(turned.p);
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

static void from_base64(void **state)
{
    struct gtv_picture_scratch *s = gtv_picture_scratch_create();
    struct gtv_str file = {0};
    struct gtv_error err = {0};
    assert_true(gtv_picture_from_base64(s, GTV_STR("data:image/png;base64,Zm9v"), &file, &err));
    assert_str(file, "foo");
    assert_false(gtv_picture_from_base64(s, GTV_STR("Zm9v!"), &file, &err));
    assert_int_equal(err.code, GTV_E_INVALID);
    gtv_picture_scratch_destroy(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jpeg_at_the_cheapest_scale),
        cmocka_unit_test(other_colours),
        cmocka_unit_test(stands_upright),
        cmocka_unit_test(regions),
        cmocka_unit_test(broken_exif),
        cmocka_unit_test(cut_off),
        cmocka_unit_test(flipped_bytes),
        cmocka_unit_test(small_bomb),
        cmocka_unit_test(bombs),
        cmocka_unit_test(png),
        cmocka_unit_test(webp),
        cmocka_unit_test(no_picture),
        cmocka_unit_test(from_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
