// The street without its traffic.
#ifndef GTV_STREET_BACKDROP_H
#define GTV_STREET_BACKDROP_H

#include "raster.h"

// Where the street's parts lie, in metres to the left of the camera's foot.
#define GTV_ROAD_NEAR     4.4
#define GTV_ROAD_FAR      11.3
#define GTV_ROAD_MIDDLE   7.8
#define GTV_LANE_NEAR     6.05
#define GTV_LANE_FAR      9.55
#define GTV_TREES         12.6
#define GTV_FACADE        15.0
#define GTV_PAVEMENT_RISE 0.15

// width * height pixels of three floats in 0..1; the caller frees it.
float *gtv_backdrop_paint(const struct gtv_camera *camera, const struct gtv_light *light);

#endif
