// What a camera (or a publisher) sends over RTSP: messages, challenges, session descriptions, and RTP of
// every codec. The first byte chooses.
#include "lib/rtsp/depay.h"
#include "lib/rtsp/digest.h"
#include "lib/rtsp/message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_into(const struct gtv_rtsp_message *m)
{
    struct gtv_digest_challenge c;
    struct gtv_rtsp_transport_choice choice;
    struct gtv_buf out;
    int seconds = 0;
    gtv_buf_init(&out, GTV_RTSP_HEAD_MAX);
    if (gtv_digest_challenge_read(m, &c)) {
        gtv_digest_write(&out, &c, "DESCRIBE", "rtsp://h/a", "user", "pass");
        // However odd the challenge: one line comes out of it.
        const char *end = out.len > 0 ? memchr(out.data, '\n', out.len) : NULL;
        if (end != NULL && end != out.data + out.len - 1)
            abort();
    }
    gtv_buf_finish(&out);
    struct gtv_str header = gtv_rtsp_header(m, "Transport");
    while (gtv_rtsp_transport_next(&header, &choice)) {
        if (choice.interleaved[0] > 255 || choice.client_port[1] > 65535)
            abort();
    }
    (void)gtv_rtsp_session(gtv_rtsp_header(m, "Session"), &seconds);
    (void)gtv_rtsp_list_has(gtv_rtsp_header(m, "Public"), "PLAY");
    if (seconds < 1)
        abort();
}

// Whole, and again in two pieces: the same messages must come out.
static void messages(struct gtv_str data)
{
    struct gtv_rtsp_message m;
    struct gtv_error err = {0};
    while (data.n > 0) {
        size_t used = 0, need = 0, half_used = 0, half_need = 0;
        enum gtv_rtsp_kind kind = gtv_rtsp_read(data, &used, &need, &m, &err);
        if (used > data.n || (kind == GTV_RTSP_MORE && need != 0 && need <= data.n))
            abort();
        if (kind == GTV_RTSP_MORE || kind == GTV_RTSP_BAD)
            return;
        if (used == 0 || m.body.n > used)
            abort();
        if (kind != GTV_RTSP_FRAME)
            look_into(&m);
        enum gtv_rtsp_kind half =
            gtv_rtsp_read((struct gtv_str){data.p, used - 1}, &half_used, &half_need, &m, &err);
        if (half != GTV_RTSP_MORE)
            abort();
        data.p += used;
        data.n -= used;
    }
}

static void description(struct gtv_str text)
{
    struct gtv_sdp s, again;
    struct gtv_error err = {0};
    struct gtv_buf out;
    char url[1200];
    gtv_buf_init(&out, 256 * 1024);
    if (gtv_sdp_parse(text, &s, &err)) {
        for (size_t i = 0; i < s.count; i++) {
            const struct gtv_sdp_track *t = &s.tracks[i];
            if (t->clock == 0 || t->payload_type > 127 ||
                (t->codec == GTV_CODEC_AAC && (t->config == NULL || t->config->len < 2)))
                abort();
            (void)!gtv_sdp_control_url(GTV_STR("rtsp://h/a"), gtv_str_of(t->control), url, sizeof url);
        }
        gtv_sdp_write(&out, &s, "name", "0.0.0.0");
        if (!out.failed && !gtv_sdp_parse(gtv_buf_str(&out), &again, &err))
            abort();
        if (!out.failed)
            gtv_sdp_finish(&again);
    }
    gtv_sdp_finish(&s);
    gtv_buf_finish(&out);
}

static void on_video(void *arg, struct gtv_access *unit, int64_t stamp, size_t received)
{
    struct gtv_str nal, data = gtv_buf_str(&unit->data);
    size_t at = 0;
    if (!unit->picture)
        abort();
    // Lengths add up, whatever came.
    while (!unit->data.failed && gtv_nal_prefixed_next(data, &at, &nal)) {
    }
    if (!unit->damaged && at != data.n)
        abort();
}

static void on_audio(void *arg, struct gtv_str frame, int64_t stamp, size_t received)
{
    if (frame.n == 0 || frame.n > GTV_AUDIO_FRAME_MAX * 4)
        abort();
}

static void on_delivery(void *arg, const struct gtv_rtp_delivery *d)
{
    gtv_depay_packet(arg, d);
}

// Packets behind their lengths of one byte; a length of 255 lets time pass.
static void packets(struct gtv_str data, struct gtv_sdp_track track, bool reorder)
{
    static const struct gtv_depay_callbacks callbacks = {on_video, on_audio};
    static const uint8_t config_bytes[] = {0x14, 0x08};
    struct gtv_depay d;
    struct gtv_rtp_stream s;
    int64_t now = 1000;
    uint8_t report[GTV_RTCP_REPORT_BYTES];
    track.config = track.codec == GTV_CODEC_AAC ? gtv_bytes_copy(config_bytes, 2) : NULL;
    gtv_depay_init(&d, &track, &callbacks, NULL);
    gtv_rtp_stream_init(&s, track.clock, -1, reorder, on_delivery, &d);
    while (data.n > 0) {
        size_t n = (uint8_t)data.p[0];
        data.p++;
        data.n--;
        if (n == 255) {
            now += GTV_RTP_HELD_MS;
            gtv_rtp_stream_tick(&s, now);
            (void)gtv_rtcp_write_report(&s, 1, now, report);
            continue;
        }
        n = n < data.n ? n : data.n;
        (void)gtv_rtcp_read(&s, (struct gtv_str){data.p, n}, now);
        gtv_rtp_stream_push(&s, (struct gtv_str){data.p, n}, now++);
        data.p += n;
        data.n -= n;
    }
    gtv_rtp_stream_finish(&s);
    gtv_depay_finish(&d);
    gtv_bytes_unref(track.config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct gtv_str rest = {(const char *)data + 1, size - 1};
    struct gtv_sdp_track video = {.kind = GTV_SDP_VIDEO, .codec = GTV_CODEC_H264, .clock = 90000};
    struct gtv_sdp_track audio = {.kind = GTV_SDP_AUDIO,
                                  .codec = GTV_CODEC_AAC,
                                  .clock = 16000,
                                  .size_length = 13,
                                  .index_length = 3,
                                  .index_delta_length = 3};
    switch (data[0] % 8) {
    case 0:
        messages(rest);
        break;
    case 1:
        description(rest);
        break;
    case 2:
        packets(rest, video, false);
        break;
    case 3:
        packets(rest, video, true);
        break;
    case 4:
        video.codec = GTV_CODEC_H265;
        video.donl = size % 2 != 0;
        packets(rest, video, false);
        break;
    case 5:
        packets(rest, audio, false);
        break;
    case 6:
        audio.latm = true;
        packets(rest, audio, true);
        break;
    default:
        audio.codec = GTV_CODEC_OPUS;
        packets(rest, audio, true);
    }
    return 0;
}
