// The plate of a track: the characters of many readings, put together. Plain memory, no allocation; one
// thread at a time.
#ifndef GTV_AI_PLATE_VOTE_H
#define GTV_AI_PLATE_VOTE_H

#include "services/ai/plate/decode.h"

enum {
    GTV_PLATE_VOTE_ODD = 4,    // other texts that are remembered, with how often they were read
    GTV_PLATE_VOTE_MAX = 4096, // readings; further ones are passed over
};

// One reading, as plates.h gives it.
struct gtv_plate_reading {
    const struct gtv_plate_chars *chars;
    double mass, band;
    double width;     // pixels
    double sharpness; // variance of the Laplacian; <= 0: not known
    double tilt;      // degrees
    enum gtv_plate_format format;
    const char *text; // of a foreign one
    bool two_lines;
};

struct gtv_plate_vote {
    double log[GTV_PLATE_CHARS][GTV_PLATE_SIGNS]; // weighted sums
    double weight;                                // their sum
    double mass, band;                            // weighted sums
    double foreign_weight;
    uint32_t count; // readings that were counted
    uint32_t two_lines;
    struct {
        char text[GTV_PLATE_TEXT_CAP];
        uint32_t count;
        double weight;
    } seen[GTV_PLATE_VOTE_ODD]; // the heaviest texts, each as one reading alone would have it
};

struct gtv_plate_verdict {
    char text[GTV_PLATE_TEXT_CAP]; // empty: unreadable
    enum gtv_plate_format format;
    double confidence; // 0..1, calibrated as that of one reading
    bool sure;         // confidence at least GTV_PLATE_SURE_CONFIDENCE, and two readings or a very sure one
    uint32_t votes;    // readings that say exactly this text by themselves
    uint32_t readings; // all that were counted
    bool two_lines;    // most of them
    // As the watch-list's matcher wants it: normalised logarithms.
    struct gtv_plate_chars chars;
};

void gtv_plate_vote_init(struct gtv_plate_vote *v);
// Frames of one pass resemble one another: a reading counts for less than an independent one would, by how
// much the plate shows (small, blurred, aslant: less).
void gtv_plate_vote_add(struct gtv_plate_vote *v, const struct gtv_plate_reading *r);
// What the readings say so far. Without any: unreadable, confidence 0.
void gtv_plate_vote_result(const struct gtv_plate_vote *v, struct gtv_plate_verdict *out);
// 0..1: how much a reading counts by the plate's size, sharpness and tilt.
double gtv_plate_vote_weight(double width, double sharpness, double tilt);

#endif
