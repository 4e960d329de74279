#include "services/supervisor/plan.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void sockets_have_short_plain_paths(void **state)
{
    char *path = plan_socket_in("/srv/gtv-1.0_x");
    assert_string_equal(path, "/srv/gtv-1.0_x/run/redis.sock");
    free(path);
    assert_null(plan_socket_in("/home/a b"));
    assert_null(plan_socket_in("/home/a?b"));
    char folder[128];
    memset(folder, 'x', sizeof(folder));
    folder[0] = '/';
    folder[86] = '\0';
    assert_null(plan_socket_in(folder));
    folder[85] = '\0';
    path = plan_socket_in(folder);
    assert_int_equal(strlen(path), 100);
    free(path);
}

static void free_cameras(struct plan_camera *cameras, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(cameras[i].url);
        free(cameras[i].name);
    }
    free(cameras);
}

static void cameras_are_numbered(void **state)
{
    size_t n = 9;
    assert_null(plan_cameras(NULL, 1, &n));
    assert_int_equal(n, 0);
    struct plan_camera *cameras = plan_cameras(" rtsp://a/1\nrtsp://u:p@b/2\t\r\nrtsp://c/3 ", 2, &n);
    assert_int_equal(n, 3);
    assert_int_equal(cameras[0].id, 2);
    assert_string_equal(cameras[1].url, "rtsp://u:p@b/2");
    assert_string_equal(cameras[2].name, "Câmera 4");
    free_cameras(cameras, n);
}

static void check_allow(const char *user, bool demo, const char *list, const char *expected)
{
    size_t n;
    struct plan_camera *cameras = plan_cameras(list, 2, &n);
    char *allow = plan_camera_allow(user, demo, cameras, n);
    assert_string_equal(allow, expected);
    free(allow);
    free_cameras(cameras, n);
}

static void only_what_was_asked_for_is_allowed(void **state)
{
    check_allow(NULL, false, NULL, "");
    check_allow(NULL, true, NULL, "127.0.0.1");
    check_allow("10.0.0.0/8", true, NULL, "10.0.0.0/8,127.0.0.1");
    check_allow("127.0.0.1", true, "rtsp://127.0.0.1/x", "127.0.0.1");
    check_allow(NULL, false, "rtsp://192.168.1.9/x rtsp://u:p@127.0.0.2:8554/y rtsp://[::1]/z",
                "127.0.0.2,::1");
    check_allow(NULL, false, "rtsp://localhost/x", "127.0.0.1,::1");
    check_allow(NULL, false, "rtsp://169.254.169.254/x rtsp://nonsense", "");
}

// A folder with four executables of the names that the plan looks for.
struct stage {
    char root[32], bin[64], data[64];
};

static void set_stage(struct stage *s)
{
    static const char *const names[] = {"media", "streaming", "ai", "console"};
    (void)snprintf(s->root, sizeof(s->root), "/tmp/gtv-plan-XXXXXX");
    assert_non_null(mkdtemp(s->root));
    (void)snprintf(s->bin, sizeof(s->bin), "%s/bin", s->root);
    (void)snprintf(s->data, sizeof(s->data), "%s/data", s->root);
    assert_int_equal(mkdir(s->bin, 0700), 0);
    for (size_t i = 0; i < 4; i++) {
        char path[96];
        (void)snprintf(path, sizeof(path), "%s/gtv-%s", s->bin, names[i]);
        int fd = open(path, O_WRONLY | O_CREAT, 0700);
        assert_true(fd >= 0);
        close(fd);
    }
}

static void clear_stage(const struct stage *s)
{
    char command[96];
    (void)snprintf(command, sizeof(command), "rm -r %s", s->root);
    assert_int_equal(system(command), 0);
}

static const char *var(const struct child_spec *c, const char *name)
{
    size_t n = strlen(name);
    for (char **v = c->env; *v; v++) {
        if (strncmp(*v, name, n) == 0 && (*v)[n] == '=')
            return *v + n + 1;
    }
    return NULL;
}

static const struct child_spec *child_named(const struct plan *p, const char *name)
{
    for (size_t i = 0; i < p->child_count; i++) {
        if (strcmp(p->children[i].name, name) == 0)
            return &p->children[i];
    }
    return NULL;
}

static const struct plan_ports ports = {8001, 8080, 9092, 8002, 9997, 8888, 8554, 8000, 9996, 8555, 1935};

static void the_whole_system(void **state)
{
    struct stage s;
    set_stage(&s);
    struct options o = {.data = s.data,
                        .listen = "0.0.0.0",
                        .port = 8000,
                        .demo = false,
                        .cameras = "rtsp://u:secret@cam/x",
                        .root = s.root,
                        .bin = s.bin,
                        .log_level = "DEBUG"};
    struct plan p;
    struct gtv_error err = {0};
    char *inherited[] = {"PATH=/usr/sbin:/usr/bin:/bin", "GTV_CAMERAS=rtsp://u:secret@cam/x",
                         "REDIS_URL=redis://elsewhere", NULL};
    if (!plan_build(&p, &o, &ports, s.data, inherited, &err))
        fail_msg("%s", err.message);
    assert_int_equal(p.child_count, 6);
    assert_string_equal(p.door_url, "http://127.0.0.1:8000");
    assert_null(child_named(&p, "camera"));
    assert_int_equal(p.cameras[0].id, 1);
    const struct child_spec *streaming = child_named(&p, "streaming");
    assert_string_equal(var(streaming, "STREAMING_PORT"), "8001");
    assert_string_equal(var(streaming, "MEDIAMTX_API_URL"), "http://127.0.0.1:9997");
    assert_true(gtv_str_starts(gtv_str_of(var(streaming, "REDIS_URL")), GTV_STR("unix:///tmp/gtv-plan-")));
    assert_true(
        gtv_str_ends(gtv_str_of(var(streaming, "GTV_RECORD_PATH")), GTV_STR("/%path/%Y-%m-%d_%H-%M-%S-%f")));
    assert_null(var(streaming, "GTV_CAMERA_ALLOW"));
    assert_null(var(child_named(&p, "media"), "GTV_CAMERA_ALLOW"));
    assert_string_equal(var(child_named(&p, "media"), "GTV_CAMERA_POLICY"), "true");
    assert_string_equal(var(child_named(&p, "media"), "MEDIA_PLAYBACK_PORT"), "9996");
    assert_string_equal(var(child_named(&p, "media"), "MEDIA_RTSP_PORT"), "8555");
    assert_string_equal(var(child_named(&p, "haproxy"), "GTV_AI_ADDRS"), "127.0.0.1:8080");
    for (size_t i = 0; i < p.child_count; i++) {
        assert_string_equal(var(&p.children[i], "LOG_LEVEL"), "DEBUG");
        for (char **v = p.children[i].env; *v; v++)
            assert_null(strstr(*v, "secret"));
        for (char **v = p.children[i].argv; *v; v++)
            assert_null(strstr(*v, "secret"));
    }
    plan_finish(&p);
    clear_stage(&s);
}

static void the_demo_is_camera_one(void **state)
{
    struct stage s;
    set_stage(&s);
    char clip[96];
    (void)snprintf(clip, sizeof(clip), "%s/gtv-ai", s.bin); // any file that can be read
    struct options o = {.data = s.data,
                        .listen = "127.0.0.1",
                        .demo = true,
                        .demo_clip = clip,
                        .cameras = "rtsp://cam/x",
                        .root = s.root,
                        .bin = s.bin,
                        .log_level = "INFO"};
    struct plan p;
    struct gtv_error err = {0};
    char *inherited[] = {NULL};
    assert_true(plan_build(&p, &o, &ports, s.data, inherited, &err));
    assert_true(p.demo);
    assert_string_equal(p.cameras[0].url, "rtsp://127.0.0.1:8554/street");
    assert_int_equal(p.cameras[1].id, 2);
    assert_string_equal(var(child_named(&p, "streaming"), "GTV_CAMERA_ALLOW"), "127.0.0.1");
    assert_string_equal(var(child_named(&p, "media"), "GTV_CAMERA_ALLOW"), "127.0.0.1");
    assert_non_null(child_named(&p, "camera"));
    plan_finish(&p);
    o.demo_clip = "/nowhere.mp4";
    assert_true(plan_build(&p, &o, &ports, s.data, inherited, &err));
    assert_false(p.demo);
    assert_int_equal(p.cameras[0].id, 1);
    plan_finish(&p);
    clear_stage(&s);
}

static void a_certificate_opens_another_port(void **state)
{
    struct stage s;
    set_stage(&s);
    struct options o = {.data = s.data,
                        .listen = "0.0.0.0",
                        .demo = false,
                        .tls_cert = "/etc/door.pem",
                        .root = s.root,
                        .bin = s.bin,
                        .log_level = "INFO"};
    struct plan_ports with_tls = ports;
    with_tls.door_tls = 8443;
    with_tls.door_inside = 8405;
    struct plan p;
    struct gtv_error err = {0};
    char *inherited[] = {"GTV_RATE_API=7", NULL};
    assert_true(plan_build(&p, &o, &with_tls, s.data, inherited, &err));
    const struct child_spec *door = child_named(&p, "haproxy");
    assert_string_equal(p.door_url, "https://127.0.0.1:8443");
    assert_string_equal(p.inside_url, "http://127.0.0.1:8405");
    assert_string_equal(var(door, "GTV_DOOR_INSIDE"), "127.0.0.1:8405");
    assert_string_equal(var(door, "GTV_TLS_CERT"), "/etc/door.pem");
    assert_string_equal(var(door, "GTV_RATE_API"), "7");
    assert_null(var(door, "GTV_RATE_STREAMING"));
    plan_finish(&p);
    // Behind a loopback address all clients are one.
    o.listen = "127.0.0.1";
    o.tls_cert = NULL;
    assert_true(plan_build(&p, &o, &ports, s.data, inherited, &err));
    door = child_named(&p, "haproxy");
    assert_string_equal(p.inside_url, p.door_url);
    assert_null(var(door, "GTV_DOOR_INSIDE"));
    assert_string_equal(var(door, "GTV_RATE_API"), "7");
    assert_string_equal(var(door, "GTV_RATE_STREAMING"), "0");
    plan_finish(&p);
    clear_stage(&s);
}

static void services_alone_meet_the_users_environment(void **state)
{
    struct stage s;
    set_stage(&s);
    struct options o = {.data = s.data,
                        .listen = "127.0.0.1",
                        .demo = true,
                        .only = "streaming, console",
                        .root = s.root,
                        .bin = s.bin,
                        .log_level = "INFO"};
    struct plan p;
    struct gtv_error err = {0};
    char *inherited[] = {"MEDIAMTX_API_URL=http://elsewhere:9997", NULL};
    assert_true(plan_build(&p, &o, &ports, s.data, inherited, &err));
    assert_int_equal(p.child_count, 3);
    assert_null(p.door_url);
    assert_string_equal(var(child_named(&p, "streaming"), "MEDIAMTX_API_URL"), "http://elsewhere:9997");
    plan_finish(&p);
    o.only = "nonsense";
    assert_false(plan_build(&p, &o, &ports, s.data, inherited, &err));
    assert_string_equal(err.field, "GTV_ONLY");
    plan_finish(&p);
    o.only = NULL;
    o.bin = s.root;
    assert_false(plan_build(&p, &o, &ports, s.data, inherited, &err));
    assert_non_null(strstr(err.message, "build it first"));
    plan_finish(&p);
    clear_stage(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_have_short_plain_paths),
        cmocka_unit_test(cameras_are_numbered),
        cmocka_unit_test(only_what_was_asked_for_is_allowed),
        cmocka_unit_test(the_whole_system),
        cmocka_unit_test(the_demo_is_camera_one),
        cmocka_unit_test(a_certificate_opens_another_port),
        cmocka_unit_test(services_alone_meet_the_users_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
