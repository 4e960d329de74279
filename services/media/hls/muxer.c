#include "services/media/hls/muxer.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/media/hls/clients.h"
#include "services/media/hls/pieces.h"
#include "services/media/hls/playlist.h"
#include "services/media/relay.h"
#include "services/media/reply.h"

#include <stdlib.h>

enum {
    KEEP_MS = 10000,     // segments of a lost source stay so long for players that catch up
    BLOCKED_TARGETS = 3, // a playlist is waited for so many target durations (rfc8216bis, 6.2.5.2)
    AHEAD_MAX = 1,       // a player may ask for so many segments after the one that is being collected
};

enum kind { KIND_INDEX, KIND_PLAYLIST, KIND_PART, KIND_RELAY, KIND_RELAY_KEYS };

// A request on its way: it waits for the source, then for the first segment, or for the part or segment that
// it names.
struct held {
    struct gtv_path_wait wait;
    struct gtv_path *path;
    struct gtv_http_request *req;
    enum kind kind;
    int64_t msn, part;           // of a playlist: that it is to have; -1: none
    bool fmp4;                   // of the relay
    bool skip;                   // of a playlist: as a delta update
    char name[GTV_HLS_NAME_CAP]; // of a part
    struct gtv_muxer *muxer;     // whose list it is in; NULL: it waits for the source
    struct held *next, **prev;
};

struct gtv_muxer {
    struct gtv_reader reader;
    struct gtv_path *path;
    struct gtv_hls_ring ring;
    struct held *held;
    int64_t created_ms;          // wall
    int64_t request_ms, lost_ms; // monotonic; lost_ms 0: the source is there
    uint64_t sent;
};

static void proceed(struct held *h);

static void ignore_close(void *arg, bool complete)
{
}

static void unhold(struct held *h)
{
    if (h->muxer == NULL) {
        return;
    }
    *h->prev = h->next;
    if (h->next != NULL) {
        h->next->prev = h->prev;
    }
    h->muxer = NULL;
}

// The request is answered by whoever calls this, afterwards.
static struct gtv_http_request *release(struct held *h)
{
    struct gtv_http_request *req = h->req;
    gtv_path_wait_cancel(&h->wait);
    unhold(h);
    gtv_http_on_close(req, ignore_close, NULL);
    free(h);
    return req;
}

static void client_left(void *arg, bool complete)
{
    struct held *h = arg;
    gtv_path_wait_cancel(&h->wait);
    unhold(h);
    free(h);
}

static void refuse(struct held *h, const struct gtv_error *why)
{
    struct gtv_path_status s;
    gtv_path_get_status(h->path, &s);
    gtv_media_reply_error(release(h), gtv_code_http_status(why->code), why->message, s.cause, s.cause_code);
}

static const struct gtv_http_header playlist_headers[] = {
    {{"Content-Type", 12}, {"application/vnd.apple.mpegurl", 29}},
    {{"Cache-Control", 13}, {"no-cache", 8}},
};

static void reply_playlist(struct gtv_http_request *req, struct gtv_buf *text)
{
    struct gtv_bytes *body = gtv_buf_take(text);
    if (body == NULL) {
        gtv_media_reply_error(req, 500, "out of memory", NULL, NULL);
        return;
    }
    gtv_http_reply(req, 200, playlist_headers, sizeof playlist_headers / sizeof playlist_headers[0], body);
    gtv_bytes_unref(body);
}

static void reply_pieces(struct gtv_muxer *m, struct gtv_http_request *req, struct gtv_hls_pieces *pieces,
                         bool ok)
{
    bool ts = m->ring.options.variant == GTV_HLS_MPEGTS;
    const struct gtv_http_header headers[] = {
        {{"Content-Type", 12}, ts ? GTV_STR("video/mp2t") : GTV_STR("video/mp4")},
        {{"Cache-Control", 13}, {"max-age=3600", 12}},
    };
    if (ok) {
        m->sent += pieces->bytes;
        gtv_path_count_sent(m->path, pieces->bytes);
        gtv_hls_clients_sent(gtv_path_get_env(m->path)->hls_clients, req,
                             gtv_str_of(gtv_path_conf(m->path)->name), pieces->bytes);
        gtv_http_reply_pieces(req, 200, headers, sizeof headers / sizeof headers[0], pieces->list,
                              pieces->count);
    } else {
        gtv_media_reply_error(req, 500, "the segment cannot be made", NULL, NULL);
    }
    gtv_hls_pieces_finish(pieces);
}

// Answers with what the name stands for. False: it is being collected.
static bool try_file(struct gtv_muxer *m, struct gtv_http_request *req, struct gtv_str name)
{
    const struct gtv_hls_segment *segment = NULL;
    const struct gtv_hls_part *part = NULL;
    struct gtv_hls_pieces pieces = {0};
    switch (gtv_hls_ring_find(&m->ring, name, &segment, &part)) {
    case GTV_HLS_SEGMENT:
        reply_pieces(m, req, &pieces, gtv_hls_pieces_segment(&pieces, &m->ring, segment));
        return true;
    case GTV_HLS_PART:
        reply_pieces(m, req, &pieces, gtv_hls_pieces_part(&pieces, segment, part));
        return true;
    case GTV_HLS_INIT:
        reply_pieces(m, req, &pieces, gtv_hls_pieces_init(&pieces, segment));
        return true;
    case GTV_HLS_COMING:
        return false;
    case GTV_HLS_NOTHING:
        break;
    }
    gtv_media_reply_not_found(req);
    return true;
}

// Does the playlist have the segment, and the part of it, by now (rfc8216bis, 6.2.5.2)?
static bool has_come(const struct gtv_hls_ring *r, int64_t msn, int64_t part)
{
    if (msn < 0) {
        return true;
    }
    const struct gtv_hls_segment *last = &r->list[r->count - 1];
    uint64_t wanted = (uint64_t)msn;
    if (wanted == last->number && part >= (int64_t)last->part_count && part > 0) {
        wanted++; // beyond a segment's last part lies the first of the next one
        part = 0;
    }
    if (wanted <= last->number) {
        return true;
    }
    return part >= 0 && r->is_open && wanted == r->open.number && part < (int64_t)r->open.part_count;
}

// Answers a held request if that is possible now; it is gone then.
static bool try_held(struct gtv_muxer *m, struct held *h)
{
    const struct gtv_hls_ring *r = &m->ring;
    const struct gtv_hls_segment *segment = NULL;
    const struct gtv_hls_part *part = NULL;
    if (h->kind == KIND_PART) {
        if (gtv_hls_ring_find(r, gtv_str_of(h->name), &segment, &part) == GTV_HLS_COMING) {
            return false;
        }
        char name[GTV_HLS_NAME_CAP];
        memcpy(name, h->name, sizeof name);
        (void)try_file(m, release(h), gtv_str_of(name));
        return true;
    }
    if (r->count == 0 || !has_come(r, h->msn, h->part)) {
        return false;
    }
    bool index = h->kind == KIND_INDEX, skip = h->skip;
    struct gtv_http_request *req = release(h);
    struct gtv_buf text;
    gtv_buf_init(&text, GTV_HLS_PLAYLIST_MAX);
    if (index) {
        gtv_hls_write_index(&text, r);
    } else {
        gtv_hls_write_media(&text, r, skip);
    }
    reply_playlist(req, &text);
    return true;
}

static void link_held(struct gtv_muxer *m, struct held *h)
{
    h->muxer = m;
    h->next = m->held;
    h->prev = &m->held;
    if (h->next != NULL) {
        h->next->prev = &h->next;
    }
    m->held = h;
}

// Takes the first one off a list; NULL at its end.
static struct held *pop_held(struct held **list)
{
    struct held *h = *list;
    if (h != NULL) {
        *list = h->next;
        if (h->next != NULL) {
            h->next->prev = list;
        }
        h->muxer = NULL;
    }
    return h;
}

// Answers those who can be answered now.
static void serve_held(struct gtv_muxer *m)
{
    // An answer may let the next request of its connection in, which may be held here too: each is looked at
    // once.
    struct held *list = m->held, *h;
    m->held = NULL;
    while ((h = pop_held(&list)) != NULL) {
        if (!try_held(m, h)) {
            link_held(m, h);
        }
    }
}

static void muxer_free(struct gtv_muxer *m)
{
    gtv_path_detach(&m->reader);
    gtv_path_set_muxer(m->path, NULL);
    *gtv_path_segment_number(m->path) = m->ring.next_number;
    gtv_hls_ring_finish(&m->ring);
    gtv_log_info(gtv_path_log(m->path), "HLS muxer closed", NULL);
    free(m);
}

static void on_format(void *arg, struct gtv_format *format)
{
    struct gtv_muxer *m = arg;
    gtv_hls_ring_format(&m->ring, format);
    m->lost_ms = 0;
}

static void on_events(struct gtv_muxer *m, unsigned happened)
{
    if (happened & GTV_HLS_NEW_SEGMENT) {
        gtv_counter_add(gtv_path_get_env(m->path)->segments, 1);
    }
    if (happened != 0 && m->held != NULL) {
        serve_held(m);
    }
}

static void on_sample(void *arg, const struct gtv_sample *sample)
{
    struct gtv_muxer *m = arg;
    on_events(m, gtv_hls_ring_push(&m->ring, sample));
}

static void on_lost(void *arg)
{
    struct gtv_muxer *m = arg;
    m->lost_ms = gtv_mono_ms();
    on_events(m, gtv_hls_ring_interrupt(&m->ring));
    struct held *list = m->held, *h;
    m->held = NULL;
    while ((h = pop_held(&list)) != NULL) {
        if (h->kind == KIND_PART) {
            gtv_media_reply_not_found(release(h)); // its pictures do not come any more
        } else {
            proceed(h); // back to those who wait for the source
        }
    }
}

static void refuse_all(struct gtv_muxer *m)
{
    struct held *h;
    while ((h = pop_held(&m->held)) != NULL) {
        struct gtv_error why = {0};
        if (h->kind == KIND_PART || !gtv_path_refusal(m->path, false, &why)) {
            gtv_media_reply_not_found(release(h));
        } else {
            refuse(h, &why);
        }
    }
}

static void on_tick(void *arg, int64_t now_ms)
{
    struct gtv_muxer *m = arg;
    const struct gtv_media_options *o = gtv_path_get_env(m->path)->options;
    for (struct held *h = m->held, *next; h != NULL; h = next) {
        struct gtv_error why = {0};
        next = h->next;
        if (now_ms < h->wait.deadline_ms) {
            continue;
        }
        if (h->kind == KIND_PART) {
            gtv_media_reply_not_found(release(h));
        } else if (gtv_path_refusal(m->path, false, &why)) {
            refuse(h, &why);
        }
    }
    bool unread = m->held == NULL && now_ms - m->request_ms >= (int64_t)(o->muxer_close_seconds * 1000);
    if (unread && o->always_remux) {
        m->reader.wants = false; // it stays, but keeps no on-demand source open
        unread = false;
    }
    bool stale = m->lost_ms != 0 && now_ms - m->lost_ms >= KEEP_MS;
    if (unread || stale) {
        refuse_all(m);
        muxer_free(m);
    }
}

static void on_closed(void *arg)
{
    struct gtv_muxer *m = arg;
    refuse_all(m);
    muxer_free(m);
}

enum gtv_hls_variant gtv_muxer_variant(const struct gtv_path *p)
{
    enum gtv_hls_variant variant = GTV_HLS_MPEGTS;
    const char *word = gtv_path_get_env(p)->options->hls_variant;
    return gtv_hls_variant_parse(gtv_str_of(word), &variant) ? variant : GTV_HLS_MPEGTS;
}

static struct gtv_muxer *open_muxer(struct gtv_path *p, bool wants, struct gtv_error *err)
{
    static const struct gtv_reader_ops ops = {on_format, on_sample, on_lost, on_tick, on_closed};
    const struct gtv_media_options *options = gtv_path_get_env(p)->options;
    if (!gtv_path_may_attach(p, err)) {
        return NULL;
    }
    struct gtv_hls_options o = {.variant = gtv_muxer_variant(p),
                                .segments = (size_t)options->segments,
                                .segment_ms = (int64_t)(options->segment_seconds * 1000),
                                .part_ms = (int64_t)(options->part_seconds * 1000),
                                .max_bytes = (size_t)options->ring_bytes,
                                .first_number = *gtv_path_segment_number(p)};
    struct gtv_muxer *m = GTV_NEW(struct gtv_muxer);
    m->reader = (struct gtv_reader){.ops = &ops, .arg = m, .type = "hlsMuxer", .wants = wants};
    m->path = p;
    gtv_hls_ring_init(&m->ring, &o, gtv_path_log(p));
    m->created_ms = gtv_wall_ms();
    m->request_ms = gtv_mono_ms();
    gtv_path_set_muxer(p, m);
    gtv_log_info(gtv_path_log(p), "HLS muxer opened", NULL);
    if (!gtv_path_attach(p, &m->reader, true, err)) {
        muxer_free(m);
        return NULL;
    }
    return m;
}

static void hold(struct gtv_muxer *m, struct held *h)
{
    if (try_held(m, h)) {
        return;
    }
    if (m->ring.count == 0) {
        // The source is there: its first segment has a time of its own, for GOPs may be long.
        h->wait.deadline_ms = gtv_mono_ms() + gtv_path_conf(m->path)->start_timeout_ms;
    }
    link_held(m, h);
}

static void proceed_relay(struct held *h)
{
    struct gtv_path *path = h->path;
    bool keyframes_only = h->kind == KIND_RELAY_KEYS, fmp4 = h->fmp4;
    struct gtv_error err = {0};
    struct gtv_http_request *req = release(h);
    if (!gtv_relay_open(path, req, keyframes_only, fmp4, &err)) {
        gtv_media_reply_error(req, gtv_code_http_status(err.code), err.message, NULL, NULL);
    }
}

static void source_answered(void *arg, bool ready, const struct gtv_error *why)
{
    struct held *h = arg;
    if (!ready) {
        refuse(h, why);
    } else {
        proceed(h);
    }
}

// One step on: to the muxer, to the relay, or to those who wait for the source. h may be gone afterwards.
static void proceed(struct held *h)
{
    struct gtv_error err = {0};
    struct gtv_muxer *m = gtv_path_muxer(h->path);
    bool relay = h->kind == KIND_RELAY || h->kind == KIND_RELAY_KEYS;
    bool connected = gtv_path_format(h->path) != NULL;
    if (relay && connected) {
        proceed_relay(h);
    } else if (!relay && m != NULL && (connected || m->ring.count > 0)) {
        hold(m, h);
    } else if (!relay && connected) {
        m = open_muxer(h->path, true, &err);
        if (m == NULL) {
            refuse(h, &err);
        } else {
            hold(m, h);
        }
    } else {
        (void)gtv_path_wait_begin(h->path, &h->wait);
    }
}

static struct held *hold_request(struct gtv_path *p, struct gtv_http_request *req, enum kind kind)
{
    struct held *h = GTV_NEW(struct held);
    h->wait.done = source_answered;
    h->wait.arg = h;
    h->wait.deadline_ms = gtv_mono_ms() + gtv_path_conf(p)->start_timeout_ms;
    h->path = p;
    h->req = req;
    h->kind = kind;
    h->msn = h->part = -1;
    gtv_http_on_close(req, client_left, h);
    return h;
}

static void touch(struct gtv_path *p)
{
    struct gtv_muxer *m = gtv_path_muxer(p);
    if (m != NULL) {
        m->request_ms = gtv_mono_ms();
        m->reader.wants = true;
    }
}

void gtv_muxer_get_index(struct gtv_path *p, struct gtv_http_request *req)
{
    touch(p);
    proceed(hold_request(p, req, KIND_INDEX));
}

// The number of a directive, or -1 where it is not given. False: it is none.
static bool read_directive(struct gtv_http_request *req, const char *name, int64_t *out)
{
    struct gtv_str text = gtv_http_query(req, name);
    *out = -1;
    return text.p == NULL || gtv_parse_int(text, 0, INT64_MAX, out);
}

void gtv_muxer_get_playlist(struct gtv_path *p, struct gtv_http_request *req)
{
    const struct gtv_muxer *m = gtv_path_muxer(p);
    int64_t msn = -1, part = -1;
    bool skip = false;
    touch(p);
    if (gtv_muxer_variant(p) == GTV_HLS_LOW_LATENCY) {
        struct gtv_str wish = gtv_http_query(req, "_HLS_skip");
        skip = gtv_str_eq(wish, GTV_STR("YES")) || gtv_str_eq(wish, GTV_STR("v2"));
        bool good = read_directive(req, "_HLS_msn", &msn) && read_directive(req, "_HLS_part", &part) &&
                    (part < 0 || msn >= 0);
        uint64_t newest = m != NULL ? gtv_hls_ring_open_number(&m->ring) + AHEAD_MAX : UINT64_MAX;
        if (!good || (msn >= 0 && (uint64_t)msn > newest)) {
            gtv_http_reply(req, 400, NULL, 0, NULL);
            return;
        }
    }
    struct held *h = hold_request(p, req, KIND_PLAYLIST);
    h->msn = msn;
    h->part = part;
    h->skip = skip;
    if (msn >= 0 && m != NULL) {
        int64_t patience = (int64_t)m->ring.target_duration * BLOCKED_TARGETS * 1000;
        int64_t deadline = gtv_mono_ms() + patience;
        h->wait.deadline_ms = deadline > h->wait.deadline_ms ? deadline : h->wait.deadline_ms;
    }
    proceed(h);
}

void gtv_muxer_get_relay(struct gtv_path *p, struct gtv_http_request *req, bool keyframes_only, bool fmp4)
{
    struct held *h = hold_request(p, req, keyframes_only ? KIND_RELAY_KEYS : KIND_RELAY);
    h->fmp4 = fmp4;
    proceed(h);
}

void gtv_muxer_get_file(struct gtv_path *p, struct gtv_http_request *req, struct gtv_str name)
{
    struct gtv_muxer *m = gtv_path_muxer(p);
    if (m == NULL) {
        gtv_media_reply_not_found(req);
        return;
    }
    touch(p);
    if (try_file(m, req, name)) {
        return;
    }
    if (m->lost_ms != 0) {
        gtv_media_reply_not_found(req); // announced, but its pictures do not come any more
        return;
    }
    struct held *h = hold_request(p, req, KIND_PART);
    if (!gtv_str_copy(h->name, sizeof h->name, name)) {
        gtv_media_reply_not_found(release(h)); // never: names that are known are shorter
        return;
    }
    hold(m, h);
}

void gtv_muxer_path_connected(struct gtv_path *p)
{
    struct gtv_error err = {0};
    if (gtv_path_get_env(p)->options->always_remux && gtv_path_muxer(p) == NULL &&
        open_muxer(p, false, &err) == NULL) {
        gtv_log_debug(gtv_path_log(p), "no muxer", "error=\"%s\"", err.message);
    }
}

void gtv_muxer_get_status(const struct gtv_muxer *m, struct gtv_path_status *out)
{
    out->has_muxer = true;
    out->muxer_created_ms = m->created_ms;
    out->muxer_request_ms = gtv_wall_ms() - (gtv_mono_ms() - m->request_ms);
    out->muxer_sent = m->sent;
    out->muxer_discarded = m->ring.discarded;
    out->ring_bytes = m->ring.bytes;
}
