// RTP and RTCP (RFC 3550): packets, their order, their time line, and the reports a receiver owes. One stream
// is one track of one sender. Pure; one thread, the caller's.
#ifndef GTV_RTSP_RTP_H
#define GTV_RTSP_RTP_H

#include "lib/base/str.h"

enum {
    GTV_RTP_HELD_MAX = 64,      // packets that wait for an earlier one (UDP)
    GTV_RTP_HELD_MS = 100,      // the longest they wait
    GTV_RTP_PACKET_MAX = 2048,  // bytes of a packet over UDP that are kept while they wait
    GTV_RTCP_REPORT_BYTES = 52, // of gtv_rtcp_write_report
};

struct gtv_rtp_packet {
    uint8_t payload_type;
    bool marker;
    uint16_t seq;
    uint32_t timestamp, ssrc;
    struct gtv_str payload; // without header, extension and padding
};
// False for what is no RTP.
bool gtv_rtp_read(struct gtv_str data, struct gtv_rtp_packet *out) GTV_WARN_UNUSED;

// A packet in its turn. lost: at least one is missing before it, or the sender began anew. ticks: its time
// stamp without wraps, in the track's clock.
struct gtv_rtp_delivery {
    struct gtv_rtp_packet packet;
    bool lost;
    int64_t ticks;
};

struct gtv_rtp_held;

struct gtv_rtp_stream {
    void (*deliver)(void *arg, const struct gtv_rtp_delivery *d);
    void *arg;
    uint32_t clock;
    bool reorder;     // packets may come out of order (UDP)
    int payload_type; // others are dropped; -1: any

    // Its own.
    bool started, lost;
    uint32_t ssrc;
    uint16_t next; // the sequence number to come
    uint32_t last_timestamp;
    int64_t ticks;
    struct gtv_rtp_held **held; // by sequence number modulo GTV_RTP_HELD_MAX; NULL before the first
    size_t held_count;
    // Of reports (RFC 3550, A.3 and A.8).
    uint32_t highest; // sequence number with its cycles
    uint32_t first, received, expected_before, received_before;
    uint32_t last_sender_report; // the middle of its NTP time
    int64_t sender_report_ms, transit;
    bool timed; // the sender said what the wall clock is: sender_us at its time stamp sender_timestamp
    uint32_t sender_timestamp;
    int64_t sender_us;
    uint32_t jitter; // 16 times too large
    uint64_t missing;
};

void gtv_rtp_stream_init(struct gtv_rtp_stream *s, uint32_t clock, int payload_type, bool reorder,
                         void (*deliver)(void *arg, const struct gtv_rtp_delivery *d), void *arg);
void gtv_rtp_stream_finish(struct gtv_rtp_stream *s); // zeroed is accepted

// Takes one packet as it came; delivers it and whatever waited for it, or keeps a copy. now_ms: monotonic.
void gtv_rtp_stream_push(struct gtv_rtp_stream *s, struct gtv_str data, int64_t now_ms);
// Gives up on packets that others have waited for too long.
void gtv_rtp_stream_tick(struct gtv_rtp_stream *s, int64_t now_ms);

enum gtv_rtcp_event { GTV_RTCP_NOTHING, GTV_RTCP_BYE };
// Notes what a compound packet of the sender says.
enum gtv_rtcp_event gtv_rtcp_read(struct gtv_rtp_stream *s, struct gtv_str data, int64_t now_ms);
// The sender's wall clock (microseconds since 1970) at a packet with these ticks, by its latest report. False
// before the first one, and for a sender that has no clock.
bool gtv_rtp_sender_time(const struct gtv_rtp_stream *s, int64_t ticks, int64_t *wall_us) GTV_WARN_UNUSED;
// A receiver report with a source description. ssrc: the receiver's own. The bytes written, 0 before any
// packet came.
size_t gtv_rtcp_write_report(struct gtv_rtp_stream *s, uint32_t ssrc, int64_t now_ms,
                             uint8_t out[GTV_RTCP_REPORT_BYTES]);

#endif
