// Which network to use and how it is fed and read: the JSON beside each file of weights
// (tools/models/README.md describes it).
#ifndef GTV_AI_MODEL_H
#define GTV_AI_MODEL_H

#include "services/ai/infer/infer.h"

enum gtv_vehicle { GTV_CAR, GTV_MOTORCYCLE, GTV_BUS, GTV_TRUCK, GTV_VEHICLE_COUNT };
extern const char *const gtv_vehicle_names[GTV_VEHICLE_COUNT]; // "car", "motorcycle", "bus", "truck"

enum gtv_resize {
    GTV_RESIZE_STRETCH,           // both sides to the network's, whatever the picture's shape
    GTV_RESIZE_LETTERBOX_TOPLEFT, // one factor for both sides, the rest of the right or lower edge is padding
    GTV_RESIZE_LETTERBOX_CENTER,  // the same with the padding shared out
};

enum gtv_head { GTV_HEAD_BINS, GTV_HEAD_YOLOX }; // GTV_HEAD_BINS: PicoDet and NanoDet

enum { GTV_MODEL_MAX_STRIDES = 6, GTV_MODEL_MAX_CLASSES = 1000, GTV_MODEL_PATH_CAP = 4096 };

struct gtv_model {
    char name[64];
    char path[GTV_MODEL_PATH_CAP]; // of the weights
    struct gtv_infer_input input;
    enum gtv_resize resize;
    uint8_t pad; // value of padding
    enum gtv_head head;
    int strides[GTV_MODEL_MAX_STRIDES];
    size_t stride_count;
    int bins;                             // of GTV_HEAD_BINS: values a side
    int class_count;                      // all that the network knows
    int vehicle_class[GTV_VEHICLE_COUNT]; // the network's class of each vehicle; -1: it does not know it
    char outputs[GTV_INFER_MAX_OUTPUTS][GTV_INFER_NAME_CAP];
    size_t output_count;
    double score_threshold; // where its recall and precision were measured
    double nms_threshold;   // IoU above which two boxes are one vehicle
};

// Reads a description. dir is where its weights lie. False with one sentence in *err; err->field names the
// key at fault.
bool gtv_model_parse(struct gtv_str json, const char *dir, struct gtv_model *out,
                     struct gtv_error *err) GTV_WARN_UNUSED;

// Finds the network: `wanted` (YOLO_MODEL) is a path to .onnx or .xml, or a name in models_dir; NULL or empty
// takes the first of picodet_s_416, yolox_nano_416, nanodet_g_416 that is there. False with a sentence that
// says what is missing and how to get it.
bool gtv_model_find(const char *models_dir, const char *wanted, struct gtv_model *out,
                    struct gtv_error *err) GTV_WARN_UNUSED;

#endif
