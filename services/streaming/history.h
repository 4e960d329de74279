// A day of minutes: what was watched when, of each stream and of all ("*"), kept in Redis (sorted sets
// gtv:history:<stream>, 24 h each) and, the last hour of it, in memory: what Redis missed is written when it
// is back, and answered from memory meanwhile.
//
// All on the control loop but gtv_handle_history and the pure functions.
#ifndef GTV_STREAMING_HISTORY_H
#define GTV_STREAMING_HISTORY_H

#include "lib/redis/redis.h"
#include "services/streaming/app.h"

enum {
    GTV_HISTORY_MINUTES = 1440,
    GTV_HISTORY_KEPT_MINUTES = 60, // of each stream in memory
    GTV_HISTORY_TEXT_CAP = 192,
    GTV_HISTORY_RECORDS_MAX = 1440 * 16, // read for one answer: a day of 16 replicas
};

struct gtv_history;

// replica: tells its minutes from those of other replicas. redis must live longer.
struct gtv_history *gtv_history_create(struct gtv_app *app, struct gtv_redis *redis, const char *replica);
void gtv_history_destroy(struct gtv_history *h);
// Called every second: takes the minute when the wall clock begins another, and writes what is to be written.
void gtv_history_tick(struct gtv_history *h);

// GET /stats/history?stream=&from=&step=
void gtv_handle_history(struct gtv_http_request *req, void *worker);

// ---- Pure ----
struct gtv_history_record {
    int64_t minute; // Unix time / 60
    struct gtv_viewed_minute m;
};
// "<minute>:<replica>:<viewers_max>:<viewer_seconds>:<bytes>:<requests>:<hits>": a member of the sorted set,
// whose score is the minute. False when it is nothing of the kind.
const char *gtv_history_write(const struct gtv_history_record *r, const char *replica,
                              char out[GTV_HISTORY_TEXT_CAP]);
bool gtv_history_read(struct gtv_str text, struct gtv_history_record *out) GTV_WARN_UNUSED;
// Adds up records into buckets of step minutes from first on: viewers are the most of any replica, which each
// count all replicas' viewers; the rest is summed. Records outside are left out.
void gtv_history_merge(const struct gtv_history_record *records, size_t n, int64_t first, unsigned step,
                       struct gtv_viewed_minute *buckets, size_t count);

struct gtv_history_wish {
    char stream[GTV_PATH_NAME_CAP]; // or "*"
    int64_t first;                  // minute
    unsigned step;                  // minutes
};
// Texts as in the query, p NULL where absent. False: err names the parameter.
bool gtv_history_wish_parse(struct gtv_str stream, struct gtv_str from, struct gtv_str step, int64_t wall_ms,
                            struct gtv_history_wish *out, struct gtv_error *err) GTV_WARN_UNUSED;

#endif
