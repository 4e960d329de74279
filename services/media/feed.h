// From a camera's packets to units: path clock, key frames, parameter sets, MPEG-TS. Knows no network; one
// thread, the caller's.
#ifndef GTV_MEDIA_FEED_H
#define GTV_MEDIA_FEED_H

#include "lib/log/log.h"
#include "services/media/pathclock.h"
#include "services/media/unit.h"

#include <libavformat/avformat.h>

struct gtv_feed;

struct gtv_feed_callbacks {
    void (*on_tracks)(
        void *arg,
        const struct gtv_tracks *tracks); // before the first unit, and before the key frame that changes them
    void (*on_unit)(void *arg, const struct gtv_unit *unit,
                    size_t received); // the unit's reference stays the feed's
};

// True for audio that HLS carries as it is: AAC whose configuration is known.
bool gtv_feed_takes_audio(const AVCodecParameters *par);

// video: H.264 or H.265 in Annex B. audio may be NULL.
struct gtv_feed *gtv_feed_create(const AVCodecParameters *video, const AVCodecParameters *audio,
                                 const struct gtv_feed_callbacks *callbacks, void *arg,
                                 const struct gtv_log *log);
void gtv_feed_destroy(struct gtv_feed *f); // NULL is accepted

// One access unit (or audio frame). Nothing comes out before the first key frame whose parameters are known.
void gtv_feed_packet(struct gtv_feed *f, const AVPacket *packet, AVRational time_base, bool video,
                     int64_t arrival_us);

#endif
