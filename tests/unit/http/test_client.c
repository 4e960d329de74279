#include "lib/http/client.h"
#include "lib/http/server.h"
#include "tests/unit/unit.h"

#include <stdio.h>

enum { BIG = 2 * 1024 * 1024 };

struct fixture {
    struct gtv_loop *loop;
    struct gtv_http_server *server;
    struct gtv_http_client *client;
    struct gtv_timer *limit;
    char base[64];
    unsigned outstanding; // fetches that are to call back; the loop stops at 0
};

// What came of one fetch, and what its callbacks shall do.
struct seen {
    struct fixture *f;
    struct gtv_http_fetch *fetch;
    unsigned heads, datas, dones;
    int status;
    size_t bytes;
    enum gtv_code code;
    char text[256];
    bool cancel_in_head, cancel_in_data, fetch_in_data, destroy_in_done;
};

static void handle_echo(struct gtv_http_request *req, void *user)
{
    struct gtv_bytes *body = gtv_bytes_printf(
        GTV_STR_FMT "|" GTV_STR_FMT "|" GTV_STR_FMT "|" GTV_STR_FMT, GTV_STR_ARG(gtv_http_method(req)),
        GTV_STR_ARG(gtv_http_header(req, "Authorization")), GTV_STR_ARG(gtv_http_header(req, "X-Test")),
        GTV_STR_ARG(gtv_http_body(req)));
    const struct gtv_http_header headers[] = {{GTV_STR("Content-Type"), GTV_STR("text/x-echo")},
                                              {GTV_STR("ETag"), GTV_STR("\"7\"")}};
    gtv_http_reply(req, 200, headers, 2, body);
    gtv_bytes_unref(body);
}

// What a server makes of the request's cause, and how it came.
static void handle_cause(struct gtv_http_request *req, void *user)
{
    const struct gtv_cause *cause = gtv_http_cause(req);
    struct gtv_bytes *body =
        gtv_bytes_printf("%s|%s|%s|%s|" GTV_STR_FMT, cause->request, cause->trace, cause->flags, cause->state,
                         GTV_STR_ARG(gtv_http_header(req, "traceparent")));
    const struct gtv_http_header headers[] = {{GTV_STR("Content-Type"), GTV_STR("text/x-echo")}};
    gtv_http_reply(req, 200, headers, 1, body);
    gtv_bytes_unref(body);
}

static void handle_big(struct gtv_http_request *req, void *user)
{
    struct gtv_bytes *body = gtv_bytes_create(BIG);
    memset(body->data, 'x', BIG);
    body->len = BIG;
    gtv_http_reply(req, 200, NULL, 0, body);
    gtv_bytes_unref(body);
}

static void handle_never(struct gtv_http_request *req, void *user)
{
    // The client gives up first.
}

static void handle_truncated(struct gtv_http_request *req, void *user)
{
    struct gtv_bytes *part = gtv_bytes_copy("0123456789", 10);
    gtv_http_stream_begin(req, 200, NULL, 0, 100);
    gtv_http_stream_write(req, part);
    gtv_http_stream_abort(req);
    gtv_bytes_unref(part);
}

static void handle_moved(struct gtv_http_request *req, void *user)
{
    const struct gtv_http_header headers[] = {{GTV_STR("Location"), GTV_STR("/echo")}};
    gtv_http_reply(req, 302, headers, 1, NULL);
}

static const struct gtv_http_route routes[] = {
    {"*", "/echo", handle_echo, 1024, ""},          {"GET", "/big", handle_big, 0, ""},
    {"GET", "/cause", handle_cause, 0, "cause"},    {"GET", "/never", handle_never, 0, ""},
    {"GET", "/truncated", handle_truncated, 0, ""}, {"GET", "/moved", handle_moved, 0, ""},
};

static void too_long(void *arg)
{
    fail_msg("%s", "the fetches did not end in time");
}

static int setup(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    struct gtv_error err = {0};
    f->loop = gtv_loop_create("test");
    const struct gtv_http_server_config config = {
        .name = "test", .routes = routes, .route_count = sizeof routes / sizeof *routes};
    f->server = gtv_http_server_create(f->loop, &config, &err);
    assert_non_null(f->server);
    assert_true(gtv_http_server_listen(f->server, "127.0.0.1", 0, false, &err));
    f->client = gtv_http_client_create(f->loop, 8);
    f->limit = gtv_timer_create(f->loop, too_long, f);
    gtv_timer_start(f->limit, 20000, 0);
    snprintf(f->base, sizeof f->base, "http://127.0.0.1:%d", gtv_http_server_port(f->server));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    gtv_timer_destroy(f->limit);
    gtv_http_client_destroy(f->client);
    gtv_http_server_destroy(f->server);
    gtv_loop_destroy(f->loop);
    test_free(f);
    return 0;
}

static void one_less(struct fixture *f)
{
    if (--f->outstanding == 0)
        gtv_loop_stop(f->loop);
}

static struct gtv_http_fetch *begin(struct seen *s, const char *path, struct gtv_http_fetch_options o);

static void on_head(void *arg, const struct gtv_http_response *r)
{
    struct seen *s = arg;
    s->heads++;
    s->status = r->status;
    assert_null(r->body);
    if (s->cancel_in_head) {
        gtv_http_fetch_cancel(s->fetch);
        one_less(s->f);
    }
}

static void on_data(void *arg, const void *data, size_t n)
{
    struct seen *s = arg;
    s->datas++;
    s->bytes += n;
    if (s->fetch_in_data && s->datas == 1) {
        static struct seen inner;
        inner = (struct seen){.f = s->f};
        (void)begin(&inner, "/echo", (struct gtv_http_fetch_options){.stream = false});
    }
    if (s->cancel_in_data) {
        gtv_http_fetch_cancel(s->fetch);
        one_less(s->f);
    }
}

static void on_done(void *arg, const struct gtv_http_response *r, const struct gtv_error *err)
{
    struct seen *s = arg;
    s->dones++;
    s->code = err ? err->code : GTV_OK;
    if (r && r->body) {
        s->status = r->status;
        s->bytes = r->body->len;
        snprintf(s->text, sizeof s->text, GTV_STR_FMT "|" GTV_STR_FMT "|%.*s", GTV_STR_ARG(r->content_type),
                 GTV_STR_ARG(r->etag), (int)(r->body->len < 100 ? r->body->len : 100),
                 (const char *)r->body->data);
    }
    if (r && r->location.n)
        snprintf(s->text, sizeof s->text, GTV_STR_FMT, GTV_STR_ARG(r->location));
    if (s->destroy_in_done) {
        gtv_http_client_destroy(s->f->client);
        s->f->client = NULL;
    }
    one_less(s->f);
}

static struct gtv_http_fetch *begin(struct seen *s, const char *path, struct gtv_http_fetch_options o)
{
    static const struct gtv_http_fetch_callbacks callbacks = {on_head, on_data, on_done};
    char url[128];
    snprintf(url, sizeof url, "%s%s", strncmp(path, "http", 4) == 0 ? "" : s->f->base, path);
    o.url = url;
    s->f->outstanding++;
    s->fetch = gtv_http_fetch(s->f->client, &o, &callbacks, s);
    assert_int_equal(s->heads + s->datas + s->dones, 0); // never before it returned
    return s->fetch;
}

static void whole_answers(void **state)
{
    struct fixture *f = *state;
    struct seen get = {.f = f}, post = {.f = f}, missing = {.f = f}, moved = {.f = f};
    static const char *const headers[] = {"X-Test: yes", NULL};
    (void)begin(&get, "/echo", (struct gtv_http_fetch_options){.user = NULL});
    (void)begin(&post, "/echo",
                (struct gtv_http_fetch_options){.method = "PATCH",
                                                .user = "u",
                                                .password = "p",
                                                .headers = headers,
                                                .body = "{}",
                                                .body_len = 2});
    (void)begin(&missing, "/nothing", (struct gtv_http_fetch_options){.user = NULL});
    (void)begin(&moved, "/moved", (struct gtv_http_fetch_options){.user = NULL});
    gtv_loop_run(f->loop);
    assert_int_equal(get.status, 200);
    assert_string_equal(get.text, "text/x-echo|\"7\"|GET|||");
    assert_string_equal(post.text, "text/x-echo|\"7\"|PATCH|Basic dTpw|yes|{}");
    assert_int_equal(missing.status, 404);
    assert_int_equal(missing.code, GTV_OK);
    assert_int_equal(moved.status, 302); // never followed
    assert_string_equal(moved.text, "/echo");
    assert_int_equal(get.heads + get.dones, 2);
}

static void causes_go_along(void **state)
{
    struct fixture *f = *state;
    struct seen known = {.f = f}, nobody = {.f = f}, wrong = {.f = f};
    struct gtv_cause cause = {.request = "id-1", .state = "v=1"}, none = {.request = ""};
    const char trace[] = "4bf92f3577b34da6a3ce929d0e0e4736", span[] = "00f067aa0ba902b7";
    char traceparent[GTV_TRACEPARENT_CAP];
    snprintf(traceparent, sizeof(traceparent), "00-%s-%s-01", trace, span);
    assert_true(gtv_cause_set_trace(&cause, gtv_str_of(traceparent)));
    static const char *const twice[] = {
        "X-Request-ID: not well formed",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate: v=1", NULL};
    (void)begin(&known, "/cause", (struct gtv_http_fetch_options){.cause = &cause});
    (void)begin(&nobody, "/cause", (struct gtv_http_fetch_options){.cause = &none});
    (void)begin(&wrong, "/cause", (struct gtv_http_fetch_options){.headers = twice});
    gtv_loop_run(f->loop);
    assert_non_null(strstr(known.text, "id-1|4bf92f3577b34da6a3ce929d0e0e4736|01|v=1|00-4bf9"));
    assert_null(strstr(known.text, span)); // each call has a span of its own
    assert_non_null(strstr(nobody.text, "||||"));
    assert_null(strstr(wrong.text, "not well formed|"));
    assert_non_null(strstr(wrong.text, "||||00-")); // two are none
}

static void failures(void **state)
{
    struct fixture *f = *state;
    struct seen large = {.f = f}, late = {.f = f}, cut = {.f = f}, refused = {.f = f}, nonsense = {.f = f},
                name = {.f = f};
    (void)begin(&large, "/big", (struct gtv_http_fetch_options){.max_body = 1000});
    (void)begin(&late, "/never", (struct gtv_http_fetch_options){.timeout_ms = 200});
    (void)begin(&cut, "/truncated", (struct gtv_http_fetch_options){.stream = true});
    (void)begin(&refused, "http://127.0.0.1:1/", (struct gtv_http_fetch_options){.stream = false});
    (void)begin(&nonsense, "http://", (struct gtv_http_fetch_options){.stream = false});
    (void)begin(&name, "http://does-not-exist.invalid/", (struct gtv_http_fetch_options){.stream = false});
    gtv_loop_run(f->loop);
    assert_int_equal(large.code, GTV_E_TOO_LARGE);
    assert_int_equal(late.code, GTV_E_UPSTREAM_TIMEOUT);
    assert_int_equal(late.heads, 0);
    assert_int_equal(cut.code, GTV_E_UPSTREAM);
    assert_int_equal(cut.status, 200);
    assert_int_equal(cut.bytes, 10);
    assert_int_equal(refused.code, GTV_E_UPSTREAM);
    assert_int_equal(nonsense.code, GTV_E_UPSTREAM);
    assert_int_equal(name.code, GTV_E_UPSTREAM);
}

static void streaming(void **state)
{
    struct fixture *f = *state;
    struct seen big = {.f = f, .fetch_in_data = true};
    (void)begin(&big, "/big", (struct gtv_http_fetch_options){.stream = true, .max_body = BIG});
    gtv_loop_run(f->loop);
    assert_int_equal(big.bytes, BIG);
    assert_int_equal(big.code, GTV_OK);
    assert_true(big.datas > 1);
}

static void cancelling(void **state)
{
    struct fixture *f = *state;
    struct seen at_once = {.f = f}, in_head = {.f = f, .cancel_in_head = true},
                in_data = {.f = f, .cancel_in_data = true}, other = {.f = f};
    gtv_http_fetch_cancel(begin(&at_once, "/echo", (struct gtv_http_fetch_options){.stream = false}));
    f->outstanding--;
    (void)begin(&in_head, "/big", (struct gtv_http_fetch_options){.stream = true, .max_body = BIG});
    (void)begin(&in_data, "/big", (struct gtv_http_fetch_options){.stream = true, .max_body = BIG});
    (void)begin(&other, "/echo", (struct gtv_http_fetch_options){.stream = false});
    gtv_loop_run(f->loop);
    assert_int_equal(at_once.heads + at_once.datas + at_once.dones, 0);
    assert_int_equal(in_head.heads, 1);
    assert_int_equal(in_head.datas + in_head.dones, 0);
    assert_int_equal(in_data.datas, 1);
    assert_int_equal(in_data.dones, 0);
    assert_int_equal(other.status, 200);
}

static void destroyed_with_work_left(void **state)
{
    struct fixture *f = *state;
    struct seen never = {.f = f}, echo = {.f = f, .destroy_in_done = true};
    (void)begin(&never, "/never", (struct gtv_http_fetch_options){.stream = false});
    (void)begin(&echo, "/echo", (struct gtv_http_fetch_options){.stream = false});
    f->outstanding--; // the one that is destroyed does not call back
    gtv_loop_run(f->loop);
    assert_int_equal(echo.dones, 1);
    assert_int_equal(never.dones, 0);
}

// Handles and connections are used again, and nothing of an earlier fetch shows in a later one.
static void one_after_the_other(void **state)
{
    struct fixture *f = *state;
    static const char *const headers[] = {"X-Test: yes", NULL};
    for (int i = 0; i < 40; i++) { // more than handles are kept
        struct seen post = {.f = f}, other = {.f = f}, late = {.f = f}, get = {.f = f};
        char away[128];
        snprintf(away, sizeof away, "http://elsewhere.invalid:%d/echo", gtv_http_server_port(f->server));
        (void)begin(&post, "/echo",
                    (struct gtv_http_fetch_options){.method = "PUT",
                                                    .user = "u",
                                                    .password = "p",
                                                    .headers = headers,
                                                    .body = "{}",
                                                    .body_len = 2});
        (void)begin(&other, away, (struct gtv_http_fetch_options){.address = "127.0.0.1"});
        if (i % 10 == 0)
            (void)begin(&late, "/never", (struct gtv_http_fetch_options){.timeout_ms = 50});
        gtv_loop_run(f->loop);
        assert_string_equal(post.text, "text/x-echo|\"7\"|PUT|Basic dTpw|yes|{}");
        assert_string_equal(other.text, "text/x-echo|\"7\"|GET|||");
        assert_int_equal(late.code, i % 10 == 0 ? GTV_E_UPSTREAM_TIMEOUT : GTV_OK);
        (void)begin(&get, "/echo", (struct gtv_http_fetch_options){.timeout_ms = 5000});
        gtv_loop_run(f->loop);
        assert_string_equal(get.text, "text/x-echo|\"7\"|GET|||");
    }
}

static void stop_loop(void *arg)
{
    gtv_loop_stop(((struct fixture *)arg)->loop);
}

// The connections at rest are closed by the other side, and their numbers become other sockets.
static void a_server_that_restarts(void **state)
{
    struct fixture *f = *state;
    struct gtv_error err = {0};
    int port = gtv_http_server_port(f->server);
    const struct gtv_http_server_config config = {
        .name = "test", .routes = routes, .route_count = sizeof routes / sizeof *routes};
    struct gtv_timer *rest = gtv_timer_create(f->loop, stop_loop, f);
    for (int i = 0; i < 3; i++) {
        struct seen a = {.f = f}, b = {.f = f};
        (void)begin(&a, "/echo", (struct gtv_http_fetch_options){.stream = false});
        (void)begin(&b, "/echo", (struct gtv_http_fetch_options){.stream = false});
        gtv_loop_run(f->loop);
        assert_int_equal(a.status + b.status, 400);
        gtv_http_server_destroy(f->server);
        gtv_timer_start(rest, 20, 0);
        gtv_loop_run(f->loop);
        f->server = gtv_http_server_create(f->loop, &config, &err);
        assert_non_null(f->server);
        assert_true(gtv_http_server_listen(f->server, "127.0.0.1", port, false, &err));
    }
    gtv_timer_destroy(rest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(causes_go_along, setup, teardown),
        cmocka_unit_test_setup_teardown(failures, setup, teardown),
        cmocka_unit_test_setup_teardown(streaming, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelling, setup, teardown),
        cmocka_unit_test_setup_teardown(one_after_the_other, setup, teardown),
        cmocka_unit_test_setup_teardown(a_server_that_restarts, setup, teardown),
        cmocka_unit_test_setup_teardown(destroyed_with_work_left, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
