// The fetch of one file from the media node, into an entry of the cache.

#include "services/streaming/proxy_internal.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/streaming/playlist.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    // For answers that do not announce their length; each slab is twice as large as the one before.
    FIRST_SLAB = 64 * 1024,
    LAST_SLAB = 4 * 1024 * 1024,
    ERROR_BODY_MAX = 4096, // what is read of an error, for its words
    // A node holds the first playlist of an on-demand camera until it has a segment (MediaMTX: up to 10 s).
    PLAYLIST_LIMIT_MS = 20000,
    SEGMENT_LIMIT_MS = 30000,
    STALL_LIMIT_MS = 10000,
};

// A fetch on this loop.
struct gtv_fill {
    struct gtv_proxy *proxy;
    struct gtv_entry *entry; // a reference
    struct gtv_http_fetch *fetch;
    struct gtv_fill *prev, *next;
    struct gtv_bytes *slab; // being written; pieces are slices of it
    size_t slab_size, got;
    bool exact; // the slab has the announced length: it is the body
    int status;
    struct gtv_buf words; // body of an error
};

static void fill_free(struct gtv_fill *f)
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
static void error_words(struct gtv_fill *f, char *out, size_t cap)
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

static void status_error(struct gtv_fill *f, struct gtv_error *err)
{
    char words[200];
    error_words(f, words, sizeof words);
    struct gtv_str stream = gtv_entry_stream(f->entry);
    struct gtv_path_state state;
    bool known = gtv_states_get(f->proxy->worker->app->states, stream, &state);
    // A camera without a picture is told with its cause, not with what the node makes of it.
    if (f->entry->is_playlist && known && !state.ready && state.cause[0])
        gtv_error_set(err, f->status == 404 ? GTV_E_NOT_FOUND : GTV_E_UPSTREAM, NULL,
                      "no picture from '" GTV_STR_FMT "': %s", GTV_STR_ARG(stream), state.cause);
    else if (f->status == 404)
        gtv_error_set(err, GTV_E_NOT_FOUND, NULL, "no such stream or file in '" GTV_STR_FMT "'%s",
                      GTV_STR_ARG(stream), words);
    else if (f->status == 504 || strstr(words, "timed out"))
        gtv_error_set(err, GTV_E_UPSTREAM_TIMEOUT, NULL, "stream '" GTV_STR_FMT "' did not start in time%s",
                      GTV_STR_ARG(stream), words);
    else
        gtv_error_set(err, GTV_E_UPSTREAM, NULL, "the media node answered %d for '" GTV_STR_FMT "'%s",
                      f->status, GTV_STR_ARG(stream), words);
}

static void fill_fail(struct gtv_fill *f, const struct gtv_error *err)
{
    struct gtv_proxy *p = f->proxy;
    gtv_counter_add(p->m.fetch_errors, 1);
    if (err->code != GTV_E_NOT_FOUND)
        gtv_log_warn(&p->worker->app->log, "cannot fetch from the media node", "file=%s code=%s cause=\"%s\"",
                     f->entry->key, gtv_code_name(err->code), err->message);
    gtv_cache_fail(p->worker->app->cache, f->entry, err);
    gtv_proxy_wake(p, f->entry);
}

static void on_head(void *arg, const struct gtv_http_response *r)
{
    struct gtv_fill *f = arg;
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
    gtv_proxy_wake(f->proxy, e);
}

static void drop_slab(void *slab)
{
    gtv_bytes_unref(slab);
}

// Copies into the current slab and makes the copy a piece of the entry. False without memory.
static bool take_bytes(struct gtv_fill *f, const uint8_t *data, size_t n)
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
    struct gtv_fill *f = arg;
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
        gtv_proxy_wake(f->proxy, f->entry);
}

// All pieces as one body. NULL without memory.
static struct gtv_bytes *join_pieces(struct gtv_fill *f)
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
static void keep_named(struct gtv_fill *f, struct gtv_bytes *body, int64_t until_ms)
{
    struct gtv_str rest = gtv_bytes_str(body), uri;
    char key[GTV_PATH_NAME_CAP * 2];
    while (gtv_playlist_next_uri(&rest, &uri)) {
        uri = gtv_str_cut(&uri, '?');
        int n = snprintf(key, sizeof key, GTV_STR_FMT "/" GTV_STR_FMT,
                         GTV_STR_ARG(gtv_entry_stream(f->entry)), GTV_STR_ARG(uri));
        if (n > 0 && (size_t)n < sizeof key)
            gtv_cache_extend(f->proxy->worker->app->cache, (struct gtv_str){key, (size_t)n}, until_ms);
    }
}

// How long it may be served; 0 and *err when it is a playlist that cannot be read.
static int64_t life_of(struct gtv_fill *f, struct gtv_bytes *body, struct gtv_error *err)
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
            gtv_viewers_set_window(viewers, gtv_entry_stream(e), pl.target_ms, pl.window_ms);
            keep_named(f, body, gtv_mono_ms() + pl.window_ms);
        }
        return gtv_playlist_life_ms(&pl);
    }
    int64_t named_ms = gtv_viewers_stream(viewers, gtv_entry_stream(e), gtv_mono_ms()).window_ms;
    return named_ms > f->proxy->segment_ttl_ms ? named_ms : f->proxy->segment_ttl_ms;
}

static void on_done(void *arg, const struct gtv_http_response *r, const struct gtv_error *failure)
{
    struct gtv_fill *f = arg;
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
        gtv_proxy_wake(f->proxy, f->entry);
    }
    fill_free(f);
}

void gtv_fill_begin(struct gtv_proxy *p, struct gtv_entry *e)
{
    struct gtv_fill *f = GTV_NEW(struct gtv_fill);
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

void gtv_fill_end_all(struct gtv_proxy *p)
{
    struct gtv_error err = {0};
    gtv_error_set(&err, GTV_E_CANCELLED, NULL, NULL);
    for (struct gtv_fill *f = p->fills, *next; f; f = next) {
        next = f->next;
        gtv_cache_fail(p->worker->app->cache, f->entry, &err);
        fill_free(f);
    }
    p->fills = NULL;
}
