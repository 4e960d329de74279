// Repeatable randomness: the same picture on every machine.
#ifndef GTV_STREET_NOISE_H
#define GTV_STREET_NOISE_H

#include <math.h>
#include <stdint.h>

struct gtv_random {
    uint64_t state;
};

// splitmix64 (Steele, Lea, Flood 2014).
static inline uint64_t gtv_random_next(struct gtv_random *r)
{
    uint64_t z = (r->state += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31);
}

// Evenly in 0..1.
static inline double gtv_random_unit(struct gtv_random *r)
{
    return (double)(gtv_random_next(r) >> 11) * 0x1p-53;
}

static inline double gtv_random_between(struct gtv_random *r, double low, double high)
{
    return low + (high - low) * gtv_random_unit(r);
}

static inline double gtv_noise_cell(int x, int y)
{
    struct gtv_random r = {((uint64_t)(uint32_t)x << 32) | (uint32_t)y};
    gtv_random_next(&r);
    return gtv_random_unit(&r);
}

// Smooth noise in 0..1 with features about one unit wide.
static inline double gtv_noise(double x, double y)
{
    int xi = (int)floor(x), yi = (int)floor(y);
    double fx = x - xi, fy = y - yi;
    fx = fx * fx * (3.0 - 2.0 * fx);
    fy = fy * fy * (3.0 - 2.0 * fy);
    double top = gtv_noise_cell(xi, yi) * (1.0 - fx) + gtv_noise_cell(xi + 1, yi) * fx;
    double low = gtv_noise_cell(xi, yi + 1) * (1.0 - fx) + gtv_noise_cell(xi + 1, yi + 1) * fx;
    return top * (1.0 - fy) + low * fy;
}

static inline double gtv_noise_rough(double x, double y)
{
    return 0.5 * gtv_noise(x, y) + 0.3 * gtv_noise(x * 2.1 + 7, y * 2.1) +
           0.2 * gtv_noise(x * 4.3, y * 4.3 + 3);
}

#endif
