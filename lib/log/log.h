// logfmt lines on stderr: ts=... level=info comp=streaming camera=cam_1 msg="..." key=value.
// The sink redacts "user:pass@" in every line and escapes quotes, newlines and control characters.
// Thread-safe; one write per line.
#ifndef GTV_LOG_LOG_H
#define GTV_LOG_LOG_H

#include "lib/base/str.h"

enum gtv_log_level { GTV_LOG_DEBUG, GTV_LOG_INFO, GTV_LOG_WARNING, GTV_LOG_ERROR };

// An object that lines come from. Copied by value; the strings must outlive it. key/id may be NULL.
struct gtv_log {
    const char *component; // "streaming"
    const char *key;       // "camera"
    const char *id;        // "cam_1"
};

// Level by name as LOG_LEVEL takes it (DEBUG, INFO, WARNING, ERROR; any case; CRITICAL counts as ERROR).
// False if unknown.
bool gtv_log_level_parse(struct gtv_str s, enum gtv_log_level *out) GTV_WARN_UNUSED;
void gtv_log_set_level(enum gtv_log_level level); // process-wide; default info
bool gtv_log_enabled(enum gtv_log_level level);

// msg is a constant sentence; fmt then writes "key=value key2=value2" (NULL or "" for none). Values with
// spaces: use \"%s\".
void gtv_log_write(const struct gtv_log *log, enum gtv_log_level level, const char *msg, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define gtv_log_debug(log, msg, ...) gtv_log_write(log, GTV_LOG_DEBUG, msg, __VA_ARGS__)
#define gtv_log_info(log, msg, ...)  gtv_log_write(log, GTV_LOG_INFO, msg, __VA_ARGS__)
#define gtv_log_warn(log, msg, ...)  gtv_log_write(log, GTV_LOG_WARNING, msg, __VA_ARGS__)
#define gtv_log_error(log, msg, ...) gtv_log_write(log, GTV_LOG_ERROR, msg, __VA_ARGS__)

#endif
