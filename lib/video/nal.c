#include "lib/video/nal.h"

#include "lib/base/buf.h"

#include <libavutil/mem.h>

#include <stdio.h>

enum {
    H264_IDR = 5,
    H264_SEI = 6,
    H264_SPS = 7,
    H264_PPS = 8,
    H264_AUD = 9,
    H265_IRAP_FIRST = 16,
    H265_IRAP_LAST = 23,
    H265_VPS = 32,
    H265_SPS = 33,
    H265_PPS = 34,
    H265_AUD = 35,
    H265_SEI_PREFIX = 39,
    H265_SEI_SUFFIX = 40,
    SETS_MAX = 16 * 1024, // bytes of parameter sets that are kept; real ones take less than 300
};

enum gtv_nal_kind gtv_nal_kind(enum gtv_codec codec, uint8_t header)
{
    if (codec == GTV_CODEC_H264) {
        int type = header & 0x1f;
        return type == H264_IDR                       ? GTV_NAL_KEY
               : type >= 1 && type < H264_IDR         ? GTV_NAL_PICTURE
               : type == H264_SPS || type == H264_PPS ? GTV_NAL_SET
               : type == H264_SEI                     ? GTV_NAL_OTHER
                                                      : GTV_NAL_DROP;
    }
    int type = (header >> 1) & 0x3f;
    return type >= H265_IRAP_FIRST && type <= H265_IRAP_LAST    ? GTV_NAL_KEY
           : type < H265_VPS                                    ? GTV_NAL_PICTURE
           : type <= H265_PPS                                   ? GTV_NAL_SET
           : type == H265_SEI_PREFIX || type == H265_SEI_SUFFIX ? GTV_NAL_OTHER
                                                                : GTV_NAL_DROP;
}

// Position of the next 00 00 01 at or after `from`, or n.
static size_t find_start(struct gtv_str s, size_t from)
{
    for (size_t i = from; i + 3 <= s.n;) {
        const char *one = memchr(s.p + i + 2, 1, s.n - i - 2);
        if (one == NULL) {
            return s.n;
        }
        size_t at = (size_t)(one - s.p);
        if (s.p[at - 1] == 0 && s.p[at - 2] == 0) {
            return at - 2;
        }
        i = at - 1;
    }
    return s.n;
}

bool gtv_nal_next(struct gtv_str data, size_t *at, struct gtv_str *nal)
{
    while (*at < data.n) {
        size_t start = find_start(data, *at);
        if (start >= data.n) {
            *at = data.n;
            return false;
        }
        size_t begin = start + 3, end = find_start(data, begin);
        *at = end;
        // The first zero of a start code of 4 bytes, and trailing zeros, belong to no NAL unit.
        while (end > begin && data.p[end - 1] == 0) {
            end--;
        }
        if (end > begin) {
            *nal = (struct gtv_str){data.p + begin, end - begin};
            return true;
        }
    }
    return false;
}

static int nal_type(enum gtv_codec codec, struct gtv_str nal)
{
    unsigned char head = (unsigned char)nal.p[0];
    return codec == GTV_CODEC_H264 ? head & 0x1f : (head >> 1) & 0x3f;
}

static bool is_set(enum gtv_codec codec, int type)
{
    return codec == GTV_CODEC_H264 ? type == H264_SPS || type == H264_PPS
                                   : type >= H265_VPS && type <= H265_PPS;
}

struct gtv_nal_scan gtv_nal_scan(enum gtv_codec codec, struct gtv_str unit)
{
    struct gtv_nal_scan scan = {0};
    bool sps = false, pps = false, vps = codec == GTV_CODEC_H264, first = true;
    size_t at = 0;
    struct gtv_str nal;
    while (gtv_nal_next(unit, &at, &nal)) {
        int type = nal_type(codec, nal);
        if (codec == GTV_CODEC_H264) {
            scan.delimiter |= first && type == H264_AUD;
            scan.key |= type == H264_IDR;
            sps |= type == H264_SPS;
            pps |= type == H264_PPS;
            if (type >= 1 && type <= H264_IDR) {
                break; // the picture: what counts stands in front of it
            }
        } else {
            scan.delimiter |= first && type == H265_AUD;
            scan.key |= type >= H265_IRAP_FIRST && type <= H265_IRAP_LAST;
            vps |= type == H265_VPS;
            sps |= type == H265_SPS;
            pps |= type == H265_PPS;
            if (type < H265_VPS) {
                break;
            }
        }
        first = false;
    }
    scan.sets = vps && sps && pps;
    return scan;
}

struct gtv_bytes *gtv_nal_sets(enum gtv_codec codec, struct gtv_str data)
{
    struct gtv_buf out;
    gtv_buf_init(&out, SETS_MAX);
    size_t at = 0;
    struct gtv_str nal;
    while (gtv_nal_next(data, &at, &nal)) {
        int type = nal_type(codec, nal);
        if (is_set(codec, type)) {
            gtv_buf_append(&out, "\0\0\0\1", 4);
            gtv_buf_append(&out, nal.p, nal.n);
        } else if (type < (codec == GTV_CODEC_H264 ? H264_IDR + 1 : H265_VPS)) {
            break;
        }
    }
    if (out.len == 0 || out.failed) {
        gtv_buf_finish(&out);
        return NULL;
    }
    return gtv_buf_take(&out);
}

// profile_idc, the constraint flags and level_idc stand in the first three bytes of every SPS
// (H.264, 7.3.2.1.1).
static bool write_avc1(struct gtv_str sps, struct gtv_video_info *out)
{
    if (sps.n < 4) {
        return false;
    }
    const unsigned char *b = (const unsigned char *)sps.p;
    snprintf(out->codecs, sizeof out->codecs, "avc1.%02x%02x%02x", b[1], b[2], b[3]);
    snprintf(out->level, sizeof out->level, b[3] % 10 != 0 ? "%d.%d" : "%d", b[3] / 10, b[3] % 10);
    return true;
}

// ISO/IEC 14496-15, E.3: profile space and number, compatibility flags in reverse bit order, tier and level,
// constraint bytes.
static bool write_hvc1(struct gtv_str sps, struct gtv_video_info *out)
{
    // The general profile, tier and level sit at fixed bytes; only emulation prevention (00 00 03) has to be
    // taken out first.
    unsigned char b[16];
    size_t n = 0;
    for (size_t i = 0, zeros = 0; i < sps.n && n < sizeof b; i++) {
        unsigned char c = (unsigned char)sps.p[i];
        if (zeros >= 2 && c == 3) {
            zeros = 0;
            continue;
        }
        zeros = c == 0 ? zeros + 1 : 0;
        b[n++] = c;
    }
    if (n < 15) {
        return false;
    }
    const unsigned char *ptl = b + 3; // 2 bytes of NAL header, 1 byte of ids
    uint32_t flags = 0;
    for (unsigned i = 0; i < 32; i++) {
        flags |= (uint32_t)((ptl[1 + i / 8] >> (7 - i % 8)) & 1) << i;
    }
    static const char spaces[4][2] = {"", "A", "B", "C"};
    int len = snprintf(out->codecs, sizeof out->codecs, "hvc1.%s%d.%X.%c%d", spaces[ptl[0] >> 6],
                       ptl[0] & 0x1f, flags, ptl[0] & 0x20 ? 'H' : 'L', ptl[11]);
    int last = 5;
    while (last >= 0 && ptl[5 + last] == 0) {
        last--;
    }
    for (int i = 0; i <= last && len > 0 && (size_t)len + 4 <= sizeof out->codecs; i++) {
        len += snprintf(out->codecs + len, sizeof out->codecs - (size_t)len, ".%X", ptl[5 + i]);
    }
    int level = ptl[11] / 3; // general_level_idc is 30 times the level
    snprintf(out->level, sizeof out->level, level % 10 != 0 ? "%d.%d" : "%d", level / 10, level % 10);
    return true;
}

static bool find_sps(enum gtv_codec codec, struct gtv_str unit, struct gtv_str *sps)
{
    size_t at = 0;
    while (gtv_nal_next(unit, &at, sps)) {
        if (nal_type(codec, *sps) == (codec == GTV_CODEC_H264 ? H264_SPS : H265_SPS)) {
            return true;
        }
    }
    return false;
}

// libavcodec reads beyond the end of what it parses.
static uint8_t *padded_copy(struct gtv_str s)
{
    uint8_t *copy = s.n < INT32_MAX / 2 ? av_malloc(s.n + AV_INPUT_BUFFER_PADDING_SIZE) : NULL;
    if (copy != NULL) {
        memcpy(copy, s.p, s.n);
        memset(copy + s.n, 0, AV_INPUT_BUFFER_PADDING_SIZE);
    }
    return copy;
}

static const char *profile_name(enum AVCodecID id, int profile)
{
    const char *name = avcodec_profile_name(id, profile);
    return name != NULL ? name : "";
}

bool gtv_video_info_read(enum gtv_codec codec, struct gtv_str key_unit, struct gtv_video_info *out)
{
    struct gtv_str sps;
    *out = (struct gtv_video_info){.codec = codec};
    if (!find_sps(codec, key_unit, &sps) ||
        !(codec == GTV_CODEC_H264 ? write_avc1(sps, out) : write_hvc1(sps, out))) {
        return false;
    }
    enum AVCodecID id = codec == GTV_CODEC_H264 ? AV_CODEC_ID_H264 : AV_CODEC_ID_HEVC;
    bool ok = false;
    AVCodecParserContext *parser = av_parser_init((int)id);
    AVCodecContext *codec_ctx = avcodec_alloc_context3(NULL);
    uint8_t *copy = padded_copy(key_unit);
    if (parser != NULL && codec_ctx != NULL && copy != NULL) {
        codec_ctx->codec_id = id;
        codec_ctx->codec_type = AVMEDIA_TYPE_VIDEO;
        // H.264 counts in fields (E.2.1); the parser takes that from here.
        codec_ctx->ticks_per_frame = codec == GTV_CODEC_H264 ? 2 : 1;
        parser->flags |= PARSER_FLAG_COMPLETE_FRAMES;
        uint8_t *unused = NULL;
        int unused_len = 0;
        av_parser_parse2(parser, codec_ctx, &unused, &unused_len, copy, (int)key_unit.n, AV_NOPTS_VALUE,
                         AV_NOPTS_VALUE, 0);
        out->width = parser->width;
        out->height = parser->height;
        if (codec_ctx->framerate.num > 0 && codec_ctx->framerate.den > 0) {
            double fps = av_q2d(codec_ctx->framerate);
            out->fps = fps >= 0.1 && fps <= 240 ? fps : 0;
        }
        snprintf(out->profile, sizeof out->profile, "%s", profile_name(id, codec_ctx->profile));
        ok = parser->width > 0 && parser->height > 0;
    }
    av_free(copy);
    avcodec_free_context(&codec_ctx);
    if (parser != NULL) {
        av_parser_close(parser);
    }
    return ok;
}
