#include "services/ai/detect/models.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/ai/network/catalogue.h"
#include "services/ai/network/head.h"
#include "services/ai/service.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { NAME_CAP = 256, LIST_MS = 1000 };

// What is to be loaded: as YOLO_MODEL and AI_PRECISION say, or as the last reload that went well said.
struct choice {
    char model[GTV_MODEL_PATH_CAP]; // empty: the best that is there
    char precision[8];
};

struct gtv_ai_models {
    struct gtv_ai *ai;
    size_t workers;
    struct choice now;
    bool stopping;

    // The load in progress: begun and ended on the loop, in between the thread's.
    bool loading;
    struct choice wanted;
    pthread_t thread;
    bool joined;
    struct gtv_detector *loaded;
    struct gtv_plates *plates; // NULL: they are not read, or the detector failed
    bool plates_ok;
    double load_ms;
    struct gtv_http_request *req; // NULL when its client has left; the loop's

    struct gtv_catalogue_entry *list; // of MODELS_DIR, read at most once in LIST_MS
    size_t list_count;
    int64_t listed_ms;
};

// ---- Loading ----

static struct gtv_detector *load(struct gtv_ai_models *m, const struct choice *c)
{
    const struct gtv_ai_settings *s = m->ai->settings;
    struct gtv_detector_config config = {
        .runtime = m->ai->runtime,
        .runtime_error = "the inference runtime could not start",
        .models_dir = s->models_dir,
        .yolo_model = c->model,
        .precision = c->precision,
        .want_gpu = s->enable_gpu,
        .slots = m->workers,
        .batch = (size_t)s->batch_size,
    };
    if (!gtv_ai_input_size(s->input_size, &config.input_width, &config.input_height))
        config.input_width = config.input_height = 0; // refused when the settings were read
    return gtv_detector_create(&config);
}

struct gtv_plates *gtv_ai_models_plates(struct gtv_ai *ai, size_t workers)
{
    const struct gtv_ai_settings *s = ai->settings;
    return gtv_plates_create(&(struct gtv_plates_config){
        .runtime = ai->runtime,
        .models_dir = s->models_dir,
        .lpr_model = s->lpr_model,
        .precision = s->precision,
        .slots = workers,
        .enabled = s->lpr_enabled,
    });
}

static void log_loaded(struct gtv_ai *ai, struct gtv_detector *d, size_t workers, double ms)
{
    const struct gtv_model *model = gtv_detector_model(d);
    if (!model) {
        gtv_log_error(&ai->log, "nothing can be detected", "cause=\"%s\"", gtv_detector_message(d));
        return;
    }
    gtv_log_info(&ai->log, "network loaded",
                 "model=%s head=%s input=%dx%d device=%s precision=%s workers=%zu ms=%.0f runtime=\"%s\"",
                 model->name, gtv_head_names[model->head], model->input.width, model->input.height,
                 gtv_detector_device(d), gtv_detector_precision(d), workers, ms,
                 gtv_infer_version(ai->runtime));
    if (gtv_detector_note(d))
        gtv_log_warn(&ai->log, "the network is not used as it was asked for", "cause=\"%s\"",
                     gtv_detector_note(d));
}

struct gtv_detector *gtv_ai_models_begin(struct gtv_ai *ai, size_t workers)
{
    struct gtv_ai_models *m = GTV_NEW(struct gtv_ai_models);
    const struct gtv_ai_settings *s = ai->settings;
    m->ai = ai;
    m->workers = workers;
    m->joined = true;
    snprintf(m->now.model, sizeof(m->now.model), "%s", s->yolo_model ? s->yolo_model : "");
    snprintf(m->now.precision, sizeof(m->now.precision), "%s", s->precision);
    ai->models = m;
    int64_t start = gtv_mono_ns();
    struct gtv_detector *d = load(m, &m->now);
    log_loaded(ai, d, workers, (double)(gtv_mono_ns() - start) / 1e6);
    return d;
}

void gtv_ai_models_stop(struct gtv_ai_models *m)
{
    if (!m)
        return;
    m->stopping = true;
    if (!m->joined)
        (void)pthread_join(m->thread, NULL);
    m->joined = true;
}

void gtv_ai_models_destroy(struct gtv_ai_models *m)
{
    if (!m)
        return;
    gtv_ai_models_stop(m);
    gtv_detector_unref(m->loaded);
    gtv_plates_destroy(m->plates);
    free(m->list);
    free(m);
}

// ---- What is told of it ----

static void add_classes(yyjson_mut_doc *doc, yyjson_mut_val *o, int count,
                        const int classes[GTV_VEHICLE_COUNT])
{
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "classes");
    for (int v = 0; v < GTV_VEHICLE_COUNT; v++) {
        if (classes[v] >= 0)
            yyjson_mut_arr_add_str(doc, list, gtv_vehicle_names[v]);
    }
    if (count)
        yyjson_mut_obj_add_int(doc, o, "class_count", count);
    else
        yyjson_mut_obj_add_null(doc, o, "class_count");
}

static void add_detector(struct gtv_ai_models *m, yyjson_mut_doc *doc, yyjson_mut_val *root,
                         struct gtv_detector *d)
{
    const struct gtv_model *model = gtv_detector_model(d);
    gtv_json_add_text(doc, root, "message", gtv_detector_message(d));
    if (!model) {
        yyjson_mut_obj_add_null(doc, root, "model");
        return;
    }
    const char *slash = strrchr(gtv_detector_path(d), '/');
    yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, root, "model");
    yyjson_mut_obj_add_strcpy(doc, o, "name", model->name);
    yyjson_mut_obj_add_strcpy(doc, o, "file", slash ? slash + 1 : gtv_detector_path(d));
    yyjson_mut_obj_add_int(doc, o, "width", model->input.width);
    yyjson_mut_obj_add_int(doc, o, "height", model->input.height);
    yyjson_mut_obj_add_str(doc, o, "head", gtv_head_names[model->head]);
    add_classes(doc, o, model->class_count, model->vehicle_class);
    yyjson_mut_obj_add_strcpy(doc, o, "precision", gtv_detector_precision(d));
    yyjson_mut_obj_add_strcpy(doc, o, "device", gtv_detector_device(d));
    yyjson_mut_obj_add_uint(doc, o, "pictures_at_once", gtv_detector_step(d));
    yyjson_mut_obj_add_str(doc, o, "runtime", gtv_infer_version(m->ai->runtime));
    gtv_json_add_text(doc, o, "note", gtv_detector_note(d));
}

static void refresh_list(struct gtv_ai_models *m)
{
    int64_t now = gtv_mono_ms();
    if (m->list && m->listed_ms && now - m->listed_ms < LIST_MS)
        return;
    free(m->list);
    m->list_count = gtv_catalogue_read(m->ai->settings->models_dir, &m->list);
    m->listed_ms = now;
}

static void add_entry(yyjson_mut_doc *doc, yyjson_mut_val *list, const struct gtv_catalogue_entry *e,
                      bool in_use)
{
    yyjson_mut_val *o = yyjson_mut_arr_add_obj(doc, list);
    yyjson_mut_obj_add_strcpy(doc, o, "name", e->name);
    yyjson_mut_obj_add_strcpy(doc, o, "file", e->file);
    gtv_json_add_text(doc, o, "task", e->task);
    yyjson_mut_obj_add_bool(doc, o, "in_use", in_use);
    yyjson_mut_obj_add_bool(doc, o, "described", e->described);
    gtv_json_add_text(doc, o, "head", e->head);
    if (e->width && e->height) {
        yyjson_mut_obj_add_int(doc, o, "width", e->width);
        yyjson_mut_obj_add_int(doc, o, "height", e->height);
    } else {
        yyjson_mut_obj_add_null(doc, o, "width");
        yyjson_mut_obj_add_null(doc, o, "height");
    }
    add_classes(doc, o, e->class_count, e->vehicle_class);
    yyjson_mut_obj_add_bool(doc, o, "quantised", e->quantised);
    yyjson_mut_obj_add_bool(doc, o, "accepted", e->accepted);
    gtv_json_add_text(doc, o, "reason", e->why);
    gtv_json_add_text(doc, o, "licence", e->licence);
    gtv_json_add_text(doc, o, "source", e->source);
}

void gtv_ai_handle_models(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    struct gtv_ai_models *m = ai->models;
    refresh_list(m);
    struct gtv_detector *d = gtv_engine_detector(ai->engine);
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    add_detector(m, doc, o, d);
    gtv_json_add_text(doc, o, "wanted_model", m->now.model);
    yyjson_mut_obj_add_strcpy(doc, o, "wanted_precision", m->now.precision);
    yyjson_mut_obj_add_bool(doc, o, "loading", m->loading);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "models");
    const char *path = gtv_detector_path(d), *slash = strrchr(path, '/');
    for (size_t i = 0; i < m->list_count; i++) {
        struct gtv_catalogue_entry *e = &m->list[i];
        // The plates' networks are in use where the plates' part has them.
        bool in_use = gtv_detector_model(d) && strcmp(e->file, slash ? slash + 1 : path) == 0;
        for (int head = 0; head < GTV_PLATE_HEADS; head++) {
            const struct gtv_plate_model *plate = gtv_plates_model(ai->plates, (enum gtv_plate_head)head);
            in_use = in_use || (plate && strcmp(plate->name, e->name) == 0);
        }
        add_entry(doc, list, e, in_use);
    }
    gtv_detector_unref(d);
    gtv_reply_json(req, 200, doc);
}

// ---- The reload ----

static void set_loaded(struct gtv_ai *ai, struct gtv_detector *d, int64_t value)
{
    const struct gtv_model *model = gtv_detector_model(d);
    char labels[160];
    snprintf(labels, sizeof(labels), "model=\"%s\",device=\"%s\"", model ? model->name : "",
             gtv_detector_device(d));
    gtv_gauge_set(
        gtv_metrics_gauge(ai->pages.metrics, "gtv_ai_model_loaded", labels, "1 when a network is loaded."),
        value);
}

static void swap(struct gtv_ai_models *m)
{
    struct gtv_ai *ai = m->ai;
    struct gtv_detector *old = gtv_engine_detector(ai->engine);
    set_loaded(ai, old, 0);
    gtv_detector_unref(old);
    gtv_engine_swap(ai->engine, m->loaded);
    set_loaded(ai, m->loaded, 1);
    m->now = m->wanted;
    log_loaded(ai, m->loaded, m->workers, m->load_ms);
    gtv_watcher_set_confidence(ai->watcher, gtv_ai_camera_confidence(ai));
    if (m->plates_ok)
        gtv_plates_swap(ai->plates, m->plates);
    else if (m->plates)
        gtv_log_warn(&ai->log, "the networks that read plates stay as they were", "cause=\"%s\"",
                     gtv_plates_message(m->plates));
}

// Of the networks that are in use from now on; why, where those that are on disk were not taken.
static void add_plates(struct gtv_ai_models *m, yyjson_mut_doc *doc, yyjson_mut_val *root)
{
    struct gtv_plates *plates = m->ai->plates;
    yyjson_mut_val *o = yyjson_mut_obj_add_obj(doc, root, "plates");
    yyjson_mut_obj_add_bool(doc, o, "reloaded", m->plates_ok);
    yyjson_mut_val *list = yyjson_mut_obj_add_arr(doc, o, "models");
    for (int head = 0; head < GTV_PLATE_HEADS; head++) {
        const struct gtv_plate_model *model = gtv_plates_model(plates, (enum gtv_plate_head)head);
        if (model)
            yyjson_mut_arr_add_strcpy(doc, list, model->name);
    }
    gtv_json_add_text(doc, o, "message", gtv_plates_message(m->plates && !m->plates_ok ? m->plates : plates));
}

static void answer(struct gtv_ai_models *m, struct gtv_http_request *req)
{
    if (!gtv_detector_model(m->loaded)) {
        struct gtv_error err = {0};
        gtv_error_set(&err, GTV_E_INVALID, "model", "%s", gtv_detector_message(m->loaded));
        gtv_reply_invalid(req, &err);
        return;
    }
    yyjson_mut_val *o;
    yyjson_mut_doc *doc = gtv_json_object(&o);
    add_detector(m, doc, o, m->loaded);
    yyjson_mut_obj_add_real(doc, o, "load_ms", (double)(int64_t)m->load_ms);
    add_plates(m, doc, o);
    gtv_reply_json(req, 200, doc);
}

// Back on the loop.
static void finish_reload(void *arg)
{
    struct gtv_ai_models *m = arg;
    struct gtv_http_request *req = m->req;
    m->req = NULL;
    if (!m->joined)
        (void)pthread_join(m->thread, NULL);
    m->joined = true;
    m->loading = false;
    m->listed_ms = 0; // whoever reloads has often just changed the folder
    if (req)
        gtv_http_on_close(req, NULL, NULL);
    if (!m->stopping && gtv_detector_model(m->loaded))
        swap(m);
    else if (!m->stopping)
        gtv_log_warn(&m->ai->log, "the reload failed, and the old network goes on", "cause=\"%s\"",
                     gtv_detector_message(m->loaded));
    if (req && m->stopping)
        gtv_reply_error(req, GTV_E_UNAVAILABLE, NULL, "The service is stopping");
    else if (req)
        answer(m, req);
    gtv_detector_unref(m->loaded);
    m->loaded = NULL;
    gtv_plates_destroy(m->plates); // after a swap those of before; reads in progress keep them
    m->plates = NULL;
    m->plates_ok = false;
}

static void *run_reload(void *arg)
{
    struct gtv_ai_models *m = arg;
    (void)pthread_setname_np(pthread_self(), "ai-reload");
    int64_t start = gtv_mono_ns();
    m->loaded = load(m, &m->wanted);
    if (gtv_detector_model(m->loaded) && m->ai->settings->lpr_enabled) {
        m->plates = gtv_ai_models_plates(m->ai, m->workers);
        m->plates_ok = gtv_plates_load(m->plates);
    }
    m->load_ms = (double)(gtv_mono_ns() - start) / 1e6;
    // The loop's queue is only full for a moment.
    while (!gtv_loop_post(m->ai->loop, finish_reload, m)) {
        struct timespec moment = {.tv_nsec = 1000000};
        (void)nanosleep(&moment, NULL);
    }
    return NULL;
}

static void on_gone(void *arg, bool complete)
{
    (void)complete;
    ((struct gtv_ai_models *)arg)->req = NULL; // the reload goes on: what was asked for is done
}

// A name in MODELS_DIR, or what YOLO_MODEL says: a client names no other places of this machine.
static bool check_model(const struct gtv_ai_models *m, struct gtv_str name, struct gtv_error *err)
{
    const char *own = m->ai->settings->yolo_model;
    if ((own && gtv_str_eq(name, gtv_str_of(own))) ||
        (name.n < NAME_CAP && gtv_str_find(name, '/') < 0 && gtv_str_find(name, '\0') < 0))
        return true;
    gtv_error_set(err, GTV_E_INVALID, "model",
                  "model must be the name of a network or a file in MODELS_DIR, or YOLO_MODEL as it is set");
    return false;
}

static bool parse_reload(struct gtv_ai_models *m, struct gtv_str body, struct gtv_error *err)
{
    m->wanted = m->now;
    if (gtv_str_trim(body).n == 0)
        return true;
    yyjson_doc *doc = gtv_json_parse(body, err);
    yyjson_val *root = yyjson_doc_get_root(doc);
    struct gtv_str model = {0}, precision = {0};
    bool ok = doc != NULL;
    if (ok && !yyjson_is_obj(root)) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "The body must be a JSON object");
        ok = false;
    }
    ok = ok && gtv_json_get_str(root, "model", GTV_JSON_OPTIONAL, &model, err) &&
         gtv_json_get_str(root, "precision", GTV_JSON_OPTIONAL, &precision, err) &&
         (!model.p || check_model(m, model, err));
    if (ok && model.p)
        ok = gtv_str_copy(m->wanted.model, sizeof(m->wanted.model), model);
    if (ok && precision.p &&
        !(gtv_str_eq(precision, GTV_STR("auto")) || gtv_str_eq(precision, GTV_STR("int8")) ||
          gtv_str_eq(precision, GTV_STR("bf16")) || gtv_str_eq(precision, GTV_STR("f32")))) {
        gtv_error_set(err, GTV_E_INVALID, "precision", "precision must be auto, int8, bf16 or f32");
        ok = false;
    }
    if (ok && precision.p)
        ok = gtv_str_copy(m->wanted.precision, sizeof(m->wanted.precision), precision);
    yyjson_doc_free(doc);
    return ok;
}

void gtv_ai_handle_reload(struct gtv_http_request *req, void *user)
{
    struct gtv_ai *ai = user;
    struct gtv_ai_models *m = ai->models;
    struct gtv_error err = {0};
    if (m->loading) {
        gtv_reply_error(req, GTV_E_CONFLICT, NULL, "A reload is in progress");
        return;
    }
    if (m->stopping || !ai->engine) {
        gtv_reply_error(req, GTV_E_UNAVAILABLE, NULL, "The service is stopping");
        return;
    }
    if (!parse_reload(m, gtv_http_body(req), &err)) {
        gtv_reply_invalid(req, &err);
        return;
    }
    m->loading = true;
    m->req = req;
    if (pthread_create(&m->thread, NULL, run_reload, m) != 0) {
        m->loading = false;
        m->req = NULL;
        gtv_reply_error(req, GTV_E_UNAVAILABLE, NULL, "No thread could be started for the reload");
        return;
    }
    m->joined = false;
    gtv_http_on_close(req, on_gone, m);
}
