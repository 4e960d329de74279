// From a detector's raw outputs to boxes: PicoDet, NanoDet and NanoDet-plus (GFL: distributions of the four
// sides, arXiv 2006.04388), YOLOX (arXiv 2107.08430), the exports of YOLOv5, v8 and later, and end-to-end
// ones; and suppression of doubles.
#ifndef GTV_AI_HEAD_H
#define GTV_AI_HEAD_H

#include "services/ai/network/model.h"

enum {
    GTV_HEAD_MAX_BOXES = 1000
}; // candidates that are compared with each other; beyond it the surest are kept

struct gtv_box {
    float at[4]; // x1 y1 x2 y2 in pixels of the network's input
    float score; // 0..1
    enum gtv_vehicle vehicle;
};

enum { GTV_HEAD_MAX_CANDIDATES = 200 * 1000 };

// How many candidates a picture can have at most: cells of all strides, or rows of the output. After
// gtv_head_check.
size_t gtv_head_cells(const struct gtv_model *m);
// Whether the outputs have the sizes that the description asks for; false with one sentence in *err. Sets
// rows, transposed and, where it is not known, class_count.
bool gtv_head_check(struct gtv_model *m, const struct gtv_tensor *const *outputs, size_t count,
                    struct gtv_error *err) GTV_WARN_UNUSED;
// Writes the vehicles with a score of at least min_score to boxes (room for gtv_head_cells), unsorted, and
// returns how many. outputs must have passed the check.
size_t gtv_head_decode(const struct gtv_model *m, const struct gtv_tensor *const *outputs, float min_score,
                       struct gtv_box *boxes);

// Sorts by score, falling, and drops what overlaps a surer box by more than iou, whatever the classes: a bus
// is often also a truck. Returns how many stay.
size_t gtv_suppress(struct gtv_box *boxes, size_t n, double iou);

#endif
