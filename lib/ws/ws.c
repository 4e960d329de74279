// Phases: OPEN -> CLOSING (our close frame is out; the peer's, or 5 s, end it) -> gone (the connection's
// on_close frees it).

#include "lib/ws/ws.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/ws/codec.h"
#include "lib/ws/deflate.h"

#include <stdlib.h>

enum {
    PING_EVERY_MS = 25000,
    SILENCE_MS = 60000,
    CLOSE_WAIT_MS = 5000,
};

struct gtv_ws {
    struct gtv_http_conn *conn;
    struct gtv_ws_callbacks cb;
    void *arg;
    struct gtv_ws_decoder decoder;
    struct gtv_timer *timer;
    int64_t heard_ms;
    size_t max_queue;
    unsigned window_bits; // 0: permessage-deflate was not agreed on
    uint16_t close_code;  // what on_close will be told
    bool closing, feeding, gone;
};

static void send_frame(struct gtv_ws *ws, enum gtv_ws_opcode opcode, const void *data, size_t n)
{
    struct gtv_bytes *frame = gtv_ws_encode(opcode, data, n);
    if (!frame)
        return;
    gtv_http_conn_write(ws->conn, frame);
    gtv_bytes_unref(frame);
}

static void send_close(struct gtv_ws *ws, uint16_t code, struct gtv_str reason)
{
    uint8_t body[125];
    size_t n = 0;
    if (code != 1005) {
        body[0] = (uint8_t)(code >> 8);
        body[1] = (uint8_t)code;
        n = reason.n < sizeof body - 2 ? reason.n : sizeof body - 2;
        if (n)
            memcpy(body + 2, reason.p, n);
        n += 2;
    }
    send_frame(ws, GTV_WS_CLOSE, body, n);
}

static bool on_message(void *arg, enum gtv_ws_opcode kind, struct gtv_str message)
{
    struct gtv_ws *ws = arg;
    if (ws->closing)
        return true; // what was under way when we closed
    if (kind == GTV_WS_TEXT)
        ws->cb.on_text(ws->arg, message);
    else if (ws->cb.on_binary)
        ws->cb.on_binary(ws->arg, message);
    else
        gtv_ws_close(ws, 1003, "only text is understood");
    return !ws->gone;
}

static bool on_ping(void *arg, struct gtv_str payload)
{
    struct gtv_ws *ws = arg;
    // A peer that floods pings without reading gets no more answers than its queue holds.
    if (!ws->closing && gtv_http_conn_pending(ws->conn) < ws->max_queue)
        send_frame(ws, GTV_WS_PONG, payload.p, payload.n);
    return true;
}

static bool on_pong(void *arg, struct gtv_str payload)
{
    return true;
}

static bool on_peer_close(void *arg, uint16_t code, struct gtv_str reason)
{
    struct gtv_ws *ws = arg;
    if (!ws->closing) {
        ws->close_code = code;
        send_close(ws, code, (struct gtv_str){NULL, 0});
    }
    ws->closing = true;
    gtv_http_conn_close(ws->conn, true);
    return false;
}

static void on_read(void *arg, const uint8_t *data, size_t n)
{
    struct gtv_ws *ws = arg;
    ws->heard_ms = gtv_mono_ms();
    ws->feeding = true;
    uint16_t rc = gtv_ws_decoder_feed(&ws->decoder, data, n);
    ws->feeding = false;
    if (ws->gone) {
        gtv_ws_decoder_finish(&ws->decoder);
        free(ws);
        return;
    }
    if (rc > 1) {
        // The stream cannot be followed any further: say why and hang up (RFC 6455, 7.1.7).
        if (!ws->closing)
            send_close(ws, rc, (struct gtv_str){NULL, 0});
        ws->closing = true;
        ws->close_code = rc;
        gtv_http_conn_close(ws->conn, true);
    }
}

static void on_conn_close(void *arg)
{
    struct gtv_ws *ws = arg;
    gtv_timer_destroy(ws->timer);
    ws->timer = NULL;
    ws->gone = true;
    if (ws->cb.on_close)
        ws->cb.on_close(ws->arg, ws->close_code);
    if (ws->feeding)
        return; // on_read is on the stack and frees it
    gtv_ws_decoder_finish(&ws->decoder);
    free(ws);
}

static void timer_cb(void *arg)
{
    struct gtv_ws *ws = arg;
    if (ws->closing)
        gtv_http_conn_close(ws->conn, false);
    else if (gtv_mono_ms() - ws->heard_ms > SILENCE_MS)
        gtv_ws_close(ws, 1013, "nothing was heard for a minute");
    else
        send_frame(ws, GTV_WS_PING, NULL, 0);
}

static bool has_token(struct gtv_str list, struct gtv_str token)
{
    while (list.n)
        if (gtv_str_ieq(gtv_str_trim(gtv_str_cut(&list, ',')), token))
            return true;
    return false;
}

bool gtv_ws_origin_allowed(struct gtv_str origins, struct gtv_str origin)
{
    origins = gtv_str_trim(origins);
    return origins.n == 0 || origin.n == 0 || has_token(origins, GTV_STR("*")) || has_token(origins, origin);
}

static void on_conn_drain(void *arg)
{
    struct gtv_ws *ws = arg;
    if (ws->cb.on_drain && !ws->closing)
        ws->cb.on_drain(ws->arg);
}

static void refuse(struct gtv_http_request *req, int status, const char *detail)
{
    struct gtv_bytes *body =
        gtv_bytes_printf("{\"detail\":\"%s\",\"code\":\"bad_request\",\"field\":null}", detail);
    const struct gtv_http_header headers[] = {
        {GTV_STR("Content-Type"), GTV_STR("application/json")},
        {GTV_STR("Sec-WebSocket-Version"), GTV_STR("13")},
        {GTV_STR("Upgrade"), GTV_STR("websocket")},
    };
    gtv_http_reply(req, status, headers, status == 426 ? 3 : 1, body);
    gtv_bytes_unref(body);
}

struct gtv_ws *gtv_ws_accept(struct gtv_http_request *req, const struct gtv_ws_limits *limits,
                             const struct gtv_ws_callbacks *cb, void *arg)
{
    char accept[29];
    if (!has_token(gtv_http_header(req, "Upgrade"), GTV_STR("websocket")) ||
        !has_token(gtv_http_header(req, "Connection"), GTV_STR("upgrade"))) {
        refuse(req, 426, "This address speaks WebSocket: an Upgrade is needed");
        return NULL;
    }
    if (!gtv_str_eq(gtv_http_header(req, "Sec-WebSocket-Version"), GTV_STR("13"))) {
        refuse(req, 426, "Only version 13 of WebSocket is spoken here");
        return NULL;
    }
    if (!gtv_str_eq(gtv_http_method(req), GTV_STR("GET")) ||
        !gtv_ws_accept_key(gtv_http_header(req, "Sec-WebSocket-Key"), accept)) {
        refuse(req, 400, "Sec-WebSocket-Key must be 16 bytes in base64");
        return NULL;
    }
    struct gtv_ws *ws = GTV_NEW(struct gtv_ws);
    static const struct gtv_ws_decoder_events events = {on_message, on_ping, on_pong, on_peer_close};
    ws->cb = *cb;
    ws->arg = arg;
    ws->close_code = 1006;
    ws->heard_ms = gtv_mono_ms();
    ws->max_queue = limits && limits->max_queue ? limits->max_queue : (size_t)GTV_WS_MAX_QUEUE;
    gtv_ws_decoder_init(&ws->decoder,
                        limits && limits->max_message ? limits->max_message : (size_t)GTV_WS_MAX_MESSAGE,
                        &events, ws);
    ws->timer = gtv_timer_create(gtv_http_loop(req), timer_cb, ws);
    gtv_timer_start(ws->timer, PING_EVERY_MS, PING_EVERY_MS);
    char extension[GTV_WS_EXTENSION_CAP];
    if (limits && limits->deflate)
        ws->window_bits = gtv_ws_deflate_accept(gtv_http_header(req, "Sec-WebSocket-Extensions"), extension);
    ws->decoder.deflate = ws->window_bits > 0;
    const struct gtv_http_header headers[] = {
        {GTV_STR("Upgrade"), GTV_STR("websocket")},
        {GTV_STR("Connection"), GTV_STR("Upgrade")},
        {GTV_STR("Sec-WebSocket-Accept"), {accept, 28}},
        {GTV_STR("Sec-WebSocket-Extensions"), gtv_str_of(ws->window_bits ? extension : "")},
    };
    const struct gtv_http_upgrade handlers = {on_read, on_conn_close, on_conn_drain, ws};
    ws->conn = gtv_http_upgrade(req, headers, ws->window_bits ? 4 : 3, &handlers);
    if (ws->conn)
        return ws;
    gtv_timer_destroy(ws->timer); // the client had left
    gtv_ws_decoder_finish(&ws->decoder);
    free(ws);
    return NULL;
}

struct gtv_bytes *gtv_ws_encode_text(struct gtv_str message)
{
    return gtv_ws_encode(GTV_WS_TEXT, message.p, message.n);
}

struct gtv_bytes *gtv_ws_encode_binary(struct gtv_str message)
{
    return gtv_ws_encode(GTV_WS_BINARY, message.p, message.n);
}

bool gtv_ws_send(struct gtv_ws *ws, struct gtv_bytes *frame)
{
    return gtv_ws_send_many(ws, &frame, 1);
}

bool gtv_ws_send_many(struct gtv_ws *ws, struct gtv_bytes *const *frames, size_t n)
{
    size_t total = gtv_http_conn_pending(ws->conn);
    for (size_t i = 0; i < n; i++)
        total += frames[i]->len;
    if (ws->closing || total > ws->max_queue)
        return false;
    gtv_http_conn_write_many(ws->conn, frames, n);
    return true;
}

size_t gtv_ws_unacknowledged(const struct gtv_ws *ws)
{
    return gtv_http_conn_unacknowledged(ws->conn);
}

unsigned gtv_ws_window_bits(const struct gtv_ws *ws)
{
    return ws->window_bits;
}

size_t gtv_ws_pending(const struct gtv_ws *ws)
{
    return gtv_http_conn_pending(ws->conn);
}

void gtv_ws_close(struct gtv_ws *ws, uint16_t code, const char *reason)
{
    if (ws->closing)
        return;
    ws->closing = true;
    ws->close_code = code;
    send_close(ws, code, gtv_str_of(reason));
    gtv_timer_start(ws->timer, CLOSE_WAIT_MS, 0);
}
