#include "services/media/rtmp/server.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/media/rtmp/conn.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BACKLOG = 512,
    TICK_MS = 200,
    READ_BYTES = 64 * 1024,
    UNSENT_MAX = 64 * 1024, // bytes that a client has not taken; what we say is short, so it reads nothing
};

struct gtv_rtmp_server {
    uv_tcp_t listener;
    struct gtv_loop *loop;
    struct gtv_node *node;
    struct gtv_log log;
    struct gtv_timer *timer;
    struct gtv_rtmp_conn *conns;
    size_t open; // handles that are not closed yet, the listener's among them
    size_t count;
    int64_t stall_ms;
    struct gtv_counter *auth_failures;
    int port;
    bool stopped, destroyed;
    char buffer[READ_BYTES]; // of all connections: nothing is left in it after a read
};

struct write {
    uv_write_t req;
    char data[];
};

static void handle_closed(struct gtv_rtmp_server *s)
{
    if (--s->open == 0 && s->destroyed) {
        free(s);
    }
}

// ---- Connections ----

static void on_conn_closed(uv_handle_t *handle)
{
    struct gtv_rtmp_conn *c = handle->data;
    struct gtv_rtmp_server *s = c->server;
    free(c);
    handle_closed(s);
}

// Everything but the memory, which its socket's callbacks may still want.
static void finish_later(struct gtv_rtmp_conn *c)
{
    *c->prev = c->next;
    if (c->next != NULL) {
        c->next->prev = c->prev;
    }
    c->server->count--;
    gtv_rtmp_conn_finish(c);
    uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
}

void gtv_rtmp_conn_close(struct gtv_rtmp_conn *c)
{
    // The chunk reader, or the path, may be the one who called: it goes with the next tick.
    c->state = GTV_RTMP_CLOSED;
    uv_read_stop((uv_stream_t *)&c->tcp);
}

static void on_written(uv_write_t *req, int status)
{
    free(req);
}

void gtv_rtmp_conn_write(struct gtv_rtmp_conn *c, struct gtv_str data)
{
    uv_stream_t *stream = (uv_stream_t *)&c->tcp;
    if (c->state == GTV_RTMP_CLOSED) {
        return;
    }
    if (uv_stream_get_write_queue_size(stream) + data.n > UNSENT_MAX) {
        gtv_rtmp_conn_close(c);
        return;
    }
    c->session.outbound_bytes += data.n;
    struct write *w = gtv_alloc(sizeof *w + data.n);
    memcpy(w->data, data.p, data.n);
    uv_buf_t buf = uv_buf_init(w->data, (unsigned)data.n);
    if (uv_write(&w->req, stream, &buf, 1, on_written) != 0) {
        free(w);
        gtv_rtmp_conn_close(c);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct gtv_rtmp_conn *c = handle->data;
    *buf = uv_buf_init(c->server->buffer, READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct gtv_rtmp_conn *c = stream->data;
    if (n > 0) {
        gtv_rtmp_conn_data(c, (struct gtv_str){buf->base, (size_t)n});
    }
    if ((n < 0 || c->state == GTV_RTMP_CLOSED) && !uv_is_closing((uv_handle_t *)stream)) {
        finish_later(c);
    }
}

static void on_kick(void *arg)
{
    struct gtv_rtmp_conn *c = arg;
    c->end = (struct gtv_source_end){.code = "kicked", .text = "the publisher was thrown out by the API"};
    finish_later(c);
}

static void set_remote(struct gtv_rtmp_conn *c)
{
    struct sockaddr_storage peer;
    int n = sizeof peer;
    char address[64] = "";
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&peer, &n) != 0) {
        return;
    }
    if (peer.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&peer;
        uv_ip6_name(in6, address, sizeof address);
        snprintf(c->session.remote, sizeof c->session.remote, "[%.48s]:%d", address, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&peer;
        uv_ip4_name(in, address, sizeof address);
        snprintf(c->session.remote, sizeof c->session.remote, "%.48s:%d", address, ntohs(in->sin_port));
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct gtv_rtmp_server *s = listener->data;
    if (status != 0 || s->stopped) {
        return;
    }
    struct gtv_rtmp_conn *c = GTV_NEW(struct gtv_rtmp_conn);
    c->server = s;
    c->node = s->node;
    c->auth_failures = s->auth_failures;
    c->log = s->log;
    c->stall_ms = s->stall_ms;
    if (uv_tcp_init(gtv_loop_uv(s->loop), &c->tcp) != 0) {
        free(c);
        return;
    }
    c->tcp.data = c;
    s->open++;
    if (uv_accept(listener, (uv_stream_t *)&c->tcp) != 0 || s->count >= GTV_RTMP_CONNS_MAX) {
        uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    s->count++;
    c->next = s->conns;
    c->prev = &s->conns;
    if (c->next != NULL) {
        c->next->prev = &c->next;
    }
    s->conns = c;
    gtv_rtmp_conn_init(c, gtv_mono_ms());
    c->session.kind = GTV_CONN_RTMP;
    c->session.kick = on_kick;
    c->session.arg = c;
    set_remote(c);
    gtv_sessions_add(gtv_node_sessions(s->node), &c->session);
    if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0) {
        finish_later(c);
    }
}

static void on_tick(void *arg)
{
    struct gtv_rtmp_server *s = arg;
    int64_t now = gtv_mono_ms();
    for (struct gtv_rtmp_conn *c = s->conns, *next; c != NULL; c = next) {
        next = c->next;
        gtv_rtmp_conn_tick(c, now);
        if (c->state == GTV_RTMP_CLOSED) {
            finish_later(c);
        }
    }
}

// ---- The server ----

static void on_listener_closed(uv_handle_t *handle)
{
    handle_closed(handle->data);
}

static bool listen_on(struct gtv_rtmp_server *s, const char *host, int port, struct gtv_error *err)
{
    struct sockaddr_storage at;
    int rc = uv_ip4_addr(host, port, (struct sockaddr_in *)&at);
    if (rc != 0) {
        rc = uv_ip6_addr(host, port, (struct sockaddr_in6 *)&at);
    }
    rc = rc != 0 ? rc : uv_tcp_bind(&s->listener, (struct sockaddr *)&at, 0);
    rc = rc != 0 ? rc : uv_listen((uv_stream_t *)&s->listener, BACKLOG, on_connection);
    int n = sizeof at;
    rc = rc != 0 ? rc : uv_tcp_getsockname(&s->listener, (struct sockaddr *)&at, &n);
    if (rc != 0) {
        gtv_error_set(err, GTV_E_INTERNAL, NULL, "RTMP cannot listen on %s port %d: %s", host, port,
                      uv_strerror(rc));
        return false;
    }
    s->port = ntohs(at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port
                                             : ((struct sockaddr_in *)&at)->sin_port);
    return true;
}

struct gtv_rtmp_server *gtv_rtmp_server_create(struct gtv_loop *loop, struct gtv_node *node, const char *host,
                                               int port, int64_t stall_ms, struct gtv_error *err)
{
    struct gtv_rtmp_server *s = GTV_NEW(struct gtv_rtmp_server);
    s->loop = loop;
    s->node = node;
    s->stall_ms = stall_ms;
    s->log = (struct gtv_log){"media", NULL, NULL};
    s->auth_failures = gtv_metrics_counter(gtv_node_metrics(node), "gtv_media_auth_failures_total", "",
                                           "Requests whose credentials were wrong.");
    if (uv_tcp_init(gtv_loop_uv(loop), &s->listener) != 0) {
        gtv_error_set(err, GTV_E_INTERNAL, NULL, "RTMP cannot listen: no socket");
        free(s);
        return NULL;
    }
    s->listener.data = s;
    s->open = 1;
    if (!listen_on(s, host, port, err)) {
        s->destroyed = true;
        uv_close((uv_handle_t *)&s->listener, on_listener_closed);
        return NULL;
    }
    s->timer = gtv_timer_create(loop, on_tick, s);
    gtv_timer_start(s->timer, TICK_MS, TICK_MS);
    return s;
}

int gtv_rtmp_server_port(const struct gtv_rtmp_server *s)
{
    return s->port;
}

void gtv_rtmp_server_stop(struct gtv_rtmp_server *s)
{
    if (s->stopped) {
        return;
    }
    s->stopped = true;
    while (s->conns != NULL) {
        finish_later(s->conns);
    }
    uv_close((uv_handle_t *)&s->listener, on_listener_closed);
}

void gtv_rtmp_server_destroy(struct gtv_rtmp_server *s)
{
    if (s == NULL) {
        return;
    }
    gtv_timer_destroy(s->timer);
    gtv_rtmp_server_stop(s);
    s->destroyed = true;
    if (s->open == 0) {
        free(s);
    }
}
