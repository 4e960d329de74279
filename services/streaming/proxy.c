#include "services/streaming/deliver.h"

#include "services/streaming/admit.h"
#include "services/streaming/freshness.h"
#include "services/streaming/key.h"
#include "services/streaming/l2.h"
#include "services/streaming/refusal.h"
#include "services/streaming/upstream.h"
#include "services/streaming/vary.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"

#include <assert.h>
#include <stdlib.h>

// One request that waits for an entry; freed by waiter_closed, whatever became of it.
struct gtv_waiter {
    struct gtv_proxy *proxy;
    struct gtv_http_request *req;
    struct gtv_entry *entry; // a reference
    struct gtv_waiter *prev, *next;
    struct gtv_piece *last; // the last one that was written
    bool coalesced, listed, begun;
    bool whole; // it asks for a range, or on a condition: both need to know the whole
    unsigned turns;
    size_t sent;
};

// Of one request, from one entry to the next: another variant than its own came, and it looks again.
enum { TURNS_MAX = 3 };

static void serve(struct gtv_proxy *p, struct gtv_http_request *req, struct gtv_hls_key *key, unsigned turns);

struct gtv_proxy *gtv_proxy_create(struct gtv_worker *worker)
{
    struct gtv_proxy *p = GTV_NEW(struct gtv_proxy);
    struct gtv_metrics *m = worker->app->metrics;
    static const char requests[] = "gtv_streaming_hls_requests_total",
                      help[] = "HLS requests by what the cache did";
    p->worker = worker;
    p->client = gtv_http_client_create(worker->loop, GTV_UPSTREAM_CONNECTIONS);
    p->l2 = gtv_l2_create(worker);
    p->m.hits = gtv_metrics_counter(m, requests, "result=\"hit\"", help);
    p->m.misses = gtv_metrics_counter(m, requests, "result=\"miss\"", help);
    p->m.coalesced = gtv_metrics_counter(m, requests, "result=\"coalesced\"", help);
    p->m.stale = gtv_metrics_counter(m, requests, "result=\"stale\"", help);
    p->m.errors = gtv_metrics_counter(m, requests, "result=\"error\"", help);
    p->m.refused = gtv_metrics_counter(m, requests, "result=\"refused\"", help);
    p->m.fetches =
        gtv_metrics_counter(m, "gtv_streaming_hls_upstream_fetches_total", "", "Fetches from the media node");
    p->m.fetch_errors = gtv_metrics_counter(m, "gtv_streaming_hls_upstream_errors_total", "",
                                            "Fetches from the media node that failed");
    p->m.bytes = gtv_metrics_counter(m, "gtv_streaming_hls_upstream_bytes_total", "",
                                     "Bytes fetched from the media node");
    return p;
}

// "/hls/cam_1/index.m3u8": the key is what follows "/hls/". False, and the request answered, when it is no
// name of ours.
bool gtv_proxy_take_key(struct gtv_proxy *p, struct gtv_http_request *req, struct gtv_hls_key *key)
{
    static const struct gtv_str prefix = {"/hls/", 5};
    struct gtv_str path = gtv_http_path(req), query = gtv_http_query_string(req);
    struct gtv_error err = {0};
    assert(gtv_str_starts(path, prefix));
    path = (struct gtv_str){path.p + prefix.n, path.n - prefix.n};
    bool ok = gtv_hls_key_make(key, path, &err);
    // A muxer that does not know blocking reloads answers all of them alike: one copy is enough.
    if (ok && query.n &&
        (!key->is_playlist || gtv_upstream_blocking(p->worker->app->upstream, gtv_hls_key_stream(key))))
        ok = gtv_hls_key_add_query(key, query, &err);
    if (!ok)
        gtv_reply_error_from(req, &err);
    return ok;
}

// ---- waiters ----

static void waiter_unlist(struct gtv_waiter *w)
{
    if (!w->listed)
        return;
    struct gtv_waiter **head = &w->entry->waiters[w->proxy->worker->index];
    if (w->prev)
        w->prev->next = w->next;
    else
        *head = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->listed = false;
}

static void waiter_closed(void *arg, bool complete)
{
    struct gtv_waiter *w = arg;
    waiter_unlist(w);
    gtv_entry_unref(w->entry);
    free(w);
}

static struct gtv_str waiter_x_cache(const struct gtv_waiter *w)
{
    return w->coalesced ? GTV_STR("COALESCED") : GTV_STR("MISS");
}

static void waiter_count(const struct gtv_waiter *w)
{
    gtv_counter_add(w->coalesced ? w->proxy->m.coalesced : w->proxy->m.misses, 1);
}

// Streams what has arrived of a segment.
static void waiter_stream(struct gtv_waiter *w, int state)
{
    struct gtv_entry *e = w->entry;
    struct gtv_http_request *req = w->req;
    if (!w->begun) {
        enum gtv_viewer_answer answer = gtv_deliver_admit(w->proxy, req, e, gtv_mono_ms());
        if (answer != GTV_VIEWER_OK) {
            waiter_unlist(w); // before the reply, which may end the waiter
            gtv_deliver_refuse(w->proxy, req, answer);
            return;
        }
        waiter_count(w);
        w->begun = true;
        gtv_deliver_begin(req, e, waiter_x_cache(w));
    }
    for (;;) {
        struct gtv_piece *next = w->last ? atomic_load_explicit(&w->last->next, memory_order_acquire)
                                         : atomic_load_explicit(&e->pieces, memory_order_acquire);
        if (!next)
            break;
        w->last = next;
        w->sent += next->bytes->len;
        gtv_http_stream_write(req, next->bytes);
    }
    if (state == GTV_ENTRY_FILLING)
        return;
    waiter_unlist(w);
    gtv_deliver_sent(w->proxy, req, e, w->sent);
    if (state == GTV_ENTRY_READY)
        gtv_http_stream_end(req);
    else
        gtv_http_stream_abort(req);
}

// ---- variants ----

// False when it is known of e that its answer is for requests that say something else (Vary).
static bool suits(const struct gtv_entry *e, const struct gtv_http_request *req)
{
    if (atomic_load_explicit(&e->state, memory_order_acquire) != GTV_ENTRY_READY &&
        !atomic_load_explicit(&e->head_done, memory_order_acquire))
        return true;
    if (!e->vary)
        return true;
    struct gtv_http_header fields[GTV_VARY_FIELDS_MAX];
    size_t n = gtv_vary_forwarded(req, fields);
    return gtv_vary_match(e->vary, e->asked.fields, e->asked.n, fields, n);
}

static void turn(struct gtv_proxy *p, struct gtv_http_request *req, unsigned turns)
{
    struct gtv_hls_key key;
    if (gtv_proxy_take_key(p, req, &key))
        serve(p, req, &key, turns + 1);
}

// Answers from an entry that is over: READY, FAILED, or FAILED with an older answer to be served for it.
static void deliver_end(struct gtv_proxy *p, struct gtv_http_request *req, struct gtv_entry *e,
                        bool coalesced, unsigned turns)
{
    if (coalesced && !suits(e, req)) {
        turn(p, req, turns);
    } else if (atomic_load_explicit(&e->state, memory_order_acquire) == GTV_ENTRY_READY) {
        gtv_counter_add(coalesced ? p->m.coalesced : p->m.misses, 1);
        gtv_deliver_whole(p, req, e, coalesced ? GTV_STR("COALESCED") : GTV_STR("MISS"), gtv_mono_ms());
    } else if (e->use_stale && suits(e->stale, req)) {
        gtv_counter_add(p->m.stale, 1);
        gtv_deliver_whole(p, req, e->stale, GTV_STR("STALE"), gtv_mono_ms());
    } else {
        gtv_counter_add(p->m.errors, 1);
        if (e->error.code == GTV_E_UNAVAILABLE)
            gtv_reply_error_later(req, &e->error, GTV_REFUSAL_RETRY_S);
        else
            gtv_reply_error_from(req, &e->error);
    }
}

// Its request looks again: what came is not for it.
static void waiter_turn(struct gtv_waiter *w)
{
    struct gtv_proxy *p = w->proxy;
    struct gtv_http_request *req = w->req;
    unsigned turns = w->turns;
    waiter_unlist(w);
    gtv_http_on_close(req, NULL, NULL);
    gtv_entry_unref(w->entry);
    free(w);
    turn(p, req, turns);
}

// Gives one waiter what there is. It may be gone afterwards.
static void waiter_step(struct gtv_waiter *w)
{
    struct gtv_entry *e = w->entry;
    int state = atomic_load_explicit(&e->state, memory_order_acquire);
    bool head = atomic_load_explicit(&e->head_done, memory_order_acquire);
    if (w->coalesced && !w->begun && head && !suits(e, w->req)) {
        waiter_turn(w);
        return;
    }
    if (w->begun || (state == GTV_ENTRY_FILLING && head && !e->is_playlist && !w->whole)) {
        waiter_stream(w, state);
        return;
    }
    if (state == GTV_ENTRY_FILLING)
        return;
    waiter_unlist(w);
    if (w->coalesced && !suits(e, w->req))
        waiter_turn(w);
    else
        deliver_end(w->proxy, w->req, e, w->coalesced, w->turns);
}

// On each loop that has waiters of e: serves them, and lets go of the pieces when nobody needs them any more.
static void serve_waiters(struct gtv_proxy *p, struct gtv_entry *e)
{
    unsigned index = p->worker->index;
    pthread_mutex_lock(&e->lock);
    e->woken &= ~(1u << index);
    pthread_mutex_unlock(&e->lock);
    int state = atomic_load_explicit(&e->state, memory_order_acquire);
    // A step may end a request and begin the next one of its connection, which may join this list at its
    // head.
    for (struct gtv_waiter *w = e->waiters[index], *next; w; w = next) {
        next = w->next;
        waiter_step(w);
    }
    if (state == GTV_ENTRY_FILLING)
        return;
    pthread_mutex_lock(&e->lock);
    e->waiting &= ~(1u << index);
    bool last = e->waiting == 0;
    pthread_mutex_unlock(&e->lock);
    if (last)
        gtv_entry_drop_pieces(e);
}

struct wake {
    struct gtv_proxy *proxy;
    struct gtv_entry *entry;
};

static void wake_cb(void *arg)
{
    struct wake *wk = arg;
    serve_waiters(wk->proxy, wk->entry);
    gtv_entry_unref(wk->entry);
    free(wk);
}

void gtv_proxy_wake(struct gtv_proxy *p, struct gtv_entry *e)
{
    struct gtv_app *app = p->worker->app;
    pthread_mutex_lock(&e->lock);
    uint32_t owed = e->waiting & ~e->woken;
    e->woken |= owed;
    pthread_mutex_unlock(&e->lock);
    for (unsigned i = 0; i < app->worker_count; i++) {
        if (!(owed & 1u << i) || i == p->worker->index)
            continue;
        struct wake *wk = GTV_NEW(struct wake);
        *wk = (struct wake){app->workers[i].proxy, e};
        gtv_entry_ref(e);
        if (!gtv_loop_post(app->workers[i].loop, wake_cb, wk)) {
            gtv_entry_unref(e); // that loop is ending, and its requests with it
            free(wk);
        }
    }
    if (owed & 1u << p->worker->index)
        serve_waiters(p, e);
}

// Puts the request on the entry's list of this loop; false when the entry is over already and it is to be
// served at once.
static bool join(struct gtv_proxy *p, struct gtv_entry *e, struct gtv_http_request *req, bool coalesced,
                 unsigned turns)
{
    unsigned index = p->worker->index;
    pthread_mutex_lock(&e->lock);
    bool filling = atomic_load_explicit(&e->state, memory_order_acquire) == GTV_ENTRY_FILLING;
    if (filling)
        e->waiting |= 1u << index;
    pthread_mutex_unlock(&e->lock);
    if (!filling)
        return false;
    struct gtv_waiter *w = GTV_NEW(struct gtv_waiter);
    w->proxy = p;
    w->req = req;
    w->entry = e;
    w->coalesced = coalesced;
    w->turns = turns;
    w->whole = gtv_deliver_needs_whole(req);
    gtv_entry_ref(e);
    w->next = e->waiters[index];
    if (w->next)
        w->next->prev = w;
    e->waiters[index] = w;
    w->listed = true;
    gtv_http_on_close(req, waiter_closed, w);
    // Pieces that arrived before: a segment in progress is followed from its beginning.
    if (coalesced)
        waiter_step(w);
    return true;
}

// ---- requests ----

struct found {
    enum gtv_cache_result result;
    struct gtv_entry *e, *fill;
};

static struct found look_up(struct gtv_proxy *p, const struct gtv_hls_key *key, int64_t now_ms)
{
    struct found f;
    f.result = gtv_cache_lookup(p->worker->app->cache, (struct gtv_str){key->text, key->n}, key->stream_len,
                                key->is_playlist, now_ms, &f.e, &f.fill);
    return f;
}

// What was found is for other requests. If it is to be fetched anew this request's variant takes its place.
static struct found take_fill(struct gtv_proxy *p, struct found f)
{
    gtv_cache_forget_stale(p->worker->app->cache, f.fill);
    if (f.e != f.fill) {
        gtv_entry_unref(f.e);
        f.e = f.fill;
        gtv_entry_ref(f.e);
    }
    f.result = GTV_CACHE_FILL;
    return f;
}

// Otherwise it has a slot of its own, by what it says in the fields that count; whose variant is there gives
// way to it.
static struct found find_variant(struct gtv_proxy *p, struct gtv_http_request *req, struct gtv_hls_key *key,
                                 struct found f, unsigned turns, int64_t now_ms)
{
    struct gtv_http_header fields[GTV_VARY_FIELDS_MAX];
    if (f.fill)
        return take_fill(p, f);
    size_t n = gtv_vary_forwarded(req, fields);
    gtv_hls_key_set_slot(key, gtv_vary_slot(f.e->vary, fields, n));
    gtv_entry_unref(f.e);
    f = look_up(p, key, now_ms);
    if (f.result == GTV_CACHE_FILL || (suits(f.e, req) && (f.result != GTV_CACHE_JOIN || turns < TURNS_MAX)))
        return f;
    if (f.fill)
        return take_fill(p, f);
    gtv_entry_unref(f.e);
    f.fill = f.e = gtv_cache_replace(p->worker->app->cache, (struct gtv_str){key->text, key->n},
                                     key->stream_len, key->is_playlist);
    f.result = GTV_CACHE_FILL;
    return f;
}

static bool only_if_cached(const struct gtv_http_request *req)
{
    struct gtv_cache_control cc;
    gtv_cache_control_init(&cc);
    gtv_cache_control_read(&cc, gtv_http_header(req, "Cache-Control"));
    return cc.only_if_cached;
}

// Of what a client may ask of a cache (RFC 9111, 5.2.1) only this is heard: by the others any viewer could
// make the node work for each of its requests.
static void reply_not_cached(struct gtv_http_request *req)
{
    gtv_reply_error(req, GTV_E_UPSTREAM_TIMEOUT, NULL,
                    "it is not in the cache, and nothing else was asked for");
}

static void begin_fill(struct gtv_proxy *p, struct gtv_http_request *req, struct gtv_entry *fill)
{
    struct gtv_http_header fields[GTV_VARY_FIELDS_MAX];
    size_t n = gtv_vary_forwarded(req, fields);
    if (n)
        gtv_entry_head_set(&fill->asked, fields, n);
    gtv_fill_begin(p, fill, gtv_http_cause(req));
    gtv_entry_unref(fill);
}

static void serve(struct gtv_proxy *p, struct gtv_http_request *req, struct gtv_hls_key *key, unsigned turns)
{
    int64_t now_ms = gtv_mono_ms();
    struct found f = look_up(p, key, now_ms);
    if (f.result != GTV_CACHE_FILL && !suits(f.e, req))
        f = find_variant(p, req, key, f, turns, now_ms);
    bool waits = f.result == GTV_CACHE_JOIN || f.result == GTV_CACHE_FILL;
    bool refused = waits && only_if_cached(req);
    bool joined = waits && !refused && join(p, f.e, req, f.result == GTV_CACHE_JOIN, turns);
    if (f.fill)
        begin_fill(p, req, f.fill);
    if (f.result == GTV_CACHE_HIT) {
        gtv_counter_add(p->m.hits, 1);
        gtv_deliver_whole(p, req, f.e, GTV_STR("HIT"), now_ms);
    } else if (f.result == GTV_CACHE_STALE) {
        gtv_counter_add(p->m.stale, 1);
        gtv_deliver_whole(p, req, f.e, GTV_STR("STALE"), now_ms);
    } else if (refused) {
        reply_not_cached(req);
    } else if (!joined) {
        deliver_end(p, req, f.e, true, turns); // it was completed between the look-up and now
    }
    gtv_entry_unref(f.e);
}

void gtv_proxy_handle(struct gtv_http_request *req, void *user)
{
    struct gtv_worker *worker = user;
    struct gtv_hls_key key;
    if (gtv_proxy_take_key(worker->proxy, req, &key) &&
        gtv_admit_allowed(worker, req, (struct gtv_str){key.text, key.stream_len}))
        serve(worker->proxy, req, &key, 0);
}

void gtv_proxy_destroy(struct gtv_proxy *p)
{
    if (!p)
        return;
    gtv_http_client_destroy(p->client);
    gtv_fill_end_all(p);
    gtv_change_end_all(p);
    gtv_l2_destroy(p->l2);
    free(p);
}
