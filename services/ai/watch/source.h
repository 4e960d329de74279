// One watched camera: a thread that reads the media node's relay (MPEG-TS over HTTP) and decodes it, and
// looks at its newest frame now and then, done by the engine's workers. Newest frame wins: a busy engine
// means fewer looks, never late ones.
#ifndef GTV_AI_SOURCE_H
#define GTV_AI_SOURCE_H

#include "services/ai/engine/engine.h"

struct gtv_source;

// What one look found. Valid during the call.
struct gtv_look {
    int64_t camera_id;
    int64_t wall_ms; // the frame's moment, by the media node's clock
    int width, height;
    const struct gtv_model *model;
    const struct gtv_detections *found;
    double prepare_ms, infer_ms;
};

struct gtv_source_config {
    int64_t camera_id;
    const char *url; // of the relay; copied
    double max_fps;
    double min_confidence;
    struct gtv_engine *engine;
    void (*on_look)(void *arg,
                    const struct gtv_look *look); // on a worker's thread; one call at a time for each source
    void *arg;
};

#define GTV_SOURCE_STATES(X)                                                                                 \
    X(GTV_SOURCE_CONNECTING, "connecting")                                                                   \
    X(GTV_SOURCE_WATCHING, "watching")                                                                       \
    X(GTV_SOURCE_WAITING, "waiting") /* it failed and will be tried again */                                 \
    X(GTV_SOURCE_ENDED, "ended")

enum gtv_source_state {
#define X(name, text) name,
    GTV_SOURCE_STATES(X)
#undef X
};
const char *gtv_source_state_name(enum gtv_source_state state);

struct gtv_source_status {
    enum gtv_source_state state;
    char cause[160]; // why it is not watched, or was not a moment ago; empty: nothing to say
    char codec[32];
    int width, height;
    uint64_t frames, looks, failures; // decoded, looked at, connections lost or refused
    double frame_rate, look_rate;     // a second, over the last moments
    int64_t last_frame_wall_ms;       // 0: none yet
    int64_t last_look_wall_ms;
    size_t last_count; // vehicles at the last look
    bool skipping;     // it cannot keep up and decodes only what other frames refer to, or key frames
};

// Starts the thread.
struct gtv_source *gtv_source_start(const struct gtv_source_config *config);
void gtv_source_stop(struct gtv_source *s);    // any thread; asks, does not wait
bool gtv_source_ended(struct gtv_source *s);   // any thread: gtv_source_destroy will not wait
void gtv_source_destroy(struct gtv_source *s); // stops, waits for the thread and for a look in progress; the
                                               // engine must still run
void gtv_source_get_status(struct gtv_source *s, struct gtv_source_status *out); // any thread

// ---- For tests ----
// Whether a look is due at now_ms when the last one was due at *due_ms and they are interval_ms apart; moves
// *due_ms on. Late looks are not made up for. Frames rarely come when they are due: one that is early by up
// to a tenth of the interval counts.
bool gtv_source_due(int64_t now_ms, double interval_ms, double *due_ms);

#endif
