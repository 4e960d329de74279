#include "lib/life/life.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

// ---- A supervisor's side ----

static int listen_for_notes(char name[64])
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    socklen_t len = sizeof at;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const struct timeval limit = {.tv_sec = 30};
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(sa_family_t)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    snprintf(name, 64, "@%.*s", (int)(len - offsetof(struct sockaddr_un, sun_path) - 1), at.sun_path + 1);
    return fd;
}

static const char *next_note(int fd)
{
    static char text[512];
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static int listening_socket(int *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void set_number(const char *name, long value)
{
    char text[32];
    snprintf(text, sizeof text, "%ld", value);
    setenv(name, text, 1);
}

// ---- Notes ----

static void stop_loop(void *arg)
{
    gtv_loop_stop(arg);
}

static void states_are_told(void **state)
{
    char name[64];
    int fd = listen_for_notes(name);
    setenv("NOTIFY_SOCKET", name, 1);
    struct gtv_loop *loop = gtv_loop_create("test");
    struct gtv_life *life = gtv_life_create(loop);
    assert_null(getenv("NOTIFY_SOCKET"));
    gtv_life_ready(life);
    assert_string_equal(next_note(fd), "READY=1");
    gtv_life_status(life, "%d cameras\nsecond line", 3);
    assert_string_equal(next_note(fd), "STATUS=3 cameras second line");
    gtv_life_reloading(life);
    assert_int_equal(strncmp(next_note(fd), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
    gtv_life_ready(life);
    assert_string_equal(next_note(fd), "READY=1");
    gtv_life_stopping(life);
    gtv_life_stopping(life); // said once
    gtv_life_ready(life);    // too late
    gtv_life_status(life, "end");
    assert_string_equal(next_note(fd), "STOPPING=1");
    assert_string_equal(next_note(fd), "STATUS=end");
    gtv_loop_destroy(loop);
    gtv_life_destroy(life);
    close(fd);
}

static void a_path_serves_as_well(void **state)
{
    char folder[] = "/tmp/gtv-life-XXXXXX";
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    assert_non_null(mkdtemp(folder));
    snprintf(at.sun_path, sizeof at.sun_path, "%s/notify", folder);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    setenv("NOTIFY_SOCKET", at.sun_path, 1);
    struct gtv_loop *loop = gtv_loop_create("test");
    struct gtv_life *life = gtv_life_create(loop);
    gtv_life_ready(life);
    assert_string_equal(next_note(fd), "READY=1");
    gtv_loop_destroy(loop);
    gtv_life_destroy(life);
    close(fd);
    unlink(at.sun_path);
    rmdir(folder);
}

static void nobody_who_listens_is_fine(void **state)
{
    static const char *const wrong[] = {"", "relative", "/nowhere/at/all", "@nobody-of-this-name"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        setenv("NOTIFY_SOCKET", wrong[i], 1);
        setenv("WATCHDOG_USEC", "soon", 1);
        struct gtv_loop *loop = gtv_loop_create("test");
        struct gtv_life *life = gtv_life_create(loop);
        gtv_life_ready(life);
        gtv_life_stopping(life);
        gtv_loop_destroy(loop);
        gtv_life_destroy(life);
    }
}

// ---- Signs of life ----

// A second loop that can be held up.
struct held {
    struct gtv_loop *loop;
    atomic_bool hold, held;
};

static void hold_up(void *arg)
{
    struct held *h = arg;
    atomic_store(&h->held, true);
    while (atomic_load(&h->hold))
        usleep(1000);
}

static void signs_stop_while_a_loop_hangs(void **state)
{
    char name[64];
    int fd = listen_for_notes(name);
    setenv("NOTIFY_SOCKET", name, 1);
    set_number("WATCHDOG_USEC", 30 * 1000);
    set_number("WATCHDOG_PID", getpid());
    struct gtv_loop *first = gtv_loop_create("first");
    struct held h = {.loop = gtv_loop_create("second")};
    struct gtv_life *life = gtv_life_create(first);
    gtv_life_watch(life, h.loop);
    gtv_life_ready(life);
    gtv_loop_start(h.loop);
    gtv_loop_start(first);
    assert_string_equal(next_note(fd), "READY=1");
    for (int i = 0; i < 3; i++)
        assert_string_equal(next_note(fd), "WATCHDOG=1");
    atomic_store(&h.hold, true);
    assert_true(gtv_loop_post(h.loop, hold_up, &h));
    while (!atomic_load(&h.held))
        usleep(1000);
    while (recv(fd, name, sizeof name, MSG_DONTWAIT) > 0)
        ;
    // One for a question that was answered before, and one on its way; without the second loop there would
    // be 15.
    usleep(150 * 1000);
    int late = 0;
    while (recv(fd, name, sizeof name, MSG_DONTWAIT) > 0)
        late++;
    assert_in_range(late, 0, 2);
    atomic_store(&h.hold, false);
    assert_string_equal(next_note(fd), "WATCHDOG=1");
    gtv_loop_stop(first);
    gtv_loop_stop(h.loop);
    gtv_loop_join(first);
    gtv_loop_join(h.loop);
    gtv_loop_destroy(h.loop);
    gtv_loop_destroy(first);
    gtv_life_destroy(life);
    close(fd);
}

static void another_process_watchdog_is_not_ours(void **state)
{
    char name[64];
    int fd = listen_for_notes(name);
    setenv("NOTIFY_SOCKET", name, 1);
    set_number("WATCHDOG_USEC", 3000);
    set_number("WATCHDOG_PID", getppid());
    struct gtv_loop *loop = gtv_loop_create("test");
    struct gtv_life *life = gtv_life_create(loop);
    struct gtv_timer *end = gtv_timer_create(loop, stop_loop, loop);
    gtv_life_ready(life);
    gtv_timer_start(end, 50, 0);
    gtv_loop_run(loop);
    assert_string_equal(next_note(fd), "READY=1");
    assert_true(recv(fd, name, sizeof name, MSG_DONTWAIT) < 0);
    gtv_timer_destroy(end);
    gtv_loop_destroy(loop);
    gtv_life_destroy(life);
    close(fd);
}

// ---- Sockets ----

// Sockets must lie from descriptor 3 on, where the test's own runner may have files: what happens here
// happens in a process of its own, which ends with the number of the line that was wrong.
#define EXPECT(condition)                                                                                    \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            _exit(__LINE__ % 255);                                                                           \
    } while (0)

static void in_a_child(void (*fn)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        fn();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void put_at(int fd, int where)
{
    int away = fcntl(fd, F_DUPFD, 64);
    EXPECT(dup2(away, where) == where);
    close(away);
}

static void by_name_and_by_port(void)
{
    int ports[3], fds[3], nothing = open("/dev/null", O_RDONLY);
    for (int i = 0; i < 3; i++)
        fds[i] = fcntl(listening_socket(&ports[i]), F_DUPFD, 32 + i);
    nothing = fcntl(nothing, F_DUPFD, 40);
    for (int i = 0; i < 3; i++)
        put_at(fds[i], 3 + i);
    put_at(nothing, 6);
    setenv("LISTEN_FDS", "4", 1);
    setenv("LISTEN_FDNAMES", "web:web:gtv-media.socket:junk", 1);
    set_number("LISTEN_PID", getpid());
    struct gtv_loop *loop = gtv_loop_create("test");
    struct gtv_life *life = gtv_life_create(loop);
    EXPECT(!getenv("LISTEN_FDS") && !getenv("LISTEN_PID") && !getenv("LISTEN_FDNAMES"));
    EXPECT(fcntl(6, F_GETFD) < 0); // no socket: closed
    EXPECT(gtv_life_take_socket(life, "api", 0) == -1);
    EXPECT(gtv_life_take_socket(life, "api", ports[2]) == 5);
    EXPECT(fcntl(5, F_GETFD) == FD_CLOEXEC);
    EXPECT(gtv_life_take_socket(life, "web", 1) == 3); // named: also where the port is another
    EXPECT(gtv_life_take_socket(life, "api", ports[2]) == -1);
    gtv_life_close_unused(life);
    EXPECT(fcntl(4, F_GETFD) < 0);
    EXPECT(fcntl(3, F_GETFD) >= 0);
    gtv_loop_destroy(loop);
    gtv_life_destroy(life);
}

static void meant_for_another(void)
{
    int port;
    put_at(fcntl(listening_socket(&port), F_DUPFD, 32), 3);
    setenv("LISTEN_FDS", "1", 1);
    set_number("LISTEN_PID", getppid());
    struct gtv_loop *loop = gtv_loop_create("test");
    struct gtv_life *life = gtv_life_create(loop);
    EXPECT(gtv_life_take_socket(life, "web", port) == -1);
    gtv_loop_destroy(loop);
    gtv_life_destroy(life);
}

static void sockets_are_found_by_name_and_by_port(void **state)
{
    in_a_child(by_name_and_by_port);
}

static void sockets_of_another_process_are_left_alone(void **state)
{
    in_a_child(meant_for_another);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(states_are_told),
        cmocka_unit_test(a_path_serves_as_well),
        cmocka_unit_test(nobody_who_listens_is_fine),
        cmocka_unit_test(signs_stop_while_a_loop_hangs),
        cmocka_unit_test(another_process_watchdog_is_not_ours),
        cmocka_unit_test(sockets_are_found_by_name_and_by_port),
        cmocka_unit_test(sockets_of_another_process_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
