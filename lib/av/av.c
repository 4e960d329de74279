#include "lib/av/av.h"

#include <libavutil/avutil.h>
#include <libavutil/error.h>
#include <libavutil/log.h>

#include <errno.h>
#include <stdio.h>

// Written once by gtv_av_init, before any other thread uses libav; libav's callback takes no argument of
// ours.
static struct gtv_log sink;

static void forward(void *avcl, int level, const char *fmt, va_list args)
{
    if (level > av_log_get_level()) {
        return;
    }
    enum gtv_log_level ours = level <= AV_LOG_FATAL ? GTV_LOG_ERROR : GTV_LOG_DEBUG;
    if (!gtv_log_enabled(ours)) {
        return;
    }
    // libav ends its sentences with a line feed and now and then writes one line in parts: a part is a line
    // of ours.
    char line[512];
    int prefix = 1;
    int n = av_log_format_line2(avcl, level, fmt, args, line, sizeof line, &prefix);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    while (len > 0 && (line[len - 1] == '\n' || line[len - 1] == '\r' || line[len - 1] == ' ')) {
        line[--len] = '\0';
    }
    if (len > 0) {
        gtv_log_write(&sink, ours, "libav", "text=\"%s\"", line);
    }
}

void gtv_av_init(const struct gtv_log *log)
{
    sink = *log;
    // Never AV_LOG_DEBUG: there libav prints requests with their Authorization header, which no redaction
    // recognises.
    av_log_set_level(gtv_log_enabled(GTV_LOG_DEBUG) ? AV_LOG_INFO : AV_LOG_WARNING);
    av_log_set_callback(forward);
}

struct cause {
    int error;
    const char *code;
    const char *text;
};

static const struct cause causes[] = {
    {AVERROR(ECONNREFUSED), "refused", "refused"},
    {AVERROR_HTTP_UNAUTHORIZED, "unauthorised", "unauthorised: wrong user or password"},
    {AVERROR_HTTP_FORBIDDEN, "forbidden", "forbidden: the camera does not let this user see the stream"},
    {AVERROR_HTTP_NOT_FOUND, "not_found", "not found: the camera has no stream at this address"},
    {AVERROR_HTTP_BAD_REQUEST, "bad_request", "the camera did not understand the request"},
    {AVERROR_HTTP_OTHER_4XX, "rejected", "rejected by the camera"},
    {AVERROR_HTTP_SERVER_ERROR, "camera_error", "the camera reports an error of its own"},
    {AVERROR_STREAM_NOT_FOUND, "no_video", "no video in the stream"},
    {AVERROR_DECODER_NOT_FOUND, "codec", "the codec cannot be carried"},
    {AVERROR_PROTOCOL_NOT_FOUND, "protocol", "the protocol is not supported"},
    {AVERROR_INVALIDDATA, "invalid_data", "the answer is no stream: invalid data"},
    {AVERROR_EOF, "closed", "the camera closed the connection"},
    {AVERROR(ECONNRESET), "closed", "the camera closed the connection"},
    {AVERROR(EPIPE), "closed", "the camera closed the connection"},
    {AVERROR(ETIMEDOUT), "timed_out", "timed out"},
    {AVERROR_EXIT, "timed_out", "timed out"},
    {AVERROR(EAGAIN), "timed_out", "timed out"},
    {AVERROR(EHOSTUNREACH), "unreachable", "no route to the host"},
    {AVERROR(ENETUNREACH), "unreachable", "no route to the network"},
    {AVERROR(EIO), "io", "the connection broke"},
    {AVERROR(ENOMEM), "no_memory", "out of memory"},
    {GTV_AVERROR_NAME, "name", "name does not resolve"},
    {GTV_AVERROR_TLS, "tls", "TLS failed"},
};

static const struct cause *find_cause(int averror)
{
    static const struct cause unknown = {0, "failed", "failed"};
    for (size_t i = 0; i < sizeof causes / sizeof causes[0]; i++) {
        if (causes[i].error == averror) {
            return &causes[i];
        }
    }
    return &unknown;
}

const char *gtv_av_cause(int averror)
{
    return find_cause(averror)->text;
}

const char *gtv_av_cause_code(int averror)
{
    return find_cause(averror)->code;
}

// One turn of the 33-bit clock in ticks (26 h 30 min 43.7 s).
#define TURN (INT64_C(1) << 33)

int64_t gtv_av_wall_to_pts33(int64_t wall_us)
{
    // 90 kHz = 9/100 ticks a microsecond.
    return (wall_us / 100 * 9 + wall_us % 100 * 9 / 100) & (TURN - 1);
}

int64_t gtv_av_pts33_to_wall_ms(int64_t pts33, int64_t near_ms)
{
    int64_t near = near_ms * 90;
    int64_t diff = (pts33 - near) & (TURN - 1);
    if (diff >= TURN / 2) {
        diff -= TURN;
    }
    int64_t ticks = near + diff;
    return (ticks + 45) / 90;
}

const char *gtv_av_version(void)
{
    return av_version_info();
}
