#include "services/ai/watch/plate_teller.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

enum { NOON_MS = 43200 * 1000 };

struct told {
    char folder[64];
    struct gtv_store *store;
    struct gtv_shots *shots;
    struct gtv_metrics *metrics;
    struct gtv_plate_meters meters;
    struct gtv_scene_settings settings;
    struct gtv_track_plates_config config;
    struct gtv_plate_teller teller;
    char crop[GTV_STORE_NAME_CAP], plate_crop[GTV_STORE_NAME_CAP]; // of the last event
    int events;
};

static void hear(void *arg, const struct gtv_happening_event *e)
{
    struct told *t = arg;
    assert_string_equal(e->type, "plate.read");
    snprintf(t->crop, sizeof(t->crop), "%s", e->crop ? e->crop : "");
    snprintf(t->plate_crop, sizeof(t->plate_crop), "%s", e->plate->crop ? e->plate->crop : "");
    t->events++;
}

static int create(void **state)
{
    struct gtv_error err = {0};
    struct told *t = calloc(1, sizeof(*t));
    if (!t)
        return -1;
    *state = t;
    snprintf(t->folder, sizeof(t->folder), "/tmp/gtv-teller-XXXXXX");
    if (!mkdtemp(t->folder))
        return -1;
    t->store = gtv_store_create(
        &(struct gtv_store_config){.dir = t->folder, .max_bytes = 1 << 24, .max_age_s = (int64_t)1 << 40},
        &err);
    t->shots = gtv_shots_create(t->store, 7);
    t->metrics = gtv_metrics_create();
    t->meters.sure = gtv_metrics_counter(t->metrics, "sure_total", "", "sure");
    t->meters.uncertain = gtv_metrics_counter(t->metrics, "uncertain_total", "", "uncertain");
    t->meters.again = gtv_metrics_counter(t->metrics, "again_total", "", "again");
    gtv_scene_settings_init(&t->settings);
    t->config = (struct gtv_track_plates_config){
        .camera_id = 7, .meters = &t->meters, .store = t->store, .shots = t->shots, .tell = hear, .arg = t};
    t->teller.config = &t->config;
    return t->store ? 0 : -1;
}

static int destroy(void **state)
{
    struct told *t = *state;
    char command[128];
    gtv_shots_destroy(t->shots);
    gtv_store_destroy(t->store);
    gtv_metrics_destroy(t->metrics);
    snprintf(command, sizeof(command), "rm -r '%s'", t->folder);
    free(t);
    return system(command);
}

static void tell(struct told *t, uint64_t track, const char *plate, bool picture)
{
    struct gtv_plate_best best = {.wall_ms = NOON_MS, .plate = {5, 6, 40, 12}, .width = 320, .height = 240};
    struct gtv_happening_event about = {.key = "plate.read/x", .track = track, .object_type = "car"};
    struct gtv_plate_verdict verdict = {
        .format = GTV_PLATE_FORMAT_OLD, .confidence = 0.95, .sure = true, .votes = 3, .readings = 3};
    char text[GTV_PLATE_TEXT_CAP] = "";
    snprintf(verdict.text, sizeof(verdict.text), "%s", plate);
    best.jpeg = picture ? gtv_bytes_copy("\xff\xd8plate", 7) : NULL;
    gtv_plate_tell(&t->teller, &best, &about, track ? track : 99, &t->settings, &verdict, NOON_MS, text);
    assert_string_equal(text, plate);
    gtv_plate_best_finish(&best);
}

static void a_vehicle_has_its_own_picture(void **state)
{
    struct told *t = *state;
    AVFrame *f = av_frame_alloc();
    assert_non_null(f);
    f->format = AV_PIX_FMT_YUV420P;
    f->width = 320;
    f->height = 240;
    assert_int_equal(av_frame_get_buffer(f, 0), 0);
    for (int p = 0; p < 3; p++)
        for (int y = 0; y < (p ? 120 : 240); y++)
            memset(f->data[p] + y * f->linesize[p], y % 2 ? 100 : 150, p ? 160 : 320);
    struct gtv_track track = {
        .id = 17, .confidence = 0.8, .first_ms = NOON_MS, .box = {.x = 40, .y = 40, .w = 160, .h = 120}};
    struct gtv_track_event seen = {.change = GTV_TRACK_UPDATED, .track = &track};
    gtv_shots_take(t->shots, f, &t->settings, &seen, 1);
    av_frame_free(&f);
    tell(t, 17, "ABC1234", true);
    assert_string_equal(t->crop, "cam_7/19700101/17.jpg");
    assert_string_equal(t->plate_crop, "cam_7/19700101/17-plate.jpg");
}

static void without_a_vehicle_the_plates_stands_in(void **state)
{
    struct told *t = *state;
    tell(t, 0, "ABC1234", true);
    assert_string_equal(t->crop, "cam_7/19700101/99-plate.jpg");
    assert_string_equal(t->plate_crop, t->crop);
    struct gtv_bytes *there = gtv_store_get(t->store, t->crop);
    assert_non_null(there);
    gtv_bytes_unref(there);
    tell(t, 18, "XYZ9876", true); // a track of which no picture was good enough
    assert_string_equal(t->crop, "cam_7/19700101/18-plate.jpg");
    tell(t, 0, "QRS5555", false);
    assert_string_equal(t->crop, "");
    t->settings.crops = false;
    tell(t, 0, "DEF5555", true);
    assert_string_equal(t->crop, "");
    assert_string_equal(t->plate_crop, "");
    assert_int_equal(t->events, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_vehicle_has_its_own_picture, create, destroy),
        cmocka_unit_test_setup_teardown(without_a_vehicle_the_plates_stands_in, create, destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
