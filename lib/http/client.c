// libcurl's multi interface on a libuv loop: curl says which sockets and which timer it wants, libuv waits
// for them.
//
// curl refuses to be called from inside its own callbacks. Whatever the user's callbacks ask for there (a new
// fetch, a cancel) is noted and done when curl has returned.
//
// A connection's socket is watched from its opening to its closing, and what is waited for is only changed
// when it must be: between two fetches of one connection that is never, where curl by itself would have it
// taken out of epoll and put back. Easy handles are used again, reset.

#include "lib/http/client.h"

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/mem.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    DEFAULT_CONNECT_MS = 5000,
    DEFAULT_TIMEOUT_MS = 10000,
    DEFAULT_MAX_BODY = 1024 * 1024,
    MAX_HEADER_BYTES = 64 * 1024,
    SPARE_MAX = 16, // easy handles kept for later fetches, some KiB each
};

enum fetch_state {
    QUEUED,    // not given to curl yet
    RUNNING,   // curl has it
    CANCELLED, // to be taken from curl and freed, without a callback
    ENDING,    // on_done is being called
};

struct gtv_http_fetch {
    struct gtv_http_client *client;
    struct gtv_http_fetch *prev, *next;
    CURL *easy;
    struct curl_slist *headers, *address;
    struct gtv_http_fetch_callbacks cb;
    void *arg;
    enum fetch_state state;
    bool stream, head_done, too_large;
    size_t max_body, got, header_bytes;
    struct gtv_buf body;
    struct gtv_arena arena;
    struct gtv_http_response response;
    struct gtv_http_fetch_field fields[GTV_HTTP_FETCH_FIELDS_MAX];
};

struct gtv_http_client {
    struct gtv_loop *loop;
    CURLM *multi;
    struct gtv_timer *timer;
    struct gtv_timer *soon; // for what was queued while curl was on the stack
    struct gtv_http_fetch *fetches;
    struct socket_watch *watches;
    CURL *spare[SPARE_MAX];
    size_t spares;
    unsigned depth; // > 0: curl is on the stack
    bool *destroyed;
};

struct socket_watch {
    uv_poll_t poll;
    struct gtv_http_client *client; // NULL once it is being closed
    curl_socket_t fd;
    bool ours;         // opened by open_cb: it stays until close_cb
    int wanted, armed; // events: what curl waits for, what the loop looks for
    struct socket_watch *prev, *next;
};

static void settle(struct gtv_http_client *c);

// ---- sockets and time ----

static void watch_closed(uv_handle_t *h)
{
    free(h->data);
}

static void watch_close(struct socket_watch *w)
{
    struct gtv_http_client *c = w->client;
    if (w->prev)
        w->prev->next = w->next;
    else
        c->watches = w->next;
    if (w->next)
        w->next->prev = w->prev;
    w->client = NULL;
    uv_close((uv_handle_t *)&w->poll, watch_closed);
}

static void drive(struct gtv_http_client *c, curl_socket_t fd, int mask)
{
    int running;
    c->depth++;
    curl_multi_socket_action(c->multi, fd, mask, &running);
    c->depth--;
    settle(c);
}

static void poll_cb(uv_poll_t *handle, int status, int events)
{
    struct socket_watch *w = handle->data;
    if (!w->client)
        return;
    if (!w->wanted) { // of a connection at rest: curl sees for itself when it is to be used again
        uv_poll_stop(handle);
        w->armed = 0;
        return;
    }
    int mask = 0;
    if (status < 0)
        mask = CURL_CSELECT_ERR;
    if (events & UV_READABLE)
        mask |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        mask |= CURL_CSELECT_OUT;
    drive(w->client, w->fd, mask);
}

static struct socket_watch *watch_create(struct gtv_http_client *c, curl_socket_t fd)
{
    struct socket_watch *w = GTV_NEW(struct socket_watch);
    if (uv_poll_init_socket(gtv_loop_uv(c->loop), &w->poll, fd) != 0) {
        free(w);
        return NULL;
    }
    w->poll.data = w;
    w->client = c;
    w->fd = fd;
    w->next = c->watches;
    if (w->next)
        w->next->prev = w;
    c->watches = w;
    return w;
}

static struct socket_watch *watch_find(struct gtv_http_client *c, curl_socket_t fd)
{
    struct socket_watch *w = c->watches;
    while (w && w->fd != fd)
        w = w->next;
    return w;
}

static curl_socket_t open_cb(void *userp, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct gtv_http_client *c = userp;
    int fd = socket(to->family, to->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    struct socket_watch *w = watch_create(c, fd);
    if (!w) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    w->ours = true;
    return fd;
}

static int close_cb(void *userp, curl_socket_t fd)
{
    struct socket_watch *w = watch_find(userp, fd);
    if (w)
        watch_close(w); // before the number can be another file's
    return close(fd);
}

static int socket_cb(CURL *easy, curl_socket_t fd, int what, void *userp, void *socketp)
{
    struct gtv_http_client *c = userp;
    struct socket_watch *w = socketp;
    if (what == CURL_POLL_REMOVE) {
        if (!w)
            return 0;
        curl_multi_assign(c->multi, fd, NULL);
        w->wanted = 0;
        if (!w->ours) // of the resolver, which closes it without a word
            watch_close(w);
        return 0;
    }
    if (!w) {
        w = watch_find(c, fd);
        if (!w)
            w = watch_create(c, fd);
        if (!w)
            return -1;
        curl_multi_assign(c->multi, fd, w);
    }
    w->wanted = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    if (w->armed == w->wanted)
        return 0;
    w->armed = w->wanted;
    return uv_poll_start(&w->poll, w->wanted, poll_cb) == 0 ? 0 : -1;
}

static void timer_cb(void *arg)
{
    drive(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int timeout_cb(CURLM *multi, long timeout_ms, void *userp)
{
    struct gtv_http_client *c = userp;
    if (timeout_ms < 0)
        gtv_timer_stop(c->timer);
    else
        gtv_timer_start(c->timer, (uint64_t)timeout_ms, 0);
    return 0;
}

// ---- one fetch ----

static void fetch_unlink(struct gtv_http_fetch *f)
{
    if (f->prev)
        f->prev->next = f->next;
    else
        f->client->fetches = f->next;
    if (f->next)
        f->next->prev = f->prev;
}

static void fetch_free(struct gtv_http_fetch *f)
{
    struct gtv_http_client *c = f->client;
    if (c && c->spares < SPARE_MAX) {
        curl_easy_reset(f->easy); // nothing of the fetch stays in it, the connections are the multi handle's
        c->spare[c->spares++] = f->easy;
    } else {
        curl_easy_cleanup(f->easy);
    }
    curl_slist_free_all(f->headers);
    curl_slist_free_all(f->address);
    gtv_buf_finish(&f->body);
    gtv_bytes_unref(f->response.body);
    gtv_arena_finish(&f->arena);
    free(f);
}

static void keep(struct gtv_http_fetch *f, struct gtv_str *field, struct gtv_str value)
{
    *field = (struct gtv_str){gtv_arena_strndup(&f->arena, value), value.n};
}

static void keep_header(struct gtv_http_fetch *f, struct gtv_str name, struct gtv_str value)
{
    struct gtv_http_response *r = &f->response;
    const struct {
        struct gtv_str name;
        struct gtv_str *field;
    } wanted[] = {
        {GTV_STR("content-type"), &r->content_type},
        {GTV_STR("cache-control"), &r->cache_control},
        {GTV_STR("etag"), &r->etag},
        {GTV_STR("last-modified"), &r->last_modified},
        {GTV_STR("location"), &r->location},
        {GTV_STR("set-cookie"), &r->set_cookie},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (gtv_str_ieq(name, wanted[i].name))
            keep(f, wanted[i].field, value);
    if (r->field_count < GTV_HTTP_FETCH_FIELDS_MAX && name.n) {
        struct gtv_http_fetch_field *field = &f->fields[r->field_count++];
        keep(f, &field->name, name);
        keep(f, &field->value, value);
    }
    int64_t length;
    if (gtv_str_ieq(name, GTV_STR("content-length")) && gtv_parse_int(value, 0, INT64_MAX, &length))
        r->content_length = length;
}

static void head_complete(struct gtv_http_fetch *f)
{
    long status = 0;
    curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        return; // interim answers are not for the caller
    f->response.status = (int)status;
    f->head_done = true;
    if (f->cb.on_head)
        f->cb.on_head(f->arg, &f->response);
}

static size_t header_cb(char *data, size_t size, size_t n, void *userp)
{
    struct gtv_http_fetch *f = userp;
    size_t len = size * n;
    f->header_bytes += len;
    if (f->state == CANCELLED || f->header_bytes > MAX_HEADER_BYTES)
        return 0;
    struct gtv_str line = {data, len};
    while (line.n && (line.p[line.n - 1] == '\r' || line.p[line.n - 1] == '\n'))
        line.n--;
    if (f->head_done)
        return len; // trailers
    if (gtv_str_starts(line, GTV_STR("HTTP/"))) {
        f->response = (struct gtv_http_response){.content_length = -1, .fields = f->fields};
        return len;
    }
    if (line.n == 0) {
        head_complete(f);
        return f->state == CANCELLED ? 0 : len;
    }
    struct gtv_str rest = line;
    struct gtv_str name = gtv_str_cut(&rest, ':');
    keep_header(f, name, gtv_str_trim(rest));
    return len;
}

static size_t write_cb(char *data, size_t size, size_t n, void *userp)
{
    struct gtv_http_fetch *f = userp;
    size_t len = size * n;
    if (f->state == CANCELLED)
        return 0;
    f->got += len;
    if (f->got > f->max_body) {
        f->too_large = true;
        return 0;
    }
    if (!f->stream)
        return gtv_buf_append(&f->body, data, len) ? len : 0;
    if (f->cb.on_data)
        f->cb.on_data(f->arg, data, len);
    return f->state == CANCELLED ? 0 : len;
}

static void describe(struct gtv_http_fetch *f, CURLcode rc, struct gtv_error *err)
{
    if (f->too_large)
        gtv_error_set(err, GTV_E_TOO_LARGE, NULL, "the answer is larger than %zu bytes", f->max_body);
    else if (rc == CURLE_OPERATION_TIMEDOUT)
        gtv_error_set(err, GTV_E_UPSTREAM_TIMEOUT, NULL, NULL);
    else if (rc == CURLE_COULDNT_RESOLVE_HOST)
        gtv_error_set(err, GTV_E_UPSTREAM, NULL, "the name of the service behind this one does not resolve");
    else if (rc == CURLE_COULDNT_CONNECT)
        gtv_error_set(err, GTV_E_UPSTREAM, NULL, "the service behind this one cannot be reached");
    else if (rc == CURLE_PARTIAL_FILE || rc == CURLE_RECV_ERROR || rc == CURLE_GOT_NOTHING)
        gtv_error_set(err, GTV_E_UPSTREAM, NULL, "the service behind this one broke off its answer");
    else
        gtv_error_set(err, GTV_E_UPSTREAM, NULL, "the service behind this one failed: %s",
                      curl_easy_strerror(rc));
}

static void fetch_done(struct gtv_http_fetch *f, CURLcode rc)
{
    struct gtv_error err = {0};
    f->state = ENDING;
    if (rc != CURLE_OK)
        describe(f, rc, &err);
    if (f->head_done && !f->stream)
        f->response.body = gtv_buf_take(&f->body);
    if (rc == CURLE_OK && f->head_done && !f->stream && !f->response.body) {
        // An answer without any body leaves the buffer untouched.
        f->response.body = gtv_bytes_create(0);
    }
    if (f->cb.on_done)
        f->cb.on_done(f->arg, f->head_done ? &f->response : NULL, err.code ? &err : NULL);
}

// Does what curl could not be asked to do while it was on the stack, and hands out what is finished.
static void settle(struct gtv_http_client *c)
{
    if (c->depth > 0)
        return;
    bool destroyed = false;
    c->destroyed = &destroyed;
    CURLMsg *msg;
    int left;
    while ((msg = curl_multi_info_read(c->multi, &left)) != NULL) {
        if (msg->msg != CURLMSG_DONE)
            continue;
        CURLcode rc = msg->data.result;
        struct gtv_http_fetch *f = NULL;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&f);
        curl_multi_remove_handle(c->multi, f->easy);
        if (f->state != CANCELLED)
            fetch_done(f, rc);
        if (destroyed) {
            f->client = NULL;
            fetch_free(f);
            return;
        }
        fetch_unlink(f);
        fetch_free(f);
    }
    for (struct gtv_http_fetch *f = c->fetches, *next; f; f = next) {
        next = f->next;
        if (f->state == QUEUED) {
            f->state = RUNNING;
            curl_multi_add_handle(c->multi, f->easy);
        } else if (f->state == CANCELLED) {
            curl_multi_remove_handle(c->multi, f->easy);
            fetch_unlink(f);
            fetch_free(f);
        }
    }
    c->destroyed = NULL;
}

static void soon_cb(void *arg)
{
    settle(arg);
}

static void add_header(struct gtv_http_fetch *f, const char *name, const char *value)
{
    char line[GTV_TRACE_STATE_MAX + 32];
    snprintf(line, sizeof line, "%s: %s", name, value);
    f->headers = curl_slist_append(f->headers, line);
}

static void add_cause(struct gtv_http_fetch *f, const struct gtv_cause *cause)
{
    char traceparent[GTV_TRACEPARENT_CAP];
    if (cause->request[0])
        add_header(f, "X-Request-ID", cause->request);
    if (!gtv_cause_traceparent(cause, traceparent))
        return;
    add_header(f, "traceparent", traceparent);
    if (cause->state[0])
        add_header(f, "tracestate", cause->state);
}

static void set_request(struct gtv_http_fetch *f, const struct gtv_http_fetch_options *o)
{
    CURL *e = f->easy;
    curl_easy_setopt(e, CURLOPT_URL, o->url);
    if (o->address) {
        char to[300];
        snprintf(to, sizeof to, "::%s:", o->address); // any host, any port: to this address, the same port
        f->address = curl_slist_append(NULL, to);
        curl_easy_setopt(e, CURLOPT_CONNECT_TO, f->address);
    }
    if (o->body) {
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body_len);
        curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, o->body);
        f->headers = curl_slist_append(f->headers, "Expect:");
    }
    if (o->method && strcmp(o->method, "HEAD") == 0)
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    else if (o->method)
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, o->method);
    for (const char *const *h = o->headers; h && *h; h++)
        f->headers = curl_slist_append(f->headers, *h);
    if (o->cause)
        add_cause(f, o->cause);
    if (f->headers)
        curl_easy_setopt(e, CURLOPT_HTTPHEADER, f->headers);
    if (o->user && *o->user) {
        curl_easy_setopt(e, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(e, CURLOPT_USERNAME, o->user);
        curl_easy_setopt(e, CURLOPT_PASSWORD, o->password ? o->password : "");
    }
}

static void set_limits(struct gtv_http_fetch *f, const struct gtv_http_fetch_options *o)
{
    CURL *e = f->easy;
    unsigned whole = o->timeout_ms ? o->timeout_ms : o->stream ? 0 : DEFAULT_TIMEOUT_MS;
    unsigned stall = o->stall_timeout_ms ? o->stall_timeout_ms : whole;
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(o->connect_timeout_ms ? o->connect_timeout_ms : DEFAULT_CONNECT_MS));
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)whole);
    if (stall && stall != whole) {
        curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, (long)((stall + 999) / 1000));
    }
}

struct gtv_http_fetch *gtv_http_fetch(struct gtv_http_client *c, const struct gtv_http_fetch_options *o,
                                      const struct gtv_http_fetch_callbacks *cb, void *arg)
{
    struct gtv_http_fetch *f = GTV_NEW(struct gtv_http_fetch);
    f->client = c;
    f->cb = *cb;
    f->arg = arg;
    f->stream = o->stream;
    f->max_body = o->max_body ? o->max_body : DEFAULT_MAX_BODY;
    gtv_buf_init(&f->body, f->max_body);
    f->response.content_length = -1;
    f->easy = c->spares ? c->spare[--c->spares] : curl_easy_init();
    if (!f->easy)
        abort(); // a small allocation
    CURL *e = f->easy;
    set_request(f, o);
    set_limits(f, o);
    curl_easy_setopt(e, CURLOPT_PRIVATE, f);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, header_cb);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, f);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, write_cb);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, f);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_cb);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, c);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, close_cb);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, c);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_PROXY, ""); // the services inside are never behind the environment's proxy
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "gt-vision/" GTV_VERSION);
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    f->next = c->fetches;
    if (f->next)
        f->next->prev = f;
    c->fetches = f;
    f->state = QUEUED;
    if (c->depth == 0 && !c->destroyed) {
        f->state = RUNNING;
        curl_multi_add_handle(c->multi, e); // only arms the timer: nothing is called back from here
    } else {
        gtv_timer_start(c->soon, 0, 0);
    }
    return f;
}

void gtv_http_fetch_cancel(struct gtv_http_fetch *f)
{
    if (!f || f->state == ENDING)
        return;
    struct gtv_http_client *c = f->client;
    if (c->depth > 0 || c->destroyed) {
        f->state = CANCELLED;
        gtv_timer_start(c->soon, 0, 0);
        return;
    }
    curl_multi_remove_handle(c->multi, f->easy);
    fetch_unlink(f);
    fetch_free(f);
}

struct gtv_http_client *gtv_http_client_create(struct gtv_loop *loop, size_t max_connections)
{
    struct gtv_http_client *c = GTV_NEW(struct gtv_http_client);
    c->loop = loop;
    c->multi = curl_multi_init(); // initialises libcurl itself on first use, thread-safely since 7.84
    if (!c->multi)
        abort();
    c->timer = gtv_timer_create(loop, timer_cb, c);
    c->soon = gtv_timer_create(loop, soon_cb, c);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, socket_cb);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, timeout_cb);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    if (max_connections) {
        curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)max_connections);
        curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)max_connections);
    }
    return c;
}

void gtv_http_client_destroy(struct gtv_http_client *c)
{
    if (!c)
        return;
    if (c->destroyed)
        *c->destroyed = true;
    c->depth++;
    for (struct gtv_http_fetch *f = c->fetches, *next; f; f = next) {
        next = f->next;
        if (f->state == ENDING)
            continue; // its callback is on the stack; settle frees it
        curl_multi_remove_handle(c->multi, f->easy);
        fetch_free(f);
    }
    while (c->spares)
        curl_easy_cleanup(c->spare[--c->spares]);
    curl_multi_cleanup(c->multi); // closes its connections, and with them their watches
    while (c->watches)
        watch_close(c->watches);
    gtv_timer_destroy(c->timer);
    gtv_timer_destroy(c->soon);
    free(c);
}
