// The engine: worker threads that run the detector, and what waits for them. Three kinds of work wait apart:
// pictures that a client waits for, queued jobs, and looks at cameras. They take turns, and within a kind the
// clients do, so that nobody who posts a thousand keeps another waiting. When several wait and the device
// gains by it (gtv_detector_step), a worker takes up to `batch` of them in one run of the network; it never
// waits for a batch to fill.
#ifndef GTV_AI_ENGINE_H
#define GTV_AI_ENGINE_H

#include "lib/metrics/metrics.h"
#include "services/ai/network/detector.h"

struct gtv_engine;
struct gtv_work;

enum gtv_work_kind {
    GTV_WORK_REQUEST, // a client holds its connection open
    GTV_WORK_JOB,     // from the queue in Redis
    GTV_WORK_LOOK,    // at a camera: at most one waits for each
    GTV_WORK_KINDS,
};

// Called on one worker's thread, once each and in this order; `worker` counts from 0. In between, others of
// the same run may have theirs.
struct gtv_work_ops {
    // Puts the picture into pixels (u8 RGB of the model's input size) and says in *g where it lies. False:
    // there is nothing to run. Not called where there is no network.
    bool (*prepare)(struct gtv_work *w, size_t worker, const struct gtv_model *model, uint8_t *pixels,
                    struct gtv_geometry *g);
    // What else is to be done with what was found. found is NULL when prepare said no (err is NULL then),
    // when the inference failed, or when there is no network (model is NULL then); err says why.
    void (*finish)(struct gtv_work *w, size_t worker, const struct gtv_model *model,
                   const struct gtv_detections *found, const struct gtv_error *err);
    // It is counted, and from now on the caller's again.
    void (*release)(struct gtv_work *w, size_t worker);
};

// Embedded in whatever is to be looked at. From gtv_engine_post to release it belongs to the engine.
struct gtv_work {
    const struct gtv_work_ops *ops;
    enum gtv_work_kind kind;
    uint64_t client;       // whose it is: any number that is the same for the same client
    double min_confidence; // 0..1
    uint32_t vehicles;     // bit 1 << enum gtv_vehicle for each kind that is wanted; 0: all

    // The engine's; the times may be read in finish.
    struct gtv_work *next, *before;
    bool waits;
    int64_t posted_ns;
    double wait_ms, prepare_ms;
    double infer_ms; // of the whole run, shared with the others of its batch
    size_t batch;    // pictures in that run
};

struct gtv_engine_config {
    size_t workers;
    size_t batch;                  // most pictures of one run; the detector may take fewer
    size_t limit[GTV_WORK_KINDS];  // how many of each kind may wait; 0: no limit (looks)
    struct gtv_detector *detector; // with a slot for each worker; a reference is taken; may have no network
    struct gtv_metrics *metrics;   // NULL: none
};

// Starts the threads.
struct gtv_engine *gtv_engine_create(const struct gtv_engine_config *config);
// Finishes what waits, then ends the threads. NULL is accepted.
void gtv_engine_destroy(struct gtv_engine *e);

// Any thread. False when that kind's queue is full, or the engine is being destroyed: the work stays the
// caller's.
bool gtv_engine_post(struct gtv_engine *e, struct gtv_work *w) GTV_WARN_UNUSED;
// Takes back what nobody wants any more. True: it still waited, is the caller's, and nothing more is called.
// False: a worker has it, or had it. Any thread; w must still be there.
bool gtv_engine_withdraw(struct gtv_engine *e, struct gtv_work *w) GTV_WARN_UNUSED;

// How long a new piece of work of this kind and client should wait, by what waits before it in its turn and
// by what pictures have taken lately; 0 while nothing is known. Any thread.
double gtv_engine_expected_wait_ms(struct gtv_engine *e, enum gtv_work_kind kind, uint64_t client);

// The detector in use; the caller holds a reference afterwards. Any thread.
struct gtv_detector *gtv_engine_detector(struct gtv_engine *e);
// Puts another in its place, with as many slots, and takes a reference: runs in progress end with the old
// one, the next begin with the new. Any thread.
void gtv_engine_swap(struct gtv_engine *e, struct gtv_detector *detector);

struct gtv_engine_worker_stats {
    uint64_t pictures, runs;
    double busy_ms; // since the start
    bool busy;
};
struct gtv_engine_stats {
    size_t workers, busy, batch; // batch: most pictures of one run now
    size_t waiting[GTV_WORK_KINDS], clients[GTV_WORK_KINDS];
    uint64_t done[GTV_WORK_KINDS]; // with a result
    double done_ms;                // of workers' time for these, in sum, without waiting
    double picture_ms;             // of that for one picture, lately (moving average); 0: none yet
    int64_t uptime_ms;
};
// Any thread.
void gtv_engine_get_stats(struct gtv_engine *e, struct gtv_engine_stats *out);
void gtv_engine_get_worker(struct gtv_engine *e, size_t worker, struct gtv_engine_worker_stats *out);
extern const char *const gtv_work_kind_names[GTV_WORK_KINDS]; // "request", "job", "look"

#endif
