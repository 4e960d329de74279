// gtv-media: wires options, loop, node and the two servers.
#include "lib/av/av.h"
#include "lib/base/clock.h"
#include "lib/contract/contract.h"
#include "lib/life/life.h"
#include "lib/version/version.h"
#include "services/media/api.h"
#include "services/media/config/reload.h"
#include "services/media/hls/http.h"
#include "services/media/hls/ring.h"
#include "services/media/record/playback.h"
#include "services/media/rtmp/server.h"
#include "services/media/rtsp/server.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    DRAIN_MS = 8000,     // for replies in progress at the end: sockets are closed within 10 s
    LAST_WAIT_MS = 3000, // for cameras' threads: a name being resolved cannot be interrupted
    LAST_STEP_MS = 20,
    ARENAS_MAX = 2, // of malloc: one a core would cost memory with a thread a camera
};

struct program {
    struct gtv_media_options options;
    struct gtv_settings *settings;
    struct gtv_about about;
    struct gtv_reload *reload;
    struct gtv_log log;
    struct gtv_loop *loop;
    struct gtv_life *life;
    struct gtv_metrics *metrics;
    struct gtv_node *node;
    struct gtv_http_server *api, *hls, *metrics_server; // metrics_server: NULL without one
    struct gtv_http_server *play;
    struct gtv_playback playback;
    struct gtv_rtmp_server *rtmp; // NULL without one
    struct gtv_rtsp_server *rtsp; // NULL without one
    struct gtv_timer *last;
    unsigned waited_ms;
    bool ending;
};

// The end: stop taking requests, let the last save reach the disk, end the pulls, wait for their threads.
static void wait_for_end(void *arg)
{
    struct program *g = arg;
    g->waited_ms += LAST_STEP_MS;
    bool patience = g->waited_ms < LAST_WAIT_MS;
    if (gtv_node_saving(g->node) && patience) {
        return;
    }
    gtv_node_stop(g->node);
    if (gtv_node_threads(g->node) > 0 && patience) {
        return;
    }
    if (g->waited_ms > DRAIN_MS + LAST_STEP_MS || gtv_http_server_connections(g->api) +
                                                          gtv_http_server_connections(g->hls) +
                                                          gtv_http_server_connections(g->play) ==
                                                      0) {
        gtv_timer_stop(g->last);
        gtv_loop_stop(g->loop);
    }
}

static void on_signal(void *arg, int signum)
{
    struct program *g = arg;
    if (g->ending) {
        return;
    }
    g->ending = true;
    gtv_log_info(&g->log, "stopping", "signal=%d", signum);
    gtv_life_stopping(g->life);
    gtv_http_server_stop(g->api, DRAIN_MS, NULL, NULL);
    gtv_http_server_stop(g->hls, DRAIN_MS, NULL, NULL);
    gtv_http_server_stop(g->play, DRAIN_MS, NULL, NULL);
    if (g->metrics_server != NULL) {
        gtv_http_server_stop(g->metrics_server, DRAIN_MS, NULL, NULL);
    }
    if (g->rtsp != NULL) {
        gtv_rtsp_server_stop(g->rtsp);
    }
    if (g->rtmp != NULL) {
        gtv_rtmp_server_stop(g->rtmp);
    }
    gtv_reload_stop(g->reload);
    g->last = gtv_timer_create(g->loop, wait_for_end, g);
    gtv_timer_start(g->last, 1, LAST_STEP_MS);
}

static struct gtv_http_server *
serve(struct program *g, void *user, const char *name, const char *host, int64_t port,
      const struct gtv_http_route *routes, size_t n,
      void (*on_error)(struct gtv_http_request *, enum gtv_code, const char *, void *), struct gtv_error *err)
{
    struct gtv_http_server_config c = {.name = name,
                                       .routes = routes,
                                       .route_count = n,
                                       .user = user,
                                       .cors_origin = "*",
                                       .metrics = g->metrics,
                                       .error_reply = on_error,
                                       .trusted_proxies = g->options.trusted_proxies,
                                       .proxy_protocol = g->options.proxy_protocol,
                                       .access_log = g->options.access_log};
    struct gtv_http_server *s = gtv_http_server_create(g->loop, &c, err);
    if (s == NULL) {
        return NULL;
    }
    int fd = gtv_life_take_socket(g->life, name, (int)port);
    if (fd >= 0 ? !gtv_http_server_adopt(s, fd, err)
                : !gtv_http_server_listen(s, gtv_media_host(&g->options, host), (int)port, false, err)) {
        gtv_http_server_destroy(s);
        return NULL;
    }
    return s;
}

static bool start(struct program *g, struct gtv_error *err)
{
    g->node = gtv_node_create(g->loop, &g->options, g->settings, g->metrics, err);
    if (g->node == NULL) {
        return false;
    }
    g->api = serve(g, g->node, "gtv-media", g->options.api_host, g->options.api_port, gtv_media_api_routes,
                   gtv_media_api_route_count, gtv_media_api_error, err);
    if (g->api == NULL) {
        return false;
    }
    g->hls = serve(g, g->node, "gtv-media-hls", g->options.hls_host, g->options.hls_port,
                   gtv_media_hls_routes, gtv_media_hls_route_count, gtv_media_hls_error, err);
    if (g->hls == NULL) {
        return false;
    }
    g->playback = (struct gtv_playback){.record = gtv_node_record(g->node), .gate = gtv_node_gate(g->node)};
    g->play = serve(g, &g->playback, "gtv-media-playback", g->options.playback_host, g->options.playback_port,
                    gtv_playback_routes, gtv_playback_route_count, gtv_playback_error, err);
    if (g->play == NULL) {
        return false;
    }
    if (g->options.metrics) {
        g->metrics_server =
            serve(g, g->node, "gtv-media-metrics", g->options.metrics_host, g->options.metrics_port,
                  gtv_media_metrics_routes, gtv_media_metrics_route_count, gtv_media_api_error, err);
        if (g->metrics_server == NULL) {
            return false;
        }
    }
    if (g->options.rtmp) {
        g->rtmp = gtv_rtmp_server_create(g->loop, g->node, gtv_media_host(&g->options, g->options.rtmp_host),
                                         (int)g->options.rtmp_port,
                                         (int64_t)(g->options.stall_seconds * 1000), err);
        if (g->rtmp == NULL) {
            return false;
        }
    }
    if (g->options.rtsp) {
        g->rtsp = gtv_rtsp_server_create(g->loop, g->node, &g->options, err);
        if (g->rtsp == NULL) {
            return false;
        }
    }
    g->about = (struct gtv_about){
        .program = gtv_media_program.name,
        .version = gtv_version(),
        .commit = gtv_commit(),
        .started_ms = gtv_wall_ms(),
        .libraries = {{"libav", gtv_av_version()},
                      {"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)},
                      {"libuv", uv_version_string()}},
    };
    gtv_node_set_about(g->node, &g->about);
    g->reload = gtv_reload_create(g->loop, g->node);
    return true;
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); // a camera takes a descriptor, a viewer another
    }
}

int main(int argc, char **argv)
{
    struct program g = {.log = {"media", NULL, NULL}};
    struct gtv_error err = {0};
    int status = 1;
    gtv_version_answer(gtv_media_program.name, argc, argv);
    g.settings = gtv_settings_create(&g.options, argc, argv, &err);
    if (g.settings == NULL) {
        fprintf(stderr, "gtv-media: %s\n", err.message);
        return 2;
    }
    gtv_config_set_level(g.options.log_level);
    gtv_log_use_format(g.options.log_format);
    mallopt(M_ARENA_MAX, ARENAS_MAX);
    raise_file_limit();
    gtv_av_init(&g.log);
    g.loop = gtv_loop_create("media");
    g.life = gtv_life_create(g.loop);
    g.metrics = gtv_metrics_create();
    gtv_metrics_build_info(g.metrics, "media", gtv_version());
    bool threads_left = false;
    if (start(&g, &err)) {
        gtv_loop_on_signal(g.loop, on_signal, &g);
        gtv_log_info(&g.log, "ready",
                     "host=%s api_port=%d hls_port=%d playback_port=%d rtmp_port=%d rtsp_port=%d paths=%zu",
                     g.options.host, gtv_http_server_port(g.api), gtv_http_server_port(g.hls),
                     gtv_http_server_port(g.play), g.rtmp != NULL ? gtv_rtmp_server_port(g.rtmp) : 0,
                     g.rtsp != NULL ? gtv_rtsp_server_port(g.rtsp) : 0, gtv_node_count(g.node));
        gtv_life_close_unused(g.life);
        gtv_life_ready(g.life);
        gtv_loop_run(g.loop);
        status = 0;
    } else {
        gtv_log_error(&g.log, "cannot start", "error=\"%s\"", err.message);
    }
    if (g.node != NULL) {
        gtv_node_stop(g.node);
        threads_left = gtv_node_threads(g.node) > 0;
    }
    if (threads_left) {
        // A thread is still inside libav and would touch what is freed below; the kernel frees it as well.
        fflush(NULL);
        _exit(status);
    }
    gtv_timer_destroy(g.last);
    gtv_http_server_destroy(g.api);
    gtv_http_server_destroy(g.hls);
    gtv_http_server_destroy(g.play);
    gtv_http_server_destroy(g.metrics_server);
    gtv_rtmp_server_destroy(g.rtmp);
    gtv_rtsp_server_destroy(g.rtsp);
    gtv_node_destroy(g.node);
    gtv_loop_destroy(g.loop);
    gtv_life_destroy(g.life);
    gtv_reload_destroy(g.reload);
    gtv_metrics_destroy(g.metrics);
    gtv_settings_destroy(g.settings);
    return status;
}
