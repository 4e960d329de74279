// Follows what happened (lib/contract/happening.h) in Redis' durable stream as its consumer group, and
// acknowledges what the database has: over a restart of the console, of Redis or of both nothing is lost,
// and what comes twice is stored once. Several consoles share the stream out; what one of them has read and
// not acknowledged for a while, because it died, is claimed by another. Loop thread only.
#ifndef GTV_CONSOLE_HAPPENINGS_H
#define GTV_CONSOLE_HAPPENINGS_H

#include "services/console/directory.h"
#include "services/console/store.h"

enum {
    GTV_HAPPENINGS_BATCH = 200, // entries read, stored and acknowledged at a time; one batch is under way
    GTV_HAPPENINGS_CONSUMER_CAP = 80,
    // Unacknowledged for so long, entries are claimed. One that lives and is slow loses nothing by it: what
    // is stored twice is there once.
    GTV_HAPPENINGS_CLAIM_MS = 5000,
    // A consumer that has asked for nothing for so long, and owes nothing, is struck off.
    GTV_HAPPENINGS_FORGET_MS = 3600 * 1000,
};

struct gtv_happenings;

// consumer: its name within the group, another one for each console. store and directory must outlive it.
struct gtv_happenings *gtv_happenings_create(struct gtv_loop *loop, const char *redis_url,
                                             const char *consumer, struct gtv_store *store,
                                             struct gtv_directory *directory, struct gtv_metrics *metrics,
                                             struct gtv_error *err) GTV_WARN_UNUSED;
// Nothing more is read. NULL is accepted, here and below.
void gtv_happenings_stop(struct gtv_happenings *h);
// After stop, and after the loop: the store may answer until then.
void gtv_happenings_destroy(struct gtv_happenings *h);

// Reads an event into out, but for the camera's name. id: of its entry, its key where it has none. False for
// what is none, or has values that make no sense. What is too long for its column is left out.
bool gtv_happenings_parse(yyjson_val *event, const char *id, struct gtv_db_happening *out) GTV_WARN_UNUSED;

#endif
