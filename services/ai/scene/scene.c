// A vehicle here: moving (it has a track) -> parked (its track ended while it stood) -> moving again (a track
// began where it stands) or forgotten. A new track at such a place is on trial for TRIAL_MS: whatever drives
// off by then was another vehicle.
#include "services/ai/scene/scene.h"

#include "lib/base/mem.h"
#include "services/ai/scene/follow.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    STAND_MS = 5000, // standing for that long when its track ends: it is parked
    TRIAL_MS = 3000,
    FORGET_LEAST_MS = 60 * 1000, // a parked vehicle that is not seen is remembered for twice as long as it
    FORGET_MOST_MS = 30 * 60 * 1000, // stood, within these bounds
};

static const double MOVED_SHARE = 0.3;  // of its size, from where it stood: it moves
static const double DROVE_SHARE = 0.6;  // the same once it was told that it stands
static const double SAME_OVERLAP = 0.4; // IoU of a parked vehicle and a track that begins there

const char *gtv_happening_name(enum gtv_happening_kind kind)
{
    switch (kind) {
#define X(name, text)                                                                                        \
    case name:                                                                                               \
        return text;
        GTV_HAPPENINGS(X)
#undef X
    case GTV_HAPPENING_KINDS:
        break;
    }
    return "";
}

struct gtv_scene *gtv_scene_create(const struct gtv_scene_settings *settings)
{
    struct gtv_scene *s = GTV_NEW(struct gtv_scene);
    s->settings = *settings;
    return s;
}

void gtv_scene_destroy(struct gtv_scene *s)
{
    free(s);
}

const struct gtv_scene_settings *gtv_scene_settings(const struct gtv_scene *s)
{
    return &s->settings;
}

uint64_t gtv_scene_dropped(const struct gtv_scene *s)
{
    return s->dropped;
}

double gtv_follow_size(const struct gtv_follow *f)
{
    return sqrt(fmax(f->box.w * f->box.h, 1));
}

struct gtv_happening *gtv_scene_tell(struct gtv_scene *s, enum gtv_happening_kind kind,
                                     const struct gtv_follow *f, int64_t wall_ms, const char *place,
                                     const char *suffix)
{
    if (s->out_count == GTV_SCENE_MAX_HAPPENINGS) {
        s->dropped++;
        return NULL;
    }
    struct gtv_happening *h = &s->out[s->out_count++];
    *h = (struct gtv_happening){
        .kind = kind,
        .wall_ms = wall_ms,
        .track = f->id,
        .current = f->current,
        .vehicle = f->vehicle,
        .confidence = f->confidence,
        .box = f->box,
        .x = f->x / s->width,
        .y = f->y / s->height,
        .id = place,
    };
    snprintf(h->key, sizeof(h->key), "%s/%llu%s%s%s%s", gtv_happening_name(kind), (unsigned long long)f->id,
             place ? "/" : "", place ? place : "", suffix ? "/" : "", suffix ? suffix : "");
    return h;
}

// ---- Places in the table ----

static enum gtv_follow_state *state_of(struct gtv_scene *s, const struct gtv_follow *f)
{
    return &s->state[f - s->follows];
}

static struct gtv_follow *find(struct gtv_scene *s, uint64_t current)
{
    for (size_t i = 0; i < GTV_SCENE_MAX_FOLLOWED; i++) {
        if (s->state[i] == GTV_FOLLOW_MOVING && s->follows[i].current == current)
            return &s->follows[i];
    }
    return NULL;
}

static void release(struct gtv_scene *s, struct gtv_follow *f)
{
    for (size_t i = 0; i < GTV_SCENE_MAX_FOLLOWED; i++) {
        if (s->state[i] == GTV_FOLLOW_MOVING && s->follows[i].parked == f)
            s->follows[i].parked = NULL;
    }
    *state_of(s, f) = GTV_FOLLOW_NONE;
    f->parked = NULL;
}

// It is gone; what it was in, it has left.
static void gone(struct gtv_scene *s, struct gtv_follow *f)
{
    if (f->announced) {
        gtv_follow_leave(s, f, f->seen_ms);
        struct gtv_happening *h = gtv_scene_tell(s, GTV_TRACK_OVER, f, f->seen_ms, NULL, NULL);
        if (h)
            h->seconds = (double)(f->seen_ms - f->first_ms) / 1000;
    }
    release(s, f);
}

static size_t parked_count(const struct gtv_scene *s, struct gtv_follow **oldest)
{
    size_t n = 0;
    *oldest = NULL;
    for (size_t i = 0; i < GTV_SCENE_MAX_FOLLOWED; i++) {
        const struct gtv_follow *f = &s->follows[i];
        if (s->state[i] != GTV_FOLLOW_PARKED)
            continue;
        n++;
        if (!*oldest || f->seen_ms < (*oldest)->seen_ms)
            *oldest = (struct gtv_follow *)(uintptr_t)f;
    }
    return n;
}

static struct gtv_follow *free_place(struct gtv_scene *s)
{
    for (size_t i = 0; i < GTV_SCENE_MAX_FOLLOWED; i++) {
        if (s->state[i] == GTV_FOLLOW_NONE)
            return &s->follows[i];
    }
    return NULL;
}

// ---- Tracks ----

static void anchor(const struct gtv_scene *s, const struct gtv_track_box *box, double *x, double *y)
{
    *x = fmin(fmax(box->x + box->w / 2, 0), s->width);
    *y = fmin(fmax(box->y + box->h, 0), s->height);
}

static double overlap(const struct gtv_track_box *a, const struct gtv_track_box *b)
{
    double w = fmin(a->x + a->w, b->x + b->w) - fmax(a->x, b->x);
    double h = fmin(a->y + a->h, b->y + b->h) - fmax(a->y, b->y);
    double both = w > 0 && h > 0 ? w * h : 0;
    return both / fmax(a->w * a->h + b->w * b->h - both, 1);
}

static bool on_trial(const struct gtv_scene *s, const struct gtv_follow *parked)
{
    for (size_t i = 0; i < GTV_SCENE_MAX_FOLLOWED; i++) {
        if (s->state[i] == GTV_FOLLOW_MOVING && s->follows[i].parked == parked)
            return true;
    }
    return false;
}

static struct gtv_follow *parked_at(struct gtv_scene *s, const struct gtv_track_box *box)
{
    struct gtv_follow *best = NULL;
    double most = SAME_OVERLAP;
    for (size_t i = 0; i < GTV_SCENE_MAX_FOLLOWED; i++) {
        struct gtv_follow *f = &s->follows[i];
        if (s->state[i] == GTV_FOLLOW_PARKED && overlap(&f->box, box) >= most && !on_trial(s, f)) {
            most = overlap(&f->box, box);
            best = f;
        }
    }
    return best;
}

static void announce(struct gtv_scene *s, struct gtv_follow *f, int64_t wall_ms)
{
    f->announced = true;
    (void)gtv_scene_tell(s, GTV_TRACK_BEGAN, f, wall_ms, NULL, NULL);
}

static void stand_at(struct gtv_follow *f, int64_t wall_ms)
{
    f->rest_x = f->x;
    f->rest_y = f->y;
    f->rest_ms = wall_ms;
    for (size_t i = 0; i < GTV_SCENE_MAX_AREAS; i++)
        f->zones[i].told_stop = false;
}

static bool told_to_stand(const struct gtv_follow *f)
{
    for (size_t i = 0; i < GTV_SCENE_MAX_AREAS; i++) {
        if (f->zones[i].told_stop)
            return true;
    }
    return false;
}

static void move(struct gtv_scene *s, struct gtv_follow *f, double x, double y, int64_t wall_ms)
{
    gtv_follow_cross(s, f, x, y, wall_ms);
    f->x = x;
    f->y = y;
    double share = told_to_stand(f) || wall_ms - f->rest_ms > STAND_MS ? DROVE_SHARE : MOVED_SHARE;
    if (hypot(x - f->rest_x, y - f->rest_y) > share * gtv_follow_size(f))
        stand_at(f, wall_ms);
    f->seen_ms = wall_ms;
    gtv_follow_zones(s, f, wall_ms);
}

static void begin(struct gtv_scene *s, const struct gtv_track *t)
{
    struct gtv_follow *f = free_place(s);
    if (!f) {
        struct gtv_follow *oldest;
        if (!parked_count(s, &oldest)) {
            s->dropped++;
            return;
        }
        gone(s, oldest);
        f = oldest;
    }
    memset(f, 0, sizeof(*f));
    *state_of(s, f) = GTV_FOLLOW_MOVING;
    f->id = f->current = t->id;
    f->vehicle = t->vehicle;
    f->confidence = t->confidence;
    f->first_ms = f->seen_ms = t->first_ms;
    f->box = t->first;
    anchor(s, &t->first, &f->x, &f->y);
    f->from_x = f->x;
    f->from_y = f->y;
    stand_at(f, t->first_ms);
    f->parked = parked_at(s, &t->box);
    if (!f->parked)
        announce(s, f, t->first_ms);
    gtv_follow_cross(s, f, f->x, f->y, t->first_ms);
    if (f->announced)
        gtv_follow_zones(s, f, t->first_ms);
}

static void try_out(struct gtv_scene *s, struct gtv_follow *f, const struct gtv_track *t, int64_t wall_ms)
{
    double x, y;
    anchor(s, &t->box, &x, &y);
    f->box = t->box;
    if (hypot(x - f->rest_x, y - f->rest_y) > MOVED_SHARE * gtv_follow_size(f)) {
        f->parked = NULL;
        announce(s, f, f->first_ms);
        move(s, f, x, y, wall_ms);
    } else if (wall_ms - f->first_ms >= TRIAL_MS) {
        struct gtv_follow *parked = f->parked;
        *state_of(s, parked) = GTV_FOLLOW_MOVING;
        parked->current = f->current;
        parked->box = t->box;
        parked->x = x;
        parked->y = y;
        parked->seen_ms = wall_ms;
        release(s, f);
    } else {
        f->parked->seen_ms = wall_ms;
    }
}

static void update(struct gtv_scene *s, const struct gtv_track *t, int64_t wall_ms)
{
    struct gtv_follow *f = find(s, t->id);
    if (!f) {
        begin(s, t);
        f = find(s, t->id);
    }
    if (!f)
        return;
    f->confidence = t->confidence;
    if (f->vehicle != t->vehicle) {
        gtv_follow_recount(s, f, t->vehicle);
        f->vehicle = t->vehicle;
    }
    if (f->parked) {
        try_out(s, f, t, wall_ms);
        return;
    }
    if (!f->announced) // the parked vehicle that it was taken for was forgotten
        announce(s, f, f->first_ms);
    double x, y;
    f->box = t->box;
    anchor(s, &t->box, &x, &y);
    move(s, f, x, y, wall_ms);
}

static void end(struct gtv_scene *s, const struct gtv_track *t)
{
    struct gtv_follow *f = find(s, t->id), *oldest;
    if (!f)
        return;
    if (f->parked || f->seen_ms - f->rest_ms < STAND_MS) {
        gone(s, f); // one on trial was never announced, and goes without a word
        return;
    }
    if (parked_count(s, &oldest) == GTV_SCENE_MAX_PARKED)
        gone(s, oldest);
    *state_of(s, f) = GTV_FOLLOW_PARKED;
}

static void forget(struct gtv_scene *s, int64_t wall_ms)
{
    for (size_t i = 0; i < GTV_SCENE_MAX_FOLLOWED; i++) {
        if (s->state[i] != GTV_FOLLOW_PARKED)
            continue;
        struct gtv_follow *f = &s->follows[i];
        int64_t keep = 2 * (f->seen_ms - f->rest_ms);
        keep = keep < FORGET_LEAST_MS ? FORGET_LEAST_MS : keep > FORGET_MOST_MS ? FORGET_MOST_MS : keep;
        if (wall_ms - f->seen_ms > keep)
            gone(s, f);
    }
}

static void resize(struct gtv_scene *s, int width, int height)
{
    double fx = s->width ? (double)width / s->width : 1, fy = s->height ? (double)height / s->height : 1;
    s->width = width;
    s->height = height;
    for (size_t i = 0; i < GTV_SCENE_MAX_FOLLOWED && (fx != 1 || fy != 1); i++) {
        if (s->state[i] == GTV_FOLLOW_NONE)
            continue;
        struct gtv_follow *f = &s->follows[i];
        f->box = (struct gtv_track_box){f->box.x * fx, f->box.y * fy, f->box.w * fx, f->box.h * fy};
        f->x *= fx;
        f->y *= fy;
        f->rest_x *= fx;
        f->rest_y *= fy;
        f->from_x *= fx;
        f->from_y *= fy;
        for (size_t l = 0; l < GTV_SCENE_MAX_LINES; l++)
            f->lines[l].distance *= sqrt(fx * fy); // its sign is what counts
    }
}

static void sort(struct gtv_happening *out, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct gtv_happening h = out[i];
        size_t j = i;
        for (; j > 0 && out[j - 1].wall_ms > h.wall_ms; j--)
            out[j] = out[j - 1];
        out[j] = h;
    }
}

size_t gtv_scene_update(struct gtv_scene *s, const struct gtv_track_event *events, size_t count,
                        int64_t wall_ms, int width, int height, struct gtv_happening *out)
{
    s->out = out;
    s->out_count = 0;
    s->wall_ms = wall_ms;
    if (width != s->width || height != s->height)
        resize(s, width, height);
    for (size_t i = 0; i < count; i++) {
        const struct gtv_track *t = events[i].track;
        switch (events[i].change) {
        case GTV_TRACK_STARTED:
        case GTV_TRACK_UPDATED:
            update(s, t, wall_ms);
            break;
        case GTV_TRACK_ENDED:
            end(s, t);
            break;
        case GTV_TRACK_MISSED:
            break;
        }
    }
    forget(s, wall_ms);
    sort(out, s->out_count);
    s->out = NULL;
    return s->out_count;
}

bool gtv_scene_announced(const struct gtv_scene *s, uint64_t track)
{
    for (size_t i = 0; i < GTV_SCENE_MAX_FOLLOWED; i++) {
        const struct gtv_follow *f = &s->follows[i];
        if (s->state[i] == GTV_FOLLOW_MOVING && f->current == track)
            return f->announced;
    }
    return false;
}

// ---- Before tracking ----

static bool admitted(const struct gtv_scene_settings *s, double x, double y)
{
    bool regions = false, inside = false;
    for (size_t i = 0; i < s->area_count; i++) {
        const struct gtv_area *a = &s->areas[i];
        if (a->kind == GTV_AREA_ZONE)
            continue;
        bool holds = gtv_area_holds(a, x, y);
        if (a->kind == GTV_AREA_REGION) {
            regions = true;
            inside = inside || holds;
        } else if (holds) {
            return false;
        }
    }
    return !regions || inside;
}

static bool wanted(const struct gtv_scene_settings *s, const struct gtv_detected *d)
{
    for (int i = 0; i < GTV_VEHICLE_COUNT; i++) {
        if (strcmp(d->object_type, gtv_vehicle_names[i]) == 0)
            return s->vehicles & 1U << i;
    }
    return false;
}

size_t gtv_scene_filter(const struct gtv_scene_settings *settings, struct gtv_detected *found, size_t count,
                        int width, int height)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const struct gtv_detected *d = &found[i];
        // The lower edge of a box at the frame's own edge is inside all the same.
        double x = fmin(fmax((d->x + d->w / 2.0) / width, 0), 0.9999);
        double y = fmin(fmax(((double)d->y + d->h) / height, 0), 0.9999);
        if (wanted(settings, d) && admitted(settings, x, y))
            found[kept++] = *d;
    }
    return kept;
}
