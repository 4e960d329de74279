// Who watches what. A viewer is a playback session: a token in the URIs of the playlists it was given, or
// what the client itself calls its session (?session=). It is alive for 3 target durations after its last
// request.
//
// A client that asks without a session: each multivariant playlist begins a new one, except that one whose
// token has not come back for a second is given again to the same address and user agent; whoever asks for
// media playlists and segments without a session is known by its address and user agent.
//
// A stall is a segment that was asked for later than all that was asked for before could last: each segment
// adds its duration (the mean of the playlist's) to what the session can still play. A part of Low-Latency
// HLS makes it playable for one target duration from then. A pause looks the same.
//
// Any thread; a request holds one of 16 locks for one look-up.
#ifndef GTV_STREAMING_VIEWERS_H
#define GTV_STREAMING_VIEWERS_H

#include "services/streaming/session.h"

enum {
    GTV_VIEWER_AGENT_MAX = 160, // bytes of the user agent that are kept
    GTV_VIEWER_ADDRESS_CAP = 64,
    GTV_VIEWERS_PER_STREAM = 20000, // of this process, and of all others together
    GTV_VIEWED_STREAMS = 4096,      // beyond it streams are served, but not counted
    GTV_KICK_CLIENT_MS = 60000,     // a client that was ended begins nothing new in the stream for so long
};

struct gtv_viewer {
    char id[GTV_SESSION_ID_CAP];
    char address[GTV_VIEWER_ADDRESS_CAP];
    char agent[GTV_VIEWER_AGENT_MAX + 1];
    int64_t since_ms, last_ms; // monotonic
    uint64_t bytes, requests;
    uint64_t stalls, stalled_ms;
};

struct gtv_viewed_stream {
    size_t viewers, peak; // of all replicas
    uint64_t bytes;       // sent since the processes started, of all replicas
    uint64_t requests, hits;
    uint64_t bitrate;              // bits a second, the mean of the last 10 s, of this process
    unsigned target_ms, window_ms; // of the last playlist read
};

// What a minute held, of this process but for the viewers.
struct gtv_viewed_minute {
    uint32_t viewers_max;
    uint64_t viewer_seconds;
    uint64_t bytes, requests, hits;
};

enum gtv_viewer_ask { GTV_ASK_INDEX, GTV_ASK_PLAYLIST, GTV_ASK_SEGMENT, GTV_ASK_PART };

struct gtv_viewer_request {
    struct gtv_str stream, file;
    struct gtv_str session; // as in the query, may be empty or nonsense
    struct gtv_str address, agent;
    struct gtv_str grant; // the token of the URL that let it in, or empty
    enum gtv_viewer_ask ask;
    size_t bytes; // that the answer will have
    bool hit;     // answered out of the cache
    int64_t now_ms;
};

enum gtv_viewer_answer {
    GTV_VIEWER_OK,
    GTV_VIEWER_FULL,   // a new viewer of a full stream
    GTV_VIEWER_KICKED, // ended by an operator
};

struct gtv_viewers;

// max_per_stream: a new viewer beyond it is refused. signed_only: only tokens of ours count as a session.
// sessions must live longer.
struct gtv_viewers *gtv_viewers_create(size_t max_per_stream, bool signed_only,
                                       struct gtv_sessions *sessions);
void gtv_viewers_set_max(struct gtv_viewers *v, size_t max_per_stream); // any thread; nobody is sent away
void gtv_viewers_destroy(struct gtv_viewers *v);

// Counts a request. token: what the URIs of the playlist shall carry; "" when the stream cannot be counted.
enum gtv_viewer_answer gtv_viewers_touch(struct gtv_viewers *v, const struct gtv_viewer_request *r,
                                         char token[GTV_SESSION_TEXT_MAX + 1]) GTV_WARN_UNUSED;
// Counts what was sent after the request was admitted.
void gtv_viewers_add_bytes(struct gtv_viewers *v, const struct gtv_viewer_request *r, size_t bytes);
// Whether this session is watching the stream now.
bool gtv_viewers_has(struct gtv_viewers *v, struct gtv_str stream, struct gtv_str session, int64_t now_ms);
// What the stream's newest playlist says: its target duration, and how much time its segments cover.
void gtv_viewers_set_window(struct gtv_viewers *v, struct gtv_str stream, unsigned target_ms,
                            unsigned window_ms);
// The mean duration of its segments; until it is known the target duration is taken.
void gtv_viewers_set_segment(struct gtv_viewers *v, struct gtv_str stream, unsigned segment_ms);

// Zeroed for a stream that nobody watched.
struct gtv_viewed_stream gtv_viewers_stream(struct gtv_viewers *v, struct gtv_str stream, int64_t now_ms);
// Of all streams. peak is the largest sum that a round of gtv_viewers_prune saw.
struct gtv_viewed_stream gtv_viewers_all(struct gtv_viewers *v, int64_t now_ms);
void gtv_viewers_total(struct gtv_viewers *v, int64_t now_ms, size_t *viewers, uint64_t *bytes);
// Calls fn for each viewer of the stream, those of other replicas too, with a lock held: fn only copies. At
// most max.
void gtv_viewers_list(struct gtv_viewers *v, struct gtv_str stream, int64_t now_ms, size_t max,
                      void (*fn)(void *arg, const struct gtv_viewer *viewer), void *arg);
// Ends the session with this id: also at other replicas within seconds, by the names that sessions keep as
// kicked. False when no such session watches here or there.
bool gtv_viewers_kick(struct gtv_viewers *v, struct gtv_str stream, struct gtv_str id, int64_t now_ms,
                      int64_t wall_ms) GTV_WARN_UNUSED;
// Ends what another replica's operator kicked.
void gtv_viewers_apply_kicks(struct gtv_viewers *v, int64_t wall_ms);

// Forgets those who left, and takes the figures of this second. Called every second from one loop.
void gtv_viewers_prune(struct gtv_viewers *v, int64_t now_ms);
// Calls fn for each stream that had a request or a viewer since the last call, and for all together (name
// "*"), and begins a new minute. Called from one loop; fn runs without a lock.
void gtv_viewers_take_minute(struct gtv_viewers *v,
                             void (*fn)(void *arg, struct gtv_str stream, const struct gtv_viewed_minute *m),
                             void *arg);
// The minute that runs, of a stream or of all ("*"); zeroed when there is nothing.
void gtv_viewers_peek_minute(struct gtv_viewers *v, struct gtv_str stream, struct gtv_viewed_minute *out);

// ---- Other replicas: all on one loop ----
// Calls fn for each stream with this process's sums, then for each of its viewers; with a lock held.
void gtv_viewers_each_local(struct gtv_viewers *v, int64_t now_ms,
                            void (*stream)(void *arg, struct gtv_str name, const struct gtv_viewed_stream *s),
                            void (*viewer)(void *arg, const struct gtv_viewer *viewer), void *arg);
// A round: begin, what each replica says of each stream, end. What a round did not name is forgotten.
void gtv_viewers_remote_begin(struct gtv_viewers *v);
void gtv_viewers_remote_stream(struct gtv_viewers *v, struct gtv_str stream,
                               const struct gtv_viewed_stream *sums);
void gtv_viewers_remote_viewer(struct gtv_viewers *v, struct gtv_str stream, const struct gtv_viewer *viewer);
void gtv_viewers_remote_end(struct gtv_viewers *v);

#endif
