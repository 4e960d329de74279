// The vehicle detector: one network with as many slots as there are workers. Says in a sentence why it is not
// there when it is not.
#ifndef GTV_AI_DETECTOR_H
#define GTV_AI_DETECTOR_H

#include "lib/contract/contract.h"
#include "services/ai/network/geometry.h"

struct gtv_detector; // does not change once it is made; shared by reference count

struct gtv_detector_config {
    struct gtv_infer *runtime; // outlives the detector; NULL: it could not start, and runtime_error says why
    const char *runtime_error;
    const char *models_dir;
    const char *yolo_model;        // YOLO_MODEL, or NULL
    const char *precision;         // AI_PRECISION: "auto", "int8", "bf16" or "f32"
    int input_width, input_height; // AI_INPUT_SIZE, for networks that leave their size open; 0: their own
    bool want_gpu;
    size_t slots, batch; // threads that run at once; most pictures of one run
};

// Vehicles of one picture, the surest first, in its own pixels.
struct gtv_detections {
    struct gtv_detected objects[GTV_MAX_OBJECTS];
    size_t count;
};

// What is asked of one picture of a run.
struct gtv_detector_input {
    struct gtv_geometry at; // where it lies in its pixels
    double min_confidence;  // 0..1
    uint32_t vehicles;      // bit 1 << enum gtv_vehicle for each kind that is wanted; 0: all
};

// Never NULL: without a network, or with one that cannot be read, gtv_detector_model is NULL and
// gtv_detector_message says why. Blocks for some hundred milliseconds.
struct gtv_detector *gtv_detector_create(const struct gtv_detector_config *config);
struct gtv_detector *gtv_detector_ref(struct gtv_detector *d); // any thread
void gtv_detector_unref(struct gtv_detector *d);               // any thread; NULL is accepted

const struct gtv_model *gtv_detector_model(const struct gtv_detector *d); // NULL: none
const char *gtv_detector_message(const struct gtv_detector *d);           // NULL when all is well
// Of the weights that run, the quantised ones where these do. Empty without a network.
const char *gtv_detector_path(const struct gtv_detector *d);
// One sentence about what was wanted and is not so (no GPU, an int8 version that was passed over), or NULL.
const char *gtv_detector_note(const struct gtv_detector *d);
const char *gtv_detector_device(const struct gtv_detector *d); // "CPU" or "GPU"
const char *
gtv_detector_precision(const struct gtv_detector *d); // "int8", "bf16" or "f32": what it runs with
// Most pictures of one run, at least 1: what the device gains by, which is 1 on a CPU.
size_t gtv_detector_step(const struct gtv_detector *d);

// A slot belongs to one thread at a time: fill the pixels of pictures 0..count-1 (u8 RGB, see geometry.h),
// then run. count is at most gtv_detector_step, and out has room for it. The time that the network took comes
// back in *infer_ms.
uint8_t *gtv_detector_pixels(struct gtv_detector *d, size_t slot, size_t picture);
bool gtv_detector_run(struct gtv_detector *d, size_t slot, const struct gtv_detector_input *inputs,
                      size_t count, struct gtv_detections *out, double *infer_ms,
                      struct gtv_error *err) GTV_WARN_UNUSED;

#endif
