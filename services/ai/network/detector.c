#include "services/ai/network/detector.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/ai/network/catalogue.h"
#include "services/ai/network/head.h"
#include "services/ai/network/recognise.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct gtv_detector {
    atomic_size_t refs;
    struct gtv_infer *runtime;
    struct gtv_infer_model *network;
    struct gtv_model model;
    struct gtv_box **boxes; // scratch of each slot, one for every cell
    size_t slots, batch;
    bool on_gpu, int8;
    char path[GTV_MODEL_PATH_CAP]; // of the weights that run
    char precision[8];
    char message[512]; // empty when all is well
    char note[256];
};

// ---- Loading ----

// Asks the file for what its description leaves open.
static bool recognise(struct gtv_detector *d, const struct gtv_detector_config *config, struct gtv_error *err)
{
    struct gtv_model *m = &d->model;
    struct gtv_metadata meta;
    gtv_metadata_read(m->path, &meta);
    // Where the exporter left a square open, cameras of 16:9 need no more than this of it.
    int width = config->input_width ? config->input_width : meta.width;
    int height = config->input_height        ? config->input_height
                 : meta.width == meta.height ? (meta.height * 9 / 16 + 31) / 32 * 32
                                             : meta.height;
    struct gtv_infer_facts *facts = GTV_NEW(struct gtv_infer_facts);
    bool ok = gtv_infer_describe(d->runtime, m->path, 0, 0, facts, err) &&
              gtv_recognise_input(m, facts, width, height, err) &&
              gtv_infer_describe(d->runtime, m->path, m->input.width, m->input.height, facts, err) &&
              gtv_recognise_head(m, facts, &meta, err);
    free(facts);
    return ok;
}

static void outputs_of(const struct gtv_detector *d, size_t slot,
                       struct gtv_tensor views[GTV_INFER_MAX_OUTPUTS],
                       const struct gtv_tensor *out[GTV_INFER_MAX_OUTPUTS], size_t picture)
{
    size_t step = gtv_infer_step(d->network);
    for (size_t i = 0; i < gtv_infer_output_count(d->network); i++) {
        views[i] = *gtv_infer_output(d->network, slot, i);
        views[i].count /= step;
        views[i].data += views[i].count * picture;
        if (step > 1 && views[i].rank > 0)
            views[i].dims[0] /= step;
        out[i] = &views[i];
    }
}

static bool load_as(struct gtv_detector *d, const struct gtv_detector_config *config, const char *path,
                    const char *precision, struct gtv_error *err)
{
    struct gtv_infer_spec spec = {
        .path = path,
        .input = d->model.input,
        .outputs = d->model.outputs,
        .output_count = d->model.output_count,
        .slots = config->slots,
        .batch = d->batch,
        .precision = precision,
        .gpu = d->on_gpu,
    };
    snprintf(d->path, sizeof(d->path), "%s", path);
    d->network = gtv_infer_load(d->runtime, &spec, err);
    if (!d->network)
        return false;
    struct gtv_tensor views[GTV_INFER_MAX_OUTPUTS];
    const struct gtv_tensor *outputs[GTV_INFER_MAX_OUTPUTS];
    // Loading has run slot 0 once, so that its outputs have their sizes.
    outputs_of(d, 0, views, outputs, 0);
    if (gtv_head_check(&d->model, outputs, gtv_infer_output_count(d->network), err))
        return true;
    gtv_infer_unload(d->network);
    d->network = NULL;
    return false;
}

// What floats are computed with where nobody asked for something else.
static const char *best_floats(const struct gtv_detector *d)
{
    if (d->on_gpu)
        return "auto";
    return gtv_infer_has_bf16(d->runtime) ? "bf16" : "f32";
}

// The accepted int8 version, if precision allows for it. True when it is loaded.
static bool load_int8(struct gtv_detector *d, const struct gtv_detector_config *config, struct gtv_error *err)
{
    bool asked = strcmp(config->precision, "int8") == 0;
    if (!asked && strcmp(config->precision, "auto") != 0)
        return false;
    struct gtv_quantised *q = GTV_NEW(struct gtv_quantised);
    struct gtv_error cause = {0};
    gtv_quantised_find(&d->model, q);
    bool ok = q->accepted && load_as(d, config, q->path, best_floats(d), &cause);
    if (!ok && (q->there || asked)) {
        const char *why = q->accepted ? cause.message : q->why;
        if (asked)
            gtv_error_set(err, GTV_E_UNAVAILABLE, "AI_PRECISION", "AI_PRECISION=int8 is not possible: %s",
                          why);
        else if (!d->note[0])
            snprintf(d->note, sizeof(d->note), "the int8 version of %s is passed over: %.180s", d->model.name,
                     why);
    }
    free(q);
    return ok;
}

static bool load_network(struct gtv_detector *d, const struct gtv_detector_config *config,
                         struct gtv_error *err)
{
    if (d->model.int8) {
        d->int8 = true;
        return load_as(d, config, d->model.path, best_floats(d), err);
    }
    d->int8 = load_int8(d, config, err);
    if (d->int8 || err->code)
        return d->int8;
    bool named = strcmp(config->precision, "f32") == 0 || strcmp(config->precision, "bf16") == 0;
    return load_as(d, config, d->model.path, named ? config->precision : best_floats(d), err);
}

static bool load(struct gtv_detector *d, const struct gtv_detector_config *config, struct gtv_error *err)
{
    if (!gtv_model_find(config->models_dir, config->yolo_model, &d->model, err))
        return false;
    struct gtv_error cause = {0};
    bool ok =
        (gtv_model_complete(&d->model) || recognise(d, config, &cause)) && load_network(d, config, &cause);
    if (ok) {
        snprintf(d->precision, sizeof(d->precision), "%s",
                 d->int8 ? "int8" : gtv_infer_precision(d->network));
        return true;
    }
    const char *slash = strrchr(d->model.path, '/');
    gtv_error_set(err, GTV_E_UNAVAILABLE, cause.field[0] ? cause.field : NULL,
                  "The network %.80s cannot be used: %s", slash ? slash + 1 : d->model.path, cause.message);
    return false;
}

struct gtv_detector *gtv_detector_create(const struct gtv_detector_config *config)
{
    struct gtv_detector *d = GTV_NEW(struct gtv_detector);
    struct gtv_error err = {0};
    atomic_init(&d->refs, 1);
    d->runtime = config->runtime;
    d->batch = config->batch ? config->batch : 1;
    d->on_gpu = config->want_gpu && d->runtime && gtv_infer_has_gpu(d->runtime);
    if (config->want_gpu && d->runtime && !d->on_gpu)
        snprintf(d->note, sizeof(d->note),
                 "ENABLE_GPU is true, but OpenVINO finds no GPU here: the CPU is used");
    if (!d->runtime)
        gtv_error_set(&err, GTV_E_UNAVAILABLE, NULL, "%s", config->runtime_error);
    if (d->runtime && load(d, config, &err)) {
        d->slots = config->slots;
        d->boxes = gtv_alloc(d->slots * sizeof(struct gtv_box *));
        for (size_t i = 0; i < d->slots; i++)
            d->boxes[i] = gtv_alloc(gtv_head_cells(&d->model) * sizeof(struct gtv_box));
        return d;
    }
    gtv_infer_unload(d->network);
    d->network = NULL;
    snprintf(d->message, sizeof(d->message), "%s", err.message);
    return d;
}

struct gtv_detector *gtv_detector_ref(struct gtv_detector *d)
{
    atomic_fetch_add(&d->refs, 1);
    return d;
}

void gtv_detector_unref(struct gtv_detector *d)
{
    if (!d || atomic_fetch_sub(&d->refs, 1) != 1)
        return;
    for (size_t i = 0; i < d->slots; i++)
        free(d->boxes[i]);
    free(d->boxes);
    gtv_infer_unload(d->network);
    free(d);
}

const struct gtv_model *gtv_detector_model(const struct gtv_detector *d)
{
    return d->network ? &d->model : NULL;
}

const char *gtv_detector_message(const struct gtv_detector *d)
{
    return d->message[0] ? d->message : NULL;
}

const char *gtv_detector_path(const struct gtv_detector *d)
{
    return d->network ? d->path : "";
}

const char *gtv_detector_note(const struct gtv_detector *d)
{
    return d->note[0] ? d->note : NULL;
}

const char *gtv_detector_device(const struct gtv_detector *d)
{
    return d->on_gpu ? "GPU" : "CPU";
}

const char *gtv_detector_precision(const struct gtv_detector *d)
{
    return d->precision;
}

size_t gtv_detector_step(const struct gtv_detector *d)
{
    return d->network ? gtv_infer_step(d->network) : 1;
}

uint8_t *gtv_detector_pixels(struct gtv_detector *d, size_t slot, size_t picture)
{
    return gtv_infer_picture(d->network, slot, picture);
}

static void to_object(const struct gtv_geometry *g, struct gtv_box *box, struct gtv_detected *out)
{
    gtv_geometry_back(g, box->at);
    snprintf(out->object_type, sizeof(out->object_type), "%s", gtv_vehicle_names[box->vehicle]);
    out->confidence = fmin(1, (double)box->score);
    // Rounded outwards to whole pixels of the picture.
    out->x = (int)floorf(box->at[0]);
    out->y = (int)floorf(box->at[1]);
    out->w = (int)ceilf(box->at[2]) - out->x;
    out->h = (int)ceilf(box->at[3]) - out->y;
}

static void read_picture(struct gtv_detector *d, size_t slot, size_t picture,
                         const struct gtv_detector_input *in, struct gtv_detections *out)
{
    struct gtv_tensor views[GTV_INFER_MAX_OUTPUTS];
    const struct gtv_tensor *outputs[GTV_INFER_MAX_OUTPUTS];
    outputs_of(d, slot, views, outputs, picture);
    struct gtv_box *boxes = d->boxes[slot];
    out->count = 0;
    size_t n = gtv_head_decode(&d->model, outputs, (float)in->min_confidence, boxes);
    n = gtv_suppress(boxes, n, d->model.nms_threshold);
    for (size_t i = 0; i < n && out->count < GTV_MAX_OBJECTS; i++) {
        if (in->vehicles && !(in->vehicles & 1U << boxes[i].vehicle))
            continue;
        to_object(&in->at, &boxes[i], &out->objects[out->count]);
        // A box that lies in the padding alone has nothing of the picture in it.
        if (out->objects[out->count].w > 0 && out->objects[out->count].h > 0)
            out->count++;
    }
}

bool gtv_detector_run(struct gtv_detector *d, size_t slot, const struct gtv_detector_input *inputs,
                      size_t count, struct gtv_detections *out, double *infer_ms, struct gtv_error *err)
{
    int64_t start = gtv_mono_ns();
    if (!gtv_infer_run_pictures(d->network, slot, count, err))
        return false;
    *infer_ms = (double)(gtv_mono_ns() - start) / 1e6;
    for (size_t i = 0; i < count; i++)
        read_picture(d, slot, i, &inputs[i], &out[i]);
    return true;
}
