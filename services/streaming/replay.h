// What a client missed while it was away: read from the Redis stream in chunks on the control loop, given on
// the client's loop, and joined to the live events without a hole or a duplicate.
//
// A token travels between the two loops; only one of them holds it at a time. Live events pass a client over
// until its replay has reached the point up to which the tail has handed events out; the same post that
// brings the last chunk makes the client live, and later events are posted after it.
#ifndef GTV_STREAMING_REPLAY_H
#define GTV_STREAMING_REPLAY_H

#include "services/streaming/app.h"
#include "services/streaming/message.h"

enum {
    GTV_REPLAY_CHUNK = 64,    // events read at once for one client
    GTV_REPLAYS_AT_ONCE = 16, // being read from Redis; others wait in line
};

struct gtv_client;

struct gtv_replay {
    struct gtv_worker *worker;
    struct gtv_client *client; // NULL once it left; the worker's loop only
    struct gtv_replay *next;   // in the line of the control loop
    char *stream, *types;      // NULL: all
    char since[64];
    struct gtv_event_id last;    // up to here it has been given
    struct gtv_event_id at_send; // where the tail was when the chunk was asked for
    struct gtv_message *chunk[GTV_REPLAY_CHUNK];
    size_t count;
    unsigned waits;
    bool begun, gap, live;
};

// On the client's loop: false (and nothing begun) when since is no id. "0" stands for all that is kept.
struct gtv_replay *gtv_replay_create(struct gtv_worker *worker, struct gtv_client *client, const char *stream,
                                     const char *types, struct gtv_str since) GTV_WARN_UNUSED;
void gtv_replay_free(struct gtv_replay *r); // by whichever loop holds it
// Hands the token to the control loop for its next chunk; false: it stays here.
bool gtv_replay_next(struct gtv_replay *r) GTV_WARN_UNUSED;

// The control loop's side.
struct gtv_replays;
struct gtv_replays *gtv_replays_create(struct gtv_control *c);
void gtv_replays_destroy(struct gtv_replays *all); // after Redis was destroyed

#endif
