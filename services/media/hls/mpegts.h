// MPEG-TS (ISO/IEC 13818-1) from samples: H.264 or H.265 video and, where there is one, AAC audio in ADTS
// frames. Opus is left out: few players look for it there. What a sample takes is arithmetic, so sizes and
// continuity counters are known without writing. Pure; any thread.
#ifndef GTV_MEDIA_MPEGTS_H
#define GTV_MEDIA_MPEGTS_H

#include "lib/video/sample.h"

enum {
    GTV_MPEGTS_PACKET = 188,
    GTV_MPEGTS_PID_PMT = 0x1000,
    GTV_MPEGTS_PID_VIDEO = 0x100, // also carries the PCR
    GTV_MPEGTS_PID_AUDIO = 0x101,
};

enum { GTV_MPEGTS_PAT, GTV_MPEGTS_PMT, GTV_MPEGTS_VIDEO, GTV_MPEGTS_AUDIO, GTV_MPEGTS_STREAMS };
// Continuity counters by stream: what the next packet of each gets.
struct gtv_mpegts_counters {
    uint8_t of[GTV_MPEGTS_STREAMS];
};

// False for audio that is left out of a transport stream.
bool gtv_mpegts_has_audio(const struct gtv_format *f);

// Bytes that the sample takes: whole packets; key frames have the tables, a delimiter and the parameter sets
// in front. 0: it is left out.
size_t gtv_mpegts_size(const struct gtv_format *f, const struct gtv_sample *s);

// Advances the counters as writing would; returns gtv_mpegts_size.
size_t gtv_mpegts_pass(const struct gtv_format *f, const struct gtv_sample *s,
                       struct gtv_mpegts_counters *counters);

// Writes gtv_mpegts_size bytes to out and returns their end; the counters advance.
uint8_t *gtv_mpegts_write(const struct gtv_format *f, const struct gtv_sample *s,
                          struct gtv_mpegts_counters *counters, uint8_t *out);

// n samples as one piece of exactly their size. NULL without memory.
struct gtv_bytes *gtv_mpegts_bytes(const struct gtv_format *f, const struct gtv_sample *samples, size_t n,
                                   struct gtv_mpegts_counters *counters) GTV_WARN_UNUSED;

// The ADTS header (ISO/IEC 13818-7, 6.2) for a raw AAC frame of len bytes by its AudioSpecificConfig. False
// when ADTS cannot carry it.
enum { GTV_MPEGTS_ADTS = 7 };
bool gtv_mpegts_adts(struct gtv_str config, size_t len, uint8_t out[GTV_MPEGTS_ADTS]) GTV_WARN_UNUSED;

#endif
