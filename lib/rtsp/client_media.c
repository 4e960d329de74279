#include "lib/base/mem.h"
#include "lib/rtsp/client_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

// ---- Which tracks ----

// The name of a codec in sentences: libavcodec's, where it has one.
static void codec_name(const struct gtv_sdp_track *t, char *out, size_t cap)
{
    static const struct {
        const char *encoding, *name;
    } names[] = {{"JPEG", "mjpeg"},
                 {"MPV", "mpeg2video"},
                 {"MP4V-ES", "mpeg4"},
                 {"PCMA", "pcm_alaw"},
                 {"PCMU", "pcm_mulaw"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(t->encoding, names[i].encoding) == 0) {
            snprintf(out, cap, "%s", names[i].name);
            return;
        }
    }
    snprintf(out, cap, "%s", t->encoding[0] != '\0' ? t->encoding : "unknown");
    for (char *p = out; *p != '\0'; p++) {
        *p = (char)tolower((unsigned char)*p);
    }
}

static void take_track(struct gtv_rtsp_client *c, struct gtv_sdp_track *from, bool raw)
{
    struct gtv_client_track *t = &c->tracks[c->track_count++];
    *t = (struct gtv_client_track){
        .client = c, .sdp = *from, .video = from->kind == GTV_SDP_VIDEO, .raw = raw};
    from->sets = from->config = NULL; // the references are ours now
}

static bool is_ready_made(enum gtv_codec codec)
{
    return codec == GTV_CODEC_AAC || codec == GTV_CODEC_OPUS;
}

// The first audio track that needs no transcoding, else the first that somebody will transcode.
static void choose_audio(struct gtv_rtsp_client *c, struct gtv_sdp *sdp)
{
    struct gtv_sdp_track *ready = NULL, *raw = NULL;
    for (size_t i = 0; i < sdp->count; i++) {
        struct gtv_sdp_track *t = &sdp->tracks[i];
        if (t->kind != GTV_SDP_AUDIO || t->codec == GTV_CODEC_NONE) {
            continue;
        }
        if (is_ready_made(t->codec)) {
            ready = ready != NULL ? ready : t;
        } else if (raw == NULL && c->raw.accept != NULL &&
                   c->raw.accept(c->raw.arg, t->codec, t->clock, t->channels)) {
            raw = t;
        }
    }
    struct gtv_sdp_track *chosen = ready != NULL ? ready : raw;
    for (size_t i = 0; i < sdp->count; i++) {
        const struct gtv_sdp_track *t = &sdp->tracks[i];
        if (t->kind != GTV_SDP_VIDEO && t != chosen) {
            char name[24];
            codec_name(t, name, sizeof name);
            gtv_log_info(&c->log, "this track is left out", "kind=%s codec=%s",
                         t->kind == GTV_SDP_AUDIO ? "audio" : "other", name);
        }
    }
    if (chosen != NULL) {
        take_track(c, chosen, chosen == raw);
    }
}

bool gtv_client_choose(struct gtv_rtsp_client *c, struct gtv_sdp *sdp)
{
    const struct gtv_sdp_track *refused = NULL;
    struct gtv_sdp_track *video = NULL;
    for (size_t i = 0; i < sdp->count; i++) {
        struct gtv_sdp_track *t = &sdp->tracks[i];
        if (t->kind == GTV_SDP_VIDEO && t->codec != GTV_CODEC_NONE) {
            video = video != NULL ? video : t;
        } else if (t->kind == GTV_SDP_VIDEO) {
            refused = t;
        }
    }
    if (video == NULL && refused != NULL) {
        char text[120], name[24];
        codec_name(refused, name, sizeof name);
        snprintf(text, sizeof text, "codec %s cannot be carried by HLS: set the camera to H.264", name);
        gtv_client_end(c, "codec", text);
        return false;
    }
    if (video == NULL) {
        gtv_client_end_with(c, AVERROR_STREAM_NOT_FOUND);
        return false;
    }
    if (c->config.transport == GTV_RTSP_MULTICAST) {
        gtv_client_end(c, "transport",
                       "multicast is not supported: set rtspTransport to tcp, udp or automatic");
        return false;
    }
    take_track(c, video, false);
    if (!c->config.video_only) {
        choose_audio(c, sdp);
    }
    return true;
}

// ---- How they come ----

static void on_datagram(void *arg, bool rtcp, struct gtv_str data);

bool gtv_client_ask_transport(struct gtv_rtsp_client *c, size_t i, char *out, size_t cap)
{
    struct gtv_client_track *t = &c->tracks[i];
    if (!c->udp) {
        t->channel = (int)i * 2;
        t->report_channel = t->channel + 1;
        snprintf(out, cap, "RTP/AVP/TCP;unicast;interleaved=%d-%d", t->channel, t->report_channel);
        return true;
    }
    struct sockaddr_storage local;
    if (t->udp == NULL && gtv_link_local(c->link, &local)) {
        t->udp = gtv_udp_open(c->config.hub, &local, gtv_link_peer(c->link), on_datagram, t);
    }
    if (t->udp == NULL) {
        return false;
    }
    snprintf(out, cap, "RTP/AVP/UDP;unicast;client_port=%d-%d", gtv_udp_port(t->udp),
             gtv_udp_port(t->udp) + 1);
    return true;
}

bool gtv_client_take_transport(struct gtv_rtsp_client *c, size_t i, struct gtv_str header)
{
    struct gtv_client_track *t = &c->tracks[i];
    struct gtv_rtsp_transport_choice made;
    t->up = true;
    if (!gtv_rtsp_transport_next(&header, &made)) {
        return !c->udp; // some cameras leave it out: then it is as it was asked for
    }
    if (made.tcp == c->udp || made.multicast) {
        return false;
    }
    if (!c->udp && made.interleaved[0] >= 0) {
        t->channel = made.interleaved[0];
        t->report_channel = made.interleaved[1];
    } else if (c->udp && made.server_port[0] > 0) {
        gtv_udp_set_ports(t->udp, made.server_port[0], made.server_port[1]);
    }
    return true;
}

void gtv_client_drop_track(struct gtv_rtsp_client *c, size_t i)
{
    struct gtv_client_track *t = &c->tracks[i];
    gtv_udp_close(t->udp);
    gtv_rtp_stream_finish(&t->stream);
    gtv_depay_finish(&t->depay);
    gtv_bytes_unref(t->sdp.sets);
    gtv_bytes_unref(t->sdp.config);
    // Only the last one is ever dropped: others have callbacks that point at them.
    *t = (struct gtv_client_track){0};
    c->track_count--;
}

void gtv_client_finish_media(struct gtv_rtsp_client *c)
{
    while (c->track_count > 0) {
        gtv_client_drop_track(c, c->track_count - 1);
    }
    gtv_feed_destroy(c->feed);
    c->feed = NULL;
}

void gtv_client_punch(struct gtv_rtsp_client *c)
{
    uint8_t rtp[12] = {0x80, 0}, rtcp[8] = {0x80, 201, 0, 1};
    for (size_t i = 0; i < 4; i++) {
        rtp[8 + i] = rtcp[4 + i] = (uint8_t)(c->ssrc >> (24 - 8 * i));
    }
    for (size_t i = 0; i < c->track_count; i++) {
        if (c->tracks[i].udp != NULL) {
            gtv_udp_send(c->tracks[i].udp, false, rtp, sizeof rtp);
            gtv_udp_send(c->tracks[i].udp, true, rtcp, sizeof rtcp);
        }
    }
}

// ---- Packets ----

// The moment of a picture on the wall clock: when it came, or as the sender says.
static int64_t sent_us(const struct gtv_client_track *t, int64_t stamp)
{
    int64_t came = t->client->arrival_us, sent;
    if (!t->client->config.sender_clock ||
        !gtv_rtp_sender_time(&t->stream, stamp * (int64_t)t->sdp.clock / 90000, &sent) ||
        llabs(sent - came) > (int64_t)GTV_RTSP_CLOCKS_APART_MS * 1000) {
        return came;
    }
    return sent;
}

static void on_video(void *arg, struct gtv_access *unit, int64_t stamp, size_t received)
{
    struct gtv_client_track *t = arg;
    struct gtv_rtsp_client *c = t->client;
    if (c->dead) {
        return;
    }
    gtv_feed_video(c->feed, unit, stamp, sent_us(t, stamp), received);
    uint64_t damaged = gtv_feed_damaged(c->feed);
    if (damaged != c->damaged_told && !c->dead) {
        c->callbacks.on_error_frames(c->arg, (unsigned)(damaged - c->damaged_told));
        c->damaged_told = damaged;
    }
}

static void on_audio(void *arg, struct gtv_str frame, int64_t stamp, size_t received)
{
    struct gtv_client_track *t = arg;
    struct gtv_rtsp_client *c = t->client;
    if (c->dead) {
        return;
    }
    if (t->raw) {
        c->raw.frame(c->raw.arg, frame, stamp, c->arrival_us);
        return;
    }
    struct gtv_bytes *bytes = gtv_bytes_copy(frame.p, frame.n);
    if (bytes != NULL) {
        gtv_feed_audio(c->feed, bytes, stamp, c->arrival_us, received);
        gtv_bytes_unref(bytes);
    }
}

static void on_delivery(void *arg, const struct gtv_rtp_delivery *d)
{
    struct gtv_client_track *t = arg;
    if (t->video) {
        t->client->last_video_ms = t->client->now_ms;
    }
    if (!t->client->dead) {
        gtv_depay_packet(&t->depay, d);
    }
}

static void on_feed_format(void *arg, struct gtv_format *format)
{
    struct gtv_rtsp_client *c = arg;
    if (!c->dead) {
        c->callbacks.on_format(c->arg, format);
    }
}

static void on_feed_sample(void *arg, const struct gtv_sample *sample, size_t received)
{
    struct gtv_rtsp_client *c = arg;
    c->keyed |= sample->key;
    if (!c->dead) {
        c->callbacks.on_sample(c->arg, sample, received);
    }
}

static struct gtv_audio_info audio_info(const struct gtv_sdp_track *t)
{
    struct gtv_audio_info info = {
        .codec = t->codec, .rate = (int)t->clock, .channels = t->channels, .config = t->config};
    if (t->codec == GTV_CODEC_AAC) {
        unsigned type = t->config->data[0] >> 3;
        snprintf(info.codecs, sizeof info.codecs, "mp4a.40.%u", type);
    } else {
        snprintf(info.codecs, sizeof info.codecs, "opus");
    }
    return info;
}

void gtv_client_start_media(struct gtv_rtsp_client *c)
{
    static const struct gtv_depay_callbacks from_depay = {on_video, on_audio};
    static const struct gtv_feed_callbacks from_feed = {on_feed_format, on_feed_sample};
    struct gtv_feed_config config = {.video = c->tracks[0].sdp.codec, .sets = c->tracks[0].sdp.sets};
    for (size_t i = 0; i < c->track_count; i++) {
        struct gtv_client_track *t = &c->tracks[i];
        gtv_rtp_stream_init(&t->stream, t->sdp.clock, t->sdp.payload_type, c->udp, on_delivery, t);
        gtv_depay_init(&t->depay, &t->sdp, &from_depay, t);
        if (!t->video && !t->raw) {
            config.audio = audio_info(&t->sdp);
        }
    }
    c->feed = gtv_feed_create(&config, &from_feed, c, &c->log);
}

static void take_packet(struct gtv_client_track *t, bool rtcp, struct gtv_str data)
{
    struct gtv_rtsp_client *c = t->client;
    if (c->dead || c->feed == NULL) {
        return;
    }
    if (!rtcp) {
        gtv_rtp_stream_push(&t->stream, data, c->now_ms);
        return;
    }
    t->bye |= gtv_rtcp_read(&t->stream, data, c->now_ms) == GTV_RTCP_BYE;
    bool all = true;
    for (size_t i = 0; i < c->track_count; i++) {
        all = all && c->tracks[i].bye;
    }
    if (all && c->phase == GTV_CLIENT_PLAYING) {
        gtv_client_end_with(c, AVERROR_EOF);
    }
}

void gtv_client_frame(struct gtv_rtsp_client *c, uint8_t channel, struct gtv_str data)
{
    for (size_t i = 0; i < c->track_count; i++) {
        struct gtv_client_track *t = &c->tracks[i];
        if (t->up && (channel == t->channel || channel == t->report_channel)) {
            take_packet(t, channel != t->channel, data);
            return;
        }
    }
}

static void on_datagram(void *arg, bool rtcp, struct gtv_str data)
{
    struct gtv_client_track *t = arg;
    struct gtv_rtsp_client *c = t->client;
    if (c->dead) {
        return;
    }
    gtv_client_note_time(c);
    take_packet(t, rtcp, data);
}

// ---- The clock ----

static void send_report(struct gtv_rtsp_client *c, struct gtv_client_track *t)
{
    uint8_t frame[4 + GTV_RTCP_REPORT_BYTES];
    size_t n = gtv_rtcp_write_report(&t->stream, c->ssrc, c->now_ms, frame + 4);
    if (n == 0) {
        return;
    }
    if (t->udp != NULL) {
        gtv_udp_send(t->udp, true, frame + 4, n);
    } else if (gtv_link_queued(c->link) == 0) { // a camera that does not read needs no more to read
        gtv_rtsp_frame_head(frame, (uint8_t)t->report_channel, (uint16_t)n);
        if (!gtv_link_write(c->link, frame, 4 + n)) {
            gtv_client_end_with(c, AVERROR(EPIPE));
        }
    }
}

void gtv_client_media_tick(struct gtv_rtsp_client *c)
{
    for (size_t i = 0; c->udp && i < c->track_count && !c->dead; i++) {
        gtv_rtp_stream_tick(&c->tracks[i].stream, c->now_ms);
    }
    if (c->dead || c->now_ms < c->next_report_ms) {
        return;
    }
    c->next_report_ms = c->now_ms + GTV_CLIENT_REPORT_MS;
    for (size_t i = 0; i < c->track_count && !c->dead; i++) {
        send_report(c, &c->tracks[i]);
    }
}
