// permessage-deflate (RFC 7692), without context takeover in either direction: every message stands alone, so
// that one compressed frame serves all clients, and an idle connection holds no window. Internal to lib/ws.
#ifndef GTV_WS_DEFLATE_H
#define GTV_WS_DEFLATE_H

#include "lib/ws/codec.h"

enum { GTV_WS_EXTENSION_CAP = 128 };

// Takes the first of the client's offers (Sec-WebSocket-Extensions) that we can keep. Returns how many bits
// our window may have (9 to 15) and the answer's value in out; 0 when none will do.
unsigned gtv_ws_deflate_accept(struct gtv_str offers, char out[GTV_WS_EXTENSION_CAP]) GTV_WARN_UNUSED;

struct gtv_ws_inflater;
enum gtv_ws_inflated {
    GTV_WS_INFLATED,
    GTV_WS_INFLATE_STOPPED, // on_data said so
    GTV_WS_INFLATE_CORRUPT,
};
// One for each message. NULL without memory.
struct gtv_ws_inflater *gtv_ws_inflater_create(void) GTV_WARN_UNUSED;
void gtv_ws_inflater_destroy(struct gtv_ws_inflater *f);
// Hands what comes out to on_data in pieces of a few KiB, which bounds it; false from there stops.
enum gtv_ws_inflated gtv_ws_inflate(struct gtv_ws_inflater *f, const uint8_t *data, size_t n,
                                    bool (*on_data)(void *arg, const uint8_t *data, size_t n),
                                    void *arg) GTV_WARN_UNUSED;
// The message's end: the same, with the four bytes that the sender left out.
enum gtv_ws_inflated gtv_ws_inflate_end(struct gtv_ws_inflater *f,
                                        bool (*on_data)(void *arg, const uint8_t *data, size_t n),
                                        void *arg) GTV_WARN_UNUSED;

#endif
