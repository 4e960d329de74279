#include "services/ai/network/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// The best first.
static const char *const defaults[] = {"picodet_s_416", "yolox_nano_416", "nanodet_g_416"};

enum { MAX_DESCRIPTION = 64 * 1024 };

char *gtv_model_read_file(const char *path, size_t most, size_t *size)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return NULL;
    char *text = malloc(most + 2);
    size_t n = text ? fread(text, 1, most + 1, f) : 0;
    bool ok = text && !ferror(f) && n <= most;
    (void)fclose(f);
    if (!ok) {
        free(text);
        return NULL;
    }
    text[n] = '\0';
    *size = n;
    return text;
}

// Reads dir/stem.json. *absent tells "there is none" from "there is a bad one".
static bool describe(const char *dir, struct gtv_str stem, const char *file, struct gtv_model *out,
                     bool *absent, struct gtv_error *err)
{
    char path[GTV_MODEL_PATH_CAP];
    int n = snprintf(path, sizeof(path), "%s/" GTV_STR_FMT ".json", dir, GTV_STR_ARG(stem));
    *absent = n < 0 || (size_t)n >= sizeof(path) || access(path, F_OK) != 0;
    if (*absent) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "%s is not there", path);
        return false;
    }
    size_t size = 0;
    struct gtv_error cause = {0};
    char *text = gtv_model_read_file(path, MAX_DESCRIPTION, &size);
    if (!text)
        gtv_error_set(&cause, GTV_E_INVALID, NULL, "it cannot be read, or has more than 64 KiB");
    bool ok = text && gtv_model_parse((struct gtv_str){text, size}, dir, file, out, &cause);
    free(text);
    if (!ok)
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "%s does not describe a detector: %s", path,
                      cause.message);
    return ok;
}

// The weights of the same name, where the description names none.
static bool guess_file(const char *dir, struct gtv_str stem, struct gtv_model *m)
{
    static const char *const endings[] = {"onnx", "xml"};
    for (size_t i = 0; i < 2; i++) {
        int n =
            snprintf(m->path, sizeof(m->path), "%s/" GTV_STR_FMT ".%s", dir, GTV_STR_ARG(stem), endings[i]);
        if (n > 0 && (size_t)n < sizeof(m->path) && access(m->path, R_OK) == 0)
            return true;
    }
    return false;
}

// The same with the weights that it names.
static bool load(const char *dir, struct gtv_str stem, struct gtv_model *out, bool *absent,
                 struct gtv_error *err)
{
    if (!describe(dir, stem, NULL, out, absent, err))
        return false;
    if (!out->name[0])
        snprintf(out->name, sizeof(out->name), "%.*s", (int)(stem.n > 63 ? 63 : stem.n), stem.p);
    *absent = !(out->path[0] ? access(out->path, R_OK) == 0 : guess_file(dir, stem, out));
    if (*absent)
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "%s is not there or cannot be read", out->path);
    return !*absent;
}

// The path as it stands, or, for the bare name of a file, in models_dir.
static bool find_file(const char *models_dir, struct gtv_str wanted, char path[GTV_MODEL_PATH_CAP])
{
    if (gtv_str_copy(path, GTV_MODEL_PATH_CAP, wanted) && access(path, R_OK) == 0)
        return true;
    if (gtv_str_find(wanted, '/') >= 0)
        return false;
    int n = snprintf(path, GTV_MODEL_PATH_CAP, "%s/" GTV_STR_FMT, models_dir, GTV_STR_ARG(wanted));
    return n > 0 && n < GTV_MODEL_PATH_CAP && access(path, R_OK) == 0;
}

static bool find_by_path(const char *models_dir, struct gtv_str wanted, struct gtv_model *out,
                         struct gtv_error *err)
{
    char path[GTV_MODEL_PATH_CAP];
    if (!find_file(models_dir, wanted, path)) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, "YOLO_MODEL",
                      "YOLO_MODEL=" GTV_STR_FMT " is not there or cannot be read",
                      (int)(wanted.n > 150 ? 150 : wanted.n), wanted.p);
        return false;
    }
    char *slash = strrchr(path, '/');
    const char *dir = slash == path ? "/" : slash ? path : ".";
    const char *file = slash ? slash + 1 : path;
    if (slash)
        *slash = '\0';
    const char *dot = strrchr(file, '.');
    struct gtv_str stem = {file, dot ? (size_t)(dot - file) : strlen(file)};
    bool absent = false;
    if (describe(dir, stem, file, out, &absent, err))
        return true;
    return absent && gtv_model_undescribed(dir, file, out, err);
}

static bool find_by_name(const char *models_dir, struct gtv_str name, struct gtv_model *out,
                         struct gtv_error *err)
{
    struct gtv_error cause = {0};
    bool absent = false;
    if (load(models_dir, name, out, &absent, &cause))
        return true;
    static const char *const endings[] = {"onnx", "xml"};
    for (size_t i = 0; i < 2 && absent && name.n <= 200; i++) {
        char file[256], path[GTV_MODEL_PATH_CAP];
        snprintf(file, sizeof(file), GTV_STR_FMT ".%s", GTV_STR_ARG(name), endings[i]);
        if (find_file(models_dir, gtv_str_of(file), path))
            return find_by_path(models_dir, gtv_str_of(path), out, err);
    }
    if (absent)
        gtv_error_set(err, GTV_E_UNAVAILABLE, "YOLO_MODEL",
                      "YOLO_MODEL=" GTV_STR_FMT " is not in %.120s: `./gtv models` puts the known ones there",
                      (int)(name.n > 60 ? 60 : name.n), name.p, models_dir);
    else
        *err = cause;
    return false;
}

static bool find_default(const char *models_dir, struct gtv_model *out, struct gtv_error *err)
{
    struct gtv_error bad = {0};
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++) {
        bool absent = false;
        struct gtv_error cause = {0};
        if (load(models_dir, gtv_str_of(defaults[i]), out, &absent, &cause))
            return true;
        if (!absent && bad.code == GTV_OK)
            bad = cause;
    }
    if (bad.code != GTV_OK)
        *err = bad;
    else
        gtv_error_set(
            err, GTV_E_UNAVAILABLE, NULL,
            "No network is in %.120s, so vehicles cannot be found: run `./gtv models`, which puts one there",
            models_dir);
    return false;
}

bool gtv_model_find(const char *models_dir, const char *wanted, struct gtv_model *out, struct gtv_error *err)
{
    struct gtv_str s = gtv_str_trim(gtv_str_of(wanted));
    if (s.n == 0)
        return find_default(models_dir, out, err);
    if (gtv_str_ends(s, GTV_STR(".pt")) || gtv_str_ends(s, GTV_STR(".pth"))) {
        gtv_error_set(err, GTV_E_UNAVAILABLE, "YOLO_MODEL",
                      "YOLO_MODEL=" GTV_STR_FMT
                      " is a PyTorch file, which is not read here: give an ONNX or OpenVINO IR file (.onnx, "
                      ".xml), or leave YOLO_MODEL empty for the default network",
                      (int)(s.n > 60 ? 60 : s.n), s.p);
        return false;
    }
    bool is_path =
        gtv_str_find(s, '/') >= 0 || gtv_str_ends(s, GTV_STR(".onnx")) || gtv_str_ends(s, GTV_STR(".xml"));
    return is_path ? find_by_path(models_dir, s, out, err) : find_by_name(models_dir, s, out, err);
}
