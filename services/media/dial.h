// How libavformat is let at a source: which protocols and formats each scheme may use, and which addresses
// may be dialled. Any thread; one source's guard belongs to the thread that reads it.
#ifndef GTV_MEDIA_DIAL_H
#define GTV_MEDIA_DIAL_H

#include "lib/net/address.h"

#include <libavformat/avformat.h>

// True for the URLs that libavformat reads for us. RTSP is not among them, though gtv_dial_open takes it.
bool gtv_dial_takes(struct gtv_str source);
// "rtspSource", "rtmpSource", "hlsSource", "srtSource", "mpegtsSource": what lists call it. Static.
const char *gtv_dial_type(struct gtv_str source);

struct gtv_dial_guard {
    const struct gtv_net_policy *policy; // NULL: every address may be dialled
    const char *denied;                  // what is wrong with the address that was refused; NULL: none was
    int (*open)(struct AVFormatContext *s, AVIOContext **pb, const char *url, int flags,
                AVDictionary **options); // libavformat's own
};

// 0 when the URL's host resolves and all its addresses may be dialled; else an AVERROR, with guard->denied
// where that is why.
int gtv_dial_judge(struct gtv_dial_guard *guard, const char *url);

// Opens it and reads what its tracks are. Every URL that a playlist leads to is judged first, and where a
// redirect led to afterwards: its answer is not used then. timeout_ms goes to the protocols that know one;
// the caller's interrupt callback bounds the whole. On failure *format is NULL.
int gtv_dial_open(AVFormatContext **format, const char *source, const char *rtsp_transport,
                  int64_t timeout_ms, const AVIOInterruptCB *interrupt, struct gtv_dial_guard *guard);

#endif
