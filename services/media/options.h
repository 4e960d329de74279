// What the program can be told.
#ifndef GTV_MEDIA_OPTIONS_H
#define GTV_MEDIA_OPTIONS_H

#include "lib/config/config.h"

struct gtv_media_options {
    char *host;
    int64_t api_port, hls_port;
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
    char *log_level;
};

extern const struct gtv_option gtv_media_option_table[];
extern const size_t gtv_media_option_count;

#endif
