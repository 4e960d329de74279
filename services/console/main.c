// gtv-console: only wires. See README.md for the threads.

#include "lib/base/clock.h"
#include "lib/life/life.h"
#include "lib/version/version.h"
#include "services/console/api.h"
#include "services/console/db_import.h"
#include "services/console/happenings.h"
#include "services/console/ingest.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

enum { DRAIN_MS = 9000, UPSTREAM_CONNECTIONS = 4, PICTURES_MAX = 16 };

static const struct gtv_log log_main = {"console", NULL, NULL};

static bool has(const char *s)
{
    return s && *s;
}

static void stopped(void *arg)
{
    struct gtv_console *c = arg;
    gtv_loop_stop(c->loop);
}

static void on_signal(void *arg, int signum)
{
    struct gtv_console *c = arg;
    gtv_log_info(&log_main, "stopping", "signal=%d", signum);
    gtv_life_stopping(c->life);
    gtv_http_server_stop(c->server, DRAIN_MS, stopped, c);
}

static struct gtv_db_limits limits_of(const struct gtv_console_options *o)
{
    return (struct gtv_db_limits){
        .rows = o->keep_detections, .happenings = o->keep_happenings, .days = o->keep_days};
}

static void on_hangup(void *arg)
{
    struct gtv_console *c = arg;
    gtv_life_reloading(c->life);
    if (gtv_config_reload(c->source, &c->options, &log_main)) {
        gtv_config_set_level(c->options.log_level);
        gtv_store_set_limits(c->store, limits_of(&c->options));
    }
    gtv_life_ready(c->life);
}

static bool listen_on(struct gtv_console *c, struct gtv_error *err)
{
    const struct gtv_http_server_config config = {
        .name = "console",
        .routes = gtv_console_routes,
        .route_count = gtv_console_route_count,
        .user = c,
        .metrics = c->metrics,
        .trusted_proxies = c->options.trusted_proxies,
        .proxy_protocol = c->options.proxy_protocol,
        .access_log = c->options.access_log,
    };
    c->server = gtv_http_server_create(c->loop, &config, err);
    if (!c->server)
        return false;
    int fd = gtv_life_take_socket(c->life, "console", (int)c->options.port);
    if (fd >= 0 ? !gtv_http_server_adopt(c->server, fd, err)
                : !gtv_http_server_listen(c->server, c->options.host, (int)c->options.port, false, err))
        return false;
    gtv_life_close_unused(c->life);
    gtv_log_info(&log_main, "listening", "host=%s port=%d", c->options.host, gtv_http_server_port(c->server));
    return true;
}

// The same after a restart, so that what was read and not stored is taken up at once; another one for each
// console on a machine.
static void name_consumer(struct gtv_console *c, char out[GTV_HAPPENINGS_CONSUMER_CAP])
{
    char host[65] = "";
    (void)gethostname(host, sizeof host - 1);
    snprintf(out, GTV_HAPPENINGS_CONSUMER_CAP, "%s:%d", host, gtv_http_server_port(c->server));
}

static bool create(struct gtv_console *c, struct gtv_error *err)
{
    const struct gtv_console_options *o = &c->options;
    char consumer[GTV_HAPPENINGS_CONSUMER_CAP];
    snprintf(c->libpq, sizeof c->libpq, "%d.%d", PQlibVersion() / 10000, PQlibVersion() % 10000);
    c->metrics = gtv_metrics_create();
    gtv_metrics_build_info(c->metrics, "console", gtv_version());
    c->loop = gtv_loop_create("console");
    c->life = gtv_life_create(c->loop);
    c->web = gtv_http_files_create(o->web_dir);
    c->hlsjs = has(o->hlsjs_dir) ? gtv_http_files_create(o->hlsjs_dir) : NULL;
    c->about = (struct gtv_about){
        .program = gtv_console_program.name,
        .version = gtv_version(),
        .commit = gtv_commit(),
        .started_ms = gtv_wall_ms(),
        .libraries = {{"sqlite", sqlite3_libversion()}, {"libpq", c->libpq}, {"libuv", uv_version_string()}},
    };
    c->pages = (struct gtv_service_pages){
        .about = &c->about,
        .metrics = c->metrics,
        .openapi = has(o->api_dir) ? gtv_http_files_create(o->api_dir) : NULL,
        .docs_ui = has(o->docs_ui_dir) ? gtv_http_files_create(o->docs_ui_dir) : NULL,
        .name = "console",
        .more = gtv_console_write_sight,
    };
    if (gtv_str_starts(gtv_str_of(o->database_url), GTV_STR("sqlite:")))
        gtv_service_add_disk(&c->pages, "database", o->database_url + strlen("sqlite:"));
    const struct gtv_db_limits limits = limits_of(o);
    struct gtv_db *db = gtv_db_open(o->database_url, &limits, err);
    if (!db)
        return false;
    c->store = gtv_store_create(db, c->loop, c->metrics);
    if (has(o->s3_url)) {
        c->s3 = gtv_s3_create(
            &(struct gtv_s3_config){
                .url = o->s3_url, .region = o->s3_region, .key = o->s3_key, .secret = o->s3_secret},
            err);
        if (!c->s3)
            return false;
        c->pictures = gtv_http_client_create(c->loop, PICTURES_MAX);
    }
    c->client = gtv_http_client_create(c->loop, UPSTREAM_CONNECTIONS);
    c->directory = gtv_directory_create(c->loop, c->client, o->streaming_url);
    c->redis = gtv_redis_create(c->loop, o->redis_url, "gtv-console", NULL, NULL, err);
    if (!c->redis)
        return false;
    c->ingest = gtv_ingest_create(c->loop, o->redis_url, c->store, c->directory, c->metrics);
    if (!listen_on(c, err))
        return false;
    name_consumer(c, consumer);
    c->happenings =
        gtv_happenings_create(c->loop, o->redis_url, consumer, c->store, c->directory, c->metrics, err);
    return c->happenings != NULL;
}

// What calls back comes down before what it calls: requests last, so that their handlers may still end them.
static void destroy(struct gtv_console *c)
{
    gtv_ingest_stop(c->ingest);
    gtv_happenings_stop(c->happenings);
    gtv_redis_destroy(c->redis);
    gtv_store_destroy(c->store);
    gtv_http_server_destroy(c->server);
    gtv_directory_destroy(c->directory);
    gtv_http_client_destroy(c->client);
    gtv_http_client_destroy(c->pictures);
    gtv_loop_destroy(c->loop);
    gtv_life_destroy(c->life);
    gtv_ingest_destroy(c->ingest);
    gtv_happenings_destroy(c->happenings);
    gtv_http_files_destroy(c->crops);
    gtv_s3_destroy(c->s3);
    gtv_http_files_destroy(c->web);
    gtv_http_files_destroy(c->hlsjs);
    gtv_http_files_destroy(c->pages.openapi);
    gtv_http_files_destroy(c->pages.docs_ui);
    gtv_metrics_destroy(c->metrics);
}

static int run(struct gtv_console *c)
{
    struct gtv_error err = {0};
    bool ok = create(c, &err);
    if (ok) {
        gtv_loop_on_signal(c->loop, on_signal, c);
        gtv_loop_on_hangup(c->loop, on_hangup, c);
        gtv_life_ready(c->life);
        gtv_loop_run(c->loop);
        gtv_log_info(&log_main, "stopped", NULL);
    } else {
        gtv_log_error(&log_main, "cannot start", "cause=\"%s\"", err.message);
    }
    destroy(c);
    return ok ? 0 : 1;
}

static int import(const struct gtv_console_options *o)
{
    struct gtv_error err = {0};
    struct gtv_db_imported done = {0};
    struct gtv_db *db = gtv_db_open(o->database_url, NULL, &err);
    bool ok = db && gtv_db_import_sqlite(db, o->import_sqlite, &done, &err);
    gtv_db_close(db);
    if (ok)
        printf("gtv-console: imported %" PRId64 " detections (%" PRId64 " new) and %" PRId64
               " happenings (%" PRId64 " new) from %s\n",
               done.detections, done.detections_new, done.happenings, done.happenings_new, o->import_sqlite);
    else
        gtv_log_error(&log_main, "cannot import",
                      "detections=%" PRId64 " happenings=%" PRId64 " cause=\"%s\"", done.detections,
                      done.happenings, err.message);
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    static struct gtv_console console;
    struct gtv_error err = {0};
    gtv_version_answer(gtv_console_program.name, argc, argv);
    console.source = gtv_config_source_create(&gtv_console_program, argc, argv);
    if (!gtv_config_load(&console.options, &gtv_console_program, argc, argv, &err)) {
        fprintf(stderr, "gtv-console: %s\n", err.message);
        return 2;
    }
    gtv_config_set_level(console.options.log_level);
    gtv_log_use_format(console.options.log_format);
    int rc = console.options.import_sqlite ? import(&console.options) : run(&console);
    gtv_config_finish(&console.options, gtv_console_program.table, gtv_console_program.count);
    gtv_config_source_destroy(console.source);
    return rc;
}
