#include "services/ai/scene/settings.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char FULL[] =
    "{\"classes\":[\"car\",\"truck\"],\"min_confidence\":0.4,\"looks_per_second\":2,\"idle_look_s\":4,"
    "\"priority\":7,"
    "\"motion_gate\":false,\"motion_sensitivity\":0.7,\"key_frames\":true,\"plates\":false,\"plate_"
    "confidence\":0.8,"
    "\"crops\":false,"
    "\"regions\":[{\"points\":[[0,0],[1,0],[1,1],[0,1]]}],"
    "\"exclusions\":[{\"id\":\"tree\",\"name\":\"The tree\",\"points\":[[0,0],[0.2,0],[0.1,0.2]]}],"
    "\"privacy\":[{\"id\":\"tree\",\"points\":[[0.5,0.5],[0.6,0.5],[0.6,0.6]]}],"
    "\"zones\":[{\"id\":\"z\",\"points\":[[0,0],[1,0],[1,1]],\"classes\":[\"bus\"],\"stopped_s\":30,"
    "\"direction_deg\":-90,\"tolerance_deg\":45}],"
    "\"lines\":[{\"id\":\"a\",\"points\":[[0,0.5],[1,0.5]],\"direction\":\"forward\",\"forward_name\":\"in\"}"
    ","
    "{\"id\":\"b\",\"points\":[[0,0.7],[1,0.7]],\"classes\":[\"car\"]}],"
    "\"speeds\":[{\"id\":\"s\",\"from\":\"a\",\"to\":\"b\",\"distance_m\":12.5,\"limit_kmh\":60}]}";

static void everything_is_read_and_written_back(void **state)
{
    struct gtv_scene_settings *a = GTV_NEW(struct gtv_scene_settings),
                              *b = GTV_NEW(struct gtv_scene_settings);
    struct gtv_error err = {0};
    assert_true(gtv_scene_settings_read(GTV_STR(FULL), a, &err));
    assert_int_equal(a->area_count, 4);
    assert_int_equal(a->line_count, 2);
    assert_int_equal(a->vehicles, 1U << GTV_CAR | 1U << GTV_TRUCK);
    assert_true(a->areas[3].one_way && a->areas[3].direction_deg == 270 && a->areas[3].tolerance_deg == 45);
    assert_true(a->lines[0].forward && !a->lines[0].backward && a->lines[1].backward);
    assert_int_equal(a->speeds[0].to, 1);
    assert_true(!a->motion_gate && a->key_frames && !a->plates && !a->crops && a->priority == 7);
    struct gtv_bytes *text = gtv_scene_settings_text(a);
    assert_true(gtv_scene_settings_read(gtv_bytes_str(text), b, &err));
    struct gtv_bytes *again = gtv_scene_settings_text(b);
    assert_int_equal(text->len, again->len);
    assert_memory_equal(text->data, again->data, text->len);
    gtv_bytes_unref(text);
    gtv_bytes_unref(again);
    free(a);
    free(b);
}

static void nothing_is_the_defaults(void **state)
{
    struct gtv_scene_settings a, b;
    struct gtv_error err = {0};
    gtv_scene_settings_init(&a);
    assert_true(gtv_scene_settings_read(GTV_STR("{}"), &b, &err));
    assert_true(b.motion_gate && b.plates && b.crops && b.vehicles == 15 && b.priority == 5 &&
                b.area_count == 0);
    assert_true(a.idle_look_s == b.idle_look_s);
    assert_true(gtv_scene_settings_read(GTV_STR("{\"zones\":null,\"classes\":null}"), &b, &err));
}

#define P3 "\"points\":[[0,0],[1,0],[1,1]]"
#define L2 "\"points\":[[0,0],[1,0]]"

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *json, *field;
    } cases[] = {
        {"[]", ""},
        {"{\"zonse\":[]}", "zonse"},
        {"{\"classes\":[]}", "classes"},
        {"{\"classes\":[\"bicycle\"]}", "classes"},
        {"{\"min_confidence\":1.5}", "min_confidence"},
        {"{\"looks_per_second\":\"2\"}", "looks_per_second"},
        {"{\"priority\":0}", "priority"},
        {"{\"zones\":{}}", "zones"},
        {"{\"zones\":[{" P3 "}]}", "zones[0].id"},
        {"{\"zones\":[{\"id\":\"a b\"," P3 "}]}", "zones[0].id"},
        {"{\"zones\":[{\"id\":\"\"," P3 "}]}", "zones[0].id"},
        {"{\"zones\":[{\"id\":\"a\"," P3 "},{\"id\":\"a\"," P3 "}]}", "zones[1].id"},
        {"{\"zones\":[{\"id\":\"a\",\"points\":[[0,0],[1,0]]}]}", "zones[0].points"},
        {"{\"zones\":[{\"id\":\"a\",\"points\":[[0,0],[1,0],[1,1.2]]}]}", "zones[0].points[2]"},
        {"{\"zones\":[{\"id\":\"a\",\"points\":[[0,0],[1,0],[1]]}]}", "zones[0].points[2]"},
        {"{\"zones\":[{\"id\":\"a\",\"points\":[[0,0],[1,0],[0.5,0]]}]}", "zones[0].points"},
        {"{\"regions\":[{\"points\":[[0,0],[1,1],[1,0],[0,1]]}]}", "regions[0].points"},
        {"{\"zones\":[{\"id\":\"a\"," P3 ",\"stopped_s\":1}]}", "zones[0].stopped_s"},
        {"{\"zones\":[{\"id\":\"a\"," P3 ",\"tolerance_deg\":120}]}", "zones[0].tolerance_deg"},
        {"{\"privacy\":[{" P3 ",\"stopped_s\":10}]}", "privacy[0].stopped_s"},
        {"{\"lines\":[{\"id\":\"a\"," P3 "}]}", "lines[0].points"},
        {"{\"lines\":[{\"id\":\"a\",\"points\":[[0.5,0.5],[0.5,0.5]]}]}", "lines[0].points"},
        {"{\"lines\":[{\"id\":\"a\"," L2 ",\"direction\":\"up\"}]}", "lines[0].direction"},
        {"{\"lines\":[{\"id\":\"a\"," L2 "},{\"id\":\"a\"," L2 "}]}", "lines[1].id"},
        {"{\"lines\":[{\"id\":\"a\"," L2 "}],\"speeds\":[{\"id\":\"s\",\"from\":\"a\",\"to\":\"x\"}]}",
         "speeds[0].to"},
        {"{\"lines\":[{\"id\":\"a\"," L2
         "}],\"speeds\":[{\"id\":\"s\",\"from\":\"a\",\"to\":\"a\",\"distance_m\":9}]}",
         "speeds[0].to"},
    };
    struct gtv_scene_settings s;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gtv_error err = {0};
        if (gtv_scene_settings_read(gtv_str_of(cases[i].json), &s, &err))
            fail_msg("accepted: %s", cases[i].json);
        assert_string_equal(err.field, cases[i].field);
        assert_int_equal(err.code, GTV_E_INVALID);
        assert_true(err.message[0] != '\0');
    }
}

static void limits(void **state)
{
    struct gtv_scene_settings *s = GTV_NEW(struct gtv_scene_settings);
    struct gtv_error err = {0};
    char *text = gtv_alloc(GTV_SCENE_MAX_JSON + 2);
    for (int areas = 32; areas <= 33; areas++) {
        int n = snprintf(text, GTV_SCENE_MAX_JSON, "{\"regions\":[");
        for (int i = 0; i < areas; i++) // half in one list, half in the other
            n += snprintf(text + n, GTV_SCENE_MAX_JSON - (size_t)n, "%s{" P3 "}",
                          i == 0    ? ""
                          : i == 16 ? "],\"privacy\":["
                                    : ",");
        (void)snprintf(text + n, GTV_SCENE_MAX_JSON - (size_t)n, "]}");
        err = (struct gtv_error){0};
        assert_int_equal(gtv_scene_settings_read(gtv_str_of(text), s, &err), areas == 32);
    }
    for (int points = 32; points <= 33; points++) {
        int n = snprintf(text, GTV_SCENE_MAX_JSON, "{\"regions\":[{\"points\":[");
        for (int i = 0; i < points; i++)
            n += snprintf(text + n, GTV_SCENE_MAX_JSON - (size_t)n, "%s[%f,%f]", i ? "," : "",
                          0.5 + 0.4 * cos(i * 6.28 / points), 0.5 + 0.4 * sin(i * 6.28 / points));
        (void)snprintf(text + n, GTV_SCENE_MAX_JSON - (size_t)n, "]}]}");
        err = (struct gtv_error){0};
        assert_int_equal(gtv_scene_settings_read(gtv_str_of(text), s, &err), points == 32);
    }
    memset(text, ' ', GTV_SCENE_MAX_JSON + 1);
    assert_false(gtv_scene_settings_read((struct gtv_str){text, GTV_SCENE_MAX_JSON + 1}, s, &err));
    free(text);
    free(s);
}

static void a_mask_is_black_and_the_rest_is_not(void **state)
{
    enum { W = 100, H = 50 };
    static uint8_t rgb[H][W * 3 + 5];
    struct gtv_scene_settings s;
    struct gtv_error err = {0};
    assert_true(gtv_scene_settings_read(
        GTV_STR("{\"privacy\":[{\"points\":[[0.2,0.2],[0.6,0.2],[0.6,0.8],[0.2,0.8]]}]}"), &s, &err));
    memset(rgb, 200, sizeof(rgb));
    gtv_scene_blacken(&s, rgb[0], W, H, sizeof(rgb[0]), 0, 0, 1, 1);
    for (int y = 0; y < H; y++) {
        for (int x = 0; x < W; x++) {
            bool in = x >= 20 && x < 60 && y >= 10 && y < 40, out = x < 18 || x > 62 || y < 8 || y > 42;
            if (in)
                assert_int_equal(rgb[y][x * 3] + rgb[y][x * 3 + 1] + rgb[y][x * 3 + 2], 0);
            if (out)
                assert_int_equal(rgb[y][x * 3], 200);
        }
        assert_int_equal(rgb[y][W * 3], 200);
    }
    // A crop that shows only the inside, and one beside it.
    memset(rgb, 200, sizeof(rgb));
    gtv_scene_blacken(&s, rgb[0], W, H, sizeof(rgb[0]), 0.3, 0.3, 0.2, 0.2);
    for (int x = 0; x < W; x++)
        assert_int_equal(rgb[25][x * 3], 0);
    memset(rgb, 200, sizeof(rgb));
    gtv_scene_blacken(&s, rgb[0], W, H, sizeof(rgb[0]), 0.7, 0.1, 0.3, 0.3);
    for (int x = 2; x < W; x++)
        assert_int_equal(rgb[25][x * 3], 200);
    gtv_scene_blacken(&s, rgb[0], 0, 0, 0, 0, 0, 0, 0);
}

static void inside_and_outside(void **state)
{
    struct gtv_scene_settings s;
    struct gtv_error err = {0};
    assert_true(gtv_scene_settings_read(
        GTV_STR("{\"regions\":[{\"points\":[[0.1,0.1],[0.9,0.1],[0.9,0.9],[0.5,0.3],[0.1,0.9]]}]}"), &s,
        &err));
    const struct gtv_area *a = &s.areas[0];
    assert_true(gtv_area_holds(a, 0.2, 0.5) && gtv_area_holds(a, 0.8, 0.5) && gtv_area_holds(a, 0.5, 0.2));
    assert_false(gtv_area_holds(a, 0.5, 0.6) || gtv_area_holds(a, 0.05, 0.5) || gtv_area_holds(a, NAN, 0.5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_read_and_written_back),
        cmocka_unit_test(nothing_is_the_defaults),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(limits),
        cmocka_unit_test(a_mask_is_black_and_the_rest_is_not),
        cmocka_unit_test(inside_and_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
