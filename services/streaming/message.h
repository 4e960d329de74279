// What a client of live events gets: serialised and framed once, shared by all clients of all loops. And the
// queue of a client that reads slowly.
#ifndef GTV_STREAMING_MESSAGE_H
#define GTV_STREAMING_MESSAGE_H

#include "lib/base/bytes.h"
#include "lib/contract/event_id.h"

#include <stdatomic.h>

enum {
    GTV_TYPE_CAP = 33,              // of an event's type, with its NUL
    GTV_BACKLOG_BYTES = 256 * 1024, // frames waiting for one slow client
    GTV_BACKLOG_COUNT = 1024,       // and how many of them
};

struct gtv_message {
    atomic_uint refs;
    char *stream;                  // "" for what belongs to none
    char type[GTV_TYPE_CAP];       // "message" where the publisher gave none that can be shown
    bool coalesces;                // only the newest of its stream counts (status, figures)
    struct gtv_bytes *ws;          // one text frame
    struct gtv_str text;           // its payload
    struct gtv_bytes *ws_deflated; // the same, compressed; NULL: nobody wanted it, or it would not be smaller
    struct gtv_bytes *sse;         // one event of text/event-stream
};

// id NULL: an answer or a notice, which is no event. The JSON object has its id put in front. NULL without
// memory.
struct gtv_message *gtv_message_create(struct gtv_str stream, struct gtv_str type, const char *id,
                                       struct gtv_str json) GTV_WARN_UNUSED;
struct gtv_message *gtv_message_ref(struct gtv_message *m);
void gtv_message_unref(struct gtv_message *m); // NULL is accepted

// Makes ws_deflated, before the message is shared. d belongs to the calling thread.
struct gtv_ws_deflater;
void gtv_message_deflate(struct gtv_message *m, struct gtv_ws_deflater *d);
// The frame for a client with this window (gtv_ws_window_bits).
struct gtv_bytes *gtv_message_frame(const struct gtv_message *m, unsigned window_bits);

// {"type":"gap"...}: missed messages were dropped; since not NULL: how many went missing after that id is not
// known.
struct gtv_message *gtv_message_gap(uint64_t missed, const char *since) GTV_WARN_UNUSED;

// True when the comma-separated list (NULL: all) names the type.
bool gtv_types_want(const char *types, const char *type);

// ---- The queue of one slow client; bounded by GTV_BACKLOG_BYTES and GTV_BACKLOG_COUNT ----
// A message that coalesces replaces the one of its stream and type that waits; beyond the bounds the oldest
// of the others leave, and when only such are left, the oldest of them.
struct gtv_backlog;

struct gtv_backlog *gtv_backlog_create(void);
void gtv_backlog_destroy(struct gtv_backlog *b);
// Takes a reference; returns how many messages were dropped.
size_t gtv_backlog_push(struct gtv_backlog *b, struct gtv_message *m);
struct gtv_message *gtv_backlog_pop(struct gtv_backlog *b); // the oldest, with its reference; NULL when empty
size_t gtv_backlog_count(const struct gtv_backlog *b);

#endif
