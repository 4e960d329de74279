// The one table of what gtv-streaming can be told.
#ifndef GTV_STREAMING_OPTIONS_H
#define GTV_STREAMING_OPTIONS_H

#include "lib/config/config.h"

struct gtv_streaming_options {
    char *media_api_url, *media_hls_url, *media_webrtc_url, *media_rtsp_url;
    char *media_api_user, *media_api_pass;
    char *redis_url;
    int64_t max_connections_per_stream;
    int64_t health_check_interval; // s
    int64_t segment_cache_ttl;     // s
    int64_t cache_bytes;
    bool l2;
    char *hls_cdn_secret;
    int64_t hls_stale_if_error; // s
    char *log_level, *log_format;
    bool access_log;
    char *host;
    int64_t port;
    int64_t grace_seconds;
    int64_t workers; // 0: as many as processors, at most GTV_WORKERS_DEFAULT_MAX
    char *camera_allow;
    char *admin_key;
    int64_t orphan_grace, node_grace; // s
    char *trusted_proxies, *proxy_protocol;
    char *cors_origin;
    char *ws_origins;
    int64_t ws_stall; // s
    bool ws_echo, ws_deflate;
    int64_t frozen_after; // s
    char *playback_key, *playback_admin_key;
    char *public_base;
    char *record_path;
    char *api_dir, *docs_ui_dir;
};

enum { GTV_WORKERS_DEFAULT_MAX = 4, GTV_WORKERS_MAX = 16 };

extern const struct gtv_program gtv_streaming_program;

#endif
