// From what recognisers say of single characters to Brazilian plates. The probabilities are decoded jointly
// under the two formats, LLLNNNN (until 2018) and LLLNLNN (Mercosul), by a forward-backward pass: nothing is
// repaired afterwards. Pure arithmetic: any thread.
#ifndef GTV_AI_PLATE_DECODE_H
#define GTV_AI_PLATE_DECODE_H

#include "lib/base/str.h"

enum {
    GTV_PLATE_CHARS = 7,
    GTV_PLATE_SIGNS = 36, // 0-9, then A-Z
    GTV_PLATE_TEXT_CAP = 16,
    GTV_PLATE_MAX_STEPS = 160, // of a recogniser's time axis
    GTV_PLATE_MAX_POOL = 16,
};
extern const char gtv_plate_signs[GTV_PLATE_SIGNS + 1];
int gtv_plate_sign(char c); // 0..35, or -1; lower case is accepted

enum gtv_plate_format {
    GTV_PLATE_FORMAT_UNREADABLE, // something like a plate, but no text that can be relied on
    GTV_PLATE_FORMAT_FOREIGN,    // it reads well, and is neither of the two: the text is as it was read
    GTV_PLATE_FORMAT_OLD,
    GTV_PLATE_FORMAT_MERCOSUL,
};
extern const char *const gtv_plate_format_names[]; // "unreadable", "foreign", "old", "mercosul"

// Natural logarithms of the probability of each sign at each position, given that the plate is of one of the
// two formats. The fifth position has digits and letters: that is where they differ.
struct gtv_plate_chars {
    float log[GTV_PLATE_CHARS][GTV_PLATE_SIGNS];
};

// What one recogniser says of one crop.
struct gtv_plate_opinion {
    struct gtv_plate_chars chars;
    double mass;                   // log of the probability that it is of one of the formats at all
    char free[GTV_PLATE_TEXT_CAP]; // the most probable text without any format
    double free_log;               // its log probability
};

// A recogniser with slots: p is slots x 37 probabilities over 0-9, A-Z and "none". Slots may be skipped where
// they are "none", and at a price elsewhere. At most GTV_PLATE_MAX_STEPS slots.
void gtv_plate_decode_slots(const float *p, size_t slots, struct gtv_plate_opinion *out);

// A recogniser with CTC (Graves et al. 2006): p is steps x classes probabilities. Says which classes mean
// what; indices beyond `classes` are a programming error.
struct gtv_plate_ctc {
    size_t classes;
    uint16_t blank;
    uint16_t upper[GTV_PLATE_SIGNS];      // 0-9, A-Z
    uint16_t lower[GTV_PLATE_SIGNS - 10]; // a-z: counted as A-Z
    uint16_t gaps[16];                    // dash, dot and the like: may stand anywhere and say nothing
    size_t gap_count;
};
void gtv_plate_decode_ctc(const float *p, size_t steps, const struct gtv_plate_ctc *ctc,
                          struct gtv_plate_opinion *out);

// Logarithmic opinion pool: the weighted sum of logarithms, normalised at each position. With weights that
// sum to more than 1 agreeing opinions strengthen one another. count 0: all signs alike.
void gtv_plate_pool(const struct gtv_plate_chars *const opinions[], const double *weights, size_t count,
                    struct gtv_plate_chars *out);

// The most probable plate. `mercosul` is the log odds of that format by what else is known (the plate's look;
// 0: nothing is). sure is the joint probability of the text, over both formats; odds the log odds of Mercosul
// against the old format as they came out.
struct gtv_plate_choice {
    char text[GTV_PLATE_CHARS + 1];
    enum gtv_plate_format format; // old or Mercosul
    double sure, odds;
};
void gtv_plate_choose(const struct gtv_plate_chars *chars, double mercosul, struct gtv_plate_choice *out);

#endif
