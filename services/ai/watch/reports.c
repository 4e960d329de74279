// What was seen at a camera, on its way from a worker to Redis.
#include "services/ai/watch/watching.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/ai/picture/jpeg_write.h"
#include "services/ai/watch/frame.h"
#include "services/ai/watchlist/watchlist.h"

#include <stdio.h>
#include <stdlib.h>

enum { PICTURE_QUALITY = 92 };

// What a look has to tell, on its way from a worker to the loop.
struct report {
    struct gtv_watcher *watcher;
    struct gtv_bytes *event;
    int64_t camera_id, wall_ms;
    char type[32]; // empty: live boxes
    char key[GTV_HAPPENING_KEY_CAP];
};

// Live boxes are worth nothing later: what Redis cannot take now is dropped.
static void publish_live(struct gtv_watcher *w, int64_t camera_id, const struct gtv_bytes *event,
                         int64_t wall_ms)
{
    char stream[GTV_CAMERA_PATH_CAP];
    bool sent = gtv_redis_command(w->redis, NULL, NULL, "XADD %s MAXLEN ~ %d * stream %s type %s json %b",
                                  GTV_KEY_EVENTS, GTV_EVENTS_MAXLEN, gtv_camera_path(camera_id, stream),
                                  "detection", event->data, event->len);
    gtv_counter_add(sent ? w->published : w->dropped, 1);
    if (sent && wall_ms)
        gtv_histogram_observe(w->latency, (double)(gtv_wall_ms() - wall_ms) / 1000);
}

static void on_alert(void *arg, const char *key, struct gtv_bytes *alert)
{
    struct report *r = arg;
    gtv_outbox_put(r->watcher->outbox, r->camera_id, "alert", key, alert, gtv_wall_ms());
    gtv_bytes_unref(alert);
}

static void on_report(void *arg)
{
    struct report *r = arg;
    struct gtv_watcher *w = r->watcher;
    if (r->type[0])
        gtv_outbox_put(w->outbox, r->camera_id, r->type, r->key, r->event, gtv_wall_ms());
    else if (w->closing || !gtv_leases_held(w->leases, r->camera_id) ||
             gtv_leases_sure(w->leases, r->camera_id))
        publish_live(w, r->camera_id, r->event, r->wall_ms);
    else
        gtv_counter_add(w->dropped, 1); // another program may have the camera by now
    if (w->config.watchlists && strcmp(r->type, "plate.read") == 0)
        (void)gtv_watchlists_on_plate(
            w->config.watchlists, (struct gtv_str){(const char *)r->event->data, r->event->len}, on_alert, r);
    gtv_bytes_unref(r->event);
    free(r);
}

static void report(struct gtv_watch_camera *c, const char *type, const char *key, struct gtv_bytes *event,
                   int64_t wall_ms)
{
    struct gtv_watcher *w = c->watcher;
    struct report *r = GTV_NEW(struct report);
    *r = (struct report){.watcher = w, .event = event, .camera_id = c->known.id, .wall_ms = wall_ms};
    snprintf(r->type, sizeof(r->type), "%s", type);
    snprintf(r->key, sizeof(r->key), "%s", key);
    if (!gtv_loop_post(w->config.loop, on_report, r)) {
        gtv_counter_add(w->dropped, 1);
        gtv_bytes_unref(event);
        free(r);
    }
}

void gtv_watch_on_live(void *arg, struct gtv_bytes *event, int64_t wall_ms)
{
    report(arg, "", "", event, wall_ms);
}

void gtv_watch_on_happening(void *arg, const char *type, const char *key, struct gtv_bytes *event,
                            int64_t wall_ms)
{
    report(arg, type, key, event, wall_ms);
}

// On a worker's thread.
static void keep_picture(struct gtv_watch_camera *c, const AVFrame *frame)
{
    size_t stride = (size_t)frame->width * 3;
    uint8_t *rgb = malloc(stride * (size_t)frame->height);
    struct gtv_bytes *jpeg = NULL;
    if (rgb && gtv_frame_crop(frame, 0, 0, frame->width, frame->height, rgb))
        jpeg = gtv_jpeg_encode(rgb, frame->width, frame->height, stride, PICTURE_QUALITY);
    free(rgb);
    if (jpeg)
        gtv_bytes_unref(atomic_exchange(&c->picture, jpeg));
}

void gtv_watch_on_look(void *arg, const struct gtv_look *look)
{
    struct gtv_watch_camera *c = arg;
    if (atomic_exchange(&c->picture_wished, false))
        keep_picture(c, look->frame);
    gtv_counter_add(c->watcher->looks, 1);
    gtv_analysis_look(c->analysis, look);
}

static void tell_fault(struct gtv_watch_camera *c, const char *fault, bool on)
{
    char key[GTV_HAPPENING_KEY_CAP];
    struct gtv_bytes *event = gtv_event_picture(c->known.id, fault, on, gtv_wall_ms(), key);
    if (!event)
        return;
    gtv_outbox_put(c->watcher->outbox, c->known.id, "picture", key, event, gtv_wall_ms());
    gtv_bytes_unref(event);
    char path[GTV_CAMERA_PATH_CAP];
    gtv_log_info(&c->watcher->log, "the picture has changed", "camera=%s fault=%s on=%d",
                 gtv_camera_path(c->known.id, path), fault, on);
}

void gtv_watch_tell_faults(struct gtv_watch_camera *c, const struct gtv_source_status *s)
{
    unsigned seen = s->faults | (s->untimed ? (unsigned)GTV_FAULT_UNTIMED : 0);
    unsigned changed = gtv_faults_update(&c->faults, seen, s->frames > 0, gtv_mono_ms());
    for (unsigned bit = 1; bit <= GTV_FAULTS_ALL; bit <<= 1)
        if (changed & bit)
            tell_fault(c, gtv_fault_name(bit), (c->faults.told & bit) != 0);
    if (s->resized != c->resized)
        tell_fault(c, "resized", true);
    c->resized = s->resized;
}
