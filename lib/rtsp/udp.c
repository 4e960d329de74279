#include "lib/rtsp/udp.h"

#include "lib/base/mem.h"
#include "lib/rtsp/hub.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/random.h>

enum {
    FIRST_PORT = 10000,
    LAST_PORT = 65534,
    ATTEMPTS = 100,
    RECEIVE_BYTES = 1024 * 1024, // asked of the kernel: a key frame comes as one burst
};

struct socket {
    uv_udp_t udp;
    struct gtv_udp_pair *pair;
    bool open;
    struct sockaddr_storage to;
};

struct gtv_udp_pair {
    struct gtv_rtsp_hub *hub;
    struct sockaddr_storage peer;
    void (*on_packet)(void *arg, bool rtcp, struct gtv_str data);
    void *arg;
    struct socket sockets[2];
    int port;
    bool closed;
    unsigned busy; // callbacks under way
};

static void free_if_done(struct gtv_udp_pair *u)
{
    if (u->closed && !u->sockets[0].open && !u->sockets[1].open && u->busy == 0) {
        free(u);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct socket *s = handle->data;
    s->open = false;
    free_if_done(s->pair);
}

static bool same_address(const struct sockaddr *a, const struct sockaddr_storage *b)
{
    if (a->sa_family != b->ss_family) {
        return false;
    }
    if (a->sa_family == AF_INET) {
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    }
    return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, &((const struct sockaddr_in6 *)b)->sin6_addr,
                  sizeof(struct in6_addr)) == 0;
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct socket *s = handle->data;
    (void)suggested;
    // Of the size that libuv reads several datagrams into with one call.
    *buf = uv_buf_init(gtv_rtsp_hub_buffer(s->pair->hub), GTV_LINK_READ_BYTES);
}

static void on_datagram(uv_udp_t *handle, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
                        unsigned flags)
{
    struct socket *s = handle->data;
    struct gtv_udp_pair *u = s->pair;
    // Errors are a closed port's echo: the watchdog sees what does not come.
    if (n <= 0 || from == NULL || u->closed || (flags & UV_UDP_PARTIAL) || !same_address(from, &u->peer)) {
        return;
    }
    u->busy++;
    u->on_packet(u->arg, s == &u->sockets[1], (struct gtv_str){buf->base, (size_t)n});
    u->busy--;
    free_if_done(u);
}

static void set_port(struct sockaddr_storage *a, int port)
{
    if (a->ss_family == AF_INET) {
        ((struct sockaddr_in *)a)->sin_port = htons((uint16_t)port);
    } else {
        ((struct sockaddr_in6 *)a)->sin6_port = htons((uint16_t)port);
    }
}

static bool open_socket(struct gtv_udp_pair *u, int i, struct sockaddr_storage local, int port)
{
    struct socket *s = &u->sockets[i];
    int size = RECEIVE_BYTES;
    if (uv_udp_init_ex(gtv_loop_uv(gtv_rtsp_hub_loop(u->hub)), &s->udp,
                       (unsigned)local.ss_family | UV_UDP_RECVMMSG) != 0) {
        return false;
    }
    s->udp.data = s;
    s->pair = u;
    s->open = true;
    set_port(&local, port);
    if (uv_udp_bind(&s->udp, (const struct sockaddr *)&local, 0) != 0) {
        return false;
    }
    (void)uv_recv_buffer_size((uv_handle_t *)&s->udp, &size);
    return uv_udp_recv_start(&s->udp, on_alloc, on_datagram) == 0;
}

// A pair on these ports, or NULL.
static struct gtv_udp_pair *open_at(struct gtv_rtsp_hub *hub, const struct sockaddr_storage *local, int port)
{
    struct gtv_udp_pair *u = GTV_NEW(struct gtv_udp_pair);
    u->hub = hub;
    u->port = port;
    if (open_socket(u, 0, *local, port) && open_socket(u, 1, *local, port + 1)) {
        return u;
    }
    gtv_udp_close(u);
    return NULL;
}

struct gtv_udp_pair *gtv_udp_open(struct gtv_rtsp_hub *hub, const struct sockaddr_storage *local,
                                  const struct sockaddr_storage *peer,
                                  void (*on_packet)(void *arg, bool rtcp, struct gtv_str data), void *arg)
{
    uint32_t r = 0;
    if (getrandom(&r, sizeof r, 0) != (ssize_t)sizeof r ||
        (local->ss_family != AF_INET && local->ss_family != AF_INET6)) {
        return NULL;
    }
    for (uint32_t i = 0; i < ATTEMPTS; i++) {
        int port = FIRST_PORT + (int)((r + i * 7) % ((LAST_PORT - FIRST_PORT) / 2)) * 2;
        struct gtv_udp_pair *u = open_at(hub, local, port);
        if (u != NULL) {
            u->peer = *peer;
            u->on_packet = on_packet;
            u->arg = arg;
            return u;
        }
    }
    return NULL;
}

void gtv_udp_close(struct gtv_udp_pair *u)
{
    if (u == NULL || u->closed) {
        return;
    }
    u->closed = true;
    for (int i = 0; i < 2; i++) {
        if (u->sockets[i].open) {
            uv_close((uv_handle_t *)&u->sockets[i].udp, on_closed);
        }
    }
    free_if_done(u);
}

int gtv_udp_port(const struct gtv_udp_pair *u)
{
    return u->port;
}

void gtv_udp_set_ports(struct gtv_udp_pair *u, int rtp, int rtcp)
{
    const int ports[2] = {rtp, rtcp};
    for (int i = 0; i < 2; i++) {
        u->sockets[i].to = u->peer;
        set_port(&u->sockets[i].to, ports[i]);
    }
}

void gtv_udp_send(struct gtv_udp_pair *u, bool rtcp, const void *data, size_t n)
{
    struct socket *s = &u->sockets[rtcp ? 1 : 0];
    if (!u->closed && s->to.ss_family != 0) {
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)data, (unsigned)n);
        (void)uv_udp_try_send(&s->udp, &buf, 1, (const struct sockaddr *)&s->to);
    }
}
