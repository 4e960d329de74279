// From RTP payloads to access units and audio frames: H.264 (RFC 6184, modes 0 and 1), H.265 (RFC 7798), AAC
// (RFC 3640 and RFC 6416), Opus (RFC 7587), G.711 (RFC 3551). Pure; one thread, the caller's.
#ifndef GTV_RTSP_DEPAY_H
#define GTV_RTSP_DEPAY_H

#include "lib/rtsp/rtp.h"
#include "lib/rtsp/sdp.h"
#include "lib/video/access.h"

enum {
    GTV_AUDIO_FRAME_MAX = 16 * 1024
}; // bytes of a frame in fragments; an AAC frame has at most 6144 bits a channel

// stamp: presentation time in 90 kHz ticks without wraps. received: bytes that it took on the wire.
struct gtv_depay_callbacks {
    // A complete unit with a picture (maybe damaged); it is reset afterwards.
    void (*on_video)(void *arg, struct gtv_access *unit, int64_t stamp, size_t received);
    void (*on_audio)(void *arg, struct gtv_str frame, int64_t stamp, size_t received);
};

struct gtv_depay {
    const struct gtv_depay_callbacks *callbacks;
    void *arg;
    enum gtv_codec codec;
    uint32_t clock;
    bool donl, latm;
    unsigned size_length, index_length, index_delta_length;
    uint32_t frame_ticks; // of an AAC frame, in the track's clock

    // A unit ends with the packet that has the marker, or where the time stamp changes. Cameras that set the
    // marker on every slice are found out: theirs end by the time stamp only.
    struct gtv_access access;
    bool open, ended, in_fragment, again, markers_lie;
    int64_t ticks;
    size_t received;
    struct gtv_buf fragment; // of audio
    size_t fragment_size;    // bytes it will have; 0: unknown
};

void gtv_depay_init(struct gtv_depay *d, const struct gtv_sdp_track *track,
                    const struct gtv_depay_callbacks *callbacks, void *arg);
void gtv_depay_finish(struct gtv_depay *d); // zeroed is accepted
void gtv_depay_packet(struct gtv_depay *d, const struct gtv_rtp_delivery *in);

// The audio half (depay_audio.c).
void gtv_depay_audio(struct gtv_depay *d, const struct gtv_rtp_delivery *in);
int64_t gtv_depay_stamp(const struct gtv_depay *d, int64_t ticks); // in 90 kHz

#endif
