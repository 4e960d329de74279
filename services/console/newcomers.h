// Which of the objects that a detector sees are new in view. The detector looks several times a second and
// reports every vehicle at every look; one row a vehicle is what people search in.
//
// An object continues another when that one was seen at most GTV_NEWCOMER_MS before on the same camera, has
// the same class, and their boxes overlap by more than GTV_NEWCOMER_IOU (intersection over union: a
// motorcycle moves most of its length between two looks), or one lies in the other by more than
// GTV_NEWCOMER_CONTAINED (a vehicle that comes in at the border of the picture grows out of its box). Pairs
// are made greedily, the greatest overlap first. What continues nothing is new: at once when the detector is
// sure (GTV_NEWCOMER_SURE), else when a second look confirms it. One thread only.
#ifndef GTV_CONSOLE_NEWCOMERS_H
#define GTV_CONSOLE_NEWCOMERS_H

#include "lib/contract/contract.h"

#define GTV_NEWCOMER_IOU       0.1
#define GTV_NEWCOMER_CONTAINED 0.7
#define GTV_NEWCOMER_SURE      0.6
enum {
    GTV_NEWCOMER_MS = 2000,
    GTV_NEWCOMER_CAMERAS =
        4096,                // with one more, all are forgotten: at worst a vehicle in view is stored twice
    GTV_NEWCOMER_SEEN = 200, // objects remembered a camera; the longest unseen make room
};

struct gtv_newcomers;

struct gtv_newcomers *gtv_newcomers_create(void);
void gtv_newcomers_destroy(struct gtv_newcomers *n);
// Takes one look. Writes the positions of the new objects into fresh[] and returns how many they are. count
// beyond GTV_MAX_OBJECTS is not looked at. wall_ms may run backwards (a camera's clock was set): all is new.
size_t gtv_newcomers_take(struct gtv_newcomers *n, int64_t camera_id, int64_t wall_ms,
                          const struct gtv_detected *objects, size_t count, size_t fresh[GTV_MAX_OBJECTS]);

double gtv_iou(const struct gtv_detected *a, const struct gtv_detected *b); // 0..1
// How much of the smaller box lies in the other, 0..1.
double gtv_containment(const struct gtv_detected *a, const struct gtv_detected *b);

#endif
