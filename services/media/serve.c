// The readers' side of a path: playlists, segments and the relay, and the requests that are held until the
// source has them.
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/media/path_internal.h"
#include "services/media/reply.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    WAITERS_MAX = 1000
}; // requests held at once for one path; the streaming service holds one for all its viewers

static void reply_failure(struct gtv_path *p, struct gtv_http_request *req, int status, const char *before,
                          const char *after)
{
    char text[GTV_NAME_MAX + 64];
    snprintf(text, sizeof text, "%s '%s'%s", before, p->conf.name, after);
    bool known = p->cause[0] != '\0';
    gtv_media_reply_error(req, status, text, known ? p->cause : NULL, known ? p->cause_code : NULL);
}

static void reply_no_stream(struct gtv_path *p, struct gtv_http_request *req)
{
    reply_failure(p, req, 404, "no stream is available on path", "");
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

static bool too_many_readers(const struct gtv_path *p, bool new_muxer)
{
    size_t readers =
        gtv_relay_readers(p->relay) + (p->hls != NULL || new_muxer ? 1 : 0) + (new_muxer ? 0 : 1);
    return p->conf.max_readers > 0 && readers > (size_t)p->conf.max_readers;
}

static void serve_relay(struct gtv_path *p, struct gtv_http_request *req, bool keyframes_only)
{
    if (too_many_readers(p, false)) {
        gtv_media_reply_error(req, 503, "maximum reader count reached", NULL, NULL);
        return;
    }
    gtv_relay_attach(p->relay, req, &p->gop, keyframes_only);
}

// True when the request was answered.
static bool try_serve(struct gtv_path *p, struct gtv_http_request *req, enum gtv_waiter_kind kind)
{
    if (kind == GTV_WAIT_RELAY || kind == GTV_WAIT_RELAY_KEYS) {
        if (p->state == GTV_PATH_CONNECTED) {
            serve_relay(p, req, kind == GTV_WAIT_RELAY_KEYS);
            return true;
        }
        return false;
    }
    if (p->hls == NULL && p->state == GTV_PATH_CONNECTED) {
        if (too_many_readers(p, true)) {
            gtv_media_reply_error(req, 503, "maximum reader count reached", NULL, NULL);
            return true;
        }
        gtv_path_open_muxer(p);
    }
    if (p->hls == NULL || !gtv_hls_ready(p->hls)) {
        return false;
    }
    reply_playlist(req, kind == GTV_WAIT_INDEX ? gtv_hls_index(p->hls, &p->tracks) : gtv_hls_media(p->hls));
    return true;
}

// Causes that another attempt within seconds will not change.
static bool is_definite(const struct gtv_path *p)
{
    static const char *const codes[] = {"unauthorised", "forbidden",   "not_found", "no_video",
                                        "codec",        "bad_request", "denied"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        if (strcmp(p->cause_code, codes[i]) == 0) {
            return true;
        }
    }
    return false;
}

// Answers a request that cannot be served now, if waiting makes no sense (any more). False: it should wait
// on.
static bool try_refuse(struct gtv_path *p, struct gtv_http_request *req, bool in_time)
{
    if (!gtv_pathconf_is_pulled(&p->conf)) {
        reply_no_stream(p, req);
        return true;
    }
    if (p->conf.source_on_demand) {
        if (p->state == GTV_PATH_FAILED && is_definite(p)) {
            reply_failure(p, req, 500, "source of path", " has failed");
            return true;
        }
        if (!in_time) {
            reply_failure(p, req, 500, "source of path", " has timed out");
            return true;
        }
        return false;
    }
    // A source that is always on and has failed is known to be off. One that is being dialled for the first
    // time, or that is connected and has no whole segment yet, is worth the wait.
    if (p->state == GTV_PATH_FAILED || !in_time || (p->state == GTV_PATH_CONNECTING && p->failures > 0)) {
        reply_no_stream(p, req);
        return true;
    }
    return false;
}

static void ignore_close(void *arg, bool complete)
{
}

static void waiter_left(void *arg, bool complete)
{
    struct gtv_waiter *w = arg;
    struct gtv_waiter **at = &w->path->waiters;
    while (*at != w) {
        at = &(*at)->next;
    }
    *at = w->next;
    w->path->waiter_count--;
    free(w);
}

void gtv_path_waiters_serve(struct gtv_path *p, int64_t now_ms)
{
    // A reply may let the next request of its connection in, which may wait here too: the list is taken off
    // before.
    struct gtv_waiter *list = p->waiters;
    p->waiters = NULL;
    while (list != NULL) {
        struct gtv_waiter *w = list;
        list = w->next;
        // The reply sets its own watch where it needs one (the relay does): ours must be gone before.
        gtv_http_on_close(w->req, ignore_close, NULL);
        if (try_serve(p, w->req, w->kind) || try_refuse(p, w->req, now_ms < w->deadline_ms)) {
            p->waiter_count--;
            free(w);
            continue;
        }
        gtv_http_on_close(w->req, waiter_left, w);
        w->next = p->waiters;
        p->waiters = w;
    }
}

void gtv_path_waiters_refuse(struct gtv_path *p)
{
    while (p->waiters != NULL) {
        struct gtv_waiter *w = p->waiters;
        p->waiters = w->next;
        p->waiter_count--;
        gtv_http_on_close(w->req, ignore_close, NULL);
        reply_no_stream(p, w->req);
        free(w);
    }
}

static void serve_or_wait(struct gtv_path *p, struct gtv_http_request *req, enum gtv_waiter_kind kind)
{
    int64_t now = gtv_mono_ms();
    if (try_serve(p, req, kind) || try_refuse(p, req, true)) {
        return;
    }
    if (p->waiter_count >= WAITERS_MAX) {
        gtv_media_reply_error(req, 503, "too many requests wait for this path", NULL, NULL);
        return;
    }
    struct gtv_waiter *w = GTV_NEW(struct gtv_waiter);
    *w = (struct gtv_waiter){.next = p->waiters,
                             .path = p,
                             .req = req,
                             .kind = kind,
                             .deadline_ms = now + p->conf.start_timeout_ms};
    p->waiters = w;
    p->waiter_count++;
    gtv_http_on_close(req, waiter_left, w);
    gtv_path_want(p, now);
}

void gtv_path_get_index(struct gtv_path *p, struct gtv_http_request *req)
{
    p->muxer_request_ms = gtv_mono_ms();
    serve_or_wait(p, req, GTV_WAIT_INDEX);
}

void gtv_path_get_playlist(struct gtv_path *p, struct gtv_http_request *req)
{
    p->muxer_request_ms = gtv_mono_ms();
    serve_or_wait(p, req, GTV_WAIT_PLAYLIST);
}

void gtv_path_get_relay(struct gtv_path *p, struct gtv_http_request *req, bool keyframes_only)
{
    serve_or_wait(p, req, keyframes_only ? GTV_WAIT_RELAY_KEYS : GTV_WAIT_RELAY);
}

void gtv_path_get_segment(struct gtv_path *p, struct gtv_http_request *req, struct gtv_str name)
{
    static const struct gtv_http_header headers[] = {
        {{"Content-Type", 12}, {"video/mp2t", 10}},
        {{"Cache-Control", 13}, {"max-age=3600", 12}},
    };
    struct gtv_bytes *const *pieces = NULL;
    size_t count = 0, bytes = 0;
    if (p->hls == NULL || !gtv_hls_segment(p->hls, name, &pieces, &count, &bytes)) {
        gtv_media_reply_not_found(req);
        return;
    }
    p->muxer_request_ms = gtv_mono_ms();
    p->segments_sent += bytes;
    p->muxer_sent += bytes;
    gtv_http_reply_pieces(req, 200, headers, sizeof headers / sizeof headers[0], pieces, count);
}
