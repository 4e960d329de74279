#include "services/ai/plate/vote.h"
#include "tests/unit/unit.h"

#include <math.h>

// A reading of text; each sign has this probability, the rest is shared by the others.
static struct gtv_plate_chars chars_of(const char *text, double sure)
{
    struct gtv_plate_chars out;
    for (int k = 0; k < GTV_PLATE_CHARS; k++) {
        bool letter = k < 3, both = k == 4;
        int from = letter ? 10 : 0, to = letter || both ? 36 : 10;
        for (int c = 0; c < GTV_PLATE_SIGNS; c++)
            out.log[k][c] = c < from || c >= to            ? -INFINITY
                            : c == gtv_plate_sign(text[k]) ? (float)log(sure)
                                                           : (float)log((1 - sure) / (to - from - 1));
    }
    return out;
}

static void add(struct gtv_plate_vote *v, const char *text, double sure, double width)
{
    const struct gtv_plate_chars chars = chars_of(text, sure);
    gtv_plate_vote_add(
        v, &(struct gtv_plate_reading){
               .chars = &chars, .width = width, .sharpness = 400, .format = GTV_PLATE_FORMAT_OLD});
}

static void test_nothing(void **state)
{
    struct gtv_plate_vote v;
    struct gtv_plate_verdict out;
    gtv_plate_vote_init(&v);
    gtv_plate_vote_result(&v, &out);
    assert_string_equal(out.text, "");
    assert_int_equal(out.format, GTV_PLATE_FORMAT_UNREADABLE);
    assert_false(out.sure);
}

static void test_characters_and_not_texts_are_counted(void **state)
{
    // No reading is right, but each sign is in most of them.
    struct gtv_plate_vote v;
    struct gtv_plate_verdict out;
    gtv_plate_vote_init(&v);
    add(&v, "XBC1234", 0.9, 90);
    add(&v, "AYC1234", 0.9, 90);
    add(&v, "ABZ1234", 0.9, 90);
    gtv_plate_vote_result(&v, &out);
    assert_string_equal(out.text, "ABC1234");
    assert_int_equal(out.votes, 0);
    assert_int_equal(out.readings, 3);
    assert_false(out.sure);
}

static void test_agreement_strengthens(void **state)
{
    struct gtv_plate_vote v;
    struct gtv_plate_verdict one, ten;
    gtv_plate_vote_init(&v);
    add(&v, "ABC1D34", 0.93, 90);
    gtv_plate_vote_result(&v, &one);
    for (int i = 0; i < 9; i++)
        add(&v, "ABC1D34", 0.93, 90);
    gtv_plate_vote_result(&v, &ten);
    assert_string_equal(ten.text, "ABC1D34");
    assert_int_equal(ten.format, GTV_PLATE_FORMAT_MERCOSUL);
    assert_true(ten.confidence > one.confidence);
    assert_false(one.sure);
    assert_true(ten.sure);
    assert_int_equal(ten.votes, 10);
}

static void test_near_readings_outweigh_far_ones(void **state)
{
    struct gtv_plate_vote v;
    struct gtv_plate_verdict out;
    gtv_plate_vote_init(&v);
    for (int i = 0; i < 4; i++)
        add(&v, "ABC1284", 0.8, 32);
    add(&v, "ABC1234", 0.97, 110);
    gtv_plate_vote_result(&v, &out);
    assert_string_equal(out.text, "ABC1234");
    assert_true(gtv_plate_vote_weight(110, 400, 0) > 2 * gtv_plate_vote_weight(32, 400, 0));
    assert_true(gtv_plate_vote_weight(110, 400, 0) > gtv_plate_vote_weight(110, 20, 0));
    assert_true(gtv_plate_vote_weight(110, 400, 0) > gtv_plate_vote_weight(110, 400, 35));
}

static void test_foreign(void **state)
{
    struct gtv_plate_vote v;
    struct gtv_plate_verdict out;
    gtv_plate_vote_init(&v);
    const struct gtv_plate_chars chars = chars_of("ABC1234", 0.2);
    struct gtv_plate_reading r = {
        .chars = &chars, .mass = -12, .width = 90, .format = GTV_PLATE_FORMAT_FOREIGN, .text = "34A36837"};
    for (int i = 0; i < 4; i++)
        gtv_plate_vote_add(&v, &r);
    gtv_plate_vote_result(&v, &out);
    assert_string_equal(out.text, "34A36837");
    assert_int_equal(out.format, GTV_PLATE_FORMAT_FOREIGN);
    assert_int_equal(out.votes, 4);
    assert_true(out.sure);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_characters_and_not_texts_are_counted),
        cmocka_unit_test(test_agreement_strengthens),
        cmocka_unit_test(test_near_readings_outweigh_far_ones),
        cmocka_unit_test(test_foreign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
