// Solids by signed distance, and the triangles of their surfaces.
#ifndef GTV_STREET_SHAPE_H
#define GTV_STREET_SHAPE_H

#include <stddef.h>

#include "vec.h"

#define GTV_PROFILE_MAX 160

// A closed outline in some plane; a corner is given as two numbers.
struct gtv_profile {
    size_t n;
    double u[GTV_PROFILE_MAX], v[GTV_PROFILE_MAX];
};

// The outline with its corners cut off `rounds` times (Chaikin's scheme), which rounds it.
void gtv_profile_init(struct gtv_profile *p, const double (*corners)[2], size_t n, int rounds);

// Distance to the outline, negative inside.
double gtv_profile_distance(const struct gtv_profile *p, double u, double v);

// What remains of a block seen from three sides: outlines in (x,z), (|y|,z) and (x,|y|),
// blended over `round` metres where they meet.
struct gtv_hull {
    struct gtv_profile side, front, top;
    double round;
};

double gtv_hull_distance(const struct gtv_hull *hull, struct gtv_vec p);

// The union of a and b, with a fillet of about k metres.
double gtv_smooth_min(double a, double b, double k);

typedef double gtv_distance_fn(const void *context, struct gtv_vec p);

// Triangles with a normal a vertex. Owner: whoever created it.
struct gtv_mesh {
    size_t vertex_count, triangle_count;
    struct gtv_vec *position, *normal;
    unsigned (*triangle)[3];
};

// The zero surface of a distance function inside the box, as a surface net of `step` metres.
struct gtv_mesh *gtv_mesh_from_distance(gtv_distance_fn *distance, const void *context, struct gtv_vec low,
                                        struct gtv_vec high, double step);

// A wheel about the y axis, centred on the origin.
struct gtv_mesh *gtv_mesh_wheel(double radius, double width);

// A flat rectangle of four vertices: low left, low right, high right, high left.
struct gtv_mesh *gtv_mesh_quad(const struct gtv_vec corner[4], struct gtv_vec normal);

void gtv_mesh_destroy(struct gtv_mesh *mesh);

// Memory, or the end of the program: this tool holds nothing that has to be saved.
void *gtv_street_alloc(size_t count, size_t size);

#endif
