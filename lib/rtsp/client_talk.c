#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "lib/rtsp/client_internal.h"

#include <libavcodec/avcodec.h>

#include <stdio.h>
#include <stdlib.h>

// ---- Asking ----

static void write_common(struct gtv_rtsp_client *c, struct gtv_buf *out)
{
    gtv_rtsp_write_header(out, "User-Agent", "gtv-%s/" GTV_VERSION, c->log.component);
    if (c->session[0] != '\0') {
        gtv_rtsp_write_header(out, "Session", "%s", c->session);
    }
    gtv_digest_write(out, &c->challenge, c->method, c->target, c->user, c->pass);
}

// Sends the running request: its method, target and own headers are kept for a second attempt.
static bool send_request(struct gtv_rtsp_client *c)
{
    struct gtv_buf out;
    gtv_buf_init(&out, GTV_RTSP_HEAD_MAX);
    gtv_rtsp_write_request(&out, c->method, gtv_str_of(c->target), ++c->cseq);
    write_common(c, &out);
    if (c->retry != NULL) {
        gtv_buf_puts(&out, c->retry);
    }
    gtv_rtsp_write_end(&out, NULL, (struct gtv_str){0});
    bool ok = !out.failed && gtv_link_write(c->link, out.data, out.len);
    gtv_buf_finish(&out);
    return ok;
}

// headers: whole lines, or NULL.
static void ask(struct gtv_rtsp_client *c, const char *method, const char *target, const char *headers)
{
    char *own_target = gtv_strdup(target), *own_headers = gtv_strdup(headers);
    free(c->target);
    free(c->retry);
    c->method = method;
    c->target = own_target;
    c->retry = own_headers;
    c->authorised = false;
    if (!send_request(c)) {
        gtv_client_end_with(c, AVERROR(EPIPE));
    }
}

void gtv_client_begin(struct gtv_rtsp_client *c)
{
    if (c->again != GTV_CLIENT_CONNECT) {
        c->phase = c->again;
        c->again = GTV_CLIENT_CONNECT;
        if (!send_request(c)) {
            gtv_client_end_with(c, AVERROR(EPIPE));
        }
        return;
    }
    c->phase = GTV_CLIENT_OPTIONS;
    ask(c, "OPTIONS", c->url, NULL);
}

static void ask_setup(struct gtv_rtsp_client *c)
{
    char transport[160], headers[200], url[GTV_CLIENT_URL_MAX];
    const struct gtv_client_track *t = &c->tracks[c->setting_up];
    if (!gtv_client_ask_transport(c, c->setting_up, transport, sizeof transport)) {
        gtv_client_end(c, "no_port", "the node has no free UDP ports for it");
        return;
    }
    if (!gtv_sdp_control_url(gtv_str_of(c->base_url), gtv_str_of(t->sdp.control), url, sizeof url)) {
        gtv_client_end_with(c, AVERROR_INVALIDDATA);
        return;
    }
    snprintf(headers, sizeof headers, "Transport: %s\r\n", transport);
    c->phase = GTV_CLIENT_SETUP;
    ask(c, "SETUP", url, headers);
}

void gtv_client_keep_alive(struct gtv_rtsp_client *c)
{
    c->next_keep_alive_ms = c->now_ms + (int64_t)c->session_s * 500;
    ask(c, c->can_get_parameter ? "GET_PARAMETER" : "OPTIONS", c->session_url, NULL);
}

void gtv_client_teardown(struct gtv_rtsp_client *c)
{
    if (c->link == NULL || c->session[0] == '\0' || c->session_url == NULL) {
        return;
    }
    char *target = gtv_strdup(c->session_url);
    free(c->target);
    free(c->retry);
    c->target = target;
    c->retry = NULL;
    c->method = "TEARDOWN";
    (void)send_request(c); // a camera that is gone needs none
}

// ---- Answers ----

static void set_string(char **at, char *value)
{
    free(*at);
    *at = value;
}

// What the controls of a description are relative to, without credentials.
static void take_base(struct gtv_rtsp_client *c, const struct gtv_rtsp_message *m)
{
    struct gtv_str base = gtv_rtsp_header(m, "Content-Base");
    struct gtv_url url;
    if (base.n == 0) {
        base = gtv_rtsp_header(m, "Content-Location");
    }
    if (base.n == 0 || !gtv_url_parse(base, &url)) {
        set_string(&c->base_url, gtv_strdup(c->url));
    } else if (url.has_user) {
        struct gtv_str behind = base;
        (void)gtv_str_cut(&behind, '@');
        for (struct gtv_str more = behind; gtv_str_find(more, '@') >= 0 && more.p < url.host.p;) {
            (void)gtv_str_cut(&more, '@');
            behind = more;
        }
        set_string(&c->base_url,
                   gtv_asprintf(GTV_STR_FMT "://" GTV_STR_FMT, GTV_STR_ARG(url.scheme), GTV_STR_ARG(behind)));
    } else {
        set_string(&c->base_url, gtv_strndup(base));
    }
}

static void on_description(struct gtv_rtsp_client *c, const struct gtv_rtsp_message *m)
{
    struct gtv_sdp sdp;
    struct gtv_error err = {0};
    char url[GTV_CLIENT_URL_MAX];
    take_base(c, m);
    bool ok = gtv_sdp_parse(m->body, &sdp, &err) &&
              gtv_sdp_control_url(gtv_str_of(c->base_url), gtv_str_of(sdp.control), url, sizeof url);
    if (!ok) {
        gtv_client_end_with(c, AVERROR_INVALIDDATA);
    } else {
        set_string(&c->session_url, gtv_strdup(url));
        if (gtv_client_choose(c, &sdp)) {
            c->setting_up = 0;
            ask_setup(c);
        }
    }
    gtv_sdp_finish(&sdp);
}

static void play(struct gtv_rtsp_client *c)
{
    gtv_client_start_media(c);
    c->phase = GTV_CLIENT_PLAY;
    ask(c, "PLAY", c->session_url, "Range: npt=0.000-\r\n");
}

static void next_setup(struct gtv_rtsp_client *c)
{
    if (++c->setting_up < c->track_count) {
        ask_setup(c);
    } else {
        play(c);
    }
}

static void on_set_up(struct gtv_rtsp_client *c, const struct gtv_rtsp_message *m)
{
    struct gtv_str id = gtv_rtsp_session(gtv_rtsp_header(m, "Session"), &c->session_s);
    if (id.n > 0 && !gtv_str_copy(c->session, sizeof c->session, id)) {
        gtv_client_end_with(c, AVERROR_INVALIDDATA);
        return;
    }
    if (!gtv_client_take_transport(c, c->setting_up, gtv_rtsp_header(m, "Transport"))) {
        gtv_client_end(c, "transport", "the camera and the node found no common transport");
        return;
    }
    next_setup(c);
}

// The camera takes no TCP (or no audio): UDP, or without.
static void on_setup_refused(struct gtv_rtsp_client *c, int status, int averror)
{
    if (status == 461 && !c->udp && c->config.transport == GTV_RTSP_AUTOMATIC && c->setting_up == 0) {
        gtv_log_info(&c->log, "the camera refuses TCP: asking for UDP", NULL);
        c->udp = true;
        ask_setup(c);
    } else if (status == 461 && c->setting_up == 0) {
        gtv_client_end(c, "transport",
                       c->udp ? "the camera refuses UDP: set rtspTransport to tcp or automatic"
                              : "the camera refuses TCP: set rtspTransport to udp or automatic");
    } else if (c->setting_up > 0) {
        gtv_log_info(&c->log, "the camera refuses its audio: left out", "status=%d", status);
        gtv_client_drop_track(c, c->setting_up);
        c->setting_up--;
        next_setup(c);
    } else {
        gtv_client_end_with(c, averror);
    }
}

static int error_of(int status)
{
    switch (status) {
    case 400:
        return AVERROR_HTTP_BAD_REQUEST;
    case 401:
        return AVERROR_HTTP_UNAUTHORIZED;
    case 403:
        return AVERROR_HTTP_FORBIDDEN;
    case 404:
    case 454:
        return AVERROR_HTTP_NOT_FOUND;
    default:
        return status >= 500 ? AVERROR_HTTP_SERVER_ERROR : AVERROR_HTTP_OTHER_4XX;
    }
}

// The same request again, with what the camera asks for. False when there is nothing (more) to try.
static bool authorise(struct gtv_rtsp_client *c, const struct gtv_rtsp_message *m)
{
    struct gtv_digest_challenge asked;
    if ((c->user[0] == '\0' && c->pass[0] == '\0') || !gtv_digest_challenge_read(m, &asked)) {
        return false;
    }
    // Once a request; a challenge that was answered before needs a nonce of its own to be tried again (some
    // cameras give a new one for each request).
    bool fresh = asked.stale || strcmp(asked.nonce, c->challenge.nonce) != 0;
    if (c->authorised || (c->challenge.scheme != GTV_DIGEST_NONE && !fresh)) {
        return false;
    }
    c->challenge = asked;
    c->authorised = true;
    return send_request(c) || gtv_client_redial(c);
}

static void redirect(struct gtv_rtsp_client *c, const struct gtv_rtsp_message *m)
{
    struct gtv_str to = gtv_rtsp_header(m, "Location");
    struct gtv_url old_url, new_url;
    if (++c->redirects > GTV_CLIENT_REDIRECTS || !gtv_url_parse(to, &new_url) ||
        !gtv_url_parse(gtv_str_of(c->url), &old_url)) {
        gtv_client_end(c, "redirect", "the camera redirects in a circle, or to no address");
        return;
    }
    // Credentials are for one host, and never leave the encryption they were given for.
    bool weaker =
        gtv_str_ieq(old_url.scheme, GTV_STR("rtsps")) && !gtv_str_ieq(new_url.scheme, GTV_STR("rtsps"));
    if (weaker || !gtv_str_ieq(old_url.host, new_url.host)) {
        c->user[0] = c->pass[0] = '\0';
    }
    c->challenge = (struct gtv_digest_challenge){0};
    c->session[0] = '\0';
    // The header stands in the link's buffer, which is closed below.
    char *target = gtv_strndup(to);
    if (!gtv_client_dial(c, gtv_str_of(target))) {
        gtv_client_end(c, "redirect", "the camera redirects to an address that cannot be used");
    }
    free(target);
}

static void on_success(struct gtv_rtsp_client *c, const struct gtv_rtsp_message *m)
{
    switch (c->phase) {
    case GTV_CLIENT_OPTIONS:
        c->can_get_parameter = gtv_rtsp_list_has(gtv_rtsp_header(m, "Public"), "GET_PARAMETER");
        c->phase = GTV_CLIENT_DESCRIBE;
        ask(c, "DESCRIBE", c->url, "Accept: application/sdp\r\n");
        break;
    case GTV_CLIENT_DESCRIBE:
        on_description(c, m);
        break;
    case GTV_CLIENT_SETUP:
        on_set_up(c, m);
        break;
    case GTV_CLIENT_PLAY:
        c->phase = GTV_CLIENT_PLAYING;
        c->opened_ms = c->last_video_ms = c->now_ms;
        c->next_keep_alive_ms = c->now_ms + (int64_t)c->session_s * 500;
        c->next_report_ms = c->now_ms + GTV_CLIENT_REPORT_MS;
        gtv_client_punch(c);
        break;
    default:
        break;
    }
}

void gtv_client_response(struct gtv_rtsp_client *c, const struct gtv_rtsp_message *m)
{
    if (c->phase == GTV_CLIENT_CONNECT || (m->cseq >= 0 && m->cseq != c->cseq) || m->status < 200) {
        return;
    }
    if (c->phase == GTV_CLIENT_PLAYING) {
        // Of a keep-alive: what it says changes nothing, but for a nonce that has grown old.
        if (m->status == 401) {
            (void)authorise(c, m);
        }
        return;
    }
    bool moved =
        m->status == 301 || m->status == 302 || m->status == 303 || m->status == 307 || m->status == 308;
    if (m->status < 300) {
        on_success(c, m);
    } else if (moved && c->phase <= GTV_CLIENT_DESCRIBE) {
        redirect(c, m);
    } else if (m->status == 401) {
        if (!authorise(c, m)) {
            gtv_client_end_with(c, AVERROR_HTTP_UNAUTHORIZED);
        }
    } else if (c->phase == GTV_CLIENT_OPTIONS) {
        on_success(c, m); // some cameras do not know their own options
    } else if (c->phase == GTV_CLIENT_SETUP) {
        on_setup_refused(c, m->status, error_of(m->status));
    } else {
        gtv_client_end_with(c, m->status < 400 ? AVERROR_INVALIDDATA : error_of(m->status));
    }
}

void gtv_client_request(struct gtv_rtsp_client *c, const struct gtv_rtsp_message *m)
{
    static const char *const known[] = {"OPTIONS", "GET_PARAMETER", "SET_PARAMETER", "ANNOUNCE"};
    int status = 501;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (gtv_str_eq(m->method, gtv_str_of(known[i]))) {
            status = 200;
        }
    }
    if (gtv_str_eq(m->method, GTV_STR("TEARDOWN"))) {
        gtv_client_end_with(c, AVERROR_EOF);
        return;
    }
    struct gtv_buf out;
    gtv_buf_init(&out, GTV_RTSP_HEAD_MAX);
    gtv_rtsp_write_response(&out, status, NULL, m->cseq);
    if (c->session[0] != '\0') {
        gtv_rtsp_write_header(&out, "Session", "%s", c->session);
    }
    gtv_rtsp_write_end(&out, NULL, (struct gtv_str){0});
    if (out.failed || !gtv_link_write(c->link, out.data, out.len)) {
        gtv_client_end_with(c, AVERROR(EPIPE));
    }
    gtv_buf_finish(&out);
}
