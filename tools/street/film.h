// Frames: the street with what drives on it at a given time, and the truth about each vehicle.
#ifndef GTV_STREET_FILM_H
#define GTV_STREET_FILM_H

#include "traffic.h"

#define GTV_PASSES_MAX 32

// A vehicle in one frame. Pixels; the whole box is not clipped to the picture.
struct gtv_seen {
    bool present;
    double whole[4], box[4]; // left, top, right, bottom; box: the part inside the picture
    double visible;          // share of the vehicle that is in the picture and not hidden by another
    bool plate;              // wholly in the picture and not hidden
    double corner[4][2];     // top left, top right, bottom right, bottom left, as read
};

struct gtv_film;

struct gtv_film *gtv_film_create(void);
void gtv_film_destroy(struct gtv_film *film);

const struct gtv_camera *gtv_film_camera(const struct gtv_film *film);
const struct gtv_vehicle *gtv_film_vehicle(const struct gtv_film *film, int pass);

// Paint frame n; rgb holds width * height * 3 floats in 0..1, seen has a place for each pass.
// Deterministic: a frame depends on its number only.
void gtv_film_frame(struct gtv_film *film, int n, float *rgb, struct gtv_seen *seen);

#endif
