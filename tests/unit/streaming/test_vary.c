#include "services/streaming/key.h"
#include "services/streaming/vary.h"
#include "tests/unit/unit.h"

static struct gtv_http_header field(const char *name, const char *value)
{
    return (struct gtv_http_header){gtv_str_of(name), gtv_str_of(value)};
}

static void names(void **state)
{
    char out[GTV_VARY_NAMES_CAP];
    const struct gtv_http_header plain[] = {field("Vary", "Accept , ,x-Foo"), field("Other", "*"),
                                            field("vary", "Bar")};
    assert_true(gtv_vary_names(plain, 3, out));
    assert_string_equal(out, "accept,x-foo,bar");
    // What never reaches the node cannot change its answer.
    const struct gtv_http_header ours[] = {field("Vary", "Origin, Accept-Encoding, Cookie, User-Agent")};
    assert_true(gtv_vary_names(ours, 1, out));
    assert_string_equal(out, "");
    static const char *const stars[] = {"*", ", *", "Foo, *", "*, Foo", "*,*"};
    for (size_t i = 0; i < sizeof stars / sizeof *stars; i++) {
        const struct gtv_http_header star[] = {field("Vary", ""), field("Vary", stars[i])};
        assert_false(gtv_vary_names(star, 2, out));
    }
    char many[400];
    memset(many, 'a', sizeof many);
    const struct gtv_http_header huge[] = {{GTV_STR("Vary"), {many, sizeof many}}};
    assert_false(gtv_vary_names(huge, 1, out));
}

static void matches(void **state)
{
    const struct gtv_http_header a[] = {field("Foo", "1, 2"), field("Bar", "x")};
    const struct gtv_http_header same[] = {field("bar", " x"), field("foo", "1"), field("FOO", " 2 ")};
    const struct gtv_http_header other[] = {field("Foo", "1"), field("Bar", "x")};
    const struct gtv_http_header empty[] = {field("Foo", "")};
    assert_true(gtv_vary_match("foo,bar", a, 2, same, 3));
    assert_int_equal(gtv_vary_slot("foo,bar", a, 2), gtv_vary_slot("foo,bar", same, 3));
    assert_false(gtv_vary_match("foo,bar", a, 2, other, 2));
    assert_true(gtv_vary_match("bar", a, 2, other, 2));
    assert_false(gtv_vary_match("foo", a, 2, NULL, 0));
    assert_false(gtv_vary_match("foo", NULL, 0, empty, 1)); // what is absent is not empty
    assert_true(gtv_vary_match("foo", NULL, 0, NULL, 0));
    assert_true(gtv_vary_match("", a, 2, NULL, 0));
    char many[2000];
    memset(many, 'a', sizeof many);
    const struct gtv_http_header huge[] = {{GTV_STR("Foo"), {many, sizeof many}}};
    assert_false(gtv_vary_match("foo", huge, 1, huge, 1)); // too long to be compared
    assert_true(gtv_vary_slot("foo", huge, 1) < GTV_VARY_SLOTS);
}

static void keys(void **state)
{
    struct gtv_hls_key key;
    struct gtv_error err = {0};
    assert_true(gtv_hls_key_make(&key, GTV_STR("cam_1/a.ts"), &err));
    assert_true(gtv_hls_key_add_query(&key, GTV_STR("session=s&x=1&&token=t&y"), &err));
    assert_string_equal(key.text, "cam_1/a.ts?x=1&y");
    gtv_hls_key_set_slot(&key, 3);
    assert_string_equal(key.text, "cam_1/a.ts?x=1&y#3");
    assert_int_equal(key.n, strlen(key.text));
    assert_str(gtv_hls_key_file(key.text, key.stream_len), "a.ts");
    assert_true(gtv_hls_key_make(&key, GTV_STR("cam_1/a.ts"), &err));
    assert_false(gtv_hls_key_add_query(&key, GTV_STR("x=#1"), &err));
    char many[GTV_KEY_CAP + 10];
    memset(many, 'a', sizeof many);
    assert_true(gtv_hls_key_make(&key, GTV_STR("cam_1/a.ts"), &err));
    assert_false(gtv_hls_key_add_query(&key, (struct gtv_str){many, sizeof many}, &err));
    // A playlist's own words only: what it names must not become a copy for each viewer.
    assert_true(gtv_hls_key_make(&key, GTV_STR("cam_1/a.m3u8"), &err));
    assert_true(gtv_hls_key_add_query(&key, GTV_STR("x=1&_HLS_msn=07"), &err));
    assert_string_equal(key.text, "cam_1/a.m3u8?_HLS_msn=7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(matches),
                                       cmocka_unit_test(keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
