// One fact a line on stderr, in one of two forms that say the same:
//   ts=... level=info comp=streaming camera=cam_1 msg="..." key=value
//   {"ts":"...","level":"info","comp":"streaming","camera":"cam_1","msg":"...","key":"value"}
// The sink redacts "user:pass@" in every line and escapes quotes, backslashes, newlines and control
// characters; a line beyond 8 KiB is cut and stays well-formed. Thread-safe; one write per line.
#ifndef GTV_LOG_LOG_H
#define GTV_LOG_LOG_H

#include "lib/base/cause.h"

enum gtv_log_level { GTV_LOG_DEBUG, GTV_LOG_INFO, GTV_LOG_WARNING, GTV_LOG_ERROR };

// An object that lines come from. Copied by value; the strings must outlive it. key/id may be NULL.
struct gtv_log {
    const char *component;         // "streaming"
    const char *key;               // "camera"
    const char *id;                // "cam_1"
    const struct gtv_cause *cause; // whose request_id= and trace_id= the lines carry, or NULL
};

// Level by name as LOG_LEVEL takes it (DEBUG, INFO, WARNING, ERROR; any case; CRITICAL counts as ERROR).
// False if unknown.
bool gtv_log_level_parse(struct gtv_str s, enum gtv_log_level *out) GTV_WARN_UNUSED;
void gtv_log_set_level(enum gtv_log_level level); // process-wide; default info
bool gtv_log_enabled(enum gtv_log_level level);

enum gtv_log_format { GTV_LOG_LOGFMT, GTV_LOG_JSON };
// By name as LOG_FORMAT takes it (logfmt, json; any case). False if unknown.
bool gtv_log_format_parse(struct gtv_str s, enum gtv_log_format *out) GTV_WARN_UNUSED;
void gtv_log_set_format(enum gtv_log_format format); // process-wide; default logfmt
void gtv_log_use_format(const char *name);           // the same by a name that was checked; NULL is accepted

// msg is a constant sentence; fmt then writes "key=value key2=value2" (NULL or "" for none). Values with
// spaces: use \"%s\". In JSON an unquoted value that is a number, true or false is one, the others are
// strings; a key of the line's own (ts, level, comp, msg, request_id, trace_id) gets an underscore at its
// end.
void gtv_log_write(const struct gtv_log *log, enum gtv_log_level level, const char *msg, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define gtv_log_debug(log, msg, ...) gtv_log_write(log, GTV_LOG_DEBUG, msg, __VA_ARGS__)
#define gtv_log_info(log, msg, ...)  gtv_log_write(log, GTV_LOG_INFO, msg, __VA_ARGS__)
#define gtv_log_warn(log, msg, ...)  gtv_log_write(log, GTV_LOG_WARNING, msg, __VA_ARGS__)
#define gtv_log_error(log, msg, ...) gtv_log_write(log, GTV_LOG_ERROR, msg, __VA_ARGS__)

#endif
