#include "services/supervisor/handover.h"

#include "lib/base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, FIRST_SOCKET = 3, OUT_OF_THE_WAY = 64 };

static int listen_on(int port, bool shared)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if ((!shared || setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0) &&
        bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

bool handover_open(struct handover *h, const struct handover_wanted wanted[HANDOVER_WANTED_MAX],
                   struct gtv_error *err)
{
    size_t at = (size_t)snprintf(h->names, sizeof h->names, "LISTEN_FDNAMES=");
    for (size_t i = 0; i < HANDOVER_WANTED_MAX && wanted[i].port; i++) {
        for (int k = 0; k < wanted[i].count && h->count < HANDOVER_MAX; k++) {
            int fd = listen_on(wanted[i].port, wanted[i].count > 1);
            if (fd < 0) {
                gtv_error_set(err, GTV_E_CONFLICT, NULL, "Port %d of 127.0.0.1, for %s, cannot be opened: %s",
                              wanted[i].port, wanted[i].name, strerror(errno));
                handover_close(h);
                return false;
            }
            at += (size_t)snprintf(h->names + at, sizeof h->names - at, "%s%s", h->count ? ":" : "",
                                   wanted[i].name);
            h->fds[h->count++] = fd;
        }
    }
    return true;
}

void handover_close(struct handover *h)
{
    while (h->count)
        close(h->fds[--h->count]);
}

void handover_place(const struct handover *h)
{
    int away[HANDOVER_MAX];
    // First out of each other's way: a socket may lie where another one has to go.
    for (size_t i = 0; i < h->count; i++)
        away[i] = fcntl(h->fds[i], F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
    for (size_t i = 0; i < h->count; i++)
        (void)dup2(away[i], FIRST_SOCKET + (int)i);
}
