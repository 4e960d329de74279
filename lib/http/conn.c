// A connection: reads, hands whole requests to their handlers one at a time, and goes on when the reply is
// with the kernel.
#include "lib/http/internal.h"

#include "lib/base/mem.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static void feed(struct gtv_http_conn *c, const char *data, size_t n);

void http_conn_deadline(struct gtv_http_conn *c, uint64_t deadline)
{
    c->deadline = deadline;
    // A later deadline is noticed when the wheel comes by; only an earlier one has to move.
    if (deadline / HTTP_TICK_MS < c->wheel_due && c->state != HTTP_CONN_CLOSING) {
        http_wheel_remove(c);
        http_wheel_add(c);
    }
}

static void after_ms(struct gtv_http_conn *c, unsigned ms)
{
    http_conn_deadline(c, uv_now(c->server->uv) + ms);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct gtv_http_conn *c = handle->data;
    bool bulk = c->state >= HTTP_CONN_LINGERING || (c->req && c->req->phase == HTTP_IN_BODY);
    *buf = uv_buf_init(c->server->read_buf, bulk ? HTTP_READ_BUFFER : HTTP_READ_HEAD);
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf);

static void read_on(struct gtv_http_conn *c)
{
    if (!c->reading && !c->eof && c->state != HTTP_CONN_CLOSING) {
        c->reading = true;
        if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0) {
            http_conn_close(c);
        }
    }
}

static void save_left(struct gtv_http_conn *c, const char *data, size_t n)
{
    // Reading pauses here: a client that pipelines waits in its own socket, not in our memory.
    (void)uv_read_stop((uv_stream_t *)&c->tcp);
    c->reading = false;
    c->left = gtv_alloc(n);
    memcpy(c->left, data, n);
    c->left_len = (uint32_t)n;
}

static void feed_left(struct gtv_http_conn *c)
{
    char *left = c->left;
    size_t n = c->left_len;
    c->left = NULL;
    c->left_len = 0;
    feed(c, left, n);
    free(left);
}

void http_conn_over(struct gtv_http_conn *c)
{
    struct gtv_http_request *req = c->req;
    if (req && req->phase >= HTTP_PARSED && http_logs_requests(c->server)) {
        http_log_request(req, false);
    }
    c->req = NULL;
    if (c->out) {
        void (*fn)(void *, bool) = c->out->close_fn;
        void *arg = c->out->close_arg;
        http_out_free(c);
        if (fn) {
            fn(arg, false);
        }
    }
    if (req && req->phase == HTTP_PARSED && req->reply != HTTP_REPLY_ENDED && !req->close_fn) {
        // Its handler works on and will reply one day: the request stays valid until then.
        req->conn = NULL;
        req->next = c->server->orphans;
        req->prev = NULL;
        if (req->next) {
            req->next->prev = req;
        }
        c->server->orphans = req;
    } else if (req) {
        if (req->close_fn) {
            req->close_fn(req->close_arg, false);
        }
        http_request_recycle(req);
    }
    if (c->upgrade) {
        struct gtv_http_upgrade handlers = *c->upgrade;
        free(c->upgrade);
        c->upgrade = NULL;
        handlers.on_close(handlers.arg);
    }
    free(c->left);
    c->left = NULL;
    free(c->preface);
    c->preface = NULL;
}

static void on_closed(uv_handle_t *handle)
{
    struct gtv_http_conn *c = handle->data;
    struct gtv_http_server *s = c->server;
    if (!s->destroyed) {
        http_conn_over(c);
    }
    http_out_free(c);
    http_wheel_remove(c);
    s->connections--;
    if (c->deferred) {
        c->gone = true; // the deferred list still points here
    } else {
        free(c);
    }
    http_handle_closed(s);
}

void http_conn_close(struct gtv_http_conn *c)
{
    if (c->state != HTTP_CONN_CLOSING) {
        c->state = HTTP_CONN_CLOSING;
        uv_close((uv_handle_t *)&c->tcp, on_closed);
    }
}

// Closing at once would send a reset to a client that still sends, and the reset would destroy the reply it
// has not read yet.
static void linger(struct gtv_http_conn *c)
{
    uv_os_fd_t fd = -1;
    if (c->eof || uv_fileno((uv_handle_t *)&c->tcp, &fd) != 0 || shutdown(fd, SHUT_WR) != 0) {
        http_conn_close(c);
        return;
    }
    c->state = HTTP_CONN_LINGERING;
    c->close_when_flushed = false;
    c->lingered = c->left_len;
    free(c->left);
    c->left = NULL;
    c->left_len = 0;
    after_ms(c, HTTP_LINGER_MS);
    if (c->upgrade) {
        http_conn_over(c);
    }
    read_on(c);
}

// The reply is complete as far as the handler is concerned.
static void settle(struct gtv_http_conn *c)
{
    struct gtv_http_request *req = c->req;
    void (*fn)(void *, bool) = req->close_fn;
    void *arg = req->close_arg;
    bool upgraded = req->upgraded;
    if (http_logs_requests(c->server)) {
        http_log_request(req, true);
    }
    c->close_when_flushed = !upgraded && (req->close_after || req->phase == HTTP_FAILED);
    c->linger_when_flushed = req->phase == HTTP_FAILED;
    c->req = NULL;
    // A slow reader costs its connection and the queue, not the request and its arena.
    http_request_recycle(req);
    if (upgraded) {
        c->state = HTTP_CONN_UPGRADED;
    } else if (c->out) {
        c->out->close_fn = fn;
        c->out->close_arg = arg;
        fn = NULL;
    }
    if (fn) {
        fn(arg, true);
    }
}

static void flushed(struct gtv_http_conn *c)
{
    if (c->close_when_flushed) {
        if (c->linger_when_flushed || c->left || c->state == HTTP_CONN_UPGRADED) {
            linger(c);
        } else {
            http_conn_close(c);
        }
        return;
    }
    if (c->state == HTTP_CONN_BUSY) {
        c->state = HTTP_CONN_READING;
        if (c->server->stopping || (c->eof && !c->left && !c->in_feed)) {
            http_conn_close(c);
            return;
        }
        after_ms(c, c->server->config.idle_timeout_ms);
    }
}

static void call_drain(struct gtv_http_conn *c)
{
    c->drain_due = false;
    void (*fn)(void *) = NULL;
    void *arg = NULL;
    if (c->state == HTTP_CONN_UPGRADED && c->upgrade) {
        fn = c->upgrade->on_drain;
        arg = c->upgrade->arg;
    } else if (c->req && c->req->reply == HTTP_REPLY_STREAMING) {
        fn = c->req->drain_fn;
        arg = c->req->drain_arg;
    }
    if (fn) {
        c->in_handler = true;
        fn(arg);
        c->in_handler = false;
    }
}

static void release_out(struct gtv_http_conn *c)
{
    void (*fn)(void *, bool) = c->out->close_fn;
    void *arg = c->out->close_arg;
    http_out_free(c);
    if (c->state != HTTP_CONN_READING) {
        c->deadline = HTTP_NEVER;
    }
    if (fn) {
        fn(arg, true);
    }
}

void http_conn_step(struct gtv_http_conn *c)
{
    while (!c->in_handler && c->state != HTTP_CONN_CLOSING) {
        if (c->out && c->out->count == 0) {
            release_out(c);
        } else if (c->out && c->out->in_flight == 0) {
            http_flush(c);
        } else if (c->state == HTTP_CONN_BUSY && c->req && c->req->reply == HTTP_REPLY_ENDED) {
            settle(c);
        } else if (c->drain_due && !c->out) {
            call_drain(c);
        } else if (!c->out && !c->req && (c->state == HTTP_CONN_BUSY || c->close_when_flushed)) {
            flushed(c);
            if (c->state == HTTP_CONN_LINGERING) {
                return;
            }
        } else {
            break;
        }
    }
    if (c->in_handler || c->in_feed || c->state == HTTP_CONN_CLOSING) {
        return; // whoever called the handler goes on
    }
    if (c->left && (c->state == HTTP_CONN_READING || c->state == HTTP_CONN_UPGRADED)) {
        feed_left(c);
    }
    if (c->state == HTTP_CONN_READING || c->state == HTTP_CONN_UPGRADED) {
        if (c->eof) {
            http_conn_close(c);
        } else {
            read_on(c);
        }
    }
}

// Answers what could not be read as a request; the connection cannot go on after it.
static void refuse(struct gtv_http_conn *c)
{
    struct gtv_http_request *req = c->req;
    c->state = HTTP_CONN_BUSY;
    req->close_after = true;
    c->server->counts.malformed++;
    c->in_handler = true;
    http_reply_error(req, req->error, req->error_text);
    c->in_handler = false;
    c->deadline = HTTP_NEVER;
    http_conn_step(c);
}

static bool on_head(struct gtv_http_request *req)
{
    struct gtv_http_server *s = req->server;
    if (!http_request_split_target(req)) {
        return false;
    }
    if (!req->keep_alive || s->stopping) {
        req->close_after = true;
    }
    enum http_match match = http_router_match(&s->router, req);
    if (match == HTTP_MATCH) {
        bool preflight = req->parser.method == HTTP_OPTIONS && s->config.cors_origin &&
                         gtv_http_header(req, "access-control-request-method").n > 0;
        if (!preflight) {
            req->max_body = req->route->max_body;
            return true;
        }
        req->route = NULL;
        req->allow = http_router_allow(&s->router, req);
        match = HTTP_NO_METHOD;
    }
    bool star = req->path.n == 1 && req->path.p[0] == '*';
    if (req->parser.method == HTTP_OPTIONS && (match == HTTP_NO_METHOD || star)) {
        req->preflight = true;
        return true;
    }
    req->error = match == HTTP_NO_PATH ? GTV_E_NOT_FOUND : GTV_E_METHOD_NOT_ALLOWED;
    if ((req->parser.flags & F_CHUNKED) || req->parser.content_length > 0) {
        http_parse_fail(req, req->error, NULL); // a body that nobody wants is not read
        return false;
    }
    return true;
}

static void answer_options(struct gtv_http_request *req)
{
    struct gtv_http_header h[5];
    size_t n = 0;
    struct gtv_str allow = req->allow ? gtv_str_of(req->allow) : GTV_STR("GET, HEAD, OPTIONS");
    h[n++] = (struct gtv_http_header){GTV_STR("Allow"), allow};
    req->allow = NULL;
    if (req->server->config.cors_origin && gtv_http_header(req, "access-control-request-method").n > 0) {
        h[n++] = (struct gtv_http_header){GTV_STR("Access-Control-Allow-Methods"), allow};
        struct gtv_str wanted = gtv_http_header(req, "access-control-request-headers");
        if (wanted.n > 0) {
            h[n++] = (struct gtv_http_header){GTV_STR("Access-Control-Allow-Headers"), wanted};
        }
        h[n++] = (struct gtv_http_header){GTV_STR("Access-Control-Max-Age"), GTV_STR("600")};
    }
    gtv_http_reply(req, 204, h, n, NULL);
}

static void dispatch(struct gtv_http_conn *c)
{
    struct gtv_http_request *req = c->req;
    c->state = HTTP_CONN_BUSY;
    c->in_handler = true;
    if (c->server->stopping && !req->route && gtv_str_eq(req->path, GTV_STR("/ready"))) {
        // Whoever spreads requests must see it, also where no handler says it.
        http_reply_error(req, GTV_E_UNAVAILABLE, "The program is stopping");
    } else if (req->preflight) {
        answer_options(req);
    } else if (!req->route) {
        http_reply_error(req, req->error, NULL);
    } else {
        req->route->handler(req, c->server->config.user);
    }
    c->in_handler = false;
    if (c->state == HTTP_CONN_BUSY && !c->out) {
        c->deadline = HTTP_NEVER; // the time of a handler is its own affair
    }
    http_conn_step(c);
}

static void wait_for_more(struct gtv_http_conn *c)
{
    struct gtv_http_request *req = c->req;
    uint64_t now = uv_now(c->server->uv);
    if (req->phase == HTTP_IN_HEAD) {
        if (c->started == 0) {
            c->started = now;
            http_conn_deadline(c, now + c->server->config.header_timeout_ms);
        }
        return;
    }
    if (req->continue_wanted) {
        static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
        struct gtv_bytes *none = NULL;
        uv_buf_t buf = uv_buf_init((char *)line, sizeof(line) - 1);
        req->continue_wanted = false;
        http_send(c, &buf, &none, 1);
    }
    if (c->started != UINT64_MAX) { // the body's own clock starts with its first wait
        c->started = UINT64_MAX;
        c->body_deadline = now + HTTP_BODY_DEADLINE_MS;
    }
    uint64_t idle = now + c->server->config.idle_timeout_ms;
    http_conn_deadline(c, idle < c->body_deadline ? idle : c->body_deadline);
}

static void feed(struct gtv_http_conn *c, const char *data, size_t n)
{
    c->in_feed = true;
    while (n > 0 && c->state == HTTP_CONN_READING) {
        if (!c->req) {
            c->req = http_request_take(c->server);
            c->req->conn = c;
            c->req->on_head = on_head;
            c->started = 0;
        }
        size_t used = http_parse_feed(c->req, data, n);
        data += used;
        n -= used;
        if (c->req->phase == HTTP_PARSED) {
            dispatch(c);
        } else if (c->req->phase == HTTP_FAILED) {
            n = 0;
            refuse(c);
        } else {
            wait_for_more(c);
        }
    }
    c->in_feed = false;
    if (n == 0) {
        return;
    }
    if (c->state == HTTP_CONN_BUSY) {
        save_left(c, data, n);
    } else if (c->state == HTTP_CONN_UPGRADED && c->upgrade && !c->close_when_flushed) {
        c->upgrade->on_read(c->upgrade->arg, (const uint8_t *)data, n);
    }
}

static void on_eof(struct gtv_http_conn *c)
{
    c->eof = true;
    c->reading = false;
    // A client that only closed its sending side still wants the reply (RFC 9112, 9.6).
    if (c->state != HTTP_CONN_BUSY) {
        http_conn_close(c);
    }
}

// What a trusted proxy says about its client, before the client's own bytes. Returns how much of data it was.
static size_t take_preface(struct gtv_http_conn *c, const char *data, size_t n)
{
    size_t used;
    switch (http_preface_feed(c->preface, (const uint8_t *)data, n, &used)) {
    case HTTP_PREFACE_MORE:
        return n;
    case HTTP_PREFACE_WHOLE:
        if (c->preface->known) {
            memcpy(c->peer, c->preface->peer, sizeof(c->peer));
        }
        free(c->preface);
        c->preface = NULL;
        after_ms(c, c->server->config.idle_timeout_ms);
        return used;
    case HTTP_PREFACE_BAD:
        break;
    }
    c->server->counts.prefaces_refused++;
    http_conn_close(c); // whoever sent this does not speak HTTP to us
    return n;
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct gtv_http_conn *c = stream->data;
    if (nread == 0) {
        return;
    }
    if (nread < 0) {
        if (nread == UV_EOF) {
            on_eof(c);
        } else {
            http_conn_close(c);
        }
        return;
    }
    size_t n = (size_t)nread;
    const char *data = buf->base;
    if (c->preface && c->state == HTTP_CONN_READING) {
        size_t used = take_preface(c, data, n);
        data += used;
        n -= used;
    }
    switch ((enum http_conn_state)c->state) {
    case HTTP_CONN_LINGERING:
        c->lingered += (uint32_t)n;
        if (c->lingered > HTTP_LINGER_BYTES) {
            http_conn_close(c);
        }
        break;
    case HTTP_CONN_BUSY:
        save_left(c, data, n);
        break;
    case HTTP_CONN_READING:
    case HTTP_CONN_UPGRADED:
        feed(c, data, n);
        break;
    case HTTP_CONN_CLOSING:
        break;
    }
}

// What waits here and in the kernel: a socket takes more only when a good part of its buffer is free, and a
// slow reader may need longer than the time-out for that part.
size_t gtv_http_conn_unacknowledged(const struct gtv_http_conn *c)
{
    uv_os_fd_t fd = -1;
    int in_kernel = 0;
    if (uv_fileno((const uv_handle_t *)&c->tcp, &fd) != 0 || ioctl(fd, SIOCOUTQ, &in_kernel) != 0) {
        in_kernel = 0;
    }
    return http_pending(c) + (size_t)in_kernel;
}

void http_conn_expired(struct gtv_http_conn *c)
{
    struct gtv_http_server *s = c->server;
    if (c->state == HTTP_CONN_READING && c->req && (c->req->head_len > 0)) {
        s->counts.timeouts++;
        http_parse_fail(c->req, GTV_E_TIMEOUT, "The request did not arrive in time");
        refuse(c);
        return;
    }
    if (c->out && c->state != HTTP_CONN_LINGERING) {
        // Looked at four times in a write time-out: it ends when no byte moved from the first look to the
        // last. One that left HTTP has half as long again: its own protocol says good-bye first.
        size_t pending = gtv_http_conn_unacknowledged(c);
        c->out->stalls = pending == c->out->seen_pending ? c->out->stalls + 1 : 0;
        c->out->seen_pending = pending;
        if (c->out->stalls < (c->state == HTTP_CONN_UPGRADED ? 5 : 3)) {
            after_ms(c, s->config.write_timeout_ms / 4);
            return;
        }
        s->counts.timeouts++;
    } else if (c->state == HTTP_CONN_BUSY || c->state == HTTP_CONN_UPGRADED) {
        c->deadline = HTTP_NEVER;
        return;
    }
    http_conn_close(c);
}

static void note_peer(struct gtv_http_conn *c)
{
    struct sockaddr_storage peer;
    int n = (int)sizeof(peer);
    memset(&peer, 0, sizeof(peer));
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&peer, &n) != 0) {
        return;
    }
    if (peer.ss_family == AF_INET) {
        http_addr_from_ipv4((const uint8_t *)&((struct sockaddr_in *)&peer)->sin_addr, c->peer);
    } else if (peer.ss_family == AF_INET6) {
        memcpy(c->peer, &((struct sockaddr_in6 *)&peer)->sin6_addr, 16);
    }
}

static void refuse_connection(struct gtv_http_conn *c)
{
    static const char reply[] =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 82\r\n"
        "Retry-After: 1\r\nConnection: close\r\n\r\n"
        "{\"detail\":\"Too many connections to this server\",\"code\":\"unavailable\",\"field\":null}";
    uv_buf_t buf = uv_buf_init((char *)reply, sizeof(reply) - 1);
    (void)uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
    c->server->counts.refused++;
    // The refused may linger too, but only so many of them.
    if (c->server->connections > c->server->config.max_connections + 256) {
        http_conn_close(c);
    } else {
        linger(c);
    }
}

static struct gtv_http_conn *conn_create(struct gtv_http_server *s)
{
    struct gtv_http_conn *c = GTV_NEW(struct gtv_http_conn);
    c->server = s;
    (void)uv_tcp_init(s->uv, &c->tcp);
    c->tcp.data = c;
    s->handles++;
    s->connections++;
    c->deadline = uv_now(s->uv) + s->config.idle_timeout_ms;
    http_wheel_add(c);
    return c;
}

static void conn_begin(struct gtv_http_conn *c)
{
    struct gtv_http_server *s = c->server;
    note_peer(c);
    if ((s->stopping && !s->listening) || s->connections > s->config.max_connections) {
        refuse_connection(c);
        return;
    }
    if (http_trusted_has(&s->proxies, c->peer)) {
        c->preface = GTV_NEW(struct http_preface);
        after_ms(c, s->config.header_timeout_ms);
    }
    read_on(c);
}

void http_conn_accept(struct gtv_http_server *s, uv_stream_t *listener)
{
    struct gtv_http_conn *c = conn_create(s);
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) == 0) {
        conn_begin(c);
    } else {
        http_conn_close(c);
    }
}

void http_conn_take(struct gtv_http_server *s, int fd)
{
    struct gtv_http_conn *c = conn_create(s);
    if (uv_tcp_open(&c->tcp, fd) == 0) {
        conn_begin(c);
    } else {
        close(fd);
        http_conn_close(c);
    }
}
