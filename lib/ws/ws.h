// Server side of WebSocket (RFC 6455) over an upgraded HTTP connection. Loop thread only.
#ifndef GTV_WS_WS_H
#define GTV_WS_WS_H

#include "lib/http/server.h"

struct gtv_ws;

struct gtv_ws_callbacks {
    void (*on_text)(void *arg, struct gtv_str message); // whole, UTF-8 checked
    void (*on_close)(void *arg, uint16_t code); // once; ws is gone afterwards. 1006 without a close frame
};

enum {
    GTV_WS_MAX_MESSAGE = 64 * 1024, // from the client; beyond it 1009
    GTV_WS_MAX_QUEUE = 1024 * 1024, // bytes waiting for one client; beyond it gtv_ws_send refuses
};

// Checks the handshake and answers 101; on a bad one replies 400/426 itself and returns NULL. Pings every 25
// s by itself and closes after 60 s without any frame from the client.
struct gtv_ws *gtv_ws_accept(struct gtv_http_request *req, const struct gtv_ws_callbacks *cb, void *arg);
// One server frame (unmasked, final) for a text message, shared by every client it is sent to.
struct gtv_bytes *gtv_ws_encode_text(struct gtv_str message) GTV_WARN_UNUSED;
bool gtv_ws_send(
    struct gtv_ws *ws,
    struct gtv_bytes *frame); // takes a reference; false when the queue is full: nothing was queued
size_t gtv_ws_pending(const struct gtv_ws *ws);
void gtv_ws_close(struct gtv_ws *ws, uint16_t code, const char *reason); // on_close follows

#endif
