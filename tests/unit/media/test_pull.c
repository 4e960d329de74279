#include "lib/av/av.h"
#include "lib/base/clock.h"
#include "services/media/pull.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// Cameras without pictures: what matters here is how a pull ends, and that nothing comes after it was
// stopped.
struct fixture {
    struct gtv_loop *loop;
    struct gtv_timer *timer;
    atomic_int running;
    int listener, port;
    int ended, expected;
    char code[32];
    struct gtv_source *pulls[20];
    int stop_at_ms, waited_ms;
    const struct gtv_net_policy *policy;
};

static void on_format(void *arg, struct gtv_format *format)
{
    fail();
}

static void on_sample(void *arg, const struct gtv_sample *sample, size_t received)
{
    fail();
}

static void on_silent(void *arg, const struct gtv_source_end *why)
{
    fail();
}

static void on_error_frames(void *arg, unsigned count)
{
    fail();
}

static void on_end(void *arg, const struct gtv_source_end *end)
{
    struct fixture *f = arg;
    f->ended++;
    snprintf(f->code, sizeof f->code, "%s", end->code);
}

static const struct gtv_source_callbacks callbacks = {on_format, on_sample, on_silent, on_error_frames,
                                                      on_end};

// A socket that accepts in the kernel and never answers.
static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    f->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(getsockname(f->listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(listen(f->listener, 64), 0);
    f->port = ntohs(at.sin_port);
    f->loop = gtv_loop_create("test");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    gtv_timer_destroy(f->timer);
    gtv_loop_destroy(f->loop);
    if (f->listener >= 0) {
        close(f->listener);
    }
    free(f);
    return 0;
}

static struct gtv_source *start(struct fixture *f, const char *format, int64_t connect_ms)
{
    struct gtv_pathconf conf;
    struct gtv_source_options o = {.loop = f->loop,
                                   .running = &f->running,
                                   .connect_ms = connect_ms,
                                   .stall_ms = 1000,
                                   .policy = f->policy};
    gtv_pathconf_defaults(&conf, GTV_STR("cam_1"));
    snprintf(conf.source, sizeof conf.source, "rtsp://bob:secret@%s:%d/x", format, f->port);
    struct gtv_source *p = gtv_pull_start(&o, &conf, &callbacks, f);
    assert_non_null(p);
    return p;
}

static void tick(void *arg)
{
    struct fixture *f = arg;
    f->waited_ms += 10;
    for (size_t i = 0; f->waited_ms == f->stop_at_ms && i < 20; i++) {
        if (f->pulls[i] != NULL) {
            f->pulls[i]->stop(f->pulls[i]);
        }
    }
    if (atomic_load(&f->running) == 0 || f->waited_ms > 20000) {
        gtv_loop_stop(f->loop);
    }
}

static void run(struct fixture *f)
{
    f->timer = gtv_timer_create(f->loop, tick, f);
    gtv_timer_start(f->timer, 10, 10);
    gtv_loop_run(f->loop);
    assert_int_equal(atomic_load(&f->running), 0);
}

static void refused(void **state)
{
    struct fixture *f = *state;
    close(f->listener);
    f->listener = -1;
    (void)start(f, "127.0.0.1", 5000);
    run(f);
    assert_int_equal(f->ended, 1);
    assert_string_equal(f->code, "refused");
}

static void no_such_name(void **state)
{
    struct fixture *f = *state;
    (void)start(f, "no-such-host.invalid", 5000);
    run(f);
    assert_string_equal(f->code, "name");
}

// By its address and by its name, which only the dial tells.
static void denied(void **state)
{
    struct fixture *f = *state;
    static const struct gtv_net_policy none;
    f->policy = &none;
    (void)start(f, "127.0.0.1", 5000);
    (void)start(f, "localhost", 5000);
    run(f);
    assert_int_equal(f->ended, 2);
    assert_string_equal(f->code, "denied");
}

static void allowed(void **state)
{
    struct fixture *f = *state;
    struct gtv_net_policy loopback;
    assert_true(gtv_net_policy_parse("127.0.0.0/8,::1", &loopback, NULL));
    f->policy = &loopback;
    (void)start(f, "localhost", 700);
    run(f);
    assert_string_not_equal(f->code, "denied");
}

static void no_answer(void **state)
{
    struct fixture *f = *state;
    int64_t before = gtv_mono_ms();
    (void)start(f, "127.0.0.1", 700);
    run(f);
    assert_string_equal(f->code, "timed_out");
    assert_in_range(gtv_mono_ms() - before, 600, 60000);
}

static void stopped_ones_say_nothing(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 20; i++) {
        f->pulls[i] = start(f, "127.0.0.1", 30000);
    }
    f->stop_at_ms = 300;
    int64_t before = gtv_mono_ms();
    run(f);
    assert_int_equal(f->ended, 0);
    assert_true(gtv_mono_ms() - before < 25000);
}

static void stopped_at_once(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < 20; i++) {
        struct gtv_source *p = start(f, "127.0.0.1", 30000);
        p->stop(p);
    }
    run(f);
    assert_int_equal(f->ended, 0);
}

int main(void)
{
    static const struct gtv_log log = {"test", NULL, NULL};
    gtv_av_init(&log);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_such_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(denied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(allowed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stopped_ones_say_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(stopped_at_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
