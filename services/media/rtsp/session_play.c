// Readers: DESCRIBE, SETUP, PLAY, and the packets.
#include "lib/base/clock.h"
#include "services/media/gop.h"
#include "services/media/rtsp/session_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

enum {
    VIDEO = 0,
    AUDIO = 1,
    VIDEO_TYPE = 96, // payload types, of the dynamic range (RFC 3551, 6)
    AUDIO_TYPE = 97,
};

static bool carries_audio(const struct gtv_format *f)
{
    return f->audio.codec == GTV_CODEC_OPUS || (f->audio.codec == GTV_CODEC_AAC && f->audio.config != NULL);
}

static size_t tracks_of(const struct gtv_format *f)
{
    return carries_audio(f) ? 2 : 1;
}

static uint32_t clock_of(const struct gtv_format *f, size_t i)
{
    return i == VIDEO ? 90000 : f->audio.codec == GTV_CODEC_OPUS ? 48000 : (uint32_t)f->audio.rate;
}

// ---- DESCRIBE ----

static void describe_tracks(const struct gtv_format *f, struct gtv_sdp *out)
{
    *out = (struct gtv_sdp){.control = "*", .count = tracks_of(f)};
    out->tracks[VIDEO] = (struct gtv_sdp_track){.kind = GTV_SDP_VIDEO,
                                                .codec = f->video.codec,
                                                .payload_type = VIDEO_TYPE,
                                                .clock = clock_of(f, VIDEO),
                                                .channels = 1,
                                                .sets = f->sets,
                                                .control = "trackID=0"};
    if (out->count > AUDIO) {
        out->tracks[AUDIO] = (struct gtv_sdp_track){.kind = GTV_SDP_AUDIO,
                                                    .codec = f->audio.codec,
                                                    .payload_type = AUDIO_TYPE,
                                                    .clock = clock_of(f, AUDIO),
                                                    .channels = f->audio.channels,
                                                    .config = f->audio.config,
                                                    .control = "trackID=1"};
    }
}

// The request's URL without its query and what SETUP has behind it, with a slash at its end.
static void write_base(const struct gtv_rtsp_message *m, char *out, size_t cap)
{
    struct gtv_str rest = m->uri, uri = gtv_str_cut(&rest, '?');
    const char *track = memmem(uri.p, uri.n, "/trackID=", 9);
    uri.n = track != NULL ? (size_t)(track - uri.p) : uri.n;
    bool slash = uri.n > 0 && uri.p[uri.n - 1] == '/';
    snprintf(out, cap, GTV_STR_FMT "%s", GTV_STR_ARG(uri), slash ? "" : "/");
}

enum gtv_rtsp_outcome gtv_rtsp_describe(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m,
                                        const char *name)
{
    enum gtv_rtsp_outcome outcome = GTV_RTSP_DONE;
    if (!gtv_rtsp_authorise(s, m, GTV_ACT_READ, name, &outcome)) {
        return outcome;
    }
    const struct gtv_path *path = gtv_rtsp_need_path(s, m, name, &outcome);
    if (path == NULL) {
        return outcome;
    }
    struct gtv_sdp sdp; // borrows the format's references
    struct gtv_buf text, out;
    char base[GTV_RTSP_START_MAX];
    describe_tracks(gtv_path_format(path), &sdp);
    gtv_buf_init(&text, GTV_RTSP_BODY_MAX);
    gtv_sdp_write(&text, &sdp, name, s->local_any);
    if (text.failed) {
        gtv_buf_finish(&text);
        return gtv_rtsp_answer(s, m, 500, "the stream's parameters do not fit a description");
    }
    write_base(m, base, sizeof base);
    gtv_rtsp_answer_begin(s, m, 200, &out);
    gtv_rtsp_write_header(&out, "Content-Base", "%s", base);
    outcome = gtv_rtsp_answer_end(s, &out, "application/sdp", gtv_buf_str(&text));
    gtv_buf_finish(&text);
    return outcome;
}

// ---- SETUP ----

static void set_port(struct sockaddr_storage *a, int port)
{
    if (a->ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)a)->sin6_port = htons((uint16_t)port);
    } else {
        ((struct sockaddr_in *)a)->sin_port = htons((uint16_t)port);
    }
}

static bool channel_is_free(const struct gtv_rtsp_session *s, int channel)
{
    for (size_t i = 0; i < s->track_count; i++) {
        const struct gtv_rtsp_session_track *t = &s->tracks[i];
        if (t->up && (t->channel == channel || t->report_channel == channel)) {
            return false;
        }
    }
    return true;
}

static bool set_up_tcp(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m, size_t i,
                       const struct gtv_rtsp_transport_choice *asked, char *out, size_t cap)
{
    struct gtv_rtsp_session_track *t = &s->tracks[i];
    int rtp = asked->interleaved[0], rtcp = asked->interleaved[1];
    if (rtp < 0) {
        rtp = (int)i * 2;
        rtcp = rtp + 1;
    }
    if (rtp == rtcp || !channel_is_free(s, rtp) || !channel_is_free(s, rtcp)) {
        gtv_rtsp_answer(s, m, 400, "these channels are taken");
        return false;
    }
    t->channel = (uint8_t)rtp;
    t->report_channel = (uint8_t)rtcp;
    snprintf(out, cap, "RTP/AVP/TCP;unicast;interleaved=%d-%d", rtp, rtcp);
    return true;
}

static bool set_up_udp(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m, size_t i,
                       const struct gtv_rtsp_transport_choice *asked, char *out, size_t cap)
{
    struct gtv_rtsp_session_track *t = &s->tracks[i];
    int rtp = asked->client_port[0], rtcp = asked->client_port[1];
    if (rtp <= 0 || rtcp <= 0 || rtp == rtcp) {
        gtv_rtsp_answer(s, m, 400, "client_port is missing, or no pair of ports");
        return false;
    }
    // Never elsewhere than to who asked: "destination" would let anybody flood anybody.
    t->rtp_peer = t->rtcp_peer = s->peer;
    set_port(&t->rtp_peer, rtp);
    set_port(&t->rtcp_peer, rtcp);
    if (!s->wire->claim(s->wire_arg, &t->rtp_peer, false, i) ||
        !s->wire->claim(s->wire_arg, &t->rtcp_peer, true, i)) {
        gtv_rtsp_answer(s, m, 461, "these ports are another session's");
        return false;
    }
    snprintf(out, cap, "RTP/AVP/UDP;unicast;client_port=%d-%d;server_port=%d-%d", rtp, rtcp, s->env->rtp_port,
             s->env->rtcp_port);
    return true;
}

// The first choice of the header that this server has; the session's other tracks bind it to theirs.
static bool choose(const struct gtv_rtsp_session *s, struct gtv_str header,
                   struct gtv_rtsp_transport_choice *out)
{
    bool bound = false;
    for (size_t i = 0; i < s->track_count; i++) {
        bound |= s->tracks[i].up;
    }
    while (gtv_rtsp_transport_next(&header, out)) {
        if (!out->multicast && (out->tcp ? s->env->tcp : s->env->udp) && (!bound || out->tcp != s->udp)) {
            return true;
        }
    }
    return false;
}

bool gtv_rtsp_setup_transport(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m, size_t i,
                              bool record, char *out, size_t cap)
{
    struct gtv_rtsp_transport_choice asked;
    struct gtv_rtsp_session_track *t = &s->tracks[i];
    if (t->up) {
        gtv_rtsp_answer(s, m, 400, "this track is set up already");
        return false;
    }
    if (!choose(s, gtv_rtsp_header(m, "Transport"), &asked)) {
        gtv_rtsp_answer(s, m, 461, "RTP/AVP/TCP or RTP/AVP over unicast UDP, the same for all tracks");
        return false;
    }
    if (asked.record && !record) { // many publishers leave it out; readers never mean it
        gtv_rtsp_answer(s, m, 461, "mode=record without ANNOUNCE");
        return false;
    }
    if (!(asked.tcp ? set_up_tcp : set_up_udp)(s, m, i, &asked, out, cap)) {
        return false;
    }
    t->session = s;
    t->up = true;
    s->udp = !asked.tcp;
    s->row.transport = s->udp ? "UDP" : "TCP";
    return true;
}

static size_t track_of(const struct gtv_rtsp_message *m)
{
    const char *at = memmem(m->uri.p, m->uri.n, "/trackID=", 9);
    if (at == NULL) {
        return VIDEO;
    }
    struct gtv_str text = {at + 9, (size_t)(m->uri.p + m->uri.n - at) - 9};
    int64_t i = 0;
    if (text.n > 0 && text.p[text.n - 1] == '/') {
        text.n--;
    }
    return gtv_parse_int(text, 0, GTV_RTSP_TRACKS_MAX - 1, &i) ? (size_t)i : SIZE_MAX;
}

enum gtv_rtsp_outcome gtv_rtsp_setup_play(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m,
                                          const char *name)
{
    enum gtv_rtsp_outcome outcome = GTV_RTSP_DONE;
    char transport[160];
    size_t i = track_of(m);
    if (s->phase == GTV_RTSP_PREPARED && strcmp(name, s->name) != 0) {
        return gtv_rtsp_answer(s, m, 459, "the session has another path");
    }
    if (!gtv_rtsp_authorise(s, m, GTV_ACT_READ, name, &outcome)) {
        return outcome;
    }
    struct gtv_path *path = gtv_rtsp_need_path(s, m, name, &outcome);
    if (path == NULL) {
        return outcome;
    }
    struct gtv_format *format = s->format != NULL ? s->format : gtv_path_format(path);
    if (i >= tracks_of(format)) {
        return gtv_rtsp_answer(s, m, 404, "there is no such track");
    }
    bool first = s->phase == GTV_RTSP_IDLE;
    if (!gtv_rtsp_setup_transport(s, m, i, false, transport, sizeof transport)) {
        if (first) {
            s->wire->release(s->wire_arg);
        }
        return GTV_RTSP_DONE;
    }
    if (first) {
        gtv_rtsp_open(s, name);
        s->row.transport = s->udp ? "UDP" : "TCP";
        s->phase = GTV_RTSP_PREPARED;
        s->format = gtv_format_ref(format);
        write_base(m, s->base, sizeof s->base);
    }
    s->track_count = s->track_count > i ? s->track_count : i + 1;
    struct gtv_rtsp_session_track *t = &s->tracks[i];
    gtv_pay_init(&t->pay, i == VIDEO ? format->video.codec : format->audio.codec, clock_of(format, i),
                 i == VIDEO ? VIDEO_TYPE : AUDIO_TYPE, t->channel);
    struct gtv_buf out;
    gtv_rtsp_answer_begin(s, m, 200, &out);
    gtv_rtsp_write_header(&out, "Transport", "%s;ssrc=%08X", transport, (unsigned)t->pay.ssrc);
    return gtv_rtsp_answer_end(s, &out, NULL, GTV_STR(""));
}

// ---- PLAY ----

static void send_reports(struct gtv_rtsp_session *s, int64_t ticks)
{
    uint8_t frame[GTV_PAY_FRAME_HEAD + GTV_PAY_REPORT_BYTES];
    for (size_t i = 0; i < s->track_count && !s->dead; i++) {
        const struct gtv_rtsp_session_track *t = &s->tracks[i];
        if (!t->up) {
            continue;
        }
        gtv_pay_report(&t->pay, ticks, frame + GTV_PAY_FRAME_HEAD);
        if (s->udp) {
            s->wire->send_rtcp(s->wire_arg, frame + GTV_PAY_FRAME_HEAD, GTV_PAY_REPORT_BYTES, &t->rtcp_peer);
        } else {
            gtv_rtsp_frame_head(frame, t->report_channel, GTV_PAY_REPORT_BYTES);
            s->wire->write(s->wire_arg, frame, sizeof frame);
        }
    }
    s->next_report_ms = s->now_ms + GTV_RTSP_REPORT_MS;
}

void gtv_rtsp_play_tick(struct gtv_rtsp_session *s)
{
    bool reads = s->udp || s->wire->queued(s->wire_arg) == 0; // who does not read needs no more to read
    if (s->now_ms >= s->next_report_ms && reads) {
        send_reports(s, gtv_wall_us() * 9 / 100);
    }
}

static bool same_tracks(const struct gtv_format *a, const struct gtv_format *b)
{
    return a->video.codec == b->video.codec && tracks_of(a) == tracks_of(b) &&
           (tracks_of(a) <= AUDIO || (a->audio.codec == b->audio.codec && a->audio.rate == b->audio.rate &&
                                      a->audio.channels == b->audio.channels));
}

static void on_format(void *arg, struct gtv_format *format)
{
    struct gtv_rtsp_session *s = arg;
    if (!same_tracks(s->format, format)) {
        gtv_rtsp_end(s, "codec", "the stream has other tracks now");
        return;
    }
    gtv_format_ref(format);
    gtv_format_unref(s->format);
    s->format = format;
}

// False while the reader has to be skipped.
static bool keeps_up(struct gtv_rtsp_session *s, const struct gtv_sample *sample)
{
    size_t queued = s->udp ? 0 : s->wire->queued(s->wire_arg);
    if (!s->tracks[VIDEO].up) { // then nothing has to begin at a key frame
        return queued <= GTV_RTSP_QUEUE_MAX;
    }
    if (!s->skipping && queued + sample->data->len > GTV_RTSP_QUEUE_MAX) {
        s->skipping = true;
        s->skipped = 0;
        gtv_log_warn(&s->log, "reader is too slow: skipping to a later key frame", "path=%s pending=%zu",
                     s->name, queued);
    }
    if (s->skipping && (!sample->key || queued > GTV_RTSP_QUEUE_MAX / 2)) {
        s->skipped++;
        gtv_path_count_skipped(s->reader.path, 1);
        return false;
    }
    if (s->skipping && s->skipped > 0) {
        gtv_log_info(&s->log, "reader goes on", "path=%s skipped=%llu", s->name,
                     (unsigned long long)s->skipped);
    }
    s->skipping = false;
    return true;
}

static void on_sample(void *arg, const struct gtv_sample *sample)
{
    struct gtv_rtsp_session *s = arg;
    struct gtv_rtsp_session_track *t = &s->tracks[sample->video ? VIDEO : AUDIO];
    struct gtv_pay_batch *batch = &s->env->batch;
    if (!t->up || !keeps_up(s, sample)) {
        return;
    }
    struct gtv_bytes *sets = sample->key ? s->format->sets : NULL;
    gtv_pay_sample(&t->pay, sample, sets, batch);
    if (batch->count == 0) {
        return;
    }
    gtv_path_count_sent(s->reader.path, batch->bytes);
    s->row.rtp_sent += batch->count;
    s->row.outbound_bytes += batch->bytes;
    if (s->udp) {
        s->wire->send_packets(s->wire_arg, batch, &t->rtp_peer);
    } else {
        s->wire->write_packets(s->wire_arg, batch, sample->data, sets);
    }
}

static void on_lost(void *arg)
{
    gtv_rtsp_end(arg, "source_lost", "the path's source is gone");
}

static void on_closed(void *arg)
{
    gtv_rtsp_end(arg, "closed", "the path was removed, or its source replaced");
}

// Whether the reader gets what the path keeps since its latest key frame. Over UDP a large burst would not
// fit the receiver's socket: it begins at the next key frame then.
static bool takes_burst(const struct gtv_rtsp_session *s, const struct gtv_path *path)
{
    const struct gtv_gop *gop = gtv_path_gop(path);
    return gop->count > 0 && !gop->key_only && (!s->udp || gop->bytes <= GTV_RTSP_UDP_BURST);
}

// The moment that playing begins at: that of the first sample that the path hands over. 0: not known yet.
static int64_t beginning(const struct gtv_rtsp_session *s, const struct gtv_path *path)
{
    return takes_burst(s, path) ? gtv_path_gop(path)->samples[0].pts : 0;
}

static void write_info(const struct gtv_rtsp_session *s, int64_t begins, struct gtv_buf *out)
{
    struct gtv_buf info;
    gtv_buf_init(&info, GTV_RTSP_START_MAX);
    for (size_t i = 0; i < s->track_count; i++) {
        const struct gtv_rtsp_session_track *t = &s->tracks[i];
        if (!t->up) {
            continue;
        }
        gtv_buf_printf(&info, "%surl=%strackID=%zu;seq=%u", info.len > 0 ? "," : "", s->base, i, t->pay.seq);
        if (begins != 0) {
            gtv_buf_printf(&info, ";rtptime=%u", (unsigned)gtv_pay_time(&t->pay, begins));
        }
    }
    if (!info.failed && info.len > 0 && info.len < 2000) {
        gtv_rtsp_write_header(out, "RTP-Info", "%s", info.data);
    }
    gtv_buf_finish(&info);
}

enum gtv_rtsp_outcome gtv_rtsp_play(struct gtv_rtsp_session *s, const struct gtv_rtsp_message *m)
{
    static const struct gtv_reader_ops ops = {
        .on_format = on_format, .on_sample = on_sample, .on_lost = on_lost, .on_closed = on_closed};
    enum gtv_rtsp_outcome outcome = GTV_RTSP_DONE;
    struct gtv_error err = {0};
    struct gtv_path *path = gtv_rtsp_need_path(s, m, s->name, &outcome);
    if (path == NULL) {
        return outcome;
    }
    if (!same_tracks(s->format, gtv_path_format(path))) {
        return gtv_rtsp_answer(s, m, 455, "the stream has other tracks than were described");
    }
    if (!gtv_path_may_attach(path, &err)) {
        return gtv_rtsp_answer_error(s, m, &err);
    }
    struct gtv_buf out;
    int64_t begins = beginning(s, path);
    gtv_rtsp_answer_begin(s, m, 200, &out);
    write_info(s, begins, &out);
    outcome = gtv_rtsp_answer_end(s, &out, NULL, GTV_STR(""));
    if (s->dead) {
        return outcome;
    }
    s->phase = GTV_RTSP_PLAYING;
    s->row.state = "read";
    s->skipping = true; // until the first key frame
    s->skipped = 0;
    send_reports(s, begins != 0 ? begins : gtv_wall_us() * 9 / 100);
    s->reader = (struct gtv_reader){.ops = &ops, .arg = s, .type = "rtspSession", .wants = true};
    snprintf(s->reader.id, sizeof s->reader.id, "%s", s->row.id);
    gtv_log_info(&s->log, "reader came", "path=%s from=%s transport=%s", s->name, s->conn_row.remote,
                 s->row.transport);
    if (!s->dead && !gtv_path_attach(path, &s->reader, begins != 0, &err)) {
        gtv_rtsp_end(s, "limit", err.message);
    }
    return outcome;
}

void gtv_rtsp_play_stop(struct gtv_rtsp_session *s)
{
    gtv_path_detach(&s->reader);
}
