// How sure a reading is, as the share of such readings that are exact. Calibrated on the development
// pictures, shrunk and spoilt until one in five was wrong (docs/accuracy.md has the reliability table).
#ifndef GTV_AI_PLATE_CONFIDENCE_H
#define GTV_AI_PLATE_CONFIDENCE_H

// `sure` and `mass` as they come out of decode.h. 0..1.
double gtv_plate_confidence(double sure, double mass);

// Below the first a reading is reported as unreadable; from the second on it counts as sure.
#define GTV_PLATE_LEAST_CONFIDENCE 0.2
#define GTV_PLATE_SURE_CONFIDENCE  0.85

#endif
