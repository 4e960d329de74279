// What really drove through the clip, as JSON; README.md describes each member.
#ifndef GTV_STREET_TRUTH_H
#define GTV_STREET_TRUTH_H

#include "film.h"

struct gtv_truth;

struct gtv_truth *gtv_truth_create(const struct gtv_film *film);
void gtv_truth_destroy(struct gtv_truth *truth);

// Keep what one frame showed; frames come in order.
void gtv_truth_add(struct gtv_truth *truth, int frame, const struct gtv_seen *seen);

// Write the file; false with a line on stderr where it cannot be written.
bool gtv_truth_write(const struct gtv_truth *truth, const char *path);

#endif
