#include "services/ai/picture/resample.h"

#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>

struct input {
    struct gtv_resample_plane planes[3];
    uint8_t *data[3];
};

static struct input make_input(int width, int height, int sub)
{
    struct input in;
    unsigned seed = (unsigned)(width * 31 + height);
    for (int i = 0; i < 3; i++) {
        int by = i ? sub : 1;
        struct gtv_resample_plane p = {(width + by - 1) / by, (height + by - 1) / by, (double)width / by,
                                       (double)height / by};
        in.planes[i] = p;
        size_t n = (size_t)p.width * (size_t)p.height;
        in.data[i] = malloc(n + GTV_RESAMPLE_SLACK);
        for (size_t k = 0; k < n + GTV_RESAMPLE_SLACK; k++) {
            seed = seed * 1103515245U + 12345U;
            in.data[i][k] = (uint8_t)(seed >> 16);
        }
    }
    return in;
}

static void free_input(struct input *in)
{
    for (int i = 0; i < 3; i++)
        free(in->data[i]);
}

static void run(struct gtv_resampler *r, const struct input *in, const struct gtv_geometry *g,
                int orientation, enum gtv_resample_color color, int sub, int rows, uint8_t *pixels)
{
    assert_true(gtv_resampler_begin(r, g, orientation, color, in->planes, pixels));
    for (int y = 0; y < rows; y++) {
        for (int i = 0; i < (color == GTV_RESAMPLE_GREY ? 1 : 3); i++) {
            if (y % (i ? sub : 1) == 0)
                gtv_resampler_row(r, i,
                                  in->data[i] + (size_t)(y / (i ? sub : 1)) * (size_t)in->planes[i].width);
        }
        if (y % 7 == 0)
            gtv_resampler_drain(r);
    }
    gtv_resampler_end(r);
}

static struct gtv_geometry place(int width, int height, enum gtv_resize resize, int full_width,
                                 int full_height)
{
    struct gtv_model m = {.input = {.width = width, .height = height}, .resize = resize, .pad = 114};
    struct gtv_geometry g;
    gtv_geometry_init(&g, &m, full_width, full_height);
    return g;
}

// The vector code gives the very bytes of the plain code, at every ratio, colour and orientation.
static void vectors_agree(void **state)
{
    static const int sizes[][2] = {{1, 1},    {2, 3},    {3, 200},  {17, 16},  {64, 48},  {100, 75},
                                   {129, 97}, {160, 90}, {333, 61}, {640, 36}, {901, 20}, {2000, 33}};
    struct gtv_resampler *fast = gtv_resampler_create(), *plain = gtv_resampler_create();
    gtv_resampler_plain(plain, true);
    uint8_t a[98 * 70 * 3], b[98 * 70 * 3];
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int o = 1; o <= 8; o++) {
            int w = sizes[i][0], h = sizes[i][1], sub = 1 + o % 2;
            struct input in = make_input(w, h, sub);
            struct gtv_geometry g = place(98, 70, o % 3 ? GTV_RESIZE_STRETCH : GTV_RESIZE_LETTERBOX_CENTER,
                                          o >= 5 ? h : w, o >= 5 ? w : h);
            for (int color = GTV_RESAMPLE_GREY; color <= (int)GTV_RESAMPLE_RGB; color++) {
                memset(a, 1, sizeof(a));
                memset(b, 2, sizeof(b));
                run(fast, &in, &g, o, (enum gtv_resample_color)color, sub, h, a);
                run(plain, &in, &g, o, (enum gtv_resample_color)color, sub, h, b);
                assert_memory_equal(a, b, sizeof(a));
            }
            free_input(&in);
        }
    }
    gtv_resampler_destroy(fast);
    gtv_resampler_destroy(plain);
}

static uint8_t clamped(double v)
{
    return (uint8_t)lround(fmin(fmax(v, 0), 255));
}

// At the same size only the colours change, by JFIF's formulas.
static void converts_colours(void **state)
{
    enum { W = 61, H = 40 };
    struct gtv_resampler *r = gtv_resampler_create();
    struct input in = make_input(W, H, 1);
    struct gtv_geometry g = place(W, H, GTV_RESIZE_STRETCH, W, H);
    uint8_t pixels[W * H * 3];
    run(r, &in, &g, 1, GTV_RESAMPLE_RGB, 1, H, pixels);
    for (size_t i = 0; i < (size_t)W * H; i++) {
        for (size_t c = 0; c < 3; c++)
            assert_int_equal(pixels[3 * i + c], in.data[c][i]);
    }
    run(r, &in, &g, 1, GTV_RESAMPLE_YCC, 1, H, pixels);
    for (size_t i = 0; i < (size_t)W * H; i++) {
        double y = in.data[0][i], b = in.data[1][i] - 128, c = in.data[2][i] - 128;
        assert_true(abs(pixels[3 * i] - clamped(y + 1.402 * c)) <= 1);
        assert_true(abs(pixels[3 * i + 1] - clamped(y - 0.344136 * b - 0.714136 * c)) <= 1);
        assert_true(abs(pixels[3 * i + 2] - clamped(y + 1.772 * b)) <= 1);
    }
    free_input(&in);
    gtv_resampler_destroy(r);
}

// A plain picture stays plain at every size, to the last value, and so does a ramp.
static void keeps_what_is_even(void **state)
{
    struct gtv_resampler *r = gtv_resampler_create();
    static uint8_t pixels[96 * 96 * 3];
    for (int w = 1; w < 1500; w = w * 5 / 4 + 1) {
        struct input in = make_input(w, 90, 1);
        for (int i = 0; i < 3; i++)
            memset(in.data[i], 201, (size_t)w * 90);
        struct gtv_geometry g = place(96, 96, GTV_RESIZE_STRETCH, w, 90);
        run(r, &in, &g, 1, GTV_RESAMPLE_RGB, 1, 90, pixels);
        for (size_t k = 0; k < sizeof(pixels); k++)
            assert_int_equal(pixels[k], 201);
        for (int k = 0; k < w * 90; k++)
            in.data[0][k] = (uint8_t)(k % w * 240 / w);
        run(r, &in, &g, 1, GTV_RESAMPLE_GREY, 1, 90, pixels);
        for (int x = 8; x < 88 && w > 20; x++)
            assert_true(abs(pixels[(40 * 96 + x) * 3] - (x * 240 / 96)) <= 240 / w + 3);
        free_input(&in);
    }
    gtv_resampler_destroy(r);
}

// Rows that never come are grey; what came is there.
static void ends_early(void **state)
{
    struct gtv_resampler *r = gtv_resampler_create();
    struct input in = make_input(80, 60, 2);
    uint8_t pixels[40 * 30 * 3];
    struct gtv_geometry g = place(40, 30, GTV_RESIZE_STRETCH, 80, 60);
    run(r, &in, &g, 1, GTV_RESAMPLE_YCC, 2, 44, pixels);
    for (int x = 0; x < 120; x++)
        assert_int_equal(pixels[29 * 120 + x], 128);
    gtv_resampler_destroy(r);
    free_input(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_agree),
        cmocka_unit_test(converts_colours),
        cmocka_unit_test(keeps_what_is_even),
        cmocka_unit_test(ends_early),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
