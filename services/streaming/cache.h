// L1: whole answers of the media node in this process's memory, shared by all loops.
//
// An entry is FILLING (one fetch runs, however many wait), then READY or FAILED; it never goes back. A failed
// or expired entry is replaced by a new one, which keeps the expired one at hand while it is FILLING: to be
// confirmed by the node (304), served meanwhile (stale-while-revalidate), or served instead (stale-if-error),
// in which case it returns to its place. The bytes are bounded; what goes first is chosen by SIEVE
// (Zhang, Yang, Yue, Vigfusson and Rashmi, "SIEVE is Simpler than LRU", NSDI 2024), where a hit only sets a
// flag.
//
// Locks: a shard's lock guards its map and is held for one look-up; the queue's lock guards the order of
// eviction and the sum of the bytes and is taken when an answer is stored or dropped; an entry's lock guards
// what its comments say. No two are ever held together, and none while a socket is written.
#ifndef GTV_STREAMING_CACHE_H
#define GTV_STREAMING_CACHE_H

#include "lib/base/bytes.h"
#include "lib/http/server.h"
#include "services/streaming/options.h"

#include <pthread.h>

enum gtv_entry_state { GTV_ENTRY_FILLING, GTV_ENTRY_READY, GTV_ENTRY_FAILED };

// A part of an answer that is still arriving. The list only grows; readers follow `next` without a lock.
struct gtv_piece {
    struct gtv_bytes *bytes;
    _Atomic(struct gtv_piece *) next;
};

struct gtv_waiter;
struct gtv_cuts;

enum {
    GTV_ENTRY_TAG_CAP = 128,      // an entity tag that is longer is not kept
    GTV_STALE_RETRY_MS = 1000,    // between two tries to reach a node that is down
    GTV_STALE_CONFIRM_MS = 60000, // an answer with the node's validators is kept that long to be confirmed
};

// The header fields of an answer as clients get them; one block with all they point to.
struct gtv_entry_head {
    struct gtv_http_header *fields;
    size_t n, bytes;
};
// Copies; h was empty.
void gtv_entry_head_set(struct gtv_entry_head *h, const struct gtv_http_header *fields, size_t n);

// How an answer may be used, in ms.
struct gtv_entry_life {
    int64_t fresh_ms;            // from now on; 0: it is handed to those who wait, and not kept
    int64_t age_ms;              // it had when it came
    int64_t while_revalidate_ms; // past its life, while a fetch runs
    int64_t if_error_ms;         // past its life, while the node is down
};

struct gtv_entry {
    atomic_uint refs;
    char *key; // "cam_1/seg7.ts"
    size_t stream_len;
    bool is_playlist;
    atomic_int state; // enum gtv_entry_state
    struct gtv_entry
        *stale;     // READY and expired, a reference; taken out under the shard's lock when e is READY
    bool use_stale; // e is FAILED, and stale is to be served for it

    // What the request that began the fetch said, as far as it went on to the node; written before the fetch
    // begins. Read by other loops only where `vary` says so.
    struct gtv_entry_head asked;

    // Written by the filling loop before head_done, or before READY, is set; constant afterwards. What is
    // written before head_done is not written again before READY: waiters read it in between.
    atomic_bool head_done;
    int status;                                                     // of the answer; 200 when head_done
    char *vary;                                                     // names of asked that count; NULL: none
    struct gtv_entry_head head;                                     // when head_done
    int64_t begin_age_s;                                            // when head_done: its age when it began
    struct gtv_entry_head whole;                                    // when READY
    char etag[GTV_ENTRY_TAG_CAP], last_modified[GTV_ENTRY_TAG_CAP]; // when READY; empty: none
    bool validators;                 // these two are the node's: it can be asked whether they still hold
    int64_t content_length;          // as the node announced it, when head_done; -1: it did not
    struct gtv_bytes *body;          // when READY
    int64_t fetched_ms;              // monotonic; when it had the age of 0
    struct gtv_entry_life life;      // when READY
    atomic_llong expires_ms;         // grows while playlists name the segment
    atomic_llong retry_ms;           // past its life it is served without asking the node until then
    _Atomic(struct gtv_cuts *) cuts; // of a playlist: where its URIs end; made by the first who needs them
    struct gtv_error error;          // when FAILED

    // While FILLING, and after it until the last waiting loop has read them.
    _Atomic(struct gtv_piece *) pieces;
    struct gtv_piece *last_piece; // the filling loop's

    pthread_mutex_t lock;
    uint32_t waiting; // loops with waiters (lock)
    uint32_t woken;   // of these, the ones that a wake-up is already on its way to (lock)
    struct gtv_waiter *waiters[GTV_WORKERS_MAX]; // each its own loop's alone

    // Order of eviction (the queue's lock); visited is set by hits.
    atomic_bool visited;
    bool queued;
    size_t charge;
    struct gtv_entry *newer, *older;
};

struct gtv_cache;

struct gtv_cache *gtv_cache_create(size_t max_bytes);
void gtv_cache_set_max(struct gtv_cache *c, size_t max_bytes); // any thread; the next store evicts down to it
void gtv_cache_destroy(struct gtv_cache *c);

enum gtv_cache_result {
    GTV_CACHE_HIT,   // *out is READY and fresh
    GTV_CACHE_STALE, // *out is READY and past its life, and may be served; *fill may be given
    GTV_CACHE_JOIN,  // *out is being filled by somebody
    GTV_CACHE_FILL,  // *out is new, and *fill the same
};
// key: "<stream>/<file>", stream_len bytes of it are the stream. *out carries a reference for the caller.
// *fill, where it is not NULL, is an entry with another reference that the caller must bring to READY or
// FAILED. Any thread.
enum gtv_cache_result gtv_cache_lookup(struct gtv_cache *c, struct gtv_str key, size_t stream_len,
                                       bool is_playlist, int64_t now_ms, struct gtv_entry **out,
                                       struct gtv_entry **fill);

// FILLING, with one reference. For the cache.
struct gtv_entry *gtv_entry_create(struct gtv_str key, size_t stream_len, bool is_playlist) GTV_WARN_UNUSED;
void gtv_entry_ref(struct gtv_entry *e);
void gtv_entry_unref(struct gtv_entry *e); // NULL is accepted

// For the filling loop. Takes over the reference to bytes.
void gtv_entry_append(struct gtv_entry *e, struct gtv_bytes *bytes);
// e becomes READY with this body (the reference is taken over) and counts against the limit; others are
// evicted until it fits. A body larger than the limit is handed to those who wait and not kept.
void gtv_cache_store(struct gtv_cache *c, struct gtv_entry *e, struct gtv_bytes *body, int64_t now_ms,
                     const struct gtv_entry_life *life);
// e becomes FAILED and is forgotten: the next look-up fetches anew. down: the node is down (it did not say
// no): where e's stale answer may still be served, use_stale is set, and the answer is back in its place for
// GTV_STALE_RETRY_MS.
void gtv_cache_fail(struct gtv_cache *c, struct gtv_entry *e, const struct gtv_error *err, bool down,
                    int64_t now_ms);
// Whether gtv_cache_fail would set use_stale. For the filling loop.
bool gtv_cache_has_stale(const struct gtv_entry *e, int64_t now_ms);
// e, which is FILLING, shall not be confirmed by, or replaced with, what it replaces: that is another
// variant.
void gtv_cache_forget_stale(struct gtv_cache *c, struct gtv_entry *e);
// A new entry under the key, FILLING, in place of what is there; a fetch that runs goes on for those who
// wait. Two references: the caller's as a reader, and the one that must be brought to READY or FAILED.
struct gtv_entry *gtv_cache_replace(struct gtv_cache *c, struct gtv_str key, size_t stream_len,
                                    bool is_playlist) GTV_WARN_UNUSED;
// Forgets what is stored under the key; a fetch that runs goes on for those who wait.
void gtv_cache_drop(struct gtv_cache *c, struct gtv_str key);
// Frees the pieces; for the last waiting loop of an entry that is no longer FILLING.
void gtv_entry_drop_pieces(struct gtv_entry *e);

// A READY entry that is named by a playlist lives at least until then.
void gtv_cache_extend(struct gtv_cache *c, struct gtv_str key, int64_t until_ms);

// Whether a READY answer that is not past its life is stored under the key.
bool gtv_cache_has(struct gtv_cache *c, struct gtv_str key, int64_t now_ms);

// Drops what has expired and may not be served or confirmed past that. Called every few seconds from one
// loop.
void gtv_cache_sweep(struct gtv_cache *c, int64_t now_ms);
size_t gtv_cache_bytes(struct gtv_cache *c);
size_t gtv_cache_count(struct gtv_cache *c);

#endif
