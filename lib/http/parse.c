// llhttp's callbacks and the checks that it leaves to its user: limits, one Host, transfer codings, versions.
#include "lib/http/internal.h"

#include "lib/base/mem.h"

#include <stdlib.h>
#include <strings.h>

void http_parse_fail(struct gtv_http_request *req, enum gtv_code code, const char *text)
{
    if (req->phase != HTTP_FAILED) {
        req->phase = HTTP_FAILED;
        req->error = code;
        req->error_text = text;
    }
}

static int fail(llhttp_t *p, enum gtv_code code, const char *text)
{
    http_parse_fail(p->data, code, text);
    return HPE_USER;
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
    struct gtv_http_request *req = p->data;
    if (req->target_len == 0) {
        req->target_off = (size_t)(at - req->head);
    }
    req->target_len += n;
    if (req->target_len > HTTP_MAX_TARGET) {
        return fail(p, GTV_E_TARGET_TOO_LONG, NULL);
    }
    return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    struct gtv_http_request *req = p->data;
    if (req->phase != HTTP_IN_HEAD) {
        return 0; // trailers mean nothing here; the framing limit bounds them
    }
    if (req->field_count == HTTP_MAX_FIELDS) {
        return fail(p, GTV_E_HEADERS_TOO_LARGE, "More than 100 header fields");
    }
    struct http_field *f = &req->fields[req->field_count];
    if (!req->in_field) {
        req->in_field = true;
        *f = (struct http_field){.name_off = (uint16_t)(at - req->head)};
    }
    f->name_len = (uint16_t)(f->name_len + n);
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct gtv_http_request *req = p->data;
    if (req->phase != HTTP_IN_HEAD) {
        return 0;
    }
    struct http_field *f = &req->fields[req->field_count];
    if (f->value_len == 0) {
        f->value_off = (uint16_t)(at - req->head);
    }
    f->value_len = (uint16_t)(f->value_len + n);
    return 0;
}

static int on_value_complete(llhttp_t *p)
{
    struct gtv_http_request *req = p->data;
    if (req->phase != HTTP_IN_HEAD) {
        return 0;
    }
    struct http_field *f = &req->fields[req->field_count];
    while (f->value_len > 0) {
        char last = req->head[f->value_off + f->value_len - 1];
        if (last != ' ' && last != '\t') {
            break;
        }
        f->value_len--;
    }
    req->field_count++;
    req->in_field = false;
    return 0;
}

// RFC 9110, 7.2 with RFC 3986, 3.2.2: a reg-name or an address with an optional port; no user, no path, no
// list.
static bool host_valid(struct gtv_str host)
{
    static const char punct[] = "-._~!$&'()*+;=:%[]";
    for (size_t i = 0; i < host.n; i++) {
        char ch = host.p[i];
        bool alnum = (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
        if (!alnum && (ch == '\0' || !strchr(punct, ch))) {
            return false;
        }
    }
    return true;
}

static bool value_clean(struct gtv_str value)
{
    for (size_t i = 0; i < value.n; i++) {
        unsigned char ch = (unsigned char)value.p[i];
        if ((ch < 0x20 && ch != '\t') || ch == 0x7f) {
            return false;
        }
    }
    return true;
}

struct known {
    unsigned hosts, lengths, codings;
    bool coding_ok;
};

static bool is_name(struct gtv_str name, const char *lower)
{
    return strncasecmp(name.p, lower, name.n) == 0;
}

static void classify(struct gtv_http_request *req, size_t i, struct known *k)
{
    struct gtv_str name = http_field_name(req, i), value = http_field_value(req, i);
    switch (name.n) {
    case 4:
        if (is_name(name, "host")) {
            k->hosts += host_valid(value) ? 1 : 2; // a bad one is as wrong as two
        }
        break;
    case 6:
        if (is_name(name, "expect")) {
            req->expect_field = (int32_t)i;
        }
        break;
    case 12:
        if (is_name(name, "x-request-id")) {
            req->id_field = (int32_t)i;
        }
        break;
    case 14:
        k->lengths += is_name(name, "content-length");
        break;
    case 15:
        if (is_name(name, "x-forwarded-for")) {
            req->forwarded_field = (int32_t)i;
        }
        break;
    case 17:
        if (is_name(name, "transfer-encoding")) {
            k->codings++;
            k->coding_ok = gtv_str_ieq(value, GTV_STR("chunked"));
        }
        break;
    default:
        break;
    }
}

// RFC 9112, 3: method, one space, target, one space, version, and nothing else on the line.
static bool line_strict(const llhttp_t *p, const struct gtv_http_request *req)
{
    size_t at = 0, method = strlen(llhttp_method_name((llhttp_method_t)p->method));
    while (at < req->head_len && (req->head[at] == '\r' || req->head[at] == '\n')) {
        at++; // empty lines before a request are to be ignored (2.2)
    }
    size_t end = req->target_off + req->target_len;
    return req->target_off == at + method + 1 && req->head[at + method] == ' ' && end + 11 <= req->head_len &&
           memcmp(req->head + end, " HTTP/", 6) == 0 && memcmp(req->head + end + 9, "\r\n", 2) == 0;
}

// RFC 9112, 3.2, 6.1 and 6.3, as far as llhttp does not see to it.
static int check_head(llhttp_t *p, struct gtv_http_request *req)
{
    if (!line_strict(p, req)) {
        return fail(p, GTV_E_BAD_REQUEST, "Malformed request line");
    }
    if (p->http_major == 2) {
        return fail(p, GTV_E_HTTP_VERSION, NULL);
    }
    if (p->http_major != 1) {
        return fail(p, GTV_E_BAD_REQUEST, "HTTP/0.9 is not spoken here");
    }
    struct known k = {0};
    for (size_t i = 0; i < req->field_count; i++) {
        if (!value_clean(http_field_value(req, i))) {
            return fail(p, GTV_E_BAD_REQUEST, "Control character in a header");
        }
        classify(req, i, &k);
    }
    if (k.hosts > 1 || (k.hosts == 0 && p->http_minor > 0)) {
        return fail(p, GTV_E_BAD_REQUEST, "Exactly one valid Host header is needed");
    }
    if (k.lengths > 1 || (k.lengths && k.codings)) {
        return fail(p, GTV_E_BAD_REQUEST, "The length of the body is given twice");
    }
    if (k.codings && (k.codings > 1 || !k.coding_ok || p->http_minor == 0)) {
        return fail(p, GTV_E_BAD_REQUEST, "The only transfer coding is chunked, once, in HTTP/1.1");
    }
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    struct gtv_http_request *req = p->data;
    int rc = check_head(p, req);
    if (rc != 0) {
        return rc;
    }
    req->keep_alive = llhttp_should_keep_alive(p) != 0;
    req->target = (struct gtv_str){req->head + req->target_off, req->target_len};
    req->phase = HTTP_IN_BODY;
    if (req->on_head && !req->on_head(req)) {
        return HPE_USER;
    }
    bool has_body = (p->flags & F_CHUNKED) || p->content_length > 0;
    if (!(p->flags & F_CHUNKED) && p->content_length > req->max_body) {
        return fail(p, GTV_E_TOO_LARGE, NULL);
    }
    if (req->expect_field >= 0 && p->http_minor > 0) {
        if (!gtv_str_ieq(http_field_value(req, (size_t)req->expect_field), GTV_STR("100-continue"))) {
            return fail(p, GTV_E_EXPECTATION, NULL);
        }
        req->continue_wanted = has_body;
    }
    return 0;
}

// announced: bytes that are said to follow these; 0: not known.
static bool body_reserve(struct gtv_http_request *req, size_t more, uint64_t announced)
{
    size_t need = req->body_len + more;
    if (need <= req->body_cap) {
        return true;
    }
    // The announced length is only a claim: memory follows what really comes, but a body of common size is
    // not copied again and again while it grows.
    size_t cap = req->body_cap ? req->body_cap * 2 : 4096;
    while (cap < need) {
        cap *= 2;
    }
    if (announced > 0 && announced < HTTP_CLAIM_MAX && need + announced <= need * HTTP_CLAIM_FACTOR) {
        cap = need + (size_t)announced;
    }
    if (cap > req->max_body && req->max_body >= need) {
        cap = req->max_body;
    }
    struct gtv_http_server *s = req->server;
    if (s && s->body_bytes + cap - req->body_cap > HTTP_ALL_BODIES) {
        return false;
    }
    char *grown = realloc(req->body_owned ? req->body : NULL, cap + GTV_HTTP_BODY_PADDING);
    if (!grown) {
        return false;
    }
    if (s) {
        s->body_bytes += cap - req->body_cap;
    }
    req->body = grown;
    req->body_cap = cap;
    req->body_owned = true;
    return true;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct gtv_http_request *req = p->data;
    req->continue_wanted = false;
    if (n > req->max_body - req->body_len) {
        return fail(p, GTV_E_TOO_LARGE, NULL);
    }
    bool in_head = at >= req->head && at < req->head + req->head_cap;
    // llhttp counts content_length down before this call when the span is the whole of it.
    if (in_head && req->body_len == 0 && !(p->flags & F_CHUNKED) && p->content_length == 0) {
        req->body = req->head + (at - req->head);
        req->body_len = n;
        return 0;
    }
    if (!body_reserve(req, n, p->flags & F_CHUNKED ? 0 : p->content_length)) {
        return fail(p, GTV_E_LIMIT, "Too many request bodies are being read");
    }
    memcpy(req->body + req->body_len, at, n);
    req->body_len += n;
    return 0;
}

// A chunk that cannot fit is refused when its size is said, as a Content-Length is.
static int on_chunk_header(llhttp_t *p)
{
    const struct gtv_http_request *req = p->data;
    return p->content_length > req->max_body - req->body_len ? fail(p, GTV_E_TOO_LARGE, NULL) : 0;
}

static int on_message_complete(llhttp_t *p)
{
    struct gtv_http_request *req = p->data;
    req->continue_wanted = false;
    req->phase = HTTP_PARSED;
    return HPE_PAUSED; // what follows is the next request
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_chunk_header = on_chunk_header,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void http_parse_init(struct gtv_http_request *req)
{
    llhttp_init(&req->parser, HTTP_REQUEST, &settings);
    req->parser.data = req;
    req->phase = HTTP_IN_HEAD;
    req->expect_field = req->forwarded_field = req->id_field = -1;
}

// Whether the request line is in order but for its version: "... HTTP/d.d" CR.
static bool other_version(const struct gtv_http_request *req)
{
    const char *end = memchr(req->head, '\r', req->head_len);
    size_t n = end ? (size_t)(end - req->head) : 0;
    return n > 9 && memcmp(end - 9, " HTTP/", 6) == 0 && end[-3] >= '0' && end[-3] <= '9' && end[-2] == '.' &&
           end[-1] >= '0' && end[-1] <= '9' && !memchr(req->head, '\n', n);
}

static size_t execute(struct gtv_http_request *req, const char *data, size_t n)
{
    enum llhttp_errno rc = llhttp_execute(&req->parser, data, n);
    switch (rc) {
    case HPE_OK:
        return n;
    case HPE_PAUSED:
    case HPE_PAUSED_UPGRADE:
        return (size_t)(llhttp_get_error_pos(&req->parser) - data);
    case HPE_PAUSED_H2_UPGRADE:
        http_parse_fail(req, GTV_E_HTTP_VERSION, NULL);
        return n;
    case HPE_INVALID_VERSION:
        if (other_version(req)) {
            http_parse_fail(req, GTV_E_HTTP_VERSION, NULL);
            return n;
        }
        http_parse_fail(req, GTV_E_BAD_REQUEST, llhttp_get_error_reason(&req->parser));
        return n;
    default:
        http_parse_fail(req, GTV_E_BAD_REQUEST, llhttp_get_error_reason(&req->parser));
        return n;
    }
}

static void head_reserve(struct gtv_http_request *req, size_t need)
{
    if (need <= req->head_cap) {
        return;
    }
    char *grown = gtv_realloc(req->head == req->inline_head ? NULL : req->head, HTTP_MAX_HEAD);
    if (req->head == req->inline_head) {
        memcpy(grown, req->inline_head, req->head_len);
    }
    req->head = grown;
    req->head_cap = HTTP_MAX_HEAD;
}

size_t http_parse_feed(struct gtv_http_request *req, const char *data, size_t n)
{
    size_t used = 0;
    if (req->phase == HTTP_IN_HEAD) {
        // The head is collected in one place, so that its slices stay valid however long the handler takes.
        size_t room = HTTP_MAX_HEAD - req->head_len;
        size_t take = n < room ? n : room;
        head_reserve(req, req->head_len + take);
        char *at = req->head + req->head_len;
        memcpy(at, data, take);
        req->head_len += take;
        used = execute(req, at, take);
        if (req->phase == HTTP_IN_HEAD && req->head_len == HTTP_MAX_HEAD) {
            http_parse_fail(req, GTV_E_HEADERS_TOO_LARGE, NULL);
        }
        if (req->phase != HTTP_IN_BODY) {
            return used;
        }
    }
    if (req->phase == HTTP_IN_BODY && used < n) {
        size_t body = execute(req, data + used, n - used);
        req->wire_len += body;
        used += body;
        if (req->wire_len > HTTP_CHUNK_OVERHEAD + 9 * req->body_len) {
            http_parse_fail(req, GTV_E_BAD_REQUEST, "More framing than content in the body");
        }
    }
    return used;
}
