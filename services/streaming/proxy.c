#include "services/streaming/proxy.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/streaming/playlist.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FIRST_SLAB =
        64 * 1024, // for answers that do not announce their length; each further one is twice as large, up to
    LAST_SLAB = 4 * 1024 * 1024,
    ERROR_BODY_MAX = 4096, // what is read of an error, for its words
    // A node holds the first playlist of an on-demand camera until it has a segment (MediaMTX: up to 10 s).
    PLAYLIST_LIMIT_MS = 20000,
    SEGMENT_LIMIT_MS = 30000,
    STALL_LIMIT_MS = 10000,
};

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

// A fetch on this loop.
struct fill {
    struct gtv_proxy *proxy;
    struct gtv_entry *entry; // a reference
    struct gtv_http_fetch *fetch;
    struct fill *prev, *next;
    struct gtv_bytes *slab; // being written; pieces are slices of it
    size_t slab_size, got;
    bool exact; // the slab has the announced length: it is the body
    int status;
    struct gtv_buf words; // body of an error
};

struct proxy_metrics {
    struct gtv_counter *hits, *misses, *coalesced, *errors, *refused, *fetches, *fetch_errors, *bytes;
};

struct gtv_proxy {
    struct gtv_worker *worker;
    struct gtv_http_client *client;
    struct fill *fills;
    char *base;
    int64_t segment_ttl_ms;
    struct proxy_metrics m;
};

static void wake_loops(struct gtv_proxy *p, struct gtv_entry *e);

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

static struct gtv_str stream_of(const struct gtv_entry *e)
{
    return (struct gtv_str){e->key, e->stream_len};
}

// ---- answers ----

enum { HEAD_FIELDS = 4, HEAD_TEXT = 96 };

struct head {
    struct gtv_http_header fields[HEAD_FIELDS];
    char cache_control[HEAD_TEXT / 2], age[HEAD_TEXT / 2];
    size_t n;
};

static void make_head(struct head *h, const struct gtv_entry *e, struct gtv_str x_cache, int64_t age_s,
                      bool whole)
{
    h->n = 0;
    h->fields[h->n++] = (struct gtv_http_header){GTV_STR("Content-Type"), gtv_str_of(e->content_type)};
    h->fields[h->n++] = (struct gtv_http_header){GTV_STR("X-Cache"), x_cache};
    struct gtv_str control = GTV_STR("no-cache");
    // While it is still arriving its life is not known; a client must not keep what may end short.
    long long max_age_s =
        whole ? (atomic_load_explicit(&e->expires_ms, memory_order_relaxed) - e->fetched_ms) / 1000 : 0;
    if (max_age_s > 0) {
        int n = snprintf(h->cache_control, sizeof h->cache_control, "public, max-age=%lld", max_age_s);
        control = (struct gtv_str){h->cache_control, (size_t)n};
    }
    h->fields[h->n++] = (struct gtv_http_header){GTV_STR("Cache-Control"), control};
    int n = snprintf(h->age, sizeof h->age, "%lld", (long long)(age_s < 0 ? 0 : age_s));
    h->fields[h->n++] = (struct gtv_http_header){GTV_STR("Age"), {h->age, (size_t)n}};
}

// Counts the viewer; false when the stream has no room for one more.
static bool admit(struct gtv_proxy *p, struct gtv_http_request *req, const struct gtv_entry *e, size_t bytes,
                  int64_t now_ms)
{
    return gtv_viewers_touch(p->worker->app->viewers, stream_of(e), gtv_http_peer(req),
                             gtv_http_header(req, "User-Agent"), bytes, now_ms);
}

static void refuse(struct gtv_proxy *p, struct gtv_http_request *req)
{
    gtv_counter_add(p->m.refused, 1);
    struct gtv_bytes *body = gtv_bytes_printf("{\"detail\":\"This stream has its %lld viewers; try again "
                                              "later\",\"code\":\"too_many\",\"field\":null}",
                                              (long long)p->worker->app->options.max_connections_per_stream);
    const struct gtv_http_header headers[] = {
        {GTV_STR("Content-Type"), GTV_STR("application/json")},
        {GTV_STR("Retry-After"), GTV_STR("5")},
    };
    gtv_http_reply(req, 429, headers, 2, body);
    gtv_bytes_unref(body);
}

static size_t reply_size(struct gtv_http_request *req, const struct gtv_entry *e)
{
    return gtv_http_is_head(req) ? 0 : e->body->len;
}

static void reply_whole(struct gtv_proxy *p, struct gtv_http_request *req, struct gtv_entry *e,
                        struct gtv_str x_cache, int64_t now_ms)
{
    struct head h;
    if (!admit(p, req, e, reply_size(req, e), now_ms)) {
        refuse(p, req);
        return;
    }
    make_head(&h, e, x_cache, (now_ms - e->fetched_ms) / 1000, true);
    gtv_http_reply(req, 200, h.fields, h.n, e->body);
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
        struct head h;
        int64_t now_ms = gtv_mono_ms();
        if (!admit(w->proxy, req, e, 0, now_ms)) {
            waiter_unlist(w); // before the reply, which may end the waiter
            refuse(w->proxy, req);
            return;
        }
        waiter_count(w);
        w->begun = true;
        make_head(&h, e, waiter_x_cache(w), 0, false);
        gtv_http_stream_begin(req, 200, h.fields, h.n, e->content_length);
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
    gtv_viewers_add_bytes(w->proxy->worker->app->viewers, stream_of(e), gtv_http_peer(req),
                          gtv_http_header(req, "User-Agent"), gtv_http_is_head(req) ? 0 : w->sent);
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
        reply_whole(w->proxy, req, e, waiter_x_cache(w), gtv_mono_ms());
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

static void wake_loops(struct gtv_proxy *p, struct gtv_entry *e)
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

// ---- fetching ----

static void fill_free(struct fill *f)
{
    if (f->prev)
        f->prev->next = f->next;
    else
        f->proxy->fills = f->next;
    if (f->next)
        f->next->prev = f->prev;
    gtv_bytes_unref(f->slab);
    gtv_buf_finish(&f->words);
    gtv_entry_unref(f->entry);
    free(f);
}

// The node's own words about what is wrong, from its JSON or a plain line.
static void error_words(struct fill *f, char *out, size_t cap)
{
    out[0] = '\0';
    yyjson_doc *doc = gtv_json_parse(gtv_buf_str(&f->words), NULL);
    yyjson_val *root = yyjson_doc_get_root(doc);
    yyjson_val *text = yyjson_obj_get(root, "error");
    if (!text)
        text = yyjson_obj_get(root, "detail");
    if (yyjson_is_str(text))
        snprintf(out, cap, ": %.*s", (int)yyjson_get_len(text), yyjson_get_str(text));
    yyjson_doc_free(doc);
}

static void status_error(struct fill *f, struct gtv_error *err)
{
    char words[200];
    error_words(f, words, sizeof words);
    struct gtv_str stream = stream_of(f->entry);
    if (f->status == 404)
        gtv_error_set(err, GTV_E_NOT_FOUND, NULL, "no such stream or file in '" GTV_STR_FMT "'%s",
                      GTV_STR_ARG(stream), words);
    else if (f->status == 504 || strstr(words, "timed out"))
        gtv_error_set(err, GTV_E_UPSTREAM_TIMEOUT, NULL, "stream '" GTV_STR_FMT "' did not start in time%s",
                      GTV_STR_ARG(stream), words);
    else
        gtv_error_set(err, GTV_E_UPSTREAM, NULL, "the media node answered %d for '" GTV_STR_FMT "'%s",
                      f->status, GTV_STR_ARG(stream), words);
}

static void fill_fail(struct fill *f, const struct gtv_error *err)
{
    struct gtv_proxy *p = f->proxy;
    gtv_counter_add(p->m.fetch_errors, 1);
    if (err->code != GTV_E_NOT_FOUND)
        gtv_log_warn(&p->worker->app->log, "cannot fetch from the media node", "file=%s code=%s cause=\"%s\"",
                     f->entry->key, gtv_code_name(err->code), err->message);
    gtv_cache_fail(p->worker->app->cache, f->entry, err);
    wake_loops(p, f->entry);
}

static void on_head(void *arg, const struct gtv_http_response *r)
{
    struct fill *f = arg;
    struct gtv_entry *e = f->entry;
    f->status = r->status;
    if (r->status != 200)
        return;
    struct gtv_str type = r->content_type;
    bool usable = type.n && gtv_str_copy(e->content_type, sizeof e->content_type, type);
    if (!usable)
        snprintf(e->content_type, sizeof e->content_type, "%s",
                 e->is_playlist ? "application/vnd.apple.mpegurl" : "application/octet-stream");
    size_t max = e->is_playlist ? GTV_PLAYLIST_MAX : GTV_SEGMENT_MAX;
    if (r->content_length > 0 && (size_t)r->content_length <= max) {
        f->exact = true;
        f->slab_size = (size_t)r->content_length;
        if (!e->is_playlist)
            e->content_length = r->content_length;
    }
    atomic_store_explicit(&e->head_done, true, memory_order_release);
    wake_loops(f->proxy, e);
}

static void drop_slab(void *slab)
{
    gtv_bytes_unref(slab);
}

// Copies into the current slab and makes the copy a piece of the entry. False without memory.
static bool take_bytes(struct fill *f, const uint8_t *data, size_t n)
{
    while (n) {
        if (f->slab && f->slab->len == f->slab->cap) {
            gtv_bytes_unref(f->slab); // its slices keep it
            f->slab = NULL;
        }
        if (!f->slab) {
            if (!f->exact)
                f->slab_size = f->slab_size == 0          ? FIRST_SLAB
                               : f->slab_size < LAST_SLAB ? f->slab_size * 2
                                                          : LAST_SLAB;
            f->slab = gtv_bytes_create(f->slab_size);
            if (!f->slab)
                return false;
        }
        size_t room = f->slab->cap - f->slab->len;
        size_t part = n < room ? n : room;
        uint8_t *at = f->slab->data + f->slab->len;
        memcpy(at, data, part);
        f->slab->len += part;
        struct gtv_bytes *slice = gtv_bytes_wrap(at, part, drop_slab, gtv_bytes_ref(f->slab));
        if (!slice) {
            gtv_bytes_unref(f->slab);
            return false;
        }
        gtv_entry_append(f->entry, slice);
        data += part;
        n -= part;
    }
    return true;
}

static void on_data(void *arg, const void *data, size_t n)
{
    struct fill *f = arg;
    if (f->status != 200) {
        (void)gtv_buf_append(&f->words, data, n); // too long: the words are left out
        return;
    }
    f->got += n;
    gtv_counter_add(f->proxy->m.bytes, n);
    if (!take_bytes(f, data, n)) {
        struct gtv_error err = {0};
        gtv_error_set(&err, GTV_E_LIMIT, NULL, "no memory for this segment");
        gtv_http_fetch_cancel(f->fetch);
        fill_fail(f, &err);
        fill_free(f);
        return;
    }
    if (!f->entry->is_playlist)
        wake_loops(f->proxy, f->entry);
}

// All pieces as one body. NULL without memory.
static struct gtv_bytes *join_pieces(struct fill *f)
{
    if (f->exact && f->slab && f->slab->len == f->got)
        return gtv_bytes_ref(f->slab);
    struct gtv_bytes *body = gtv_bytes_create(f->got);
    struct gtv_piece *piece = atomic_load(&f->entry->pieces);
    for (; body && piece; piece = atomic_load(&piece->next)) {
        memcpy(body->data + body->len, piece->bytes->data, piece->bytes->len);
        body->len += piece->bytes->len;
    }
    return body;
}

// Segments that the playlist names stay in the cache until it can have dropped them.
static void keep_named(struct fill *f, struct gtv_bytes *body, int64_t until_ms)
{
    struct gtv_str rest = gtv_bytes_str(body), uri;
    char key[GTV_PATH_NAME_CAP * 2];
    while (gtv_playlist_next_uri(&rest, &uri)) {
        uri = gtv_str_cut(&uri, '?');
        int n = snprintf(key, sizeof key, GTV_STR_FMT "/" GTV_STR_FMT, GTV_STR_ARG(stream_of(f->entry)),
                         GTV_STR_ARG(uri));
        if (n > 0 && (size_t)n < sizeof key)
            gtv_cache_extend(f->proxy->worker->app->cache, (struct gtv_str){key, (size_t)n}, until_ms);
    }
}

// How long it may be served; 0 and *err when it is a playlist that cannot be read.
static int64_t life_of(struct fill *f, struct gtv_bytes *body, struct gtv_error *err)
{
    struct gtv_viewers *viewers = f->proxy->worker->app->viewers;
    struct gtv_entry *e = f->entry;
    if (e->is_playlist) {
        struct gtv_playlist pl;
        if (!gtv_playlist_scan(gtv_bytes_str(body), &pl)) {
            gtv_error_set(err, GTV_E_UPSTREAM, NULL, "the media node sent a playlist that cannot be read");
            return 0;
        }
        if (!pl.multivariant) {
            gtv_viewers_set_window(viewers, stream_of(e), pl.target_ms, pl.window_ms);
            keep_named(f, body, gtv_mono_ms() + pl.window_ms);
        }
        return gtv_playlist_life_ms(&pl);
    }
    int64_t named_ms = gtv_viewers_stream(viewers, stream_of(e), gtv_mono_ms()).window_ms;
    return named_ms > f->proxy->segment_ttl_ms ? named_ms : f->proxy->segment_ttl_ms;
}

static void on_done(void *arg, const struct gtv_http_response *r, const struct gtv_error *failure)
{
    struct fill *f = arg;
    struct gtv_app *app = f->proxy->worker->app;
    struct gtv_error err = {0};
    struct gtv_bytes *body = NULL;
    int64_t life_ms = 0;
    if (failure)
        err = *failure;
    else if (f->status != 200)
        status_error(f, &err);
    else if (!(body = join_pieces(f)))
        gtv_error_set(&err, GTV_E_LIMIT, NULL, "no memory for this segment");
    else
        life_ms = life_of(f, body, &err);
    if (err.code) {
        gtv_bytes_unref(body);
        fill_fail(f, &err);
    } else {
        gtv_cache_store(app->cache, f->entry, body, gtv_mono_ms(), life_ms);
        wake_loops(f->proxy, f->entry);
    }
    fill_free(f);
}

static void begin_fill(struct gtv_proxy *p, struct gtv_entry *e)
{
    struct fill *f = GTV_NEW(struct fill);
    f->proxy = p;
    f->entry = e;
    gtv_entry_ref(e);
    gtv_buf_init(&f->words, ERROR_BODY_MAX);
    f->next = p->fills;
    if (f->next)
        f->next->prev = f;
    p->fills = f;
    char *url = gtv_asprintf("%s/%s", p->base, e->key); // the key has no character that would need encoding
    const struct gtv_http_fetch_options o = {
        .url = url,
        .timeout_ms = e->is_playlist ? PLAYLIST_LIMIT_MS : SEGMENT_LIMIT_MS,
        .stall_timeout_ms = e->is_playlist ? PLAYLIST_LIMIT_MS : STALL_LIMIT_MS,
        .max_body = e->is_playlist ? GTV_PLAYLIST_MAX : GTV_SEGMENT_MAX,
        .stream = true,
    };
    const struct gtv_http_fetch_callbacks cb = {on_head, on_data, on_done};
    gtv_counter_add(p->m.fetches, 1);
    f->fetch = gtv_http_fetch(p->client, &o, &cb, f);
    free(url);
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
        reply_whole(p, req, e, GTV_STR("HIT"), now_ms);
    } else {
        bool joined = join(p, e, req, found == GTV_CACHE_JOIN);
        if (found == GTV_CACHE_FILL)
            begin_fill(p, e);
        if (!joined) {
            // It was completed between the look-up and now.
            bool ready = atomic_load_explicit(&e->state, memory_order_acquire) == GTV_ENTRY_READY;
            gtv_counter_add(ready ? p->m.coalesced : p->m.errors, 1);
            if (ready)
                reply_whole(p, req, e, GTV_STR("COALESCED"), now_ms);
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
    struct gtv_error err = {0};
    gtv_error_set(&err, GTV_E_CANCELLED, NULL, NULL);
    for (struct fill *f = p->fills, *next; f; f = next) {
        next = f->next;
        gtv_cache_fail(p->worker->app->cache, f->entry, &err);
        fill_free(f);
    }
    free(p->base);
    free(p);
}
