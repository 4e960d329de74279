#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/media/rtsp/server_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BURST = 64,                     // packets handed to the kernel with one call
    BUFFER_BYTES = 4 * 1024 * 1024, // asked of the kernel for each direction: key frames come as one burst
    CLAIMS_MAX = 2 * GTV_RTSP_TRACKS_MAX,
    PAIRS = 100, // ports that are tried where any will do
    FIRST_PORT = 20000,
};

// An address as a key: which socket, family, address, port.
static struct gtv_str key_of(const struct sockaddr *a, bool rtcp, char out[24])
{
    memset(out, 0, 24);
    out[0] = rtcp ? 'c' : 'p';
    if (a->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)a;
        out[1] = '6';
        memcpy(out + 2, &in->sin6_port, 2);
        memcpy(out + 4, &in->sin6_addr, 16);
    } else {
        const struct sockaddr_in *in = (const struct sockaddr_in *)a;
        out[1] = '4';
        memcpy(out + 2, &in->sin_port, 2);
        memcpy(out + 4, &in->sin_addr, 4);
    }
    return (struct gtv_str){out, 24};
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct gtv_rtsp_server *s = handle->data;
    (void)suggested;
    *buf = uv_buf_init(s->buffer, GTV_RTSP_READ_BYTES);
}

static void on_datagram(uv_udp_t *handle, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
                        unsigned flags)
{
    struct gtv_rtsp_server *s = handle->data;
    char key[24];
    // Errors are the echoes of closed ports: the sessions' own watchdogs see what does not come.
    if (n <= 0 || from == NULL || (flags & UV_UDP_PARTIAL)) {
        return;
    }
    const struct gtv_rtsp_claim *claim = gtv_map_get(s->claims, key_of(from, handle == &s->udp[1], key));
    if (claim != NULL && !claim->conn->closing) {
        gtv_rtsp_session_datagram(claim->conn->session, claim->track, claim->rtcp,
                                  (struct gtv_str){buf->base, (size_t)n}, gtv_mono_ms());
    }
}

// A bound socket, or a negative error.
static int bind_one(const char *host, int port)
{
    struct sockaddr_storage addr = {0};
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)&addr) != 0 &&
        uv_ip6_addr(host, port, (struct sockaddr_in6 *)&addr) != 0) {
        return UV_EINVAL;
    }
    socklen_t len = addr.ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int fd = socket(addr.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, len) == 0) {
        return fd;
    }
    int why = errno;
    if (fd >= 0) {
        close(fd);
    }
    return -why;
}

static int bind_pair(const char *hosts[2], int port, int fds[2])
{
    fds[0] = bind_one(hosts[0], port);
    if (fds[0] < 0) {
        return fds[0];
    }
    fds[1] = bind_one(hosts[1], port + 1);
    if (fds[1] < 0) {
        close(fds[0]);
        return fds[1];
    }
    return 0;
}

static bool adopt(struct gtv_rtsp_server *s, int i, int fd)
{
    int in = BUFFER_BYTES, out = BUFFER_BYTES;
    if (uv_udp_init_ex(gtv_loop_uv(s->loop), &s->udp[i], (unsigned)AF_UNSPEC | UV_UDP_RECVMMSG) != 0) {
        close(fd);
        return false;
    }
    s->udp[i].data = s;
    s->handles++;
    s->udp_fd[i] = fd;
    if (uv_udp_open(&s->udp[i], fd) != 0) {
        close(fd);
        return false;
    }
    (void)uv_recv_buffer_size((uv_handle_t *)&s->udp[i], &in);
    (void)uv_send_buffer_size((uv_handle_t *)&s->udp[i], &out);
    return uv_udp_recv_start(&s->udp[i], on_alloc, on_datagram) == 0;
}

bool gtv_rtsp_udp_open(struct gtv_rtsp_server *s, const char *hosts[2], const int64_t ports[2],
                       struct gtv_error *err)
{
    bool any = ports[0] == 0 || ports[1] == 0;
    int fds[2] = {-1, -1}, rc = 0,
        port = any ? FIRST_PORT + (int)(gtv_mono_ns() / 1000 % 20000) * 2 : (int)ports[0];
    if (!any && (ports[0] % 2 != 0 || ports[1] != ports[0] + 1)) {
        gtv_error_set(err, GTV_E_INVALID, NULL,
                      "the RTP port must be even, and the RTCP port the one behind it");
        return false;
    }
    for (int attempt = 0; attempt < (any ? PAIRS : 1); attempt++) {
        port += attempt > 0 ? 2 : 0;
        rc = bind_pair(hosts, port, fds);
        if (rc == 0) {
            break;
        }
    }
    if (rc != 0) {
        gtv_error_set(err, GTV_E_IO, NULL, "cannot use the UDP ports %d and %d for RTP and RTCP: %s", port,
                      port + 1, uv_strerror(rc));
        return false;
    }
    bool first = adopt(s, 0, fds[0]);
    if (!adopt(s, 1, fds[1]) || !first) {
        gtv_error_set(err, GTV_E_IO, NULL, "cannot listen on the UDP ports %d and %d", port, port + 1);
        return false;
    }
    s->env.rtp_port = port;
    s->env.rtcp_port = port + 1;
    return true;
}

static void close_one(struct gtv_rtsp_server *s, int i)
{
    if (s->udp_fd[i] >= 0) {
        s->udp_fd[i] = -1;
        uv_close((uv_handle_t *)&s->udp[i], gtv_rtsp_handle_closed);
    }
}

void gtv_rtsp_udp_close(struct gtv_rtsp_server *s)
{
    close_one(s, 0);
    close_one(s, 1);
}

// ---- Sending ----

void gtv_rtsp_udp_packets(void *arg, const struct gtv_pay_batch *batch, const struct sockaddr_storage *to)
{
    struct gtv_rtsp_conn *c = arg;
    struct gtv_rtsp_server *s = c->server;
    socklen_t len = to->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    struct mmsghdr messages[BURST];
    struct iovec pieces[BURST][2];
    for (size_t at = 0; at < batch->count && s->udp_fd[0] >= 0;) {
        unsigned n = 0;
        for (; n < BURST && at + n < batch->count; n++) {
            const struct gtv_pay_packet *p = &batch->packets[at + n];
            pieces[n][0] = (struct iovec){(void *)(uintptr_t)(p->head + GTV_PAY_FRAME_HEAD),
                                          (size_t)p->head_len - GTV_PAY_FRAME_HEAD};
            pieces[n][1] = (struct iovec){(void *)(uintptr_t)p->body.p, p->body.n};
            messages[n] = (struct mmsghdr){.msg_hdr = {.msg_name = (void *)(uintptr_t)to,
                                                       .msg_namelen = len,
                                                       .msg_iov = pieces[n],
                                                       .msg_iovlen = 2}};
        }
        int sent = sendmmsg(s->udp_fd[0], messages, n, MSG_DONTWAIT);
        if (sent <= 0) {
            gtv_counter_add(s->lost, batch->count - at); // a full buffer, or a closed port's echo
            return;
        }
        at += (unsigned)sent;
    }
}

void gtv_rtsp_udp_rtcp(void *arg, const void *bytes, size_t n, const struct sockaddr_storage *to)
{
    struct gtv_rtsp_conn *c = arg;
    struct gtv_rtsp_server *s = c->server;
    socklen_t len = to->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (s->udp_fd[1] >= 0) {
        (void)sendto(s->udp_fd[1], bytes, n, MSG_DONTWAIT, (const struct sockaddr *)to, len);
    }
}

// ---- Claims ----

bool gtv_rtsp_udp_claim(void *arg, const struct sockaddr_storage *from, bool rtcp, size_t track)
{
    struct gtv_rtsp_conn *c = arg;
    char key[24];
    size_t count = 0;
    for (const struct gtv_rtsp_claim *k = c->claims; k != NULL; k = k->next) {
        count++;
    }
    struct gtv_str text = key_of((const struct sockaddr *)from, rtcp, key);
    if (count >= CLAIMS_MAX || gtv_map_get(c->server->claims, text) != NULL) {
        return false;
    }
    struct gtv_rtsp_claim *claim = GTV_NEW(struct gtv_rtsp_claim);
    *claim = (struct gtv_rtsp_claim){.conn = c, .track = track, .rtcp = rtcp, .next = c->claims};
    memcpy(claim->key, key, sizeof claim->key);
    c->claims = claim;
    gtv_map_put(c->server->claims, text, claim);
    return true;
}

void gtv_rtsp_udp_release(void *arg)
{
    struct gtv_rtsp_conn *c = arg;
    while (c->claims != NULL) {
        struct gtv_rtsp_claim *claim = c->claims;
        c->claims = claim->next;
        gtv_map_remove(c->server->claims, (struct gtv_str){claim->key, sizeof claim->key});
        free(claim);
    }
}
