#include "lib/contract/plate.h"
#include "tests/unit/unit.h"

static void check(const char *text, const char *key)
{
    char out[GTV_PLATE_KEY_MAX + 1];
    assert_int_equal(gtv_plate_key(gtv_str_of(text), out), key != NULL);
    assert_string_equal(out, key ? key : "");
}

static void test_converted_plates_share_a_key(void **state)
{
    check("ABC1D23", "ABC1323");
    check("ABC1323", "ABC1323");
    check("abc-1a23", "ABC1023");
    check("ABC1J99", "ABC1999");
    check("ABC1 023", "ABC1023");
}

static void test_others_are_their_own_key(void **state)
{
    check("ABC1K23", "ABC1K23"); // never old
    check("AB12CDE", "AB12CDE"); // British
    check("34A-368.37", "34A36837");
    check("ABCD123", "ABCD123");
}

static void test_what_is_no_plate(void **state)
{
    check("", NULL);
    check(" - ", NULL);
    check("ABC*123", NULL);
    check("ABCDEFGHIJKLM", NULL);
    check("ABCDEFGHIJKL", "ABCDEFGHIJKL");
    check("\xc3\x81", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_converted_plates_share_a_key),
        cmocka_unit_test(test_others_are_their_own_key),
        cmocka_unit_test(test_what_is_no_plate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
