// One watched camera: its stream is read on the loop, decoded by the shared pool of threads, sifted by the
// motion gate, and looked at by the engine's workers. Newest frame wins: too little time means fewer looks,
// never late ones. Loop thread only, unless said otherwise.
#ifndef GTV_AI_SOURCE_H
#define GTV_AI_SOURCE_H

#include "lib/http/client.h"
#include "services/ai/engine/engine.h"
#include "services/ai/gate/gate.h"
#include "services/ai/watch/decode.h"
#include "services/ai/watch/frame.h"
#include "services/ai/watch/reader.h"

struct gtv_source;

// What one look found. Valid during the call.
struct gtv_look {
    int64_t camera_id;
    int64_t wall_ms; // the frame's moment, by the media node's clock
    const AVFrame *frame;
    const struct gtv_model *model;
    const struct gtv_detections *found;
    size_t worker;
    double wait_ms, prepare_ms, infer_ms;
    double computed; // 0..1: the share of the clock's time that was computing, the rest waited for the CPU
    double *elsewhere_ms; // what on_look had other threads compute: added to what the look cost
    bool still;           // by the motion gate nothing moves, and has not for a while
    bool *again;          // on_look sets it where another look soon after this one is worth its time
};

enum gtv_decode_policy {
    GTV_DECODE_AUTO, // as little as the looks need
    GTV_DECODE_ALWAYS_ALL,
    GTV_DECODE_ALWAYS_REFERENCES,
    GTV_DECODE_ALWAYS_KEYS,
};

struct gtv_source_config {
    int64_t camera_id;
    const char *relay_url, *rtsp_url; // see reader.h; copied
    const char *user, *pass;          // of the relay, or NULL; live on
    enum gtv_reader_way way;
    struct gtv_http_client *http;
    struct gtv_rtsp_hub *hub;
    struct gtv_decode_pool *decoders;
    struct gtv_scalers *scalers;
    struct gtv_engine *engine;
    enum gtv_decode_policy policy;
    bool size_gate;        // key frames may be left out by the sizes of what came before them
    double min_confidence; // from which vehicles count; less sure ones are found too, for the tracker
    const struct gtv_scene_settings *settings; // copied
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
    enum gtv_reader_way way; // by which it is read, or was last; GTV_READER_AUTO: not known yet
    char cause[160];         // why it is not watched, or was not a moment ago; empty: nothing to say
    char codec[32];
    int width, height;
    uint64_t frames, looks, failures; // decoded, looked at, connections lost or refused
    uint64_t quiet;                   // key frames that were not decoded: by the sizes nothing moved
    uint64_t still;                   // looks that were due, but nothing had moved
    uint64_t resized;                 // times that the picture's size changed
    double frame_rate, look_rate;     // a second, over the last moments
    int64_t last_frame_wall_ms;       // 0: none yet
    int64_t last_look_wall_ms;
    int64_t last_motion_wall_ms;
    size_t last_count;  // vehicles at the last look
    unsigned faults;    // of the picture: bits of enum gtv_gate_fault
    bool untimed;       // the stream has lost its time-stamps
    bool squeezed;      // only key frames are decoded, because there is too little time
    double interval_ms; // between looks, as granted
    struct gtv_decode_stats decode;
    double gate_cpu_ms, look_ms; // spent since the beginning: on the gate (part of the decoder's), on looks
    double look_wait_ms;         // the last look waited so long for a worker
};

struct gtv_source *gtv_source_start(const struct gtv_source_config *config);
void gtv_source_stop(struct gtv_source *s);  // asks, does not wait
bool gtv_source_ended(struct gtv_source *s); // gtv_source_destroy will not wait
void gtv_source_destroy(
    struct gtv_source *s); // stops, waits for a look in progress; the engine must still run
void gtv_source_tick(struct gtv_source *s, int64_t now_ms); // every fifth of a second: time limits, retries
// How often to look; squeeze: decode key frames only, whatever the policy; ample: there is time for looks
// between the regular ones, where something new is seen.
void gtv_source_grant(struct gtv_source *s, double interval_ms, bool squeeze, bool ample);
void gtv_source_set(struct gtv_source *s, const struct gtv_scene_settings *settings); // copied
void gtv_source_set_confidence(struct gtv_source *s, double min_confidence);
void gtv_source_get_status(struct gtv_source *s, struct gtv_source_status *out); // any thread

// ---- For tests ----
// Whether a look is due at now_ms when the last one was due at *due_ms and they are interval_ms apart; moves
// *due_ms on. Late looks are not made up for. Frames rarely come when they are due: one that is early by up
// to a tenth of the interval counts.
bool gtv_source_due(int64_t now_ms, double interval_ms, double *due_ms);
// What to decode for a look every interval_ms of a stream with these distances (0: not known).
enum gtv_decode_mode gtv_source_choose(enum gtv_decode_policy policy, bool keys_only, double interval_ms,
                                       double key_interval_ms, double frame_interval_ms);

#endif
