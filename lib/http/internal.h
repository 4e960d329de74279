// What the files of the server share; nothing outside lib/http includes it.
//
// Phases of a connection: READING (a head or a body, or idle between two requests) -> BUSY (a handler owns
// the request, or its reply is still being written) -> READING ... -> LINGERING (reply sent, reading on so
// that the client can see it) or UPGRADED -> CLOSING.
#ifndef GTV_HTTP_INTERNAL_H
#define GTV_HTTP_INTERNAL_H

#include "lib/http/server.h"

#include <llhttp.h>

enum {
    HTTP_MAX_HEAD = 16 * 1024,  // request line and headers, bytes
    HTTP_MAX_FIELDS = 100,      // header fields of a request
    HTTP_MAX_TARGET = 8 * 1024, // bytes of the request target
    HTTP_MAX_SEGMENTS = 64,     // of a path; a deeper one matches no route
    HTTP_MAX_PARAMS = 8,        // {names} of one pattern
    HTTP_MAX_TRUSTED = 32,      // entries of trusted_proxies
    HTTP_INLINE_HEAD = 2048,    // a head up to here needs no allocation
    HTTP_READ_BUFFER = 64 * 1024,
    HTTP_READ_HEAD =
        16 * 1024, // offered to a read while no body is awaited: bounds what pipelining can leave over
    HTTP_POOLED_REQUESTS = 64,       // spare request objects a server keeps
    HTTP_CHUNK_OVERHEAD = 16 * 1024, // framing bytes of a chunked body beyond 8 per byte of content
    HTTP_CLAIM_FACTOR = 16,          // an announced body is given room at once when this part of it is there
    HTTP_CLAIM_MAX = 1024 * 1024,    // and when no more than that is to come
    HTTP_ALL_BODIES = 256 * 1024 * 1024, // memory of all bodies that a server holds at once; beyond it 503
    HTTP_BODY_DEADLINE_MS = 300000,      // a whole request body
    HTTP_GOOD_BYE_MS = 3000, // at the end, for those that left HTTP (a WebSocket's closing handshake)
    HTTP_LINGER_MS = 2000,   // reading on after the last reply
    HTTP_LINGER_BYTES = 16 * 1024 * 1024,
    HTTP_NOTSENT_LOWAT = 512 * 1024, // unsent bytes the kernel holds for a slow reader
    HTTP_PREFACE_V1_MAX = 107,       // a PROXY header in text, its line end included
    HTTP_PREFACE_V2_MAX = 2048,      // and a binary one, with what it adds to the addresses
    HTTP_TICK_MS = 250,              // resolution of the deadlines
    HTTP_WHEEL_SLOTS = 256,
    HTTP_LISTENERS_MAX = 16, // sockets a server was handed
};

#define HTTP_NEVER UINT64_MAX

// Offsets into the request's head: it may move while it grows.
struct http_field {
    uint16_t name_off, name_len, value_off, value_len;
};

struct http_param {
    struct gtv_str name, value;
};

enum http_phase { HTTP_IN_HEAD, HTTP_IN_BODY, HTTP_PARSED, HTTP_FAILED };

// How far the reply is.
enum http_reply { HTTP_REPLY_NONE, HTTP_REPLY_STREAMING, HTTP_REPLY_ENDED };

struct gtv_http_request {
    struct gtv_http_server *server;
    struct gtv_http_conn *conn;           // NULL: the client left and the handler was not told (no on_close)
    struct gtv_http_request *next, *prev; // pool, or the server's list of orphans
    struct gtv_arena arena;

    // Parsing
    llhttp_t parser;
    enum http_phase phase;
    enum gtv_code error;
    const char *error_text;
    char *head;
    size_t head_len, head_cap;
    size_t field_count;
    bool in_field;
    bool keep_alive;
    bool continue_wanted; // Expect: 100-continue and no byte of the body came yet
    size_t target_off, target_len;
    int32_t expect_field, forwarded_field, id_field; // index of the (last) such field, or -1
    size_t max_body;
    char *body;
    size_t body_len, body_cap;
    bool body_owned;
    size_t wire_len; // bytes read since the head ended, framing included
    // Called when the head is whole and in order: decides max_body, or fails the request. NULL in tests of
    // the parser alone.
    bool (*on_head)(struct gtv_http_request *req);

    // Meaning
    struct gtv_str target, path, query;
    struct gtv_str segments[HTTP_MAX_SEGMENTS];
    size_t segment_count;
    const struct gtv_http_route *route;
    struct http_param params[HTTP_MAX_PARAMS];
    size_t param_count;
    char id[65];
    size_t id_len;
    struct gtv_cause *cause; // in the arena; NULL until it is asked for
    const char *allow;       // methods for the Allow header of a 405 or an OPTIONS, or NULL
    bool preflight;

    // Reply
    enum http_reply reply;
    bool chunked, chunk_open;
    bool close_after;
    int status;          // of the reply, once its head was built
    uint64_t sent;       // bytes of its body
    uint64_t began_ns;   // uv_hrtime when its first byte was read; 0 while nobody logs requests
    int64_t stream_left; // bytes still owed by Content-Length; -1 when it is not fixed
    void (*close_fn)(void *arg, bool complete);
    void *close_arg;
    void (*drain_fn)(void *arg);
    void *drain_arg;
    bool upgraded;

    struct http_field fields[HTTP_MAX_FIELDS];
    char inline_head[HTTP_INLINE_HEAD];
};

// Bytes that wait for the kernel: a reference and where in it the rest begins.
struct http_piece {
    struct gtv_bytes *bytes;
    size_t off;
};

// Exists only while something waits to be written: an idle connection has none.
struct http_out {
    uv_write_t write;
    struct gtv_http_conn *conn;
    size_t in_flight; // pieces that the running uv_write covers
    size_t queued;    // bytes of the pieces after those
    size_t first, count, cap;
    struct http_piece *pieces; // a ring of cap (a power of two)
    struct http_piece few[4];
    size_t seen_pending; // at the last look of the write deadline
    unsigned stalls;
    // Of a reply whose request is already recycled
    void (*close_fn)(void *arg, bool complete);
    void *close_arg;
};

// A PROXY header while it comes in.
struct http_preface {
    uint8_t data[HTTP_PREFACE_V1_MAX]; // the line, or the binary head and its addresses
    uint8_t len;
    uint16_t need, skip; // binary: bytes to keep (0: not yet known), and bytes to pass over after them
    uint8_t peer[16];
    bool known; // peer is who the proxy says; false: the proxy speaks for itself, or does not know
};

enum http_conn_state {
    HTTP_CONN_READING,
    HTTP_CONN_BUSY,
    HTTP_CONN_LINGERING,
    HTTP_CONN_UPGRADED,
    HTTP_CONN_CLOSING
};

struct gtv_http_conn {
    uv_tcp_t tcp;
    struct gtv_http_server *server;
    struct gtv_http_conn *next, *prev; // its slot of the wheel
    struct gtv_http_conn *deferred_next;
    uint64_t deadline;  // loop milliseconds, HTTP_NEVER without one
    uint64_t wheel_due; // tick at which the wheel looks again: never after the deadline's
    uint64_t started;   // when the present head began; 0: none did, UINT64_MAX: its body is being read
    uint64_t body_deadline;
    struct gtv_http_request *req;
    struct http_out *out;
    char *left; // read, but not yet parsed
    uint32_t left_len;
    uint32_t lingered;
    struct gtv_http_upgrade *upgrade;
    struct http_preface *preface; // until the PROXY header is whole; NULL where none is due
    uint8_t peer[16];             // IPv6, or IPv4 mapped into it
    uint8_t state;
    bool reading, eof, in_handler, in_feed, deferred, gone, close_when_flushed, linger_when_flushed,
        drain_due;
};

// Counted on the loop and handed to the shared metrics once a tick: loops do not fight for cache lines.
struct http_counts {
    uint64_t by_class[6]; // 1xx..5xx at 1..5
    uint64_t sent_bytes, malformed, timeouts, refused, prefaces_refused;
};

struct http_router_entry;

struct http_router {
    struct http_router_entry *entries;
    size_t count;
};

struct http_trusted {
    struct {
        uint8_t addr[16];
        unsigned bits;
    } net[HTTP_MAX_TRUSTED];
    size_t count;
};

struct gtv_http_server {
    struct gtv_loop *loop;
    uv_loop_t *uv;
    struct gtv_http_server_config config;
    struct gtv_log log;
    struct http_router router;
    struct http_trusted trusted, proxies; // by X-Forwarded-For, by PROXY headers

    uv_tcp_t listeners[HTTP_LISTENERS_MAX];
    size_t listener_count;
    uv_timer_t tick;
    uv_idle_t idle;
    uv_idle_cb on_idle;
    bool listening;
    bool adopted; // a listening socket lives on elsewhere, and so do the connections that wait in it
    int port;
    unsigned handles; // open or closing: the memory goes with the last one
    bool destroyed;

    struct gtv_http_conn *wheel[HTTP_WHEEL_SLOTS];
    uint64_t now_tick;
    size_t connections;
    size_t body_bytes; // of the requests that hold a body now
    struct gtv_http_conn *deferred, *deferred_last;
    struct gtv_http_request *pool;
    size_t pooled;
    struct gtv_http_request *orphans;
    char *read_buf;

    int64_t date_s;
    char date_line[64]; // "Date: ...\r\n"
    size_t date_len;
    uint64_t id_state[2];

    bool stopping;
    uint64_t grace_end; // of loop milliseconds; 0: over, or there was none
    uint64_t stop_deadline, good_bye_deadline;
    void (*stopped)(void *);
    void *stopped_arg;

    struct http_counts counts;
    struct gtv_counter *m_requests[6], *m_sent, *m_malformed, *m_timeouts, *m_refused, *m_prefaces_refused;
    struct gtv_gauge *m_connections;
    size_t m_connections_seen;
};

// ---- parse.c: bytes to a request, without sockets ----
void http_parse_init(struct gtv_http_request *req);
// Takes what belongs to this request and returns how much that was; req->phase tells where it stands.
size_t http_parse_feed(struct gtv_http_request *req, const char *data, size_t n);
// Ends parsing: phase HTTP_FAILED with this answer. text NULL: the code's own.
void http_parse_fail(struct gtv_http_request *req, enum gtv_code code, const char *text);

// ---- request.c ----
struct gtv_http_request *http_request_take(struct gtv_http_server *s);
void http_request_recycle(struct gtv_http_request *req);
void http_request_free(struct gtv_http_request *req);
// Splits and decodes the target into path, query and segments; false (and the request failed) when it is
// malformed.
bool http_request_split_target(struct gtv_http_request *req);
static inline struct gtv_str http_field_name(const struct gtv_http_request *req, size_t i)
{
    return (struct gtv_str){req->head + req->fields[i].name_off, req->fields[i].name_len};
}
static inline struct gtv_str http_field_value(const struct gtv_http_request *req, size_t i)
{
    return (struct gtv_str){req->head + req->fields[i].value_off, req->fields[i].value_len};
}

// ---- access.c ----
static inline bool http_logs_requests(const struct gtv_http_server *s)
{
    return s->config.access_log || gtv_log_enabled(GTV_LOG_DEBUG);
}
// The line of the access log about a request that is over. complete: all of the reply was given away.
void http_log_request(struct gtv_http_request *req, bool complete);

// ---- router.c ----
enum http_match { HTTP_MATCH, HTTP_NO_PATH, HTTP_NO_METHOD };
bool http_router_init(struct http_router *r, const struct gtv_http_route *routes, size_t n,
                      struct gtv_error *err) GTV_WARN_UNUSED;
void http_router_finish(struct http_router *r);
// Fills route and params. HTTP_NO_METHOD fills allow.
enum http_match http_router_match(const struct http_router *r, struct gtv_http_request *req);
// The methods that the request's path takes ("GET, HEAD, OPTIONS"), in the request's arena; NULL when no
// route has the path.
const char *http_router_allow(const struct http_router *r, struct gtv_http_request *req);

// ---- addr.c ----
#define HTTP_ADDR_CAP 46
bool http_addr_parse(struct gtv_str text,
                     uint8_t out[16]) GTV_WARN_UNUSED; // literal, with or without port or brackets
const char *http_addr_format(const uint8_t addr[16], char out[HTTP_ADDR_CAP]);
void http_addr_from_ipv4(const uint8_t ipv4[4], uint8_t out[16]);
// field: what an error names.
bool http_trusted_parse(struct http_trusted *t, const char *list, const char *field,
                        struct gtv_error *err) GTV_WARN_UNUSED;
bool http_trusted_has(const struct http_trusted *t, const uint8_t addr[16]);

// ---- preface.c: the PROXY protocol, versions 1 and 2 ----
enum http_preface_state { HTTP_PREFACE_MORE, HTTP_PREFACE_WHOLE, HTTP_PREFACE_BAD };
// Goes on with a zeroed header. *used: how much of the data belonged to it; what follows is the client's.
enum http_preface_state http_preface_feed(struct http_preface *p, const uint8_t *data, size_t n,
                                          size_t *used);

// ---- conn.c ----
void http_conn_accept(struct gtv_http_server *s, uv_stream_t *listener);
void http_conn_take(struct gtv_http_server *s, int fd); // one that was accepted otherwise
void http_conn_step(struct gtv_http_conn *c);           // goes on after something was finished or flushed
void http_conn_close(struct gtv_http_conn *c);          // at once; the callbacks follow from the loop
void http_conn_expired(struct gtv_http_conn *c);
void http_conn_deadline(struct gtv_http_conn *c, uint64_t deadline);
void http_conn_over(struct gtv_http_conn *c); // tells who waits on it, and lets go of all but the handle

// ---- write.c ----
// Sends buffers now, and keeps what the kernel does not take: pieces[i] is referenced, or, where NULL,
// bufs[i] is copied. On a failed connection it is closed and nothing is kept.
void http_send(struct gtv_http_conn *c, const uv_buf_t *bufs, struct gtv_bytes *const *pieces, size_t n);
void http_send_later(struct gtv_http_conn *c, const void *data,
                     size_t n); // copies; goes out with the next send, or from the loop
void http_flush(struct gtv_http_conn *c);
size_t http_pending(const struct gtv_http_conn *c);
void http_out_free(struct gtv_http_conn *c);

// ---- reply.c ----
void http_reply_error(struct gtv_http_request *req, enum gtv_code code, const char *text);
struct http_head {
    char *data;
    size_t len, cap;
    char space[1536];
};
void http_head_init(struct http_head *h);
void http_head_finish(struct http_head *h);
void http_head_add(struct http_head *h, const char *data, size_t n);
void http_head_field(struct http_head *h, struct gtv_str name, struct gtv_str value);
bool http_field_valid(struct gtv_str name, struct gtv_str value);
const char *http_status_text(int status);

// ---- server.c ----
void http_defer(struct gtv_http_conn *c); // http_conn_step from the loop, before it waits again
void http_wake_idle(struct gtv_http_server *s);
void http_wheel_add(struct gtv_http_conn *c);
void http_wheel_remove(struct gtv_http_conn *c);
void http_handle_closed(struct gtv_http_server *s);
const char *http_date_line(struct gtv_http_server *s, size_t *n);

#endif
