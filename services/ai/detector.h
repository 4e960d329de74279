// The vehicle detector: one network with as many slots as there are workers. Says in a sentence why it is not
// there when it is not.
#ifndef GTV_AI_DETECTOR_H
#define GTV_AI_DETECTOR_H

#include "lib/contract/contract.h"
#include "services/ai/geometry.h"

struct gtv_detector;

struct gtv_detector_config {
    const char *models_dir; // its subfolder cache/ keeps what was compiled
    const char *yolo_model; // YOLO_MODEL, or NULL
    const char *precision;  // "f32", "bf16", "auto"
    bool want_gpu;
    size_t slots;
};

// Vehicles of one picture, the surest first, in its own pixels.
struct gtv_detections {
    struct gtv_detected objects[GTV_MAX_OBJECTS];
    size_t count;
    double infer_ms; // the network alone
};

// Never NULL: without a network, or with one that cannot be read, gtv_detector_model is NULL and
// gtv_detector_message says why. Blocks for some hundred milliseconds.
struct gtv_detector *gtv_detector_create(const struct gtv_detector_config *config);
void gtv_detector_destroy(struct gtv_detector *d); // no slot may be running; NULL is accepted

const struct gtv_model *gtv_detector_model(const struct gtv_detector *d); // NULL: none
const char *gtv_detector_message(const struct gtv_detector *d);           // NULL when all is well
bool gtv_detector_gpu_available(const struct gtv_detector *d);
const char *gtv_detector_device(const struct gtv_detector *d); // "CPU" or "GPU"
const char *
gtv_detector_runtime(const struct gtv_detector *d); // name and version; empty when it cannot start

// A slot belongs to one thread at a time: fill the pixels (u8 RGB, see geometry.h), then run. min_confidence
// 0..1.
uint8_t *gtv_detector_pixels(struct gtv_detector *d, size_t slot);
bool gtv_detector_run(struct gtv_detector *d, size_t slot, const struct gtv_geometry *g,
                      double min_confidence, struct gtv_detections *out,
                      struct gtv_error *err) GTV_WARN_UNUSED;

#endif
