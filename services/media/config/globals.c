#include "services/media/config/globals.h"

#include "services/media/duration.h"
#include "services/media/gojson.h"
#include "services/media/size.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#define FIXED(key, json)                                                                                     \
    {                                                                                                        \
        key, GTV_GLOBAL_FIXED, json, NULL, false                                                             \
    }

const struct gtv_global gtv_globals[] = {
    {"logLevel", GTV_GLOBAL_LEVEL, "LOG_LEVEL", NULL, true},
    FIXED("logDestinations", "[\"stdout\"]"),
    FIXED("logStructured", "false"),
    FIXED("logFile", "\"mediamtx.log\""),
    FIXED("sysLogPrefix", "\"mediamtx\""),
    FIXED("dumpPackets", "false"),
    {"readTimeout", GTV_GLOBAL_DURATION, "MEDIA_STALL_SECONDS", NULL, true},
    FIXED("writeTimeout", "\"10s\""),
    FIXED("writeQueueSize", "512"),
    FIXED("udpMaxPayloadSize", "1452"),
    FIXED("udpReadBufferSize", "0"),
    FIXED("runOnConnect", "\"\""),
    FIXED("runOnConnectRestart", "false"),
    FIXED("runOnDisconnect", "\"\""),
    FIXED("authMethod", "\"internal\""),
    FIXED("authHTTPAddress", "\"\""),
    FIXED("authJWTJWKS", "\"\""),
    FIXED("api", "true"),
    {"apiAddress", GTV_GLOBAL_ADDRESS, "MEDIA_API_PORT", "MEDIA_API_HOST", false},
    FIXED("apiEncryption", "false"),
    FIXED("apiServerKey", "\"server.key\""),
    FIXED("apiServerCert", "\"server.crt\""),
    FIXED("apiAllowOrigins", "[\"*\"]"),
    {"metrics", GTV_GLOBAL_BOOL, "MEDIA_METRICS", NULL, false},
    {"metricsAddress", GTV_GLOBAL_ADDRESS, "MEDIA_METRICS_PORT", "MEDIA_METRICS_HOST", false},
    FIXED("metricsEncryption", "false"),
    FIXED("metricsServerKey", "\"server.key\""),
    FIXED("metricsServerCert", "\"server.crt\""),
    FIXED("metricsAllowOrigins", "[\"*\"]"),
    FIXED("pprof", "false"),
    FIXED("pprofAddress", "\":9999\""),
    FIXED("playback", "true"),
    {"playbackAddress", GTV_GLOBAL_ADDRESS, "MEDIA_PLAYBACK_PORT", "MEDIA_PLAYBACK_HOST", false},
    FIXED("playbackEncryption", "false"),
    FIXED("playbackServerKey", "\"server.key\""),
    FIXED("playbackServerCert", "\"server.crt\""),
    FIXED("playbackAllowOrigins", "[\"*\"]"),
    {"rtsp", GTV_GLOBAL_BOOL, "MEDIA_RTSP", NULL, false},
    {"rtspTransports", GTV_GLOBAL_LIST, "MEDIA_RTSP_TRANSPORTS", NULL, false},
    FIXED("rtspEncryption", "\"no\""),
    {"rtspAddress", GTV_GLOBAL_ADDRESS, "MEDIA_RTSP_PORT", "MEDIA_RTSP_HOST", false},
    FIXED("rtspsAddress", "\":8322\""),
    {"rtpAddress", GTV_GLOBAL_ADDRESS, "MEDIA_RTP_PORT", "MEDIA_RTP_HOST", false},
    {"rtcpAddress", GTV_GLOBAL_ADDRESS, "MEDIA_RTCP_PORT", "MEDIA_RTCP_HOST", false},
    FIXED("multicastIPRange", "\"224.1.0.0/16\""),
    FIXED("multicastRTPPort", "8002"),
    FIXED("multicastRTCPPort", "8003"),
    FIXED("rtspServerKey", "\"server.key\""),
    FIXED("rtspServerCert", "\"server.crt\""),
    {"rtspAuthMethods", GTV_GLOBAL_LIST, "MEDIA_RTSP_AUTH_METHODS", NULL, false},
    FIXED("rtspUDPReadBufferSize", "0"),
    FIXED("hls", "true"),
    {"hlsAddress", GTV_GLOBAL_ADDRESS, "MEDIA_HLS_PORT", "MEDIA_HLS_HOST", false},
    FIXED("hlsEncryption", "false"),
    FIXED("hlsServerKey", "\"server.key\""),
    FIXED("hlsServerCert", "\"server.crt\""),
    FIXED("hlsAllowOrigins", "[\"*\"]"),
    {"hlsAlwaysRemux", GTV_GLOBAL_BOOL, "MEDIA_HLS_ALWAYS_REMUX", NULL, true},
    {"hlsVariant", GTV_GLOBAL_CHOICE, "MEDIA_HLS_VARIANT", NULL, false, "mpegts|fmp4|lowLatency"},
    {"hlsSegmentCount", GTV_GLOBAL_INT, "MEDIA_HLS_SEGMENTS", NULL, true},
    {"hlsSegmentDuration", GTV_GLOBAL_DURATION, "MEDIA_HLS_SEGMENT_SECONDS", NULL, true},
    {"hlsPartDuration", GTV_GLOBAL_DURATION, "MEDIA_HLS_PART_SECONDS", NULL, true},
    FIXED("hlsSegmentMaxSize", "\"50M\""),
    FIXED("hlsDirectory", "\"\""),
    {"hlsMuxerCloseAfter", GTV_GLOBAL_DURATION, "MEDIA_HLS_MUXER_CLOSE_SECONDS", NULL, true},
    {"rtmp", GTV_GLOBAL_BOOL, "MEDIA_RTMP", NULL, false},
    {"rtmpAddress", GTV_GLOBAL_ADDRESS, "MEDIA_RTMP_PORT", "MEDIA_RTMP_HOST", false},
    FIXED("rtmpEncryption", "\"no\""),
    FIXED("rtmpsAddress", "\":1936\""),
    FIXED("rtmpServerKey", "\"server.key\""),
    FIXED("rtmpServerCert", "\"server.crt\""),
    FIXED("webrtc", "false"),
    FIXED("webrtcAddress", "\":8889\""),
    FIXED("srt", "false"),
    FIXED("srtAddress", "\":8890\""),
    FIXED("moq", "false"),
    // What MediaMTX lacks.
    {"trustedProxies", GTV_GLOBAL_LIST, "GTV_TRUSTED_PROXIES", NULL, false},
    {"hlsRingSize", GTV_GLOBAL_SIZE, "MEDIA_RING_BYTES", NULL, false},
    {"sourceConnectTimeout", GTV_GLOBAL_DURATION, "MEDIA_CONNECT_SECONDS", NULL, true},
    {"recordMaxSize", GTV_GLOBAL_SIZE, "MEDIA_RECORD_MAX_BYTES", NULL, false},
    {"recordMinFreeSize", GTV_GLOBAL_SIZE, "MEDIA_RECORD_MIN_FREE_BYTES", NULL, false},
    {"idleGopSize", GTV_GLOBAL_SIZE, "MEDIA_IDLE_GOP_BYTES", NULL, false},
    {"sourceDials", GTV_GLOBAL_INT, "MEDIA_DIALS", NULL, true},
};
const size_t gtv_global_count = sizeof gtv_globals / sizeof gtv_globals[0];

static const char *const levels[][2] = {
    {"error", "ERROR"}, {"warn", "WARNING"}, {"info", "INFO"}, {"debug", "DEBUG"}};
enum { LEVEL_COUNT = sizeof levels / sizeof levels[0] };

const struct gtv_global *gtv_global_find(struct gtv_str key)
{
    for (size_t i = 0; i < gtv_global_count; i++) {
        if (gtv_str_eq(key, gtv_str_of(gtv_globals[i].key))) {
            return &gtv_globals[i];
        }
    }
    return NULL;
}

size_t gtv_global_option(const char *name)
{
    size_t i = 0;
    while (i < gtv_media_option_count && strcmp(gtv_media_option_table[i].env, name) != 0) {
        i++;
    }
    assert(i < gtv_media_option_count);
    return i;
}

static bool fail(struct gtv_error *err, const struct gtv_global *g, const char *what)
{
    gtv_error_set(err, GTV_E_BAD_REQUEST, g->key, "'%s' %s", g->key, what);
    return false;
}

static bool read_fixed(const struct gtv_global *g, yyjson_val *value, struct gtv_error *err)
{
    yyjson_doc *doc = yyjson_read(g->option, strlen(g->option), YYJSON_READ_NOFLAG);
    yyjson_val *only = yyjson_doc_get_root(doc);
    bool same = yyjson_is_num(value) && yyjson_is_num(only) ? yyjson_get_num(value) == yyjson_get_num(only)
                                                            : yyjson_equals(value, only);
    if (!same) {
        gtv_error_set(err, GTV_E_BAD_REQUEST, g->key, "'%s' is fixed in this node: only %s is accepted",
                      g->key, g->option);
    }
    yyjson_doc_free(doc);
    return same;
}

// "host:port", "[::1]:port", ":port".
static bool read_address(const struct gtv_global *g, struct gtv_str text, struct gtv_global_texts *out,
                         struct gtv_error *err)
{
    size_t colon = text.n;
    while (colon > 0 && text.p[colon - 1] != ':') {
        colon--;
    }
    struct gtv_str host = {text.p, colon > 0 ? colon - 1 : 0}, port = {text.p + colon, text.n - colon};
    int64_t number = 0;
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
        host = (struct gtv_str){host.p + 1, host.n - 2};
    }
    if (colon == 0 || !gtv_parse_int(port, 0, 65535, &number) ||
        !gtv_str_copy(out->host, sizeof out->host, host.n > 0 ? host : GTV_STR("0.0.0.0"))) {
        return fail(err, g, "is an address and a port, or a colon and a port");
    }
    return gtv_str_copy(out->option, sizeof out->option, port);
}

static bool read_list(const struct gtv_global *g, yyjson_val *value, struct gtv_global_texts *out,
                      struct gtv_error *err)
{
    size_t i, n, used = 0;
    yyjson_val *item;
    out->option[0] = '\0';
    if (!yyjson_is_arr(value)) {
        return gtv_gojson_wrong_type(value, "[]string", g->key, err);
    }
    yyjson_arr_foreach(value, i, n, item)
    {
        if (!yyjson_is_str(item)) {
            return gtv_gojson_wrong_type(item, "string", g->key, err);
        }
        struct gtv_str text = {yyjson_get_str(item), yyjson_get_len(item)};
        if (gtv_str_find(text, ',') >= 0 || text.n + 2 > sizeof out->option - used) {
            return fail(err, g, "has an entry that is too long or has a comma");
        }
        used += (size_t)snprintf(out->option + used, sizeof out->option - used, "%s" GTV_STR_FMT,
                                 i > 0 ? "," : "", GTV_STR_ARG(text));
    }
    return true;
}

static bool read_string(const struct gtv_global *g, struct gtv_str text, struct gtv_global_texts *out,
                        struct gtv_error *err)
{
    int64_t number = 0;
    switch (g->form) {
    case GTV_GLOBAL_DURATION:
        if (!gtv_duration_parse(text, &number, err)) {
            return false;
        }
        snprintf(out->option, sizeof out->option, "%" PRId64 ".%03d", number / 1000,
                 (int)(number < 0 ? 0 : number % 1000));
        return number >= 0 || fail(err, g, "can't be negative");
    case GTV_GLOBAL_SIZE:
        if (!gtv_size_parse(text, &number, err)) {
            return false;
        }
        snprintf(out->option, sizeof out->option, "%" PRId64, number);
        return true;
    case GTV_GLOBAL_ADDRESS:
        return read_address(g, text, out, err);
    case GTV_GLOBAL_CHOICE:
        for (struct gtv_str rest = gtv_str_of(g->choices); rest.n > 0;) {
            if (gtv_str_eq(gtv_str_cut(&rest, '|'), text)) {
                return gtv_str_copy(out->option, sizeof out->option, text);
            }
        }
        gtv_error_set(err, GTV_E_BAD_REQUEST, g->key, "invalid value for '%s': '%.*s'", g->key,
                      (int)(text.n < 80 ? text.n : 80), text.p);
        return false;
    case GTV_GLOBAL_LEVEL:
        for (size_t i = 0; i < LEVEL_COUNT; i++) {
            if (gtv_str_eq(text, gtv_str_of(levels[i][0]))) {
                return gtv_str_copy(out->option, sizeof out->option, gtv_str_of(levels[i][1]));
            }
        }
        gtv_error_set(err, GTV_E_BAD_REQUEST, g->key, "invalid log level: '%.*s'",
                      (int)(text.n < 80 ? text.n : 80), text.p);
        return false;
    default:
        return (memchr(text.p, 0, text.n) == NULL && gtv_str_copy(out->option, sizeof out->option, text)) ||
               fail(err, g, "is too long or has a NUL character");
    }
}

bool gtv_global_read(const struct gtv_global *g, yyjson_val *value, struct gtv_global_texts *out,
                     struct gtv_error *err)
{
    switch (g->form) {
    case GTV_GLOBAL_FIXED:
        return read_fixed(g, value, err);
    case GTV_GLOBAL_LIST:
        return read_list(g, value, out, err);
    case GTV_GLOBAL_BOOL:
        if (!yyjson_is_bool(value)) {
            return gtv_gojson_wrong_type(value, "bool", g->key, err);
        }
        snprintf(out->option, sizeof out->option, "%s", yyjson_get_bool(value) ? "true" : "false");
        return true;
    case GTV_GLOBAL_INT:
        if (!yyjson_is_int(value) || (yyjson_is_uint(value) && yyjson_get_uint(value) > INT64_MAX)) {
            return gtv_gojson_wrong_type(value, "int", g->key, err);
        }
        snprintf(out->option, sizeof out->option, "%" PRId64, yyjson_get_sint(value));
        return true;
    default:
        if (!yyjson_is_str(value)) {
            return gtv_gojson_wrong_type(value, "string", g->key, err);
        }
        return read_string(g, (struct gtv_str){yyjson_get_str(value), yyjson_get_len(value)}, out, err);
    }
}

bool gtv_global_read_text(const struct gtv_global *g, struct gtv_str text, struct gtv_global_texts *out,
                          struct gtv_error *err)
{
    if (g->form == GTV_GLOBAL_FIXED) {
        return fail(err, g, "is fixed in this node");
    }
    return read_string(g, text, out, err);
}

static yyjson_mut_val *list_value(const char *text, yyjson_mut_doc *doc)
{
    yyjson_mut_val *list = yyjson_mut_arr(doc);
    struct gtv_str rest = gtv_str_of(text);
    while (rest.n > 0) {
        struct gtv_str item = gtv_str_trim(gtv_str_cut(&rest, ','));
        if (item.n > 0) {
            yyjson_mut_arr_add_strncpy(doc, list, item.p, item.n);
        }
    }
    return list;
}

static yyjson_mut_val *address_value(const struct gtv_global *g, const struct gtv_media_options *options,
                                     int64_t port, yyjson_mut_doc *doc)
{
    char text[300], *host = NULL;
    memcpy(&host, (const char *)options + gtv_media_option_table[gtv_global_option(g->host)].offset,
           sizeof host);
    const char *shown = gtv_media_host(options, host);
    bool all = shown == NULL || strcmp(shown, "0.0.0.0") == 0, six = !all && strchr(shown, ':') != NULL;
    snprintf(text, sizeof text, "%s%.250s%s:%" PRId64, six ? "[" : "", all ? "" : shown, six ? "]" : "",
             port);
    return yyjson_mut_strcpy(doc, text);
}

yyjson_mut_val *gtv_global_value(const struct gtv_global *g, const struct gtv_media_options *options,
                                 yyjson_mut_doc *doc, bool redacted)
{
    char text[GTV_DURATION_CAP + GTV_SIZE_CAP], *string = NULL;
    int64_t number = 0;
    double seconds = 0;
    if (g->form == GTV_GLOBAL_FIXED) {
        return yyjson_mut_raw(doc, g->option);
    }
    const struct gtv_option *o = &gtv_media_option_table[gtv_global_option(g->option)];
    const char *at = (const char *)options + o->offset;
    switch (o->type) {
    case GTV_OPT_BOOL:
        return yyjson_mut_bool(doc, *(const bool *)at);
    case GTV_OPT_DOUBLE:
        memcpy(&seconds, at, sizeof seconds);
        return yyjson_mut_strcpy(doc, gtv_duration_write((int64_t)(seconds * 1000 + 0.5), text));
    case GTV_OPT_INT:
        memcpy(&number, at, sizeof number);
        return g->form == GTV_GLOBAL_ADDRESS ? address_value(g, options, number, doc)
               : g->form == GTV_GLOBAL_SIZE  ? yyjson_mut_strcpy(doc, gtv_size_write(number, text))
                                             : yyjson_mut_sint(doc, number);
    case GTV_OPT_STRING:
        break;
    }
    memcpy(&string, at, sizeof string);
    const char *shown = string != NULL ? string : "";
    if (g->form == GTV_GLOBAL_LIST) {
        return list_value(shown, doc);
    }
    for (size_t i = 0; g->form == GTV_GLOBAL_LEVEL && i < LEVEL_COUNT; i++) {
        if (gtv_str_ieq(gtv_str_of(shown), gtv_str_of(levels[i][1]))) {
            return yyjson_mut_str(doc, levels[i][0]);
        }
    }
    return yyjson_mut_strcpy(doc, redacted && o->secret && shown[0] != '\0' ? "***" : shown);
}
