// The parser glue of lib/http: any bytes, in any fragments. The first byte chooses the size of the fragments;
// the same bytes in one piece must give the same request, or the same refusal. The same holds of a proxy's
// header.
#include "lib/http/internal.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void nothing(struct gtv_http_request *req, void *user)
{
    (void)req;
    (void)user;
}

static const struct gtv_http_route routes[] = {
    {"GET", "/hls/{path*}/{file}", nothing, 0, ""},
    {"POST", "/cameras/{id}", nothing, 4096, ""},
    {"*", "/{rest*}", nothing, 65536, ""},
};

static struct http_router router;

static bool on_head(struct gtv_http_request *req)
{
    if (!http_request_split_target(req)) {
        return false;
    }
    req->max_body = http_router_match(&router, req) == HTTP_MATCH ? req->route->max_body : 0;
    return true;
}

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

// Takes one request off the front; returns how much it took.
static size_t parse(struct gtv_http_request *req, const char *data, size_t n, size_t step)
{
    size_t used = 0;
    req->on_head = on_head;
    while (used < n && req->phase != HTTP_PARSED && req->phase != HTTP_FAILED) {
        size_t piece = n - used < step ? n - used : step;
        // A copy of exactly this size, so that the sanitizer sees a read beyond it.
        char *copy = malloc(piece);
        must(copy != NULL);
        memcpy(copy, data + used, piece);
        size_t took = http_parse_feed(req, copy, piece);
        free(copy);
        must(took <= piece);
        must(took == piece || req->phase == HTTP_PARSED || req->phase == HTTP_FAILED);
        used += took;
    }
    return used;
}

static void check(struct gtv_http_request *req)
{
    must(req->field_count <= HTTP_MAX_FIELDS);
    must(req->body_len <= req->max_body);
    for (size_t i = 0; i < req->field_count; i++) {
        struct gtv_str name = http_field_name(req, i), value = http_field_value(req, i);
        must(http_field_valid(name, value));
        must(gtv_http_header(req, "host").n <= HTTP_MAX_HEAD);
    }
    (void)gtv_http_query(req, "a");
    must(req->path.n > 0);
    must(!memchr(req->path.p, '\0', req->path.n));
}

static void same(struct gtv_str a, struct gtv_str b)
{
    must(gtv_str_eq(a, b));
}

static enum http_preface_state preface(struct http_preface *p, const uint8_t *data, size_t n, size_t step,
                                       size_t *used)
{
    enum http_preface_state state = HTTP_PREFACE_MORE;
    for (*used = 0; *used < n && state == HTTP_PREFACE_MORE;) {
        size_t took, piece = n - *used < step ? n - *used : step;
        state = http_preface_feed(p, data + *used, piece, &took);
        must(took <= piece && (took == piece || state != HTTP_PREFACE_MORE));
        *used += took;
    }
    return state;
}

static void check_preface(const uint8_t *data, size_t n, size_t step)
{
    struct http_preface whole = {0}, cut = {0};
    size_t used, used_cut;
    enum http_preface_state state = preface(&whole, data, n, n, &used);
    must(state == preface(&cut, data, n, step, &used_cut));
    must(used == used_cut && used <= HTTP_PREFACE_V2_MAX);
    must(whole.known == cut.known && memcmp(whole.peer, cut.peer, sizeof(whole.peer)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (!router.entries) {
        must(http_router_init(&router, routes, sizeof(routes) / sizeof(routes[0]), NULL));
    }
    if (n < 1) {
        return 0;
    }
    size_t step = data[0] ? data[0] : 1;
    const char *text = (const char *)data + 1;
    n--;
    check_preface((const uint8_t *)text, n, step);
    // A connection may carry many requests.
    for (int turn = 0; turn < 8 && n > 0; turn++) {
        struct gtv_http_request *whole = http_request_take(NULL), *cut = http_request_take(NULL);
        size_t used = parse(whole, text, n, n), used_cut = parse(cut, text, n, step);
        bool ok = whole->phase == HTTP_PARSED;
        // Only how early a refusal comes may depend on the fragments.
        must(ok == (cut->phase == HTTP_PARSED));
        if (ok) {
            must(used == used_cut);
            check(whole);
            same(whole->path, cut->path);
            same(gtv_http_body(whole), gtv_http_body(cut));
            must(whole->field_count == cut->field_count);
            must(whole->keep_alive == cut->keep_alive);
        }
        http_request_free(whole);
        http_request_free(cut);
        if (!ok) {
            break;
        }
        text += used;
        n -= used;
    }
    return 0;
}
