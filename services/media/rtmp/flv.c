// A video message: a header of 5 bytes (FLV, annex E.4.3) or one with a FourCC (Enhanced RTMP v1), then a
// sequence header (avcC, hvcC) or a picture behind lengths.
#include "services/media/rtmp/flv.h"

#include "services/media/avcc.h"

#include <stdio.h>

enum {
    CODEC_AVC = 7,
    CODEC_HEVC = 12, // what cameras made of the old header before there was a FourCC
    FRAME_COMMAND = 5,
    SOUND_ENHANCED = 9,
    SOUND_AAC = 10,
};

enum packet { PACKET_CONFIG, PACKET_FRAME, PACKET_END, PACKET_OTHER };

void gtv_flv_init(struct gtv_flv *f, const struct gtv_feed_callbacks *callbacks, void *arg,
                  const struct gtv_log *log)
{
    *f = (struct gtv_flv){.callbacks = *callbacks, .arg = arg, .log = *log};
    gtv_buf_init(&f->sets, GTV_SETS_MAX);
}

void gtv_flv_finish(struct gtv_flv *f)
{
    gtv_feed_destroy(f->feed);
    gtv_access_finish(&f->access);
    gtv_buf_finish(&f->sets);
    gtv_bytes_unref(f->audio.config);
    *f = (struct gtv_flv){0};
}

static bool fail(struct gtv_source_end *why, const char *code, const char *text)
{
    why->code = code;
    snprintf(why->text, sizeof why->text, "%s", text);
    return false;
}

// In 90 kHz ticks without wrap.
static int64_t unwrap(struct gtv_flv_clock *c, uint32_t timestamp)
{
    c->ms = c->any ? c->ms + (int32_t)(timestamp - c->last) : (int64_t)timestamp;
    c->any = true;
    c->last = timestamp;
    return c->ms * 90;
}

static struct gtv_str behind(struct gtv_str s, size_t n)
{
    return n <= s.n ? (struct gtv_str){s.p + n, s.n - n} : (struct gtv_str){NULL, 0};
}

// ---- Video ----

struct video_tag {
    enum gtv_codec codec;
    enum packet packet;
    int32_t composition_ms;
    struct gtv_str data;
};

static int32_t signed24(const uint8_t *p)
{
    uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    return (v & 0x800000) != 0 ? (int32_t)v - 0x1000000 : (int32_t)v;
}

static bool read_enhanced(struct gtv_str body, struct video_tag *tag, struct gtv_source_end *why)
{
    enum { SEQUENCE_START, CODED_FRAMES, SEQUENCE_END, CODED_FRAMES_X, METADATA };
    const uint8_t *p = (const uint8_t *)body.p;
    unsigned type = p[0] & 0x0f;
    if (type > METADATA) {
        return fail(why, "codec", "this form of Enhanced RTMP is not supported: one track, H.264 or H.265");
    }
    if (body.n < 5) {
        return fail(why, "invalid_data", "a video message is too short");
    }
    struct gtv_str name = {body.p + 1, 4};
    tag->codec = gtv_str_eq(name, GTV_STR("hvc1"))   ? GTV_CODEC_H265
                 : gtv_str_eq(name, GTV_STR("avc1")) ? GTV_CODEC_H264
                                                     : GTV_CODEC_NONE;
    size_t header = type == CODED_FRAMES ? 8 : 5;
    if (tag->codec == GTV_CODEC_NONE) {
        return fail(why, "codec", "the video codec cannot be carried: publish H.264 or H.265");
    }
    if (body.n < header) {
        return fail(why, "invalid_data", "a video message is too short");
    }
    tag->composition_ms = type == CODED_FRAMES ? signed24(p + 5) : 0;
    tag->packet = type == SEQUENCE_START                           ? PACKET_CONFIG
                  : type == CODED_FRAMES || type == CODED_FRAMES_X ? PACKET_FRAME
                                                                   : PACKET_OTHER;
    tag->data = behind(body, header);
    return true;
}

static bool read_video_tag(struct gtv_str body, struct video_tag *tag, struct gtv_source_end *why)
{
    const uint8_t *p = (const uint8_t *)body.p;
    *tag = (struct video_tag){.packet = PACKET_OTHER};
    if (body.n == 0 || (p[0] >> 4 & 7) == FRAME_COMMAND) {
        return true;
    }
    if ((p[0] & 0x80) != 0) {
        return read_enhanced(body, tag, why);
    }
    unsigned id = p[0] & 0x0f;
    if (id != CODEC_AVC && id != CODEC_HEVC) {
        return fail(why, "codec", "the video codec cannot be carried: publish H.264 or H.265");
    }
    if (body.n < 5) {
        return body.n == 1 || fail(why, "invalid_data", "a video message is too short");
    }
    tag->codec = id == CODEC_AVC ? GTV_CODEC_H264 : GTV_CODEC_H265;
    tag->packet = p[1] == 0 ? PACKET_CONFIG : p[1] == 1 ? PACKET_FRAME : PACKET_END;
    tag->composition_ms = signed24(p + 2);
    tag->data = behind(body, 5);
    return true;
}

static bool take_config(struct gtv_flv *f, const struct video_tag *tag, struct gtv_source_end *why)
{
    if (f->feed != NULL && f->codec != tag->codec) {
        return fail(why, "codec", "the publisher changed its video codec");
    }
    if (f->codec != tag->codec) {
        gtv_access_finish(&f->access);
        gtv_access_init(&f->access, tag->codec);
        f->codec = tag->codec;
    }
    struct gtv_buf sets;
    unsigned length_size = 0;
    gtv_buf_init(&sets, GTV_SETS_MAX);
    if (!gtv_avcc_read(tag->codec, tag->data, &sets, &length_size)) {
        gtv_buf_finish(&sets);
        // Some encoders send an empty one first, and parameter sets in band.
        return tag->data.n == 0 || fail(why, "invalid_data", "the video's sequence header cannot be read");
    }
    gtv_buf_finish(&f->sets);
    f->sets = sets;
    f->length_size = length_size;
    return true;
}

static void open_feed(struct gtv_flv *f)
{
    const struct gtv_feed_config config = {.video = f->codec, .audio = f->audio};
    f->feed = gtv_feed_create(&config, &f->callbacks, f->arg, &f->log);
}

bool gtv_flv_video(struct gtv_flv *f, struct gtv_str body, uint32_t timestamp, int64_t arrival_us,
                   struct gtv_source_end *why)
{
    struct video_tag tag;
    if (!read_video_tag(body, &tag, why)) {
        return false;
    }
    if (tag.packet == PACKET_CONFIG) {
        return take_config(f, &tag, why);
    }
    if (tag.packet != PACKET_FRAME || f->length_size == 0) {
        return true; // a picture before its header cannot be read
    }
    if (tag.codec != f->codec) {
        return fail(why, "codec", "the publisher changed its video codec");
    }
    if (f->feed == NULL) {
        open_feed(f);
    }
    if (!gtv_access_prefixed(&f->access, tag.data, f->length_size)) {
        gtv_access_damage(&f->access);
    }
    if (f->access.key && f->access.sets.len == 0 &&
        !gtv_access_prefixed(&f->access, gtv_buf_str(&f->sets), 4)) {
        gtv_access_damage(&f->access);
    }
    int64_t stamp = unwrap(&f->video_clock, timestamp) + (int64_t)tag.composition_ms * 90;
    gtv_feed_video(f->feed, &f->access, stamp, arrival_us, body.n);
    return true;
}

// ---- Audio ----

static void set_audio(struct gtv_flv *f, const struct gtv_audio_info *info)
{
    if (f->audio.codec == info->codec && f->audio.config != NULL &&
        gtv_str_eq(gtv_bytes_str(f->audio.config), gtv_bytes_str(info->config))) {
        gtv_bytes_unref(info->config);
        return;
    }
    gtv_bytes_unref(f->audio.config);
    f->audio = *info;
    if (f->feed != NULL) {
        gtv_feed_set_audio(f->feed, &f->audio);
    }
}

static bool take_aac_config(struct gtv_flv *f, struct gtv_str data, struct gtv_source_end *why)
{
    struct gtv_audio_info info;
    if (!gtv_aac_info_read(data, &info)) {
        return data.n == 0 || fail(why, "invalid_data", "the configuration of the AAC audio cannot be read");
    }
    set_audio(f, &info);
    return true;
}

static bool take_opus_config(struct gtv_flv *f, struct gtv_str data, struct gtv_source_end *why)
{
    struct gtv_audio_info info;
    if (!gtv_opus_info_read(data, &info)) {
        return fail(why, "invalid_data", "the configuration of the Opus audio cannot be read");
    }
    set_audio(f, &info);
    return true;
}

static void leave_out(struct gtv_flv *f, unsigned format)
{
    if (!f->left_out_told) {
        f->left_out_told = true;
        gtv_log_info(&f->log, "this track is left out", "kind=audio flv_sound_format=%u", format);
    }
}

bool gtv_flv_audio(struct gtv_flv *f, struct gtv_str body, uint32_t timestamp, int64_t arrival_us,
                   struct gtv_source_end *why)
{
    const uint8_t *p = (const uint8_t *)body.p;
    if (body.n < 2) {
        return true;
    }
    unsigned format = p[0] >> 4, type = p[1];
    enum gtv_codec codec = format == SOUND_AAC ? GTV_CODEC_AAC : GTV_CODEC_NONE;
    struct gtv_str data = behind(body, 2);
    if (format == SOUND_ENHANCED && body.n >= 5) {
        struct gtv_str name = {body.p + 1, 4};
        codec = gtv_str_eq(name, GTV_STR("mp4a"))   ? GTV_CODEC_AAC
                : gtv_str_eq(name, GTV_STR("Opus")) ? GTV_CODEC_OPUS
                                                    : GTV_CODEC_NONE;
        type = p[0] & 0x0f;
        data = behind(body, 5);
    }
    if (codec == GTV_CODEC_NONE) {
        leave_out(f, format);
        return true;
    }
    if (type == PACKET_CONFIG) {
        return codec == GTV_CODEC_AAC ? take_aac_config(f, data, why) : take_opus_config(f, data, why);
    }
    if (type != PACKET_FRAME || f->feed == NULL || f->audio.codec != codec) {
        return true;
    }
    struct gtv_bytes *frame = gtv_bytes_copy(data.p, data.n);
    if (frame != NULL) {
        gtv_feed_audio(f->feed, frame, unwrap(&f->audio_clock, timestamp), arrival_us, body.n);
        gtv_bytes_unref(frame);
    }
    return true;
}
