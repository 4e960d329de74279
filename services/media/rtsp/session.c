// Phases: IDLE -> PREPARED <-> PLAYING, or IDLE -> ANNOUNCED -> RECORDING; TEARDOWN leads back to IDLE, and
// whatever ends the connection ends the session in it.
#include "services/media/rtsp/session.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "services/media/rtsp/session_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    URI_MAX = 1500,                                          // bytes; a name has at most 255
    RESPONSE_MAX = GTV_RTSP_HEAD_MAX + 2 * GTV_SETS_MAX * 2, // a description with its sets in base64
};

static const char methods[] = "OPTIONS, DESCRIBE, ANNOUNCE, SETUP, PLAY, RECORD, PAUSE, GET_PARAMETER, "
                              "SET_PARAMETER, TEARDOWN";

size_t gtv_rtsp_session_pending(void)
{
    return GTV_RTSP_PENDING_MAX;
}

// ---- Answers ----

void gtv_rtsp_answer_begin(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m, int status,
                           struct gtv_buf *out)
{
    gtv_buf_init(out, RESPONSE_MAX);
    gtv_rtsp_write_response(out, status, NULL, m != NULL ? m->cseq : -1);
    gtv_rtsp_write_header(out, "Server", "gtv-media");
    if (s->phase != GTV_RTSP_IDLE) {
        gtv_rtsp_write_header(out, "Session", "%s;timeout=%d", s->id, GTV_RTSP_SESSION_S);
    }
}

enum gtv_rtsp_outcome gtv_rtsp_answer_end(struct gtv_rtsp_session *s, struct gtv_buf *out, const char *type,
                                          struct gtv_str body)
{
    gtv_rtsp_write_end(out, type, body);
    if (out->failed) {
        gtv_buf_finish(out);
        gtv_rtsp_end(s, "internal", "an answer of the server did not fit");
        return GTV_RTSP_DONE;
    }
    s->wire->write(s->wire_arg, out->data, out->len);
    gtv_buf_finish(out);
    return GTV_RTSP_DONE;
}

enum gtv_rtsp_outcome gtv_rtsp_answer(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m,
                                      int status, const char *text)
{
    struct gtv_buf out;
    gtv_rtsp_answer_begin(s, m, status, &out);
    return gtv_rtsp_answer_end(s, &out, "text/plain", gtv_str_of(text));
}

enum gtv_rtsp_outcome gtv_rtsp_answer_error(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m,
                                            const struct gtv_error *why)
{
    int status = 400;
    if (why->code == GTV_E_NOT_FOUND) {
        status = 404;
    } else if (why->code == GTV_E_LIMIT) {
        status = 453;
    } else if (why->code == GTV_E_INTERNAL) {
        status = 503; // an on-demand source that did not come
    }
    return gtv_rtsp_answer(s, m, status, why->message);
}

// ---- Life ----

static void kick(void *arg)
{
    gtv_rtsp_end(arg, "kicked", "thrown out by the control API");
}

static void write_address(const struct sockaddr *a, char *host, size_t cap, char *with_port, size_t port_cap)
{
    char text[INET6_ADDRSTRLEN] = "";
    unsigned port = 0;
    if (a->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)a;
        inet_ntop(AF_INET, &in->sin_addr, text, sizeof text);
        port = ntohs(in->sin_port);
        snprintf(with_port, port_cap, "%s:%u", text, port);
    } else if (a->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const struct sockaddr_in6 *)a;
        inet_ntop(AF_INET6, &in->sin6_addr, text, sizeof text);
        port = ntohs(in->sin6_port);
        snprintf(with_port, port_cap, "[%s]:%u", text, port);
    }
    snprintf(host, cap, "%s", text);
}

struct gtv_rtsp_session *gtv_rtsp_session_create(struct gtv_rtsp_env *env, const struct gtv_rtsp_wire *wire,
                                                 void *arg, const struct sockaddr *peer,
                                                 const struct sockaddr *local, int64_t now_ms)
{
    struct gtv_rtsp_session *s = GTV_NEW(struct gtv_rtsp_session);
    s->env = env;
    s->wire = wire;
    s->wire_arg = arg;
    s->allowed_action = -1;
    s->now_ms = s->alive_ms = now_ms;
    s->local_any = local->sa_family == AF_INET6 ? "::" : "0.0.0.0";
    memcpy(&s->peer, peer,
           peer->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
    s->conn_row = (struct gtv_session){.kind = GTV_CONN_RTSP, .kick = kick, .arg = s};
    write_address(peer, s->address, sizeof s->address, s->conn_row.remote, sizeof s->conn_row.remote);
    gtv_sessions_add(env->sessions, &s->conn_row);
    s->log = (struct gtv_log){"media", "rtsp", s->conn_row.id};
    gtv_uuid_make(s->nonce);
    gtv_log_debug(&s->log, "connection came", "from=%s", s->conn_row.remote);
    return s;
}

void gtv_rtsp_open(struct gtv_rtsp_session *s, const char *name)
{
    if (s->phase != GTV_RTSP_IDLE) {
        return;
    }
    snprintf(s->name, sizeof s->name, "%s", name);
    gtv_uuid_make(s->id);
    struct gtv_session row = {.kind = GTV_SESSION_RTSP, .kick = kick, .arg = s};
    memcpy(row.remote, s->conn_row.remote, sizeof row.remote);
    memcpy(row.user, s->conn_row.user, sizeof row.user);
    memcpy(row.query, s->conn_row.query, sizeof row.query);
    snprintf(row.path, sizeof row.path, "%s", name);
    s->row = row;
    gtv_sessions_add(s->env->sessions, &s->row);
    memcpy(s->conn_row.session, s->row.id, sizeof s->conn_row.session);
}

void gtv_rtsp_leave(struct gtv_rtsp_session *s, const char *code, const char *text)
{
    enum gtv_rtsp_phase was = s->phase;
    gtv_path_wait_cancel(&s->wait);
    s->held = s->waited = false;
    s->delay_ms = 0;
    if (was == GTV_RTSP_IDLE) {
        return;
    }
    s->phase = GTV_RTSP_IDLE;
    gtv_rtsp_play_stop(s);
    gtv_format_unref(s->format);
    s->format = NULL;
    gtv_rtsp_record_stop(s, code, text);
    s->wire->release(s->wire_arg);
    for (size_t i = 0; s->busy == 0 && i < GTV_RTSP_TRACKS_MAX; i++) {
        s->tracks[i] = (struct gtv_rtsp_session_track){0};
    }
    s->track_count = 0;
    s->udp = false;
    if (was == GTV_RTSP_PLAYING || was == GTV_RTSP_RECORDING) {
        gtv_log_info(&s->log, was == GTV_RTSP_PLAYING ? "reader left" : "publisher left",
                     "path=%s cause=\"%s\"", s->name, text);
    }
    gtv_sessions_remove(&s->row);
    s->conn_row.session[0] = '\0';
    s->name[0] = '\0';
}

void gtv_rtsp_end(struct gtv_rtsp_session *s, const char *code, const char *text)
{
    gtv_rtsp_leave(s, code, text);
    if (!s->dead) {
        s->dead = true;
        s->wire->close(s->wire_arg);
    }
}

void gtv_rtsp_session_destroy(struct gtv_rtsp_session *s, const char *code, const char *text)
{
    if (s == NULL) {
        return;
    }
    s->dead = true;
    if (text == NULL) {
        text = s->phase == GTV_RTSP_RECORDING ? "the publisher closed the connection"
                                              : "the client closed the connection";
    }
    gtv_rtsp_leave(s, code, text);
    gtv_sessions_remove(&s->conn_row);
    free(s);
}

void gtv_rtsp_session_count(struct gtv_rtsp_session *s, size_t in, size_t out)
{
    s->conn_row.inbound_bytes += in;
    s->conn_row.outbound_bytes += out;
}

// ---- Waiting for a path ----

static void resume(struct gtv_rtsp_session *s)
{
    s->held = false;
    if (!s->in_data && !s->dead) {
        s->wire->resume(s->wire_arg);
    }
}

static void on_waited(void *arg, bool ready, const struct gtv_error *why)
{
    struct gtv_rtsp_session *s = arg;
    s->waited = true;
    s->refused = (struct gtv_error){0};
    if (!ready) {
        s->refused = *why;
    }
    resume(s);
}

struct gtv_path *gtv_rtsp_need_path(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m,
                                    const char *name, enum gtv_rtsp_outcome *outcome)
{
    struct gtv_path *path = s->env->find(s->env->arg, gtv_str_of(name), false);
    struct gtv_error why = {0};
    if (path == NULL) {
        s->waited = false;
        gtv_error_set(&why, GTV_E_NOT_FOUND, NULL, "no stream is available on path '%s'", name);
        *outcome = gtv_rtsp_answer_error(s, m, &why);
        return NULL;
    }
    if (gtv_path_format(path) == NULL && !s->waited) {
        s->wait = (struct gtv_path_wait){.done = on_waited, .arg = s};
        s->held = true; // before: the answer may come within the call
        if (gtv_path_wait_begin(path, &s->wait)) {
            *outcome = GTV_RTSP_HELD;
            return NULL;
        }
    }
    bool refused = s->waited && s->refused.code != GTV_OK;
    s->waited = false;
    if (gtv_path_format(path) != NULL) {
        return path;
    }
    if (!refused) { // it was there, and is gone again
        gtv_error_set(&s->refused, GTV_E_NOT_FOUND, NULL, "no stream is available on path '%s'", name);
    }
    *outcome = gtv_rtsp_answer_error(s, m, &s->refused);
    return NULL;
}

// ---- Requests ----

// The path's name of a URL ("rtsp://host/NAME?query"), without what SETUP has behind it.
static bool read_name(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m, char *name, size_t cap,
                      struct gtv_error *err)
{
    char plain[URI_MAX + 1];
    struct gtv_url url;
    struct gtv_str path;
    if (!gtv_url_parse(m->uri, &url) ||
        (!gtv_str_ieq(url.scheme, GTV_STR("rtsp")) && !gtv_str_ieq(url.scheme, GTV_STR("rtsps")))) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "the request has no RTSP URL");
        return false;
    }
    ptrdiff_t n = gtv_url_decode(url.path, false, plain, sizeof plain);
    if (n < 0) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "the URL cannot be decoded");
        return false;
    }
    path = (struct gtv_str){plain, (size_t)n};
    const char *track = memmem(path.p, path.n, "/trackID=", 9);
    if (gtv_str_eq(m->method, GTV_STR("SETUP")) && track != NULL) {
        path.n = (size_t)(track - path.p);
    }
    if (path.n > 0 && path.p[0] == '/') {
        path.p++;
        path.n--;
    }
    if (path.n > 0 && path.p[path.n - 1] == '/') {
        path.n--; // Content-Base has a slash at its end
    }
    struct gtv_error why = {0};
    if (!gtv_name_check(path, &why)) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, NULL, "invalid path name: %s", why.message);
        return false;
    }
    if (s->phase == GTV_RTSP_IDLE && !gtv_str_copy(s->conn_row.query, sizeof s->conn_row.query, url.query)) {
        s->conn_row.query[0] = '\0'; // only shown: too long a one is not
    }
    return gtv_str_copy(name, cap, path);
}

static bool has_session(const struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m)
{
    int seconds = 0;
    struct gtv_str id = gtv_rtsp_session(gtv_rtsp_header(m, "Session"), &seconds);
    return s->phase != GTV_RTSP_IDLE && gtv_str_eq(id, gtv_str_of(s->id));
}

static enum gtv_rtsp_outcome options(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m)
{
    struct gtv_buf out;
    gtv_rtsp_answer_begin(s, m, 200, &out);
    gtv_rtsp_write_header(&out, "Public", "%s", methods);
    return gtv_rtsp_answer_end(s, &out, NULL, GTV_STR(""));
}

static enum gtv_rtsp_outcome describe(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m)
{
    char name[GTV_NAME_MAX + 1];
    struct gtv_error err = {0};
    struct gtv_str accept = gtv_rtsp_header(m, "Accept");
    if (accept.n > 0 && memmem(accept.p, accept.n, "application/sdp", 15) == NULL &&
        memmem(accept.p, accept.n, "*/*", 3) == NULL) {
        return gtv_rtsp_answer(s, m, 406, NULL);
    }
    return read_name(s, m, name, sizeof name, &err) ? gtv_rtsp_describe(s, m, name)
                                                    : gtv_rtsp_answer_error(s, m, &err);
}

static enum gtv_rtsp_outcome announce(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m)
{
    char name[GTV_NAME_MAX + 1];
    struct gtv_error err = {0};
    if (s->phase != GTV_RTSP_IDLE) {
        return gtv_rtsp_answer(s, m, 455, "this connection has a session already");
    }
    return read_name(s, m, name, sizeof name, &err) ? gtv_rtsp_announce(s, m, name)
                                                    : gtv_rtsp_answer_error(s, m, &err);
}

static enum gtv_rtsp_outcome setup(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m)
{
    char name[GTV_NAME_MAX + 1];
    struct gtv_error err = {0};
    bool named = gtv_rtsp_header(m, "Session").n > 0;
    // A publisher's client may leave the session out: it is this connection's.
    if ((named || s->phase == GTV_RTSP_PREPARED) && !has_session(s, m)) {
        return gtv_rtsp_answer(s, m, 454, NULL);
    }
    if (s->phase == GTV_RTSP_PLAYING || s->phase == GTV_RTSP_RECORDING) {
        return gtv_rtsp_answer(s, m, 455, "no track can be added while the session runs");
    }
    if (s->phase == GTV_RTSP_ANNOUNCED) {
        return gtv_rtsp_setup_record(s, m);
    }
    return read_name(s, m, name, sizeof name, &err) ? gtv_rtsp_setup_play(s, m, name)
                                                    : gtv_rtsp_answer_error(s, m, &err);
}

static enum gtv_rtsp_outcome play(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m)
{
    if (!has_session(s, m)) {
        return gtv_rtsp_answer(s, m, 454, NULL);
    }
    if (s->phase == GTV_RTSP_PLAYING) {
        return gtv_rtsp_answer(s, m, 200, NULL); // a live stream cannot be played from elsewhere
    }
    return s->phase == GTV_RTSP_PREPARED ? gtv_rtsp_play(s, m) : gtv_rtsp_answer(s, m, 455, NULL);
}

static enum gtv_rtsp_outcome record(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m)
{
    // The session may be left out, as in SETUP.
    if (s->phase == GTV_RTSP_IDLE || (gtv_rtsp_header(m, "Session").n > 0 && !has_session(s, m))) {
        return gtv_rtsp_answer(s, m, 454, NULL);
    }
    return s->phase == GTV_RTSP_ANNOUNCED ? gtv_rtsp_record(s, m) : gtv_rtsp_answer(s, m, 455, NULL);
}

static enum gtv_rtsp_outcome pause_play(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m)
{
    if (!has_session(s, m)) {
        return gtv_rtsp_answer(s, m, 454, NULL);
    }
    if (s->phase != GTV_RTSP_PLAYING && s->phase != GTV_RTSP_PREPARED) {
        return gtv_rtsp_answer(s, m, 455, NULL);
    }
    gtv_rtsp_play_stop(s);
    s->phase = GTV_RTSP_PREPARED;
    s->row.state = NULL;
    return gtv_rtsp_answer(s, m, 200, NULL);
}

static enum gtv_rtsp_outcome parameter(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m)
{
    if (gtv_rtsp_header(m, "Session").n > 0 && !has_session(s, m)) {
        return gtv_rtsp_answer(s, m, 454, NULL);
    }
    // Without a body a sign of life; with one, it names parameters, of which there are none.
    return gtv_rtsp_answer(s, m, gtv_str_trim(m->body).n == 0 ? 200 : 451, NULL);
}

static enum gtv_rtsp_outcome teardown(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m)
{
    if (!has_session(s, m)) {
        return gtv_rtsp_answer(s, m, 454, NULL);
    }
    gtv_rtsp_leave(s, "closed",
                   s->phase == GTV_RTSP_RECORDING ? "the publisher ended it" : "the client ended it");
    return gtv_rtsp_answer(s, m, 200, NULL);
}

static const struct {
    const char *name;
    enum gtv_rtsp_outcome (*handle)(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m);
} handlers[] = {
    {"OPTIONS", options},
    {"DESCRIBE", describe},
    {"ANNOUNCE", announce},
    {"SETUP", setup},
    {"PLAY", play},
    {"RECORD", record},
    {"PAUSE", pause_play},
    {"GET_PARAMETER", parameter},
    {"SET_PARAMETER", parameter},
    {"TEARDOWN", teardown},
};

static enum gtv_rtsp_outcome handle(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m)
{
    s->asked = true;
    s->alive_ms = s->now_ms;
    if (m->cseq < 0) {
        return gtv_rtsp_answer(s, m, 400, "CSeq is missing");
    }
    if (m->uri.n > URI_MAX) {
        return gtv_rtsp_answer(s, m, 414, NULL);
    }
    struct gtv_str require = gtv_rtsp_header(m, "Require");
    if (require.n > 0) {
        struct gtv_buf out;
        gtv_rtsp_answer_begin(s, m, 551, &out);
        gtv_rtsp_write_header(&out, "Unsupported", "%.*s", (int)(require.n < 500 ? require.n : 500),
                              require.p);
        return gtv_rtsp_answer_end(s, &out, NULL, GTV_STR(""));
    }
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++) {
        if (gtv_str_eq(m->method, gtv_str_of(handlers[i].name))) {
            return handlers[i].handle(s, m);
        }
    }
    struct gtv_buf out;
    gtv_rtsp_answer_begin(s, m, 501, &out);
    gtv_rtsp_write_header(&out, "Public", "%s", methods);
    return gtv_rtsp_answer_end(s, &out, NULL, GTV_STR(""));
}

static void take_frame(struct gtv_rtsp_session *s, uint8_t channel, struct gtv_str data)
{
    s->alive_ms = s->now_ms;
    for (size_t i = 0; !s->udp && i < s->track_count; i++) {
        const struct gtv_rtsp_session_track *t = &s->tracks[i];
        if (t->up && (channel == t->channel || channel == t->report_channel)) {
            gtv_rtsp_record_packet(s, i, channel == t->report_channel, data);
            return;
        }
    }
}

// The message or frame that data begins with; false when it is not complete, is held, or was the last one.
static bool take_one(struct gtv_rtsp_session *s, struct gtv_str data, size_t *used)
{
    struct gtv_rtsp_message m;
    struct gtv_error err = {0};
    size_t need = 0;
    switch (gtv_rtsp_read(data, used, &need, &m, &err)) {
    case GTV_RTSP_MORE:
        return false;
    case GTV_RTSP_FRAME:
        take_frame(s, m.channel, m.body);
        return !s->dead;
    case GTV_RTSP_RESPONSE:
        return true; // nothing was asked
    case GTV_RTSP_REQUEST:
        if (handle(s, &m) == GTV_RTSP_HELD && !s->dead) {
            *used = 0;
            return false;
        }
        return !s->dead;
    case GTV_RTSP_BAD:
        gtv_rtsp_answer(s, NULL, err.code == GTV_E_TOO_LARGE ? 413 : 400, err.message);
        gtv_rtsp_end(s, "invalid_data", "the client sent what is no RTSP");
        break;
    }
    return false;
}

size_t gtv_rtsp_session_data(struct gtv_rtsp_session *s, struct gtv_str data, int64_t now_ms)
{
    size_t at = 0, used = 0;
    s->now_ms = now_ms;
    if (s->dead) {
        return data.n;
    }
    if (s->held) {
        return 0;
    }
    s->in_data = true;
    s->arrival_us = gtv_wall_us();
    while (at < data.n && take_one(s, (struct gtv_str){data.p + at, data.n - at}, &used)) {
        at += used;
        used = 0;
    }
    s->in_data = false;
    at = s->dead ? data.n : at + used;
    return at < data.n ? at : data.n;
}

void gtv_rtsp_session_datagram(struct gtv_rtsp_session *s, size_t track, bool rtcp, struct gtv_str data,
                               int64_t now_ms)
{
    s->now_ms = now_ms;
    if (s->dead || track >= s->track_count) {
        return;
    }
    s->alive_ms = now_ms;
    s->arrival_us = gtv_wall_us();
    gtv_rtsp_record_packet(s, track, rtcp, data);
}

void gtv_rtsp_session_tick(struct gtv_rtsp_session *s, int64_t now_ms)
{
    s->now_ms = now_ms;
    if (s->dead) {
        return;
    }
    if (s->delay_ms != 0 && now_ms >= s->delay_ms) {
        s->delay_ms = 0;
        s->delayed = true;
        resume(s);
        return;
    }
    if (s->phase == GTV_RTSP_RECORDING) {
        gtv_rtsp_record_tick(s);
    } else if (s->phase == GTV_RTSP_PLAYING) {
        gtv_rtsp_play_tick(s);
    }
    // What is sent over TCP shows by its flow whether somebody is there; a publisher has its own watchdog.
    bool flows = s->phase == GTV_RTSP_RECORDING || (s->phase == GTV_RTSP_PLAYING && !s->udp);
    int64_t limit = s->asked ? GTV_RTSP_SESSION_S * 1000 : GTV_RTSP_FIRST_MS;
    if (!s->dead && !s->held && !flows && now_ms - s->alive_ms >= limit) {
        gtv_rtsp_end(s, "timed_out", "the client has not given a sign of life");
    }
}
