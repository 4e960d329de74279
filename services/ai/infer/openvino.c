// infer.h over OpenVINO's C API. Its headers are included here only: they define names such as OK, RGB and
// CONSTANT.
#include "services/ai/infer/infer.h"

#include "lib/base/mem.h"

#include <openvino/c/openvino.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct gtv_infer {
    ov_core_t *core;
    char version[64];
    bool gpu;
};

struct slot {
    ov_infer_request_t *request;
    ov_tensor_t *input;
    uint8_t *pixels;
    struct gtv_tensor outputs[GTV_INFER_MAX_OUTPUTS];
};

struct gtv_infer_model {
    ov_compiled_model_t *compiled;
    char names[GTV_INFER_MAX_OUTPUTS][GTV_INFER_NAME_CAP]; // empty: by index
    size_t output_count;
    size_t slot_count;
    struct slot *slots;
};

// The library's message is global to the process and often many lines long: its last meaningful line goes
// into *err.
static bool fail(struct gtv_error *err, ov_status_e status, const char *what)
{
    const char *raw = ov_get_last_err_msg();
    const char *line = NULL;
    size_t n = 0;
    for (const char *p = raw; p && *p;) {
        size_t len = strcspn(p, "\n");
        if (len > 3 && strncmp(p, "Exception from", 14) != 0) {
            line = p;
            n = len;
        }
        p += len + (p[len] == '\n');
    }
    if (n > 160)
        n = 160;
    if (line)
        gtv_error_set(err, GTV_E_INTERNAL, NULL, "%s: %.*s", what, (int)n, line);
    else
        gtv_error_set(err, GTV_E_INTERNAL, NULL, "%s: %s", what, ov_get_error_info(status));
    ov_free(raw);
    return false;
}

static bool gpu_listed(ov_core_t *core)
{
    ov_available_devices_t devices = {0};
    if (ov_core_get_available_devices(core, &devices) != OK)
        return false;
    bool found = false;
    for (size_t i = 0; i < devices.size; i++)
        found = found || strncmp(devices.devices[i], "GPU", 3) == 0;
    ov_available_devices_free(&devices);
    return found;
}

struct gtv_infer *gtv_infer_create(const char *cache_dir, struct gtv_error *err)
{
    struct gtv_infer *rt = GTV_NEW(struct gtv_infer);
    ov_status_e status = ov_core_create(&rt->core);
    if (status != OK) {
        fail(err, status, "the OpenVINO runtime cannot start");
        free(rt);
        return NULL;
    }
    ov_version_t version = {0};
    if (ov_get_openvino_version(&version) == OK) {
        snprintf(rt->version, sizeof(rt->version), "OpenVINO %s", version.buildNumber);
        ov_version_free(&version);
    }
    if (cache_dir && (mkdir(cache_dir, 0777) == 0 || access(cache_dir, W_OK) == 0))
        (void)ov_core_set_property(rt->core, NULL, ov_property_key_cache_dir, cache_dir);
    rt->gpu = gpu_listed(rt->core);
    return rt;
}

void gtv_infer_destroy(struct gtv_infer *rt)
{
    if (!rt)
        return;
    ov_core_free(rt->core);
    free(rt);
}

bool gtv_infer_has_gpu(struct gtv_infer *rt)
{
    return rt->gpu;
}

const char *gtv_infer_version(const struct gtv_infer *rt)
{
    return rt->version;
}

// ---- Building the graph ----

// First failure wins; the calls after it are skipped.
#define STEP(call)                                                                                           \
    do {                                                                                                     \
        if (status == OK)                                                                                    \
            status = (call);                                                                                 \
    } while (0)

// An open size (batch, or height and width) is fixed to one picture of the spec's size.
static ov_status_e fix_shape(ov_model_t *model, const struct gtv_infer_input *in)
{
    if (!ov_model_is_dynamic(model))
        return OK;
    const int64_t nchw[4] = {1, 3, in->height, in->width};
    const int64_t nhwc[4] = {1, in->height, in->width, 3};
    ov_partial_shape_t shape = {0};
    ov_status_e status = ov_partial_shape_create_static(4, in->nhwc ? nhwc : nchw, &shape);
    STEP(ov_model_reshape_single_input(model, shape));
    ov_partial_shape_free(&shape);
    return status;
}

static ov_status_e set_layout_of_tensor(ov_preprocess_input_tensor_info_t *tensor)
{
    ov_layout_t *layout = NULL;
    ov_status_e status = ov_layout_create("NHWC", &layout);
    STEP(ov_preprocess_input_tensor_info_set_layout(tensor, layout));
    ov_layout_free(layout);
    return status;
}

static ov_status_e set_layout_of_model(ov_preprocess_input_info_t *input, bool nhwc)
{
    ov_preprocess_input_model_info_t *info = NULL;
    ov_layout_t *layout = NULL;
    ov_status_e status = ov_preprocess_input_info_get_model_info(input, &info);
    STEP(ov_layout_create(nhwc ? "NHWC" : "NCHW", &layout));
    STEP(ov_preprocess_input_model_info_set_layout(info, layout));
    ov_layout_free(layout);
    ov_preprocess_input_model_info_free(info);
    return status;
}

// From bytes to what the network was trained on. The scale is folded into mean and deviation: (v -
// mean/scale) / (deviation/scale).
static ov_status_e add_steps(ov_preprocess_input_info_t *input, const struct gtv_infer_input *in)
{
    ov_preprocess_preprocess_steps_t *steps = NULL;
    ov_status_e status = ov_preprocess_input_info_get_preprocess_steps(input, &steps);
    if (!in->u8)
        STEP(ov_preprocess_preprocess_steps_convert_element_type(steps, F32));
    if (in->bgr)
        STEP(ov_preprocess_preprocess_steps_convert_color(steps, BGR));
    if (!in->u8) {
        float mean[3], deviation[3];
        bool shift = false, stretch = false;
        for (int c = 0; c < 3; c++) {
            mean[c] = (float)(in->mean[c] / in->scale);
            deviation[c] = (float)(in->deviation[c] / in->scale);
            shift = shift || mean[c] != 0.0F;
            stretch = stretch || deviation[c] != 1.0F;
        }
        if (shift)
            STEP(ov_preprocess_preprocess_steps_mean_multi_channels(steps, mean, 3));
        if (stretch)
            STEP(ov_preprocess_preprocess_steps_scale_multi_channels(steps, deviation, 3));
    }
    ov_preprocess_preprocess_steps_free(steps);
    return status;
}

static ov_status_e describe_input(ov_preprocess_prepostprocessor_t *pre, const struct gtv_infer_input *in)
{
    ov_preprocess_input_info_t *input = NULL;
    ov_preprocess_input_tensor_info_t *tensor = NULL;
    ov_status_e status = ov_preprocess_prepostprocessor_get_input_info(pre, &input);
    STEP(ov_preprocess_input_info_get_tensor_info(input, &tensor));
    STEP(ov_preprocess_input_tensor_info_set_element_type(tensor, U8));
    STEP(ov_preprocess_input_tensor_info_set_color_format(tensor, RGB));
    STEP(set_layout_of_tensor(tensor));
    STEP(set_layout_of_model(input, in->nhwc));
    STEP(add_steps(input, in));
    ov_preprocess_input_tensor_info_free(tensor);
    ov_preprocess_input_info_free(input);
    return status;
}

static ov_status_e describe_outputs(ov_preprocess_prepostprocessor_t *pre, size_t count)
{
    ov_status_e status = OK;
    for (size_t i = 0; i < count && status == OK; i++) {
        ov_preprocess_output_info_t *info = NULL;
        ov_preprocess_output_tensor_info_t *tensor = NULL;
        STEP(ov_preprocess_prepostprocessor_get_output_info_by_index(pre, i, &info));
        STEP(ov_preprocess_output_info_get_tensor_info(info, &tensor));
        STEP(ov_preprocess_output_set_element_type(tensor, F32));
        ov_preprocess_output_tensor_info_free(tensor);
        ov_preprocess_output_info_free(info);
    }
    return status;
}

// Returns a model that takes u8 NHWC RGB, or NULL.
static ov_model_t *build_graph(ov_model_t *raw, const struct gtv_infer_spec *spec, struct gtv_error *err)
{
    size_t inputs = 0, outputs = 0;
    ov_status_e status = ov_model_inputs_size(raw, &inputs);
    STEP(ov_model_outputs_size(raw, &outputs));
    if (status == OK && (inputs != 1 || outputs == 0 || outputs > GTV_INFER_MAX_OUTPUTS)) {
        gtv_error_set(err, GTV_E_INVALID, NULL,
                      "the network has %zu inputs and %zu outputs; one input and 1 to %d outputs are needed",
                      inputs, outputs, GTV_INFER_MAX_OUTPUTS);
        return NULL;
    }
    ov_preprocess_prepostprocessor_t *pre = NULL;
    ov_model_t *built = NULL;
    STEP(fix_shape(raw, &spec->input));
    STEP(ov_preprocess_prepostprocessor_create(raw, &pre));
    STEP(describe_input(pre, &spec->input));
    STEP(describe_outputs(pre, outputs));
    STEP(ov_preprocess_prepostprocessor_build(pre, &built));
    if (status != OK)
        fail(err, status, "the network does not match its description");
    if (pre)
        ov_preprocess_prepostprocessor_free(pre);
    return built;
}

// ---- Slots ----

static bool open_slot(struct gtv_infer_model *m, struct slot *s, const struct gtv_infer_input *in,
                      struct gtv_error *err)
{
    ov_status_e status = ov_compiled_model_create_infer_request(m->compiled, &s->request);
    STEP(ov_infer_request_get_input_tensor(s->request, &s->input));
    size_t bytes = 0;
    STEP(ov_tensor_get_byte_size(s->input, &bytes));
    void *data = NULL;
    STEP(ov_tensor_data(s->input, &data));
    if (status != OK)
        return fail(err, status, "no inference request could be made");
    if (bytes != (size_t)in->width * (size_t)in->height * 3) {
        gtv_error_set(err, GTV_E_INVALID, NULL,
                      "the network's input holds %zu bytes, but its description says %dx%d", bytes, in->width,
                      in->height);
        return false;
    }
    s->pixels = data;
    return true;
}

static bool read_output(struct gtv_infer_model *m, struct slot *s, size_t i, struct gtv_error *err)
{
    struct gtv_tensor *out = &s->outputs[i];
    ov_tensor_t *tensor = NULL;
    ov_shape_t shape = {0};
    void *data = NULL;
    ov_status_e status = m->names[i][0] ? ov_infer_request_get_tensor(s->request, m->names[i], &tensor)
                                        : ov_infer_request_get_output_tensor_by_index(s->request, i, &tensor);
    STEP(ov_tensor_get_shape(tensor, &shape));
    STEP(ov_tensor_get_size(tensor, &out->count));
    STEP(ov_tensor_data(tensor, &data));
    if (status != OK) {
        char what[GTV_INFER_NAME_CAP + 32];
        snprintf(what, sizeof(what), "output %zu (%s) cannot be read", i, m->names[i]);
        fail(err, status, what);
    } else {
        out->data = data;
        out->rank = shape.rank > GTV_INFER_MAX_DIMS
                        ? 0
                        : (size_t)shape.rank; // 0: more dimensions than any head knows
        for (size_t d = 0; d < out->rank; d++)
            out->dims[d] = (size_t)shape.dims[d];
    }
    if (shape.dims)
        ov_shape_free(&shape);
    if (tensor)
        ov_tensor_free(tensor); // the request keeps the memory
    return status == OK;
}

static bool compile(struct gtv_infer *rt, struct gtv_infer_model *m, const ov_model_t *graph,
                    const struct gtv_infer_spec *spec, struct gtv_error *err)
{
    char count[24];
    snprintf(count, sizeof(count), "%zu", spec->slots);
    ov_property_t properties[5];
    size_t n = 0;
    properties[n++] = (ov_property_t){ov_property_key_num_streams, count};
    if (!spec->gpu) {
        properties[n++] = (ov_property_t){ov_property_key_inference_num_threads, count};
        // Pinned threads fight with whatever else the machine runs on the same cores.
        properties[n++] = (ov_property_t){ov_property_key_hint_enable_cpu_pinning, "NO"};
    }
    if (strcmp(spec->precision, "auto") != 0)
        properties[n++] = (ov_property_t){ov_property_key_hint_inference_precision, spec->precision};
    ov_status_e status =
        ov_core_compile_model_props(rt->core, graph, spec->gpu ? "GPU" : "CPU", n, properties, &m->compiled);
    return status == OK || fail(err, status, "the network cannot be compiled");
}

struct gtv_infer_model *gtv_infer_load(struct gtv_infer *rt, const struct gtv_infer_spec *spec,
                                       struct gtv_error *err)
{
    ov_model_t *raw = NULL, *graph = NULL;
    ov_status_e status = ov_core_read_model(rt->core, spec->path, NULL, &raw);
    if (status != OK) {
        fail(err, status, "the network's file cannot be read");
        return NULL;
    }
    struct gtv_infer_model *m = GTV_NEW(struct gtv_infer_model);
    graph = build_graph(raw, spec, err);
    if (!graph || !compile(rt, m, graph, spec, err))
        goto fail_model;
    size_t outputs = 0;
    if (ov_compiled_model_outputs_size(m->compiled, &outputs) != OK || spec->output_count > outputs) {
        gtv_error_set(err, GTV_E_INVALID, NULL, "the network has %zu outputs, its description names %zu",
                      outputs, spec->output_count);
        goto fail_model;
    }
    m->output_count = spec->output_count ? spec->output_count : outputs;
    for (size_t i = 0; i < spec->output_count; i++)
        memcpy(m->names[i], spec->outputs[i], sizeof(m->names[i]));
    m->slots = gtv_alloc(spec->slots * sizeof(*m->slots));
    for (m->slot_count = 0; m->slot_count < spec->slots;) {
        // Counted before it is opened, so that a half-open one is released too.
        if (!open_slot(m, &m->slots[m->slot_count++], &spec->input, err))
            goto fail_model;
    }
    // One run now: names that do not exist, and whatever else fails late, are told at start and not to the
    // first client.
    memset(m->slots[0].pixels, 0, (size_t)spec->input.width * (size_t)spec->input.height * 3);
    if (!gtv_infer_run(m, 0, err))
        goto fail_model;
    ov_model_free(graph);
    ov_model_free(raw);
    return m;

fail_model:
    if (graph)
        ov_model_free(graph);
    ov_model_free(raw);
    gtv_infer_unload(m);
    return NULL;
}

void gtv_infer_unload(struct gtv_infer_model *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->slot_count; i++) {
        if (m->slots[i].input)
            ov_tensor_free(m->slots[i].input);
        if (m->slots[i].request)
            ov_infer_request_free(m->slots[i].request);
    }
    free(m->slots);
    if (m->compiled)
        ov_compiled_model_free(m->compiled);
    free(m);
}

uint8_t *gtv_infer_pixels(struct gtv_infer_model *m, size_t slot)
{
    return m->slots[slot].pixels;
}

bool gtv_infer_run(struct gtv_infer_model *m, size_t slot, struct gtv_error *err)
{
    struct slot *s = &m->slots[slot];
    ov_status_e status = ov_infer_request_infer(s->request);
    if (status != OK)
        return fail(err, status, "the inference failed");
    for (size_t i = 0; i < m->output_count; i++) {
        if (!read_output(m, s, i, err))
            return false;
    }
    return true;
}

size_t gtv_infer_output_count(const struct gtv_infer_model *m)
{
    return m->output_count;
}

const struct gtv_tensor *gtv_infer_output(const struct gtv_infer_model *m, size_t slot, size_t i)
{
    return &m->slots[slot].outputs[i];
}
