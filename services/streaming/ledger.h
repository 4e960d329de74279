// Every camera's outages: from, to, and whose fault it was. An outage is a time in which a camera that shall
// have a picture has none; an on-demand camera that nobody asks for is idle and not out. Kept in Redis (hash
// gtv:gaps), so that a restart forgets nothing; what happens while this service is down is nobody's outage,
// except that one which was open before and still is goes on.
//
// Of several replicas one leads (the holder of the lease): it alone judges and writes. The others have what
// it wrote, FOLLOW seconds late at most, and begin from that when one of them is to lead. Without Redis each
// leads for itself.
//
// Bounds: GTV_GAPS_MAX outages a camera, the oldest are dropped; as many cameras as there may be.
// gtv_ledger_gaps and gtv_ledger_uptime on any thread, the rest on the control loop.
#ifndef GTV_STREAMING_LEDGER_H
#define GTV_STREAMING_LEDGER_H

#include "lib/json/json.h"
#include "lib/redis/redis.h"

enum { GTV_GAPS_MAX = 64 };

enum gtv_gap_cause { GTV_GAP_CAMERA, GTV_GAP_NETWORK, GTV_GAP_NODE };

struct gtv_gap {
    int64_t from_ms, to_ms; // wall clock; to_ms 0: not over
    enum gtv_gap_cause cause;
    char code[32];  // the state's cause_code, "" without one
    char text[200]; // the cause in words
};

struct gtv_ledger;

struct gtv_ledger *gtv_ledger_create(void);
void gtv_ledger_destroy(struct gtv_ledger *l);

// Whose fault a cause_code means: the node's own ("media_down", "missing"), the network's ("unreachable",
// "timed_out", "name", ...), else the camera's. Pure.
enum gtv_gap_cause gtv_gap_cause_of(const char *code);
const char *gtv_gap_cause_name(enum gtv_gap_cause cause); // "camera", "network", "node"

// The camera has a picture, or is idle: ends what is open.
void gtv_ledger_fine(struct gtv_ledger *l, int64_t camera, int64_t now_ms);
// It has none. Another party's fault ends one outage and begins the next; no code goes on with what is open.
void gtv_ledger_out(struct gtv_ledger *l, int64_t camera, const char *code, const char *text, int64_t now_ms);
// The camera was removed.
void gtv_ledger_forget(struct gtv_ledger *l, int64_t camera);

// A copy, oldest first: free() it. NULL and *n 0 when there is none.
struct gtv_gap *gtv_ledger_gaps(struct gtv_ledger *l, int64_t camera, size_t *n);
// The share of the last 24 hours without an outage, 0 to 1; of the time since the camera was first seen when
// that is less. -1 when nothing is known of it.
double gtv_ledger_uptime(struct gtv_ledger *l, int64_t camera, int64_t now_ms);

// JSON of one camera's ledger as stored, and back into the ledger: in front of what a leader saw before the
// first reading, beside what it has not written yet, and in place of anything else. False: it cannot be read,
// and nothing changed.
struct gtv_bytes *gtv_ledger_write(struct gtv_ledger *l, int64_t camera) GTV_WARN_UNUSED;
bool gtv_ledger_read(struct gtv_ledger *l, int64_t camera, struct gtv_str json) GTV_WARN_UNUSED;

// Redis came (back), or this replica was chosen to lead: reads what is stored. A leader writes what Redis
// does not have.
void gtv_ledger_sync(struct gtv_ledger *l, struct gtv_redis *redis, bool leading);
// A leader writes what changed, a follower reads it from time to time. Call it every second.
void gtv_ledger_flush(struct gtv_ledger *l, struct gtv_redis *redis, bool leading);
// Forgets the cameras that another replica removed. wanted is called with the ledger's lock held.
void gtv_ledger_prune(struct gtv_ledger *l, bool (*wanted)(void *arg, int64_t camera), void *arg);

#endif
