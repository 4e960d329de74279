// How a box moves: a Kalman filter for its centre and its size, in seconds. A vehicle at constant speed on a
// road slows down in the picture as it shrinks and speeds up as it grows; the prediction knows that: what is
// seen at 1/depth h moves by v dt h'/h and then has the velocity v (h'/h)^2.
#ifndef GTV_AI_TRACK_MOTION_H
#define GTV_AI_TRACK_MOTION_H

#include "services/ai/track/track.h"

struct gtv_motion_axis {
    double at, speed;        // pixels, pixels a second
    double var, cross, rate; // covariance: of at, of both, of speed
};

struct gtv_motion {
    struct gtv_motion_axis x, y; // the box's centre
    double w, h;                 // filtered size
    double growth;               // d(log size)/dt, a second
    double growth_var;
    unsigned measured;     // detections so far
    int cut_x, cut_y;      // of the latest one, as in struct gtv_motion_seen
    bool known_w, known_h; // a detection had all of it
};

// A detection, as the filter sees it.
struct gtv_motion_seen {
    double x, y, w, h; // centre and size
    // The frame's edge that cuts it: -1 left or upper, 1 right or lower, 2 both, 0 none. Then only the other
    // edge is the vehicle's, and its size is at least what is seen.
    int cut_x, cut_y;
};

void gtv_motion_begin(struct gtv_motion *m, const struct gtv_motion_seen *seen);
// dt in seconds, at least 0. still: it stands, and is expected to go on standing.
void gtv_motion_predict(struct gtv_motion *m, double dt, bool still);
// dt: since the last detection.
void gtv_motion_update(struct gtv_motion *m, const struct gtv_motion_seen *seen, double dt);
// Where the centre of a cut detection is when the vehicle is as large as it was before.
struct gtv_motion_seen gtv_motion_whole(const struct gtv_motion *m, const struct gtv_motion_seen *seen);
// The same uncertainty of measurement that update uses, of each axis (variance, pixels^2).
void gtv_motion_noise(const struct gtv_motion_seen *seen, double *x, double *y);
double gtv_motion_size(const struct gtv_motion *m); // the side of a square of the same area, pixels

#endif
