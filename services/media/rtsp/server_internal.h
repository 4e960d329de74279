// What the server's files share: server.c (listener, connections), server_udp.c (the two UDP sockets).
#ifndef GTV_MEDIA_RTSP_SERVER_INTERNAL_H
#define GTV_MEDIA_RTSP_SERVER_INTERNAL_H

#include "lib/base/map.h"
#include "services/media/rtsp/server.h"
#include "services/media/rtsp/session.h"

#include <netinet/in.h>

struct gtv_rtsp_conn;

// Where datagrams from one address go.
struct gtv_rtsp_claim {
    struct gtv_rtsp_conn *conn;
    size_t track;
    bool rtcp;
    struct gtv_rtsp_claim *next; // of the same connection
    char key[24];
};

struct gtv_rtsp_conn {
    struct gtv_rtsp_server *server;
    uv_tcp_t tcp;
    struct gtv_rtsp_session *session;
    struct gtv_buf kept; // what the session left over
    struct gtv_rtsp_claim *claims;
    bool closing, shut, ended; // closing: the session is over; ended: the handle is being closed
    bool reading;              // in the middle of what came
    int64_t close_ms;
    uint64_t written, taken; // bytes in all; taken: by the peer, as of the last tick
    int64_t taken_ms;        // when it took some
    struct gtv_rtsp_conn *next, **prev;
};

struct gtv_rtsp_server {
    struct gtv_rtsp_env env;
    struct gtv_loop *loop;
    struct gtv_node *node;
    struct gtv_log log;
    uv_tcp_t listener;
    uv_udp_t udp[2]; // RTP, RTCP
    int udp_fd[2];
    int port;
    size_t handles; // not closed yet, connections' apart
    bool stopped, destroyed;
    struct gtv_rtsp_conn *conns;
    size_t conn_count;
    struct gtv_timer *tick;
    struct gtv_map *claims;
    char *buffer;
    uv_buf_t *pieces; // of the packets that are being written
    size_t piece_cap;
    bool full_told;
    struct gtv_counter *lost; // datagrams that the kernel did not take
};

void gtv_rtsp_handle_closed(uv_handle_t *handle); // counts the server's handles

// ---- server_udp.c ----
bool gtv_rtsp_udp_open(struct gtv_rtsp_server *s, const char *hosts[2], const int64_t ports[2],
                       struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_rtsp_udp_close(struct gtv_rtsp_server *s);
void gtv_rtsp_udp_packets(void *arg, const struct gtv_pay_batch *batch, const struct sockaddr_storage *to);
void gtv_rtsp_udp_rtcp(void *arg, const void *bytes, size_t n, const struct sockaddr_storage *to);
bool gtv_rtsp_udp_claim(void *arg, const struct sockaddr_storage *from, bool rtcp, size_t track);
void gtv_rtsp_udp_release(void *arg);

#endif
