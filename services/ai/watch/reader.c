// Phases: by the relay -> (auto, and another server than ours answered without one) by RTSP -> ended.
#include "services/ai/watch/reader.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/url.h"
#include "lib/rtsp/client.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SILENCE_MS = 10000,      // no byte from the relay, no picture by RTSP for that long: it is over
    RTSP_CONNECT_MS = 15000, // MediaMTX waits 10 s for a camera on demand before it answers DESCRIBE
};

struct gtv_reader {
    struct gtv_reader_config config;
    char *relay_url, *rtsp_url, *name;
    enum gtv_reader_way way; // in use
    bool ended;
    int relay_status; // what a server that is not ours answered; 0: it was not asked

    struct gtv_http_fetch *fetch;
    struct gtv_ts_reader ts;
    int64_t data_ms;

    struct gtv_rtsp_client *client;
    struct gtv_format *format;
    bool silent; // connected, but no key frame comes
};

const char *gtv_reader_way_name(enum gtv_reader_way way)
{
    switch (way) {
#define X(name, text)                                                                                        \
    case name:                                                                                               \
        return text;
        GTV_READER_WAYS(X)
#undef X
    }
    return "";
}

bool gtv_reader_way_parse(struct gtv_str text, enum gtv_reader_way *out)
{
#define X(name, word)                                                                                        \
    if (gtv_str_eq(text, gtv_str_of(word))) {                                                                \
        *out = name;                                                                                         \
        return true;                                                                                         \
    }
    GTV_READER_WAYS(X)
#undef X
    return false;
}

static void end(struct gtv_reader *r, const char *cause)
{
    if (r->ended)
        return;
    r->ended = true;
    r->config.on_end(r->config.arg, cause);
}

// ---- RTSP ----

// Turns the length before each NAL unit of the n bytes at p into a start code. False where one reaches beyond
// the end.
static bool mark_units(uint8_t *p, size_t n)
{
    size_t at = 0;
    while (at < n) {
        if (n - at < 4)
            return false;
        size_t len = (size_t)p[at] << 24 | (size_t)p[at + 1] << 16 | (size_t)p[at + 2] << 8 | p[at + 3];
        if (len > n - at - 4)
            return false;
        memcpy(p + at, (const uint8_t[]){0, 0, 0, 1}, 4);
        at += 4 + len;
    }
    return true;
}

bool gtv_reader_annexb(struct gtv_str sets, struct gtv_str picture, struct gtv_ts_unit *out)
{
    size_t n = sets.n + picture.n;
    out->data = n + GTV_TS_PADDING <= GTV_TS_MAX_UNIT ? malloc(n + GTV_TS_PADDING) : NULL;
    out->len = n;
    if (!out->data)
        return false;
    if (sets.n)
        memcpy(out->data, sets.p, sets.n);
    memcpy(out->data + sets.n, picture.p, picture.n);
    memset(out->data + n, 0, GTV_TS_PADDING);
    return mark_units(out->data, sets.n) && mark_units(out->data + sets.n, picture.n);
}

static void on_format(void *arg, struct gtv_format *format)
{
    struct gtv_reader *r = arg;
    gtv_format_unref(r->format);
    r->format = gtv_format_ref(format);
}

static void on_sample(void *arg, const struct gtv_sample *sample, size_t received)
{
    struct gtv_reader *r = arg;
    if (!sample->video || !r->format)
        return;
    struct gtv_ts_unit unit = {
        .codec = r->format->video.codec == GTV_CODEC_H265 ? GTV_TS_H265 : GTV_TS_H264,
        .key = sample->key,
        .has_pts = true,
        .pts33 = sample->pts & ((INT64_C(1) << 33) - 1),
    };
    r->silent = false;
    struct gtv_str sets = sample->key ? gtv_bytes_str(r->format->sets) : (struct gtv_str){0};
    if (gtv_reader_annexb(sets, gtv_bytes_str(sample->data), &unit))
        r->config.on_unit(r->config.arg, &unit);
    else
        free(unit.data);
}

static void on_silent(void *arg, const struct gtv_source_end *why)
{
    struct gtv_reader *r = arg;
    r->silent = true;
}

static void on_error_frames(void *arg, unsigned count)
{
}

static void on_rtsp_end(void *arg, const struct gtv_source_end *why)
{
    struct gtv_reader *r = arg;
    char text[GTV_READER_CAUSE_CAP];
    r->client = NULL; // it frees itself
    if (r->relay_status)
        snprintf(text, sizeof(text), "RTSP of the media node: %.90s (its relay answered %d)", why->text,
                 r->relay_status);
    else
        snprintf(text, sizeof(text), "RTSP of the media node: %.120s", why->text);
    end(r, text);
}

static void open_rtsp(struct gtv_reader *r)
{
    static const struct gtv_source_callbacks callbacks = {on_format, on_sample, on_silent, on_error_frames,
                                                          on_rtsp_end};
    r->way = GTV_READER_RTSP;
    r->client = gtv_rtsp_client_start(&(struct gtv_rtsp_client_config){.hub = r->config.hub,
                                                                       .url = r->rtsp_url,
                                                                       .transport = GTV_RTSP_AUTOMATIC,
                                                                       .connect_ms = RTSP_CONNECT_MS,
                                                                       .stall_ms = SILENCE_MS,
                                                                       .sender_clock = true,
                                                                       .video_only = true,
                                                                       .log = {"ai", "camera", r->name}},
                                      &callbacks, r);
    if (!r->client)
        end(r, "RTSP of the media node: MEDIAMTX_RTSP_URL is no address that can be read");
}

// ---- The relay ----

static void on_ts_unit(void *arg, struct gtv_ts_unit *unit)
{
    struct gtv_reader *r = arg;
    r->config.on_unit(r->config.arg, unit);
}

static void on_head(void *arg, const struct gtv_http_response *response)
{
    struct gtv_reader *r = arg;
    r->data_ms = gtv_mono_ms();
}

static void on_data(void *arg, const void *data, size_t n)
{
    struct gtv_reader *r = arg;
    r->data_ms = gtv_mono_ms();
    gtv_ts_feed(&r->ts, data, n);
}

// Our node says so in its answers, and has a relay for each path that there is.
static bool is_ours(const struct gtv_http_response *response)
{
    for (size_t i = 0; i < response->field_count; i++)
        if (gtv_str_ieq(response->fields[i].name, GTV_STR("server")))
            return gtv_str_starts(response->fields[i].value, GTV_STR("gtv-media"));
    return false;
}

static void on_done(void *arg, const struct gtv_http_response *response, const struct gtv_error *err)
{
    struct gtv_reader *r = arg;
    char text[GTV_READER_CAUSE_CAP];
    r->fetch = NULL;
    if (response && response->status != 200 && r->config.way == GTV_READER_AUTO && r->rtsp_url &&
        !is_ours(response)) {
        r->relay_status = response->status;
        open_rtsp(r);
        return;
    }
    if (response && response->status == 404)
        snprintf(text, sizeof(text), "relay of the media node: not found");
    else if (response && response->status == 401)
        snprintf(text, sizeof(text), "relay of the media node: unauthorised (MEDIAMTX_READ_USER)");
    else if (response && response->status != 200)
        snprintf(text, sizeof(text), "relay of the media node: it answered %d", response->status);
    else if (response && err)
        snprintf(text, sizeof(text), "relay of the media node: %.120s", err->message);
    else if (response)
        snprintf(text, sizeof(text), "the media node ended the relay");
    else
        snprintf(text, sizeof(text), "relay of the media node: refused, or it cannot be reached (%.80s)",
                 err ? err->message : "");
    end(r, text);
}

static void open_relay(struct gtv_reader *r)
{
    static const struct gtv_http_fetch_callbacks callbacks = {on_head, on_data, on_done};
    r->way = GTV_READER_RELAY;
    const char *user = r->config.user && *r->config.user ? r->config.user : NULL;
    r->fetch = gtv_http_fetch(r->config.http,
                              &(struct gtv_http_fetch_options){.url = r->relay_url,
                                                               .user = user,
                                                               .password = user ? r->config.pass : NULL,
                                                               .stream = true,
                                                               .max_body = SIZE_MAX},
                              &callbacks, r);
}

// ---- From outside ----

void gtv_reader_open(struct gtv_reader **out, const struct gtv_reader_config *config)
{
    struct gtv_reader *r = GTV_NEW(struct gtv_reader);
    r->config = *config;
    r->relay_url = gtv_strdup(config->relay_url);
    r->rtsp_url = config->rtsp_url ? gtv_strdup(config->rtsp_url) : NULL;
    r->name = gtv_strdup(config->name);
    r->data_ms = gtv_mono_ms();
    gtv_ts_init(&r->ts, on_ts_unit, r);
    *out = r;
    if (config->way != GTV_READER_RTSP)
        open_relay(r);
    else if (r->rtsp_url)
        open_rtsp(r);
    else
        end(r, "MEDIAMTX_RTSP_URL is no address of RTSP");
}

void gtv_reader_close(struct gtv_reader *r)
{
    if (!r)
        return;
    if (r->fetch)
        gtv_http_fetch_cancel(r->fetch);
    if (r->client)
        gtv_rtsp_client_stop(r->client);
    gtv_ts_finish(&r->ts);
    gtv_format_unref(r->format);
    free(r->relay_url);
    free(r->rtsp_url);
    free(r->name);
    free(r);
}

void gtv_reader_tick(struct gtv_reader *r, int64_t now_ms)
{
    if (r->fetch && now_ms - r->data_ms > SILENCE_MS) {
        char text[80];
        snprintf(text, sizeof(text), "the media node sent nothing for %d s", SILENCE_MS / 1000);
        end(r, text);
    }
}

enum gtv_reader_way gtv_reader_way(const struct gtv_reader *r)
{
    return r->way;
}

const char *gtv_reader_fault(const struct gtv_reader *r)
{
    if (r->way == GTV_READER_RTSP)
        return r->silent ? "the camera sends no key frame" : "the video cannot be decoded";
    if (r->ts.codec == GTV_TS_OTHER)
        return "this program has no decoder for the camera's codec";
    if (r->ts.tables && r->ts.codec == GTV_TS_NONE)
        return "the stream carries no video";
    return r->ts.tables ? "the video cannot be decoded" : "what the media node sends is no MPEG-TS";
}

char *gtv_reader_rtsp_url(const char *base, const char *user, const char *pass, const char *path)
{
    struct gtv_url url;
    struct gtv_str text = gtv_str_of(base);
    char name[3 * 128], word[3 * 256];
    while (text.n && text.p[text.n - 1] == '/')
        text.n--;
    if (!gtv_url_parse(text, &url) ||
        (!gtv_str_ieq(url.scheme, GTV_STR("rtsp")) && !gtv_str_ieq(url.scheme, GTV_STR("rtsps"))))
        return NULL;
    if (!user || !*user)
        return gtv_asprintf(GTV_STR_FMT "/%s", GTV_STR_ARG(text), path);
    if (!gtv_url_encode(gtv_str_of(user), false, name, sizeof(name)) ||
        !gtv_url_encode(gtv_str_of(pass ? pass : ""), false, word, sizeof(word)))
        return NULL;
    return gtv_asprintf(GTV_STR_FMT "://%s:%s@%s" GTV_STR_FMT "%s:%d" GTV_STR_FMT "/%s",
                        GTV_STR_ARG(url.scheme), name, word, url.ipv6 ? "[" : "", GTV_STR_ARG(url.host),
                        url.ipv6 ? "]" : "", url.port, GTV_STR_ARG(url.path), path);
}
