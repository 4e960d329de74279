// One access unit as it travels from the camera's thread to everybody who reads the path: whole transport
// packets, shared.
#ifndef GTV_MEDIA_UNIT_H
#define GTV_MEDIA_UNIT_H

#include "services/media/ts.h"

// A value: copying it copies no bytes. Whoever keeps a copy takes a reference to ts.
struct gtv_unit {
    struct gtv_bytes *ts;
    int64_t
        time; // presentation time on the path clock: 90 kHz ticks of the Unix wall clock, not cut to 33 bits
    bool video, key;
    bool discontinuity;              // of key frames: the time line or the parameters changed before it
    struct gtv_ts_counters counters; // as they stood before it, for readers that skip to it
};

static inline int64_t gtv_unit_wall_ms(int64_t time)
{
    return time / 90;
}

// What a connected source carries. Copied by value.
struct gtv_tracks {
    struct gtv_video_info video;
    bool has_audio;
    char audio_codecs[16]; // "mp4a.40.2"
    int audio_rate, audio_channels;
};

#endif
