// L2: segments, parts and init files in Redis, shared by replicas. Behind L1: it is asked only by a fetch,
// which waits for it at most GTV_L2_LIMIT_MS and then goes to the media node; whole answers are stored
// without anybody waiting for it. Redis that is away, slow or full costs nothing but these hits.
//
// Kept are whole 200s without Vary that may be shared, for as long as they are fresh: `gtv:hls:<key>`, a
// string (l2_text.c). Of replicas that miss the same file at once, the one that sets `gtv:hls:lock:<key>`
// fetches it; the others look again for GTV_L2_WAIT_MS, and then fetch too. A part of low latency is never
// waited for.
//
// One for each loop, with a connection of its own; all calls on that loop.
#ifndef GTV_STREAMING_L2_H
#define GTV_STREAMING_L2_H

#include "services/streaming/app.h"
#include "services/streaming/cache.h"

enum {
    GTV_L2_LIMIT_MS = 50, // for an answer of Redis; then it is left alone for GTV_L2_REST_MS
    GTV_L2_REST_MS = 1000,
    GTV_L2_WAIT_MS = 300,                // for the replica that fetches already
    GTV_L2_OBJECT_MAX = 8 * 1024 * 1024, // larger ones are not stored
    GTV_L2_UNSENT_MAX =
        32 * 1024 * 1024,     // bytes that Redis has not confirmed, per loop; beyond it none are stored
    GTV_L2_LIFE_MIN_MS = 500, // what lives shorter is not worth it
};

// What Redis gave. The slices live until the callback returns.
struct gtv_l2_answer {
    struct gtv_http_header fields[64];
    size_t n;
    struct gtv_str body;
    struct gtv_entry_life life; // from now on
    bool validators;
};

// The stored form; pure. wall_ms: the wall clock, by which replicas agree about ages. encode returns NULL
// without memory.
struct gtv_bytes *gtv_l2_encode(const struct gtv_entry *e, int64_t mono_ms, int64_t wall_ms) GTV_WARN_UNUSED;
// False when it cannot be read or is no longer fresh. Slices of text.
bool gtv_l2_decode(struct gtv_str text, int64_t wall_ms, struct gtv_l2_answer *out) GTV_WARN_UNUSED;

struct gtv_l2;
struct gtv_l2_get;

struct gtv_l2 *gtv_l2_create(struct gtv_worker *worker); // NULL unless GTV_L2 is set
void gtv_l2_destroy(struct gtv_l2 *l2);                  // NULL is accepted; nobody is called back

// Asks for the key. fn is called once, later: with NULL where the file must be fetched. NULL, and no call,
// where there is no use in asking. l2 may be NULL.
struct gtv_l2_get *gtv_l2_get(struct gtv_l2 *l2, const char *key,
                              void (*fn)(void *arg, const struct gtv_l2_answer *answer), void *arg);
void gtv_l2_get_cancel(struct gtv_l2_get *g); // NULL is accepted; fn is not called any more

// Forgets what is stored under the key, without waiting for it. l2 may be NULL.
void gtv_l2_drop(struct gtv_l2 *l2, const char *key);

// Stores e, which is READY, where it may be. l2 may be NULL.
void gtv_l2_put(struct gtv_l2 *l2, const struct gtv_entry *e);

#endif
