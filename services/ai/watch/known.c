// Which cameras there are, what was ordered of them, and how they are analysed, as Redis says.
#include "services/ai/watch/watching.h"

#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_CAMERAS = 10000 }; // entries of the hash that are looked at

static void take_camera(struct gtv_watcher *w, const redisReply *text)
{
    if (text->type != REDIS_REPLY_STRING)
        return;
    struct gtv_error err = {0};
    struct gtv_camera known = {0};
    yyjson_doc *doc = gtv_json_parse((struct gtv_str){text->str, (size_t)text->len}, &err);
    if (!doc || !gtv_camera_parse(yyjson_doc_get_root(doc), &known, &err)) {
        gtv_log_warn(&w->log, "a camera in Redis cannot be read", "cause=\"%s\"", err.message);
    } else {
        struct gtv_watch_camera *c = gtv_watch_find(w, known.id);
        if (!c) {
            char key[24];
            gtv_watch_key(known.id, key);
            c = GTV_NEW(struct gtv_watch_camera);
            c->watcher = w;
            (void)gtv_map_put(w->cameras, gtv_str_of(key), c);
        }
        if (c->gone)
            c->order = GTV_WATCH_AUTO; // it was removed and provisioned anew
        c->known = known;
        c->seen = true;
        c->gone = false;
    }
    yyjson_doc_free(doc);
}

static void on_cameras(void *arg, redisReply *reply)
{
    struct gtv_watcher *w = arg;
    if (!reply || reply->type != REDIS_REPLY_ARRAY || w->closing)
        return; // what is known stays
    size_t it = 0;
    struct gtv_str key;
    void *value;
    while (gtv_map_next(w->cameras, &it, &key, &value))
        ((struct gtv_watch_camera *)value)->seen = false;
    for (size_t i = 1; i < reply->elements && i < (size_t)2 * MAX_CAMERAS; i += 2)
        take_camera(w, reply->element[i]);
    it = 0;
    while (gtv_map_next(w->cameras, &it, &key, &value)) {
        struct gtv_watch_camera *c = value;
        if (!c->seen && !c->gone) // settings stay for when it comes back; an order does not
            (void)gtv_redis_command(w->redis, NULL, NULL, "HDEL %s %lld", GTV_KEY_AI_ORDERS,
                                    (long long)c->known.id);
        c->gone = !c->seen;
        gtv_watch_reconcile(w, c);
    }
    w->loaded = true;
    gtv_leases_soon(w->leases);
}

// The value of a camera in a hash's pairs, or NULL.
static struct gtv_str value_of(const redisReply *pairs, int64_t id)
{
    char key[24];
    gtv_watch_key(id, key);
    for (size_t i = 0; i + 1 < pairs->elements; i += 2)
        if (strcmp(pairs->element[i]->str, key) == 0)
            return (struct gtv_str){pairs->element[i + 1]->str, (size_t)pairs->element[i + 1]->len};
    return (struct gtv_str){0};
}

// Gives each camera what a hash has for it; nothing when there was no answer.
static void hand_out(struct gtv_watcher *w, const redisReply *reply,
                     void (*take)(struct gtv_watcher *w, struct gtv_watch_camera *c, struct gtv_str text))
{
    size_t it = 0;
    struct gtv_str key;
    void *value;
    if (!reply || reply->type != REDIS_REPLY_ARRAY || w->closing)
        return;
    while (gtv_map_next(w->cameras, &it, &key, &value)) {
        struct gtv_watch_camera *c = value;
        take(w, c, value_of(reply, c->known.id));
    }
}

static void take_order(struct gtv_watcher *w, struct gtv_watch_camera *c, struct gtv_str order)
{
    c->order = gtv_str_eq(order, GTV_STR("start"))  ? GTV_WATCH_START
               : gtv_str_eq(order, GTV_STR("stop")) ? GTV_WATCH_STOP
                                                    : GTV_WATCH_AUTO;
    gtv_watch_reconcile(w, c);
}

static void on_orders(void *arg, redisReply *reply)
{
    hand_out(arg, reply, take_order);
}

static void apply_settings(struct gtv_watch_camera *c)
{
    if (c->source)
        gtv_source_set(c->source, gtv_watch_settings(c));
    if (c->analysis)
        gtv_analysis_set(c->analysis, gtv_watch_settings(c));
}

void gtv_watch_take_settings(struct gtv_watcher *w, struct gtv_watch_camera *c, struct gtv_str text)
{
    if (gtv_str_eq(text, c->settings_text))
        return;
    struct gtv_error err = {0};
    struct gtv_scene_settings *s = text.n ? GTV_NEW(struct gtv_scene_settings) : NULL;
    if (s && !gtv_scene_settings_read(text, s, &err)) {
        gtv_log_warn(&w->log, "the settings of a camera's analysis cannot be read",
                     "camera_id=%lld field=%s cause=\"%s\"", (long long)c->known.id, err.field, err.message);
        free(s);
        return;
    }
    free(c->settings);
    free((void *)(uintptr_t)c->settings_text.p);
    c->settings = s;
    c->settings_text = (struct gtv_str){text.n ? gtv_strndup(text) : NULL, text.n};
    apply_settings(c);
}

static void on_settings(void *arg, redisReply *reply)
{
    hand_out(arg, reply, gtv_watch_take_settings);
}

// Settings and orders are read before the cameras are, the first time after them: a camera that is new gets
// them a moment later.
void gtv_watch_load(void *arg)
{
    struct gtv_watcher *w = arg;
    (void)gtv_redis_command(w->redis, on_cameras, w, "HGETALL %s", GTV_KEY_CAMERAS);
    (void)gtv_redis_command(w->redis, on_orders, w, "HGETALL %s", GTV_KEY_AI_ORDERS);
    (void)gtv_redis_command(w->redis, on_settings, w, "HGETALL %s", GTV_KEY_AI_ANALYSIS);
}
