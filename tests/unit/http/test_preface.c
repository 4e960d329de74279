#include "tests/unit/unit.h"

#include "lib/http/internal.h"

static const char v2[] = "\r\n\r\n\0\r\nQUIT\n";

struct outcome {
    enum http_preface_state state;
    size_t used;
    char peer[HTTP_ADDR_CAP]; // "" where the proxy named nobody
};

static struct outcome feed(const void *data, size_t n, size_t step)
{
    struct http_preface p = {0};
    struct outcome o = {HTTP_PREFACE_MORE, 0, ""};
    while (o.used < n && o.state == HTTP_PREFACE_MORE) {
        size_t used, piece = n - o.used < step ? n - o.used : step;
        o.state = http_preface_feed(&p, (const uint8_t *)data + o.used, piece, &used);
        o.used += used;
    }
    if (o.state == HTTP_PREFACE_WHOLE && p.known) {
        (void)http_addr_format(p.peer, o.peer);
    }
    return o;
}

static void expect(const void *data, size_t n, enum http_preface_state state, const char *peer)
{
    for (size_t step = 1; step < n + 2; step++) {
        struct outcome o = feed(data, n, step);
        assert_int_equal(o.state, state);
        if (state == HTTP_PREFACE_WHOLE) {
            assert_int_equal(o.used, n - 3); // "GET" belongs to the client
            assert_string_equal(o.peer, peer);
        }
    }
}

static void lines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum http_preface_state state;
        const char *peer;
    } cases[] = {
        {"PROXY TCP4 203.0.113.9 10.0.0.1 56324 443\r\nGET", HTTP_PREFACE_WHOLE, "203.0.113.9"},
        {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\nGET", HTTP_PREFACE_WHOLE,
         "255.255.255.255"},
        {"PROXY TCP6 2001:db8::9 ::1 0 1\r\nGET", HTTP_PREFACE_WHOLE, "2001:db8::9"},
        {"PROXY TCP6 ::ffff:203.0.113.9 ::1 7 1\r\nGET", HTTP_PREFACE_WHOLE, "203.0.113.9"},
        {"PROXY UNKNOWN\r\nGET", HTTP_PREFACE_WHOLE, ""},
        {"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\nGET", HTTP_PREFACE_WHOLE, ""},
        {"PROXY TCP4 203.0.113.9 10.0.0.1 56324", HTTP_PREFACE_MORE, NULL},
        {"PROX", HTTP_PREFACE_MORE, NULL},
        {"PROXY TCP4 203.0.113.9 10.0.0.1 56324 443\nGET", HTTP_PREFACE_BAD, NULL},
        {"PROXY TCP4 203.0.113.9 10.0.0.1 56324 65536\r\nGET", HTTP_PREFACE_BAD, NULL},
        {"PROXY TCP4 203.0.113.9 10.0.0.1 056 443\r\nGET", HTTP_PREFACE_BAD, NULL},
        {"PROXY TCP4 203.0.113.9 10.0.0.1 -1 443\r\nGET", HTTP_PREFACE_BAD, NULL},
        {"PROXY TCP4 203.0.113.9 10.0.0.1 56324\r\nGET", HTTP_PREFACE_BAD, NULL},
        {"PROXY TCP4 203.0.113.9 10.0.0.1 56324 443 x\r\nGET", HTTP_PREFACE_BAD, NULL},
        {"PROXY TCP4  203.0.113.9 10.0.0.1 56324 443\r\nGET", HTTP_PREFACE_BAD, NULL},
        {"PROXY TCP4 203.0.113.09 10.0.0.1 56324 443\r\nGET", HTTP_PREFACE_BAD, NULL},
        {"PROXY TCP4 2001:db8::9 ::1 0 1\r\nGET", HTTP_PREFACE_BAD, NULL},
        {"PROXY TCP6 203.0.113.9 ::1 0 1\r\nGET", HTTP_PREFACE_BAD, NULL},
        {"PROXY UDP4 203.0.113.9 10.0.0.1 1 2\r\nGET", HTTP_PREFACE_BAD, NULL},
        {"PROXY\r\nGET", HTTP_PREFACE_BAD, NULL},
        {"proxy TCP4 203.0.113.9 10.0.0.1 1 2\r\nGET", HTTP_PREFACE_BAD, NULL},
        {"GET / HTTP/1.1\r\n", HTTP_PREFACE_BAD, NULL},
        {"\r\nGET / HTTP/1.1\r\n", HTTP_PREFACE_BAD, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect(cases[i].text, strlen(cases[i].text), cases[i].state, cases[i].peer);
    }
}

static void a_line_is_bounded(void **state)
{
    (void)state;
    char text[112];
    memset(text, 'x', sizeof(text));
    memcpy(text, "PROXY UNKNOWN ", 14);
    memcpy(text + 105, "\r\nGET", 5);
    assert_int_equal(feed(text, 110, 110).state, HTTP_PREFACE_WHOLE); // 107 bytes
    memset(text + 105, 'x', 2);
    memcpy(text + 106, "\r\nGET", 5);
    assert_int_equal(feed(text, 111, 111).state, HTTP_PREFACE_BAD);
    assert_int_equal(feed(text, 111, 111).used, 107);
}

struct binary {
    char data[4096];
    size_t n;
};

static struct binary binary(unsigned command, unsigned family, unsigned length, const void *rest, size_t n)
{
    struct binary b;
    memset(b.data, 'T', sizeof(b.data)); // what is added to the addresses
    memcpy(b.data, v2, 12);
    b.data[12] = (char)command;
    b.data[13] = (char)family;
    b.data[14] = (char)(length >> 8);
    b.data[15] = (char)length;
    memcpy(b.data + 16, rest, n);
    memcpy(b.data + 16 + length, "GET", 3);
    b.n = 16 + length + 3;
    return b;
}

static void binaries(void **state)
{
    (void)state;
    static const char ipv4[12] = "\xcb\x00\x71\x09\x0a\x00\x00\x01\xdc\x04\x01\xbb";
    static const char ipv6[36] = "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09";
    static const struct {
        unsigned command, family, length;
        enum http_preface_state state;
        const char *peer;
    } cases[] = {
        {0x21, 0x11, 12, HTTP_PREFACE_WHOLE, "203.0.113.9"},
        {0x21, 0x12, 12, HTTP_PREFACE_WHOLE, "203.0.113.9"}, // the client came by QUIC
        {0x21, 0x11, 100, HTTP_PREFACE_WHOLE, "203.0.113.9"},
        {0x21, 0x11, 11, HTTP_PREFACE_BAD, NULL},
        {0x21, 0x21, 36, HTTP_PREFACE_WHOLE, "2001:db8::9"},
        {0x21, 0x21, 300, HTTP_PREFACE_WHOLE, "2001:db8::9"},
        {0x21, 0x21, 35, HTTP_PREFACE_BAD, NULL},
        {0x21, 0x31, 216, HTTP_PREFACE_WHOLE, ""}, // a local socket
        {0x21, 0x00, 0, HTTP_PREFACE_WHOLE, ""},
        {0x21, 0x00, 40, HTTP_PREFACE_WHOLE, ""},
        {0x20, 0x00, 0, HTTP_PREFACE_WHOLE, ""}, // the proxy itself
        {0x20, 0x11, 12, HTTP_PREFACE_WHOLE, ""},
        {0x20, 0x11, 3, HTTP_PREFACE_WHOLE, ""},
        {0x22, 0x11, 12, HTTP_PREFACE_BAD, NULL},
        {0x11, 0x11, 12, HTTP_PREFACE_BAD, NULL},
        {0x21, 0x41, 12, HTTP_PREFACE_BAD, NULL},
        {0x21, 0x13, 12, HTTP_PREFACE_BAD, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool v6 = cases[i].family >> 4 == 2;
        size_t n = v6 ? sizeof(ipv6) : sizeof(ipv4);
        struct binary b = binary(cases[i].command, cases[i].family, cases[i].length, v6 ? ipv6 : ipv4,
                                 n < cases[i].length ? n : cases[i].length);
        expect(b.data, b.n, cases[i].state, cases[i].peer);
    }
    struct binary most = binary(0x21, 0x11, 2032, ipv4, sizeof(ipv4)),
                  more = binary(0x21, 0x11, 2033, ipv4, 12);
    assert_int_equal(feed(most.data, most.n, 1000).state, HTTP_PREFACE_WHOLE);
    assert_int_equal(feed(more.data, more.n, 1000).state, HTTP_PREFACE_BAD);
    assert_int_equal(feed(more.data, more.n, 1000).used, 16); // it is not even read
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(a_line_is_bounded),
        cmocka_unit_test(binaries),
    };
    return cmocka_run_group_tests_name("http-preface", tests, NULL, NULL);
}
