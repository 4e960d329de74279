// The decoder configurations of MP4 (ISO/IEC 14496-15, -1, Opus in ISOBMFF), made from parameter sets. Pure.
#ifndef GTV_MEDIA_MP4CONFIG_H
#define GTV_MEDIA_MP4CONFIG_H

#include "lib/base/buf.h"

// The contents of avcC and hvcC. sets: NAL units, each behind its length in 4 bytes. False when one that is
// needed is missing or cannot be read.
bool gtv_mp4_put_avcc(struct gtv_buf *out, struct gtv_str sets) GTV_WARN_UNUSED;
bool gtv_mp4_put_hvcc(struct gtv_buf *out, struct gtv_str sets) GTV_WARN_UNUSED;

// Whole boxes. config: AudioSpecificConfig; the contents of dOps, or empty.
void gtv_mp4_put_esds(struct gtv_buf *out, struct gtv_str config);
void gtv_mp4_put_dops(struct gtv_buf *out, struct gtv_str config, int channels);

#endif
