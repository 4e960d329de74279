#include "lib/rtsp/depay.h"

static void emit(struct gtv_depay *d, struct gtv_str frame, int64_t ticks, size_t received)
{
    if (frame.n > 0) {
        d->callbacks->on_audio(d->arg, frame, gtv_depay_stamp(d, ticks), received);
    }
}

struct bits {
    const uint8_t *p;
    size_t n, at; // in bits
};

static uint32_t take_bits(struct bits *b, unsigned count)
{
    uint32_t value = 0;
    for (; count > 0; count--, b->at++) {
        value = value << 1 | (b->at < b->n ? (uint32_t)b->p[b->at / 8] >> (7 - b->at % 8) & 1U : 0);
    }
    return value;
}

static void drop_fragment(struct gtv_depay *d)
{
    gtv_buf_reset(&d->fragment);
    d->fragment_size = 0;
    d->in_fragment = false;
}

// A frame larger than a packet comes in several, each with the same AU header (RFC 3640, 3.2.3).
static void aac_fragment(struct gtv_depay *d, struct gtv_str data, size_t size,
                         const struct gtv_rtp_delivery *in)
{
    if (d->in_fragment && (in->lost || d->ticks != in->ticks || d->fragment_size != size)) {
        drop_fragment(d);
    }
    if (!d->in_fragment) {
        d->in_fragment = true;
        d->fragment_size = size;
        d->ticks = in->ticks;
    }
    if (!gtv_buf_append(&d->fragment, data.p, data.n) || d->fragment.len > size) {
        drop_fragment(d);
    } else if (d->fragment.len == size) {
        emit(d, gtv_buf_str(&d->fragment), d->ticks, size);
        drop_fragment(d);
    }
}

// Frames behind a section of AU headers: its length in bits (16 bits), then for each frame its size and its
// distance from the one before.
static void aac_generic(struct gtv_depay *d, const struct gtv_rtp_delivery *in)
{
    struct gtv_str data = in->packet.payload;
    const uint8_t *p = (const uint8_t *)data.p;
    size_t bits = data.n >= 2 ? (size_t)p[0] << 8 | p[1] : 0, head = 2 + (bits + 7) / 8;
    if (bits == 0 || head > data.n) {
        return;
    }
    struct bits b = {p + 2, bits, 0};
    data.p += head;
    data.n -= head;
    int64_t ticks = in->ticks;
    for (bool first = true; b.at + d->size_length <= bits && data.n > 0; first = false) {
        size_t size = take_bits(&b, d->size_length);
        uint32_t index = take_bits(&b, first ? d->index_length : d->index_delta_length);
        ticks += first ? 0 : (int64_t)(index & 0xff) * d->frame_ticks;
        if (first && size > data.n) {
            aac_fragment(d, data, size, in);
            return;
        }
        if (size > data.n) {
            return;
        }
        emit(d, (struct gtv_str){data.p, size}, ticks, size);
        data.p += size;
        data.n -= size;
        ticks += d->frame_ticks;
    }
}

// An audioMuxElement without its configuration (ISO/IEC 14496-3, 1.7.3): the frame's length in bytes of 255
// and a last smaller one, then the frame. The marker ends it.
static void aac_latm(struct gtv_depay *d, const struct gtv_rtp_delivery *in)
{
    if (in->lost || (d->in_fragment && d->ticks != in->ticks)) {
        drop_fragment(d);
    }
    d->in_fragment = true;
    d->ticks = in->ticks;
    if (!gtv_buf_append(&d->fragment, in->packet.payload.p, in->packet.payload.n)) {
        drop_fragment(d);
    }
    if (!in->packet.marker) {
        return;
    }
    struct gtv_str data = gtv_buf_str(&d->fragment);
    int64_t ticks = in->ticks;
    while (data.n > 0) {
        size_t size = 0, at = 0;
        uint8_t byte = 255;
        while (byte == 255 && at < data.n) {
            byte = (uint8_t)data.p[at++];
            size += byte;
        }
        if (size == 0 || size > data.n - at) {
            break;
        }
        emit(d, (struct gtv_str){data.p + at, size}, ticks, size);
        data.p += at + size;
        data.n -= at + size;
        ticks += d->frame_ticks;
    }
    drop_fragment(d);
}

void gtv_depay_audio(struct gtv_depay *d, const struct gtv_rtp_delivery *in)
{
    switch (d->codec) {
    case GTV_CODEC_AAC:
        if (d->latm) {
            aac_latm(d, in);
        } else {
            aac_generic(d, in);
        }
        break;
    case GTV_CODEC_OPUS:
    case GTV_CODEC_PCMU:
    case GTV_CODEC_PCMA:
        emit(d, in->packet.payload, in->ticks, in->packet.payload.n);
        break;
    default:
        break;
    }
}
