// What the program can be told: one table, from which flags, environment and --help come.
#ifndef GTV_AI_SETTINGS_H
#define GTV_AI_SETTINGS_H

#include "lib/config/config.h"

// Strings are owned by it; those without a default may be NULL.
struct gtv_ai_settings {
    char *host;
    int64_t port, metrics_port;
    char *redis_host, *redis_password, *events_redis_url;
    int64_t redis_port, redis_db;
    int64_t grace_seconds;
    int64_t workers, max_queue_size, batch_size;
    int64_t result_ttl;
    char *callback_secret, *callback_allow;
    double confidence, camera_confidence, camera_max_fps;
    int64_t max_cameras;
    char *decode;
    bool size_gate;
    double camera_min_fps, cpu_budget;
    char *crops_dir, *spool_dir;
    char *s3_url, *s3_region, *s3_key, *s3_secret;
    int64_t crops_bytes, crops_days, spool_bytes;
    char *models_dir, *yolo_model, *lpr_model, *vehicle_model, *precision, *input_size;
    bool enable_gpu, lpr_enabled, alert_posted;
    double gpu_memory_fraction;
    char *hls_url, *rtsp_url, *read_user, *read_pass, *camera_source;
    char *cors_origin, *trusted_proxies, *proxy_protocol;
    char *api_dir, *docs_ui_dir;
    char *log_level, *log_format;
    bool access_log;
};

extern const struct gtv_program gtv_ai_program;
bool gtv_ai_settings_load(struct gtv_ai_settings *s, int argc, char **argv,
                          struct gtv_error *err) GTV_WARN_UNUSED;
// AI_INPUT_SIZE: "640x384"; empty or NULL gives 0 and 0. False when it is something else.
bool gtv_ai_input_size(const char *text, int *width, int *height) GTV_WARN_UNUSED;
void gtv_ai_settings_finish(struct gtv_ai_settings *s);

#endif
