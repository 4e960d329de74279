// The parser glue without sockets: whatever the fragments, the same request comes out.
#include "tests/unit/unit.h"

#include "lib/http/internal.h"

#include <stdio.h>
#include <stdlib.h>

static bool allow_body(struct gtv_http_request *req)
{
    req->max_body = 1000;
    return http_request_split_target(req);
}

static struct gtv_http_request *fresh(void)
{
    struct gtv_http_request *req = http_request_take(NULL);
    req->on_head = allow_body;
    return req;
}

// Feeds in pieces of `step` bytes and returns how many bytes the request took.
static size_t feed(struct gtv_http_request *req, const char *text, size_t n, size_t step)
{
    size_t used = 0;
    while (used < n && req->phase != HTTP_PARSED && req->phase != HTTP_FAILED) {
        size_t piece = n - used < step ? n - used : step;
        used += http_parse_feed(req, text + used, piece);
    }
    return used;
}

static void fragments_do_not_matter(void **state)
{
    (void)state;
    static const char text[] = "\r\nPOST /a%20b/c?x=1 HTTP/1.1\r\nHost: example.com:80\r\nEmpty:\r\nX-Two:  "
                               "spaced out \t\r\nContent-Length: 5\r\n\r\nhello"
                               "GET / HTTP/1.1\r\n";
    const size_t whole = strlen(text) - 16;
    for (size_t step = 1; step <= sizeof(text); step++) {
        struct gtv_http_request *req = fresh();
        assert_int_equal(feed(req, text, strlen(text), step), whole);
        assert_int_equal(req->phase, HTTP_PARSED);
        assert_str(gtv_http_method(req), "POST");
        assert_str(gtv_http_target(req), "/a%20b/c?x=1");
        assert_str(gtv_http_path(req), "/a b/c");
        assert_str(gtv_http_query_string(req), "x=1");
        assert_str(gtv_http_header(req, "x-two"), "spaced out");
        assert_str(gtv_http_header(req, "HOST"), "example.com:80");
        assert_true(gtv_http_header(req, "empty").n == 0);
        assert_null(gtv_http_header(req, "absent").p);
        assert_str(gtv_http_body(req), "hello");
        assert_true(req->keep_alive);
        http_request_free(req);
    }
}

static void chunks_are_joined(void **state)
{
    (void)state;
    static const char text[] = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
                               "chunked\r\n\r\n3\r\nabc\r\n2;q=\"1\"\r\nde\r\n0\r\nT: x\r\n\r\nrest";
    for (size_t step = 1; step <= sizeof(text); step++) {
        struct gtv_http_request *req = fresh();
        assert_int_equal(feed(req, text, strlen(text), step), strlen(text) - 4);
        assert_int_equal(req->phase, HTTP_PARSED);
        assert_str(gtv_http_body(req), "abcde");
        assert_int_equal(req->field_count, 2); // trailers are no headers
        http_request_free(req);
    }
}

// From the head's own memory and from a body's, in one piece and in many.
static void a_body_can_be_taken(void **state)
{
    (void)state;
    char text[1200];
    for (size_t len = 0; len <= 1000; len += 250) {
        size_t head = (size_t)snprintf(text, sizeof(text),
                                       "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n", len);
        memset(text + head, 'b', len);
        for (size_t step = 1; step <= 1200; step += 333) {
            struct gtv_http_request *req = fresh();
            assert_int_equal(feed(req, text, head + len, step), head + len);
            size_t n = SIZE_MAX;
            char *body = gtv_http_take_body(req, &n);
            assert_non_null(body);
            assert_int_equal(gtv_http_body(req).n, 0);
            http_request_free(req);
            assert_int_equal(n, len);
            for (size_t i = 0; i < len; i++)
                assert_int_equal(body[i], 'b');
            for (size_t i = 0; i < GTV_HTTP_BODY_PADDING; i++)
                assert_int_equal(body[len + i], 0);
            free(body);
        }
    }
}

static void keep_alive_follows_version_and_header(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool keep;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n", false},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct gtv_http_request *req = fresh();
        (void)feed(req, cases[i].text, strlen(cases[i].text), 1000);
        assert_int_equal(req->phase, HTTP_PARSED);
        assert_int_equal(req->keep_alive, cases[i].keep);
        http_request_free(req);
    }
}

static enum gtv_code refused(const char *text)
{
    struct gtv_http_request *req = fresh();
    (void)feed(req, text, strlen(text), 1000);
    enum gtv_code code = req->phase == HTTP_FAILED ? req->error : GTV_OK;
    http_request_free(req);
    return code;
}

static void refusals(void **state)
{
    (void)state;
    assert_int_equal(refused("GET / HTTP/1.1\r\n\r\n"), GTV_E_BAD_REQUEST);
    assert_int_equal(refused("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), GTV_E_BAD_REQUEST);
    assert_int_equal(refused("GET / HTTP/1.2\r\nHost: a\r\n\r\n"), GTV_E_HTTP_VERSION);
    assert_int_equal(refused("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), GTV_E_HTTP_VERSION);
    assert_int_equal(refused("GET / HTTP/1.1\nHost: a\n\n"), GTV_E_BAD_REQUEST);
    assert_int_equal(refused("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"), GTV_E_BAD_REQUEST);
    assert_int_equal(refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n"), GTV_E_TOO_LARGE);
    assert_int_equal(refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n"),
                     GTV_OK);
    assert_int_equal(refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n"),
                     GTV_E_TOO_LARGE); // nothing of it came yet
    assert_int_equal(refused("GET / HTTP/1.1\r\nHost: a\r\nExpect: tea\r\n\r\n"), GTV_E_EXPECTATION);
    assert_int_equal(refused("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n"), GTV_E_BAD_REQUEST);
}

static void a_request_object_is_as_new_after_use(void **state)
{
    (void)state;
    // The pool needs a server; clearing is what matters.
    struct gtv_http_server server = {0};
    struct gtv_http_request *req = http_request_take(&server);
    req->on_head = allow_body;
    static const char big[] =
        "POST /x%20?q HTTP/1.1\r\nHost: x\r\nX-Request-ID: a\r\nContent-Length: 3\r\n\r\nabc";
    (void)feed(req, big, strlen(big), 1);
    assert_str(gtv_http_request_id(req), "a");
    http_request_recycle(req);
    assert_int_equal(server.pooled, 1);
    struct gtv_http_request *again = http_request_take(&server);
    assert_ptr_equal(again, req);
    again->on_head = allow_body;
    static const char small[] = "GET / HTTP/1.1\r\nHost: y\r\n\r\n";
    (void)feed(again, small, strlen(small), 7);
    assert_int_equal(again->phase, HTTP_PARSED);
    assert_str(gtv_http_path(again), "/");
    assert_int_equal(gtv_http_body(again).n, 0);
    assert_int_equal(gtv_http_query_string(again).n, 0);
    server.id_state[0] = 1;
    assert_int_equal(gtv_http_request_id(again).n, 16);
    http_request_free(again);
}

static void query_parameters(void **state)
{
    (void)state;
    static const char text[] = "GET /?a=1&b=x+y%21&c&d=%zz&%65=5&a=2&=7 HTTP/1.1\r\nHost: x\r\n\r\n";
    struct gtv_http_request *req = fresh();
    (void)feed(req, text, strlen(text), 1000);
    assert_int_equal(req->phase, HTTP_PARSED);
    assert_str(gtv_http_query(req, "a"), "1");
    assert_str(gtv_http_query(req, "b"), "x y!");
    assert_non_null(gtv_http_query(req, "c").p);
    assert_int_equal(gtv_http_query(req, "c").n, 0);
    assert_null(gtv_http_query(req, "d").p);
    assert_str(gtv_http_query(req, "e"), "5");
    assert_null(gtv_http_query(req, "f").p);
    http_request_free(req);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fragments_do_not_matter),
        cmocka_unit_test(chunks_are_joined),
        cmocka_unit_test(a_body_can_be_taken),
        cmocka_unit_test(keep_alive_follows_version_and_header),
        cmocka_unit_test(refusals),
        cmocka_unit_test(a_request_object_is_as_new_after_use),
        cmocka_unit_test(query_parameters),
    };
    return cmocka_run_group_tests_name("http-parse", tests, NULL, NULL);
}
