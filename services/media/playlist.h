// Writes HLS playlists (RFC 8216) in the form that MediaMTX gives them. Pure.
#ifndef GTV_MEDIA_PLAYLIST_H
#define GTV_MEDIA_PLAYLIST_H

#include "lib/base/buf.h"

struct gtv_playlist_variant {
    uint64_t bandwidth, average_bandwidth; // bits a second
    const char *video_codecs;
    const char *audio_codecs; // NULL: no audio
    int width, height;
    double fps; // 0: left out
};

struct gtv_playlist_segment {
    int64_t wall_ms;    // of its first frame
    double duration;    // seconds
    bool discontinuity; // stands between it and the one before
    const char *prefix; // "026961b54d72"
    uint64_t number;
};

// Appends index.m3u8.
void gtv_playlist_index(struct gtv_buf *out, const struct gtv_playlist_variant *v);

// Appends main_stream.m3u8. sequence: media sequence of the first segment; discontinuities: how many were
// dropped from the front so far.
void gtv_playlist_media(struct gtv_buf *out, const struct gtv_playlist_segment *segments, size_t n,
                        int target_duration, uint64_t sequence, uint64_t discontinuities);

enum { GTV_SEGMENT_NAME_CAP = 64 };
// "026961b54d72_main_seg21.ts". Returns out.
const char *gtv_playlist_segment_name(const char *prefix, uint64_t number, char out[GTV_SEGMENT_NAME_CAP]);

#endif
