// Publishers: ANNOUNCE, SETUP, RECORD, and the packets.
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/media/rtsp/session_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

// ---- ANNOUNCE ----

static bool is_video(const struct gtv_sdp_track *t)
{
    return t->codec == GTV_CODEC_H264 || t->codec == GTV_CODEC_H265;
}

// Audio that needs no transcoding.
static bool is_ready_made(const struct gtv_sdp_track *t)
{
    return (t->codec == GTV_CODEC_AAC || t->codec == GTV_CODEC_OPUS) && (t->config != NULL || !t->latm);
}

static bool is_raw(const struct gtv_sdp_track *t)
{
    return t->codec == GTV_CODEC_PCMA || t->codec == GTV_CODEC_PCMU;
}

static void leave_out(const struct gtv_rtsp_session *s, const struct gtv_sdp_track *t)
{
    gtv_log_info(&s->log, "a publisher's track is left out", "codec=%s", t->encoding);
}

// The first video track and the first audio track that this node carries (with transcode: or the first that
// it transcodes, where there is none); the others are taken and dropped, because a publisher that is refused
// one track gives up on all.
static bool choose_tracks(struct gtv_rtsp_session *s, const struct gtv_sdp *sdp, bool transcode)
{
    const struct gtv_sdp_track *video = NULL, *ready = NULL, *raw = NULL;
    for (size_t i = 0; i < sdp->count; i++) {
        const struct gtv_sdp_track *t = &sdp->tracks[i];
        video = video == NULL && is_video(t) ? t : video;
        ready = ready == NULL && is_ready_made(t) ? t : ready;
        raw = raw == NULL && transcode && is_raw(t) ? t : raw;
    }
    const struct gtv_sdp_track *audio = ready != NULL ? ready : raw;
    for (size_t i = 0; i < sdp->count; i++) {
        const struct gtv_sdp_track *t = &sdp->tracks[i];
        s->tracks[i] = (struct gtv_rtsp_session_track){
            .session = s, .video = is_video(t), .used = t == video || t == audio, .raw = t == raw};
        if (!s->tracks[i].used) {
            leave_out(s, t);
        }
    }
    return video != NULL;
}

static enum gtv_rtsp_outcome refuse(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m,
                                    struct gtv_sdp *sdp, int status, const char *text)
{
    gtv_sdp_finish(sdp);
    free(sdp);
    return gtv_rtsp_answer(s, m, status, text);
}

enum gtv_rtsp_outcome gtv_rtsp_announce(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m,
                                        const char *name)
{
    enum gtv_rtsp_outcome outcome = GTV_RTSP_DONE;
    struct gtv_error err = {0};
    struct gtv_str type = gtv_rtsp_header(m, "Content-Type");
    if (!gtv_rtsp_authorise(s, m, GTV_ACT_PUBLISH, name, &outcome)) {
        return outcome;
    }
    if (type.n > 0 && !gtv_str_ieq(gtv_str_trim(gtv_str_cut(&type, ';')), GTV_STR("application/sdp"))) {
        return gtv_rtsp_answer(s, m, 415, NULL);
    }
    const struct gtv_path *path = s->env->find(s->env->arg, gtv_str_of(name), true);
    if (path == NULL) {
        gtv_error_set(&err, GTV_E_NOT_FOUND, NULL, "path '%s' is not configured", name);
        return gtv_rtsp_answer_error(s, m, &err);
    }
    if (gtv_pathconf_is_pulled(gtv_path_conf(path))) {
        gtv_error_set(&err, GTV_E_BAD_REQUEST, NULL,
                      "can't publish to path '%s' since 'source' is not 'publisher'", name);
        return gtv_rtsp_answer_error(s, m, &err);
    }
    struct gtv_sdp *sdp = GTV_NEW(struct gtv_sdp);
    if (!gtv_sdp_parse(m->body, sdp, &err)) {
        return refuse(s, m, sdp, 400, err.message);
    }
    if (!choose_tracks(s, sdp, gtv_path_conf(path)->audio_transcode)) {
        return refuse(s, m, sdp, 415, "there is no video track in H.264 or H.265");
    }
    gtv_rtsp_open(s, name);
    s->phase = GTV_RTSP_ANNOUNCED;
    s->sdp = sdp;
    s->track_count = sdp->count;
    struct gtv_str uri = m->uri;
    if (!gtv_str_copy(s->base, sizeof s->base, uri)) {
        s->base[0] = '\0';
    }
    return gtv_rtsp_answer(s, m, 200, NULL);
}

// ---- SETUP ----

// The track whose control URL this is.
static bool find_track(const struct gtv_rtsp_session *s, struct gtv_str uri, size_t *out)
{
    char url[GTV_RTSP_START_MAX];
    for (size_t i = 0; i < s->track_count; i++) {
        struct gtv_str control = gtv_str_of(s->sdp->tracks[i].control);
        if (gtv_sdp_control_url(gtv_str_of(s->base), control, url, sizeof url) &&
            gtv_str_eq(uri, gtv_str_of(url))) {
            *out = i;
            return true;
        }
    }
    // Behind another name of this server, or with a query in another place.
    for (size_t i = 0; i < s->track_count; i++) {
        struct gtv_str control = gtv_str_of(s->sdp->tracks[i].control);
        if (control.n > 0 && uri.n > control.n && uri.p[uri.n - control.n - 1] == '/' &&
            gtv_str_ends(uri, control)) {
            *out = i;
            return true;
        }
    }
    *out = 0;
    return s->track_count == 1;
}

enum gtv_rtsp_outcome gtv_rtsp_setup_record(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m)
{
    char transport[160];
    size_t i = 0;
    if (!find_track(s, m->uri, &i)) {
        return gtv_rtsp_answer(s, m, 404, "there is no such track in the announced description");
    }
    if (!gtv_rtsp_setup_transport(s, m, i, true, transport, sizeof transport)) {
        return GTV_RTSP_DONE;
    }
    struct gtv_buf out;
    gtv_rtsp_answer_begin(s, m, 200, &out);
    gtv_rtsp_write_header(&out, "Transport", "%s", transport);
    return gtv_rtsp_answer_end(s, &out, NULL, GTV_STR(""));
}

// ---- Packets ----

static void on_video(void *arg, struct gtv_access *unit, int64_t stamp, size_t received)
{
    const struct gtv_rtsp_session_track *t = arg;
    struct gtv_rtsp_session *s = t->session;
    if (s->publisher.path == NULL) {
        return;
    }
    gtv_feed_video(s->feed, unit, stamp, s->arrival_us, received);
    uint64_t damaged = gtv_feed_damaged(s->feed);
    if (damaged != s->damaged_told && s->publisher.path != NULL) {
        gtv_path_source_callbacks()->on_error_frames(s->publisher.path,
                                                     (unsigned)(damaged - s->damaged_told));
        s->damaged_told = damaged;
    }
}

static void on_audio(void *arg, struct gtv_str frame, int64_t stamp, size_t received)
{
    const struct gtv_rtsp_session_track *t = arg;
    struct gtv_rtsp_session *s = t->session;
    if (t->raw) {
        s->raw.frame(s->raw.arg, frame, stamp, s->arrival_us);
        return;
    }
    struct gtv_bytes *bytes = s->publisher.path != NULL ? gtv_bytes_copy(frame.p, frame.n) : NULL;
    if (bytes != NULL) {
        gtv_feed_audio(s->feed, bytes, stamp, s->arrival_us, received);
        gtv_bytes_unref(bytes);
    }
}

static void on_delivery(void *arg, const struct gtv_rtp_delivery *d)
{
    struct gtv_rtsp_session_track *t = arg;
    if (t->video) {
        t->session->media_ms = t->session->now_ms;
    }
    if (t->session->publisher.path != NULL) {
        gtv_depay_packet(&t->depay, d);
    }
}

static void on_format(void *arg, struct gtv_format *format)
{
    struct gtv_rtsp_session *s = arg;
    if (s->publisher.path != NULL) {
        gtv_path_source_callbacks()->on_format(s->publisher.path, format);
    }
}

static void on_sample(void *arg, const struct gtv_sample *sample, size_t received)
{
    struct gtv_rtsp_session *s = arg;
    s->keyed |= sample->key;
    if (s->publisher.path != NULL) {
        gtv_path_source_callbacks()->on_sample(s->publisher.path, sample, received);
    }
}

static void on_feed_format(void *arg, struct gtv_format *format)
{
    struct gtv_rtsp_session *s = arg;
    if (s->dub != NULL) {
        gtv_dub_format(s->dub, format);
    } else {
        on_format(s, format);
    }
}

static void on_feed_sample(void *arg, const struct gtv_sample *sample, size_t received)
{
    struct gtv_rtsp_session *s = arg;
    if (s->dub != NULL) {
        gtv_dub_sample(s->dub, sample, received);
    } else {
        on_sample(s, sample, received);
    }
}

static void finish_media(struct gtv_rtsp_session *s)
{
    for (size_t i = 0; i < GTV_RTSP_TRACKS_MAX; i++) {
        gtv_rtp_stream_finish(&s->tracks[i].stream);
        gtv_depay_finish(&s->tracks[i].depay);
        s->tracks[i] = (struct gtv_rtsp_session_track){0};
    }
    gtv_feed_destroy(s->feed);
    s->feed = NULL;
    gtv_dub_close(s->dub);
    s->dub = NULL;
}

static bool all_said_goodbye(const struct gtv_rtsp_session *s)
{
    return s->bye && s->track_count == 1;
}

void gtv_rtsp_record_packet(struct gtv_rtsp_session *s, size_t track, bool rtcp, struct gtv_str data)
{
    struct gtv_rtsp_session_track *t = &s->tracks[track];
    if (s->phase != GTV_RTSP_RECORDING || !t->used) {
        return; // also what readers report: their being there is all that counts
    }
    s->busy++;
    if (rtcp) {
        s->bye |= gtv_rtcp_read(&t->stream, data, s->now_ms) == GTV_RTCP_BYE;
    } else {
        s->row.rtp_received++;
        s->row.inbound_bytes += data.n;
        gtv_rtp_stream_push(&t->stream, data, s->now_ms);
        s->row.rtp_lost = t->video ? t->stream.missing : s->row.rtp_lost;
    }
    s->busy--;
    if (s->busy == 0 && s->phase != GTV_RTSP_RECORDING) {
        finish_media(s);
    } else if (all_said_goodbye(s)) {
        gtv_rtsp_end(s, "closed", "the publisher said goodbye");
    }
}

// ---- RECORD ----

static struct gtv_audio_info audio_info(const struct gtv_sdp_track *t)
{
    struct gtv_audio_info info = {
        .codec = t->codec, .rate = (int)t->clock, .channels = t->channels, .config = t->config};
    if (t->codec == GTV_CODEC_AAC && t->config != NULL && t->config->len > 0) {
        snprintf(info.codecs, sizeof info.codecs, "mp4a.40.%u", (unsigned)t->config->data[0] >> 3);
    } else {
        snprintf(info.codecs, sizeof info.codecs, "%s", t->codec == GTV_CODEC_AAC ? "mp4a.40.2" : "opus");
    }
    return info;
}

static void on_kicked(void *arg, const char *why)
{
    gtv_rtsp_end(arg, "closed", why);
}

// False: this audio cannot be transcoded.
static bool start_dub(struct gtv_rtsp_session *s, const struct gtv_sdp_track *t)
{
    static const struct gtv_source_callbacks from_dub = {.on_format = on_format, .on_sample = on_sample};
    struct gtv_dubber *dubber = gtv_path_get_env(s->publisher.path)->dubber;
    s->dub = gtv_dub_open(dubber, t->codec, t->clock, t->channels, &from_dub, s, &s->raw);
    if (s->dub == NULL) {
        leave_out(s, t);
    }
    return s->dub != NULL;
}

// Prepares the tracks that are set up; false when the video is not among them.
static bool start_media(struct gtv_rtsp_session *s)
{
    static const struct gtv_depay_callbacks from_depay = {on_video, on_audio};
    static const struct gtv_feed_callbacks from_feed = {on_feed_format, on_feed_sample};
    struct gtv_feed_config config = {0};
    for (size_t i = 0; i < s->track_count; i++) {
        struct gtv_rtsp_session_track *t = &s->tracks[i];
        const struct gtv_sdp_track *sdp = &s->sdp->tracks[i];
        t->used = t->used && t->up;
        if (t->used && t->video) {
            config.video = sdp->codec;
            config.sets = sdp->sets;
        } else if (t->used && t->raw) {
            t->used = start_dub(s, sdp);
        } else if (t->used) {
            config.audio = audio_info(sdp);
        }
    }
    if (config.video == GTV_CODEC_NONE) {
        return false;
    }
    for (size_t i = 0; i < s->track_count; i++) {
        struct gtv_rtsp_session_track *t = &s->tracks[i];
        const struct gtv_sdp_track *sdp = &s->sdp->tracks[i];
        if (t->used) {
            gtv_rtp_stream_init(&t->stream, sdp->clock, sdp->payload_type, s->udp, on_delivery, t);
            gtv_depay_init(&t->depay, sdp, &from_depay, t);
        }
    }
    s->feed = gtv_feed_create(&config, &from_feed, s, &s->log);
    return true;
}

enum gtv_rtsp_outcome gtv_rtsp_record(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m)
{
    struct gtv_error err = {0};
    struct gtv_path *path = s->env->find(s->env->arg, gtv_str_of(s->name), true);
    bool video = false;
    for (size_t i = 0; i < s->track_count; i++) {
        video |= s->tracks[i].used && s->tracks[i].video && s->tracks[i].up;
    }
    if (!video) {
        return gtv_rtsp_answer(s, m, 455, "the video track is not set up");
    }
    if (path == NULL) {
        gtv_error_set(&err, GTV_E_NOT_FOUND, NULL, "path '%s' is not configured", s->name);
        return gtv_rtsp_answer_error(s, m, &err);
    }
    s->publisher = (struct gtv_publisher){.on_kicked = on_kicked, .arg = s, .type = "rtspSession"};
    snprintf(s->publisher.id, sizeof s->publisher.id, "%s", s->row.id);
    if (!gtv_path_publish(path, &s->publisher, &err)) {
        return gtv_rtsp_answer_error(s, m, &err);
    }
    if (getrandom(&s->ssrc, sizeof s->ssrc, 0) != (ssize_t)sizeof s->ssrc || !start_media(s)) {
        gtv_rtsp_end(s, "internal", "the tracks cannot be prepared");
        return GTV_RTSP_DONE;
    }
    s->phase = GTV_RTSP_RECORDING;
    s->row.state = "publish";
    s->media_ms = s->opened_ms = s->now_ms;
    s->next_report_ms = s->now_ms + GTV_RTSP_REPORT_MS;
    s->damaged_told = 0;
    s->keyed = s->silent_told = s->bye = false;
    gtv_log_info(&s->log, "publisher came", "path=%s from=%s transport=%s", s->name, s->conn_row.remote,
                 s->row.transport);
    return gtv_rtsp_answer(s, m, 200, NULL);
}

void gtv_rtsp_record_stop(struct gtv_rtsp_session *s, const char *code, const char *text)
{
    struct gtv_source_end end = {.code = code};
    if (s->publisher.path != NULL) {
        snprintf(end.text, sizeof end.text, "%s", text);
        gtv_path_unpublish(&s->publisher, &end);
    }
    if (s->sdp != NULL) {
        gtv_sdp_finish(s->sdp);
        free(s->sdp);
        s->sdp = NULL;
    }
    if (s->busy == 0) {
        finish_media(s);
    }
}

static void send_reports(struct gtv_rtsp_session *s)
{
    uint8_t frame[GTV_PAY_FRAME_HEAD + GTV_RTCP_REPORT_BYTES];
    for (size_t i = 0; i < s->track_count && !s->dead; i++) {
        struct gtv_rtsp_session_track *t = &s->tracks[i];
        size_t n =
            t->used ? gtv_rtcp_write_report(&t->stream, s->ssrc, s->now_ms, frame + GTV_PAY_FRAME_HEAD) : 0;
        if (n > 0 && s->udp) {
            s->wire->send_rtcp(s->wire_arg, frame + GTV_PAY_FRAME_HEAD, n, &t->rtcp_peer);
        } else if (n > 0) {
            gtv_rtsp_frame_head(frame, t->report_channel, (uint16_t)n);
            s->wire->write(s->wire_arg, frame, GTV_PAY_FRAME_HEAD + n);
        }
    }
    s->next_report_ms = s->now_ms + GTV_RTSP_REPORT_MS;
}

void gtv_rtsp_record_tick(struct gtv_rtsp_session *s)
{
    int64_t stall_ms = (int64_t)(*s->env->stall_seconds * 1000);
    s->arrival_us = gtv_wall_us();
    s->busy++;
    for (size_t i = 0; s->udp && i < s->track_count; i++) {
        if (s->tracks[i].used) {
            gtv_rtp_stream_tick(&s->tracks[i].stream, s->now_ms);
        }
    }
    s->busy--;
    if (s->phase != GTV_RTSP_RECORDING) {
        finish_media(s);
        return;
    }
    if (s->now_ms - s->media_ms >= stall_ms) {
        char text[120];
        snprintf(text, sizeof text, "stalled: the publisher sent no picture for %g s",
                 *s->env->stall_seconds);
        gtv_rtsp_end(s, "stalled", text);
        return;
    }
    if (!s->keyed && !s->silent_told && s->now_ms - s->opened_ms >= stall_ms) {
        static const struct gtv_source_end why = {.code = "stalled",
                                                  .text = "the publisher sends, but no key frame has come"};
        s->silent_told = true;
        gtv_path_source_callbacks()->on_silent(s->publisher.path, &why);
    }
    if (s->now_ms >= s->next_report_ms && (s->udp || s->wire->queued(s->wire_arg) == 0)) {
        send_reports(s);
    }
}
