// Load for the benches: GETs over keep-alive connections whose bodies are thrown away inside the kernel
// (MSG_TRUNC), so that the reader costs the machine little and the server's figures are the server's. One
// thread, epoll.
//
//   gtv-bench-reader load HOST PORT TARGET CONNECTIONS SECONDS   one request after the other on each
//   connection gtv-bench-reader idle HOST PORT TARGET CONNECTIONS 0         one request each, then nothing
//   until stdin ends gtv-bench-reader slow HOST PORT TARGET CONNECTIONS 0         likewise, but no byte of
//   the reply is read
//
// Prints one line of JSON: for load at the end, for the others when all connections are as they should be.
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_CONNECTIONS = 20000,
    MAX_SECONDS = 120,
    HEAD_CAP = 4096,
    DISCARD = 4 << 20, // offered to one recv(MSG_TRUNC)
    EVENTS = 256,
    SETTLE_MS = 30000, // for idle and slow
    // Latencies in microseconds, 32 buckets a power of two
    SUB = 32,
    BUCKETS = 40 * SUB,
};

enum mode { LOAD, IDLE, SLOW };

struct conn {
    int fd;
    uint64_t sent_us;
    size_t head_len; // of the reply, as far as it was read
    uint64_t body_left;
    bool in_body, done;
    char head[HEAD_CAP];
};

struct state {
    enum mode mode;
    struct sockaddr_in addr;
    char request[2048];
    size_t request_len;
    struct conn *conns;
    size_t count, settled;
    int epoll;
    uint64_t requests, errors, bytes;
    uint64_t histogram[BUCKETS];
};

static uint64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000U + (uint64_t)t.tv_nsec / 1000U;
}

static void note_latency(struct state *s, uint64_t us)
{
    size_t bucket = us;
    if (us >= SUB) {
        unsigned top = 63U - (unsigned)__builtin_clzll(us);
        bucket = (size_t)(top - 4) * SUB + (size_t)((us >> (top - 5)) & (SUB - 1));
    }
    s->histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}

static double latency_ms(const struct state *s, double share)
{
    uint64_t total = 0, seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        total += s->histogram[i];
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += s->histogram[i];
        if (total > 0 && (double)seen >= share * (double)total) {
            size_t top = i / SUB + 4;
            double us = i < SUB ? (double)i : (double)((SUB + i % SUB) << (top - 5));
            return us / 1000;
        }
    }
    return 0;
}

static void fail(const char *what)
{
    (void)fprintf(stderr, "gtv-bench-reader: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void send_request(struct state *s, struct conn *c)
{
    c->sent_us = now_us();
    c->head_len = 0;
    c->in_body = false;
    if (send(c->fd, s->request, s->request_len, MSG_NOSIGNAL) != (ssize_t)s->request_len) {
        s->errors++;
    }
}

static void open_conn(struct state *s, struct conn *c)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        fail("socket");
    }
    if (connect(c->fd, (const struct sockaddr *)&s->addr, sizeof(s->addr)) != 0) {
        fail("connect");
    }
    struct epoll_event want = {.events = EPOLLIN, .data.ptr = c};
    if (s->mode != SLOW && epoll_ctl(s->epoll, EPOLL_CTL_ADD, c->fd, &want) != 0) {
        fail("epoll_ctl");
    }
    send_request(s, c);
}

static void replied(struct state *s, struct conn *c)
{
    note_latency(s, now_us() - c->sent_us);
    s->requests++;
    if (s->mode == LOAD) {
        send_request(s, c);
    } else if (!c->done) {
        c->done = true;
        s->settled++;
    }
}

static void lost(struct state *s, struct conn *c)
{
    s->errors++;
    (void)close(c->fd);
    memset(c, 0, sizeof(*c));
    if (s->mode == LOAD) {
        open_conn(s, c);
    } else {
        s->settled++;
    }
}

// The head is whole: true when its reply is one that counts.
static bool take_head(struct state *s, struct conn *c, const char *end)
{
    *(char *)end = '\0';
    const char *length = strcasestr(c->head, "\r\ncontent-length:");
    if (!length || strncmp(c->head, "HTTP/1.1 200", 12) != 0) {
        return false;
    }
    size_t past = c->head_len - (size_t)(end + 4 - c->head);
    uint64_t body = strtoull(length + 17, NULL, 10);
    s->bytes += body;
    c->in_body = true;
    c->body_left = body > past ? body - past : 0;
    return body >= past;
}

static void readable(struct state *s, struct conn *c)
{
    for (;;) {
        ssize_t n;
        if (c->in_body) {
            size_t want = c->body_left < DISCARD ? (size_t)c->body_left : (size_t)DISCARD;
            n = recv(c->fd, NULL, want, MSG_TRUNC | MSG_DONTWAIT);
        } else {
            n = recv(c->fd, c->head + c->head_len, HEAD_CAP - 1 - c->head_len, MSG_DONTWAIT);
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        if (n <= 0) {
            lost(s, c);
            return;
        }
        if (c->in_body) {
            c->body_left -= (uint64_t)n;
        } else {
            c->head_len += (size_t)n;
            c->head[c->head_len] = '\0';
            const char *end = strstr(c->head, "\r\n\r\n");
            if (end && !take_head(s, c, end)) {
                lost(s, c);
                return;
            }
        }
        if (c->in_body && c->body_left == 0) {
            replied(s, c);
            return;
        }
    }
}

static void turn(struct state *s, int wait_ms)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(s->epoll, events, EVENTS, wait_ms);
    for (int i = 0; i < n; i++) {
        readable(s, events[i].data.ptr);
    }
}

static void print(const struct state *s, uint64_t took_us)
{
    (void)printf("{\"requests\": %llu, \"errors\": %llu, \"bytes\": %llu, \"seconds\": %.3f, \"p50\": %.3f, "
                 "\"p99\": %.3f}\n",
                 (unsigned long long)s->requests, (unsigned long long)s->errors, (unsigned long long)s->bytes,
                 (double)took_us / 1e6, latency_ms(s, 0.5), latency_ms(s, 0.99));
    (void)fflush(stdout);
}

static void run_load(struct state *s, uint64_t seconds)
{
    uint64_t began = now_us(), end = began + seconds * 1000000U;
    while (now_us() < end) {
        turn(s, 100);
    }
    print(s, now_us() - began);
}

static void run_held(struct state *s)
{
    uint64_t began = now_us();
    while (s->mode == IDLE && s->settled < s->count && now_us() < began + SETTLE_MS * 1000U) {
        turn(s, 100);
    }
    s->errors += s->mode == IDLE ? s->count - s->settled : 0;
    print(s, now_us() - began);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
}

int main(int argc, char **argv)
{
    static const char *const modes[] = {"load", "idle", "slow"};
    struct state s = {0};
    bool known = false;
    for (unsigned i = 0; argc == 7 && i < 3; i++) {
        if (strcmp(argv[1], modes[i]) == 0) {
            s.mode = (enum mode)i;
            known = true;
        }
    }
    unsigned long count = known ? strtoul(argv[5], NULL, 10) : 0,
                  seconds = known ? strtoul(argv[6], NULL, 10) : 0;
    if (!known || count == 0 || count > MAX_CONNECTIONS || seconds > MAX_SECONDS) {
        (void)fprintf(stderr,
                      "usage: gtv-bench-reader load|idle|slow HOST PORT TARGET CONNECTIONS SECONDS\n");
        return 2;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    s.addr =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10))};
    if (inet_pton(AF_INET, argv[2], &s.addr.sin_addr) != 1) {
        errno = EINVAL;
        fail(argv[2]);
    }
    int n = snprintf(s.request, sizeof(s.request),
                     "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: gtv-bench\r\n\r\n", argv[4], argv[2]);
    s.request_len = n > 0 && (size_t)n < sizeof(s.request) ? (size_t)n : 0;
    s.epoll = epoll_create1(EPOLL_CLOEXEC);
    s.count = count;
    s.conns = calloc(count, sizeof(*s.conns));
    if (s.request_len == 0 || s.epoll < 0 || !s.conns) {
        fail("start");
    }
    for (size_t i = 0; i < s.count; i++) {
        open_conn(&s, &s.conns[i]);
    }
    if (s.mode == LOAD) {
        run_load(&s, seconds);
    } else {
        run_held(&s);
    }
    free(s.conns);
    return 0;
}
