// The graph of a network, between its file and its compilation: reading, what it says of itself, and the
// steps that let it take u8 pictures. For openvino.c only: this header brings in OpenVINO's names (OK, RGB,
// CONSTANT...). Any thread; a model belongs to its caller, who frees it with ov_model_free.
#ifndef GTV_AI_INFER_GRAPH_H
#define GTV_AI_INFER_GRAPH_H

#include "services/ai/infer/infer.h"

#include <openvino/c/openvino.h>

// First failure wins; the calls after it are skipped.
#define STEP(call)                                                                                           \
    do {                                                                                                     \
        if (status == OK)                                                                                    \
            status = (call);                                                                                 \
    } while (0)

// Puts `what` and the last meaningful line of OpenVINO's own message, which is global to the process and
// often many lines long, into *err. Returns false.
bool gtv_graph_fail(struct gtv_error *err, ov_status_e status, const char *what);

// Whether an .xml has its .bin beside it; true for any other file.
bool gtv_graph_weights_there(const char *path, struct gtv_error *err) GTV_WARN_UNUSED;
// NULL: *err says what is wrong with the file.
ov_model_t *gtv_graph_read(ov_core_t *core, const char *path, struct gtv_error *err) GTV_WARN_UNUSED;
// A model that takes `pictures` u8 NHWC RGB pictures in a run and gives floats, or NULL. Open sizes of `raw`
// are fixed on the way, also where this then fails.
ov_model_t *gtv_graph_build(ov_model_t *raw, const struct gtv_infer_spec *spec, size_t pictures,
                            struct gtv_error *err) GTV_WARN_UNUSED;
// What gtv_infer_describe promises.
bool gtv_graph_describe(ov_core_t *core, const char *path, int width, int height, struct gtv_infer_facts *out,
                        struct gtv_error *err) GTV_WARN_UNUSED;

#endif
