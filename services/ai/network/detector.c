#include "services/ai/network/detector.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/ai/network/head.h"

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
    size_t slots;
    bool on_gpu;
    char precision[8];
    char message[512]; // empty when all is well
};

static void outputs_of(const struct gtv_detector *d, size_t slot,
                       const struct gtv_tensor *out[GTV_INFER_MAX_OUTPUTS])
{
    for (size_t i = 0; i < gtv_infer_output_count(d->network); i++)
        out[i] = gtv_infer_output(d->network, slot, i);
}

static bool load(struct gtv_detector *d, const struct gtv_detector_config *config, struct gtv_error *err)
{
    if (!gtv_model_find(config->models_dir, config->yolo_model, &d->model, err))
        return false;
    struct gtv_infer_spec spec = {
        .path = d->model.path,
        .input = d->model.input,
        .outputs = d->model.outputs,
        .output_count = d->model.output_count,
        .slots = config->slots,
        .precision = config->precision,
        .gpu = d->on_gpu,
    };
    struct gtv_error cause = {0};
    d->network = gtv_infer_load(d->runtime, &spec, &cause);
    const struct gtv_tensor *outputs[GTV_INFER_MAX_OUTPUTS];
    bool ok = d->network != NULL;
    if (ok) {
        // Loading has run slot 0 once, so that its outputs have their sizes.
        outputs_of(d, 0, outputs);
        ok = gtv_head_check(&d->model, outputs, gtv_infer_output_count(d->network), &cause);
    }
    if (!ok)
        gtv_error_set(err, GTV_E_UNAVAILABLE, NULL, "The network %s cannot be used: %s", d->model.path,
                      cause.message);
    return ok;
}

struct gtv_detector *gtv_detector_create(const struct gtv_detector_config *config)
{
    struct gtv_detector *d = GTV_NEW(struct gtv_detector);
    struct gtv_error err = {0};
    atomic_init(&d->refs, 1);
    d->runtime = config->runtime;
    snprintf(d->precision, sizeof(d->precision), "%s", config->precision);
    d->on_gpu = config->want_gpu && d->runtime && gtv_infer_has_gpu(d->runtime);
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

const char *gtv_detector_device(const struct gtv_detector *d)
{
    return d->on_gpu ? "GPU" : "CPU";
}

const char *gtv_detector_precision(const struct gtv_detector *d)
{
    return d->precision;
}

size_t gtv_detector_batch(const struct gtv_detector *d)
{
    (void)d;
    return 1;
}

uint8_t *gtv_detector_pixels(struct gtv_detector *d, size_t slot, size_t picture)
{
    (void)picture;
    return gtv_infer_pixels(d->network, slot);
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

static void read_picture(struct gtv_detector *d, size_t slot, const struct gtv_detector_input *in,
                         struct gtv_detections *out)
{
    const struct gtv_tensor *outputs[GTV_INFER_MAX_OUTPUTS];
    outputs_of(d, slot, outputs);
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
    if (!gtv_infer_run(d->network, slot, err))
        return false;
    *infer_ms = (double)(gtv_mono_ns() - start) / 1e6;
    for (size_t i = 0; i < count; i++)
        read_picture(d, slot, &inputs[i], &out[i]);
    return true;
}
