#include "services/media/gate.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "services/media/reply.h"

#include <sodium.h>
#include <stdlib.h>

enum {
    DELAY_MS = 2000,
    TICK_MS = 100,
    DELAYED_MAX = 1000, // answers that wait; a guesser beyond that is told to come back later
    CREDENTIALS_MAX = 1024,
};

struct delayed {
    struct delayed *next;
    struct gtv_http_request *req; // NULL: the client left
    int64_t due_ms;
};

struct gtv_gate {
    const struct gtv_auth *auth;
    struct gtv_timer *timer;
    struct delayed *first, **end; // all wait equally long, so the first is due first
    size_t count;
    struct gtv_counter *failures;
};

static void refuse(struct gtv_http_request *req)
{
    gtv_media_reply_error(req, 401, "authentication error", NULL, NULL);
}

static void ignore_close(void *arg, bool complete)
{
}

static void on_tick(void *arg)
{
    struct gtv_gate *g = arg;
    int64_t now = gtv_mono_ms();
    while (g->first != NULL && g->first->due_ms <= now) {
        struct delayed *d = g->first;
        g->first = d->next;
        if (g->first == NULL) {
            g->end = &g->first;
        }
        g->count--;
        if (d->req != NULL) {
            gtv_http_on_close(d->req, ignore_close, NULL);
            refuse(d->req);
        }
        free(d);
    }
    if (g->first == NULL) {
        gtv_timer_stop(g->timer);
    }
}

struct gtv_gate *gtv_gate_create(struct gtv_loop *loop, const struct gtv_auth *auth,
                                 struct gtv_metrics *metrics)
{
    struct gtv_gate *g = GTV_NEW(struct gtv_gate);
    g->auth = auth;
    g->end = &g->first;
    g->timer = gtv_timer_create(loop, on_tick, g);
    g->failures = gtv_metrics_counter(metrics, "gtv_media_auth_failures_total", "",
                                      "Requests whose credentials were wrong.");
    return g;
}

void gtv_gate_destroy(struct gtv_gate *g)
{
    if (g == NULL) {
        return;
    }
    while (g->first != NULL) {
        struct delayed *d = g->first;
        g->first = d->next;
        free(d);
    }
    gtv_timer_destroy(g->timer);
    free(g);
}

static void client_left(void *arg, bool complete)
{
    struct delayed *d = arg;
    d->req = NULL;
}

static void refuse_later(struct gtv_gate *g, struct gtv_http_request *req)
{
    gtv_counter_add(g->failures, 1);
    if (g->count >= DELAYED_MAX) {
        gtv_media_reply_error(req, 429, "too many failed authentications", NULL, NULL);
        return;
    }
    struct delayed *d = GTV_NEW(struct delayed);
    *d = (struct delayed){.req = req, .due_ms = gtv_mono_ms() + DELAY_MS};
    *g->end = d;
    g->end = &d->next;
    if (g->count++ == 0) {
        gtv_timer_start(g->timer, TICK_MS, TICK_MS);
    }
    gtv_http_on_close(req, client_left, d);
}

static void ask(struct gtv_http_request *req)
{
    static const struct gtv_http_header headers[] = {
        {{"Content-Type", 12}, {"application/json; charset=utf-8", 31}},
        {{"WWW-Authenticate", 16}, {"Basic realm=\"mediamtx\"", 22}},
    };
    static const char body[] = "{\"status\":\"error\",\"error\":\"authentication error\"}";
    struct gtv_bytes *b = gtv_bytes_wrap(body, sizeof body - 1, NULL, NULL);
    gtv_http_reply(req, 401, headers, sizeof headers / sizeof headers[0], b);
    gtv_bytes_unref(b);
}

// user and pass of an Authorization header. What is not well-formed counts as none.
static void read_basic(struct gtv_http_request *req, struct gtv_credentials *who)
{
    struct gtv_str value = gtv_http_header(req, "authorization");
    if (value.n < 6 || value.n > CREDENTIALS_MAX ||
        !gtv_str_ieq((struct gtv_str){value.p, 6}, GTV_STR("Basic "))) {
        return;
    }
    struct gtv_str text = gtv_str_trim((struct gtv_str){value.p + 6, value.n - 6});
    char *plain = gtv_arena_alloc(gtv_http_arena(req), text.n + 1);
    size_t n = 0;
    if (sodium_base642bin((unsigned char *)plain, text.n + 1, text.p, text.n, NULL, &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0) {
        return;
    }
    struct gtv_str rest = {plain, n};
    if (gtv_str_find(rest, ':') < 0) {
        return;
    }
    who->user = gtv_str_cut(&rest, ':');
    who->pass = rest;
}

bool gtv_gate_pass(struct gtv_gate *g, struct gtv_http_request *req, enum gtv_action action,
                   struct gtv_str path, struct gtv_str *user)
{
    struct gtv_credentials who = {.address = gtv_http_peer(req)};
    read_basic(req, &who);
    if (user != NULL) {
        *user = who.user;
    }
    switch (gtv_auth_check(g->auth, action, path, &who)) {
    case GTV_AUTH_OK:
        return true;
    case GTV_AUTH_ASK:
        ask(req);
        return false;
    case GTV_AUTH_WRONG:
        refuse_later(g, req);
        return false;
    }
    return false;
}
