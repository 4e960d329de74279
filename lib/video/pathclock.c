#include "lib/video/pathclock.h"

#define TICKS INT64_C(90000)
#define JUMP                                                                                                 \
    (2 * TICKS) // a larger step in the camera's time stamps, or a larger distance from the wall, is a new
                // anchor
#define WINDOW    (5 * TICKS) // delays are judged by the best packet of so long a time
#define SLEW_PART 200         // at most 1/200 of the time passed: 0.5 %
#define MAX_REORDER_RUN                                                                                      \
    16 // H.264 and H.265 reorder at most 16 frames: a longer run is a clock that was set back

static int64_t wall_ticks(int64_t us)
{
    return us / 100 * 9 + us % 100 * 9 / 100;
}

static enum gtv_clock_step anchor(struct gtv_pathclock *c, int64_t in, int64_t arrival, int64_t *out)
{
    *c = (struct gtv_pathclock){.anchored = true,
                                .offset = arrival - in,
                                .last_in = in,
                                .last_out = arrival,
                                .window_start = arrival,
                                .window_min = INT64_MAX,
                                .known_min = 0};
    *out = arrival;
    return GTV_CLOCK_ANCHORED;
}

// Bends the offset toward the smallest delay by no more than the time that passed allows.
static void slew(struct gtv_pathclock *c, int64_t passed)
{
    int64_t most = passed / SLEW_PART;
    int64_t bend = c->known_min > most ? most : c->known_min < -most ? -most : c->known_min;
    c->offset += bend;
    c->known_min -= bend;
    if (c->window_min != INT64_MAX) {
        c->window_min -= bend;
    }
}

// Notes a packet's delay. False when a whole window stayed further from the wall than the clock could ever be
// bent.
static bool observe(struct gtv_pathclock *c, int64_t delay, int64_t arrival)
{
    if (delay < c->window_min) {
        c->window_min = delay;
    }
    if (delay < c->known_min) {
        c->known_min = delay;
    }
    if (arrival - c->window_start >= WINDOW || arrival < c->window_start) {
        c->known_min = c->window_min;
        c->window_min = INT64_MAX;
        c->window_start = arrival;
        return c->known_min <= JUMP && c->known_min >= -JUMP;
    }
    return true;
}

enum gtv_clock_step gtv_pathclock_map(struct gtv_pathclock *c, int64_t in, int64_t arrival_us, int64_t *out)
{
    int64_t arrival = wall_ticks(arrival_us);
    int64_t passed = in - c->last_in;
    if (!c->anchored || passed > JUMP || passed < -JUMP) {
        return anchor(c, in, arrival, out);
    }
    if (passed <= 0) {
        if (++c->reordered > MAX_REORDER_RUN) {
            return anchor(c, in, arrival, out);
        }
        *out = in + c->offset;
        return GTV_CLOCK_FOLLOWED;
    }
    c->reordered = 0;
    slew(c, passed);
    int64_t delay = arrival - (in + c->offset);
    // A packet cannot arrive before it was made: this far ahead, the anchor was late (a server that sent what
    // it had stored).
    if (delay < -TICKS || !observe(c, delay, arrival)) {
        return anchor(c, in, arrival, out);
    }
    c->last_in = in;
    *out = in + c->offset;
    if (*out <= c->last_out) {
        *out = c->last_out + 1;
    }
    c->last_out = *out;
    return GTV_CLOCK_FOLLOWED;
}

static void hold(struct gtv_dts *d, int64_t pts)
{
    int at = d->count++;
    while (at > 0 && d->held[at - 1] > pts) {
        d->held[at] = d->held[at - 1];
        at--;
    }
    d->held[at] = pts;
}

static int64_t take_smallest(struct gtv_dts *d)
{
    int64_t smallest = d->held[0];
    d->count--;
    for (int i = 0; i < d->count; i++) {
        d->held[i] = d->held[i + 1];
    }
    return smallest;
}

int64_t gtv_dts_next(struct gtv_dts *d, int64_t *pts)
{
    int64_t floor = d->any ? d->last + 1 : INT64_MIN;
    hold(d, *pts);
    if (*pts < floor) {
        if (d->depth < MAX_REORDER_RUN) {
            d->depth++;
        }
        *pts = floor;
    }
    // While the depth has just grown there is nothing old enough to give: creep forward by single ticks.
    int64_t dts = d->count > d->depth ? take_smallest(d) : d->any ? floor : *pts;
    if (dts > *pts) {
        dts = *pts;
    }
    if (dts < floor) {
        dts = floor;
    }
    d->last = dts;
    d->any = true;
    return dts;
}
