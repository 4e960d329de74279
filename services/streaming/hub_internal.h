// What hub.c and its two kinds of connection share.
#ifndef GTV_STREAMING_HUB_INTERNAL_H
#define GTV_STREAMING_HUB_INTERNAL_H

#include "services/streaming/hub.h"
#include "services/streaming/message.h"
#include "services/streaming/replay.h"

struct gtv_topic;

// One connection: either ws or req is set.
struct gtv_client {
    struct gtv_hub *hub;
    struct gtv_ws *ws;
    unsigned window_bits; // of its compressed frames; 0: it takes none
    struct gtv_http_request *req;
    struct gtv_topic *topic;
    struct gtv_client *prev, *next;
    struct gtv_client *slow_prev, *slow_next; // while it has a backlog
    char *types;                              // NULL: all
    struct gtv_backlog *backlog;              // NULL while it keeps up
    uint64_t missed;
    size_t seen_unacknowledged; // at the last look for a stall
    int64_t moved_ms;           // when something was last taken
    struct gtv_replay *replay;  // not yet live
    bool replay_here;           // the token is held by this loop
};

struct gtv_hub {
    struct gtv_worker *worker;
    struct gtv_map *topics;
    struct gtv_topic *everything, *dashboard;
    struct gtv_topic *due; // those with messages of this turn
    bool flush_posted;
    struct gtv_client *slow;
    struct gtv_ws_deflater *deflater; // made when the first client wants it
    struct gtv_timer *second;
    unsigned seconds;
    bool stopped;
    struct gtv_counter *m_sent, *m_skipped, *m_stalled;
};

// Registers the client of a request; NULL, and the request answered, when the stream or a parameter is
// invalid. Its connection is then set, and gtv_client_begin called.
struct gtv_client *gtv_client_create(struct gtv_hub *h, struct gtv_http_request *req,
                                     struct gtv_topic *topic);
void gtv_client_begin(struct gtv_client *c);
void gtv_client_drained(struct gtv_client *c); // its connection has nothing waiting
void gtv_client_free(struct gtv_client *c);
// The topic of the request's {stream*}; NULL, and the request answered, when it is none.
struct gtv_topic *gtv_hub_topic(struct gtv_hub *h, struct gtv_http_request *req);
bool gtv_hub_origin_ok(struct gtv_hub *h, struct gtv_http_request *req); // false: answered 403

// sse.c
size_t gtv_sse_pending(const struct gtv_client *c);
void gtv_sse_send(struct gtv_client *c, struct gtv_bytes *const *events, size_t n);
void gtv_sse_keep_alive(struct gtv_client *c);
enum { GTV_SSE_KEEP_ALIVE_S = 15 };

// clients.c: what a WebSocket client may ask
void gtv_client_said(struct gtv_client *c, struct gtv_str message);
struct gtv_message *gtv_client_snapshot(struct gtv_client *c);       // {"type":"status"...} of its stream
const char *gtv_topic_name(const struct gtv_topic *t);               // NULL: everything, or the dashboard
void gtv_client_answer(struct gtv_client *c, struct gtv_message *m); // takes the reference

#endif
