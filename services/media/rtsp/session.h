// The server's side of one RTSP connection and of the session in it (RFC 2326): it reads a path (PLAY) or
// brings one its stream (RECORD). Works on memory; what carries its bytes is a gtv_rtsp_wire. Loop thread
// only.
#ifndef GTV_MEDIA_RTSP_SESSION_H
#define GTV_MEDIA_RTSP_SESSION_H

#include "services/media/auth.h"
#include "services/media/path.h"
#include "services/media/rtsp/pay.h"
#include "services/media/sessions.h"

#include <sys/socket.h>

enum {
    GTV_RTSP_TRACKS_MAX = 8,              // of a session; a publisher's further ones are refused
    GTV_RTSP_FIRST_MS = 10000,            // until a connection's first request
    GTV_RTSP_SESSION_S = 60,              // without a sign of life, what does not flow over TCP is over
    GTV_RTSP_AUTH_DELAY_MS = 2000,        // until wrong credentials are answered, against guessing
    GTV_RTSP_AUTH_TRIES = 5,              // wrong credentials before the connection is closed
    GTV_RTSP_REPORT_MS = 5000,            // between sender reports
    GTV_RTSP_UDP_BURST = 96 * 1024,       // bytes that a new reader gets at once over UDP
    GTV_RTSP_QUEUE_MAX = 4 * 1024 * 1024, // bytes that a TCP reader has not taken: beyond it, it is skipped
};

struct gtv_rtsp_session;

// What all sessions of a server share; outlives them.
struct gtv_rtsp_env {
    // The path of this (checked and allowed) name; NULL: none.
    struct gtv_path *(*find)(void *arg, struct gtv_str name, bool publishes);
    void *arg;
    const struct gtv_auth *auth;
    struct gtv_sessions *sessions;
    bool tcp, udp, basic, digest;
    int rtp_port, rtcp_port;     // of our UDP sockets
    const double *stall_seconds; // longest silence of a publisher
    struct gtv_counter *auth_failures;
    struct gtv_pay_batch batch; // of whoever packs just now
};

struct gtv_rtsp_wire {
    // A response, or a frame: behind all that was written before. What cannot be written ends the session
    // later, by gtv_rtsp_session_destroy.
    void (*write)(void *arg, const void *bytes, size_t n);
    // Packets as interleaved frames; data and sets (NULL is accepted) are what their bodies are slices of.
    void (*write_packets)(void *arg, const struct gtv_pay_batch *batch, struct gtv_bytes *data,
                          struct gtv_bytes *sets);
    size_t (*queued)(void *arg); // bytes written and not taken by the peer yet
    // Over UDP: packets without their frame heads, and one RTCP packet. What is lost is lost.
    void (*send_packets)(void *arg, const struct gtv_pay_batch *batch, const struct sockaddr_storage *to);
    void (*send_rtcp)(void *arg, const void *bytes, size_t n, const struct sockaddr_storage *to);
    // Datagrams from this address, to our RTP or RTCP port, are for this session's track from now on. False
    // when somebody else has it, or there are too many.
    bool (*claim)(void *arg, const struct sockaddr_storage *from, bool rtcp, size_t track);
    void (*release)(void *arg); // all that was claimed
    void (*resume)(void *arg);  // give gtv_rtsp_session_data what it left over
    // The conversation is over: nothing more is given to the session; it is to be destroyed, later.
    void (*close)(void *arg);
};

// peer: the client's address; local: ours, of descriptions. Lists the connection.
struct gtv_rtsp_session *gtv_rtsp_session_create(struct gtv_rtsp_env *env, const struct gtv_rtsp_wire *wire,
                                                 void *arg, const struct sockaddr *peer,
                                                 const struct sockaddr *local, int64_t now_ms);
// Ends what it does (code and text: the cause that its path gets, if it published; text NULL: the client
// closed the connection) and frees it.
void gtv_rtsp_session_destroy(struct gtv_rtsp_session *s, const char *code, const char *text);

// Takes what it can use of data and returns how much that was; the rest comes again with what follows it, or
// when `resume` asks for it. At most gtv_rtsp_session_pending() bytes have to be kept.
size_t gtv_rtsp_session_data(struct gtv_rtsp_session *s, struct gtv_str data, int64_t now_ms);
size_t gtv_rtsp_session_pending(void);
void gtv_rtsp_session_datagram(struct gtv_rtsp_session *s, size_t track, bool rtcp, struct gtv_str data,
                               int64_t now_ms);
void gtv_rtsp_session_tick(struct gtv_rtsp_session *s, int64_t now_ms);         // every 100 ms or so
void gtv_rtsp_session_count(struct gtv_rtsp_session *s, size_t in, size_t out); // bytes on the connection

#endif
