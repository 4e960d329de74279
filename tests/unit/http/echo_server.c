// gtv-test-httpd: a server with one route for each thing that lib/http promises, for
// tests/e2e/test_http_server.py. Not installed. Prints "ADDRESS PORT" once it listens. Options: --header-ms
// --idle-ms --write-ms --max-connections --trusted --proxy --loops --drain-ms --files --cors.
#include "lib/base/mem.h"
#include "lib/http/server.h"
#include "lib/log/log.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_LOOPS = 8, PLAYLIST_BYTES = 600, BLOCK = 1024 * 1024 };

struct app {
    struct gtv_bytes *playlist, *block;
    atomic_int started, complete, cut;
    atomic_int upgraded, upgrade_closed;
    struct gtv_metrics *metrics;
    struct job *deaf; // only used with one loop
    struct gtv_http_files *files;
};

struct node {
    struct gtv_loop *loop;
    struct gtv_http_server *server;
    unsigned drain_ms;
};

// One deferred or streaming reply.
struct job {
    struct app *app;
    struct gtv_http_request *req;
    struct gtv_timer *timer;
    struct job *next;
    int64_t left, size;
    bool aborts, fixed;
};

static int64_t number(struct gtv_http_request *req, const char *name, int64_t def)
{
    int64_t v = def;
    return gtv_parse_int(gtv_http_query(req, name), 0, INT64_C(1) << 40, &v) ? v : def;
}

static void job_closed(void *arg, bool complete)
{
    struct job *job = arg;
    atomic_fetch_add(complete ? &job->app->complete : &job->app->cut, 1);
    gtv_timer_destroy(job->timer);
    free(job);
}

static struct job *job_start(struct gtv_http_request *req, void *user, void (*fn)(void *))
{
    struct job *job = GTV_NEW(struct job);
    job->app = user;
    job->req = req;
    job->timer = gtv_timer_create(gtv_http_loop(req), fn, job);
    gtv_http_on_close(req, job_closed, job);
    atomic_fetch_add(&job->app->started, 1);
    return job;
}

static void get_playlist(struct gtv_http_request *req, void *user)
{
    struct app *app = user;
    struct gtv_http_header headers[] = {{GTV_STR("Content-Type"), GTV_STR("application/vnd.apple.mpegurl")},
                                        {GTV_STR("Cache-Control"), GTV_STR("max-age=1")}};
    gtv_http_reply(req, 200, headers, 2, app->playlist);
}

static void get_block(struct gtv_http_request *req, void *user)
{
    struct app *app = user;
    gtv_http_reply(req, 200, NULL, 0, app->block);
}

static void get_pieces(struct gtv_http_request *req, void *user)
{
    struct app *app = user;
    struct gtv_bytes *token = gtv_bytes_copy("-token-", 7);
    struct gtv_bytes *pieces[200];
    size_t n = (size_t)number(req, "n", 3);
    n = n > 200 ? 200 : n;
    for (size_t i = 0; i < n; i++) {
        pieces[i] = i % 2 ? app->playlist : token;
    }
    gtv_http_reply_pieces(req, 200, NULL, 0, pieces, n);
    gtv_bytes_unref(token);
}

static void post_echo(struct gtv_http_request *req, void *user)
{
    (void)user;
    gtv_http_reply_str(req, 200, "application/octet-stream", gtv_http_body(req));
}

static void get_params(struct gtv_http_request *req, void *user)
{
    (void)user;
    struct gtv_str a = gtv_http_param(req, "a"), rest = gtv_http_param(req, "rest"),
                   q = gtv_http_query(req, "q");
    char *text = gtv_arena_printf(
        gtv_http_arena(req), "a=" GTV_STR_FMT " rest=" GTV_STR_FMT " q=" GTV_STR_FMT " path=" GTV_STR_FMT,
        GTV_STR_ARG(a), GTV_STR_ARG(rest), GTV_STR_ARG(q), GTV_STR_ARG(gtv_http_path(req)));
    gtv_http_reply_str(req, 200, "text/plain", gtv_str_of(text));
}

static void get_peer(struct gtv_http_request *req, void *user)
{
    (void)user;
    gtv_http_reply_str(req, 200, "text/plain", gtv_http_peer(req));
}

static void get_split(struct gtv_http_request *req, void *user)
{
    (void)user;
    struct gtv_http_header headers[] = {{GTV_STR("X-Bad"), gtv_http_query(req, "v")},
                                        {GTV_STR("Content-Length"), GTV_STR("1")},
                                        {GTV_STR("X-Good"), GTV_STR("yes")}};
    gtv_http_reply(req, 200, headers, 3, NULL);
}

static void reply_late(void *arg)
{
    struct job *job = arg;
    gtv_http_reply_str(job->req, 200, "text/plain", GTV_STR("late"));
}

static void get_slow(struct gtv_http_request *req, void *user)
{
    uint64_t ms = (uint64_t)number(req, "ms", 100);
    gtv_timer_start(job_start(req, user, reply_late)->timer, ms, 0);
}

static void orphan_late(void *arg)
{
    struct job *job = arg, **at = &job->app->deaf;
    while (*at != job) {
        at = &(*at)->next;
    }
    *at = job->next;
    gtv_http_reply_str(job->req, 200, "text/plain", GTV_STR("orphan"));
    gtv_timer_destroy(job->timer);
    free(job);
}

// As /slow, by a handler that never asked to hear of the client's leaving.
static void get_deaf(struct gtv_http_request *req, void *user)
{
    uint64_t ms = (uint64_t)number(req, "ms", 100);
    struct job *job = job_start(req, user, orphan_late);
    job->next = job->app->deaf;
    job->app->deaf = job;
    gtv_http_on_close(req, NULL, NULL);
    gtv_timer_start(job->timer, ms, 0);
}

static void stream_tick(void *arg)
{
    struct job *job = arg;
    if (job->left <= 0) {
        gtv_timer_stop(job->timer);
        if (job->aborts) {
            gtv_http_stream_abort(job->req);
        } else {
            gtv_http_stream_end(job->req);
        }
        return;
    }
    job->left--;
    struct gtv_bytes *piece = gtv_bytes_create((size_t)job->size);
    memset(piece->data, 'a', (size_t)job->size);
    piece->len = (size_t)job->size;
    gtv_http_stream_write(job->req, piece);
    gtv_bytes_unref(piece);
}

// ?n= pieces of ?size= bytes, one every ?ms=; ?length= announces a length; ?abort=1 cuts it.
static void get_stream(struct gtv_http_request *req, void *user)
{
    struct job *job = job_start(req, user, stream_tick);
    job->left = number(req, "n", 3);
    job->size = number(req, "size", 10);
    job->aborts = number(req, "abort", 0) == 1;
    int64_t length = number(req, "length", -1);
    uint64_t ms = (uint64_t)number(req, "ms", 10);
    struct gtv_http_header type = {GTV_STR("Content-Type"), GTV_STR("text/plain")};
    gtv_http_stream_begin(req, 200, &type, 1, length);
    if (ms > 0) {
        gtv_timer_start(job->timer, 0, ms);
        return;
    }
    int64_t n = job->left;
    for (int64_t i = 0; i <= n; i++) {
        stream_tick(job);
    }
}

static void pump(void *arg)
{
    struct job *job = arg;
    while (gtv_http_stream_pending(job->req) == 0 && job->left > 0) {
        job->left--;
        gtv_http_stream_write(job->req, job->app->block);
    }
    if (job->left == 0) {
        job->left = -1;
        gtv_http_stream_end(job->req);
    }
}

// ?n= blocks of 1 MiB, each only when the one before is with the kernel.
static void get_pump(struct gtv_http_request *req, void *user)
{
    struct job *job = job_start(req, user, pump);
    job->left = number(req, "n", 10);
    gtv_http_stream_begin(req, 200, NULL, 0, -1);
    gtv_http_stream_on_drain(req, pump, job);
}

struct tunnel {
    struct app *app;
    struct gtv_http_conn *conn;
};

static void tunnel_read(void *arg, const uint8_t *data, size_t n)
{
    struct tunnel *t = arg;
    if (n >= 3 && memcmp(data, "bye", 3) == 0) {
        struct gtv_bytes *last = gtv_bytes_copy("good bye", 8);
        gtv_http_conn_write(t->conn, last);
        gtv_bytes_unref(last);
        gtv_http_conn_close(t->conn, true);
        return;
    }
    if (n >= 4 && memcmp(data, "kill", 4) == 0) {
        gtv_http_conn_close(t->conn, false);
        return;
    }
    struct gtv_bytes *copy = gtv_bytes_copy(data, n);
    gtv_http_conn_write(t->conn, copy);
    gtv_bytes_unref(copy);
}

static void tunnel_close(void *arg)
{
    struct tunnel *t = arg;
    atomic_fetch_add(&t->app->upgrade_closed, 1);
    free(t);
}

static void get_tunnel(struct gtv_http_request *req, void *user)
{
    struct tunnel *t = GTV_NEW(struct tunnel);
    t->app = user;
    struct gtv_http_upgrade handlers = {.on_read = tunnel_read, .on_close = tunnel_close, .arg = t};
    struct gtv_http_header header = {GTV_STR("Upgrade"), GTV_STR("echo")};
    t->conn = gtv_http_upgrade(req, &header, 1, &handlers);
    atomic_fetch_add(&t->app->upgraded, 1);
}

static void get_counts(struct gtv_http_request *req, void *user)
{
    struct app *app = user;
    char *text =
        gtv_arena_printf(gtv_http_arena(req),
                         "{\"started\":%d,\"complete\":%d,\"cut\":%d,\"upgraded\":%d,\"upgrade_closed\":%d}",
                         atomic_load(&app->started), atomic_load(&app->complete), atomic_load(&app->cut),
                         atomic_load(&app->upgraded), atomic_load(&app->upgrade_closed));
    gtv_http_reply_str(req, 200, "application/json", gtv_str_of(text));
}

static void get_metrics(struct gtv_http_request *req, void *user)
{
    struct app *app = user;
    struct gtv_buf out;
    gtv_buf_init(&out, 1 << 20);
    gtv_metrics_write(app->metrics, &out);
    gtv_http_reply_str(req, 200, "text/plain", gtv_buf_str(&out));
    gtv_buf_finish(&out);
}

static void get_file(struct gtv_http_request *req, void *user)
{
    struct app *app = user;
    gtv_http_files_reply(app->files, req, gtv_http_param(req, "rel"));
}

static const struct gtv_http_route routes[] = {
    {"GET", "/playlist", get_playlist, 0, "600 bytes from memory"},
    {"GET", "/block", get_block, 0, "1 MiB from memory"},
    {"GET", "/pieces", get_pieces, 0, "a body in pieces"},
    {"POST", "/echo", post_echo, 1024 * 1024, "the body back"},
    {"POST", "/tiny", post_echo, 16, "a small limit"},
    {"GET", "/params/{a}/x/{rest*}/end", get_params, 0, "parameters"},
    {"GET", "/peer", get_peer, 0, "the client's address"},
    {"GET", "/split", get_split, 0, "a header from the query"},
    {"GET", "/slow", get_slow, 0, "a deferred reply"},
    {"GET", "/deaf", get_deaf, 0, "a deferred reply without on_close"},
    {"GET", "/stream", get_stream, 0, "a stream"},
    {"GET", "/pump", get_pump, 0, "a stream with back-pressure"},
    {"GET", "/tunnel", get_tunnel, 0, "an upgrade"},
    {"GET", "/counts", get_counts, 0, "how requests ended"},
    {"GET", "/metrics", get_metrics, 0, "metrics"},
    {"GET", "/files/", get_file, 0, "the folder's index.html"},
    {"GET", "/files/{rel*}", get_file, 0, "files of a folder"},
};

static void stop_loop(void *arg)
{
    struct node *node = arg;
    gtv_http_server_destroy(node->server);
    node->server = NULL;
    gtv_loop_stop(node->loop);
}

static void stop_node(void *arg)
{
    struct node *node = arg;
    gtv_http_server_stop(node->server, node->drain_ms, stop_loop, node);
}

struct fleet {
    struct node nodes[MAX_LOOPS];
    size_t count;
};

static void on_signal(void *arg, int signum)
{
    struct fleet *fleet = arg;
    (void)signum;
    for (size_t i = 0; i < fleet->count; i++) {
        if (!gtv_loop_post(fleet->nodes[i].loop, stop_node, &fleet->nodes[i])) {
            abort();
        }
    }
}

static void parse_args(int argc, char **argv, struct gtv_http_server_config *config, struct fleet *fleet,
                       unsigned *drain_ms, const char **folder)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        struct gtv_str name = gtv_str_of(argv[i]);
        int64_t v = 0;
        bool is_number = gtv_parse_int(gtv_str_of(argv[i + 1]), 0, 1000000, &v);
        if (gtv_str_eq(name, GTV_STR("--proxy"))) {
            config->proxy_protocol = argv[i + 1];
        } else if (gtv_str_eq(name, GTV_STR("--trusted"))) {
            config->trusted_proxies = argv[i + 1];
        } else if (gtv_str_eq(name, GTV_STR("--files"))) {
            *folder = argv[i + 1];
        } else if (gtv_str_eq(name, GTV_STR("--cors"))) {
            config->cors_origin = argv[i + 1];
        } else if (!is_number) {
            (void)fprintf(stderr, "%s needs a number\n", argv[i]);
            exit(2);
        } else if (gtv_str_eq(name, GTV_STR("--header-ms"))) {
            config->header_timeout_ms = (unsigned)v;
        } else if (gtv_str_eq(name, GTV_STR("--idle-ms"))) {
            config->idle_timeout_ms = (unsigned)v;
        } else if (gtv_str_eq(name, GTV_STR("--write-ms"))) {
            config->write_timeout_ms = (unsigned)v;
        } else if (gtv_str_eq(name, GTV_STR("--max-connections"))) {
            config->max_connections = (size_t)v;
        } else if (gtv_str_eq(name, GTV_STR("--drain-ms"))) {
            *drain_ms = (unsigned)v;
        } else if (gtv_str_eq(name, GTV_STR("--loops"))) {
            fleet->count = v < 1 || v > MAX_LOOPS ? 1 : (size_t)v;
        }
    }
}

int main(int argc, char **argv)
{
    struct app app = {.playlist = gtv_bytes_create(PLAYLIST_BYTES),
                      .block = gtv_bytes_create(BLOCK),
                      .metrics = gtv_metrics_create()};
    memset(app.playlist->data, 'p', PLAYLIST_BYTES);
    app.playlist->len = PLAYLIST_BYTES;
    memset(app.block->data, 'b', BLOCK);
    app.block->len = BLOCK;
    struct fleet fleet = {.count = 1};
    unsigned drain_ms = 2000;
    struct gtv_http_server_config config = {.name = "test",
                                            .routes = routes,
                                            .route_count = sizeof(routes) / sizeof(routes[0]),
                                            .user = &app,
                                            .cors_origin = "*",
                                            .max_connections = 20000,
                                            .metrics = app.metrics};
    const char *folder = ".";
    parse_args(argc, argv, &config, &fleet, &drain_ms, &folder);
    app.files = gtv_http_files_create(folder);
    struct gtv_error err = {0};
    int port = 0;
    for (size_t i = 0; i < fleet.count; i++) {
        struct node *node = &fleet.nodes[i];
        node->drain_ms = drain_ms;
        node->loop = gtv_loop_create("httpd");
        node->server = gtv_http_server_create(node->loop, &config, &err);
        if (!node->server ||
            !gtv_http_server_listen(node->server, "127.0.0.1", port, fleet.count > 1, &err)) {
            (void)fprintf(stderr, "%s\n", err.message);
            return 1;
        }
        port = gtv_http_server_port(node->server);
    }
    gtv_loop_on_signal(fleet.nodes[0].loop, on_signal, &fleet);
    (void)printf("127.0.0.1 %d\n", port);
    (void)fflush(stdout);
    for (size_t i = 1; i < fleet.count; i++) {
        gtv_loop_start(fleet.nodes[i].loop);
    }
    gtv_loop_run(fleet.nodes[0].loop);
    for (size_t i = 0; i < fleet.count; i++) {
        gtv_loop_join(fleet.nodes[i].loop);
        gtv_loop_destroy(fleet.nodes[i].loop);
    }
    while (app.deaf) {
        struct job *next = app.deaf->next;
        gtv_timer_destroy(app.deaf->timer);
        free(app.deaf);
        app.deaf = next;
    }
    gtv_metrics_destroy(app.metrics);
    gtv_http_files_destroy(app.files);
    gtv_bytes_unref(app.playlist);
    gtv_bytes_unref(app.block);
    return 0;
}
