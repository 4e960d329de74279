// The fetch of one file from the media node, into an entry of the cache.

#include "services/streaming/proxy_internal.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/streaming/answer.h"
#include "services/streaming/key.h"
#include "services/streaming/l2.h"
#include "services/streaming/question.h"
#include "services/streaming/refusal.h"
#include "services/streaming/sequence_store.h"
#include "services/streaming/upstream.h"
#include "services/streaming/vary.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    // For answers that do not announce their length; each slab is twice as large as the one before.
    FIRST_SLAB = 64 * 1024,
    LAST_SLAB = 4 * 1024 * 1024,
    WORDS_MAX = 1024 * 1024, // of an answer that is no file, or of an index that only begins a session
    HEADERS_MAX = GTV_VARY_FIELDS_MAX + 5, // two conditions, bearer, cookie, NULL
    // A node holds the first playlist of an on-demand camera until it has a segment (MediaMTX: up to 10 s).
    PLAYLIST_LIMIT_MS = 20000,
    SEGMENT_LIMIT_MS = 30000,
    STALL_LIMIT_MS = 10000,
    // A playlist of a camera that is being put back into its node is waited for, and asked for again.
    HOLD_LIMIT_MS = 2500,
    HOLD_STEP_MS = 250,
};

// What a fill asks the node for, one after the other:
//
//   SESSION   the stream's index, to begin a session of ours; then FILE
//   FILE      the file itself; a refusal for want of a session leads to SESSION, once, and so does a playlist
//             that is not there of a camera that shall be: its index may start it
//
// An index that answers with the redirect of MediaMTX 1.18 and later (cookieCheck) is asked again with the
// cookie.
enum fill_step { FILL_SESSION, FILL_FILE };

// A fill on this loop.
struct gtv_fill {
    struct gtv_proxy *proxy;
    struct gtv_entry *entry; // a reference
    struct gtv_http_fetch *fetch;
    struct gtv_l2_get *shared; // other replicas' copy is looked for first
    struct gtv_fill *prev, *next;
    struct gtv_bytes *slab; // being written; pieces are slices of it
    size_t slab_size, got;
    bool exact; // the slab has the announced length: it is the body
    int status;
    struct gtv_buf words; // body of what is no file, or of an index asked for its session
    enum fill_step step;
    bool is_index, cookie, renewed; // cookie: the index is asked with it; renewed: after a refusal
    bool woken;                     // the index was asked for to start the camera
    bool plain;                     // a blocking reload was refused: what is there now is asked for
    uint64_t seams;                 // of the stream, when it was
    struct gtv_timer *hold;         // until the camera is back in its node
    int64_t began_ms;
    struct gtv_sequence_wait *wait; // for the numbers of a new generation; with the answer meanwhile:
    struct gtv_entry_head kept_head;
    struct gtv_bytes *kept_body;
    int kept_status;
    struct gtv_upstream_session session;
    char session_id[GTV_UPSTREAM_SESSION_CAP]; // of the index's cookie
    struct gtv_cause cause;                    // the first of those who wait
};

static void fill_free(struct gtv_fill *f)
{
    if (f->prev)
        f->prev->next = f->next;
    else
        f->proxy->fills = f->next;
    if (f->next)
        f->next->prev = f->prev;
    gtv_sequence_wait_cancel(f->wait);
    gtv_timer_destroy(f->hold);
    free(f->kept_head.fields);
    gtv_bytes_unref(f->kept_body);
    gtv_l2_get_cancel(f->shared);
    gtv_bytes_unref(f->slab);
    gtv_buf_finish(&f->words);
    gtv_entry_unref(f->entry);
    free(f);
}

// down: the node failed, it did not say no.
static void fill_fail(struct gtv_fill *f, const struct gtv_error *err, bool down)
{
    struct gtv_proxy *p = f->proxy;
    struct gtv_log log = p->worker->app->log;
    log.cause = &f->cause;
    gtv_counter_add(p->m.fetch_errors, 1);
    if (err->code != GTV_E_NOT_FOUND && err->code != GTV_E_UNAVAILABLE)
        gtv_log_warn(&log, "cannot fetch from the media node", "file=%s code=%s cause=\"%s\"", f->entry->key,
                     gtv_code_name(err->code), err->message);
    gtv_cache_fail(p->worker->app->cache, f->entry, err, down, gtv_mono_ms());
    gtv_proxy_wake(p, f->entry);
}

static void note_cookie(struct gtv_fill *f, const struct gtv_http_response *r)
{
    static const struct gtv_str name = {"hlsSession=", 11};
    for (size_t i = 0; i < r->field_count; i++) {
        struct gtv_str value = r->fields[i].value;
        if (!gtv_str_ieq(r->fields[i].name, GTV_STR("set-cookie")) || !gtv_str_starts(value, name))
            continue;
        value = (struct gtv_str){value.p + name.n, value.n - name.n};
        if (!gtv_str_copy(f->session_id, sizeof f->session_id, gtv_str_trim(gtv_str_cut(&value, ';'))))
            f->session_id[0] = '\0';
    }
}

static struct gtv_answer_context context_of(const struct gtv_fill *f)
{
    struct gtv_app *app = f->proxy->worker->app;
    int64_t ttl_ms = gtv_live_int(&app->options.segment_cache_ttl) * 1000, now_ms = gtv_mono_ms();
    int64_t named_ms = gtv_viewers_stream(app->viewers, gtv_entry_stream(f->entry), now_ms).window_ms;
    return (struct gtv_answer_context){
        .session = f->session.id[0] != '\0',
        .segment_keep_ms = named_ms > ttl_ms ? named_ms : ttl_ms,
        .if_error_ms = gtv_live_int(&app->options.hls_stale_if_error) * 1000,
        .now_wall_s = gtv_wall_ms() / 1000,
    };
}

static void on_head(void *arg, const struct gtv_http_response *r)
{
    struct gtv_fill *f = arg;
    struct gtv_entry *e = f->entry;
    f->status = r->status;
    if (r->status != 200)
        return;
    if (f->step == FILL_SESSION || f->is_index)
        note_cookie(f, r);
    if (f->step == FILL_SESSION)
        return;
    size_t max = e->is_playlist ? GTV_PLAYLIST_MAX : GTV_SEGMENT_MAX;
    if (r->content_length > 0 && (size_t)r->content_length <= max) {
        f->exact = true;
        f->slab_size = (size_t)r->content_length;
        if (!e->is_playlist)
            e->content_length = r->content_length;
    }
    struct gtv_answer_context context = context_of(f);
    gtv_answer_begin(e, r, &context);
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
    if (f->status != 200 || f->step == FILL_SESSION) {
        (void)gtv_buf_append(&f->words, data, n); // too long: it is refused at its end
        return;
    }
    f->got += n;
    gtv_counter_add(f->proxy->m.bytes, n);
    if (!take_bytes(f, data, n)) {
        struct gtv_error err = {0};
        gtv_error_set(&err, GTV_E_LIMIT, NULL, "no memory for this segment");
        gtv_http_fetch_cancel(f->fetch);
        fill_fail(f, &err, false);
        fill_free(f);
        return;
    }
    // Its end is told when it is stored: who has the whole and asks again is not to join this fetch.
    bool end = f->exact && f->got == f->slab_size;
    if (!f->entry->is_playlist && !end)
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

// ---- what is asked for ----

static const struct gtv_http_fetch_callbacks callbacks;

static bool has_secret(const struct gtv_proxy *p)
{
    const char *secret = p->worker->app->options.hls_cdn_secret;
    return secret && *secret;
}

// The file's name for the node, whose numbers are not those of the key. Allocated.
static char *file_url(const struct gtv_fill *f, const char *base)
{
    const struct gtv_entry *e = f->entry;
    struct gtv_str key = gtv_str_of(e->key), query = gtv_str_cut(&key, '#'), file = gtv_str_cut(&query, '?');
    char own[GTV_SEQUENCE_QUERY_CAP] = "";
    if (!e->is_playlist)
        return gtv_asprintf("%s/%s", base, e->key); // its query is the node's
    if (query.n && !f->plain)
        gtv_sequence_query(f->proxy->worker->app->sequences, gtv_entry_stream(e), query, own);
    return gtv_asprintf("%s/" GTV_STR_FMT "%s%s", base, GTV_STR_ARG(file), own[0] ? "?" : "", own);
}

static void ask(struct gtv_fill *f, enum fill_step step)
{
    struct gtv_proxy *p = f->proxy;
    struct gtv_entry *e = f->entry;
    struct gtv_app *app = p->worker->app;
    struct gtv_str stream = gtv_entry_stream(e);
    const char *base = gtv_nodes_hls_base(app->nodes, stream);
    char condition[2][GTV_QUESTION_CAP], cookie[GTV_UPSTREAM_SESSION_CAP + 32];
    const char *headers[HEADERS_MAX];
    char *forwarded = NULL;
    char *bearer = NULL;
    f->step = step;
    f->status = 0;
    f->got = 0;
    gtv_buf_reset(&f->words);
    bool index = f->is_index || step == FILL_SESSION;
    size_t n = step == FILL_FILE ? gtv_question_conditions(e, condition, headers) : 0;
    if (has_secret(p)) {
        bearer = gtv_asprintf("Authorization: Bearer %s", app->options.hls_cdn_secret);
        headers[n++] = bearer;
    }
    if (index && f->cookie) {
        headers[n++] = "Cookie: cookieCheck=1";
    } else if (!index && f->session.id[0]) {
        snprintf(cookie, sizeof cookie, "Cookie: hlsSession=%s", f->session.id);
        headers[n++] = cookie;
    }
    if (step == FILL_FILE)
        n += gtv_question_forward(e, &forwarded, headers + n);
    headers[n] = NULL;
    // A key has no character that would need encoding; the slot behind its '#' is not sent.
    char *url = index ? gtv_asprintf("%s/" GTV_STR_FMT "/index.m3u8%s", base, GTV_STR_ARG(stream),
                                     f->cookie ? "?cookieCheck=1" : "")
                      : file_url(f, base);
    bool playlist = e->is_playlist || index;
    const struct gtv_http_fetch_options o = {
        .url = url,
        .headers = headers,
        .cause = &f->cause,
        .timeout_ms = playlist ? PLAYLIST_LIMIT_MS : SEGMENT_LIMIT_MS,
        .stall_timeout_ms = playlist ? PLAYLIST_LIMIT_MS : STALL_LIMIT_MS,
        .max_body = playlist ? GTV_PLAYLIST_MAX : GTV_SEGMENT_MAX,
        .stream = true,
    };
    gtv_counter_add(p->m.fetches, 1);
    f->fetch = gtv_http_fetch(p->client, &o, &callbacks, f);
    free(url);
    free(bearer);
    free(forwarded);
}

// The node wants a session for this file: with one that another fetch began meanwhile, or a new one.
static void ask_with_session(struct gtv_fill *f)
{
    struct gtv_app *app = f->proxy->worker->app;
    uint64_t refused = f->session.serial;
    struct gtv_str stream = gtv_entry_stream(f->entry);
    f->renewed = true;
    gtv_upstream_ended(app->upstream, stream, refused);
    f->session = gtv_upstream_session(app->upstream, stream, gtv_mono_ms());
    ask(f, f->session.serial ? FILL_FILE : FILL_SESSION);
}

// ---- what came ----

// The index was answered: its session is ours from now on.
static void session_began(struct gtv_fill *f, const char *id_in_uris)
{
    struct gtv_app *app = f->proxy->worker->app;
    const char *id = f->session_id[0] ? f->session_id : id_in_uris;
    if (id[0] || has_secret(f->proxy))
        gtv_upstream_began(app->upstream, gtv_entry_stream(f->entry), gtv_str_of(id), gtv_mono_ms());
    else if (f->cookie)
        gtv_upstream_set_wants_sessions(app->upstream, false); // an older generation took its place
    f->session = gtv_upstream_session(app->upstream, gtv_entry_stream(f->entry), gtv_mono_ms());
}

static bool is_desired(const struct gtv_fill *f)
{
    struct gtv_camera camera;
    int64_t id;
    return gtv_camera_path_parse(gtv_entry_stream(f->entry), &id) &&
           gtv_cameras_get(f->proxy->worker->app->cameras, id, &camera);
}

// Goes on with another question where the answer calls for one.
static bool goes_on(struct gtv_fill *f, const struct gtv_http_response *r)
{
    bool index = f->is_index || f->step == FILL_SESSION;
    static const struct gtv_str check = {"cookieCheck=1", 13};
    if (index && f->status == 302 && !f->cookie && r->location.n &&
        memmem(r->location.p, r->location.n, check.p, check.n)) {
        gtv_upstream_set_wants_sessions(f->proxy->worker->app->upstream, true);
        f->cookie = true;
        ask(f, f->step);
        return true;
    }
    if (f->step == FILL_SESSION && f->status == 200) {
        char id[GTV_UPSTREAM_SESSION_CAP] = "";
        struct gtv_bytes *clean = gtv_playlist_clean(gtv_buf_str(&f->words), id, sizeof id);
        gtv_bytes_unref(clean);
        session_began(f, id);
        ask(f, FILL_FILE);
        return true;
    }
    if (!index && f->status == 401 && !f->renewed) {
        ask_with_session(f);
        return true;
    }
    if (!index && f->status == 404 && f->entry->is_playlist && !f->woken && is_desired(f)) {
        f->woken = true;
        ask(f, FILL_SESSION);
        return true;
    }
    if (!index && f->status == 400 && !f->plain && f->entry->is_playlist && strchr(f->entry->key, '?')) {
        // It counts anew perhaps, and this number is none of its own.
        f->plain = true;
        f->seams = gtv_sequence_seams(f->proxy->worker->app->sequences, gtv_entry_stream(f->entry));
        ask(f, FILL_FILE);
        return true;
    }
    return false;
}

static void store(struct gtv_fill *f, const struct gtv_http_response *r, struct gtv_bytes *body);

// The numbers of a new generation are decided: on with its first list.
static void on_decided(void *arg)
{
    struct gtv_fill *f = arg;
    struct gtv_http_fetch_field fields[GTV_HTTP_FETCH_FIELDS_MAX];
    struct gtv_http_response r = {.status = f->kept_status, .content_length = -1, .fields = fields};
    struct gtv_bytes *body = f->kept_body;
    f->wait = NULL;
    f->kept_body = NULL;
    for (size_t i = 0; i < f->kept_head.n && i < GTV_HTTP_FETCH_FIELDS_MAX; i++)
        fields[r.field_count++] =
            (struct gtv_http_fetch_field){f->kept_head.fields[i].name, f->kept_head.fields[i].value};
    store(f, &r, body);
    if (!f->wait)
        fill_free(f);
}

static void keep_response(struct gtv_fill *f, const struct gtv_http_response *r, struct gtv_bytes *body)
{
    struct gtv_http_header fields[GTV_HTTP_FETCH_FIELDS_MAX];
    size_t n = 0;
    assert(r); // it came with this body
    for (; n < r->field_count && n < GTV_HTTP_FETCH_FIELDS_MAX; n++)
        fields[n] = (struct gtv_http_header){r->fields[n].name, r->fields[n].value};
    free(f->kept_head.fields);
    gtv_entry_head_set(&f->kept_head, fields, n);
    f->kept_status = r->status;
    gtv_bytes_unref(f->kept_body);
    f->kept_body = body;
}

// Gives the list the numbers that viewers know. False when they are still to be decided: f->wait.
static bool renumber(struct gtv_fill *f, const struct gtv_http_response *r, struct gtv_bytes **body,
                     struct gtv_playlist *pl)
{
    struct gtv_worker *worker = f->proxy->worker;
    struct gtv_sequences *sequences = worker->app->sequences;
    struct gtv_str stream = gtv_entry_stream(f->entry), file;
    struct gtv_bytes *made;
    struct gtv_sequence_seam seam;
    file = gtv_hls_key_file(f->entry->key, stream.n);
    enum gtv_sequence_result result =
        gtv_sequence_apply(sequences, stream, file, *body, gtv_mono_ms(), &made, &seam);
    if (result == GTV_SEQUENCE_DECIDE) {
        f->wait = gtv_sequence_wait_begin(worker, stream, &seam, on_decided, f);
        if (f->wait) {
            keep_response(f, r, *body);
            return false;
        }
        result = gtv_sequence_apply(sequences, stream, file, *body, gtv_mono_ms(), &made, &seam);
    }
    if (result == GTV_SEQUENCE_MADE) {
        gtv_bytes_unref(*body);
        *body = made;
        return gtv_playlist_scan(gtv_bytes_str(made), pl); // as before, and longer perhaps
    }
    return true;
}

// A file with a playlist's name that says itself that it is none.
static bool is_playlist(const struct gtv_fill *f, const struct gtv_http_response *r,
                        const struct gtv_bytes *body)
{
    struct gtv_str type = r->content_type;
    if (!f->entry->is_playlist || (r->status != 200 && r->status != 304))
        return false;
    return gtv_str_starts(gtv_bytes_str(body), GTV_STR("#EXTM3U")) ||
           (r->status == 200 &&
            (type.n == 0 || memmem(type.p, type.n, "mpegurl", 7) || memmem(type.p, type.n, "mpegURL", 7)));
}

// Reads a playlist, and takes out of it what belongs to our session. False with *err when it is none, or with
// f->wait when it goes on later; then f keeps the body.
static bool read_playlist(struct gtv_fill *f, const struct gtv_http_response *r, struct gtv_bytes **body,
                          struct gtv_playlist *pl, struct gtv_error *err)
{
    struct gtv_app *app = f->proxy->worker->app;
    struct gtv_str stream = gtv_entry_stream(f->entry);
    if (!gtv_playlist_scan(gtv_bytes_str(*body), pl)) {
        gtv_error_set(err, GTV_E_UPSTREAM, NULL, "the media node sent a playlist that cannot be read");
        return false;
    }
    char id[GTV_UPSTREAM_SESSION_CAP];
    struct gtv_bytes *clean = gtv_playlist_clean(gtv_bytes_str(*body), id, sizeof id);
    if (f->is_index)
        session_began(f, id);
    if (clean) {
        gtv_bytes_unref(*body);
        *body = clean;
    }
    if (!pl->multivariant) {
        // A confirmed one (304) has its numbers already.
        if (f->status == 200 && !renumber(f, r, body, pl))
            return false;
        if (f->plain && f->seams && f->seams == gtv_sequence_seams(app->sequences, stream)) {
            gtv_error_set(err, GTV_E_BAD_REQUEST, "_HLS_msn", "'" GTV_STR_FMT "' is not that far",
                          GTV_STR_ARG(stream));
            return false;
        }
        gtv_viewers_set_window(app->viewers, stream, pl->target_ms, pl->window_ms);
        if (pl->segments)
            gtv_viewers_set_segment(app->viewers, stream, pl->window_ms / (unsigned)pl->segments);
        gtv_upstream_set_blocking(app->upstream, stream, pl->blocking, gtv_mono_ms());
        keep_named(f, *body, gtv_mono_ms() + pl->window_ms);
    }
    return true;
}

// Takes over the reference to body. With f->wait set it will be called again.
static void store(struct gtv_fill *f, const struct gtv_http_response *r, struct gtv_bytes *body)
{
    struct gtv_app *app = f->proxy->worker->app;
    struct gtv_entry *e = f->entry;
    struct gtv_playlist pl;
    struct gtv_error err = {0};
    bool playlist = is_playlist(f, r, body);
    if (playlist && !read_playlist(f, r, &body, &pl, &err)) {
        if (f->wait)
            return;
        gtv_bytes_unref(body);
        fill_fail(f, &err, false);
        return;
    }
    int64_t now_ms = gtv_mono_ms();
    struct gtv_answer_context context = context_of(f);
    struct gtv_entry_life life = gtv_answer_finish(e, r, body, playlist ? &pl : NULL, &context);
    gtv_cache_store(app->cache, e, body, now_ms, &life);
    gtv_proxy_wake(f->proxy, e);
    gtv_l2_put(f->proxy->l2, e);
}

// The node has no such file: where a playlist is gone, the index that named it is out of date.
static void forget_index(struct gtv_fill *f)
{
    struct gtv_str stream = gtv_entry_stream(f->entry);
    char key[GTV_PATH_NAME_CAP + 16];
    int n = snprintf(key, sizeof key, GTV_STR_FMT "/index.m3u8", GTV_STR_ARG(stream));
    if (n > 0 && (size_t)n < sizeof key)
        gtv_cache_drop(f->proxy->worker->app->cache, (struct gtv_str){key, (size_t)n});
}

// A node that has started anew does not know our cameras' paths until they are provisioned again.
static bool lost_path(const struct gtv_fill *f)
{
    return f->status == 404 && f->entry->is_playlist && is_desired(f);
}

static void ask_node(struct gtv_fill *f)
{
    bool known = f->is_index || f->session.serial;
    bool wanted = has_secret(f->proxy) || gtv_upstream_wants_sessions(f->proxy->worker->app->upstream);
    ask(f, known || !wanted ? FILL_FILE : FILL_SESSION);
}

static void on_hold_over(void *arg)
{
    ask_node(arg);
}

// The file is not there, and *err says that it may come. True: it is asked for again in a moment.
static bool hold(struct gtv_fill *f, enum gtv_refusal why)
{
    int64_t now_ms = gtv_mono_ms();
    if (why != GTV_REFUSAL_SOON || !f->entry->is_playlist || now_ms - f->began_ms >= HOLD_LIMIT_MS ||
        gtv_cache_has_stale(f->entry, now_ms))
        return false;
    if (!f->hold)
        f->hold = gtv_timer_create(f->proxy->worker->loop, on_hold_over, f);
    f->woken = false; // once it is back
    gtv_timer_start(f->hold, HOLD_STEP_MS, 0);
    return true;
}

// Any other answer: passed on as it is, or told as an error of ours, for which *err is set.
static void not_a_file(struct gtv_fill *f, const struct gtv_http_response *r, struct gtv_error *err)
{
    struct gtv_entry *e = f->entry;
    struct gtv_str body = gtv_buf_str(&f->words);
    bool outage = f->status >= 500 && gtv_cache_has_stale(e, gtv_mono_ms());
    if (f->status == 404 && e->is_playlist && !f->is_index)
        forget_index(f);
    if (f->step == FILL_FILE && !outage && !f->words.failed && !gtv_refusal_is_the_nodes(r, body)) {
        struct gtv_bytes *copy = gtv_bytes_copy(body.p, body.n);
        if (copy)
            store(f, r, copy);
        else
            gtv_error_set(err, GTV_E_LIMIT, NULL, "no memory for this answer");
        return;
    }
    gtv_refusal_error(f->proxy->worker->app, gtv_entry_stream(e), e->is_playlist, f->status, body, err);
}

static void on_done(void *arg, const struct gtv_http_response *r, const struct gtv_error *failure)
{
    struct gtv_fill *f = arg;
    struct gtv_error err = {0}, too_long = {0};
    assert(failure || r);
    f->fetch = NULL;
    if (!failure && r && goes_on(f, r))
        return;
    const struct gtv_entry *stale = f->entry->stale;
    if (failure) {
        bool endless = failure->code == GTV_E_TOO_LARGE;
        // To the viewer the node is at fault, not a request that would be too large.
        if (endless)
            gtv_error_set(&too_long, GTV_E_UPSTREAM, NULL, "the media node: %s", failure->message);
        fill_fail(f, endless ? &too_long : failure, true);
    } else if (f->step == FILL_FILE && f->status == 304 && stale) {
        store(f, r, gtv_bytes_ref(stale->body));
    } else if (f->step == FILL_FILE && f->status == 200) {
        struct gtv_bytes *body = join_pieces(f);
        if (body)
            store(f, r, body);
        else
            gtv_error_set(&err, GTV_E_LIMIT, NULL, "no memory for this segment");
    } else {
        enum gtv_refusal why = GTV_REFUSAL_FINAL;
        if (f->status == 404)
            why =
                gtv_refusal_of_missing(f->proxy->worker->app, gtv_entry_stream(f->entry), f->is_index, &err);
        if (hold(f, why))
            return;
        if (why == GTV_REFUSAL_FINAL)
            not_a_file(f, r, &err);
        else if (f->entry->is_playlist && !f->is_index)
            forget_index(f);
    }
    if (err.code)
        fill_fail(f, &err, f->status >= 500 || lost_path(f));
    if (!f->wait)
        fill_free(f);
}

static const struct gtv_http_fetch_callbacks callbacks = {on_head, on_data, on_done};

// Another replica has it: e becomes what it became there.
static void take_shared(struct gtv_fill *f, const struct gtv_l2_answer *a, struct gtv_bytes *body)
{
    struct gtv_entry *e = f->entry;
    assert(e);
    for (size_t i = 0; i < a->n; i++) {
        const struct gtv_http_header *h = &a->fields[i];
        char *to = gtv_str_ieq(h->name, GTV_STR("etag"))            ? e->etag
                   : gtv_str_ieq(h->name, GTV_STR("last-modified")) ? e->last_modified
                                                                    : NULL;
        if (to && !gtv_str_copy(to, GTV_ENTRY_TAG_CAP, h->value))
            to[0] = '\0';
    }
    e->validators = a->validators;
    gtv_entry_head_set(&e->whole, a->fields, a->n);
    gtv_cache_store(f->proxy->worker->app->cache, e, body, gtv_mono_ms(), &a->life);
    gtv_proxy_wake(f->proxy, e);
}

static void on_shared(void *arg, const struct gtv_l2_answer *answer)
{
    struct gtv_fill *f = arg;
    struct gtv_bytes *body = answer ? gtv_bytes_copy(answer->body.p, answer->body.n) : NULL;
    f->shared = NULL;
    if (!body) {
        ask_node(f);
        return;
    }
    take_shared(f, answer, body);
    fill_free(f);
}

void gtv_fill_begin(struct gtv_proxy *p, struct gtv_entry *e, const struct gtv_cause *cause)
{
    struct gtv_app *app = p->worker->app;
    struct gtv_fill *f = GTV_NEW(struct gtv_fill);
    f->proxy = p;
    f->entry = e;
    f->cause = *cause;
    f->began_ms = gtv_mono_ms();
    gtv_entry_ref(e);
    gtv_buf_init(&f->words, WORDS_MAX);
    f->next = p->fills;
    if (f->next)
        f->next->prev = f;
    p->fills = f;
    struct gtv_str stream = gtv_entry_stream(e);
    bool wanted = gtv_upstream_wants_sessions(app->upstream);
    f->is_index = strcmp(e->key + stream.n, "/index.m3u8") == 0;
    f->cookie = wanted && !has_secret(p);
    if (!f->is_index)
        f->session = gtv_upstream_session(app->upstream, stream, gtv_mono_ms());
    if (!e->is_playlist)
        f->shared = gtv_l2_get(p->l2, e->key, on_shared, f);
    if (!f->shared)
        ask_node(f);
}

void gtv_fill_end_all(struct gtv_proxy *p)
{
    struct gtv_error err = {0};
    gtv_error_set(&err, GTV_E_CANCELLED, NULL, NULL);
    for (struct gtv_fill *f = p->fills, *next; f; f = next) {
        next = f->next;
        gtv_cache_fail(p->worker->app->cache, f->entry, &err, false, gtv_mono_ms());
        fill_free(f);
    }
    p->fills = NULL;
}
