// Phases of a track: tentative (seen once) -> live (said to have started) -> gone. Which detection belongs to
// which track is decided by likelihood: how far it is from where the track should be, against how well that
// is known, with the size and the class as further evidence; the best assignment of all is taken.
#include "services/ai/track/track.h"

#include "lib/base/mem.h"
#include "services/ai/track/flow.h"
#include "services/ai/track/motion.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

enum {
    GAP_MS = 60000,     // without looks: nothing that was in sight still is
    STILL_MS = 2000,    // not moved for that long: it stands
    TENTATIVE_MS = 700, // a track seen once is kept for that long, or until the second look without it
    MAX_GONE = GTV_TRACK_MAX + GTV_MAX_OBJECTS,
    MAX_WAYS = 1 + GTV_FLOW_WAYS,
};

// Costs are twice the negative logarithm of a likelihood, with lengths in sizes of the vehicle.
static const double SINGLE = 12;       // of leaving a track and a detection without one another
static const double SINGLE_UNSURE = 7; // the same in the second round
static const double OTHER_CLASS = 0.7, OTHER_KIND = 6; // a truck is easily a bus, a motorcycle is neither
static const double OTHER_SURE = 8;    // more, when the track and the detection are sure of theirs
static const double OWN_WAY = 4;       // one seen once, where others have shown the way, may go another
static const double SURPRISE = 4;      // deviations from the expected, squared, that teach nothing
static const double FLOW_DOUBT = 1;    // a way that others took may not be this one's
static const double MOST_SPEED = 14;   // sizes a second
static const double MOST_RATIO = 2.6;  // of sizes between two looks
static const double STILL_SHARE = 0.2; // of its size: what may move while it stands
static const double INSIDE = 0.65, INSIDE_AREA = 0.25;              // a second box on the same vehicle
static const double TURN_S = 5, TURN_SHARE = 0.2, TURN_SPEED = 0.3; // see turns_back
static const double AWAY_DOUBT = 4; // for each second out of sight: where it went is a guess by then
static const double EDGE_DOUBT = 10, IN_SHARE = 0.15;
static const double IN_SIGHT = 0.06;  // of its width and height: less, and it has left the picture
static const double AWAY_LOOKS = 2.3; // a track outlives that many looks without it, however rare they are

struct place {
    double x, y, size;
    double inner_x, inner_y; // its edges that are not the frame's
    int64_t at_ms;
    bool cut;
};

static double inner(double at, double side, int cut)
{
    return cut < 0 ? at + side / 2 : at - side / 2;
}

static struct place place_of(const struct gtv_motion_seen *s, int64_t wall_ms)
{
    return (struct place){.x = s->x,
                          .y = s->y,
                          .size = sqrt(s->w * s->h),
                          .inner_x = inner(s->x, s->w, s->cut_x),
                          .inner_y = inner(s->y, s->h, s->cut_y),
                          .at_ms = wall_ms,
                          .cut = s->cut_x || s->cut_y};
}

struct track {
    struct gtv_track shown;
    struct gtv_motion motion;
    bool live;
    unsigned missed;                 // looks since it was seen
    double votes[GTV_VEHICLE_COUNT]; // sums of confidence
    struct place rest;               // where it has been since still_ms
    struct place before[2];          // its latest places, the newest first
    double surprise;                 // of the latest detection: squared deviation from what was expected
};

struct seen {
    struct gtv_motion_seen at;
    enum gtv_vehicle vehicle;
    double confidence;
    int index; // in the caller's list
    int track; // that took it, or -1
};

struct gtv_tracker {
    struct gtv_track_config config;
    uint64_t last_id;
    int64_t wall_ms;
    bool begun;
    int width, height;
    size_t count;
    struct track tracks[GTV_TRACK_MAX];
    struct gtv_track gone[MAX_GONE]; // ended in the last look
    size_t gone_count;
    struct gtv_flow flow;
    // Of one look:
    struct seen seen[GTV_MAX_OBJECTS];
    size_t seen_count;
    float cost[GTV_TRACK_MAX * GTV_MAX_OBJECTS];
    int rows[GTV_TRACK_MAX], columns[GTV_MAX_OBJECTS], to[GTV_TRACK_MAX];
};

static double or_default(double v, double def)
{
    return v > 0 ? v : def;
}

struct gtv_tracker *gtv_tracker_create(const struct gtv_track_config *config)
{
    struct gtv_tracker *t = GTV_NEW(struct gtv_tracker);
    const struct gtv_track_config none = {0}, *c = config ? config : &none;
    t->config = (struct gtv_track_config){
        .sure = or_default(c->sure, 0.4),
        .unsure = or_default(c->unsure, 0.12),
        .start = or_default(c->start, 0.4),
        .lost_s = or_default(c->lost_s, 2.5),
        .parked_s = or_default(c->parked_s, 20),
    };
    t->last_id = c->after;
    return t;
}

void gtv_tracker_destroy(struct gtv_tracker *t)
{
    free(t);
}

// ---- Detections ----

static bool vehicle_of(const char *name, enum gtv_vehicle *out)
{
    for (int i = 0; i < GTV_VEHICLE_COUNT; i++) {
        if (strcmp(name, gtv_vehicle_names[i]) == 0) {
            *out = (enum gtv_vehicle)i;
            return true;
        }
    }
    return false;
}

static int cut(double at, double side, int frame)
{
    bool before = at <= 1, after = at + side >= frame - 1;
    return before && after ? 2 : before ? -1 : after;
}

static void take(struct gtv_tracker *t, const struct gtv_detected *found, size_t count)
{
    t->seen_count = 0;
    for (size_t i = 0; i < count && i < GTV_MAX_OBJECTS; i++) {
        const struct gtv_detected *d = &found[i];
        enum gtv_vehicle vehicle;
        double x = d->x, y = d->y, w = d->w, h = d->h;
        if (!(d->confidence >= t->config.unsure && d->confidence <= 1) || d->w <= 0 || d->h <= 0 ||
            !memchr(d->object_type, 0, sizeof(d->object_type)) || !vehicle_of(d->object_type, &vehicle) ||
            x >= t->width || y >= t->height || x + w <= 0 || y + h <= 0 || w > 2.0 * t->width ||
            h > 2.0 * t->height)
            continue;
        t->seen[t->seen_count++] = (struct seen){
            .at = {.x = x + w / 2,
                   .y = y + h / 2,
                   .w = w,
                   .h = h,
                   .cut_x = cut(x, w, t->width),
                   .cut_y = cut(y, h, t->height)},
            .vehicle = vehicle,
            .confidence = d->confidence,
            .index = (int)i,
            .track = -1,
        };
    }
}

// ---- Likelihood ----

// Where a track may be now, and how well that is known.
struct way {
    double x, y, var_x, var_y;
    double price;
};

// Along what others did here. The speed is asked for where it is half-way.
static size_t ways_of_flow(const struct gtv_tracker *t, const struct track *k, double dt, struct way *out)
{
    struct gtv_flow_way ways[GTV_FLOW_WAYS], later[GTV_FLOW_WAYS];
    const struct place *from = &k->before[0];
    size_t n = gtv_flow_ask(&t->flow, from->x / t->width, from->y / t->height, ways), kept = 0;
    for (size_t i = 0; i < n; i++) {
        struct gtv_flow_way way = ways[i];
        size_t m = gtv_flow_ask(&t->flow, from->x / t->width + way.vx * dt / 2,
                                from->y / t->height + way.vy * dt / 2, later);
        for (size_t j = 0; j < m; j++) {
            if (later[j].vx * way.vx + later[j].vy * way.vy > 0) {
                way = later[j];
                break;
            }
        }
        double dx = way.vx * dt * t->width, dy = way.vy * dt * t->height;
        double loose = 0.2 * 0.2 * (dx * dx + dy * dy);
        out[kept++] = (struct way){
            .x = from->x + dx,
            .y = from->y + dy,
            .var_x = way.var * dt * dt * t->width * t->width + loose,
            .var_y = way.var * dt * dt * t->height * t->height + loose,
            .price = FLOW_DOUBT,
        };
    }
    return kept;
}

static size_t ways_of(const struct gtv_tracker *t, const struct track *k, int64_t wall_ms, struct way *out)
{
    out[0] = (struct way){k->motion.x.at, k->motion.y.at, k->motion.x.var, k->motion.y.var, 0};
    if (k->motion.measured > 2 || k->shown.still_ms)
        return 1;
    size_t n = ways_of_flow(t, k, (double)(wall_ms - k->shown.seen_ms) / 1000, out + 1);
    if (n && k->motion.measured == 1)
        out[0].price = OWN_WAY;
    return 1 + n;
}

// The surer the track is of its class, the dearer another one.
static double class_cost(const struct track *k, const struct seen *s)
{
    enum gtv_vehicle mine = k->shown.vehicle;
    if (mine == s->vehicle)
        return 0;
    if ((mine == GTV_MOTORCYCLE) != (s->vehicle == GTV_MOTORCYCLE))
        return OTHER_KIND;
    bool both_heavy = mine != GTV_CAR && s->vehicle != GTV_CAR;
    double sure = k->votes[mine] / (1 + k->votes[mine]) * k->shown.vehicle_share * (1 + s->confidence) / 2;
    return both_heavy ? OTHER_CLASS : OTHER_CLASS + OTHER_SURE * sure;
}

static double square(double v)
{
    return v * v;
}

static double size_cost(const struct track *k, const struct gtv_motion_seen *at, double dt)
{
    const struct gtv_motion *m = &k->motion;
    double w = m->known_w ? fabs(log(at->w / m->w)) : 0, h = m->known_h ? fabs(log(at->h / m->h)) : 0;
    if (fmax(w, h) > log(MOST_RATIO))
        return GTV_ASSIGN_NEVER;
    double sigma = fmin(0.12 + 0.28 * dt, 0.6);
    return square(w / sigma) + square(h / sigma);
}

// Nobody drives backward a moment after driving on: one that comes in where another leaves is not that one.
static bool turns_back(const struct track *k, const struct gtv_motion_seen *at, double size, double dt)
{
    const struct place *now = &k->before[0], *then = &k->before[1];
    double vx = now->x - then->x, vy = now->y - then->y, way = hypot(vx, vy);
    double s = (double)(now->at_ms - then->at_ms) / 1000;
    if (k->motion.measured < 3 || dt > TURN_S || way < TURN_SHARE * size || way < TURN_SPEED * size * s)
        return false;
    return ((at->x - now->x) * vx + (at->y - now->y) * vy) / way < -TURN_SHARE * size;
}

// It was leaving by an edge, and this reaches farther in than it did.
static bool back_in(const struct track *k, const struct gtv_motion_seen *s)
{
    const struct place *now = &k->before[0];
    double most = IN_SHARE * now->size;
    switch (k->motion.cut_x) {
    case -1:
        return s->x + s->w / 2 > now->inner_x + most;
    case 1:
        return s->x - s->w / 2 < now->inner_x - most;
    default:
        break;
    }
    switch (k->motion.cut_y) {
    case -1:
        return s->y + s->h / 2 > now->inner_y + most;
    case 1:
        return s->y - s->h / 2 < now->inner_y - most;
    default:
        return false;
    }
}

static double cost_of(const struct track *k, const struct way *ways, size_t count, const struct seen *s,
                      double dt)
{
    double size = gtv_motion_size(&k->motion), size2 = size * size;
    double reach = (1 + MOST_SPEED * dt) * size;
    const struct place *from = &k->before[0];
    if (hypot(s->at.x - from->x, s->at.y - from->y) > reach)
        return GTV_ASSIGN_NEVER;
    double noise_x, noise_y, best = GTV_ASSIGN_NEVER;
    struct gtv_motion_seen at = gtv_motion_whole(&k->motion, &s->at);
    if (turns_back(k, &at, size, dt))
        return GTV_ASSIGN_NEVER;
    gtv_motion_noise(&at, &noise_x, &noise_y);
    for (size_t i = 0; i < count; i++) {
        double sx = ways[i].var_x + noise_x, sy = ways[i].var_y + noise_y;
        double cost = square(at.x - ways[i].x) / sx + square(at.y - ways[i].y) / sy +
                      log(sx / size2 * (sy / size2)) + ways[i].price;
        best = fmin(best, cost);
    }
    // Where the picture ends, others come in just as this one leaves.
    const struct gtv_motion *m = &k->motion;
    bool edge =
        m->known_w && m->known_h && m->measured >= 3 && (m->cut_x || m->cut_y || s->at.cut_x || s->at.cut_y);
    if (edge && back_in(k, &s->at))
        return GTV_ASSIGN_NEVER;
    return best + size_cost(k, &at, dt) + class_cost(k, s) + (edge ? EDGE_DOUBT : 0) +
           (k->missed > 1 && !k->shown.still_ms ? AWAY_DOUBT * dt : 0);
}

// ---- Matching ----

static void vote(struct track *k, const struct seen *s)
{
    k->votes[s->vehicle] += s->confidence;
    double sum = 0;
    for (int i = 0; i < GTV_VEHICLE_COUNT; i++) {
        sum += k->votes[i];
        if (k->votes[i] > k->votes[k->shown.vehicle])
            k->shown.vehicle = (enum gtv_vehicle)i;
    }
    k->shown.vehicle_share = sum > 0 ? k->votes[k->shown.vehicle] / sum : 0;
    k->shown.confidence = fmax(k->shown.confidence, s->confidence);
}

static void learn_way(struct gtv_tracker *t, const struct place *from, const struct place *to)
{
    double dt = (double)(to->at_ms - from->at_ms) / 1000;
    if (!(dt > 0))
        return;
    double vx = (to->x - from->x) / t->width / dt, vy = (to->y - from->y) / t->height / dt;
    double cells =
        hypot((to->x - from->x) / t->width * GTV_FLOW_COLUMNS, (to->y - from->y) / t->height * GTV_FLOW_ROWS);
    double ratio = from->cut || to->cut ? 1 : fmin(fmax(to->size / from->size, 0.5), 2);
    for (int i = -1; i <= 1; i++) { // at its beginning it was slower or faster, as sizes tell
        double at = 0.5 + i / 3.0, factor = pow(ratio, i * 2 / 3.0);
        gtv_flow_learn(&t->flow, (from->x + (to->x - from->x) * at) / t->width,
                       (from->y + (to->y - from->y) * at) / t->height, vx * factor, vy * factor,
                       fmin(cells / 3, 1) * 0.7);
    }
}

static void remember(struct gtv_tracker *t, struct track *k, const struct seen *s)
{
    struct gtv_motion_seen at = gtv_motion_whole(&k->motion, &s->at);
    struct place now = place_of(&at, t->wall_ms);
    if (k->motion.measured >= 3 && k->surprise < SURPRISE) {
        if (k->motion.measured == 3)
            learn_way(t, &k->before[1], &k->before[0]);
        learn_way(t, &k->before[0], &now);
    }
    k->before[1] = k->before[0];
    k->before[0] = now;
    double moved = hypot(s->at.x - k->rest.x, s->at.y - k->rest.y);
    if (moved > STILL_SHARE * now.size + 1) {
        k->rest = now;
        k->shown.still_ms = 0;
    } else if (t->wall_ms - k->rest.at_ms >= STILL_MS && k->shown.looks >= 3) {
        k->shown.still_ms = k->rest.at_ms;
    }
}

static void show_motion(struct track *k)
{
    const struct gtv_motion *m = &k->motion;
    k->shown.box = (struct gtv_track_box){m->x.at - m->w / 2, m->y.at - m->h / 2, m->w, m->h};
    k->shown.vx = m->x.speed;
    k->shown.vy = m->y.speed;
}

static void update(struct gtv_tracker *t, struct track *k, struct seen *s)
{
    double noise_x, noise_y, dt = (double)(t->wall_ms - k->shown.seen_ms) / 1000;
    struct gtv_motion_seen at = gtv_motion_whole(&k->motion, &s->at);
    gtv_motion_noise(&at, &noise_x, &noise_y);
    k->surprise = square(at.x - k->motion.x.at) / (k->motion.x.var + noise_x) +
                  square(at.y - k->motion.y.at) / (k->motion.y.var + noise_y);
    gtv_motion_update(&k->motion, &s->at, dt);
    k->shown.seen_ms = t->wall_ms;
    k->shown.looks++;
    k->shown.detection = s->index;
    k->missed = 0;
    vote(k, s);
    remember(t, k, s);
    show_motion(k);
    s->track = (int)(k - t->tracks);
}

// One round: the tracks without a detection against the detections of at least `least` without a track.
static void match(struct gtv_tracker *t, double least, double most, double single, bool recent)
{
    size_t rows = 0, columns = 0;
    for (size_t i = 0; i < t->seen_count; i++) {
        if (t->seen[i].track < 0 && t->seen[i].confidence >= least && t->seen[i].confidence < most)
            t->columns[columns++] = (int)i;
    }
    for (size_t i = 0; i < t->count && columns; i++) {
        const struct track *k = &t->tracks[i];
        if (k->shown.detection >= 0 || (recent && k->missed > 1 && !k->shown.still_ms))
            continue;
        struct way ways[MAX_WAYS];
        size_t n = ways_of(t, k, t->wall_ms, ways);
        double dt = (double)(t->wall_ms - k->shown.seen_ms) / 1000;
        for (size_t j = 0; j < columns; j++)
            t->cost[rows * columns + j] =
                (float)fmin(cost_of(k, ways, n, &t->seen[t->columns[j]], dt), GTV_ASSIGN_NEVER);
        t->rows[rows++] = (int)i;
    }
    if (rows == 0)
        return;
    gtv_assign(t->cost, rows, columns, (float)single, t->to);
    for (size_t r = 0; r < rows; r++) {
        if (t->to[r] >= 0)
            update(t, &t->tracks[t->rows[r]], &t->seen[t->columns[t->to[r]]]);
    }
}

// ---- Beginnings and ends ----

static void remove_track(struct gtv_tracker *t, size_t i)
{
    struct track *k = &t->tracks[i];
    if (k->live && t->gone_count < MAX_GONE) {
        k->shown.detection = -1;
        t->gone[t->gone_count++] = k->shown;
    }
    t->count--;
    if (i != t->count) {
        *k = t->tracks[t->count];
        for (size_t s = 0; s < t->seen_count; s++) {
            if (t->seen[s].track == (int)t->count)
                t->seen[s].track = (int)i;
        }
    }
}

// Room for another: the one that was not seen for the longest goes. False when all are in sight.
static bool make_room(struct gtv_tracker *t)
{
    size_t oldest = 0;
    for (size_t i = 1; i < t->count; i++) {
        if (t->tracks[i].shown.seen_ms < t->tracks[oldest].shown.seen_ms)
            oldest = i;
    }
    if (t->tracks[oldest].shown.detection >= 0)
        return false;
    remove_track(t, oldest);
    return true;
}

static double overlap(double a, double a_size, double b, double b_size)
{
    return fmax(0, fmin(a + a_size / 2, b + b_size / 2) - fmax(a - a_size / 2, b - b_size / 2));
}

// A second box on a vehicle that has its own already: a part of it, or the whole of it again.
static bool doubled(const struct gtv_tracker *t, const struct seen *s)
{
    double area = s->at.w * s->at.h;
    for (size_t i = 0; i < t->seen_count; i++) {
        const struct seen *o = &t->seen[i];
        if (o == s || o->track < 0)
            continue;
        double both =
            overlap(s->at.x, s->at.w, o->at.x, o->at.w) * overlap(s->at.y, s->at.h, o->at.y, o->at.h);
        double other = o->at.w * o->at.h, less = fmin(area, other);
        if (both > INSIDE * less && less > INSIDE_AREA * fmax(area, other))
            return true;
    }
    return false;
}

static void begin(struct gtv_tracker *t, struct seen *s)
{
    if (doubled(t, s) || (t->count == GTV_TRACK_MAX && !make_room(t)))
        return;
    uint64_t seed = (uint64_t)(t->wall_ms > 0 ? t->wall_ms : 0) << 10;
    t->last_id = t->last_id + 1 > seed ? t->last_id + 1 : seed;
    struct track *k = &t->tracks[t->count];
    memset(k, 0, sizeof(*k));
    gtv_motion_begin(&k->motion, &s->at);
    struct place now = place_of(&s->at, t->wall_ms);
    k->rest = k->before[0] = now;
    k->shown.id = t->last_id;
    k->shown.vehicle = s->vehicle;
    k->shown.first_ms = k->shown.seen_ms = t->wall_ms;
    k->shown.looks = 1;
    k->shown.detection = s->index;
    vote(k, s);
    show_motion(k);
    k->shown.first = k->shown.box;
    s->track = (int)t->count++;
}

static double inside(double at, double side, double frame)
{
    return fmin(at + side / 2, frame) - fmax(at - side / 2, 0);
}

// It has driven out of the picture: what comes in there now is another one.
static bool left(const struct gtv_tracker *t, const struct track *k)
{
    const struct gtv_motion *m = &k->motion;
    return inside(m->x.at, m->w, t->width) < IN_SIGHT * m->w ||
           inside(m->y.at, m->h, t->height) < IN_SIGHT * m->h;
}

// Whether a track that was not seen in this look has been away for too long.
static bool over(const struct gtv_tracker *t, const struct track *k, double look_s)
{
    double away_s = (double)(t->wall_ms - k->shown.seen_ms) / 1000;
    if (!k->live)
        return k->missed > 1 || away_s * 1000 > TENTATIVE_MS;
    if (k->shown.still_ms)
        return away_s > fmax(t->config.parked_s, AWAY_LOOKS * look_s);
    bool outside =
        k->motion.x.at < 0 || k->motion.y.at < 0 || k->motion.x.at > t->width || k->motion.y.at > t->height;
    return outside || away_s > fmax(t->config.lost_s, AWAY_LOOKS * look_s);
}

// ---- A look ----

static void resize(struct gtv_tracker *t, int width, int height)
{
    double fx = (double)width / t->width, fy = (double)height / t->height;
    for (size_t i = 0; i < t->count; i++) {
        struct track *k = &t->tracks[i];
        struct gtv_motion_axis *axes[2] = {&k->motion.x, &k->motion.y};
        for (int a = 0; a < 2; a++) {
            double f = a ? fy : fx;
            axes[a]->at *= f;
            axes[a]->speed *= f;
            axes[a]->var *= f * f;
            axes[a]->cross *= f * f;
            axes[a]->rate *= f * f;
        }
        k->motion.w *= fx;
        k->motion.h *= fy;
        struct place *places[] = {&k->rest, &k->before[0], &k->before[1]};
        for (size_t p = 0; p < sizeof(places) / sizeof(places[0]); p++) {
            places[p]->x *= fx;
            places[p]->y *= fy;
            places[p]->inner_x *= fx;
            places[p]->inner_y *= fy;
            places[p]->size *= sqrt(fx * fy);
        }
        struct gtv_track_box *first = &k->shown.first;
        *first = (struct gtv_track_box){first->x * fx, first->y * fy, first->w * fx, first->h * fy};
        show_motion(k);
    }
}

static void advance(struct gtv_tracker *t, double dt)
{
    for (size_t i = 0; i < t->count; i++) {
        struct track *k = &t->tracks[i];
        k->shown.detection = -1;
        k->missed++; // update takes it back
        gtv_motion_predict(&k->motion, dt, k->shown.still_ms != 0);
        show_motion(k);
    }
}

static void end_all(struct gtv_tracker *t)
{
    while (t->count)
        remove_track(t, t->count - 1);
}

static size_t tell(struct gtv_tracker *t, struct gtv_track_event *out)
{
    size_t n = 0;
    for (size_t i = 0; i < t->gone_count; i++)
        out[n++] = (struct gtv_track_event){GTV_TRACK_ENDED, &t->gone[i]};
    for (size_t i = 0; i < t->count && n < GTV_TRACK_EVENTS_MAX; i++) {
        struct track *k = &t->tracks[i];
        enum gtv_track_change change = k->shown.detection >= 0 ? GTV_TRACK_UPDATED : GTV_TRACK_MISSED;
        if (!k->live) {
            if (k->shown.looks < 2)
                continue;
            k->live = true;
            change = GTV_TRACK_STARTED;
        }
        out[n++] = (struct gtv_track_event){change, &k->shown};
    }
    return n;
}

size_t gtv_tracker_update(struct gtv_tracker *t, const struct gtv_detected *found, size_t count,
                          int64_t wall_ms, int width, int height, struct gtv_track_event *out)
{
    assert(width > 0 && height > 0);
    t->gone_count = 0;
    t->seen_count = 0;
    int64_t step_ms = t->begun ? wall_ms - t->wall_ms : 0;
    if (t->begun && step_ms <= 0) {
        step_ms = 1;
        wall_ms = t->wall_ms + 1;
    }
    if (step_ms > GAP_MS)
        end_all(t);
    if (t->begun && (width != t->width || height != t->height))
        resize(t, width, height);
    t->begun = true;
    t->wall_ms = wall_ms;
    t->width = width;
    t->height = height;
    double dt = (double)step_ms / 1000;
    advance(t, dt);
    for (size_t i = t->count; i-- > 0;) {
        if (left(t, &t->tracks[i]))
            remove_track(t, i);
    }
    take(t, found, count);
    match(t, t->config.sure, INFINITY, SINGLE, false);
    match(t, t->config.unsure, t->config.sure, SINGLE_UNSURE, true);
    for (size_t i = t->count; i-- > 0;) {
        if (t->tracks[i].shown.detection < 0 && over(t, &t->tracks[i], dt))
            remove_track(t, i);
    }
    for (size_t i = 0; i < t->seen_count; i++) {
        if (t->seen[i].track < 0 && t->seen[i].confidence >= t->config.start)
            begin(t, &t->seen[i]);
    }
    return tell(t, out);
}

bool gtv_tracker_curious(const struct gtv_tracker *t)
{
    struct gtv_flow_way ways[GTV_FLOW_WAYS];
    for (size_t i = 0; i < t->count; i++) {
        const struct track *k = &t->tracks[i];
        const struct place *at = &k->before[0];
        if (k->shown.looks == 1 && k->shown.detection >= 0 &&
            gtv_flow_ask(&t->flow, at->x / t->width, at->y / t->height, ways) == 0)
            return true;
    }
    return false;
}

size_t gtv_tracker_finish(struct gtv_tracker *t, struct gtv_track_event *out)
{
    t->gone_count = 0;
    t->seen_count = 0;
    end_all(t);
    return tell(t, out);
}
