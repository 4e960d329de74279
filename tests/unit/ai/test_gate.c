#include "services/ai/gate/gate.h"

#include "tests/unit/unit.h"

#include <stdlib.h>

enum { W = 160, H = 90, FPS = 15 };
static const int64_t START = 1790000000000;

struct rig {
    struct gtv_gate *gate;
    int64_t at_ms;
    uint32_t random;
    struct gtv_gate_result r;
};

static int noise(struct rig *g)
{
    g->random = g->random * 1664525 + 1013904223;
    return (int)(g->random >> 24) % 5 - 2;
}

static uint8_t byte(int v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

// A road with some texture, by light brighter, moved by shift, with a vehicle of 14 x 8 at car_x (-1: none).
static void frame(struct rig *g, int light, int shift, int car_x, double chroma)
{
    uint8_t luma[W * H];
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            int at = x + shift,
                v = 90 + ((at / 12 + y / 9) % 3) * 20 + (at % 40 < 3 ? 50 : 0) + light + noise(g);
            if (car_x >= 0 && x >= car_x && x < car_x + 14 && y >= 50 && y < 58)
                v = 210 + noise(g);
            luma[y * W + x] = byte(v);
        }
    }
    gtv_gate_update(g->gate, &(struct gtv_gate_frame){luma, W, START + g->at_ms, chroma}, &g->r);
    g->at_ms += 1000 / FPS;
}

static int set_up(void **state)
{
    struct rig *g = calloc(1, sizeof(*g));
    if (!g)
        return -1;
    g->gate = gtv_gate_create(&(struct gtv_gate_config){.width = W, .height = H});
    g->random = 3;
    *state = g;
    return g->gate ? 0 : -1;
}

static int tear_down(void **state)
{
    struct rig *g = *state;
    gtv_gate_destroy(g->gate);
    free(g);
    return 0;
}

static void quiet(struct rig *g, int seconds)
{
    for (int i = 0; i < seconds * FPS; i++)
        frame(g, 0, 0, -1, 12);
}

static void an_empty_road_is_still(void **state)
{
    struct rig *g = *state;
    frame(g, 0, 0, -1, 12);
    assert_true(g->r.learning && g->r.motion);
    quiet(g, 4);
    for (int i = 0; i < 20 * FPS; i++) {
        frame(g, 0, 0, -1, 12);
        assert_false(g->r.motion);
        assert_int_equal(g->r.faults, 0);
    }
}

static void a_vehicle_moves(void **state)
{
    struct rig *g = *state;
    quiet(g, 4);
    for (int x = 0; x < 140; x += 3) {
        frame(g, 0, 0, x, 12);
        if (x > 3) {
            assert_true(g->r.motion);
            assert_true(g->r.x * W <= x + 4 && (g->r.x + g->r.w) * W >= x + 10);
            assert_true(g->r.y * H >= 40 && (g->r.y + g->r.h) * H <= 70);
        }
    }
    quiet(g, 1);
    assert_false(g->r.motion);
}

static void a_slow_change_of_light_is_none(void **state)
{
    struct rig *g = *state;
    quiet(g, 4);
    for (int i = 0; i < 30 * FPS; i++) {
        frame(g, i / FPS, 0, -1, 12);
        assert_false(g->r.motion);
    }
}

static void a_lamp_is_no_vehicle_for_long(void **state)
{
    struct rig *g = *state;
    quiet(g, 4);
    int moving = 0;
    for (int i = 0; i < 10 * FPS; i++) {
        frame(g, 30, 0, -1, 12);
        moving += g->r.motion;
    }
    assert_true(moving < FPS);
    assert_false(g->r.motion);
}

static void what_stands_becomes_the_road(void **state)
{
    struct rig *g = *state;
    quiet(g, 4);
    for (int i = 0; i < 40 * FPS; i++)
        frame(g, 0, 0, 70, 12);
    assert_false(g->r.motion);
    frame(g, 0, 0, 74, 12);
    frame(g, 0, 0, 78, 12);
    assert_true(g->r.motion);
}

static void leaves_are_noise_in_the_end(void **state)
{
    struct rig *g = *state;
    int late = 0;
    for (int i = 0; i < 60 * FPS; i++) {
        uint8_t luma[W * H];
        for (int k = 0; k < W * H; k++)
            luma[k] = byte(100 + noise(g) + (k % W < 40 && k / W < 30 ? (i / 3 % 2) * 24 : 0));
        gtv_gate_update(g->gate, &(struct gtv_gate_frame){luma, W, START + g->at_ms, 12}, &g->r);
        g->at_ms += 1000 / FPS;
        late += i > 45 * FPS && g->r.motion;
    }
    assert_int_equal(late, 0);
}

static void masks_hide(void **state)
{
    struct rig *g = *state;
    static struct gtv_scene_settings s;
    struct gtv_error err = {0};
    assert_true(gtv_scene_settings_read(
        GTV_STR("{\"exclusions\":[{\"points\":[[0,0.4],[1,0.4],[1,0.8],[0,0.8]]}]}"), &s, &err));
    gtv_gate_set(g->gate, &s);
    quiet(g, 4);
    for (int x = 0; x < 140; x += 3) {
        frame(g, 0, 0, x, 12);
        assert_false(g->r.motion);
    }
    gtv_gate_set(g->gate, NULL);
    frame(g, 0, 0, 20, 12);
    frame(g, 0, 0, 24, 12);
    assert_true(g->r.motion);
}

static void a_frozen_picture(void **state)
{
    struct rig *g = *state;
    quiet(g, 4);
    uint8_t luma[W * H];
    for (int k = 0; k < W * H; k++)
        luma[k] = byte(100 + k % 50);
    bool told = false;
    for (int i = 0; i < 13 * FPS; i++) {
        gtv_gate_update(g->gate, &(struct gtv_gate_frame){luma, W, START + g->at_ms, 12}, &g->r);
        g->at_ms += 1000 / FPS;
        told = told || (g->r.changed & GTV_GATE_FROZEN);
        if (i < 9 * FPS)
            assert_false(g->r.faults & GTV_GATE_FROZEN);
    }
    assert_true(told && (g->r.faults & GTV_GATE_FROZEN));
    quiet(g, 2);
    assert_false(g->r.faults & GTV_GATE_FROZEN);
}

static void black_covered_and_night(void **state)
{
    struct rig *g = *state;
    quiet(g, 4);
    uint8_t luma[W * H];
    static const struct {
        int level;
        double chroma;
        unsigned fault;
    } cases[] = {{17, 0, GTV_GATE_BLACK}, {120, 20, GTV_GATE_COVERED}};
    for (size_t c = 0; c < 2; c++) {
        for (int i = 0; i < 3 * FPS; i++) {
            for (int k = 0; k < W * H; k++)
                luma[k] = byte(cases[c].level + (i + k) % 2);
            gtv_gate_update(g->gate, &(struct gtv_gate_frame){luma, W, START + g->at_ms, cases[c].chroma},
                            &g->r);
            g->at_ms += 1000 / FPS;
        }
        assert_true(g->r.faults & cases[c].fault);
    }
    quiet(g, 3);
    assert_int_equal(g->r.faults, 0);
    for (int i = 0; i < 3 * FPS; i++)
        frame(g, 0, 0, -1, 0.3);
    assert_int_equal(g->r.faults, GTV_GATE_INFRARED);
    quiet(g, 3);
    assert_int_equal(g->r.faults, 0);
}

static void a_shaking_camera(void **state)
{
    struct rig *g = *state;
    quiet(g, 4);
    for (int i = 0; i < 4 * FPS; i++)
        frame(g, 0, i % 3 ? 3 : -3, -1, 12);
    assert_true(g->r.faults & GTV_GATE_SHAKING);
    quiet(g, 12);
    assert_false(g->r.faults & GTV_GATE_SHAKING);
    for (int x = 0; x < 140; x += 3) { // a vehicle is none
        frame(g, 0, 0, x, 12);
        assert_false(g->r.faults & GTV_GATE_SHAKING);
    }
}

static void hostile_times_and_sizes(void **state)
{
    struct rig *g = *state;
    quiet(g, 1);
    g->at_ms -= 5000;
    frame(g, 0, 0, -1, 12);
    g->at_ms += 3600 * 1000;
    frame(g, 0, 0, -1, -1);
    assert_true(g->r.learning);
    assert_null(gtv_gate_create(&(struct gtv_gate_config){.width = 0, .height = 90}));
    assert_null(gtv_gate_create(&(struct gtv_gate_config){.width = 5000, .height = 90}));
    gtv_gate_destroy(NULL);
}

static void planes_are_shrunk(void **state)
{
    static uint8_t big[720 * 1280], small[W * H], chroma[360 * 640];
    for (int y = 0; y < 720; y++) {
        for (int x = 0; x < 1280; x++)
            big[y * 1280 + x] = (uint8_t)(x < 640 ? 40 : 200);
    }
    gtv_gate_shrink(big, 1280, 1280, 720, small, W, H);
    for (int y = 0; y < H; y++) {
        assert_int_equal(small[y * W + 79], 40);
        assert_int_equal(small[y * W + 80], 200);
    }
    uint8_t tiny[4] = {9, 9, 9, 9};
    gtv_gate_shrink(tiny, 2, 2, 2, small, W, H);
    assert_int_equal(small[W * H - 1], 9);
    memset(chroma, 128, sizeof(chroma));
    assert_true(gtv_gate_chroma(chroma, chroma, 640, 640, 360) == 0);
    memset(chroma, 120, sizeof(chroma));
    assert_true(gtv_gate_chroma(chroma, chroma, 640, 640, 360) == 16);
}

int main(void)
{
#define RIGGED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        RIGGED(an_empty_road_is_still),
        RIGGED(a_vehicle_moves),
        RIGGED(a_slow_change_of_light_is_none),
        RIGGED(a_lamp_is_no_vehicle_for_long),
        RIGGED(what_stands_becomes_the_road),
        RIGGED(leaves_are_noise_in_the_end),
        RIGGED(masks_hide),
        RIGGED(a_frozen_picture),
        RIGGED(black_covered_and_night),
        RIGGED(a_shaking_camera),
        RIGGED(hostile_times_and_sizes),
        cmocka_unit_test(planes_are_shrunk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
