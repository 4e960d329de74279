#include "tests/unit/unit.h"

#include "lib/http/internal.h"

#include <stdio.h>

static void nothing(struct gtv_http_request *req, void *user)
{
    (void)req;
    (void)user;
}

static const struct gtv_http_route routes[] = {
    {"GET", "/", nothing, 0, "root"},
    {"GET", "/streams/{path*}/viewers", nothing, 0, "viewers"},
    {"GET", "/hls/{path*}/index.m3u8", nothing, 0, "playlist"},
    {"GET", "/hls/{path*}/{file}", nothing, 0, "segment"},
    {"POST", "/cameras/provision", nothing, 10, "provision"},
    {"GET", "/cameras/{id}", nothing, 0, "camera"},
    {"DELETE", "/cameras/{id}", nothing, 0, "camera"},
    {"*", "/any/{rest*}", nothing, 0, "any"},
    {"GET", "/api/cameras/", nothing, 0, "with a slash at its end"},
};

static bool split(struct gtv_http_request *req)
{
    return http_request_split_target(req);
}

// "index of the route: name=value ..." or "none" or the Allow header.
static const char *match(const struct http_router *router, const char *method, const char *path,
                         char out[512])
{
    struct gtv_http_request *req = http_request_take(NULL);
    req->on_head = split;
    char text[512];
    int n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: x\r\n\r\n", method, path);
    (void)http_parse_feed(req, text, (size_t)n);
    assert_int_equal(req->phase, HTTP_PARSED);
    enum http_match m = http_router_match(router, req);
    if (m == HTTP_MATCH) {
        int at = snprintf(out, 512, "%d", (int)(req->route - routes));
        for (size_t i = 0; i < req->param_count; i++) {
            at += snprintf(out + at, 512 - (size_t)at, " " GTV_STR_FMT "=" GTV_STR_FMT,
                           GTV_STR_ARG(req->params[i].name), GTV_STR_ARG(req->params[i].value));
        }
    } else {
        (void)snprintf(out, 512, "%s", m == HTTP_NO_PATH ? "none" : req->allow);
    }
    http_request_free(req);
    return out;
}

static void matches(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *result;
    } cases[] = {
        {"GET", "/", "0"},
        {"HEAD", "/", "0"},
        {"GET", "/?a=/b", "0"},
        {"GET", "/streams/cam_1/viewers", "1 path=cam_1"},
        {"GET", "/streams/a/b/c/viewers", "1 path=a/b/c"},
        {"GET", "/streams/viewers", "none"},
        {"GET", "/streams//viewers", "none"},
        {"GET", "/streams/viewers/viewers", "1 path=viewers"},
        {"GET", "/hls/cam_1/index.m3u8", "2 path=cam_1"},
        {"GET", "/hls/site/cam/seg7.ts", "3 path=site/cam file=seg7.ts"},
        {"GET", "/hls/cam%5f1/s%2e1.ts", "3 path=cam_1 file=s.1.ts"},
        {"GET", "/hls/a%2Fb/index.m3u8", "2 path=a/b"},
        {"POST", "/cameras/provision", "4"},
        {"GET", "/cameras/provision", "5 id=provision"},
        {"DELETE", "/cameras/7", "6 id=7"},
        {"PUT", "/cameras/7", "GET, HEAD, DELETE, OPTIONS"},
        {"PUT", "/cameras/provision", "GET, HEAD, POST, DELETE, OPTIONS"},
        {"PATCH", "/any/x/y", "7 rest=x/y"},
        {"GET", "/any", "none"},
        {"GET", "/any/", "none"},
        {"GET", "/api/cameras/", "8"},
        {"GET", "/api/cameras", "none"},
        {"GET", "/API/cameras/", "none"},
    };
    struct http_router router;
    struct gtv_error err = {0};
    assert_true(http_router_init(&router, routes, sizeof(routes) / sizeof(routes[0]), &err));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[512];
        assert_string_equal(match(&router, cases[i].method, cases[i].path, out), cases[i].result);
    }
    http_router_finish(&router);
}

static void malformed_tables_are_refused(void **state)
{
    (void)state;
    static const struct gtv_http_route bad[] = {
        {"GET", "relative", nothing, 0, ""},
        {"GET", "/{a*}/{b*}", nothing, 0, ""},
        {"GET", "/{}", nothing, 0, ""},
        {"GET", "/{a", nothing, 0, ""},
        {"GETT", "/", nothing, 0, ""},
        {"GET", "/", NULL, 0, ""},
        {"GET", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}", nothing, 0, ""},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct http_router router;
        struct gtv_error err = {0};
        assert_false(http_router_init(&router, &bad[i], 1, &err));
        assert_int_equal(err.code, GTV_E_INTERNAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches),
        cmocka_unit_test(malformed_tables_are_refused),
    };
    return cmocka_run_group_tests_name("http-router", tests, NULL, NULL);
}
