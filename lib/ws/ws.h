// Server side of WebSocket (RFC 6455) over an upgraded HTTP connection. Loop thread only.
#ifndef GTV_WS_WS_H
#define GTV_WS_WS_H

#include "lib/http/server.h"

struct gtv_ws;

struct gtv_ws_callbacks {
    void (*on_text)(void *arg, struct gtv_str message);   // whole, UTF-8 checked
    void (*on_binary)(void *arg, struct gtv_str message); // NULL: binary messages close with 1003
    void (*on_drain)(void *arg);                          // nothing waits any more; may be NULL
    void (*on_close)(void *arg, uint16_t code); // once; ws is gone afterwards. 1006 without a close frame
};

enum {
    GTV_WS_MAX_MESSAGE = 64 * 1024, // from the client; beyond it 1009
    GTV_WS_MAX_QUEUE = 1024 * 1024, // bytes waiting for one client; beyond it gtv_ws_send refuses
    GTV_WS_WINDOW_BITS_MAX = 15,    // of a deflater: 32 KiB
};

// 0: the limits above.
struct gtv_ws_limits {
    size_t max_message, max_queue;
    bool deflate; // agree to permessage-deflate (RFC 7692) where the client offers it
};

// Checks the handshake and answers 101; on a bad one replies 400/426 itself and returns NULL. Pings every 25
// s by itself and closes with 1013 after 60 s without any frame from the client. limits may be NULL.
struct gtv_ws *gtv_ws_accept(struct gtv_http_request *req, const struct gtv_ws_limits *limits,
                             const struct gtv_ws_callbacks *cb, void *arg);
// Whether a page of this origin may connect: origins is a list separated by commas, "" or "*" stands for any.
// A client that names no origin is no page, and may.
bool gtv_ws_origin_allowed(struct gtv_str origins, struct gtv_str origin);
// One server frame (unmasked, final) for a text message, shared by every client it is sent to.
struct gtv_bytes *gtv_ws_encode_text(struct gtv_str message) GTV_WARN_UNUSED;
struct gtv_bytes *gtv_ws_encode_binary(struct gtv_str message) GTV_WARN_UNUSED;
// The same, compressed, for clients that agreed to it. Each frame stands alone and may be shared. NULL when
// it would not be smaller, or without memory: then the plain one serves.
struct gtv_ws_deflater; // 256 KiB; one thread at a time
struct gtv_ws_deflater *gtv_ws_deflater_create(unsigned window_bits) GTV_WARN_UNUSED; // 9 to 15
void gtv_ws_deflater_destroy(struct gtv_ws_deflater *d);
struct gtv_bytes *gtv_ws_encode_deflated(struct gtv_ws_deflater *d, bool text,
                                         struct gtv_str message) GTV_WARN_UNUSED;
// How far back, in bits, a compressed frame may point for this client (9 to 15); 0: it takes none. Of
// messages of up to 1 << bits bytes it takes every compressed frame, and with 15 of all.
unsigned gtv_ws_window_bits(const struct gtv_ws *ws);
bool gtv_ws_send(
    struct gtv_ws *ws,
    struct gtv_bytes *frame); // takes a reference; false when the queue is full: nothing was queued
// Up to GTV_HTTP_PIECES_MAX frames with one call of the kernel. False: as above, for all of them.
bool gtv_ws_send_many(struct gtv_ws *ws, struct gtv_bytes *const *frames, size_t n);
size_t gtv_ws_pending(const struct gtv_ws *ws);
// Pending, and what the client has not acknowledged yet.
size_t gtv_ws_unacknowledged(const struct gtv_ws *ws);
void gtv_ws_close(struct gtv_ws *ws, uint16_t code, const char *reason); // on_close follows

#endif
