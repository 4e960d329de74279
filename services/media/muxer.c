#include "services/media/muxer.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/media/hls.h"
#include "services/media/mux.h"
#include "services/media/relay.h"
#include "services/media/reply.h"

#include <stdlib.h>

enum { KEEP_MS = 10000 }; // segments of a lost source stay so long for players that catch up

enum kind { KIND_INDEX, KIND_PLAYLIST, KIND_RELAY, KIND_RELAY_KEYS };

// A request on its way: it waits for the source, then for the first segment.
struct held {
    struct gtv_path_wait wait;
    struct gtv_path *path;
    struct gtv_http_request *req;
    enum kind kind;
    struct gtv_muxer *muxer; // whose list it is in; NULL: it waits for the source
    struct held *next, **prev;
};

struct gtv_muxer {
    struct gtv_reader reader;
    struct gtv_path *path;
    struct gtv_hls *hls;
    struct gtv_mux mux;
    struct gtv_format *format; // of the playlists; a reference
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

static void reply_playlist(struct gtv_http_request *req, struct gtv_bytes *text)
{
    static const struct gtv_http_header headers[] = {
        {{"Content-Type", 12}, {"application/vnd.apple.mpegurl", 29}},
        {{"Cache-Control", 13}, {"no-cache", 8}},
    };
    if (text == NULL) {
        gtv_media_reply_error(req, 500, "out of memory", NULL, NULL);
        return;
    }
    gtv_http_reply(req, 200, headers, sizeof headers / sizeof headers[0], text);
    gtv_bytes_unref(text);
}

static void serve_held(struct gtv_muxer *m)
{
    while (m->held != NULL && gtv_hls_ready(m->hls)) {
        bool index = m->held->kind == KIND_INDEX;
        struct gtv_http_request *req = release(m->held);
        reply_playlist(req, index ? gtv_hls_index(m->hls, m->format) : gtv_hls_media(m->hls));
    }
}

static void muxer_free(struct gtv_muxer *m)
{
    gtv_path_detach(&m->reader);
    gtv_path_set_muxer(m->path, NULL);
    *gtv_path_segment_number(m->path) = gtv_hls_next_number(m->hls);
    gtv_hls_destroy(m->hls);
    gtv_mux_finish(&m->mux);
    gtv_format_unref(m->format);
    gtv_log_info(gtv_path_log(m->path), "HLS muxer closed", NULL);
    free(m);
}

static void on_format(void *arg, struct gtv_format *format)
{
    struct gtv_muxer *m = arg;
    gtv_mux_set_format(&m->mux, format);
    gtv_format_ref(format);
    gtv_format_unref(m->format);
    m->format = format;
    m->lost_ms = 0;
}

static void on_sample(void *arg, const struct gtv_sample *sample)
{
    struct gtv_muxer *m = arg;
    struct gtv_unit unit;
    if (!gtv_mux_sample(&m->mux, sample, &unit)) {
        return;
    }
    if (gtv_hls_push(m->hls, &unit)) {
        gtv_counter_add(gtv_path_get_env(m->path)->segments, 1);
        serve_held(m);
    }
    gtv_bytes_unref(unit.ts);
}

static void on_lost(void *arg)
{
    struct gtv_muxer *m = arg;
    m->lost_ms = gtv_mono_ms();
    gtv_hls_interrupt(m->hls);
    struct held *list = m->held;
    m->held = NULL;
    while (list != NULL) {
        struct held *h = list;
        list = h->next;
        h->muxer = NULL;
        proceed(h); // back to those who wait for the source
    }
}

static void on_tick(void *arg, int64_t now_ms)
{
    struct gtv_muxer *m = arg;
    const struct gtv_media_options *o = gtv_path_get_env(m->path)->options;
    for (struct held *h = m->held, *next; h != NULL; h = next) {
        struct gtv_error why = {0};
        next = h->next;
        if (now_ms >= h->wait.deadline_ms && gtv_path_refusal(m->path, false, &why)) {
            refuse(h, &why);
        }
    }
    bool unread = m->held == NULL && now_ms - m->request_ms >= (int64_t)(o->muxer_close_seconds * 1000);
    bool stale = m->lost_ms != 0 && now_ms - m->lost_ms >= KEEP_MS;
    if (unread || stale) {
        muxer_free(m);
    }
}

static void on_closed(void *arg)
{
    struct gtv_muxer *m = arg;
    while (m->held != NULL) {
        struct gtv_error why = {0};
        (void)gtv_path_refusal(m->path, false, &why);
        refuse(m->held, &why);
    }
    muxer_free(m);
}

static struct gtv_muxer *open_muxer(struct gtv_path *p, struct gtv_error *err)
{
    static const struct gtv_reader_ops ops = {on_format, on_sample, on_lost, on_tick, on_closed};
    const struct gtv_media_options *options = gtv_path_get_env(p)->options;
    if (!gtv_path_may_attach(p, err)) {
        return NULL;
    }
    struct gtv_hls_options o = {.segments = (size_t)options->segments,
                                .segment_ms = (int64_t)(options->segment_seconds * 1000),
                                .max_bytes = (size_t)options->ring_bytes,
                                .first_number = *gtv_path_segment_number(p)};
    struct gtv_muxer *m = GTV_NEW(struct gtv_muxer);
    m->reader = (struct gtv_reader){.ops = &ops, .arg = m, .type = "hlsMuxer", .wants = true};
    m->path = p;
    m->hls = gtv_hls_create(&o, gtv_path_log(p));
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
    h->muxer = m;
    h->next = m->held;
    h->prev = &m->held;
    if (h->next != NULL) {
        h->next->prev = &h->next;
    }
    m->held = h;
    serve_held(m);
}

static void proceed_relay(struct held *h)
{
    struct gtv_path *path = h->path;
    bool keyframes_only = h->kind == KIND_RELAY_KEYS;
    struct gtv_error err = {0};
    struct gtv_http_request *req = release(h);
    if (!gtv_relay_open(path, req, keyframes_only, &err)) {
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
    } else if (!relay && m != NULL && (connected || gtv_hls_ready(m->hls))) {
        hold(m, h);
    } else if (!relay && connected) {
        m = open_muxer(h->path, &err);
        if (m == NULL) {
            refuse(h, &err);
        } else {
            hold(m, h);
        }
    } else {
        (void)gtv_path_wait_begin(h->path, &h->wait);
    }
}

static void begin(struct gtv_path *p, struct gtv_http_request *req, enum kind kind)
{
    struct gtv_muxer *m = gtv_path_muxer(p);
    if (m != NULL && kind != KIND_RELAY && kind != KIND_RELAY_KEYS) {
        m->request_ms = gtv_mono_ms();
    }
    struct held *h = GTV_NEW(struct held);
    h->wait.done = source_answered;
    h->wait.arg = h;
    h->wait.deadline_ms = gtv_mono_ms() + gtv_path_conf(p)->start_timeout_ms;
    h->path = p;
    h->req = req;
    h->kind = kind;
    gtv_http_on_close(req, client_left, h);
    proceed(h);
}

void gtv_muxer_get_index(struct gtv_path *p, struct gtv_http_request *req)
{
    begin(p, req, KIND_INDEX);
}

void gtv_muxer_get_playlist(struct gtv_path *p, struct gtv_http_request *req)
{
    begin(p, req, KIND_PLAYLIST);
}

void gtv_muxer_get_relay(struct gtv_path *p, struct gtv_http_request *req, bool keyframes_only)
{
    begin(p, req, keyframes_only ? KIND_RELAY_KEYS : KIND_RELAY);
}

void gtv_muxer_get_segment(struct gtv_path *p, struct gtv_http_request *req, struct gtv_str name)
{
    static const struct gtv_http_header headers[] = {
        {{"Content-Type", 12}, {"video/mp2t", 10}},
        {{"Cache-Control", 13}, {"max-age=3600", 12}},
    };
    struct gtv_muxer *m = gtv_path_muxer(p);
    struct gtv_bytes *const *pieces = NULL;
    size_t count = 0, bytes = 0;
    if (m == NULL || !gtv_hls_segment(m->hls, name, &pieces, &count, &bytes)) {
        gtv_media_reply_not_found(req);
        return;
    }
    m->request_ms = gtv_mono_ms();
    m->sent += bytes;
    gtv_path_count_sent(p, bytes);
    gtv_http_reply_pieces(req, 200, headers, sizeof headers / sizeof headers[0], pieces, count);
}

void gtv_muxer_get_status(const struct gtv_muxer *m, struct gtv_path_status *out)
{
    out->has_muxer = true;
    out->muxer_created_ms = m->created_ms;
    out->muxer_request_ms = gtv_wall_ms() - (gtv_mono_ms() - m->request_ms);
    out->muxer_sent = m->sent;
    out->muxer_discarded = gtv_hls_discarded(m->hls);
    out->ring_bytes = gtv_hls_bytes(m->hls);
}
