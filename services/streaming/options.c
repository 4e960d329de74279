#include "services/streaming/options.h"

#include "lib/redis/link.h"
#include "services/streaming/nodes.h"

#define AT(field) offsetof(struct gtv_streaming_options, field)

static const struct gtv_option table[] = {
    {"MEDIAMTX_API_URL", GTV_OPT_STRING, AT(media_api_url), "http://mediamtx:9997", 0, 0, false,
     "Control API (v3) of the media nodes, comma-separated; an entry may end in ;weight=2;id=name."},
    {"MEDIAMTX_HLS_URL", GTV_OPT_STRING, AT(media_hls_url), "http://mediamtx:8888", 0, 0, false,
     "Where the media nodes serve HLS, in the order of MEDIAMTX_API_URL."},
    {"MEDIAMTX_WEBRTC_URL", GTV_OPT_STRING, AT(media_webrtc_url), NULL, 0, 0, false,
     "Base address at which browsers reach WebRTC; webrtc_url in answers is null without it."},
    {"MEDIAMTX_RTSP_URL", GTV_OPT_STRING, AT(media_rtsp_url), NULL, 0, 0, false,
     "Where the media node serves RTSP; rtsp_url of /cameras/{id}/info is null without it."},
    {"MEDIAMTX_API_USER", GTV_OPT_STRING, AT(media_api_user), NULL, 0, 0, false, "User of the control API."},
    {"MEDIAMTX_API_PASS", GTV_OPT_STRING, AT(media_api_pass), NULL, 0, 0, true,
     "Password of the control API."},
    {"REDIS_URL", GTV_OPT_STRING, AT(redis_url), "redis://redis_cache:6379/2", 0, 0, true,
     "Redis with cameras and events: a TCP address, or a Unix socket.", .form = &gtv_form_redis_url},
    {"MAX_CONNECTIONS_PER_STREAM", GTV_OPT_INT, AT(max_connections_per_stream), "100", 1, 20000, false,
     "Viewers of one stream; the next one is answered 429.", .live = true},
    {"HEALTH_CHECK_INTERVAL", GTV_OPT_INT, AT(health_check_interval), "15", 1, 3600, false,
     "Seconds between two writes of streaming:stats."},
    {"HLS_SEGMENT_CACHE_TTL", GTV_OPT_INT, AT(segment_cache_ttl), "5", 0, 3600, false,
     "Seconds a segment is kept at least; it stays longer while the playlist names it.", .live = true},
    {"HLS_CACHE_BYTES", GTV_OPT_INT, AT(cache_bytes), "268435456", 1048576, 1e12, false,
     "Bytes of playlists and segments kept in memory.", .live = true},
    {"HLS_STALE_IF_ERROR", GTV_OPT_INT, AT(hls_stale_if_error), "10", 0, 300, false,
     "Seconds past its life that an answer is served while the media node is down, where the node does not "
     "say.",
     .live = true},
    {"GTV_L2", GTV_OPT_BOOL, AT(l2), "false", 0, 0, false,
     "Replicas share segments in Redis (REDIS_URL): useful where several of them serve the same cameras."},
    {"MEDIAMTX_HLS_CDN_SECRET", GTV_OPT_STRING, AT(hls_cdn_secret), NULL, 0, 0, true,
     "The hlsCDNSecret of MediaMTX 1.18 and later: HLS is then fetched as its CDN."},
    GTV_LOG_OPTIONS(AT),
    {"STREAMING_HOST", GTV_OPT_STRING, AT(host), "127.0.0.1", 0, 0, false,
     "Address to listen on; 0.0.0.0 in containers.", .form = &gtv_form_host},
    {"STREAMING_PORT", GTV_OPT_INT, AT(port), "8001", 0, 65535, false,
     "Port to listen on; 0 lets the system choose."},
    {"GTV_GRACE_SECONDS", GTV_OPT_INT, AT(grace_seconds), "0", 0, 5, false,
     "Seconds after SIGTERM in which /ready already answers 503, but requests are still served, so that a "
     "load balancer goes elsewhere first."},
    {"STREAMING_WORKERS", GTV_OPT_INT, AT(workers), "0", 0, GTV_WORKERS_MAX, false,
     "Event loops, one a thread; 0: one a processor, at most 4."},
    {"GTV_CAMERA_ALLOW", GTV_OPT_STRING, AT(camera_allow), NULL, 0, 0, false,
     "Addresses and CIDRs, comma-separated, that cameras may have although they are off-limits otherwise.",
     .form = &gtv_form_addresses},
    {"GTV_ADMIN_KEY", GTV_OPT_STRING, AT(admin_key), NULL, 0, 0, true,
     "Bearer that exports cameras with their passwords; imports and drains need it too once it is set.",
     .live = true},
    {"GTV_ORPHAN_GRACE", GTV_OPT_INT, AT(orphan_grace), "60", 1, 86400, false,
     "Seconds after which a cam_<id> path that nobody provisioned is deleted from its media node.",
     .live = true},
    {"GTV_NODE_GRACE", GTV_OPT_INT, AT(node_grace), "10", 1, 3600, false,
     "Seconds without an answer after which a media node's cameras move to the others.", .live = true},
    {"GTV_TRUSTED_PROXIES", GTV_OPT_STRING, AT(trusted_proxies), "127.0.0.1,::1", 0, 0, false,
     "Peers whose X-Forwarded-For is believed.", .form = &gtv_form_peers},
    {"GTV_PROXY_PROTOCOL", GTV_OPT_STRING, AT(proxy_protocol), NULL, 0, 0, false,
     "Peers whose connections must begin with a PROXY header (v1 or v2), comma-separated; empty: none.",
     .form = &gtv_form_peers},
    {"GTV_CORS_ORIGIN", GTV_OPT_STRING, AT(cors_origin), "*", 0, 0, false,
     "Access-Control-Allow-Origin of all answers.", .live = true},
    {"GTV_WS_ORIGINS", GTV_OPT_STRING, AT(ws_origins), NULL, 0, 0, false,
     "Origins, comma-separated, whose pages may read live events; empty: any.", .live = true},
    {"GTV_WS_STALL", GTV_OPT_INT, AT(ws_stall), "60", 1, 85, false,
     "Seconds a WebSocket client may take nothing while something waits for it; then it is closed with "
     "1013.",
     .live = true},
    {"GTV_WS_ECHO", GTV_OPT_BOOL, AT(ws_echo), "false", 0, 0, false,
     "Opens /ws/echo, which gives back messages of up to 16 MiB: for tests of conformance only."},
    {"GTV_WS_DEFLATE", GTV_OPT_BOOL, AT(ws_deflate), "false", 0, 0, false,
     "Compress live events for WebSocket clients that offer permessage-deflate: once an event, for all of "
     "them.",
     .live = true},
    {"GTV_FROZEN_AFTER", GTV_OPT_INT, AT(frozen_after), "10", 4, 3600, false,
     "Seconds without new data after which a connected camera counts as frozen."},
    {"GTV_PLAYBACK_KEY", GTV_OPT_STRING, AT(playback_key), NULL, 0, 0, true,
     "Secret, 16 bytes or more, that signs playback addresses; empty: streams play without a token.",
     .form = &gtv_form_key},
    {"GTV_PLAYBACK_ADMIN_KEY", GTV_OPT_STRING, AT(playback_admin_key), NULL, 0, 0, true,
     "Bearer token for making playback addresses and ending sessions.", .live = true},
    {"PUBLIC_BASE", GTV_OPT_STRING, AT(public_base), "/streaming", 0, 0, false,
     "What the door puts in front of this service's paths; hls_url in answers begins with it."},
    {"GTV_RECORD_PATH", GTV_OPT_STRING, AT(record_path), "./recordings/%path/%Y-%m-%d_%H-%M-%S-%f", 0, 0,
     false, "Where the media node is told to record; must contain %path."},
    {"GTV_API_DIR", GTV_OPT_STRING, AT(api_dir), NULL, 0, 0, false, "Folder with streaming.json (OpenAPI).",
     .form = &gtv_form_folder},
    {"GTV_DOCS_UI_DIR", GTV_OPT_STRING, AT(docs_ui_dir), NULL, 0, 0, false,
     "Folder of swagger-ui-dist; without it only /docs is missing."},
};

// What needs more than one option or its own parser to be judged.
static bool check(const void *config, struct gtv_error *err)
{
    const struct gtv_streaming_options *o = config;
    struct gtv_redis_target redis;
    struct gtv_nodes *nodes = gtv_nodes_create(o->media_api_url, o->media_hls_url, err);
    gtv_nodes_destroy(nodes);
    if (!nodes)
        return false;
    struct gtv_error why = {0};
    if (!gtv_redis_target_parse(o->redis_url, &redis, &why)) {
        gtv_error_set(err, GTV_E_INVALID, "REDIS_URL", "REDIS_URL: %.200s", why.message);
        return false;
    }
    if (!strstr(o->record_path, "%path")) {
        gtv_error_set(err, GTV_E_INVALID, "GTV_RECORD_PATH", "GTV_RECORD_PATH must contain %%path");
        return false;
    }
    return true;
}

const struct gtv_program gtv_streaming_program = {
    .name = "gtv-streaming",
    .purpose = "provisions cameras, serves HLS from a cache, pushes live events",
    .table = table,
    .count = sizeof table / sizeof *table,
    .size = sizeof(struct gtv_streaming_options),
    .check = check,
};
