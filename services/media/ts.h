// MPEG-TS (ISO/IEC 13818-1) of one programme: H.264 or H.265 video and, where there is one, AAC audio. Each
// access unit becomes whole transport packets once; HLS segments and every reader of the relay share those
// bytes.
#ifndef GTV_MEDIA_TS_H
#define GTV_MEDIA_TS_H

#include "services/media/nal.h"

enum {
    GTV_TS_PACKET = 188,
    GTV_TS_PID_PMT = 0x1000,
    GTV_TS_PID_VIDEO = 0x100, // also carries the PCR
    GTV_TS_PID_AUDIO = 0x101,
};

// Continuity counters by stream, as they stood before an access unit.
enum { GTV_TS_PAT, GTV_TS_PMT, GTV_TS_VIDEO, GTV_TS_AUDIO, GTV_TS_STREAMS };
struct gtv_ts_counters {
    uint8_t of[GTV_TS_STREAMS];
};

struct gtv_ts {
    enum gtv_codec video; // H264 or H265
    bool audio;           // AAC in ADTS frames
    struct gtv_ts_counters next;
};

struct gtv_ts_unit {
    struct gtv_str
        parts[4]; // the elementary stream's bytes, in order (access unit delimiter, parameter sets, picture)
    size_t part_count;
    int64_t pts, dts;   // 90 kHz; their lowest 33 bits are written
    bool key;           // PAT and PMT are put in front, random access is signalled
    bool discontinuity; // of the time line or the counters
};

// NULL without memory.
struct gtv_bytes *gtv_ts_video(struct gtv_ts *ts, const struct gtv_ts_unit *unit) GTV_WARN_UNUSED;
struct gtv_bytes *gtv_ts_audio(struct gtv_ts *ts, const struct gtv_ts_unit *unit)
    GTV_WARN_UNUSED; // whole ADTS frames, < 65,000 bytes

// Four packets without payload that tell a reader that its counters jump to `counters` on purpose: sent in
// front of a key frame to a reader that was skipped forward.
struct gtv_bytes *gtv_ts_splice(struct gtv_ts_counters counters) GTV_WARN_UNUSED;

// The ADTS header (ISO/IEC 13818-7, 6.2) for a raw AAC frame of len bytes by its AudioSpecificConfig. False
// when ADTS cannot carry it.
enum { GTV_ADTS_HEADER = 7 };
bool gtv_adts_header(struct gtv_str config, size_t len, uint8_t out[GTV_ADTS_HEADER]) GTV_WARN_UNUSED;

#endif
