// What the program can be told.
#ifndef GTV_MEDIA_OPTIONS_H
#define GTV_MEDIA_OPTIONS_H

#include "lib/config/config.h"

struct gtv_media_options {
    char *config; // the YAML file
    char *host, *api_host, *hls_host, *metrics_host;
    bool metrics;
    int64_t metrics_port;
    int64_t api_port, hls_port;
    bool rtsp;
    char *rtsp_host, *rtp_host, *rtcp_host, *rtsp_transports, *rtsp_auth_methods;
    int64_t rtsp_port, rtp_port, rtcp_port;
    char *data;
    char *hls_variant;
    bool always_remux;
    double segment_seconds, part_seconds;
    int64_t segments;
    int64_t ring_bytes, idle_gop_bytes;
    double connect_seconds, stall_seconds, muxer_close_seconds;
    int64_t dials;
    bool rtsp_libav;
    bool camera_policy;
    char *camera_allow;
    char *trusted_proxies, *proxy_protocol;
    char *playback_host;
    int64_t playback_port;
    bool rtmp;
    char *rtmp_host;
    int64_t rtmp_port;
    int64_t record_max_bytes, record_min_free_bytes, record_queue_bytes;
    char *log_level, *log_format;
    bool access_log;
};

// host, or the common one where it is empty.
static inline const char *gtv_media_host(const struct gtv_media_options *o, const char *host)
{
    return host != NULL && host[0] != '\0' ? host : o->host;
}

extern const struct gtv_option gtv_media_option_table[];
extern const size_t gtv_media_option_count;
extern const struct gtv_program gtv_media_program;

#endif
