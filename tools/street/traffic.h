// Who drives through the picture, and when.
#ifndef GTV_STREET_TRAFFIC_H
#define GTV_STREET_TRAFFIC_H

#include "raster.h"

#define GTV_STREET_FPS    15
#define GTV_STREET_FRAMES 900

struct gtv_pass {
    const char *colour; // its name in the truth
    struct gtv_order order;
    double lane;  // metres to the left of the camera's foot
    bool away;    // in the near lane, showing its back; else towards the camera
    double start; // seconds
    double speed; // metres a second
};

extern const struct gtv_pass gtv_passes[];
extern const int gtv_pass_count;

// Where the vehicle of a pass is; false before it starts and after it has gone.
bool gtv_pass_pose(const struct gtv_pass *pass, double t, struct gtv_pose *pose);

#endif
