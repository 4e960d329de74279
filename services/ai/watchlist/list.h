// The watch-list as it is at a moment: it does not change once it is made, is counted, and any thread may ask
// it.
#ifndef GTV_AI_WATCHLIST_LIST_H
#define GTV_AI_WATCHLIST_LIST_H

#include "lib/base/bytes.h"
#include "services/ai/watchlist/entry.h"

struct gtv_watchlist;

enum { GTV_WATCHLIST_HITS = 8 }; // entries that one plate is reported for, the best first

// Takes the entries (malloc'd; freed with it). Those that are switched off never match.
struct gtv_watchlist *gtv_watchlist_create(struct gtv_watchlist_entry *entries, size_t count);
struct gtv_watchlist *gtv_watchlist_ref(struct gtv_watchlist *l);
void gtv_watchlist_unref(struct gtv_watchlist *l); // NULL is accepted
size_t gtv_watchlist_count(const struct gtv_watchlist *l);
const struct gtv_watchlist_entry *gtv_watchlist_at(const struct gtv_watchlist *l, size_t i); // by id
const struct gtv_watchlist_entry *gtv_watchlist_find(const struct gtv_watchlist *l, struct gtv_str id);

// A plate as it was read. chars: the reading's probabilities (of a vote or of one look; NULL: not known):
// with them what was in doubt costs less.
struct gtv_watchlist_read {
    const char *text;
    const struct gtv_plate_chars *chars;
};

struct gtv_watchlist_hit {
    const struct gtv_watchlist_entry *entry; // the list's
    struct gtv_plate_match match;
    char why[GTV_PLATE_WHY_CAP];
};

// All entries that hold at now_ms and that the plate meets, the best first. Returns how many.
size_t gtv_watchlist_check(const struct gtv_watchlist *l, const struct gtv_watchlist_read *read,
                           int64_t now_ms, struct gtv_watchlist_hit out[GTV_WATCHLIST_HITS]);

// The alert for a hit: the event of a plate that was read (lib/contract/happening.h), as text, with what
// makes it an alert: type, "alert": "watchlist", "list", "label", "severity", "match" and "why" in the plate,
// and a key of its own, which follows from the plate's key and the entry: told twice it is the same. key has
// room for cap bytes. NULL when the event is none.
struct gtv_bytes *gtv_watchlist_alert(struct gtv_str event, const struct gtv_watchlist_hit *hit, char *key,
                                      size_t cap) GTV_WARN_UNUSED;

#endif
