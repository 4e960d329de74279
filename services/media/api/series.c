// The series by path and by session of /metrics, with MediaMTX's names and our own.
#include "services/media/node.h"

#include "lib/base/mem.h"

#include <inttypes.h>
#include <stdlib.h>

struct series {
    const char *name, *type, *help;
    uint64_t (*value)(const struct gtv_path_status *s);
    bool with_state, muxer_only;
};

static uint64_t one(const struct gtv_path_status *s)
{
    return 1;
}

static uint64_t received(const struct gtv_path_status *s)
{
    return s->received;
}

static uint64_t sent(const struct gtv_path_status *s)
{
    return s->sent;
}

static uint64_t readers(const struct gtv_path_status *s)
{
    return s->readers;
}

static uint64_t muxer_sent(const struct gtv_path_status *s)
{
    return s->muxer_sent;
}

static uint64_t ring_bytes(const struct gtv_path_status *s)
{
    return s->ring_bytes;
}

static uint64_t relay_skipped(const struct gtv_path_status *s)
{
    return s->skipped;
}

static uint64_t frames_in_error(const struct gtv_path_status *s)
{
    return s->error_frames;
}

// By path, so not in the registry: paths come and go.
static const struct series all_series[] = {
    {"paths", "gauge", "Paths by state.", one, true, false},
    {"paths_bytes_received", "counter", "Bytes from the source.", received, true, false},
    {"paths_bytes_sent", "counter", "Bytes handed to readers.", sent, true, false},
    {"paths_readers", "gauge", "Readers of the path.", readers, true, false},
    {"hls_muxers", "gauge", "HLS muxers.", one, false, true},
    {"hls_muxers_bytes_sent", "counter", "Bytes of segments handed out.", muxer_sent, false, true},
    {"gtv_media_ring_bytes", "gauge", "Bytes of segments held.", ring_bytes, false, true},
    {"gtv_media_relay_skipped_units_total", "counter", "Access units that slow relay readers did not get.",
     relay_skipped, false, false},
    {"gtv_media_path_frames_in_error_total", "counter", "Packets that were damaged or dropped.",
     frames_in_error, false, false},
};

static void write_head(struct gtv_buf *out, const char *name, const char *type, const char *help)
{
    gtv_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_paths(const struct gtv_node *n, struct gtv_buf *out)
{
    size_t count = gtv_node_count(n);
    struct gtv_path **all = gtv_node_sorted(n);
    struct gtv_path_status *status = gtv_alloc((count + 1) * sizeof *status);
    for (size_t i = 0; i < count; i++) {
        gtv_path_get_status(all[i], &status[i]);
    }
    for (size_t s = 0; s < sizeof all_series / sizeof all_series[0]; s++) {
        const struct series *series = &all_series[s];
        size_t written = 0;
        write_head(out, series->name, series->type, series->help);
        for (size_t i = 0; i < count; i++) {
            // Names of paths need no escaping: the check of the name keeps quotes and backslashes out.
            const char *name = gtv_path_conf(all[i])->name;
            uint64_t value = series->value(&status[i]);
            if (series->with_state) {
                const char *state = status[i].state == GTV_PATH_CONNECTED ? "ready" : "notReady";
                gtv_buf_printf(out, "%s{name=\"%s\",state=\"%s\"} %" PRIu64 "\n", series->name, name, state,
                               value);
            } else if (!series->muxer_only || status[i].has_muxer) {
                gtv_buf_printf(out, "%s{name=\"%s\"} %" PRIu64 "\n", series->name, name, value);
            } else {
                continue;
            }
            written++;
        }
        if (written == 0) {
            gtv_buf_printf(out, "%s 0\n", series->name); // as MediaMTX tells of none
        }
    }
    free(status);
    free(all);
}

static uint64_t session_one(const struct gtv_session *s)
{
    return 1;
}

static uint64_t session_received(const struct gtv_session *s)
{
    return s->inbound_bytes;
}

static uint64_t session_sent(const struct gtv_session *s)
{
    return s->outbound_bytes;
}

static uint64_t packets_received(const struct gtv_session *s)
{
    return s->rtp_received;
}

static uint64_t packets_sent(const struct gtv_session *s)
{
    return s->rtp_sent;
}

static uint64_t packets_lost(const struct gtv_session *s)
{
    return s->rtp_lost;
}

static const struct {
    const char *name, *type, *help;
    enum gtv_session_kind kind;
    uint64_t (*value)(const struct gtv_session *s);
    bool with_state, with_path;
} session_series[] = {
    {"hls_sessions", "gauge", "HLS sessions.", GTV_SESSION_HLS, session_one, false, true},
    {"hls_sessions_bytes_sent", "counter", "Bytes sent.", GTV_SESSION_HLS, session_sent, false, true},
    {"rtsp_conns", "gauge", "RTSP connections.", GTV_CONN_RTSP, session_one, false, false},
    {"rtsp_conns_bytes_received", "counter", "Bytes received.", GTV_CONN_RTSP, session_received, false,
     false},
    {"rtsp_conns_bytes_sent", "counter", "Bytes sent.", GTV_CONN_RTSP, session_sent, false, false},
    {"rtsp_sessions", "gauge", "RTSP sessions.", GTV_SESSION_RTSP, session_one, true, true},
    {"rtsp_sessions_bytes_received", "counter", "Bytes received.", GTV_SESSION_RTSP, session_received, true,
     true},
    {"rtsp_sessions_bytes_sent", "counter", "Bytes sent.", GTV_SESSION_RTSP, session_sent, true, true},
    {"rtsp_sessions_rtp_packets_received", "counter", "RTP packets received.", GTV_SESSION_RTSP,
     packets_received, true, true},
    {"rtsp_sessions_rtp_packets_sent", "counter", "RTP packets sent.", GTV_SESSION_RTSP, packets_sent, true,
     true},
    {"rtsp_sessions_rtp_packets_lost", "counter", "RTP packets lost.", GTV_SESSION_RTSP, packets_lost, true,
     true},
    {"rtmp_conns", "gauge", "RTMP connections.", GTV_CONN_RTMP, session_one, true, true},
    {"rtmp_conns_bytes_received", "counter", "Bytes received.", GTV_CONN_RTMP, session_received, true, true},
    {"rtmp_conns_bytes_sent", "counter", "Bytes sent.", GTV_CONN_RTMP, session_sent, true, true},
};

static void write_sessions(const struct gtv_node *n, struct gtv_buf *out)
{
    const struct gtv_sessions *r = gtv_node_sessions(n);
    for (size_t i = 0; i < sizeof session_series / sizeof session_series[0]; i++) {
        const char *name = session_series[i].name;
        write_head(out, name, session_series[i].type, session_series[i].help);
        const struct gtv_session *s = gtv_sessions_next(r, session_series[i].kind, NULL);
        if (s == NULL) {
            gtv_buf_printf(out, "%s 0\n", name);
        }
        for (; s != NULL; s = gtv_sessions_next(r, session_series[i].kind, s)) {
            gtv_buf_printf(out, "%s{id=\"%s\"", name, s->id);
            if (session_series[i].with_state) {
                gtv_buf_printf(out, ",state=\"%s\"", s->state != NULL ? s->state : "idle");
            }
            if (session_series[i].with_path) {
                gtv_buf_printf(out, ",path=\"%s\"", s->path);
            }
            gtv_buf_printf(out, ",remoteAddr=\"%s\"} %" PRIu64 "\n", s->remote, session_series[i].value(s));
        }
    }
}

void gtv_node_write_metrics(const struct gtv_node *n, struct gtv_buf *out)
{
    write_paths(n, out);
    write_sessions(n, out);
}
