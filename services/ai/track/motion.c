#include "services/ai/track/motion.h"

#include <math.h>

// Of a box's sides, or of the side of its square: what is known of detectors and of traffic.
static const double MEASURE_SHARE = 0.07; // standard deviation of a measured centre
static const double CUT_SHARE = 0.35;     // of one whose box is cut on both sides
static const double MEASURE_PIXELS = 1;
static const double UNKNOWN_SPEED = 4;  // sizes a second: of a vehicle seen once
static const double ACCELERATION = 0.7; // sizes a second^2
static const double STILL_SPREAD = 0.3;
static const double SIZE_GAIN = 0.5;
static const double GROWTH_SIGMA = 0.8, GROWTH_DRIFT = 0.35, SIZE_SIGMA = 0.1;
static const double MOST_CHANGE = 2.2; // of the size between two looks

static double clamp(double v, double low, double high)
{
    return fmin(fmax(v, low), high);
}

double gtv_motion_size(const struct gtv_motion *m)
{
    return sqrt(m->w * m->h);
}

void gtv_motion_noise(const struct gtv_motion_seen *seen, double *x, double *y)
{
    double sx = (seen->cut_x == 2 ? CUT_SHARE : MEASURE_SHARE) * seen->w + MEASURE_PIXELS;
    double sy = (seen->cut_y == 2 ? CUT_SHARE : MEASURE_SHARE) * seen->h + MEASURE_PIXELS;
    *x = sx * sx;
    *y = sy * sy;
}

void gtv_motion_begin(struct gtv_motion *m, const struct gtv_motion_seen *seen)
{
    double nx, ny, speed = UNKNOWN_SPEED * sqrt(seen->w * seen->h);
    gtv_motion_noise(seen, &nx, &ny);
    *m = (struct gtv_motion){
        .x = {.at = seen->x, .var = nx, .rate = speed * speed},
        .y = {.at = seen->y, .var = ny, .rate = speed * speed},
        .w = seen->w,
        .h = seen->h,
        .growth_var = GROWTH_SIGMA * GROWTH_SIGMA,
        .measured = 1,
        .cut_x = seen->cut_x,
        .cut_y = seen->cut_y,
        .known_w = !seen->cut_x,
        .known_h = !seen->cut_y,
    };
}

static void predict_axis(struct gtv_motion_axis *a, double dt, double ratio, double push)
{
    double q = push * push;
    a->at += a->speed * dt * ratio;
    a->speed *= ratio * ratio;
    a->var += 2 * a->cross * dt + a->rate * dt * dt + q * dt * dt * dt * dt / 4;
    a->cross += a->rate * dt + q * dt * dt * dt / 2;
    a->rate += q * dt * dt;
}

static void hold_axis(struct gtv_motion_axis *a, double size, double dt)
{
    double most = STILL_SPREAD * size;
    a->speed = 0;
    a->cross = 0;
    a->var = fmin(a->var + most * most * dt, most * most);
}

void gtv_motion_predict(struct gtv_motion *m, double dt, bool still)
{
    double size = gtv_motion_size(m);
    if (still) {
        hold_axis(&m->x, size, dt);
        hold_axis(&m->y, size, dt);
        m->growth = 0;
        return;
    }
    // 1/h is linear in time at constant speed, so h'/h = 1 / (1 - growth dt). Trusted as far as it is known.
    double trust = 1 / (1 + m->growth_var / 0.04);
    double growth = m->growth * trust;
    double ratio = clamp(1 / fmax(1 - growth * dt, 1 / MOST_CHANGE), 1 / MOST_CHANGE, MOST_CHANGE);
    double push = ACCELERATION * size;
    predict_axis(&m->x, dt, ratio, push);
    predict_axis(&m->y, dt, ratio, push);
    m->w *= ratio;
    m->h *= ratio;
    m->growth = growth * ratio;
    m->growth_var += GROWTH_DRIFT * GROWTH_DRIFT * dt;
}

static void update_axis(struct gtv_motion_axis *a, double measured, double noise)
{
    double s = a->var + noise, gain = a->var / s, speed_gain = a->cross / s, off = measured - a->at;
    a->at += gain * off;
    a->speed += speed_gain * off;
    a->rate -= speed_gain * a->cross;
    a->cross *= 1 - gain;
    a->var *= 1 - gain;
}

// The centre and side of a box of which the frame's edge cuts a part, when its side was `was`.
static void uncut(int cut, double was, double *at, double *side)
{
    if ((cut != 1 && cut != -1) || was <= *side)
        return;
    *at += cut * (was - *side) / 2;
    *side = was;
}

struct gtv_motion_seen gtv_motion_whole(const struct gtv_motion *m, const struct gtv_motion_seen *seen)
{
    struct gtv_motion_seen whole = *seen;
    // The side that is seen tells how much nearer or farther it is than before.
    double w = m->w, h = m->h;
    if (seen->cut_x && !seen->cut_y && m->known_h)
        w *= clamp(seen->h / m->h, 1 / MOST_CHANGE, MOST_CHANGE);
    if (seen->cut_y && !seen->cut_x && m->known_w)
        h *= clamp(seen->w / m->w, 1 / MOST_CHANGE, MOST_CHANGE);
    uncut(seen->cut_x, w, &whole.x, &whole.w);
    uncut(seen->cut_y, h, &whole.y, &whole.h);
    return whole;
}

// A side that was cut so far turns out to be longer: the edge that is known stays where it is.
static void stretch(struct gtv_motion_axis *a, int cut, double *side, double now)
{
    if ((cut == 1 || cut == -1) && now > *side) {
        a->at += cut * (now - *side) / 2;
        *side = now;
    }
}

static void update_size(struct gtv_motion *m, const struct gtv_motion_seen *seen, double dt)
{
    double off = log(sqrt(seen->w * seen->h) / gtv_motion_size(m));
    // What the size is off by at the end of dt is a growth that was off by off / dt.
    double noise = 2 * SIZE_SIGMA * SIZE_SIGMA / fmax(dt * dt, 1e-4);
    double gain = m->growth_var / (m->growth_var + noise);
    m->growth = clamp(m->growth + gain * off / fmax(dt, 0.01), -3, 3);
    m->growth_var *= 1 - gain;
    double keep = clamp(SIZE_GAIN + dt, SIZE_GAIN, 0.9);
    if (m->measured == 1 && dt > 0.2) { // the speed was the mean of the way, and is the way's end's
        double ratio = clamp(exp(off), 1 / MOST_CHANGE, MOST_CHANGE);
        m->x.speed *= ratio;
        m->y.speed *= ratio;
    }
    m->w *= pow(seen->w / m->w, keep);
    m->h *= pow(seen->h / m->h, keep);
}

void gtv_motion_update(struct gtv_motion *m, const struct gtv_motion_seen *raw, double dt)
{
    double nx, ny;
    struct gtv_motion_seen seen = gtv_motion_whole(m, raw);
    stretch(&m->x, m->cut_x, &m->w, seen.w);
    stretch(&m->y, m->cut_y, &m->h, seen.h);
    gtv_motion_noise(&seen, &nx, &ny);
    update_axis(&m->x, seen.x, nx);
    update_axis(&m->y, seen.y, ny);
    if (m->cut_x || m->cut_y || seen.cut_x || seen.cut_y) {
        m->w = seen.w;
        m->h = seen.h;
    } else {
        update_size(m, &seen, dt);
    }
    m->cut_x = seen.cut_x;
    m->cut_y = seen.cut_y;
    m->known_w = m->known_w || !seen.cut_x;
    m->known_h = m->known_h || !seen.cut_y;
    m->measured++;
}
