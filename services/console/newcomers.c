#include "services/console/newcomers.h"

#include "lib/base/map.h"
#include "lib/base/mem.h"

#include <stdlib.h>

struct seen {
    struct gtv_detected object;
    int64_t wall_ms;
    bool taken;    // in the look at hand
    bool reported; // as new
};

struct view {
    struct seen seen[GTV_NEWCOMER_SEEN];
    size_t count;
};

struct gtv_newcomers {
    struct gtv_map *views; // "cam_7" -> struct view
};

struct pair {
    double overlap;
    size_t object, seen;
};

struct gtv_newcomers *gtv_newcomers_create(void)
{
    struct gtv_newcomers *n = GTV_NEW(struct gtv_newcomers);
    n->views = gtv_map_create();
    return n;
}

void gtv_newcomers_destroy(struct gtv_newcomers *n)
{
    if (!n)
        return;
    gtv_map_destroy(n->views, free);
    free(n);
}

static double area(const struct gtv_detected *d)
{
    return (double)d->w * d->h;
}

static double intersection(const struct gtv_detected *a, const struct gtv_detected *b)
{
    double left = a->x > b->x ? a->x : b->x, top = a->y > b->y ? a->y : b->y;
    double a_right = (double)a->x + a->w, b_right = (double)b->x + b->w;
    double a_bottom = (double)a->y + a->h, b_bottom = (double)b->y + b->h;
    double w = (a_right < b_right ? a_right : b_right) - left;
    double h = (a_bottom < b_bottom ? a_bottom : b_bottom) - top;
    return w > 0 && h > 0 ? w * h : 0;
}

double gtv_iou(const struct gtv_detected *a, const struct gtv_detected *b)
{
    double both = intersection(a, b);
    return both > 0 ? both / (area(a) + area(b) - both) : 0;
}

double gtv_containment(const struct gtv_detected *a, const struct gtv_detected *b)
{
    double both = intersection(a, b), x = area(a), y = area(b);
    return both > 0 ? both / (x < y ? x : y) : 0;
}

static struct view *view_of(struct gtv_newcomers *n, int64_t camera_id)
{
    char path[GTV_CAMERA_PATH_CAP];
    struct gtv_str key = gtv_str_of(gtv_camera_path(camera_id, path));
    struct view *v = gtv_map_get(n->views, key);
    if (v)
        return v;
    if (gtv_map_count(n->views) >= GTV_NEWCOMER_CAMERAS) {
        gtv_map_destroy(n->views, free);
        n->views = gtv_map_create();
    }
    v = GTV_NEW(struct view);
    (void)gtv_map_put(n->views, key, v);
    return v;
}

static void forget_old(struct view *v, int64_t wall_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < v->count; i++) {
        int64_t age = wall_ms - v->seen[i].wall_ms;
        if (age < 0 || age > GTV_NEWCOMER_MS)
            continue;
        v->seen[kept] = v->seen[i];
        v->seen[kept++].taken = false;
    }
    v->count = kept;
}

static int by_overlap(const void *a, const void *b)
{
    double x = ((const struct pair *)a)->overlap, y = ((const struct pair *)b)->overlap;
    return (x < y) - (x > y);
}

static struct seen *remember(struct view *v, const struct gtv_detected *object, int64_t wall_ms)
{
    size_t at = v->count;
    if (at < GTV_NEWCOMER_SEEN) {
        v->count++;
    } else {
        at = 0;
        for (size_t i = 1; i < v->count; i++)
            if (v->seen[i].wall_ms < v->seen[at].wall_ms)
                at = i;
    }
    v->seen[at] = (struct seen){.object = *object, .wall_ms = wall_ms, .taken = true};
    return &v->seen[at];
}

// Every possible continuation, the best first. At most GTV_MAX_OBJECTS * GTV_NEWCOMER_SEEN; malloc'd.
static size_t pairs_of(const struct view *v, const struct gtv_detected *objects, size_t count,
                       struct pair **out)
{
    size_t n = 0;
    struct pair *pairs = gtv_alloc((count * v->count + 1) * sizeof *pairs);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < v->count; k++) {
            if (strcmp(objects[i].object_type, v->seen[k].object.object_type) != 0)
                continue;
            double overlap = gtv_iou(&objects[i], &v->seen[k].object);
            if (overlap > GTV_NEWCOMER_IOU ||
                gtv_containment(&objects[i], &v->seen[k].object) > GTV_NEWCOMER_CONTAINED)
                pairs[n++] = (struct pair){overlap, i, k};
        }
    }
    qsort(pairs, n, sizeof *pairs, by_overlap);
    *out = pairs;
    return n;
}

size_t gtv_newcomers_take(struct gtv_newcomers *n, int64_t camera_id, int64_t wall_ms,
                          const struct gtv_detected *objects, size_t count, size_t fresh[GTV_MAX_OBJECTS])
{
    if (count > GTV_MAX_OBJECTS)
        count = GTV_MAX_OBJECTS;
    struct view *v = view_of(n, camera_id);
    forget_old(v, wall_ms);
    struct seen *known[GTV_MAX_OBJECTS] = {NULL};
    struct pair *pairs;
    size_t pair_count = pairs_of(v, objects, count, &pairs);
    for (size_t i = 0; i < pair_count; i++) {
        struct seen *s = &v->seen[pairs[i].seen];
        if (s->taken || known[pairs[i].object])
            continue;
        known[pairs[i].object] = s;
        s->object = objects[pairs[i].object];
        s->wall_ms = wall_ms;
        s->taken = true;
    }
    free(pairs);
    size_t fresh_count = 0;
    for (size_t i = 0; i < count; i++) {
        struct seen *s = known[i] ? known[i] : remember(v, &objects[i], wall_ms);
        if (s->reported || (!known[i] && objects[i].confidence < GTV_NEWCOMER_SURE))
            continue;
        s->reported = true;
        fresh[fresh_count++] = i;
    }
    return fresh_count;
}
