// The request object: its pool, its target, and what handlers ask of it.
#include "lib/http/internal.h"

#include "lib/base/mem.h"
#include "lib/base/url.h"

#include <stdlib.h>

struct gtv_http_request *http_request_take(struct gtv_http_server *s)
{
    struct gtv_http_request *req = s ? s->pool : NULL;
    if (req) {
        s->pool = req->next;
        s->pooled--;
        req->next = NULL;
    } else {
        req = gtv_alloc(sizeof(*req));
        req->head = req->inline_head;
        req->head_cap = HTTP_INLINE_HEAD;
    }
    req->server = s;
    req->began_ns = s && http_logs_requests(s) ? uv_hrtime() : 0;
    http_parse_init(req);
    return req;
}

static void release_body(struct gtv_http_request *req)
{
    if (req->body_owned) {
        free(req->body);
        if (req->server) {
            req->server->body_bytes -= req->body_cap;
        }
    }
}

// Leaves the object as new, but for its arena's block; the large arrays need no clearing.
static void clear(struct gtv_http_request *req)
{
    release_body(req);
    if (req->head != req->inline_head) {
        free(req->head);
        req->head = req->inline_head;
        req->head_cap = HTTP_INLINE_HEAD;
    }
    gtv_arena_reset(&req->arena);
    req->conn = NULL;
    req->next = req->prev = NULL;
    req->error = GTV_OK;
    req->error_text = NULL;
    req->head_len = req->field_count = req->target_off = req->target_len = 0;
    req->in_field = req->keep_alive = req->continue_wanted = false;
    req->max_body = 0;
    req->body = NULL;
    req->body_len = req->body_cap = req->wire_len = 0;
    req->body_owned = false;
    req->on_head = NULL;
    req->target = req->path = req->query = (struct gtv_str){0};
    req->segment_count = req->param_count = req->id_len = 0;
    req->cause = NULL;
    req->route = NULL;
    req->allow = NULL;
    req->preflight = false;
    req->reply = HTTP_REPLY_NONE;
    req->chunked = req->chunk_open = req->close_after = req->upgraded = false;
    req->stream_left = 0;
    req->status = 0;
    req->sent = 0;
    req->close_fn = NULL;
    req->close_arg = NULL;
    req->drain_fn = NULL;
    req->drain_arg = NULL;
}

void http_request_recycle(struct gtv_http_request *req)
{
    struct gtv_http_server *s = req->server;
    if (!s || s->destroyed || s->pooled >= HTTP_POOLED_REQUESTS) {
        http_request_free(req);
        return;
    }
    clear(req);
    req->next = s->pool;
    s->pool = req;
    s->pooled++;
}

void http_request_free(struct gtv_http_request *req)
{
    if (!req) {
        return;
    }
    release_body(req);
    if (req->head != req->inline_head) {
        free(req->head);
    }
    gtv_arena_finish(&req->arena);
    free(req);
}

static bool malformed(struct gtv_http_request *req, const char *text)
{
    http_parse_fail(req, GTV_E_BAD_REQUEST, text);
    return false;
}

// Absolute form (RFC 9112, 3.2.2): what counts is the path; Host was checked on its own.
static bool strip_authority(struct gtv_str *target)
{
    struct gtv_str rest = *target;
    if (gtv_str_starts(rest, GTV_STR("http://"))) {
        rest.p += 7;
        rest.n -= 7;
    } else if (gtv_str_starts(rest, GTV_STR("https://"))) {
        rest.p += 8;
        rest.n -= 8;
    } else {
        return false;
    }
    size_t i = 0;
    while (i < rest.n && rest.p[i] != '/' && rest.p[i] != '?') {
        i++;
    }
    if (i == 0) {
        return false;
    }
    *target = (struct gtv_str){rest.p + i, rest.n - i};
    return true;
}

static bool dot_segment(struct gtv_str s)
{
    return (s.n == 1 && s.p[0] == '.') || (s.n == 2 && s.p[0] == '.' && s.p[1] == '.');
}

// A decoded %2F may hide dot segments inside one segment of the raw path.
static bool has_dots(struct gtv_str seg)
{
    struct gtv_str rest = seg;
    while (rest.n > 0) {
        if (dot_segment(gtv_str_cut(&rest, '/'))) {
            return true;
        }
    }
    return false;
}

// Decodes segment by segment into one string, so that an encoded slash never becomes a border.
static bool split_path(struct gtv_http_request *req, struct gtv_str raw)
{
    bool encoded = memchr(raw.p, '%', raw.n) != NULL;
    char *to = encoded ? gtv_arena_alloc(&req->arena, raw.n + 1) : NULL;
    const char *start = encoded ? to : raw.p;
    size_t at = 1;
    if (encoded) {
        *to++ = '/';
    }
    for (;;) {
        size_t end = at;
        while (end < raw.n && raw.p[end] != '/') {
            end++;
        }
        struct gtv_str seg = {raw.p + at, end - at};
        if (encoded) {
            ptrdiff_t n = gtv_url_decode(seg, false, to, raw.n + 1 - (size_t)(to - start));
            if (n < 0) {
                return malformed(req, "Malformed percent-encoding in the path");
            }
            seg = (struct gtv_str){to, (size_t)n};
            to += n;
        }
        if (has_dots(seg)) {
            return malformed(req, "Dot segments in the path");
        }
        if (req->segment_count < HTTP_MAX_SEGMENTS) {
            req->segments[req->segment_count] = seg;
        }
        req->segment_count++; // beyond the array: matches no route
        if (end == raw.n) {
            break;
        }
        if (encoded) {
            *to++ = '/';
        }
        at = end + 1;
    }
    req->path = encoded ? (struct gtv_str){start, (size_t)(to - start)} : raw;
    return true;
}

bool http_request_split_target(struct gtv_http_request *req)
{
    struct gtv_str target = req->target; // never empty: llhttp sees to that
    for (size_t i = 0; i < target.n; i++) {
        unsigned char ch = (unsigned char)target.p[i];
        if (ch <= 0x20 || ch >= 0x7f || ch == '#') {
            return malformed(req, "Character not allowed in the request target");
        }
    }
    if (target.n == 1 && target.p[0] == '*' && llhttp_get_method(&req->parser) == HTTP_OPTIONS) {
        req->path = target;
        return true;
    }
    if (target.p[0] != '/' && !strip_authority(&target)) {
        return malformed(req, "The request target must begin with a slash");
    }
    struct gtv_str raw = target;
    ptrdiff_t mark = gtv_str_find(target, '?');
    if (mark >= 0) {
        raw.n = (size_t)mark;
        req->query = (struct gtv_str){target.p + mark + 1, target.n - (size_t)mark - 1};
    }
    return split_path(req, raw.n > 0 ? raw : GTV_STR("/")); // "http://host?x" means "/?x"
}

struct gtv_str gtv_http_method(const struct gtv_http_request *req)
{
    return gtv_str_of(llhttp_method_name((llhttp_method_t)req->parser.method));
}

struct gtv_str gtv_http_target(const struct gtv_http_request *req)
{
    return req->target;
}

struct gtv_str gtv_http_path(const struct gtv_http_request *req)
{
    return req->path;
}

struct gtv_str gtv_http_query_string(const struct gtv_http_request *req)
{
    return req->query;
}

struct gtv_str gtv_http_header(const struct gtv_http_request *req, const char *name)
{
    struct gtv_str wanted = gtv_str_of(name);
    for (size_t i = 0; i < req->field_count; i++) {
        if (req->fields[i].name_len == wanted.n && gtv_str_ieq(http_field_name(req, i), wanted)) {
            return http_field_value(req, i);
        }
    }
    return (struct gtv_str){0};
}

bool gtv_http_header_at(const struct gtv_http_request *req, size_t i, struct gtv_http_header *out)
{
    if (i >= req->field_count) {
        return false;
    }
    *out = (struct gtv_http_header){http_field_name(req, i), http_field_value(req, i)};
    return true;
}

struct gtv_str gtv_http_param(const struct gtv_http_request *req, const char *name)
{
    struct gtv_str wanted = gtv_str_of(name);
    for (size_t i = 0; i < req->param_count; i++) {
        if (gtv_str_eq(req->params[i].name, wanted)) {
            return req->params[i].value;
        }
    }
    return (struct gtv_str){0};
}

static bool decode(struct gtv_http_request *req, struct gtv_str raw, struct gtv_str *out)
{
    if (!raw.n || (!memchr(raw.p, '%', raw.n) && !memchr(raw.p, '+', raw.n))) {
        *out = raw.p ? raw : GTV_STR("");
        return true;
    }
    char *to = gtv_arena_alloc(&req->arena, raw.n + 1);
    ptrdiff_t n = gtv_url_decode(raw, true, to, raw.n + 1);
    *out = (struct gtv_str){to, n < 0 ? 0 : (size_t)n};
    return n >= 0;
}

struct gtv_str gtv_http_query(struct gtv_http_request *req, const char *name)
{
    struct gtv_str wanted = gtv_str_of(name), rest = req->query;
    while (rest.n > 0) {
        struct gtv_str value = gtv_str_cut(&rest, '&');
        struct gtv_str key = gtv_str_cut(&value, '='), plain;
        if (value.n == 0) {
            value = GTV_STR("");
        }
        if (!decode(req, key, &plain) || !gtv_str_eq(plain, wanted)) {
            continue;
        }
        return decode(req, value, &plain) ? plain : (struct gtv_str){0};
    }
    return (struct gtv_str){0};
}

struct gtv_str gtv_http_body(const struct gtv_http_request *req)
{
    return (struct gtv_str){req->body, req->body_len};
}

char *gtv_http_take_body(struct gtv_http_request *req, size_t *len)
{
    size_t n = req->body_len;
    char *taken = req->body_owned ? req->body : malloc(n + GTV_HTTP_BODY_PADDING);
    if (!taken)
        return NULL;
    if (!req->body_owned && n)
        memcpy(taken, req->body, n);
    memset(taken + n, 0, GTV_HTTP_BODY_PADDING);
    if (req->body_owned && req->server)
        req->server->body_bytes -= req->body_cap;
    req->body = NULL;
    req->body_len = req->body_cap = 0;
    req->body_owned = false;
    *len = n;
    return taken;
}

// Walks from the nearest hop outwards: the first address that is no proxy of ours is the client. A hop that
// is no address ends the walk, for what is left of it was written by who knows whom.
static void forwarded_peer(const struct gtv_http_request *req, uint8_t peer[16])
{
    const struct http_trusted *trusted = &req->server->trusted;
    for (size_t i = (size_t)req->forwarded_field + 1; i-- > 0;) {
        if (!gtv_str_ieq(http_field_name(req, i), GTV_STR("x-forwarded-for"))) {
            continue;
        }
        struct gtv_str list = http_field_value(req, i);
        while (list.n > 0) {
            size_t start = list.n;
            while (start > 0 && list.p[start - 1] != ',') {
                start--;
            }
            uint8_t hop[16];
            if (!http_addr_parse((struct gtv_str){list.p + start, list.n - start}, hop)) {
                return;
            }
            memcpy(peer, hop, sizeof(hop));
            if (!http_trusted_has(trusted, hop)) {
                return;
            }
            list.n = start > 0 ? start - 1 : 0;
        }
    }
}

struct gtv_str gtv_http_peer(const struct gtv_http_request *req)
{
    if (!req->conn) {
        return GTV_STR("");
    }
    uint8_t peer[16];
    memcpy(peer, req->conn->peer, sizeof(peer));
    if (req->forwarded_field >= 0 && http_trusted_has(&req->server->trusted, peer)) {
        forwarded_peer(req, peer);
    }
    // The arena is the request's own scratch space: writing there changes nothing that a caller sees.
    char *text = gtv_arena_alloc((struct gtv_arena *)&req->arena, HTTP_ADDR_CAP);
    return gtv_str_of(http_addr_format(peer, text));
}

// xorshift128+ (Vigna 2017): unique enough to find a request in the logs, and no secret.
static uint64_t next_id(uint64_t state[2])
{
    uint64_t a = state[0], b = state[1];
    state[0] = b;
    a ^= a << 23;
    state[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
    return state[1] + b;
}

struct gtv_str gtv_http_request_id(struct gtv_http_request *req)
{
    if (req->id_len == 0) {
        struct gtv_str given =
            req->id_field >= 0 ? http_field_value(req, (size_t)req->id_field) : (struct gtv_str){0};
        if (given.p && gtv_request_id_valid(given)) {
            memcpy(req->id, given.p, given.n);
            req->id_len = given.n;
        } else {
            static const char hex[] = "0123456789abcdef";
            uint64_t id = next_id(req->server->id_state);
            for (size_t i = 0; i < 16; i++, id >>= 4) {
                req->id[i] = hex[id & 15];
            }
            req->id_len = 16;
        }
        req->id[req->id_len] = '\0';
    }
    return (struct gtv_str){req->id, req->id_len};
}

const struct gtv_cause *gtv_http_cause(struct gtv_http_request *req)
{
    if (req->cause)
        return req->cause;
    struct gtv_cause *c = gtv_arena_alloc(&req->arena, sizeof(*c));
    *c = (struct gtv_cause){0};
    gtv_cause_set_request(c, gtv_http_request_id(req));
    // One traceparent, or none counts; a tracestate without it means nothing (section 3.3 of the standard).
    size_t found = 0;
    for (size_t i = 0; i < req->field_count; i++) {
        if (gtv_str_ieq(http_field_name(req, i), GTV_STR("traceparent")) && found++ == 0)
            found += !gtv_cause_set_trace(c, http_field_value(req, i));
    }
    if (found != 1)
        c->trace[0] = c->parent[0] = c->flags[0] = '\0';
    for (size_t i = 0; i < req->field_count && c->trace[0]; i++) {
        if (gtv_str_ieq(http_field_name(req, i), GTV_STR("tracestate")))
            gtv_cause_add_state(c, http_field_value(req, i));
    }
    req->cause = c;
    return c;
}

struct gtv_arena *gtv_http_arena(struct gtv_http_request *req)
{
    return &req->arena;
}

struct gtv_loop *gtv_http_loop(const struct gtv_http_request *req)
{
    return req->server->loop;
}

bool gtv_http_is_head(const struct gtv_http_request *req)
{
    return req->parser.method == HTTP_HEAD;
}

bool gtv_http_stopping(const struct gtv_http_request *req)
{
    return req->server->stopping;
}

void gtv_http_on_close(struct gtv_http_request *req, void (*fn)(void *arg, bool complete), void *arg)
{
    req->close_fn = fn;
    req->close_arg = arg;
    if (!req->conn && fn) { // an orphan: the news comes from the loop
        http_wake_idle(req->server);
    }
}
