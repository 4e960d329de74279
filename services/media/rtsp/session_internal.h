// What the session's files share: session.c (its life, requests), session_auth.c (credentials),
// session_play.c (readers), session_record.c (publishers).
#ifndef GTV_MEDIA_RTSP_SESSION_INTERNAL_H
#define GTV_MEDIA_RTSP_SESSION_INTERNAL_H

#include "lib/rtsp/depay.h"
#include "lib/rtsp/digest.h"
#include "lib/video/feed.h"
#include "services/media/dub.h"
#include "services/media/rtsp/session.h"

enum gtv_rtsp_phase {
    GTV_RTSP_IDLE,      // no session
    GTV_RTSP_PREPARED,  // SETUP for PLAY, or PAUSE
    GTV_RTSP_PLAYING,   //
    GTV_RTSP_ANNOUNCED, // ANNOUNCE, and SETUP for RECORD
    GTV_RTSP_RECORDING, //
};

// What became of a request.
enum gtv_rtsp_outcome {
    GTV_RTSP_DONE,
    GTV_RTSP_HELD, // it is handled again, from its beginning, once what it waits for is there
};

struct gtv_rtsp_session_track {
    struct gtv_rtsp_session *session;
    bool up;
    uint8_t channel, report_channel;             // TCP
    struct sockaddr_storage rtp_peer, rtcp_peer; // UDP
    struct gtv_pay pay;                          // PLAY
    bool used, video;                            // RECORD: a codec that this node carries
    bool raw;                                    // RECORD: audio that is transcoded
    struct gtv_rtp_stream stream;                // RECORD
    struct gtv_depay depay;                      // RECORD
};

struct gtv_rtsp_session {
    struct gtv_rtsp_env *env;
    const struct gtv_rtsp_wire *wire;
    void *wire_arg;
    struct gtv_log log;
    struct sockaddr_storage peer;
    char address[64];      // the peer's, without its port
    const char *local_any; // "0.0.0.0" or "::"
    struct gtv_session conn_row, row;

    enum gtv_rtsp_phase phase;
    bool dead, udp, in_data;
    unsigned busy;                 // media callbacks under way
    char id[GTV_UUID_CAP];         // of the session; a secret
    char name[GTV_NAME_MAX + 1];   // of the path of the session
    char base[GTV_RTSP_START_MAX]; // of the tracks' URLs, with a slash at its end
    int64_t now_ms, alive_ms;      // monotonic; alive: the last sign of life
    bool asked;                    // any request came

    // A request that is held.
    bool held, waited;        // waited: the answer of the path is there
    struct gtv_error refused; // and it is this, when its code is not GTV_OK
    struct gtv_path_wait wait;
    int64_t delay_ms; // wrong credentials are answered then; 0: none are
    // Credentials.
    bool delayed;
    unsigned tries;
    char nonce[GTV_UUID_CAP];
    int allowed_action; // -1: none
    char allowed_name[GTV_NAME_MAX + 1];

    size_t track_count;
    struct gtv_rtsp_session_track tracks[GTV_RTSP_TRACKS_MAX];

    // PLAY
    struct gtv_reader reader;
    struct gtv_format *format; // that was described; a reference
    bool skipping;
    uint64_t skipped;
    int64_t next_report_ms;

    // RECORD
    struct gtv_publisher publisher;
    struct gtv_sdp *sdp;
    struct gtv_feed *feed;
    struct gtv_dub *dub; // NULL: nothing is transcoded; its frames go to raw
    struct gtv_raw_audio raw;
    uint32_t ssrc; // of our reports
    int64_t arrival_us, media_ms, opened_ms;
    uint64_t damaged_told;
    bool keyed, silent_told, bye;
};

// ---- session.c ----
// Answers with this status; text (NULL is accepted) is a sentence for the client.
enum gtv_rtsp_outcome gtv_rtsp_answer(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m,
                                      int status, const char *text);
// The same in steps: begin, any headers, end.
void gtv_rtsp_answer_begin(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m, int status,
                           struct gtv_buf *out);
enum gtv_rtsp_outcome gtv_rtsp_answer_end(struct gtv_rtsp_session *s, struct gtv_buf *out, const char *type,
                                          struct gtv_str body);
enum gtv_rtsp_outcome gtv_rtsp_answer_error(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m,
                                            const struct gtv_error *why);
// Begins a session on this path (listed from now on), unless there is one.
void gtv_rtsp_open(struct gtv_rtsp_session *s, const char *name);
// Ends the session, not the connection.
void gtv_rtsp_leave(struct gtv_rtsp_session *s, const char *code, const char *text);
void gtv_rtsp_end(struct gtv_rtsp_session *s, const char *code, const char *text); // and the connection
// The connected path of this name. NULL: answered, or held (*outcome).
struct gtv_path *gtv_rtsp_need_path(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m,
                                    const char *name, enum gtv_rtsp_outcome *outcome);

// ---- session_auth.c ----
// True: go on. False: answered, or held (*outcome).
bool gtv_rtsp_authorise(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m, enum gtv_action action,
                        const char *name, enum gtv_rtsp_outcome *outcome);

// ---- session_play.c ----
enum gtv_rtsp_outcome gtv_rtsp_describe(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m,
                                        const char *name);
enum gtv_rtsp_outcome gtv_rtsp_setup_play(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m,
                                          const char *name);
enum gtv_rtsp_outcome gtv_rtsp_play(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m);
void gtv_rtsp_play_stop(struct gtv_rtsp_session *s); // no packet follows
void gtv_rtsp_play_tick(struct gtv_rtsp_session *s);
// SETUP of track i by the Transport header. True: up, and *out (of cap bytes) is the header of the response,
// without ssrc. False: answered.
bool gtv_rtsp_setup_transport(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m, size_t i,
                              bool record, char *out, size_t cap);

// ---- session_record.c ----
enum gtv_rtsp_outcome gtv_rtsp_announce(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m,
                                        const char *name);
enum gtv_rtsp_outcome gtv_rtsp_setup_record(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m);
enum gtv_rtsp_outcome gtv_rtsp_record(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m);
void gtv_rtsp_record_stop(struct gtv_rtsp_session *s, const char *code, const char *text);
void gtv_rtsp_record_packet(struct gtv_rtsp_session *s, size_t track, bool rtcp, struct gtv_str data);
void gtv_rtsp_record_tick(struct gtv_rtsp_session *s);

#endif
