// Jobs: pictures that wait in a Redis stream (docs/queue.md), the consumer that examines them, and the routes
// about them. Any number of processes share one queue; a job is answered once, whatever happens to them.
#ifndef GTV_AI_JOBS_H
#define GTV_AI_JOBS_H

#include "lib/config/config.h"
#include "lib/contract/contract.h"
#include "lib/metrics/metrics.h"
#include "services/ai/detect/exam.h"

struct gtv_jobs;

// Strings must outlive it.
struct gtv_jobs_config {
    struct gtv_loop *loop; // the program's
    struct gtv_engine *engine;
    struct gtv_examiner *examiner;
    struct gtv_metrics *metrics;
    const char *redis_url;                        // the ai service's own database
    int64_t max_queue;                            // entries of the stream; beyond it 429
    const int64_t *result_ttl;                    // seconds; live (lib/config)
    const double *confidence;                     // where a job does not say; live
    const char *callback_secret, *callback_allow; // NULL: no callbacks; nothing beyond the default
};

// Starts the consumer's thread. NULL with *err for a URL or an allow list that cannot be read; Redis need not
// be there.
struct gtv_jobs *gtv_jobs_create(const struct gtv_jobs_config *config, struct gtv_error *err) GTV_WARN_UNUSED;
// After it nothing is given to the engine any more; what runs may end. Waits for the consumer to take notice.
// NULL is accepted, here and below.
void gtv_jobs_stop(struct gtv_jobs *j);
// After the engine has ended, on the loop's thread: stores what was finished (2 s at most). Requests that
// wait are answered 503.
void gtv_jobs_destroy(struct gtv_jobs *j);

bool gtv_jobs_up(const struct gtv_jobs *j);            // Redis answers
const char *gtv_jobs_reason(const struct gtv_jobs *j); // why it does not; NULL when it does
int64_t gtv_jobs_length(const struct gtv_jobs *j);     // of the queue, as of the last second or so

// The routes' handlers. j NULL: 503.
void gtv_jobs_submit(struct gtv_jobs *j, struct gtv_http_request *req);
void gtv_jobs_result(struct gtv_jobs *j, struct gtv_http_request *req);  // GET /result/{id}
void gtv_jobs_cancel(struct gtv_jobs *j, struct gtv_http_request *req);  // DELETE /result/{id}
void gtv_jobs_queue(struct gtv_jobs *j, struct gtv_http_request *req);   // GET /queue
void gtv_jobs_dead(struct gtv_jobs *j, struct gtv_http_request *req);    // GET /queue/dead
void gtv_jobs_requeue(struct gtv_jobs *j, struct gtv_http_request *req); // POST /queue/dead/{id}/requeue
void gtv_jobs_bury(struct gtv_jobs *j, struct gtv_http_request *req);    // DELETE /queue/dead/{id}

#endif
