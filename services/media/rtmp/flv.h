// Audio and video messages of RTMP (FLV tags' bodies, also of Enhanced RTMP) into a feed: H.264 and H.265,
// AAC and Opus. One thread, the caller's.
#ifndef GTV_MEDIA_RTMP_FLV_H
#define GTV_MEDIA_RTMP_FLV_H

#include "lib/video/feed.h"
#include "services/media/source.h"

// Zeroed but for the first three it is a valid one that has seen nothing.
struct gtv_flv {
    struct gtv_feed_callbacks callbacks;
    void *arg;
    struct gtv_log log; // its strings live on
    enum gtv_codec codec;
    unsigned length_size;
    struct gtv_buf sets; // of the latest sequence header, as in gtv_format
    struct gtv_access access;
    struct gtv_feed *feed; // from the first frame on
    struct gtv_audio_info audio;
    struct gtv_flv_clock {
        bool any;
        uint32_t last;
        int64_t ms;
    } video_clock, audio_clock;
    bool left_out_told;
};

void gtv_flv_init(struct gtv_flv *f, const struct gtv_feed_callbacks *callbacks, void *arg,
                  const struct gtv_log *log);
void gtv_flv_finish(struct gtv_flv *f);

// One message's body; timestamp: ms, wraps. False with *why: it cannot be carried, or is damaged. What a
// publisher may send and nobody here needs is passed over.
bool gtv_flv_video(struct gtv_flv *f, struct gtv_str body, uint32_t timestamp, int64_t arrival_us,
                   struct gtv_source_end *why) GTV_WARN_UNUSED;
bool gtv_flv_audio(struct gtv_flv *f, struct gtv_str body, uint32_t timestamp, int64_t arrival_us,
                   struct gtv_source_end *why) GTV_WARN_UNUSED;

#endif
