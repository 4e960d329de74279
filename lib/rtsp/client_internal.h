// What the client's files share: client.c (its life), client_talk.c (requests and answers), client_media.c
// (tracks and packets).
#ifndef GTV_RTSP_CLIENT_INTERNAL_H
#define GTV_RTSP_CLIENT_INTERNAL_H

#include "lib/av/av.h"
#include "lib/rtsp/client.h"
#include "lib/rtsp/depay.h"
#include "lib/rtsp/digest.h"
#include "lib/rtsp/link.h"
#include "lib/rtsp/udp.h"
#include "lib/video/feed.h"

enum {
    GTV_CLIENT_TRACKS = 2, // one of video, one of audio
    GTV_CLIENT_URL_MAX = 2048,
    GTV_CLIENT_REDIRECTS = 3,
    GTV_CLIENT_REPORT_MS = 5000, // between receiver reports (RFC 3550, 6.2: at least that)
};

enum gtv_client_phase {
    GTV_CLIENT_CONNECT,
    GTV_CLIENT_OPTIONS,
    GTV_CLIENT_DESCRIBE,
    GTV_CLIENT_SETUP,
    GTV_CLIENT_PLAY,
    GTV_CLIENT_PLAYING,
};

struct gtv_client_track {
    struct gtv_rtsp_client *client;
    struct gtv_sdp_track sdp; // its references are the client's
    bool video, raw, up, bye;
    int channel, report_channel; // interleaved
    struct gtv_udp_pair *udp;
    struct gtv_rtp_stream stream;
    struct gtv_depay depay;
};

struct gtv_rtsp_client {
    struct gtv_rtsp_client_config config; // its strings are the client's own, or not used after the start
    struct gtv_source_callbacks callbacks;
    void *arg;
    struct gtv_raw_audio raw;
    struct gtv_rtsp_member member;
    char *id; // of the log
    char fingerprint[80];
    struct gtv_log log;

    enum gtv_client_phase phase;
    bool dead;      // ended or stopped: nothing is told any more
    uv_idle_t life; // never started: the client is freed when it is closed, so below no callback of its own

    struct gtv_link *link;
    char *url;         // of the requests, without credentials
    char *base_url;    // of the controls
    char *session_url; // of PLAY and what keeps the session alive
    char user[256], pass[256];
    struct gtv_digest_challenge challenge;
    bool authorised;             // the running request has answered the challenge already
    bool redialled;              // for a camera that closes the connection with its challenge
    enum gtv_client_phase again; // of the request that the new connection begins with; CONNECT: none
    int redirects;
    int64_t cseq;
    char *retry; // the running request's own headers, to ask again with credentials
    const char *method;
    char *target;
    char session[128];
    int session_s;
    bool can_get_parameter, udp;

    size_t setting_up; // the track whose SETUP runs
    size_t track_count;
    struct gtv_client_track tracks[GTV_CLIENT_TRACKS];
    struct gtv_feed *feed;
    uint32_t ssrc; // of our reports

    int64_t deadline_ms, opened_ms, last_video_ms, next_keep_alive_ms, next_report_ms; // monotonic
    int64_t arrival_us, now_ms; // of what is being read
    uint64_t damaged_told;
    bool keyed, silent_told;
};

// ---- client.c ----
void gtv_client_note_time(struct gtv_rtsp_client *c); // of what is being read
void gtv_client_end(struct gtv_rtsp_client *c, const char *code, const char *text);
void gtv_client_end_with(struct gtv_rtsp_client *c, int averror);
bool gtv_client_dial(struct gtv_rtsp_client *c, struct gtv_str url); // also after a redirect
// The connection ended below a request with credentials: connects again and repeats it, once in the client's
// life. False when that is not to be done.
bool gtv_client_redial(struct gtv_rtsp_client *c);

// ---- client_talk.c ----
void gtv_client_begin(struct gtv_rtsp_client *c); // connected: the first request
void gtv_client_response(struct gtv_rtsp_client *c, const struct gtv_rtsp_message *m);
void gtv_client_request(struct gtv_rtsp_client *c, const struct gtv_rtsp_message *m); // the camera asks
void gtv_client_keep_alive(struct gtv_rtsp_client *c);
void gtv_client_teardown(struct gtv_rtsp_client *c);

// ---- client_media.c ----
// Chooses the tracks of a description; false when the client has ended for want of one.
bool gtv_client_choose(struct gtv_rtsp_client *c, struct gtv_sdp *sdp);
// The Transport header that is asked for; false when no ports are free.
bool gtv_client_ask_transport(struct gtv_rtsp_client *c, size_t i, char *out, size_t cap);
// What the camera made of it; false when it cannot be used.
bool gtv_client_take_transport(struct gtv_rtsp_client *c, size_t i, struct gtv_str header);
void gtv_client_start_media(struct gtv_rtsp_client *c); // before PLAY
void gtv_client_punch(struct gtv_rtsp_client *c);       // opens the way for UDP through firewalls
void gtv_client_frame(struct gtv_rtsp_client *c, uint8_t channel, struct gtv_str data);
void gtv_client_media_tick(struct gtv_rtsp_client *c);
void gtv_client_drop_track(struct gtv_rtsp_client *c, size_t i);
void gtv_client_finish_media(struct gtv_rtsp_client *c);

#endif
