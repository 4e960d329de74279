#include "services/ai/plate/localise.h"
#include "services/ai/plate/model.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>

enum { W = 200, H = 120 };

// A picture whose red is x and whose green is y.
static struct gtv_plate_picture ramp(void)
{
    static uint8_t rgb[W * H * 3];
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            uint8_t *p = rgb + (y * W + x) * 3;
            p[0] = (uint8_t)x;
            p[1] = (uint8_t)(2 * y);
            p[2] = 7;
        }
    }
    return (struct gtv_plate_picture){rgb, W, H, (size_t)W * 3};
}

static void test_warp_of_a_rectangle(void **state)
{
    const struct gtv_plate_picture p = ramp();
    const struct gtv_plate_quad q = gtv_plate_quad_of_box(40, 30, 80, 50);
    uint8_t out[20 * 40 * 3];
    gtv_plate_warp(&p, &q, 0, 0, 1, 1, out, 40, 20, 40 * 3); // pixel for pixel
    for (int y = 1; y < 19; y++) {
        for (int x = 1; x < 39; x++) {
            assert_int_equal(out[(y * 40 + x) * 3], 40 + x);
            assert_int_equal(out[(y * 40 + x) * 3 + 1], 2 * (30 + y));
            assert_int_equal(out[(y * 40 + x) * 3 + 2], 7);
        }
    }
    // With a margin of half its width on the left, and reduced to a quarter: means.
    gtv_plate_warp(&p, &q, -0.5, 0, 1, 1, out, 15, 5, 15 * 3);
    assert_int_equal(out[0], 22); // mean of 20..23, rounded
    assert_int_equal(out[14 * 3], 78);
}

static void test_warp_of_a_quad(void **state)
{
    const struct gtv_plate_picture p = ramp();
    const struct gtv_plate_quad q = {{40, 120, 110, 30}, {20, 40, 90, 70}};
    uint8_t out[64 * 64 * 3];
    gtv_plate_warp(&p, &q, 0, 0, 1, 1, out, 64, 64, 64 * 3);
    // The corners are where they should be, to a pixel.
    assert_true(abs(out[0] - 40) <= 2 && abs(out[1] / 2 - 20) <= 2);
    assert_true(abs(out[63 * 3] - 119) <= 2 && abs(out[63 * 3 + 1] / 2 - 40) <= 2);
    size_t last = ((size_t)64 * 64 - 1) * 3;
    assert_true(abs(out[last] - 109) <= 2 && abs(out[last + 1] / 2 - 89) <= 2);
    assert_true(gtv_plate_quad_tilt(&q) > 10);
    const struct gtv_plate_quad box = gtv_plate_quad_of_box(1, 2, 11, 7);
    assert_true(fabs(gtv_plate_quad_width(&box) - 10) < 1e-6);
}

static void test_warp_survives_nonsense(void **state)
{
    const struct gtv_plate_picture p = ramp();
    static const struct gtv_plate_quad quads[] = {
        {{0, 0, 0, 0}, {0, 0, 0, 0}},
        {{10, 20, 30, 40}, {10, 20, 30, 40}},
        {{-5000, 9000, 8000, -7000}, {-5000, -4000, 9000, 9000}},
        {{10, 90, 10, 90}, {10, 90, 90, 10}},
        {{NAN, 1, 2, 3}, {4, 5, 6, 7}},
    };
    uint8_t out[32 * 16 * 3];
    for (size_t i = 0; i < sizeof(quads) / sizeof(quads[0]); i++)
        gtv_plate_warp(&p, &quads[i], -0.1, -0.1, 1.1, 1.1, out, 32, 16, 32 * 3);
}

static void paint(uint8_t *rgb, int w, int y0, int y1, uint8_t r, uint8_t g, uint8_t b)
{
    for (int i = y0 * w; i < y1 * w; i++) {
        rgb[i * 3] = r;
        rgb[i * 3 + 1] = g;
        rgb[i * 3 + 2] = b;
    }
}

static void test_what_a_crop_tells(void **state)
{
    static uint8_t rgb[128 * 48 * 3];
    paint(rgb, 128, 0, 48, 190, 190, 190);
    assert_true(gtv_plate_sharpness(rgb, 128, 48, 128 * 3) < 1);
    assert_true(fabs(gtv_plate_blue_band(rgb, 128, 48, 128 * 3, 0.12)) < 1e-9); // no colours at all
    paint(rgb, 128, 5, 14, 20, 60, 150);
    assert_true(gtv_plate_blue_band(rgb, 128, 48, 128 * 3, 0.12) > 1);
    assert_true(gtv_plate_sharpness(rgb, 128, 48, 128 * 3) > 10);
    paint(rgb, 128, 0, 48, 190, 120, 100); // a picture with colours, none of them blue
    assert_true(gtv_plate_blue_band(rgb, 128, 48, 128 * 3, 0.12) < 0);
    paint(rgb, 128, 30, 40, 20, 60, 150); // blue, but below
    assert_true(gtv_plate_blue_band(rgb, 128, 48, 128 * 3, 0.12) <= 0);
}

static void row(float *r, float x, float y, float w, float h, float score)
{
    const float corners[8] = {x - w / 2, y - h / 2, x + w / 2, y - h / 2,
                              x + w / 2, y + h / 2, x - w / 2, y + h / 2};
    r[0] = x;
    r[1] = y;
    r[2] = w;
    r[3] = h;
    r[4] = score;
    memcpy(r + 5, corners, sizeof(corners));
    r[13] = 1;
    r[14] = 0;
}

static void test_places_of_corners(void **state)
{
    float rows[6 * 15];
    struct gtv_plate_place out[GTV_PLATE_MAX_PLACES];
    row(rows, 100, 100, 60, 20, 0.6F);
    row(rows + 15, 102, 100, 60, 20, 0.9F); // the same, surer
    row(rows + 30, 200, 100, 40, 34, 0.5F); // two lines
    row(rows + 45, 50, 200, 60, 20, 0.1F);
    row(rows + 60, 50, 200, NAN, 20, 0.9F);
    row(rows + 75, 98, 101, 60, 20, 0.7F);
    assert_int_equal(gtv_plate_places_of_corners(rows, 6, 0.3, 0.5, out), 2);
    assert_true(fabs(out[0].score - 0.9) < 1e-6);
    assert_false(out[0].two_lines);
    assert_true(out[1].two_lines);
    assert_true(fabsf(out[0].box[0] - 72) < 0.01F && fabsf(out[0].box[3] - 110) < 0.01F);
    // Never more than there is room for, and then the surest.
    static float many[40 * 15];
    for (int i = 0; i < 40; i++)
        row(many + i * 15, (float)(i * 30), 50, 20, 7, 0.4F + (float)i / 100);
    assert_int_equal(gtv_plate_places_of_corners(many, 40, 0.3, 0.5, out), GTV_PLATE_MAX_PLACES);
    assert_true(fabs(out[0].score - 0.79) < 1e-6);
    assert_true(fabs(out[7].score - 0.72) < 1e-6);
}

static void fill(float *map, int x0, int y0, int x1, int y1, float v)
{
    for (int y = y0; y < y1; y++) {
        for (int x = x0; x < x1; x++)
            map[y * W + x] = v;
    }
}

static void test_places_of_text(void **state)
{
    static float map[W * H];
    static uint8_t mask[W * H];
    static int stack[W * H];
    struct gtv_plate_place out[GTV_PLATE_MAX_PLACES];
    memset(map, 0, sizeof(map));
    fill(map, 20, 20, 60, 28, 0.9F); // one line, 40 x 8
    fill(map, 100, 50, 118, 56, 0.95F);
    fill(map, 97, 62, 121, 68, 0.95F);   // two lines above one another
    fill(map, 150, 100, 154, 101, 0.9F); // a speck
    fill(map, 20, 80, 70, 88, 0.4F);     // not sure enough
    size_t n = gtv_plate_places_of_text(map, W, H, 0.6, mask, stack, out);
    assert_int_equal(n, 2);
    assert_true(out[0].two_lines);
    assert_true(out[0].split > 0.4 && out[0].split < 0.6);
    assert_true(out[0].box[0] < 97 && out[0].box[2] > 121 && out[0].box[1] < 50 && out[0].box[3] > 68);
    assert_false(out[1].two_lines);
    assert_true(out[1].box[0] < 20 && out[1].box[2] > 60 && out[1].box[0] > 10);
    memset(map, 0, sizeof(map));
    assert_int_equal(gtv_plate_places_of_text(map, W, H, 0.6, mask, stack, out), 0);
    fill(map, 0, 0, W, H, 1); // all of it
    (void)gtv_plate_places_of_text(map, W, H, 0.6, mask, stack, out);
}

static const char corners_json[] =
    "{\"name\":\"p\",\"file\":\"p.onnx\",\"head\":\"plate-corners\",\"outputs\":[\"output\"],\"crop_margin\":"
    "0.06,"
    "\"input\":{\"width\":320,\"height\":320,\"layout\":\"nchw\",\"type\":\"f32\",\"order\":\"rgb\","
    "\"resize\":"
    "\"letterbox-center\",\"pad\":0,\"scale\":0.0039,\"mean\":[0,0,0],\"std\":[1,1,1]}}";

static void test_descriptions(void **state)
{
    static struct gtv_plate_model m;
    struct gtv_error err = {0};
    assert_true(gtv_plate_model_parse(GTV_STR(corners_json), "/models", &m, &err));
    assert_string_equal(m.path, "/models/p.onnx");
    assert_int_equal(m.head, GTV_PLATE_HEAD_CORNERS);
    struct gtv_geometry g;
    gtv_plate_model_geometry(&m, 640, 320, &g);
    assert_int_equal(g.width, 320);
    assert_int_equal(g.height, 160);
    assert_int_equal(g.y, 80);
    static const struct {
        const char *json, *field;
    } wrong[] = {
        {"{", ""},
        {"[]", "description"},
        {"{\"name\":\"p\",\"file\":\"../"
         "p.onnx\",\"head\":\"plate-corners\",\"outputs\":[\"o\"],\"input\":{\"width\":"
         "320,\"height\":320,\"layout\":\"nchw\",\"type\":\"f32\",\"order\":\"rgb\",\"resize\":\"stretch\"}}",
         "file"},
        {"{\"name\":\"p\",\"file\":\"p\",\"head\":\"picodet\"}", "head"},
        {"{\"name\":\"p\",\"file\":\"p\",\"head\":\"slots\",\"slots\":9,\"classes\":\"abc\",\"outputs\":["
         "\"o\"],"
         "\"input\":{\"width\":128,\"height\":64,\"layout\":\"nhwc\",\"type\":\"u8\",\"order\":\"rgb\","
         "\"resize\":"
         "\"stretch\"}}",
         "classes"},
        {"{\"name\":\"p\",\"file\":\"p\",\"head\":\"ctc\",\"class_count\":100,\"blank\":0,\"upper\":[1,2],"
         "\"outputs\":[\"o\"],\"input\":{\"width\":128,\"height\":64,\"layout\":\"nhwc\",\"type\":\"u8\","
         "\"order\":"
         "\"rgb\",\"resize\":\"stretch\"}}",
         "upper"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct gtv_error e = {0};
        assert_false(gtv_plate_model_parse(gtv_str_of(wrong[i].json), "/m", &m, &e));
        assert_string_equal(e.field, wrong[i].field);
    }
}

static void test_finding(void **state)
{
    static struct gtv_plate_model models[GTV_PLATE_HEADS];
    bool found[GTV_PLATE_HEADS];
    struct gtv_error err = {0};
    // Nothing is there: no error unless it was asked for.
    assert_true(gtv_plate_model_find("/nonexistent", NULL, models, found, &err));
    assert_false(found[0] || found[1] || found[2] || found[3]);
    assert_false(gtv_plate_model_find("/nonexistent", "plate_y5fu_320", models, found, &err));
    assert_non_null(strstr(err.message, "LPR_MODEL=plate_y5fu_320 is not there"));
    assert_false(gtv_plate_model_find("/nonexistent", " /x/y.onnx, z", models, found, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_warp_of_a_rectangle),    cmocka_unit_test(test_warp_of_a_quad),
        cmocka_unit_test(test_warp_survives_nonsense), cmocka_unit_test(test_what_a_crop_tells),
        cmocka_unit_test(test_places_of_corners),      cmocka_unit_test(test_places_of_text),
        cmocka_unit_test(test_descriptions),           cmocka_unit_test(test_finding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
