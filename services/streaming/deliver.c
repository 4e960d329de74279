#include "services/streaming/deliver.h"

#include "services/streaming/admit.h"
#include "services/streaming/answer.h"
#include "services/streaming/conditional.h"

#include <stdio.h>

enum { OWN_FIELDS = 4, FIELDS_MAX = GTV_ANSWER_FIELDS_MAX + OWN_FIELDS, TEXT_CAP = 64 };

struct head {
    struct gtv_http_header fields[FIELDS_MAX];
    char age[TEXT_CAP], range[TEXT_CAP], control[TEXT_CAP];
    size_t n;
};

static void add(struct head *h, struct gtv_str name, struct gtv_str value)
{
    if (h->n < FIELDS_MAX)
        h->fields[h->n++] = (struct gtv_http_header){name, value};
}

static void copy_fields(struct head *h, const struct gtv_entry_head *from)
{
    h->n = from->n < GTV_ANSWER_FIELDS_MAX ? from->n : GTV_ANSWER_FIELDS_MAX;
    memcpy(h->fields, from->fields, h->n * sizeof *h->fields);
}

static void add_age(struct head *h, int64_t age_s)
{
    // On every hit: printf would be the dearest part of it.
    uint64_t v = age_s < 0 ? 0 : (uint64_t)age_s;
    size_t at = sizeof h->age;
    do {
        h->age[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    add(h, GTV_STR("Age"), (struct gtv_str){h->age + at, sizeof h->age - at});
}

// A body with a session's token in it belongs to one client: no cache in between may give it to another.
static void make_private(struct head *h)
{
    for (size_t i = 0; i < h->n; i++) {
        struct gtv_http_header *f = &h->fields[i];
        if (gtv_str_ieq(f->name, GTV_STR("Cache-Control")) && gtv_str_starts(f->value, GTV_STR("public"))) {
            static const struct gtv_str private = {"private", 7};
            struct gtv_str rest = {f->value.p + 6, f->value.n - 6};
            if (private.n + rest.n > sizeof h->control)
                continue;
            memcpy(h->control, private.p, private.n);
            memcpy(h->control + private.n, rest.p, rest.n);
            f->value = (struct gtv_str){h->control, private.n + rest.n};
        }
    }
}

static struct gtv_conditional judge(struct gtv_http_request *req, const struct gtv_entry *e,
                                    const struct gtv_bytes *body, bool shared)
{
    const struct gtv_conditional_request asked = {
        .if_match = gtv_http_header(req, "If-Match"),
        .if_none_match = gtv_http_header(req, "If-None-Match"),
        .if_modified_since = gtv_http_header(req, "If-Modified-Since"),
        .if_unmodified_since = gtv_http_header(req, "If-Unmodified-Since"),
        .range = gtv_http_header(req, "Range"),
        .if_range = gtv_http_header(req, "If-Range"),
        .ranges = shared && !gtv_http_is_head(req),
    };
    const struct gtv_conditional_stored stored = {
        .etag = gtv_str_of(e->etag),
        .last_modified = gtv_str_of(e->last_modified),
        .len = body->len,
    };
    return gtv_conditional_judge(&asked, &stored);
}

bool gtv_deliver_needs_whole(const struct gtv_http_request *req)
{
    static const char *const names[] = {"Range", "If-None-Match", "If-Modified-Since", "If-Match",
                                        "If-Unmodified-Since"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (gtv_http_header(req, names[i]).p)
            return true;
    return false;
}

static void drop_whole(void *whole)
{
    gtv_bytes_unref(whole);
}

// The part of body that is to be sent; a reference. NULL: nothing, or no memory for it.
static struct gtv_bytes *part_of(struct gtv_bytes *body, const struct gtv_conditional *c)
{
    if (c->status == 304 || c->status == 412 || c->status == 416)
        return NULL;
    if (c->status != 206)
        return gtv_bytes_ref(body);
    struct gtv_bytes *part = gtv_bytes_wrap(body->data + c->from, c->len, drop_whole, gtv_bytes_ref(body));
    if (!part)
        gtv_bytes_unref(body);
    return part;
}

static void add_content_range(struct head *h, const struct gtv_conditional *c, size_t len)
{
    size_t kept = 0; // one of the whole's would contradict it
    for (size_t i = 0; i < h->n; i++)
        if (!gtv_str_ieq(h->fields[i].name, GTV_STR("Content-Range")))
            h->fields[kept++] = h->fields[i];
    h->n = kept;
    int n = c->status == 206
                ? snprintf(h->range, sizeof h->range, "bytes %zu-%zu/%zu", c->from, c->from + c->len - 1, len)
                : snprintf(h->range, sizeof h->range, "bytes */%zu", len);
    add(h, GTV_STR("Content-Range"), (struct gtv_str){h->range, (size_t)n});
}

void gtv_deliver_whole(struct gtv_proxy *p, struct gtv_http_request *req, struct gtv_entry *e,
                       struct gtv_str x_cache, int64_t now_ms)
{
    struct head h;
    char token[GTV_SESSION_TEXT_MAX + 1];
    bool hit = gtv_str_eq(x_cache, GTV_STR("HIT"));
    struct gtv_conditional c = {e->status, 0, e->body->len};
    if (e->status == 200 && gtv_deliver_needs_whole(req))
        c = judge(req, e, e->body, !e->is_playlist);
    size_t bytes = gtv_http_is_head(req) ? 0 : c.len;
    enum gtv_viewer_answer answer = gtv_admit_viewer(p->worker, req, e, bytes, hit, now_ms, token);
    if (answer != GTV_VIEWER_OK) {
        gtv_admit_refuse(p->worker, req, answer);
        return;
    }
    struct gtv_bytes *own = c.status == 200 ? gtv_admit_playlist(e, token) : NULL;
    struct gtv_bytes *body = own ? own : part_of(e->body, &c);
    copy_fields(&h, &e->whole);
    if (e->is_playlist)
        make_private(&h);
    add(&h, GTV_STR("X-Cache"), x_cache);
    add_age(&h, (now_ms - e->fetched_ms) / 1000);
    if (c.status == 206 || c.status == 416)
        add_content_range(&h, &c, e->body->len);
    gtv_http_reply(req, c.status, h.fields, h.n, body);
    gtv_bytes_unref(body);
}

enum gtv_viewer_answer gtv_deliver_admit(struct gtv_proxy *p, struct gtv_http_request *req,
                                         struct gtv_entry *e, int64_t now_ms)
{
    char token[GTV_SESSION_TEXT_MAX + 1];
    return gtv_admit_viewer(p->worker, req, e, 0, false, now_ms, token);
}

void gtv_deliver_refuse(struct gtv_proxy *p, struct gtv_http_request *req, enum gtv_viewer_answer answer)
{
    gtv_admit_refuse(p->worker, req, answer);
}

void gtv_deliver_begin(struct gtv_http_request *req, const struct gtv_entry *e, struct gtv_str x_cache)
{
    struct head h;
    copy_fields(&h, &e->head);
    add(&h, GTV_STR("X-Cache"), x_cache);
    add_age(&h, e->begin_age_s);
    gtv_http_stream_begin(req, 200, h.fields, h.n, e->content_length);
}

void gtv_deliver_sent(struct gtv_proxy *p, struct gtv_http_request *req, const struct gtv_entry *e,
                      size_t bytes)
{
    gtv_admit_sent(p->worker, req, e, gtv_http_is_head(req) ? 0 : bytes);
}
