#include "services/ai/track/track.h"

#include "lib/base/mem.h"
#include "services/ai/track/flow.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { W = 1280, H = 720 };
static const int64_t START = 1790000000000;

struct rig {
    struct gtv_tracker *t;
    struct gtv_track_event events[GTV_TRACK_EVENTS_MAX];
    size_t count;
    size_t started, ended;
    uint64_t last_started, last_ended;
};

static int set_up(void **state)
{
    struct rig *r = GTV_NEW(struct rig);
    r->t = gtv_tracker_create(NULL);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;
    gtv_tracker_destroy(r->t);
    free(r);
    return 0;
}

static struct gtv_detected box(const char *type, double confidence, double x, double y, double w, double h)
{
    struct gtv_detected d = {.confidence = confidence, .x = (int)x, .y = (int)y, .w = (int)w, .h = (int)h};
    snprintf(d.object_type, sizeof(d.object_type), "%s", type);
    return d;
}

static void look(struct rig *r, int64_t at_ms, const struct gtv_detected *found, size_t n)
{
    r->count = gtv_tracker_update(r->t, found, n, START + at_ms, W, H, r->events);
    assert_true(r->count <= GTV_TRACK_EVENTS_MAX);
    for (size_t i = 0; i < r->count; i++) {
        const struct gtv_track *t = r->events[i].track;
        assert_true(isfinite(t->box.x) && isfinite(t->box.w) && isfinite(t->vx));
        if (r->events[i].change == GTV_TRACK_STARTED) {
            r->started++;
            r->last_started = t->id;
        } else if (r->events[i].change == GTV_TRACK_ENDED) {
            r->ended++;
            r->last_ended = t->id;
        }
    }
}

// ---- Assignment ----

// The cheapest of all assignments, by trying them all.
static double cheapest(const float *cost, size_t rows, size_t columns, float single, size_t row,
                       unsigned used)
{
    if (row == rows)
        return 0;
    double best = (double)single + cheapest(cost, rows, columns, single, row + 1, used);
    for (size_t c = 0; c < columns; c++) {
        if (!(used & 1U << c))
            best = fmin(best, (double)cost[row * columns + c] +
                                  cheapest(cost, rows, columns, single, row + 1, used | 1U << c));
    }
    return best;
}

static void assignment_is_the_cheapest(void **state)
{
    uint32_t random = 1;
    for (int round = 0; round < 400; round++) {
        float cost[36];
        size_t rows = 1 + (size_t)round % 6, columns = 1 + (size_t)(round / 6) % 6;
        for (size_t i = 0; i < rows * columns; i++) {
            random = random * 1664525 + 1013904223;
            cost[i] = random % 7 == 0 ? GTV_ASSIGN_NEVER : (float)(random >> 16) / 4000 - 4;
        }
        int to[6];
        gtv_assign(cost, rows, columns, 9, to);
        double sum = 0;
        unsigned used = 0;
        for (size_t r = 0; r < rows; r++) {
            sum += to[r] < 0 ? 9 : (double)cost[r * columns + (size_t)to[r]];
            if (to[r] >= 0) {
                assert_false(used & 1U << to[r]);
                used |= 1U << to[r];
            }
        }
        assert_true(fabs(sum - cheapest(cost, rows, columns, 9, 0, 0)) < 1e-3);
    }
}

static void assignment_of_the_greatest_size(void **state)
{
    static float cost[GTV_TRACK_MAX * GTV_TRACK_MAX];
    static int to[GTV_TRACK_MAX];
    for (size_t i = 0; i < GTV_TRACK_MAX; i++) {
        for (size_t j = 0; j < GTV_TRACK_MAX; j++)
            cost[i * GTV_TRACK_MAX + j] =
                (float)((i * 7 + j * 13) % 31 + (j == (i + 5) % GTV_TRACK_MAX ? 0 : 40));
    }
    gtv_assign(cost, GTV_TRACK_MAX, GTV_TRACK_MAX, 100, to);
    for (size_t i = 0; i < GTV_TRACK_MAX; i++)
        assert_int_equal(to[i], (int)((i + 5) % GTV_TRACK_MAX));
}

// ---- One vehicle ----

static void a_vehicle_is_one_track(void **state)
{
    static const double rates[] = {1, 2, 5, 15};
    for (size_t k = 0; k < 4; k++) {
        struct rig r = {.t = gtv_tracker_create(NULL)};
        int64_t step = (int64_t)(1000 / rates[k]);
        for (int64_t at = 0; at <= 5000; at += step) {
            struct gtv_detected d =
                box("car", 0.8, 50 + 0.2 * (double)at, 300 + (double)(at / step % 3), 120, 60);
            look(&r, at, &d, 1);
        }
        assert_int_equal(r.started, 1);
        assert_int_equal(r.ended, 0);
        assert_int_equal(r.count, 1);
        assert_int_equal(r.events[0].change, GTV_TRACK_UPDATED);
        const struct gtv_track *t = r.events[0].track;
        assert_int_equal(t->first_ms, START);
        assert_true(fabs(t->vx - 200) < 40 && fabs(t->vy) < 30);
        assert_true(t->first.x == 50);
        gtv_tracker_destroy(r.t);
    }
}

// At one look a second it moves by twice its length, and another follows three lengths behind.
static void vehicles_that_move_farther_than_their_length(void **state)
{
    struct rig *r = *state;
    uint64_t leader = 0;
    for (int i = 0; i < 8; i++) {
        struct gtv_detected d[2];
        size_t n = 0;
        d[n++] = box("car", 0.8, 20 + 150.0 * i, 300, 80, 45);
        if (i >= 2)
            d[n++] = box("truck", 0.8, 20 + 150.0 * (i - 2), 280, 130, 90);
        look(r, 1000 * i, d, n);
        if (i == 1)
            leader = r->last_started;
    }
    assert_int_equal(r->started, 2);
    bool seen = false;
    for (size_t i = 0; i < r->count; i++) {
        if (r->events[i].track->id == leader) {
            seen = true;
            assert_int_equal(r->events[i].track->vehicle, GTV_CAR);
            assert_int_equal(r->events[i].track->looks, 8);
        }
    }
    assert_true(seen);
}

static void irregular_looks(void **state)
{
    struct rig *r = *state;
    static const int64_t at[] = {0, 180, 900, 950, 1700, 2100, 3300, 3350, 4000};
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
        struct gtv_detected d = box("bus", 0.7, 40 + 0.18 * (double)at[i], 200, 260, 120);
        look(r, at[i], &d, 1);
    }
    assert_int_equal(r->started, 1);
    assert_int_equal(r->ended, 0);
}

static void an_occlusion_is_survived(void **state)
{
    struct rig *r = *state;
    for (int i = 0; i < 40; i++) {
        struct gtv_detected d = box("car", 0.8, 50 + 20.0 * i, 300, 120, 60);
        bool hidden = i >= 12 && i < 20;
        look(r, 200 * i, &d, hidden ? 0 : 1);
        if (i == 15) {
            assert_int_equal(r->count, 1);
            assert_int_equal(r->events[0].change, GTV_TRACK_MISSED);
            assert_int_equal(r->events[0].track->detection, -1);
            assert_true(fabs(r->events[0].track->box.x - (50 + 20.0 * 15)) < 15);
        }
    }
    assert_int_equal(r->started, 1);
    assert_int_equal(r->ended, 0);
}

static void a_faint_detection_keeps_a_track_but_starts_none(void **state)
{
    struct rig *r = *state;
    for (int i = 0; i < 10; i++) {
        struct gtv_detected d[2] = {box("car", i < 3 ? 0.8 : 0.2, 50 + 10.0 * i, 300, 120, 60),
                                    box("car", 0.2, 800, 500, 100, 60)};
        look(r, 200 * i, d, 2);
    }
    assert_int_equal(r->started, 1);
    assert_int_equal(r->count, 1);
    assert_int_equal(r->events[0].change, GTV_TRACK_UPDATED);
    assert_int_equal(r->events[0].track->looks, 10);
}

static void what_is_gone_ends_once(void **state)
{
    struct rig *r = *state;
    for (int i = 0; i < 5; i++) {
        struct gtv_detected d = box("car", 0.8, 300 + 10.0 * i, 300, 120, 60);
        look(r, 200 * i, &d, 1);
    }
    for (int i = 5; i < 30; i++)
        look(r, 200 * i, NULL, 0);
    assert_int_equal(r->ended, 1);
    assert_int_equal(r->last_ended, r->last_started);
    assert_int_equal(r->count, 0);
}

static void the_class_is_voted(void **state)
{
    struct rig *r = *state;
    for (int i = 0; i < 12; i++) {
        struct gtv_detected d = box(i % 4 == 1 ? "bus" : "truck", 0.7, 100 + 10.0 * i, 300, 250, 150);
        look(r, 200 * i, &d, 1);
    }
    assert_int_equal(r->started, 1);
    assert_int_equal(r->events[0].track->vehicle, GTV_TRUCK);
    assert_true(fabs(r->events[0].track->vehicle_share - 0.75) < 0.01);
}

static void two_cross_without_changing_names(void **state)
{
    struct rig *r = *state;
    uint64_t right = 0;
    for (int i = 0; i < 30; i++) {
        struct gtv_detected d[2] = {box("car", 0.8, 100 + 30.0 * i, 300, 100, 60),
                                    box("car", 0.8, 1000 - 30.0 * i, 330, 100, 60)};
        look(r, 200 * i, d, 2);
        for (size_t k = 0; k < r->count && i == 2; k++)
            right = r->events[k].track->vx > 0 ? r->events[k].track->id : right;
    }
    assert_int_equal(r->started, 2);
    for (size_t k = 0; k < r->count; k++)
        assert_int_equal(r->events[k].track->vx > 0, r->events[k].track->id == right);
}

static void who_comes_in_where_another_leaves_is_another(void **state)
{
    struct rig *r = *state;
    for (int i = 0; i < 40; i++) {
        double out = 1100 + 30.0 * i, in = 1240 - 30.0 * (i - 10);
        struct gtv_detected d[2];
        size_t n = 0;
        if (out < W - 10)
            d[n++] = box("car", 0.8, out, 300, fmin(200, W - out), 100);
        if (i >= 10 && in > 100)
            d[n++] = box("car", 0.8, in, 310, fmin(180, W - in), 100);
        look(r, 200 * i, d, n);
    }
    assert_int_equal(r->started, 2);
}

static void a_standing_vehicle_stands(void **state)
{
    struct rig *r = *state;
    for (int i = 0; i < 120; i++) {
        struct gtv_detected d = box("car", 0.7, 400 + i % 3, 300 - i % 2, 120, 60);
        look(r, 250 * i, &d,
             i % 5 == 4 || (i > 60 && i < 100) ? 0 : 1); // it flickers, and is hidden for 10 s
    }
    assert_int_equal(r->started, 1);
    assert_int_equal(r->ended, 0);
    assert_true(r->events[0].track->still_ms > 0);
    assert_true(hypot(r->events[0].track->vx, r->events[0].track->vy) < 15);
}

static void a_second_box_on_it_is_no_vehicle(void **state)
{
    struct rig *r = *state;
    for (int i = 0; i < 10; i++) {
        struct gtv_detected d[2] = {box("truck", 0.8, 100 + 15.0 * i, 200, 400, 250),
                                    box("car", 0.5, 130 + 15.0 * i, 210, 340, 200)};
        look(r, 200 * i, d, 2);
    }
    assert_int_equal(r->started, 1);
}

// ---- Names, limits, hostile input ----

static void names_rise_over_restarts(void **state)
{
    struct rig *r = *state;
    struct gtv_detected d = box("car", 0.8, 100, 300, 120, 60);
    look(r, 0, &d, 1);
    look(r, 200, &d, 1);
    uint64_t first = r->last_started;
    assert_true(first > 0 && first < (UINT64_C(1) << 53));
    struct rig again = {.t = gtv_tracker_create(NULL)};
    look(&again, 1000, &d, 1);
    look(&again, 1200, &d, 1);
    assert_true(again.last_started > first);
    gtv_tracker_destroy(again.t);
    // The clock went back, but what was known is told.
    again = (struct rig){.t = gtv_tracker_create(&(struct gtv_track_config){.after = first})};
    look(&again, -90000, &d, 1);
    look(&again, -89800, &d, 1);
    assert_int_equal(again.last_started, first + 1);
    gtv_tracker_destroy(again.t);
}

static void the_number_of_tracks_is_bounded(void **state)
{
    struct rig *r = *state;
    static struct gtv_detected d[200];
    for (int i = 0; i < 60; i++) {
        for (int k = 0; k < 200; k++)
            d[k] = box("car", 0.9, (k % 20) * 64 + (i % 7) * 9, (k / 20) * 70 + (i / 7) * 9, 40, 40);
        look(r, 100 * i, d, 200);
    }
    assert_true(r->count <= GTV_TRACK_EVENTS_MAX);
    r->count = gtv_tracker_finish(r->t, r->events);
    assert_true(r->count <= GTV_TRACK_MAX);
    for (size_t i = 0; i < r->count; i++)
        assert_int_equal(r->events[i].change, GTV_TRACK_ENDED);
    assert_int_equal(r->started, r->ended + r->count);
}

static void hostile_detections(void **state)
{
    struct rig *r = *state;
    struct gtv_detected d[12] = {
        box("car", NAN, 10, 10, 50, 50),
        box("car", INFINITY, 10, 10, 50, 50),
        box("car", -1, 10, 10, 50, 50),
        box("car", 2, 10, 10, 50, 50),
        box("car", 0.9, 10, 10, 0, 50),
        box("car", 0.9, 10, 10, 50, -5),
        box("zebra", 0.9, 10, 10, 50, 50),
        box("", 0.9, 10, 10, 50, 50),
        box("car", 0.9, 5000, 10, 50, 50),
        box("car", 0.9, -500, -500, 50, 50),
        {.object_type = "car",
         .confidence = 0.9,
         .x = INT32_MIN,
         .y = INT32_MIN,
         .w = INT32_MAX,
         .h = INT32_MAX},
        {.object_type = "car",
         .confidence = 0.9,
         .x = INT32_MAX,
         .y = INT32_MAX,
         .w = INT32_MAX,
         .h = INT32_MAX},
    };
    memset(d[7].object_type, 'x', sizeof(d[7].object_type)); // without an end
    for (int i = 0; i < 10; i++)
        look(r, 100 * i, d, 12);
    assert_int_equal(r->started, 0);
    assert_int_equal(r->count, 0);
}

static void time_that_stands_or_goes_back(void **state)
{
    struct rig *r = *state;
    static const int64_t at[] = {0, 0, -5000, 200, 400, 400, 400, 600};
    struct gtv_detected d = box("car", 0.8, 300, 300, 120, 60);
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
        look(r, at[i], &d, 1);
    assert_int_equal(r->started, 1);
    look(r, 200000, &d, 1); // minutes later nobody knows
    assert_int_equal(r->ended, 1);
}

static void another_resolution(void **state)
{
    struct rig *r = *state;
    for (int i = 0; i < 5; i++) {
        struct gtv_detected d = box("car", 0.8, 300 + 10.0 * i, 300, 120, 60);
        look(r, 200 * i, &d, 1);
    }
    for (int i = 5; i < 10; i++) {
        struct gtv_detected d = box("car", 0.8, (300 + 10.0 * i) / 2, 150, 60, 30);
        r->count = gtv_tracker_update(r->t, &d, 1, START + 200 * i, W / 2, H / 2, r->events);
        assert_int_equal(r->count, 1);
        assert_int_equal(r->events[0].change, GTV_TRACK_UPDATED);
        assert_int_equal(r->events[0].track->id, r->last_started);
    }
}

static void noise_does_no_harm(void **state)
{
    struct rig *r = *state;
    uint32_t random = 7;
    int64_t at = 0;
    static struct gtv_detected d[GTV_MAX_OBJECTS];
    for (int i = 0; i < 300; i++) {
        size_t n = random % GTV_MAX_OBJECTS;
        for (size_t k = 0; k < n; k++) {
            int v[5];
            for (int j = 0; j < 5; j++) {
                random = random * 1664525 + 1013904223;
                v[j] = (int)(random >> 12) % 1400 - 60;
            }
            d[k] =
                box(gtv_vehicle_names[random >> 30], (random >> 8) % 1000 / 1000.0, v[0], v[1], v[2], v[3]);
        }
        at += random >> 20;
        look(r, at, d, n);
    }
}

// ---- Ways ----

static void ways_are_learnt_and_forgotten(void **state)
{
    static struct gtv_flow f;
    struct gtv_flow_way ways[GTV_FLOW_WAYS];
    assert_int_equal(gtv_flow_ask(&f, 0.5, 0.5, ways), 0);
    for (int i = 0; i < 10; i++) {
        gtv_flow_learn(&f, 0.5, 0.5, 0.3, 0.1, 0.7);
        gtv_flow_learn(&f, 0.5, 0.5, -0.2, 0, 0.7);
    }
    gtv_flow_learn(&f, -3, 7, NAN, 0.1, 0.7);
    assert_int_equal(gtv_flow_ask(&f, 0.5, 0.5, ways), 2);
    assert_true(fabs(ways[0].vx * ways[1].vx - 0.3 * -0.2) < 1e-9);
    assert_int_equal(gtv_flow_ask(&f, 0.1, 0.1, ways), 0);
}

static void what_is_new_where_nobody_drove_deserves_another_look(void **state)
{
    struct rig *r = *state;
    assert_false(gtv_tracker_curious(r->t));
    int64_t at = 0;
    bool asked = false;
    for (int vehicle = 0; vehicle < 6; vehicle++, at += 4000) {
        for (int i = 0; i < 10; i++) {
            struct gtv_detected d = box("car", 0.8, 100 + 100 * i, 300, 100, 60);
            look(r, at + 200 * i, &d, 1);
            if (i == 0)
                asked = gtv_tracker_curious(r->t);
            else
                assert_false(gtv_tracker_curious(r->t)); // two looks say where it goes
            if (i == 0 && vehicle == 0)
                assert_true(asked);
        }
    }
    assert_false(asked); // the others have shown the way
    struct gtv_detected elsewhere = box("car", 0.8, 600, 620, 100, 60);
    look(r, at, &elsewhere, 1);
    assert_true(gtv_tracker_curious(r->t));
    look(r, at + 200, NULL, 0);
    assert_false(gtv_tracker_curious(r->t)); // nothing is in sight
}

int main(void)
{
#define RIGGED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(assignment_is_the_cheapest),
        cmocka_unit_test(assignment_of_the_greatest_size),
        cmocka_unit_test(a_vehicle_is_one_track),
        RIGGED(vehicles_that_move_farther_than_their_length),
        RIGGED(irregular_looks),
        RIGGED(an_occlusion_is_survived),
        RIGGED(a_faint_detection_keeps_a_track_but_starts_none),
        RIGGED(what_is_gone_ends_once),
        RIGGED(the_class_is_voted),
        RIGGED(two_cross_without_changing_names),
        RIGGED(who_comes_in_where_another_leaves_is_another),
        RIGGED(a_standing_vehicle_stands),
        RIGGED(a_second_box_on_it_is_no_vehicle),
        RIGGED(names_rise_over_restarts),
        RIGGED(the_number_of_tracks_is_bounded),
        RIGGED(hostile_detections),
        RIGGED(time_that_stands_or_goes_back),
        RIGGED(another_resolution),
        RIGGED(noise_does_no_harm),
        cmocka_unit_test(ways_are_learnt_and_forgotten),
        RIGGED(what_is_new_where_nobody_drove_deserves_another_look),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
