#include "services/ai/gate/sizes.h"

#include <math.h>
#include <stdlib.h>

enum { LEAST_KNOWN = 8 }; // intervals with and without motion, before anything is said

// In binary logarithms of a size.
static const float SPREADS = 4;      // mean deviations from the middle that are usual
static const float LEAST_HIGH = .1F; // that much above the middle is usual anyway,
static const float MOST_HIGH = .45F; // and never more than that
static const float LEAST_LOW = .4F;  // a stream that shrinks further is another one: frozen, black, at night
static const float MARGIN = .04F;    // below the least at which something moved

void gtv_sizes_add(struct gtv_sizes_interval *i, size_t bytes)
{
    uint32_t n = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
    i->pictures++;
    i->bytes += n;
    i->most = n > i->most ? n : i->most;
}

static struct gtv_sizes_point point_of(const struct gtv_sizes_interval *i)
{
    double mean = i->pictures ? (double)i->bytes / i->pictures : 0;
    return (struct gtv_sizes_point){{(float)log2(fmax(mean, 1)), (float)log2(fmax(i->most, 1))}};
}

static size_t filled(uint32_t count, size_t cap)
{
    return count < cap ? count : cap;
}

static int by_value(const void *a, const void *b)
{
    const float *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static float median(float *values, size_t n)
{
    qsort(values, n, sizeof(*values), by_value);
    return values[n / 2];
}

static void learn_usual(struct gtv_sizes *s, size_t feature)
{
    float values[GTV_SIZES_STILL];
    size_t n = filled(s->still_count, GTV_SIZES_STILL);
    for (size_t i = 0; i < n; i++)
        values[i] = s->still[i].at[feature];
    float centre = median(values, n), sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += fabsf(s->still[i].at[feature] - centre);
    float usual = SPREADS * sum / (float)n;
    s->centre.at[feature] = centre;
    s->high.at[feature] = centre + fminf(fmaxf(usual, LEAST_HIGH), MOST_HIGH);
    s->low.at[feature] = centre - fmaxf(usual, LEAST_LOW);
}

// The least above the middle at which something moved. What is remembered is relative to the middle of its
// own time, so that it holds by day and by night. Where less than half of what is usual lies below it the two
// do not part, and what is below is so by chance: motion would be too, one time in fifty.
static void learn_least(struct gtv_sizes *s, size_t feature)
{
    float least = MOST_HIGH + MARGIN;
    for (size_t i = 0; i < filled(s->moving_count, GTV_SIZES_MOVING); i++)
        least = fminf(least, s->moving[i].at[feature]);
    for (size_t i = 0; i < filled(s->onset_count, GTV_SIZES_ONSET); i++)
        least = fminf(least, s->onset[i].at[feature]);
    least += s->centre.at[feature] - MARGIN;
    size_t n = filled(s->still_count, GTV_SIZES_STILL), below = 0;
    for (size_t i = 0; i < n; i++)
        below += s->still[i].at[feature] < least;
    s->least.at[feature] = 2 * below >= n ? least : -INFINITY;
}

static struct gtv_sizes_point relative(const struct gtv_sizes *s, struct gtv_sizes_point p)
{
    for (size_t f = 0; f < GTV_SIZES_FEATURES; f++)
        p.at[f] -= s->centre.at[f];
    return p;
}

static bool beyond(const struct gtv_sizes *s, const struct gtv_sizes_point *p)
{
    for (size_t f = 0; f < GTV_SIZES_FEATURES; f++)
        if (p->at[f] > s->high.at[f])
            return true;
    return false;
}

void gtv_sizes_learn(struct gtv_sizes *s, const struct gtv_sizes_interval *i, bool motion)
{
    bool moved = s->moved;
    s->moved = motion;
    if (i->pictures == 0)
        return;
    struct gtv_sizes_point p = point_of(i);
    s->pictures = i->pictures;
    if (!motion && !moved) {
        s->still[s->still_count++ % GTV_SIZES_STILL] = p;
    } else if (motion && s->still_count >= LEAST_KNOWN) {
        // In its midst a vehicle may have stopped, which the gate goes on seeing for some seconds: that says
        // nothing of how small motion is. Its beginning does.
        if (!moved)
            s->onset[s->onset_count++ % GTV_SIZES_ONSET] = relative(s, p);
        else if (beyond(s, &p))
            s->moving[s->moving_count++ % GTV_SIZES_MOVING] = relative(s, p);
    }
    if (s->still_count < LEAST_KNOWN)
        return;
    for (size_t f = 0; f < GTV_SIZES_FEATURES; f++) {
        learn_usual(s, f);
        learn_least(s, f);
    }
    s->ready = s->onset_count + s->moving_count >= LEAST_KNOWN && s->onset_count > 0;
}

bool gtv_sizes_quiet(const struct gtv_sizes *s, const struct gtv_sizes_interval *i)
{
    // Pictures that were lost on the way make an interval small.
    if (!s->ready || i->pictures == 0 || i->pictures + 1 < s->pictures)
        return false;
    struct gtv_sizes_point p = point_of(i);
    bool less = false;
    for (size_t f = 0; f < GTV_SIZES_FEATURES; f++) {
        if (p.at[f] < s->low.at[f] || p.at[f] > s->high.at[f])
            return false;
        less = less || p.at[f] < s->least.at[f];
    }
    return less;
}
