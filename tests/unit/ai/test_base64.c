#include "services/ai/picture/base64.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

static void expect(const char *text, const char *plain)
{
    uint8_t *out = NULL;
    size_t n = 0;
    struct gtv_error err = {0};
    if (!gtv_base64_decode(gtv_str_of(text), &out, &n, &err))
        fail_msg("%s: %s", text, err.message);
    assert_str(((struct gtv_str){(const char *)out, n}), plain);
    free(out);
}

static void refuse(const char *text, const char *part_of_message)
{
    uint8_t *out = NULL;
    size_t n = 0;
    struct gtv_error err = {0};
    assert_false(gtv_base64_decode(gtv_str_of(text), &out, &n, &err));
    assert_null(out);
    assert_int_equal(err.code, GTV_E_INVALID);
    if (!strstr(err.message, part_of_message))
        fail_msg("%s: %s", text, err.message);
}

// RFC 4648, section 10.
static void vectors(void **state)
{
    expect("", "");
    expect("Zg==", "f");
    expect("Zm8=", "fo");
    expect("Zm9v", "foo");
    expect("Zm9vYg==", "foob");
    expect("Zm9vYmE=", "fooba");
    expect("Zm9vYmFy", "foobar");
}

static void lenient_where_clients_differ(void **state)
{
    expect("Zm9vYg", "foob");
    expect("Zm9vYmE", "fooba");
    expect("Zm9v\r\nYmFy\n", "foobar");
    expect(" Z m 9 v Y m F y ", "foobar");
    expect("Zm9vYg=\n=", "foob");
    expect("data:image/jpeg;base64,Zm9v", "foo");
    expect("DATA:image/png;charset=x;BASE64,Zm9v", "foo");
}

static void refuses_garbage(void **state)
{
    refuse("Zm9v!mFy", "at position 4");
    refuse("Zm9vY", "single character");
    refuse("Zg=", "wrong padding");
    refuse("Zg===", "wrong padding");
    refuse("=", "wrong padding");
    refuse("Zm9v=", "wrong padding");
    refuse("Zg==Zg==", "after the padding");
    refuse("Zm9v_-", "does not belong");
    refuse("data:image/jpeg,Zm9v", ";base64,");
    refuse("data:", ";base64,");
    refuse("data:image/jpeg;base64", ";base64,");
    refuse("\xff\xfe", "does not belong");
}

static void every_byte_value(void **state)
{
    uint8_t *out = NULL;
    size_t n = 0;
    struct gtv_error err = {0};
    assert_true(gtv_base64_decode(GTV_STR("AAEC/f7/+A=="), &out, &n, &err));
    const uint8_t expected[] = {0, 1, 2, 0xfd, 0xfe, 0xff, 0xf8};
    assert_int_equal(n, sizeof(expected));
    assert_memory_equal(out, expected, n);
    free(out);
}

// Many characters at a time, and then the rest: every length, and a wrong character at every place.
static void long_texts(void **state)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[260];
    uint8_t plain[200];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = alphabet[(i * 37 + i / 64) % 64];
    for (size_t i = 0; i < 192; i += 3) {
        uint32_t v = 0;
        for (size_t k = 0; k < 4; k++)
            v = v << 6 | (uint32_t)(strchr(alphabet, text[i / 3 * 4 + k]) - alphabet);
        plain[i] = (uint8_t)(v >> 16);
        plain[i + 1] = (uint8_t)(v >> 8);
        plain[i + 2] = (uint8_t)v;
    }
    for (size_t n = 0; n <= 256; n++) {
        uint8_t *out = NULL;
        size_t len = 0;
        struct gtv_error err = {0};
        bool ok = gtv_base64_decode((struct gtv_str){text, n}, &out, &len, &err);
        assert_int_equal(ok, n % 4 != 1);
        if (!ok)
            continue;
        assert_int_equal(len, n * 3 / 4);
        assert_memory_equal(out, plain, len);
        free(out);
    }
    static const char wrong[] = "!-_@[`{:,.\x7f\x80\xff";
    for (size_t i = 0; i < 256; i++) {
        char good = text[i], where[32];
        text[i] = wrong[i % (sizeof(wrong) - 1)];
        uint8_t *out = NULL;
        size_t len = 0;
        struct gtv_error err = {0};
        assert_false(gtv_base64_decode((struct gtv_str){text, 256}, &out, &len, &err));
        (void)snprintf(where, sizeof(where), "at position %zu", i);
        assert_non_null(strstr(err.message, where));
        text[i] = good;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),         cmocka_unit_test(lenient_where_clients_differ),
        cmocka_unit_test(refuses_garbage), cmocka_unit_test(every_byte_value),
        cmocka_unit_test(long_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
