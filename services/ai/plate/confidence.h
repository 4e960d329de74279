// How sure a reading is, as the share of such readings that are exact. Calibrated on the development
// pictures, shrunk and spoilt until one in five was wrong (docs/accuracy.md has the reliability table).
#ifndef GTV_AI_PLATE_CONFIDENCE_H
#define GTV_AI_PLATE_CONFIDENCE_H

#include "services/ai/plate/decode.h"

// `sure` and `mass` as they come out of decode.h. 0..1.
double gtv_plate_confidence(double sure, double mass);

// Whether what one recogniser says of two crops of a plate settles it, so that no other need be asked: both
// say the same, so surely that the other has never said otherwise with reason. band as in
// gtv_plate_choose; width in pixels, 0 where the plate has two lines: those are never settled.
bool gtv_plate_settled(const struct gtv_plate_opinion *a, const struct gtv_plate_opinion *b, double band,
                       double width);

// Below the first a reading is reported as unreadable; from the second on it counts as sure.
#define GTV_PLATE_LEAST_CONFIDENCE 0.2
#define GTV_PLATE_SURE_CONFIDENCE  0.85

#endif
