#include "services/ai/network/geometry.h"

#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>

static struct gtv_geometry place(int input_w, int input_h, enum gtv_resize resize, int w, int h)
{
    struct gtv_model m = {.input = {.width = input_w, .height = input_h}, .resize = resize, .pad = 114};
    struct gtv_geometry g;
    gtv_geometry_init(&g, &m, w, h);
    return g;
}

static void assert_place(const struct gtv_geometry *g, int x, int y, int w, int h)
{
    assert_int_equal(g->x, x);
    assert_int_equal(g->y, y);
    assert_int_equal(g->width, w);
    assert_int_equal(g->height, h);
}

static void places(void **state)
{
    struct gtv_geometry g = place(416, 416, GTV_RESIZE_STRETCH, 1280, 720);
    assert_place(&g, 0, 0, 416, 416);
    g = place(416, 416, GTV_RESIZE_LETTERBOX_TOPLEFT, 1280, 720);
    assert_place(&g, 0, 0, 416, 234);
    g = place(416, 416, GTV_RESIZE_LETTERBOX_CENTER, 1280, 720);
    assert_place(&g, 0, 91, 416, 234);
    g = place(320, 320, GTV_RESIZE_LETTERBOX_CENTER, 100, 400);
    assert_place(&g, 120, 0, 80, 320);
    g = place(416, 416, GTV_RESIZE_LETTERBOX_TOPLEFT, 60000, 10); // never thinner than a pixel
    assert_place(&g, 0, 0, 416, 1);
}

static void goes_back(void **state)
{
    struct gtv_geometry g = place(416, 416, GTV_RESIZE_STRETCH, 1280, 720);
    float box[4] = {0, 0, 416, 416};
    gtv_geometry_back(&g, box);
    assert_true(fabsf(box[2] - 1280) < 0.01F && fabsf(box[3] - 720) < 0.01F);
    g = place(416, 416, GTV_RESIZE_LETTERBOX_CENTER, 832, 416);
    float inner[4] = {104, 104 + 52, 208, 208};
    gtv_geometry_back(&g, inner);
    assert_true(fabsf(inner[0] - 208) < 0.01F && fabsf(inner[1] - 104) < 0.01F);
    assert_true(fabsf(inner[2] - 416) < 0.01F && fabsf(inner[3] - 208) < 0.01F);
    float outside[4] = {-50, -50, 999, 999};
    gtv_geometry_back(&g, outside);
    assert_true(outside[0] == 0 && outside[1] == 0 && outside[2] == 832 && outside[3] == 416);
}

// A plain picture stays plain at every size, to the last value: the weights sum up exactly.
static void plain_stays_plain(void **state)
{
    static const int sizes[][2] = {{1, 1},     {2, 3},     {37, 91},    {416, 416},
                                   {417, 415}, {640, 360}, {1280, 720}, {1999, 33}};
    uint8_t *input = malloc(416 * 416 * 3);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        int w = sizes[i][0], h = sizes[i][1];
        uint8_t *rgb = malloc((size_t)w * (size_t)h * 3);
        memset(rgb, 255, (size_t)w * (size_t)h * 3);
        struct gtv_geometry g = place(416, 416, GTV_RESIZE_STRETCH, w, h);
        assert_true(gtv_geometry_fill(&g, rgb, w, h, (size_t)w * 3, input));
        for (int k = 0; k < 416 * 416 * 3; k++)
            assert_int_equal(input[k], 255);
        free(rgb);
    }
    free(input);
}

static void same_size_is_a_copy(void **state)
{
    enum { W = 64, H = 48 };
    uint8_t rgb[W * H * 3], input[W * H * 3];
    for (size_t i = 0; i < sizeof(rgb); i++)
        rgb[i] = (uint8_t)(i * 37);
    struct gtv_geometry g = place(W, H, GTV_RESIZE_STRETCH, W, H);
    assert_true(gtv_geometry_fill(&g, rgb, W, H, W * 3, input));
    assert_memory_equal(rgb, input, sizeof(rgb));
}

// Halving averages over the triangle's four pixels: a horizontal ramp stays a ramp, and channels do not mix.
static void halves(void **state)
{
    enum { W = 64, H = 64 };
    uint8_t rgb[W * H * 3], input[32 * 32 * 3];
    for (int i = 0; i < W * H; i++) {
        rgb[i * 3] = (uint8_t)(i % W * 4);
        rgb[i * 3 + 1] = (uint8_t)(i / W * 4);
        rgb[i * 3 + 2] = 7;
    }
    struct gtv_geometry g = place(32, 32, GTV_RESIZE_STRETCH, W, H);
    assert_true(gtv_geometry_fill(&g, rgb, W, H, W * 3, input));
    for (int y = 1; y < 31; y++) {
        for (int x = 1; x < 31; x++) {
            const uint8_t *p = input + (y * 32 + x) * 3;
            assert_true(abs(p[0] - (x * 8 + 2)) <= 1);
            assert_true(abs(p[1] - (y * 8 + 2)) <= 1);
            assert_int_equal(p[2], 7);
        }
    }
}

static void pads(void **state)
{
    uint8_t rgb[20 * 10 * 3], input[20 * 20 * 3];
    memset(rgb, 200, sizeof(rgb));
    memset(input, 1, sizeof(input));
    struct gtv_geometry g = place(20, 20, GTV_RESIZE_LETTERBOX_CENTER, 20, 10);
    assert_true(gtv_geometry_fill(&g, rgb, 20, 10, 20 * 3, input));
    for (int y = 0; y < 20; y++) {
        for (int x = 0; x < 20 * 3; x++)
            assert_int_equal(input[y * 60 + x], y < 5 || y >= 15 ? 114 : 200);
    }
    uint8_t tall[10 * 20 * 3];
    memset(tall, 200, sizeof(tall));
    memset(input, 1, sizeof(input));
    g = place(20, 20, GTV_RESIZE_LETTERBOX_CENTER, 10, 20);
    assert_true(gtv_geometry_fill(&g, tall, 10, 20, 10 * 3, input));
    for (int y = 0; y < 20; y++) {
        for (int x = 0; x < 20; x++)
            assert_int_equal(input[(y * 20 + x) * 3], x < 5 || x >= 15 ? 114 : 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places),
        cmocka_unit_test(goes_back),
        cmocka_unit_test(plain_stays_plain),
        cmocka_unit_test(same_size_is_a_copy),
        cmocka_unit_test(halves),
        cmocka_unit_test(pads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
