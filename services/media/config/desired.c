#include "services/media/config/desired.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "services/media/pattern.h"

#include <stdio.h>
#include <stdlib.h>

enum api_layer { API_NOTHING, API_PATCHED, API_OWN, API_DELETED };

struct entry {
    char *name;
    char *file; // JSON of the keys that the file gives; NULL: it does not name the path
    char *api;  // of those given by API, where the layer is PATCHED or OWN; else NULL
    enum api_layer layer;
    struct gtv_pattern *pattern; // of "~..."
    size_t seen;                 // the file that named it last
};

struct gtv_desired {
    struct gtv_map *entries; // name -> struct entry; deleted ones are there too
    size_t count;            // without the deleted
    char *file_defaults, *api_defaults;
    struct entry **patterns; // in the order in which they are tried
    size_t pattern_count;
    size_t files;
};

static void free_entry(void *arg)
{
    struct entry *e = arg;
    gtv_pattern_destroy(e->pattern);
    free(e->name);
    free(e->file);
    free(e->api);
    free(e);
}

struct gtv_desired *gtv_desired_create(void)
{
    struct gtv_desired *d = GTV_NEW(struct gtv_desired);
    d->entries = gtv_map_create();
    return d;
}

void gtv_desired_destroy(struct gtv_desired *d)
{
    if (d == NULL) {
        return;
    }
    gtv_map_destroy(d->entries, free_entry);
    free(d->file_defaults);
    free(d->api_defaults);
    free(d->patterns);
    free(d);
}

// ---- Layers ----

static bool is_there(const struct entry *e)
{
    return e != NULL && e->layer != API_DELETED && (e->layer == API_OWN || e->file != NULL);
}

static struct entry *find(const struct gtv_desired *d, struct gtv_str name)
{
    struct entry *e = gtv_map_get(d->entries, name);
    return is_there(e) ? e : NULL;
}

// Our own text, which was checked when it was made.
static void apply_text(struct gtv_pathconf *c, const char *json)
{
    struct gtv_error err;
    if (json != NULL && !gtv_pathconf_apply(c, gtv_str_of(json), &err)) {
        abort();
    }
}

static char *given_text(const struct gtv_pathconf *c)
{
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, gtv_pathconf_write_given(c, doc));
    char *text = yyjson_mut_write(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, NULL);
    yyjson_mut_doc_free(doc);
    if (text == NULL) {
        abort(); // as every small allocation
    }
    return text;
}

void gtv_desired_defaults(const struct gtv_desired *d, struct gtv_pathconf *out)
{
    gtv_pathconf_defaults(out, GTV_STR(""));
    apply_text(out, d->file_defaults);
    apply_text(out, d->api_defaults);
}

// The layers of one path over the defaults.
static void merge(const struct gtv_pathconf *defaults, struct gtv_str name, const char *file, const char *api,
                  struct gtv_pathconf *out)
{
    gtv_pathconf_defaults(out, name);
    apply_text(out, file);
    apply_text(out, api);
    gtv_pathconf_inherit(out, defaults);
}

static void effective(const struct gtv_desired *d, const struct entry *e, struct gtv_pathconf *out)
{
    struct gtv_pathconf defaults;
    gtv_desired_defaults(d, &defaults);
    merge(&defaults, gtv_str_of(e->name), e->layer == API_OWN ? NULL : e->file, e->api, out);
}

size_t gtv_desired_count(const struct gtv_desired *d)
{
    return d->count;
}

static int by_text(const void *a, const void *b)
{
    const char *const *left = a, *const *right = b;
    return strcmp(*left, *right);
}

const char **gtv_desired_names(const struct gtv_desired *d)
{
    const char **names = gtv_alloc((d->count + 1) * sizeof *names);
    size_t it = 0, n = 0;
    struct gtv_str key;
    void *value = NULL;
    while (gtv_map_next(d->entries, &it, &key, &value)) {
        if (is_there(value)) {
            names[n++] = ((struct entry *)value)->name;
        }
    }
    qsort(names, n, sizeof *names, by_text);
    return names;
}

bool gtv_desired_get(const struct gtv_desired *d, struct gtv_str name, struct gtv_pathconf *out)
{
    const struct entry *e = find(d, name);
    if (e != NULL) {
        effective(d, e, out);
    }
    return e != NULL;
}

// ---- Patterns ----

static bool is_everything(const char *name)
{
    return strcmp(name, "all") == 0 || strcmp(name, "all_others") == 0;
}

static int by_trial(const void *a, const void *b)
{
    const struct entry *const *left = a, *const *right = b;
    int last = is_everything((*left)->name) - is_everything((*right)->name);
    return last != 0 ? last : strcmp((*left)->name, (*right)->name);
}

// What changes with every change of the entries: their count and the list of patterns.
static void recount(struct gtv_desired *d)
{
    size_t it = 0, all = gtv_map_count(d->entries);
    struct gtv_str key;
    void *value = NULL;
    free(d->patterns);
    d->patterns = gtv_alloc((all + 1) * sizeof(struct entry *));
    d->count = 0;
    d->pattern_count = 0;
    while (gtv_map_next(d->entries, &it, &key, &value)) {
        struct entry *e = value;
        if (!is_there(e)) {
            continue;
        }
        d->count++;
        if (gtv_pathconf_is_pattern(gtv_str_of(e->name))) {
            d->patterns[d->pattern_count++] = e;
        }
    }
    qsort(d->patterns, d->pattern_count, sizeof(struct entry *), by_trial);
}

// $G1 to $G9 of the source. False: it does not fit.
static bool fill_in_groups(struct gtv_pathconf *c, const struct gtv_str groups[GTV_PATTERN_GROUPS])
{
    char out[GTV_SOURCE_MAX + 1];
    size_t n = 0;
    for (const char *at = c->source; *at != '\0';) {
        bool group = at[0] == '$' && at[1] == 'G' && at[2] >= '1' && at[2] <= '9';
        struct gtv_str piece = group ? groups[at[2] - '0'] : (struct gtv_str){at, 1};
        if (piece.n > GTV_SOURCE_MAX - n) {
            return false;
        }
        memcpy(out + n, piece.n > 0 ? piece.p : "", piece.n);
        n += piece.n;
        at += group ? 3 : 1;
    }
    out[n] = '\0';
    memcpy(c->source, out, n + 1);
    return true;
}

bool gtv_desired_match(const struct gtv_desired *d, struct gtv_str name, struct gtv_pathconf *out)
{
    struct gtv_error err;
    if (!gtv_name_check(name, &err)) {
        return false;
    }
    if (!gtv_pathconf_is_pattern(name) && gtv_desired_get(d, name, out)) {
        return true;
    }
    for (size_t i = 0; i < d->pattern_count; i++) {
        const struct entry *e = d->patterns[i];
        struct gtv_str groups[GTV_PATTERN_GROUPS] = {{NULL, 0}};
        if (e->pattern != NULL && !gtv_pattern_match(e->pattern, name, groups)) {
            continue;
        }
        effective(d, e, out);
        memcpy(out->conf_name, out->name, sizeof out->conf_name);
        return gtv_str_copy(out->name, sizeof out->name, name) && fill_in_groups(out, groups);
    }
    return false;
}

// ---- Changes by API ----

// The entry of this name, made where there is none yet. The name was checked.
static struct entry *make_entry(struct gtv_desired *d, struct gtv_str name)
{
    struct entry *e = gtv_map_get(d->entries, name);
    if (e != NULL) {
        return e;
    }
    e = GTV_NEW(struct entry);
    e->name = gtv_strndup(name);
    if (name.p[0] == '~') {
        struct gtv_error err;
        e->pattern = gtv_pattern_create((struct gtv_str){name.p + 1, name.n - 1}, &err);
    }
    gtv_map_put(d->entries, name, e);
    return e;
}

static void set_api(struct gtv_desired *d, struct entry *e, enum api_layer layer, char *json)
{
    free(e->api);
    e->api = json;
    e->layer = layer;
    if (layer == API_NOTHING && e->file == NULL) {
        gtv_map_remove(d->entries, gtv_str_of(e->name));
        free_entry(e);
    }
    recount(d);
}

// conf: what was given. Fills in the defaults and judges the whole.
static bool judge(const struct gtv_desired *d, struct gtv_pathconf *conf, struct gtv_error *err)
{
    struct gtv_pathconf defaults;
    gtv_desired_defaults(d, &defaults);
    gtv_pathconf_inherit(conf, &defaults);
    return gtv_pathconf_check(conf, err);
}

static bool has_room(const struct gtv_desired *d, struct gtv_error *err)
{
    if (gtv_map_count(d->entries) >= GTV_PATHS_MAX) {
        gtv_error_set(err, GTV_E_LIMIT, NULL, "too many paths");
        return false;
    }
    return true;
}

bool gtv_desired_add(struct gtv_desired *d, struct gtv_str name, struct gtv_str json, struct gtv_error *err)
{
    struct gtv_pathconf conf;
    gtv_pathconf_defaults(&conf, name);
    if (!gtv_pathconf_apply(&conf, json, err)) {
        return false;
    }
    if (find(d, name) != NULL) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, "name", "path already exists");
        return false;
    }
    if (!judge(d, &conf, err) || !has_room(d, err)) {
        return false;
    }
    set_api(d, make_entry(d, name), API_OWN, given_text(&conf));
    return true;
}

bool gtv_desired_patch(struct gtv_desired *d, struct gtv_str name, struct gtv_str json, struct gtv_error *err)
{
    struct entry *e = find(d, name);
    struct gtv_pathconf conf, api;
    gtv_pathconf_defaults(&api, name);
    if (e == NULL) {
        // Bad JSON is told before the missing path, as in MediaMTX.
        if (gtv_pathconf_apply(&api, json, err)) {
            gtv_error_set(err, GTV_E_NOT_FOUND, "name", "path not found");
        }
        return false;
    }
    apply_text(&api, e->api);
    effective(d, e, &conf);
    uint64_t all[GTV_PATHCONF_FIELDS_MAX / 64];
    memcpy(all, conf.given, sizeof all);
    memcpy(conf.given, api.given, sizeof all); // what the body gives comes on top
    if (!gtv_pathconf_apply(&conf, json, err)) {
        return false;
    }
    char *text = given_text(&conf);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        conf.given[i] |= all[i];
    }
    if (!judge(d, &conf, err)) {
        free(text);
        return false;
    }
    set_api(d, e, e->layer == API_OWN ? API_OWN : API_PATCHED, text);
    return true;
}

bool gtv_desired_replace(struct gtv_desired *d, struct gtv_str name, struct gtv_str json,
                         struct gtv_error *err)
{
    struct entry *e = find(d, name);
    struct gtv_pathconf conf, now;
    gtv_pathconf_defaults(&conf, name);
    if (e != NULL) {
        // So that *** stands for the credentials that are known. Not given, they go again below.
        effective(d, e, &now);
        memcpy(conf.source, now.source, sizeof conf.source);
    }
    if (!gtv_pathconf_apply(&conf, json, err) || !judge(d, &conf, err) || (e == NULL && !has_room(d, err))) {
        return false;
    }
    set_api(d, make_entry(d, name), API_OWN, given_text(&conf));
    return true;
}

bool gtv_desired_remove(struct gtv_desired *d, struct gtv_str name)
{
    struct entry *e = find(d, name);
    if (e != NULL) {
        set_api(d, e, e->file != NULL ? API_DELETED : API_NOTHING, NULL);
    }
    return e != NULL;
}

// Whether every path there is stays valid with these defaults.
static bool all_valid(const struct gtv_desired *d, const struct gtv_pathconf *defaults, struct gtv_error *err)
{
    size_t it = 0;
    struct gtv_str key;
    void *value = NULL;
    while (gtv_map_next(d->entries, &it, &key, &value)) {
        const struct entry *e = value;
        struct gtv_pathconf conf;
        struct gtv_error why = {0};
        if (!is_there(e)) {
            continue;
        }
        merge(defaults, key, e->layer == API_OWN ? NULL : e->file, e->api, &conf);
        if (!gtv_pathconf_check(&conf, &why)) {
            gtv_error_set(err, GTV_E_BAD_REQUEST, why.field, "path '%s': %s", e->name, why.message);
            return false;
        }
    }
    return true;
}

bool gtv_desired_patch_defaults(struct gtv_desired *d, struct gtv_str json, struct gtv_error *err)
{
    struct gtv_pathconf conf, api, check;
    gtv_desired_defaults(d, &conf);
    gtv_pathconf_defaults(&api, GTV_STR(""));
    apply_text(&api, d->api_defaults);
    memcpy(conf.given, api.given, sizeof conf.given);
    if (!gtv_pathconf_apply(&conf, json, err)) {
        return false;
    }
    check = conf;
    memcpy(check.name, "all_others", sizeof "all_others");
    check.source_on_demand = check.source_on_demand || gtv_pathconf_is_pulled(&check);
    if (!gtv_pathconf_check(&check, err) || !all_valid(d, &conf, err)) {
        return false;
    }
    free(d->api_defaults);
    d->api_defaults = given_text(&conf);
    return true;
}

// ---- The file ----

// Puts the way to the fault into err->field, as much of it as there is room for.
static bool at(struct gtv_error *err, const char *where, struct gtv_str name)
{
    char *way = gtv_asprintf("%s%s" GTV_STR_FMT "%s%s", where, name.n > 0 ? "/" : "", GTV_STR_ARG(name),
                             err->field[0] != '\0' ? "/" : "", err->field);
    size_t n = strlen(way);
    n = n < sizeof err->field ? n : sizeof err->field - 1;
    memcpy(err->field, way, n);
    err->field[n] = '\0';
    free(way);
    return false;
}

// One path of the file, judged. Returns the text of its keys, or NULL.
static char *read_file_path(const struct gtv_pathconf *defaults, struct gtv_str name, yyjson_val *value,
                            struct gtv_error *err)
{
    struct gtv_pathconf conf;
    gtv_pathconf_defaults(&conf, name);
    if (!yyjson_is_null(value) && !yyjson_is_obj(value)) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "the settings of a path are keys with values");
        return NULL;
    }
    if (!gtv_pathconf_apply_object(&conf, value, err)) {
        return NULL;
    }
    char *text = given_text(&conf);
    gtv_pathconf_inherit(&conf, defaults);
    if (!gtv_pathconf_check(&conf, err)) {
        free(text);
        return NULL;
    }
    return text;
}

static bool read_file_defaults(yyjson_val *value, struct gtv_pathconf *out, char **text,
                               struct gtv_error *err)
{
    gtv_pathconf_defaults(out, GTV_STR(""));
    if (value == NULL || yyjson_is_null(value)) {
        *text = NULL;
        return true;
    }
    if (!yyjson_is_obj(value)) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "pathDefaults are keys with values");
        return at(err, "pathDefaults", GTV_STR(""));
    }
    if (!gtv_pathconf_apply_object(out, value, err)) {
        return at(err, "pathDefaults", GTV_STR(""));
    }
    *text = given_text(out);
    return true;
}

// A patch that does not go with what the file says now is forgotten.
static void keep_patch_if_valid(const struct gtv_pathconf *defaults, struct entry *e)
{
    struct gtv_pathconf conf;
    struct gtv_error err = {0};
    if (e->layer != API_PATCHED) {
        return;
    }
    merge(defaults, gtv_str_of(e->name), e->file, e->api, &conf);
    if (!gtv_pathconf_check(&conf, &err)) {
        free(e->api);
        e->api = NULL;
        e->layer = API_NOTHING;
    }
}

static void forget_paths_that_left(struct gtv_desired *d)
{
    size_t it = 0;
    struct gtv_str key;
    void *value = NULL;
    while (gtv_map_next(d->entries, &it, &key, &value)) {
        struct entry *e = value;
        if (e->seen == d->files) {
            continue;
        }
        free(e->file);
        e->file = NULL;
        if (e->layer != API_OWN) {
            gtv_map_remove(d->entries, gtv_str_of(e->name));
            free_entry(e);
        }
    }
}

bool gtv_desired_load_file(struct gtv_desired *d, yyjson_val *defaults, yyjson_val *paths,
                           struct gtv_error *err)
{
    struct gtv_pathconf base;
    char *defaults_text = NULL;
    if (paths != NULL && !yyjson_is_null(paths) && !yyjson_is_obj(paths)) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, "paths", "paths are names with settings");
        return false;
    }
    size_t count = yyjson_obj_size(paths), i;
    if (count > GTV_PATHS_MAX) {
        gtv_error_set(err, GTV_E_LIMIT, "paths", "too many paths");
        return false;
    }
    if (!read_file_defaults(defaults, &base, &defaults_text, err)) {
        return false;
    }
    apply_text(&base, d->api_defaults);
    char **texts = gtv_alloc((count + 1) * sizeof *texts);
    memset(texts, 0, (count + 1) * sizeof *texts);
    bool ok = true;
    yyjson_obj_iter it = yyjson_obj_iter_with(paths); // which takes NULL, unlike yyjson's loop
    for (i = 0; ok && i < count; i++) {
        yyjson_val *key = yyjson_obj_iter_next(&it);
        struct gtv_str name = {yyjson_get_str(key), yyjson_get_len(key)};
        texts[i] = read_file_path(&base, name, yyjson_obj_iter_get_val(key), err);
        ok = texts[i] != NULL || at(err, "paths", name);
    }
    if (ok) {
        d->files++;
        it = yyjson_obj_iter_with(paths);
        for (i = 0; i < count; i++) {
            yyjson_val *key = yyjson_obj_iter_next(&it);
            struct entry *e = make_entry(d, (struct gtv_str){yyjson_get_str(key), yyjson_get_len(key)});
            free(e->file);
            e->file = texts[i];
            e->seen = d->files;
            texts[i] = NULL;
            keep_patch_if_valid(&base, e);
        }
        forget_paths_that_left(d);
        free(d->file_defaults);
        d->file_defaults = defaults_text;
        defaults_text = NULL;
        recount(d);
    }
    for (i = 0; i < count; i++) {
        free(texts[i]);
    }
    free(texts);
    free(defaults_text);
    return ok;
}

// ---- The store ----

static void write_layer(const struct gtv_desired *d, enum api_layer layer, struct gtv_buf *out)
{
    size_t it = 0, n = 0, count = gtv_map_count(d->entries);
    struct gtv_str key;
    void *value = NULL;
    const char **names = gtv_alloc((count + 1) * sizeof *names);
    while (gtv_map_next(d->entries, &it, &key, &value)) {
        if (((struct entry *)value)->layer == layer) {
            names[n++] = ((struct entry *)value)->name;
        }
    }
    qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n; i++) {
        const struct entry *e = gtv_map_get(d->entries, gtv_str_of(names[i]));
        gtv_buf_puts(out, i > 0 ? "," : "");
        if (layer != API_DELETED) {
            gtv_buf_puts(out, "{\"name\":");
        }
        gtv_json_quote(out, gtv_str_of(names[i]));
        if (layer != API_DELETED) {
            gtv_buf_puts(out, e->api[1] == '}' ? "" : ",");
            gtv_buf_puts(out, e->api + 1);
        }
    }
    free(names);
}

void gtv_desired_write(const struct gtv_desired *d, struct gtv_buf *out)
{
    gtv_buf_puts(out, "\"pathDefaults\":");
    gtv_buf_puts(out, d->api_defaults != NULL ? d->api_defaults : "{}");
    gtv_buf_puts(out, ",\"paths\":[");
    write_layer(d, API_OWN, out);
    gtv_buf_puts(out, "],\"overlays\":[");
    write_layer(d, API_PATCHED, out);
    gtv_buf_puts(out, "],\"deleted\":[");
    write_layer(d, API_DELETED, out);
    gtv_buf_puts(out, "]");
}

static bool restore_path(struct gtv_desired *d, yyjson_val *stored, enum api_layer layer,
                         struct gtv_error *err)
{
    struct gtv_pathconf conf, whole;
    yyjson_val *name = layer == API_DELETED ? stored : yyjson_obj_get(stored, "name");
    struct gtv_str key = {yyjson_get_str(name), yyjson_get_len(name)};
    gtv_pathconf_defaults(&conf, key);
    if (!yyjson_is_str(name) || (layer != API_DELETED && !gtv_pathconf_apply_object(&conf, stored, err))) {
        return false;
    }
    struct entry *e = gtv_map_get(d->entries, key);
    if (layer != API_OWN && (e == NULL || e->file == NULL)) {
        return true; // it left the file while the node was down
    }
    char *text = layer == API_DELETED ? NULL : given_text(&conf);
    gtv_pathconf_defaults(&whole, key);
    apply_text(&whole, layer == API_OWN ? NULL : e->file);
    apply_text(&whole, text);
    if (!judge(d, &whole, err) || (e == NULL && !has_room(d, err))) {
        free(text);
        return false;
    }
    e = make_entry(d, key);
    free(e->api);
    e->api = text;
    e->layer = layer;
    return true;
}

static bool restore_defaults(struct gtv_desired *d, yyjson_val *stored, struct gtv_error *err)
{
    struct gtv_pathconf conf, base;
    gtv_pathconf_defaults(&conf, GTV_STR(""));
    if (!gtv_pathconf_apply_object(&conf, stored, err)) {
        return false;
    }
    gtv_desired_defaults(d, &base);
    gtv_pathconf_inherit(&conf, &base);
    if (!all_valid(d, &conf, err)) {
        return false;
    }
    free(d->api_defaults);
    d->api_defaults = given_text(&conf);
    return true;
}

void gtv_desired_restore(struct gtv_desired *d, yyjson_val *root, void (*bad)(void *arg, const char *why),
                         void *arg)
{
    static const struct {
        const char *key;
        enum api_layer layer;
    } lists[] = {{"paths", API_OWN}, {"overlays", API_PATCHED}, {"deleted", API_DELETED}};
    yyjson_val *defaults = yyjson_obj_get(root, "pathDefaults");
    struct gtv_error err = {0};
    if (yyjson_is_obj(defaults) && !restore_defaults(d, defaults, &err)) {
        bad(arg, err.message);
    }
    for (size_t k = 0; k < sizeof lists / sizeof lists[0]; k++) {
        size_t i, n;
        yyjson_val *stored;
        yyjson_arr_foreach(yyjson_obj_get(root, lists[k].key), i, n, stored)
        {
            err = (struct gtv_error){.message = "this is no path"};
            if (!restore_path(d, stored, lists[k].layer, &err)) {
                bad(arg, err.message);
            }
        }
    }
    recount(d);
}
