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
    // Pixels. With open_width the width is the greatest that will be asked for: each run may have its own
    // (gtv_infer_set_width), at the price of a network compiled for whatever comes.
    int width, height;
    bool open_width;
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
    size_t batch;          // most pictures of a run, where the device gains by several; 0: 1
    const char *precision; // what is computed with: "f32" or "bf16" (an int8 network runs as int8 with
                           // either), or "auto": what the device likes best
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
// Whether the processor computes in bf16 by itself (AVX-512 BF16 or AMX), so that it is faster than f32.
bool gtv_infer_has_bf16(struct gtv_infer *rt);
const char *gtv_infer_version(const struct gtv_infer *rt); // "OpenVINO 2026.4.1-..."

// What a file of a network says of itself, without compiling it.
struct gtv_infer_tensor_facts {
    char name[GTV_INFER_NAME_CAP];    // empty: it has none
    size_t rank;                      // 0: more than GTV_INFER_MAX_DIMS, or open
    int64_t dims[GTV_INFER_MAX_DIMS]; // -1: open
    bool u8;                          // bytes; else some kind of number
};
struct gtv_infer_facts {
    size_t input_count, output_count; // of the file; described are one input and the first outputs
    struct gtv_infer_tensor_facts input, outputs[GTV_INFER_MAX_OUTPUTS];
};
// Reads the file and describes it; any thread. When dims are given (width and height above 0), the input's
// open sizes are first fixed to one picture of that size, so that the outputs have theirs. False with one
// sentence in *err.
bool gtv_infer_describe(struct gtv_infer *rt, const char *path, int width, int height,
                        struct gtv_infer_facts *out, struct gtv_error *err) GTV_WARN_UNUSED;

// Blocks for some hundred milliseconds; any thread. NULL with one sentence in *err when the file cannot be
// read or does not match the spec.
struct gtv_infer_model *gtv_infer_load(struct gtv_infer *rt, const struct gtv_infer_spec *spec,
                                       struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_infer_unload(struct gtv_infer_model *m); // no slot may be running; NULL is accepted

// What it computes with where it is not int8: "bf16", "f16" or "f32".
const char *gtv_infer_precision(const struct gtv_infer_model *m);
// How many pictures one run takes: 1 where the runtime has it cheaper to run one after another (CPUs), else
// the spec's batch.
size_t gtv_infer_step(const struct gtv_infer_model *m);

// Each slot belongs to one thread at a time; different slots may run at once.
uint8_t *gtv_infer_pixels(struct gtv_infer_model *m,
                          size_t slot); // height * width * 3 bytes to be filled before a run
uint8_t *gtv_infer_picture(struct gtv_infer_model *m, size_t slot,
                           size_t picture); // the same of picture 0..step-1 of the slot
// For an input with open_width: the pixels of all runs from now on have this width, 1..input.width.
bool gtv_infer_set_width(struct gtv_infer_model *m, size_t slot, int width,
                         struct gtv_error *err) GTV_WARN_UNUSED;
bool gtv_infer_run(struct gtv_infer_model *m, size_t slot,
                   struct gtv_error *err) GTV_WARN_UNUSED; // picture 0
// Pictures 0..count-1, count at most gtv_infer_step. The outputs' first dimension is the step; rows of
// pictures beyond count are left-overs.
bool gtv_infer_run_pictures(struct gtv_infer_model *m, size_t slot, size_t count,
                            struct gtv_error *err) GTV_WARN_UNUSED;
size_t gtv_infer_output_count(const struct gtv_infer_model *m);
const struct gtv_tensor *gtv_infer_output(const struct gtv_infer_model *m, size_t slot,
                                          size_t i); // after a run that succeeded

// The runtime's own version, of a static string.
const char *gtv_infer_library(void);

#endif
