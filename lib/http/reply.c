// Replies: heads built on the stack, bodies sent by reference, streams with or without chunks.
#include "lib/http/internal.h"

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/json/json.h"

#include <assert.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

enum { MAX_PIECES_AT_ONCE = 62 };

void http_head_init(struct http_head *h)
{
    h->data = h->space;
    h->len = 0;
    h->cap = sizeof(h->space);
}

void http_head_finish(struct http_head *h)
{
    if (h->data != h->space) {
        free(h->data);
    }
}

static void head_grow(struct http_head *h, size_t need)
{
    size_t cap = h->cap;
    while (cap < need) {
        cap *= 2;
    }
    char *grown = gtv_realloc(h->data == h->space ? NULL : h->data, cap);
    if (h->data == h->space) {
        memcpy(grown, h->space, h->len);
    }
    h->data = grown;
    h->cap = cap;
}

void http_head_add(struct http_head *h, const char *data, size_t n)
{
    if (h->len + n > h->cap) {
        head_grow(h, h->len + n);
    }
    memcpy(h->data + h->len, data, n);
    h->len += n;
}

#define ADD(h, literal) http_head_add((h), (literal), sizeof(literal) - 1)

void http_head_field(struct http_head *h, struct gtv_str name, struct gtv_str value)
{
    http_head_add(h, name.p, name.n);
    ADD(h, ": ");
    http_head_add(h, value.p, value.n);
    ADD(h, "\r\n");
}

static void add_number(struct http_head *h, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    http_head_add(h, digits + at, sizeof(digits) - at);
}

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } known[] = {
        {101, "Switching Protocols"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {422, "Unprocessable Content"},
        {425, "Too Early"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].status == status) {
            return known[i].text;
        }
    }
    return "Status"; // a proxied one without a name here
}

// A name or value with a line end in it would let its source write headers, or a whole reply, of its own.
bool http_field_valid(struct gtv_str name, struct gtv_str value)
{
    // Without a branch a byte: every header of every reply comes by here.
    unsigned bad = name.n == 0;
    for (size_t i = 0; i < name.n; i++) {
        unsigned ch = (unsigned char)name.p[i];
        bad |= (unsigned)(ch <= 0x20) | (unsigned)(ch >= 0x7f) | (unsigned)(ch == ':');
    }
    for (size_t i = 0; i < value.n; i++) {
        unsigned ch = (unsigned char)value.p[i];
        bad |= ((unsigned)(ch < 0x20) & (unsigned)(ch != '\t')) | (unsigned)(ch == 0x7f);
    }
    return bad == 0;
}

// What the caller's fields say themselves; ours are left out then.
struct overrides {
    bool date, server, origin, vary;
};

static bool is(struct gtv_str name, const char *lower, size_t n)
{
    return name.n == n && strncasecmp(name.p, lower, n) == 0;
}

// False for the fields that only the server may write.
static bool take_field(struct gtv_http_request *req, const struct gtv_http_header *f, struct overrides *o)
{
    switch (f->name.n) {
    case 4:
        o->date = o->date || is(f->name, "date", 4);
        o->vary = o->vary || is(f->name, "vary", 4);
        break;
    case 6:
        o->server = o->server || is(f->name, "server", 6);
        break;
    case 10:
        if (is(f->name, "connection", 10)) {
            req->close_after = req->close_after || gtv_str_ieq(f->value, GTV_STR("close"));
            return false;
        }
        return !is(f->name, "keep-alive", 10);
    case 12:
        return !is(f->name, "x-request-id", 12);
    case 14:
        return !is(f->name, "content-length", 14);
    case 17:
        return !is(f->name, "transfer-encoding", 17);
    case 27:
        o->origin = o->origin || is(f->name, "access-control-allow-origin", 27);
        break;
    default:
        break;
    }
    return true;
}

static void add_fields(struct http_head *h, struct gtv_http_request *req,
                       const struct gtv_http_header *fields, size_t n, struct overrides *o)
{
    for (size_t i = 0; i < n; i++) {
        if (!http_field_valid(fields[i].name, fields[i].value)) {
            gtv_log_error(&req->server->log, "a reply header was left out, for it holds control characters",
                          "header=\"" GTV_STR_FMT "\"", GTV_STR_ARG(fields[i].name));
        } else if (take_field(req, &fields[i], o)) {
            http_head_field(h, fields[i].name, fields[i].value);
        }
    }
}

static void add_status(struct http_head *h, int status)
{
    if (status == 200) {
        ADD(h, "HTTP/1.1 200 OK\r\n");
        return;
    }
    ADD(h, "HTTP/1.1 ");
    add_number(h, (uint64_t)status);
    ADD(h, " ");
    const char *text = http_status_text(status);
    http_head_add(h, text, strlen(text));
    ADD(h, "\r\n");
}

static void add_own(struct http_head *h, struct gtv_http_request *req, const struct overrides *o)
{
    struct gtv_http_server *s = req->server;
    if (!o->date) {
        size_t n = 0;
        const char *line = http_date_line(s, &n);
        http_head_add(h, line, n);
    }
    if (!o->server) {
        ADD(h, "Server: ");
        http_head_add(h, s->config.name, strlen(s->config.name));
        ADD(h, "\r\n");
    }
    if (s->config.cors_origin && !o->origin) {
        ADD(h, "Access-Control-Allow-Origin: ");
        http_head_add(h, s->config.cors_origin, strlen(s->config.cors_origin));
        ADD(h, "\r\n");
        if (s->config.cors_origin[0] != '*' && !o->vary) {
            ADD(h, "Vary: Origin\r\n");
        }
    }
    if (req->allow) {
        http_head_field(h, GTV_STR("Allow"), gtv_str_of(req->allow));
    }
    http_head_field(h, GTV_STR("X-Request-ID"), gtv_http_request_id(req));
    req->close_after = req->close_after || s->stopping;
    if (req->close_after) {
        ADD(h, "Connection: close\r\n");
    } else if (req->parser.http_minor == 0) {
        ADD(h, "Connection: keep-alive\r\n");
    }
}

static bool bodyless(int status)
{
    return status == 204 || status == 304 || status < 200;
}

// content_length -1: none is written.
static void build_head(struct http_head *h, struct gtv_http_request *req, int status,
                       const struct gtv_http_header *fields, size_t n, int64_t content_length)
{
    struct overrides o = {0};
    http_head_init(h);
    add_status(h, status);
    add_fields(h, req, fields, n, &o);
    if (content_length >= 0 && !bodyless(status)) {
        ADD(h, "Content-Length: ");
        add_number(h, (uint64_t)content_length);
        ADD(h, "\r\n");
    }
    if (req->chunked) {
        ADD(h, "Transfer-Encoding: chunked\r\n");
    }
    add_own(h, req, &o);
    ADD(h, "\r\n");
    int class = status / 100;
    req->server->counts.by_class[class <= 5 ? class : 5]++;
    req->status = status;
}

// The handler's part is over. Without a connection nobody else knows the request any more.
static void end(struct gtv_http_request *req)
{
    req->reply = HTTP_REPLY_ENDED;
    if (req->conn) {
        if (!req->conn->in_handler) {
            http_defer(req->conn);
        }
        return;
    }
    if (req->prev) {
        req->prev->next = req->next;
    } else {
        req->server->orphans = req->next;
    }
    if (req->next) {
        req->next->prev = req->prev;
    }
    http_request_recycle(req);
}

void gtv_http_reply_pieces(struct gtv_http_request *req, int status, const struct gtv_http_header *headers,
                           size_t n, struct gtv_bytes *const *pieces, size_t piece_count)
{
    assert(req->reply == HTTP_REPLY_NONE && "a request has one reply");
    if (!req->conn) {
        end(req);
        return;
    }
    size_t length = 0;
    for (size_t i = 0; i < piece_count; i++) {
        length += pieces[i]->len;
    }
    struct http_head head;
    build_head(&head, req, status, headers, n, (int64_t)length);
    uv_buf_t bufs[MAX_PIECES_AT_ONCE + 1];
    struct gtv_bytes *refs[MAX_PIECES_AT_ONCE + 1];
    bufs[0] = uv_buf_init(head.data, (unsigned)head.len);
    refs[0] = NULL;
    size_t count = 1;
    if (gtv_http_is_head(req) || bodyless(status)) {
        piece_count = 0;
        length = 0;
    }
    req->sent = length;
    for (size_t i = 0; i < piece_count; i++) {
        if (count == sizeof(bufs) / sizeof(bufs[0])) {
            http_send(req->conn, bufs, refs, count);
            count = 0;
        }
        if (pieces[i]->len > 0) {
            bufs[count] = uv_buf_init((char *)pieces[i]->data, (unsigned)pieces[i]->len);
            refs[count++] = pieces[i];
        }
    }
    http_send(req->conn, bufs, refs, count);
    http_head_finish(&head);
    end(req);
}

void gtv_http_reply(struct gtv_http_request *req, int status, const struct gtv_http_header *headers, size_t n,
                    struct gtv_bytes *body)
{
    gtv_http_reply_pieces(req, status, headers, n, &body, body ? 1 : 0);
}

void gtv_http_reply_str(struct gtv_http_request *req, int status, const char *content_type,
                        struct gtv_str body)
{
    struct gtv_http_header type = {GTV_STR("Content-Type"), gtv_str_of(content_type)};
    struct gtv_bytes *copy = gtv_bytes_copy(body.p, body.n);
    if (!copy) {
        gtv_http_reply(req, 503, NULL, 0, NULL);
        return;
    }
    gtv_http_reply(req, status, &type, content_type ? 1 : 0, copy);
    gtv_bytes_unref(copy);
}

void http_reply_error(struct gtv_http_request *req, enum gtv_code code, const char *text)
{
    const struct gtv_http_server_config *config = &req->server->config;
    text = text ? text : gtv_code_text(code);
    if (config->error_reply) {
        config->error_reply(req, code, text, config->user);
        return;
    }
    struct gtv_buf out;
    gtv_buf_init(&out, 4096);
    (void)gtv_buf_puts(&out, "{\"detail\":");
    gtv_json_quote(&out, gtv_str_of(text));
    (void)gtv_buf_printf(&out, ",\"code\":\"%s\",\"field\":null}", gtv_code_name(code));
    gtv_http_reply_str(req, gtv_code_http_status(code), "application/json", gtv_buf_str(&out));
    gtv_buf_finish(&out);
}

void gtv_http_stream_begin(struct gtv_http_request *req, int status, const struct gtv_http_header *headers,
                           size_t n, int64_t content_length)
{
    assert(req->reply == HTTP_REPLY_NONE && "a request has one reply");
    req->reply = HTTP_REPLY_STREAMING;
    if (!req->conn) {
        return;
    }
    bool no_body = gtv_http_is_head(req) || bodyless(status);
    req->stream_left = no_body ? 0 : content_length;
    if (content_length < 0 && !bodyless(status)) {
        req->chunked = req->parser.http_minor > 0;
        req->close_after =
            req->close_after || !req->chunked; // HTTP/1.0: the end of the connection is the end of the body
    }
    struct http_head head;
    build_head(&head, req, status, headers, n, content_length);
    req->chunked = req->chunked && !no_body;
    // Held back for a moment: most writers have their first piece at hand.
    http_send_later(req->conn, head.data, head.len);
    http_head_finish(&head);
}

static void write_chunk(struct gtv_http_request *req, struct gtv_bytes *piece)
{
    struct http_head line;
    http_head_init(&line);
    if (req->chunk_open) {
        ADD(&line, "\r\n");
    }
    static const char hex[] = "0123456789abcdef";
    char digits[16];
    size_t at = sizeof(digits);
    for (size_t v = piece->len; v > 0; v >>= 4) {
        digits[--at] = hex[v & 15];
    }
    http_head_add(&line, digits + at, sizeof(digits) - at);
    ADD(&line, "\r\n");
    req->chunk_open = true;
    uv_buf_t bufs[2] = {uv_buf_init(line.data, (unsigned)line.len),
                        uv_buf_init((char *)piece->data, (unsigned)piece->len)};
    struct gtv_bytes *refs[2] = {NULL, piece};
    http_send(req->conn, bufs, refs, 2);
}

void gtv_http_stream_write(struct gtv_http_request *req, struct gtv_bytes *piece)
{
    assert(req->reply == HTTP_REPLY_STREAMING && "stream_begin comes first, and nothing after stream_end");
    if (!req->conn || piece->len == 0 || req->stream_left == 0) {
        return;
    }
    if (req->chunked) {
        req->sent += piece->len;
        write_chunk(req, piece);
        return;
    }
    size_t n = piece->len;
    if (req->stream_left > 0) {
        n = n < (size_t)req->stream_left ? n : (size_t)req->stream_left; // never more than was announced
        req->stream_left -= (int64_t)n;
    }
    req->sent += n;
    uv_buf_t buf = uv_buf_init((char *)piece->data, (unsigned)n);
    http_send(req->conn, &buf, &piece, 1);
}

size_t gtv_http_stream_pending(const struct gtv_http_request *req)
{
    return req->conn ? http_pending(req->conn) : 0;
}

void gtv_http_stream_on_drain(struct gtv_http_request *req, void (*fn)(void *arg), void *arg)
{
    req->drain_fn = fn;
    req->drain_arg = arg;
}

void gtv_http_stream_end(struct gtv_http_request *req)
{
    assert(req->reply == HTTP_REPLY_STREAMING);
    if (req->conn && req->chunked) {
        struct gtv_bytes *none = NULL;
        const char *tail = req->chunk_open ? "\r\n0\r\n\r\n" : "0\r\n\r\n";
        uv_buf_t buf = uv_buf_init((char *)tail, (unsigned)strlen(tail));
        http_send(req->conn, &buf, &none, 1);
    } else if (req->conn && req->stream_left > 0) {
        gtv_http_stream_abort(req); // fewer bytes than announced: the client must see it
        return;
    }
    end(req);
}

void gtv_http_stream_abort(struct gtv_http_request *req)
{
    struct gtv_http_conn *c = req->conn;
    if (c) {
        uv_os_fd_t fd = -1;
        if (!req->chunked && req->stream_left < 0 && uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0) {
            // The end of the connection is the end of this body: only a reset says that it was cut.
            struct linger reset = {.l_onoff = 1, .l_linger = 0};
            (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        }
        http_conn_close(c); // on_close(false) follows from the loop
        req->reply = HTTP_REPLY_ENDED;
        return;
    }
    end(req);
}
