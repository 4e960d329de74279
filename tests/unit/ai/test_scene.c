#include "services/ai/scene/scene.h"

#include "lib/base/mem.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>

enum { W = 1000, H = 500 };
static const int64_t START = 1790000000000;

struct rig {
    struct gtv_scene_settings settings;
    struct gtv_scene *scene;
    struct gtv_happening out[GTV_SCENE_MAX_HAPPENINGS];
    size_t count;
    size_t said[GTV_HAPPENING_KINDS];
    struct gtv_happening last[GTV_HAPPENING_KINDS];
};

static struct rig *rig(const char *json)
{
    struct rig *r = GTV_NEW(struct rig);
    struct gtv_error err = {0};
    if (!gtv_scene_settings_read(gtv_str_of(json), &r->settings, &err))
        fail_msg("%s: %s", err.field, err.message);
    r->scene = gtv_scene_create(&r->settings);
    return r;
}

static void drop(struct rig *r)
{
    gtv_scene_destroy(r->scene);
    free(r);
}

static void take(struct rig *r, size_t n)
{
    r->count = n;
    for (size_t i = 0; i < n; i++) {
        r->said[r->out[i].kind]++;
        r->last[r->out[i].kind] = r->out[i];
        assert_true(r->out[i].key[0] != '\0');
        assert_true(i == 0 || r->out[i].wall_ms >= r->out[i - 1].wall_ms);
    }
}

// A track's box of 80 x 40 stands with the middle of its lower edge at x, y.
static void say(struct rig *r, struct gtv_track *t, enum gtv_track_change change, int64_t at_ms, double x,
                double y)
{
    t->box = (struct gtv_track_box){x - 40, y - 40, 80, 40};
    if (t->looks++ == 0) {
        t->first = t->box;
        t->first_ms = START + at_ms;
        return; // it is tentative: nothing is said yet
    }
    t->seen_ms = START + at_ms;
    struct gtv_track_event e = {t->looks == 2 && change == GTV_TRACK_UPDATED ? GTV_TRACK_STARTED : change, t};
    take(r, gtv_scene_update(r->scene, &e, 1, START + at_ms, W, H, r->out));
}

static void pass(struct rig *r, int64_t at_ms)
{
    take(r, gtv_scene_update(r->scene, NULL, 0, START + at_ms, W, H, r->out));
}

static const char LINES[] =
    "{\"lines\":[{\"id\":\"a\",\"name\":\"A\",\"points\":[[0.4,0],[0.4,1]],\"forward_name\":\"west\"},"
    "{\"id\":\"b\",\"points\":[[0.6,0],[0.6,1]]}],"
    "\"speeds\":[{\"id\":\"s\",\"from\":\"a\",\"to\":\"b\",\"distance_m\":20,\"limit_kmh\":60}]}";

static void a_line_is_crossed_once(void **state)
{
    struct rig *r = rig(LINES);
    struct gtv_track t = {.id = 7, .vehicle = GTV_TRUCK, .confidence = 0.8};
    for (int i = 0; i < 10; i++)
        say(r, &t, GTV_TRACK_UPDATED, 500 * i, 100 + 100.0 * i, 250);
    assert_int_equal(r->said[GTV_LINE_CROSSED], 2);
    struct gtv_line_count c;
    assert_true(gtv_scene_count(r->scene, 0, START + 5000, &c));
    // a..b goes down the picture: its right, seen by who walks along it, is the left of the picture.
    assert_int_equal(c.total[0][GTV_TRUCK], 1);
    assert_int_equal(c.total[1][GTV_TRUCK], 0);
    assert_int_equal(c.minute[0][GTV_TRUCK], 1);
    assert_true(gtv_scene_count(r->scene, 0, START + 70000, &c));
    assert_int_equal(c.minute[0][GTV_TRUCK], 0);
    assert_int_equal(c.total[0][GTV_TRUCK], 1);
    assert_false(gtv_scene_count(r->scene, 2, START, &c));
    // x = 400 at 1.5 s, x = 600 at 2.5 s.
    const struct gtv_happening *h = &r->last[GTV_LINE_CROSSED];
    assert_string_equal(h->id, "b");
    assert_string_equal(h->direction, "backward");
    assert_true(llabs(h->wall_ms - START - 2500) < 5);
    assert_int_equal(h->track, 7);
    h = &r->last[GTV_SPEED_MEASURED];
    assert_int_equal(r->said[GTV_SPEED_MEASURED], 1);
    assert_true(fabs(h->speed_kmh - 72) < 0.5 && h->over);
    drop(r);
}

// Seen once before the line and once behind it, with the first place told by the track's beginning.
static void rare_looks_cross_too(void **state)
{
    struct rig *r = rig(LINES);
    struct gtv_track t = {.id = 7, .vehicle = GTV_CAR};
    say(r, &t, GTV_TRACK_UPDATED, 0, 200, 250);
    say(r, &t, GTV_TRACK_UPDATED, 2000, 900, 250);
    assert_int_equal(r->said[GTV_LINE_CROSSED], 2);
    assert_true(r->out[0].kind == GTV_TRACK_BEGAN && r->out[0].wall_ms == START);
    drop(r);
}

static void trembling_on_a_line_counts_for_nothing(void **state)
{
    struct rig *r = rig(LINES);
    struct gtv_track t = {.id = 7, .vehicle = GTV_CAR};
    say(r, &t, GTV_TRACK_UPDATED, 0, 300, 250);
    for (int i = 1; i < 100; i++)
        say(r, &t, GTV_TRACK_UPDATED, 200 * i, 400 + (i % 2 ? 2.5 : -2.5), 250);
    assert_int_equal(r->said[GTV_LINE_CROSSED], 0);
    for (int i = 0; i < 8; i++) // to and fro over it: each way once
        say(r, &t, GTV_TRACK_UPDATED, 20000 + 400 * i, i % 2 ? 300 : 500, 250);
    assert_int_equal(r->said[GTV_LINE_CROSSED], 2);
    drop(r);
}

static void beside_the_line_is_not_over_it(void **state)
{
    struct rig *r = rig("{\"lines\":[{\"id\":\"a\",\"points\":[[0.4,0],[0.4,0.3]]}]}");
    struct gtv_track t = {.id = 7, .vehicle = GTV_CAR};
    for (int i = 0; i < 10; i++)
        say(r, &t, GTV_TRACK_UPDATED, 500 * i, 100 + 100.0 * i, 250);
    assert_int_equal(r->said[GTV_LINE_CROSSED], 0);
    drop(r);
}

static void direction_and_class_are_kept_to(void **state)
{
    struct rig *r = rig("{\"lines\":[{\"id\":\"a\",\"points\":[[0.4,0],[0.4,1]],\"direction\":\"forward\"},"
                        "{\"id\":\"b\",\"points\":[[0.6,0],[0.6,1]],\"classes\":[\"bus\"]}]}");
    struct gtv_track t = {.id = 7, .vehicle = GTV_CAR};
    for (int i = 0; i < 10; i++)
        say(r, &t, GTV_TRACK_UPDATED, 500 * i, 100 + 100.0 * i, 250);
    assert_int_equal(r->said[GTV_LINE_CROSSED], 0);
    drop(r);
}

static void a_later_vote_puts_the_count_right(void **state)
{
    struct rig *r = rig(LINES);
    struct gtv_track t = {.id = 7, .vehicle = GTV_CAR};
    for (int i = 0; i < 10; i++) {
        t.vehicle = i < 7 ? GTV_CAR : GTV_TRUCK;
        say(r, &t, GTV_TRACK_UPDATED, 500 * i, 100 + 100.0 * i, 250);
    }
    struct gtv_line_count c;
    assert_true(gtv_scene_count(r->scene, 0, START + 5000, &c));
    assert_int_equal(c.total[0][GTV_CAR], 0);
    assert_int_equal(c.total[0][GTV_TRUCK], 1);
    drop(r);
}

static const char ZONE[] = "{\"zones\":[{\"id\":\"z\",\"points\":[[0.3,0.2],[0.7,0.2],[0.7,0.9],[0.3,0.9]],"
                           "\"stopped_s\":10,\"direction_deg\":0,\"tolerance_deg\":60}]}";

static void a_zone_is_entered_and_left(void **state)
{
    struct rig *r = rig(ZONE);
    struct gtv_track t = {.id = 7, .vehicle = GTV_CAR};
    for (int i = 0; i < 10; i++)
        say(r, &t, GTV_TRACK_UPDATED, 500 * i, 100 + 100.0 * i, 250);
    assert_int_equal(r->said[GTV_ZONE_ENTERED], 1);
    assert_int_equal(r->said[GTV_ZONE_LEFT], 1);
    assert_true(fabs(r->last[GTV_ZONE_LEFT].seconds - 2) <= 0.5);
    assert_int_equal(r->said[GTV_WRONG_WAY], 0);
    drop(r);
}

static void trembling_at_a_zones_edge_is_one_stay(void **state)
{
    struct rig *r = rig(ZONE);
    struct gtv_track t = {.id = 7, .vehicle = GTV_CAR};
    say(r, &t, GTV_TRACK_UPDATED, 0, 200, 250);
    for (int i = 1; i < 60; i++)
        say(r, &t, GTV_TRACK_UPDATED, 200 * i, 300 + (i % 2 ? 2 : -2), 250);
    assert_true(r->said[GTV_ZONE_ENTERED] <= 1);
    assert_int_equal(r->said[GTV_ZONE_LEFT], 0);
    drop(r);
}

static void the_wrong_way(void **state)
{
    struct rig *r = rig(ZONE);
    struct gtv_track t = {.id = 7, .vehicle = GTV_CAR};
    for (int i = 0; i < 16; i++)
        say(r, &t, GTV_TRACK_UPDATED, 500 * i, 900 - 50.0 * i, 250);
    assert_int_equal(r->said[GTV_WRONG_WAY], 1);
    assert_true(fabs(r->last[GTV_WRONG_WAY].degrees - 180) < 1);
    drop(r);
}

// It comes, stands for an hour, its detection failing for a while now and then under new names, and drives
// off.
static void a_parked_car_is_said_once(void **state)
{
    struct rig *r = rig(ZONE);
    struct gtv_track t = {.id = 1, .vehicle = GTV_CAR};
    int64_t at = 0;
    for (; at < 2000; at += 500)
        say(r, &t, GTV_TRACK_UPDATED, at, 300 + 0.1 * (double)at, 300);
    for (int turn = 0; turn < 20; turn++) {
        for (int i = 0; i < 60; i++, at += 1000)
            say(r, &t, GTV_TRACK_UPDATED, at, 500 + i % 3, 300 - i % 2);
        say(r, &t, GTV_TRACK_ENDED, at, 500, 300);
        for (int i = 0; i < 30; i++, at += 1000)
            pass(r, at);
        t = (struct gtv_track){.id = 100 + (uint64_t)turn, .vehicle = GTV_CAR};
    }
    assert_int_equal(r->said[GTV_TRACK_BEGAN], 1);
    assert_int_equal(r->said[GTV_VEHICLE_STOPPED], 1);
    assert_int_equal(r->said[GTV_ZONE_ENTERED], 1);
    assert_int_equal(r->said[GTV_ZONE_LEFT], 0);
    assert_int_equal(r->said[GTV_TRACK_OVER], 0);
    for (int i = 0; i < 10; i++, at += 1000)
        say(r, &t, GTV_TRACK_UPDATED, at, 500, 300);
    assert_true(gtv_scene_announced(r->scene, t.id));
    for (int i = 0; i < 6; i++, at += 500)
        say(r, &t, GTV_TRACK_UPDATED, at, 500 + 80.0 * i, 300);
    say(r, &t, GTV_TRACK_ENDED, at, 980, 300);
    assert_int_equal(r->said[GTV_TRACK_BEGAN], 1);
    assert_int_equal(r->said[GTV_ZONE_LEFT], 1);
    assert_int_equal(r->said[GTV_TRACK_OVER], 1);
    assert_int_equal(r->last[GTV_TRACK_OVER].track, 1);
    assert_int_equal(r->last[GTV_TRACK_OVER].current, t.id);
    drop(r);
}

static void who_drives_past_a_parked_car_is_another(void **state)
{
    struct rig *r = rig(ZONE);
    struct gtv_track parked = {.id = 1, .vehicle = GTV_CAR};
    int64_t at = 0;
    for (int i = 0; i < 60; i++, at += 1000)
        say(r, &parked, GTV_TRACK_UPDATED, at, 500, 300);
    say(r, &parked, GTV_TRACK_ENDED, at, 500, 300);
    struct gtv_track other = {.id = 2, .vehicle = GTV_CAR};
    for (int i = 0; i < 6; i++, at += 300)
        say(r, &other, GTV_TRACK_UPDATED, at, 495 + 60.0 * i, 300);
    say(r, &other, GTV_TRACK_ENDED, at, 900, 300);
    assert_int_equal(r->said[GTV_TRACK_BEGAN], 2);
    assert_int_equal(r->said[GTV_TRACK_OVER], 1);
    pass(r, at + 3600 * 1000); // it is forgotten in the end
    assert_int_equal(r->said[GTV_TRACK_OVER], 2);
    assert_int_equal(r->said[GTV_ZONE_LEFT], 2);
    drop(r);
}

static void it_stands_anew_after_driving_on(void **state)
{
    struct rig *r = rig(ZONE);
    struct gtv_track t = {.id = 1, .vehicle = GTV_CAR};
    int64_t at = 0;
    for (int i = 0; i < 30; i++, at += 1000)
        say(r, &t, GTV_TRACK_UPDATED, at, i < 15 ? 400 : 550, 300);
    assert_int_equal(r->said[GTV_VEHICLE_STOPPED], 2);
    drop(r);
}

static void another_program_goes_on(void **state)
{
    struct rig *r = rig(ZONE), *next = rig(ZONE);
    struct gtv_track t = {.id = 1, .vehicle = GTV_BUS};
    int64_t at = 0;
    for (int i = 0; i < 60; i++, at += 1000)
        say(r, &t, GTV_TRACK_UPDATED, at, 500, 300);
    struct gtv_bytes *saved = gtv_scene_save(r->scene);
    struct gtv_error err = {0};
    assert_true(gtv_scene_load(next->scene, gtv_bytes_str(saved), &err));
    gtv_bytes_unref(saved);
    t = (struct gtv_track){.id = 50, .vehicle = GTV_BUS};
    for (int i = 0; i < 30; i++, at += 1000)
        say(next, &t, GTV_TRACK_UPDATED, at, 501, 300);
    for (int k = 0; k < GTV_HAPPENING_KINDS; k++)
        assert_int_equal(next->said[k], 0);
    assert_false(gtv_scene_load(next->scene, GTV_STR("[1]"), &err));
    assert_false(gtv_scene_load(next->scene, GTV_STR("{"), &err));
    assert_true(
        gtv_scene_load(next->scene,
                       GTV_STR("{\"lines\":7,\"parked\":[1,{},{\"id\":-1},{\"id\":1,\"vehicle\":\"car\","
                               "\"confidence\":1,\"x\":1e9}]}"),
                       &err));
    drop(r);
    drop(next);
}

static void totals_outlive_the_program_and_the_settings(void **state)
{
    struct rig *r = rig(LINES), *next = rig(LINES);
    struct gtv_track t = {.id = 7, .vehicle = GTV_CAR};
    for (int i = 0; i < 10; i++)
        say(r, &t, GTV_TRACK_UPDATED, 500 * i, 100 + 100.0 * i, 250);
    struct gtv_bytes *saved = gtv_scene_save(r->scene);
    struct gtv_error err = {0};
    assert_true(gtv_scene_load(next->scene, gtv_bytes_str(saved), &err));
    gtv_bytes_unref(saved);
    struct gtv_line_count c;
    assert_true(gtv_scene_count(next->scene, 1, START, &c));
    assert_int_equal(c.total[0][GTV_CAR], 1);
    // The lines change places, and one moves.
    struct gtv_scene_settings other = r->settings;
    other.lines[0] = r->settings.lines[1];
    other.lines[1] = r->settings.lines[0];
    other.lines[1].a.x = 0.45;
    other.speed_count = 0;
    gtv_scene_set(next->scene, &other);
    assert_true(gtv_scene_count(next->scene, 0, START, &c));
    assert_string_equal(c.id, "b");
    assert_int_equal(c.total[0][GTV_CAR], 1);
    assert_true(gtv_scene_count(next->scene, 1, START, &c));
    assert_int_equal(c.total[0][GTV_CAR], 0);
    drop(r);
    drop(next);
}

static void settings_change_while_a_vehicle_drives(void **state)
{
    struct rig *r = rig(ZONE);
    struct gtv_track t = {.id = 7, .vehicle = GTV_CAR};
    for (int i = 0; i < 5; i++)
        say(r, &t, GTV_TRACK_UPDATED, 500 * i, 300 + 50.0 * i, 250);
    struct gtv_scene_settings none;
    gtv_scene_settings_init(&none);
    gtv_scene_set(r->scene, &none);
    for (int i = 5; i < 10; i++)
        say(r, &t, GTV_TRACK_UPDATED, 500 * i, 300 + 50.0 * i, 250);
    say(r, &t, GTV_TRACK_ENDED, 6000, 900, 250);
    assert_int_equal(r->said[GTV_ZONE_LEFT], 0);
    assert_int_equal(r->said[GTV_TRACK_OVER], 1);
    drop(r);
}

static void the_filter(void **state)
{
    struct rig *r =
        rig("{\"regions\":[{\"points\":[[0,0.5],[1,0.5],[1,1],[0,1]]}],"
            "\"privacy\":[{\"points\":[[0.8,0.5],[1,0.5],[1,1],[0.8,1]]}],\"classes\":[\"car\",\"bus\"]}");
    struct gtv_detected d[] = {
        {"car", 0.9, 100, 300, 80, 40},   // stays
        {"car", 0.9, 100, 100, 80, 40},   // outside the region
        {"truck", 0.9, 100, 300, 80, 40}, // not wanted
        {"car", 0.9, 900, 300, 80, 40},   // under the mask
        {"bus", 0.9, 100, 200, 200, 300}, // stands inside, at the frame's very edge
        {"thing", 0.9, 100, 300, 80, 40},
    };
    assert_int_equal(gtv_scene_filter(&r->settings, d, 6, W, H), 2);
    assert_string_equal(d[0].object_type, "car");
    assert_string_equal(d[1].object_type, "bus");
    drop(r);
}

static void many_tracks_are_bounded(void **state)
{
    struct rig *r = rig(ZONE);
    static struct gtv_track t[GTV_TRACK_MAX];
    static struct gtv_track_event e[GTV_TRACK_MAX];
    for (int round = 0; round < 6; round++) {
        int64_t at = START + round * 60000;
        for (int step = 0; step < 3; step++) {
            for (size_t i = 0; i < GTV_TRACK_MAX; i++) {
                double x = 10 + (double)(i % 16) * 60, y = 20 + (double)(i / 16) * 60;
                if (step == 0)
                    t[i] = (struct gtv_track){.id = (uint64_t)round * 1000 + i + 1, .first_ms = at};
                t[i].box = t[i].first = (struct gtv_track_box){x + round * 10, y, 30, 20};
                e[i] = (struct gtv_track_event){
                    (enum gtv_track_change[]){GTV_TRACK_STARTED, GTV_TRACK_UPDATED, GTV_TRACK_ENDED}[step],
                    &t[i]};
            }
            take(r, gtv_scene_update(r->scene, e, GTV_TRACK_MAX, at + step * 15000, W, H, r->out));
        }
    }
    assert_true(r->said[GTV_TRACK_BEGAN] >= GTV_TRACK_MAX);
    pass(r, 3600 * 1000 * 5);
    assert_int_equal(r->said[GTV_TRACK_BEGAN], r->said[GTV_TRACK_OVER]);
    drop(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_crossed_once),
        cmocka_unit_test(rare_looks_cross_too),
        cmocka_unit_test(trembling_on_a_line_counts_for_nothing),
        cmocka_unit_test(beside_the_line_is_not_over_it),
        cmocka_unit_test(direction_and_class_are_kept_to),
        cmocka_unit_test(a_later_vote_puts_the_count_right),
        cmocka_unit_test(a_zone_is_entered_and_left),
        cmocka_unit_test(trembling_at_a_zones_edge_is_one_stay),
        cmocka_unit_test(the_wrong_way),
        cmocka_unit_test(a_parked_car_is_said_once),
        cmocka_unit_test(who_drives_past_a_parked_car_is_another),
        cmocka_unit_test(it_stands_anew_after_driving_on),
        cmocka_unit_test(another_program_goes_on),
        cmocka_unit_test(totals_outlive_the_program_and_the_settings),
        cmocka_unit_test(settings_change_while_a_vehicle_drives),
        cmocka_unit_test(the_filter),
        cmocka_unit_test(many_tracks_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
