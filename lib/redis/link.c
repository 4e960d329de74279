// Phases of a link: WAIT (back-off) -> RESOLVE (name to address, on libuv's pool) -> CONNECT -> GREET (AUTH,
// SETNAME, SELECT) -> UP. Any failure leads back to WAIT. hiredis itself would resolve with a blocking call,
// so it is only ever given addresses.

#include "lib/redis/link.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/log/log.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MAX_PENDING = 10000,  // commands without an answer; beyond it senders are refused
    BACKOFF_MIN_MS = 100, // doubles up to the maximum, with jitter of a quarter
    BACKOFF_MAX_MS = 5000,
    CONNECT_LIMIT_MS = 5000, // from the connect to the last answer of the greeting
    TICK_MS = 500,           // how often the oldest command's age is looked at
};

enum phase { WAIT, RESOLVE, CONNECT, GREET, UP };

// Lives until hiredis has called it back, which it does exactly once, also when the connection ends.
struct pending {
    struct conn *conn;
    gtv_redis_reply_fn fn;
    void *arg;
    int64_t deadline_ms; // 0: none
    struct pending *next;
};

// One TCP or Unix connection. `link` is NULL once the link has let go of it.
struct conn {
    struct gtv_redis_link *link;
    redisAsyncContext *ac;
    struct pending *head, *tail;
    size_t count;
    uv_poll_t poll;
    int events;
    bool polling_closed, context_freed;
    bool ending; // hiredis is freeing the context by itself, and would not survive our doing it too
};

struct resolve {
    uv_getaddrinfo_t req;
    struct gtv_redis_link *link;
};

struct gtv_redis_link {
    struct gtv_loop *loop;
    struct gtv_redis_target target;
    char name[64];
    void (*on_state)(void *arg, bool up);
    void *arg;
    enum phase phase;
    struct conn *conn;
    struct resolve *resolve;
    struct gtv_timer *timer; // back-off, then the limit of connecting
    struct gtv_timer *tick;
    unsigned backoff_ms;
    unsigned greetings; // answers still missing
    bool told_down;     // one log line per outage, not one per attempt
    char reason[160];   // of the latest failure; empty while up
    uint64_t jitter;
};

static const struct gtv_log log_redis = {"redis", NULL, NULL};

static void connect_start(struct gtv_redis_link *l);

// ---- hiredis on a uv_poll handle ----

static void conn_free_if_over(struct conn *c)
{
    if (c->polling_closed && c->context_freed)
        free(c);
}

static void poll_cb(uv_poll_t *handle, int status, int events)
{
    struct conn *c = handle->data;
    if (c->context_freed)
        return;
    // An error on the socket is found by reading it.
    if (status != 0 || (events & UV_READABLE))
        redisAsyncHandleRead(c->ac);
    if (!c->context_freed && status == 0 && (events & UV_WRITABLE))
        redisAsyncHandleWrite(c->ac);
}

static void poll_update(struct conn *c, int set, int clear)
{
    c->events = (c->events | set) & ~clear;
    if (c->events)
        uv_poll_start(&c->poll, c->events, poll_cb);
    else
        uv_poll_stop(&c->poll);
}

static void ev_add_read(void *p)
{
    poll_update(p, UV_READABLE, 0);
}

static void ev_del_read(void *p)
{
    poll_update(p, 0, UV_READABLE);
}

static void ev_add_write(void *p)
{
    poll_update(p, UV_WRITABLE, 0);
}

static void ev_del_write(void *p)
{
    poll_update(p, 0, UV_WRITABLE);
}

static void poll_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    c->polling_closed = true;
    conn_free_if_over(c);
}

// hiredis calls this once, right before it closes the socket and frees its context.
static void ev_cleanup(void *p)
{
    struct conn *c = p;
    c->context_freed = true;
    uv_close((uv_handle_t *)&c->poll, poll_closed);
}

// ---- the end of a connection ----

static unsigned next_backoff(struct gtv_redis_link *l)
{
    l->backoff_ms = l->backoff_ms ? l->backoff_ms * 2 : BACKOFF_MIN_MS;
    if (l->backoff_ms > BACKOFF_MAX_MS)
        l->backoff_ms = BACKOFF_MAX_MS;
    l->jitter = l->jitter * 6364136223846793005u + 1442695040888963407u;
    return l->backoff_ms - (unsigned)((l->jitter >> 33) % (l->backoff_ms / 4 + 1));
}

static void answer_all_with_null(struct conn *c)
{
    // The nodes stay: hiredis still owns a pointer to each and frees them through reply_cb.
    for (struct pending *p = c->head; p; p = p->next) {
        gtv_redis_reply_fn fn = p->fn;
        p->fn = NULL;
        if (fn)
            fn(p->arg, NULL);
    }
}

static void conn_drop(struct conn *c)
{
    c->link = NULL;
    answer_all_with_null(c);
    if (!c->context_freed && !c->ending)
        redisAsyncFree(c->ac); // deferred by hiredis when called from one of its callbacks
}

static void link_fail(struct gtv_redis_link *l, const char *reason)
{
    bool was_up = l->phase == UP;
    struct conn *c = l->conn;
    l->conn = NULL;
    l->phase = WAIT;
    snprintf(l->reason, sizeof l->reason, "%s", reason);
    unsigned wait_ms = next_backoff(l);
    if (!l->told_down) {
        l->told_down = true;
        gtv_log_warn(&log_redis, was_up ? "connection lost, trying again" : "cannot connect, trying again",
                     "client=%s target=\"%s\" cause=\"%s\"", l->name, l->target.host, reason);
    }
    gtv_timer_start(l->timer, wait_ms, 0);
    if (c)
        conn_drop(c);
    if (was_up && l->on_state)
        l->on_state(l->arg, false);
}

void gtv_redis_link_reset(struct gtv_redis_link *l, const char *reason)
{
    if (l->conn)
        link_fail(l, reason);
}

// ---- commands ----

static void reply_cb(redisAsyncContext *ac, void *reply, void *privdata)
{
    struct pending *p = privdata;
    struct conn *c = p->conn;
    // Answers come in the order of the commands, so p is the head.
    c->head = p->next;
    if (!c->head)
        c->tail = NULL;
    c->count--;
    gtv_redis_reply_fn fn = p->fn;
    void *arg = p->arg;
    free(p);
    if (fn)
        fn(arg, reply);
}

static bool conn_send(struct conn *c, gtv_redis_reply_fn fn, void *arg, const char *cmd, size_t len,
                      unsigned limit_ms)
{
    struct pending *p = GTV_NEW(struct pending);
    *p = (struct pending){c, fn, arg, limit_ms ? gtv_mono_ms() + limit_ms : 0, NULL};
    if (redisAsyncFormattedCommand(c->ac, reply_cb, p, cmd, len) != REDIS_OK) {
        free(p);
        return false;
    }
    if (c->tail)
        c->tail->next = p;
    else
        c->head = p;
    c->tail = p;
    c->count++;
    return true;
}

bool gtv_redis_link_send(struct gtv_redis_link *l, gtv_redis_reply_fn fn, void *arg, const char *cmd,
                         size_t len, unsigned limit_ms)
{
    if (l->phase != UP || l->conn->count >= MAX_PENDING)
        return false;
    return conn_send(l->conn, fn, arg, cmd, len, limit_ms);
}

bool gtv_redis_link_up(const struct gtv_redis_link *l)
{
    return l->phase == UP;
}

bool gtv_redis_link_away(const struct gtv_redis_link *l)
{
    return l->phase != UP && l->reason[0];
}

const char *gtv_redis_link_reason(const struct gtv_redis_link *l)
{
    return l->phase == UP ? NULL : l->reason[0] ? l->reason : "connecting";
}

static void tick_cb(void *arg)
{
    struct gtv_redis_link *l = arg;
    if (l->conn && l->conn->head && l->conn->head->deadline_ms && gtv_mono_ms() > l->conn->head->deadline_ms)
        link_fail(l, "no answer in time");
}

// ---- greeting ----

// What Redis says in one word, in a sentence for who has to mend it. Its own words follow.
static void refused(struct gtv_redis_link *l, const char *words)
{
    struct gtv_str said = gtv_str_of(words);
    const char *meaning = NULL;
    char reason[sizeof l->reason];
    if (gtv_str_starts(said, GTV_STR("NOAUTH")))
        meaning = "Redis wants a password and none is configured";
    else if (gtv_str_starts(said, GTV_STR("WRONGPASS")) || gtv_str_starts(said, GTV_STR("ERR AUTH")) ||
             gtv_str_starts(said, GTV_STR("ERR invalid password")))
        meaning = "Redis refuses the password";
    else if (gtv_str_starts(said, GTV_STR("NOPERM")))
        meaning = "Redis does not let this user do what is needed";
    snprintf(reason, sizeof reason, "%s%s%s%s", meaning ? meaning : "", meaning ? " (" : "", words,
             meaning ? ")" : "");
    link_fail(l, reason);
}

static void greeting_cb(void *arg, redisReply *reply)
{
    struct gtv_redis_link *l = arg;
    if (!reply || !l->conn || l->phase != GREET)
        return; // the connection's end is handled where it is noticed
    if (reply->type == REDIS_REPLY_ERROR) {
        refused(l, reply->str);
        return;
    }
    if (--l->greetings > 0)
        return;
    l->phase = UP;
    l->backoff_ms = 0;
    l->told_down = false;
    l->reason[0] = '\0';
    gtv_timer_stop(l->timer);
    gtv_log_info(&log_redis, "connected", "client=%s target=\"%s\" db=%d", l->name, l->target.host,
                 l->target.db);
    if (l->on_state)
        l->on_state(l->arg, true);
}

__attribute__((format(printf, 2, 3))) static bool greet(struct gtv_redis_link *l, const char *fmt, ...)
{
    va_list ap;
    char *cmd = NULL;
    va_start(ap, fmt);
    int n = redisvFormatCommand(&cmd, fmt, ap);
    va_end(ap);
    bool ok = n > 0 && conn_send(l->conn, greeting_cb, l, cmd, (size_t)n, 0);
    if (n > 0)
        redisFreeCommand(cmd);
    if (ok)
        l->greetings++;
    return ok;
}

static void on_connect(const redisAsyncContext *ac, int status)
{
    struct conn *c = ac->data;
    struct gtv_redis_link *l = c->link;
    c->ending = status != REDIS_OK;
    if (!l)
        return;
    if (status != REDIS_OK) {
        link_fail(l, ac->errstr ? ac->errstr : "refused");
        return;
    }
    l->phase = GREET;
    l->greetings = 0;
    bool ok = true;
    if (l->target.user[0])
        ok = greet(l, "AUTH %s %s", l->target.user, l->target.pass);
    else if (l->target.pass[0])
        ok = greet(l, "AUTH %s", l->target.pass);
    // Freeing the context inside this callback is not safe: should sending fail, the limit of connecting ends
    // it.
    if (!ok || !greet(l, "CLIENT SETNAME %s", l->name) || !greet(l, "SELECT %d", l->target.db))
        gtv_log_error(&log_redis, "cannot send the greeting", "client=%s", l->name);
}

static void on_disconnect(const redisAsyncContext *ac, int status)
{
    struct conn *c = ac->data;
    c->ending = true;
    if (c->link)
        link_fail(c->link, ac->errstr && *ac->errstr ? ac->errstr : "closed by the server");
}

// ---- connecting ----

static void open_conn(struct gtv_redis_link *l, const char *address)
{
    redisAsyncContext *ac =
        l->target.is_unix ? redisAsyncConnectUnix(address) : redisAsyncConnect(address, l->target.port);
    if (!ac || ac->err) {
        char reason[160];
        snprintf(reason, sizeof reason, "%s", ac && ac->errstr ? ac->errstr : "out of memory");
        if (ac)
            redisAsyncFree(ac);
        link_fail(l, reason);
        return;
    }
    struct conn *c = GTV_NEW(struct conn);
    if (uv_poll_init(gtv_loop_uv(l->loop), &c->poll, ac->c.fd) != 0) {
        redisAsyncFree(ac);
        free(c);
        link_fail(l, "cannot watch the socket");
        return;
    }
    c->poll.data = c;
    c->link = l;
    c->ac = ac;
    ac->data = c;
    ac->ev.data = c;
    ac->ev.addRead = ev_add_read;
    ac->ev.delRead = ev_del_read;
    ac->ev.addWrite = ev_add_write;
    ac->ev.delWrite = ev_del_write;
    ac->ev.cleanup = ev_cleanup;
    l->conn = c;
    l->phase = CONNECT;
    redisAsyncSetDisconnectCallback(ac, on_disconnect);
    redisAsyncSetConnectCallback(ac, on_connect); // asks for the first write event
}

static void resolved_cb(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
    struct resolve *r = (struct resolve *)req;
    struct gtv_redis_link *l = r->link;
    free(r);
    if (l) {
        l->resolve = NULL;
        char address[64] = "";
        if (status == 0 && res && uv_ip_name(res->ai_addr, address, sizeof address) == 0)
            open_conn(l, address);
        else
            link_fail(l, status ? uv_strerror(status) : "the name has no address");
    }
    uv_freeaddrinfo(res);
}

static void connect_start(struct gtv_redis_link *l)
{
    gtv_timer_start(l->timer, CONNECT_LIMIT_MS, 0);
    if (l->target.is_unix) {
        open_conn(l, l->target.host);
        return;
    }
    l->phase = RESOLVE;
    struct resolve *r = GTV_NEW(struct resolve);
    r->link = l;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    int rc = uv_getaddrinfo(gtv_loop_uv(l->loop), &r->req, resolved_cb, l->target.host, NULL, &hints);
    if (rc != 0) {
        free(r);
        link_fail(l, uv_strerror(rc));
        return;
    }
    l->resolve = r;
}

static void timer_cb(void *arg)
{
    struct gtv_redis_link *l = arg;
    if (l->phase == WAIT) {
        connect_start(l);
    } else if (l->phase == RESOLVE) {
        // getaddrinfo cannot be cut short once it runs: let go of it.
        l->resolve->link = NULL;
        l->resolve = NULL;
        link_fail(l, "the name did not resolve in time");
    } else if (l->phase != UP) {
        link_fail(l, "no connection in time");
    }
}

struct gtv_redis_link *gtv_redis_link_create(struct gtv_loop *loop, const struct gtv_redis_target *target,
                                             const char *client_name, void (*on_state)(void *arg, bool up),
                                             void *arg)
{
    struct gtv_redis_link *l = GTV_NEW(struct gtv_redis_link);
    l->loop = loop;
    l->target = *target;
    snprintf(l->name, sizeof l->name, "%s", client_name && *client_name ? client_name : "gtv");
    l->on_state = on_state;
    l->arg = arg;
    l->jitter = (uint64_t)gtv_mono_ns() ^ (uint64_t)(uintptr_t)l;
    l->timer = gtv_timer_create(loop, timer_cb, l);
    l->tick = gtv_timer_create(loop, tick_cb, l);
    gtv_timer_start(l->tick, TICK_MS, TICK_MS);
    gtv_timer_start(l->timer, 0, 0);
    return l;
}

void gtv_redis_link_destroy(struct gtv_redis_link *l)
{
    if (!l)
        return;
    l->on_state = NULL;
    l->phase = WAIT;
    if (l->resolve) {
        l->resolve->link = NULL;
        (void)uv_cancel((uv_req_t *)&l->resolve->req);
    }
    struct conn *c = l->conn;
    l->conn = NULL;
    if (c)
        conn_drop(c);
    gtv_timer_destroy(l->timer);
    gtv_timer_destroy(l->tick);
    free(l);
}
