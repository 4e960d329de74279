#include "services/supervisor/child.h"

#include "services/supervisor/backoff.h"
#include "services/supervisor/guard.h"
#include "services/supervisor/output.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/log/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOP_MS = 5000, HOPELESS_AFTER = 3 };

enum phase { IDLE, RUNNING, WAITING, STOPPING, STOPPED };

struct child {
    const struct child_spec *spec;
    struct gtv_loop *loop;
    struct gtv_log log;
    struct output *output;
    struct gtv_timer *timer; // in WAITING: the next start; in STOPPING: the end of patience
    struct child_callbacks cb;
    void *arg;
    enum phase phase;
    pid_t pid;
    int guard;
    int64_t started_ms;
    int config_exits; // in a row
    struct backoff backoff;
};

// The reading end of one life's output. It may outlive the process (a grandchild holds the other end), but
// not the child struct.
struct stream {
    uv_pipe_t pipe;
    struct output *output;
    char bytes[16 * 1024];
};

static void give_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct stream *s = handle->data;
    *buf = uv_buf_init(s->bytes, sizeof(s->bytes));
}

static void free_stream(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_bytes(uv_stream_t *handle, ssize_t n, const uv_buf_t *buf)
{
    struct stream *s = handle->data;
    if (n > 0)
        output_feed(s->output, buf->base, (size_t)n);
    if (n >= 0)
        return;
    output_flush(s->output);
    uv_close((uv_handle_t *)handle, free_stream);
}

static void follow_output(struct child *c, int fd)
{
    struct stream *s = GTV_NEW(struct stream);
    s->output = c->output;
    (void)uv_pipe_init(gtv_loop_uv(c->loop), &s->pipe, 0);
    s->pipe.data = s;
    if (uv_pipe_open(&s->pipe, fd) != 0)
        close(fd);
    if (uv_read_start((uv_stream_t *)&s->pipe, give_room, on_bytes) != 0)
        uv_close((uv_handle_t *)&s->pipe, free_stream);
}

// After fork: only what is safe in a copy of a process with threads.
__attribute__((noreturn)) static void become(const struct child_spec *spec, int output_fd, pid_t parent)
{
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) // it died before the line above
        _exit(0);
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL); // what is ignored stays so across execve
    int null = open("/dev/null", O_RDONLY);
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(output_fd, STDOUT_FILENO);
    (void)dup2(output_fd, STDERR_FILENO);
    (void)execve(spec->argv[0], spec->argv, spec->env);
    static const char text[] = "the program cannot be executed\n";
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(127);
}

static void retry_later(struct child *c, int64_t lived_ms);

void child_start(struct child *c)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        gtv_log_error(&c->log, "cannot start", "err=\"%s\"", strerror(errno));
        retry_later(c, 0);
        return;
    }
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        become(c->spec, ends[1], parent);
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        gtv_log_error(&c->log, "cannot start", "err=\"%s\"", strerror(errno));
        retry_later(c, 0);
        return;
    }
    (void)setpgid(pid, pid); // whichever of the two is first
    guard_add(c->guard, pid);
    c->pid = pid;
    c->started_ms = gtv_mono_ms();
    c->phase = RUNNING;
    follow_output(c, ends[0]);
    gtv_log_debug(&c->log, "started", "pid=%d", (int)pid);
}

static void on_timer(void *arg)
{
    struct child *c = arg;
    if (c->phase == WAITING) {
        child_start(c);
    } else if (c->phase == STOPPING) {
        gtv_log_warn(&c->log, "did not stop within 5 s: killed", NULL);
        (void)kill(-c->pid, SIGKILL);
    }
}

static void retry_later(struct child *c, int64_t lived_ms)
{
    int64_t delay = backoff_next(&c->backoff, lived_ms);
    c->phase = WAITING;
    gtv_timer_start(c->timer, (uint64_t)delay, 0);
}

static void log_death(struct child *c, int status, int64_t lived_ms, int64_t delay_ms)
{
    char cause[64];
    if (WIFSIGNALED(status))
        snprintf(cause, sizeof(cause), "signal %d (%s)", WTERMSIG(status), sigabbrev_np(WTERMSIG(status)));
    else
        snprintf(cause, sizeof(cause), "exit status %d", WEXITSTATUS(status));
    gtv_log_error(&c->log, "died and is started again", "cause=\"%s\" lived_s=%.1f again_in_ms=%lld", cause,
                  (double)lived_ms / 1000, (long long)delay_ms);
}

static void ended(struct child *c, int status)
{
    int64_t lived_ms = gtv_mono_ms() - c->started_ms;
    // What it left behind in its group goes with it.
    (void)kill(-c->pid, SIGKILL);
    guard_remove(c->guard, c->pid);
    c->pid = 0;
    if (c->phase == STOPPING) {
        gtv_timer_stop(c->timer);
        c->phase = STOPPED;
        c->cb.on_stopped(c->arg, c);
        return;
    }
    bool config = WIFEXITED(status) && WEXITSTATUS(status) == c->spec->config_exit;
    c->config_exits = config ? c->config_exits + 1 : 0;
    if (c->config_exits >= HOPELESS_AFTER) {
        c->phase = STOPPED;
        c->cb.on_hopeless(c->arg, c);
        return;
    }
    retry_later(c, lived_ms);
    log_death(c, status, lived_ms, c->backoff.last_ms);
}

bool child_reap(struct child *c)
{
    int status;
    if (c->pid == 0 || waitpid(c->pid, &status, WNOHANG) != c->pid)
        return false;
    ended(c, status);
    return true;
}

void child_stop(struct child *c)
{
    if (c->phase == STOPPING)
        return;
    gtv_timer_stop(c->timer);
    if (c->pid == 0) {
        c->phase = STOPPED;
        c->cb.on_stopped(c->arg, c);
        return;
    }
    c->phase = STOPPING;
    (void)kill(-c->pid, SIGTERM);
    gtv_timer_start(c->timer, STOP_MS, 0);
}

struct child *child_create(struct gtv_loop *loop, const struct child_spec *spec, const char *log_folder,
                           int guard, const struct child_callbacks *cb, void *arg)
{
    struct child *c = GTV_NEW(struct child);
    c->spec = spec;
    c->loop = loop;
    c->log = (struct gtv_log){"supervisor", "child", spec->name};
    c->output = output_create(log_folder, spec->name);
    c->timer = gtv_timer_create(loop, on_timer, c);
    c->cb = *cb;
    c->arg = arg;
    c->guard = guard;
    return c;
}

static void close_stream_of(uv_handle_t *handle, void *arg)
{
    struct stream *s = handle->data;
    if (handle->type == UV_NAMED_PIPE && !uv_is_closing(handle) && s->output == arg)
        uv_close(handle, free_stream);
}

void child_destroy(struct child *c)
{
    if (!c)
        return;
    uv_walk(gtv_loop_uv(c->loop), close_stream_of, c->output);
    gtv_timer_destroy(c->timer);
    output_destroy(c->output);
    free(c);
}

pid_t child_pid(const struct child *c)
{
    return c->pid;
}

const struct child_spec *child_spec_of(const struct child *c)
{
    return c->spec;
}
