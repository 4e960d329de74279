#include "services/streaming/deliver.h"

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
    size_t sent;
};

struct gtv_proxy *gtv_proxy_create(struct gtv_worker *worker)
{
    struct gtv_proxy *p = GTV_NEW(struct gtv_proxy);
    struct gtv_metrics *m = worker->app->metrics;
    static const char requests[] = "streaming_hls_requests_total",
                      help[] = "HLS requests by what the cache did";
    p->worker = worker;
    p->client = gtv_http_client_create(worker->loop, GTV_UPSTREAM_CONNECTIONS);
    struct gtv_str base = gtv_str_of(worker->app->options.media_hls_url);
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    p->base = gtv_strndup(base);
    p->segment_ttl_ms = worker->app->options.segment_cache_ttl * 1000;
    p->m.hits = gtv_metrics_counter(m, requests, "result=\"hit\"", help);
    p->m.misses = gtv_metrics_counter(m, requests, "result=\"miss\"", help);
    p->m.coalesced = gtv_metrics_counter(m, requests, "result=\"coalesced\"", help);
    p->m.errors = gtv_metrics_counter(m, requests, "result=\"error\"", help);
    p->m.refused = gtv_metrics_counter(m, requests, "result=\"refused\"", help);
    p->m.fetches =
        gtv_metrics_counter(m, "streaming_hls_upstream_fetches_total", "", "Fetches from the media node");
    p->m.fetch_errors = gtv_metrics_counter(m, "streaming_hls_upstream_errors_total", "",
                                            "Fetches from the media node that failed");
    p->m.bytes =
        gtv_metrics_counter(m, "streaming_hls_upstream_bytes_total", "", "Bytes fetched from the media node");
    return p;
}

// ---- names ----

static bool known_type(struct gtv_str file, bool *is_playlist)
{
    // Nothing else of the node's port is passed on: not its pages, not its endless streams.
    static const struct gtv_str media[] = {{".ts", 3},  {".mp4", 4}, {".m4s", 4}, {".m4a", 4},
                                           {".m4v", 4}, {".aac", 4}, {".mp3", 4}, {".vtt", 4}};
    *is_playlist = gtv_str_ends(file, GTV_STR(".m3u8"));
    for (size_t i = 0; i < sizeof media / sizeof *media; i++)
        if (gtv_str_ends(file, media[i]))
            return true;
    return *is_playlist;
}

// "/hls/cam_1/index.m3u8": the key is what follows "/hls/". False, and the request answered, when it is no
// name of ours.
static bool take_key(struct gtv_http_request *req, struct gtv_str *key, size_t *stream_len, bool *is_playlist)
{
    struct gtv_str path = gtv_http_path(req);
    static const struct gtv_str prefix = {"/hls/", 5};
    assert(gtv_str_starts(path, prefix));
    *key = (struct gtv_str){path.p + prefix.n, path.n - prefix.n};
    size_t slash = key->n;
    while (slash > 0 && key->p[slash - 1] != '/')
        slash--;
    struct gtv_str stream = {key->p, slash ? slash - 1 : 0};
    struct gtv_str file = {key->p + slash, key->n - slash};
    *stream_len = stream.n;
    if (!gtv_stream_name_valid(stream) || !gtv_stream_name_valid(file)) {
        gtv_reply_error(req, GTV_E_BAD_REQUEST, "stream",
                        "a stream or file has letters, digits, dot, underscore and minus only");
        return false;
    }
    if (!known_type(file, is_playlist)) {
        gtv_reply_error(req, GTV_E_NOT_FOUND, NULL, "HLS has no such kind of file");
        return false;
    }
    return true;
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
        if (!gtv_deliver_admit(w->proxy, req, e, 0, gtv_mono_ms())) {
            waiter_unlist(w); // before the reply, which may end the waiter
            gtv_deliver_refuse(w->proxy, req);
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

// Gives one waiter what there is. It may be gone afterwards.
static void waiter_step(struct gtv_waiter *w)
{
    struct gtv_entry *e = w->entry;
    int state = atomic_load_explicit(&e->state, memory_order_acquire);
    bool head = atomic_load_explicit(&e->head_done, memory_order_acquire);
    if (w->begun || (state == GTV_ENTRY_FILLING && head && !e->is_playlist)) {
        waiter_stream(w, state);
        return;
    }
    if (state == GTV_ENTRY_FILLING)
        return;
    waiter_unlist(w);
    struct gtv_http_request *req = w->req;
    if (state == GTV_ENTRY_READY) {
        waiter_count(w);
        gtv_deliver_whole(w->proxy, req, e, waiter_x_cache(w), gtv_mono_ms());
    } else {
        gtv_counter_add(w->proxy->m.errors, 1);
        gtv_reply_error_from(req, &e->error);
    }
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
static bool join(struct gtv_proxy *p, struct gtv_entry *e, struct gtv_http_request *req, bool coalesced)
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

void gtv_proxy_handle(struct gtv_http_request *req, void *user)
{
    struct gtv_worker *worker = user;
    struct gtv_proxy *p = worker->proxy;
    struct gtv_str key;
    size_t stream_len;
    bool is_playlist;
    if (!take_key(req, &key, &stream_len, &is_playlist))
        return;
    int64_t now_ms = gtv_mono_ms();
    struct gtv_entry *e;
    enum gtv_cache_result found =
        gtv_cache_lookup(worker->app->cache, key, stream_len, is_playlist, now_ms, &e);
    if (found == GTV_CACHE_HIT) {
        gtv_counter_add(p->m.hits, 1);
        gtv_deliver_whole(p, req, e, GTV_STR("HIT"), now_ms);
    } else {
        bool joined = join(p, e, req, found == GTV_CACHE_JOIN);
        if (found == GTV_CACHE_FILL)
            gtv_fill_begin(p, e);
        if (!joined) {
            // It was completed between the look-up and now.
            bool ready = atomic_load_explicit(&e->state, memory_order_acquire) == GTV_ENTRY_READY;
            gtv_counter_add(ready ? p->m.coalesced : p->m.errors, 1);
            if (ready)
                gtv_deliver_whole(p, req, e, GTV_STR("COALESCED"), now_ms);
            else
                gtv_reply_error_from(req, &e->error);
        }
    }
    gtv_entry_unref(e);
}

void gtv_proxy_destroy(struct gtv_proxy *p)
{
    if (!p)
        return;
    gtv_http_client_destroy(p->client);
    gtv_fill_end_all(p);
    free(p->base);
    free(p);
}
