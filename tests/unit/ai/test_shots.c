#include "services/ai/watch/shots.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

enum { WIDTH = 320, HEIGHT = 240, NOON_MS = 43200 * 1000 };

static char folder[64];
static struct gtv_store *store;
static struct gtv_shots *shots;
static struct gtv_scene_settings settings;

static int create(void **state)
{
    struct gtv_error err = {0};
    snprintf(folder, sizeof(folder), "/tmp/gtv-shots-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    store = gtv_store_create(
        &(struct gtv_store_config){.dir = folder, .max_bytes = 1 << 24, .max_age_s = (int64_t)1 << 40}, &err);
    shots = gtv_shots_create(store, 7);
    gtv_scene_settings_init(&settings);
    return store ? 0 : -1;
}

static int destroy(void **state)
{
    char command[128];
    gtv_shots_destroy(shots);
    gtv_store_destroy(store);
    snprintf(command, sizeof(command), "rm -r '%s'", folder);
    return system(command);
}

// A grey picture with stripes: the stronger, the sharper.
static AVFrame *picture(int contrast)
{
    AVFrame *f = av_frame_alloc();
    assert_non_null(f);
    f->format = AV_PIX_FMT_YUV420P;
    f->width = WIDTH;
    f->height = HEIGHT;
    assert_int_equal(av_frame_get_buffer(f, 0), 0);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            f->data[0][y * f->linesize[0] + x] = (uint8_t)(128 + (x / 2 % 2 ? contrast : -contrast));
    for (int p = 1; p < 3; p++)
        memset(f->data[p], 128, (size_t)f->linesize[p] * HEIGHT / 2);
    return f;
}

static void take(uint64_t id, int x, int y, int w, int h, int contrast)
{
    struct gtv_track t = {
        .id = id, .confidence = 0.8, .first_ms = NOON_MS, .box = {.x = x, .y = y, .w = w, .h = h}};
    struct gtv_track_event e = {.change = GTV_TRACK_UPDATED, .track = &t};
    AVFrame *f = picture(contrast);
    gtv_shots_take(shots, f, &settings, &e, 1);
    av_frame_free(&f);
}

static size_t kept(uint64_t id)
{
    char name[GTV_STORE_NAME_CAP];
    gtv_shots_keep(shots, id);
    if (!gtv_shots_name(shots, id, name))
        return 0;
    assert_true(strncmp(name, "cam_7/19700101/", 15) == 0);
    struct gtv_bytes *b = gtv_store_get(store, name);
    assert_non_null(b);
    assert_true(b->len > 2 && b->data[0] == 0xff && b->data[1] == 0xd8);
    size_t n = b->len;
    gtv_bytes_unref(b);
    return n;
}

static void what_is_better(void **state)
{
    assert_true(gtv_shots_score(4000, 0.8, 10, false) > gtv_shots_score(1000, 0.8, 10, false));
    assert_true(gtv_shots_score(1000, 0.9, 10, false) > gtv_shots_score(1000, 0.5, 10, false));
    assert_true(gtv_shots_score(1000, 0.8, 10, false) > gtv_shots_score(1000, 0.8, 2, false));
    assert_true(gtv_shots_score(1000, 0.8, 10, false) > gtv_shots_score(1000, 0.8, 10, true));
    assert_true(gtv_shots_score(-1, 0.8, 10, false) == 0);
}

static void the_best_stays(void **state)
{
    char name[GTV_STORE_NAME_CAP];
    assert_int_equal(kept(1), 0);
    take(1, 100, 100, 40, 30, 40);
    assert_false(gtv_shots_name(shots, 1, name)); // nothing is kept unasked
    size_t small = kept(1);
    assert_true(small > 0);
    take(1, 100, 100, 120, 90, 40);
    size_t large = kept(1);
    assert_true(large > small);
    take(1, 100, 100, 50, 40, 40);
    take(1, 0, 0, 120, 90, 40); // cut off by the edge
    take(1, 100, 100, 120, 90, 1);
    assert_int_equal(kept(1), large);
    gtv_shots_drop(shots, 1);
    assert_int_equal(kept(1), 0);
}

static void too_small_or_outside_is_none(void **state)
{
    take(2, 100, 100, 5, 5, 40);
    take(3, 400, 300, 50, 50, 40);
    take(4, -100, -100, 50, 50, 40);
    assert_int_equal(kept(2) + kept(3) + kept(4), 0);
}

static void more_tracks_than_places(void **state)
{
    for (uint64_t id = 1; id <= GTV_TRACK_MAX + 5; id++)
        take(id, 100, 100, 40, 30, 40);
    assert_true(kept(GTV_TRACK_MAX) > 0);
    assert_int_equal(kept(GTV_TRACK_MAX + 1), 0);
    gtv_shots_drop(shots, 1);
    take(GTV_TRACK_MAX + 1, 100, 100, 40, 30, 40);
    assert_true(kept(GTV_TRACK_MAX + 1) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_better),
        cmocka_unit_test_setup_teardown(the_best_stays, create, destroy),
        cmocka_unit_test_setup_teardown(too_small_or_outside_is_none, create, destroy),
        cmocka_unit_test_setup_teardown(more_tracks_than_places, create, destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
