#include "services/media/hls/mp4config.h"

#include "lib/video/format.h"
#include "services/media/hls/fmp4.h"

enum {
    AVC_SPS = 7,
    AVC_PPS = 8,
    HEVC_VPS = 32,
    HEVC_SPS = 33,
    HEVC_PPS = 34,
    SETS_MAX = 16,  // of one kind; real streams have one or two
    RBSP_MAX = 256, // of a sequence parameter set, as far as it is read here
};

struct list {
    struct gtv_str nal[SETS_MAX];
    size_t n;
};

// Reads bits and Exp-Golomb codes (ITU-T H.264, 9.1); past the end it reads zeros and says so.
struct bits {
    const uint8_t *p;
    size_t n, at; // bytes, bits
    bool over;
};

static uint32_t read_bits(struct bits *b, unsigned count)
{
    uint32_t value = 0;
    for (; count > 0; count--) {
        size_t byte = b->at / 8;
        b->over = b->over || byte >= b->n;
        unsigned bit = byte < b->n ? b->p[byte] >> (7 - b->at % 8) & 1U : 0;
        value = value << 1 | bit;
        b->at++;
    }
    return value;
}

static uint32_t read_ue(struct bits *b)
{
    unsigned zeros = 0;
    while (zeros < 32 && !b->over && read_bits(b, 1) == 0) {
        zeros++;
    }
    if (zeros == 0 || zeros >= 32) {
        return 0;
    }
    return (1U << zeros) - 1 + read_bits(b, zeros);
}

// A NAL unit without its emulation prevention bytes, as far as out reaches. Returns the bytes.
static size_t to_rbsp(struct gtv_str nal, uint8_t out[RBSP_MAX])
{
    const uint8_t *p = (const uint8_t *)nal.p;
    size_t n = 0, zeros = 0;
    for (size_t i = 0; i < nal.n && n < RBSP_MAX; i++) {
        if (zeros >= 2 && p[i] == 3) {
            zeros = 0;
            continue;
        }
        zeros = p[i] == 0 ? zeros + 1 : 0;
        out[n++] = p[i];
    }
    return n;
}

static struct list nals_of(struct gtv_str sets, bool h265, unsigned type)
{
    struct list l = {.n = 0};
    struct gtv_str nal;
    size_t at = 0;
    while (gtv_nal_prefixed_next(sets, &at, &nal)) {
        if (nal.n < 4 || nal.n > 0xffff || l.n == SETS_MAX) {
            continue;
        }
        unsigned mine = h265 ? (uint8_t)nal.p[0] >> 1 & 63U : (uint8_t)nal.p[0] & 31U;
        if (mine == type) {
            l.nal[l.n++] = nal;
        }
    }
    return l;
}

static void put_nals(struct gtv_buf *out, const struct list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        gtv_box_put(out, l->nal[i].n, 2);
        gtv_buf_append(out, l->nal[i].p, l->nal[i].n);
    }
}

// What avcC repeats of a High profile's sequence parameter set (14496-15, 5.3.3.1.2).
static void put_avcc_high(struct gtv_buf *out, struct gtv_str sps)
{
    uint8_t rbsp[RBSP_MAX];
    struct bits b = {.p = rbsp, .n = to_rbsp(sps, rbsp), .at = 32};
    (void)read_ue(&b); // id
    uint32_t chroma = read_ue(&b);
    if (chroma == 3) {
        (void)read_bits(&b, 1);
    }
    uint32_t luma_depth = read_ue(&b), chroma_depth = read_ue(&b);
    gtv_box_put(out, 0xfc | (chroma & 3), 1);
    gtv_box_put(out, 0xf8 | (luma_depth & 7), 1);
    gtv_box_put(out, 0xf8 | (chroma_depth & 7), 1);
    gtv_box_put(out, 0, 1); // no sequence parameter set extensions
}

bool gtv_mp4_put_avcc(struct gtv_buf *out, struct gtv_str sets)
{
    struct list sps = nals_of(sets, false, AVC_SPS), pps = nals_of(sets, false, AVC_PPS);
    if (sps.n == 0 || pps.n == 0) {
        return false;
    }
    const uint8_t *first = (const uint8_t *)sps.nal[0].p;
    gtv_box_put(out, 1, 1);
    gtv_buf_append(out, first + 1, 3); // profile, compatibility, level
    gtv_box_put(out, 0xff, 1);         // lengths take 4 bytes
    gtv_box_put(out, 0xe0 | sps.n, 1);
    put_nals(out, &sps);
    gtv_box_put(out, pps.n, 1);
    put_nals(out, &pps);
    if (first[1] != 66 && first[1] != 77 && first[1] != 88) {
        put_avcc_high(out, sps.nal[0]);
    }
    return true;
}

// The bits of profile_tier_level (ITU-T H.265, 7.3.3) after those of the whole stream.
static void skip_sub_layers(struct bits *b, unsigned count)
{
    bool profile[8] = {0}, level[8] = {0};
    for (unsigned i = 0; i < count; i++) {
        profile[i] = read_bits(b, 1) != 0;
        level[i] = read_bits(b, 1) != 0;
    }
    if (count > 0) {
        b->at += (size_t)2 * (8 - count);
    }
    for (unsigned i = 0; i < count; i++) {
        b->at += (profile[i] ? 88U : 0U) + (level[i] ? 8U : 0U);
    }
}

struct hevc_sps {
    uint32_t layers, nested, chroma, luma_depth, chroma_depth;
    uint8_t general[12]; // profile, compatibility, constraints, level: as hvcC has them
};

static bool read_hevc_sps(struct gtv_str nal, struct hevc_sps *s)
{
    enum { GENERAL_AT = 3 }; // bytes: NAL header, and the byte before profile_tier_level
    uint8_t rbsp[RBSP_MAX];
    struct bits b = {.p = rbsp, .n = to_rbsp(nal, rbsp), .at = 20};
    uint32_t sub_layers = read_bits(&b, 3);
    if (b.n < GENERAL_AT + sizeof s->general || sub_layers > 6) {
        return false;
    }
    s->layers = sub_layers + 1;
    s->nested = read_bits(&b, 1);
    memcpy(s->general, rbsp + GENERAL_AT, sizeof s->general);
    b.at += sizeof s->general * 8;
    skip_sub_layers(&b, sub_layers);
    (void)read_ue(&b); // id
    s->chroma = read_ue(&b);
    if (s->chroma == 3) {
        (void)read_bits(&b, 1);
    }
    (void)read_ue(&b); // width
    (void)read_ue(&b); // height
    if (read_bits(&b, 1) != 0) {
        for (int i = 0; i < 4; i++) {
            (void)read_ue(&b); // conformance window
        }
    }
    s->luma_depth = read_ue(&b);
    s->chroma_depth = read_ue(&b);
    return !b.over && s->chroma <= 3 && s->luma_depth <= 7 && s->chroma_depth <= 7;
}

bool gtv_mp4_put_hvcc(struct gtv_buf *out, struct gtv_str sets)
{
    static const unsigned types[] = {HEVC_VPS, HEVC_SPS, HEVC_PPS};
    struct list lists[3];
    struct hevc_sps s = {0};
    for (size_t i = 0; i < 3; i++) {
        lists[i] = nals_of(sets, true, types[i]);
        if (lists[i].n == 0) {
            return false;
        }
    }
    if (!read_hevc_sps(lists[1].nal[0], &s)) {
        return false;
    }
    gtv_box_put(out, 1, 1);
    gtv_buf_append(out, s.general, sizeof s.general);
    gtv_box_put(out, 0xf000, 2); // spatial segmentation: not said
    gtv_box_put(out, 0xfc, 1);   // parallelism: not said
    gtv_box_put(out, 0xfc | s.chroma, 1);
    gtv_box_put(out, 0xf8 | s.luma_depth, 1);
    gtv_box_put(out, 0xf8 | s.chroma_depth, 1);
    gtv_box_put(out, 0, 2); // average frame rate: not said
    gtv_box_put(out, s.layers << 3 | s.nested << 2 | 3U, 1);
    gtv_box_put(out, 3, 1);
    for (size_t i = 0; i < 3; i++) {
        gtv_box_put(out, 0x80 | types[i], 1); // all of this kind are here: hvc1 demands it
        gtv_box_put(out, lists[i].n, 2);
        put_nals(out, &lists[i]);
    }
    return true;
}

// The header of an MPEG-4 descriptor (14496-1, 8.3.3) whose contents take n < 2^14 bytes.
static void put_descriptor(struct gtv_buf *out, uint8_t tag, size_t n)
{
    gtv_box_put(out, tag, 1);
    gtv_box_put(out, 0x80 | n >> 7, 1);
    gtv_box_put(out, n & 127, 1);
}

void gtv_mp4_put_esds(struct gtv_buf *out, struct gtv_str config)
{
    enum { HEADER = 3, DECODER = 13, MAX = 1024 };
    config.n = config.n < MAX ? config.n : MAX;
    size_t decoder = DECODER + HEADER + config.n;
    size_t esds = gtv_box_begin_full(out, "esds", 0, 0);
    put_descriptor(out, 3, 3 + HEADER + decoder + HEADER + 1);
    gtv_box_zeros(out, 3); // id, flags
    put_descriptor(out, 4, decoder);
    gtv_box_put(out, 0x40, 1);     // MPEG-4 audio
    gtv_box_put(out, 0x15, 1);     // audio stream
    gtv_box_zeros(out, 3 + 4 + 4); // buffer and rates: not said
    put_descriptor(out, 5, config.n);
    gtv_buf_append(out, config.p, config.n);
    put_descriptor(out, 6, 1);
    gtv_box_put(out, 2, 1); // as MP4 files have it
    gtv_box_end(out, esds);
}

void gtv_mp4_put_dops(struct gtv_buf *out, struct gtv_str config, int channels)
{
    size_t dops = gtv_box_begin(out, "dOps");
    if (config.n >= 11) {
        gtv_buf_append(out, config.p, config.n);
    } else {
        gtv_box_put(out, 0, 1);
        gtv_box_put(out, (uint64_t)channels, 1);
        gtv_box_put(out, 0, 2); // nothing to skip: a live stream begins in its middle
        gtv_box_put(out, 48000, 4);
        gtv_box_zeros(out, 3); // gain, mapping of one or two channels
    }
    gtv_box_end(out, dops);
}
