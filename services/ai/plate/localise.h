// Where plates are, from a localiser's raw output. Pure arithmetic: any thread. Coordinates are pixels of the
// localiser's input.
#ifndef GTV_AI_PLATE_LOCALISE_H
#define GTV_AI_PLATE_LOCALISE_H

#include "services/ai/plate/crop.h"

struct gtv_plate_place {
    struct gtv_plate_quad quad;
    float box[4];   // left, top, right, bottom
    double score;   // 0..1
    bool two_lines; // then the upper line lies between `top` and `split` of its height, the lower one below
    double top, split;
};

enum {
    GTV_PLATE_MAX_PLACES = 8,
    GTV_PLATE_MAX_TEXTS = 64, // of one text map
};

// Rows of 15: centre x, y, width, height, objectness, four corners, two classes. The surest first; places
// that overlap by more than `overlap` (IoU) are one. Returns how many, at most GTV_PLATE_MAX_PLACES.
size_t gtv_plate_places_of_corners(const float *rows, size_t count, double min_score, double overlap,
                                   struct gtv_plate_place out[GTV_PLATE_MAX_PLACES]);

// A map of how likely each pixel belongs to text (DBNet, Liao et al. 2020): connected regions become
// rectangles, turned as they lie and widened by what the network shrank them. Rectangles that could be a
// plate come back: alone, or two above one another as the two lines of a motorcycle's. mask is width * height
// bytes of scratch, stack as many ints.
size_t gtv_plate_places_of_text(const float *map, int width, int height, double min_score, uint8_t *mask,
                                int *stack, struct gtv_plate_place out[GTV_PLATE_MAX_PLACES]);

// The place made wider by a quarter, about its middle: the localiser may have cut a sign off.
struct gtv_plate_place gtv_plate_place_widened(const struct gtv_plate_place *place);

#endif
