// The networks that read plates, as the JSON beside each file of weights describes them
// (tools/models/README.md).
#ifndef GTV_AI_PLATE_MODEL_H
#define GTV_AI_PLATE_MODEL_H

#include "services/ai/network/geometry.h"
#include "services/ai/plate/decode.h"

enum gtv_plate_head {
    GTV_PLATE_HEAD_CORNERS, // localiser: boxes with four corners
    GTV_PLATE_HEAD_TEXTMAP, // localiser: a map of where text is (DBNet)
    GTV_PLATE_HEAD_SLOTS,   // recogniser: a sign for each of some slots
    GTV_PLATE_HEAD_CTC,     // recogniser: a sign for each of some steps
    GTV_PLATE_HEADS,
};

struct gtv_plate_model {
    char name[64];
    char path[GTV_MODEL_PATH_CAP];
    struct gtv_infer_input input;
    enum gtv_resize resize;
    uint8_t pad;
    enum gtv_plate_head head;
    double score_threshold, nms_threshold;
    double margin; // share of a box's size that is added on each side before it is fed
    double weight; // of a recogniser's opinion in the pool
    size_t slots;  // of GTV_PLATE_HEAD_SLOTS
    struct gtv_plate_ctc ctc;
    char output[GTV_INFER_NAME_CAP];
};

// Reads a description. dir is where its weights lie. False with one sentence in *err; err->field names the
// key at fault.
bool gtv_plate_model_parse(struct gtv_str json, const char *dir, struct gtv_plate_model *out,
                           struct gtv_error *err) GTV_WARN_UNUSED;

// Finds the networks: one of each head at most. `wanted` (LPR_MODEL) is a list, with commas, of names in
// models_dir or paths to .onnx or .xml with their JSON beside; NULL or empty takes the known ones that are
// there. found[head] says which came. False with a sentence when one that is wanted cannot be had; when none
// is wanted, nothing missing is an error.
bool gtv_plate_model_find(const char *models_dir, const char *wanted,
                          struct gtv_plate_model out[GTV_PLATE_HEADS], bool found[GTV_PLATE_HEADS],
                          struct gtv_error *err) GTV_WARN_UNUSED;

// Where a region of width x height pixels lies in the model's input.
void gtv_plate_model_geometry(const struct gtv_plate_model *m, int width, int height, struct gtv_geometry *g);

#endif
