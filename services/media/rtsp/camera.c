#include "services/media/rtsp/camera.h"

#include "lib/base/mem.h"

#include <stdlib.h>

struct camera {
    struct gtv_source base;
    struct gtv_rtsp_client *client;
    struct gtv_source_callbacks callbacks;
    void *arg;
};

static void on_format(void *arg, struct gtv_format *format)
{
    struct camera *c = arg;
    c->callbacks.on_format(c->arg, format);
}

static void on_sample(void *arg, const struct gtv_sample *sample, size_t received)
{
    struct camera *c = arg;
    c->callbacks.on_sample(c->arg, sample, received);
}

static void on_silent(void *arg, const struct gtv_source_end *why)
{
    struct camera *c = arg;
    c->callbacks.on_silent(c->arg, why);
}

static void on_error_frames(void *arg, unsigned count)
{
    struct camera *c = arg;
    c->callbacks.on_error_frames(c->arg, count);
}

static void on_end(void *arg, const struct gtv_source_end *end)
{
    struct camera *c = arg;
    const struct camera copy = *c;
    free(c);
    copy.callbacks.on_end(copy.arg, end);
}

static void stop(struct gtv_source *s)
{
    struct camera *c = (struct camera *)s;
    gtv_rtsp_client_stop(c->client);
    free(c);
}

struct gtv_source *gtv_rtsp_camera_start(struct gtv_rtsp_hub *hub, const struct gtv_source_options *options,
                                         const struct gtv_pathconf *conf, const struct gtv_raw_audio *raw,
                                         const struct gtv_source_callbacks *callbacks, void *arg)
{
    static const struct gtv_source_callbacks own = {on_format, on_sample, on_silent, on_error_frames, on_end};
    const struct gtv_rtsp_client_config config = {
        .hub = hub,
        .url = conf->source,
        .fingerprint = conf->source_fingerprint,
        .transport = (enum gtv_rtsp_transport)conf->rtsp_transport,
        .connect_ms = options->connect_ms,
        .stall_ms = options->stall_ms,
        .policy = options->policy,
        .running = options->running,
        .raw = raw,
        .log = {"media", "path", conf->name},
    };
    struct camera *c = GTV_NEW(struct camera);
    c->base.stop = stop;
    c->callbacks = *callbacks;
    c->arg = arg;
    c->client = gtv_rtsp_client_start(&config, &own, c);
    if (c->client == NULL) {
        free(c);
        return NULL;
    }
    return &c->base;
}
