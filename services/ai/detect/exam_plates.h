// The plates of an exam: read on its worker, from the picture at full size, when vehicles are known.
#ifndef GTV_AI_EXAM_PLATES_H
#define GTV_AI_EXAM_PLATES_H

#include "services/ai/detect/exam.h"
#include "services/ai/plate/plates.h"

#define GTV_EXAM_LONE_CONFIDENCE 0.5 // from which a plate without a vehicle is reported

enum { GTV_EXAM_PLATE_PIXELS = 16 * 1000 * 1000 }; // of what is decoded for them; 3 bytes each

struct gtv_exam_plates {
    size_t count;
    struct gtv_plate_found found[GTV_PLATES_MAX_FOUND];
};

// For gtv_examiner_config.read_plates: user is a struct gtv_plates *. A picture that is too large is read
// where its vehicles are, or not at all. Fills exam->plates; a failure leaves the exam without plates.
void gtv_exam_read_plates(struct gtv_exam *exam, size_t worker, void *user);

#endif
