// Time: monotonic for durations, wall clock (Unix) for what is shown and stored.
#ifndef GTV_BASE_CLOCK_H
#define GTV_BASE_CLOCK_H

#include "lib/base/str.h"

int64_t gtv_mono_ns(void);
int64_t gtv_mono_ms(void);
double gtv_thread_ms(void); // processor time of the calling thread
int64_t gtv_wall_us(void);
int64_t gtv_wall_ms(void);

#define GTV_ISO8601_CAP 40
// "2026-11-22T15:11:56.369Z" (RFC 3339, UTC). Returns out.
const char *gtv_iso8601_utc(int64_t wall_ms, char out[GTV_ISO8601_CAP]);
// "2026-11-22T15:11:56.369000": naive UTC as Python's datetime.utcnow().isoformat() writes it (old clients
// parse it).
const char *gtv_iso8601_naive(int64_t wall_ms, char out[GTV_ISO8601_CAP]);
// IMF-fixdate (RFC 9110, 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT".
const char *gtv_http_date(int64_t wall_s, char out[GTV_ISO8601_CAP]);
// Parses RFC 3339 with any offset, or naive UTC. False for anything else.
bool gtv_iso8601_parse(struct gtv_str s, int64_t *wall_ms) GTV_WARN_UNUSED;

#endif
