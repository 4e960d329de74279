// Who is connected: the clients that the control API lists and can throw out. Each server registers its own
// here. Loop thread only.
#ifndef GTV_MEDIA_SESSIONS_H
#define GTV_MEDIA_SESSIONS_H

#include "services/media/name.h"

enum gtv_session_kind {
    GTV_SESSION_HLS,  // hlssessions
    GTV_SESSION_RTSP, // rtspsessions
    GTV_CONN_RTSP,    // rtspconns
    GTV_CONN_RTMP,    // rtmpconns
    GTV_SESSION_KINDS,
};

enum { GTV_UUID_CAP = 37 };

// Lives in its owner's struct, zeroed before it is filled. The owner sets what it knows, now or later, and
// keeps the counters up to date.
struct gtv_session {
    enum gtv_session_kind kind;
    char id[GTV_UUID_CAP];       // given by gtv_sessions_add
    int64_t created_ms;          // wall; given by gtv_sessions_add
    char remote[64];             // "192.0.2.1:50412", "[2001:db8::1]:50412"
    char path[GTV_NAME_MAX + 1]; // a valid name, or empty
    char query[256];             // without the question mark
    char user[64];               // that authenticated; empty: none
    char user_agent[160];        // HLS
    const char *state;           // "idle", "read", "publish"; NULL reads "idle". Static
    const char *transport;       // RTSP sessions: "UDP", "TCP"; NULL: not known yet. Static
    char session[GTV_UUID_CAP];  // RTSP connections: id of their session; empty: none
    bool is_cdn;                 // HLS
    uint64_t inbound_bytes, outbound_bytes;
    uint64_t rtp_received, rtp_sent, rtp_lost; // RTSP sessions: packets
    // Ends it; may call gtv_sessions_remove for any session. NULL: cannot be kicked.
    void (*kick)(void *arg);
    void *arg;
    // The registry's own.
    struct gtv_sessions *registry;
    struct gtv_session *next, **prev;
};

struct gtv_sessions;

struct gtv_sessions *gtv_sessions_create(void);
void gtv_sessions_destroy(struct gtv_sessions *r); // NULL is accepted; what is still listed is taken out

// Gives it a random UUID (version 4) and its time, and lists it. kind must be set.
void gtv_sessions_add(struct gtv_sessions *r, struct gtv_session *s);
void gtv_sessions_remove(struct gtv_session *s); // nothing when it is not listed

size_t gtv_sessions_count(const struct gtv_sessions *r, enum gtv_session_kind kind);
// In the order of their creation: NULL begins, NULL ends.
struct gtv_session *gtv_sessions_next(const struct gtv_sessions *r, enum gtv_session_kind kind,
                                      const struct gtv_session *after);
struct gtv_session *gtv_sessions_find(const struct gtv_sessions *r, enum gtv_session_kind kind,
                                      struct gtv_str id); // NULL: none

// A random UUID (RFC 9562, version 4) in lower case. Returns out.
const char *gtv_uuid_make(char out[GTV_UUID_CAP]);

#endif
