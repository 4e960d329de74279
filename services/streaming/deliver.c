#include "services/streaming/deliver.h"

#include "lib/base/clock.h"

#include <stdio.h>

enum { HEAD_FIELDS = 12, HEAD_TEXT = 64 };

struct head {
    struct gtv_http_header fields[HEAD_FIELDS];
    char cache_control[HEAD_TEXT], age[HEAD_TEXT];
    size_t n;
};

static void add(struct head *h, struct gtv_str name, struct gtv_str value)
{
    h->fields[h->n++] = (struct gtv_http_header){name, value};
}

static void make_head(struct head *h, const struct gtv_entry *e, struct gtv_str x_cache, int64_t age_s,
                      bool whole)
{
    h->n = 0;
    add(h, GTV_STR("Content-Type"), gtv_str_of(e->content_type));
    add(h, GTV_STR("X-Cache"), x_cache);
    struct gtv_str control = GTV_STR("no-cache");
    // While it is still arriving its life is not known; a client must not keep what may end short.
    long long max_age_s =
        whole ? (atomic_load_explicit(&e->expires_ms, memory_order_relaxed) - e->fetched_ms) / 1000 : 0;
    if (max_age_s > 0) {
        int n = snprintf(h->cache_control, sizeof h->cache_control, "public, max-age=%lld", max_age_s);
        control = (struct gtv_str){h->cache_control, (size_t)n};
    }
    add(h, GTV_STR("Cache-Control"), control);
    int n = snprintf(h->age, sizeof h->age, "%lld", (long long)(age_s < 0 ? 0 : age_s));
    add(h, GTV_STR("Age"), (struct gtv_str){h->age, (size_t)n});
}

bool gtv_deliver_admit(struct gtv_proxy *p, struct gtv_http_request *req, const struct gtv_entry *e,
                       size_t bytes, int64_t now_ms)
{
    return gtv_viewers_touch(p->worker->app->viewers, gtv_entry_stream(e), gtv_http_peer(req),
                             gtv_http_header(req, "User-Agent"), bytes, now_ms);
}

void gtv_deliver_refuse(struct gtv_proxy *p, struct gtv_http_request *req)
{
    gtv_counter_add(p->m.refused, 1);
    struct gtv_bytes *body = gtv_bytes_printf("{\"detail\":\"This stream has its %lld viewers; try again "
                                              "later\",\"code\":\"too_many\",\"field\":null}",
                                              (long long)p->worker->app->options.max_connections_per_stream);
    const struct gtv_http_header headers[] = {
        {GTV_STR("Content-Type"), GTV_STR("application/json")},
        {GTV_STR("Retry-After"), GTV_STR("5")},
    };
    gtv_http_reply(req, 429, headers, 2, body);
    gtv_bytes_unref(body);
}

void gtv_deliver_whole(struct gtv_proxy *p, struct gtv_http_request *req, struct gtv_entry *e,
                       struct gtv_str x_cache, int64_t now_ms)
{
    struct head h;
    size_t bytes = gtv_http_is_head(req) ? 0 : e->body->len;
    if (!gtv_deliver_admit(p, req, e, bytes, now_ms)) {
        gtv_deliver_refuse(p, req);
        return;
    }
    make_head(&h, e, x_cache, (now_ms - e->fetched_ms) / 1000, true);
    gtv_http_reply(req, 200, h.fields, h.n, e->body);
}

void gtv_deliver_begin(struct gtv_http_request *req, const struct gtv_entry *e, struct gtv_str x_cache)
{
    struct head h;
    make_head(&h, e, x_cache, 0, false);
    gtv_http_stream_begin(req, 200, h.fields, h.n, e->content_length);
}

void gtv_deliver_sent(struct gtv_proxy *p, struct gtv_http_request *req, const struct gtv_entry *e,
                      size_t bytes)
{
    gtv_viewers_add_bytes(p->worker->app->viewers, gtv_entry_stream(e), gtv_http_peer(req),
                          gtv_http_header(req, "User-Agent"), gtv_http_is_head(req) ? 0 : bytes);
}
