// What an RTMP publisher sends: chunks of messages, commands in AMF0, and the bodies of audio and video. The
// first byte chooses; the second one says in what pieces the bytes come.
#include "lib/base/buf.h"
#include "services/media/rtmp/amf.h"
#include "services/media/rtmp/chunk.h"
#include "services/media/rtmp/command.h"
#include "services/media/rtmp/flv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_format(void *arg, struct gtv_format *format)
{
    if (format->video.width <= 0)
        abort();
}

static void on_sample(void *arg, const struct gtv_sample *sample, size_t received)
{
    if (sample->data->len == 0 || sample->dts > sample->pts)
        abort();
}

static void walk(struct gtv_str body)
{
    struct gtv_amf a = {.rest = body};
    struct gtv_str text;
    double number = 0;
    while (a.rest.n > 0 && !a.failed) {
        size_t before = a.rest.n;
        if (gtv_amf_enter(&a)) {
            while (gtv_amf_member(&a, &text))
                (void)gtv_amf_skip(&a);
        } else if (!gtv_amf_string(&a, &text) && !gtv_amf_number(&a, &number)) {
            (void)gtv_amf_skip(&a);
        }
        if (!a.failed && a.rest.n >= before)
            abort(); // for ever
    }
}

static void place(struct gtv_str text)
{
    struct gtv_rtmp_place out;
    struct gtv_str rest = text, app = gtv_str_cut(&rest, '\n');
    if (gtv_rtmp_place_read(app, rest, &out) &&
        (out.path[0] == '/' || strstr(out.query, "pass=") == out.query))
        abort();
}

struct target {
    struct gtv_flv flv;
    bool over;
};

static bool on_message(void *arg, const struct gtv_rtmp_message *m)
{
    struct target *t = arg;
    struct gtv_source_end why;
    if (t->over || m->body.n > GTV_RTMP_MESSAGE_MAX)
        abort();
    bool ok = true;
    if (m->type == GTV_RTMP_VIDEO)
        ok = gtv_flv_video(&t->flv, m->body, m->timestamp, INT64_C(1795372575896105), &why);
    else if (m->type == GTV_RTMP_AUDIO)
        ok = gtv_flv_audio(&t->flv, m->body, m->timestamp, INT64_C(1795372575896105), &why);
    else
        walk(m->body);
    t->over = !ok;
    return ok;
}

static void push(struct gtv_str data, size_t piece)
{
    static const struct gtv_feed_callbacks callbacks = {on_format, on_sample};
    static const struct gtv_log log = {"fuzz", NULL, NULL};
    struct target t = {.over = false};
    const char *why = NULL;
    gtv_flv_init(&t.flv, &callbacks, NULL, &log);
    struct gtv_chunks *c = gtv_chunks_create(on_message, &t);
    bool ok = true;
    while (ok && data.n > 0) {
        size_t n = data.n < piece ? data.n : piece;
        ok = gtv_chunks_push(c, (struct gtv_str){data.p, n}, &why);
        data.p += n;
        data.n -= n;
    }
    gtv_chunks_destroy(c);
    gtv_flv_finish(&t.flv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    gtv_log_set_level(GTV_LOG_ERROR);
    av_log_set_level(AV_LOG_QUIET);
    struct gtv_str rest = {(const char *)data + 2, size - 2};
    switch (data[0] % 4) {
    case 0:
        walk(rest);
        break;
    case 1:
        place(rest);
        break;
    default:
        push(rest, data[1] == 0 ? 1 : (size_t)data[1] * 16);
    }
    return 0;
}
