// The street without its traffic.
#ifndef GTV_STREET_BACKDROP_H
#define GTV_STREET_BACKDROP_H

#include "raster.h"

// Where the street's parts lie, in metres to the left of the camera's foot.
#define GTV_ROAD_NEAR     6.0
#define GTV_ROAD_FAR      13.4
#define GTV_ROAD_MIDDLE   9.7
#define GTV_FACADE        17.0
#define GTV_PAVEMENT_RISE 0.15

// width * height pixels of three floats in 0..1; the caller frees it.
float *gtv_backdrop_paint(const struct gtv_camera *camera, const struct gtv_light *light);

#endif
