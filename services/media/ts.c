#include "services/media/ts.h"

enum {
    PAYLOAD = GTV_TS_PACKET - 4,
    STREAM_TYPE_AAC = 0x0f,
    STREAM_TYPE_H264 = 0x1b,
    STREAM_TYPE_H265 = 0x24,
    STREAM_ID_VIDEO = 0xe0,
    STREAM_ID_AUDIO = 0xc0,
    PCR_LEAD = 9000, // ticks that the clock reference lies before the decoding time, so that a strict decoder
                     // has 100 ms to receive
};

static const uint16_t pids[GTV_TS_STREAMS] = {0, GTV_TS_PID_PMT, GTV_TS_PID_VIDEO, GTV_TS_PID_AUDIO};

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
static void put_section(struct gtv_ts *ts, int stream, uint8_t *packet, const uint8_t *section, size_t n)
{
    uint8_t *at = put_header(packet, pids[stream], true, 1, ts->next.of[stream]);
    ts->next.of[stream] = (ts->next.of[stream] + 1) & 15;
    *at++ = 0;
    memcpy(at, section, n);
    uint32_t crc = crc32_mpeg(section, n);
    at += n;
    for (int shift = 24; shift >= 0; shift -= 8) {
        *at++ = (uint8_t)(crc >> shift);
    }
    memset(at, 0xff, (size_t)(packet + GTV_TS_PACKET - at));
}

static void put_tables(struct gtv_ts *ts, uint8_t *packets)
{
    static const uint8_t pat[] = {
        0x00, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xe0 | GTV_TS_PID_PMT >> 8, GTV_TS_PID_PMT & 255};
    put_section(ts, GTV_TS_PAT, packets, pat, sizeof pat);

    uint8_t pmt[40] = {0x02, 0xb0, 0, 0, 1, 0xc1, 0, 0, 0xe0 | GTV_TS_PID_VIDEO >> 8, GTV_TS_PID_VIDEO & 255,
                       0xf0, 0};
    size_t n = 12;
    bool h265 = ts->video == GTV_CODEC_H265;
    pmt[n++] = h265 ? STREAM_TYPE_H265 : STREAM_TYPE_H264;
    pmt[n++] = 0xe0 | GTV_TS_PID_VIDEO >> 8;
    pmt[n++] = GTV_TS_PID_VIDEO & 255;
    pmt[n++] = 0xf0;
    pmt[n++] = h265 ? 6 : 0;
    if (h265) {
        // Registration descriptor: several players look for it rather than for the stream type.
        static const uint8_t hevc[] = {5, 4, 'H', 'E', 'V', 'C'};
        memcpy(pmt + n, hevc, sizeof hevc);
        n += sizeof hevc;
    }
    if (ts->audio) {
        const uint8_t audio[] = {STREAM_TYPE_AAC, 0xe0 | GTV_TS_PID_AUDIO >> 8, GTV_TS_PID_AUDIO & 255, 0xf0,
                                 0};
        memcpy(pmt + n, audio, sizeof audio);
        n += sizeof audio;
    }
    pmt[2] = (uint8_t)(n - 3 + 4);
    put_section(ts, GTV_TS_PMT, packets + GTV_TS_PACKET, pmt, n);
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

static size_t put_pes_header(uint8_t out[19], uint8_t stream_id, const struct gtv_ts_unit *unit,
                             size_t es_len)
{
    bool dts = unit->dts != unit->pts;
    uint8_t header = dts ? 10 : 5;
    // A demuxer that knows the length need not wait for the next unit. Video that exceeds the 16 bits leaves
    // it open (0).
    size_t len = 3U + header + es_len;
    len = len > 0xffff && stream_id == STREAM_ID_VIDEO ? 0 : len;
    const uint8_t fixed[9] = {
        0, 0, 1, stream_id, (uint8_t)(len >> 8), (uint8_t)len, 0x84, dts ? 0xc0 : 0x80, header};
    memcpy(out, fixed, sizeof fixed);
    put_timestamp(out + 9, dts ? 3 : 2, unit->pts);
    if (dts) {
        put_timestamp(out + 14, 1, unit->dts);
    }
    return 9U + header;
}

// The adaptation field of a unit's first packet. Returns its bytes, the length byte included; 0: none is
// needed.
static size_t put_first_field(uint8_t out[8], const struct gtv_ts_unit *unit, bool pcr)
{
    if (!pcr && !unit->discontinuity) {
        return 0;
    }
    out[1] = (uint8_t)((unit->discontinuity ? 0x80 : 0) | (unit->key ? 0x40 : 0) | (pcr ? 0x10 : 0));
    if (!pcr) {
        return 2;
    }
    uint64_t base = (uint64_t)(unit->dts - PCR_LEAD) & 0x1ffffffffU;
    out[2] = (uint8_t)(base >> 25);
    out[3] = (uint8_t)(base >> 17);
    out[4] = (uint8_t)(base >> 9);
    out[5] = (uint8_t)(base >> 1);
    out[6] = (uint8_t)((base & 1) << 7 | 0x7e);
    out[7] = 0;
    return 8;
}

// Reads through the PES header and the parts as if they were one piece.
struct cursor {
    struct gtv_str parts[5];
    size_t count, at;
    size_t left;
};

static uint8_t *copy_from(struct cursor *c, uint8_t *to, size_t n)
{
    while (n > 0) {
        struct gtv_str *part = &c->parts[c->at];
        size_t some = part->n < n ? part->n : n;
        if (some > 0) {
            memcpy(to, part->p, some);
        }
        part->p += some;
        part->n -= some;
        to += some;
        n -= some;
        c->left -= some;
        if (part->n == 0) {
            c->at++;
        }
    }
    return to;
}

static uint8_t *put_packet(struct gtv_ts *ts, int stream, uint8_t *packet, struct cursor *c, uint8_t *field,
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
    uint8_t *at = put_header(packet, pids[stream], start, field_len > 0 ? 3 : 1, ts->next.of[stream]);
    ts->next.of[stream] = (ts->next.of[stream] + 1) & 15;
    if (field_len > 0) {
        field[0] = (uint8_t)(field_len - 1);
        memcpy(at, field, field_len);
        at += field_len;
    }
    return copy_from(c, at, space);
}

static struct gtv_bytes *write_unit(struct gtv_ts *ts, int stream, uint8_t stream_id,
                                    const struct gtv_ts_unit *unit)
{
    uint8_t pes[19], field[GTV_TS_PACKET];
    struct cursor c = {.count = unit->part_count + 1};
    size_t es_len = 0;
    for (size_t i = 0; i < unit->part_count; i++) {
        c.parts[i + 1] = unit->parts[i];
        es_len += unit->parts[i].n;
    }
    c.parts[0] = (struct gtv_str){(const char *)pes, put_pes_header(pes, stream_id, unit, es_len)};
    c.left = c.parts[0].n + es_len;
    bool video = stream == GTV_TS_VIDEO, tables = video && unit->key;
    size_t field_len = put_first_field(field, unit, video);
    size_t packets = (field_len + c.left + PAYLOAD - 1) / PAYLOAD + (tables ? 2 : 0);
    struct gtv_bytes *out = gtv_bytes_create(packets * GTV_TS_PACKET);
    if (out == NULL) {
        return NULL;
    }
    uint8_t *at = out->data;
    if (tables) {
        put_tables(ts, at);
        at += (size_t)2 * GTV_TS_PACKET;
    }
    for (bool start = true; c.left > 0; start = false) {
        at = put_packet(ts, stream, at, &c, field, start ? field_len : 0, start);
    }
    out->len = (size_t)(at - out->data);
    return out;
}

struct gtv_bytes *gtv_ts_video(struct gtv_ts *ts, const struct gtv_ts_unit *unit)
{
    return write_unit(ts, GTV_TS_VIDEO, STREAM_ID_VIDEO, unit);
}

struct gtv_bytes *gtv_ts_audio(struct gtv_ts *ts, const struct gtv_ts_unit *unit)
{
    return write_unit(ts, GTV_TS_AUDIO, STREAM_ID_AUDIO, unit);
}

struct gtv_bytes *gtv_ts_splice(struct gtv_ts_counters counters)
{
    struct gtv_bytes *out = gtv_bytes_create((size_t)GTV_TS_STREAMS * GTV_TS_PACKET);
    if (out == NULL) {
        return NULL;
    }
    for (int stream = 0; stream < GTV_TS_STREAMS; stream++) {
        // A packet without payload repeats the counter: the next one with payload is then the one that
        // follows.
        uint8_t *packet = out->data + (size_t)stream * GTV_TS_PACKET;
        uint8_t *at = put_header(packet, pids[stream], false, 2, (uint8_t)(counters.of[stream] + 15));
        *at++ = PAYLOAD - 1;
        *at++ = 0x80;
        memset(at, 0xff, (size_t)(packet + GTV_TS_PACKET - at));
    }
    out->len = (size_t)GTV_TS_STREAMS * GTV_TS_PACKET;
    return out;
}

bool gtv_adts_header(struct gtv_str config, size_t len, uint8_t out[GTV_ADTS_HEADER])
{
    if (config.n < 2) {
        return false;
    }
    const unsigned char *b = (const unsigned char *)config.p;
    unsigned object = b[0] >> 3, rate = (b[0] & 7U) << 1 | b[1] >> 7, channels = b[1] >> 3 & 15U;
    size_t frame = len + GTV_ADTS_HEADER;
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
