// MPEG-TS as the media node's relay sends it (ISO/IEC 13818-1: one program, each picture a PES packet of its
// own) into pictures as they were coded. No threads: whoever feeds it is called back.
#ifndef GTV_AI_TS_H
#define GTV_AI_TS_H

#include "lib/base/str.h"

enum gtv_ts_codec { GTV_TS_NONE, GTV_TS_H264, GTV_TS_H265, GTV_TS_OTHER };

enum {
    GTV_TS_PACKET = 188,
    GTV_TS_MAX_UNIT = 8 << 20, // bytes of a picture; a larger one is left out
    GTV_TS_PADDING = 64,       // zeroed bytes behind a unit's own, as libavcodec wants them
};

// One coded picture with start codes (Annex B).
struct gtv_ts_unit {
    uint8_t *data; // malloc'd, GTV_TS_PADDING bytes longer than len; the receiver frees it
    size_t len;
    enum gtv_ts_codec codec;
    bool key;      // a decoder can begin here
    bool has_pts;  // else pts33 is 0
    int64_t pts33; // the path clock: 90 kHz modulo 2^33
};

struct gtv_ts_reader {
    void (*on_unit)(void *arg, struct gtv_ts_unit *unit); // takes unit->data
    void *arg;

    // What the tables said.
    int pmt_pid, video_pid; // -1: not known yet
    enum gtv_ts_codec codec;
    bool tables;      // a program was described: codec is meant, also GTV_TS_NONE
    uint64_t packets; // well-formed, since the beginning
    uint64_t damaged; // packets without their sync byte, and units that had a hole

    // The packet and the picture that are being put together.
    uint8_t packet[GTV_TS_PACKET];
    size_t packet_len;
    uint8_t *unit;
    size_t unit_len, unit_cap, expected; // expected: bytes by the PES header, 0: not said
    bool in_unit, has_pts, random_access;
    int64_t pts33;
    int continuity;      // of the video, or -1
    bool stuffed_midway; // this muxer stuffs packets in the middle of a picture
    bool ended_early;    // the unit before was handed out because of stuffing
};

void gtv_ts_init(struct gtv_ts_reader *ts, void (*on_unit)(void *arg, struct gtv_ts_unit *unit), void *arg);
void gtv_ts_finish(struct gtv_ts_reader *ts); // what is half put together is dropped
// Any piece of the stream, in order.
void gtv_ts_feed(struct gtv_ts_reader *ts, const uint8_t *data, size_t n);

// Whether a decoder can begin with this picture: it has an IDR (H.264) or IRAP (H.265) slice.
bool gtv_ts_is_key(enum gtv_ts_codec codec, const uint8_t *data, size_t n);

#endif
