// H.264 and H.265 access units in Annex B form: which parameter sets they carry, and what those say.
#ifndef GTV_VIDEO_NAL_H
#define GTV_VIDEO_NAL_H

#include "lib/base/bytes.h"

#include <libavcodec/avcodec.h>

// PCMA and PCMU (G.711) come from sources only: readers get AAC or Opus.
enum gtv_codec {
    GTV_CODEC_NONE,
    GTV_CODEC_H264,
    GTV_CODEC_H265,
    GTV_CODEC_AAC,
    GTV_CODEC_OPUS,
    GTV_CODEC_PCMA,
    GTV_CODEC_PCMU,
};

// What becomes of a NAL unit on its way into the house.
enum gtv_nal_kind {
    GTV_NAL_OTHER,   // SEI and the like: kept
    GTV_NAL_PICTURE, // a slice
    GTV_NAL_KEY,     // a slice of an IDR (H.265: any random access) picture
    GTV_NAL_SET,     // VPS, SPS, PPS
    GTV_NAL_DROP,    // delimiters, filler, ends of sequences, layers that nobody here decodes
};
// header: the NAL unit's first byte.
enum gtv_nal_kind gtv_nal_kind(enum gtv_codec codec, uint8_t header);

// The next NAL unit (without its start code) at or after *at; moves *at behind it. False at the end.
bool gtv_nal_next(struct gtv_str data, size_t *at, struct gtv_str *nal);

// What one access unit contains.
struct gtv_nal_scan {
    bool delimiter; // begins with an access unit delimiter
    bool key;       // an IDR (H.265: any random access) picture
    bool sets;      // parameter sets complete enough to start decoding here
};
struct gtv_nal_scan gtv_nal_scan(enum gtv_codec codec, struct gtv_str unit);

// The parameter sets of an access unit or of extradata, each with a start code of 4 bytes, in their order.
// NULL when there are none.
struct gtv_bytes *gtv_nal_sets(enum gtv_codec codec, struct gtv_str data) GTV_WARN_UNUSED;

// What players and the API want to know about a video track.
struct gtv_video_info {
    enum gtv_codec codec;
    int width, height;
    double fps;       // 0: the stream does not say
    char codecs[40];  // RFC 6381: "avc1.4d401f", "hvc1.1.6.L93.B0"
    char profile[24]; // "Main"
    char level[8];    // "3.1"
};

// Reads the parameter sets with libavcodec's parser; key_unit is an access unit that has them and a key
// picture. False when it holds none that can be read. Any thread.
bool gtv_video_info_read(enum gtv_codec codec, struct gtv_str key_unit,
                         struct gtv_video_info *out) GTV_WARN_UNUSED;

#endif
