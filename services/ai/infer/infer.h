// The inference runtime: loads a network from a file and runs it on u8 pictures. One implementation now
// (OpenVINO); a second one implements this header.
#ifndef GTV_AI_INFER_H
#define GTV_AI_INFER_H

#include "lib/base/str.h"

enum { GTV_INFER_MAX_OUTPUTS = 16, GTV_INFER_MAX_DIMS = 4, GTV_INFER_NAME_CAP = 128 };

struct gtv_infer;       // the runtime with its devices and its cache of compiled networks
struct gtv_infer_model; // one network, compiled, with a number of independent slots

// How the network wants its picture. Callers always hand over u8 RGB, rows top down, three bytes a pixel; the
// rest happens in the graph.
struct gtv_infer_input {
    int width, height;
    bool bgr;  // the network's channel order
    bool nhwc; // its layout; false: NCHW
    bool u8;   // it takes bytes; scale, mean and deviation must then be neutral
    double
        scale; // a value v is fed as (v * scale - mean[c]) / deviation[c], c in the network's channel order
    double mean[3], deviation[3];
};

struct gtv_infer_spec {
    const char *path; // .onnx, or .xml with its .bin
    struct gtv_infer_input input;
    char (*outputs)[GTV_INFER_NAME_CAP]; // names, in the order in which the slots give them; NULL with count
                                         // 0: all, as the file orders them
    size_t output_count;
    size_t slots;          // how many threads run at once; each slot computes on one thread
    const char *precision; // "f32", "bf16", or "auto" (what the device likes best)
    bool gpu;              // on the GPU; fails where there is none
};

// A result: floats, dense, rows in the order of dims. Valid until the slot runs again.
struct gtv_tensor {
    const float *data;
    size_t rank, count;
    size_t dims[GTV_INFER_MAX_DIMS];
};

// cache_dir may be NULL; it is created when absent. One runtime a process is meant.
struct gtv_infer *gtv_infer_create(const char *cache_dir, struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_infer_destroy(struct gtv_infer *rt); // after its models; NULL is accepted
bool gtv_infer_has_gpu(struct gtv_infer *rt);
const char *gtv_infer_version(const struct gtv_infer *rt); // "OpenVINO 2026.4.1-..."

// Blocks for some hundred milliseconds. NULL with one sentence in *err when the file cannot be read or does
// not match the spec.
struct gtv_infer_model *gtv_infer_load(struct gtv_infer *rt, const struct gtv_infer_spec *spec,
                                       struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_infer_unload(struct gtv_infer_model *m); // no slot may be running; NULL is accepted

// Each slot belongs to one thread at a time; different slots may run at once.
uint8_t *gtv_infer_pixels(struct gtv_infer_model *m,
                          size_t slot); // height * width * 3 bytes to be filled before a run
bool gtv_infer_run(struct gtv_infer_model *m, size_t slot, struct gtv_error *err) GTV_WARN_UNUSED;
size_t gtv_infer_output_count(const struct gtv_infer_model *m);
const struct gtv_tensor *gtv_infer_output(const struct gtv_infer_model *m, size_t slot,
                                          size_t i); // after a run that succeeded

#endif
