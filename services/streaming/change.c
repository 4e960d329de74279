// Requests that are not safe (POST, PUT, PATCH, DELETE, M-SEARCH) to a file of HLS. They go to the node as
// they are, without our secret or session, and its answer comes back. A success makes what is stored for the
// file, and for those that the answer names, invalid (RFC 9111, 4.4). No media node here takes such requests
// on its HLS port; a cache that passed them by would be wrong before one that does.

#include "services/streaming/admit.h"
#include "services/streaming/answer.h"
#include "services/streaming/key.h"
#include "services/streaming/l2.h"
#include "services/streaming/proxy_internal.h"
#include "services/streaming/refusal.h"
#include "services/streaming/vary.h"

#include "lib/base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { CHANGE_LIMIT_MS = 10000, ANSWER_MAX = 1024 * 1024 };

struct gtv_change {
    struct gtv_proxy *proxy;
    struct gtv_http_request *req;
    struct gtv_hls_key key;
    struct gtv_change *prev, *next;
};

static void change_free(struct gtv_change *c)
{
    if (c->prev)
        c->prev->next = c->next;
    else
        c->proxy->changes = c->next;
    if (c->next)
        c->next->prev = c->prev;
    free(c);
}

void gtv_change_end_all(struct gtv_proxy *p)
{
    for (struct gtv_change *c = p->changes, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    p->changes = NULL;
}

// All variants, here and in Redis.
static void drop(struct gtv_proxy *p, struct gtv_str name)
{
    char key[GTV_KEY_CAP + 4];
    if (name.n >= GTV_KEY_CAP)
        return;
    gtv_cache_drop(p->worker->app->cache, name);
    for (unsigned slot = 0; slot < GTV_VARY_SLOTS; slot++) {
        int n = snprintf(key, sizeof key, GTV_STR_FMT "#%u", GTV_STR_ARG(name), slot);
        gtv_cache_drop(p->worker->app->cache, (struct gtv_str){key, (size_t)n});
    }
    if (gtv_str_copy(key, sizeof key, name))
        gtv_l2_drop(p->l2, key);
}

// Location or Content-Location: an address of this node, a path, or a name beside the file's.
static void drop_named(const struct gtv_change *c, struct gtv_str where)
{
    struct gtv_str stream = gtv_hls_key_stream(&c->key);
    struct gtv_str base = gtv_str_of(gtv_nodes_hls_base(c->proxy->worker->app->nodes, stream));
    char key[GTV_KEY_CAP];
    if (gtv_str_starts(where, base))
        where = (struct gtv_str){where.p + base.n, where.n - base.n};
    if (where.n == 0 || gtv_str_find(where, ':') >= 0)
        return; // none, or somebody else's
    if (where.p[0] == '/') {
        drop(c->proxy, (struct gtv_str){where.p + 1, where.n - 1});
        return;
    }
    int n = snprintf(key, sizeof key, GTV_STR_FMT "/" GTV_STR_FMT, GTV_STR_ARG(stream), GTV_STR_ARG(where));
    if (n > 0 && (size_t)n < sizeof key)
        drop(c->proxy, (struct gtv_str){key, (size_t)n});
}

static void invalidate(const struct gtv_change *c, const struct gtv_http_response *r)
{
    drop(c->proxy, (struct gtv_str){c->key.text, c->key.n});
    for (size_t i = 0; i < r->field_count; i++)
        if (gtv_str_ieq(r->fields[i].name, GTV_STR("location")) ||
            gtv_str_ieq(r->fields[i].name, GTV_STR("content-location")))
            drop_named(c, r->fields[i].value);
}

static void on_done(void *arg, const struct gtv_http_response *r, const struct gtv_error *failure)
{
    struct gtv_change *c = arg;
    struct gtv_app *app = c->proxy->worker->app;
    struct gtv_error err = {0};
    if (failure) {
        err = *failure;
    } else {
        if (r->status >= 200 && r->status < 400)
            invalidate(c, r);
        struct gtv_str body = gtv_bytes_str(r->body);
        if (gtv_refusal_is_the_nodes(r, body))
            gtv_refusal_error(app, gtv_hls_key_stream(&c->key), false, r->status, body, &err);
    }
    if (err.code) {
        gtv_reply_error_from(c->req, &err);
    } else {
        struct gtv_http_header fields[GTV_ANSWER_FIELDS_MAX];
        size_t n = gtv_answer_pass(r, fields);
        gtv_http_reply(c->req, r->status, fields, n, r->body);
    }
    change_free(c);
}

void gtv_proxy_handle_change(struct gtv_http_request *req, void *user)
{
    static const struct gtv_http_fetch_callbacks callbacks = {NULL, NULL, on_done};
    struct gtv_worker *w = user;
    struct gtv_proxy *p = w->proxy;
    struct gtv_hls_key key;
    char *lines[GTV_VARY_FIELDS_MAX + 2] = {NULL};
    struct gtv_http_header fields[GTV_VARY_FIELDS_MAX];
    if (!gtv_proxy_take_key(p, req, &key) || !gtv_admit_allowed(w, req, gtv_hls_key_stream(&key)))
        return;
    struct gtv_change *c = GTV_NEW(struct gtv_change);
    *c = (struct gtv_change){p, req, key, NULL, p->changes};
    if (c->next)
        c->next->prev = c;
    p->changes = c;
    size_t n = gtv_vary_forwarded(req, fields), used = 0;
    for (size_t i = 0; i < n; i++)
        lines[used++] = gtv_asprintf(GTV_STR_FMT ": " GTV_STR_FMT, GTV_STR_ARG(fields[i].name),
                                     GTV_STR_ARG(fields[i].value));
    struct gtv_str type = gtv_http_header(req, "Content-Type"), body = gtv_http_body(req);
    if (type.n)
        lines[used++] = gtv_asprintf("Content-Type: " GTV_STR_FMT, GTV_STR_ARG(type));
    char *method = gtv_strndup(gtv_http_method(req));
    char *url = gtv_asprintf("%s/%s", gtv_nodes_hls_base(w->app->nodes, gtv_hls_key_stream(&key)), key.text);
    const struct gtv_http_fetch_options o = {
        .method = method,
        .url = url,
        .headers = (const char *const *)lines,
        .cause = gtv_http_cause(req),
        .body = body.n ? body.p : NULL,
        .body_len = body.n,
        .timeout_ms = CHANGE_LIMIT_MS,
        .max_body = ANSWER_MAX,
    };
    (void)gtv_http_fetch(p->client, &o, &callbacks, c);
    for (size_t i = 0; i < used; i++)
        free(lines[i]);
    free(method);
    free(url);
}
