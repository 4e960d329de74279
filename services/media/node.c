#include "services/media/node.h"
#include "services/media/hls/clients.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/json/json.h"
#include "lib/rtsp/hub.h"
#include "services/media/dub.h"
#include "services/media/record/record.h"
#include "services/media/snapshot/snapshot.h"
#include "services/media/store.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    TICK_MS = 100,
    STORE_VERSION = 2,
    STORE_MAX = 16 * 1024 * 1024,
    IDLE_MS = 10000, // a path made from a pattern stays so long without a source
};

struct gtv_node {
    const struct gtv_about *about;
    struct gtv_path_env env;
    struct gtv_net_policy policy;
    struct gtv_log log;
    struct gtv_metrics *metrics;
    struct gtv_map *paths; // name -> struct gtv_path
    struct gtv_map *idle;  // name -> int64_t, monotonic: since when a path made from a pattern is idle
    struct gtv_desired *desired;
    struct gtv_settings *settings;
    struct gtv_store *store;
    struct gtv_timer *tick;
    struct gtv_sessions *sessions;
    struct gtv_auth *auth;
    struct gtv_gate *gate;
    struct gtv_record *record;
    int64_t started_ns;
    bool stopped, config_invalid;
};

size_t gtv_node_count(const struct gtv_node *n)
{
    return gtv_map_count(n->paths);
}

struct gtv_path *gtv_node_find(const struct gtv_node *n, struct gtv_str name)
{
    return gtv_map_get(n->paths, name);
}

static int by_name(const void *a, const void *b)
{
    const struct gtv_path *const *left = a, *const *right = b;
    return strcmp(gtv_path_conf(*left)->name, gtv_path_conf(*right)->name);
}

struct gtv_path **gtv_node_sorted(const struct gtv_node *n)
{
    size_t count = gtv_map_count(n->paths), it = 0, i = 0;
    struct gtv_path **all = gtv_alloc((count + 1) * sizeof(struct gtv_path *));
    void *value = NULL;
    struct gtv_str key;
    while (i < count && gtv_map_next(n->paths, &it, &key, &value)) {
        all[i++] = value;
    }
    qsort(all, i, sizeof(struct gtv_path *), by_name);
    return all;
}

// {"version":2,"global":{...},"pathDefaults":{...},"paths":[{...}],...}: what the API set, with credentials.
static struct gtv_bytes *snapshot(void *arg)
{
    struct gtv_node *n = arg;
    struct gtv_buf out;
    gtv_buf_init(&out, STORE_MAX);
    gtv_buf_printf(&out, "{\"version\":%d,\"global\":", STORE_VERSION);
    if (n->settings != NULL) {
        gtv_settings_write_stored(n->settings, &out);
    } else {
        gtv_buf_puts(&out, "{}");
    }
    gtv_buf_puts(&out, ",");
    gtv_desired_write(n->desired, &out);
    gtv_buf_puts(&out, "}");
    return gtv_buf_take(&out);
}

static void not_restored(void *arg, const char *why)
{
    struct gtv_node *n = arg;
    gtv_log_error(&n->log, "a stored entry is not valid: left out", "error=\"%s\"", why);
}

// The file's paths and users, at start.
static bool load_file(struct gtv_node *n, struct gtv_error *err)
{
    const struct gtv_yaml *yaml = n->settings != NULL ? gtv_settings_yaml(n->settings) : NULL;
    if (n->settings == NULL) {
        return true;
    }
    if (!gtv_settings_configure_auth(n->settings, yaml, n->auth, err) ||
        !gtv_desired_load_file(n->desired, gtv_yaml_get(yaml, "pathDefaults"), gtv_yaml_get(yaml, "paths"),
                               err)) {
        gtv_settings_locate(n->settings, yaml, err);
        return false;
    }
    return true;
}

// A file that cannot be understood is set aside and said so: the cameras that it named come back by
// provisioning. The file's paths and users are loaded between. False with *err: the file is wrong.
static bool restore(struct gtv_node *n, struct gtv_error *err)
{
    struct gtv_error why = {0};
    bool ok = true;
    struct gtv_bytes *text = gtv_store_read(n->store, &why);
    if (text == NULL) {
        if (why.code != GTV_E_NOT_FOUND) {
            gtv_log_error(&n->log, "the stored paths cannot be read", "error=\"%s\"", why.message);
            gtv_store_set_aside(n->store);
        }
        return load_file(n, err);
    }
    yyjson_doc *doc = gtv_json_parse(gtv_bytes_str(text), &why);
    yyjson_val *root = yyjson_doc_get_root(doc);
    if (!yyjson_is_arr(yyjson_obj_get(root, "paths"))) {
        gtv_log_error(&n->log, "the stored paths cannot be understood: set aside as paths.json.bad",
                      "error=\"%s\"", why.message);
        gtv_store_set_aside(n->store);
        ok = load_file(n, err);
    } else {
        if (n->settings != NULL) {
            gtv_settings_restore(n->settings, yyjson_obj_get(root, "global"), not_restored, n);
        }
        ok = load_file(n, err);
        if (ok) {
            gtv_desired_restore(n->desired, root, not_restored, n);
        }
    }
    yyjson_doc_free(doc);
    gtv_bytes_unref(text);
    return ok;
}

// ---- Live paths ----

static void set_path(struct gtv_node *n, const struct gtv_pathconf *conf)
{
    struct gtv_path *path = gtv_node_find(n, gtv_str_of(conf->name));
    if (path != NULL && gtv_pathconf_equal(gtv_path_conf(path), conf)) {
        return;
    }
    if (path != NULL) {
        gtv_path_configure(path, conf);
    } else {
        path = gtv_path_create(&n->env, conf);
        gtv_map_put(n->paths, gtv_str_of(conf->name), path);
    }
    gtv_record_path_set(n->record, path, conf);
    gtv_log_info(&n->log, "path configured", "path=%s source=%s on_demand=%d", conf->name, conf->source,
                 conf->source_on_demand);
    gtv_path_tick(path, gtv_mono_ms());
}

static void drop_path(struct gtv_node *n, struct gtv_path *path)
{
    struct gtv_str name = gtv_str_of(gtv_path_conf(path)->name);
    gtv_log_info(&n->log, "path removed", "path=" GTV_STR_FMT, GTV_STR_ARG(name));
    free(gtv_map_remove(n->idle, name));
    gtv_map_remove(n->paths, name);
    gtv_record_path_removed(n->record, name);
    gtv_path_destroy(path);
}

void gtv_node_follow(struct gtv_node *n, struct gtv_str name)
{
    struct gtv_pathconf conf;
    struct gtv_path *path = gtv_node_find(n, name);
    if (n->stopped) {
        return;
    }
    bool configured = gtv_desired_get(n->desired, name, &conf) && !gtv_pathconf_is_pattern(name);
    // A live path that is not configured by its name may still have its pattern.
    if (configured || (path != NULL && gtv_desired_match(n->desired, name, &conf))) {
        set_path(n, &conf);
    } else if (path != NULL) {
        drop_path(n, path);
    }
}

void gtv_node_follow_all(struct gtv_node *n)
{
    size_t count = gtv_node_count(n);
    struct gtv_path **live = gtv_node_sorted(n);
    for (size_t i = 0; i < count; i++) {
        char name[GTV_NAME_MAX + 1];
        memcpy(name, gtv_path_conf(live[i])->name, sizeof name);
        gtv_node_follow(n, gtv_str_of(name));
    }
    free(live);
    const char **wanted = gtv_desired_names(n->desired);
    for (size_t i = 0; i < gtv_desired_count(n->desired); i++) {
        if (gtv_node_find(n, gtv_str_of(wanted[i])) == NULL) {
            gtv_node_follow(n, gtv_str_of(wanted[i]));
        }
    }
    free(wanted);
}

struct gtv_path *gtv_node_find_or_match(struct gtv_node *n, struct gtv_str name, bool publishes)
{
    struct gtv_pathconf conf;
    struct gtv_path *path = gtv_node_find(n, name);
    if (path != NULL || n->stopped || gtv_node_count(n) >= GTV_PATHS_MAX ||
        !gtv_desired_match(n->desired, name, &conf) || (!publishes && !gtv_pathconf_is_pulled(&conf))) {
        return path;
    }
    set_path(n, &conf);
    return gtv_node_find(n, name);
}

// True when the path was made from a pattern and has been idle for long enough to go.
static bool is_over(struct gtv_node *n, struct gtv_path *path, int64_t now)
{
    const struct gtv_pathconf *conf = gtv_path_conf(path);
    struct gtv_path_status status;
    if (conf->conf_name[0] == '\0') {
        return false;
    }
    gtv_path_get_status(path, &status);
    int64_t *since = gtv_map_get(n->idle, gtv_str_of(conf->name));
    if (status.state != GTV_PATH_IDLE || status.has_muxer) {
        free(gtv_map_remove(n->idle, gtv_str_of(conf->name)));
        return false;
    }
    if (since == NULL) {
        since = gtv_alloc(sizeof *since);
        *since = now;
        gtv_map_put(n->idle, gtv_str_of(conf->name), since);
    }
    return now - *since >= IDLE_MS;
}

static void on_tick(void *arg)
{
    struct gtv_node *n = arg;
    int64_t now = gtv_mono_ms();
    gtv_hls_clients_tick(n->env.hls_clients, now);
    size_t it = 0;
    struct gtv_str key;
    void *path = NULL;
    while (gtv_map_next(n->paths, &it, &key, &path)) {
        gtv_path_tick(path, now);
        if (is_over(n, path, now)) {
            drop_path(n, path);
        }
    }
}

struct gtv_node *gtv_node_create(struct gtv_loop *loop, const struct gtv_media_options *options,
                                 struct gtv_settings *settings, struct gtv_metrics *metrics,
                                 struct gtv_error *err)
{
    struct gtv_node *n = GTV_NEW(struct gtv_node);
    n->log = (struct gtv_log){"media", NULL, NULL};
    n->metrics = metrics;
    n->started_ns = gtv_wall_us() * 1000;
    n->env.loop = loop;
    n->env.options = options;
    n->env.dials =
        gtv_metrics_counter(metrics, "gtv_media_dials_total", "", "Connections to cameras that were begun.");
    n->env.failures = gtv_metrics_counter(metrics, "gtv_media_source_failures_total", "",
                                          "Connections to cameras that failed or ended.");
    n->env.segments =
        gtv_metrics_counter(metrics, "gtv_media_hls_segments_total", "", "HLS segments completed.");
    n->env.damaged = gtv_metrics_counter(metrics, "gtv_media_frames_in_error_total", "",
                                         "Packets of cameras that were damaged or dropped.");
    if (!gtv_net_policy_parse(options->camera_allow, &n->policy, err)) {
        free(n);
        return NULL;
    }
    if (options->camera_policy || (options->camera_allow != NULL && options->camera_allow[0] != '\0')) {
        n->env.policy = &n->policy;
    }
    n->store = gtv_store_open(loop, options->data, snapshot, n, &n->log, err);
    if (n->store == NULL) {
        free(n);
        return NULL;
    }
    n->paths = gtv_map_create();
    n->sessions = gtv_sessions_create();
    n->env.hls_clients = gtv_hls_clients_create(n->sessions);
    n->auth = gtv_auth_create();
    n->gate = gtv_gate_create(loop, n->auth, metrics);
    n->idle = gtv_map_create();
    n->desired = gtv_desired_create();
    n->settings = settings;
    struct gtv_record_options record = {options->data, options->record_max_bytes,
                                        options->record_min_free_bytes, options->record_queue_bytes};
    n->record = gtv_record_create(loop, &record, metrics);
    n->env.rtsp = gtv_rtsp_hub_create(loop);
    n->env.dubber = gtv_dubber_create(loop, metrics);
    n->env.snapshots = gtv_snapshots_create(loop, &n->env.running);
    if (!restore(n, err)) {
        gtv_node_destroy(n);
        return NULL;
    }
    gtv_node_follow_all(n);
    gtv_log_info(&n->log, "paths configured", "count=%zu", gtv_desired_count(n->desired));
    n->tick = gtv_timer_create(loop, on_tick, n);
    gtv_timer_start(n->tick, 1, TICK_MS);
    return n;
}

static void destroy_path(void *path)
{
    gtv_path_destroy(path);
}

void gtv_node_stop(struct gtv_node *n)
{
    if (n->stopped) {
        return;
    }
    n->stopped = true;
    gtv_timer_destroy(n->tick);
    gtv_record_stop(n->record);
    gtv_snapshots_stop(n->env.snapshots);
    // Requests that come while the replies end find no path.
    struct gtv_map *paths = n->paths;
    n->paths = gtv_map_create();
    gtv_map_destroy(paths, destroy_path);
}

int gtv_node_threads(const struct gtv_node *n)
{
    return atomic_load(&n->env.running);
}

bool gtv_node_saving(const struct gtv_node *n)
{
    return gtv_store_busy(n->store);
}

void gtv_node_destroy(struct gtv_node *n)
{
    if (n == NULL) {
        return;
    }
    gtv_map_destroy(n->paths, destroy_path);
    gtv_map_destroy(n->idle, free);
    gtv_record_destroy(n->record);
    gtv_desired_destroy(n->desired);
    gtv_rtsp_hub_destroy(n->env.rtsp);
    gtv_dubber_destroy(n->env.dubber);
    gtv_snapshots_destroy(n->env.snapshots);
    gtv_gate_destroy(n->gate);
    gtv_auth_destroy(n->auth);
    gtv_hls_clients_destroy(n->env.hls_clients);
    gtv_sessions_destroy(n->sessions);
    gtv_store_close(n->store);
    free(n);
}

struct gtv_desired *gtv_node_desired(const struct gtv_node *n)
{
    return n->desired;
}

struct gtv_settings *gtv_node_settings(const struct gtv_node *n)
{
    return n->settings;
}

void gtv_node_save(struct gtv_node *n, gtv_node_done done, void *arg)
{
    gtv_store_save(n->store, done, arg);
}

struct gtv_sessions *gtv_node_sessions(const struct gtv_node *n)
{
    return n->sessions;
}

struct gtv_auth *gtv_node_auth(const struct gtv_node *n)
{
    return n->auth;
}

struct gtv_gate *gtv_node_gate(const struct gtv_node *n)
{
    return n->gate;
}

struct gtv_record *gtv_node_record(const struct gtv_node *n)
{
    return n->record;
}

int64_t gtv_node_started_ns(const struct gtv_node *n)
{
    return n->started_ns;
}

bool gtv_node_config_valid(const struct gtv_node *n)
{
    return !n->config_invalid;
}

void gtv_node_set_config_valid(struct gtv_node *n, bool valid)
{
    n->config_invalid = !valid;
}

char *gtv_node_failed_recording(const struct gtv_node *n)
{
    size_t failed = 0, it = 0;
    char *why = NULL;
    void *path;
    while (gtv_map_next(n->paths, &it, NULL, &path)) {
        const char *name = gtv_path_conf(path)->name;
        struct gtv_record_status s;
        gtv_record_get_status(n->record, gtv_str_of(name), &s);
        if (s.state != GTV_RECORD_FAILED)
            continue;
        if (failed++ == 0)
            why = gtv_asprintf("%s: %s", name, s.text != NULL ? s.text : "it failed");
    }
    if (failed == 0)
        return NULL;
    char *text = gtv_asprintf("%zu cameras are not recorded; %s", failed, why);
    free(why);
    return text;
}

struct gtv_metrics *gtv_node_metrics(const struct gtv_node *n)
{
    return n->metrics;
}

void gtv_node_set_about(struct gtv_node *n, const struct gtv_about *about)
{
    n->about = about;
}

const struct gtv_about *gtv_node_about(const struct gtv_node *n)
{
    return n->about;
}
