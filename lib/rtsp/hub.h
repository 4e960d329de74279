// What all RTSP connections of a loop share: the buffer that is read into, and the beat of their clocks. Loop
// thread only.
#ifndef GTV_RTSP_HUB_H
#define GTV_RTSP_HUB_H

#include "lib/loop/loop.h"

#include <openssl/ssl.h>

enum { GTV_RTSP_TICK_MS = 50 };

struct gtv_rtsp_hub;

// Beats from the first member to the last.
struct gtv_rtsp_member {
    void (*on_tick)(void *arg, int64_t now_ms); // monotonic; may remove its own member
    void *arg;
    struct gtv_rtsp_member *next, **prev;
};

struct gtv_rtsp_hub *gtv_rtsp_hub_create(struct gtv_loop *loop);
void gtv_rtsp_hub_destroy(struct gtv_rtsp_hub *h); // without members; NULL is accepted
struct gtv_loop *gtv_rtsp_hub_loop(struct gtv_rtsp_hub *h);
void gtv_rtsp_hub_add(struct gtv_rtsp_hub *h, struct gtv_rtsp_member *m);
void gtv_rtsp_hub_remove(struct gtv_rtsp_hub *h, struct gtv_rtsp_member *m); // nothing when it is no member

// GTV_LINK_READ_BYTES each, valid until the next callback of the loop: for bytes as they came, and decrypted.
char *gtv_rtsp_hub_buffer(struct gtv_rtsp_hub *h);
char *gtv_rtsp_hub_clear_buffer(struct gtv_rtsp_hub *h);

// For clients; made at its first use. Certificates are not checked by it, and old protocols and ciphers are
// let through: cameras live for fifteen years. NULL when it cannot be made.
SSL_CTX *gtv_rtsp_hub_tls(struct gtv_rtsp_hub *h);

#endif
