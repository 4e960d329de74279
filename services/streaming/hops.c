// A hop's way: RESOLVE its name -> judge every address -> ASK the first one -> the next hop, or the end.
#include "services/streaming/hops.h"

#include "lib/base/mem.h"
#include "lib/base/url.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

enum { URL_CAP = 2049 };

struct gtv_hops {
    struct gtv_loop *loop;
    struct gtv_http_client *client;
    const struct gtv_net_policy *policy;
    struct gtv_log log;
    gtv_hops_fn fn;
    void *arg;
    struct gtv_timer *limit, *soon;
    struct gtv_http_fetch *fetch;
    struct hop_name *name;
    unsigned hops;
    char url[URL_CAP];
};

// Outlives its hops when the resolver is late.
struct hop_name {
    uv_getaddrinfo_t req;
    struct gtv_hops *hops;
};

static bool is_http(struct gtv_str scheme)
{
    return gtv_str_ieq(scheme, GTV_STR("http")) || gtv_str_ieq(scheme, GTV_STR("https"));
}

bool gtv_hops_needed(const char *url)
{
    struct gtv_url u;
    return gtv_url_parse(gtv_str_of(url), &u) && is_http(u.scheme);
}

// What others may read as an absolute address must not be taken for a relative one.
static bool has_scheme(struct gtv_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == ':')
            return true;
        if (s.p[i] == '/' || s.p[i] == '?' || s.p[i] == '#')
            return false;
    }
    return false;
}

bool gtv_hops_resolve(const char *base, struct gtv_str location, char *out, size_t cap)
{
    struct gtv_url b, u;
    if (!gtv_url_parse(gtv_str_of(base), &b) || location.n == 0)
        return false;
    char port[8] = "";
    if (b.has_port)
        snprintf(port, sizeof port, ":%d", b.port);
    int n;
    if (gtv_url_parse(location, &u)) {
        n = snprintf(out, cap, GTV_STR_FMT, GTV_STR_ARG(location));
    } else if (has_scheme(location)) {
        return false;
    } else if (gtv_str_starts(location, GTV_STR("//"))) {
        n = snprintf(out, cap, GTV_STR_FMT ":" GTV_STR_FMT, GTV_STR_ARG(b.scheme), GTV_STR_ARG(location));
    } else {
        struct gtv_str folder = b.path;
        while (folder.n && folder.p[folder.n - 1] != '/')
            folder.n--;
        if (location.p[0] == '/' || folder.n == 0)
            folder = location.p[0] == '/' ? GTV_STR("") : GTV_STR("/");
        n = snprintf(out, cap, GTV_STR_FMT "://%s" GTV_STR_FMT "%s%s" GTV_STR_FMT GTV_STR_FMT,
                     GTV_STR_ARG(b.scheme), b.ipv6 ? "[" : "", GTV_STR_ARG(b.host), b.ipv6 ? "]" : "", port,
                     GTV_STR_ARG(folder), GTV_STR_ARG(location));
    }
    return n > 0 && (size_t)n < cap && gtv_url_parse(gtv_str_of(out), &u);
}

static void release(struct gtv_hops *h)
{
    gtv_http_fetch_cancel(h->fetch);
    if (h->name)
        h->name->hops = NULL;
    gtv_timer_destroy(h->limit);
    gtv_timer_destroy(h->soon);
    free(h);
}

void gtv_hops_cancel(struct gtv_hops *h)
{
    if (h)
        release(h);
}

static void over(struct gtv_hops *h, const struct gtv_error *err)
{
    gtv_hops_fn fn = h->fn;
    void *arg = h->arg;
    release(h);
    fn(arg, err);
}

static void refuse(struct gtv_hops *h, const char *text)
{
    struct gtv_error err = {0};
    gtv_error_set(&err, GTV_E_INVALID, "rtsp_url", "%s", text);
    over(h, &err);
}

static void unanswered(struct gtv_hops *h, const char *why)
{
    gtv_log_info(&h->log, "accepted without knowing where it leads: the camera does not answer",
                 "cause=\"%s\"", why);
    over(h, NULL);
}

static void too_late(void *arg)
{
    unanswered(arg, "not in time");
}

// ---- asking ----

static void next_hop(void *arg);

static void on_head(void *arg, const struct gtv_http_response *r)
{
    struct gtv_hops *h = arg;
    char next[URL_CAP];
    bool redirect = r->status >= 300 && r->status < 400 && r->location.n;
    gtv_http_fetch_cancel(h->fetch); // the body is nothing to us, and may be a stream without end
    h->fetch = NULL;
    if (!redirect) {
        over(h, NULL);
    } else if (++h->hops > GTV_HOPS_MAX) {
        refuse(h, "the camera redirects more than 5 times");
    } else if (!gtv_hops_resolve(h->url, r->location, next, sizeof next)) {
        refuse(h, "the camera redirects to what is no address");
    } else {
        snprintf(h->url, sizeof h->url, "%s", next);
        gtv_timer_start(h->soon, 0, 0);
    }
}

static void on_data(void *arg, const void *data, size_t n)
{
    (void)arg;
}

// Only when no head came.
static void on_done(void *arg, const struct gtv_http_response *r, const struct gtv_error *err)
{
    struct gtv_hops *h = arg;
    h->fetch = NULL;
    unanswered(h, err ? err->message : "no answer");
}

static void ask(struct gtv_hops *h, const struct sockaddr *sa)
{
    char address[NI_MAXHOST], to[NI_MAXHOST + 8];
    socklen_t len = sa->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    if (getnameinfo(sa, len, address, sizeof address, NULL, 0, NI_NUMERICHOST) != 0) {
        unanswered(h, "its address cannot be written");
        return;
    }
    snprintf(to, sizeof to, sa->sa_family == AF_INET6 ? "[%s]" : "%s", address);
    const struct gtv_http_fetch_options o = {
        .url = h->url,
        .address = to,
        .connect_timeout_ms = GTV_HOPS_MS,
        .timeout_ms = GTV_HOPS_MS,
        .stream = true,
    };
    const struct gtv_http_fetch_callbacks cb = {on_head, on_data, on_done};
    h->fetch = gtv_http_fetch(h->client, &o, &cb, h);
}

// ---- resolving and judging ----

static void judge(struct gtv_hops *h, const struct addrinfo *found)
{
    struct gtv_url u;
    const char *why = gtv_net_denied_any(h->policy, found);
    if (why) {
        char text[200];
        snprintf(text, sizeof text,
                 "the camera%s off-limits (%s); the operator can allow it with GTV_CAMERA_ALLOW",
                 h->hops ? " redirects to an address that is" : "'s address is", why);
        refuse(h, text);
        return;
    }
    if (gtv_url_parse(gtv_str_of(h->url), &u) && is_http(u.scheme))
        ask(h, found->ai_addr);
    else
        over(h, NULL); // another protocol begins there: its address was the question
}

static void resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct hop_name *r = (struct hop_name *)req;
    struct gtv_hops *h = r->hops;
    free(r);
    if (h) {
        h->name = NULL;
        if (status || !found)
            refuse(h, "the camera's name, or the one that it redirects to, does not resolve");
        else
            judge(h, found);
    }
    uv_freeaddrinfo(found);
}

static void next_hop(void *arg)
{
    struct gtv_hops *h = arg;
    struct gtv_url u;
    char host[256];
    if (!gtv_url_parse(gtv_str_of(h->url), &u) || !gtv_str_copy(host, sizeof host, u.host)) {
        refuse(h, "the camera redirects to what is no address");
        return;
    }
    struct hop_name *r = GTV_NEW(struct hop_name);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    r->hops = h;
    if (uv_getaddrinfo(gtv_loop_uv(h->loop), &r->req, resolved, host, NULL, &hints) != 0) {
        free(r);
        refuse(h, "the camera's name cannot be resolved");
        return;
    }
    h->name = r;
}

struct gtv_hops *gtv_hops_begin(struct gtv_loop *loop, struct gtv_http_client *client,
                                const struct gtv_net_policy *policy, const struct gtv_log *log,
                                const char *url, gtv_hops_fn fn, void *arg)
{
    struct gtv_hops *h = GTV_NEW(struct gtv_hops);
    h->loop = loop;
    h->client = client;
    h->policy = policy;
    h->log = *log;
    h->fn = fn;
    h->arg = arg;
    snprintf(h->url, sizeof h->url, "%s", url);
    h->limit = gtv_timer_create(loop, too_late, h);
    gtv_timer_start(h->limit, GTV_HOPS_MS, 0);
    h->soon = gtv_timer_create(loop, next_hop, h);
    gtv_timer_start(h->soon, 0, 0);
    return h;
}
