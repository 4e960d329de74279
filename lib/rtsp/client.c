// Phases: CONNECT -> OPTIONS -> DESCRIBE -> SETUP (a track each) -> PLAY -> PLAYING; a redirect goes back to
// CONNECT. Ends in any of them.
#include "lib/rtsp/client.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "lib/rtsp/client_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static void on_closed(uv_handle_t *handle)
{
    struct gtv_rtsp_client *c = handle->data;
    gtv_client_finish_media(c);
    free(c->url);
    free(c->base_url);
    free(c->session_url);
    free(c->retry);
    free(c->target);
    free(c->id);
    free(c);
}

void gtv_client_note_time(struct gtv_rtsp_client *c)
{
    c->arrival_us = gtv_wall_us();
    c->now_ms = gtv_mono_ms();
}

// Hangs up. What callbacks under way still hold is freed in the loop's next turn.
static void die(struct gtv_rtsp_client *c)
{
    c->dead = true;
    gtv_rtsp_hub_remove(c->config.hub, &c->member);
    gtv_link_close(c->link);
    c->link = NULL;
    for (size_t i = 0; i < c->track_count; i++) {
        gtv_udp_close(c->tracks[i].udp);
        c->tracks[i].udp = NULL;
    }
    uv_close((uv_handle_t *)&c->life, on_closed);
}

void gtv_client_end(struct gtv_rtsp_client *c, const char *code, const char *text)
{
    if (c->dead) {
        return;
    }
    struct gtv_source_end end = {.code = code};
    snprintf(end.text, sizeof end.text, "%s", text);
    gtv_client_teardown(c);
    die(c);
    c->callbacks.on_end(c->arg, &end);
}

void gtv_client_end_with(struct gtv_rtsp_client *c, int averror)
{
    gtv_client_end(c, gtv_av_cause_code(averror), gtv_av_cause(averror));
}

void gtv_rtsp_client_stop(struct gtv_rtsp_client *c)
{
    if (!c->dead) {
        gtv_client_teardown(c);
        die(c);
    }
}

// ---- The link ----

static void on_open(void *arg)
{
    struct gtv_rtsp_client *c = arg;
    gtv_client_note_time(c);
    gtv_client_begin(c);
}

// The message or frame that data begins with; false when it is not complete, or the client has ended.
static bool take_one(struct gtv_rtsp_client *c, struct gtv_str data, size_t *used)
{
    struct gtv_rtsp_message m;
    struct gtv_error err = {0};
    size_t need = 0;
    switch (gtv_rtsp_read(data, used, &need, &m, &err)) {
    case GTV_RTSP_MORE:
        return false;
    case GTV_RTSP_FRAME:
        gtv_client_frame(c, m.channel, m.body);
        break;
    case GTV_RTSP_RESPONSE:
        gtv_client_response(c, &m);
        break;
    case GTV_RTSP_REQUEST:
        gtv_client_request(c, &m);
        break;
    case GTV_RTSP_BAD:
        if (err.code == GTV_E_TOO_LARGE) {
            gtv_client_end(c, "too_large", "the camera's answer is too large");
        } else {
            gtv_client_end_with(c, AVERROR_INVALIDDATA);
        }
        break;
    }
    return !c->dead;
}

static size_t on_data(void *arg, struct gtv_str data)
{
    struct gtv_rtsp_client *c = arg;
    size_t at = 0, used = 0;
    gtv_client_note_time(c);
    const struct gtv_link *link = c->link;
    // A redirect closes the link below this loop: what else stands there is nobody's.
    while (at < data.n && link == c->link && take_one(c, (struct gtv_str){data.p + at, data.n - at}, &used)) {
        at += used;
        used = 0;
    }
    at += c->dead ? 0 : used;
    return at < data.n ? at : data.n;
}

// Some cameras hang up with their challenge, and expect the answer to it on a new connection.
static void on_link_end(void *arg, const char *code, const char *text)
{
    struct gtv_rtsp_client *c = arg;
    bool unanswered = c->authorised && c->phase <= GTV_CLIENT_DESCRIBE && strcmp(code, "closed") == 0;
    if (unanswered && gtv_client_redial(c)) {
        return;
    }
    if (unanswered && c->redialled) {
        gtv_client_end_with(c, AVERROR_HTTP_UNAUTHORIZED); // it was challenged on the new connection too
    } else {
        gtv_client_end(c, code, text);
    }
}

bool gtv_client_dial(struct gtv_rtsp_client *c, struct gtv_str text)
{
    static const struct gtv_link_callbacks callbacks = {on_open, on_data, on_link_end};
    struct gtv_url url;
    struct gtv_link_options o = {
        .hub = c->config.hub, .policy = c->config.policy, .running = c->config.running};
    if (!gtv_url_parse(text, &url) || gtv_url_decode(url.host, false, o.host, sizeof o.host) < 0) {
        return false;
    }
    o.tls = gtv_str_ieq(url.scheme, GTV_STR("rtsps"));
    if (!o.tls && !gtv_str_ieq(url.scheme, GTV_STR("rtsp"))) {
        return false;
    }
    if (url.has_user && (gtv_url_decode(url.user, false, c->user, sizeof c->user) < 0 ||
                         gtv_url_decode(url.pass, false, c->pass, sizeof c->pass) < 0)) {
        return false;
    }
    o.port = url.port;
    (void)snprintf(o.fingerprint, sizeof o.fingerprint, "%s", c->fingerprint);
    free(c->url);
    c->url =
        gtv_asprintf("%s://%s" GTV_STR_FMT "%s:%d" GTV_STR_FMT "%s" GTV_STR_FMT, o.tls ? "rtsps" : "rtsp",
                     url.ipv6 ? "[" : "", GTV_STR_ARG(url.host), url.ipv6 ? "]" : "", url.port,
                     GTV_STR_ARG(url.path), url.query.n > 0 ? "?" : "", GTV_STR_ARG(url.query));
    c->phase = GTV_CLIENT_CONNECT;
    gtv_link_close(c->link);
    c->link = gtv_link_open(&o, GTV_RTSP_PENDING_MAX, &callbacks, c);
    return c->link != NULL;
}

bool gtv_client_redial(struct gtv_rtsp_client *c)
{
    if (c->redialled || c->phase < GTV_CLIENT_OPTIONS || c->phase > GTV_CLIENT_DESCRIBE) {
        return false;
    }
    c->redialled = true;
    c->again = c->phase;
    c->authorised = false; // a nonce may be good for its own connection only
    char *url = gtv_strdup(c->url);
    bool ok = gtv_client_dial(c, gtv_str_of(url));
    free(url);
    return ok;
}

// ---- The clock ----

static void tell_silence(struct gtv_rtsp_client *c)
{
    if (c->keyed || c->silent_told || c->now_ms - c->opened_ms < c->config.stall_ms) {
        return;
    }
    const struct gtv_source_end why = {.code = "no_key_frame", .text = "the camera sends no key frame"};
    c->silent_told = true;
    c->callbacks.on_silent(c->arg, &why);
}

static void on_tick(void *arg, int64_t now_ms)
{
    struct gtv_rtsp_client *c = arg;
    c->now_ms = now_ms;
    if (c->phase != GTV_CLIENT_PLAYING) {
        if (now_ms >= c->deadline_ms) {
            gtv_client_end_with(c, AVERROR(ETIMEDOUT));
        }
        return;
    }
    // Of the video: audio that goes on beside a frozen picture is a stall too.
    if (now_ms - c->last_video_ms >= c->config.stall_ms) {
        char text[120];
        snprintf(text, sizeof text, "stalled: connected, but no picture for %g s",
                 (double)c->config.stall_ms / 1000);
        gtv_client_end(c, "stalled", text);
    } else {
        c->arrival_us = c->udp ? gtv_wall_us() : c->arrival_us; // of packets that waited for others
        gtv_client_media_tick(c);
    }
    if (!c->dead) {
        tell_silence(c);
    }
    if (!c->dead && now_ms >= c->next_keep_alive_ms) {
        gtv_client_keep_alive(c);
    }
}

// Without the colons that people paste. One that is too long to be right stays too long to match.
static void copy_fingerprint(char *out, size_t cap, const char *text)
{
    size_t n = 0;
    for (; *text != '\0' && n + 1 < cap; text++) {
        if (*text != ':') {
            out[n++] = *text;
        }
    }
    out[n] = '\0';
}

struct gtv_rtsp_client *gtv_rtsp_client_start(const struct gtv_rtsp_client_config *config,
                                              const struct gtv_source_callbacks *callbacks, void *arg)
{
    struct gtv_rtsp_client *c = GTV_NEW(struct gtv_rtsp_client);
    uv_idle_init(gtv_loop_uv(gtv_rtsp_hub_loop(config->hub)), &c->life);
    c->life.data = c;
    c->config = *config;
    c->callbacks = *callbacks;
    c->arg = arg;
    if (config->raw != NULL) {
        c->raw = *config->raw;
    }
    copy_fingerprint(c->fingerprint, sizeof c->fingerprint,
                     config->fingerprint != NULL ? config->fingerprint : "");
    c->id = gtv_strdup(config->log.id);
    c->log = config->log;
    c->log.id = c->id;
    c->udp = config->transport == GTV_RTSP_UDP;
    c->session_s = 60;
    if (getrandom(&c->ssrc, sizeof c->ssrc, 0) != (ssize_t)sizeof c->ssrc) {
        c->ssrc = (uint32_t)gtv_mono_ns();
    }
    c->deadline_ms = gtv_mono_ms() + config->connect_ms;
    c->member = (struct gtv_rtsp_member){.on_tick = on_tick, .arg = c};
    gtv_rtsp_hub_add(config->hub, &c->member);
    if (!gtv_client_dial(c, gtv_str_of(config->url))) {
        die(c);
        return NULL;
    }
    return c;
}
