// What configures the media node: the YAML file, the bodies of the control API, users, and patterns. The
// first byte chooses.
#include "services/media/auth.h"
#include "services/media/config/desired.h"
#include "services/media/config/globals.h"
#include "services/media/config/yaml.h"
#include "services/media/pattern.h"
#include "services/media/size.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void not_expected(void *arg, const char *why)
{
    abort();
}

// What the API set must come back from its stored form, and write the same again.
static void store_and_restore(const struct gtv_desired *d, yyjson_val *file)
{
    struct gtv_buf out = {0}, again = {0};
    gtv_buf_puts(&out, "{");
    gtv_desired_write(d, &out);
    gtv_buf_puts(&out, "}");
    yyjson_doc *doc = yyjson_read(out.data, out.len, YYJSON_READ_NOFLAG);
    if (doc == NULL)
        abort();
    struct gtv_desired *other = gtv_desired_create();
    struct gtv_error err = {0};
    if (!gtv_desired_load_file(other, yyjson_obj_get(file, "pathDefaults"), yyjson_obj_get(file, "paths"),
                               &err))
        abort();
    gtv_desired_restore(other, yyjson_doc_get_root(doc), not_expected, NULL);
    gtv_buf_puts(&again, "{");
    gtv_desired_write(other, &again);
    gtv_buf_puts(&again, "}");
    if (!gtv_str_eq(gtv_buf_str(&out), gtv_buf_str(&again)))
        abort();
    gtv_desired_destroy(other);
    yyjson_doc_free(doc);
    gtv_buf_finish(&out);
    gtv_buf_finish(&again);
}

static void users(yyjson_val *value)
{
    struct gtv_error err = {0};
    struct gtv_auth *auth = gtv_auth_create();
    if (gtv_auth_configure(auth, value, &err)) {
        const struct gtv_credentials who = {GTV_STR("bob"), GTV_STR("pw"), GTV_STR("10.1.2.3")};
        (void)gtv_auth_check(auth, GTV_ACT_READ, GTV_STR("cam_1"), &who);
        yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
        yyjson_mut_doc_set_root(doc, gtv_auth_write(auth, doc, true));
        char *text = yyjson_mut_write(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL);
        free(text);
        yyjson_mut_doc_free(doc);
    } else if (err.message[0] == '\0') {
        abort();
    }
    gtv_auth_destroy(auth);
}

static void settings(yyjson_val *root)
{
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(root, i, n, key, value)
    {
        struct gtv_global_texts texts;
        struct gtv_error err = {0};
        const struct gtv_global *g =
            gtv_global_find((struct gtv_str){yyjson_get_str(key), yyjson_get_len(key)});
        if (g != NULL && !gtv_global_read(g, value, &texts, &err) && err.message[0] == '\0')
            abort();
    }
}

static void read_file(struct gtv_str text)
{
    struct gtv_error err = {0};
    struct gtv_yaml *y = gtv_yaml_parse(text, &err);
    if (y == NULL) {
        if (err.message[0] == '\0')
            abort();
        return;
    }
    yyjson_val *root = gtv_yaml_root(y);
    struct gtv_desired *d = gtv_desired_create();
    settings(root);
    users(yyjson_obj_get(root, "authInternalUsers"));
    if (gtv_desired_load_file(d, yyjson_obj_get(root, "pathDefaults"), yyjson_obj_get(root, "paths"), &err)) {
        struct gtv_pathconf conf;
        (void)gtv_desired_match(d, GTV_STR("cam_1"), &conf);
        if (gtv_desired_patch(d, GTV_STR("cam_1"), GTV_STR("{\"maxReaders\":3}"), &err) &&
            (!gtv_desired_get(d, GTV_STR("cam_1"), &conf) || conf.max_readers != 3))
            abort();
        (void)gtv_desired_remove(d, GTV_STR("cam_2"));
        store_and_restore(d, root);
    } else {
        (void)gtv_yaml_line(y, err.field);
    }
    gtv_desired_destroy(d);
    gtv_yaml_free(y);
}

// Bodies one after the other, cut at newlines: add, patch, replace, pathdefaults in turn.
static void call_api(struct gtv_str bodies)
{
    struct gtv_desired *d = gtv_desired_create();
    for (unsigned i = 0; bodies.n > 0 && i < 16; i++) {
        struct gtv_error err = {0};
        struct gtv_str body = gtv_str_cut(&bodies, '\n'),
                       name = i % 2 == 0 ? GTV_STR("cam_1") : GTV_STR("~^x");
        bool ok = i % 4 == 0   ? gtv_desired_add(d, name, body, &err)
                  : i % 4 == 1 ? gtv_desired_replace(d, name, body, &err)
                  : i % 4 == 2 ? gtv_desired_patch(d, name, body, &err)
                               : gtv_desired_patch_defaults(d, body, &err);
        if (!ok && err.message[0] == '\0')
            abort();
    }
    store_and_restore(d, NULL);
    gtv_desired_destroy(d);
}

static void match(struct gtv_str text)
{
    struct gtv_error err = {0};
    struct gtv_str expression = gtv_str_cut(&text, '\n'), groups[GTV_PATTERN_GROUPS];
    struct gtv_pattern *p = gtv_pattern_create(expression, &err);
    if (p != NULL)
        (void)gtv_pattern_match(p, text, groups);
    gtv_pattern_destroy(p);
    int64_t bytes = 0, again = 0;
    char out[GTV_SIZE_CAP];
    if (gtv_size_parse(expression, &bytes, &err) &&
        (!gtv_size_parse(gtv_str_of(gtv_size_write(bytes, out)), &again, &err) || again != bytes))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct gtv_str rest = {(const char *)data + 1, size - 1};
    switch (data[0] % 3) {
    case 0:
        read_file(rest);
        break;
    case 1:
        call_api(rest);
        break;
    default:
        match(rest);
    }
    return 0;
}
