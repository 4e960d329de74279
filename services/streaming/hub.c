#include "services/streaming/hub.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/ws/ws.h"
#include "services/streaming/routes.h"
#include "services/streaming/stats.h"

#include <stdlib.h>

// The subscribers of one stream on one loop.
struct topic {
    struct subscriber *first;
    char *name;
};

struct subscriber {
    struct gtv_hub *hub;
    struct gtv_ws *ws; // NULL until the handshake is done
    struct topic *topic;
    struct subscriber *prev, *next;
    uint64_t missed;
};

struct gtv_hub {
    struct gtv_worker *worker;
    struct gtv_map *topics;
    struct topic everything, dashboard;
    struct gtv_counter *m_sent, *m_skipped;
};

struct gtv_hub *gtv_hub_create(struct gtv_worker *worker)
{
    struct gtv_hub *h = GTV_NEW(struct gtv_hub);
    h->worker = worker;
    h->topics = gtv_map_create();
    h->m_sent = gtv_metrics_counter(worker->app->metrics, "streaming_ws_messages_total", "",
                                    "Messages handed to WebSocket clients");
    h->m_skipped = gtv_metrics_counter(worker->app->metrics, "streaming_ws_skipped_total", "",
                                       "Messages that slow WebSocket clients did not get");
    return h;
}

static void topic_free(void *arg)
{
    struct topic *t = arg;
    free(t->name);
    free(t);
}

void gtv_hub_destroy(struct gtv_hub *h)
{
    if (!h)
        return;
    gtv_map_destroy(h->topics, topic_free);
    free(h);
}

// ---- giving ----

static void tell_gap(struct subscriber *s)
{
    char when[GTV_ISO8601_CAP];
    struct gtv_bytes *text =
        gtv_bytes_printf("{\"type\":\"gap\",\"data\":{\"missed\":%llu},\"timestamp\":\"%s\"}",
                         (unsigned long long)s->missed, gtv_iso8601_utc(gtv_wall_ms(), when));
    struct gtv_bytes *frame = text ? gtv_ws_encode_text(gtv_bytes_str(text)) : NULL;
    if (frame && gtv_ws_send(s->ws, frame))
        s->missed = 0;
    gtv_bytes_unref(frame);
    gtv_bytes_unref(text);
}

static void give(struct subscriber *s, struct gtv_bytes *frame)
{
    if (!s->ws)
        return;
    if (gtv_ws_pending(s->ws) + frame->len > GTV_HUB_QUEUE) {
        s->missed++;
        gtv_counter_add(s->hub->m_skipped, 1);
        return;
    }
    if (s->missed)
        tell_gap(s);
    if (gtv_ws_send(s->ws, frame))
        gtv_counter_add(s->hub->m_sent, 1);
}

static void give_topic(struct topic *t, struct gtv_bytes *frame)
{
    for (struct subscriber *s = t->first, *next; s; s = next) {
        next = s->next;
        give(s, frame);
    }
}

struct delivery {
    struct gtv_hub *hub;
    char *stream; // NULL: the dashboards
    struct gtv_bytes *frame;
};

static void deliver(void *arg)
{
    struct delivery *d = arg;
    if (!d->stream) {
        give_topic(&d->hub->dashboard, d->frame);
    } else {
        struct topic *t = gtv_map_get(d->hub->topics, gtv_str_of(d->stream));
        if (t)
            give_topic(t, d->frame);
        give_topic(&d->hub->everything, d->frame);
    }
    gtv_bytes_unref(d->frame);
    free(d->stream);
    free(d);
}

void gtv_hub_broadcast(struct gtv_app *app, const char *stream, struct gtv_str message)
{
    if (atomic_load(&app->subscribers) == 0)
        return;
    struct gtv_bytes *frame = gtv_ws_encode_text(message);
    if (!frame)
        return;
    for (size_t i = 0; i < app->worker_count; i++) {
        struct delivery *d = GTV_NEW(struct delivery);
        *d = (struct delivery){app->workers[i].hub, gtv_strdup(stream), gtv_bytes_ref(frame)};
        if (gtv_loop_post(app->workers[i].loop, deliver, d))
            continue;
        gtv_bytes_unref(d->frame);
        free(d->stream);
        free(d);
    }
    gtv_bytes_unref(frame);
}

// ---- clients ----

static void answer(struct subscriber *s, struct gtv_bytes *text)
{
    struct gtv_bytes *frame = text ? gtv_ws_encode_text(gtv_bytes_str(text)) : NULL;
    // A client that asks without reading gets no answers beyond its queue.
    if (frame && gtv_ws_pending(s->ws) + frame->len <= GTV_HUB_QUEUE)
        (void)gtv_ws_send(s->ws, frame);
    gtv_bytes_unref(frame);
    gtv_bytes_unref(text);
}

static struct gtv_bytes *small_message(const char *type, const char *data)
{
    char when[GTV_ISO8601_CAP];
    return gtv_bytes_printf("{\"type\":\"%s\",\"data\":%s,\"timestamp\":\"%s\"}", type, data,
                            gtv_iso8601_utc(gtv_wall_ms(), when));
}

static struct gtv_bytes *status_message(struct subscriber *s)
{
    struct gtv_app *app = s->hub->worker->app;
    char when[GTV_ISO8601_CAP];
    if (s->topic == &s->hub->dashboard || s->topic == &s->hub->everything)
        return gtv_stats_dashboard(app);
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    if (!doc)
        return NULL;
    yyjson_mut_val *root = yyjson_mut_obj(doc);
    yyjson_mut_doc_set_root(doc, root);
    yyjson_mut_obj_add_str(doc, root, "type", "status");
    yyjson_mut_obj_add_strcpy(doc, root, "stream", s->topic->name);
    gtv_add_status(doc, yyjson_mut_obj_add_obj(doc, root, "data"), app, gtv_str_of(s->topic->name));
    yyjson_mut_obj_add_str(doc, root, "timestamp", gtv_iso8601_utc(gtv_wall_ms(), when));
    return gtv_json_write(doc);
}

static void on_text(void *arg, struct gtv_str message)
{
    struct subscriber *s = arg;
    struct gtv_str type = gtv_str_trim(message); // the plain word is understood too
    yyjson_doc *doc = NULL;
    if (type.n && type.p[0] == '{') {
        doc = gtv_json_parse(message, NULL);
        yyjson_val *v = yyjson_obj_get(yyjson_doc_get_root(doc), "type");
        type = yyjson_is_str(v) ? (struct gtv_str){yyjson_get_str(v), yyjson_get_len(v)}
                                : (struct gtv_str){"", 0};
    }
    if (gtv_str_eq(type, GTV_STR("ping")))
        answer(s, small_message("pong", "{}"));
    else if (gtv_str_eq(type, GTV_STR("status")))
        answer(s, status_message(s));
    else if (!gtv_str_eq(type, GTV_STR("pong")))
        answer(s, small_message("error", "{\"detail\":\"status and ping are "
                                         "understood\",\"code\":\"bad_request\",\"field\":\"type\"}"));
    yyjson_doc_free(doc);
}

static void unsubscribe(struct subscriber *s)
{
    struct gtv_hub *h = s->hub;
    struct topic *t = s->topic;
    if (s->prev)
        s->prev->next = s->next;
    else
        t->first = s->next;
    if (s->next)
        s->next->prev = s->prev;
    if (!t->first && t->name) {
        gtv_map_remove(h->topics, gtv_str_of(t->name));
        topic_free(t);
    }
    atomic_fetch_sub(&h->worker->app->subscribers, 1);
    free(s);
}

static void on_close(void *arg, uint16_t code)
{
    unsubscribe(arg);
}

static void subscribe(struct gtv_hub *h, struct gtv_http_request *req, struct topic *t)
{
    static const struct gtv_ws_callbacks callbacks = {on_text, on_close};
    struct subscriber *s = GTV_NEW(struct subscriber);
    s->hub = h;
    s->topic = t;
    s->next = t->first;
    if (s->next)
        s->next->prev = s;
    t->first = s;
    atomic_fetch_add(&h->worker->app->subscribers, 1);
    s->ws = gtv_ws_accept(req, &callbacks, s);
    if (!s->ws) {
        unsubscribe(s);
        return;
    }
    answer(s, status_message(s)); // what is, before what changes
}

void gtv_handle_ws_events(struct gtv_http_request *req, void *worker)
{
    struct gtv_hub *h = ((struct gtv_worker *)worker)->hub;
    struct gtv_str name = gtv_http_param(req, "stream");
    if (gtv_str_eq(name, GTV_STR("*"))) {
        subscribe(h, req, &h->everything);
        return;
    }
    if (!gtv_stream_name_valid(name)) {
        gtv_reply_error(req, GTV_E_BAD_REQUEST, "stream",
                        "a stream has letters, digits, dot, underscore and minus only");
        return;
    }
    struct topic *t = gtv_map_get(h->topics, name);
    if (!t) {
        t = GTV_NEW(struct topic);
        t->name = gtv_strndup(name);
        (void)gtv_map_put(h->topics, name, t);
    }
    subscribe(h, req, t);
}

void gtv_handle_ws_dashboard(struct gtv_http_request *req, void *worker)
{
    struct gtv_hub *h = ((struct gtv_worker *)worker)->hub;
    subscribe(h, req, &h->dashboard);
}
