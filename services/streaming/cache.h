// L1: whole answers of the media node in this process's memory, shared by all loops.
//
// An entry is FILLING (one fetch runs, however many wait), then READY or FAILED; it never goes back. A failed
// or expired entry is replaced by a new one. The bytes are bounded; what goes first is chosen by SIEVE
// (Zhang, Yang, Yue, Vigfusson and Rashmi, "SIEVE is Simpler than LRU", NSDI 2024), where a hit only sets a
// flag.
//
// Locks: a shard's lock guards its map and is held for one look-up; the queue's lock guards the order of
// eviction and the sum of the bytes and is taken when an answer is stored or dropped; an entry's lock guards
// what its comments say. No two are ever held together, and none while a socket is written.
#ifndef GTV_STREAMING_CACHE_H
#define GTV_STREAMING_CACHE_H

#include "lib/base/bytes.h"
#include "services/streaming/options.h"

#include <pthread.h>

enum gtv_entry_state { GTV_ENTRY_FILLING, GTV_ENTRY_READY, GTV_ENTRY_FAILED };

// A part of an answer that is still arriving. The list only grows; readers follow `next` without a lock.
struct gtv_piece {
    struct gtv_bytes *bytes;
    _Atomic(struct gtv_piece *) next;
};

struct gtv_waiter;

struct gtv_entry {
    atomic_uint refs;
    char *key; // "cam_1/seg7.ts"
    size_t stream_len;
    bool is_playlist;
    atomic_int state; // enum gtv_entry_state

    // Written by the filling loop before head_done, or before READY, is set; constant afterwards.
    atomic_bool head_done;
    char content_type[64];
    int64_t content_length;  // -1: unknown until READY
    struct gtv_bytes *body;  // when READY
    int64_t fetched_ms;      // monotonic
    atomic_llong expires_ms; // grows while playlists name the segment
    struct gtv_error error;  // when FAILED

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
void gtv_cache_destroy(struct gtv_cache *c);

enum gtv_cache_result {
    GTV_CACHE_HIT,  // *out is READY and fresh
    GTV_CACHE_JOIN, // *out is being filled by somebody
    GTV_CACHE_FILL, // *out is new: the caller must bring it to READY or FAILED
};
// key: "<stream>/<file>", stream_len bytes of it are the stream. *out carries a reference for the caller. Any
// thread.
enum gtv_cache_result gtv_cache_lookup(struct gtv_cache *c, struct gtv_str key, size_t stream_len,
                                       bool is_playlist, int64_t now_ms, struct gtv_entry **out);

// FILLING, with one reference. For the cache.
struct gtv_entry *gtv_entry_create(struct gtv_str key, size_t stream_len, bool is_playlist) GTV_WARN_UNUSED;
void gtv_entry_ref(struct gtv_entry *e);
void gtv_entry_unref(struct gtv_entry *e); // NULL is accepted

// For the filling loop. Takes over the reference to bytes.
void gtv_entry_append(struct gtv_entry *e, struct gtv_bytes *bytes);
// e becomes READY with this body (the reference is taken over) and counts against the limit; others are
// evicted until it fits. A body larger than the limit is handed to those who wait and not kept. life_ms 0:
// likewise.
void gtv_cache_store(struct gtv_cache *c, struct gtv_entry *e, struct gtv_bytes *body, int64_t now_ms,
                     int64_t life_ms);
// e becomes FAILED and is forgotten: the next look-up fetches anew.
void gtv_cache_fail(struct gtv_cache *c, struct gtv_entry *e, const struct gtv_error *err);
// Frees the pieces; for the last waiting loop of an entry that is no longer FILLING.
void gtv_entry_drop_pieces(struct gtv_entry *e);

// A READY entry that is named by a playlist lives at least until then.
void gtv_cache_extend(struct gtv_cache *c, struct gtv_str key, int64_t until_ms);

// Drops what has expired. Called every few seconds from one loop.
void gtv_cache_sweep(struct gtv_cache *c, int64_t now_ms);
size_t gtv_cache_bytes(struct gtv_cache *c);
size_t gtv_cache_count(struct gtv_cache *c);

#endif
