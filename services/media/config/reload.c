#include "services/media/config/reload.h"

#include "lib/base/mem.h"

#include <signal.h>
#include <stdlib.h>

enum { SETTLE_MS = 300 }; // after the last change: editors write in several steps

struct gtv_reload {
    struct gtv_node *node;
    struct gtv_log log;
    uv_signal_t hangup;
    uv_fs_event_t watch; // of the folder: editors replace the file itself
    struct gtv_timer *settle;
    char *folder, *name;
    struct gtv_gauge *valid;
    struct gtv_counter *reloads;
};

static void ignore_save(void *arg, const struct gtv_error *err)
{
}

bool gtv_reload_now(struct gtv_reload *r, struct gtv_error *err)
{
    struct gtv_settings *settings = gtv_node_settings(r->node);
    struct gtv_settings_change *change = gtv_settings_read(settings, err);
    if (change == NULL) {
        return false;
    }
    const struct gtv_yaml *yaml = gtv_settings_change_yaml(change);
    // The users first: should the paths be wrong, the old users are set again.
    if (!gtv_settings_configure_auth(settings, yaml, gtv_node_auth(r->node), err)) {
        gtv_settings_locate(settings, yaml, err);
        gtv_settings_drop(change);
        return false;
    }
    if (!gtv_desired_load_file(gtv_node_desired(r->node), gtv_yaml_get(yaml, "pathDefaults"),
                               gtv_yaml_get(yaml, "paths"), err)) {
        struct gtv_error again = {0};
        gtv_settings_locate(settings, yaml, err);
        if (!gtv_settings_configure_auth(settings, gtv_settings_yaml(settings), gtv_node_auth(r->node),
                                         &again)) {
            gtv_log_error(&r->log, "the users of before cannot be set again", "error=\"%s\"", again.message);
        }
        gtv_settings_drop(change);
        return false;
    }
    size_t waiting = gtv_settings_commit(settings, change);
    gtv_node_follow_all(r->node);
    gtv_node_save(r->node, ignore_save, NULL); // what the API had set of paths that left is forgotten
    gtv_log_info(&r->log, "configuration read again", "paths=%zu wait_for_restart=%zu",
                 gtv_desired_count(gtv_node_desired(r->node)), waiting);
    return true;
}

static void reload(void *arg)
{
    struct gtv_reload *r = arg;
    struct gtv_error err = {0};
    bool ok = gtv_reload_now(r, &err);
    gtv_counter_add(r->reloads, 1);
    gtv_gauge_set(r->valid, ok);
    gtv_node_set_config_valid(r->node, ok);
    if (!ok) {
        gtv_log_error(&r->log, "the configuration is wrong: the one of before stays", "error=\"%s\"",
                      err.message);
    }
}

static void on_hangup(uv_signal_t *handle, int signum)
{
    reload(handle->data); // without a YAML file there may be others: --config, NAME_FILE
}

static void on_change(uv_fs_event_t *handle, const char *name, int events, int status)
{
    struct gtv_reload *r = handle->data;
    if (status == 0 && (name == NULL || strcmp(name, r->name) == 0)) {
        gtv_timer_start(r->settle, SETTLE_MS, 0);
    }
}

static void watch(struct gtv_reload *r, uv_loop_t *uv, const char *path)
{
    const char *slash = strrchr(path, '/');
    r->folder = slash == NULL   ? gtv_strdup(".")
                : slash == path ? gtv_strdup("/")
                                : gtv_strndup((struct gtv_str){path, (size_t)(slash - path)});
    r->name = gtv_strdup(slash == NULL ? path : slash + 1);
    uv_fs_event_init(uv, &r->watch);
    r->watch.data = r;
    int failed = uv_fs_event_start(&r->watch, on_change, r->folder, 0);
    if (failed != 0) {
        gtv_log_warn(&r->log, "changes of the configuration file will not be noticed: send SIGHUP",
                     "error=\"%s\"", uv_strerror(failed));
    }
    uv_unref((uv_handle_t *)&r->watch);
}

struct gtv_reload *gtv_reload_create(struct gtv_loop *loop, struct gtv_node *node)
{
    struct gtv_reload *r = GTV_NEW(struct gtv_reload);
    const char *path = gtv_settings_file(gtv_node_settings(node));
    r->node = node;
    r->log = (struct gtv_log){"media", NULL, NULL};
    r->valid =
        gtv_metrics_gauge(gtv_node_metrics(node), "gtv_media_config_valid", "",
                          "1: the configuration file counts; 0: it is wrong and the one of before does.");
    r->reloads = gtv_metrics_counter(gtv_node_metrics(node), "gtv_media_config_reloads_total", "",
                                     "Times that the configuration file was read again.");
    gtv_gauge_set(r->valid, 1);
    uv_signal_init(gtv_loop_uv(loop), &r->hangup);
    r->hangup.data = r;
    uv_signal_start(&r->hangup, on_hangup, SIGHUP);
    uv_unref((uv_handle_t *)&r->hangup);
    r->settle = gtv_timer_create(loop, reload, r);
    if (path != NULL) {
        watch(r, gtv_loop_uv(loop), path);
    }
    return r;
}

void gtv_reload_stop(struct gtv_reload *r)
{
    if (r == NULL) {
        return;
    }
    gtv_timer_destroy(r->settle);
    r->settle = NULL;
    uv_signal_stop(&r->hangup);
    if (r->name != NULL) {
        uv_fs_event_stop(&r->watch);
    }
}

void gtv_reload_destroy(struct gtv_reload *r)
{
    if (r == NULL) {
        return;
    }
    free(r->folder);
    free(r->name);
    free(r);
}
