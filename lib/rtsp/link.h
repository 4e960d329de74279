// A connection to a camera on the loop: name, address policy, TCP, TLS. Bytes are read into one large buffer
// that all connections share, so that a picture takes about one system call, and none has a buffer of its own
// while nothing is left over. Loop thread only.
#ifndef GTV_RTSP_LINK_H
#define GTV_RTSP_LINK_H

#include "lib/loop/loop.h"
#include "lib/net/address.h"

#include <stdatomic.h>

enum {
    GTV_LINK_READ_BYTES = 256 * 1024, // of the shared buffer
    GTV_LINK_QUEUE_MAX = 64 * 1024, // bytes that the peer has not taken; beyond it the connection is given up
};

struct gtv_rtsp_hub;
struct gtv_link;

struct gtv_link_options {
    struct gtv_rtsp_hub *hub;
    const struct gtv_net_policy *policy; // NULL: every address may be dialled
    atomic_int
        *running; // counts names being resolved, which nothing can interrupt; outlives them; NULL: no matter
    char host[256];
    int port;
    bool tls;
    char fingerprint[80]; // SHA-256 of the peer's certificate in hexadecimal; "": it is not checked
};

struct gtv_link_callbacks {
    void (*on_open)(void *arg);
    // Takes what it can use of data and returns how much that was; the rest comes again with what follows it.
    // More than keep_max left over ends the link.
    size_t (*on_data)(void *arg, struct gtv_str data);
    void (*on_end)(void *arg, const char *code, const char *text); // once, static strings
};

// A callback may close its own link.
struct gtv_link *gtv_link_open(const struct gtv_link_options *options, size_t keep_max,
                               const struct gtv_link_callbacks *callbacks, void *arg);
void gtv_link_close(struct gtv_link *l); // no callback follows; NULL is accepted
// False when the peer has not taken GTV_LINK_QUEUE_MAX bytes, or is gone: the link is to be closed then.
bool gtv_link_write(struct gtv_link *l, const void *data, size_t n) GTV_WARN_UNUSED;
size_t gtv_link_queued(const struct gtv_link *l);
// The peer's and our own address, once open.
const struct sockaddr_storage *gtv_link_peer(const struct gtv_link *l);
bool gtv_link_local(const struct gtv_link *l, struct sockaddr_storage *out);

#endif
