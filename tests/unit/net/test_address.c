#include "lib/net/address.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const char *denied(const struct gtv_net_policy *p, const char *text)
{
    struct sockaddr_storage ss = {0};
    struct sockaddr_in *in4 = (struct sockaddr_in *)&ss;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;
    if (inet_pton(AF_INET, text, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &in6->sin6_addr), 1);
        in6->sin6_family = AF_INET6;
    }
    return gtv_net_denied(p, (struct sockaddr *)&ss);
}

static void by_default(void **state)
{
    static const struct {
        const char *address, *why; // NULL: allowed
    } cases[] = {
        {"127.0.0.1", "loopback"},
        {"127.255.255.254", "loopback"},
        {"169.254.1.1", "link-local"},
        {"169.254.169.254", "a metadata service"},
        {"100.100.100.200", "a metadata service"},
        {"0.0.0.0", "unspecified"},
        {"0.1.2.3", "unspecified"},
        {"224.0.0.1", "multicast"},
        {"239.255.255.255", "multicast"},
        {"240.0.0.1", "reserved or broadcast"},
        {"255.255.255.255", "reserved or broadcast"},
        {"::", "unspecified"},
        {"::1", "loopback"},
        {"fe80::1", "link-local"},
        {"febf::1", "link-local"},
        {"ff02::1", "multicast"},
        {"fd00:ec2::254", "a metadata service"},
        {"::ffff:127.0.0.1", "loopback"},
        {"::127.0.0.1", "loopback"},
        {"64:ff9b::169.254.169.254", "a metadata service"},
        {"2002:7f00:1::", "loopback"},
        {"10.0.0.1", NULL},
        {"192.168.1.10", NULL},
        {"172.16.0.1", NULL},
        {"8.8.8.8", NULL},
        {"128.0.0.1", NULL},
        {"169.253.0.1", NULL},
        {"223.255.255.255", NULL},
        {"2001:db8::1", NULL},
        {"fd00::1", NULL},
        {"fec0::1", NULL},
        {"::ffff:10.0.0.1", NULL},
    };
    struct gtv_net_policy none;
    assert_true(gtv_net_policy_parse(NULL, &none, NULL));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *why = denied(&none, cases[i].address);
        if (cases[i].why)
            assert_string_equal(why, cases[i].why);
        else
            assert_null(why);
    }
}

static void what_the_operator_allows(void **state)
{
    struct gtv_net_policy p;
    assert_true(gtv_net_policy_parse(" 127.0.0.0/31 ,::1, 169.254.7.0/24,,fe80::/64", &p, NULL));
    assert_int_equal(p.count, 4);
    assert_null(denied(&p, "127.0.0.1"));
    assert_null(denied(&p, "::ffff:127.0.0.1"));
    assert_non_null(denied(&p, "127.0.0.2"));
    assert_null(denied(&p, "::1"));
    assert_null(denied(&p, "169.254.7.9"));
    assert_non_null(denied(&p, "169.254.169.254"));
    assert_null(denied(&p, "fe80::9"));
    assert_non_null(denied(&p, "fe80:0:0:1::9"));
    assert_true(gtv_net_policy_parse("0.0.0.0/0", &p, NULL));
    assert_null(denied(&p, "127.0.0.1"));
    assert_non_null(denied(&p, "::1"));
}

static void wrong_lists(void **state)
{
    static const char *const wrong[] = {"localhost",         "127.0.0.1/33", "127.0.0.1/", "127.0.0.1/-1",
                                        "::1/129",           "127.0.0/8",    "1.2.3.4.5",  "a/b",
                                        "10.0.0.1 10.0.0.2", "127.0.0.1/8x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct gtv_net_policy p;
        struct gtv_error err = {0};
        assert_false(gtv_net_policy_parse(wrong[i], &p, &err));
        assert_string_equal(err.field, "GTV_CAMERA_ALLOW");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_default),
                                       cmocka_unit_test(what_the_operator_allows),
                                       cmocka_unit_test(wrong_lists)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
