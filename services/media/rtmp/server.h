// An RTMP server that takes publishers: cameras and encoders that push H.264 or H.265 (Enhanced RTMP) with
// AAC or Opus. Reading over RTMP is refused with a clear status. Loop thread only.
#ifndef GTV_MEDIA_RTMP_SERVER_H
#define GTV_MEDIA_RTMP_SERVER_H

#include "services/media/node.h"

struct gtv_rtmp_server;

enum {
    GTV_RTMP_CONNS_MAX = 2000, // connections; another one is closed at once
};

// Listens on host and port (0 takes a free one). stall_ms: publishers without a picture for so long are cut
// off. node and metrics outlive it. NULL with *err.
struct gtv_rtmp_server *gtv_rtmp_server_create(struct gtv_loop *loop, struct gtv_node *node, const char *host,
                                               int port, int64_t stall_ms,
                                               struct gtv_error *err) GTV_WARN_UNUSED;
int gtv_rtmp_server_port(const struct gtv_rtmp_server *s);
// Cuts every connection and takes no more. Safe to call twice.
void gtv_rtmp_server_stop(struct gtv_rtmp_server *s);
// Cuts every connection; its memory goes when the loop has closed the sockets. Before the node is destroyed.
// NULL is accepted.
void gtv_rtmp_server_destroy(struct gtv_rtmp_server *s);

#endif
