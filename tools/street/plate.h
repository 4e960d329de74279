// Brazilian plates: Mercosul (white, blue band) and the grey ones before it.
#ifndef GTV_STREET_PLATE_H
#define GTV_STREET_PLATE_H

#include <stdbool.h>

#include "vehicle.h"

// Plates are drawn this much larger than in life (0.40 x 0.13 m), so that they can be read at 720 lines.
#define GTV_PLATE_ENLARGED 1.9
// A motorcycle's, which must not hide the machine.
#define GTV_PLATE_ENLARGED_SMALL 1.5

// A picture of the plate centred on (0, 0); *w and *h are its size in metres.
struct gtv_texture *gtv_plate_paint(const char *text, enum gtv_plate_format format, bool two_lines, double *w,
                                    double *h);

#endif
