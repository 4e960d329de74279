// A connection: open -> closing (the session is over; a last answer is on its way, what comes is dropped) ->
// ended (its handle is being closed) -> freed.
#include "services/media/rtsp/server.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/rtsp/message.h"
#include "services/media/rtsp/server_internal.h"

#include <stdlib.h>

enum {
    BACKLOG = 256,
    TICK_MS = 50,
};

struct write {
    uv_write_t req;
    struct gtv_bytes *data, *sets;  // references
    struct gtv_pay_packet *packets; // copies: what the pieces' heads are in
    char bytes[];
};

static void free_server(struct gtv_rtsp_server *s)
{
    if (s->destroyed && s->handles == 0 && s->conns == NULL) {
        free(s);
    }
}

void gtv_rtsp_handle_closed(uv_handle_t *handle)
{
    struct gtv_rtsp_server *s = handle->data;
    s->handles--;
    free_server(s);
}

// ---- A connection's end ----

static void on_conn_closed(uv_handle_t *handle)
{
    struct gtv_rtsp_conn *c = handle->data;
    struct gtv_rtsp_server *s = c->server;
    *c->prev = c->next;
    if (c->next != NULL) {
        c->next->prev = c->prev;
    }
    s->conn_count--;
    gtv_buf_finish(&c->kept);
    free(c);
    if (s->conns == NULL && !s->destroyed) {
        gtv_timer_stop(s->tick);
    }
    free_server(s);
}

static void end_conn(struct gtv_rtsp_conn *c, const char *code, const char *text)
{
    if (c->ended) {
        return;
    }
    c->ended = c->closing = true;
    gtv_rtsp_session_destroy(c->session, code, text);
    c->session = NULL;
    gtv_rtsp_udp_release(c);
    uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
}

// The session is over. Its last answer would be lost if the connection was closed with bytes of the client
// unread (the kernel resets it): writing ends, and reading goes on for a moment.
static void close_conn(void *arg)
{
    struct gtv_rtsp_conn *c = arg;
    if (c->closing) {
        return;
    }
    c->closing = true;
    c->close_ms = gtv_mono_ms() + GTV_RTSP_CLOSE_MS;
}

// ---- Bytes out ----

static void on_written(uv_write_t *req, int status)
{
    struct write *w = (struct write *)req;
    (void)status; // what breaks a connection shows where it is read
    gtv_bytes_unref(w->data);
    gtv_bytes_unref(w->sets);
    free(w->packets);
    free(w);
}

static size_t queued(void *arg)
{
    const struct gtv_rtsp_conn *c = arg;
    return c->ended ? 0 : uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
}

static uv_stream_t *stream_of(struct gtv_rtsp_conn *c)
{
    return (uv_stream_t *)&c->tcp;
}

// What the kernel takes at once of these pieces; 0 when bytes wait already.
static size_t try_pieces(struct gtv_rtsp_conn *c, const uv_buf_t *pieces, size_t n)
{
    int sent = queued(c) == 0 ? uv_try_write(stream_of(c), pieces, (unsigned)n) : 0;
    return sent > 0 ? (size_t)sent : 0;
}

// Counts n bytes as written; false when the connection cannot be written to (any more).
static bool may_write(struct gtv_rtsp_conn *c, size_t n)
{
    if (c->closing) {
        return false;
    }
    if (queued(c) + n > GTV_RTSP_HARD_MAX) {
        close_conn(c);
        return false;
    }
    c->written += n;
    if (c->session != NULL) {
        gtv_rtsp_session_count(c->session, 0, n);
    }
    return true;
}

static void write_bytes(void *arg, const void *bytes, size_t n)
{
    struct gtv_rtsp_conn *c = arg;
    if (!may_write(c, n)) {
        return;
    }
    uv_buf_t piece = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)n);
    size_t sent = try_pieces(c, &piece, 1);
    if (sent == n) {
        return;
    }
    struct write *w = gtv_alloc(sizeof *w + n - sent);
    memcpy(w->bytes, (const char *)bytes + sent, n - sent);
    piece = uv_buf_init(w->bytes, (unsigned)(n - sent));
    if (uv_write(&w->req, stream_of(c), &piece, 1, on_written) != 0) {
        free(w);
    }
}

static size_t make_pieces(uv_buf_t *out, const struct gtv_pay_packet *packets, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct gtv_pay_packet *p = &packets[i];
        out[2 * i] = uv_buf_init((char *)(uintptr_t)p->head, p->head_len);
        out[2 * i + 1] = uv_buf_init((char *)(uintptr_t)p->body.p, (unsigned)p->body.n);
    }
    return 2 * n;
}

static void reserve_pieces(struct gtv_rtsp_server *s, size_t n)
{
    if (n > s->piece_cap) {
        s->piece_cap = n * 2;
        s->pieces = gtv_realloc(s->pieces, s->piece_cap * sizeof *s->pieces);
    }
}

// Queues what the kernel did not take: the packets from the one that holds byte `sent` on.
static void queue_packets(struct gtv_rtsp_conn *c, const struct gtv_pay_batch *batch, size_t sent,
                          struct gtv_bytes *data, struct gtv_bytes *sets)
{
    size_t first = 0;
    while (sent >= batch->packets[first].head_len + batch->packets[first].body.n) {
        sent -= batch->packets[first].head_len + batch->packets[first].body.n;
        first++;
    }
    size_t n = batch->count - first;
    struct write *w = GTV_NEW(struct write);
    w->packets = gtv_alloc(n * sizeof *w->packets);
    memcpy(w->packets, batch->packets + first, n * sizeof *w->packets);
    w->data = gtv_bytes_ref(data);
    w->sets = sets != NULL ? gtv_bytes_ref(sets) : NULL;
    uv_buf_t *pieces = c->server->pieces;
    size_t count = make_pieces(pieces, w->packets, n);
    for (size_t i = 0; sent > 0; i++) {
        size_t cut = sent < pieces[i].len ? sent : pieces[i].len;
        pieces[i].base += cut;
        pieces[i].len -= cut;
        sent -= cut;
    }
    if (uv_write(&w->req, stream_of(c), pieces, (unsigned)count, on_written) != 0) {
        on_written(&w->req, UV_EPIPE);
    }
}

static void write_packets(void *arg, const struct gtv_pay_batch *batch, struct gtv_bytes *data,
                          struct gtv_bytes *sets)
{
    struct gtv_rtsp_conn *c = arg;
    if (batch->count == 0 || !may_write(c, batch->bytes)) {
        return;
    }
    reserve_pieces(c->server, 2 * batch->count);
    size_t n = make_pieces(c->server->pieces, batch->packets, batch->count);
    size_t sent = try_pieces(c, c->server->pieces, n);
    if (sent < batch->bytes) {
        queue_packets(c, batch, sent, data, sets);
    }
}

// ---- Bytes in ----

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct gtv_rtsp_conn *c = handle->data;
    char *buffer = c->server->buffer;
    (void)suggested;
    *buf = uv_buf_init(buffer + c->kept.len, (unsigned)(GTV_RTSP_READ_BYTES - c->kept.len));
}

// Hands over n bytes, which stand at `data`, and keeps what is left over.
static void hand_over(struct gtv_rtsp_conn *c, const char *data, size_t n)
{
    c->reading = true;
    size_t used = gtv_rtsp_session_data(c->session, (struct gtv_str){data, n}, gtv_mono_ms());
    c->reading = false;
    if (c->closing) {
        gtv_buf_finish(&c->kept);
        return;
    }
    gtv_buf_reset(&c->kept);
    if (n - used > gtv_rtsp_session_pending() ||
        (used < n && !gtv_buf_append(&c->kept, data + used, n - used))) {
        end_conn(c, "invalid_data", "the client sends faster than it is answered");
    } else if (used == n && c->kept.cap > 0) {
        gtv_buf_finish(&c->kept); // most connections never need it again
    }
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct gtv_rtsp_conn *c = stream->data;
    (void)buf;
    if (n < 0) {
        end_conn(c, "closed", NULL);
        return;
    }
    if (n == 0 || c->closing) {
        return;
    }
    gtv_rtsp_session_count(c->session, (size_t)n, 0);
    size_t kept = c->kept.len;
    if (kept > 0) {
        memcpy(c->server->buffer, c->kept.data, kept); // on_alloc left the room for it
    }
    hand_over(c, c->server->buffer, kept + (size_t)n);
}

// What a session held back can go on. Not out of the shared buffer: somebody else may be reading just now.
static void resume(void *arg)
{
    struct gtv_rtsp_conn *c = arg;
    if (c->closing || c->reading || c->kept.len == 0) {
        return;
    }
    struct gtv_buf kept = c->kept;
    gtv_buf_init(&c->kept, gtv_rtsp_session_pending());
    hand_over(c, kept.data, kept.len);
    gtv_buf_finish(&kept);
}

// ---- Connections ----

static const struct gtv_rtsp_wire wire = {
    .write = write_bytes,
    .write_packets = write_packets,
    .queued = queued,
    .send_packets = gtv_rtsp_udp_packets,
    .send_rtcp = gtv_rtsp_udp_rtcp,
    .claim = gtv_rtsp_udp_claim,
    .release = gtv_rtsp_udp_release,
    .resume = resume,
    .close = close_conn,
};

static void tick_conn(struct gtv_rtsp_conn *c, int64_t now)
{
    uint64_t taken = c->written - queued(c);
    if (taken != c->taken || queued(c) == 0) {
        c->taken = taken;
        c->taken_ms = now;
    }
    if (!c->closing) {
        gtv_rtsp_session_tick(c->session, now);
    }
    if (!c->closing && now - c->taken_ms >= GTV_RTSP_WRITE_MS) {
        end_conn(c, "timed_out", "the client takes nothing any more");
    } else if (c->closing && !c->ended && now >= c->close_ms) {
        end_conn(c, "closed", "the connection was closed");
    } else if (c->closing && !c->ended && !c->shut && queued(c) == 0) {
        uv_os_fd_t fd = -1;
        c->shut = true;
        if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0) {
            (void)shutdown(fd, SHUT_WR);
        }
    }
}

static void on_tick(void *arg)
{
    struct gtv_rtsp_server *s = arg;
    int64_t now = gtv_mono_ms();
    // A connection leaves the list in a later turn of the loop only.
    for (struct gtv_rtsp_conn *c = s->conns; c != NULL; c = c->next) {
        if (!c->ended) {
            tick_conn(c, now);
        }
    }
}

static void on_refused(uv_handle_t *handle)
{
    free(handle);
}

static void refuse(struct gtv_rtsp_server *s, uv_stream_t *listener)
{
    uv_tcp_t *tcp = GTV_NEW(uv_tcp_t);
    if (uv_tcp_init(gtv_loop_uv(s->loop), tcp) != 0) {
        free(tcp);
        return;
    }
    (void)uv_accept(listener, (uv_stream_t *)tcp);
    uv_close((uv_handle_t *)tcp, on_refused);
    if (!s->full_told) {
        gtv_log_warn(&s->log, "too many RTSP connections: new ones are closed", "limit=%d",
                     GTV_RTSP_CONNS_MAX);
    }
    s->full_told = true;
}

static bool begin_session(struct gtv_rtsp_conn *c)
{
    struct sockaddr_storage peer = {0}, local = {0};
    int peer_len = sizeof peer, local_len = sizeof local;
    if (uv_accept((uv_stream_t *)&c->server->listener, stream_of(c)) != 0 ||
        uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&peer, &peer_len) != 0 ||
        uv_tcp_getsockname(&c->tcp, (struct sockaddr *)&local, &local_len) != 0) {
        return false;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    int64_t now = gtv_mono_ms();
    c->taken_ms = now;
    c->session = gtv_rtsp_session_create(&c->server->env, &wire, c, (struct sockaddr *)&peer,
                                         (struct sockaddr *)&local, now);
    return uv_read_start(stream_of(c), on_alloc, on_read) == 0;
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct gtv_rtsp_server *s = listener->data;
    if (status < 0 || s->stopped) {
        return;
    }
    if (s->conn_count >= GTV_RTSP_CONNS_MAX) {
        refuse(s, listener);
        return;
    }
    s->full_told = false;
    struct gtv_rtsp_conn *c = GTV_NEW(struct gtv_rtsp_conn);
    c->server = s;
    gtv_buf_init(&c->kept, gtv_rtsp_session_pending());
    if (uv_tcp_init(gtv_loop_uv(s->loop), &c->tcp) != 0) {
        free(c);
        return;
    }
    c->tcp.data = c;
    c->next = s->conns;
    c->prev = &s->conns;
    if (c->next != NULL) {
        c->next->prev = &c->next;
    }
    s->conns = c;
    if (s->conn_count++ == 0) {
        gtv_timer_start(s->tick, TICK_MS, TICK_MS);
    }
    if (!begin_session(c)) {
        end_conn(c, "closed", "the connection is gone already");
    }
}

// ---- The server ----

static struct gtv_path *find(void *arg, struct gtv_str name, bool publishes)
{
    return gtv_node_find_or_match(arg, name, publishes);
}

static bool has(const char *list, const char *word)
{
    return gtv_rtsp_list_has(gtv_str_of(list), word);
}

static bool check_words(const char *list, const char *known, const char *key, struct gtv_error *err)
{
    struct gtv_str rest = gtv_str_of(list);
    while (rest.n > 0) {
        char word[32];
        struct gtv_str item = gtv_str_trim(gtv_str_cut(&rest, ','));
        if (!gtv_str_copy(word, sizeof word, item) || (item.n > 0 && !has(known, word))) {
            gtv_error_set(err, GTV_E_INVALID, NULL, "%s: \"%.*s\" is none of: %s", key,
                          (int)(item.n < 40 ? item.n : 40), item.p, known);
            return false;
        }
    }
    return true;
}

static bool read_options(struct gtv_rtsp_server *s, const struct gtv_media_options *o, struct gtv_error *err)
{
    // "multicast" is MediaMTX's default too: it is understood, and refused to who asks for it.
    if (!check_words(o->rtsp_transports, "udp,multicast,tcp", "rtspTransports", err) ||
        !check_words(o->rtsp_auth_methods, "basic,digest", "rtspAuthMethods", err)) {
        return false;
    }
    s->env.tcp = has(o->rtsp_transports, "tcp");
    s->env.udp = has(o->rtsp_transports, "udp");
    s->env.basic = has(o->rtsp_auth_methods, "basic");
    s->env.digest = has(o->rtsp_auth_methods, "digest");
    if (!s->env.tcp && !s->env.udp) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "rtspTransports has neither \"tcp\" nor \"udp\"");
        return false;
    }
    if (!s->env.basic && !s->env.digest) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "rtspAuthMethods has neither \"basic\" nor \"digest\"");
        return false;
    }
    return true;
}

static bool listen_on(struct gtv_rtsp_server *s, const char *host, int port, struct gtv_error *err)
{
    struct sockaddr_storage addr = {0};
    int len = sizeof addr, rc = 0;
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)&addr) != 0 &&
        uv_ip6_addr(host, port, (struct sockaddr_in6 *)&addr) != 0) {
        gtv_error_set(err, GTV_E_INVALID, "host", "\"%s\" is no address to listen on", host);
        return false;
    }
    rc = uv_tcp_init(gtv_loop_uv(s->loop), &s->listener);
    if (rc == 0) {
        s->listener.data = s;
        s->handles++;
        rc = uv_tcp_bind(&s->listener, (struct sockaddr *)&addr, 0);
        rc = rc != 0 ? rc : uv_listen((uv_stream_t *)&s->listener, BACKLOG, on_connection);
        rc = rc != 0 ? rc : uv_tcp_getsockname(&s->listener, (struct sockaddr *)&addr, &len);
    }
    if (rc != 0) {
        gtv_error_set(err, GTV_E_IO, NULL, "cannot listen for RTSP on %s port %d: %s", host, port,
                      uv_strerror(rc));
        return false;
    }
    s->port = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                               : ((struct sockaddr_in *)&addr)->sin_port);
    return true;
}

struct gtv_rtsp_server *gtv_rtsp_server_create(struct gtv_loop *loop, struct gtv_node *node,
                                               const struct gtv_media_options *options, struct gtv_error *err)
{
    struct gtv_rtsp_server *s = GTV_NEW(struct gtv_rtsp_server);
    struct gtv_metrics *metrics = gtv_node_metrics(node);
    const char *hosts[2] = {gtv_media_host(options, options->rtp_host),
                            gtv_media_host(options, options->rtcp_host)};
    const int64_t ports[2] = {options->rtp_port, options->rtcp_port};
    s->loop = loop;
    s->node = node;
    s->log = (struct gtv_log){"media", "server", "rtsp"};
    s->udp_fd[0] = s->udp_fd[1] = -1;
    s->env.find = find;
    s->env.arg = node;
    s->env.auth = gtv_node_auth(node);
    s->env.sessions = gtv_node_sessions(node);
    s->env.stall_seconds = &options->stall_seconds;
    s->env.auth_failures = gtv_metrics_counter(metrics, "gtv_media_auth_failures_total", "",
                                               "Requests whose credentials were wrong.");
    s->lost = gtv_metrics_counter(metrics, "gtv_media_rtp_dropped_total", "",
                                  "RTP packets over UDP that the kernel did not take.");
    s->claims = gtv_map_create();
    s->buffer = gtv_alloc(GTV_RTSP_READ_BYTES);
    s->tick = gtv_timer_create(loop, on_tick, s);
    if (!read_options(s, options, err) ||
        !listen_on(s, gtv_media_host(options, options->rtsp_host), (int)options->rtsp_port, err) ||
        (s->env.udp && !gtv_rtsp_udp_open(s, hosts, ports, err))) {
        gtv_rtsp_server_destroy(s);
        return NULL;
    }
    return s;
}

int gtv_rtsp_server_port(const struct gtv_rtsp_server *s)
{
    return s->port;
}

void gtv_rtsp_server_stop(struct gtv_rtsp_server *s)
{
    if (s->stopped) {
        return;
    }
    s->stopped = true;
    if (s->listener.data != NULL) {
        uv_close((uv_handle_t *)&s->listener, gtv_rtsp_handle_closed);
    }
    gtv_rtsp_udp_close(s);
    for (struct gtv_rtsp_conn *c = s->conns; c != NULL; c = c->next) {
        end_conn(c, "closed", "the server is stopping");
    }
}

void gtv_rtsp_server_destroy(struct gtv_rtsp_server *s)
{
    if (s == NULL) {
        return;
    }
    gtv_rtsp_server_stop(s);
    gtv_timer_destroy(s->tick);
    gtv_map_destroy(s->claims, NULL);
    gtv_pay_batch_finish(&s->env.batch);
    free(s->buffer);
    free(s->pieces);
    s->buffer = NULL;
    s->destroyed = true;
    free_server(s);
}
