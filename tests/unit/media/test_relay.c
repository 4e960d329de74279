#include "lib/base/clock.h"
#include "services/media/hls/mpegts.h"
#include "services/media/hls/muxer.h"
#include "services/media/publish.h"
#include "services/media/relay.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// Samples of 64 KiB, a key frame each 25: many times what a reader may have pending and its socket can hold.
enum { SAMPLE_BYTES = 64 * 1024, GOP = 25, SAMPLES = 600 };
// No clock decides: the slow reader begins to read when so many samples were pushed, and who is meant to keep
// up is waited for.
enum { SLOW_FROM = 500, AHEAD_MAX = 1024 * 1024 };
static const int64_t start = INT64_C(1795360316369) * 90;

struct fixture {
    struct gtv_loop *loop;
    struct gtv_http_server *server;
    struct gtv_path *path;
    struct gtv_publisher publisher;
    struct gtv_format *format;
    struct gtv_timer *timer;
    atomic_int pushed;
    int expected_readers, asked;
    size_t most_pending;
    struct gtv_http_request *slow, *quick;
};

static void handle_relay(struct gtv_http_request *req, void *user)
{
    struct fixture *f = user;
    bool keys = false;
    if (gtv_http_query(req, "keyframes").n > 0 && !gtv_parse_bool(gtv_http_query(req, "keyframes"), &keys)) {
        keys = false;
    }
    if (gtv_str_eq(gtv_http_query(req, "slow"), GTV_STR("1"))) {
        f->slow = req;
    } else if (!keys) {
        f->quick = req;
    }
    gtv_muxer_get_relay(f->path, req, keys, false);
    f->asked++;
}

static void push(void *arg)
{
    struct fixture *f = arg;
    const struct gtv_source_callbacks *to = gtv_path_source_callbacks();
    if (f->asked < f->expected_readers || gtv_http_stream_pending(f->quick) > AHEAD_MAX) {
        return;
    }
    if (f->pushed == 0) {
        to->on_format(f->path, f->format);
    }
    struct gtv_sample sample = {.video = true,
                                .key = f->pushed % GOP == 0,
                                .pts = start + f->pushed * 3600,
                                .dts = start + f->pushed * 3600,
                                .data = gtv_bytes_create(SAMPLE_BYTES)};
    memset(sample.data->data, 0, SAMPLE_BYTES);
    memcpy(sample.data->data, "\0\0\xff\xfc\x65", 5); // one NAL unit
    sample.data->len = SAMPLE_BYTES;
    to->on_sample(f->path, &sample, SAMPLE_BYTES);
    gtv_bytes_unref(sample.data);
    if (gtv_http_stream_pending(f->slow) > f->most_pending) {
        f->most_pending = gtv_http_stream_pending(f->slow);
    }
    if (++f->pushed == SAMPLES) {
        gtv_timer_stop(f->timer);
        gtv_path_unpublish(&f->publisher, &(struct gtv_source_end){.code = "eof", .text = "the end"});
    }
}

struct client {
    int port;
    const char *target;
    atomic_int *pushed; // NULL, or: it reads when SLOW_FROM of them were
    size_t packets, keys, gaps;
    int frames;
    bool broken;
};

static int dial(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 65536;
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    return connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ? fd : -1;
}

// Checks the counters of the video as a demuxer does.
static void check_packet(struct client *c, const uint8_t *p, int *last)
{
    c->packets++;
    c->broken |= p[0] != 0x47;
    if (((p[1] & 0x1f) << 8 | p[2]) != GTV_MPEGTS_PID_VIDEO) {
        return;
    }
    bool payload = p[3] & 0x10, jump = (p[3] & 0x20) && p[4] > 0 && (p[5] & 0x80);
    c->gaps += *last >= 0 && !jump && ((*last + payload) & 15) != (p[3] & 15);
    *last = p[3] & 15;
    c->frames += (p[1] & 0x40) != 0;
    c->keys += (p[1] & 0x40) && (p[3] & 0x20) && p[4] > 0 && (p[5] & 0x40);
}

// The body of a chunked reply out of everything that came. Returns its length.
static size_t unchunk(uint8_t *all, size_t n)
{
    uint8_t *at = memmem(all, n, "\r\n\r\n", 4), *to = all;
    if (at == NULL) {
        return 0;
    }
    for (at += 4;;) {
        char *end;
        size_t len = strtoul((char *)at, &end, 16);
        at = (uint8_t *)end + 2;
        if (len == 0 || at + len > all + n) {
            return (size_t)(to - all);
        }
        memmove(to, at, len);
        to += len;
        at += len + 2;
    }
}

static void *read_all(void *arg)
{
    struct client *c = arg;
    size_t cap = (size_t)SAMPLE_BYTES * (SAMPLES + 50) * 2, n = 0;
    uint8_t *all = malloc(cap);
    int fd = dial(c->port);
    dprintf(fd, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", c->target);
    while (c->pushed != NULL && atomic_load(c->pushed) < SLOW_FROM) {
        usleep(2000);
    }
    for (ssize_t got; (got = read(fd, all + n, cap - n - 1)) > 0;) {
        n += (size_t)got;
    }
    close(fd);
    all[n] = '\0';
    size_t len = unchunk(all, n);
    c->broken |= len % GTV_MPEGTS_PACKET != 0;
    int last = -1;
    for (size_t i = 0; i + GTV_MPEGTS_PACKET <= len; i += GTV_MPEGTS_PACKET) {
        check_packet(c, all + i, &last);
    }
    free(all);
    return NULL;
}

static void stop_loop(void *arg)
{
    struct fixture *f = arg;
    gtv_loop_stop(f->loop);
}

static void stop_server(void *arg)
{
    struct fixture *f = arg;
    gtv_http_server_stop(f->server, 0, stop_loop, f);
}

static void a_slow_reader_is_skipped_and_slows_nobody(void **state)
{
    struct fixture f = {.expected_readers = 3};
    struct gtv_media_options options = {.ring_bytes = 64 << 20, .segments = 7, .segment_seconds = 1};
    struct gtv_metrics *metrics = gtv_metrics_create();
    struct gtv_path_env env = {.options = &options,
                               .segments = gtv_metrics_counter(metrics, "segments", "", "")};
    struct gtv_pathconf conf;
    gtv_pathconf_defaults(&conf, GTV_STR("cam_1"));
    static const char parameters[] = "\0\0\0\x17\x67\x4d\x40\x1f\xec\xa2\x3d\x80\x88\0\0\3\0\x08\0\0\3"
                                     "\1\x90\x78\xc1\x8c\xb0\0\0\0\5\x68\xeb\xe3\xcb\x20";
    struct gtv_bytes *sets = gtv_bytes_copy(parameters, sizeof parameters - 1);
    f.format = gtv_format_create(GTV_CODEC_H264, sets, NULL);
    gtv_bytes_unref(sets);
    assert_non_null(f.format);
    f.publisher = (struct gtv_publisher){.type = "test", .id = "1"};
    static const struct gtv_http_route routes[] = {{"GET", "/relay", handle_relay, 0, ""}};
    struct gtv_http_server_config config = {.name = "test", .routes = routes, .route_count = 1, .user = &f};
    struct gtv_error err = {0};
    f.loop = gtv_loop_create("test");
    env.loop = f.loop;
    f.path = gtv_path_create(&env, &conf);
    assert_true(gtv_path_publish(f.path, &f.publisher, &err));
    f.server = gtv_http_server_create(f.loop, &config, &err);
    assert_non_null(f.server);
    assert_true(gtv_http_server_listen(f.server, "127.0.0.1", 0, false, &err));
    f.timer = gtv_timer_create(f.loop, push, &f);
    gtv_timer_start(f.timer, 1, 2);
    gtv_loop_start(f.loop);

    struct client clients[] = {{.target = "/relay"},
                               {.target = "/relay?slow=1", .pushed = &f.pushed},
                               {.target = "/relay?keyframes=1"}};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) {
        clients[i].port = gtv_http_server_port(f.server);
        pthread_create(&threads[i], NULL, read_all, &clients[i]);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(gtv_loop_post(f.loop, stop_server, &f));
    gtv_loop_join(f.loop);

    assert_int_equal(clients[0].frames, SAMPLES);
    assert_int_equal(clients[0].keys, SAMPLES / GOP);
    assert_in_range(clients[1].frames, GOP, SAMPLES - GOP);
    assert_int_equal(clients[2].frames, SAMPLES / GOP);
    assert_int_equal(clients[2].keys, SAMPLES / GOP);
    for (int i = 0; i < 3; i++) {
        assert_false(clients[i].broken);
        assert_int_equal(clients[i].gaps, 0);
    }
    struct gtv_path_status status;
    gtv_path_get_status(f.path, &status);
    assert_int_equal(status.skipped, SAMPLES - clients[1].frames);
    assert_int_equal(status.readers, 0);
    assert_in_range(f.most_pending, 1024 * 1024, GTV_RELAY_PENDING_MAX + 2 * SAMPLE_BYTES);
    gtv_timer_destroy(f.timer);
    gtv_http_server_destroy(f.server);
    gtv_path_destroy(f.path);
    gtv_format_unref(f.format);
    gtv_metrics_destroy(metrics);
    gtv_loop_destroy(f.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_slow_reader_is_skipped_and_slows_nobody)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
