// Wires the ai program: settings, network, workers, Redis, cameras, HTTP. See README.md for its threads.
#include "lib/av/av.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/life/life.h"
#include "lib/redis/redis.h"
#include "lib/version/version.h"
#include "services/ai/detect/exam_plates.h"
#include "services/ai/detect/models.h"
#include "services/ai/service.h"
#include "services/ai/watch/upload.h"

#include <malloc.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ARENAS_MAX = 2,
    MMAP_FROM = 256 * 1024,
    END_MS = 9000,     // the grace and what requests then still take
    PICTURES_MAX = 16, // connections to the store of pictures
    SNAPSHOTS_MAX = 8, // connections to the media node for tests of cameras
};

struct program {
    struct gtv_ai ai;
    struct gtv_ai_settings settings;
    struct gtv_config_source *source;
    struct gtv_about about;
    struct gtv_http_server *api, *metrics_only;
    struct gtv_life *life;
    char *redis_url, *jobs_url;
    bool stopping;
};

static void warn_about_settings(const struct gtv_ai *ai)
{
    const struct gtv_ai_settings *s = ai->settings;
    if (s->vehicle_model)
        gtv_log_warn(&ai->log, "VEHICLE_MODEL is set, but makes are not recognised: vehicle_model is null",
                     NULL);
    if (getenv("GPU_MEMORY_FRACTION"))
        gtv_log_warn(&ai->log, "GPU_MEMORY_FRACTION has no effect: OpenVINO takes what a network needs",
                     NULL);
}

static size_t worker_count(const struct gtv_ai *ai)
{
    size_t wanted = (size_t)ai->settings->workers, cores = gtv_ai_cpus();
    if (wanted > cores)
        gtv_log_info(&ai->log, "fewer workers than WORKERS asks for: one for each core",
                     "wanted=%zu workers=%zu", wanted, cores);
    return wanted < cores ? wanted : cores;
}

double gtv_ai_camera_confidence(struct gtv_ai *ai)
{
    double confidence = ai->settings->camera_confidence;
    struct gtv_detector *d = gtv_engine_detector(ai->engine);
    const struct gtv_model *model = gtv_detector_model(d);
    if (confidence <= 0 && model)
        confidence = fmin(ai->settings->confidence, model->score_threshold);
    gtv_detector_unref(d);
    return confidence;
}

static struct gtv_detector *load_network(struct gtv_ai *ai, size_t workers)
{
    const struct gtv_ai_settings *s = ai->settings;
    struct gtv_error err = {0};
    char *cache = gtv_asprintf("%s/cache", s->models_dir);
    ai->runtime = gtv_infer_create(cache, &err);
    free(cache);
    if (!ai->runtime)
        gtv_log_error(&ai->log, "no network can be run", "cause=\"%s\"", err.message);
    struct gtv_detector *d = gtv_ai_models_begin(ai, workers);
    warn_about_settings(ai);
    return d;
}

static void load_plates(struct gtv_ai *ai, size_t workers)
{
    ai->plates = gtv_ai_models_plates(ai, workers);
    if (gtv_plates_message(ai->plates))
        gtv_log_warn(&ai->log, "plates are not read", "cause=\"%s\"", gtv_plates_message(ai->plates));
}

static void start_engine(struct gtv_ai *ai, size_t workers)
{
    size_t limit = (size_t)ai->settings->max_queue_size;
    struct gtv_detector *detector = load_network(ai, workers);
    ai->engine = gtv_engine_create(&(struct gtv_engine_config){
        .workers = workers,
        .batch = (size_t)ai->settings->batch_size,
        .limit = {[GTV_WORK_REQUEST] = limit, [GTV_WORK_JOB] = limit},
        .detector = detector,
        .metrics = ai->pages.metrics,
    });
    gtv_detector_unref(detector);
    load_plates(ai, workers);
    ai->examiner = gtv_examiner_create(&(struct gtv_examiner_config){
        .engine = ai->engine,
        .workers = workers,
        .metrics = ai->pages.metrics,
        .read_plates = ai->settings->lpr_enabled ? gtv_ai_examined : NULL,
        .plates = ai,
    });
}

static enum gtv_decode_policy decode_policy(const struct gtv_ai_settings *s)
{
    struct gtv_str name = gtv_str_of(s->decode);
    if (gtv_str_eq(name, GTV_STR("all")))
        return GTV_DECODE_ALWAYS_ALL;
    if (gtv_str_eq(name, GTV_STR("references")))
        return GTV_DECODE_ALWAYS_REFERENCES;
    return gtv_str_eq(name, GTV_STR("keys")) ? GTV_DECODE_ALWAYS_KEYS : GTV_DECODE_AUTO;
}

static enum gtv_reader_way camera_way(const struct gtv_ai_settings *s)
{
    enum gtv_reader_way way;
    return gtv_reader_way_parse(gtv_str_of(s->camera_source), &way) ? way : GTV_READER_AUTO;
}

static bool open_s3(struct program *p, struct gtv_error *err)
{
    const struct gtv_ai_settings *s = &p->settings;
    if (!s->s3_url || !*s->s3_url)
        return true;
    if (!s->crops_dir || !*s->crops_dir) {
        gtv_error_set(err, GTV_E_INVALID, "AI_CROPS_S3_URL",
                      "AI_CROPS_S3_URL needs AI_CROPS_DIR, where pictures wait to be sent");
        return false;
    }
    p->ai.s3 = gtv_s3_create(
        &(struct gtv_s3_config){
            .url = s->s3_url, .region = s->s3_region, .key = s->s3_key, .secret = s->s3_secret},
        err);
    if (!p->ai.s3)
        return false;
    p->ai.upload = gtv_upload_create(p->ai.s3);
    p->ai.pictures = gtv_http_client_create(p->ai.loop, PICTURES_MAX);
    return true;
}

static bool start_watching(struct program *p, struct gtv_error *err)
{
    const struct gtv_ai_settings *s = &p->settings;
    size_t n = strlen(s->hls_url);
    while (n && s->hls_url[n - 1] == '/')
        s->hls_url[--n] = '\0';
    p->redis_url = s->events_redis_url
                       ? gtv_strdup(s->events_redis_url)
                       : gtv_redis_url(s->redis_host, (int)s->redis_port, s->redis_password, 2);
    gtv_service_add_disk(&p->ai.pages, "spool", s->spool_dir);
    if (!open_s3(p, err))
        return false;
    if (s->crops_dir && *s->crops_dir) {
        gtv_service_add_disk(&p->ai.pages, "crops", s->crops_dir);
        p->ai.crops =
            gtv_store_create(&(struct gtv_store_config){.dir = s->crops_dir,
                                                        .max_bytes = (uint64_t)s->crops_bytes,
                                                        .max_age_s = s->crops_days * 86400,
                                                        .send = p->ai.upload ? gtv_upload_put : NULL,
                                                        .arg = p->ai.upload},
                             err);
        if (!p->ai.crops) {
            snprintf(p->ai.crops_problem, sizeof(p->ai.crops_problem), "%s", err->message);
            gtv_log_warn(&p->ai.log, "no pictures of tracks are kept", "cause=\"%s\"", err->message);
        }
    }
    p->ai.watchlists = gtv_watchlists_create(p->ai.loop, p->redis_url, p->ai.pages.metrics, err);
    if (!p->ai.watchlists)
        return false;
    p->ai.snapshots = gtv_http_client_create(p->ai.loop, SNAPSHOTS_MAX);
    p->ai.watcher = gtv_watcher_create(
        &(struct gtv_watcher_config){
            .loop = p->ai.loop,
            .redis_url = p->redis_url,
            .hls_url = s->hls_url,
            .rtsp_url = s->rtsp_url,
            .read_user = s->read_user,
            .read_pass = s->read_pass,
            .way = camera_way(s),
            .engine = p->ai.engine,
            .metrics = p->ai.pages.metrics,
            .max_fps = s->camera_max_fps,
            .min_confidence = gtv_ai_camera_confidence(&p->ai),
            .store = p->ai.crops,
            .plates = p->ai.plates,
            .min_fps = s->camera_min_fps,
            .cpu_budget = s->cpu_budget,
            .max_cameras = (size_t)s->max_cameras,
            .cores = gtv_ai_cpus(),
            .spool_dir = s->spool_dir,
            .spool_bytes = (size_t)s->spool_bytes,
            .policy = decode_policy(s),
            .size_gate = s->size_gate,
            .watchlists = p->ai.watchlists,
        },
        err);
    return p->ai.watcher != NULL;
}

static bool start_jobs(struct program *p, struct gtv_error *err)
{
    const struct gtv_ai_settings *s = &p->settings;
    p->jobs_url = gtv_redis_url(s->redis_host, (int)s->redis_port, s->redis_password, (int)s->redis_db);
    p->ai.jobs = gtv_jobs_create(
        &(struct gtv_jobs_config){
            .loop = p->ai.loop,
            .engine = p->ai.engine,
            .examiner = p->ai.examiner,
            .metrics = p->ai.pages.metrics,
            .redis_url = p->jobs_url,
            .max_queue = s->max_queue_size,
            .result_ttl = &s->result_ttl,
            .confidence = &s->confidence,
            .callback_secret = s->callback_secret && *s->callback_secret ? s->callback_secret : NULL,
            .callback_allow = s->callback_allow,
        },
        err);
    return p->ai.jobs != NULL;
}

static struct gtv_http_server *listen_on(struct program *p, const char *name,
                                         const struct gtv_http_route *routes, size_t n, int64_t port,
                                         struct gtv_error *err)
{
    struct gtv_http_server *server =
        gtv_http_server_create(p->ai.loop,
                               &(struct gtv_http_server_config){
                                   .name = name,
                                   .routes = routes,
                                   .route_count = n,
                                   .user = &p->ai,
                                   .cors_origin = p->settings.cors_origin,
                                   .max_connections = 1000,
                                   .metrics = p->ai.pages.metrics,
                                   .trusted_proxies = p->settings.trusted_proxies,
                                   .proxy_protocol = p->settings.proxy_protocol,
                                   .access_log = p->settings.access_log,
                               },
                               err);
    int fd = server ? gtv_life_take_socket(p->life, name, (int)port) : -1;
    if (fd >= 0 ? gtv_http_server_adopt(server, fd, err)
                : server && gtv_http_server_listen(server, p->settings.host, (int)port, false, err)) {
        gtv_log_info(&p->ai.log, "listening", "server=%s address=%s port=%d", name, p->settings.host,
                     gtv_http_server_port(server));
        return server;
    }
    gtv_http_server_destroy(server);
    return NULL;
}

static bool start_serving(struct program *p, struct gtv_error *err)
{
    p->ai.pages.openapi = gtv_http_files_create(p->settings.api_dir);
    if (p->settings.docs_ui_dir)
        p->ai.pages.docs_ui = gtv_http_files_create(p->settings.docs_ui_dir);
    gtv_ai_detect_init(&p->ai);
    p->api = listen_on(p, "ai", gtv_ai_routes, gtv_ai_route_count, p->settings.port, err);
    if (p->api && p->settings.metrics_port)
        p->metrics_only = listen_on(p, "ai-metrics", gtv_ai_metrics_routes, gtv_ai_metrics_route_count,
                                    p->settings.metrics_port, err);
    return p->api && (p->metrics_only || !p->settings.metrics_port);
}

// Reads the configuration again. What is not told here is read where it is used.
static void on_hangup(void *arg)
{
    struct program *p = arg;
    const struct gtv_ai_settings *s = &p->settings;
    if (p->stopping)
        return;
    gtv_life_reloading(p->life);
    if (gtv_config_reload(p->source, &p->settings, &p->ai.log)) {
        gtv_config_set_level(s->log_level);
        gtv_http_server_set_cors(p->api, s->cors_origin);
        if (p->metrics_only)
            gtv_http_server_set_cors(p->metrics_only, s->cors_origin);
        gtv_watcher_set_rates(p->ai.watcher, s->camera_max_fps, s->camera_min_fps, s->cpu_budget);
    }
    gtv_life_ready(p->life);
}

// ---- The end: servers drain -> sources and workers end -> what they posted runs -> the rest is freed and
// the loop ends ----

static void last(void *arg)
{
    struct program *p = arg;
    gtv_jobs_destroy(p->ai.jobs); // stores what the engine's last runs found
    p->ai.jobs = NULL;
    gtv_ai_detect_finish(&p->ai);
    gtv_ai_camera_tests_finish(&p->ai);
    gtv_http_client_destroy(p->ai.snapshots);
    p->ai.snapshots = NULL;
    gtv_watcher_destroy(p->ai.watcher);
    p->ai.watcher = NULL;
    gtv_watchlists_destroy(p->ai.watchlists); // its waiting requests still have their server
    p->ai.watchlists = NULL;
    gtv_http_server_destroy(p->metrics_only);
    gtv_http_server_destroy(p->api);
    p->api = p->metrics_only = NULL;
    gtv_http_client_destroy(p->ai.pictures); // whose requests ended with the server
    p->ai.pictures = NULL;
    gtv_loop_stop(p->ai.loop);
}

static void drained(void *arg)
{
    struct program *p = arg;
    gtv_watcher_stop(p->ai.watcher);
    gtv_ai_models_stop(p->ai.models); // blocks for a load in progress
    gtv_engine_destroy(p->ai.engine); // blocks for the inferences in progress
    p->ai.engine = NULL;
    if (!gtv_loop_post(p->ai.loop, last, p))
        abort(); // the queue of a loop that nobody posts to any more cannot be full
}

static void on_signal(void *arg, int signum)
{
    struct program *p = arg;
    if (p->stopping)
        return;
    p->stopping = true;
    gtv_log_info(&p->ai.log, "stopping", "signal=%d", signum);
    gtv_life_stopping(p->life);
    // Who sits at the terminal wants the end; who sends SIGTERM has others that take the requests.
    unsigned grace_ms = signum == SIGINT ? 0 : (unsigned)p->settings.grace_seconds * 1000;
    if (p->metrics_only)
        gtv_http_server_stop(p->metrics_only, 0, NULL, NULL);
    gtv_jobs_stop(p->ai.jobs);
    gtv_http_server_retire(p->api, grace_ms, END_MS - grace_ms, drained, p);
}

// Also after a start that failed half-way: what was not made is NULL.
static void finish(struct program *p)
{
    if (p->ai.upload)
        gtv_upload_stop(p->ai.upload);
    gtv_http_server_destroy(p->metrics_only);
    gtv_http_server_destroy(p->api);
    gtv_timer_destroy(p->ai.deadlines);
    gtv_jobs_stop(p->ai.jobs);
    gtv_engine_destroy(p->ai.engine);
    gtv_jobs_destroy(p->ai.jobs);
    gtv_watchlists_destroy(p->ai.watchlists);
    gtv_examiner_destroy(p->ai.examiner);
    gtv_http_client_destroy(p->ai.snapshots);
    gtv_store_destroy(p->ai.crops);
    gtv_plates_destroy(p->ai.plates);
    gtv_ai_models_destroy(p->ai.models);
    gtv_infer_destroy(p->ai.runtime);
    gtv_http_files_destroy(p->ai.pages.openapi);
    gtv_http_files_destroy(p->ai.pages.docs_ui);
    gtv_http_client_destroy(p->ai.pictures);
    gtv_upload_destroy(p->ai.upload); // the store behind the folder, which has ended
    gtv_s3_destroy(p->ai.s3);
    gtv_loop_destroy(p->ai.loop);
    gtv_life_destroy(p->life);
    gtv_metrics_destroy(p->ai.pages.metrics);
    free(p->redis_url);
    free(p->jobs_url);
    gtv_ai_settings_finish(&p->settings);
    gtv_config_source_destroy(p->source);
}

int main(int argc, char **argv)
{
    static struct program program; // zeroed
    struct program *p = &program;
    struct gtv_ai *ai = &p->ai;
    struct gtv_error err = {0};
    ai->log = (struct gtv_log){.component = "ai"};
    ai->settings = &p->settings;
    gtv_version_answer(gtv_ai_program.name, argc, argv);
    p->source = gtv_config_source_create(&gtv_ai_program, argc, argv);
    if (!gtv_ai_settings_load(&p->settings, argc, argv, &err)) {
        fprintf(stderr, "gtv-ai: %s\n", err.message);
        gtv_ai_settings_finish(&p->settings);
        gtv_config_source_destroy(p->source);
        return 2;
    }
    gtv_config_set_level(p->settings.log_level);
    gtv_log_use_format(p->settings.log_format);
    // What many threads take and give back in turns is not kept for each of them, and frames go back whole.
    mallopt(M_ARENA_MAX, ARENAS_MAX);
    mallopt(M_MMAP_THRESHOLD, MMAP_FROM);
    gtv_av_init(&(struct gtv_log){.component = "ai"});
    ai->pages.metrics = gtv_metrics_create();
    gtv_metrics_build_info(ai->pages.metrics, "ai", gtv_version());
    ai->pages.name = "ai";
    p->about = (struct gtv_about){
        .program = gtv_ai_program.name,
        .version = gtv_version(),
        .commit = gtv_commit(),
        .started_ms = gtv_wall_ms(),
        .libraries = {{"openvino", gtv_infer_library()},
                      {"libav", gtv_av_version()},
                      {"libuv", uv_version_string()}},
    };
    ai->pages.about = &p->about;
    ai->pages.more = gtv_ai_write_sight;
    ai->loop = gtv_loop_create("gtv-ai");
    p->life = gtv_life_create(ai->loop);
    gtv_loop_on_signal(ai->loop, on_signal, p);
    gtv_loop_on_hangup(ai->loop, on_hangup, p);
    size_t workers = worker_count(ai);
    start_engine(ai, workers);
    gtv_ai_register_metrics(ai);
    bool ok = start_serving(p, &err) && start_watching(p, &err) && start_jobs(p, &err);
    if (ok) {
        gtv_life_close_unused(p->life);
        gtv_life_ready(p->life);
        gtv_loop_run(ai->loop);
    } else {
        gtv_log_error(&ai->log, "cannot start", "cause=\"%s\"", err.message);
    }
    finish(p);
    return ok ? 0 : 1;
}
