#include "services/ai/scene/follow.h"

#include <math.h>
#include <stdio.h>

static const double EDGE_SHARE = 0.08; // of its size: within that of a zone's edge it is neither in nor out
static const double WAY_SHARE = 0.8;   // of its size: so far it must have come to say which way
enum { EDGE_MS = 1500, WRONG_LOOKS = 2 }; // EDGE_MS: what is so long on the other side is there, edge or not

static double to_segment(double x, double y, double ax, double ay, double bx, double by)
{
    double dx = bx - ax, dy = by - ay, length2 = dx * dx + dy * dy;
    double t = length2 > 0 ? fmin(fmax(((x - ax) * dx + (y - ay) * dy) / length2, 0), 1) : 0;
    return hypot(x - ax - t * dx, y - ay - t * dy);
}

static double to_edge(const struct gtv_scene *s, const struct gtv_area *a, double x, double y)
{
    double least = INFINITY;
    for (size_t i = 0, j = a->count - 1; i < a->count; j = i++)
        least = fmin(least, to_segment(x, y, a->points[j].x * s->width, a->points[j].y * s->height,
                                       a->points[i].x * s->width, a->points[i].y * s->height));
    return least;
}

static void enter(struct gtv_scene *s, struct gtv_follow *f, const struct gtv_area *a,
                  struct gtv_follow_zone *z, int64_t wall_ms)
{
    char stay[16];
    *z = (struct gtv_follow_zone){.inside = true, .stays = z->stays + 1, .entered_ms = wall_ms};
    snprintf(stay, sizeof(stay), "%u", z->stays);
    struct gtv_happening *h = gtv_scene_tell(s, GTV_ZONE_ENTERED, f, wall_ms, a->id, stay);
    if (h)
        h->name = a->name;
}

static void leave(struct gtv_scene *s, struct gtv_follow *f, const struct gtv_area *a,
                  struct gtv_follow_zone *z, int64_t wall_ms)
{
    char stay[16];
    z->inside = false;
    z->turned_ms = 0;
    snprintf(stay, sizeof(stay), "%u", z->stays);
    struct gtv_happening *h = gtv_scene_tell(s, GTV_ZONE_LEFT, f, wall_ms, a->id, stay);
    if (h) {
        h->name = a->name;
        h->seconds = (double)(wall_ms - z->entered_ms) / 1000;
    }
}

static void stand(struct gtv_scene *s, struct gtv_follow *f, const struct gtv_area *a,
                  struct gtv_follow_zone *z, int64_t wall_ms)
{
    double stood_s = (double)(wall_ms - (f->rest_ms > z->entered_ms ? f->rest_ms : z->entered_ms)) / 1000;
    if (!(a->stopped_s > 0) || z->told_stop || stood_s < a->stopped_s)
        return;
    char stood[24];
    snprintf(stood, sizeof(stood), "%lld", (long long)f->rest_ms);
    z->told_stop = true;
    struct gtv_happening *h = gtv_scene_tell(s, GTV_VEHICLE_STOPPED, f, wall_ms, a->id, stood);
    if (h) {
        h->name = a->name;
        h->seconds = stood_s;
    }
}

static void drive(struct gtv_scene *s, struct gtv_follow *f, const struct gtv_area *a,
                  struct gtv_follow_zone *z, double degrees, int64_t wall_ms)
{
    double off = fabs(fmod(degrees - a->direction_deg + 720, 360) - 180); // of the very opposite
    z->wrong = off <= a->tolerance_deg ? z->wrong + 1 : 0;
    if (z->wrong < WRONG_LOOKS || z->told_wrong)
        return;
    char stay[16];
    snprintf(stay, sizeof(stay), "%u", z->stays);
    z->told_wrong = true;
    struct gtv_happening *h = gtv_scene_tell(s, GTV_WRONG_WAY, f, wall_ms, a->id, stay);
    if (h) {
        h->name = a->name;
        h->degrees = degrees;
    }
}

// Which way it has come since it was last asked. False when that is not far enough to tell.
static bool way(struct gtv_follow *f, double *degrees)
{
    double dx = f->x - f->from_x, dy = f->y - f->from_y;
    if (hypot(dx, dy) < WAY_SHARE * gtv_follow_size(f))
        return false;
    *degrees = fmod(atan2(dy, dx) * 180 / 3.14159265358979323846 + 360, 360);
    f->from_x = f->x;
    f->from_y = f->y;
    return true;
}

static void change_side(struct gtv_scene *s, struct gtv_follow *f, const struct gtv_area *a,
                        struct gtv_follow_zone *z, bool inside, int64_t wall_ms)
{
    if (inside == z->inside) {
        z->turned_ms = 0;
        return;
    }
    if (z->turned_ms == 0)
        z->turned_ms = wall_ms;
    if (to_edge(s, a, f->x, f->y) < EDGE_SHARE * gtv_follow_size(f) && wall_ms - z->turned_ms < EDGE_MS)
        return;
    if (inside)
        enter(s, f, a, z, z->turned_ms);
    else
        leave(s, f, a, z, z->turned_ms);
}

void gtv_follow_zones(struct gtv_scene *s, struct gtv_follow *f, int64_t wall_ms)
{
    double degrees = 0;
    bool moved = way(f, &degrees);
    for (size_t i = 0; i < s->settings.area_count; i++) {
        const struct gtv_area *a = &s->settings.areas[i];
        struct gtv_follow_zone *z = &f->zones[i];
        if (a->kind != GTV_AREA_ZONE || !(a->vehicles & 1U << f->vehicle || z->inside))
            continue;
        change_side(s, f, a, z, gtv_area_holds(a, f->x / s->width, f->y / s->height), wall_ms);
        if (!z->inside)
            continue;
        stand(s, f, a, z, wall_ms);
        if (moved && a->one_way)
            drive(s, f, a, z, degrees, wall_ms);
    }
}

void gtv_follow_leave(struct gtv_scene *s, struct gtv_follow *f, int64_t wall_ms)
{
    for (size_t i = 0; i < s->settings.area_count; i++) {
        if (f->zones[i].inside)
            leave(s, f, &s->settings.areas[i], &f->zones[i], wall_ms);
    }
}
