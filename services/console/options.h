// The one table of what gtv-console can be told.
#ifndef GTV_CONSOLE_OPTIONS_H
#define GTV_CONSOLE_OPTIONS_H

#include "lib/config/config.h"

struct gtv_console_options {
    char *host;
    int64_t port;
    char *redis_url;
    char *database_url;
    char *streaming_url;
    char *public_base;
    int64_t keep_detections, keep_happenings, keep_days;
    char *crops_dir;
    char *s3_url, *s3_region, *s3_key, *s3_secret;
    char *web_dir, *hlsjs_dir, *api_dir, *docs_ui_dir;
    char *trusted_proxies, *proxy_protocol;
    char *log_level, *log_format;
    bool access_log;
    const char *import_sqlite; // NULL: it serves
};

extern const struct gtv_program gtv_console_program;

#endif
