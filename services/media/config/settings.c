#include "services/media/config/settings.h"

#include "lib/base/mem.h"
#include "lib/log/log.h"
#include "services/media/auth.h"
#include "services/media/config/globals.h"
#include "services/media/config/sections.h"
#include "services/media/gojson.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

// Texts of options, by their place in the table; NULL: not set there.
struct layer {
    char **texts;
};

struct gtv_settings {
    struct gtv_media_options *running; // what the node works by
    struct gtv_media_options wanted;   // what it shall work by after the next start
    char *path;
    struct gtv_yaml *yaml;
    char **argv; // copies: secrets are wiped from the originals when they are read
    int argc;
    struct layer api;
    char *users; // authInternalUsers as the API set them, JSON; NULL: it did not
};

struct gtv_settings_change {
    struct gtv_yaml *yaml;
    struct gtv_media_options wanted;
};

static struct layer layer_create(void)
{
    struct layer l = {gtv_alloc(gtv_media_option_count * sizeof(char *))};
    memset(l.texts, 0, gtv_media_option_count * sizeof(char *));
    return l;
}

static void layer_finish(struct layer *l)
{
    for (size_t i = 0; l->texts != NULL && i < gtv_media_option_count; i++) {
        free(l->texts[i]);
    }
    free(l->texts);
    l->texts = NULL;
}

static void layer_set(struct layer *l, const char *option, const char *text)
{
    size_t i = gtv_global_option(option);
    free(l->texts[i]);
    l->texts[i] = gtv_strdup(text);
}

static void finish_options(struct gtv_media_options *o)
{
    gtv_config_finish(o, gtv_media_option_table, gtv_media_option_count);
}

// ---- Single options ----

static const struct gtv_global *global_of(size_t option)
{
    for (size_t i = 0; i < gtv_global_count; i++) {
        const struct gtv_global *g = &gtv_globals[i];
        if (g->form != GTV_GLOBAL_FIXED && (gtv_global_option(g->option) == option ||
                                            (g->host != NULL && gtv_global_option(g->host) == option))) {
            return g;
        }
    }
    return NULL;
}

static bool same_option(const struct gtv_media_options *a, const struct gtv_media_options *b, size_t i)
{
    const struct gtv_option *o = &gtv_media_option_table[i];
    const char *left = (const char *)a + o->offset, *right = (const char *)b + o->offset;
    if (o->type != GTV_OPT_STRING) {
        return memcmp(left, right, o->type == GTV_OPT_BOOL ? sizeof(bool) : 8) == 0;
    }
    char *l, *r;
    memcpy(&l, left, sizeof l);
    memcpy(&r, right, sizeof r);
    const struct gtv_global *g = global_of(i);
    if (g != NULL && g->host != NULL && gtv_global_option(g->host) == i) {
        return strcmp(gtv_media_host(a, l), gtv_media_host(b, r)) == 0;
    }
    return strcmp(l != NULL ? l : "", r != NULL ? r : "") == 0;
}

static void copy_option(struct gtv_media_options *to, const struct gtv_media_options *from, size_t i)
{
    const struct gtv_option *o = &gtv_media_option_table[i];
    char *out = (char *)to + o->offset;
    const char *in = (const char *)from + o->offset;
    if (o->type != GTV_OPT_STRING) {
        memcpy(out, in, o->type == GTV_OPT_BOOL ? sizeof(bool) : 8);
        return;
    }
    char *old, *text;
    memcpy(&old, out, sizeof old);
    memcpy(&text, in, sizeof text);
    text = text != NULL ? gtv_strdup(text) : NULL;
    memcpy(out, &text, sizeof text);
    free(old);
}

static bool is_live(size_t option)
{
    const struct gtv_global *g = global_of(option);
    return g != NULL && g->live;
}

// Checks the texts against the options' limits, the key named.
static bool check_limits(const struct gtv_global *g, const struct gtv_global_texts *t, struct gtv_error *err)
{
    struct gtv_media_options scratch = {0};
    struct gtv_error why = {0};
    bool ok = gtv_config_set(&scratch, &gtv_media_option_table[gtv_global_option(g->option)],
                             gtv_str_of(t->option), &why);
    enum gtv_log_level level;
    finish_options(&scratch);
    if (!ok) {
        const char *text = strncmp(why.message, g->option, strlen(g->option)) == 0
                               ? why.message + strlen(g->option)
                               : why.message;
        gtv_error_set(err, GTV_E_BAD_REQUEST, g->key, "'%s'%s", g->key, text);
    }
    return ok && (g->form != GTV_GLOBAL_LEVEL || gtv_log_level_parse(gtv_str_of(t->option), &level));
}

static bool read_key(struct layer *l, const struct gtv_global *g, yyjson_val *value, struct gtv_error *err)
{
    struct gtv_global_texts t;
    if (!gtv_global_read(g, value, &t, err)) {
        return false;
    }
    if (g->form == GTV_GLOBAL_FIXED) {
        return true;
    }
    if (!check_limits(g, &t, err)) {
        return false;
    }
    layer_set(l, g->option, t.option);
    if (g->host != NULL) {
        layer_set(l, g->host, t.host);
    }
    return true;
}

// ---- The file ----

static bool is_section(struct gtv_str key)
{
    return gtv_str_eq(key, GTV_STR("paths")) || gtv_str_eq(key, GTV_STR("pathDefaults")) ||
           gtv_str_eq(key, GTV_STR("authInternalUsers"));
}

static bool read_globals(yyjson_val *root, struct layer *out, struct gtv_error *err)
{
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(root, i, n, key, value)
    {
        struct gtv_str name = {yyjson_get_str(key), yyjson_get_len(key)};
        const struct gtv_global *g = gtv_global_find(name);
        if (is_section(name) || (g != NULL && yyjson_is_null(value))) {
            continue;
        }
        if (g == NULL) {
            return gtv_gojson_unknown_field(name, err);
        }
        if (!read_key(out, g, value, err)) {
            snprintf(err->field, sizeof err->field, "%s", g->key);
            return false;
        }
    }
    return true;
}

static bool read_all(const char *path, struct gtv_buf *text, struct gtv_error *err)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        gtv_error_set(err, GTV_E_IO, NULL, "%s: %s", path, strerror(errno));
        return false;
    }
    char piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, f)) > 0) {
        gtv_buf_append(text, piece, n);
    }
    bool failed = ferror(f) != 0;
    fclose(f);
    if (failed || text->failed) {
        gtv_error_set(err, GTV_E_IO, NULL, "%s: %s", path, failed ? "cannot be read" : "is too large");
    }
    return !failed && !text->failed;
}

// Puts file, line and key before the sentence.
static void locate(struct gtv_error *err, const char *path, const struct gtv_yaml *yaml)
{
    char message[sizeof err->message];
    size_t line = yaml != NULL ? gtv_yaml_line(yaml, err->field) : 0;
    const char *slash = strrchr(err->field, '/');
    const char *key = slash != NULL ? slash + 1 : err->field;
    if (line > 0 && strstr(err->message, key) == NULL) { // MediaMTX's words about a type do not name it
        snprintf(message, sizeof message, "%s: line %zu: %s: %.120s", path, line, key, err->message);
    } else if (line > 0) {
        snprintf(message, sizeof message, "%s: line %zu: %.180s", path, line, err->message);
    } else {
        snprintf(message, sizeof message, "%s: %.200s", path, err->message);
    }
    memcpy(err->message, message, sizeof message);
}

void gtv_settings_locate(const struct gtv_settings *s, const struct gtv_yaml *yaml, struct gtv_error *err)
{
    locate(err, s->path != NULL ? s->path : "", yaml);
}

static struct gtv_yaml *read_yaml(const char *path, struct layer *file, struct gtv_error *err)
{
    struct gtv_buf text;
    struct gtv_yaml *yaml = NULL;
    gtv_buf_init(&text, GTV_YAML_BYTES_MAX + 1);
    if (!read_all(path, &text, err)) {
        goto finish;
    }
    yaml = gtv_yaml_parse(gtv_buf_str(&text), err);
    if (yaml == NULL) {
        locate(err, path, NULL);
        goto finish;
    }
    if (!read_globals(gtv_yaml_root(yaml), file, err)) {
        locate(err, path, yaml);
        gtv_yaml_free(yaml);
        yaml = NULL;
    }
finish:
    gtv_buf_finish(&text);
    return yaml;
}

// ---- All layers ----

// MTX_HLSSEGMENTCOUNT and its like; NULL: not set, or set to nothing.
static const char *environment_of(const struct gtv_global *g, char name[64])
{
    size_t n = 4;
    memcpy(name, "MTX_", n);
    for (const char *at = g->key; *at != '\0' && n + 1 < 64; at++) {
        name[n++] = (char)toupper((unsigned char)*at);
    }
    name[n] = '\0';
    const char *value = g->form == GTV_GLOBAL_FIXED ? NULL : getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static bool read_environment(struct layer *out, struct gtv_error *err)
{
    for (size_t i = 0; i < gtv_global_count; i++) {
        const struct gtv_global *g = &gtv_globals[i];
        struct gtv_global_texts t;
        char name[64];
        const char *value = environment_of(g, name);
        if (value == NULL) {
            continue;
        }
        if (!gtv_global_read_text(g, gtv_str_of(value), &t, err) || !check_limits(g, &t, err)) {
            snprintf(err->field, sizeof err->field, "%s", name);
            return false;
        }
        layer_set(out, g->option, t.option);
        if (g->host != NULL) {
            layer_set(out, g->host, t.host);
        }
    }
    return true;
}

static bool apply_api(const struct layer *api, struct gtv_media_options *out, struct gtv_error *err)
{
    for (size_t i = 0; i < gtv_media_option_count; i++) {
        if (api->texts[i] != NULL &&
            !gtv_config_set(out, &gtv_media_option_table[i], gtv_str_of(api->texts[i]), err)) {
            return false;
        }
    }
    return true;
}

// Defaults, file (in base), environment, command line, API.
static bool load(struct layer *base, const struct layer *api, int argc, char **argv,
                 struct gtv_media_options *out, struct gtv_error *err)
{
    if (!read_environment(base, err)) {
        return false;
    }
    struct gtv_option *table = gtv_alloc(gtv_media_option_count * sizeof *table);
    memcpy(table, gtv_media_option_table, gtv_media_option_count * sizeof *table);
    for (size_t i = 0; i < gtv_media_option_count; i++) {
        table[i].def = base->texts[i] != NULL ? base->texts[i] : table[i].def;
    }
    struct gtv_program program = gtv_media_program;
    program.table = table;
    bool ok = gtv_config_load(out, &program, argc, argv, err) && apply_api(api, out, err);
    free(table);
    return ok;
}

static char **copy_argv(int argc, char **argv)
{
    char **copy = gtv_alloc(((size_t)argc + 1) * sizeof *copy);
    for (int i = 0; i < argc; i++) {
        copy[i] = gtv_strdup(argv[i]);
    }
    copy[argc] = NULL;
    return copy;
}

static void free_argv(int argc, char **argv)
{
    for (int i = 0; argv != NULL && i < argc; i++) {
        free(argv[i]);
    }
    free(argv);
}

static char *find_path(int argc, char **argv)
{
    static const char flag[] = "--media-config";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], flag) == 0 && i + 1 < argc) {
            return gtv_strdup(argv[i + 1]);
        }
        if (strncmp(argv[i], flag, sizeof flag - 1) == 0 && argv[i][sizeof flag - 1] == '=') {
            return gtv_strdup(argv[i] + sizeof flag);
        }
    }
    const char *path = getenv("MEDIA_CONFIG");
    return path != NULL && path[0] != '\0' ? gtv_strdup(path) : NULL;
}

// Reads and layers everything anew. argv is what is wiped of secrets.
static struct gtv_settings_change *read_change(const struct gtv_settings *s, int argc, char **argv,
                                               struct gtv_error *err)
{
    struct gtv_settings_change *c = GTV_NEW(struct gtv_settings_change);
    struct layer base = layer_create();
    bool ok = true;
    if (s->path != NULL) {
        layer_set(&base, "MEDIA_CONFIG", s->path);
        c->yaml = read_yaml(s->path, &base, err);
        ok = c->yaml != NULL && gtv_sections_check(c->yaml, err);
        if (c->yaml != NULL && !ok) {
            locate(err, s->path, c->yaml);
        }
    }
    ok = ok && load(&base, &s->api, argc, argv, &c->wanted, err);
    layer_finish(&base);
    if (!ok) {
        gtv_settings_drop(c);
        return NULL;
    }
    return c;
}

struct gtv_settings *gtv_settings_create(struct gtv_media_options *options, int argc, char **argv,
                                         struct gtv_error *err)
{
    struct gtv_settings *s = GTV_NEW(struct gtv_settings);
    s->running = options;
    s->api = layer_create();
    // The file may stand alone on the command line.
    bool alone = argc > 1 && argv[1][0] != '-';
    char **rest = gtv_alloc(((size_t)argc + 1) * sizeof *rest);
    int count = 0;
    for (int i = 0; i < argc; i++) {
        if (i != 1 || !alone) {
            rest[count++] = argv[i];
        }
    }
    rest[count] = NULL;
    s->argc = count;
    s->argv = copy_argv(count, rest);
    s->path = alone ? gtv_strdup(argv[1]) : find_path(count, rest);
    struct gtv_settings_change *c = read_change(s, count, rest, err);
    free(rest);
    if (c == NULL) {
        gtv_settings_destroy(s);
        return NULL;
    }
    for (size_t i = 0; i < gtv_media_option_count; i++) {
        copy_option(options, &c->wanted, i);
    }
    (void)gtv_settings_commit(s, c);
    return s;
}

void gtv_settings_destroy(struct gtv_settings *s)
{
    if (s == NULL) {
        return;
    }
    finish_options(s->running);
    finish_options(&s->wanted);
    layer_finish(&s->api);
    gtv_yaml_free(s->yaml);
    free_argv(s->argc, s->argv);
    free(s->users);
    free(s->path);
    free(s);
}

const char *gtv_settings_file(const struct gtv_settings *s)
{
    return s->path;
}

const struct gtv_yaml *gtv_settings_yaml(const struct gtv_settings *s)
{
    return s->yaml;
}

struct gtv_settings_change *gtv_settings_read(struct gtv_settings *s, struct gtv_error *err)
{
    char **argv = copy_argv(s->argc, s->argv);
    char **all = gtv_alloc(((size_t)s->argc + 1) * sizeof *all);
    memcpy(all, argv, ((size_t)s->argc + 1) * sizeof *all);
    struct gtv_settings_change *c = read_change(s, s->argc, argv, err);
    free_argv(s->argc, all);
    free(argv);
    return c;
}

const struct gtv_yaml *gtv_settings_change_yaml(const struct gtv_settings_change *c)
{
    return c->yaml;
}

void gtv_settings_drop(struct gtv_settings_change *c)
{
    if (c == NULL) {
        return;
    }
    finish_options(&c->wanted);
    gtv_yaml_free(c->yaml);
    free(c);
}

// What can change while the node runs does so; the number of what cannot.
static size_t take_over(struct gtv_settings *s)
{
    size_t waiting = 0;
    enum gtv_log_level level;
    for (size_t i = 0; i < gtv_media_option_count; i++) {
        if (same_option(s->running, &s->wanted, i)) {
            continue;
        }
        if (is_live(i)) {
            copy_option(s->running, &s->wanted, i);
        } else {
            waiting++;
        }
    }
    if (s->running->log_level != NULL && gtv_log_level_parse(gtv_str_of(s->running->log_level), &level)) {
        gtv_log_set_level(level);
    }
    return waiting;
}

size_t gtv_settings_commit(struct gtv_settings *s, struct gtv_settings_change *c)
{
    finish_options(&s->wanted);
    s->wanted = c->wanted;
    c->wanted = (struct gtv_media_options){0};
    gtv_yaml_free(s->yaml);
    s->yaml = c->yaml;
    c->yaml = NULL;
    gtv_settings_drop(c);
    return take_over(s);
}

// ---- Users ----

bool gtv_settings_configure_auth(const struct gtv_settings *s, const struct gtv_yaml *yaml,
                                 struct gtv_auth *auth, struct gtv_error *err)
{
    if (s->users != NULL) {
        yyjson_doc *doc = yyjson_read(s->users, strlen(s->users), YYJSON_READ_NOFLAG);
        bool ok = gtv_auth_configure(auth, yyjson_doc_get_root(doc), err);
        yyjson_doc_free(doc);
        return ok;
    }
    return gtv_auth_configure(auth, gtv_yaml_get(yaml, "authInternalUsers"), err);
}

static char *users_text(const struct gtv_auth *auth)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, gtv_auth_write(auth, doc, false));
    char *text = yyjson_mut_write(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL);
    yyjson_mut_doc_free(doc);
    return text;
}

// ---- The API ----

// A secret that comes back as we answered it.
static bool is_masked(const struct gtv_global *g, yyjson_val *value)
{
    return g->form == GTV_GLOBAL_TEXT && gtv_media_option_table[gtv_global_option(g->option)].secret &&
           yyjson_equals_str(value, "***");
}

static bool read_patch(yyjson_val *body, struct layer *api, yyjson_val **users, struct gtv_error *err)
{
    size_t i, n;
    yyjson_val *key, *value;
    yyjson_obj_foreach(body, i, n, key, value)
    {
        struct gtv_str name = {yyjson_get_str(key), yyjson_get_len(key)};
        const struct gtv_global *g = gtv_global_find(name);
        if (gtv_str_eq(name, GTV_STR("authInternalUsers"))) {
            *users = value;
        } else if (g == NULL) {
            return gtv_gojson_unknown_field(name, err);
        } else if (!yyjson_is_null(value) && !is_masked(g, value) && !read_key(api, g, value, err)) {
            return false;
        }
    }
    return true;
}

static void keep_text(struct gtv_settings *s, size_t option, struct layer *given)
{
    free(s->api.texts[option]);
    s->api.texts[option] = given->texts[option];
    given->texts[option] = NULL;
}

// What is sent back as it was is no setting of the API's, unless it was one already.
static void keep_given(struct gtv_settings *s, const struct gtv_global *g, struct layer *given,
                       const struct gtv_media_options *next)
{
    if (g->form == GTV_GLOBAL_FIXED) {
        return;
    }
    size_t option = gtv_global_option(g->option),
           host = gtv_global_option(g->host != NULL ? g->host : g->option);
    if (given->texts[option] == NULL) {
        return;
    }
    if (s->api.texts[option] != NULL || !same_option(&s->wanted, next, option) ||
        !same_option(&s->wanted, next, host)) {
        keep_text(s, option, given);
        if (host != option) {
            keep_text(s, host, given);
        }
    }
}

bool gtv_settings_patch(struct gtv_settings *s, yyjson_val *body, struct gtv_auth *auth, size_t *restart,
                        struct gtv_error *err)
{
    struct layer given = layer_create();
    yyjson_val *users = NULL;
    bool ok = read_patch(body, &given, &users, err) &&
              (users == NULL || yyjson_is_null(users) || gtv_auth_configure(auth, users, err));
    if (ok && users != NULL && !yyjson_is_null(users)) {
        free(s->users);
        s->users = users_text(auth);
    }
    // The limits were checked: none of these can fail. What is sent back as it is, is no setting of the
    // API's.
    struct gtv_media_options next = {0};
    for (size_t i = 0; ok && i < gtv_media_option_count; i++) {
        copy_option(&next, &s->wanted, i);
    }
    ok = ok && apply_api(&given, &next, err);
    for (size_t i = 0; ok && i < gtv_global_count; i++) {
        keep_given(s, &gtv_globals[i], &given, &next);
    }
    if (ok) {
        finish_options(&s->wanted);
        s->wanted = next;
        *restart = take_over(s);
    } else {
        finish_options(&next);
    }
    layer_finish(&given);
    return ok;
}

void gtv_settings_write(const struct gtv_settings *s, yyjson_mut_doc *doc, yyjson_mut_val *object)
{
    for (size_t i = 0; i < gtv_global_count; i++) {
        yyjson_mut_obj_add_val(doc, object, gtv_globals[i].key,
                               gtv_global_value(&gtv_globals[i], &s->wanted, doc, true));
    }
}

static bool waits(const struct gtv_settings *s, const struct gtv_global *g)
{
    return g->form != GTV_GLOBAL_FIXED && !g->live &&
           (!same_option(s->running, &s->wanted, gtv_global_option(g->option)) ||
            (g->host != NULL && !same_option(s->running, &s->wanted, gtv_global_option(g->host))));
}

void gtv_settings_write_waiting(const struct gtv_settings *s, yyjson_mut_doc *doc, yyjson_mut_val *array)
{
    for (size_t i = 0; i < gtv_global_count; i++) {
        if (waits(s, &gtv_globals[i])) {
            yyjson_mut_arr_add_str(doc, array, gtv_globals[i].key);
        }
    }
}

// ---- The store ----

static bool is_set_by_api(const struct gtv_settings *s, const struct gtv_global *g)
{
    return g->form != GTV_GLOBAL_FIXED &&
           (s->api.texts[gtv_global_option(g->option)] != NULL ||
            (g->host != NULL && s->api.texts[gtv_global_option(g->host)] != NULL));
}

void gtv_settings_write_stored(const struct gtv_settings *s, struct gtv_buf *out)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *object = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, object);
    for (size_t i = 0; i < gtv_global_count; i++) {
        if (is_set_by_api(s, &gtv_globals[i])) {
            yyjson_mut_obj_add_val(doc, object, gtv_globals[i].key,
                                   gtv_global_value(&gtv_globals[i], &s->wanted, doc, false));
        }
    }
    if (s->users != NULL) {
        yyjson_mut_obj_add_val(doc, object, "authInternalUsers", yyjson_mut_raw(doc, s->users));
    }
    size_t n = 0;
    char *text = yyjson_mut_write(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, &n);
    if (text == NULL) {
        out->failed = true;
    } else {
        gtv_buf_append(out, text, n);
    }
    free(text);
    yyjson_mut_doc_free(doc);
}

void gtv_settings_restore(struct gtv_settings *s, yyjson_val *object, void (*bad)(void *arg, const char *why),
                          void *arg)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(object); // which takes NULL
    for (yyjson_val *key; (key = yyjson_obj_iter_next(&it)) != NULL;) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        struct gtv_error err = {0};
        struct gtv_str name = {yyjson_get_str(key), yyjson_get_len(key)};
        const struct gtv_global *g = gtv_global_find(name);
        if (gtv_str_eq(name, GTV_STR("authInternalUsers"))) {
            struct gtv_auth *scratch = gtv_auth_create();
            if (gtv_auth_configure(scratch, value, &err)) {
                free(s->users);
                s->users = users_text(scratch);
            } else {
                bad(arg, err.message);
            }
            gtv_auth_destroy(scratch);
        } else if (g == NULL || !read_key(&s->api, g, value, &err)) {
            bad(arg, g == NULL ? "unknown setting" : err.message);
        }
    }
    struct gtv_error err = {0};
    if (!apply_api(&s->api, &s->wanted, &err) || !apply_api(&s->api, s->running, &err)) {
        bad(arg, err.message);
    }
    (void)take_over(s);
}
