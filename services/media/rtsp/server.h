// The RTSP server: its listener, its connections (TCP, interleaved) and its two UDP sockets. What is said on
// them is session.h's. Loop thread only.
#ifndef GTV_MEDIA_RTSP_SERVER_H
#define GTV_MEDIA_RTSP_SERVER_H

#include "services/media/node.h"

enum {
    GTV_RTSP_CONNS_MAX = 4000, // connections at a time; further ones are closed at once
    GTV_RTSP_CLOSE_MS = 1000,  // for a last answer to reach the client
    GTV_RTSP_WRITE_MS = 10000, // without any byte taken, a connection with bytes waiting is given up
    GTV_RTSP_HARD_MAX = 16 * 1024 * 1024, // bytes waiting on one connection, whatever they are
    GTV_RTSP_READ_BYTES = 256 * 1024,     // of the buffer that all connections read into
};

struct gtv_rtsp_server;

// Serves the node's paths, as options say (rtsp, rtspTransports, ...), which with the node outlive it. NULL
// with *err when it cannot listen.
struct gtv_rtsp_server *gtv_rtsp_server_create(struct gtv_loop *loop, struct gtv_node *node,
                                               const struct gtv_media_options *options,
                                               struct gtv_error *err) GTV_WARN_UNUSED;
int gtv_rtsp_server_port(const struct gtv_rtsp_server *s);
void gtv_rtsp_server_stop(struct gtv_rtsp_server *s); // no connection comes any more; all are ended
// Before the node; its memory goes with the loop's last turn. NULL is accepted.
void gtv_rtsp_server_destroy(struct gtv_rtsp_server *s);

#endif
