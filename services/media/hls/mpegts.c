#include "services/media/hls/mpegts.h"

enum {
    PACKET = GTV_MPEGTS_PACKET,
    PAYLOAD = PACKET - 4,
    STREAM_TYPE_AAC = 0x0f,
    STREAM_TYPE_H264 = 0x1b,
    STREAM_TYPE_H265 = 0x24,
    STREAM_ID_VIDEO = 0xe0,
    STREAM_ID_AUDIO = 0xc0,
    TABLES = 2,     // packets: PAT and PMT
    PES_SHORT = 14, // bytes of a PES header with one time-stamp, and with two
    PES_LONG = 19,
    FIELD_PCR = 8,
    FIELD_FLAGS = 2,
    PCR_LEAD = 9000, // ticks that the clock reference lies before the decoding time, so that a strict decoder
                     // has 100 ms to receive
};

static const uint16_t pids[GTV_MPEGTS_STREAMS] = {0, GTV_MPEGTS_PID_PMT, GTV_MPEGTS_PID_VIDEO,
                                                  GTV_MPEGTS_PID_AUDIO};
static const uint8_t start_code[4] = {0, 0, 0, 1};
// Access unit delimiters (H.264, 7.4.2.4: any slice type; H.265, 7.4.3.5: the same), start code included.
static const uint8_t delimiter_h264[] = {0, 0, 0, 1, 0x09, 0xf0};
static const uint8_t delimiter_h265[] = {0, 0, 0, 1, 0x46, 0x01, 0x50};

static uint8_t next_counter(struct gtv_mpegts_counters *c, int stream)
{
    uint8_t now = c->of[stream];
    c->of[stream] = (now + 1) & 15;
    return now;
}

// CRC-32/MPEG-2 (ISO/IEC 13818-1, annex A), over sections of a few dozen bytes.
static uint32_t crc32_mpeg(const uint8_t *p, size_t n)
{
    uint32_t crc = 0xffffffffU;
    for (size_t i = 0; i < n; i++) {
        crc ^= (uint32_t)p[i] << 24;
        for (int bit = 0; bit < 8; bit++) {
            crc = crc & 0x80000000U ? (crc << 1) ^ 0x04c11db7U : crc << 1;
        }
    }
    return crc;
}

static uint8_t *put_header(uint8_t *at, uint16_t pid, bool start, uint8_t field, uint8_t counter)
{
    at[0] = 0x47;
    at[1] = (uint8_t)((start ? 0x40 : 0) | pid >> 8);
    at[2] = (uint8_t)pid;
    at[3] = (uint8_t)(field << 4 | (counter & 15));
    return at + 4;
}

// One section in one packet: header, pointer, the section with its CRC, stuffing.
static void put_section(struct gtv_mpegts_counters *c, int stream, uint8_t *packet, const uint8_t *section,
                        size_t n)
{
    uint8_t *at = put_header(packet, pids[stream], true, 1, next_counter(c, stream));
    *at++ = 0;
    memcpy(at, section, n);
    uint32_t crc = crc32_mpeg(section, n);
    at += n;
    for (int shift = 24; shift >= 0; shift -= 8) {
        *at++ = (uint8_t)(crc >> shift);
    }
    memset(at, 0xff, (size_t)(packet + PACKET - at));
}

static uint8_t *put_tables(const struct gtv_format *f, struct gtv_mpegts_counters *c, uint8_t *packets)
{
    enum { PMT = GTV_MPEGTS_PID_PMT, VIDEO = GTV_MPEGTS_PID_VIDEO, AUDIO = GTV_MPEGTS_PID_AUDIO };
    static const uint8_t pat[] = {0x00, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xe0 | PMT >> 8, PMT & 255};
    put_section(c, GTV_MPEGTS_PAT, packets, pat, sizeof pat);

    uint8_t pmt[40] = {0x02, 0xb0, 0, 0, 1, 0xc1, 0, 0, 0xe0 | VIDEO >> 8, VIDEO & 255, 0xf0, 0};
    size_t n = 12;
    bool h265 = f->video.codec == GTV_CODEC_H265;
    pmt[n++] = h265 ? STREAM_TYPE_H265 : STREAM_TYPE_H264;
    pmt[n++] = 0xe0 | VIDEO >> 8;
    pmt[n++] = VIDEO & 255;
    pmt[n++] = 0xf0;
    pmt[n++] = h265 ? 6 : 0;
    if (h265) {
        // Registration descriptor: several players look for it rather than for the stream type.
        static const uint8_t hevc[] = {5, 4, 'H', 'E', 'V', 'C'};
        memcpy(pmt + n, hevc, sizeof hevc);
        n += sizeof hevc;
    }
    if (gtv_mpegts_has_audio(f)) {
        const uint8_t audio[] = {STREAM_TYPE_AAC, 0xe0 | AUDIO >> 8, AUDIO & 255, 0xf0, 0};
        memcpy(pmt + n, audio, sizeof audio);
        n += sizeof audio;
    }
    pmt[2] = (uint8_t)(n - 3 + 4);
    put_section(c, GTV_MPEGTS_PMT, packets + PACKET, pmt, n);
    return packets + (size_t)TABLES * PACKET;
}

static void put_timestamp(uint8_t *at, uint8_t mark, int64_t ticks)
{
    uint64_t t = (uint64_t)ticks & 0x1ffffffffU;
    at[0] = (uint8_t)((unsigned)mark << 4 | (unsigned)(t >> 30 & 7) << 1 | 1U);
    at[1] = (uint8_t)(t >> 22);
    at[2] = (uint8_t)((t >> 15 & 127) << 1 | 1);
    at[3] = (uint8_t)(t >> 7);
    at[4] = (uint8_t)((t & 127) << 1 | 1);
}

static void put_pes_header(uint8_t out[PES_LONG], const struct gtv_sample *s, size_t es_len)
{
    bool dts = s->dts != s->pts;
    uint8_t header = dts ? 10 : 5;
    // A demuxer that knows the length need not wait for the next unit. Video that exceeds the 16 bits leaves
    // it open (0).
    size_t len = 3U + header + es_len;
    len = len > 0xffff ? 0 : len;
    const uint8_t fixed[9] = {0,
                              0,
                              1,
                              s->video ? STREAM_ID_VIDEO : STREAM_ID_AUDIO,
                              (uint8_t)(len >> 8),
                              (uint8_t)len,
                              0x84,
                              dts ? 0xc0 : 0x80,
                              header};
    memcpy(out, fixed, sizeof fixed);
    put_timestamp(out + 9, dts ? 3 : 2, s->pts);
    if (dts) {
        put_timestamp(out + 14, 1, s->dts);
    }
}

// The adaptation field of a sample's first packet. Returns its bytes, the length byte included; 0: none is
// needed.
static size_t field_size(const struct gtv_sample *s)
{
    return s->video ? FIELD_PCR : s->discontinuity ? FIELD_FLAGS : 0;
}

static size_t put_first_field(uint8_t out[FIELD_PCR], const struct gtv_sample *s)
{
    size_t n = field_size(s);
    if (n == 0) {
        return 0;
    }
    out[1] = (uint8_t)((s->discontinuity ? 0x80 : 0) | (s->key ? 0x40 : 0) | (s->video ? 0x10 : 0));
    if (n == FIELD_PCR) {
        uint64_t base = (uint64_t)(s->dts - PCR_LEAD) & 0x1ffffffffU;
        out[2] = (uint8_t)(base >> 25);
        out[3] = (uint8_t)(base >> 17);
        out[4] = (uint8_t)(base >> 9);
        out[5] = (uint8_t)(base >> 1);
        out[6] = (uint8_t)((base & 1) << 7 | 0x7e);
        out[7] = 0;
    }
    return n;
}

static struct gtv_str delimiter_of(const struct gtv_format *f)
{
    return f->video.codec == GTV_CODEC_H265
               ? (struct gtv_str){(const char *)delimiter_h265, sizeof delimiter_h265}
               : (struct gtv_str){(const char *)delimiter_h264, sizeof delimiter_h264};
}

static struct gtv_str audio_config(const struct gtv_format *f)
{
    return f->audio.config != NULL ? gtv_bytes_str(f->audio.config) : (struct gtv_str){NULL, 0};
}

bool gtv_mpegts_has_audio(const struct gtv_format *f)
{
    return f->audio.codec == GTV_CODEC_AAC;
}

// Bytes of the elementary stream; 0: the sample is left out. Start codes take what the lengths take.
static size_t es_size(const struct gtv_format *f, const struct gtv_sample *s)
{
    uint8_t adts[GTV_MPEGTS_ADTS];
    if (s->video) {
        return delimiter_of(f).n + (s->key ? f->sets->len : 0) + s->data->len;
    }
    return gtv_mpegts_has_audio(f) && gtv_mpegts_adts(audio_config(f), s->data->len, adts)
               ? GTV_MPEGTS_ADTS + s->data->len
               : 0;
}

// Packets of the sample without the tables.
static size_t packets_of(const struct gtv_sample *s, size_t es)
{
    size_t all = field_size(s) + (s->dts != s->pts ? PES_LONG : PES_SHORT) + es;
    return (all + PAYLOAD - 1) / PAYLOAD;
}

size_t gtv_mpegts_pass(const struct gtv_format *f, const struct gtv_sample *s,
                       struct gtv_mpegts_counters *counters)
{
    size_t es = es_size(f, s);
    if (es == 0) {
        return 0;
    }
    size_t packets = packets_of(s, es);
    int stream = s->video ? GTV_MPEGTS_VIDEO : GTV_MPEGTS_AUDIO;
    counters->of[stream] = (uint8_t)((counters->of[stream] + packets) & 15);
    if (s->key) {
        (void)next_counter(counters, GTV_MPEGTS_PAT);
        (void)next_counter(counters, GTV_MPEGTS_PMT);
        packets += TABLES;
    }
    return packets * PACKET;
}

size_t gtv_mpegts_size(const struct gtv_format *f, const struct gtv_sample *s)
{
    struct gtv_mpegts_counters counters = {0};
    return gtv_mpegts_pass(f, s, &counters);
}

// Reads a sample's elementary stream behind its PES header as if it were one piece: pieces of memory one
// after the other, in which the NAL units' lengths become start codes.
struct cursor {
    struct gtv_str now;     // what is being read
    struct gtv_str raw[3];  // taken as they are: PES header, delimiter or ADTS header, audio
    struct gtv_str nals[2]; // in stored form: parameter sets, picture
    size_t raw_at, nals_at, nal_at;
    struct gtv_str nal; // follows its start code
    size_t left;        // bytes in all
};

static void advance(struct cursor *c)
{
    while (c->now.n == 0) {
        if (c->raw_at < 3) {
            c->now = c->raw[c->raw_at++];
        } else if (c->nal.n > 0) {
            c->now = c->nal;
            c->nal.n = 0;
        } else if (c->nals_at == 2) {
            return;
        } else if (gtv_nal_prefixed_next(c->nals[c->nals_at], &c->nal_at, &c->nal)) {
            c->now = (struct gtv_str){(const char *)start_code, sizeof start_code};
        } else {
            // What is left is damaged: it goes out as it is, for the size was told by then.
            struct gtv_str *data = &c->nals[c->nals_at++];
            if (data->n > c->nal_at) {
                c->now = (struct gtv_str){data->p + c->nal_at, data->n - c->nal_at};
            }
            c->nal_at = 0;
        }
    }
}

static uint8_t *copy_from(struct cursor *c, uint8_t *to, size_t n)
{
    while (n > 0) {
        advance(c);
        size_t some = c->now.n < n ? c->now.n : n;
        memcpy(to, c->now.p, some);
        c->now.p += some;
        c->now.n -= some;
        to += some;
        n -= some;
        c->left -= some;
    }
    return to;
}

static uint8_t *put_packet(uint8_t counter, uint16_t pid, uint8_t *packet, struct cursor *c, uint8_t *field,
                           size_t field_len, bool start)
{
    size_t space = PAYLOAD - field_len;
    if (c->left < space) {
        // Stuff inside the adaptation field; one of a single byte is only a length of 0.
        size_t stuffing = space - c->left;
        if (field_len == 0) {
            field[1] = 0;
        }
        size_t used = field_len == 0 ? (stuffing == 1 ? 1 : 2) : field_len;
        field_len += stuffing;
        if (field_len > used) {
            memset(field + used, 0xff, field_len - used);
        }
        space = c->left;
    }
    uint8_t *at = put_header(packet, pid, start, field_len > 0 ? 3 : 1, counter);
    if (field_len > 0) {
        field[0] = (uint8_t)(field_len - 1);
        memcpy(at, field, field_len);
        at += field_len;
    }
    return copy_from(c, at, space);
}

uint8_t *gtv_mpegts_write(const struct gtv_format *f, const struct gtv_sample *s,
                          struct gtv_mpegts_counters *counters, uint8_t *out)
{
    uint8_t pes[PES_LONG], adts[GTV_MPEGTS_ADTS], field[PACKET];
    size_t es = es_size(f, s);
    if (es == 0) {
        return out;
    }
    put_pes_header(pes, s, es);
    struct cursor c = {.left = (s->dts != s->pts ? PES_LONG : PES_SHORT) + es};
    c.raw[0] = (struct gtv_str){(const char *)pes, c.left - es};
    if (s->video) {
        c.raw[1] = delimiter_of(f);
        c.nals[0] = s->key ? gtv_bytes_str(f->sets) : (struct gtv_str){NULL, 0};
        c.nals[1] = gtv_bytes_str(s->data);
    } else if (gtv_mpegts_adts(audio_config(f), s->data->len, adts)) {
        c.raw[1] = (struct gtv_str){(const char *)adts, sizeof adts};
        c.raw[2] = gtv_bytes_str(s->data);
    }
    uint8_t *at = s->key ? put_tables(f, counters, out) : out;
    int stream = s->video ? GTV_MPEGTS_VIDEO : GTV_MPEGTS_AUDIO;
    size_t field_len = put_first_field(field, s);
    for (bool start = true; c.left > 0; start = false) {
        at = put_packet(next_counter(counters, stream), pids[stream], at, &c, field, start ? field_len : 0,
                        start);
    }
    return at;
}

struct gtv_bytes *gtv_mpegts_bytes(const struct gtv_format *f, const struct gtv_sample *samples, size_t n,
                                   struct gtv_mpegts_counters *counters)
{
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        size += gtv_mpegts_size(f, &samples[i]);
    }
    struct gtv_bytes *out = gtv_bytes_create(size);
    if (out == NULL) {
        return NULL;
    }
    uint8_t *at = out->data;
    for (size_t i = 0; i < n; i++) {
        at = gtv_mpegts_write(f, &samples[i], counters, at);
    }
    out->len = (size_t)(at - out->data);
    return out;
}

bool gtv_mpegts_adts(struct gtv_str config, size_t len, uint8_t out[GTV_MPEGTS_ADTS])
{
    if (config.n < 2) {
        return false;
    }
    const unsigned char *b = (const unsigned char *)config.p;
    unsigned object = b[0] >> 3, rate = (b[0] & 7U) << 1 | b[1] >> 7, channels = b[1] >> 3 & 15U;
    size_t frame = len + GTV_MPEGTS_ADTS;
    // The header has two bits for the object type, no explicit rates, no programme config and 13 bits of
    // length.
    if (object < 1 || object > 4 || rate >= 13 || channels < 1 || channels > 7 || frame > 0x1fff) {
        return false;
    }
    out[0] = 0xff;
    out[1] = 0xf1;
    out[2] = (uint8_t)((object - 1) << 6 | rate << 2 | channels >> 2);
    out[3] = (uint8_t)((channels & 3) << 6 | frame >> 11);
    out[4] = (uint8_t)(frame >> 3);
    out[5] = (uint8_t)((frame & 7) << 5 | 0x1f);
    out[6] = 0xfc;
    return true;
}
