#include "lib/redis/link.h"
#include "tests/unit/unit.h"

#include <stdlib.h>

static void tcp(void **state)
{
    struct gtv_redis_target t;
    assert_true(gtv_redis_target_parse("redis://redis_cache:6379/2", &t, NULL));
    assert_false(t.is_unix);
    assert_string_equal(t.host, "redis_cache");
    assert_int_equal(t.port, 6379);
    assert_int_equal(t.db, 2);
    assert_string_equal(t.pass, "");
    assert_true(gtv_redis_target_parse("redis://u:p%40ss@[::1]", &t, NULL));
    assert_string_equal(t.user, "u");
    assert_string_equal(t.pass, "p@ss");
    assert_string_equal(t.host, "::1");
    assert_int_equal(t.port, 6379);
    assert_int_equal(t.db, 0);
}

static void unix_socket(void **state)
{
    struct gtv_redis_target t;
    assert_true(gtv_redis_target_parse("unix:///run/r.sock?db=1&password=a%26b", &t, NULL));
    assert_true(t.is_unix);
    assert_string_equal(t.host, "/run/r.sock");
    assert_int_equal(t.db, 1);
    assert_string_equal(t.pass, "a&b");
}

static void refuses_without_repeating_the_password(void **state)
{
    static const char *const wrong[] = {"",
                                        "http://geheim@h/",
                                        "redis://",
                                        "redis://:geheim@h/x",
                                        "redis://:geheim@h/99999",
                                        "redis://:geheim%zz@h/1",
                                        "redis://h:0/1",
                                        "unix://relative.sock",
                                        "unix:///x?db=a&password=geheim",
                                        "unix:///x?colour=geheim"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct gtv_redis_target t;
        struct gtv_error err = {0};
        assert_false(gtv_redis_target_parse(wrong[i], &t, &err));
        assert_int_equal(err.code, GTV_E_INVALID);
        assert_null(strstr(err.message, "geheim"));
    }
}

static void from_separate_settings(void **state)
{
    static const struct {
        const char *host, *password, *url;
        int port;
    } cases[] = {{"localhost", NULL, "redis://localhost:6379/1", 6379},
                 {"::1", "a b@c", "redis://:a%20b%40c@[::1]:7000/1", 7000},
                 {"/run/r.sock", "", "unix:///run/r.sock?db=1", 0},
                 {"/run/r.sock", "p&q", "unix:///run/r.sock?db=1&password=p%26q", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *url = gtv_redis_url(cases[i].host, cases[i].port, cases[i].password, 1);
        assert_string_equal(url, cases[i].url);
        struct gtv_redis_target t;
        assert_true(gtv_redis_target_parse(url, &t, NULL));
        assert_string_equal(t.host, cases[i].host);
        assert_string_equal(t.pass, cases[i].password ? cases[i].password : "");
        assert_int_equal(t.db, 1);
        free(url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tcp), cmocka_unit_test(unix_socket),
                                       cmocka_unit_test(refuses_without_repeating_the_password),
                                       cmocka_unit_test(from_separate_settings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
