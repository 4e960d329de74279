// Server-Sent Events (the HTML standard's text/event-stream): the same messages for those who cannot do
// WebSocket.
#include "services/streaming/hub_internal.h"

#include "lib/base/mem.h"

static void on_drain(void *arg)
{
    gtv_client_drained(arg);
}

static void on_close(void *arg, bool complete)
{
    gtv_client_free(arg);
}

static void write_text(struct gtv_client *c, const char *text)
{
    struct gtv_bytes *b = gtv_bytes_wrap(text, strlen(text), NULL, NULL);
    if (b)
        gtv_http_stream_write(c->req, b);
    gtv_bytes_unref(b);
}

size_t gtv_sse_pending(const struct gtv_client *c)
{
    return gtv_http_stream_pending(c->req);
}

void gtv_sse_send(struct gtv_client *c, struct gtv_bytes *const *events, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gtv_http_stream_write(c->req, events[i]);
}

// Also how a client that left without a word is noticed.
void gtv_sse_keep_alive(struct gtv_client *c)
{
    if (c->req && gtv_sse_pending(c) == 0)
        write_text(c, ": keep-alive\n\n");
}

void gtv_handle_sse_events(struct gtv_http_request *req, void *worker)
{
    static const struct gtv_http_header headers[] = {
        {GTV_STR("Content-Type"), GTV_STR("text/event-stream")},
        {GTV_STR("Cache-Control"), GTV_STR("no-store, no-transform")},
        {GTV_STR("X-Accel-Buffering"), GTV_STR("no")},
    };
    struct gtv_hub *h = ((struct gtv_worker *)worker)->hub;
    struct gtv_topic *t = gtv_hub_origin_ok(h, req) ? gtv_hub_topic(h, req) : NULL;
    struct gtv_client *c = t ? gtv_client_create(h, req, t) : NULL;
    if (!c)
        return;
    c->req = req;
    if (gtv_http_is_head(req)) {
        gtv_client_free(c);
        gtv_http_reply(req, 200, headers, 3, NULL);
        return;
    }
    gtv_http_on_close(req, on_close, c);
    gtv_http_stream_on_drain(req, on_drain, c);
    gtv_http_stream_begin(req, 200, headers, 3, -1);
    write_text(c, "retry: 2000\n\n");
    gtv_client_begin(c);
}
