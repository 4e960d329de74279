#include "services/media/options.h"

#include <stddef.h>

#define AT(member) offsetof(struct gtv_media_options, member)

static const struct gtv_form transports = {"udp, tcp or both, comma-separated", gtv_form_fits_list,
                                           (const char *const[]){"udp", "multicast", "tcp", NULL}};
static const struct gtv_form auth_methods = {"basic, digest or both, comma-separated", gtv_form_fits_list,
                                             (const char *const[]){"basic", "digest", NULL}};
static const struct gtv_form variant = {"mpegts, fmp4 or lowLatency", gtv_form_fits_words,
                                        (const char *const[]){"mpegts", "fmp4", "lowLatency", NULL}};

const struct gtv_option gtv_media_option_table[] = {
    {"MEDIA_CONFIG", GTV_OPT_STRING, AT(config), NULL, 0, 0, false,
     "YAML file with MediaMTX's keys: settings, pathDefaults, paths, users. Read again when it changes."},
    {"MEDIA_HOST", GTV_OPT_STRING, AT(host), "127.0.0.1", 0, 0, false, "Address that all servers listen on.",
     .form = &gtv_form_host},
    {"MEDIA_API_HOST", GTV_OPT_STRING, AT(api_host), NULL, 0, 0, false,
     "Address of the control API alone; empty: MEDIA_HOST.", .form = &gtv_form_host},
    {"MEDIA_HLS_HOST", GTV_OPT_STRING, AT(hls_host), NULL, 0, 0, false,
     "Address of HLS alone; empty: MEDIA_HOST.", .form = &gtv_form_host},
    {"MEDIA_METRICS", GTV_OPT_BOOL, AT(metrics), "false", 0, 0, false,
     "Serve the metrics on a port of their own, besides the control API's."},
    {"MEDIA_METRICS_HOST", GTV_OPT_STRING, AT(metrics_host), NULL, 0, 0, false,
     "Address of the metrics alone; empty: MEDIA_HOST.", .form = &gtv_form_host},
    {"MEDIA_METRICS_PORT", GTV_OPT_INT, AT(metrics_port), "9998", 0, 65535, false,
     "Port of the metrics; 0 takes a free one."},
    {"MEDIA_API_PORT", GTV_OPT_INT, AT(api_port), "9997", 0, 65535, false,
     "Port of the control API; 0 takes a free one."},
    {"MEDIA_HLS_PORT", GTV_OPT_INT, AT(hls_port), "8888", 0, 65535, false,
     "Port of HLS and the relay; 0 takes a free one."},
    {"MEDIA_RTSP", GTV_OPT_BOOL, AT(rtsp), "true", 0, 0, false,
     "Serve the paths over RTSP, and take publishers."},
    {"MEDIA_RTSP_HOST", GTV_OPT_STRING, AT(rtsp_host), NULL, 0, 0, false,
     "Address of RTSP alone; empty: MEDIA_HOST.", .form = &gtv_form_host},
    {"MEDIA_RTSP_PORT", GTV_OPT_INT, AT(rtsp_port), "8554", 0, 65535, false,
     "Port of RTSP; 0 takes a free one."},
    {"MEDIA_RTSP_TRANSPORTS", GTV_OPT_STRING, AT(rtsp_transports), "udp,tcp", 0, 0, false,
     "How RTSP clients may have their packets: udp, tcp, or both. Multicast is refused.",
     .form = &transports},
    {"MEDIA_RTSP_AUTH_METHODS", GTV_OPT_STRING, AT(rtsp_auth_methods), "basic,digest", 0, 0, false,
     "What RTSP clients are asked for where credentials are needed: basic, digest, or both.",
     .form = &auth_methods},
    {"MEDIA_RTP_HOST", GTV_OPT_STRING, AT(rtp_host), NULL, 0, 0, false,
     "Address of RTP over UDP alone; empty: MEDIA_HOST.", .form = &gtv_form_host},
    {"MEDIA_RTP_PORT", GTV_OPT_INT, AT(rtp_port), "8000", 0, 65535, false,
     "UDP port of RTP, an even one; 0 takes a free pair."},
    {"MEDIA_RTCP_HOST", GTV_OPT_STRING, AT(rtcp_host), NULL, 0, 0, false,
     "Address of RTCP over UDP alone; empty: MEDIA_HOST.", .form = &gtv_form_host},
    {"MEDIA_RTCP_PORT", GTV_OPT_INT, AT(rtcp_port), "8001", 0, 65535, false,
     "UDP port of RTCP, the one behind RTP's."},
    {"MEDIA_DATA", GTV_OPT_STRING, AT(data), "./var/media", 0, 0, false,
     "Folder of the paths that were added by API."},
    {"MEDIA_HLS_VARIANT", GTV_OPT_STRING, AT(hls_variant), "mpegts", 0, 0, false,
     "Kind of HLS: MPEG-TS, fragmented MP4, or the latter with parts and blocking reload.", .form = &variant},
    {"MEDIA_HLS_ALWAYS_REMUX", GTV_OPT_BOOL, AT(always_remux), "false", 0, 0, false,
     "Keep segments of every connected path, so that the first viewer need not wait for one.", .live = true},
    {"MEDIA_HLS_PART_SECONDS", GTV_OPT_DOUBLE, AT(part_seconds), "0.2", 0.05, 5, false,
     "Length of a part of Low-Latency HLS, as near as whole pictures come to it.", .live = true},
    {"MEDIA_HLS_SEGMENT_SECONDS", GTV_OPT_DOUBLE, AT(segment_seconds), "1", 0.2, 30, false,
     "Shortest HLS segment; it ends at the first key frame after that.", .live = true},
    {"MEDIA_HLS_SEGMENTS", GTV_OPT_INT, AT(segments), "7", 3, 60, false, "Segments in a playlist.",
     .live = true},
    {"MEDIA_RING_BYTES", GTV_OPT_INT, AT(ring_bytes), "52428800", 1048576, 2147483648.0, false,
     "Most bytes of segments that one path keeps, and most bytes between two key frames."},
    {"MEDIA_IDLE_GOP_BYTES", GTV_OPT_INT, AT(idle_gop_bytes), "8388608", 0, 4294967296.0, false,
     "Most bytes that all paths without a reader keep of what followed their latest key frame, so that the "
     "first reader can begin at once."},
    {"MEDIA_CONNECT_SECONDS", GTV_OPT_DOUBLE, AT(connect_seconds), "10", 0.5, 120, false,
     "Time that a camera has to start its stream.", .live = true},
    {"MEDIA_STALL_SECONDS", GTV_OPT_DOUBLE, AT(stall_seconds), "10", 0.5, 120, false,
     "Time without a picture after which a connected camera is dialled again.", .live = true},
    {"MEDIA_HLS_MUXER_CLOSE_SECONDS", GTV_OPT_DOUBLE, AT(muxer_close_seconds), "60", 1, 3600, false,
     "Time without an HLS request after which a path's segments are given up.", .live = true},
    {"MEDIA_DIALS", GTV_OPT_INT, AT(dials), "32", 1, 1000, false,
     "Cameras dialled at the same time; those that somebody waits for are not held back.", .live = true},
    {"MEDIA_RTSP_LIBAV", GTV_OPT_BOOL, AT(rtsp_libav), "false", 0, 0, false,
     "Read RTSP sources with libavformat, a thread each, instead of on the loop: to compare the two."},
    {"GTV_CAMERA_POLICY", GTV_OPT_BOOL, AT(camera_policy), "false", 0, 0, false,
     "Refuse cameras at loopback, link-local, metadata and multicast addresses when they are dialled, "
     "whatever their name resolved to before. On by itself where GTV_CAMERA_ALLOW is set."},
    {"GTV_CAMERA_ALLOW", GTV_OPT_STRING, AT(camera_allow), NULL, 0, 0, false,
     "Addresses and CIDR ranges that cameras may have all the same, separated by commas.",
     .form = &gtv_form_addresses},
    {"GTV_TRUSTED_PROXIES", GTV_OPT_STRING, AT(trusted_proxies), NULL, 0, 0, false,
     "Addresses whose X-Forwarded-For is believed, separated by commas.", .form = &gtv_form_peers},
    {"GTV_PROXY_PROTOCOL", GTV_OPT_STRING, AT(proxy_protocol), NULL, 0, 0, false,
     "Peers whose connections must begin with a PROXY header (v1 or v2), comma-separated; empty: none.",
     .form = &gtv_form_peers},
    {"MEDIA_PLAYBACK_HOST", GTV_OPT_STRING, AT(playback_host), NULL, 0, 0, false,
     "Address of the playback of recordings alone; empty: MEDIA_HOST.", .form = &gtv_form_host},
    {"MEDIA_PLAYBACK_PORT", GTV_OPT_INT, AT(playback_port), "9996", 0, 65535, false,
     "Port of the playback of recordings; 0 takes a free one."},
    {"MEDIA_RTMP", GTV_OPT_BOOL, AT(rtmp), "true", 0, 0, false, "Take publishers over RTMP."},
    {"MEDIA_RTMP_HOST", GTV_OPT_STRING, AT(rtmp_host), NULL, 0, 0, false,
     "Address of RTMP alone; empty: MEDIA_HOST.", .form = &gtv_form_host},
    {"MEDIA_RTMP_PORT", GTV_OPT_INT, AT(rtmp_port), "1935", 0, 65535, false,
     "Port that RTMP publishers come to; 0 takes a free one."},
    {"MEDIA_RECORD_MAX_BYTES", GTV_OPT_INT, AT(record_max_bytes), "0", 0, 1e15, false,
     "Most bytes of all recordings; beyond them the oldest go. 0: any number."},
    {"MEDIA_RECORD_MIN_FREE_BYTES", GTV_OPT_INT, AT(record_min_free_bytes), "1073741824", 0, 1e15, false,
     "Free bytes of the disk that recordings leave: below them the oldest go, and without any recording "
     "stops."},
    {"MEDIA_RECORD_QUEUE_BYTES", GTV_OPT_INT, AT(record_queue_bytes), "67108864", 1048576, 1e11, false,
     "Most bytes that wait for the disk; beyond them recordings have gaps."},
    GTV_LOG_OPTIONS(AT),
};
const size_t gtv_media_option_count = sizeof gtv_media_option_table / sizeof gtv_media_option_table[0];

static bool check(const void *config, struct gtv_error *err)
{
    const struct gtv_media_options *o = config;
    struct gtv_str transports_given = gtv_str_of(o->rtsp_transports);
    bool packets = false;
    while (transports_given.n) {
        packets |= !gtv_str_eq(gtv_str_trim(gtv_str_cut(&transports_given, ',')), GTV_STR("multicast"));
    }
    if (o->rtsp && !packets) {
        gtv_error_set(err, GTV_E_INVALID, "MEDIA_RTSP_TRANSPORTS",
                      "MEDIA_RTSP_TRANSPORTS must have udp or tcp: multicast alone is not served");
    }
    return !o->rtsp || packets;
}

const struct gtv_program gtv_media_program = {
    .name = "gtv-media",
    .purpose = "pulls cameras and takes publishers; serves HLS, a relay and MediaMTX's control API",
    .table = gtv_media_option_table,
    .count = sizeof gtv_media_option_table / sizeof gtv_media_option_table[0],
    .size = sizeof(struct gtv_media_options),
    .check = check,
};
