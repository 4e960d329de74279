#include "services/console/paging.h"
#include "tests/unit/unit.h"

static const struct gtv_str absent = {NULL, 0};

static void parameters(void **state)
{
    struct gtv_page p;
    struct gtv_error err = {0};
    assert_true(gtv_page_parse(absent, absent, &p, &err));
    assert_int_equal(p.number, 1);
    assert_int_equal(p.size, GTV_PAGE_SIZE_DEFAULT);
    assert_true(gtv_page_parse(GTV_STR("3"), GTV_STR("100"), &p, &err));
    assert_int_equal(gtv_page_offset(&p), 200);
    static const char *const bad[] = {"0", "-1", "x", "1.5", " 1", "99999999999999999999", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(gtv_page_parse(gtv_str_of(bad[i]), absent, &p, &err));
        assert_string_equal(err.field, "page");
        assert_false(gtv_page_parse(absent, gtv_str_of(bad[i]), &p, &err));
        assert_string_equal(err.field, "page_size");
        assert_int_equal(err.code, GTV_E_INVALID);
    }
    assert_false(gtv_page_parse(absent, GTV_STR("101"), &p, &err));
}

static void borders(void **state)
{
    struct gtv_page first = {1, 20}, second = {2, 20};
    assert_true(gtv_page_exists(&first, 0));
    assert_false(gtv_page_has_next(&first, 20));
    assert_true(gtv_page_has_next(&first, 21));
    assert_false(gtv_page_exists(&second, 20));
    assert_true(gtv_page_exists(&second, 21));
}

static void links(void **state)
{
    struct gtv_arena a = {0};
    struct gtv_str origin = GTV_STR("http://h:8000"), path = GTV_STR("/api/cameras/");
    assert_string_equal(gtv_page_link(&a, origin, path, absent, 2), "http://h:8000/api/cameras/?page=2");
    assert_string_equal(gtv_page_link(&a, origin, path, GTV_STR("page=3&page_size=5&plate=A%26B"), 4),
                        "http://h:8000/api/cameras/?page_size=5&plate=A%26B&page=4");
    assert_string_equal(gtv_page_link(&a, GTV_STR(""), path, GTV_STR("page_size=5&page=2&&page"), 3),
                        "/api/cameras/?page_size=5&page=3");
    // As Django does it: the first page needs no number.
    assert_string_equal(gtv_page_link(&a, absent, path, GTV_STR("page=2"), 1), "/api/cameras/");
    gtv_arena_finish(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters),
        cmocka_unit_test(borders),
        cmocka_unit_test(links),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
