#include "services/supervisor/child.h"
#include "services/supervisor/folder.h"
#include "services/supervisor/guard.h"
#include "services/supervisor/ports.h"
#include "tests/unit/unit.h"

#include "lib/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

// A loop with one child of /bin/sh.
struct stage {
    char folder[32];
    struct gtv_loop *loop;
    uv_signal_t on_child;
    struct gtv_timer *timer;
    struct child *child;
    struct child_spec spec;
    char *argv[4];
    char *env[1];
    int stopped, hopeless, deaths;
    pid_t first;
};

static void on_stopped(void *arg, struct child *c)
{
    struct stage *s = arg;
    s->stopped++;
    gtv_loop_stop(s->loop);
}

static void on_hopeless(void *arg, struct child *c)
{
    struct stage *s = arg;
    s->hopeless++;
    gtv_loop_stop(s->loop);
}

static void on_sigchld(uv_signal_t *handle, int signum)
{
    struct stage *s = handle->data;
    s->deaths += child_reap(s->child);
}

static void set_stage(struct stage *s, char *script, void (*tick)(void *))
{
    memset(s, 0, sizeof(*s));
    (void)snprintf(s->folder, sizeof(s->folder), "/tmp/gtv-child-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    s->argv[0] = "/bin/sh";
    s->argv[1] = "-c";
    s->argv[2] = script;
    s->spec = (struct child_spec){.name = "x", .argv = s->argv, .env = s->env, .config_exit = 2};
    s->loop = gtv_loop_create("test");
    (void)uv_signal_init(gtv_loop_uv(s->loop), &s->on_child);
    s->on_child.data = s;
    (void)uv_signal_start(&s->on_child, on_sigchld, SIGCHLD);
    struct child_callbacks cb = {.on_hopeless = on_hopeless, .on_stopped = on_stopped};
    int nobody = open("/dev/null", O_WRONLY); // in the guard's place
    s->child = child_create(s->loop, &s->spec, s->folder, nobody, &cb, s);
    s->timer = gtv_timer_create(s->loop, tick, s);
    gtv_timer_start(s->timer, 20, 20);
    child_start(s->child);
    gtv_loop_run(s->loop);
    close(nobody);
}

static void clear_stage(struct stage *s)
{
    child_destroy(s->child);
    gtv_timer_destroy(s->timer);
    gtv_loop_destroy(s->loop);
    char command[64];
    (void)snprintf(command, sizeof(command), "rm -r %s", s->folder);
    assert_int_equal(system(command), 0);
}

static void stop_after_second_start(void *arg)
{
    struct stage *s = arg;
    pid_t pid = child_pid(s->child);
    if (!s->first) {
        s->first = pid;
        (void)kill(pid, SIGKILL);
    } else if (pid && pid != s->first) {
        child_stop(s->child);
    }
}

static void the_dead_are_started_again(void **state)
{
    struct stage s;
    set_stage(&s, "exec sleep 60", stop_after_second_start);
    assert_int_equal(s.stopped, 1);
    assert_int_equal(s.deaths, 2);
    assert_int_equal(child_pid(s.child), 0);
    clear_stage(&s);
}

static void do_nothing(void *arg)
{
}

static void the_hopeless_are_given_up(void **state)
{
    struct stage s;
    set_stage(&s, "exit 2", do_nothing);
    assert_int_equal(s.hopeless, 1);
    assert_int_equal(s.deaths, 3);
    clear_stage(&s);
}

static void stop_when_both_run(void *arg)
{
    struct stage *s = arg;
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/x.log", s->folder);
    FILE *f = fopen(path, "re");
    char text[64];
    size_t n = f ? fread(text, 1, sizeof(text), f) : 0;
    if (f)
        (void)fclose(f);
    int64_t pid;
    struct gtv_str all = {text, n};
    if (n && gtv_parse_int(gtv_str_cut(&all, '\n'), 1, 1 << 30, &pid)) {
        s->first = (pid_t)pid; // the grandchild
        child_stop(s->child);
    }
}

static void grandchildren_go_too(void **state)
{
    struct stage s;
    set_stage(&s, "sleep 60 & echo $!; wait", stop_when_both_run);
    assert_int_equal(s.stopped, 1);
    // Until its new parent has collected it, it is there as a zombie.
    for (int i = 0; i < 3000 && kill(s.first, 0) == 0; i++) {
        char path[64], text[128] = "";
        (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)s.first);
        FILE *f = fopen(path, "re");
        if (!f)
            break;
        (void)!fread(text, 1, sizeof(text) - 1, f);
        (void)fclose(f);
        if (strstr(text, ") Z "))
            break;
        assert_true(i < 2999);
        usleep(10000);
    }
    clear_stage(&s);
}

static void one_at_a_time_in_a_folder(void **state)
{
    char data[] = "/tmp/gtv-folder-XXXXXX";
    struct gtv_error err = {0};
    assert_non_null(mkdtemp(data));
    char *path = folder_prepare(data, &err);
    assert_non_null(path);
    int lock = folder_lock(path, &err);
    assert_true(lock >= 0);
    assert_int_equal(folder_lock(path, &err), -1);
    assert_non_null(strstr(err.message, "already runs"));
    close(lock);
    lock = folder_lock(path, &err);
    assert_true(lock >= 0);
    close(lock);
    free(path);
    char command[64];
    (void)snprintf(command, sizeof(command), "rm -r %s", data);
    assert_int_equal(system(command), 0);
}

// The supervisor's end of the guard's pipe closes when it dies, in whatever way.
static void the_guard_ends_what_is_left(void **state)
{
    int end[2];
    assert_int_equal(pipe(end), 0);
    int guard = guard_start(end[1]); // it keeps this end open for as long as it lives
    assert_true(guard >= 0);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        close(guard); // what execve does for real children
        close(end[0]);
        close(end[1]);
        for (;;)
            pause();
    }
    setpgid(pid, pid);
    guard_add(guard, pid);
    guard_add(guard, 1 << 29); // nobody's
    guard_remove(guard, 1 << 29);
    close(end[1]);
    close(guard);
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    char byte;
    int64_t before = gtv_mono_ms();
    // Nobody else holds the other end, so that end of file means that the guard is gone.
    assert_int_equal(read(end[0], &byte, 1), 0);
    assert_true(gtv_mono_ms() - before < 30000);
    close(end[0]);
    (void)waitpid(-1, NULL, 0);
}

// ---- Exchanged for a new one ----

// Speaks to $NOTIFY_SOCKET as our programs do; perl is on every Debian, and sh knows no datagrams.
#define NOTIFY                                                                                               \
    "use Socket; my $n = $ENV{NOTIFY_SOCKET}; $n =~ s/^@/\\0/; socket(my $s, AF_UNIX, SOCK_DGRAM, 0);"       \
    "send($s, 'READY=1', 0, pack('S a*', AF_UNIX, $n)) or die; $| = 1; print \"$ENV{LISTEN_FDS}\\n\"; "      \
    "sleep 60;"

struct exchange {
    struct stage stage;
    struct gtv_error err;
    int answers;
    bool ok, both_ran;
    pid_t second;
};

static struct exchange *exchange_of(void *arg)
{
    return arg; // its first member is the stage
}

static void on_restarted(void *arg, struct child *c, bool ok, const char *text)
{
    struct exchange *x = exchange_of(arg);
    x->answers++;
    x->ok = ok;
    x->second = child_pid(c);
    x->both_ran = kill(x->stage.first, 0) == 0;
    child_stop(c);
}

// When the first one has spoken, a second one is asked for.
static void restart_when_up(void *arg)
{
    struct exchange *x = exchange_of(arg);
    char path[64], text[8];
    (void)snprintf(path, sizeof(path), "%s/x.log", x->stage.folder);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof(text), f) : 0;
    if (f)
        (void)fclose(f);
    if (n == 0 || x->stage.first)
        return;
    assert_memory_equal(text, "2\n", 2); // sockets
    x->stage.first = child_pid(x->stage.child);
    assert_true(child_restart(x->stage.child, &x->err));
    assert_false(child_restart(x->stage.child, &x->err));
    assert_int_equal(x->err.code, GTV_E_CONFLICT);
}

static void run_exchange(struct exchange *x, bool overlaps)
{
    memset(x, 0, sizeof(*x));
    struct stage *s = &x->stage;
    int port = 0;
    struct ports taken = {.count = 0};
    port = ports_take(&taken, 0);
    ports_release(&taken);
    (void)snprintf(s->folder, sizeof(s->folder), "/tmp/gtv-child-XXXXXX");
    assert_non_null(mkdtemp(s->folder));
    s->argv[0] = "/usr/bin/perl";
    s->argv[1] = "-e";
    s->argv[2] = NOTIFY;
    s->spec = (struct child_spec){.name = "x",
                                  .argv = s->argv,
                                  .env = s->env,
                                  .config_exit = 2,
                                  .notifies = true,
                                  .overlaps = overlaps,
                                  .sockets = {{"web", port, 2}}};
    s->loop = gtv_loop_create("test");
    (void)uv_signal_init(gtv_loop_uv(s->loop), &s->on_child);
    s->on_child.data = s;
    (void)uv_signal_start(&s->on_child, on_sigchld, SIGCHLD);
    struct child_callbacks cb = {
        .on_hopeless = on_hopeless, .on_stopped = on_stopped, .on_restarted = on_restarted};
    int nobody = open("/dev/null", O_WRONLY);
    struct gtv_error err = {0};
    s->child = child_create(s->loop, &s->spec, s->folder, nobody, &cb, s);
    assert_true(child_open_sockets(s->child, &err));
    s->timer = gtv_timer_create(s->loop, restart_when_up, s);
    gtv_timer_start(s->timer, 20, 20);
    child_start(s->child);
    gtv_loop_run(s->loop);
    close(nobody);
    assert_int_equal(s->stopped, 1);
    assert_in_range(s->deaths, 1, 2); // both may be reaped at one signal
    assert_int_equal(x->answers, 1);
    assert_true(x->ok);
    assert_int_not_equal(x->second, s->first);
    clear_stage(s);
}

static void where_two_may_run_the_new_one_is_ready_first(void **state)
{
    struct exchange x;
    run_exchange(&x, true);
    assert_true(x.both_ran);
}

static void where_one_may_run_the_old_one_ends_first(void **state)
{
    struct exchange x;
    run_exchange(&x, false);
    assert_false(x.both_ran);
}

static void only_those_who_notify_are_restarted(void **state)
{
    struct stage s = {.spec = {.name = "redis"}};
    struct gtv_error err = {0};
    struct child_callbacks cb = {.on_stopped = on_stopped};
    s.loop = gtv_loop_create("test");
    s.child = child_create(s.loop, &s.spec, "/tmp", -1, &cb, &s);
    assert_false(child_restart(s.child, &err));
    assert_int_equal(err.code, GTV_E_INVALID);
    child_destroy(s.child);
    gtv_loop_destroy(s.loop);
    (void)unlink("/tmp/redis.log");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_dead_are_started_again),
        cmocka_unit_test(the_hopeless_are_given_up),
        cmocka_unit_test(grandchildren_go_too),
        cmocka_unit_test(one_at_a_time_in_a_folder),
        cmocka_unit_test(the_guard_ends_what_is_left),
        cmocka_unit_test(where_two_may_run_the_new_one_is_ready_first),
        cmocka_unit_test(where_one_may_run_the_old_one_ends_first),
        cmocka_unit_test(only_those_who_notify_are_restarted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
