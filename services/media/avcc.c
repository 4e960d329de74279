#include "services/media/avcc.h"

#include "services/media/hls/mpegts.h"

#include <stdio.h>

struct reader {
    const uint8_t *p;
    size_t n;
};

static bool skip(struct reader *r, size_t n)
{
    if (r->n < n) {
        return false;
    }
    r->p += n;
    r->n -= n;
    return true;
}

static bool take(struct reader *r, unsigned bytes, size_t *out)
{
    const uint8_t *p = r->p;
    *out = 0;
    if (!skip(r, bytes)) {
        return false;
    }
    for (unsigned i = 0; i < bytes; i++) {
        *out = *out << 8 | p[i];
    }
    return true;
}

// `count` NAL units behind lengths of 2 bytes; only parameter sets are kept.
static bool take_sets(struct reader *r, enum gtv_codec codec, size_t count, struct gtv_buf *sets)
{
    for (size_t i = 0; i < count; i++) {
        size_t n = 0;
        if (!take(r, 2, &n) || n > r->n) {
            return false;
        }
        if (n > 0 && gtv_nal_kind(codec, r->p[0]) == GTV_NAL_SET) {
            const uint8_t length[4] = {0, 0, (uint8_t)(n >> 8), (uint8_t)n};
            gtv_buf_append(sets, length, sizeof length);
            gtv_buf_append(sets, r->p, n);
        }
        (void)skip(r, n);
    }
    return true;
}

static bool read_avc(struct reader *r, struct gtv_buf *sets, unsigned *length_size)
{
    size_t version = 0, size = 0, count = 0;
    if (!take(r, 1, &version) || version != 1 || !skip(r, 3) || !take(r, 1, &size) || !take(r, 1, &count) ||
        !take_sets(r, GTV_CODEC_H264, count & 0x1f, sets) || !take(r, 1, &count)) {
        return false;
    }
    *length_size = (unsigned)(size & 3) + 1;
    return take_sets(r, GTV_CODEC_H264, count, sets);
}

static bool read_hevc(struct reader *r, struct gtv_buf *sets, unsigned *length_size)
{
    size_t size = 0, arrays = 0, type = 0, count = 0;
    if (!skip(r, 21) || !take(r, 1, &size) || !take(r, 1, &arrays)) {
        return false;
    }
    *length_size = (unsigned)(size & 3) + 1;
    for (size_t i = 0; i < arrays; i++) {
        if (!take(r, 1, &type) || !take(r, 2, &count) || !take_sets(r, GTV_CODEC_H265, count, sets)) {
            return false;
        }
    }
    return true;
}

bool gtv_avcc_read(enum gtv_codec codec, struct gtv_str record, struct gtv_buf *sets, unsigned *length_size)
{
    struct reader r = {(const uint8_t *)record.p, record.n};
    bool ok = codec == GTV_CODEC_H264 ? read_avc(&r, sets, length_size) : read_hevc(&r, sets, length_size);
    return ok && *length_size != 3 && sets->len > 0 && !sets->failed;
}

static unsigned take_bits(struct gtv_str s, size_t *at, unsigned n)
{
    unsigned v = 0;
    for (; n > 0; n--, (*at)++) {
        unsigned byte = *at / 8 < s.n ? (unsigned char)s.p[*at / 8] : 0;
        v = v << 1 | (byte >> (7 - *at % 8) & 1);
    }
    return v;
}

static int take_rate(struct gtv_str s, size_t *at)
{
    static const int rates[] = {96000, 88200, 64000, 48000, 44100, 32000, 24000,
                                22050, 16000, 12000, 11025, 8000,  7350};
    unsigned index = take_bits(s, at, 4);
    if (index == 15) {
        return (int)take_bits(s, at, 24);
    }
    return index < sizeof rates / sizeof rates[0] ? rates[index] : 0;
}

bool gtv_aac_info_read(struct gtv_str config, struct gtv_audio_info *out)
{
    enum { SBR = 5, PARAMETRIC_STEREO = 29, ESCAPE = 31, CONFIG_MAX = 64 };
    uint8_t adts[GTV_MPEGTS_ADTS];
    size_t at = 0;
    if (config.n < 2 || config.n > CONFIG_MAX || !gtv_mpegts_adts(config, 1, adts)) {
        return false;
    }
    unsigned type = take_bits(config, &at, 5);
    type = type == ESCAPE ? 32 + take_bits(config, &at, 6) : type;
    int rate = take_rate(config, &at);
    unsigned channels = take_bits(config, &at, 4);
    if (type == SBR || type == PARAMETRIC_STEREO) {
        rate = take_rate(config, &at); // what comes out of the extension
    }
    if (rate < 7350 || rate > 96000 || channels == 0 || channels > 7) {
        return false;
    }
    *out = (struct gtv_audio_info){.codec = GTV_CODEC_AAC,
                                   .rate = rate,
                                   .channels = channels == 7 ? 8 : (int)channels,
                                   .config = gtv_bytes_copy(config.p, config.n)};
    snprintf(out->codecs, sizeof out->codecs, "mp4a.40.%u", type);
    return out->config != NULL;
}

static bool make_info(unsigned object_type, unsigned rate_index, unsigned channels,
                      struct gtv_audio_info *out)
{
    const uint8_t config[2] = {(uint8_t)(object_type << 3 | rate_index >> 1),
                               (uint8_t)(rate_index << 7 | channels << 3)};
    return gtv_aac_info_read((struct gtv_str){(const char *)config, sizeof config}, out);
}

bool gtv_aac_info_make(int rate, int channels, struct gtv_audio_info *out)
{
    for (unsigned i = 0; i < 13; i++) {
        const char index[2] = {0, (char)(i << 4)};
        size_t at = 8;
        if (take_rate((struct gtv_str){index, sizeof index}, &at) == rate && channels >= 1 && channels <= 6) {
            return make_info(2, i, (unsigned)channels, out);
        }
    }
    return false;
}

bool gtv_adts_read(struct gtv_str *frame, struct gtv_audio_info *out)
{
    const uint8_t *p = (const uint8_t *)frame->p;
    if (frame->n < 7 || p[0] != 0xff || (p[1] & 0xf6) != 0xf0) {
        return false;
    }
    size_t header = (p[1] & 1) != 0 ? 7 : 9;
    size_t whole = (size_t)(p[3] & 3) << 11 | (size_t)p[4] << 3 | p[5] >> 5;
    if (whole <= header || whole > frame->n ||
        !make_info((p[2] >> 6) + 1U, p[2] >> 2 & 15, (p[2] & 1U) << 2 | p[3] >> 6, out)) {
        return false;
    }
    *frame = (struct gtv_str){frame->p + header, whole - header};
    return true;
}

// Its dOps form has the same fields in big endian.
bool gtv_opus_info_read(struct gtv_str head, struct gtv_audio_info *out)
{
    const uint8_t *p = (const uint8_t *)head.p;
    if (head.n < 19 || memcmp(p, "OpusHead", 8) != 0 || p[9] == 0 || p[9] > 2 || p[18] != 0) {
        return false;
    }
    const uint8_t dops[11] = {0, p[9], p[11], p[10], p[15], p[14], p[13], p[12], p[17], p[16], 0};
    *out = (struct gtv_audio_info){.codec = GTV_CODEC_OPUS,
                                   .rate = 48000,
                                   .channels = p[9],
                                   .config = gtv_bytes_copy(dops, sizeof dops),
                                   .codecs = "opus"};
    return out->config != NULL;
}
