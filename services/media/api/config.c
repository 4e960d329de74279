// The settings: config/global, config/pathdefaults, config/paths.
#include "services/media/api.h"

#include "lib/base/mem.h"
#include "services/media/api/page.h"
#include "services/media/gojson.h"
#include "services/media/pattern.h"
#include "services/media/reply.h"

#include <stdio.h>
#include <stdlib.h>

// ---- Writes: the answer waits until the change is on the disk ----

struct pending {
    struct gtv_http_request *req; // NULL: the client left
    struct gtv_settings *waiting; // of a change of global settings: some wait for a restart; else NULL
};

static void pending_closed(void *arg, bool complete)
{
    struct pending *w = arg;
    w->req = NULL;
}

static void ignore_close(void *arg, bool complete)
{
}

static void reply_waiting(struct gtv_http_request *req, const struct gtv_settings *settings)
{
    yyjson_mut_val *root;
    yyjson_mut_doc *doc = gtv_json_object(&root);
    yyjson_mut_obj_add_str(doc, root, "status", "ok");
    gtv_settings_write_waiting(settings, doc, yyjson_mut_obj_add_arr(doc, root, "restartRequired"));
    gtv_media_reply_json(req, doc);
}

static void stored(void *arg, const struct gtv_error *err)
{
    struct pending *w = arg;
    if (w->req != NULL) {
        gtv_http_on_close(w->req, ignore_close, NULL);
        if (err != NULL) {
            char text[sizeof err->message + 64];
            snprintf(text, sizeof text, "this is set, but could not be stored: %s", err->message);
            gtv_media_reply_error(w->req, 500, text, NULL, NULL);
        } else if (w->waiting != NULL) {
            reply_waiting(w->req, w->waiting);
        } else {
            gtv_media_reply_ok(w->req);
        }
    }
    free(w);
}

static void save(struct gtv_http_request *req, struct gtv_node *n, struct gtv_settings *waiting)
{
    struct pending *w = GTV_NEW(struct pending);
    *w = (struct pending){req, waiting};
    gtv_http_on_close(req, pending_closed, w);
    gtv_node_save(n, stored, w);
}

static void reply_bad(struct gtv_http_request *req, const struct gtv_error *err)
{
    int status = err->code == GTV_E_BAD_REQUEST ? 400 : gtv_code_http_status(err->code);
    gtv_media_reply_error(req, status, err->message, NULL, NULL);
}

static void follow(struct gtv_node *n, struct gtv_str name)
{
    if (gtv_pathconf_is_pattern(name)) {
        gtv_node_follow_all(n);
    } else {
        gtv_node_follow(n, name);
    }
}

// ---- config/paths ----

bool gtv_media_check_name(struct gtv_http_request *req, struct gtv_str name)
{
    char text[GTV_NAME_MAX + 128];
    struct gtv_error why = {0};
    if (name.n > 0 && name.p[0] == '~') {
        struct gtv_pattern *p = gtv_pattern_create((struct gtv_str){name.p + 1, name.n - 1}, &why);
        gtv_pattern_destroy(p);
        if (p != NULL && name.n <= GTV_NAME_MAX) {
            return true;
        }
        snprintf(text, sizeof text, "%s", p == NULL ? why.message : "invalid regular expression: too long");
    } else if (name.n == 0) {
        snprintf(text, sizeof text, "invalid name");
    } else if (!gtv_pathconf_is_pattern(name) && !gtv_name_check(name, &why)) {
        snprintf(text, sizeof text, "invalid path name '%.*s': %s",
                 (int)(name.n < GTV_NAME_MAX ? name.n : GTV_NAME_MAX), name.p, why.message);
    } else {
        return true;
    }
    gtv_media_reply_error(req, 400, text, NULL, NULL);
    return false;
}

typedef bool (*change)(struct gtv_desired *d, struct gtv_str name, struct gtv_str json,
                       struct gtv_error *err);

static void change_path(struct gtv_http_request *req, struct gtv_node *n, bool makes, change apply)
{
    struct gtv_str name = gtv_http_param(req, "name");
    struct gtv_error err = {0};
    if (makes && !gtv_media_check_name(req, name)) {
        return;
    }
    if (!apply(gtv_node_desired(n), name, gtv_http_body(req), &err)) {
        reply_bad(req, &err);
        return;
    }
    follow(n, name);
    save(req, n, NULL);
}

void gtv_media_config_add(struct gtv_http_request *req, void *user)
{
    change_path(req, user, true, gtv_desired_add);
}

void gtv_media_config_patch(struct gtv_http_request *req, void *user)
{
    change_path(req, user, false, gtv_desired_patch);
}

void gtv_media_config_replace(struct gtv_http_request *req, void *user)
{
    change_path(req, user, true, gtv_desired_replace);
}

void gtv_media_config_delete(struct gtv_http_request *req, void *user)
{
    struct gtv_node *n = user;
    struct gtv_str name = gtv_http_param(req, "name");
    if (!gtv_desired_remove(gtv_node_desired(n), name)) {
        gtv_media_reply_error(req, 404, "path not found", NULL, NULL);
        return;
    }
    follow(n, name);
    save(req, n, NULL);
}

struct names {
    const struct gtv_desired *desired;
    const char **all;
};

static yyjson_mut_val *write_nth(yyjson_mut_doc *doc, size_t i, void *arg)
{
    const struct names *names = arg;
    struct gtv_pathconf conf;
    return gtv_desired_get(names->desired, gtv_str_of(names->all[i]), &conf)
               ? gtv_pathconf_write(&conf, doc, true)
               : yyjson_mut_null(doc);
}

void gtv_media_config_list(struct gtv_http_request *req, void *user)
{
    struct gtv_page page;
    if (!gtv_page_read(req, &page)) {
        return;
    }
    struct names names = {gtv_node_desired(user), gtv_desired_names(gtv_node_desired(user))};
    gtv_page_reply(req, &page, gtv_desired_count(names.desired), write_nth, &names);
    free(names.all);
}

void gtv_media_config_get(struct gtv_http_request *req, void *user)
{
    struct gtv_pathconf conf;
    if (!gtv_desired_get(gtv_node_desired(user), gtv_http_param(req, "name"), &conf)) {
        gtv_media_reply_error(req, 404, "path configuration not found", NULL, NULL);
        return;
    }
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, gtv_pathconf_write(&conf, doc, true));
    gtv_media_reply_json(req, doc);
}

// ---- config/pathdefaults ----

void gtv_media_defaults_get(struct gtv_http_request *req, void *user)
{
    struct gtv_pathconf conf;
    gtv_desired_defaults(gtv_node_desired(user), &conf);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *object = gtv_pathconf_write(&conf, doc, true);
    yyjson_mut_obj_remove_key(object, "name");
    yyjson_mut_doc_set_root(doc, object);
    gtv_media_reply_json(req, doc);
}

void gtv_media_defaults_patch(struct gtv_http_request *req, void *user)
{
    struct gtv_error err = {0};
    if (!gtv_desired_patch_defaults(gtv_node_desired(user), gtv_http_body(req), &err)) {
        reply_bad(req, &err);
        return;
    }
    gtv_node_follow_all(user);
    save(req, user, NULL);
}

// ---- config/global ----

void gtv_media_global_get(struct gtv_http_request *req, void *user)
{
    yyjson_mut_val *root;
    yyjson_mut_doc *doc = gtv_json_object(&root);
    gtv_settings_write(gtv_node_settings(user), doc, root);
    yyjson_mut_obj_add_val(doc, root, "authInternalUsers", gtv_auth_write(gtv_node_auth(user), doc, true));
    gtv_media_reply_json(req, doc);
}

void gtv_media_global_patch(struct gtv_http_request *req, void *user)
{
    struct gtv_node *n = user;
    struct gtv_error err = {0};
    size_t restart = 0;
    yyjson_doc *doc = gtv_gojson_read(gtv_http_body(req), &err);
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool ok = doc != NULL;
    if (ok && !yyjson_is_obj(root) && !yyjson_is_null(root)) {
        ok = gtv_gojson_wrong_type(root, "map[string]json.RawMessage", NULL, &err);
    }
    ok = ok && gtv_settings_patch(gtv_node_settings(n), root, gtv_node_auth(n), &restart, &err);
    yyjson_doc_free(doc);
    if (!ok) {
        reply_bad(req, &err);
        return;
    }
    save(req, n, restart > 0 ? gtv_node_settings(n) : NULL);
}
