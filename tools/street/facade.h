// The row of houses across the street.
#ifndef GTV_STREET_FACADE_H
#define GTV_STREET_FACADE_H

#include "texture.h"

// The houses stand from x = GTV_FACADE_FROM to GTV_FACADE_TO and are at most GTV_FACADE_TOP tall.
#define GTV_FACADE_FROM 0.0
#define GTV_FACADE_TO   110.0
#define GTV_FACADE_TOP  16.0

struct gtv_texture *gtv_facade_paint(void);

// How tall the house at x is, in metres.
double gtv_facade_height(double x);

#endif
