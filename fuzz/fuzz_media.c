// What reaches the media node from outside: a path's configuration as JSON, names, and the access units that
// a camera sends. The first byte chooses.
#include "lib/video/feed.h"
#include "services/media/duration.h"
#include "services/media/mux.h"
#include "services/media/pathconf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What is accepted must come back from its own stored form unchanged, and never show its credentials.
static void configure(struct gtv_str json)
{
    struct gtv_pathconf a, b;
    struct gtv_error err = {0};
    gtv_pathconf_defaults(&a, GTV_STR("cam_1"));
    if (!gtv_pathconf_apply(&a, json, &err) || !gtv_pathconf_check(&a, &err))
        return;
    yyjson_mut_doc *doc = yyjson_mut_doc_new(NULL);
    yyjson_mut_doc_set_root(doc, gtv_pathconf_write(&a, doc, false));
    size_t n = 0;
    char *text = yyjson_mut_write(doc, YYJSON_WRITE_ALLOW_INVALID_UNICODE, &n);
    gtv_pathconf_defaults(&b, GTV_STR("cam_1"));
    if (!gtv_pathconf_apply(&b, (struct gtv_str){text, n}, &err) || !gtv_pathconf_check(&b, &err) ||
        gtv_pathconf_source_differs(&a, &b) || a.start_timeout_ms != b.start_timeout_ms)
        abort();
    free(text);
    yyjson_mut_doc_free(doc);
}

static void parse_words(struct gtv_str text)
{
    struct gtv_error err = {0};
    char out[GTV_DURATION_CAP];
    int64_t ms = 0, again = 0;
    if (gtv_duration_parse(text, &ms, &err)) {
        struct gtv_str written = gtv_str_of(gtv_duration_write(ms, out));
        if (!gtv_duration_parse(written, &again, &err) || again != ms)
            abort();
    }
    if (gtv_name_check(text, &err) && (text.n == 0 || text.p[0] == '/'))
        abort();
}

static void on_format(void *arg, struct gtv_format *format)
{
    if (format->video.width <= 0 || format->video.codecs[0] == '\0')
        abort();
    gtv_mux_set_format(arg, format);
}

static void on_sample(void *arg, const struct gtv_sample *sample, size_t received)
{
    struct gtv_bytes *ts = gtv_mux_sample(arg, sample);
    if (sample->data->len == 0 || sample->dts > sample->pts || ts == NULL ||
        ts->len % GTV_MPEGTS_PACKET != 0 || ts->data[0] != 0x47)
        abort();
    gtv_bytes_unref(ts);
}

// Cuts the bytes into access units at 0xff 0xfe; the byte behind it moves the time stamp, also backwards.
static void feed(struct gtv_str data, enum gtv_codec codec)
{
    static const struct gtv_feed_callbacks callbacks = {on_format, on_sample};
    static const struct gtv_log log = {"fuzz", NULL, NULL};
    struct gtv_mux mux = {0};
    struct gtv_access access;
    struct gtv_feed_config config = {.video = codec};
    struct gtv_feed *f = gtv_feed_create(&config, &callbacks, &mux, &log);
    gtv_access_init(&access, codec);
    int64_t pts = 0, arrival_us = INT64_C(1795372575896105);
    while (data.n > 0) {
        size_t n = 0;
        while (n + 1 < data.n && !((uint8_t)data.p[n] == 0xff && (uint8_t)data.p[n + 1] == 0xfe))
            n++;
        n = n + 1 < data.n ? n : data.n;
        gtv_access_annexb(&access, (struct gtv_str){data.p, n});
        gtv_feed_video(f, &access, pts, arrival_us, n);
        size_t used = n + 3 < data.n ? n + 3 : data.n;
        pts += used > n ? (int64_t)(int8_t)data.p[used - 1] * 3600 : 3600;
        arrival_us += 40000;
        data.p += used;
        data.n -= used;
    }
    gtv_feed_destroy(f);
    gtv_access_finish(&access);
    gtv_mux_finish(&mux);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    gtv_log_set_level(GTV_LOG_ERROR);
    av_log_set_level(AV_LOG_QUIET);
    struct gtv_str rest = {(const char *)data + 1, size - 1};
    switch (data[0] % 4) {
    case 0:
        configure(rest);
        break;
    case 1:
        parse_words(rest);
        break;
    case 2:
        feed(rest, GTV_CODEC_H264);
        break;
    default:
        feed(rest, GTV_CODEC_H265);
    }
    return 0;
}
