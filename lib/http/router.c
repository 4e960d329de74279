// The table of routes, compiled once; the first entry that matches wins.
#include "lib/http/internal.h"

#include "lib/base/mem.h"

#include <stdlib.h>

enum segment_kind { LITERAL, PARAM, REST };

enum { MAX_PATTERN_SEGMENTS = 24, ANY_METHOD = -1, METHOD_COUNT = 47 };

struct segment {
    enum segment_kind kind;
    struct gtv_str text; // the literal, or the name
};

struct http_router_entry {
    const struct gtv_http_route *route;
    int method; // of llhttp, or ANY_METHOD
    size_t count;
    bool has_rest;
    struct segment segments[MAX_PATTERN_SEGMENTS];
};

static int method_of(const char *name)
{
    if (strcmp(name, "*") == 0) {
        return ANY_METHOD;
    }
    for (int i = 0; i < METHOD_COUNT; i++) {
        if (strcmp(name, llhttp_method_name((llhttp_method_t)i)) == 0) {
            return i;
        }
    }
    return -2;
}

static bool compile_segment(struct segment *seg, struct gtv_str text)
{
    if (text.n < 2 || text.p[0] != '{') {
        *seg = (struct segment){LITERAL, text};
        return true;
    }
    if (text.p[text.n - 1] != '}') {
        return false;
    }
    struct gtv_str name = {text.p + 1, text.n - 2};
    seg->kind = PARAM;
    if (gtv_str_ends(name, GTV_STR("*"))) {
        seg->kind = REST;
        name.n--;
    }
    seg->text = name;
    return name.n > 0;
}

static bool compile(struct http_router_entry *e, const struct gtv_http_route *route)
{
    e->route = route;
    e->method = method_of(route->method);
    struct gtv_str rest = gtv_str_of(route->pattern);
    if (e->method < ANY_METHOD || rest.n == 0 || rest.p[0] != '/' || !route->handler) {
        return false;
    }
    size_t params = 0;
    bool more = true;
    rest.p++;
    rest.n--;
    while (more) {
        more = gtv_str_find(rest, '/') >= 0;
        struct gtv_str text = gtv_str_cut(&rest, '/');
        if (e->count == MAX_PATTERN_SEGMENTS || !compile_segment(&e->segments[e->count], text)) {
            return false;
        }
        enum segment_kind kind = e->segments[e->count++].kind;
        params += kind != LITERAL;
        if (kind == REST) {
            if (e->has_rest) {
                return false;
            }
            e->has_rest = true;
        }
    }
    return params <= HTTP_MAX_PARAMS;
}

bool http_router_init(struct http_router *r, const struct gtv_http_route *routes, size_t n,
                      struct gtv_error *err)
{
    r->entries = gtv_alloc((n ? n : 1) * sizeof(*r->entries));
    r->count = n;
    for (size_t i = 0; i < n; i++) {
        if (!compile(&r->entries[i], &routes[i])) {
            gtv_error_set(err, GTV_E_INTERNAL, NULL, "malformed route %s %s", routes[i].method,
                          routes[i].pattern);
            http_router_finish(r);
            return false;
        }
    }
    return true;
}

void http_router_finish(struct http_router *r)
{
    free(r->entries);
    *r = (struct http_router){0};
}

static bool segment_matches(const struct segment *seg, struct gtv_str text)
{
    return seg->kind == LITERAL ? gtv_str_eq(seg->text, text) : text.n > 0;
}

// How many segments of the path {name*} takes; SIZE_MAX when the path does not match.
static size_t path_matches(const struct http_router_entry *e, const struct gtv_http_request *req)
{
    size_t have = req->segment_count;
    if (e->has_rest ? have < e->count : have != e->count) {
        return SIZE_MAX;
    }
    size_t span = e->has_rest ? have - e->count + 1 : 0;
    for (size_t i = 0, at = 0; i < e->count; i++) {
        size_t takes = e->segments[i].kind == REST ? span : 1;
        for (size_t j = 0; j < takes; j++) {
            if (!segment_matches(&e->segments[i], req->segments[at + j])) {
                return SIZE_MAX;
            }
        }
        at += takes;
    }
    return span;
}

static bool method_matches(const struct http_router_entry *e, int method)
{
    return e->method == ANY_METHOD || e->method == method || (method == HTTP_HEAD && e->method == HTTP_GET);
}

static void fill_params(const struct http_router_entry *e, size_t span, struct gtv_http_request *req)
{
    req->param_count = 0;
    for (size_t i = 0, at = 0; i < e->count; i++) {
        const struct segment *seg = &e->segments[i];
        size_t takes = seg->kind == REST ? span : 1;
        if (seg->kind != LITERAL) {
            // Segments of one path lie side by side, with their slashes between them.
            struct gtv_str first = req->segments[at], last = req->segments[at + takes - 1];
            struct gtv_str value = {first.p, (size_t)(last.p + last.n - first.p)};
            req->params[req->param_count++] = (struct http_param){seg->text, value};
        }
        at += takes;
    }
}

enum http_match http_router_match(const struct http_router *r, struct gtv_http_request *req)
{
    int method = llhttp_get_method(&req->parser);
    bool path_known = false;
    for (size_t i = 0; i < r->count; i++) {
        const struct http_router_entry *e = &r->entries[i];
        size_t span = path_matches(e, req);
        if (span == SIZE_MAX) {
            continue;
        }
        if (method_matches(e, method)) {
            req->route = e->route;
            fill_params(e, span, req);
            return HTTP_MATCH;
        }
        path_known = true;
    }
    if (!path_known) {
        return HTTP_NO_PATH;
    }
    req->allow = http_router_allow(r, req);
    return HTTP_NO_METHOD;
}

const char *http_router_allow(const struct http_router *r, struct gtv_http_request *req)
{
    static const int listed[] = {HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE};
    bool takes[METHOD_COUNT] = {false};
    bool any = false;
    for (size_t i = 0; i < r->count; i++) {
        if (path_matches(&r->entries[i], req) == SIZE_MAX) {
            continue;
        }
        any = true;
        for (int m = 0; m < METHOD_COUNT; m++) {
            takes[m] = takes[m] || method_matches(&r->entries[i], m);
        }
    }
    if (!any) {
        return NULL;
    }
    const char *list = "";
    for (size_t i = 0; i < sizeof(listed) / sizeof(listed[0]); i++) {
        if (takes[listed[i]]) {
            list =
                gtv_arena_printf(&req->arena, "%s%s, ", list, llhttp_method_name((llhttp_method_t)listed[i]));
        }
    }
    return gtv_arena_printf(&req->arena, "%sOPTIONS", list);
}
