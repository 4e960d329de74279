#include "tests/unit/unit.h"

#include "lib/http/internal.h"

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *formatted; // NULL: refused
    } cases[] = {
        {"127.0.0.1", "127.0.0.1"},
        {" 10.1.2.3\t", "10.1.2.3"},
        {"10.1.2.3:80", "10.1.2.3"},
        {"::1", "::1"},
        {"[::1]", "::1"},
        {"[2001:DB8::1]:443", "2001:db8::1"},
        {"::ffff:10.0.0.1", "10.0.0.1"},
        {"", NULL},
        {"1.2.3", NULL},
        {"1.2.3.4.5", NULL},
        {"256.1.1.1", NULL},
        {"[::1", NULL},
        {"unknown", NULL},
        {"_hidden", NULL},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t addr[16];
        char out[HTTP_ADDR_CAP];
        bool ok = http_addr_parse(gtv_str_of(cases[i].text), addr);
        assert_int_equal(ok, cases[i].formatted != NULL);
        if (ok) {
            assert_string_equal(http_addr_format(addr, out), cases[i].formatted);
        }
    }
}

static bool trusted(const struct http_trusted *t, const char *text)
{
    uint8_t addr[16];
    assert_true(http_addr_parse(gtv_str_of(text), addr));
    return http_trusted_has(t, addr);
}

static void trusted_networks(void **state)
{
    (void)state;
    struct http_trusted t;
    struct gtv_error err = {0};
    assert_true(http_trusted_parse(&t, "127.0.0.1, 10.0.0.0/9 ,::1,2001:db8::/33", "trusted_proxies", &err));
    assert_true(trusted(&t, "127.0.0.1"));
    assert_true(trusted(&t, "::ffff:127.0.0.1"));
    assert_false(trusted(&t, "127.0.0.2"));
    assert_true(trusted(&t, "10.127.255.255"));
    assert_false(trusted(&t, "10.128.0.0"));
    assert_true(trusted(&t, "::1"));
    assert_true(trusted(&t, "2001:db8:7fff::1"));
    assert_false(trusted(&t, "2001:db8:8000::1"));
    assert_true(http_trusted_parse(&t, NULL, "trusted_proxies", &err));
    assert_false(trusted(&t, "127.0.0.1"));
    assert_true(http_trusted_parse(&t, "0.0.0.0/0", "trusted_proxies", &err));
    assert_true(trusted(&t, "8.8.8.8"));
    assert_false(trusted(&t, "::1"));
    assert_false(http_trusted_parse(&t, "localhost", "trusted_proxies", &err));
    assert_string_equal(err.field, "trusted_proxies");
    assert_false(http_trusted_parse(&t, "10.0.0.0/33", "trusted_proxies", &err));
    assert_false(http_trusted_parse(&t, "10.0.0.0/", "trusted_proxies", &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(addresses), cmocka_unit_test(trusted_networks)};
    return cmocka_run_group_tests_name("http-addr", tests, NULL, NULL);
}
