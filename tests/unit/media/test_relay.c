#include "lib/base/clock.h"
#include "services/media/relay.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// Units of 64 KiB, a key frame each 25: many times what a reader may have pending and its socket can hold.
enum { UNIT_BYTES = 64 * 1024, GOP = 25, UNITS = 600 };

struct fixture {
    struct gtv_loop *loop;
    struct gtv_http_server *server;
    struct gtv_relay *relay;
    struct gtv_gop gop;
    struct gtv_ts ts;
    struct gtv_timer *timer;
    int pushed, expected_readers;
    size_t most_pending;
    struct gtv_http_request *watched;
};

static void handle_relay(struct gtv_http_request *req, void *user)
{
    struct fixture *f = user;
    bool keys = false;
    if (gtv_http_query(req, "keyframes").n > 0 && !gtv_parse_bool(gtv_http_query(req, "keyframes"), &keys)) {
        keys = false;
    }
    if (gtv_str_eq(gtv_http_query(req, "slow"), GTV_STR("1"))) {
        f->watched = req;
    }
    gtv_relay_attach(f->relay, req, &f->gop, keys);
}

static void push(void *arg)
{
    struct fixture *f = arg;
    static uint8_t data[UNIT_BYTES];
    if (gtv_relay_readers(f->relay) < (size_t)f->expected_readers && f->pushed == 0) {
        return;
    }
    struct gtv_ts_unit u = {
        .part_count = 1, .pts = f->pushed * 3600, .dts = f->pushed * 3600, .key = f->pushed % GOP == 0};
    u.parts[0] = (struct gtv_str){(const char *)data, sizeof data};
    struct gtv_unit unit = {.time = u.pts, .video = true, .key = u.key, .counters = f->ts.next};
    unit.ts = gtv_ts_video(&f->ts, &u);
    gtv_gop_push(&f->gop, &unit);
    gtv_relay_push(f->relay, &unit);
    gtv_bytes_unref(unit.ts);
    if (f->watched != NULL && gtv_http_stream_pending(f->watched) > f->most_pending) {
        f->most_pending = gtv_http_stream_pending(f->watched);
    }
    if (++f->pushed == UNITS) {
        f->watched = NULL;
        gtv_timer_stop(f->timer);
        gtv_relay_end(f->relay);
    }
}

struct client {
    int port;
    const char *target;
    unsigned pause_ms; // before it reads
    size_t packets, keys, gaps, splices;
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
    if (((p[1] & 0x1f) << 8 | p[2]) != GTV_TS_PID_VIDEO) {
        return;
    }
    bool payload = p[3] & 0x10, jump = (p[3] & 0x20) && p[4] > 0 && (p[5] & 0x80);
    c->splices += jump && !payload;
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
    size_t cap = (size_t)UNIT_BYTES * (UNITS + 50) * 2, n = 0;
    uint8_t *all = malloc(cap);
    int fd = dial(c->port);
    dprintf(fd, "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", c->target);
    usleep(c->pause_ms * 1000);
    for (ssize_t got; (got = read(fd, all + n, cap - n - 1)) > 0;) {
        n += (size_t)got;
    }
    close(fd);
    all[n] = '\0';
    size_t len = unchunk(all, n);
    c->broken |= len % GTV_TS_PACKET != 0;
    int last = -1;
    for (size_t i = 0; i + GTV_TS_PACKET <= len; i += GTV_TS_PACKET) {
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
    struct fixture f = {.gop.max_bytes = 64 << 20, .ts.video = GTV_CODEC_H264, .expected_readers = 3};
    static const struct gtv_log log = {"test", NULL, NULL};
    static const struct gtv_http_route routes[] = {{"GET", "/relay", handle_relay, 0, ""}};
    struct gtv_http_server_config config = {.name = "test", .routes = routes, .route_count = 1, .user = &f};
    struct gtv_error err = {0};
    f.loop = gtv_loop_create("test");
    f.relay = gtv_relay_create(&log);
    f.server = gtv_http_server_create(f.loop, &config, &err);
    assert_non_null(f.server);
    assert_true(gtv_http_server_listen(f.server, "127.0.0.1", 0, false, &err));
    f.timer = gtv_timer_create(f.loop, push, &f);
    gtv_timer_start(f.timer, 1, 2);
    gtv_loop_start(f.loop);

    struct client clients[] = {
        {.target = "/relay"}, {.target = "/relay?slow=1", .pause_ms = 500}, {.target = "/relay?keyframes=1"}};
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

    assert_int_equal(clients[0].frames, UNITS);
    assert_int_equal(clients[0].keys, UNITS / GOP);
    assert_in_range(clients[1].frames, GOP, UNITS - GOP);
    assert_true(clients[1].splices > 0);
    assert_int_equal(clients[2].frames, UNITS / GOP);
    assert_int_equal(clients[2].keys, UNITS / GOP);
    for (int i = 0; i < 3; i++) {
        assert_false(clients[i].broken);
        assert_int_equal(clients[i].gaps, 0);
    }
    assert_int_equal(gtv_relay_skipped(f.relay), UNITS - clients[1].frames);
    assert_in_range(f.most_pending, 1024 * 1024, GTV_RELAY_PENDING_MAX + 2 * UNIT_BYTES);
    gtv_timer_destroy(f.timer);
    gtv_http_server_destroy(f.server);
    gtv_relay_destroy(f.relay);
    gtv_gop_finish(&f.gop);
    gtv_loop_destroy(f.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_slow_reader_is_skipped_and_slows_nobody)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
