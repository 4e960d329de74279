// One answer that is read from files: planned and read in libuv's pool, written on the loop, a piece at a
// time as the client takes them.
#ifndef GTV_MEDIA_RECORD_PLAYBACK_JOB_H
#define GTV_MEDIA_RECORD_PLAYBACK_JOB_H

#include "services/media/record/cut.h"
#include "services/media/record/playback.h"

enum {
    GTV_PLAYBACK_RUNNING_MAX = 1000, // answers in progress; beyond it 503
    GTV_PLAYBACK_PIECE = 256 * 1024, // bytes read ahead of the client
};

enum gtv_playback_kind {
    GTV_PLAY_FMP4,     // init and fragments, from 0
    GTV_PLAY_MP4,      // with Range
    GTV_PLAY_INIT,     // the init only
    GTV_PLAY_SEGMENT,  // fragments only, on the playlist's time line
    GTV_PLAY_PLAYLIST, // of HLS
};

// Takes the spans (n >= 1). Answers the request, now or later. origin: of segments.
void gtv_playback_run(struct gtv_playback *p, struct gtv_http_request *req, enum gtv_playback_kind kind,
                      struct gtv_record_span *spans, size_t n, int64_t from, int64_t to, int64_t origin);

// The playlist of the spans; in the pool. False without memory or when nothing can be read.
bool gtv_vod_write(const struct gtv_record_span *spans, size_t n, int64_t from, int64_t to,
                   struct gtv_buf *out) GTV_WARN_UNUSED;

// "bytes=a-b" of a body of that size. False: not a range of ours, the whole is answered. *end is behind the
// last byte; an unsatisfiable one gives *begin == *end.
bool gtv_playback_range(struct gtv_str header, uint64_t size, uint64_t *begin, uint64_t *end);

#endif
