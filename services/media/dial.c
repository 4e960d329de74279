#include "services/media/dial.h"

#include "lib/av/av.h"
#include "lib/base/url.h"

#include <libavutil/opt.h>

#include <netdb.h>

struct scheme {
    const char *name;
    const char *protocols; // that libavformat may use for it, also for what the source leads to
    const char *format;    // the demuxer; NULL: one of web_formats, by what comes
    const char *type;
};

#define WEB_PROTOCOLS "http,https,tls,tcp,crypto"

static const struct scheme schemes[] = {
    {"rtsp", "rtsp,rtp,rtcp,srtp,tcp,udp", "rtsp", "rtspSource"},
    {"rtsps", "rtsps,rtp,rtcp,srtp,tcp,udp,tls", "rtsp", "rtspSource"},
    {"rtmp", "rtmp,tcp", "flv", "rtmpSource"},
    {"rtmps", "rtmps,tls,tcp", "flv", "rtmpSource"},
    {"http", WEB_PROTOCOLS, NULL, "hlsSource"},
    {"https", WEB_PROTOCOLS, NULL, "hlsSource"},
    {"srt", "srt", "mpegts", "srtSource"},
};

// A playlist's segments are MPEG-TS, fMP4 or AAC. Motion JPEG is let in to be refused by its name.
static const char web_formats[] = "hls,mpegts,mov,aac,mpjpeg";

enum {
    PROBE_BYTES = 2 * 1024 * 1024,
    PROBE_US = 3000000,
};

static const struct scheme *find(struct gtv_str source)
{
    ptrdiff_t colon = gtv_str_find(source, ':');
    struct gtv_str name = {source.p, colon < 0 ? 0 : (size_t)colon};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (gtv_str_eq(name, gtv_str_of(schemes[i].name))) {
            return &schemes[i];
        }
    }
    return NULL;
}

bool gtv_dial_takes(struct gtv_str source)
{
    const struct scheme *s = find(source);
    return s != NULL && strcmp(s->type, "rtspSource") != 0;
}

const char *gtv_dial_type(struct gtv_str source)
{
    const struct scheme *s = find(source);
    struct gtv_url url;
    if (s == NULL || s->format != NULL || !gtv_url_parse(source, &url)) {
        return s != NULL ? s->type : "rtspSource";
    }
    return gtv_str_ends(url.path, GTV_STR(".ts")) || gtv_str_ends(url.path, GTV_STR("/relay"))
               ? "mpegtsSource"
               : s->type;
}

int gtv_dial_judge(struct gtv_dial_guard *guard, const char *url)
{
    struct gtv_url parts;
    char host[256];
    if (!gtv_url_parse(gtv_str_of(url), &parts) || gtv_url_decode(parts.host, false, host, sizeof host) < 0) {
        return AVERROR_INVALIDDATA;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    if (getaddrinfo(host, NULL, &hints, &found) != 0) {
        return GTV_AVERROR_NAME;
    }
    guard->denied = guard->policy != NULL ? gtv_net_denied_any(guard->policy, found) : NULL;
    freeaddrinfo(found);
    return guard->denied != NULL ? AVERROR(EACCES) : 0;
}

// In place of libavformat's own opening, for the source and for all that a playlist leads to.
static int open_judged(struct AVFormatContext *s, AVIOContext **pb, const char *url, int flags,
                       AVDictionary **options)
{
    struct gtv_dial_guard *guard = s->opaque;
    const char *plain = url;
    if (strncmp(url, "crypto", 6) == 0 && (url[6] == '+' || url[6] == ':')) {
        plain = url + 7; // the cipher of a segment, over the protocol that brings it
    }
    if ((flags & AVIO_FLAG_WRITE) != 0) {
        return AVERROR(EACCES);
    }
    int failed = guard->policy != NULL ? gtv_dial_judge(guard, plain) : 0;
    if (failed < 0) {
        return failed;
    }
    failed = guard->open(s, pb, url, flags, options);
    uint8_t *location = NULL;
    if (failed >= 0 && guard->policy != NULL &&
        av_opt_get(*pb, "location", AV_OPT_SEARCH_CHILDREN, &location) >= 0 && location != NULL &&
        location[0] != '\0' && strcmp((char *)location, plain) != 0 &&
        gtv_dial_judge(guard, (char *)location) < 0) {
        avio_close(*pb);
        *pb = NULL;
        failed = AVERROR(EACCES);
    }
    av_free(location);
    return failed;
}

// A source's own tracks are needed before anything else; RTSP told them in its description.
static int find_tracks(AVFormatContext *f, const struct scheme *scheme)
{
    if (scheme->format == NULL && strcmp(f->iformat->name, "hls") != 0 &&
        strcmp(f->iformat->name, "mpegts") != 0 && strcmp(f->iformat->name, "mpjpeg") != 0) {
        return AVERROR_INVALIDDATA; // a file for downloading, no stream
    }
    return strcmp(scheme->type, "rtspSource") == 0 ? 0 : avformat_find_stream_info(f, NULL);
}

int gtv_dial_open(AVFormatContext **format, const char *source, const char *rtsp_transport,
                  int64_t timeout_ms, const AVIOInterruptCB *interrupt, struct gtv_dial_guard *guard)
{
    const struct scheme *scheme = find(gtv_str_of(source));
    *format = scheme != NULL ? avformat_alloc_context() : NULL;
    if (*format == NULL) {
        return scheme == NULL ? AVERROR_PROTOCOL_NOT_FOUND : AVERROR(ENOMEM);
    }
    AVFormatContext *f = *format;
    f->interrupt_callback = *interrupt;
    f->opaque = guard;
    guard->open = f->io_open;
    f->io_open = open_judged;
    // Time stamps that wrap are unwrapped by their reader, any number of times.
    f->correct_ts_overflow = 0;
    AVDictionary *o = NULL;
    av_dict_set(&o, "protocol_whitelist", scheme->protocols, 0);
    if (scheme->format == NULL) {
        av_dict_set(&o, "format_whitelist", web_formats, 0);
    }
    av_dict_set_int(&o, "probesize", PROBE_BYTES, 0);
    av_dict_set_int(&o, "analyzeduration", PROBE_US, 0);
    av_dict_set(&o, "user_agent", "gtv-media/" GTV_VERSION, 0);
    if (strcmp(scheme->type, "rtspSource") == 0) {
        av_dict_set(&o, "rtsp_transport", rtsp_transport, 0);
        av_dict_set(&o, "allowed_media_types", "video+audio", 0);
        av_dict_set_int(&o, "timeout", timeout_ms * 1000, 0);
    } else if (strcmp(scheme->type, "rtmpSource") != 0) { // there it would mean to listen
        av_dict_set_int(&o, "timeout", timeout_ms * 1000, 0);
    }
    const AVInputFormat *demuxer = scheme->format != NULL ? av_find_input_format(scheme->format) : NULL;
    int failed = avformat_open_input(format, source, demuxer, &o); // frees it on failure
    av_dict_free(&o);
    if (failed >= 0) {
        failed = find_tracks(*format, scheme);
    }
    if (failed < 0) {
        avformat_close_input(format);
    }
    return failed;
}
