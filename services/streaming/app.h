// What the files of gtv-streaming share: the program's state, and a worker for each event loop.
#ifndef GTV_STREAMING_APP_H
#define GTV_STREAMING_APP_H

#include "lib/contract/contract.h"
#include "lib/http/client.h"
#include "lib/net/address.h"
#include "services/streaming/cache.h"
#include "services/streaming/cameras.h"
#include "services/streaming/ledger.h"
#include "services/streaming/nodes.h"
#include "services/streaming/options.h"
#include "services/streaming/states.h"
#include "services/streaming/viewers.h"

struct gtv_control;
struct gtv_hub;
struct gtv_life;
struct gtv_proxy;
struct gtv_sequences;
struct gtv_upstream;

struct gtv_app {
    struct gtv_streaming_options options; // live ones through gtv_live_*
    struct gtv_config_source *source;
    struct gtv_about about;
    struct gtv_net_policy policy;
    struct gtv_log log;
    int64_t started_ms; // monotonic: it serves since
    struct gtv_metrics *metrics;
    // Shared by all loops; each guards itself.
    struct gtv_cache *cache;
    struct gtv_sessions *sessions;
    struct gtv_viewers *viewers;
    struct gtv_cameras *cameras;
    struct gtv_states *states;
    struct gtv_nodes *nodes;
    struct gtv_ledger *ledger;
    struct gtv_upstream *upstream;
    struct gtv_sequences *sequences;
    struct gtv_stats *stats;
    struct gtv_sight *sight;
    atomic_bool media_up, redis_up;
    atomic_size_t subscribers; // clients of live events of all loops
    atomic_size_t deflating;   // and those of them that take compressed frames

    struct gtv_worker *workers; // the first one's loop is the control loop
    size_t worker_count;
    struct gtv_control *control; // the control loop's
    struct gtv_life *life;       // the control loop's
    atomic_size_t serving;       // servers that have not drained
    atomic_uint grace_ms;        // of the end that was asked for
};

// user of every handler.
struct gtv_worker {
    struct gtv_service_pages pages; // must be first
    struct gtv_app *app;
    unsigned index;
    struct gtv_loop *loop;
    struct gtv_http_server *server;
    struct gtv_proxy *proxy;
    struct gtv_hub *hub;
};

// A stream's name: 1 to 255 of [A-Za-z0-9._-] and single slashes, no segment of dots only.
bool gtv_stream_name_valid(struct gtv_str name);

// The address as it may be shown: no user, password or query; a path that looks as if it held a password is
// left out. Returns out.
enum { GTV_SHOWN_URL_CAP = 512 };
const char *gtv_shown_url(const char *url, char out[GTV_SHOWN_URL_CAP]);

#endif
