// One access unit of video or one frame of audio, as the node keeps it: once, whatever number of readers and
// formats want it. HLS, recordings, RTSP and the relay all refer to the same bytes.
#ifndef GTV_VIDEO_SAMPLE_H
#define GTV_VIDEO_SAMPLE_H

#include "lib/video/format.h"

// A value: copying it copies no bytes. Whoever keeps a copy takes a reference to data.
//
// Video data: NAL units, each behind its length in 4 bytes, big endian (ISO/IEC 14496-15), without access
// unit delimiters, filler and parameter sets: those stand in the format. Audio data: one raw frame (AAC
// without ADTS, an Opus packet).
struct gtv_sample {
    struct gtv_bytes *data;
    int64_t pts, dts;   // path clock: 90 kHz ticks of the Unix wall clock, not cut to 33 bits; dts <= pts
    bool video, key;    // key: of video, decoding can begin here
    bool discontinuity; // of key frames: the time line or the format changed before it
};

static inline int64_t gtv_ticks_to_ms(int64_t ticks)
{
    return ticks / 90;
}

#endif
