// The frames of RFC 6455 as a client sends them, taken apart byte by byte. Pure: no connection, no time.
// Internal to lib/ws.
#ifndef GTV_WS_CODEC_H
#define GTV_WS_CODEC_H

#include "lib/base/buf.h"

enum gtv_ws_opcode {
    GTV_WS_CONTINUATION = 0,
    GTV_WS_TEXT = 1,
    GTV_WS_BINARY = 2,
    GTV_WS_CLOSE = 8,
    GTV_WS_PING = 9,
    GTV_WS_PONG = 10,
    GTV_WS_RSV1 = 0x40, // with the first opcode of a compressed message
};

// Any of them may make the decoder's owner close; returning false stops the decoding of what else was fed.
struct gtv_ws_decoder_events {
    bool (*on_message)(void *arg, enum gtv_ws_opcode kind, struct gtv_str message); // text is checked UTF-8
    bool (*on_ping)(void *arg, struct gtv_str payload);
    bool (*on_pong)(void *arg, struct gtv_str payload);
    bool (*on_close)(void *arg, uint16_t code, struct gtv_str reason); // 1005 when the frame had no code
};

struct gtv_ws_decoder {
    struct gtv_ws_decoder_events events;
    void *arg;
    size_t max_message;
    bool deflate; // permessage-deflate was agreed on; set it after init
    // The frame in progress.
    uint8_t head[14], head_len, head_need;
    uint8_t mask[4];
    uint8_t opcode;
    bool fin;
    uint64_t left; // payload bytes still to come
    uint64_t at;   // payload bytes seen, for the mask's phase
    // The message in progress, over its fragments (0: none), and the control frame in progress.
    uint8_t message_opcode;
    uint8_t utf8_need, utf8_low, utf8_high; // bytes the text's last character lacks, and what the next may be
    struct gtv_buf message;
    bool compressed;
    struct gtv_ws_inflater *inflater; // while a compressed message comes in
    uint64_t wire;                    // payload bytes of it so far
    uint8_t control[125], control_len;
};

void gtv_ws_decoder_init(struct gtv_ws_decoder *d, size_t max_message,
                         const struct gtv_ws_decoder_events *events, void *arg);
void gtv_ws_decoder_finish(struct gtv_ws_decoder *d);
// 0, or the close code of what is wrong (1002 protocol, 1007 not UTF-8 or not deflate, 1009 too big), or 1
// when an event asked to stop. After anything but 0 the decoder takes no more. Text that is not UTF-8 is
// noticed at its first wrong byte, however many fragments and reads are still to come.
uint16_t gtv_ws_decoder_feed(struct gtv_ws_decoder *d, const uint8_t *data, size_t n);

// One unmasked final frame, as a server sends it.
struct gtv_bytes *gtv_ws_encode(enum gtv_ws_opcode opcode, const void *payload, size_t n) GTV_WARN_UNUSED;
// Base64 of SHA-1 of the key and the protocol's constant (RFC 6455, 4.2.2); out has room for 29 bytes. False
// when the key is none.
bool gtv_ws_accept_key(struct gtv_str key, char out[29]) GTV_WARN_UNUSED;

#endif
