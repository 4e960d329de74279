// The watch-list that all ai programs share: kept in Redis, followed live, asked for every plate that is
// read; what it finds becomes an alert. Loop thread only.
#ifndef GTV_AI_WATCHLIST_WATCHLIST_H
#define GTV_AI_WATCHLIST_WATCHLIST_H

#include "lib/contract/happening.h"
#include "lib/loop/loop.h"
#include "lib/metrics/metrics.h"
#include "services/ai/detect/exam.h"
#include "services/ai/watchlist/list.h"

// Hash: entry id -> its JSON; stream of its changes: field ids (how many), bounded 1000.
#define GTV_KEY_WATCHLIST      "gtv:watchlist"
#define GTV_KEY_WATCHLIST_NEWS "gtv:watchlist:news"
// + camera, plate and entry: there for so long after an alert of a posted picture, which is not repeated
// meanwhile.
#define GTV_KEY_WATCHLIST_TOLD "gtv:watchlist:told:"
enum {
    GTV_WATCHLIST_REPEAT_S = 60,
    GTV_WATCHLIST_WAITING = 256, // alerts of posted pictures that wait for Redis; the oldest are lost
};

struct gtv_watchlists;

// redis_url: of the database of the events. NULL with *err.
struct gtv_watchlists *gtv_watchlists_create(struct gtv_loop *loop, const char *redis_url,
                                             struct gtv_metrics *metrics,
                                             struct gtv_error *err) GTV_WARN_UNUSED;
void gtv_watchlists_destroy(struct gtv_watchlists *w); // NULL is accepted; waiting callbacks get false

// The list of now, with a reference: also for other threads. Empty until Redis was read.
struct gtv_watchlist *gtv_watchlists_get(struct gtv_watchlists *w) GTV_WARN_UNUSED;
bool gtv_watchlists_up(const struct gtv_watchlists *w);

// A plate.read event as it goes to the outbox: emit is called with each alert (key and event, which is
// emit's to release) that follows from it. Returns how many.
typedef void (*gtv_watchlists_emit_fn)(void *arg, const char *key, struct gtv_bytes *alert);
size_t gtv_watchlists_on_plate(struct gtv_watchlists *w, struct gtv_str event, gtv_watchlists_emit_fn emit,
                               void *arg);
// The plates of a posted picture of camera_id >= 1: alerts go out from here.
void gtv_watchlists_on_exam(struct gtv_watchlists *w, const struct gtv_exam *exam);

// What became of a change. added: entries that are new; full: those that had no room.
struct gtv_watchlists_change {
    bool ok; // false: Redis is away, or refused
    size_t added, changed, removed, full;
};
typedef void (*gtv_watchlists_change_fn)(void *arg, const struct gtv_watchlists_change *change);
// Each calls fn once, later; false (and never) while Redis is away. The list follows at once.
bool gtv_watchlists_put(struct gtv_watchlists *w, const struct gtv_watchlist_entry *entries, size_t count,
                        gtv_watchlists_change_fn fn, void *arg) GTV_WARN_UNUSED;
bool gtv_watchlists_remove(struct gtv_watchlists *w, const char *id, gtv_watchlists_change_fn fn,
                           void *arg) GTV_WARN_UNUSED; // id NULL: all

#endif
