#include "services/ai/scene/follow.h"

#include <math.h>
#include <stdio.h>

static const double SETTLED_SHARE = 0.06; // of its size: beyond the line by that much, it is across
static const double SETTLED_PIXELS = 1;
static const double FASTEST_KMH = 400;
enum { SLOWEST_MS = 120000 };

static struct gtv_follow_line *line_state(struct gtv_follow *f, size_t i)
{
    return &f->lines[i];
}

static void count(struct gtv_scene *s, size_t line, bool forward, enum gtv_vehicle vehicle, int64_t wall_ms)
{
    int64_t second = wall_ms / 1000;
    size_t place = (size_t)(second % GTV_SCENE_MINUTE);
    s->total[line][forward][vehicle]++;
    if (s->minute_s[place] < second) {
        s->minute_s[place] = second;
        memset(s->minute[place], 0, sizeof(s->minute[place]));
    }
    if (s->minute_s[place] == second && s->minute[place][line][forward][vehicle] < UINT16_MAX)
        s->minute[place][line][forward][vehicle]++;
}

static void measure(struct gtv_scene *s, struct gtv_follow *f, size_t line, int64_t wall_ms)
{
    for (size_t i = 0; i < s->settings.speed_count; i++) {
        const struct gtv_speed *p = &s->settings.speeds[i];
        if (p->from != line && p->to != line)
            continue;
        int64_t before = line_state(f, p->from == line ? p->to : p->from)->counted_ms;
        int64_t ms = wall_ms - before;
        if (before == 0 || ms <= 0 || ms > SLOWEST_MS)
            continue;
        double kmh = p->distance_m / (double)ms * 3600;
        if (kmh > FASTEST_KMH)
            continue;
        struct gtv_happening *h = gtv_scene_tell(s, GTV_SPEED_MEASURED, f, wall_ms, p->id, NULL);
        if (!h)
            continue;
        h->name = p->name;
        h->speed_kmh = kmh;
        h->limit_kmh = p->limit_kmh;
        h->over = p->limit_kmh > 0 && kmh > p->limit_kmh;
        h->seconds = (double)ms / 1000;
    }
}

static void crossed(struct gtv_scene *s, struct gtv_follow *f, size_t i, bool forward)
{
    const struct gtv_line *line = &s->settings.lines[i];
    struct gtv_follow_line *l = line_state(f, i);
    if (l->counted[forward] || !(forward ? line->forward : line->backward) ||
        !(line->vehicles & 1U << f->vehicle))
        return;
    l->counted[forward] = true;
    l->counted_as[forward] = f->vehicle;
    l->counted_ms = l->crossed_ms;
    count(s, i, forward, f->vehicle, l->crossed_ms);
    const char *word = forward ? "forward" : "backward";
    const char *name = forward ? line->forward_name : line->backward_name;
    struct gtv_happening *h = gtv_scene_tell(s, GTV_LINE_CROSSED, f, l->crossed_ms, line->id, word);
    if (h) {
        h->name = line->name;
        h->forward = forward;
        h->direction = name[0] ? name : word;
        h->x = l->crossed_x / s->width;
        h->y = l->crossed_y / s->height;
    }
    measure(s, f, i, l->crossed_ms);
}

// One line: where it was went over at the latest change of side, it is counted once it is well across, so
// that a box that trembles on the line counts for nothing.
static void cross_line(struct gtv_scene *s, struct gtv_follow *f, size_t i, double x, double y,
                       int64_t wall_ms)
{
    const struct gtv_line *line = &s->settings.lines[i];
    struct gtv_follow_line *l = line_state(f, i);
    double ax = line->a.x * s->width, ay = line->a.y * s->height;
    double dx = line->b.x * s->width - ax, dy = line->b.y * s->height - ay, length = hypot(dx, dy);
    if (!(length > 0))
        return;
    // On the picture y goes down, and so the right of a..b is where this is positive.
    double now = (dx * (y - ay) - dy * (x - ax)) / length, before = l->distance;
    l->distance = now;
    double well = SETTLED_SHARE * gtv_follow_size(f) + SETTLED_PIXELS;
    int side = now >= well ? 1 : now <= -well ? -1 : 0;
    if (l->settled == 0) {
        l->settled = side;
        return;
    }
    if ((before < 0) != (now < 0)) {
        double part = before / (before - now);
        l->crossed_x = f->x + (x - f->x) * part;
        l->crossed_y = f->y + (y - f->y) * part;
        double along = ((l->crossed_x - ax) * dx + (l->crossed_y - ay) * dy) / (length * length);
        l->hit = along >= 0 && along <= 1;
        l->crossed_ms = f->seen_ms + (int64_t)llround((double)(wall_ms - f->seen_ms) * part);
    }
    if (side == 0 || side == l->settled)
        return;
    l->settled = side;
    if (l->hit)
        crossed(s, f, i, side > 0);
}

void gtv_follow_cross(struct gtv_scene *s, struct gtv_follow *f, double x, double y, int64_t wall_ms)
{
    for (size_t i = 0; i < s->settings.line_count; i++)
        cross_line(s, f, i, x, y, wall_ms);
}

void gtv_follow_recount(struct gtv_scene *s, struct gtv_follow *f, enum gtv_vehicle now)
{
    for (size_t i = 0; i < s->settings.line_count; i++) {
        struct gtv_follow_line *l = line_state(f, i);
        for (int d = 0; d < 2; d++) {
            uint64_t *total = s->total[i][d];
            if (!l->counted[d] || l->counted_as[d] == now || total[l->counted_as[d]] == 0)
                continue;
            total[l->counted_as[d]]--;
            total[now]++;
            l->counted_as[d] = now;
        }
    }
}

bool gtv_scene_count(const struct gtv_scene *s, size_t line, int64_t wall_ms, struct gtv_line_count *out)
{
    if (line >= s->settings.line_count)
        return false;
    *out = (struct gtv_line_count){.id = s->settings.lines[line].id, .name = s->settings.lines[line].name};
    memcpy(out->total, s->total[line], sizeof(out->total));
    int64_t second = wall_ms / 1000;
    for (size_t i = 0; i < GTV_SCENE_MINUTE; i++) {
        if (s->minute_s[i] > second || s->minute_s[i] <= second - GTV_SCENE_MINUTE)
            continue;
        for (int d = 0; d < 2; d++) {
            for (int v = 0; v < GTV_VEHICLE_COUNT; v++)
                out->minute[d][v] += s->minute[i][line][d][v];
        }
    }
    return true;
}
