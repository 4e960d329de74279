#include "services/media/options.h"

#include <stddef.h>

#define AT(member) offsetof(struct gtv_media_options, member)

const struct gtv_option gtv_media_option_table[] = {
    {"MEDIA_HOST", GTV_OPT_STRING, AT(host), "127.0.0.1", 0, 0, false,
     "Address that the control API and HLS listen on."},
    {"MEDIA_API_PORT", GTV_OPT_INT, AT(api_port), "9997", 0, 65535, false,
     "Port of the control API; 0 takes a free one."},
    {"MEDIA_HLS_PORT", GTV_OPT_INT, AT(hls_port), "8888", 0, 65535, false,
     "Port of HLS and the relay; 0 takes a free one."},
    {"MEDIA_DATA", GTV_OPT_STRING, AT(data), "./var/media", 0, 0, false,
     "Folder of the paths that were added by API."},
    {"MEDIA_HLS_VARIANT", GTV_OPT_STRING, AT(hls_variant), "mpegts", 0, 0, false,
     "mpegts, fmp4 or lowLatency (parts, blocking reload)."},
    {"MEDIA_HLS_ALWAYS_REMUX", GTV_OPT_BOOL, AT(always_remux), "false", 0, 0, false,
     "Keep segments of every connected path, so that the first viewer need not wait for one."},
    {"MEDIA_HLS_PART_SECONDS", GTV_OPT_DOUBLE, AT(part_seconds), "0.2", 0.05, 5, false,
     "Length of a part of Low-Latency HLS, as near as whole pictures come to it."},
    {"MEDIA_HLS_SEGMENT_SECONDS", GTV_OPT_DOUBLE, AT(segment_seconds), "1", 0.2, 30, false,
     "Shortest HLS segment; it ends at the first key frame after that."},
    {"MEDIA_HLS_SEGMENTS", GTV_OPT_INT, AT(segments), "7", 3, 60, false, "Segments in a playlist."},
    {"MEDIA_RING_BYTES", GTV_OPT_INT, AT(ring_bytes), "52428800", 1048576, 2147483648.0, false,
     "Most bytes of segments that one path keeps, and most bytes between two key frames."},
    {"MEDIA_IDLE_GOP_BYTES", GTV_OPT_INT, AT(idle_gop_bytes), "33554432", 0, 4294967296.0, false,
     "Most bytes that all paths without a reader keep of what followed their latest key frame, so that the "
     "first reader can begin at once."},
    {"MEDIA_CONNECT_SECONDS", GTV_OPT_DOUBLE, AT(connect_seconds), "10", 0.5, 120, false,
     "Time that a camera has to start its stream."},
    {"MEDIA_STALL_SECONDS", GTV_OPT_DOUBLE, AT(stall_seconds), "10", 0.5, 120, false,
     "Time without a picture after which a connected camera is dialled again."},
    {"MEDIA_HLS_MUXER_CLOSE_SECONDS", GTV_OPT_DOUBLE, AT(muxer_close_seconds), "60", 1, 3600, false,
     "Time without an HLS request after which a path's segments are given up."},
    {"MEDIA_DIALS", GTV_OPT_INT, AT(dials), "32", 1, 1000, false,
     "Cameras dialled at the same time; those that somebody waits for are not held back."},
    {"MEDIA_RTSP_LIBAV", GTV_OPT_BOOL, AT(rtsp_libav), "false", 0, 0, false,
     "Read RTSP sources with libavformat, a thread each, instead of on the loop: to compare the two."},
    {"GTV_CAMERA_POLICY", GTV_OPT_BOOL, AT(camera_policy), "false", 0, 0, false,
     "Refuse cameras at loopback, link-local, metadata and multicast addresses when they are dialled, "
     "whatever their name resolved to before. On by itself where GTV_CAMERA_ALLOW is set."},
    {"GTV_CAMERA_ALLOW", GTV_OPT_STRING, AT(camera_allow), NULL, 0, 0, false,
     "Addresses and CIDR ranges that cameras may have all the same, separated by commas."},
    {"GTV_TRUSTED_PROXIES", GTV_OPT_STRING, AT(trusted_proxies), NULL, 0, 0, false,
     "Addresses whose X-Forwarded-For is believed, separated by commas."},
    {"GTV_PROXY_PROTOCOL", GTV_OPT_STRING, AT(proxy_protocol), NULL, 0, 0, false,
     "Peers whose connections must begin with a PROXY header (v1 or v2), comma-separated; empty: none."},
    {"LOG_LEVEL", GTV_OPT_STRING, AT(log_level), "INFO", 0, 0, false, "DEBUG, INFO, WARNING or ERROR."},
};
const size_t gtv_media_option_count = sizeof gtv_media_option_table / sizeof gtv_media_option_table[0];
