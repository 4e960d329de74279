#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/ai/plate/confusion.h"
#include "services/ai/plate/match.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct gtv_plate_matcher *matcher(const struct gtv_plate_watch *w, size_t n)
{
    struct gtv_error err = {0};
    struct gtv_plate_matcher *m = gtv_plate_matcher_create(w, n, NULL, &err);
    assert_non_null(m);
    return m;
}

static void test_kinds(void **state)
{
    const struct gtv_plate_watch list[] = {{"ABC1D23"}, {"abc-1?2*"}, {"ABC1323"}, {"XYZ9999"}, {"*123"}};
    struct gtv_plate_matcher *m = matcher(list, 5);
    struct gtv_plate_match hits[8];
    char why[GTV_PLATE_WHY_CAP];
    size_t n = gtv_plate_matcher_find(m, "ABC1D23", NULL, hits, 8);
    assert_int_equal(n, 3);
    assert_int_equal(hits[0].entry, 0);
    assert_int_equal(hits[0].kind, GTV_PLATE_MATCH_EXACT);
    assert_int_equal(hits[1].entry, 2);
    assert_int_equal(hits[1].kind, GTV_PLATE_MATCH_CONVERTED);
    assert_int_equal(hits[2].entry, 1);
    assert_int_equal(hits[2].kind, GTV_PLATE_MATCH_WILDCARD);
    assert_string_equal(gtv_plate_match_why(m, &hits[1], why), "the plate of the list in its other form");
    assert_int_equal(gtv_plate_matcher_find(m, "ABC1D23", NULL, hits, 1), 1);
    assert_int_equal(hits[0].entry, 0);
    assert_int_equal(gtv_plate_matcher_find(m, "QRS0123", NULL, hits, 8), 1);
    assert_int_equal(hits[0].entry, 4);
    assert_int_equal(gtv_plate_matcher_find(m, "", NULL, hits, 8), 0);
    gtv_plate_matcher_destroy(m);
}

static void test_wildcards(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool fits;
    } cases[] = {
        {"ABC*", "ABC1234", true},    {"*", "ABC1234", false},        {"?BC1234", "ABC1234", true},
        {"?BC1234", "BC1234", false}, {"A*4", "ABC1234", true},       {"A*C*4", "ABCC1C4", true},
        {"*C12*", "ABC1234", true},   {"ABC1234?", "ABC1234", false}, {"ABC1234*", "ABC1234", true},
        {"A?C1*3?", "ABC1234", true}, {"*5", "ABC1234", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gtv_error err = {0};
        const struct gtv_plate_watch w = {cases[i].pattern};
        struct gtv_plate_match hit;
        struct gtv_plate_matcher *m = gtv_plate_matcher_create(&w, 1, NULL, &err);
        if (!m) { // nothing but wildcards
            assert_string_equal(cases[i].pattern, "*");
            continue;
        }
        assert_int_equal(gtv_plate_matcher_find(m, cases[i].text, NULL, &hit, 1), cases[i].fits);
        gtv_plate_matcher_destroy(m);
    }
}

static void test_confusions(void **state)
{
    // What is taken for one another often costs less than what is not.
    int o = gtv_plate_sign('O'), d = gtv_plate_sign('D'), zero = gtv_plate_sign('0'), l = gtv_plate_sign('L');
    assert_int_equal(gtv_plate_confusion(o, o), 0);
    assert_true(gtv_plate_confusion(o, d) < gtv_plate_confusion(o, l));
    assert_true(gtv_plate_confusion(o, zero) < gtv_plate_confusion(o, l));
    const struct gtv_plate_watch list[] = {
        {"BOX1234"}, {"BOX1234", .exact = true}, {"LLL1234"}, {"BOX1234", .tolerance = 1}};
    struct gtv_plate_matcher *m = matcher(list, 4);
    struct gtv_plate_match hits[4];
    char why[GTV_PLATE_WHY_CAP];
    assert_int_equal(gtv_plate_matcher_find(m, "BDX1234", NULL, hits, 4), 1);
    assert_int_equal(hits[0].entry, 0);
    assert_int_equal(hits[0].kind, GTV_PLATE_MATCH_SIMILAR);
    assert_int_equal(hits[0].slip_count, 1);
    assert_int_equal(hits[0].slips[0].position, 1);
    assert_int_equal(hits[0].slips[0].listed, 'O');
    assert_int_equal(hits[0].slips[0].read, 'D');
    assert_string_equal(gtv_plate_match_why(m, &hits[0], why),
                        "O of the list was read as D at position 2 (cost 2.3 of 5.5)");
    assert_int_equal(gtv_plate_matcher_find(m, "BLX1234", NULL, hits, 4), 0);
    gtv_plate_matcher_destroy(m);
}

static void test_a_sign_too_many_or_too_few(void **state)
{
    const struct gtv_plate_watch list[] = {{"ABC1234"}};
    struct gtv_plate_matcher *m = matcher(list, 1);
    struct gtv_plate_match hit;
    char why[GTV_PLATE_WHY_CAP];
    assert_int_equal(gtv_plate_matcher_find(m, "ABC234", NULL, &hit, 1), 1);
    assert_int_equal(hit.slips[0].listed, '1');
    assert_int_equal(hit.slips[0].read, 0);
    assert_string_equal(gtv_plate_match_why(m, &hit, why),
                        "1 of the list was not read before position 4 (cost 4.8 of 5.5)");
    assert_int_equal(gtv_plate_matcher_find(m, "IABC1234", NULL, &hit, 1), 1);
    assert_int_equal(hit.slips[0].read, 'I');
    assert_int_equal(gtv_plate_matcher_find(m, "ABC12345", NULL, &hit, 1), 1);
    assert_int_equal(hit.slips[0].position, 7);
    assert_int_equal(gtv_plate_matcher_find(m, "ABC12", NULL, &hit, 1), 0);
    gtv_plate_matcher_destroy(m);
}

static void test_doubt_of_the_reading(void **state)
{
    // K for L is no common confusion, but this reading was in doubt between the two.
    struct gtv_plate_chars chars;
    for (int k = 0; k < GTV_PLATE_CHARS; k++) {
        for (int c = 0; c < GTV_PLATE_SIGNS; c++)
            chars.log[k][c] = -9;
    }
    chars.log[0][gtv_plate_sign('K')] = -0.5F;
    chars.log[0][gtv_plate_sign('L')] = -1.5F;
    const struct gtv_plate_watch list[] = {{"LBC1234"}};
    struct gtv_plate_matcher *m = matcher(list, 1);
    struct gtv_plate_match hit;
    assert_int_equal(gtv_plate_matcher_find(m, "KBC1234", NULL, &hit, 1), 0);
    assert_int_equal(gtv_plate_matcher_find(m, "KBC1234", &chars, &hit, 1), 1);
    assert_true(fabs(hit.cost - 1) < 1e-3);
    gtv_plate_matcher_destroy(m);
}

static void test_what_is_no_entry(void **state)
{
    static const char *const wrong[] = {"", "***", "ABC#123", "ABCDEFGHIJKLMNOPQ"};
    for (size_t i = 0; i < 4; i++) {
        struct gtv_error err = {0};
        const struct gtv_plate_watch list[] = {{"ABC1234"}, {wrong[i]}};
        size_t bad = 99;
        assert_null(gtv_plate_matcher_create(list, 2, &bad, &err));
        assert_int_equal(bad, 1);
        assert_int_equal(err.code, GTV_E_INVALID);
    }
}

static void test_five_thousand_entries(void **state)
{
    enum { N = 5000, ROUNDS = 20 };
    char(*text)[8] = gtv_alloc(N * sizeof(*text));
    struct gtv_plate_watch *list = gtv_alloc(N * sizeof(*list));
    for (unsigned i = 0; i < N; i++) {
        snprintf(text[i], sizeof(text[i]), "%c%c%c%04u", (char)('A' + i % 26), (char)('A' + i / 26 % 26),
                 (char)('A' + i % 7), i % 10000);
        list[i].pattern = text[i];
    }
    struct gtv_plate_matcher *m = matcher(list, N);
    struct gtv_plate_match hits[10];
    size_t n = 0;
    int64_t start = gtv_mono_ns();
    for (int i = 0; i < ROUNDS; i++)
        n += gtv_plate_matcher_find(m, text[i * 11], NULL, hits, 10);
    print_message("5000 entries: %.3f ms a reading\n", (double)(gtv_mono_ns() - start) / 1e6 / ROUNDS);
    assert_true(n >= ROUNDS);
    gtv_plate_matcher_destroy(m);
    free(list);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_wildcards),
        cmocka_unit_test(test_confusions),
        cmocka_unit_test(test_a_sign_too_many_or_too_few),
        cmocka_unit_test(test_doubt_of_the_reading),
        cmocka_unit_test(test_what_is_no_entry),
        cmocka_unit_test(test_five_thousand_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
