// Connections that leave HTTP (RFC 9110, 7.8).
#include "lib/http/internal.h"

#include "lib/base/mem.h"

#include <assert.h>

static void build_101(struct http_head *h, struct gtv_http_request *req,
                      const struct gtv_http_header *headers, size_t n)
{
    static const char first[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n";
    bool has_upgrade = false;
    http_head_init(h);
    http_head_add(h, first, sizeof(first) - 1);
    for (size_t i = 0; i < n; i++) {
        if (gtv_str_ieq(headers[i].name, GTV_STR("connection")) ||
            !http_field_valid(headers[i].name, headers[i].value)) {
            continue;
        }
        has_upgrade = has_upgrade || gtv_str_ieq(headers[i].name, GTV_STR("upgrade"));
        http_head_field(h, headers[i].name, headers[i].value);
    }
    struct gtv_str wanted = gtv_http_header(req, "upgrade");
    if (!has_upgrade && wanted.n > 0) {
        http_head_field(h, GTV_STR("Upgrade"), wanted);
    }
    http_head_add(h, "\r\n", 2);
}

struct gtv_http_conn *gtv_http_upgrade(struct gtv_http_request *req, const struct gtv_http_header *headers,
                                       size_t n, const struct gtv_http_upgrade *handlers)
{
    assert(req->reply == HTTP_REPLY_NONE && "a request has one reply");
    struct gtv_http_conn *c = req->conn;
    if (!c) {
        req->reply = HTTP_REPLY_STREAMING;
        gtv_http_stream_abort(req); // an orphan: this lets go of it
        return NULL;
    }
    struct http_head head;
    build_101(&head, req, headers, n);
    c->upgrade = GTV_NEW(struct gtv_http_upgrade);
    *c->upgrade = *handlers;
    req->upgraded = true;
    req->reply = HTTP_REPLY_ENDED;
    req->server->counts.by_class[1]++;
    struct gtv_bytes *none = NULL;
    uv_buf_t buf = uv_buf_init(head.data, (unsigned)head.len);
    http_send(c, &buf, &none, 1);
    http_head_finish(&head);
    if (!c->in_handler) {
        http_defer(c);
    }
    return c;
}

void gtv_http_conn_write(struct gtv_http_conn *c, struct gtv_bytes *piece)
{
    if (piece->len == 0 || c->close_when_flushed) {
        return;
    }
    uv_buf_t buf = uv_buf_init((char *)piece->data, (unsigned)piece->len);
    http_send(c, &buf, &piece, 1);
}

void gtv_http_conn_write_many(struct gtv_http_conn *c, struct gtv_bytes *const *pieces, size_t n)
{
    uv_buf_t bufs[GTV_HTTP_PIECES_MAX];
    assert(n <= GTV_HTTP_PIECES_MAX);
    if (n == 0 || c->close_when_flushed) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        bufs[i] = uv_buf_init((char *)pieces[i]->data, (unsigned)pieces[i]->len);
    }
    http_send(c, bufs, pieces, n);
}

size_t gtv_http_conn_pending(const struct gtv_http_conn *c)
{
    return http_pending(c);
}

void gtv_http_conn_close(struct gtv_http_conn *c, bool flush_first)
{
    if (!flush_first) {
        http_conn_close(c);
        return;
    }
    c->close_when_flushed = true;
    http_defer(c);
}
