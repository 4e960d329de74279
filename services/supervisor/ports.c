#include "services/supervisor/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t make_address(const char *host, int port, union address *a)
{
    memset(a, 0, sizeof(*a));
    if (inet_pton(AF_INET, host, &a->v4.sin_addr) == 1) {
        a->v4.sin_family = AF_INET;
        a->v4.sin_port = htons((uint16_t)port);
        return sizeof(a->v4);
    }
    if (inet_pton(AF_INET6, host, &a->v6.sin6_addr) == 1) {
        a->v6.sin6_family = AF_INET6;
        a->v6.sin6_port = htons((uint16_t)port);
        return sizeof(a->v6);
    }
    return 0;
}

// A listening socket, because two sockets that only are bound may share a port. -1 with errno.
static int listen_on(const union address *a, socklen_t len)
{
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, &a->any, len) == 0 && listen(fd, 1) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static int port_of(int fd)
{
    union address a;
    socklen_t len = sizeof(a);
    memset(&a, 0, sizeof(a));
    if (getsockname(fd, &a.any, &len) != 0)
        return 0;
    return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

int ports_take(struct ports *p, int preferred)
{
    union address a;
    if (p->count == PORTS_MAX)
        return 0;
    int fd = listen_on(&a, make_address("127.0.0.1", preferred, &a));
    if (fd < 0)
        fd = listen_on(&a, make_address("127.0.0.1", 0, &a));
    if (fd < 0)
        return 0;
    p->fds[p->count++] = fd;
    return port_of(fd);
}

bool ports_take_exactly(struct ports *p, const char *host, int *port, const char *flag, struct gtv_error *err)
{
    union address a;
    socklen_t len = make_address(host, *port, &a);
    if (len == 0) {
        gtv_error_set(err, GTV_E_INVALID, "GTV_LISTEN",
                      "\"%s\" is no address to listen on: give one like 127.0.0.1 or 0.0.0.0", host);
        return false;
    }
    int fd = p->count < PORTS_MAX ? listen_on(&a, len) : -1;
    if (fd < 0) {
        const char *why = errno == EADDRINUSE ? "is taken by another program: choose another with "
                          : errno == EACCES   ? "needs more rights: choose one above 1023 with "
                                              : "cannot be had: choose another with ";
        gtv_error_set(err, GTV_E_CONFLICT, "GTV_PORT", "Port %d of %s %s%s", *port, host, why, flag);
        return false;
    }
    p->fds[p->count++] = fd;
    *port = port_of(fd);
    return true;
}

void ports_release(struct ports *p)
{
    while (p->count)
        close(p->fds[--p->count]);
}
