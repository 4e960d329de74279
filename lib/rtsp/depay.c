#include "lib/rtsp/depay.h"

enum {
    H264_STAP_A = 24,
    H264_FU_A = 28,
    H265_AP = 48,
    H265_FU = 49,
    // Bytes of parameter sets and the like that may wait for a picture with another time stamp.
    CARRIED_MAX = 4096,
};

int64_t gtv_depay_stamp(const struct gtv_depay *d, int64_t ticks)
{
    return d->clock == 90000 ? ticks : ticks * 90000 / (int64_t)d->clock;
}

static uint32_t sampling_rate(const struct gtv_bytes *config)
{
    static const uint32_t rates[] = {96000, 88200, 64000, 48000, 44100, 32000, 24000,
                                     22050, 16000, 12000, 11025, 8000,  7350};
    size_t index = config->len >= 2 ? (size_t)(config->data[0] & 7) << 1 | config->data[1] >> 7 : 15;
    return index < sizeof rates / sizeof rates[0] ? rates[index] : 0;
}

void gtv_depay_init(struct gtv_depay *d, const struct gtv_sdp_track *track,
                    const struct gtv_depay_callbacks *callbacks, void *arg)
{
    *d = (struct gtv_depay){.callbacks = callbacks,
                            .arg = arg,
                            .codec = track->codec,
                            .clock = track->clock,
                            .donl = track->donl,
                            .latm = track->latm,
                            .size_length = track->size_length,
                            .index_length = track->index_length,
                            .index_delta_length = track->index_delta_length,
                            .frame_ticks = 1024};
    if (track->kind == GTV_SDP_VIDEO) {
        gtv_access_init(&d->access, track->codec);
    }
    if (track->config != NULL) {
        // With SBR the stream's clock is the doubled one, and a frame has twice as many samples.
        uint32_t rate = sampling_rate(track->config);
        d->frame_ticks = rate > 0 ? (uint32_t)((uint64_t)1024 * track->clock / rate) : 1024;
    }
    gtv_buf_init(&d->fragment, GTV_AUDIO_FRAME_MAX);
}

void gtv_depay_finish(struct gtv_depay *d)
{
    gtv_access_finish(&d->access);
    gtv_buf_finish(&d->fragment);
}

static void end_unit(struct gtv_depay *d)
{
    struct gtv_access *a = &d->access;
    if (d->in_fragment) {
        gtv_access_nal_end(a);
        gtv_access_damage(a);
        d->in_fragment = false;
    }
    d->open = false;
    if (!a->picture && !a->damaged && a->data.len + a->sets.len <= CARRIED_MAX) {
        return; // parameter sets with a time stamp of their own belong to the picture that follows
    }
    if (a->picture) {
        d->ended = true;
        d->callbacks->on_video(d->arg, a, gtv_depay_stamp(d, d->ticks), d->received);
        d->received = 0;
    }
    gtv_access_reset(a);
}

// One fragment of a NAL unit whose header is `header` (of header_n bytes).
static void add_fragment(struct gtv_depay *d, const uint8_t *header, size_t header_n, bool first, bool last,
                         struct gtv_str data)
{
    struct gtv_access *a = &d->access;
    if (first) {
        if (d->in_fragment) {
            gtv_access_damage(a);
        }
        gtv_access_nal_begin(a);
        gtv_access_nal_append(a, header, header_n);
        d->in_fragment = true;
    } else if (!d->in_fragment) {
        gtv_access_damage(a);
        return;
    }
    gtv_access_nal_append(a, data.p, data.n);
    if (last) {
        gtv_access_nal_end(a);
        d->in_fragment = false;
    }
}

static void add_whole(struct gtv_depay *d, struct gtv_str nal)
{
    if (d->in_fragment) {
        gtv_access_nal_end(&d->access);
        gtv_access_damage(&d->access);
        d->in_fragment = false;
    }
    gtv_access_nal(&d->access, nal);
}

// NAL units behind their lengths of 2 bytes; skip: bytes before each length but the first's.
static void add_aggregate(struct gtv_depay *d, struct gtv_str data, size_t least, size_t skip)
{
    while (data.n > 0) {
        size_t n = data.n >= 2 ? (size_t)(uint8_t)data.p[0] << 8 | (uint8_t)data.p[1] : 0;
        if (n < least || n > data.n - 2) {
            gtv_access_damage(&d->access);
            return;
        }
        add_whole(d, (struct gtv_str){data.p + 2, n});
        size_t used = 2 + n + (data.n > 2 + n ? skip : 0);
        used = used < data.n ? used : data.n;
        data.p += used;
        data.n -= used;
    }
}

static void h264_payload(struct gtv_depay *d, struct gtv_str data)
{
    const uint8_t *p = (const uint8_t *)data.p;
    int type = p[0] & 0x1f;
    if (type == H264_FU_A && data.n >= 3) {
        uint8_t header = (uint8_t)((p[0] & 0xe0) | (p[1] & 0x1f));
        add_fragment(d, &header, 1, p[1] >> 7, p[1] >> 6 & 1, (struct gtv_str){data.p + 2, data.n - 2});
    } else if (type == H264_STAP_A) {
        add_aggregate(d, (struct gtv_str){data.p + 1, data.n - 1}, 1, 0);
    } else if (type >= 1 && type < H264_STAP_A) {
        add_whole(d, data);
    } else if (type == 0 && data.n > 4 && p[1] == 0 && p[2] <= 1) {
        gtv_access_annexb(&d->access, data); // some cameras leave the start codes in
    } else {
        gtv_access_damage(&d->access); // of the interleaved mode, or nothing that the RFC knows
    }
}

static void h265_payload(struct gtv_depay *d, struct gtv_str data)
{
    const uint8_t *p = (const uint8_t *)data.p;
    size_t order = d->donl ? 2 : 0;
    if (data.n < 3) {
        gtv_access_damage(&d->access);
        return;
    }
    int type = p[0] >> 1 & 0x3f;
    if (type == H265_FU) {
        bool first = p[2] >> 7;
        size_t skip = 3 + (first ? order : 0);
        const uint8_t header[2] = {(uint8_t)((p[0] & 0x81) | (p[2] & 0x3f) << 1), p[1]};
        if (data.n > skip) {
            add_fragment(d, header, 2, first, p[2] >> 6 & 1, (struct gtv_str){data.p + skip, data.n - skip});
        }
    } else if (type == H265_AP && data.n > 2 + order) {
        add_aggregate(d, (struct gtv_str){data.p + 2 + order, data.n - 2 - order}, 2, d->donl ? 1 : 0);
    } else if (type < H265_AP && data.n > 2 + order) {
        if (d->donl) {
            gtv_access_nal_begin(&d->access);
            gtv_access_nal_append(&d->access, data.p, 2);
            gtv_access_nal_append(&d->access, data.p + 4, data.n - 4);
            gtv_access_nal_end(&d->access);
        } else {
            add_whole(d, data);
        }
    }
    // PACI and what the RFC reserves are left out.
}

static void video_packet(struct gtv_depay *d, const struct gtv_rtp_delivery *in)
{
    if (in->lost && d->open) {
        gtv_access_damage(&d->access);
    }
    if (d->open && in->ticks != d->ticks) {
        end_unit(d);
    }
    if (in->lost) {
        gtv_access_damage(&d->access);
    }
    if (!d->open) {
        d->open = true;
        d->again = d->ended && in->ticks == d->ticks;
        d->ticks = in->ticks;
    }
    d->received += in->packet.payload.n;
    if (in->packet.payload.n > 0) {
        if (d->codec == GTV_CODEC_H264) {
            h264_payload(d, in->packet.payload);
        } else {
            h265_payload(d, in->packet.payload);
        }
    }
    if (d->again && d->access.picture && !d->markers_lie) {
        // The rest of a picture whose marker came too early.
        d->markers_lie = true;
        gtv_access_damage(&d->access);
    }
    if (in->packet.marker && !d->markers_lie && d->access.picture) {
        end_unit(d);
    }
}

void gtv_depay_packet(struct gtv_depay *d, const struct gtv_rtp_delivery *in)
{
    if (d->codec == GTV_CODEC_H264 || d->codec == GTV_CODEC_H265) {
        video_packet(d, in);
    } else {
        gtv_depay_audio(d, in);
    }
}
