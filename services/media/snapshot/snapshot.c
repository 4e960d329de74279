#include "services/media/snapshot/snapshot.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "services/media/gop.h"
#include "services/media/reply.h"
#include "services/media/snapshot/picture.h"

#include <stdlib.h>

enum {
    AT_ONCE = 2,        // pictures decoded at the same time: libuv's pool has four threads
    EVERY_MS = 1000,    // between two pictures of a path
    KEEP_MS = 10000,    // JPEGs that nobody asked for so long go
    STEP_MS = 50,       // of the clock that runs while somebody waits, or something is kept
    WAITING_MAX = 1000, // requests held at once, of all paths
};

struct view;

// A request on its way: it waits for the source, then for the picture.
struct shot {
    struct gtv_path_wait wait;
    struct gtv_snapshots *owner;
    struct gtv_path *path; // while it waits for the source
    struct gtv_http_request *req;
    int width;                 // wanted; then the one that is made
    struct shot *next, **prev; // of its view's list; prev NULL: not in one
};

struct image {
    int width; // 0: an empty place
    struct gtv_bytes *jpeg;
    int64_t key;              // decoding time of the key frame
    int64_t made_ms, used_ms; // monotonic
};

// What is known of one path.
struct view {
    struct gtv_snapshots *owner;
    struct image images[GTV_PICTURE_WIDTHS];
    struct shot *shots;
    int64_t decoded_ms; // monotonic: when the last work began
    // The newest key frame that somebody asked for; references.
    struct gtv_format *format;
    struct gtv_bytes *frame;
    int64_t key;
    // The work in the pool.
    bool working;
    uv_work_t work;
    struct gtv_format *work_format;
    struct gtv_bytes *work_frame;
    int64_t work_key;
    struct gtv_picture pictures[GTV_PICTURE_WIDTHS];
    size_t picture_count;
};

struct gtv_snapshots {
    struct gtv_loop *loop;
    atomic_int *running;
    struct gtv_map *views; // by the path's name
    struct gtv_timer *clock;
    bool ticking, stopped;
    int working;
    size_t waiting;
};

static void on_clock(void *arg);
static void after_work(uv_work_t *work, int status);

struct gtv_snapshots *gtv_snapshots_create(struct gtv_loop *loop, atomic_int *running)
{
    struct gtv_snapshots *s = GTV_NEW(struct gtv_snapshots);
    s->loop = loop;
    s->running = running;
    s->views = gtv_map_create();
    s->clock = gtv_timer_create(loop, on_clock, s);
    return s;
}

static void free_view(void *arg)
{
    struct view *v = arg;
    for (size_t i = 0; i < GTV_PICTURE_WIDTHS; i++) {
        gtv_bytes_unref(v->images[i].jpeg);
        gtv_bytes_unref(v->pictures[i].jpeg);
    }
    gtv_format_unref(v->format);
    gtv_bytes_unref(v->frame);
    gtv_format_unref(v->work_format);
    gtv_bytes_unref(v->work_frame);
    free(v);
}

void gtv_snapshots_destroy(struct gtv_snapshots *s)
{
    if (s == NULL) {
        return;
    }
    gtv_map_destroy(s->views, free_view);
    gtv_timer_destroy(s->clock);
    free(s);
}

static void ignore_close(void *arg, bool complete)
{
}

static void unlink_shot(struct shot *shot)
{
    if (shot->prev == NULL) {
        return;
    }
    *shot->prev = shot->next;
    if (shot->next != NULL) {
        shot->next->prev = shot->prev;
    }
    shot->prev = NULL;
}

// Takes the first one off a list; NULL at its end.
static struct shot *pop_shot(struct shot **list)
{
    struct shot *shot = *list;
    if (shot != NULL) {
        *list = shot->next;
        if (shot->next != NULL) {
            shot->next->prev = list;
        }
        shot->prev = NULL;
    }
    return shot;
}

static void free_shot(struct shot *shot)
{
    gtv_path_wait_cancel(&shot->wait);
    unlink_shot(shot);
    shot->owner->waiting--;
    free(shot);
}

// The request is answered by whoever calls this, afterwards.
static struct gtv_http_request *release(struct shot *shot)
{
    struct gtv_http_request *req = shot->req;
    gtv_http_on_close(req, ignore_close, NULL);
    free_shot(shot);
    return req;
}

static void client_left(void *arg, bool complete)
{
    free_shot(arg);
}

static void reply_jpeg(struct gtv_http_request *req, struct gtv_bytes *jpeg)
{
    static const struct gtv_http_header headers[] = {
        {{"Content-Type", 12}, {"image/jpeg", 10}},
        {{"Cache-Control", 13}, {"max-age=1", 9}},
    };
    gtv_http_reply(req, 200, headers, sizeof headers / sizeof headers[0], jpeg);
}

static struct image *find_image(struct view *v, int width)
{
    for (size_t i = 0; i < GTV_PICTURE_WIDTHS; i++) {
        if (v->images[i].width == width) {
            return &v->images[i];
        }
    }
    return NULL;
}

// The place of this width, else an empty one, else the one that was not asked for the longest.
static struct image *place_for(struct view *v, int width)
{
    struct image *place = find_image(v, width);
    if (place == NULL) {
        place = find_image(v, 0);
    }
    if (place != NULL) {
        return place;
    }
    place = &v->images[0];
    for (size_t i = 1; i < GTV_PICTURE_WIDTHS; i++) {
        place = v->images[i].used_ms < place->used_ms ? &v->images[i] : place;
    }
    return place;
}

static void run_in_pool(uv_work_t *work)
{
    struct view *v = work->data;
    // What failed has no JPEG.
    (void)!gtv_picture_make(v->work_format, v->work_frame, v->pictures, v->picture_count);
}

static bool wanted_already(const struct view *v, int width)
{
    for (size_t i = 0; i < v->picture_count; i++) {
        if (v->pictures[i].width == width) {
            return true;
        }
    }
    return false;
}

// Begins to decode if that may be now; else the clock comes back to it.
static void try_work(struct view *v, int64_t now)
{
    struct gtv_snapshots *s = v->owner;
    if (v->working || v->shots == NULL || v->frame == NULL || s->working >= AT_ONCE || s->stopped ||
        (v->decoded_ms != 0 && now - v->decoded_ms < EVERY_MS)) {
        return;
    }
    v->picture_count = 0;
    for (const struct shot *shot = v->shots; shot != NULL && v->picture_count < GTV_PICTURE_WIDTHS;
         shot = shot->next) {
        if (!wanted_already(v, shot->width)) {
            v->pictures[v->picture_count++] = (struct gtv_picture){.width = shot->width};
        }
    }
    v->work_format = gtv_format_ref(v->format);
    v->work_frame = gtv_bytes_ref(v->frame);
    v->work_key = v->key;
    v->work.data = v;
    v->decoded_ms = now;
    v->working = true;
    s->working++;
    atomic_fetch_add(s->running, 1);
    if (uv_queue_work(gtv_loop_uv(s->loop), &v->work, run_in_pool, after_work) != 0) {
        after_work(&v->work, UV_ENOMEM);
    }
}

static void take_pictures(struct view *v, int64_t now)
{
    for (size_t i = 0; i < v->picture_count; i++) {
        if (v->pictures[i].jpeg == NULL) {
            continue;
        }
        struct image *place = place_for(v, v->pictures[i].width);
        gtv_bytes_unref(place->jpeg);
        *place = (struct image){.width = v->pictures[i].width,
                                .jpeg = v->pictures[i].jpeg,
                                .key = v->work_key,
                                .made_ms = now,
                                .used_ms = now};
        v->pictures[i].jpeg = NULL;
    }
}

// Answers those whose width was tried.
static void answer(struct view *v)
{
    struct shot *list = v->shots, *shot;
    v->shots = NULL;
    if (list != NULL) {
        list->prev = &list;
    }
    while ((shot = pop_shot(&list)) != NULL) {
        if (!wanted_already(v, shot->width)) {
            shot->next = v->shots;
            shot->prev = &v->shots;
            if (shot->next != NULL) {
                shot->next->prev = &shot->next;
            }
            v->shots = shot;
            continue;
        }
        const struct image *image = find_image(v, shot->width);
        if (image != NULL && image->key == v->work_key) {
            reply_jpeg(release(shot), image->jpeg);
        } else {
            gtv_media_reply_error(release(shot), 500, "the key frame cannot be decoded", NULL, NULL);
        }
    }
}

static void after_work(uv_work_t *work, int status)
{
    struct view *v = work->data;
    struct gtv_snapshots *s = v->owner;
    int64_t now = gtv_mono_ms();
    v->working = false;
    s->working--;
    atomic_fetch_sub(s->running, 1);
    gtv_format_unref(v->work_format);
    gtv_bytes_unref(v->work_frame);
    v->work_format = NULL;
    v->work_frame = NULL;
    take_pictures(v, now);
    answer(v);
    try_work(v, now);
}

// Drops what was not asked for a while. True: the view is empty.
static bool age(struct view *v, int64_t now)
{
    bool empty = v->shots == NULL && !v->working;
    for (size_t i = 0; i < GTV_PICTURE_WIDTHS; i++) {
        struct image *image = &v->images[i];
        if (image->width != 0 && now - image->used_ms >= KEEP_MS) {
            gtv_bytes_unref(image->jpeg);
            *image = (struct image){0};
        }
        empty = empty && image->width == 0;
    }
    return empty && now - v->decoded_ms >= EVERY_MS;
}

static void on_clock(void *arg)
{
    struct gtv_snapshots *s = arg;
    int64_t now = gtv_mono_ms();
    struct gtv_str name;
    void *value;
    for (size_t it = 0; gtv_map_next(s->views, &it, &name, &value);) {
        try_work(value, now);
        if (age(value, now)) {
            (void)gtv_map_remove(s->views, name);
            free_view(value);
        }
    }
    if (gtv_map_count(s->views) == 0) {
        gtv_timer_stop(s->clock);
        s->ticking = false;
    }
}

static struct view *view_of(struct gtv_snapshots *s, struct gtv_str name)
{
    struct view *v = gtv_map_get(s->views, name);
    if (v == NULL) {
        v = GTV_NEW(struct view);
        v->owner = s;
        (void)gtv_map_put(s->views, name, v);
    }
    if (!s->ticking) {
        s->ticking = true;
        gtv_timer_start(s->clock, STEP_MS, STEP_MS);
    }
    return v;
}

// The source is there: from the cache, or after the next decoding.
static void picture_of(struct shot *shot)
{
    const struct gtv_gop *gop = gtv_path_gop(shot->path);
    struct gtv_format *format = gtv_path_format(shot->path);
    int64_t now = gtv_mono_ms();
    if (gop->count == 0 || format == NULL) {
        gtv_media_reply_error(release(shot), 503, "there is no key frame yet", NULL, NULL);
        return;
    }
    struct view *v = view_of(shot->owner, gtv_str_of(gtv_path_conf(shot->path)->name));
    const struct gtv_sample *key = &gop->samples[0];
    shot->width = gtv_picture_width(format, shot->width);
    struct image *image = find_image(v, shot->width);
    if (image != NULL && (image->key == key->dts || now - image->made_ms < EVERY_MS)) {
        image->used_ms = now;
        struct gtv_bytes *jpeg = gtv_bytes_ref(image->jpeg);
        reply_jpeg(release(shot), jpeg);
        gtv_bytes_unref(jpeg);
        return;
    }
    gtv_format_ref(format);
    gtv_format_unref(v->format);
    v->format = format;
    gtv_bytes_ref(key->data);
    gtv_bytes_unref(v->frame);
    v->frame = key->data;
    v->key = key->dts;
    shot->path = NULL;
    shot->next = v->shots;
    shot->prev = &v->shots;
    if (shot->next != NULL) {
        shot->next->prev = &shot->next;
    }
    v->shots = shot;
    try_work(v, now);
}

static void source_answered(void *arg, bool ready, const struct gtv_error *why)
{
    struct shot *shot = arg;
    if (ready) {
        picture_of(shot);
        return;
    }
    struct gtv_path_status status;
    gtv_path_get_status(shot->path, &status);
    gtv_media_reply_error(release(shot), gtv_code_http_status(why->code), why->message, status.cause,
                          status.cause_code);
}

void gtv_snapshots_get(struct gtv_snapshots *s, struct gtv_path *path, struct gtv_http_request *req,
                       int width)
{
    if (s->stopped || s->waiting >= WAITING_MAX) {
        gtv_media_reply_error(req, 503, "too many requests wait for a picture", NULL, NULL);
        return;
    }
    struct shot *shot = GTV_NEW(struct shot);
    *shot = (struct shot){.owner = s, .path = path, .req = req, .width = width};
    shot->wait.done = source_answered;
    shot->wait.arg = shot;
    s->waiting++;
    gtv_http_on_close(req, client_left, shot);
    (void)gtv_path_wait_begin(path, &shot->wait);
}

void gtv_snapshots_stop(struct gtv_snapshots *s)
{
    struct gtv_str name;
    void *value;
    s->stopped = true;
    gtv_timer_stop(s->clock);
    for (size_t it = 0; gtv_map_next(s->views, &it, &name, &value);) {
        struct view *v = value;
        for (struct shot *shot; (shot = pop_shot(&v->shots)) != NULL;) {
            gtv_media_reply_error(release(shot), 503, "the node is stopping", NULL, NULL);
        }
    }
}
