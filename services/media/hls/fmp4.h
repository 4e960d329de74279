// Fragmented MP4 (ISO/IEC 14496-12, -14, -15; Opus in ISOBMFF) from samples as the node keeps them: an init
// segment from a format, and fragments whose media data is the samples' own bytes, never a copy. Pure; any
// thread.
#ifndef GTV_MEDIA_FMP4_H
#define GTV_MEDIA_FMP4_H

#include "lib/base/buf.h"
#include "lib/video/sample.h"

enum {
    GTV_FMP4_TIMESCALE =
        90000, // of both tracks: the path clock's own ticks, so nothing is rounded and nothing drifts
    GTV_FMP4_VIDEO = 1, // track ids
    GTV_FMP4_AUDIO = 2,
};

// ftyp and moov: avc1 or hvc1 and, where the format has one, mp4a or Opus. NULL when the parameter sets
// cannot be put into a configuration record, or without memory.
struct gtv_bytes *gtv_fmp4_init(const struct gtv_format *f) GTV_WARN_UNUSED;

// Appends the stsd box of one track (for whoever writes a moov of his own). False when that cannot be done.
bool gtv_fmp4_put_stsd(struct gtv_buf *out, const struct gtv_format *f, unsigned track) GTV_WARN_UNUSED;

#define GTV_FMP4_UNKNOWN INT64_MIN

struct gtv_fmp4_fragment {
    uint32_t sequence; // of mfhd: counts up within a file
    int64_t origin;    // path ticks that become 0 in the file; 0 keeps the Unix clock
    // Decoding time of the sample that follows in each track: it gives the last sample's length.
    // GTV_FMP4_UNKNOWN: the length of the one before is taken.
    int64_t video_next, audio_next;
    // Ticks of one frame of audio, for where its neighbours say nothing (gtv_fmp4_audio_length); 0: 20 ms.
    int64_t audio_length;
};

// Ticks of one frame by the format: 1,024 samples of AAC; 20 ms of Opus, as nearly all encoders make it.
int64_t gtv_fmp4_audio_length(const struct gtv_format *f);

// One fragment (moof and mdat) of n >= 1 samples in the order of their arrival. pieces has room for n + 1:
// the first becomes the head (moof and the header of mdat; the caller's reference), the others the samples'
// bytes in the order of the file (video, then audio; borrowed). The lengths of all pieces are the fragment's
// length. False, and nothing to free, without memory.
bool gtv_fmp4_fragment(const struct gtv_fmp4_fragment *info, const struct gtv_sample *samples, size_t n,
                       struct gtv_bytes **pieces) GTV_WARN_UNUSED;

// ---- Boxes ----
// Begins a box; the result is handed to gtv_box_end, which fills in the length.
size_t gtv_box_begin(struct gtv_buf *out, const char type[4]);
size_t gtv_box_begin_full(struct gtv_buf *out, const char type[4], uint8_t version, uint32_t flags);
void gtv_box_end(struct gtv_buf *out, size_t begun);
// The lowest 8 * bytes bits of value, big endian.
void gtv_box_put(struct gtv_buf *out, uint64_t value, unsigned bytes);
void gtv_box_zeros(struct gtv_buf *out, size_t n);

#endif
