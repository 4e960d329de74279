// What containers say about a track apart from its frames: avcC and hvcC (ISO/IEC 14496-15) and AAC's
// AudioSpecificConfig (ISO/IEC 14496-3). Pure.
#ifndef GTV_MEDIA_AVCC_H
#define GTV_MEDIA_AVCC_H

#include "lib/base/buf.h"
#include "lib/video/format.h"

// avcC (H.264) or hvcC (H.265). Appends the parameter sets to sets, each behind its length in 4 bytes, as
// gtv_format has them, and tells how many bytes the lengths before the track's NAL units have (1, 2 or 4).
// False: damaged, or without any set; sets may have some of them then.
bool gtv_avcc_read(enum gtv_codec codec, struct gtv_str record, struct gtv_buf *sets,
                   unsigned *length_size) GTV_WARN_UNUSED;

// Rate, channels, codecs and config (a reference for the caller) of an AAC track. False: not understood, or
// nothing that MPEG-TS could carry.
bool gtv_aac_info_read(struct gtv_str config, struct gtv_audio_info *out) GTV_WARN_UNUSED;
// The same of AAC-LC without any, and of an Opus track by its identification header (RFC 7845, 5.1).
bool gtv_aac_info_make(int rate, int channels, struct gtv_audio_info *out) GTV_WARN_UNUSED;
bool gtv_opus_info_read(struct gtv_str head, struct gtv_audio_info *out) GTV_WARN_UNUSED;

// One frame behind an ADTS header (ISO/IEC 13818-7, 6.2): *frame becomes the raw one, and *out as of
// gtv_aac_info_read. False, and nothing is changed, when there is no such header.
bool gtv_adts_read(struct gtv_str *frame, struct gtv_audio_info *out) GTV_WARN_UNUSED;

#endif
