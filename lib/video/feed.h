// From a source's access units to samples: path clock, decoding times, key frames, formats. Every kind of
// source ends here: the RTSP reader, libavformat's sources, publishers over RTSP and RTMP. One thread, the
// caller's.
#ifndef GTV_VIDEO_FEED_H
#define GTV_VIDEO_FEED_H

#include "lib/log/log.h"
#include "lib/video/access.h"
#include "lib/video/pathclock.h"
#include "lib/video/sample.h"

struct gtv_feed;

struct gtv_feed_callbacks {
    // Before the first sample, and before the key frame that changes it. The reference stays the feed's.
    void (*on_format)(void *arg, struct gtv_format *format);
    // The sample's reference stays the feed's. received: bytes from the source it took.
    void (*on_sample)(void *arg, const struct gtv_sample *sample, size_t received);
};

struct gtv_feed_config {
    enum gtv_codec video;   // H264 or H265
    struct gtv_bytes *sets; // known beforehand (SDP, extradata), as in gtv_format; NULL: they come in band
    struct gtv_audio_info audio;
};

#define GTV_NO_STAMP INT64_MIN

// The config's references are taken; the strings of the log live on.
struct gtv_feed *gtv_feed_create(const struct gtv_feed_config *config,
                                 const struct gtv_feed_callbacks *callbacks, void *arg,
                                 const struct gtv_log *log);
void gtv_feed_destroy(struct gtv_feed *f); // NULL is accepted

// Another audio track, or its first one, from the next key frame on: the format changes with it. The config
// gets a reference.
void gtv_feed_set_audio(struct gtv_feed *f, const struct gtv_audio_info *audio);

// One access unit; `a` is reset. stamp: the source's presentation time in 90 kHz ticks without wrap, or
// GTV_NO_STAMP. arrival_us: wall clock. Nothing comes out before the first key frame whose parameters are
// known. A damaged unit is left out, and after a damaged key frame all up to the next one.
void gtv_feed_video(struct gtv_feed *f, struct gtv_access *a, int64_t stamp, int64_t arrival_us,
                    size_t received);
// One audio frame: a reference is taken.
void gtv_feed_audio(struct gtv_feed *f, struct gtv_bytes *frame, int64_t stamp, int64_t arrival_us,
                    size_t received);

uint64_t gtv_feed_damaged(const struct gtv_feed *f); // access units that could not be used

#endif
