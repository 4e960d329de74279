#include "services/ai/watch/shots.h"

#include "lib/base/mem.h"
#include "services/ai/picture/jpeg_write.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    QUALITY = 80,
    MARGIN_PERCENT = 8, // of the box's size, on each side
    EDGE = 3,           // pixels from the frame's edge that count as cut off
    MIN_SIDE = 16,
};
#define BETTER     1.12 // a new picture must be that much better: making one costs a millisecond
#define GOOD_SHARP 12.0

struct shot {
    uint64_t track; // 0: free
    int64_t first_ms;
    double score;
    struct gtv_bytes *jpeg;
    bool stored, stale; // something is in the store; it is not this one
};

struct gtv_shots {
    struct gtv_store *store;
    int64_t camera_id;
    struct shot shots[GTV_TRACK_MAX];
};

struct gtv_shots *gtv_shots_create(struct gtv_store *store, int64_t camera_id)
{
    struct gtv_shots *s = GTV_NEW(struct gtv_shots);
    s->store = store;
    s->camera_id = camera_id;
    return s;
}

void gtv_shots_destroy(struct gtv_shots *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < GTV_TRACK_MAX; i++)
        gtv_bytes_unref(s->shots[i].jpeg);
    free(s);
}

double gtv_shots_score(double area, double confidence, double sharpness, bool cut_off)
{
    double sharp = fmin(sharpness / GOOD_SHARP, 1);
    return sqrt(fmax(area, 0)) * confidence * (0.4 + 0.6 * sharp) * (cut_off ? 0.4 : 1);
}

static struct shot *find(struct gtv_shots *s, uint64_t track)
{
    for (size_t i = 0; i < GTV_TRACK_MAX; i++)
        if (s->shots[i].track == track)
            return &s->shots[i];
    return NULL;
}

struct part {
    int x, y, w, h;
    bool cut_off;
};

// The box in the frame, with a margin.
static bool part_of(const struct gtv_track_box *box, const AVFrame *frame, struct part *p)
{
    double mx = box->w * MARGIN_PERCENT / 100, my = box->h * MARGIN_PERCENT / 100;
    double left = fmax(box->x - mx, 0), top = fmax(box->y - my, 0);
    double right = fmin(box->x + box->w + mx, frame->width);
    double bottom = fmin(box->y + box->h + my, frame->height);
    if (!(right - left >= MIN_SIDE && bottom - top >= MIN_SIDE))
        return false;
    *p = (struct part){(int)left, (int)top, (int)(right - floor(left)), (int)(bottom - floor(top)),
                       box->x < EDGE || box->y < EDGE || box->x + box->w > frame->width - EDGE ||
                           box->y + box->h > frame->height - EDGE};
    return true;
}

static struct gtv_bytes *cut(const AVFrame *frame, const struct part *p,
                             const struct gtv_scene_settings *settings)
{
    uint8_t *rgb = malloc((size_t)p->w * (size_t)p->h * 3);
    struct gtv_bytes *jpeg = NULL;
    if (rgb && gtv_frame_crop(frame, p->x, p->y, p->w, p->h, rgb)) {
        gtv_scene_blacken(settings, rgb, p->w, p->h, (size_t)p->w * 3, (double)p->x / frame->width,
                          (double)p->y / frame->height, (double)p->w / frame->width,
                          (double)p->h / frame->height);
        jpeg = gtv_jpeg_encode(rgb, p->w, p->h, (size_t)p->w * 3, QUALITY);
    }
    free(rgb);
    return jpeg;
}

static void consider(struct gtv_shots *s, const AVFrame *frame, const struct gtv_scene_settings *settings,
                     const struct gtv_track *t)
{
    struct part p;
    struct shot *shot = find(s, t->id);
    if (!shot)
        shot = find(s, 0);
    if (!shot || !part_of(&t->box, frame, &p))
        return;
    double area = (double)p.w * p.h;
    double before = shot->track == t->id ? shot->score : 0;
    // Could it be better at all?
    if (gtv_shots_score(area, t->confidence, GOOD_SHARP, p.cut_off) <= before * BETTER)
        return;
    double sharp = gtv_frame_sharpness(frame, p.x, p.y, p.w, p.h);
    double score = gtv_shots_score(area, t->confidence, sharp, p.cut_off);
    if (score <= before * BETTER)
        return;
    struct gtv_bytes *jpeg = cut(frame, &p, settings);
    if (!jpeg)
        return;
    if (shot->track != t->id)
        *shot = (struct shot){.track = t->id, .first_ms = t->first_ms};
    gtv_bytes_unref(shot->jpeg);
    shot->jpeg = jpeg;
    shot->score = score;
    shot->stale = shot->stored;
}

void gtv_shots_take(struct gtv_shots *s, const AVFrame *frame, const struct gtv_scene_settings *settings,
                    const struct gtv_track_event *events, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (events[i].track->detection >= 0 && events[i].change != GTV_TRACK_ENDED)
            consider(s, frame, settings, events[i].track);
}

void gtv_shots_keep(struct gtv_shots *s, uint64_t track)
{
    char name[GTV_STORE_NAME_CAP];
    struct shot *shot = track ? find(s, track) : NULL;
    if (!shot || !s->store || (shot->stored && !shot->stale))
        return;
    if (gtv_store_put(s->store, gtv_store_name(s->camera_id, shot->first_ms, track, name), shot->jpeg)) {
        shot->stored = true;
        shot->stale = false;
    }
}

bool gtv_shots_name(struct gtv_shots *s, uint64_t track, char out[GTV_STORE_NAME_CAP])
{
    struct shot *shot = track ? find(s, track) : NULL;
    if (!shot || !shot->stored)
        return false;
    (void)gtv_store_name(s->camera_id, shot->first_ms, track, out);
    return true;
}

void gtv_shots_drop(struct gtv_shots *s, uint64_t track)
{
    struct shot *shot = track ? find(s, track) : NULL;
    if (!shot)
        return;
    gtv_bytes_unref(shot->jpeg);
    *shot = (struct shot){0};
}
