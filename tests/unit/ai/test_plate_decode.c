#include "services/ai/plate/confidence.h"
#include "services/ai/plate/decode.h"
#include "tests/unit/unit.h"

#include <math.h>

enum { ROW = GTV_PLATE_SIGNS + 1, NONE = GTV_PLATE_SIGNS };

// Nine slots that say text, each with this probability; the rest is shared by all others.
static void slots_of(const char *text, float sure, float p[9 * ROW])
{
    for (size_t j = 0; j < 9; j++) {
        int sign = j < strlen(text) ? gtv_plate_sign(text[j]) : NONE;
        for (int c = 0; c < ROW; c++)
            p[j * ROW + (size_t)c] = c == sign ? sure : (1 - sure) / (ROW - 1);
    }
}

static void decoded(const float *p, double mercosul, struct gtv_plate_choice *choice,
                    struct gtv_plate_opinion *opinion)
{
    gtv_plate_decode_slots(p, 9, opinion);
    gtv_plate_choose(&opinion->chars, mercosul, choice);
}

static void test_both_formats(void **state)
{
    float p[9 * ROW];
    struct gtv_plate_opinion o;
    struct gtv_plate_choice c;
    slots_of("ABC1234", 0.99F, p);
    decoded(p, 0, &c, &o);
    assert_string_equal(c.text, "ABC1234");
    assert_int_equal(c.format, GTV_PLATE_FORMAT_OLD);
    assert_true(c.sure > 0.9 && c.odds < -3 && o.mass > -1);
    assert_string_equal(o.free, "ABC1234");
    slots_of("BRA2E19", 0.99F, p);
    decoded(p, 0, &c, &o);
    assert_string_equal(c.text, "BRA2E19");
    assert_int_equal(c.format, GTV_PLATE_FORMAT_MERCOSUL);
}

static void test_the_format_decides_and_not_a_repair(void **state)
{
    // O B S at the place of letters were read as 0 8 5; digits as O and I.
    float p[9 * ROW];
    struct gtv_plate_opinion o;
    struct gtv_plate_choice c;
    slots_of("085O2I4", 0.99F, p);
    decoded(p, 0, &c, &o);
    assert_string_equal(c.text, "OBS0214");
    assert_string_equal(o.free, "085O2I4");
    // A second guess that the format allows beats a surer one that it does not, whatever it looks like.
    slots_of("ABC1234", 0.99F, p);
    p[0 * ROW + 10] = 0.05F; // A
    p[0 * ROW + 7] = 0.65F;  // 7
    p[0 * ROW + 29] = 0.29F; // T
    decoded(p, 0, &c, &o);
    assert_string_equal(c.text, "TBC1234");
}

static void test_the_look_settles_the_fifth_sign(void **state)
{
    float p[9 * ROW];
    struct gtv_plate_opinion o;
    struct gtv_plate_choice c;
    slots_of("ABC1B34", 0.99F, p);
    p[4 * ROW + 11] = 0.5F; // B
    p[4 * ROW + 8] = 0.49F; // 8
    decoded(p, -1, &c, &o);
    assert_string_equal(c.text, "ABC1834");
    assert_int_equal(c.format, GTV_PLATE_FORMAT_OLD);
    decoded(p, 2, &c, &o);
    assert_string_equal(c.text, "ABC1B34");
    assert_int_equal(c.format, GTV_PLATE_FORMAT_MERCOSUL);
    assert_true(c.sure < 0.95);
}

static void test_foreign_plates_have_no_mass(void **state)
{
    float p[9 * ROW];
    struct gtv_plate_opinion o;
    slots_of("34A36837", 0.999F, p);
    gtv_plate_decode_slots(p, 9, &o);
    assert_true(o.mass < -6);
    assert_string_equal(o.free, "34A36837");
    assert_true(o.free_log > -0.2);
}

static void test_a_sign_too_many_is_skipped(void **state)
{
    float p[9 * ROW];
    struct gtv_plate_opinion o;
    struct gtv_plate_choice c;
    slots_of("IABC1234", 0.99F, p);
    decoded(p, 0, &c, &o);
    assert_true(o.mass < -3);
    assert_true(c.sure < 0.9); // which one is too many is not known
}

static const struct gtv_plate_ctc ctc = {
    .classes = 66,
    .blank = 0,
    .upper = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18,
              19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36},
    .lower = {37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49,
              50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62},
    .gaps = {63, 64},
    .gap_count = 2,
};

// Each character of path is a step: a sign, '_' for blank, '-' for a gap, lower case for lower case.
static size_t steps_of(const char *path, float sure, float *p)
{
    size_t n = strlen(path);
    for (size_t t = 0; t < n; t++) {
        size_t at = path[t] == '_' ? 0 : path[t] == '-' ? 63 : 0;
        if (path[t] >= 'a' && path[t] <= 'z')
            at = (size_t)(37 + path[t] - 'a');
        else if (gtv_plate_sign(path[t]) >= 0)
            at = (size_t)(1 + gtv_plate_sign(path[t]));
        for (size_t c = 0; c < ctc.classes; c++)
            p[t * ctc.classes + c] = c == at ? sure : (1 - sure) / (float)(ctc.classes - 1);
    }
    return n;
}

static void check_ctc(const char *path, const char *text, double least)
{
    float p[64 * 66];
    struct gtv_plate_opinion o;
    struct gtv_plate_choice c;
    size_t n = steps_of(path, 0.97F, p);
    gtv_plate_decode_ctc(p, n, &ctc, &o);
    gtv_plate_choose(&o.chars, 0, &c);
    assert_string_equal(c.text, text);
    assert_true(c.sure > least);
    for (int k = 0; k < GTV_PLATE_CHARS; k++) {
        double sum = 0;
        for (int i = 0; i < GTV_PLATE_SIGNS; i++)
            sum += exp((double)o.chars.log[k][i]);
        assert_true(fabs(sum - 1) < 1e-4);
    }
}

static void test_ctc(void **state)
{
    check_ctc("__A_B_CC_1_2_3_4__", "ABC1234", 0.85);
    check_ctc("ABC1234", "ABC1234", 0.8);
    check_ctc("__A_A_A_-1_1_1_1__", "AAA1111", 0.8); // a blank between what is the same
    check_ctc("AABBCC-11AA3344", "ABC1A34", 0.8);
    check_ctc("_o_k_l_-_1_2_3_5_", "OKL1235", 0.8); // lower case
    check_ctc("__0_K_L_-_1_2_3_5", "OKL1235", 0.3); // 0 where a letter must be
    check_ctc("_B_R_A_2_E_1_9_", "BRA2E19", 0.8);
}

static void test_ctc_is_exact(void **state)
{
    // Two steps more than signs: all paths can be counted. The probability of each text is its share.
    float p[64 * 66];
    struct gtv_plate_opinion o;
    size_t n = steps_of("ABC123_", 0.9F, p);
    p[6 * 66 + 0] = 0.3F;
    p[6 * 66 + 5] = 0.6F; // 4
    gtv_plate_decode_ctc(p, n, &ctc, &o);
    // Seven steps, seven signs: the last one is 4, unless step 6 is another digit.
    double four = exp((double)o.chars.log[6][4]);
    assert_true(four > 0.95);
}

static void test_pool(void **state)
{
    float p[9 * ROW], q[9 * ROW];
    struct gtv_plate_opinion a, b;
    struct gtv_plate_chars pooled;
    struct gtv_plate_choice c, alone;
    slots_of("ABC1234", 0.9F, p);
    slots_of("ABC1234", 0.9F, q);
    q[0] = 0.2F;
    gtv_plate_decode_slots(p, 9, &a);
    gtv_plate_decode_slots(q, 9, &b);
    const struct gtv_plate_chars *both[] = {&a.chars, &b.chars};
    const double weights[] = {1, 1};
    gtv_plate_pool(both, weights, 2, &pooled);
    gtv_plate_choose(&pooled, 0, &c);
    gtv_plate_choose(&a.chars, 0, &alone);
    assert_string_equal(c.text, "ABC1234");
    assert_true(c.sure > alone.sure);
    gtv_plate_pool(both, weights, 0, &pooled); // nothing known
    gtv_plate_choose(&pooled, 0, &c);
    assert_true(c.sure < 1e-6);
}

static void test_confidence(void **state)
{
    assert_true(gtv_plate_confidence(1, 0) > 0.99);
    assert_true(gtv_plate_confidence(0, 0) < 0.1);
    assert_true(gtv_plate_confidence(0.9, -10) < gtv_plate_confidence(0.9, 0));
    assert_true(gtv_plate_confidence(0.5, -1) < gtv_plate_confidence(0.9, -1));
}

static void test_what_two_crops_settle(void **state)
{
    float p[9 * ROW];
    struct gtv_plate_opinion sure, less, other;
    slots_of("BRA2E19", 0.9995F, p);
    gtv_plate_decode_slots(p, 9, &sure);
    slots_of("BRA2E19", 0.9945F, p);
    gtv_plate_decode_slots(p, 9, &less);
    slots_of("BRA2E18", 0.9995F, p);
    gtv_plate_decode_slots(p, 9, &other);
    assert_true(gtv_plate_settled(&sure, &sure, 0, 80));
    assert_true(gtv_plate_settled(&sure, &sure, 0, 40));
    assert_true(gtv_plate_settled(&sure, &less, 0, 80));  // .96 is enough where the plate is large,
    assert_false(gtv_plate_settled(&sure, &less, 0, 45)); // and not where it is small
    assert_false(gtv_plate_settled(&sure, &sure, 0, 39));
    assert_false(gtv_plate_settled(&sure, &other, 0, 80));
    assert_false(gtv_plate_settled(&sure, &sure, 0, 0)); // two lines
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_formats),
        cmocka_unit_test(test_the_format_decides_and_not_a_repair),
        cmocka_unit_test(test_the_look_settles_the_fifth_sign),
        cmocka_unit_test(test_foreign_plates_have_no_mass),
        cmocka_unit_test(test_a_sign_too_many_is_skipped),
        cmocka_unit_test(test_ctc),
        cmocka_unit_test(test_ctc_is_exact),
        cmocka_unit_test(test_pool),
        cmocka_unit_test(test_confidence),
        cmocka_unit_test(test_what_two_crops_settle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
