// From samples to RTP packets: H.264 (RFC 6184), H.265 (RFC 7798), AAC (RFC 3640, AAC-hbr), Opus (RFC 7587),
// and the sender's reports (RFC 3550). The payload is never copied: a packet is a small head and a slice of
// the sample. Pure; one thread, the caller's.
#ifndef GTV_MEDIA_RTSP_PAY_H
#define GTV_MEDIA_RTSP_PAY_H

#include "lib/video/sample.h"

enum {
    GTV_PAY_FRAME_HEAD = 4,    // '$', channel and length, in front of the RTP header (RFC 2326, 10.12)
    GTV_PAY_HEAD_MAX = 20,     // with 12 bytes of RTP header and at most 4 of the payload's own
    GTV_PAY_PACKET_MAX = 1440, // bytes of an RTP packet: fits an Ethernet frame also within a tunnel
    GTV_PAY_REPORT_BYTES = 48, // of gtv_pay_report
};

struct gtv_pay_packet {
    uint8_t head[GTV_PAY_HEAD_MAX]; // the RTP packet begins at GTV_PAY_FRAME_HEAD
    uint8_t head_len;
    struct gtv_str body; // of the sample's data, or of the parameter sets
};

// The packets of one sample. Zeroed is a valid empty one; its memory is kept from sample to sample.
struct gtv_pay_batch {
    struct gtv_pay_packet *packets;
    size_t count, cap;
    size_t bytes; // of all, with their frame heads
};

void gtv_pay_batch_finish(struct gtv_pay_batch *b);

// One track of one receiver.
struct gtv_pay {
    enum gtv_codec codec;
    uint8_t payload_type, channel; // channel: of the frame heads
    uint32_t clock, ssrc;
    uint32_t offset; // of the time stamps, random
    uint16_t seq;    // of the next packet
    uint32_t packets, octets;
};

// With random numbers where the RFC asks for them.
void gtv_pay_init(struct gtv_pay *p, enum gtv_codec codec, uint32_t clock, uint8_t payload_type,
                  uint8_t channel);
// The RTP time stamp of a moment on the path clock.
uint32_t gtv_pay_time(const struct gtv_pay *p, int64_t ticks);
// Replaces what the batch holds by the sample's packets. sets (NULL is accepted): parameter sets as
// gtv_format has them, sent in front of a key frame.
void gtv_pay_sample(struct gtv_pay *p, const struct gtv_sample *sample, const struct gtv_bytes *sets,
                    struct gtv_pay_batch *out);
// A sender report and a source description: `ticks` of the path clock, as NTP time and in the track's clock.
void gtv_pay_report(const struct gtv_pay *p, int64_t ticks, uint8_t out[GTV_PAY_REPORT_BYTES]);

#endif
