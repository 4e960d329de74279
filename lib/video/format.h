// What a connected source carries: codecs, their parameter sets, and what players want to know of them.
#ifndef GTV_VIDEO_FORMAT_H
#define GTV_VIDEO_FORMAT_H

#include "lib/video/nal.h"

#include <stdatomic.h>

struct gtv_audio_info {
    enum gtv_codec codec; // GTV_CODEC_NONE: no audio
    int rate, channels;
    struct gtv_bytes *config; // AAC: AudioSpecificConfig (ISO/IEC 14496-3); Opus: the dOps payload or NULL
    char codecs[16];          // RFC 6381: "mp4a.40.2", "opus"
};

// Immutable once made; shared by references on any thread. A change of the parameter sets makes a new one.
struct gtv_format {
    atomic_uint refs;
    struct gtv_video_info video;
    struct gtv_bytes *sets; // VPS, SPS, PPS in this order, each behind its length in 4 bytes
    struct gtv_audio_info audio;
};

// sets: in the form above (a reference is taken). NULL when they cannot be read. audio may be NULL; its
// config gets a reference.
struct gtv_format *gtv_format_create(enum gtv_codec video, struct gtv_bytes *sets,
                                     const struct gtv_audio_info *audio) GTV_WARN_UNUSED;
struct gtv_format *gtv_format_ref(struct gtv_format *f);
void gtv_format_unref(struct gtv_format *f); // NULL is accepted

// The next NAL unit of stored data (4 bytes of length before each). False at the end, or where a length
// reaches beyond it.
bool gtv_nal_prefixed_next(struct gtv_str data, size_t *at, struct gtv_str *nal);

#endif
