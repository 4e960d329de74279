// Audio that HLS cannot carry (G.711, MP2, MP3, G.722, ADPCM, ...) to AAC-LC, by libavcodec. One thread at a
// time.
#ifndef GTV_MEDIA_TRANSCODE_H
#define GTV_MEDIA_TRANSCODE_H

#include "lib/video/format.h"

struct gtv_transcode;

// What comes in; codec is AAC or any that libavcodec decodes. NULL when it does not, or cannot be told its
// rate.
struct gtv_transcode *gtv_transcode_create(enum AVCodecID codec, int rate, int channels,
                                           struct gtv_str extradata) GTV_WARN_UNUSED;
void gtv_transcode_destroy(struct gtv_transcode *t); // NULL is accepted

// What comes out: AAC-LC, mono or stereo; valid as long as the transcoder.
const struct gtv_audio_info *gtv_transcode_info(const struct gtv_transcode *t);

// One packet in; on_frame for each raw AAC frame that it completes (the reference stays the transcoder's).
// Stamps are 90 kHz ticks without wrap. They count the samples, so that no rounding adds up, and follow the
// source's where those are more than 100 ms away. What the encoder holds back is in them: a frame's stamp may
// be older than the packet's. A packet that cannot be decoded is left out.
typedef void (*gtv_transcode_frame)(void *arg, struct gtv_bytes *frame, int64_t stamp);
void gtv_transcode_push(struct gtv_transcode *t, struct gtv_str packet, int64_t stamp,
                        gtv_transcode_frame on_frame, void *arg);

#endif
