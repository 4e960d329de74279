#include "services/supervisor/process.h"

#include "services/supervisor/guard.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PID_DIGITS = 12, MESSAGE_MAX = 4096, OWN_VARS = 5 };

struct process {
    struct process_config config;
    pid_t pid;
    int64_t started_ms, sign_ms; // sign_ms: of the last sign of life, 0: none came
    bool ready;
    int notify; // -1: none
    uv_poll_t poll;
    char notify_name[64]; // "NOTIFY_SOCKET=@..."
};

// The reading end of one life's output. It may outlive the process (a grandchild holds the other end), but
// not the child struct.
struct stream {
    uv_pipe_t pipe;
    struct output *output;
    char bytes[16 * 1024];
};

// ---- Output ----

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

static void follow_output(struct process *p, int fd)
{
    struct stream *s = GTV_NEW(struct stream);
    s->output = p->config.output;
    (void)uv_pipe_init(gtv_loop_uv(p->config.loop), &s->pipe, 0);
    s->pipe.data = s;
    if (uv_pipe_open(&s->pipe, fd) != 0)
        close(fd);
    if (uv_read_start((uv_stream_t *)&s->pipe, give_room, on_bytes) != 0)
        uv_close((uv_handle_t *)&s->pipe, free_stream);
}

static void close_stream_of(uv_handle_t *handle, void *arg)
{
    struct stream *s = handle->data;
    if (handle->type == UV_NAMED_PIPE && !uv_is_closing(handle) && s && s->output == arg)
        uv_close(handle, free_stream);
}

void process_forget_output(struct gtv_loop *loop, const struct output *output)
{
    uv_walk(gtv_loop_uv(loop), close_stream_of, (void *)output);
}

// ---- What it tells ----

static void on_line(struct process *p, struct gtv_str line)
{
    if (gtv_str_eq(line, GTV_STR("WATCHDOG=1"))) {
        p->sign_ms = gtv_mono_ms();
    } else if (gtv_str_eq(line, GTV_STR("READY=1")) && !p->ready) {
        p->ready = true;
        p->config.on_ready(p->config.arg, p);
    }
}

static void on_message(uv_poll_t *poll, int status, int events)
{
    struct process *p = poll->data;
    char text[MESSAGE_MAX];
    ssize_t n = recv(p->notify, text, sizeof text, MSG_DONTWAIT);
    struct gtv_str rest = {text, n > 0 ? (size_t)n : 0};
    while (rest.n)
        on_line(p, gtv_str_cut(&rest, '\n'));
}

// An abstract name of the kernel's choice: no path to be too long, nothing to be left behind.
static bool open_notify(struct process *p)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    socklen_t len = sizeof at;
    p->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->notify < 0 || bind(p->notify, (struct sockaddr *)&at, sizeof(sa_family_t)) != 0 ||
        getsockname(p->notify, (struct sockaddr *)&at, &len) != 0)
        return false;
    snprintf(p->notify_name, sizeof p->notify_name, "NOTIFY_SOCKET=@%.*s",
             (int)(len - offsetof(struct sockaddr_un, sun_path) - 1), at.sun_path + 1);
    return true;
}

static void free_process(uv_handle_t *handle)
{
    struct process *p = handle->data;
    close(p->notify);
    free(p);
}

static bool follow_notify(struct process *p)
{
    if (uv_poll_init(gtv_loop_uv(p->config.loop), &p->poll, p->notify) != 0)
        return false;
    p->poll.data = p;
    return uv_poll_start(&p->poll, UV_READABLE, on_message) == 0;
}

// ---- Start ----

// Digits without stdio, which is not safe after fork.
static void put_pid(char *out, pid_t pid)
{
    char digits[PID_DIGITS];
    size_t n = 0;
    for (unsigned v = (unsigned)pid; v > 0; v /= 10)
        digits[n++] = (char)('0' + v % 10);
    while (n > 0)
        *out++ = digits[--n];
    *out = '\0';
}

struct birth {
    const struct process_config *config;
    char **env;
    char *pid_at; // in the variable that tells the process its own id; NULL without sockets
    int output_fd;
    pid_t parent;
};

// After fork: only what is safe in a copy of a process with threads.
__attribute__((noreturn)) static void become(const struct birth *b)
{
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != b->parent) // it died before the line above
        _exit(0);
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL); // what is ignored stays so across execve
    (void)signal(SIGHUP, SIG_IGN);  // until the program listens to it
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)dup2(null, STDIN_FILENO);
    (void)dup2(b->output_fd, STDOUT_FILENO);
    (void)dup2(b->output_fd, STDERR_FILENO);
    if (b->pid_at) {
        handover_place(b->config->sockets);
        put_pid(b->pid_at, getpid());
    }
    const struct child_spec *spec = b->config->spec;
    (void)execve(spec->argv[0], spec->argv, b->env);
    static const char text[] = "the program cannot be executed\n";
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    _exit(127);
}

// The plan's variables and what only this life has; the strings of the latter are the caller's.
static char **whole_env(const struct child_spec *spec, char *const *own, size_t n)
{
    size_t count = 0;
    while (spec->env[count])
        count++;
    char **env = gtv_alloc((count + n + 1) * sizeof *env);
    memcpy(env, spec->env, count * sizeof *env);
    memcpy(env + count, own, n * sizeof *env);
    return env;
}

static pid_t give_birth(struct process *p, int output_fd)
{
    char watchdog[48], fds[32], pid[16 + PID_DIGITS] = "LISTEN_PID=";
    char *own[OWN_VARS];
    size_t n = 0;
    struct birth b = {.config = &p->config, .output_fd = output_fd, .parent = getpid()};
    if (p->config.spec->notifies) {
        snprintf(watchdog, sizeof watchdog, "WATCHDOG_USEC=%lld", PROCESS_WATCHDOG_MS * 1000LL);
        own[n++] = p->notify_name;
        own[n++] = watchdog;
    }
    if (p->config.sockets->count) {
        snprintf(fds, sizeof fds, "LISTEN_FDS=%zu", p->config.sockets->count);
        own[n++] = fds;
        own[n++] = (char *)p->config.sockets->names;
        own[n++] = pid;
        b.pid_at = pid + strlen(pid);
    }
    b.env = whole_env(p->config.spec, own, n);
    pid_t child = fork();
    if (child == 0)
        become(&b);
    free(b.env);
    return child;
}

struct process *process_start(const struct process_config *config)
{
    struct process *p = GTV_NEW(struct process);
    int ends[2] = {-1, -1};
    p->config = *config;
    p->notify = -1;
    if ((config->spec->notifies && !open_notify(p)) || pipe2(ends, O_CLOEXEC) != 0)
        goto failed;
    p->pid = give_birth(p, ends[1]);
    close(ends[1]);
    if (p->pid < 0) {
        close(ends[0]);
        goto failed;
    }
    (void)setpgid(p->pid, p->pid); // whichever of the two is first
    guard_add(config->guard, p->pid);
    p->started_ms = gtv_mono_ms();
    follow_output(p, ends[0]);
    if (p->notify >= 0 && !follow_notify(p)) {
        close(p->notify); // it is taken for one that tells nothing
        p->notify = -1;
    }
    return p;

failed:
    if (p->notify >= 0)
        close(p->notify);
    free(p);
    return NULL;
}

void process_destroy(struct process *p)
{
    if (!p)
        return;
    if (p->notify >= 0)
        uv_close((uv_handle_t *)&p->poll, free_process);
    else
        free(p);
}

bool process_reap(struct process *p, int *status)
{
    if (!p || waitpid(p->pid, status, WNOHANG) != p->pid)
        return false;
    (void)kill(-p->pid, SIGKILL);
    guard_remove(p->config.guard, p->pid);
    return true;
}

void process_signal(const struct process *p, int signum)
{
    if (p)
        (void)kill(-p->pid, signum);
}

pid_t process_pid(const struct process *p)
{
    return p->pid;
}

int64_t process_lived_ms(const struct process *p)
{
    return gtv_mono_ms() - p->started_ms;
}

bool process_is_ready(const struct process *p)
{
    return p->ready;
}

int64_t process_silent_ms(const struct process *p)
{
    return p->sign_ms ? gtv_mono_ms() - p->sign_ms : 0;
}
