#include "lib/life/life.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    FIRST_SOCKET = 3, // SD_LISTEN_FDS_START
    NAME_CAP = 64,
    STATUS_MAX = 200,
    LOOPS_MAX = 16,
    SIGNS_IN_TIME = 3,
    SEND_LIMIT_S = 1, // a supervisor that does not read must not keep its program from working
};

struct handed {
    int fd; // -1: taken
    int port;
    char name[NAME_CAP];
};

// A loop besides the first, and whether the question that it was asked still waits.
struct watched {
    struct gtv_loop *loop;
    atomic_bool asked;
};

struct gtv_life {
    struct gtv_log log;
    int notify; // -1: nobody listens
    struct sockaddr_un to;
    socklen_t to_len;
    uint64_t watchdog_ms; // 0: no signs of life are wanted
    struct gtv_timer *timer;
    bool watching, stopping;
    struct watched loops[LOOPS_MAX];
    size_t loop_count;
    struct handed handed[GTV_LIFE_SOCKETS_MAX];
    size_t handed_count;
};

// ---- Saying ----

static void say(struct gtv_life *life, const char *text, int flags)
{
    if (life->notify < 0)
        return;
    ssize_t n;
    do
        n = sendto(life->notify, text, strlen(text), flags | MSG_NOSIGNAL, (struct sockaddr *)&life->to,
                   life->to_len);
    while (n < 0 && errno == EINTR);
    if (n < 0 && !(flags & MSG_DONTWAIT))
        gtv_log_warn(&life->log, "the supervisor cannot be told", "err=\"%s\"", strerror(errno));
}

static void open_notify(struct gtv_life *life)
{
    const char *path = getenv("NOTIFY_SOCKET");
    size_t n = path ? strlen(path) : 0;
    if (n < 2 || n >= sizeof(life->to.sun_path) || (path[0] != '/' && path[0] != '@'))
        return;
    life->to.sun_family = AF_UNIX;
    memcpy(life->to.sun_path, path, n);
    life->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (path[0] == '/' ? 1 : 0));
    if (path[0] == '@')
        life->to.sun_path[0] = '\0';
    life->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const struct timeval limit = {.tv_sec = SEND_LIMIT_S};
    if (life->notify >= 0)
        (void)setsockopt(life->notify, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

static void read_watchdog(struct gtv_life *life)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    int64_t value, whose;
    if (!usec || !gtv_parse_int(gtv_str_of(usec), 1, INT64_MAX, &value))
        return;
    if (pid && (!gtv_parse_int(gtv_str_of(pid), 1, INT_MAX, &whose) || whose != getpid()))
        return;
    life->watchdog_ms = (uint64_t)(value / 1000);
}

// ---- Signs of life ----

static void answer(void *arg)
{
    struct watched *w = arg;
    atomic_store(&w->asked, false);
}

// Runs on the first loop: that it runs is that loop's sign. The others have answered what the last turn
// asked.
static void on_turn(void *arg)
{
    struct gtv_life *life = arg;
    bool all = true;
    for (size_t i = 0; i < life->loop_count; i++) {
        struct watched *w = &life->loops[i];
        if (atomic_load(&w->asked)) {
            all = false;
            continue;
        }
        atomic_store(&w->asked, true);
        if (!gtv_loop_post(w->loop, answer, w)) {
            atomic_store(&w->asked, false);
            all = false;
        }
    }
    if (all)
        say(life, "WATCHDOG=1", MSG_DONTWAIT);
}

void gtv_life_watch(struct gtv_life *life, struct gtv_loop *loop)
{
    if (life->loop_count < LOOPS_MAX)
        life->loops[life->loop_count++].loop = loop;
}

void gtv_life_ready(struct gtv_life *life)
{
    if (life->stopping)
        return;
    say(life, "READY=1", 0);
    if (life->watchdog_ms == 0 || life->watching || life->notify < 0)
        return;
    life->watching = true;
    uint64_t every = life->watchdog_ms / SIGNS_IN_TIME;
    gtv_timer_start(life->timer, 0, every ? every : 1);
}

void gtv_life_reloading(struct gtv_life *life)
{
    char text[64];
    // systemd compares the time with its own clock, to know that the reload is the one it asked for.
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)gtv_mono_ms() * 1000);
    say(life, text, 0);
}

void gtv_life_stopping(struct gtv_life *life)
{
    if (life->stopping)
        return;
    life->stopping = true;
    say(life, "STOPPING=1", 0);
}

void gtv_life_status(struct gtv_life *life, const char *fmt, ...)
{
    char text[STATUS_MAX + 8] = "STATUS=";
    size_t n = strlen(text);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text + n, sizeof text - n, fmt, ap);
    va_end(ap);
    for (char *p = text; *p; p++)
        *p = *p == '\n' ? ' ' : *p;
    say(life, text, MSG_DONTWAIT);
}

// ---- Sockets ----

static int port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage room;
    } a;
    socklen_t len = sizeof a;
    memset(&a, 0, sizeof a);
    if (getsockname(fd, &a.any, &len) != 0)
        return 0;
    return a.any.sa_family == AF_INET    ? ntohs(a.v4.sin_port)
           : a.any.sa_family == AF_INET6 ? ntohs(a.v6.sin6_port)
                                         : 0;
}

static bool is_listening_stream(int fd)
{
    int type = 0, accepts = 0;
    socklen_t len = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) != 0 || type != SOCK_STREAM)
        return false;
    len = sizeof accepts;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &len) == 0 && accepts;
}

static void take_over(struct gtv_life *life, int fd, struct gtv_str name)
{
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        gtv_log_warn(&life->log, "a socket that was announced is not there", "fd=%d", fd);
        return;
    }
    if (life->handed_count == GTV_LIFE_SOCKETS_MAX || !is_listening_stream(fd)) {
        gtv_log_warn(&life->log, "what was handed over is no listening socket, or one too many: closed",
                     "fd=%d name=" GTV_STR_FMT, fd, GTV_STR_ARG(name));
        close(fd);
        return;
    }
    struct handed *h = &life->handed[life->handed_count++];
    *h = (struct handed){.fd = fd, .port = port_of(fd)};
    if (!gtv_str_copy(h->name, sizeof h->name, name))
        h->name[0] = '\0';
}

static void read_sockets(struct gtv_life *life)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES");
    int64_t whose, n;
    if (!pid || !count || !gtv_parse_int(gtv_str_of(pid), 1, INT_MAX, &whose) || whose != getpid() ||
        !gtv_parse_int(gtv_str_of(count), 0, INT_MAX - FIRST_SOCKET, &n))
        return;
    struct gtv_str rest = gtv_str_of(names ? names : "");
    for (int i = 0; i < n && i < 2 * GTV_LIFE_SOCKETS_MAX; i++)
        take_over(life, FIRST_SOCKET + i, gtv_str_cut(&rest, ':'));
}

int gtv_life_take_socket(struct gtv_life *life, const char *name, int port)
{
    for (size_t i = 0; i < life->handed_count; i++) {
        struct handed *h = &life->handed[i];
        if (h->fd < 0 || !(strcmp(h->name, name) == 0 || (port && h->port == port)))
            continue;
        int fd = h->fd;
        h->fd = -1;
        return fd;
    }
    return -1;
}

static void close_left(struct gtv_life *life, bool tell)
{
    for (size_t i = 0; i < life->handed_count; i++) {
        struct handed *h = &life->handed[i];
        if (h->fd < 0)
            continue;
        if (tell)
            gtv_log_warn(&life->log, "a socket was handed over that no option asks for", "name=%s port=%d",
                         h->name, h->port);
        close(h->fd);
        h->fd = -1;
    }
}

void gtv_life_close_unused(struct gtv_life *life)
{
    close_left(life, true);
}

// ---- Life ----

struct gtv_life *gtv_life_create(struct gtv_loop *loop)
{
    static const char *const ours[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID",
                                       "LISTEN_PID",    "LISTEN_FDS",    "LISTEN_FDNAMES"};
    struct gtv_life *life = GTV_NEW(struct gtv_life);
    life->log = (struct gtv_log){"life", NULL, NULL};
    life->notify = -1;
    life->timer = gtv_timer_create(loop, on_turn, life);
    open_notify(life);
    read_watchdog(life);
    read_sockets(life);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        unsetenv(ours[i]);
    return life;
}

void gtv_life_destroy(struct gtv_life *life)
{
    if (!life)
        return;
    close_left(life, false);
    gtv_timer_destroy(life->timer);
    if (life->notify >= 0)
        close(life->notify);
    free(life);
}
