// Who is connected: hlssessions, rtspsessions, rtspconns, rtmpconns.
#include "services/media/api.h"

#include "lib/base/mem.h"
#include "services/media/api/page.h"
#include "services/media/reply.h"

#include <stdio.h>
#include <stdlib.h>

static void add_bytes(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_session *s)
{
    yyjson_mut_obj_add_uint(doc, o, "inboundBytes", s->inbound_bytes);
    yyjson_mut_obj_add_uint(doc, o, "outboundBytes", s->outbound_bytes);
    yyjson_mut_obj_add_uint(doc, o, "bytesReceived", s->inbound_bytes);
    yyjson_mut_obj_add_uint(doc, o, "bytesSent", s->outbound_bytes);
}

static void add_what(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_session *s)
{
    yyjson_mut_obj_add_str(doc, o, "path", s->path);
    yyjson_mut_obj_add_str(doc, o, "query", s->query);
    yyjson_mut_obj_add_str(doc, o, "user", s->user);
}

static void write_hls(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_session *s)
{
    add_what(doc, o, s);
    yyjson_mut_obj_add_str(doc, o, "userAgent", s->user_agent);
    yyjson_mut_obj_add_bool(doc, o, "isCDN", s->is_cdn);
    yyjson_mut_obj_add_uint(doc, o, "outboundBytes", s->outbound_bytes);
}

static void write_rtsp_session(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_session *s)
{
    yyjson_mut_obj_add_str(doc, o, "state", s->state != NULL ? s->state : "idle");
    add_what(doc, o, s);
    gtv_json_add_text(doc, o, "transport", s->transport);
    gtv_json_add_text(doc, o, "profile", s->transport != NULL ? "AVP" : NULL);
    add_bytes(doc, o, s);
    yyjson_mut_obj_add_uint(doc, o, "rtpPacketsReceived", s->rtp_received);
    yyjson_mut_obj_add_uint(doc, o, "rtpPacketsSent", s->rtp_sent);
    yyjson_mut_obj_add_uint(doc, o, "rtpPacketsLost", s->rtp_lost);
}

static void write_rtsp_conn(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_session *s)
{
    add_bytes(doc, o, s);
    gtv_json_add_text(doc, o, "session", s->session);
    yyjson_mut_obj_add_str(doc, o, "tunnel", "none");
}

static void write_rtmp(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_session *s)
{
    yyjson_mut_obj_add_str(doc, o, "state", s->state != NULL ? s->state : "idle");
    add_what(doc, o, s);
    add_bytes(doc, o, s);
}

static const struct {
    void (*write)(yyjson_mut_doc *doc, yyjson_mut_val *o, const struct gtv_session *s);
    const char *missing;
} kinds[GTV_SESSION_KINDS] = {
    [GTV_SESSION_HLS] = {write_hls, "session not found"},
    [GTV_SESSION_RTSP] = {write_rtsp_session, "session not found"},
    [GTV_CONN_RTSP] = {write_rtsp_conn, "connection not found"},
    [GTV_CONN_RTMP] = {write_rtmp, "connection not found"},
};

static yyjson_mut_val *write_session(yyjson_mut_doc *doc, const struct gtv_session *s)
{
    yyjson_mut_val *o = yyjson_mut_obj(doc);
    yyjson_mut_obj_add_str(doc, o, "id", s->id);
    gtv_json_add_time(doc, o, "created", s->created_ms);
    yyjson_mut_obj_add_str(doc, o, "remoteAddr", s->remote);
    kinds[s->kind].write(doc, o, s);
    return o;
}

static yyjson_mut_val *write_nth(yyjson_mut_doc *doc, size_t i, void *arg)
{
    const struct gtv_session **all = arg;
    return write_session(doc, all[i]);
}

static void list(struct gtv_http_request *req, struct gtv_node *n, enum gtv_session_kind kind)
{
    struct gtv_page page;
    if (!gtv_page_read(req, &page)) {
        return;
    }
    const struct gtv_sessions *r = gtv_node_sessions(n);
    size_t count = gtv_sessions_count(r, kind), i = 0;
    const struct gtv_session **all = gtv_alloc((count + 1) * sizeof(const struct gtv_session *));
    const struct gtv_session *s = NULL;
    while (i < count && (s = gtv_sessions_next(r, kind, s)) != NULL) {
        all[i++] = s;
    }
    gtv_page_reply(req, &page, i, write_nth, all);
    free(all);
}

// 8-4-4-4-12 hexadecimal digits, as Go's uuid package asks for them.
static bool check_id(struct gtv_http_request *req, struct gtv_str id)
{
    char text[64];
    if (id.n != GTV_UUID_CAP - 1) {
        snprintf(text, sizeof text, "invalid UUID length: %zu", id.n);
        gtv_media_reply_error(req, 400, text, NULL, NULL);
        return false;
    }
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (dash ? c != '-' : !digit) {
            gtv_media_reply_error(req, 400, "invalid UUID format", NULL, NULL);
            return false;
        }
    }
    return true;
}

static struct gtv_session *find(struct gtv_http_request *req, struct gtv_node *n, enum gtv_session_kind kind)
{
    struct gtv_str id = gtv_http_param(req, "id");
    if (!check_id(req, id)) {
        return NULL;
    }
    struct gtv_session *s = gtv_sessions_find(gtv_node_sessions(n), kind, id);
    if (s == NULL) {
        gtv_media_reply_error(req, 404, kinds[kind].missing, NULL, NULL);
    }
    return s;
}

static void get(struct gtv_http_request *req, struct gtv_node *n, enum gtv_session_kind kind)
{
    const struct gtv_session *s = find(req, n, kind);
    if (s != NULL) {
        yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
        yyjson_mut_doc_set_root(doc, write_session(doc, s));
        gtv_media_reply_json(req, doc);
    }
}

static void kick(struct gtv_http_request *req, struct gtv_node *n, enum gtv_session_kind kind)
{
    struct gtv_session *s = find(req, n, kind);
    if (s == NULL) {
        return;
    }
    if (s->kick == NULL) {
        gtv_media_reply_error(req, 500, "this one cannot be kicked", NULL, NULL);
        return;
    }
    s->kick(s->arg);
    gtv_media_reply_ok(req);
}

#define ROUTES(name, kind)                                                                                   \
    void gtv_media_##name##_list(struct gtv_http_request *req, void *user)                                   \
    {                                                                                                        \
        list(req, user, kind);                                                                               \
    }                                                                                                        \
    void gtv_media_##name##_get(struct gtv_http_request *req, void *user)                                    \
    {                                                                                                        \
        get(req, user, kind);                                                                                \
    }                                                                                                        \
    void gtv_media_##name##_kick(struct gtv_http_request *req, void *user)                                   \
    {                                                                                                        \
        kick(req, user, kind);                                                                               \
    }

ROUTES(hlssessions, GTV_SESSION_HLS)
ROUTES(rtspsessions, GTV_SESSION_RTSP)
ROUTES(rtspconns, GTV_CONN_RTSP)
ROUTES(rtmpconns, GTV_CONN_RTMP)
