// What Redis does with the queue, each in one step: Lua scripts (Redis 7.0), and the keys they touch. A
// script is sent whole each time (EVAL): Redis keeps it compiled by its digest, and a restarted Redis misses
// nothing.
//
// Keys of the ai service's database, all of which expire or are removed when their job is over:
//   ai:jobs              stream of what waits and what runs; group "ai"
//   ai:dead              stream of jobs that killed their workers, 1,000 at most
//   ai:result:<task>     string, the answer (expiry AI_RESULT_TTL)
//   ai:lease:<consumer>  string, renewed each second, gone 3 s after its process
//   ai:started           hash, entry -> consumer that began it
//   ai:deaths            hash, entry -> processes that died of it
//   ai:index             sorted set of entries by age: a job's place
//   ai:idempotency:<h>   string, "<digest of the body> <task>"
//   ai:moved:<task>      string, the entry in which a requeued task lies now
//   ai:callbacks         sorted set, task -> when its callback is due
//   ai:callback:<task>   hash of url, body, attempts
//   ai:waiting, ai:done  somebody waits for results; stream of tasks that are done, while somebody waits
#ifndef GTV_AI_SCRIPTS_H
#define GTV_AI_SCRIPTS_H

#include "lib/base/str.h"

#define GTV_JOBS_STREAM "ai:jobs"
#define GTV_JOBS_GROUP  "ai"
#define GTV_JOBS_DEAD   "ai:dead"
#define GTV_JOBS_DONE   "ai:done"

enum {
    GTV_JOBS_DEATHS_MAX = 3,
    GTV_JOBS_DEAD_MAX = 1000,
    GTV_JOBS_LEASE_MS = 3000,
    GTV_JOBS_IDEMPOTENCY_S = 3600,
    GTV_JOBS_CALLBACK_LIFE_S = 86400, // of a callback that nobody delivers
    GTV_JOBS_WAITING_S = 60,
};

// All take no KEYS; their ARGV and their answers stand in scripts.c.
extern const char gtv_script_submit[], gtv_script_added[], gtv_script_start[], gtv_script_finish[],
    gtv_script_take_over[], gtv_script_cancel[], gtv_script_state[], gtv_script_queue[],
    gtv_script_dead_list[], gtv_script_requeue[], gtv_script_callbacks_take[], gtv_script_callback_settle[];

#endif
