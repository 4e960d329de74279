#include "services/streaming/csv.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

// Each record's fields joined by |, records by /; ! and the line for a broken one.
static void expect(const char *text, const char *wanted)
{
    char shown[1024] = "", *copy = malloc(strlen(text) + 1); // exact, so that reading past it is noticed
    struct gtv_csv csv;
    struct gtv_csv_record r;
    enum gtv_csv_result result;
    assert_non_null(copy);
    memcpy(copy, text, strlen(text) + 1);
    gtv_csv_begin(&csv, copy, strlen(text));
    struct gtv_error err = {0};
    while ((result = gtv_csv_next(&csv, &r, &err)) != GTV_CSV_END) {
        if (shown[0])
            strncat(shown, "/", 2);
        if (result == GTV_CSV_BROKEN) {
            assert_true(err.message[0]);
            strncat(shown, "!", 2);
            continue;
        }
        for (size_t i = 0; i < r.count; i++) {
            if (i)
                strncat(shown, "|", 2);
            strncat(shown, r.field[i].p ? r.field[i].p : "", r.field[i].n);
        }
    }
    assert_string_equal(shown, wanted);
    free(copy);
}

static void records(void **state)
{
    expect("", "");
    expect("\n\r\n \n", "");
    expect("a,b\n1,2", "a|b/1|2");
    expect("a,b\r\n1,2\r\n", "a|b/1|2");
    expect("\xef\xbb\xbf"
           "a;b\n1;2,3\n",
           "a|b/1|2,3");
    expect("a\tb\n1\t\n", "a|b/1|");
    expect(" a , b \n", "a|b");
    expect("a,,\n", "a||");
}

static void quotes(void **state)
{
    expect("\"a,b\",c\n", "a,b|c");
    expect("\"a \"\"b\"\" c\";\" d \"\n", "a \"b\" c| d ");
    expect("\"a\nb\",c\nd,e", "a\nb|c/d|e");
    expect("\"\",x\n", "|x");
    expect("\"a;b\",c,d\n", "a;b|c|d"); // the separator is guessed outside of quotes
    expect("\"a\" , \"b\"\r\n", "a|b");
    expect("a,\"b\"x\nc,d\n", "!/c|d");
    expect("a,b\n\"c", "a|b/!");
    expect("a\"b,c\n", "a\"b|c");
}

static void lines_are_counted(void **state)
{
    char text[] = "h\n\"a\nb\"\n\nc\n";
    struct gtv_csv csv;
    struct gtv_csv_record r;
    const size_t wanted[] = {1, 2, 5};
    gtv_csv_begin(&csv, text, sizeof text - 1);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(gtv_csv_next(&csv, &r, NULL), GTV_CSV_RECORD);
        assert_int_equal(r.line, wanted[i]);
    }
    assert_int_equal(gtv_csv_next(&csv, &r, NULL), GTV_CSV_END);
}

static void limits(void **state)
{
    char text[200];
    struct gtv_csv csv;
    struct gtv_csv_record r;
    memset(text, ',', sizeof text);
    gtv_csv_begin(&csv, text, sizeof text);
    assert_int_equal(gtv_csv_next(&csv, &r, NULL), GTV_CSV_BROKEN);
    assert_int_equal(gtv_csv_next(&csv, &r, NULL), GTV_CSV_END);
    char nul[] = "a\0b,c\nd,e";
    gtv_csv_begin(&csv, nul, sizeof nul - 1);
    assert_int_equal(gtv_csv_next(&csv, &r, NULL), GTV_CSV_BROKEN);
    assert_int_equal(gtv_csv_next(&csv, &r, NULL), GTV_CSV_RECORD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(records), cmocka_unit_test(quotes),
                                       cmocka_unit_test(lines_are_counted), cmocka_unit_test(limits)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
