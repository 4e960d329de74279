// Exams over a detector of our own, which finds one car of 20 x 10 pixels at 5,6 in every picture.
#include "services/ai/detect/exam.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/ai/picture/jpeg_write.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <time.h>

enum { SIDE = 64, WIDTH = 96, HEIGHT = 80 };

struct gtv_detector {
    struct gtv_model model;
    uint8_t pixels[2][SIDE * SIDE * 3];
};

struct gtv_detector *gtv_detector_ref(struct gtv_detector *d)
{
    return d;
}

void gtv_detector_unref(struct gtv_detector *d)
{
}

const struct gtv_model *gtv_detector_model(const struct gtv_detector *d)
{
    return &d->model;
}

const char *gtv_detector_message(const struct gtv_detector *d)
{
    return NULL;
}

size_t gtv_detector_step(const struct gtv_detector *d)
{
    return 1;
}

uint8_t *gtv_detector_pixels(struct gtv_detector *d, size_t slot, size_t picture)
{
    return d->pixels[slot];
}

bool gtv_detector_run(struct gtv_detector *d, size_t slot, const struct gtv_detector_input *inputs,
                      size_t count, struct gtv_detections *out, double *infer_ms, struct gtv_error *err)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(inputs[i].at.full_width, WIDTH);
        out[i].count = 1;
        out[i].objects[0] = (struct gtv_detected){
            .object_type = "car", .confidence = 0.8765, .x = 5, .y = 6, .w = 20, .h = 10};
    }
    *infer_ms = 1;
    return true;
}

static struct gtv_detector *detector;
static struct gtv_engine *engine;
static struct gtv_examiner *examiner;
static struct gtv_bytes *jpeg;
static atomic_int done_count;

static int begin(void **state)
{
    static uint8_t rgb[WIDTH * HEIGHT * 3];
    memset(rgb, 90, sizeof(rgb));
    jpeg = gtv_jpeg_encode(rgb, WIDTH, HEIGHT, (size_t)WIDTH * 3, 90);
    detector = GTV_NEW(struct gtv_detector);
    detector->model = (struct gtv_model){.name = "fake", .input = {.width = SIDE, .height = SIDE}};
    engine = gtv_engine_create(
        &(struct gtv_engine_config){.workers = 2, .batch = 1, .limit = {100, 100, 0}, .detector = detector});
    examiner = gtv_examiner_create(&(struct gtv_examiner_config){.engine = engine, .workers = 2});
    return jpeg ? 0 : 1;
}

static int end(void **state)
{
    gtv_engine_destroy(engine);
    gtv_examiner_destroy(examiner);
    gtv_bytes_unref(jpeg);
    free(detector);
    return 0;
}

static void on_done(struct gtv_exam *exam)
{
    atomic_fetch_add(&done_count, 1);
}

static void examine(struct gtv_exam *exam)
{
    int before = atomic_load(&done_count);
    exam->done = on_done;
    exam->received_ns = gtv_mono_ns();
    exam->received_wall_ms = gtv_wall_ms();
    assert_true(gtv_exam_post(exam, examiner));
    while (atomic_load(&done_count) == before)
        (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    assert_false(gtv_exam_withdraw(exam));
}

static char *base64(const struct gtv_bytes *bytes)
{
    static const char signs[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t whole = bytes->len / 3 * 3; // what is left over does not matter to a JPEG's decoder
    char *text = gtv_alloc(whole / 3 * 4 + 1), *at = text;
    for (size_t i = 0; i < whole; i += 3) {
        uint32_t v = (uint32_t)bytes->data[i] << 16 | (uint32_t)bytes->data[i + 1] << 8 | bytes->data[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *at++ = signs[v >> shift & 63];
    }
    return text;
}

static void a_picture_as_file_and_as_base64(void **state)
{
    char *text = base64(jpeg);
    struct gtv_exam exams[2] = {{.picture = gtv_bytes_str(jpeg)},
                                {.picture = gtv_str_of(text), .base64 = true, .options = {.annotate = true}}};
    for (int i = 0; i < 2; i++) {
        struct gtv_exam *exam = &exams[i];
        exam->camera_id = 7;
        examine(exam);
        assert_int_equal(exam->err.code, GTV_OK);
        assert_int_equal(exam->found.count, 1);
        assert_int_equal(exam->width, WIDTH);
        assert_int_equal(exam->height, HEIGHT);
        assert_string_equal(exam->model, "fake");
        assert_true(exam->processing_ms > 0);
        assert_int_equal(exam->annotated != NULL, i == 1);
        yyjson_mut_val *o;
        yyjson_mut_doc *doc = gtv_json_object(&o);
        gtv_exam_write(exam, doc, o, true);
        struct gtv_bytes *json = gtv_json_write(doc);
        char *answer = gtv_strndup(gtv_bytes_str(json));
        assert_non_null(strstr(answer, "\"object_type\":\"car\",\"confidence\":0.877"));
        assert_non_null(strstr(answer, "\"bbox\":{\"x\":5,\"y\":6,\"w\":20,\"h\":10},\"plate_number\":null"));
        assert_int_equal(strstr(answer, "\"annotated_image\":\"data:image/jpeg;base64,/9j/") != NULL, i == 1);
        free(answer);
        gtv_bytes_unref(json);
        gtv_exam_finish(exam);
    }
    free(text);
}

static void failures_name_the_field(void **state)
{
    struct gtv_exam garbage = {.picture = GTV_STR("%%%"), .base64 = true, .field = "image_base64"},
                    none = {.picture = GTV_STR("no picture"), .field = "file"};
    atomic_bool gone;
    atomic_init(&gone, true);
    struct gtv_exam unwanted = {.picture = gtv_bytes_str(jpeg), .cancelled = &gone};
    examine(&garbage);
    examine(&none);
    examine(&unwanted);
    assert_int_equal(garbage.err.code, GTV_E_INVALID);
    assert_string_equal(garbage.err.field, "image_base64");
    assert_int_equal(none.err.code, GTV_E_INVALID);
    assert_string_equal(none.err.field, "file");
    assert_int_equal(unwanted.err.code, GTV_E_CANCELLED);
    assert_int_equal(unwanted.found.count, 0);
}

static void options_of_json(void **state)
{
    static const struct {
        const char *text, *field; // NULL: accepted
        uint32_t vehicles;
    } cases[] = {
        {"{}", NULL, 1},
        {"{\"classes\":null,\"annotate\":true,\"confidence\":0.25}", NULL, 1},
        {"{\"classes\":[]}", NULL, 0},
        {"{\"classes\":[\"car\",\"bus\"]}", NULL, 1U << GTV_CAR | 1U << GTV_BUS},
        {"{\"classes\":\"truck, motorcycle\"}", NULL, 1U << GTV_TRUCK | 1U << GTV_MOTORCYCLE},
        {"{\"classes\":\"car,,bus\"}", "classes", 0},
        {"{\"classes\":[\"cars\"]}", "classes", 0},
        {"{\"classes\":[1]}", "classes", 0},
        {"{\"classes\":true}", "classes", 0},
        {"{\"confidence\":-0.1}", "confidence", 0},
        {"{\"confidence\":\"x\"}", "confidence", 0},
        {"{\"annotate\":1}", "annotate", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gtv_error err = {0};
        struct gtv_exam_options o = {.confidence = 0.5, .vehicles = 1};
        yyjson_doc *doc = gtv_json_parse(gtv_str_of(cases[i].text), &err);
        bool ok = gtv_exam_options_json(yyjson_doc_get_root(doc), &o, &err);
        yyjson_doc_free(doc);
        assert_int_equal(ok, cases[i].field == NULL);
        if (ok)
            assert_int_equal(o.vehicles, cases[i].vehicles);
        else
            assert_string_equal(err.field, cases[i].field);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_picture_as_file_and_as_base64),
        cmocka_unit_test(failures_name_the_field),
        cmocka_unit_test(options_of_json),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
