// Phases: C0_C1 -> C2 -> IDLE <-> PUBLISH -> LEAVING -> CLOSED; where credentials are wrong REFUSED comes
// before LEAVING.
#include "services/media/rtmp/conn.h"

#include "lib/base/clock.h"
#include "services/media/rtmp/amf.h"
#include "services/media/rtmp/command.h"

#include <stdio.h>
#include <sys/random.h>

enum {
    START_MS = 10000,  // from the connection to "publish", and from one publishing to the next
    REFUSAL_MS = 2000, // until a wrong password is told
    LEAVE_MS = 1000,   // for the client to read why
    SILENT_MS = 10000, // without a key frame: worth a word to the user
    ACK_WINDOW_MIN = 4096,
    VERSION = 3,
};

void gtv_rtmp_conn_init(struct gtv_rtmp_conn *c, int64_t now_ms)
{
    c->state = GTV_RTMP_C0_C1;
    c->began_ms = now_ms;
    c->end = (struct gtv_source_end){.code = "closed", .text = "the publisher closed the connection"};
}

static void set_end(struct gtv_rtmp_conn *c, const char *code, const char *text)
{
    c->end.code = code;
    snprintf(c->end.text, sizeof c->end.text, "%s", text);
}

static void stop_publishing(struct gtv_rtmp_conn *c)
{
    gtv_path_unpublish(&c->publisher, &c->end);
    gtv_flv_finish(&c->flv);
    c->session.state = "idle";
    c->session.path[0] = '\0';
    c->log = (struct gtv_log){"media", NULL, NULL};
    if (c->state == GTV_RTMP_PUBLISH) {
        c->state = GTV_RTMP_IDLE;
        c->began_ms = gtv_mono_ms();
    }
}

void gtv_rtmp_conn_finish(struct gtv_rtmp_conn *c)
{
    stop_publishing(c);
    gtv_chunks_destroy(c->chunks);
    c->chunks = NULL;
    gtv_sessions_remove(&c->session);
}

static void close_because(struct gtv_rtmp_conn *c, const char *code, const char *text)
{
    gtv_log_info(&c->log, "RTMP connection ended", "id=%s remote=%s cause=\"%s\"", c->session.id,
                 c->session.remote, text);
    set_end(c, code, text);
    gtv_rtmp_conn_close(c);
}

// Says why, and hangs up when the client had time to read it.
static void leave(struct gtv_rtmp_conn *c, const char *code, const char *text)
{
    if (c->state >= GTV_RTMP_LEAVING) {
        return;
    }
    gtv_log_info(&c->log, "RTMP connection refused", "id=%s remote=%s code=%s cause=\"%s\"", c->session.id,
                 c->session.remote, code, text);
    stop_publishing(c);
    c->state = GTV_RTMP_LEAVING;
    c->due_ms = gtv_mono_ms() + LEAVE_MS;
    gtv_rtmp_say_status(c, "error", code, text);
}

// ---- Publishing ----

static void on_format(void *arg, struct gtv_format *format)
{
    struct gtv_rtmp_conn *c = arg;
    if (c->publisher.path != NULL) {
        gtv_path_source_callbacks()->on_format(c->publisher.path, format);
    }
}

static void on_sample(void *arg, const struct gtv_sample *sample, size_t received)
{
    struct gtv_rtmp_conn *c = arg;
    c->keyed = true;
    if (c->publisher.path != NULL) {
        gtv_path_source_callbacks()->on_sample(c->publisher.path, sample, received);
    }
}

static void on_kicked(void *arg, const char *why)
{
    struct gtv_rtmp_conn *c = arg;
    leave(c, "NetStream.Publish.Failed", why);
}

static bool authenticate(struct gtv_rtmp_conn *c, const struct gtv_rtmp_place *place)
{
    // "192.0.2.1:50412", "[2001:db8::1]:50412"
    struct gtv_str address = gtv_str_of(c->session.remote);
    while (address.n > 0 && address.p[address.n - 1] != ':') {
        address.n--;
    }
    address.n -= address.n > 0;
    if (address.n >= 2 && address.p[0] == '[') {
        address = (struct gtv_str){address.p + 1, address.n - 2};
    }
    const struct gtv_credentials who = {
        .user = gtv_str_of(place->user), .pass = gtv_str_of(place->pass), .address = address};
    switch (gtv_auth_check(gtv_node_auth(c->node), GTV_ACT_PUBLISH, gtv_str_of(place->path), &who)) {
    case GTV_AUTH_OK:
        return true;
    case GTV_AUTH_ASK:
        leave(c, "NetStream.Publish.Denied",
              "authentication error: give user and password as ?user=...&pass=...");
        return false;
    case GTV_AUTH_WRONG:
        break;
    }
    gtv_counter_add(c->auth_failures, 1);
    snprintf(c->refusal_code, sizeof c->refusal_code, "NetStream.Publish.Denied");
    snprintf(c->refusal, sizeof c->refusal, "authentication error");
    c->state = GTV_RTMP_REFUSED;
    c->due_ms = gtv_mono_ms() + REFUSAL_MS;
    return false;
}

static void begin_publishing(struct gtv_rtmp_conn *c, struct gtv_path *path,
                             const struct gtv_rtmp_place *place)
{
    static const struct gtv_feed_callbacks to_path = {on_format, on_sample};
    struct gtv_error err = {0};
    c->publisher = (struct gtv_publisher){.on_kicked = on_kicked, .arg = c, .type = "rtmpConn"};
    memcpy(c->publisher.id, c->session.id, sizeof c->session.id);
    if (!gtv_path_publish(path, &c->publisher, &err)) {
        leave(c, "NetStream.Publish.BadName", err.message);
        return;
    }
    c->log = *gtv_path_log(path);
    // The path may go before the connection does: its name is kept here.
    snprintf(c->session.path, sizeof c->session.path, "%s", place->path);
    c->log.id = c->session.path;
    snprintf(c->session.query, sizeof c->session.query, "%s", place->query);
    snprintf(c->session.user, sizeof c->session.user, "%.63s", place->user);
    gtv_flv_init(&c->flv, &to_path, c, &c->log);
    c->damaged = 0;
    c->keyed = c->silent_told = false;
    c->session.state = "publish";
    c->state = GTV_RTMP_PUBLISH;
    c->began_ms = c->last_video_ms = gtv_mono_ms();
    set_end(c, "closed", "the publisher closed the connection");
    gtv_rtmp_say_status(c, "status", "NetStream.Publish.Start", "publishing");
}

static void publish(struct gtv_rtmp_conn *c, struct gtv_str name)
{
    struct gtv_rtmp_place place;
    struct gtv_error err = {0};
    if (!gtv_rtmp_place_read(gtv_str_of(c->app), name, &place)) {
        leave(c, "NetStream.Publish.BadName", "invalid path name: too long, or not understood");
        return;
    }
    if (!gtv_name_check(gtv_str_of(place.path), &err)) {
        char text[sizeof place.path + sizeof err.message + 32]; // leave() cuts it
        snprintf(text, sizeof text, "invalid path name '%s': %s", place.path, err.message);
        leave(c, "NetStream.Publish.BadName", text);
        return;
    }
    if (!authenticate(c, &place)) {
        return;
    }
    struct gtv_path *path = gtv_node_find_or_match(c->node, gtv_str_of(place.path), true);
    if (path == NULL) {
        char text[sizeof c->refusal];
        snprintf(text, sizeof text, "path '%s' is not configured", place.path);
        leave(c, "NetStream.Publish.BadName", text);
        return;
    }
    begin_publishing(c, path, &place);
}

// ---- Commands ----

// app of connect's object; the address itself is not needed: the client may call us by any name.
static bool connect_app(struct gtv_rtmp_conn *c, struct gtv_amf *a)
{
    struct gtv_str key, value;
    c->app[0] = '\0';
    if (!gtv_amf_enter(a)) {
        return false;
    }
    while (gtv_amf_member(a, &key)) {
        if (!gtv_str_eq(key, GTV_STR("app")) || !gtv_amf_string(a, &value)) {
            (void)gtv_amf_skip(a);
        } else if (!gtv_str_copy(c->app, sizeof c->app, value) || memchr(value.p, 0, value.n) != NULL) {
            return false;
        }
    }
    return !a->failed;
}

static bool on_publish(struct gtv_rtmp_conn *c, struct gtv_amf *a)
{
    struct gtv_str name = {NULL, 0};
    if (!gtv_amf_skip(a) || !gtv_amf_string(a, &name)) {
        return false;
    }
    if (c->state == GTV_RTMP_PUBLISH) {
        leave(c, "NetStream.Publish.BadName", "this connection publishes already");
    } else {
        publish(c, name);
    }
    return true;
}

static bool on_command(struct gtv_rtmp_conn *c, struct gtv_str body)
{
    struct gtv_amf a = {.rest = body};
    struct gtv_str command;
    double transaction = 0;
    if (!gtv_amf_string(&a, &command) || (!gtv_amf_number(&a, &transaction) && a.failed)) {
        return false;
    }
    if (gtv_str_eq(command, GTV_STR("connect"))) {
        if (!connect_app(c, &a)) {
            return false;
        }
        gtv_rtmp_say_connected(c, transaction);
    } else if (gtv_str_eq(command, GTV_STR("createStream"))) {
        gtv_rtmp_say_result(c, transaction, true);
    } else if (gtv_str_eq(command, GTV_STR("releaseStream")) || gtv_str_eq(command, GTV_STR("FCPublish"))) {
        gtv_rtmp_say_result(c, transaction, false);
    } else if (gtv_str_eq(command, GTV_STR("publish"))) {
        return on_publish(c, &a);
    } else if (gtv_str_eq(command, GTV_STR("FCUnpublish")) || gtv_str_eq(command, GTV_STR("deleteStream")) ||
               gtv_str_eq(command, GTV_STR("closeStream"))) {
        stop_publishing(c);
    } else if (gtv_str_eq(command, GTV_STR("play")) || gtv_str_eq(command, GTV_STR("play2"))) {
        leave(c, "NetStream.Play.Failed", "reading over RTMP is not supported by this node: use HLS or RTSP");
    }
    return true; // what else there is asks for nothing that publishing needs
}

static void on_user_control(struct gtv_rtmp_conn *c, struct gtv_str body)
{
    enum { PING_REQUEST = 6 };
    const uint8_t *p = (const uint8_t *)body.p;
    if (body.n >= 6 && p[0] == 0 && p[1] == PING_REQUEST) {
        gtv_rtmp_say_pong(c, (uint32_t)p[2] << 24 | (uint32_t)p[3] << 16 | (uint32_t)p[4] << 8 | p[5]);
    }
}

static void on_window(struct gtv_rtmp_conn *c, struct gtv_str body)
{
    const uint8_t *p = (const uint8_t *)body.p;
    if (body.n >= 4) {
        uint32_t window = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        c->ack_window = window > ACK_WINDOW_MIN ? window : ACK_WINDOW_MIN;
    }
}

// ---- Media ----

static void count_damaged(struct gtv_rtmp_conn *c)
{
    uint64_t now = c->flv.feed != NULL ? gtv_feed_damaged(c->flv.feed) : 0;
    if (now > c->damaged && c->publisher.path != NULL) {
        gtv_path_source_callbacks()->on_error_frames(c->publisher.path, (unsigned)(now - c->damaged));
    }
    c->damaged = now;
}

static void on_media(struct gtv_rtmp_conn *c, uint8_t type, struct gtv_str body, uint32_t timestamp)
{
    struct gtv_source_end why = {0};
    if (c->state != GTV_RTMP_PUBLISH) {
        return; // sent before it heard that it may not
    }
    bool ok = true;
    if (type == GTV_RTMP_VIDEO) {
        c->last_video_ms = gtv_mono_ms();
        ok = gtv_flv_video(&c->flv, body, timestamp, gtv_wall_us(), &why);
        count_damaged(c);
    } else {
        ok = gtv_flv_audio(&c->flv, body, timestamp, gtv_wall_us(), &why);
    }
    if (!ok) {
        set_end(c, why.code, why.text);
        leave(c, "NetStream.Publish.BadName", why.text);
    }
}

// Several FLV tags in one message: each has a header of 11 bytes, and its whole length behind it.
static bool on_aggregate(struct gtv_rtmp_conn *c, const struct gtv_rtmp_message *m)
{
    enum { TAG_HEADER = 11, TAG_END = 4 };
    struct gtv_str rest = m->body;
    bool first = true;
    uint32_t base = 0;
    while (rest.n >= TAG_HEADER) {
        const uint8_t *p = (const uint8_t *)rest.p;
        size_t n = (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        uint32_t time = (uint32_t)p[4] << 16 | (uint32_t)p[5] << 8 | p[6] | (uint32_t)p[7] << 24;
        if (n > rest.n - TAG_HEADER) {
            return false;
        }
        base = first ? time : base;
        first = false;
        if (p[0] == GTV_RTMP_AUDIO || p[0] == GTV_RTMP_VIDEO) {
            on_media(c, p[0], (struct gtv_str){rest.p + TAG_HEADER, n}, m->timestamp + (time - base));
        }
        size_t used = TAG_HEADER + n + TAG_END;
        used = used < rest.n ? used : rest.n;
        rest.p += used;
        rest.n -= used;
    }
    return true;
}

static bool on_message(void *arg, const struct gtv_rtmp_message *m)
{
    struct gtv_rtmp_conn *c = arg;
    struct gtv_str body = m->body;
    bool ok = true;
    switch (m->type) {
    case GTV_RTMP_AUDIO:
    case GTV_RTMP_VIDEO:
        on_media(c, m->type, body, m->timestamp);
        break;
    case GTV_RTMP_AGGREGATE:
        ok = on_aggregate(c, m);
        break;
    case GTV_RTMP_COMMAND_AMF3: // AMF0 behind one byte, from all who send it
        ok = body.n > 0 && on_command(c, (struct gtv_str){body.p + 1, body.n - 1});
        break;
    case GTV_RTMP_COMMAND:
        ok = on_command(c, body);
        break;
    case GTV_RTMP_USER_CONTROL:
        on_user_control(c, body);
        break;
    case GTV_RTMP_WINDOW_ACK_SIZE:
        on_window(c, body);
        break;
    default: // acknowledgements of the little that we send; metadata, which the frames say better
        break;
    }
    if (!ok) {
        close_because(c, "invalid_data", "the publisher broke the protocol: a command cannot be read");
    }
    return c->state <= GTV_RTMP_PUBLISH;
}

// ---- Bytes ----

// S0, S1 and S2 (5.2): ours is filled with anything, theirs comes back. Clients that begin with a digest (as
// old players do) take a server that answers without one.
static void answer_handshake(struct gtv_rtmp_conn *c)
{
    static const size_t n = GTV_RTMP_HANDSHAKE;
    uint8_t out[1 + 2 * GTV_RTMP_HANDSHAKE] = {VERSION};
    if (getrandom(out + 9, n - 8, GRND_NONBLOCK) < 0) {
        memset(out + 9, 0x5a, n - 8); // nothing depends on it
    }
    memcpy(out + 1 + n, c->handshake + 1, n);
    gtv_rtmp_conn_write(c, (struct gtv_str){(const char *)out, sizeof out});
}

static void take_handshake(struct gtv_rtmp_conn *c, struct gtv_str *data)
{
    size_t whole = c->state == GTV_RTMP_C0_C1 ? 1 + GTV_RTMP_HANDSHAKE : GTV_RTMP_HANDSHAKE;
    size_t n = whole - c->handshake_len;
    n = n < data->n ? n : data->n;
    memcpy(c->handshake + c->handshake_len, data->p, n);
    c->handshake_len += n;
    data->p += n;
    data->n -= n;
    if (c->state == GTV_RTMP_C0_C1 && c->handshake[0] != VERSION) {
        close_because(c, "invalid_data", "this is no RTMP");
        return;
    }
    if (c->handshake_len < whole) {
        return;
    }
    c->handshake_len = 0;
    if (c->state == GTV_RTMP_C0_C1) {
        c->state = GTV_RTMP_C2;
        answer_handshake(c);
        return;
    }
    c->state = GTV_RTMP_IDLE;
    c->chunks = gtv_chunks_create(on_message, c);
}

void gtv_rtmp_conn_data(struct gtv_rtmp_conn *c, struct gtv_str data)
{
    const char *why = NULL;
    c->session.inbound_bytes += data.n;
    c->received += (uint32_t)data.n;
    while (data.n > 0 && c->state <= GTV_RTMP_C2) {
        take_handshake(c, &data);
    }
    if (data.n == 0 || c->state > GTV_RTMP_PUBLISH) {
        return;
    }
    if (!gtv_chunks_push(c->chunks, data, &why) && why != NULL) {
        close_because(c, "invalid_data", why);
        return;
    }
    if (c->state <= GTV_RTMP_PUBLISH && c->ack_window > 0 && c->received - c->acked >= c->ack_window) {
        c->acked = c->received;
        gtv_rtmp_say_number(c, GTV_RTMP_ACK, c->received);
    }
}

static void tick_publishing(struct gtv_rtmp_conn *c, int64_t now_ms)
{
    if (now_ms - c->last_video_ms >= c->stall_ms) {
        char text[sizeof c->end.text];
        snprintf(text, sizeof text, "stalled: connected, but no picture for %g s",
                 (double)c->stall_ms / 1000);
        close_because(c, "stalled", text);
        return;
    }
    if (!c->keyed && !c->silent_told && now_ms - c->began_ms >= SILENT_MS && c->publisher.path != NULL) {
        c->silent_told = true;
        gtv_path_source_callbacks()->on_silent(
            c->publisher.path,
            &(struct gtv_source_end){.code = "no_key_frame", .text = "the publisher sends no key frame"});
    }
}

void gtv_rtmp_conn_tick(struct gtv_rtmp_conn *c, int64_t now_ms)
{
    switch (c->state) {
    case GTV_RTMP_C0_C1:
    case GTV_RTMP_C2:
    case GTV_RTMP_IDLE:
        if (now_ms - c->began_ms >= START_MS) {
            close_because(c, "timed_out", "the client did not begin to publish in time");
        }
        break;
    case GTV_RTMP_PUBLISH:
        tick_publishing(c, now_ms);
        break;
    case GTV_RTMP_REFUSED:
        if (now_ms >= c->due_ms) {
            leave(c, c->refusal_code, c->refusal);
        }
        break;
    case GTV_RTMP_LEAVING:
        if (now_ms >= c->due_ms) {
            gtv_rtmp_conn_close(c);
        }
        break;
    case GTV_RTMP_CLOSED:
        break;
    }
}
