// Whether anything moves, and whether the picture can be trusted at all: looks at a small luma plane (some
// thousand pixels) of every decoded frame and costs some ten microseconds, so that an empty road costs no
// inference. Each pixel has a background of two speeds (a fast one that follows rain and leaves, a slow one
// that remembers the road behind a queue) and a noise of its own; a change of the light as a whole is taken
// out first. A pure state machine: no thread, no clock, no allocation but in create. One thread at a time.
#ifndef GTV_AI_GATE_H
#define GTV_AI_GATE_H

#include "services/ai/scene/settings.h"

struct gtv_gate;

enum { GTV_GATE_MAX_SIDE = 320 }; // of the luma plane; 160 x 90 is meant

// Bits of a state. More than one can hold.
enum gtv_gate_fault {
    GTV_GATE_FROZEN = 1,  // the very same picture for freeze_s
    GTV_GATE_BLACK = 2,   // dark and without detail
    GTV_GATE_COVERED = 4, // evenly grey or of one colour: something is in front of it, or it is out of focus
    GTV_GATE_SHAKING = 8, // the picture moves as a whole, again and again
    GTV_GATE_INFRARED = 16, // no colour: the camera's night mode. No fault, but colours mean nothing
};
const char *gtv_gate_fault_name(enum gtv_gate_fault one); // "frozen", "black", ...

// Zeroed fields take the default in brackets.
struct gtv_gate_config {
    int width, height;  // of the luma plane
    double sensitivity; // 0..1: the higher, the less must move [0.5]
    double freeze_s;    // [10]
    double learn_s;     // after the start, or a cut, everything counts as motion for that long [2]
    const struct gtv_scene_settings *settings; // NULL, or: privacy masks and exclusions are left out; copied
};

struct gtv_gate_frame {
    const uint8_t *luma; // rows of width bytes, stride bytes apart
    size_t stride;
    int64_t wall_ms;
    // How far from grey the picture is, on average: mean of |Cb - 128| + |Cr - 128|. Negative: not known.
    double chroma;
};

struct gtv_gate_result {
    bool motion;
    double share;      // of the pixels that are looked at, 0..1
    double x, y, w, h; // of what moves, 0..1 of the frame; all 0 without motion
    unsigned faults;   // bits of enum gtv_gate_fault
    unsigned changed;  // bits that are not what they were at the last frame
    bool learning;     // it has not seen enough yet: motion is true
};

struct gtv_gate *gtv_gate_create(const struct gtv_gate_config *config); // NULL: the size is out of bounds
void gtv_gate_destroy(struct gtv_gate *g);                              // NULL is accepted
// Takes the masks of other settings; what was learnt stays. NULL: no masks.
void gtv_gate_set(struct gtv_gate *g, const struct gtv_scene_settings *settings);
void gtv_gate_update(struct gtv_gate *g, const struct gtv_gate_frame *frame, struct gtv_gate_result *out);

// From a decoded frame's planes (8 bit; step: bytes from one sample to the next) to the gate's plane: mean of
// up to 4 x 4 samples for each pixel, spread evenly.
void gtv_gate_shrink(const uint8_t *luma, size_t stride, int width, int height, uint8_t *out, int out_width,
                     int out_height);
// The chroma of struct gtv_gate_frame, from the two chroma planes (each of the size width x height).
double gtv_gate_chroma(const uint8_t *cb, const uint8_t *cr, size_t stride, int width, int height);

#endif
