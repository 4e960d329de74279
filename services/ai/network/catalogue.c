#include "services/ai/network/catalogue.h"

#include "lib/base/mem.h"
#include "lib/json/json.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_LIST = 1024 * 1024, MAX_DESCRIPTION = 64 * 1024 };

static yyjson_doc *read_json(const char *path, size_t most)
{
    size_t size = 0;
    char *text = gtv_model_read_file(path, most, &size);
    struct gtv_error ignored = {0};
    yyjson_doc *doc = text ? gtv_json_parse((struct gtv_str){text, size}, &ignored) : NULL;
    free(text);
    return doc;
}

static struct gtv_str text_of(yyjson_val *object, const char *key)
{
    yyjson_val *v = yyjson_obj_get(object, key);
    return (struct gtv_str){yyjson_get_str(v), yyjson_get_len(v)};
}

static void copy_text(char *out, size_t cap, yyjson_val *object, const char *key)
{
    struct gtv_str s = text_of(object, key);
    if (s.p && !gtv_str_copy(out, cap, s))
        out[0] = '\0'; // longer than anything of this kind
}

// ---- models.json ----

static yyjson_doc *read_list(const char *dir)
{
    char path[GTV_MODEL_PATH_CAP];
    int n = snprintf(path, sizeof(path), "%s/models.json", dir);
    return n > 0 && (size_t)n < sizeof(path) ? read_json(path, MAX_LIST) : NULL;
}

// The list's model that this file belongs to.
static yyjson_val *listed(yyjson_doc *list, const char *file)
{
    yyjson_val *models = yyjson_obj_get(yyjson_doc_get_root(list), "models"), *model;
    size_t i, max;
    yyjson_arr_foreach(models, i, max, model)
    {
        if (yyjson_equals_str(yyjson_obj_get(model, "path"), file))
            return model;
    }
    return NULL;
}

// Whether the weights that are there have this hash. The list's is believed while the file's size and time
// stay what they were when it was hashed.
static bool has_hash(const char *dir, const char *file, struct gtv_str sha256, char *why, size_t cap)
{
    yyjson_doc *list = read_list(dir);
    yyjson_val *files = yyjson_obj_get(listed(list, file), "files"), *entry = NULL, *found = NULL;
    size_t i, max;
    yyjson_arr_foreach(files, i, max, entry)
    {
        if (yyjson_equals_str(yyjson_obj_get(entry, "file"), file))
            found = entry;
    }
    char path[GTV_MODEL_PATH_CAP];
    struct stat st;
    int n = snprintf(path, sizeof(path), "%s/%s", dir, file);
    bool same = false;
    if (!found) {
        snprintf(why, cap, "models.json does not list %.80s, so that it cannot be told what it was made of",
                 file);
    } else if (n < 0 || (size_t)n >= sizeof(path) || stat(path, &st) != 0 ||
               yyjson_get_sint(yyjson_obj_get(found, "size")) != st.st_size ||
               yyjson_get_sint(yyjson_obj_get(found, "mtime_ns")) !=
                   (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec) {
        snprintf(why, cap, "%.80s has changed since models.json was written: run `./gtv models`", file);
    } else {
        struct gtv_str known = text_of(found, "sha256");
        same = known.n == 64 && gtv_str_ieq(known, sha256);
        if (!same)
            snprintf(why, cap, "it was made of other weights than %.80s", file);
    }
    yyjson_doc_free(list);
    return same;
}

// ---- Quantised versions ----

static void judge(yyjson_val *root, const char *dir, const char *file, bool *accepted, char *why, size_t cap)
{
    yyjson_val *quantised = yyjson_obj_get(root, "quantised");
    struct gtv_str reason = text_of(quantised, "reason");
    *accepted = false;
    if (!yyjson_is_obj(quantised))
        snprintf(why, cap, "its JSON has no \"quantised\"");
    else if (!yyjson_is_true(yyjson_obj_get(quantised, "accepted")))
        snprintf(why, cap, "%s%.*s",
                 reason.n ? "" : "it does not agree well enough with the network it was made of",
                 (int)(reason.n > 180 ? 180 : reason.n), reason.n ? reason.p : "");
    else
        *accepted = has_hash(dir, file, text_of(quantised, "of_sha256"), why, cap);
}

void gtv_quantised_find(const struct gtv_model *m, struct gtv_quantised *out)
{
    memset(out, 0, sizeof(*out));
    char dir[GTV_MODEL_PATH_CAP], sidecar[GTV_MODEL_PATH_CAP];
    memcpy(dir, m->path, sizeof(dir));
    char *slash = strrchr(dir, '/'), *dot = strrchr(dir, '.');
    if (!slash || !dot || dot < slash)
        return;
    const char *file = m->path + (slash + 1 - dir);
    *dot = '\0';
    int a = snprintf(out->path, sizeof(out->path), "%s_int8.xml", dir);
    int b = snprintf(sidecar, sizeof(sidecar), "%s_int8.json", dir);
    *slash = '\0';
    if (a < 0 || b < 0 || (size_t)a >= sizeof(out->path) || (size_t)b >= sizeof(sidecar))
        return;
    out->there = access(out->path, R_OK) == 0;
    if (!out->there) {
        snprintf(out->why, sizeof(out->why), "there is no %.100s_int8.xml beside it", m->name);
        return;
    }
    yyjson_doc *doc = read_json(sidecar, MAX_DESCRIPTION);
    if (doc)
        judge(yyjson_doc_get_root(doc), dir, file, &out->accepted, out->why, sizeof(out->why));
    else
        snprintf(out->why, sizeof(out->why), "there is no %.100s_int8.json that says whether it was accepted",
                 m->name);
    yyjson_doc_free(doc);
}

// ---- The whole folder ----

static void take_listed(yyjson_val *model, struct gtv_catalogue_entry *e)
{
    copy_text(e->name, sizeof(e->name), model, "name");
    copy_text(e->task, sizeof(e->task), model, "task");
    copy_text(e->licence, sizeof(e->licence), model, "licence");
    copy_text(e->source, sizeof(e->source), model, "source");
}

static void take_detector(yyjson_doc *doc, const char *dir, struct gtv_catalogue_entry *e)
{
    struct gtv_model *m = GTV_NEW(struct gtv_model);
    struct gtv_error err = {0};
    size_t size = 0;
    char *text = yyjson_write(doc, 0, &size);
    if (text && gtv_model_parse((struct gtv_str){text, size}, dir, e->file, m, &err)) {
        memcpy(e->name, m->name, sizeof(e->name));
        if (m->licence[0])
            memcpy(e->licence, m->licence, sizeof(e->licence));
        if (m->head != GTV_HEAD_UNKNOWN)
            snprintf(e->head, sizeof(e->head), "%s", gtv_head_names[m->head]);
        e->width = m->input.width;
        e->height = m->input.height;
        e->class_count = m->class_count;
        memcpy(e->vehicle_class, m->vehicle_class, sizeof(e->vehicle_class));
        e->quantised = m->int8;
    } else {
        e->accepted = false;
        snprintf(e->why, sizeof(e->why), "its JSON is not understood: %.150s", err.message);
    }
    free(text);
    free(m);
}

// Networks of other tasks have heads of their own: only what all have in common is taken.
static void take_other(yyjson_val *root, struct gtv_catalogue_entry *e)
{
    yyjson_val *in = yyjson_obj_get(root, "input");
    copy_text(e->name, sizeof(e->name), root, "name");
    copy_text(e->head, sizeof(e->head), root, "head");
    e->width = (int)yyjson_get_sint(yyjson_obj_get(in, "width"));
    e->height = (int)yyjson_get_sint(yyjson_obj_get(in, "height"));
}

static void take_quantised(yyjson_val *root, const char *dir, yyjson_doc *list, struct gtv_catalogue_entry *e)
{
    // It was made of the listed model of that name.
    yyjson_val *models = yyjson_obj_get(yyjson_doc_get_root(list), "models"), *model;
    struct gtv_str of = text_of(yyjson_obj_get(root, "quantised"), "of");
    char file[256] = "";
    size_t i, max;
    yyjson_arr_foreach(models, i, max, model)
    {
        if (of.n && gtv_str_eq(text_of(model, "name"), of)) {
            copy_text(file, sizeof(file), model, "path");
            if (!e->licence[0])
                copy_text(e->licence, sizeof(e->licence), model, "licence");
        }
    }
    judge(root, dir, file, &e->accepted, e->why, sizeof(e->why));
}

static void fill(const char *dir, yyjson_doc *list, struct gtv_catalogue_entry *e)
{
    struct gtv_str stem = {e->file, (size_t)(strrchr(e->file, '.') - e->file)};
    char path[GTV_MODEL_PATH_CAP];
    int n = snprintf(path, sizeof(path), "%s/" GTV_STR_FMT ".json", dir, GTV_STR_ARG(stem));
    e->accepted = true;
    for (int v = 0; v < GTV_VEHICLE_COUNT; v++)
        e->vehicle_class[v] = -1;
    snprintf(e->name, sizeof(e->name), "%.*s", (int)(stem.n > 63 ? 63 : stem.n), stem.p);
    take_listed(listed(list, e->file), e);
    yyjson_doc *doc = n > 0 && (size_t)n < sizeof(path) ? read_json(path, MAX_DESCRIPTION) : NULL;
    yyjson_val *root = yyjson_doc_get_root(doc);
    e->described = yyjson_is_obj(root);
    if (e->described)
        copy_text(e->task, sizeof(e->task), root, "task");
    else if (access(path, F_OK) == 0) {
        e->accepted = false;
        snprintf(e->why, sizeof(e->why), "its JSON cannot be read");
    }
    if (e->described && (!e->task[0] || strcmp(e->task, "detector") == 0))
        take_detector(doc, dir, e);
    else if (e->described)
        take_other(root, e);
    if (e->quantised)
        take_quantised(root, dir, list, e);
    if (gtv_str_ends(gtv_str_of(e->file), GTV_STR(".xml"))) {
        n = snprintf(path, sizeof(path), "%s/" GTV_STR_FMT ".bin", dir, GTV_STR_ARG(stem));
        if (n > 0 && (size_t)n < sizeof(path) && access(path, R_OK) != 0) {
            e->accepted = false;
            snprintf(e->why, sizeof(e->why), "its weights, the .bin beside it, are not there");
        }
    }
    yyjson_doc_free(doc);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct gtv_catalogue_entry *)a)->file,
                  ((const struct gtv_catalogue_entry *)b)->file);
}

size_t gtv_catalogue_read(const char *dir, struct gtv_catalogue_entry **out)
{
    struct gtv_catalogue_entry *entries = gtv_alloc(GTV_CATALOGUE_MAX * sizeof(*entries));
    *out = entries;
    DIR *d = opendir(dir);
    size_t n = 0;
    struct dirent *item;
    while (d && n < GTV_CATALOGUE_MAX &&
           (item = readdir(d))) { // NOLINT(concurrency-mt-unsafe): its own stream
        struct gtv_str name = gtv_str_of(item->d_name);
        if (name.p[0] != '.' &&
            (gtv_str_ends(name, GTV_STR(".onnx")) || gtv_str_ends(name, GTV_STR(".xml"))) &&
            gtv_str_copy(entries[n].file, sizeof(entries[n].file), name))
            n++;
    }
    if (d)
        (void)closedir(d);
    qsort(entries, n, sizeof(*entries), by_name);
    yyjson_doc *list = read_list(dir);
    for (size_t i = 0; i < n; i++)
        fill(dir, list, &entries[i]);
    yyjson_doc_free(list);
    return n;
}
