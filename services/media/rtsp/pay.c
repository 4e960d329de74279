#include "services/media/rtsp/pay.h"

#include "lib/base/mem.h"

#include <stdlib.h>
#include <sys/random.h>

enum {
    RTP_HEADER = 12,
    MARKER = 0x80,
    FU_A = 28,       // RFC 6184, 5.8
    FU_H265 = 49,    // RFC 7798, 4.4.3
    FU_START = 0x80, // of both
    FU_END = 0x40,
    AU_SIZE_MAX = 0x1fff, // 13 bits (RFC 3640, 3.3.6)
    OPUS_MAX = 60000,     // bytes of a packet; real ones have at most 1275 a frame
    RTCP_SR = 200,
    RTCP_SDES = 202,
};

#define NTP_EPOCH UINT64_C(2208988800) // seconds from 1900 to 1970

static void put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

void gtv_pay_batch_finish(struct gtv_pay_batch *b)
{
    free(b->packets);
    *b = (struct gtv_pay_batch){0};
}

void gtv_pay_init(struct gtv_pay *p, enum gtv_codec codec, uint32_t clock, uint8_t payload_type,
                  uint8_t channel)
{
    uint32_t random[3];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        abort(); // the kernel has random bytes from its start on
    }
    *p = (struct gtv_pay){.codec = codec,
                          .payload_type = payload_type,
                          .channel = channel,
                          .clock = clock,
                          .ssrc = random[0],
                          .offset = random[1],
                          .seq = (uint16_t)(random[2] & 0x7fff)};
}

uint32_t gtv_pay_time(const struct gtv_pay *p, int64_t ticks)
{
    // In two parts: the whole moment times 96,000 would not fit.
    int64_t seconds = ticks / 90000, rest = ticks % 90000;
    return p->offset + (uint32_t)(seconds * (int64_t)p->clock + (rest * (int64_t)p->clock + 45000) / 90000);
}

static struct gtv_pay_packet *add(struct gtv_pay_batch *b)
{
    if (b->count == b->cap) {
        b->cap = b->cap == 0 ? 32 : b->cap * 2;
        b->packets = gtv_realloc(b->packets, b->cap * sizeof *b->packets);
    }
    return &b->packets[b->count++];
}

// One packet: `extra` bytes of the payload's own head, and the slice.
static void put(struct gtv_pay *p, struct gtv_pay_batch *b, uint32_t time, const uint8_t *extra,
                size_t extra_len, struct gtv_str body)
{
    struct gtv_pay_packet *k = add(b);
    size_t n = RTP_HEADER + extra_len + body.n;
    uint8_t *h = k->head + GTV_PAY_FRAME_HEAD;
    k->head[0] = '$';
    k->head[1] = p->channel;
    k->head[2] = (uint8_t)(n >> 8);
    k->head[3] = (uint8_t)n;
    h[0] = 0x80;
    h[1] = p->payload_type;
    h[2] = (uint8_t)(p->seq >> 8);
    h[3] = (uint8_t)p->seq;
    put32(h + 4, time);
    put32(h + 8, p->ssrc);
    if (extra_len > 0) {
        memcpy(h + RTP_HEADER, extra, extra_len);
    }
    k->head_len = (uint8_t)(GTV_PAY_FRAME_HEAD + RTP_HEADER + extra_len);
    k->body = body;
    b->bytes += GTV_PAY_FRAME_HEAD + n;
    p->seq++;
    p->packets++;
    p->octets += (uint32_t)(extra_len + body.n);
}

static void mark_last(struct gtv_pay_batch *b)
{
    if (b->count > 0) {
        b->packets[b->count - 1].head[GTV_PAY_FRAME_HEAD + 1] |= MARKER;
    }
}

// A NAL unit as it is, or in fragments without its header, which the fragments' heads carry.
static void put_nal(struct gtv_pay *p, struct gtv_pay_batch *b, uint32_t time, struct gtv_str nal)
{
    bool h264 = p->codec == GTV_CODEC_H264;
    size_t header = h264 ? 1 : 2;
    const uint8_t *first = (const uint8_t *)nal.p;
    if (nal.n <= GTV_PAY_PACKET_MAX - RTP_HEADER) {
        put(p, b, time, NULL, 0, nal);
        return;
    }
    uint8_t head[3], type;
    if (h264) {
        head[0] = (uint8_t)((first[0] & 0xe0) | FU_A);
        type = first[0] & 0x1f;
    } else {
        head[0] = (uint8_t)((first[0] & 0x81) | FU_H265 << 1);
        head[1] = first[1];
        type = first[0] >> 1 & 0x3f;
    }
    size_t room = GTV_PAY_PACKET_MAX - RTP_HEADER - header - 1;
    for (size_t at = header; at < nal.n;) {
        size_t n = nal.n - at < room ? nal.n - at : room;
        unsigned flags = (at == header ? FU_START : 0U) | (at + n == nal.n ? FU_END : 0U);
        head[header] = (uint8_t)(flags | type);
        put(p, b, time, head, header + 1, (struct gtv_str){nal.p + at, n});
        at += n;
    }
}

static void put_nals(struct gtv_pay *p, struct gtv_pay_batch *b, uint32_t time, struct gtv_str nals)
{
    size_t at = 0;
    struct gtv_str nal;
    while (gtv_nal_prefixed_next(nals, &at, &nal)) {
        if (nal.n > (p->codec == GTV_CODEC_H264 ? 1U : 2U)) {
            put_nal(p, b, time, nal);
        }
    }
}

// One frame a packet; one too large for that in fragments, each with the whole frame's AU header (RFC 3640,
// 3.2.3.1).
static void put_aac(struct gtv_pay *p, struct gtv_pay_batch *b, uint32_t time, struct gtv_str frame)
{
    enum { AU_HEADERS = 4, ROOM = GTV_PAY_PACKET_MAX - RTP_HEADER - AU_HEADERS };
    if (frame.n > AU_SIZE_MAX) {
        return;
    }
    const uint8_t head[AU_HEADERS] = {0, 16, (uint8_t)(frame.n >> 5), (uint8_t)(frame.n << 3)};
    for (size_t at = 0; at < frame.n; at += ROOM) {
        size_t n = frame.n - at < ROOM ? frame.n - at : ROOM;
        put(p, b, time, head, sizeof head, (struct gtv_str){frame.p + at, n});
    }
}

void gtv_pay_sample(struct gtv_pay *p, const struct gtv_sample *sample, const struct gtv_bytes *sets,
                    struct gtv_pay_batch *out)
{
    struct gtv_str data = gtv_bytes_str(sample->data);
    uint32_t time = gtv_pay_time(p, sample->pts);
    out->count = out->bytes = 0;
    switch (p->codec) {
    case GTV_CODEC_H264:
    case GTV_CODEC_H265:
        if (sample->key && sets != NULL) {
            put_nals(p, out, time, gtv_bytes_str(sets));
        }
        put_nals(p, out, time, data);
        mark_last(out);
        break;
    case GTV_CODEC_AAC:
        put_aac(p, out, time, data);
        mark_last(out);
        break;
    case GTV_CODEC_OPUS:
        if (data.n <= OPUS_MAX) {
            put(p, out, time, NULL, 0, data);
        }
        break;
    default:
        break;
    }
}

void gtv_pay_report(const struct gtv_pay *p, int64_t ticks, uint8_t out[GTV_PAY_REPORT_BYTES])
{
    uint64_t seconds = (uint64_t)ticks / 90000 + NTP_EPOCH;
    static const uint8_t cname[] = {1, 9, 'g', 't', 'v', '-', 'm', 'e', 'd', 'i', 'a', 0};
    uint64_t fraction = ((uint64_t)ticks % 90000 << 32) / 90000;
    memcpy(out, (const uint8_t[]){0x80, RTCP_SR, 0, 6}, 4);
    put32(out + 4, p->ssrc);
    put32(out + 8, (uint32_t)seconds);
    put32(out + 12, (uint32_t)fraction);
    put32(out + 16, gtv_pay_time(p, ticks));
    put32(out + 20, p->packets);
    put32(out + 24, p->octets);
    // One chunk with a CNAME, padded with zeros to 32 bits.
    memcpy(out + 28, (const uint8_t[]){0x81, RTCP_SDES, 0, 4}, 4);
    put32(out + 32, p->ssrc);
    memcpy(out + 36, cname, sizeof cname);
}
