// What media and ai share of libav*: errors as causes in words, its log in ours, decoding helpers.
#ifndef GTV_AV_AV_H
#define GTV_AV_AV_H

#include "lib/log/log.h"

#include <libavformat/avformat.h>

// Routes libav's log through ours (redacted; its info goes to debug). Once, at start.
void gtv_av_init(const struct gtv_log *log);

// The cause of a failure to open or read a source, for the user: "refused", "unauthorised (wrong user or password)", "not found", "timed out",
// "name does not resolve", "TLS failed", ... Static string, English; state word for machines in gtv_av_cause_code ("refused", "unauthorised"...).
const char *gtv_av_cause(int averror);
const char *gtv_av_cause_code(int averror);

// The path clock: 90 kHz ticks of the Unix wall clock modulo 2^33. The relay's and the HLS segments' PTS are on this clock, so that each packet
// carries its wall clock by itself. near_ms picks the right 26.5-hour turn.
int64_t gtv_av_wall_to_pts33(int64_t wall_us);
int64_t gtv_av_pts33_to_wall_ms(int64_t pts33, int64_t near_ms);

#endif
