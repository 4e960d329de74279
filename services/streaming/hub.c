#include "services/streaming/hub_internal.h"

#include "lib/base/clock.h"
#include "lib/base/map.h"
#include "lib/base/mem.h"
#include "lib/ws/ws.h"

#include <stdlib.h>

enum { PUMP_BYTES = 64 * 1024 }; // of a backlog handed to the connection at once

// The clients of one stream on one loop, and the messages of this turn for them.
struct gtv_topic {
    struct gtv_client *first;
    char *name; // NULL: all streams, or the dashboard
    struct gtv_topic *next_due;
    struct gtv_message *due[GTV_HUB_TURN];
    size_t due_count;
};

const char *gtv_topic_name(const struct gtv_topic *t)
{
    return t->name;
}

bool gtv_event_shows(struct gtv_str stream, struct gtv_str json)
{
    return gtv_stream_name_valid(stream) && json.n >= 2 && json.n <= GTV_EVENT_MAX && json.p[0] == '{' &&
           gtv_utf8_valid(json);
}

// ---- giving ----

static size_t pending(const struct gtv_client *c)
{
    return c->ws ? gtv_ws_pending(c->ws) : gtv_sse_pending(c);
}

// False: nothing was taken, the connection is closing or its queue full.
static bool send_all(struct gtv_client *c, struct gtv_message *const *messages, size_t n)
{
    struct gtv_bytes *pieces[GTV_HUB_TURN];
    for (size_t i = 0; i < n; i++)
        pieces[i] = c->ws ? gtv_message_frame(messages[i], c->window_bits) : messages[i]->sse;
    if (c->ws)
        return gtv_ws_send_many(c->ws, pieces, n);
    gtv_sse_send(c, pieces, n);
    return true;
}

static void keep(struct gtv_client *c, struct gtv_message *m)
{
    if (!c->backlog) {
        c->backlog = gtv_backlog_create();
        c->moved_ms = gtv_mono_ms();
        c->slow_prev = NULL;
        c->slow_next = c->hub->slow;
        if (c->slow_next)
            c->slow_next->slow_prev = c;
        c->hub->slow = c;
    }
    size_t dropped = gtv_backlog_push(c->backlog, m);
    c->missed += dropped;
    gtv_counter_add(c->hub->m_skipped, dropped);
}

static void no_longer_slow(struct gtv_client *c)
{
    if (!c->backlog)
        return;
    gtv_backlog_destroy(c->backlog);
    c->backlog = NULL;
    if (c->slow_prev)
        c->slow_prev->slow_next = c->slow_next;
    else
        c->hub->slow = c->slow_next;
    if (c->slow_next)
        c->slow_next->slow_prev = c->slow_prev;
}

static size_t give(struct gtv_client *c, struct gtv_message *const *messages, size_t n)
{
    struct gtv_message *wanted[GTV_HUB_TURN];
    if (c->replay)
        return 0; // its replay will bring it
    if (c->types) {
        size_t kept = 0;
        for (size_t i = 0; i < n; i++)
            if (gtv_types_want(c->types, messages[i]->type))
                wanted[kept++] = messages[i];
        messages = wanted;
        n = kept;
    }
    if (n == 0 || (!c->backlog && pending(c) == 0 && send_all(c, messages, n)))
        return n;
    for (size_t i = 0; i < n; i++)
        keep(c, messages[i]);
    return 0;
}

static void flush_topic(struct gtv_hub *h, struct gtv_topic *t)
{
    size_t sent = 0;
    for (struct gtv_client *c = t->first; c; c = c->next)
        sent += give(c, t->due, t->due_count);
    gtv_counter_add(h->m_sent, sent);
    for (size_t i = 0; i < t->due_count; i++)
        gtv_message_unref(t->due[i]);
    t->due_count = 0;
}

static void flush(struct gtv_hub *h)
{
    while (h->due) {
        struct gtv_topic *t = h->due;
        h->due = t->next_due;
        flush_topic(h, t);
    }
}

static void flush_posted(void *arg)
{
    struct gtv_hub *h = arg;
    h->flush_posted = false;
    flush(h);
}

static void add_due(struct gtv_hub *h, struct gtv_topic *t, struct gtv_message *m)
{
    if (!t || !t->first)
        return;
    if (t->due_count == GTV_HUB_TURN)
        flush(h);
    if (t->due_count == 0) {
        t->next_due = h->due;
        h->due = t;
    }
    t->due[t->due_count++] = gtv_message_ref(m);
}

struct delivery {
    struct gtv_hub *hub;
    struct gtv_message *message;
};

static void deliver(void *arg)
{
    struct delivery *d = arg;
    struct gtv_hub *h = d->hub;
    if (d->message->stream[0]) {
        add_due(h, gtv_map_get(h->topics, gtv_str_of(d->message->stream)), d->message);
        add_due(h, h->everything, d->message);
    } else {
        add_due(h, h->dashboard, d->message);
    }
    gtv_message_unref(d->message);
    free(d);
    // At the end of this turn, so that the messages that came with it travel together.
    if (h->due && !h->flush_posted) {
        h->flush_posted = gtv_loop_post(h->worker->loop, flush_posted, h);
        if (!h->flush_posted)
            flush(h);
    }
}

// Of the loop that calls; NULL without memory: then the plain frames serve.
static struct gtv_ws_deflater *deflater_of(struct gtv_hub *h)
{
    if (!h->deflater)
        h->deflater = gtv_ws_deflater_create(GTV_WS_WINDOW_BITS_MAX);
    return h->deflater;
}

void gtv_hub_broadcast(struct gtv_app *app, const char *stream, struct gtv_str type, const char *id,
                       struct gtv_str json)
{
    if (atomic_load(&app->subscribers) == 0)
        return;
    struct gtv_message *m = gtv_message_create(stream ? gtv_str_of(stream) : GTV_STR(""), type, id, json);
    if (!m)
        return;
    if (atomic_load(&app->deflating)) // once, whoever it is for; this is the control loop
        gtv_message_deflate(m, deflater_of(app->workers[0].hub));
    for (size_t i = 0; i < app->worker_count; i++) {
        struct delivery *d = GTV_NEW(struct delivery);
        *d = (struct delivery){app->workers[i].hub, gtv_message_ref(m)};
        if (gtv_loop_post(app->workers[i].loop, deliver, d))
            continue;
        gtv_message_unref(d->message);
        free(d);
    }
    gtv_message_unref(m);
}

// ---- catching up ----

// Takes from the backlog what may be sent at once; the notice of what is missing goes first.
static size_t take_some(struct gtv_client *c, struct gtv_message **out)
{
    size_t n = 0, bytes = 0;
    if (c->missed) {
        out[n] = gtv_message_gap(c->missed, NULL);
        if (out[n])
            n++;
        c->missed = 0;
    }
    while (c->backlog && n < GTV_HUB_TURN && bytes < PUMP_BYTES) {
        out[n] = gtv_backlog_pop(c->backlog);
        if (!out[n])
            break;
        bytes += out[n++]->ws->len;
    }
    return n;
}

static void pump(struct gtv_client *c)
{
    bool taken = true;
    while (taken && (c->backlog || c->missed) && pending(c) == 0) {
        struct gtv_message *some[GTV_HUB_TURN];
        size_t n = take_some(c, some);
        taken = n > 0 && send_all(c, some, n);
        if (taken)
            gtv_counter_add(c->hub->m_sent, n);
        for (size_t i = 0; i < n; i++)
            gtv_message_unref(some[i]);
        if (c->backlog && gtv_backlog_count(c->backlog) == 0)
            no_longer_slow(c);
    }
}

static void ask_for_more(struct gtv_client *c)
{
    if (!c->replay_here || pending(c))
        return;
    c->replay_here = false;
    if (gtv_replay_next(c->replay))
        return;
    c->replay_here = true; // the control loop is overrun: again at the next second
}

void gtv_client_drained(struct gtv_client *c)
{
    c->moved_ms = gtv_mono_ms();
    pump(c);
    ask_for_more(c);
}

void gtv_client_answer(struct gtv_client *c, struct gtv_message *m)
{
    if (!m)
        return;
    if (c->backlog || pending(c) || !send_all(c, &m, 1))
        keep(c, m); // bounded: a client that asks without reading
    gtv_message_unref(m);
}

void gtv_hub_replayed(void *arg)
{
    struct gtv_replay *r = arg;
    struct gtv_client *c = r->client;
    if (!c) {
        gtv_replay_free(r);
        return;
    }
    // What was posted before this is older than the moment from which the client is live.
    flush(c->hub);
    if (r->gap)
        gtv_client_answer(c, gtv_message_gap(0, r->since));
    r->gap = false;
    for (size_t i = 0; i < r->count && c->window_bits; i++)
        gtv_message_deflate(r->chunk[i], deflater_of(c->hub));
    if (r->count && !c->backlog && send_all(c, r->chunk, r->count)) {
        gtv_counter_add(c->hub->m_sent, r->count);
    } else {
        for (size_t i = 0; i < r->count; i++)
            keep(c, r->chunk[i]);
    }
    for (size_t i = 0; i < r->count; i++)
        gtv_message_unref(r->chunk[i]);
    r->count = 0;
    if (r->live) {
        c->replay = NULL;
        gtv_replay_free(r);
        if (gtv_types_want(c->types, "status"))
            gtv_client_answer(c, gtv_client_snapshot(c));
        return;
    }
    c->replay_here = true;
    ask_for_more(c);
}

// ---- clients ----

static bool types_valid(struct gtv_str types)
{
    for (size_t i = 0; i < types.n; i++) {
        char ch = types.p[i];
        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '_' || ch == '-' || ch == '.' ||
              ch == ','))
            return false;
    }
    return types.n < GTV_TYPES_CAP;
}

bool gtv_hub_origin_ok(struct gtv_hub *h, struct gtv_http_request *req)
{
    if (h->stopped) { // who was just sent away must not come back to us
        gtv_reply_error(req, GTV_E_UNAVAILABLE, NULL, "the service is stopping");
        return false;
    }
    if (gtv_ws_origin_allowed(gtv_str_of(gtv_live_text(&h->worker->app->options.ws_origins)),
                              gtv_http_header(req, "Origin")))
        return true;
    gtv_reply_error(req, GTV_E_FORBIDDEN, "Origin", "pages of this origin may not connect (GTV_WS_ORIGINS)");
    return false;
}

struct gtv_topic *gtv_hub_topic(struct gtv_hub *h, struct gtv_http_request *req)
{
    struct gtv_str name = gtv_http_param(req, "stream");
    if (gtv_str_eq(name, GTV_STR("*")))
        return h->everything;
    if (!gtv_stream_name_valid(name)) {
        gtv_reply_error(req, GTV_E_BAD_REQUEST, "stream",
                        "a stream has letters, digits, dot, underscore and minus only");
        return NULL;
    }
    struct gtv_topic *t = gtv_map_get(h->topics, name);
    if (!t) {
        t = GTV_NEW(struct gtv_topic);
        t->name = gtv_strndup(name);
        (void)gtv_map_put(h->topics, name, t);
    }
    return t;
}

static void drop_due(struct gtv_hub *h, struct gtv_topic *t)
{
    struct gtv_topic **at = &h->due;
    while (*at && *at != t)
        at = &(*at)->next_due;
    if (*at)
        *at = t->next_due;
    for (size_t i = 0; i < t->due_count; i++)
        gtv_message_unref(t->due[i]);
    t->due_count = 0;
}

static void topic_free(void *arg)
{
    struct gtv_topic *t = arg;
    free(t->name);
    free(t);
}

static void leave_topic(struct gtv_hub *h, struct gtv_topic *t)
{
    if (t->first)
        return;
    drop_due(h, t);
    if (t->name) {
        gtv_map_remove(h->topics, gtv_str_of(t->name));
        topic_free(t);
    }
}

struct gtv_client *gtv_client_create(struct gtv_hub *h, struct gtv_http_request *req, struct gtv_topic *topic)
{
    struct gtv_str types = gtv_http_query(req, "types"), since = gtv_http_query(req, "since");
    struct gtv_str last = gtv_http_header(req, "Last-Event-ID");
    struct gtv_event_id id;
    if (!types_valid(types) || (since.n && !gtv_event_id_parse(since, &id))) {
        gtv_reply_error(req, GTV_E_BAD_REQUEST, types_valid(types) ? "since" : "types",
                        types_valid(types) ? "since is the id of an event, or 0"
                                           : "types is a list such as status,detection");
        leave_topic(h, topic);
        return NULL;
    }
    struct gtv_client *c = GTV_NEW(struct gtv_client);
    c->hub = h;
    c->topic = topic;
    c->types = types.n ? gtv_strndup(types) : NULL;
    // A browser that reconnects by itself repeats the address, and knows better where it was.
    if (last.n && gtv_event_id_parse(last, &id))
        since = last;
    if (since.n && topic != h->dashboard)
        c->replay = gtv_replay_create(h->worker, c, topic->name, c->types, since);
    c->replay_here = c->replay != NULL;
    c->next = topic->first;
    if (c->next)
        c->next->prev = c;
    topic->first = c;
    atomic_fetch_add(&h->worker->app->subscribers, 1);
    return c;
}

void gtv_client_begin(struct gtv_client *c)
{
    if (c->replay) {
        c->replay_here = false;
        if (!gtv_replay_next(c->replay))
            c->replay_here = true;
    } else if (gtv_types_want(c->types, "status")) {
        gtv_client_answer(c, gtv_client_snapshot(c)); // what is, before what changes
    }
}

void gtv_client_free(struct gtv_client *c)
{
    struct gtv_hub *h = c->hub;
    if (c->replay_here)
        gtv_replay_free(c->replay);
    else if (c->replay)
        c->replay->client = NULL; // whoever brings the token back frees it
    no_longer_slow(c);
    if (c->prev)
        c->prev->next = c->next;
    else
        c->topic->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    leave_topic(h, c->topic);
    atomic_fetch_sub(&h->worker->app->subscribers, 1);
    if (c->window_bits)
        atomic_fetch_sub(&h->worker->app->deflating, 1);
    free(c->types);
    free(c);
}

static void on_text(void *arg, struct gtv_str message)
{
    gtv_client_said(arg, message);
}

static void on_ws_close(void *arg, uint16_t code)
{
    gtv_client_free(arg);
}

static void on_ws_drain(void *arg)
{
    gtv_client_drained(arg);
}

static void subscribe(struct gtv_hub *h, struct gtv_http_request *req, struct gtv_topic *t)
{
    static const struct gtv_ws_callbacks callbacks = {
        .on_text = on_text, .on_drain = on_ws_drain, .on_close = on_ws_close};
    struct gtv_client *c = gtv_client_create(h, req, t);
    if (!c)
        return;
    const struct gtv_ws_limits limits = {.deflate = gtv_live_bool(&h->worker->app->options.ws_deflate)};
    c->ws = gtv_ws_accept(req, &limits, &callbacks, c);
    if (!c->ws) {
        gtv_client_free(c);
        return;
    }
    c->window_bits = gtv_ws_window_bits(c->ws);
    if (c->window_bits)
        atomic_fetch_add(&h->worker->app->deflating, 1);
    gtv_client_begin(c);
}

void gtv_handle_ws_events(struct gtv_http_request *req, void *worker)
{
    struct gtv_hub *h = ((struct gtv_worker *)worker)->hub;
    struct gtv_topic *t = gtv_hub_origin_ok(h, req) ? gtv_hub_topic(h, req) : NULL;
    if (t)
        subscribe(h, req, t);
}

void gtv_handle_ws_dashboard(struct gtv_http_request *req, void *worker)
{
    struct gtv_hub *h = ((struct gtv_worker *)worker)->hub;
    if (gtv_hub_origin_ok(h, req))
        subscribe(h, req, h->dashboard);
}

// ---- life ----

static void look_at_slow(struct gtv_hub *h)
{
    int64_t now = gtv_mono_ms(), limit = gtv_live_int(&h->worker->app->options.ws_stall) * 1000;
    for (struct gtv_client *c = h->slow; c; c = c->slow_next) {
        size_t left = c->ws ? gtv_ws_unacknowledged(c->ws) : 0;
        if (!c->ws) // the server's write time-out ends a stream that stalls
            continue;
        if (left != c->seen_unacknowledged) {
            c->seen_unacknowledged = left;
            c->moved_ms = now;
        } else if (now - c->moved_ms >= limit) {
            gtv_counter_add(h->m_stalled, 1);
            c->moved_ms = INT64_MAX / 2; // said once
            gtv_ws_close(c->ws, 1013, "too slow: nothing was taken for too long");
        }
    }
}

static void each_client(struct gtv_hub *h, struct gtv_topic *t, void (*fn)(struct gtv_client *c))
{
    for (struct gtv_client *c = t->first, *next; c; c = next) {
        next = c->next;
        fn(c);
    }
}

static void all_clients(struct gtv_hub *h, void (*fn)(struct gtv_client *c))
{
    size_t it = 0;
    struct gtv_str name;
    void *topic;
    while (gtv_map_next(h->topics, &it, &name, &topic))
        each_client(h, topic, fn);
    each_client(h, h->everything, fn);
    each_client(h, h->dashboard, fn);
}

static void every_second(void *arg)
{
    struct gtv_hub *h = arg;
    look_at_slow(h);
    if (++h->seconds % GTV_SSE_KEEP_ALIVE_S == 0)
        all_clients(h, gtv_sse_keep_alive);
}

static void say_good_bye(struct gtv_client *c)
{
    if (c->ws)
        gtv_ws_close(c->ws, 1001, "the service is stopping");
    else
        gtv_http_stream_end(c->req);
}

struct gtv_hub *gtv_hub_create(struct gtv_worker *worker)
{
    struct gtv_metrics *m = worker->app->metrics;
    struct gtv_hub *h = GTV_NEW(struct gtv_hub);
    h->worker = worker;
    h->topics = gtv_map_create();
    h->everything = GTV_NEW(struct gtv_topic);
    h->dashboard = GTV_NEW(struct gtv_topic);
    h->m_sent = gtv_metrics_counter(m, "gtv_streaming_ws_messages_total", "",
                                    "Messages handed to clients of live events");
    h->m_skipped = gtv_metrics_counter(m, "gtv_streaming_ws_skipped_total", "",
                                       "Messages that slow clients of live events did not get");
    h->m_stalled = gtv_metrics_counter(m, "gtv_streaming_ws_stalled_total", "",
                                       "WebSocket clients closed because they took nothing");
    h->second = gtv_timer_create(worker->loop, every_second, h);
    gtv_timer_start(h->second, 1000, 1000);
    return h;
}

void gtv_hub_stop(struct gtv_hub *h)
{
    h->stopped = true;
    gtv_timer_stop(h->second);
    all_clients(h, say_good_bye);
}

void gtv_hub_destroy(struct gtv_hub *h)
{
    if (!h)
        return;
    gtv_timer_destroy(h->second);
    gtv_map_destroy(h->topics, topic_free);
    topic_free(h->everything);
    topic_free(h->dashboard);
    gtv_ws_deflater_destroy(h->deflater);
    free(h);
}
