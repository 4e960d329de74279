#include "services/ai/network/head.h"

#include "tests/unit/unit.h"

#include <math.h>
#include <stdlib.h>

// A network of 32x32 with strides 8 and 16 and five classes, of which three are vehicles.
static struct gtv_model small(enum gtv_head head)
{
    return (struct gtv_model){
        .input = {.width = 32, .height = 32},
        .head = head,
        .strides = {8, 16},
        .stride_count = 2,
        .bins = 8,
        .class_count = 5,
        .vehicle_class = {1, -1, 3, 4},
    };
}

struct outputs {
    float scores8[16 * 5], scores16[4 * 5], sides8[16 * 32], sides16[4 * 32];
    struct gtv_tensor tensor[4];
    const struct gtv_tensor *all[4];
};

static void prepare(struct outputs *o)
{
    memset(o, 0, sizeof(*o));
    o->tensor[0] = (struct gtv_tensor){.data = o->scores8, .count = 16 * 5};
    o->tensor[1] = (struct gtv_tensor){.data = o->scores16, .count = 4 * 5};
    o->tensor[2] = (struct gtv_tensor){.data = o->sides8, .count = 16 * 32};
    o->tensor[3] = (struct gtv_tensor){.data = o->sides16, .count = 4 * 32};
    for (int i = 0; i < 4; i++)
        o->all[i] = &o->tensor[i];
}

static void assert_near(double a, double b)
{
    if (fabs(a - b) > 0.01)
        fail_msg("%g is not %g", a, b);
}

static void bins_give_boxes(void **state)
{
    struct gtv_model m = small(GTV_HEAD_BINS);
    struct outputs o;
    prepare(&o);
    assert_int_equal(gtv_head_cells(&m), 20);
    struct gtv_error err = {0};
    assert_true(gtv_head_check(&m, o.all, 4, &err));

    // Cell 6 of stride 8: column 2, row 1, centre (20, 12). All of the weight of each side in one bin: 1, 0,
    // 1, 2.
    o.scores8[6 * 5 + 3] = 0.8F;
    o.scores8[6 * 5 + 0] = 0.9F; // no vehicle
    static const int reach[4] = {1, 0, 1, 2};
    for (int side = 0; side < 4; side++)
        o.sides8[6 * 32 + side * 8 + reach[side]] = 50;
    // Cell 3 of stride 16: centre (24, 24); flat distributions: the middle of the bins, 3.5.
    o.scores16[3 * 5 + 1] = 0.6F;

    struct gtv_box boxes[20];
    assert_int_equal(gtv_head_decode(&m, o.all, 0.5F, boxes), 2);
    assert_int_equal(boxes[0].vehicle, GTV_BUS);
    assert_near(boxes[0].score, 0.8);
    assert_near(boxes[0].at[0], 12);
    assert_near(boxes[0].at[1], 12);
    assert_near(boxes[0].at[2], 28);
    assert_near(boxes[0].at[3], 28);
    assert_int_equal(boxes[1].vehicle, GTV_CAR);
    assert_near(boxes[1].at[0], 24 - 3.5 * 16);
    assert_near(boxes[1].at[3], 24 + 3.5 * 16);
    assert_int_equal(gtv_head_decode(&m, o.all, 0.7F, boxes), 1);
    assert_int_equal(gtv_head_decode(&m, o.all, 0.81F, boxes), 0);
}

static void yolox_gives_boxes(void **state)
{
    struct gtv_model m = small(GTV_HEAD_YOLOX);
    float rows[20 * 10] = {0};
    struct gtv_tensor t = {.data = rows, .count = 20 * 10};
    const struct gtv_tensor *all[1] = {&t};
    struct gtv_error err = {0};
    assert_true(gtv_head_check(&m, all, 1, &err));
    float *r = rows + 17 * 10; // stride 16, column 1, row 0
    r[0] = 0.25F;
    r[1] = 0.5F;
    r[2] = logf(2);
    r[3] = logf(0.5F);
    r[4] = 0.9F;
    r[5 + 4] = 0.8F;
    r[5 + 1] = 0.3F;
    struct gtv_box boxes[20];
    assert_int_equal(gtv_head_decode(&m, all, 0.5F, boxes), 1);
    assert_int_equal(boxes[0].vehicle, GTV_TRUCK);
    assert_near(boxes[0].score, 0.72);
    assert_near(boxes[0].at[0], 20 - 16);
    assert_near(boxes[0].at[1], 8 - 4);
    assert_near(boxes[0].at[2], 20 + 16);
    assert_near(boxes[0].at[3], 8 + 4);
    assert_int_equal(gtv_head_decode(&m, all, 0.75F, boxes), 0);
}

static void nonsense_is_dropped(void **state)
{
    struct gtv_model m = small(GTV_HEAD_YOLOX);
    float rows[20 * 10];
    for (size_t i = 0; i < 200; i++)
        rows[i] = NAN;
    struct gtv_tensor t = {.data = rows, .count = 20 * 10};
    const struct gtv_tensor *all[1] = {&t};
    struct gtv_box boxes[20];
    assert_int_equal(gtv_head_decode(&m, all, 0, boxes), 0);
    for (size_t i = 0; i < 200; i++)
        rows[i] = 1e30F; // exp overflows
    assert_int_equal(gtv_head_decode(&m, all, 0.1F, boxes), 0);

    struct gtv_model b = small(GTV_HEAD_BINS);
    struct outputs o;
    prepare(&o);
    for (int i = 0; i < 16 * 5; i++)
        o.scores8[i] = 0.9F;
    for (int i = 0; i < 16 * 32; i++)
        o.sides8[i] = NAN;
    assert_int_equal(gtv_head_decode(&b, o.all, 0.5F, boxes), 0);
}

static void wrong_outputs_are_refused(void **state)
{
    struct gtv_model m = small(GTV_HEAD_BINS);
    struct outputs o;
    prepare(&o);
    struct gtv_error err = {0};
    assert_false(gtv_head_check(&m, o.all, 3, &err));
    o.tensor[2].count--;
    assert_false(gtv_head_check(&m, o.all, 4, &err));
    assert_non_null(strstr(err.message, "output 2"));
    struct gtv_model y = small(GTV_HEAD_YOLOX);
    assert_false(gtv_head_check(&y, o.all, 1, &err));
}

// ---- Exports by Ultralytics: 40 candidates, five classes ----

enum { ROWS = 40, CLASSES = 5 };

static void yolov8_reads_four_rows(void **state)
{
    struct gtv_model m = small(GTV_HEAD_YOLOV8);
    float table[(4 + CLASSES) * ROWS] = {0};
    struct gtv_tensor t = {
        .data = table, .rank = 3, .dims = {1, 4 + CLASSES, ROWS}, .count = (4 + CLASSES) * ROWS};
    const struct gtv_tensor *all[1] = {&t};
    struct gtv_error err = {0};
    assert_true(gtv_head_check(&m, all, 1, &err));
    assert_int_equal(gtv_head_cells(&m), ROWS);
    assert_false(m.transposed);
    static const size_t places[] = {0, 17, 39}; // the last lies beyond the last full vector
    for (size_t i = 0; i < 3; i++) {
        size_t at = places[i];
        table[at] = 20;
        table[ROWS + at] = 10;
        table[2 * ROWS + at] = 8;
        table[3 * ROWS + at] = 4;
        table[(4 + 3) * ROWS + at] = 0.6F + 0.1F * (float)i;
        table[(4 + 1) * ROWS + at] = 0.55F;
        table[(4 + 0) * ROWS + at] = 0.99F; // no vehicle
    }
    struct gtv_box boxes[ROWS];
    assert_int_equal(gtv_head_decode(&m, all, 0.5F, boxes), 3);
    assert_int_equal(boxes[2].vehicle, GTV_BUS);
    assert_near(boxes[2].score, 0.8);
    assert_near(boxes[2].at[0], 16);
    assert_near(boxes[2].at[1], 8);
    assert_near(boxes[2].at[2], 24);
    assert_near(boxes[2].at[3], 12);
    assert_int_equal(gtv_head_decode(&m, all, 0.75F, boxes), 1);
    for (size_t i = 0; i < t.count; i++)
        table[i] = NAN;
    assert_int_equal(gtv_head_decode(&m, all, 0, boxes), 0);
    for (size_t i = 0; i < t.count; i++)
        table[i] = INFINITY;
    assert_int_equal(gtv_head_decode(&m, all, 0, boxes), 0);
}

static void yolov8_transposed(void **state)
{
    struct gtv_model m = small(GTV_HEAD_YOLOV8);
    m.class_count = 0; // as with classes given by number
    float table[ROWS * (4 + CLASSES)] = {0};
    struct gtv_tensor t = {
        .data = table, .rank = 3, .dims = {1, ROWS, 4 + CLASSES}, .count = (4 + CLASSES) * ROWS};
    const struct gtv_tensor *all[1] = {&t};
    struct gtv_error err = {0};
    assert_true(gtv_head_check(&m, all, 1, &err));
    assert_true(m.transposed);
    assert_int_equal(m.class_count, CLASSES);
    float *row = table + (size_t)7 * (4 + CLASSES);
    row[0] = row[1] = row[2] = row[3] = 6;
    row[4 + 4] = 0.7F;
    struct gtv_box boxes[ROWS];
    assert_int_equal(gtv_head_decode(&m, all, 0.5F, boxes), 1);
    assert_int_equal(boxes[0].vehicle, GTV_TRUCK);
    assert_near(boxes[0].at[2], 9);
}

static void yolov5_multiplies_objectness(void **state)
{
    struct gtv_model m = small(GTV_HEAD_YOLOV5);
    float table[ROWS * (5 + CLASSES)] = {0};
    struct gtv_tensor t = {
        .data = table, .rank = 3, .dims = {1, ROWS, 5 + CLASSES}, .count = (5 + CLASSES) * ROWS};
    const struct gtv_tensor *all[1] = {&t};
    struct gtv_error err = {0};
    assert_true(gtv_head_check(&m, all, 1, &err));
    float *row = table + (size_t)39 * (5 + CLASSES);
    row[0] = row[1] = 16;
    row[2] = row[3] = 8;
    row[4] = 0.9F;
    row[5 + 1] = 0.8F;
    struct gtv_box boxes[ROWS];
    assert_int_equal(gtv_head_decode(&m, all, 0.7F, boxes), 1);
    assert_int_equal(boxes[0].vehicle, GTV_CAR);
    assert_near(boxes[0].score, 0.72);
    assert_near(boxes[0].at[0], 12);
    assert_int_equal(gtv_head_decode(&m, all, 0.73F, boxes), 0);
    row[4] = INFINITY; // infinity times nothing is no score
    row[5 + 1] = 0;
    assert_int_equal(gtv_head_decode(&m, all, 0.001F, boxes), 0);
    row[4] = NAN;
    assert_int_equal(gtv_head_decode(&m, all, 0.001F, boxes), 0);
}

static void end_to_end_is_taken_as_it_is(void **state)
{
    struct gtv_model m = small(GTV_HEAD_END2END);
    float table[4 * 6] = {
        1, 2, 11, 12, 0.9F, 3,    // a bus
        1, 2, 11, 12, 0.8F, 0,    // no vehicle
        5, 5, 3,  9,  0.9F, 1,    // turned inside out
        5, 5, 30, 9,  0.6F, 4.0F, // a truck
    };
    struct gtv_tensor t = {.data = table, .rank = 3, .dims = {1, 4, 6}, .count = 24};
    const struct gtv_tensor *all[1] = {&t};
    struct gtv_error err = {0};
    assert_true(gtv_head_check(&m, all, 1, &err));
    struct gtv_box boxes[4];
    assert_int_equal(gtv_head_decode(&m, all, 0.5F, boxes), 2);
    assert_int_equal(boxes[0].vehicle, GTV_BUS);
    assert_int_equal(boxes[1].vehicle, GTV_TRUCK);
    assert_near(boxes[1].at[2], 30);
    table[5] = NAN;
    table[23] = 1e30F;
    assert_int_equal(gtv_head_decode(&m, all, 0.5F, boxes), 0);
}

static void nanodet_plus_has_one_table(void **state)
{
    struct gtv_model m = small(GTV_HEAD_NANODET_PLUS);
    enum { WIDTH = 5 + 32 };
    static float table[20 * WIDTH];
    struct gtv_tensor t = {.data = table, .rank = 3, .dims = {1, 20, WIDTH}, .count = (size_t)20 * WIDTH};
    const struct gtv_tensor *all[1] = {&t};
    struct gtv_error err = {0};
    assert_true(gtv_head_check(&m, all, 1, &err));
    float *row = table + (size_t)17 * WIDTH; // stride 16, column 1, row 0: its point is (16, 0)
    row[3] = 0.9F;
    for (int side = 0; side < 4; side++)
        row[5 + side * 8 + 1] = 50;
    struct gtv_box boxes[20];
    assert_int_equal(gtv_head_decode(&m, all, 0.5F, boxes), 1);
    assert_near(boxes[0].at[0], 0);
    assert_near(boxes[0].at[1], -16);
    assert_near(boxes[0].at[2], 32);
    assert_near(boxes[0].at[3], 16);
}

static void tables_that_do_not_fit(void **state)
{
    static float table[64 * 64];
    struct gtv_error err = {0};
    struct gtv_tensor t = {.data = table, .rank = 3, .dims = {1, 40, 6}, .count = 240};
    const struct gtv_tensor *all[1] = {&t};
    struct gtv_model m = small(GTV_HEAD_YOLOV5);
    assert_false(gtv_head_check(&m, all, 1, &err)); // five classes need ten columns
    assert_non_null(strstr(err.message, "yolov5"));
    m = small(GTV_HEAD_YOLOV8);
    assert_false(gtv_head_check(&m, all, 1, &err));
    t.rank = 0; // more dimensions than are kept
    m = small(GTV_HEAD_END2END);
    assert_false(gtv_head_check(&m, all, 1, &err));
    t = (struct gtv_tensor){.data = table, .rank = 4, .dims = {1, 3, 40, 6}, .count = 720};
    assert_false(gtv_head_check(&m, all, 1, &err)); // dimensions and count do not agree
    t = (struct gtv_tensor){.data = table, .rank = 3, .dims = {1, 0, 6}, .count = 0};
    assert_false(gtv_head_check(&m, all, 1, &err));
    t = (struct gtv_tensor){.data = table,
                            .rank = 3,
                            .dims = {1, GTV_HEAD_MAX_CANDIDATES + 1, 6},
                            .count = ((size_t)GTV_HEAD_MAX_CANDIDATES + 1) * 6};
    assert_false(gtv_head_check(&m, all, 1, &err));
    m = small(GTV_HEAD_YOLOV8);
    m.class_count = 0;
    m.vehicle_class[0] = 60;
    t = (struct gtv_tensor){.data = table, .rank = 3, .dims = {1, 40, 9}, .count = 360};
    assert_false(gtv_head_check(&m, all, 1, &err));
    assert_string_equal(err.field, "classes");
}

static void suppression(void **state)
{
    struct gtv_box boxes[] = {
        {{0, 0, 10, 10}, 0.5F, GTV_CAR},
        {{1, 0, 11, 10}, 0.9F, GTV_TRUCK}, // IoU .82: the truck covers the car
        {{0, 0, 10, 10}, 0.4F, GTV_BUS},
        {{20, 0, 30, 10}, 0.6F, GTV_CAR},
        {{25, 0, 35, 10}, 0.55F, GTV_CAR}, // IoU .33 stays
    };
    assert_int_equal(gtv_suppress(boxes, 5, 0.6), 3);
    assert_int_equal(boxes[0].vehicle, GTV_TRUCK);
    assert_near(boxes[1].score, 0.6);
    assert_near(boxes[2].score, 0.55);
    assert_int_equal(gtv_suppress(boxes, 0, 0.6), 0);
    assert_int_equal(gtv_suppress(boxes, 3, 0.3), 2);
}

static void suppression_is_bounded(void **state)
{
    enum { N = 20000 };
    struct gtv_box *boxes = calloc(N, sizeof(*boxes));
    for (int i = 0; i < N; i++)
        boxes[i] =
            (struct gtv_box){{(float)i * 20, 0, (float)i * 20 + 10, 10}, (float)(i % 1000) / 1000, GTV_CAR};
    assert_int_equal(gtv_suppress(boxes, N, 0.5), GTV_HEAD_MAX_BOXES);
    assert_near(boxes[0].score, 0.999);
    free(boxes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bins_give_boxes),
        cmocka_unit_test(yolox_gives_boxes),
        cmocka_unit_test(nonsense_is_dropped),
        cmocka_unit_test(wrong_outputs_are_refused),
        cmocka_unit_test(yolov8_reads_four_rows),
        cmocka_unit_test(yolov8_transposed),
        cmocka_unit_test(yolov5_multiplies_objectness),
        cmocka_unit_test(end_to_end_is_taken_as_it_is),
        cmocka_unit_test(nanodet_plus_has_one_table),
        cmocka_unit_test(tables_that_do_not_fit),
        cmocka_unit_test(suppression),
        cmocka_unit_test(suppression_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
