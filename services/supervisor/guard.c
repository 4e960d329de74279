#include "services/supervisor/guard.h"

#include "lib/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

// More groups than the supervisor has children.
enum { MAX_GROUPS = 64, TERM_MS = 5000, KILL_MS = 1000, POLL_US = 20 * 1000 };

struct groups {
    int32_t ids[MAX_GROUPS];
    size_t count;
};

static void note(struct groups *g, int32_t message)
{
    if (message > 0 && g->count < MAX_GROUPS) {
        g->ids[g->count++] = message;
        return;
    }
    for (size_t i = 0; i < g->count; i++) {
        if (g->ids[i] == -message) {
            g->ids[i] = g->ids[--g->count];
            return;
        }
    }
}

static bool signal_all(const struct groups *g, int signum)
{
    bool any = false;
    for (size_t i = 0; i < g->count; i++)
        any |= kill(-g->ids[i], signum) == 0;
    return any;
}

static void wait_until_gone(const struct groups *g, int64_t limit_ms)
{
    int64_t end = gtv_mono_ms() + limit_ms;
    while (signal_all(g, 0) && gtv_mono_ms() < end)
        usleep(POLL_US);
}

static void watch(int from)
{
    struct groups groups = {.count = 0};
    int32_t message;
    for (;;) {
        ssize_t n = read(from, &message, sizeof(message));
        if (n == (ssize_t)sizeof(message))
            note(&groups, message);
        else if (!(n < 0 && errno == EINTR))
            break;
    }
    if (signal_all(&groups, SIGTERM))
        wait_until_gone(&groups, TERM_MS);
    if (signal_all(&groups, SIGKILL))
        wait_until_gone(&groups, KILL_MS);
}

int guard_start(int lock_fd)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -1;
    pid_t pid = fork();
    if (pid < 0) {
        int saved = errno;
        close(ends[0]);
        close(ends[1]);
        errno = saved;
        return -1;
    }
    if (pid > 0) {
        close(ends[0]);
        return ends[1];
    }
    // Away from the terminal's signals and its standard streams: nothing may end the guard but the end of its
    // work.
    setsid();
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)prctl(PR_SET_NAME, "gtv-guard");
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd <= 2 && null >= 0; fd++)
        (void)dup2(null, fd);
    close(ends[1]);
    watch(ends[0]);
    close(lock_fd);
    _exit(0);
}

static void tell(int guard, int32_t message)
{
    while (write(guard, &message, sizeof(message)) < 0 && errno == EINTR)
        ;
}

void guard_add(int guard, pid_t group)
{
    tell(guard, (int32_t)group);
}

void guard_remove(int guard, pid_t group)
{
    tell(guard, -(int32_t)group);
}
