// A camera read over RTSP (RFC 2326) on the loop: TCP interleaved, UDP, TLS. One client is one connection: it
// ends with a cause, and who started it decides whether to dial again. Loop thread only.
#ifndef GTV_RTSP_CLIENT_H
#define GTV_RTSP_CLIENT_H

#include "lib/log/log.h"
#include "lib/net/address.h"
#include "lib/rtsp/hub.h"
#include "lib/video/source.h"

#include <stdatomic.h>

struct gtv_rtsp_client;

// By which way the packets come; automatic: TCP, and UDP where the camera refuses that.
enum gtv_rtsp_transport { GTV_RTSP_AUTOMATIC, GTV_RTSP_UDP, GTV_RTSP_MULTICAST, GTV_RTSP_TCP };

enum { GTV_RTSP_CLOCKS_APART_MS = 10000 };

// Audio that has to be transcoded before anybody can play it (G.711).
struct gtv_raw_audio {
    // True: the frames of this track are wanted.
    bool (*accept)(void *arg, enum gtv_codec codec, uint32_t clock, int channels);
    // stamp: 90 kHz ticks without wraps; arrival_us: wall clock.
    void (*frame)(void *arg, struct gtv_str frame, int64_t stamp, int64_t arrival_us);
    void *arg;
};

struct gtv_rtsp_client_config {
    struct gtv_rtsp_hub *hub;
    const char *url; // rtsp:// or rtsps://, with credentials or without; copied
    const char
        *fingerprint; // SHA-256 of its certificate in hexadecimal; NULL or "": it is not checked; copied
    enum gtv_rtsp_transport transport;
    int64_t connect_ms;                  // for name, connection, DESCRIBE, SETUP and PLAY in all
    int64_t stall_ms;                    // longest time without a picture
    const struct gtv_net_policy *policy; // outlives the client; NULL: every address may be dialled
    atomic_int *running; // counts the name requests that have not ended; outlives them; NULL: no matter
    // Times are the sender's wall clock as its reports tell it, where they do and it is within
    // GTV_RTSP_CLOCKS_APART_MS of ours; for servers that are trusted with it. False: of the arrival.
    bool sender_clock;
    bool video_only;                 // audio is not asked for
    const struct gtv_raw_audio *raw; // copied; NULL: such audio is left out
    struct gtv_log log;              // its id is copied, the other strings live on; component names the agent
};

// NULL when the url is none of a camera.
struct gtv_rtsp_client *gtv_rtsp_client_start(const struct gtv_rtsp_client_config *config,
                                              const struct gtv_source_callbacks *callbacks,
                                              void *arg) GTV_WARN_UNUSED;
// No callback follows, not even on_end. The client frees itself as soon as it can; after on_end it has done
// so.
void gtv_rtsp_client_stop(struct gtv_rtsp_client *c);

#endif
