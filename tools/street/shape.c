#include "shape.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *gtv_street_alloc(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (memory == NULL) {
        fputs("gtv-street: out of memory\n", stderr);
        abort();
    }
    return memory;
}

void gtv_profile_init(struct gtv_profile *p, const double (*corners)[2], size_t n, int rounds)
{
    p->n = n;
    for (size_t i = 0; i < n; i++) {
        p->u[i] = corners[i][0];
        p->v[i] = corners[i][1];
    }
    for (int r = 0; r < rounds && p->n * 2 <= GTV_PROFILE_MAX; r++) {
        struct gtv_profile old = *p;
        for (size_t i = 0; i < old.n; i++) {
            size_t j = (i + 1) % old.n;
            p->u[2 * i] = gtv_mix(old.u[i], old.u[j], 0.25);
            p->v[2 * i] = gtv_mix(old.v[i], old.v[j], 0.25);
            p->u[2 * i + 1] = gtv_mix(old.u[i], old.u[j], 0.75);
            p->v[2 * i + 1] = gtv_mix(old.v[i], old.v[j], 0.75);
        }
        p->n = old.n * 2;
    }
}

double gtv_profile_distance(const struct gtv_profile *p, double u, double v)
{
    double best = 1e18;
    int inside = 0;
    for (size_t i = 0, j = p->n - 1; i < p->n; j = i++) {
        double eu = p->u[j] - p->u[i], ev = p->v[j] - p->v[i];
        double wu = u - p->u[i], wv = v - p->v[i];
        double t = gtv_clamp((wu * eu + wv * ev) / (eu * eu + ev * ev + 1e-12), 0.0, 1.0);
        double du = wu - eu * t, dv = wv - ev * t;
        best = gtv_least(best, du * du + dv * dv);
        if ((p->v[i] > v) != (p->v[j] > v) && u < (v - p->v[i]) * eu / ev + p->u[i])
            inside = !inside;
    }
    return inside ? -sqrt(best) : sqrt(best);
}

double gtv_smooth_min(double a, double b, double k)
{
    double h = gtv_most(k - fabs(a - b), 0.0) / k;
    return gtv_least(a, b) - h * h * k * 0.25;
}

double gtv_hull_distance(const struct gtv_hull *hull, struct gtv_vec p)
{
    double y = fabs(p.y);
    double a = gtv_profile_distance(&hull->side, p.x, p.z);
    double b = gtv_profile_distance(&hull->front, y, p.z);
    double c = gtv_profile_distance(&hull->top, p.x, y);
    return -gtv_smooth_min(gtv_smooth_min(-a, -b, hull->round), -c, hull->round);
}

static struct gtv_mesh *mesh_create(size_t vertices, size_t triangles)
{
    struct gtv_mesh *mesh = gtv_street_alloc(1, sizeof *mesh);
    mesh->position = gtv_street_alloc(vertices, sizeof *mesh->position);
    mesh->normal = gtv_street_alloc(vertices, sizeof *mesh->normal);
    mesh->triangle = gtv_street_alloc(triangles, sizeof *mesh->triangle);
    return mesh;
}

void gtv_mesh_destroy(struct gtv_mesh *mesh)
{
    if (mesh == NULL)
        return;
    free(mesh->position);
    free(mesh->normal);
    free(mesh->triangle);
    free(mesh);
}

struct grid {
    size_t n[3];
    double step;
    struct gtv_vec low;
    float *value;    // a corner
    unsigned *index; // a cell: its vertex plus one, 0 for none
};

static size_t grid_at(const struct grid *g, size_t x, size_t y, size_t z)
{
    return (z * g->n[1] + y) * g->n[0] + x;
}

static struct gtv_vec grid_point(const struct grid *g, double x, double y, double z)
{
    return gtv_vec_make(g->low.x + x * g->step, g->low.y + y * g->step, g->low.z + z * g->step);
}

// The mean of the places where the surface cuts the cell's edges; false where it cuts none.
static bool cell_vertex(const struct grid *g, const size_t at[3], struct gtv_vec *out)
{
    double v[8];
    int inside = 0;
    for (int i = 0; i < 8; i++) {
        v[i] = (double)g->value[grid_at(g, at[0] + (size_t)(i & 1), at[1] + (size_t)(i >> 1 & 1),
                                        at[2] + (size_t)(i >> 2))];
        inside += v[i] < 0.0;
    }
    if (inside == 0 || inside == 8)
        return false;
    double sum[3] = {0}, count = 0.0;
    for (int i = 0; i < 8; i++) {
        for (int axis = 0; axis < 3; axis++) {
            int j = i | 1 << axis;
            if (j == i || (v[i] < 0.0) == (v[j] < 0.0))
                continue;
            double t = v[i] / (v[i] - v[j]);
            for (int k = 0; k < 3; k++)
                sum[k] += k == axis ? t : (double)(i >> k & 1);
            count += 1.0;
        }
    }
    *out = grid_point(g, (double)at[0] + sum[0] / count, (double)at[1] + sum[1] / count,
                      (double)at[2] + sum[2] / count);
    return true;
}

static struct gtv_vec gradient(gtv_distance_fn *distance, const void *context, struct gtv_vec p, double e)
{
    return gtv_vec_unit(gtv_vec_make(distance(context, gtv_vec_make(p.x + e, p.y, p.z)) -
                                         distance(context, gtv_vec_make(p.x - e, p.y, p.z)),
                                     distance(context, gtv_vec_make(p.x, p.y + e, p.z)) -
                                         distance(context, gtv_vec_make(p.x, p.y - e, p.z)),
                                     distance(context, gtv_vec_make(p.x, p.y, p.z + e)) -
                                         distance(context, gtv_vec_make(p.x, p.y, p.z - e))));
}

static void add_quad(struct gtv_mesh *mesh, const unsigned corner[4])
{
    unsigned *a = mesh->triangle[mesh->triangle_count++];
    unsigned *b = mesh->triangle[mesh->triangle_count++];
    a[0] = b[0] = corner[0];
    a[1] = corner[1];
    a[2] = b[1] = corner[2];
    b[2] = corner[3];
}

// A quad across each grid edge that the surface cuts, from the four cells around it.
static void connect_cells(const struct grid *g, struct gtv_mesh *mesh)
{
    for (size_t z = 1; z + 1 < g->n[2]; z++) {
        for (size_t y = 1; y + 1 < g->n[1]; y++) {
            for (size_t x = 1; x + 1 < g->n[0]; x++) {
                bool here = g->value[grid_at(g, x, y, z)] < 0.0F;
                for (int axis = 0; axis < 3; axis++) {
                    size_t next = grid_at(g, x + (axis == 0), y + (axis == 1), z + (axis == 2));
                    if (here == (g->value[next] < 0.0F))
                        continue;
                    size_t b[3] = {axis == 1, axis == 2, axis == 0}, c[3] = {axis == 2, axis == 0, axis == 1};
                    unsigned quad[4] = {
                        g->index[grid_at(g, x, y, z)], g->index[grid_at(g, x - b[0], y - b[1], z - b[2])],
                        g->index[grid_at(g, x - b[0] - c[0], y - b[1] - c[1], z - b[2] - c[2])],
                        g->index[grid_at(g, x - c[0], y - c[1], z - c[2])]};
                    if (!quad[0] || !quad[1] || !quad[2] || !quad[3])
                        continue;
                    for (int k = 0; k < 4; k++)
                        quad[k]--;
                    add_quad(mesh, quad);
                }
            }
        }
    }
}

struct gtv_mesh *gtv_mesh_from_distance(gtv_distance_fn *distance, const void *context, struct gtv_vec low,
                                        struct gtv_vec high, double step)
{
    struct grid g = {.step = step, .low = gtv_vec_sub(low, gtv_vec_make(2 * step, 2 * step, 2 * step))};
    double span[3] = {high.x - low.x, high.y - low.y, high.z - low.z};
    for (int k = 0; k < 3; k++)
        g.n[k] = (size_t)ceil(span[k] / step) + 5;
    size_t total = g.n[0] * g.n[1] * g.n[2];
    g.value = gtv_street_alloc(total, sizeof *g.value);
    g.index = gtv_street_alloc(total, sizeof *g.index);
    for (size_t z = 0; z < g.n[2]; z++)
        for (size_t y = 0; y < g.n[1]; y++)
            for (size_t x = 0; x < g.n[0]; x++)
                g.value[grid_at(&g, x, y, z)] =
                    (float)distance(context, grid_point(&g, (double)x, (double)y, (double)z));
    size_t count = 0;
    struct gtv_vec vertex;
    for (size_t z = 0; z + 1 < g.n[2]; z++)
        for (size_t y = 0; y + 1 < g.n[1]; y++)
            for (size_t x = 0; x + 1 < g.n[0]; x++)
                if (cell_vertex(&g, (size_t[3]){x, y, z}, &vertex))
                    g.index[grid_at(&g, x, y, z)] = (unsigned)++count;
    struct gtv_mesh *mesh = mesh_create(count, count * 3);
    for (size_t z = 0; z + 1 < g.n[2]; z++)
        for (size_t y = 0; y + 1 < g.n[1]; y++)
            for (size_t x = 0; x + 1 < g.n[0]; x++)
                if (cell_vertex(&g, (size_t[3]){x, y, z}, &vertex)) {
                    mesh->position[mesh->vertex_count] = vertex;
                    mesh->normal[mesh->vertex_count++] = gradient(distance, context, vertex, step * 0.5);
                }
    connect_cells(&g, mesh);
    free(g.value);
    free(g.index);
    return mesh;
}

struct gtv_mesh *gtv_mesh_wheel(double radius, double width)
{
    enum { SIDES = 32 };
    struct gtv_mesh *mesh = mesh_create(SIDES * 4 + 2, SIDES * 4);
    const struct gtv_vec out = {0, 1, 0}, in = {0, -1, 0};
    for (unsigned i = 0; i < SIDES; i++) {
        double a = 2.0 * M_PI * (double)i / SIDES;
        struct gtv_vec radial = gtv_vec_make(cos(a), 0.0, sin(a));
        struct gtv_vec rim = gtv_vec_scale(radial, radius), face = gtv_vec_scale(radial, radius * 0.985);
        for (unsigned k = 0; k < 2; k++) {
            double y = (k ? -0.5 : 0.5) * width;
            mesh->position[i * 4 + k] = gtv_vec_make(rim.x, y * 0.9, rim.z);
            mesh->normal[i * 4 + k] = radial;
            mesh->position[i * 4 + 2 + k] = gtv_vec_make(face.x, y, face.z);
            mesh->normal[i * 4 + 2 + k] = k ? in : out;
        }
        unsigned j = (i + 1) % SIDES;
        add_quad(mesh, (unsigned[4]){i * 4, j * 4, j * 4 + 1, i * 4 + 1});
        for (unsigned k = 0; k < 2; k++) {
            unsigned *t = mesh->triangle[mesh->triangle_count++];
            t[0] = SIDES * 4 + k;
            t[1] = i * 4 + 2 + k;
            t[2] = j * 4 + 2 + k;
        }
    }
    mesh->position[SIDES * 4] = gtv_vec_make(0, 0.5 * width, 0);
    mesh->normal[SIDES * 4] = out;
    mesh->position[SIDES * 4 + 1] = gtv_vec_make(0, -0.5 * width, 0);
    mesh->normal[SIDES * 4 + 1] = in;
    mesh->vertex_count = SIDES * 4 + 2;
    return mesh;
}

struct gtv_mesh *gtv_mesh_quad(const struct gtv_vec corner[4], struct gtv_vec normal)
{
    struct gtv_mesh *mesh = mesh_create(4, 2);
    for (size_t i = 0; i < 4; i++) {
        mesh->position[i] = corner[i];
        mesh->normal[i] = normal;
    }
    mesh->vertex_count = 4;
    add_quad(mesh, (unsigned[4]){0, 1, 2, 3});
    return mesh;
}
