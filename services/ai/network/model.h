// Which network to use and how it is fed and read: the JSON beside each file of weights
// (tools/models/README.md describes it), and what recognise.h finds out where that says nothing.
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

enum gtv_head {
    GTV_HEAD_BINS,         // PicoDet and NanoDet: scores of each stride, then distances of each
    GTV_HEAD_YOLOX,        // cells x (5 + classes), still to be put on their cells
    GTV_HEAD_NANODET_PLUS, // cells x (classes + 4 * bins)
    GTV_HEAD_YOLOV5,       // N x (5 + classes): centre, size, objectness, in pixels of the input
    GTV_HEAD_YOLOV8,       // (4 + classes) x N or its transpose, without objectness
    GTV_HEAD_END2END,      // N x 6: two corners, score, class
    GTV_HEAD_UNKNOWN,      // not described: to be recognised
};
extern const char *const gtv_head_names[]; // of the heads up to GTV_HEAD_END2END, as the JSON has them

enum { GTV_MODEL_MAX_STRIDES = 6, GTV_MODEL_MAX_CLASSES = 1000, GTV_MODEL_PATH_CAP = 4096 };

// What a description says by itself; the rest comes from the file and from its head.
enum gtv_model_given {
    GTV_GIVEN_SIZE = 1,
    GTV_GIVEN_ORDER = 2,
    GTV_GIVEN_LAYOUT = 4,
    GTV_GIVEN_TYPE = 8,
    GTV_GIVEN_RESIZE = 16,
    GTV_GIVEN_PAD = 32,
    GTV_GIVEN_VALUES = 64, // scale, mean or std
    GTV_GIVEN_STRIDES = 128,
    GTV_GIVEN_CLASSES = 256,
    GTV_GIVEN_BINS = 512,
};

struct gtv_model {
    char name[64];
    char path[GTV_MODEL_PATH_CAP]; // of the weights
    char licence[64];              // empty: not said
    uint32_t given;                // bits of enum gtv_model_given
    struct gtv_infer_input input;
    enum gtv_resize resize;
    uint8_t pad; // value of padding
    enum gtv_head head;
    int strides[GTV_MODEL_MAX_STRIDES];
    size_t stride_count;
    int bins;                             // of GTV_HEAD_BINS and GTV_HEAD_NANODET_PLUS: values a side
    size_t rows, columns;                 // of heads without strides: candidates, and values of each
    bool transposed;                      // of GTV_HEAD_YOLOV8: N x (4 + classes)
    int class_count;                      // all that the network knows; 0: not known yet
    int vehicle_class[GTV_VEHICLE_COUNT]; // the network's class of each vehicle; -1: it does not know it
    char outputs[GTV_INFER_MAX_OUTPUTS][GTV_INFER_NAME_CAP];
    size_t output_count;
    double score_threshold; // where its recall and precision were measured
    double nms_threshold;   // IoU above which two boxes are one vehicle
    bool int8;              // its weights are quantised
};

// Reads a description. dir is where its weights lie. Every key may be missing but "name" and "file", and
// these too when `file` (the name of the weights' file in dir) is given. False with one sentence in *err;
// err->field names the key at fault.
bool gtv_model_parse(struct gtv_str json, const char *dir, const char *file, struct gtv_model *out,
                     struct gtv_error *err) GTV_WARN_UNUSED;
// The same without any description: everything is to be found out.
bool gtv_model_undescribed(const char *dir, const char *file, struct gtv_model *out,
                           struct gtv_error *err) GTV_WARN_UNUSED;
// What its head asks for wherever the description says nothing: order, values, resizing, padding, strides.
void gtv_model_defaults(struct gtv_model *m);
// Whether nothing has to be asked of the file before it is loaded.
bool gtv_model_complete(const struct gtv_model *m);

// Finds the network: `wanted` (YOLO_MODEL) is a path to .onnx or .xml, or a name in models_dir; NULL or empty
// takes the first of picodet_s_416, yolox_nano_416, nanodet_g_416 that is there. False with a sentence that
// says what is missing and how to get it.
bool gtv_model_find(const char *models_dir, const char *wanted, struct gtv_model *out,
                    struct gtv_error *err) GTV_WARN_UNUSED;

// The whole of a file of at most `most` bytes, with a NUL after it; free it. NULL when it cannot be read or
// is longer.
char *gtv_model_read_file(const char *path, size_t most, size_t *size) GTV_WARN_UNUSED;

#endif
