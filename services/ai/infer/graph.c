#include "services/ai/infer/graph.h"

#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool gtv_graph_fail(struct gtv_error *err, ov_status_e status, const char *what)
{
    const char *raw = ov_get_last_err_msg();
    const char *line = NULL;
    size_t n = 0;
    for (const char *p = raw; p && *p;) {
        size_t len = strcspn(p, "\n");
        if (len > 3 && strncmp(p, "Exception from", 14) != 0) {
            size_t dashes = strspn(p, "- ");
            line = p + dashes;
            n = len - dashes;
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

// ---- Reading ----

bool gtv_graph_weights_there(const char *path, struct gtv_error *err)
{
    struct gtv_str s = gtv_str_of(path);
    if (!gtv_str_ends(s, GTV_STR(".xml")))
        return true;
    char *bin = gtv_asprintf("%.*s.bin", (int)(s.n - 4), path);
    bool there = access(bin, R_OK) == 0;
    if (!there)
        gtv_error_set(err, GTV_E_INVALID, NULL,
                      "its weights are not there: an .xml needs the .bin of the same name beside it");
    free(bin);
    return there;
}

ov_model_t *gtv_graph_read(ov_core_t *core, const char *path, struct gtv_error *err)
{
    if (!gtv_graph_weights_there(path, err))
        return NULL;
    ov_model_t *model = NULL;
    ov_status_e status = ov_core_read_model(core, path, NULL, &model);
    if (status != OK) {
        gtv_graph_fail(err, status, "the network's file cannot be read");
        // The library then lists what it could have read.
        if (err && strstr(err->message, "Unable to read the model"))
            gtv_error_set(err, GTV_E_INVALID, NULL,
                          "it is neither an ONNX nor an OpenVINO IR file, or it is damaged or cut short");
    }
    return model;
}

// ---- Building ----

static void port_facts(const ov_output_const_port_t *port, struct gtv_infer_tensor_facts *out)
{
    memset(out, 0, sizeof(*out));
    char *name = NULL;
    if (ov_port_get_any_name(port, &name) == OK && name)
        snprintf(out->name, sizeof(out->name), "%s", name);
    ov_free(name);
    ov_element_type_e type = DYNAMIC;
    if (ov_port_get_element_type(port, &type) == OK)
        out->u8 = type == U8;
    ov_partial_shape_t shape = {0};
    if (ov_port_get_partial_shape(port, &shape) == OK) {
        if (shape.rank.min == shape.rank.max && shape.rank.max <= GTV_INFER_MAX_DIMS)
            out->rank = (size_t)shape.rank.max;
        for (size_t i = 0; i < out->rank; i++)
            out->dims[i] = shape.dims[i].min == shape.dims[i].max ? shape.dims[i].max : -1;
        ov_partial_shape_free(&shape);
    }
}

static ov_status_e input_facts(const ov_model_t *model, struct gtv_infer_tensor_facts *out)
{
    ov_output_const_port_t *port = NULL;
    ov_status_e status = ov_model_const_input_by_index(model, 0, &port);
    if (status == OK) {
        port_facts(port, out);
        ov_output_const_port_free(port);
    }
    return status;
}

static ov_status_e set_shape(ov_model_t *model, int64_t pictures, int64_t width, int64_t least_width,
                             int64_t height, bool nhwc)
{
    ov_dimension_t n = {pictures, pictures}, h = {height, height}, w = {least_width, width}, c = {3, 3};
    const ov_dimension_t nchw_dims[4] = {n, c, h, w}, nhwc_dims[4] = {n, h, w, c};
    ov_partial_shape_t shape = {0};
    ov_status_e status = ov_partial_shape_create(4, nhwc ? nhwc_dims : nchw_dims, &shape);
    STEP(ov_model_reshape_single_input(model, shape));
    ov_partial_shape_free(&shape);
    return status;
}

// Open sizes (batch, or height and width) are fixed to what the spec says; so is a size that is another than
// the spec's where the network can be resized.
static ov_status_e fix_shape(ov_model_t *model, const struct gtv_infer_input *in, size_t pictures)
{
    struct gtv_infer_tensor_facts now;
    ov_status_e status = input_facts(model, &now);
    int y = in->nhwc ? 1 : 2, x = in->nhwc ? 2 : 3;
    bool fits = status == OK && now.rank == 4 && now.dims[0] == (int64_t)pictures &&
                now.dims[y] == in->height && now.dims[x] == in->width && now.dims[in->nhwc ? 3 : 1] == 3;
    if (fits && !in->open_width)
        return OK;
    STEP(
        set_shape(model, (int64_t)pictures, in->width, in->open_width ? 1 : in->width, in->height, in->nhwc));
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

ov_model_t *gtv_graph_build(ov_model_t *raw, const struct gtv_infer_spec *spec, size_t pictures,
                            struct gtv_error *err)
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
    STEP(fix_shape(raw, &spec->input, pictures));
    STEP(ov_preprocess_prepostprocessor_create(raw, &pre));
    STEP(describe_input(pre, &spec->input));
    STEP(describe_outputs(pre, outputs));
    STEP(ov_preprocess_prepostprocessor_build(pre, &built));
    if (status != OK)
        gtv_graph_fail(err, status, "the network does not match its description");
    if (pre)
        ov_preprocess_prepostprocessor_free(pre);
    return built;
}

// ---- Looking ----

bool gtv_graph_describe(ov_core_t *core, const char *path, int width, int height, struct gtv_infer_facts *out,
                        struct gtv_error *err)
{
    memset(out, 0, sizeof(*out));
    ov_model_t *model = gtv_graph_read(core, path, err);
    if (!model)
        return false;
    ov_status_e status = ov_model_inputs_size(model, &out->input_count);
    STEP(ov_model_outputs_size(model, &out->output_count));
    if (out->input_count > 0)
        STEP(input_facts(model, &out->input));
    if (width > 0 && height > 0 && out->input_count == 1 && out->input.rank == 4) {
        struct gtv_infer_input in = {.width = width, .height = height, .nhwc = out->input.dims[3] == 3};
        STEP(fix_shape(model, &in, 1));
        STEP(input_facts(model, &out->input));
    }
    for (size_t i = 0; i < out->output_count && i < GTV_INFER_MAX_OUTPUTS && status == OK; i++) {
        ov_output_const_port_t *port = NULL;
        status = ov_model_const_output_by_index(model, i, &port);
        if (status == OK) {
            port_facts(port, &out->outputs[i]);
            ov_output_const_port_free(port);
        }
    }
    if (status != OK)
        gtv_graph_fail(err, status, "the network cannot be examined");
    ov_model_free(model);
    return status == OK;
}
