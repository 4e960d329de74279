// What media and ai share of libav*: errors as causes in words, its log in ours, decoding helpers.
#ifndef GTV_AV_AV_H
#define GTV_AV_AV_H

#include "lib/log/log.h"

#include <libavformat/avformat.h>

// Routes libav's log through ours (redacted). Once, at start; log is copied, its strings must live on. Only
// its fatal lines keep their rank, all others go to debug: who calls libav gets the error as a code and
// reports it once, with its cause, while libav would repeat it at each retry.
void gtv_av_init(const struct gtv_log *log);

// The cause of a failure to open or read a source, for the user: "refused", "unauthorised: wrong user or
// password", "not found", "timed out", "name does not resolve", ... Static string, English; gtv_av_cause_code
// is the same as one word for machines ("refused", "unauthorised", "not_found", "timed_out", ...). What libav
// gives no code of its own for (names, TLS) comes as GTV_AVERROR_NAME and GTV_AVERROR_TLS from those who can
// tell. Any thread.
#define GTV_AVERROR_NAME FFERRTAG('G', 'n', 'a', 'm')
#define GTV_AVERROR_TLS  FFERRTAG('G', 't', 'l', 's')
const char *gtv_av_cause(int averror);
const char *gtv_av_cause_code(int averror);

// The path clock: 90 kHz ticks of the Unix wall clock modulo 2^33. The relay's and the HLS segments' PTS are
// on this clock, so that each packet carries its wall clock by itself. near_ms picks the right 26.5-hour
// turn.
int64_t gtv_av_wall_to_pts33(int64_t wall_us);
int64_t gtv_av_pts33_to_wall_ms(int64_t pts33, int64_t near_ms);

// Version of the libav* that are loaded, as FFmpeg calls itself.
const char *gtv_av_version(void);

#endif
