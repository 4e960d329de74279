// The ai program's parts, wired by main.c, for the handlers. Everything here is used on the loop's thread.
#ifndef GTV_AI_SERVICE_H
#define GTV_AI_SERVICE_H

#include "lib/contract/contract.h"
#include "lib/metrics/metrics.h"
#include "lib/s3/serve.h"
#include "services/ai/cpus.h"
#include "services/ai/engine/engine.h"
#include "services/ai/jobs/jobs.h"
#include "services/ai/plate/plates.h"
#include "services/ai/settings.h"
#include "services/ai/watch/watcher.h"
#include "services/ai/watchlist/watchlist.h"

enum {
    GTV_AI_MAX_BODY = 10 * 1024 * 1024,       // of a request with a picture, and each picture of a batch
    GTV_AI_MAX_BATCH_BODY = 64 * 1024 * 1024, // of a request with several
    GTV_AI_MAX_BATCH = 32,                    // pictures of it
    GTV_AI_MAX_QUEUED =
        256 * 1024 * 1024, // bytes of pictures that wait or are worked on, also of clients that have left
    GTV_AI_DETECT_TIMEOUT_MS = 5000, // from the last byte of the request to 408
};

struct gtv_asked;
struct gtv_ai_models;
struct gtv_examiner;

struct gtv_ai {
    struct gtv_service_pages pages; // first: the shared handlers find it there
    const struct gtv_ai_settings *settings;
    struct gtv_log log;
    struct gtv_loop *loop;
    struct gtv_infer *runtime; // NULL: it could not start
    struct gtv_ai_models *models;
    struct gtv_plates *plates; // without networks it is empty
    struct gtv_engine *engine; // NULL when the program ends
    struct gtv_examiner *examiner;
    struct gtv_watcher *watcher;
    struct gtv_watchlists *watchlists;
    struct gtv_store *crops;              // pictures of tracks; NULL: none are kept
    char crops_problem[256];              // why, where they are wanted; empty: nothing to say
    struct gtv_s3 *s3;                    // the store behind it; NULL: there is none
    struct gtv_upload *upload;            // with s3
    struct gtv_http_client *pictures;     // with s3: for those who ask for one
    struct gtv_http_client *snapshots;    // of the media node, for tests of cameras
    struct gtv_camera_test *camera_tests; // that are not answered yet
    size_t camera_test_count;
    struct gtv_jobs *jobs; // NULL before the start and after the end

    // Requests for detection that are not answered yet, the oldest first, and the timer for their deadlines.
    struct gtv_asked *asked, *asked_last;
    size_t queued_bytes; // of all whose pictures the workers have not given back, answered or not
    struct gtv_timer *deadlines;
};

// Routes of AI_PORT and of METRICS_PORT.
extern const struct gtv_http_route gtv_ai_routes[];
extern const size_t gtv_ai_route_count;
extern const struct gtv_http_route gtv_ai_metrics_routes[];
extern const size_t gtv_ai_metrics_route_count;

void gtv_ai_register_metrics(struct gtv_ai *ai);
void gtv_ai_count_reject(struct gtv_ai *ai, const char *cause); // an error's code, or a finer cause
double gtv_ai_camera_confidence(struct gtv_ai *ai); // from which boxes of cameras count, with this detector
size_t gtv_ai_waiting(struct gtv_ai *ai, enum gtv_work_kind kind);

// GET /ready, and the series of /metrics that are asked for when a page is (sight.c).
void gtv_ai_handle_ready(struct gtv_http_request *req, void *user);
void gtv_ai_write_sight(struct gtv_buf *out, void *user);

// GET /stats/workers and /stats/all (stats.c).
void gtv_ai_handle_workers(struct gtv_http_request *req, void *user);
void gtv_ai_handle_all(struct gtv_http_request *req, void *user);

// POST /detect, /detect/upload and /detect/batch (detect/).
void gtv_ai_handle_detect(struct gtv_http_request *req, void *user);
void gtv_ai_handle_upload(struct gtv_http_request *req, void *user);
void gtv_ai_handle_batch(struct gtv_http_request *req, void *user);
void gtv_ai_detect_init(struct gtv_ai *ai);   // creates the deadline timer
void gtv_ai_detect_finish(struct gtv_ai *ai); // after the engine has ended and its last posts have run

// For gtv_examiner_config.read_plates, with the program as user: reads an exam's plates on its worker, and
// has them compared with the watch-list on the loop (watchlist/posted.c).
void gtv_ai_examined(struct gtv_exam *exam, size_t worker, void *user);

// The id of a route about one camera; false when it was none and the request is answered (cameras.c).
bool gtv_ai_camera_id(struct gtv_http_request *req, int64_t *id) GTV_WARN_UNUSED;

// POST /cameras/{id}/start|stop, GET /cameras/{id}/status, GET /stats/streams (cameras.c).
void gtv_ai_handle_start(struct gtv_http_request *req, void *user);
void gtv_ai_handle_stop(struct gtv_http_request *req, void *user);
void gtv_ai_handle_status(struct gtv_http_request *req, void *user);
void gtv_ai_handle_streams(struct gtv_http_request *req, void *user);

// GET and PUT /cameras/{id}/analysis, POST /cameras/{id}/test, GET /capacity, GET
// /crops/{camera}/{day}/{name} (camera_routes.c).
void gtv_ai_handle_analysis(struct gtv_http_request *req, void *user);
void gtv_ai_handle_analysis_put(struct gtv_http_request *req, void *user);
void gtv_ai_handle_camera_test(struct gtv_http_request *req, void *user);
void gtv_ai_handle_capacity(struct gtv_http_request *req, void *user);
void gtv_ai_handle_crop(struct gtv_http_request *req, void *user);
void gtv_ai_camera_tests_finish(struct gtv_ai *ai); // after the engine has ended and its last posts have run

// GET, POST, DELETE /watchlist and what is below (watchlist/).
void gtv_ai_handle_watchlist(struct gtv_http_request *req, void *user);
void gtv_ai_handle_watchlist_post(struct gtv_http_request *req, void *user);
void gtv_ai_handle_watchlist_clear(struct gtv_http_request *req, void *user);
void gtv_ai_handle_watchlist_import(struct gtv_http_request *req, void *user);
void gtv_ai_handle_watchlist_check(struct gtv_http_request *req, void *user);
void gtv_ai_handle_watchlist_entry(struct gtv_http_request *req, void *user);
void gtv_ai_handle_watchlist_remove(struct gtv_http_request *req, void *user);

#endif
