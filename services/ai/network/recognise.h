// Finds out how a network that nobody described is fed and read, from the shapes of its input and outputs and
// from what its exporter wrote into the file.
#ifndef GTV_AI_RECOGNISE_H
#define GTV_AI_RECOGNISE_H

#include "services/ai/network/metadata.h"

enum {
    GTV_OPEN_WIDTH = 640,
    GTV_OPEN_HEIGHT = 384
}; // where the file leaves the size open: 16:9, as cameras see

// Fills in the input's size, layout and type where the description has none. open_width and open_height are
// for sizes that the file leaves open; 0: GTV_OPEN_WIDTH and GTV_OPEN_HEIGHT. False with one sentence in
// *err.
bool gtv_recognise_input(struct gtv_model *m, const struct gtv_infer_facts *facts, int open_width,
                         int open_height, struct gtv_error *err) GTV_WARN_UNUSED;
// Fills in head, strides, classes and what the head asks for. facts: of the file with the input's size fixed.
// The description's own words go first. False with one sentence that says what is to be written into the
// JSON.
bool gtv_recognise_head(struct gtv_model *m, const struct gtv_infer_facts *facts,
                        const struct gtv_metadata *meta, struct gtv_error *err) GTV_WARN_UNUSED;

#endif
