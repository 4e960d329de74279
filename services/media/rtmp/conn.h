// One RTMP connection: handshake, commands, publishing. server.c owns its socket and its memory.
#ifndef GTV_MEDIA_RTMP_CONN_H
#define GTV_MEDIA_RTMP_CONN_H

#include "services/media/node.h"
#include "services/media/rtmp/chunk.h"
#include "services/media/rtmp/flv.h"

enum {
    GTV_RTMP_HANDSHAKE = 1536, // bytes of C1, C2, S1 and S2
    GTV_RTMP_NAME_MAX = 1024,  // bytes of an application's and of a stream's name, with their queries
};

enum gtv_rtmp_state {
    GTV_RTMP_C0_C1,   // waiting for the client's version and random bytes
    GTV_RTMP_C2,      // ... and for its echo of ours
    GTV_RTMP_IDLE,    // commands
    GTV_RTMP_PUBLISH, // a path takes what comes
    GTV_RTMP_REFUSED, // an answer waits, against guessing; nothing is read any more
    GTV_RTMP_LEAVING, // told so; the client may read it and hang up
    GTV_RTMP_CLOSED,
};

struct gtv_rtmp_server;

struct gtv_rtmp_conn {
    uv_tcp_t tcp;
    struct gtv_rtmp_server *server;
    struct gtv_rtmp_conn *next, **prev;
    struct gtv_node *node;
    struct gtv_counter *auth_failures;
    struct gtv_log log;
    int64_t stall_ms;

    enum gtv_rtmp_state state;
    int64_t began_ms, last_video_ms, due_ms; // monotonic; due: of REFUSED and LEAVING
    uint8_t handshake[GTV_RTMP_HANDSHAKE + 1];
    size_t handshake_len;
    struct gtv_chunks *chunks;
    uint32_t ack_window, received, acked; // bytes; they wrap
    struct gtv_session session;
    struct gtv_publisher publisher;
    struct gtv_flv flv;
    uint64_t damaged;
    bool keyed, silent_told;
    char app[GTV_RTMP_NAME_MAX + 1];
    char refusal_code[48], refusal[GTV_NAME_MAX + 160];
    struct gtv_source_end end; // why it ends, for the path
};

void gtv_rtmp_conn_init(struct gtv_rtmp_conn *c, int64_t now_ms);
// Leaves the path and the list; the socket is closed by then.
void gtv_rtmp_conn_finish(struct gtv_rtmp_conn *c);
void gtv_rtmp_conn_data(struct gtv_rtmp_conn *c, struct gtv_str data);
void gtv_rtmp_conn_tick(struct gtv_rtmp_conn *c, int64_t now_ms); // a few times a second

// server.c: what a connection does to its socket.
void gtv_rtmp_conn_write(struct gtv_rtmp_conn *c, struct gtv_str data);
void gtv_rtmp_conn_close(struct gtv_rtmp_conn *c); // nothing when it is closed

#endif
