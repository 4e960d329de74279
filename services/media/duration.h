// Durations as MediaMTX writes them: Go's ("1h0m0s", "1.5s", "200ms") with days on top ("1d").
#ifndef GTV_MEDIA_DURATION_H
#define GTV_MEDIA_DURATION_H

#include "lib/base/str.h"

// Milliseconds, rounded down, -10 years to 10 years. On false err->message is Go's sentence (`time: invalid
// duration "ten"`).
bool gtv_duration_parse(struct gtv_str text, int64_t *ms, struct gtv_error *err) GTV_WARN_UNUSED;

#define GTV_DURATION_CAP 48
// "10s", "1m0s", "1h0m0s", "1d", "1d1h0m0s", "500ms", "1.5s", "0s". Returns out.
const char *gtv_duration_write(int64_t ms, char out[GTV_DURATION_CAP]);

#endif
