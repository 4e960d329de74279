// Points and directions in metres: x along the street (or a vehicle's nose), y to the left, z up.
#ifndef GTV_STREET_VEC_H
#define GTV_STREET_VEC_H

#include <math.h>

struct gtv_vec {
    double x, y, z;
};

static inline struct gtv_vec gtv_vec_make(double x, double y, double z)
{
    return (struct gtv_vec){x, y, z};
}

static inline struct gtv_vec gtv_vec_add(struct gtv_vec a, struct gtv_vec b)
{
    return gtv_vec_make(a.x + b.x, a.y + b.y, a.z + b.z);
}

static inline struct gtv_vec gtv_vec_sub(struct gtv_vec a, struct gtv_vec b)
{
    return gtv_vec_make(a.x - b.x, a.y - b.y, a.z - b.z);
}

static inline struct gtv_vec gtv_vec_scale(struct gtv_vec a, double k)
{
    return gtv_vec_make(a.x * k, a.y * k, a.z * k);
}

static inline double gtv_vec_dot(struct gtv_vec a, struct gtv_vec b)
{
    return a.x * b.x + a.y * b.y + a.z * b.z;
}

static inline struct gtv_vec gtv_vec_unit(struct gtv_vec a)
{
    double length = sqrt(gtv_vec_dot(a, a));
    return length > 0.0 ? gtv_vec_scale(a, 1.0 / length) : gtv_vec_make(0.0, 0.0, 1.0);
}

// Turned about the z axis by the angle whose cosine and sine are given.
static inline struct gtv_vec gtv_vec_turn(struct gtv_vec a, double cosine, double sine)
{
    return gtv_vec_make(a.x * cosine - a.y * sine, a.x * sine + a.y * cosine, a.z);
}

// Unlike fmin and fmax these ignore NaN and are one instruction.
static inline double gtv_least(double a, double b)
{
    return a < b ? a : b;
}

static inline double gtv_most(double a, double b)
{
    return a > b ? a : b;
}

static inline double gtv_clamp(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

static inline double gtv_mix(double a, double b, double t)
{
    return a + (b - a) * t;
}

static inline double gtv_smoothstep(double low, double high, double v)
{
    double t = gtv_clamp((v - low) / (high - low), 0.0, 1.0);
    return t * t * (3.0 - 2.0 * t);
}

#endif
