// A server: its listener, its deadlines, what is to be done before the loop waits again, its end.
#include "lib/http/internal.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BACKLOG = 4096,
    SPARE_FILES = 1024,
    KEEPALIVE_IDLE_S = 60,
    KEEPALIVE_INTERVAL_S = 15,
    KEEPALIVE_PROBES = 4
};

void http_wheel_add(struct gtv_http_conn *c)
{
    struct gtv_http_server *s = c->server;
    uint64_t last = s->now_tick + HTTP_WHEEL_SLOTS - 1;
    uint64_t due = c->deadline == HTTP_NEVER ? last : c->deadline / HTTP_TICK_MS + 1;
    due = due > last ? last : due;
    due = due <= s->now_tick ? s->now_tick + 1 : due;
    c->wheel_due = due;
    struct gtv_http_conn **slot = &s->wheel[due % HTTP_WHEEL_SLOTS];
    c->prev = NULL;
    c->next = *slot;
    if (c->next) {
        c->next->prev = c;
    }
    *slot = c;
}

void http_wheel_remove(struct gtv_http_conn *c)
{
    if (c->prev) {
        c->prev->next = c->next;
    } else {
        c->server->wheel[c->wheel_due % HTTP_WHEEL_SLOTS] = c->next;
    }
    if (c->next) {
        c->next->prev = c->prev;
    }
    c->next = c->prev = NULL;
}

static void sweep(struct gtv_http_server *s)
{
    uint64_t now = uv_now(s->uv);
    while (s->now_tick < now / HTTP_TICK_MS) {
        s->now_tick++;
        struct gtv_http_conn **slot = &s->wheel[s->now_tick % HTTP_WHEEL_SLOTS], *c = NULL;
        while ((c = *slot) != NULL) {
            http_wheel_remove(c);
            http_wheel_add(c); // always into another slot
            if (c->deadline <= now && c->state != HTTP_CONN_CLOSING) {
                http_conn_expired(c);
            }
        }
    }
}

static void count(struct gtv_counter *counter, uint64_t *value)
{
    if (counter && *value > 0) {
        gtv_counter_add(counter, *value);
    }
    *value = 0;
}

static void hand_over_counts(struct gtv_http_server *s)
{
    for (size_t i = 1; i < 6; i++) {
        count(s->m_requests[i], &s->counts.by_class[i]);
    }
    count(s->m_sent, &s->counts.sent_bytes);
    count(s->m_malformed, &s->counts.malformed);
    count(s->m_timeouts, &s->counts.timeouts);
    count(s->m_refused, &s->counts.refused);
    count(s->m_prefaces_refused, &s->counts.prefaces_refused);
    if (s->m_connections) {
        // Several servers share the gauge: each adds what changed with it.
        gtv_gauge_add(s->m_connections, (int64_t)s->connections - (int64_t)s->m_connections_seen);
        s->m_connections_seen = s->connections;
    }
}

static bool close_all(struct gtv_http_server *s, bool idle_only)
{
    bool left = false;
    for (size_t i = 0; i < HTTP_WHEEL_SLOTS; i++) {
        for (struct gtv_http_conn *c = s->wheel[i]; c; c = c->next) {
            if (!idle_only || (c->state == HTTP_CONN_READING && !c->req)) {
                http_conn_close(c);
            } else {
                left = true;
            }
        }
    }
    return left;
}

static void close_upgraded(struct gtv_http_server *s)
{
    for (size_t i = 0; i < HTTP_WHEEL_SLOTS; i++) {
        for (struct gtv_http_conn *c = s->wheel[i]; c; c = c->next) {
            if (c->state == HTTP_CONN_UPGRADED) {
                http_conn_close(c);
            }
        }
    }
}

static void stop_listening(struct gtv_http_server *s);

// Who waits in a socket when it closes is reset: taken over just before it, they are answered.
static void accept_last(struct gtv_http_server *s)
{
    for (size_t i = 0; s->listening && !s->adopted && i < s->listener_count; i++) {
        uv_os_fd_t listener = -1;
        int fd = -1;
        if (uv_fileno((uv_handle_t *)&s->listeners[i], &listener) == 0) {
            while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
                http_conn_take(s, fd);
            }
        }
    }
}

static void check_stopped(struct gtv_http_server *s)
{
    if (s->grace_end > 0 && uv_now(s->uv) >= s->grace_end) {
        s->grace_end = 0;
        accept_last(s);
        stop_listening(s);
        (void)close_all(s, true);
    }
    if (!s->stopping || !s->stopped) {
        return;
    }
    if (s->connections > 0 || s->listening) {
        if (uv_now(s->uv) >= s->stop_deadline) {
            (void)close_all(s, false);
        } else if (uv_now(s->uv) >= s->good_bye_deadline) {
            close_upgraded(s);
        }
        return;
    }
    void (*fn)(void *) = s->stopped;
    s->stopped = NULL;
    hand_over_counts(s);
    fn(s->stopped_arg); // may destroy the server
}

static void on_tick(uv_timer_t *timer)
{
    struct gtv_http_server *s = timer->data;
    sweep(s);
    hand_over_counts(s);
    check_stopped(s);
}

void http_wake_idle(struct gtv_http_server *s)
{
    if (!s->destroyed) {
        // An idle handle runs before the loop waits the next time; nothing waits longer for it.
        (void)uv_idle_start(&s->idle, s->on_idle);
    }
}

void http_defer(struct gtv_http_conn *c)
{
    struct gtv_http_server *s = c->server;
    if (c->deferred || s->destroyed) {
        return;
    }
    c->deferred = true;
    c->deferred_next = NULL;
    if (s->deferred_last) {
        s->deferred_last->deferred_next = c;
    } else {
        s->deferred = c;
        http_wake_idle(s);
    }
    s->deferred_last = c;
}

static void tell_orphans(struct gtv_http_server *s)
{
    struct gtv_http_request *req = s->orphans;
    while (req) {
        struct gtv_http_request *next = req->next;
        if (req->close_fn) {
            if (req->prev) {
                req->prev->next = next;
            } else {
                s->orphans = next;
            }
            if (next) {
                next->prev = req->prev;
            }
            req->close_fn(req->close_arg, false);
            http_request_recycle(req);
        }
        req = next;
    }
}

static void on_idle(uv_idle_t *idle)
{
    struct gtv_http_server *s = idle->data;
    (void)uv_idle_stop(idle);
    // What is deferred from here on waits for the next turn.
    struct gtv_http_conn *c = s->deferred;
    s->deferred = s->deferred_last = NULL;
    while (c) {
        struct gtv_http_conn *next = c->deferred_next;
        c->deferred = false;
        if (c->gone) {
            free(c);
        } else {
            http_conn_step(c);
        }
        c = next;
    }
    tell_orphans(s);
    check_stopped(s);
}

const char *http_date_line(struct gtv_http_server *s, size_t *n)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != s->date_s) {
        char text[GTV_ISO8601_CAP];
        s->date_s = now.tv_sec;
        s->date_len = (size_t)snprintf(s->date_line, sizeof(s->date_line), "Date: %s\r\n",
                                       gtv_http_date(now.tv_sec, text));
    }
    *n = s->date_len;
    return s->date_line;
}

static void make_metrics(struct gtv_http_server *s)
{
    struct gtv_metrics *m = s->config.metrics;
    char labels[160];
    if (!m) {
        return;
    }
    for (int i = 1; i < 6; i++) {
        (void)snprintf(labels, sizeof(labels), "service=\"%s\",status=\"%dxx\"", s->config.name, i);
        s->m_requests[i] =
            gtv_metrics_counter(m, "gtv_http_requests_total", labels, "Replies sent, by class of status");
    }
    (void)snprintf(labels, sizeof(labels), "service=\"%s\"", s->config.name);
    s->m_sent = gtv_metrics_counter(m, "gtv_http_sent_bytes_total", labels,
                                    "Bytes of replies, heads included, given to the socket");
    s->m_malformed = gtv_metrics_counter(m, "gtv_http_refused_requests_total", labels,
                                         "Requests refused before a handler saw them");
    s->m_timeouts = gtv_metrics_counter(m, "gtv_http_timeouts_total", labels,
                                        "Connections ended for a slow request or a stalled reader");
    s->m_refused = gtv_metrics_counter(m, "gtv_http_refused_connections_total", labels,
                                       "Connections beyond the limit, answered 503");
    s->m_prefaces_refused =
        gtv_metrics_counter(m, "gtv_http_refused_proxy_headers_total", labels,
                            "Connections of trusted proxies that did not begin with a PROXY header");
    s->m_connections = gtv_metrics_gauge(m, "gtv_http_connections", labels, "Open connections");
}

static void apply_defaults(struct gtv_http_server_config *c)
{
    c->max_connections = c->max_connections ? c->max_connections : 10000;
    c->header_timeout_ms = c->header_timeout_ms ? c->header_timeout_ms : 10000;
    c->idle_timeout_ms = c->idle_timeout_ms ? c->idle_timeout_ms : 60000;
    c->write_timeout_ms = c->write_timeout_ms ? c->write_timeout_ms : 60000;
    c->name = c->name ? c->name : "gtv";
}

struct gtv_http_server *gtv_http_server_create(struct gtv_loop *loop,
                                               const struct gtv_http_server_config *config,
                                               struct gtv_error *err)
{
    struct gtv_http_server *s = GTV_NEW(struct gtv_http_server);
    s->loop = loop;
    s->uv = gtv_loop_uv(loop);
    s->config = *config;
    apply_defaults(&s->config);
    s->log = (struct gtv_log){.component = s->config.name};
    s->on_idle = on_idle;
    if (!http_trusted_parse(&s->trusted, s->config.trusted_proxies, "trusted_proxies", err) ||
        !http_trusted_parse(&s->proxies, s->config.proxy_protocol, "proxy_protocol", err) ||
        !http_router_init(&s->router, s->config.routes, s->config.route_count, err)) {
        free(s);
        return NULL;
    }
    if (getrandom(s->id_state, sizeof(s->id_state), 0) != (ssize_t)sizeof(s->id_state)) {
        s->id_state[0] = (uint64_t)gtv_wall_us();
    }
    s->id_state[1] |= 1; // the generator must not start from zeros
    s->read_buf = gtv_alloc(HTTP_READ_BUFFER);
    make_metrics(s);
    uv_update_time(s->uv);
    s->now_tick = uv_now(s->uv) / HTTP_TICK_MS;
    (void)uv_timer_init(s->uv, &s->tick);
    (void)uv_idle_init(s->uv, &s->idle);
    s->tick.data = s->idle.data = s;
    s->handles = 2;
    (void)uv_timer_start(&s->tick, on_tick, HTTP_TICK_MS, HTTP_TICK_MS);
    return s;
}

// The soft limit of many systems is 1,024 descriptors: far fewer than the connections that were asked for.
static void raise_file_limit(size_t connections)
{
    struct rlimit limit;
    rlim_t wanted = connections + SPARE_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct gtv_http_server *s = listener->data;
    if (status == 0) {
        http_conn_accept(s, listener);
    } else {
        gtv_log_warn(&s->log, "accept failed", "error=\"%s\"", uv_strerror(status));
    }
}

static void set_int(int fd, int level, int option, int value)
{
    // Comfort and speed: a kernel that refuses one of them still serves.
    (void)setsockopt(fd, level, option, &value, sizeof(value));
}

// Accepted sockets inherit these from the listener: no system call per connection.
static int socket_options(uv_tcp_t *listener, bool reuseport)
{
    uv_os_fd_t fd = -1;
    int one = 1;
    int rc = uv_fileno((uv_handle_t *)listener, &fd);
    if (rc == 0 && reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) != 0) {
        rc = UV_ENOTSUP;
    }
    if (rc == 0) {
        set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, HTTP_NOTSENT_LOWAT);
        set_int(fd, SOL_SOCKET, SO_KEEPALIVE,
                1); // a peer that vanished without a word is noticed after two minutes
        set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S);
        set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S);
        set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES);
    }
    return rc;
}

static int bound_port(struct gtv_http_server *s)
{
    struct sockaddr_storage addr;
    int n = (int)sizeof(addr);
    memset(&addr, 0, sizeof(addr));
    if (uv_tcp_getsockname(&s->listeners[0], (struct sockaddr *)&addr, &n) != 0) {
        return 0;
    }
    in_port_t port = addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                                : ((struct sockaddr_in *)&addr)->sin_port;
    return ntohs(port);
}

static void on_server_handle_closed(uv_handle_t *handle)
{
    http_handle_closed(handle->data);
}

bool gtv_http_server_listen(struct gtv_http_server *s, const char *host, int port, bool reuseport,
                            struct gtv_error *err)
{
    assert(!s->listening && "a server listens once");
    raise_file_limit(s->config.max_connections);
    struct sockaddr_storage addr;
    memset(&addr, 0, sizeof(addr));
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)&addr) != 0 &&
        uv_ip6_addr(host, port, (struct sockaddr_in6 *)&addr) != 0) {
        gtv_error_set(err, GTV_E_INVALID, "host", "\"%s\" is no address to listen on", host);
        return false;
    }
    uv_tcp_t *listener = &s->listeners[0];
    int rc = uv_tcp_init_ex(s->uv, listener, addr.ss_family);
    if (rc != 0) {
        gtv_error_set(err, GTV_E_IO, NULL, "no socket to listen with: %s", uv_strerror(rc));
        return false;
    }
    listener->data = s;
    s->handles++;
    rc = socket_options(listener, reuseport);
    rc = rc != 0 ? rc : uv_tcp_bind(listener, (struct sockaddr *)&addr, 0);
    rc = rc != 0 ? rc : uv_listen((uv_stream_t *)listener, BACKLOG, on_connection);
    if (rc != 0) {
        gtv_error_set(err, GTV_E_IO, NULL, "cannot listen on %s port %d: %s", host, port, uv_strerror(rc));
        uv_close((uv_handle_t *)listener, on_server_handle_closed);
        return false;
    }
    s->listening = true;
    s->listener_count = 1;
    s->port = bound_port(s);
    return true;
}

bool gtv_http_server_adopt(struct gtv_http_server *s, int fd, struct gtv_error *err)
{
    assert((!s->listening || s->adopted) && "a server listens, or takes over who listens");
    raise_file_limit(s->config.max_connections);
    uv_tcp_t *listener = &s->listeners[s->listener_count];
    int rc = s->listener_count < HTTP_LISTENERS_MAX ? uv_tcp_init(s->uv, listener) : UV_EMFILE;
    if (rc != 0) {
        gtv_error_set(err, GTV_E_LIMIT, NULL, "a server takes over %d listening sockets at most",
                      HTTP_LISTENERS_MAX);
        close(fd);
        return false;
    }
    listener->data = s;
    s->handles++;
    rc = uv_tcp_open(listener, fd);
    if (rc != 0) {
        close(fd);
    }
    rc = rc != 0 ? rc : socket_options(listener, false);
    rc = rc != 0 ? rc : uv_listen((uv_stream_t *)listener, BACKLOG, on_connection);
    if (rc != 0) {
        gtv_error_set(err, GTV_E_IO, NULL, "cannot listen with a socket that was handed over: %s",
                      uv_strerror(rc));
        uv_close((uv_handle_t *)listener, on_server_handle_closed);
        return false;
    }
    s->listening = s->adopted = true;
    if (s->listener_count++ == 0) {
        s->port = bound_port(s);
    }
    return true;
}

void gtv_http_server_set_cors(struct gtv_http_server *s, const char *origin)
{
    s->config.cors_origin = origin;
}

int gtv_http_server_port(const struct gtv_http_server *s)
{
    return s->port;
}

size_t gtv_http_server_connections(const struct gtv_http_server *s)
{
    return s->connections;
}

static void stop_listening(struct gtv_http_server *s)
{
    if (s->listening) {
        s->listening = false;
        for (size_t i = 0; i < s->listener_count; i++) {
            uv_close((uv_handle_t *)&s->listeners[i], on_server_handle_closed);
        }
    }
}

void gtv_http_server_retire(struct gtv_http_server *s, unsigned grace_ms, unsigned drain_ms,
                            void (*done)(void *), void *arg)
{
    uint64_t now = uv_now(s->uv);
    s->stopping = true;
    s->grace_end = grace_ms > 0 ? now + grace_ms : 0;
    s->stop_deadline = now + grace_ms + drain_ms;
    s->good_bye_deadline = now + HTTP_GOOD_BYE_MS;
    s->stopped = done;
    s->stopped_arg = arg;
    if (grace_ms == 0 || s->adopted) {
        stop_listening(s);
    }
    if (grace_ms == 0) {
        (void)close_all(s, drain_ms > 0);
    }
    http_wake_idle(s);
}

void gtv_http_server_stop(struct gtv_http_server *s, unsigned drain_ms, void (*done)(void *), void *arg)
{
    gtv_http_server_retire(s, 0, drain_ms, done, arg);
}

void http_handle_closed(struct gtv_http_server *s)
{
    s->handles--;
    if (!s->destroyed) {
        if (s->stopping && s->connections == 0) {
            http_wake_idle(s);
        }
        return;
    }
    if (s->handles == 0) {
        free(s);
    }
}

void gtv_http_server_destroy(struct gtv_http_server *s)
{
    if (!s) {
        return;
    }
    stop_listening(s);
    // Everybody is told now: after this call the handlers' user may be gone.
    for (size_t i = 0; i < HTTP_WHEEL_SLOTS; i++) {
        for (struct gtv_http_conn *c = s->wheel[i]; c; c = c->next) {
            http_conn_close(c);
            http_conn_over(c);
        }
    }
    tell_orphans(s);
    while (s->orphans) {
        struct gtv_http_request *next = s->orphans->next;
        http_request_free(s->orphans);
        s->orphans = next;
    }
    while (s->deferred) {
        struct gtv_http_conn *next = s->deferred->deferred_next;
        s->deferred->deferred = false;
        if (s->deferred->gone) {
            free(s->deferred);
        }
        s->deferred = next;
    }
    while (s->pool) {
        struct gtv_http_request *next = s->pool->next;
        http_request_free(s->pool);
        s->pool = next;
    }
    s->destroyed = true;
    hand_over_counts(s);
    if (s->m_connections) {
        gtv_gauge_add(s->m_connections, -(int64_t)s->m_connections_seen);
        s->m_connections = NULL;
    }
    http_router_finish(&s->router);
    free(s->read_buf);
    s->read_buf = NULL;
    uv_close((uv_handle_t *)&s->tick, on_server_handle_closed);
    uv_close((uv_handle_t *)&s->idle, on_server_handle_closed);
}
