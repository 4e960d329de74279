// gtv-streaming: only wires. See README.md for the threads.

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/life/life.h"
#include "lib/version/version.h"
#include "services/streaming/control.h"
#include "services/streaming/hub.h"
#include "services/streaming/proxy.h"
#include "services/streaming/routes.h"
#include "services/streaming/sequence.h"
#include "services/streaming/sight.h"
#include "services/streaming/stats.h"
#include "services/streaming/upstream.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

// Sockets are closed within 10 s of the signal: the grace and what requests then still take.
enum { END_MS = 9000 };
// For so long a start waits for the list of cameras: who asks meanwhile waits in the socket, or is served by
// the program that is being replaced. Without Redis it serves what it can.
enum { FIRST_LIST_MS = 2000 };

static bool has(const char *s)
{
    return s && *s;
}

// With SO_REUSEPORT the kernel would let a second program share our port: half of the requests would go to
// each.
static bool port_is_free(const char *host, int port)
{
    struct sockaddr_storage ss = {0};
    socklen_t len = sizeof(struct sockaddr_in);
    if (uv_ip4_addr(host, port, (struct sockaddr_in *)&ss) != 0) {
        if (uv_ip6_addr(host, port, (struct sockaddr_in6 *)&ss) != 0)
            return true; // listening will say what is wrong with it
        len = sizeof(struct sockaddr_in6);
    }
    int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return true;
    int on = 1; // connections of an earlier run that are still ending do not count
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool free_port = bind(fd, (struct sockaddr *)&ss, len) == 0 || errno != EADDRINUSE;
    close(fd);
    return free_port;
}

static bool create_servers(struct gtv_app *app, struct gtv_error *err)
{
    for (size_t i = 0; i < app->worker_count; i++) {
        struct gtv_worker *w = &app->workers[i];
        const struct gtv_http_server_config config = {
            .name = "streaming",
            .routes = gtv_streaming_routes,
            .route_count = gtv_streaming_route_count,
            .user = w,
            .cors_origin = has(app->options.cors_origin) ? app->options.cors_origin : NULL,
            .metrics = app->metrics,
            .trusted_proxies = app->options.trusted_proxies,
            .proxy_protocol = app->options.proxy_protocol,
            .access_log = app->options.access_log,
        };
        w->server = gtv_http_server_create(w->loop, &config, err);
        if (!w->server)
            return false;
    }
    return true;
}

// Sockets that were handed over.
struct handed {
    int fds[GTV_LIFE_SOCKETS_MAX];
    size_t n;
};

static void take_sockets(struct gtv_app *app, struct handed *h)
{
    int fd;
    while (h->n < GTV_LIFE_SOCKETS_MAX &&
           (fd = gtv_life_take_socket(app->life, "streaming", (int)app->options.port)) >= 0)
        h->fds[h->n++] = fd;
    gtv_life_close_unused(app->life);
}

// Dealt out to the loops; with fewer of them than loops some are shared.
static bool adopt_all(struct gtv_app *app, struct handed *h, struct gtv_error *err)
{
    bool ok = true;
    for (size_t i = h->n; ok && i < app->worker_count; i++) {
        int fd = fcntl(h->fds[i % h->n], F_DUPFD_CLOEXEC, 0);
        ok = fd >= 0 && gtv_http_server_adopt(app->workers[i].server, fd, err);
    }
    for (size_t i = 0; ok && i < h->n; i++) {
        ok = gtv_http_server_adopt(app->workers[i % app->worker_count].server, h->fds[i], err);
        h->fds[i] = -1;
    }
    return ok;
}

static bool open_port(struct gtv_app *app, struct gtv_error *err)
{
    int port = (int)app->options.port;
    for (size_t i = 0; i < app->worker_count; i++) {
        struct gtv_worker *w = &app->workers[i];
        if (!gtv_http_server_listen(w->server, app->options.host, port, app->worker_count > 1, err))
            return false;
        port = gtv_http_server_port(w->server); // the first one tells which port the system chose
    }
    return true;
}

// Before anything is begun that a program on the same port is already at.
static bool may_open(struct gtv_app *app, const struct handed *h, struct gtv_error *err)
{
    int port = (int)app->options.port;
    if (h->n > 0 || port == 0 || port_is_free(app->options.host, port))
        return true;
    gtv_error_set(err, GTV_E_CONFLICT, "STREAMING_PORT", "port %d of %s is in use", port, app->options.host);
    return false;
}

static bool listen_all(struct gtv_app *app, struct handed *h, struct gtv_error *err)
{
    if (h->n > 0 ? !adopt_all(app, h, err) : !open_port(app, err))
        return false;
    gtv_log_info(&app->log, "listening", "host=%s port=%d workers=%zu handed_over=%zu", app->options.host,
                 gtv_http_server_port(app->workers[0].server), app->worker_count, h->n);
    return true;
}

static void close_handed(const struct handed *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->fds[i] >= 0)
            close(h->fds[i]);
}

// A loop may fetch what the viewers of another wait for: all turn until the last one has drained.
static void server_stopped(void *arg)
{
    struct gtv_app *app = ((struct gtv_worker *)arg)->app;
    if (atomic_fetch_sub(&app->serving, 1) > 1)
        return;
    for (size_t i = 0; i < app->worker_count; i++)
        gtv_loop_stop(app->workers[i].loop);
}

static void worker_stop(void *arg)
{
    struct gtv_worker *w = arg;
    unsigned grace_ms = atomic_load(&w->app->grace_ms);
    gtv_hub_stop(w->hub);
    gtv_http_server_retire(w->server, grace_ms, END_MS - grace_ms, server_stopped, w);
}

static void on_signal(void *arg, int signum)
{
    struct gtv_app *app = arg;
    gtv_log_info(&app->log, "stopping", "signal=%d", signum);
    gtv_life_stopping(app->life);
    // Who sits at the terminal wants the end; who sends SIGTERM has others that take the requests.
    atomic_store(&app->grace_ms, signum == SIGINT ? 0 : (unsigned)app->options.grace_seconds * 1000);
    gtv_lease_release(app->control->lease);
    for (size_t i = 1; i < app->worker_count; i++)
        if (!gtv_loop_post(app->workers[i].loop, worker_stop, &app->workers[i]))
            server_stopped(&app->workers[i]);
    worker_stop(&app->workers[0]);
}

// ---- Reading the configuration again ----

static const char *cors_of(const struct gtv_app *app)
{
    const char *origin = gtv_live_text(&app->options.cors_origin);
    return has(origin) ? origin : NULL;
}

static void follow_options(void *arg)
{
    struct gtv_worker *w = arg;
    gtv_http_server_set_cors(w->server, cors_of(w->app));
}

// What is not told here is read where it is used.
static void on_hangup(void *arg)
{
    struct gtv_app *app = arg;
    gtv_life_reloading(app->life);
    if (gtv_config_reload(app->source, &app->options, &app->log)) {
        gtv_config_set_level(app->options.log_level);
        gtv_viewers_set_max(app->viewers, (size_t)app->options.max_connections_per_stream);
        gtv_cache_set_max(app->cache, (size_t)app->options.cache_bytes);
        for (size_t i = 0; i < app->worker_count; i++)
            if (!gtv_loop_post(app->workers[i].loop, follow_options, &app->workers[i]))
                gtv_log_warn(&app->log, "a loop is busy: GTV_CORS_ORIGIN is not followed", "worker=%zu", i);
    }
    gtv_life_ready(app->life);
}

static size_t worker_count(const struct gtv_streaming_options *o)
{
    if (o->workers > 0)
        return (size_t)o->workers;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    return processors < 1                         ? 1
           : processors > GTV_WORKERS_DEFAULT_MAX ? GTV_WORKERS_DEFAULT_MAX
                                                  : (size_t)processors;
}

static void create_shared(struct gtv_app *app)
{
    app->metrics = gtv_metrics_create();
    gtv_metrics_build_info(app->metrics, "streaming", gtv_version());
    app->cache = gtv_cache_create((size_t)app->options.cache_bytes);
    app->sessions = gtv_sessions_create();
    app->viewers = gtv_viewers_create((size_t)app->options.max_connections_per_stream,
                                      has(app->options.playback_key), app->sessions);
    app->cameras = gtv_cameras_create();
    app->states = gtv_states_create();
    app->ledger = gtv_ledger_create();
    app->upstream = gtv_upstream_create();
    app->sequences = gtv_sequences_create();
    app->stats = gtv_stats_create();
    app->sight = gtv_sight_create(app);
}

static void tell_about(struct gtv_about *about)
{
    *about = (struct gtv_about){
        .program = gtv_streaming_program.name,
        .version = gtv_version(),
        .commit = gtv_commit(),
        .started_ms = gtv_wall_ms(),
        .libraries = {{"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)},
                      {"curl", curl_version_info(CURLVERSION_NOW)->version},
                      {"libuv", uv_version_string()}},
    };
}

static void create_workers(struct gtv_app *app)
{
    app->worker_count = worker_count(&app->options);
    app->workers = gtv_alloc(app->worker_count * sizeof *app->workers);
    tell_about(&app->about);
    const struct gtv_service_pages pages = {
        .about = &app->about,
        .metrics = app->metrics,
        .openapi = has(app->options.api_dir) ? gtv_http_files_create(app->options.api_dir) : NULL,
        .docs_ui = has(app->options.docs_ui_dir) ? gtv_http_files_create(app->options.docs_ui_dir) : NULL,
        .name = "streaming",
        .more = gtv_sight_write,
    };
    for (size_t i = 0; i < app->worker_count; i++) {
        struct gtv_worker *w = &app->workers[i];
        char name[16];
        snprintf(name, sizeof name, "streaming-%u", (unsigned)i);
        w->pages = pages;
        if (i > 0) { // a file cache belongs to one loop
            w->pages.openapi = pages.openapi ? gtv_http_files_create(app->options.api_dir) : NULL;
            w->pages.docs_ui = pages.docs_ui ? gtv_http_files_create(app->options.docs_ui_dir) : NULL;
        }
        w->app = app;
        w->index = (unsigned)i;
        w->loop = gtv_loop_create(name);
        w->proxy = gtv_proxy_create(w);
        w->hub = gtv_hub_create(w);
    }
}

static void create_life(struct gtv_app *app)
{
    app->life = gtv_life_create(app->workers[0].loop);
    for (size_t i = 1; i < app->worker_count; i++)
        gtv_life_watch(app->life, app->workers[i].loop);
    atomic_store(&app->serving, app->worker_count);
}

static void destroy_all(struct gtv_app *app)
{
    for (size_t i = 0; i < app->worker_count; i++)
        gtv_http_server_destroy(app->workers[i].server);
    gtv_control_destroy(app->control);
    for (size_t i = 0; i < app->worker_count; i++) {
        struct gtv_worker *w = &app->workers[i];
        gtv_proxy_destroy(w->proxy);
    }
    // Posts that were still under way run while their loops are destroyed, and may belong to another loop's
    // hub or proxy's waiters.
    for (size_t i = 0; i < app->worker_count; i++)
        gtv_loop_destroy(app->workers[i].loop);
    gtv_life_destroy(app->life);
    for (size_t i = 0; i < app->worker_count; i++) {
        struct gtv_worker *w = &app->workers[i];
        gtv_hub_destroy(w->hub);
        gtv_http_files_destroy(w->pages.openapi);
        gtv_http_files_destroy(w->pages.docs_ui);
    }
    free(app->workers);
    gtv_stats_destroy(app->stats);
    gtv_sight_destroy(app->sight);
    gtv_upstream_destroy(app->upstream);
    gtv_sequences_destroy(app->sequences);
    gtv_ledger_destroy(app->ledger);
    gtv_states_destroy(app->states);
    gtv_cameras_destroy(app->cameras);
    gtv_viewers_destroy(app->viewers);
    gtv_sessions_destroy(app->sessions);
    gtv_cache_destroy(app->cache);
    gtv_metrics_destroy(app->metrics);
}

static bool cameras_are_read_or_cannot_be(void *arg)
{
    const struct gtv_app *app = arg;
    return gtv_cameras_loaded(app->cameras) || gtv_redis_away(app->control->redis);
}

// In this order, so that nobody is served by a program that does not know the cameras yet.
static bool begin(struct gtv_app *app, struct handed *h, struct gtv_error *err)
{
    struct gtv_loop *loop = app->workers[0].loop;
    if (!create_servers(app, err) || !may_open(app, h, err) ||
        !(app->control = gtv_control_create(app, loop, err)))
        return false;
    gtv_loop_on_hangup(loop, on_hangup, app);
    gtv_loop_run_until(loop, cameras_are_read_or_cannot_be, app, FIRST_LIST_MS);
    app->started_ms = gtv_mono_ms();
    return listen_all(app, h, err);
}

static int run(struct gtv_app *app)
{
    struct gtv_error err = {0};
    struct handed handed = {0};
    create_shared(app);
    create_workers(app);
    assert(app->workers);
    create_life(app);
    take_sockets(app, &handed);
    bool ok = begin(app, &handed, &err);
    if (ok) {
        gtv_loop_on_signal(app->workers[0].loop, on_signal, app);
        for (size_t i = 1; i < app->worker_count; i++)
            gtv_loop_start(app->workers[i].loop);
        gtv_life_ready(app->life);
        gtv_loop_run(app->workers[0].loop);
        for (size_t i = 1; i < app->worker_count; i++)
            gtv_loop_join(app->workers[i].loop);
        gtv_log_info(&app->log, "stopped", NULL);
    } else {
        gtv_log_error(&app->log, "cannot start", "cause=\"%s\"", err.message);
        close_handed(&handed);
    }
    destroy_all(app);
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct gtv_app app = {.log = {"streaming", NULL, NULL}};
    struct gtv_error err = {0};
    app.started_ms = gtv_mono_ms();
    gtv_version_answer(gtv_streaming_program.name, argc, argv);
    app.source = gtv_config_source_create(&gtv_streaming_program, argc, argv);
    if (!gtv_config_load(&app.options, &gtv_streaming_program, argc, argv, &err) ||
        !gtv_net_policy_parse(app.options.camera_allow, &app.policy, &err) ||
        !(app.nodes = gtv_nodes_create(app.options.media_api_url, app.options.media_hls_url, &err))) {
        fprintf(stderr, "gtv-streaming: %s\n", err.message);
        return 2;
    }
    gtv_config_set_level(app.options.log_level);
    gtv_log_use_format(app.options.log_format);
    int rc = run(&app);
    gtv_nodes_destroy(app.nodes);
    gtv_config_finish(&app.options, gtv_streaming_program.table, gtv_streaming_program.count);
    gtv_config_source_destroy(app.source);
    return rc;
}
